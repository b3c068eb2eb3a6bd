"""Lines of everyday PyTorch code for sequences, by theme, and the names that stand in them.

A line gives a result to compare: the value of its last expression, or what its last statement stored. Everything
that it names is compared, too, after it has run: a write shows in what it wrote to.
"""

from __future__ import annotations

__all__ = ["DIFFERENT", "IDIOMS", "INPUTS", "PRELUDE"]

PRELUDE = """
import math
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Bernoulli, Categorical, Normal
from torch.nn import init
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, Dataset, IterableDataset, RandomSampler
from torch.utils.data import SequentialSampler, Subset, SubsetRandomSampler, TensorDataset, WeightedRandomSampler
from torch.utils.data import default_collate, random_split

def wave(*shape, start=0.0):
    return torch.from_numpy(np.sin(0.7 * np.arange(math.prod(shape)) + start).astype(np.float32).reshape(shape))

def filled(module):
    for i, p in enumerate(module.parameters()):
        p.data.copy_(wave(*p.shape, start=i) * 0.5)
    return module

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(6, 5)
        self.rnn = nn.GRU(5, 6, batch_first=True)
        self.decoder = nn.Linear(6, 4)
        filled(self)

    def forward(self, x):
        return self.decoder(self.rnn(self.encoder(x))[0])

class Words(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i >= 3:
            raise IndexError(i)
        return {"text": "word %d" % i, "ids": torch.arange(2) + i}, i * 0.5

class Stream(IterableDataset):
    def __iter__(self):
        return iter([wave(2), wave(2, start=1.0), wave(2, start=2.0)])

def trained(kind, **options):
    layer = filled(nn.Linear(5, 4))
    optimizer = kind(layer.parameters(), **options)
    for t in range(4):
        optimizer.zero_grad()
        layer(wave(3, 5, start=t)).pow(2).mean().backward()
        optimizer.step()
    return layer.state_dict()

def stepped(optimizer, schedule):
    found = []
    for _ in range(5):
        optimizer.step()
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found

def rates(kind, *args, **options):
    optimizer = optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.1, momentum=0.9)
    return stepped(optimizer, kind(optimizer, *args, **options))

def warm(optimizer):
    return optim.lr_scheduler.LinearLR(optimizer, 0.1), optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
"""
"""What stands above all lines, for PyTorch; for lucid, its lines of imports are changed."""

INPUTS = {
    # numbers
    "x": "wave(4, 3, 5)",
    "y": "wave(4, 3, 5, start=1.5)",
    "a": "wave(3, 4)",
    "b": "wave(4, 5, start=0.3)",
    "v": "wave(5)",
    "u": "wave(5, start=2.0)",
    "s": "torch.tensor(1.5)",
    "d": "wave(2, 3).double()",
    "p": "F.softmax(wave(3, 4), dim=-1)",
    "img": "wave(2, 3, 8, 6)",
    "emb": "wave(2, 4, 6)",
    "array": "np.sin(np.arange(6)).reshape(2, 3)",
    "values": "np.array([3, 1, 2])",
    # integers and bools
    "i": "torch.tensor([[2, 0, 1], [1, 3, 2]])",
    "n": "torch.tensor([5, 3, 2])",
    "k": "torch.arange(6)",
    "mask": "torch.tensor([[True, True, False], [True, False, False], [True, True, True], [False, True, True]])",
    "steps": "torch.tensor([True, False, True, True, False])",
    "lengths": "torch.tensor([4, 2, 3])",
    "target": "torch.tensor([1, 0, 3])",
    "tags": "torch.tensor([[1, 0, 2], [3, 1, -100], [2, -100, -100], [0, 1, 3]])",
    # with gradients
    "w": "wave(3, 4).requires_grad_()",
    "z": "wave(5, start=0.5).requires_grad_()",
    "logits": "wave(3, 4, start=0.7).requires_grad_()",
    "q": "nn.Parameter(wave(4, 3))",
    # sequences
    "batch": "wave(3, 4, 5)",
    "seqs_of_five": "[wave(4, 5), wave(2, 5, start=1.0), wave(3, 5, start=2.0)]",
    "seqs": "[wave(4, 2), wave(2, 2, start=1.0), wave(3, 2, start=2.0)]",
    "outs": "[wave(3, 5, start=t) for t in range(4)]",
    "h": "wave(1, 3, 6).tanh()",
    "c": "wave(1, 3, 6, start=1.0)",
    "packed": "pack_padded_sequence(batch, lengths, batch_first=True, enforce_sorted=False)",
    # modules
    "lin": "filled(nn.Linear(5, 4))",
    "emb_layer": "filled(nn.Embedding(7, 5, padding_idx=0))",
    "rnn": "filled(nn.RNN(5, 6, batch_first=True))",
    "lstm": "filled(nn.LSTM(5, 6, batch_first=True))",
    "gru": "filled(nn.GRU(5, 6, batch_first=True))",
    "deep": "filled(nn.LSTM(5, 6, num_layers=2, bidirectional=True, batch_first=True))",
    "cell": "filled(nn.LSTMCell(5, 6))",
    "gcell": "filled(nn.GRUCell(5, 6))",
    "mlp": "filled(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)))",
    "bn": "filled(nn.BatchNorm1d(3))",
    "model": "Model()",
    # training
    "opt": "optim.SGD(lin.parameters(), lr=0.1, momentum=0.9)",
    "adam": "optim.Adam(lin.parameters(), lr=0.01)",
    "loss": "lin(batch).pow(2).mean()",
    "data": "TensorDataset(wave(7, 2), torch.arange(7))",
}
"""What each name stands for, in terms of the others; `wave` makes numbers, `filled` fills the weights of a module."""

IDIOMS = {
    "creation": """
torch.zeros(3, 4)
torch.zeros((2, 3), dtype=torch.long)
torch.zeros(x.size(0), 1, 6)
torch.zeros(x.shape)
torch.zeros(2, 3, requires_grad=True)
torch.zeros(4, device=x.device)
torch.zeros(1)
torch.zeros(())
torch.zeros(2, 0).shape
torch.ones(2, 3) * 0.5
torch.ones(3, dtype=torch.bool)
torch.ones(x.shape[:-1], dtype=x.dtype)
torch.ones_like(x[..., 0])
torch.zeros_like(mask)
torch.zeros_like(x, dtype=torch.int64)
torch.zeros_like(w)
torch.full((2, 3), 7)
torch.full((2, 3), 0.5)
torch.full((x.size(0),), float("-inf"))
torch.full((2,), True)
torch.full_like(x[0], -1)
torch.full_like(i, 0)
torch.empty(3, 2).shape
torch.empty(3, 2).fill_(1.0)
torch.empty(2, 3, dtype=torch.long).fill_(4)
torch.empty_like(x).shape
torch.tensor(3)
torch.tensor(3.0)
torch.tensor([1, 2, 3])
torch.tensor([1.0, 2, 3])
torch.tensor([[1, 2], [3, 4]], dtype=torch.float32)
torch.tensor([True, False])
torch.tensor([])
torch.tensor(values)
torch.tensor(array)
torch.tensor(array, dtype=torch.float)
torch.tensor([len(seq) for seq in seqs])
torch.tensor([[0.1, 0.2]], requires_grad=True)
torch.tensor(np.float32(1.5))
torch.tensor([x[0, 0, 0].item(), 2.0])
torch.tensor([s, s])
torch.tensor(list(range(4)), dtype=torch.double)
torch.tensor((1, 2))
torch.as_tensor(values)
torch.as_tensor([1.0, 2.0])
torch.as_tensor(array, dtype=torch.float32)
torch.as_tensor(x) is x
torch.from_numpy(array)
torch.from_numpy(array).float()
torch.from_numpy(array.astype(np.float32)).unsqueeze(0)
torch.from_numpy(values).long()
t = torch.from_numpy(values); values[0] = 9; t
torch.Tensor([1, 2])
torch.Tensor(2, 3).shape
torch.FloatTensor([1, 2])
torch.LongTensor([3, 4])
torch.LongTensor([[1, 2], [3, 4]]).t()
torch.BoolTensor([True, False])
torch.DoubleTensor([1])
torch.arange(5)
torch.arange(5.0)
torch.arange(2, 8, 2)
torch.arange(0, 1, 0.25)
torch.arange(5, dtype=torch.float32)
torch.arange(5, 0, -1)
torch.arange(x.size(1), device=x.device).unsqueeze(0)
torch.arange(0, 6, 2).float()
torch.linspace(0, 1, 5)
torch.linspace(-1, 1, steps=3)
torch.logspace(0, 2, 3)
torch.eye(3)
torch.eye(2, 3)
torch.eye(4)[target]
torch.rand(2, 3).shape
torch.rand(2, 3).lt(1).all()
torch.randn(2, 3).dtype
torch.randn((2, 3)).shape
torch.randint(0, 10, (2, 3)).dtype
torch.randint(5, (4,)).shape
torch.randint(0, 2, size=(3,)).max() < 2
torch.randperm(6).sort()[0]
torch.randn_like(x).shape
torch.rand_like(x).ge(0).all()
torch.normal(0.0, 1.0, size=(2, 2)).shape
torch.normal(mean=torch.zeros(3), std=torch.ones(3)).shape
torch.bernoulli(torch.ones(3))
torch.multinomial(torch.tensor([0.0, 1.0, 0.0]), 1)
torch.multinomial(p, num_samples=2, replacement=True).shape
torch.manual_seed(0); r = torch.rand(2); torch.manual_seed(0); torch.equal(r, torch.rand(2))
torch.tril(torch.ones(4, 4))
torch.triu(torch.ones(3, 3), diagonal=1).bool()
torch.triu(torch.full((3, 3), float("-inf")), diagonal=1)
torch.tril(torch.ones(3, 3, dtype=torch.bool))
torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
torch.diag(v)
torch.diag_embed(v).shape
x.new_zeros(2, 3)
x.new_zeros((2, 3))
d.new_ones(2)
x.new_full((2,), 3.0)
i.new_tensor([1, 2])
i.new_full((2,), 7)
x.new_empty(3).shape
x.new_tensor([1, 2])
mask.new_ones(3)
torch.empty(0)
torch.clone(x)
torch.cat([torch.zeros(1), torch.arange(3.0)])
torch.tril_indices(3, 3)
torch.triu_indices(3, 3, offset=1)
""",
    "indexing": """
list(reversed(v))
x[0]
x[-1]
x[:, -1]
x[:, -1, :]
x[:, 0].shape
x[1:3]
x[:, :2]
x[:, 1:]
x[:, :-1]
x[..., -1]
x[..., None].shape
x[:, None].shape
x[None].shape
x[0, 1, 2]
x[0][1][2]
x[::2]
x[:, ::2, 1:]
x[[0, 2]]
x[[0, 2], [1, 1]]
x[mask]
x[mask].shape
x[~mask]
x[mask == False]
x[x > 0]
x[x > 0].sum()
x[x.abs() < 0.5]
x[torch.tensor([1, 0])]
x[:, torch.tensor([2, 0])]
x[torch.arange(3), n - 3]
x[torch.arange(4), torch.tensor([0, 2, 1, 1])]
x[torch.arange(4)[:, None], torch.tensor([[0, 1]])]
x[range(2)]
x[np.array([0, 3])]
x[slice(1, 3)]
x[1:, ..., :2]
x[..., steps]
x[:, :, 1::2]
x[0, :, None, :].shape
x[i].shape
x[tuple([0, 1])]
x[n.tolist()[2]]
x[target[0]]
x[x.size(0) - 1]
x[True].shape
x[0:0].shape
x[:, 5:].shape
v[-3:]
v[k[1:3]]
v[v.argsort()]
v[v.argsort(descending=True)[:2]]
v[:-1] - v[1:]
v[steps]
v[(v > 0) & (v < 0.9)]
v[(v < 0) | (v > 0.9)]
v[steps.nonzero().squeeze(1)]
v[torch.where(steps)]
i[0, -1].item()
i[:, 0]
w[0]
w[:, 1].sum()
batch[torch.arange(3), lengths - 1]
batch[torch.arange(batch.size(0)), -1]
[row[:m] for row, m in zip(batch, lengths)]
[row[:m].sum() for row, m in zip(batch, lengths.tolist())]
[t for t in v]
[float(e) for e in v]
list(v)
list(x)[0].shape
len(x)
len(list(x))
next(iter(x)).shape
for t, row in enumerate(x): last = (t, row)
sum(x)
max(v)
min(v)
sorted(v.tolist())
dict(zip("abc", n.tolist()))
x.select(0, 1)
x.select(1, -1)
x.narrow(1, 1, 2)
x.narrow(0, 0, 2).shape
x.index_select(1, torch.tensor([0, 2]))
torch.index_select(x, 0, torch.tensor([3, 0]))
x.gather(1, i[:, :1].unsqueeze(2).repeat(2, 1, 5).clamp(max=2))
logits.gather(1, target.unsqueeze(1))
logits.gather(1, target.view(-1, 1)).squeeze(1)
logits[torch.arange(3), target]
logits[range(3), target]
torch.gather(a, 1, target.unsqueeze(-1))
batch.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, 5)).squeeze(1)
torch.take_along_dim(a, a.argsort(dim=1), dim=1)
torch.take(a, torch.tensor([0, 5, 11]))
a.masked_select(a > 0)
torch.masked_select(a, a.ge(0.5))
mask.nonzero()
torch.nonzero(mask)
torch.nonzero(n == 3).item()
mask.nonzero(as_tuple=True)
torch.where(mask)
(n == 3).nonzero(as_tuple=True)[0]
torch.argwhere(mask)
x.unbind(1)
torch.unbind(x, dim=0)
x.split(2)
x.split([1, 3])
x.split(1, dim=1)[0].shape
torch.split(x, 2, dim=-1)
x.chunk(2, dim=0)
torch.chunk(x, 3, dim=1)[0]
gates = wave(3, 8); ig, fg, cg, og = gates.chunk(4, 1); (ig, og)
x.tensor_split(3, dim=-1)
x.unfold(1, 2, 1)
v.unfold(0, 3, 1)
v.unfold(0, 2, 2).mean(-1)
a.diagonal()
torch.diagonal(x, dim1=1, dim2=2).shape
a.take(torch.tensor([1, 2]))
x.movedim(0, 1)[2]
x.view(-1)[7]
x.flatten()[::7]
x.swapaxes(0, 1)[1]
x.permute(1, 0, 2)[-1]
x[:, 1].squeeze(0).shape
x.T.shape
x.mT.shape
a.T[1]
3 in n
s in torch.tensor([1.5])
(x == x[0, 0, 0]).nonzero().tolist()
""",
    "writing in place": """
x[0] = 0
x[:, -1] = 1.0
x[mask] = 0
x[~mask] = float("-inf")
x[x < 0] = 0.0
x[0, 1, 2] = s
x[:, 0] = y[:, 1]
x[1:] = x[:-1].clone()
x[..., 2] += 1
x[0] *= 2
x[:, 1] -= x[:, 0]
x[[0, 2]] = 5.0
x[torch.arange(3), n - 3] = 0
x[:2, :2] = torch.ones(2, 2, 5)
x[:] = 3
x[...] = y
x[0, 0] = torch.tensor([1, 2, 3, 4, 5])
x[0, 0] = torch.arange(5)
i[0] = 7
i[i == 2] = -1
i[:, 1] += 1
mask[0] = False
mask[:, 2] |= True
mask &= ~mask
v[steps] = v[steps] * 2
v[torch.tensor([0, 1])] = u[:2]
v[-1] = v[0]
a[:, 0], a[:, 1] = 1, 2
out = torch.zeros(4, 3, 5); out[1] = x[0]; out
out = torch.zeros(3, 4, 5); [out[:, t].copy_(o) for t, o in enumerate(outs)]; out
out = torch.zeros(3, 4, 5); for t, o in enumerate(outs): out[:, t] = o
out = x.new_zeros(3, 4); out[:, :2] = w[:, :2]; out.sum().backward(); w.grad
out = torch.zeros(3); out[1] = w[0, 0]; out[2] = out[1] * 2; out.sum().backward(); w.grad
padded = torch.zeros(3, 4, 2); for r, t in enumerate(seqs): padded[r, : len(t)] = t
onehot = torch.zeros(3, 4); onehot[torch.arange(3), target] = 1
onehot = torch.zeros(3, 4); onehot.scatter_(1, target.unsqueeze(1), 1.0)
row = x[0]; row[1] = 9; x[0, 1]
col = x[:, 0]; col += 1; x
t = x.view(12, 5); t[0] = 0; x[0, 0]
t = x.detach(); t[0] = 0; x[0, 0]
t = x.clone(); t[0] = 0; x[0, 0]
t = x.numpy(); t[0] = 1; x[0, 0]
x.zero_()
x.fill_(2)
x.fill_(s)
x.add_(1)
x.add_(y)
x.add_(y, alpha=0.5)
x.sub_(y, alpha=2)
x.mul_(0.9)
x.mul_(0.9).add_(y, alpha=0.1)
x.div_(2)
x.div_(x.norm())
x.pow_(2)
x.abs_().sqrt_()
x.neg_()
x.exp_()
x.clamp_(0, 1)
x.clamp_(min=0)
x.clamp_min_(0)
x.tanh_()
x.sigmoid_()
x.relu_()
x.round_()
x.floor_()
x.copy_(y)
x.copy_(v)
i.copy_(torch.zeros(2, 3))
x.masked_fill_(mask.unsqueeze(-1), -1e9)
a.masked_fill_(a > 0, float("-inf"))
x.lerp_(y, 0.1)
x.addcmul_(y, y, value=0.1)
x.addcdiv_(x, y.abs() + 1, value=-0.1)
a.t_().shape
x.unsqueeze_(0).shape
v.unsqueeze_(1).shape
x.transpose_(0, 1).shape
torch.zeros(1, 3).squeeze_(0).shape
x.resize_(2, 2).shape
v.index_fill_(0, torch.tensor([0, 2]), 0.0)
v.index_add_(0, torch.tensor([0, 0, 1]), torch.ones(3))
v.index_copy_(0, torch.tensor([1, 3]), torch.zeros(2))
a.index_copy_(1, torch.tensor([0]), torch.ones(3, 1))
a.scatter_(1, target.unsqueeze(1), 0.0)
a.scatter_add_(1, target.unsqueeze(1), torch.ones(3, 1))
torch.zeros(4).scatter_add_(0, torch.tensor([0, 1, 1]), torch.ones(3))
a.fill_diagonal_(0)
a.tril_()
a.triu_(1)
v.cumsum_(0)
x.uniform_(0, 1).ge(0).all()
x.normal_().shape
x.normal_(mean=0, std=0.1).shape
x.bernoulli_(0.5).shape
x.random_(0, 3).max() < 3
x.exponential_().ge(0).all()
x.logical_not_().sum()
mask.logical_not_()
n.clamp_(max=4)
n += 1
n -= n.min()
n //= 2
n *= 2
n %= 3
x += 1
x -= x.mean()
x /= x.std()
x **= 2
x *= mask.unsqueeze(-1)
s += 1
s *= torch.tensor(2.0)
total = 0; for o in outs: total += o
total = torch.zeros(3, 5); for o in outs: total += o
t = x; t += 1; x
torch.add(x, y, out=x)
x.set_(y)
x.data = y
x.data.zero_(); x
x.data[0] = 1; x
x.requires_grad_().data.mul_(0.5); x
x.swapaxes_(0, 1).shape
""",
    "reductions": """
x.sum()
x.sum(0)
x.sum(dim=1)
x.sum(-1, keepdim=True)
x.sum(dim=(0, 2))
x.sum(dim=[1, 2])
torch.sum(x, dim=1)
torch.sum(x * y)
mask.sum()
mask.sum(dim=1)
mask.sum(1).tolist()
mask.float().mean()
mask.all()
mask.any(dim=1)
mask.all(dim=-1, keepdim=True)
mask.any().item()
n.sum().item()
n.prod()
x.mean()
x.mean(1)
x.mean(dim=(0, 1))
x.mean(dim=1, keepdim=True)
torch.mean(x, dim=[0, 1])
x.std()
x.std(0)
x.std(dim=1, keepdim=True)
x.std(unbiased=False)
x.var(dim=-1, unbiased=False)
x.var(1, correction=0)
torch.var_mean(x, dim=0)
torch.std_mean(x, dim=1)
x.max()
x.max(dim=1)
x.max(dim=1).values
x.max(1)[0]
x.max(1)[1]
x.max(-1, keepdim=True)[0]
values, indices = x.max(dim=-1); (values, indices)
_, predicted = torch.max(logits, 1); predicted
torch.max(logits.data, 1)[1].squeeze()
torch.max(x, y)
torch.max(x, dim=1, keepdim=True).indices
x.min()
x.min(0)[0]
torch.min(x, y)
x.amax(dim=(1, 2))
x.amin(0)
torch.amax(x, dim=-1, keepdim=True)
x.aminmax()
x.argmax()
x.argmax(1)
x.argmax(dim=-1)
x.argmax(-1, keepdim=True)
torch.argmax(x, dim=2)
torch.argmax(logits, dim=1).eq(target).sum().item()
x.argmin(0)
x.median()
x.median(dim=1)
v.median().item()
x.mode(dim=1)[0].shape
x.quantile(0.5)
torch.quantile(v, torch.tensor([0.25, 0.75]))
x.norm()
x.norm(dim=-1)
x.norm(2, dim=1)
x.norm(p=1)
torch.norm(x, p=2, dim=1, keepdim=True)
torch.linalg.norm(v)
torch.linalg.vector_norm(x, dim=-1)
torch.norm(torch.stack([torch.norm(o) for o in outs]))
x.norm(p=float("inf"))
x.prod(dim=1)
torch.prod(torch.tensor(x.shape))
x.logsumexp(dim=1)
torch.logsumexp(x, dim=-1, keepdim=True)
x.cumsum(dim=1)
torch.cumsum(x, 1)
x.cumprod(dim=0)
v.flip(0).cumsum(0).flip(0)
x.cummax(dim=1)
v.diff()
torch.diff(x, dim=1).shape
n.max().item()
int(n.max())
max(n).item()
max(n.tolist())
x.topk(2)
x.topk(1)[1]
x.topk(2, dim=1)
x.topk(2, largest=False)[0]
v.topk(3).indices.tolist()
torch.topk(logits, k=2, dim=1).values
topv, topi = logits.topk(1); (topv, topi.squeeze().detach())
x.sort()
x.sort(dim=1, descending=True)
n.sort(descending=True)
lengths.sort(0, descending=True)[1]
sorted_lengths, perm = lengths.sort(descending=True); batch[perm]
_, inverse = lengths.sort(descending=True)[1].sort(); inverse
torch.sort(v)[0]
v.argsort()
torch.argsort(lengths, descending=True)
x.kthvalue(2)[0].shape
i.unique()
i.unique(return_counts=True)
torch.unique(i, return_inverse=True)
torch.unique_consecutive(torch.tensor([1, 1, 2, 2, 1]))
torch.bincount(torch.tensor([0, 1, 1, 3]))
torch.bincount(target, minlength=6)
torch.count_nonzero(i)
torch.searchsorted(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.5, 3.5]))
torch.bucketize(torch.tensor([0.2, 2.5]), torch.tensor([1.0, 2.0]))
x.nansum()
x.nanmean()
(x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
(x * mask.unsqueeze(-1).float()).sum(dim=1) / mask.sum(dim=1).clamp(min=1).unsqueeze(-1)
x.masked_fill(~mask.unsqueeze(-1), float("-inf")).max(dim=1)[0]
(x - x.mean(0)) / (x.std(0) + 1e-8)
torch.trace(a[:, :3])
torch.dist(v, u)
torch.cdist(a, a)
v.sum() / v.numel()
v.sum().div(len(v))
x.count_nonzero(dim=1)
x.isnan().any()
torch.isnan(x).sum().item()
torch.isfinite(x).all()
not torch.isnan(s)
x.sum(dim=1, dtype=torch.float64)
torch.all(mask, dim=0)
torch.any(x > 5)
sum(o.sum() for o in outs)
torch.stack(outs).mean(0)
torch.stack(outs).max(0).values
np.mean([o.sum().item() for o in outs])
""",
    "shapes": """
x.shape
x.size()
x.size(0)
x.size(-1)
x.shape[-1]
x.shape[:2]
x.dim()
x.ndim
x.numel()
torch.numel(x)
x.nelement()
len(x.shape)
tuple(x.shape)
list(x.size())
x.shape == (4, 3, 5)
x.size() == y.size()
x.shape == torch.Size([4, 3, 5])
x.shape.numel()
B, T, D = x.shape; (B, T, D)
B, T, *rest = x.size(); rest
x.size()[1:]
x.view(-1)
x.view(4, -1)
x.view(-1, x.size(-1))
x.view(x.size(0), -1)
x.view(x.shape[0] * x.shape[1], *x.shape[2:])
x.view((12, 5)).shape
x.view(*x.shape[:-1], 5, 1).shape
x.contiguous().view(-1, 5)
x.reshape(-1)
x.reshape(2, 2, 3, 5).shape
x.reshape((4, 15))
x.reshape(x.shape[0], -1).shape
x.transpose(0, 1)
x.transpose(1, 2).contiguous()
x.transpose(1, 2).contiguous().view(4, -1)
x.transpose(-1, -2).shape
torch.transpose(x, 0, 2).shape
x.permute(1, 0, 2)
x.permute(2, 0, 1).contiguous().shape
x.permute((0, 2, 1)).is_contiguous()
torch.permute(x, (1, 0, 2)).shape
x.t if x.dim() == 2 else x.shape
a.t()
a.T @ a
x.unsqueeze(0).shape
x.unsqueeze(-1).shape
torch.unsqueeze(x, 1).shape
v.unsqueeze(0).unsqueeze(-1).shape
x[:1].squeeze().shape
x[:1].squeeze(0).shape
x.squeeze(0).shape
x.unsqueeze(1).squeeze(1).shape
x.unsqueeze(-1).squeeze((-1,)).shape
torch.squeeze(x[:, :1]).shape
x.flatten().shape
x.flatten(1)
x.flatten(0, 1).shape
torch.flatten(x, start_dim=1).shape
x.unflatten(2, (5, 1)).shape
x.ravel().shape
x.expand(2, 4, 3, 5).shape
v.expand(3, -1)
v.unsqueeze(0).expand(3, 5)
v.expand(x.shape)
v.expand_as(x).shape
h.expand(2, -1, -1).contiguous().shape
x.repeat(2, 1, 1).shape
v.repeat(3)
v.repeat(2, 2).shape
h.repeat(1, 2, 1).shape
v.tile((2,))
v.repeat_interleave(2)
x.repeat_interleave(2, dim=1).shape
torch.repeat_interleave(v, 3)
n.repeat_interleave(n)
torch.repeat_interleave(torch.arange(3), torch.tensor([1, 2, 3]))
torch.cat([x, y])
torch.cat((x, y), dim=-1)
torch.cat([x, y], 1).shape
torch.cat([o.unsqueeze(1) for o in outs], dim=1)
torch.cat([h[-1], c[-1]], dim=1)
torch.cat((h[-2:-1], h[-1:])).shape
torch.cat([torch.zeros(0), v])
torch.cat([i, i.float()]).dtype
torch.cat(x.unbind(1), dim=-1).shape
torch.concat([v, u])
torch.concatenate([v, u])
torch.stack(outs)
torch.stack(outs, dim=1)
torch.stack(outs, 1).transpose(0, 1).shape
torch.stack([v, u], dim=-1)
torch.stack((v.sum(), u.sum()))
torch.stack([t.mean(0) for t in seqs])
torch.hstack([v, u])
torch.vstack([v, u])
torch.column_stack([v, u])
torch.flip(x, dims=[1])
x.flip(1)
x.flip([0, 1])
x.flip(dims=(1,))[:, 0]
torch.fliplr(a)
torch.flipud(a)
torch.roll(x, 1, dims=1)
v.roll(1)
torch.roll(x, shifts=(1, 1), dims=(0, 1)).shape
F.pad(x, (0, 0, 1, 0))
F.pad(v, (1, 2), value=-1)
F.pad(x, (1, 1), mode="reflect").shape
F.pad(i, (0, 1), "constant", 0)
F.pad(x, (2, 0))[..., :-2].shape
torch.movedim(x, 0, -1).shape
torch.moveaxis(x, 0, 1).shape
x.swapdims(0, 1).shape
torch.broadcast_tensors(v, x)[0].shape
torch.broadcast_to(v, (2, 5))
torch.broadcast_shapes((3, 1), (1, 4))
torch.atleast_1d(s).shape
torch.atleast_2d(v).shape
x.stride()
x.transpose(0, 1).stride()
x.is_contiguous()
x.transpose(0, 1).is_contiguous()
x.data_ptr() == x.view(-1).data_ptr()
x.element_size() * x.nelement()
x.nbytes
x.view_as(x).shape
x.reshape_as(y).shape
x.size(dim=1)
torch.Size([2, 3])
torch.Size((2, 3)).numel()
torch.Size([2]) + torch.Size([3])
(*x.shape[:-1], 7)
x.shape[0] // 2
x.view(4, 3, 1, 5).expand(-1, -1, 2, -1).reshape(4, 6, 5)
torch.einsum("bti,ij->btj", x, b.t()[:, :2])
torch.einsum("bti,bsi->bts", x, y)
torch.einsum("i,j->ij", v, u)
torch.tensordot(x, b.t(), dims=1).shape
torch.outer(v, u)
torch.matmul(x, x.transpose(1, 2)).shape
torch.bmm(x, y.transpose(1, 2))
x.bmm(y.permute(0, 2, 1)).shape
torch.mm(a, b)
a.mm(b)
a @ b
x @ v
x @ b.t()
torch.matmul(a, b)
torch.mv(b, v)
torch.dot(v, u)
v.dot(u)
v @ u
torch.addmm(torch.zeros(3, 5), a, b)
torch.addmv(torch.zeros(4), b, v)
torch.baddbmm(torch.zeros(4, 3, 3), x, y.transpose(1, 2)).shape
torch.inner(v, u)
""",
    "elementwise": """
x + y
x + v
x + 1
1 + x
1 - x
x * 2
2 * x
x / y
1 / (x + 3)
x ** 2
2 ** x
x // 0.5
x % 0.3
-x
+x
abs(x)
~mask
mask & mask.flip(0)
mask | ~mask
mask ^ mask
mask * 2
mask.float() * 2
mask + mask
1 - mask.float()
1 - mask.int()
x * mask[..., None]
x > 0
x >= y
x == y
x != x
x.eq(y)
n.eq(3)
n.ne(0)
n == 3
(n == torch.tensor([5, 3, 1])).sum()
n > s
(x > 0).float()
(x > 0) & (y > 0)
torch.logical_and(x > 0, y > 0)
torch.logical_not(mask)
torch.logical_or(mask, ~mask).all()
torch.gt(x, 0)
torch.ge(x, y)
torch.less(x, y)
torch.greater(x, 0)
torch.equal(x, x.clone())
torch.allclose(x, x + 1e-9)
torch.allclose(x, y)
torch.isclose(x, y).any()
torch.add(x, y)
torch.add(x, y, alpha=2)
torch.sub(x, 1)
torch.mul(x, y)
torch.multiply(x, 2)
torch.subtract(x, y)
torch.div(x, 2)
torch.div(n, 2, rounding_mode="floor")
torch.div(n, 2, rounding_mode="trunc")
torch.divide(x, 2)
torch.true_divide(n, 2)
torch.floor_divide(n, 2)
torch.remainder(n, 3)
torch.fmod(x, 0.3)
n // 2
-n // 2
n % 2 == 0
n / 2
n * 0.5
torch.neg(x)
torch.negative(x)
torch.pow(x, 2)
torch.pow(2.0, v)
x.pow(2).sum(-1).sqrt()
x.square().mean().sqrt()
torch.exp(x)
x.exp().log()
torch.exp2(v)
torch.log(x.abs() + 1e-8)
torch.log2(x.abs() + 1)
x.abs().add(1).log10()
x.abs().log1p()
torch.expm1(x)
torch.sqrt(x.abs())
torch.rsqrt(x.abs() + 1)
x.add(3).reciprocal()
torch.sigmoid(x)
torch.tanh(x)
torch.relu(x)
x.sigmoid() * y.tanh()
x.relu()
torch.sin(x)
torch.cos(x) + torch.sin(x)
torch.tan(v)
torch.arctan(v)
torch.atan2(v, u)
torch.sinh(v)
torch.arccos(v)
torch.deg2rad(torch.tensor([180.0]))
torch.erf(x)
torch.abs(x)
torch.absolute(x)
torch.sign(x)
torch.sgn(x)
torch.floor(x)
torch.ceil(x)
x.round()
torch.round(x, decimals=1)
torch.trunc(x)
torch.frac(x)
x.clamp(0, 1)
x.clamp(min=0)
x.clamp(max=v)
torch.clamp(x, -0.5, 0.5)
torch.clamp(x, min=1e-6).log()
torch.clip(x, 0, 1)
x.clamp_min(0)
torch.clamp_max(x, 0.5)
torch.maximum(x, y)
torch.minimum(x, torch.tensor(0.5))
torch.fmax(x, y)
torch.where(x > 0, x, y)
torch.where(x > 0, x, 0.0)
torch.where(x > 0, 1, 0)
torch.where(x > 0, 1.0, -1.0)
torch.where(mask.unsqueeze(-1), x, torch.zeros_like(x))
x.where(x > 0, torch.tensor(0.0))
x.masked_fill(mask.unsqueeze(2), 0)
x.masked_fill(x > 0, -1e9)
a.masked_fill(torch.triu(torch.ones(3, 4), 1).bool(), float("-inf")).softmax(-1)
torch.masked_fill(x, x > 0, 1.0)
torch.lerp(x, y, 0.5)
x.lerp(y, 0.25)
torch.addcmul(x, x, y, value=0.5)
torch.addcdiv(x, x, y.abs() + 1)
torch.hypot(x, y)
torch.logaddexp(x, y)
torch.xlogy(v.abs(), u.abs())
torch.logit(torch.tensor([0.2, 0.7]))
torch.nan_to_num(torch.tensor([float("nan"), 1.0, float("inf")]))
torch.nan_to_num(torch.tensor([float("nan"), 1.0]), nan=0.0)
torch.isinf(x).any()
x.isfinite().all()
torch.bitwise_and(n, 1)
n & 1
n << 1
n >> 1
torch.isin(n, torch.tensor([3, 5]))
torch.softmax(x, dim=-1)
x.softmax(dim=1)
x.softmax(-1).sum(-1)
torch.log_softmax(x, -1)
x.log_softmax(dim=-1).exp()
x.sub(x.mean()).div(x.std())
x.add(y).mul(2)
x.add(y, alpha=0.1)
x.mul(y).sum(-1)
x.neg().exp()
x.positive()
x.clone().detach()
x.sigmoid().round().int()
(torch.sigmoid(x) > 0.5).long()
torch.cosine_similarity(x, y, dim=-1)
x.dist(y)
(x - y).abs().mean()
((x - y) ** 2).mean()
torch.exp(-x.pow(2) / 2) / math.sqrt(2 * math.pi)
x * torch.sigmoid(1.702 * x)
0.9 * x + 0.1 * y
x.diff(dim=1).abs().sum()
torch.bitwise_not(mask)
torch.copysign(v, -u)
torch.square(x)
torch.rad2deg(v)
""",
    "types and promotion": """
x.dtype
i.dtype
mask.dtype
d.dtype
x.dtype == torch.float32
x.dtype is torch.float32
i.dtype == torch.long
i.dtype == torch.int64
x.dtype in (torch.float32, torch.float64)
torch.float is torch.float32
torch.float32.is_floating_point
x.dtype.is_floating_point
torch.float32.itemsize
isinstance(x.dtype, torch.dtype)
x.is_floating_point()
torch.is_floating_point(i)
x.is_complex()
torch.is_tensor(x)
isinstance(x, torch.Tensor)
isinstance(x, torch.FloatTensor)
isinstance(i, torch.LongTensor)
isinstance(q, nn.Parameter)
isinstance(q, torch.Tensor)
isinstance(x, nn.Parameter)
isinstance(x.shape, tuple)
isinstance(s.item(), float)
isinstance(n.sum().item(), int)
type(mask.any().item())
type(x).__name__
x.type()
i.type()
x.type(torch.long)
x.type(torch.LongTensor)
x.type("torch.DoubleTensor").dtype
i.type_as(x)
x.long()
x.int()
x.bool()
x.double().dtype
x.half().dtype
x.float().dtype
x.short().dtype
x.byte().dtype
i.char().dtype
i.float()
mask.long()
mask.int().sum()
mask.to(torch.float32)
mask.to(x.dtype)
mask.to(x)
x.to(torch.float64).dtype
x.to(dtype=torch.int64)
x.to("cpu", torch.float64).dtype
x.to(torch.bfloat16).dtype
(i + 1).dtype
(i + 1.0).dtype
(i * 0.5).dtype
(i / 2).dtype
(i // 2).dtype
(i ** 2).dtype
(i * x[0, :2, :3]).dtype
(i + d).dtype
(x + d[0, 0]).dtype
(x[0, 0, 0] + d).dtype
(mask + 1).dtype
(mask + 1.5).dtype
(mask * x[0].t()[:4]).dtype
(x + np.float64(1)).dtype
(x * np.float32(2)).dtype
(x + array[0, 0]).dtype
(i.int() + i).dtype
(i.int() * 2).dtype
(i.byte() + i.int()).dtype
(s + i).dtype
(torch.tensor(2) * x).dtype
(torch.tensor(2.0, dtype=torch.float64) * x).dtype
(torch.tensor(2) / torch.tensor(4)).dtype
(x > 0).dtype
(x.half() + x).dtype
i.sum().dtype
mask.sum().dtype
i.float().mean().dtype
mask.cumsum(0).dtype
i.int().sum().dtype
torch.arange(3).dtype
torch.arange(3.0).dtype
torch.tensor(1).dtype
torch.tensor(1.0).dtype
torch.tensor(np.ones(2)).dtype
torch.tensor(np.ones(2, dtype=np.float32)).dtype
torch.tensor(True).dtype
torch.from_numpy(np.arange(3, dtype=np.int32)).dtype
torch.stack([torch.tensor(1), torch.tensor(2.5)]).dtype
torch.where(mask, 1.0, 0.0).dtype
torch.where(mask, i[0, 0], s).dtype
torch.result_type(i, s)
torch.promote_types(torch.int64, torch.float32)
torch.get_default_dtype()
torch.set_default_dtype(torch.float32)
torch.finfo(torch.float32).eps
torch.finfo(x.dtype).min
torch.iinfo(torch.int64).max
x.numpy()
x.numpy().dtype
x.detach().cpu().numpy()
w.detach().numpy()
w.data.numpy()
np.array(x)
np.asarray(x).shape
np.allclose(x, x.numpy())
i.tolist()
x[0, 0].tolist()
s.tolist()
s.item()
n[0].item()
float(s)
int(n[0])
bool(s > 1)
float(x.mean())
round(s.item(), 2)
math.sqrt(s)
math.exp(s)
range(n[2])
list(range(n[2]))
[0] * n[2]
"abcdef"[n[1]]
values[n[2]]
array[:, n[2]]
s > 1
s == 1.5
s.item() > 1 and True
x.numpy(force=True).shape
np.mean(x.numpy())
np.sin(x.numpy())
np.concatenate([o.numpy() for o in outs]).shape
np.stack([o.numpy() for o in outs]).shape
torch.tensor(x.numpy().mean())
torch.tensor([o.mean() for o in outs])
x.char().dtype
torch.is_nonzero(s)
x.itemsize
torch.ones(2, dtype=torch.uint8)
torch.zeros(2, dtype=torch.int32)
torch.int16
""",
    "devices": """
torch.cuda.is_available()
torch.device("cpu")
torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.device("cuda:0" if torch.cuda.is_available() else "cpu").type
str(torch.device("cpu"))
x.device
x.device.type
x.device == torch.device("cpu")
x.device.index
x.to("cpu")
x.to(torch.device("cpu"))
x.to(y.device)
x.to(y)
x.to(device="cpu", dtype=torch.float64).dtype
x.to("cpu", non_blocking=True).shape
x.to("cpu") is x
x.cpu()
x.cpu() is x
x.is_cuda
x.get_device()
torch.zeros(2, device="cpu")
torch.zeros(2, device=torch.device("cpu")).device
torch.tensor([1.0], device=x.device)
torch.arange(3, device=x.device)
torch.randn(2, device="cpu").shape
lin.to("cpu")(batch)
lin.to(torch.device("cpu")) is lin
lin.cpu() is lin
next(lin.parameters()).device
lin.weight.device
next(lin.parameters()).is_cuda
torch.cuda.device_count()
torch.cuda.manual_seed(0)
torch.cuda.manual_seed_all(0)
torch.cuda.empty_cache()
torch.backends.cudnn.is_available() and torch.backends.cudnn.version()
torch.backends.mps.is_available()
hasattr(torch.backends, "mps") and torch.backends.mps.is_available()
torch.get_num_threads() > 0
torch.use_deterministic_algorithms(False)
x.pin_memory() if torch.cuda.is_available() else x.shape
torch.accelerator.is_available()
with torch.device("cpu"): t = torch.zeros(2)
torch.set_default_device("cpu")
torch.__version__.split(".")[0].isdigit()
{key: t.to("cpu") for key, t in dict(x=x, i=i).items()}
tuple(t.to("cpu") for t in (h, c))
x.is_cuda or x.cpu().is_cuda
torch.cuda.synchronize() if torch.cuda.is_available() else None
packed.to("cpu").data.shape[-1]
torch.cuda.current_device() if torch.cuda.is_available() else -1
torch.Generator(device="cpu").device
torch.Generator().manual_seed(3).initial_seed()
""",
    "autograd": """
hs = w[0]; for t in range(3): hs = torch.tanh(hs * w[t])\\nhs.sum().backward(); w.grad
w.requires_grad
w.is_leaf
w.grad
(w * 2).requires_grad
(w * 2).is_leaf
w.sum().backward()
w.sum().backward(); w.grad
(w ** 2).sum().backward(); w.grad
(w * w).mean().backward(); w.grad.norm()
w.sum().backward(); w.sum().backward(); w.grad
w.sum().backward(); w.grad.zero_(); w.grad
w.sum().backward(); w.grad = None; w.grad
w.sum().backward(); w.grad.data.clamp_(-0.5, 0.5)
w.backward(torch.ones_like(w)); w.grad
(w * 2).backward(gradient=torch.ones(3, 4)); w.grad
loss = (w * 3).sum(); loss.backward(retain_graph=True); loss.backward(); w.grad
torch.autograd.grad(w.pow(3).sum(), w)
torch.autograd.grad((w * z[0]).sum(), [w, z])
torch.autograd.grad(w.exp().sum(), w, create_graph=True)[0].sum().backward(); w.grad
g, = torch.autograd.grad((w ** 3).sum(), w, create_graph=True); g.pow(2).sum().backward(); w.grad
torch.autograd.grad(w.sum(), [w, z], allow_unused=True)[1]
torch.autograd.grad(w * 2, w, grad_outputs=torch.ones_like(w))[0]
torch.autograd.backward([w.sum(), z.sum()]); (w.grad, z.grad)
w.detach()
w.detach().requires_grad
(w * 2).detach().requires_grad_().is_leaf
w.clone().detach()
w.detach().clone().requires_grad_(True)
w.data
w.data.requires_grad
w.data.add_(1); w
w.requires_grad_(False).requires_grad
w.requires_grad = False; w
x.requires_grad = True; x.sum().backward(); x.grad
x.requires_grad_().pow(2).sum().backward(); x.grad
h = h.detach(); h
h, c = h.detach(), c.detach(); (h, c)
state = tuple(t.detach() for t in (h, c)); state
h.detach_()
out = w * 2; out.retain_grad(); out.sum().backward(); out.grad
(w * 2).grad_fn is not None
w.grad_fn
(w * 2).grad_fn.name()
with torch.no_grad(): t = w * 2
with torch.no_grad(): w += 1
with torch.no_grad(): w.copy_(torch.ones(3, 4))
with torch.no_grad(): w.mul_(0.5); w.sub_(0.1)
with torch.no_grad(): w[0] = 0
with torch.no_grad(): w -= 0.1 * torch.ones_like(w)
with torch.inference_mode(): t = w * 2
with torch.inference_mode(): t = lin(batch); u = t.argmax(-1)
with torch.enable_grad(): t = w * 2
with torch.set_grad_enabled(False): t = w * 2
torch.is_grad_enabled()
torch.set_grad_enabled(True)
@torch.no_grad()\\ndef f(t): return t * 2\\nresult = f(w)
@torch.inference_mode()\\ndef f(t): return t * 2\\nresult = f(w).requires_grad
f = torch.no_grad()(lambda t: t + 1); f(w)
w.max().backward(); w.grad
w.max(dim=1)[0].sum().backward(); w.grad
w.clamp(min=0).sum().backward(); w.grad
w.abs().sum().backward(); w.grad
w.norm().backward(); w.grad
w.sort(dim=1)[0][:, 0].sum().backward(); w.grad
w.topk(2, dim=1)[0].sum().backward(); w.grad
w.softmax(-1)[:, 0].sum().backward(); w.grad
w.std().backward(); w.grad
w[torch.tensor([0, 0, 2])].sum().backward(); w.grad
w[:, 1:].pow(2).sum().backward(); w.grad
w.gather(1, target.unsqueeze(1)).sum().backward(); w.grad
w.masked_fill(w > 0, 0).sum().backward(); w.grad
torch.where(w > 0, w, 0.1 * w).sum().backward(); w.grad
torch.cat([w, w * 2]).sum().backward(); w.grad
torch.stack([w[0], w[1]]).prod().backward(); w.grad
w.cumsum(1).sum().backward(); w.grad
w.expand(2, 3, 4).sum().backward(); w.grad
w.t().contiguous().view(-1)[3].backward(); w.grad
(w @ z[:4]).sum().backward(); (w.grad, z.grad)
F.dropout(w, 0.5, training=False).sum().backward(); w.grad
total = 0; for t in range(3): total = total + (w * t).sum()
hs = w[0]; for t in range(3): hs = torch.tanh(hs * w[t % 3])
torch.autograd.gradcheck(torch.tanh, (wave(3).double().requires_grad_(),))
torch.autograd.functional.jacobian(torch.tanh, v)
torch.autograd.set_detect_anomaly(False)
with torch.autograd.set_detect_anomaly(True): t = w.sum()
torch.autograd.Variable(x).shape
w.register_hook(lambda g: g * 2); w.sum().backward(); w.grad
norms = []; w.register_hook(lambda g: norms.append(g.norm())); (w * 2).sum().backward(); norms
out = w * 2; out.register_hook(lambda g: g.clamp(max=0.5)); out.sum().backward(); w.grad
loss.item() > 0
loss.backward(); lin.weight.grad
loss.backward(); [t.grad.abs().sum() for t in lin.parameters()]
(loss / 2).backward(); lin.bias.grad
loss.detach().item()
float(loss)
""",
    "modules and parameters": """
lin(batch)
lin.weight
lin.bias
lin.weight.shape
lin.weight.data
lin.in_features, lin.out_features
nn.Linear(3, 4, bias=False).bias
lin.weight.requires_grad
list(lin.parameters())
len(list(mlp.parameters()))
sum(t.numel() for t in mlp.parameters())
sum(t.numel() for t in mlp.parameters() if t.requires_grad)
sum(np.prod(t.size()) for t in mlp.parameters())
[name for name, _ in mlp.named_parameters()]
dict(mlp.named_parameters())["0.weight"].shape
[name for name, _ in model.named_parameters()]
[type(m).__name__ for m in model.modules()]
[name for name, _ in model.named_modules()]
[name for name, _ in model.named_children()]
[type(m).__name__ for m in model.children()]
list(model.children())[0].weight
[name for name, _ in bn.named_buffers()]
bn.running_mean
bn(wave(2, 3, 4)); bn.running_mean
bn.eval()(wave(2, 3, 4))
bn.num_batches_tracked
mlp.train().training
mlp.eval().training
mlp.eval()(batch)
mlp.train(False)(batch)
mlp[0].weight
mlp[-1](wave(2, 8))
mlp[:2](batch)
len(mlp)
[type(m).__name__ for m in mlp]
mlp.append(nn.Tanh()).eval()(batch)
mlp.add_module("last", nn.Identity()); len(mlp)
model(k.view(1, 6))
model.eval()
model.train(True).training
model.zero_grad()
loss.backward(); lin.zero_grad(); lin.weight.grad
for t in lin.parameters(): t.requires_grad = False
lin.requires_grad_(False).weight.requires_grad
lin.weight.requires_grad = False; lin(batch).requires_grad
for t in lin.parameters(): t.data.mul_(0.5)
for t in lin.parameters(): t.data.fill_(0.1)
with torch.no_grad(): lin.weight.fill_(1.0); lin.bias.zero_()
with torch.no_grad(): lin.weight.copy_(torch.zeros(4, 5))
with torch.no_grad(): lin.weight[0, 0] = 3.0
lin.weight.data = torch.ones(4, 5); lin(batch)
lin.weight = nn.Parameter(torch.ones(4, 5)); lin(batch)
lin.bias = None; lin(batch)
lin.bias.data.zero_(); lin.bias
lin.weight.data.uniform_(-0.1, 0.1).abs().max() <= 0.1
lin.weight.data.normal_(0, 0.02).shape
lin.reset_parameters()
lin.double()(batch.double()).dtype
lin.half().weight.dtype
lin.float().weight.dtype
lin.to(torch.float64).weight.dtype
lin.apply(lambda m: m.weight.data.fill_(0.5)); lin.weight
mlp.apply(lambda m: nn.init.zeros_(m.bias) if isinstance(m, nn.Linear) else None); mlp[0].bias
for m in mlp.modules(): isinstance(m, nn.Linear) and nn.init.constant_(m.weight, 0.1)
for name, t in lstm.named_parameters(): nn.init.constant_(t, 0.1 if "weight" in name else 0.0)
for name, t in gru.named_parameters(): "bias" in name and t.data.fill_(0)
[name for name, t in lstm.named_parameters()]
[name for name, t in deep.named_parameters() if "reverse" in name]
lstm.weight_ih_l0.shape
lstm.bias_hh_l0[6:12].data.fill_(1); lstm.bias_hh_l0
lstm.all_weights[0][0].shape
lstm.hidden_size, lstm.num_layers, lstm.bidirectional, lstm.batch_first
getattr(lstm, "weight_hh_l0").shape
nn.Parameter(torch.zeros(3)).requires_grad
nn.Parameter(v, requires_grad=False)
q.data
q @ a
q.grad
nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])[1].weight.shape
len(nn.ModuleList([nn.Linear(2, 2)] * 2))
layers = nn.ModuleList(); layers.append(lin); layers[0](batch)
nn.ModuleDict({"a": lin})["a"](batch)
"a" in nn.ModuleDict({"a": nn.Linear(2, 2)})
list(nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ReLU()}).keys())
nn.ParameterList([nn.Parameter(torch.ones(2)) for _ in range(3)])[2]
len(list(nn.ParameterList([q, q]).parameters()))
nn.ParameterDict({"a": q})["a"].shape
nn.Sequential(nn.Linear(5, 3), nn.Tanh()).apply(filled)(batch)
from collections import OrderedDict; nn.Sequential(OrderedDict([("fc", lin), ("act", nn.ReLU())])).fc(batch)
m = nn.Module(); m.register_buffer("pos", v); dict(m.named_buffers())
m = nn.Module(); m.register_buffer("pos", v); m.pos
m = nn.Module(); m.register_parameter("q", q); list(m.parameters())
m = nn.Module(); m.register_parameter("bias", None); m.bias
m = nn.Module(); m.register_buffer("t", v, persistent=False); list(m.state_dict())
m = nn.Module(); m.fc = lin; m.fc2 = m.fc; len(list(m.parameters()))
model.decoder.weight = nn.Parameter(model.encoder.weight.data[:, :6].clone()); model.decoder.weight.shape
hasattr(lin, "weight")
isinstance(lin, nn.Module)
isinstance(lstm, (nn.LSTM, nn.GRU))
isinstance(lstm, nn.RNNBase)
lin.training
id(lin.weight) == id(next(lin.parameters()))
lin.weight is next(lin.parameters())
import copy; t = copy.deepcopy(lin); t.weight.data.zero_(); lin.weight
import copy; copy.deepcopy(mlp).eval()(batch)
nn.ModuleList([lin, mlp])[1][0].bias
model.get_submodule("rnn").hidden_size
model.get_parameter("decoder.bias")
mlp.get_submodule("0").weight
nn.Identity()(x)
nn.Flatten()(x)
nn.Flatten(0, 1)(x).shape
nn.Unflatten(1, (1, 3))(x).shape
nn.Embedding(7, 5).weight.shape
emb_layer(i)
emb_layer(i).shape
emb_layer.weight[0]
emb_layer.weight.data[1] = 0; emb_layer(i)
emb_layer.padding_idx, emb_layer.num_embeddings
emb_layer(torch.tensor([0])).sum().backward(); emb_layer.weight.grad.abs().sum()
nn.Embedding.from_pretrained(b)(target)
nn.Embedding.from_pretrained(b, freeze=False).weight.requires_grad
filled(nn.Embedding(4, 3, max_norm=1.0))(torch.tensor([1, 2])).norm(dim=1)
nn.EmbeddingBag(4, 3).weight.shape
nn.Dropout(0.5).eval()(x)
nn.Dropout(p=0.0)(x)
nn.Dropout(1.0)(x).sum()
nn.Dropout(0.3).p
nn.Dropout2d(0.5).eval()(img)
nn.LayerNorm(5)(x)
nn.LayerNorm([3, 5])(x)
nn.LayerNorm(5, eps=1e-6, elementwise_affine=False)(x)
nn.LayerNorm(5).weight
nn.BatchNorm1d(3)(x)
nn.BatchNorm2d(3)(img)
nn.BatchNorm1d(3, affine=False, momentum=0.01).eval()(x)
nn.GroupNorm(1, 3)(x)
nn.InstanceNorm1d(3)(x)
nn.ReLU()(x)
nn.ReLU(inplace=True)(x - 1)
nn.LeakyReLU(0.2)(x)
nn.ELU()(x)
nn.SELU()(x)
nn.GELU()(x)
nn.GELU(approximate="tanh")(x)
nn.SiLU()(x)
nn.Mish()(x)
nn.Hardswish()(x)
nn.Tanh()(x)
nn.Sigmoid()(x)
nn.Softplus()(x)
nn.Softsign()(x)
nn.PReLU()(x)
nn.Softmax(dim=-1)(x)
nn.LogSoftmax(dim=1)(x)
nn.LogSigmoid()(x)
nn.Hardtanh(-0.5, 0.5)(x)
nn.GLU(dim=-1)(a)
filled(nn.Conv1d(3, 4, 3, padding=1))(x)
filled(nn.Conv1d(3, 4, kernel_size=2, stride=2, dilation=2))(x)
filled(nn.Conv1d(3, 3, 3, groups=3, padding="same", bias=False))(x)
filled(nn.Conv2d(3, 2, 3, stride=1, padding=1))(img)
filled(nn.ConvTranspose1d(3, 2, 2, stride=2))(x).shape
nn.MaxPool1d(2)(x)
nn.MaxPool2d(2, 2)(img)
nn.MaxPool2d(kernel_size=(2, 1))(img).shape
nn.AvgPool1d(2, stride=1)(x)
nn.AdaptiveAvgPool1d(1)(x).squeeze(-1)
nn.AdaptiveMaxPool1d(2)(x)
nn.AdaptiveAvgPool2d((1, 1))(img)
nn.AdaptiveAvgPool2d((None, 1))(img).shape
nn.Upsample(scale_factor=2)(x)
nn.Upsample(size=8, mode="linear", align_corners=True)(x)
nn.ConstantPad1d((2, 0), 0.0)(x)
nn.CosineSimilarity(dim=-1)(x, y)
filled(nn.MultiheadAttention(6, 2, batch_first=True))(emb, emb, emb)[0]
filled(nn.MultiheadAttention(6, 2, batch_first=True))(emb, emb, emb, need_weights=False)[0]
filled(nn.MultiheadAttention(6, 2))(emb, emb, emb, key_padding_mask=torch.zeros(4, 2).bool())[1]
filled(nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True))(emb)
filled(nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True), 2)).eval()(emb).shape
nn.Transformer.generate_square_subsequent_mask(3)
nn.utils.parameters_to_vector(lin.parameters()).shape
nn.utils.vector_to_parameters(torch.zeros(24), lin.parameters()); lin.weight
nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)).weight.shape
nn.utils.weight_norm(filled(nn.Linear(5, 4)))(batch)
nn.Linear(5, 4, device="cpu", dtype=torch.float64).weight.dtype
lin.__class__.__name__
lin.extra_repr()
model._modules.keys() == {"encoder", "rnn", "decoder"}
lin._parameters["bias"].shape
lin.type(torch.float64).weight.dtype
lin.state_dict().keys() == {"weight", "bias"}
""",
    "state dicts and files": """
lin.state_dict()
list(lstm.state_dict())
list(model.state_dict().keys())
lin.state_dict()["weight"]
lin.state_dict()["weight"].requires_grad
lin.state_dict()["weight"].data_ptr() == lin.weight.data_ptr()
lin.state_dict()["bias"].zero_(); lin.bias
{key: t.clone() for key, t in lin.state_dict().items()}
{key: t.cpu().numpy() for key, t in lin.state_dict().items()}
{key: tuple(t.shape) for key, t in deep.state_dict().items()}
bn.state_dict()
lin.load_state_dict(nn.Linear(5, 4).state_dict())
lin.load_state_dict({"weight": torch.ones(4, 5), "bias": torch.zeros(4)}); lin(batch)
str(lin.load_state_dict(lin.state_dict()))
lin.load_state_dict({"weight": torch.ones(4, 5)}, strict=False).missing_keys
lin.load_state_dict(dict(lin.state_dict(), extra=v), strict=False).unexpected_keys
lin.load_state_dict(dict(lin.state_dict(), weight=torch.ones(4, 5).double())); lin.weight.dtype
missing, unexpected = lin.load_state_dict({}, strict=False); missing
import copy; best = copy.deepcopy(lin.state_dict()); lin.weight.data.zero_(); lin.load_state_dict(best); lin(batch)
state = {key[2:]: t for key, t in mlp.state_dict().items() if key.startswith("0.")}; state
own = lin.state_dict(); own.update({"bias": torch.ones(4)}); lin.load_state_dict(own); lin.bias
for key, t in lin.state_dict().items(): t.copy_(torch.zeros_like(t)); lin.weight
model.state_dict(prefix="model.").keys()
mlp.state_dict()["3.bias"]
opt.state_dict()["param_groups"][0]["lr"]
opt.state_dict()["param_groups"][0]["momentum"]
sorted(opt.state_dict())
loss.backward(); opt.step(); opt.state_dict()["state"][0]["momentum_buffer"]
loss.backward(); adam.step(); sorted(adam.state_dict()["state"][0])
loss.backward(); adam.step(); adam.state_dict()["state"][0]["exp_avg"]
loss.backward(); adam.step(); adam.state_dict()["state"][0]["step"]
adam.load_state_dict(adam.state_dict())
loss.backward(); adam.step(); again = optim.Adam(lin.parameters()); again.load_state_dict(adam.state_dict())
sched = optim.lr_scheduler.StepLR(opt, 2); sched.state_dict()["last_epoch"]
sched = optim.lr_scheduler.StepLR(opt, 2); sched.load_state_dict(sched.state_dict())
torch.save(lin.state_dict(), path); torch.load(path)
torch.save(lin.state_dict(), path); torch.load(path, map_location="cpu")["bias"]
torch.save(lin.state_dict(), path); torch.load(path, map_location=torch.device("cpu"), weights_only=True)
torch.save(lin.state_dict(), path); lin.load_state_dict(torch.load(path)); lin.weight
torch.save({"epoch": 3, "model": lin.state_dict(), "loss": 0.25}, path); torch.load(path)
torch.save({"opt": adam.state_dict(), "args": {"lr": 0.1, "on": True}}, path); torch.load(path)
loss.backward(); adam.step(); torch.save(adam.state_dict(), path); adam.load_state_dict(torch.load(path))
torch.save(x, path); torch.load(path)
torch.save([x, i, mask], path); torch.load(path)
torch.save((x, {"n": n}), path); torch.load(path)
torch.save({"vocab": {"a": 0, "b": 1}, "words": ["a", "b"], "none": None}, path); torch.load(path)
torch.save(d, path); torch.load(path).dtype
import io; buffer = io.BytesIO(); torch.save(x, buffer); buffer.seek(0); torch.load(buffer)
with open(path, "wb") as f: torch.save(n, f); f.flush(); t = torch.load(path)
torch.save(q, path); type(torch.load(path)).__name__
torch.save(lin.state_dict(), str(path) + ".pt"); torch.load(str(path) + ".pt")["weight"]
import pickle; pickle.loads(pickle.dumps(x))
import pickle; pickle.loads(pickle.dumps(lin.state_dict()))["bias"]
import pickle; pickle.loads(pickle.dumps(lin))(batch)
import copy; copy.copy(x).shape
import copy; copy.deepcopy(w).requires_grad
torch.get_rng_state().dtype
state = torch.get_rng_state(); r = torch.rand(2); torch.set_rng_state(state); torch.equal(r, torch.rand(2))
""",
    "functional": """
F.relu(x)
F.relu(x, inplace=False)
F.leaky_relu(x, 0.2, inplace=False)
F.leaky_relu(x, 0.1)
F.elu(x)
F.selu(x)
F.gelu(x)
F.silu(x)
F.mish(x)
F.hardswish(x)
F.hardsigmoid(x)
F.softplus(x)
F.softplus(x, beta=2)
F.softsign(x)
F.softmin(x, dim=-1)
F.tanh(x)
F.sigmoid(x)
F.logsigmoid(x)
F.softmax(x, dim=-1)
F.softmax(x, dim=1, dtype=torch.float64).dtype
F.softmax(logits / 0.7, dim=-1)
F.log_softmax(x, dim=1)
F.log_softmax(logits, dim=-1)[range(3), target].sum()
F.glu(a, dim=1)
F.prelu(x, torch.tensor([0.25]))
F.threshold(x, 0.1, 0.0)
F.hardtanh(x)
F.relu6(x * 5)
F.dropout(x, p=0.5, training=False)
F.dropout(x, 0.0)
F.dropout(x, 0.5, training=lin.eval().training)
F.dropout(torch.ones(50), 0.5).unique().max()
F.linear(batch, b)
F.linear(batch, lin.weight, lin.bias)
F.one_hot(target)
F.one_hot(target, num_classes=5).float()
F.one_hot(i, 4).sum(dim=1)
F.embedding(target, b)
F.embedding(i.clamp(max=3), b, padding_idx=0)
F.embedding_bag(i.clamp(max=3), b, mode="mean")
F.pad(x, (1, 0), value=0.5)
F.pad(x, [0, 0, 0, 2])
F.pad(x, (2, 2), mode="replicate").shape
F.pad(x, (1, 1), mode="circular")
F.normalize(x, dim=-1)
F.normalize(x, p=1, dim=1)
F.cosine_similarity(x, y, dim=-1)
F.pairwise_distance(v, u)
F.layer_norm(x, (5,))
F.layer_norm(x, x.shape[-1:], weight=v, bias=u)
F.layer_norm(x, [5], eps=1e-6)
F.batch_norm(x, torch.zeros(3), torch.ones(3))
F.batch_norm(x, None, None, training=True)
F.group_norm(x, 3)
F.rms_norm(x, (5,))
F.instance_norm(x)
F.conv1d(x, wave(4, 3, 2))
F.conv1d(x, wave(4, 3, 3), padding=1, bias=torch.zeros(4))
F.conv1d(F.pad(x, (2, 0)), wave(3, 1, 3), groups=3)
F.conv2d(img, wave(2, 3, 3, 3), stride=2)
F.conv_transpose1d(x, wave(3, 2, 2)).shape
F.max_pool1d(x, 2)
F.max_pool1d(x, x.size(2)).squeeze(2)
F.max_pool1d(x, kernel_size=3, stride=1, padding=1)
F.avg_pool1d(x, 2)
F.max_pool2d(img, 2)
F.max_pool2d(img, (2, 1))
F.avg_pool2d(img, 2)
F.adaptive_avg_pool1d(x, 1)
F.adaptive_max_pool1d(x, 2)
F.adaptive_avg_pool2d(img, (4, 1)).squeeze(3)
F.interpolate(x, scale_factor=2)
F.interpolate(x, size=9, mode="linear")
F.interpolate(img, scale_factor=2).shape
F.scaled_dot_product_attention(emb, emb, emb)
F.scaled_dot_product_attention(emb, emb, emb, is_causal=True)
F.scaled_dot_product_attention(emb, emb, emb, attn_mask=torch.ones(4, 4).tril().bool())
F.gumbel_softmax(logits, tau=0.5, hard=True).sum(-1)
F.gumbel_softmax(logits, tau=1.0).shape
torch.nn.functional.relu(x)
nn.functional.softmax(x, -1)
F.dropout1d(x, training=False)
F.dropout2d(img, training=False)
torch.dropout(x, 0.5, False)
F.celu(v)
F.tanhshrink(v)
F.softshrink(v)
F.hardshrink(v)
F.relu_(x)
torch.layer_norm(x, (5,))
""",
    "losses": """
F.cross_entropy(logits, target)
F.cross_entropy(logits, target, reduction="sum")
F.cross_entropy(logits, target, reduction="none")
F.cross_entropy(logits, target, weight=torch.tensor([1.0, 2.0, 0.5, 1.0]))
F.cross_entropy(logits, target, label_smoothing=0.1)
F.cross_entropy(logits, p)
F.cross_entropy(logits, target, ignore_index=0)
F.cross_entropy(wave(4, 3, 4).view(-1, 4), tags.view(-1))
F.cross_entropy(wave(4, 3, 4).transpose(1, 2), tags, ignore_index=-100)
F.cross_entropy(wave(4, 3, 4).flatten(0, 1), tags.flatten(), reduction="none").view(4, 3)
F.cross_entropy(logits, target).backward(); logits.grad
F.nll_loss(F.log_softmax(logits, dim=1), target)
F.nll_loss(F.log_softmax(logits, -1), target, reduction="sum").backward(); logits.grad
F.mse_loss(x, y)
F.mse_loss(x, y, reduction="sum")
F.mse_loss(x, y, reduction="none").mean(dim=(1, 2))
F.mse_loss(w, torch.zeros_like(w)).backward(); w.grad
F.l1_loss(x, y)
F.smooth_l1_loss(x, y)
F.smooth_l1_loss(x, y, beta=0.5)
F.huber_loss(x, y, delta=0.3)
F.binary_cross_entropy(x.sigmoid(), (y > 0).float())
F.binary_cross_entropy_with_logits(x, (y > 0).float())
F.binary_cross_entropy_with_logits(x, (y > 0).float(), pos_weight=torch.tensor(2.0))
F.binary_cross_entropy_with_logits(x, y.sigmoid(), weight=mask.unsqueeze(-1).float())
F.binary_cross_entropy(x.sigmoid(), (y > 0).float(), reduction="none").sum(-1)
F.kl_div(F.log_softmax(logits, -1), p)
F.kl_div(F.log_softmax(logits, -1), p, reduction="batchmean")
F.kl_div(p.log(), p, log_target=False, reduction="sum")
F.cosine_embedding_loss(v[None], u[None], torch.tensor([1]))
F.margin_ranking_loss(v, u, torch.ones(5))
F.triplet_margin_loss(x[0], x[1], x[2])
F.hinge_embedding_loss(v, torch.tensor([1, -1, 1, 1, -1]))
F.gaussian_nll_loss(v, u, torch.ones(5))
F.poisson_nll_loss(v, u.abs())
F.soft_margin_loss(v, u.sign())
F.ctc_loss(wave(6, 2, 4).log_softmax(2), torch.tensor([[1, 2], [3, 1]]), torch.tensor([6, 5]), torch.tensor([2, 2]))
F.ctc_loss(wave(6, 2, 4).log_softmax(-1), torch.tensor([1, 2, 3]), (6, 6), (2, 1))
nn.CTCLoss(blank=0, zero_infinity=True)(wave(5, 1, 3).log_softmax(2), torch.tensor([[1, 2]]), [5], [2])
nn.CTCLoss(reduction="none")(wave(5, 1, 3).log_softmax(2), torch.tensor([[1, 2]]), torch.tensor([5]), torch.tensor([2]))
nn.CrossEntropyLoss()(logits, target)
nn.CrossEntropyLoss(ignore_index=-100)(wave(12, 4), tags.view(-1))
nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 1.0, 2.0]), reduction="sum")(logits, target)
nn.CrossEntropyLoss(label_smoothing=0.1)(logits, target)
nn.CrossEntropyLoss()(logits[0], target[0])
nn.NLLLoss()(logits.log_softmax(1), target)
nn.NLLLoss(ignore_index=0)(logits.log_softmax(1), target)
nn.NLLLoss(reduction="none")(logits.log_softmax(1), target)
nn.MSELoss()(x, y)
nn.MSELoss(reduction="sum")(x, y)
nn.MSELoss()(x.squeeze(), y)
nn.L1Loss()(x, y)
nn.SmoothL1Loss()(x, y)
nn.HuberLoss()(x, y)
nn.BCELoss()(torch.sigmoid(v), (u > 0).float())
nn.BCEWithLogitsLoss()(v, (u > 0).float())
nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))(v, (u > 0).float())
nn.KLDivLoss(reduction="batchmean")(logits.log_softmax(-1), p)
nn.CosineEmbeddingLoss()(x[0], y[0], torch.tensor([1, -1, 1]))
nn.TripletMarginLoss(margin=0.5)(x[0], x[1], x[2])
nn.MarginRankingLoss()(v, u, torch.ones(5))
nn.HingeEmbeddingLoss()(v, torch.ones(5))
nn.PoissonNLLLoss()(v, u.abs())
nn.GaussianNLLLoss()(v, u, torch.ones(5))
nn.MSELoss(reduction="mean").reduction
nn.CrossEntropyLoss().to("cpu")(logits, target)
(F.cross_entropy(wave(12, 4), tags.view(-1), reduction="none") * (tags.view(-1) >= 0)).sum() / (tags >= 0).sum()
loss = F.mse_loss(w, a) + 0.01 * w.pow(2).sum(); loss.backward(); w.grad
loss = sum(F.mse_loss(w[t], a[t]) for t in range(3)); loss.backward(); w.grad
-(p * p.log()).sum(-1).mean()
-logits.log_softmax(-1).gather(1, target[:, None]).mean()
math.exp(F.cross_entropy(logits, target).item())
torch.exp(F.cross_entropy(logits, target))
(logits.argmax(1) == target).float().mean().item()
(logits.argmax(-1) == target).sum().item() / target.size(0)
torch.sqrt(F.mse_loss(x, y))
100.0 * (logits.max(1)[1] == target).sum() / len(target)
""",
    "recurrent layers": """
rnn(batch)
rnn(batch)[0][:, -1]
out, hidden = rnn(batch, h); (out, hidden)
lstm(batch)
lstm(batch, (h, c))
out, (hn, cn) = lstm(batch); (out, hn, cn)
out, _ = lstm(batch); out[:, -1, :]
lstm(batch)[1][0][-1]
lstm(batch)[1][0].squeeze(0)
gru(batch)
gru(batch, h)
gru(batch, None)
gru(batch, hx=h)[1]
gru(batch[:, :1], h)[0].squeeze(1)
gru(batch[0])[0].shape
lstm(batch[0])[1][0].shape
deep(batch)
deep(batch)[1][0].shape
out, (hn, _) = deep(batch); torch.cat([hn[-2], hn[-1]], dim=1)
out, (hn, cn) = deep(batch); hn.view(2, 2, 3, 6)[-1]
out = deep(batch)[0]; out[:, :, :6] + out[:, :, 6:]
out = deep(batch)[0]; out.view(3, 4, 2, 6)[:, :, 0]
out = deep(batch)[0]; torch.cat((out[:, -1, :6], out[:, 0, 6:]), 1)
out = deep(batch)[0]; out.mean(1)
out = deep(batch)[0]; out.max(dim=1)[0]
lstm(torch.zeros(2, 0 + 1, 5))[0].shape
lstm(batch, (torch.zeros(1, batch.size(0), 6), torch.zeros(1, batch.size(0), 6)))[0]
gru(batch, torch.zeros(1, 3, 6))[0].sum().backward(); gru.weight_ih_l0.grad
lstm(batch)[0].pow(2).mean().backward(); lstm.bias_hh_l0.grad
lstm.flatten_parameters()
filled(nn.LSTM(5, 6, 2))(batch.transpose(0, 1))[0]
filled(nn.GRU(5, 6, bidirectional=True))(batch.permute(1, 0, 2))[1]
filled(nn.GRU(5, 6, num_layers=2, dropout=0.5, batch_first=True)).eval()(batch)[0]
filled(nn.LSTM(5, 6, proj_size=3, batch_first=True))(batch)[0]
filled(nn.LSTM(5, 6, bias=False, batch_first=True))(batch)[0]
filled(nn.RNN(5, 6, nonlinearity="relu", batch_first=True))(batch)[0]
filled(nn.RNN(5, 6, 2, "tanh"))(batch)[1]
nn.LSTM(input_size=5, hidden_size=6, num_layers=2).num_layers
getattr(nn, "GRU")(5, 6).mode
rnn.mode
cell(batch[:, 0])
cell(batch[:, 0], (h[0], c[0]))
hx, cx = cell(batch[:, 0], (h[0], c[0])); hx
gcell(batch[:, 0])
gcell(batch[:, 0], h[0])
filled(nn.RNNCell(5, 6))(batch[:, 0], h[0])
filled(nn.RNNCell(5, 6, nonlinearity="relu"))(batch[:, 1])
cell(batch[0, 0])[0].shape
hx, cx = h[0], c[0]; for t in range(4): hx, cx = cell(batch[:, t], (hx, cx))
hx = h[0]; for t in batch.unbind(1): hx = gcell(t, hx)
hx = h[0]; hs = [hx := gcell(batch[:, t], hx) for t in range(4)]; torch.stack(hs, 1)
out = torch.empty(3, 4, 6); hx = h[0]; for t in range(4): out[:, t] = hx = gcell(batch[:, t], hx)
out = []; state = None; for t in range(4): o, state = gru(batch[:, t : t + 1], state); out.append(o); torch.cat(out, 1)
state = None; for t in range(4): o, state = lstm(batch[:, t].unsqueeze(1), state)
a_, b_ = lstm(batch[:, :2]); a_, b_ = lstm(batch[:, 2:], tuple(t.detach() for t in b_)); b_
torch.allclose(lstm(batch)[0], torch.cat([lstm(t[None])[0] for t in batch]), atol=1e-6)
gru(batch.to(torch.float32))[0].dtype
filled(nn.GRU(5, 6).double())(d[:, :1].expand(2, 5).unsqueeze(1))[0].dtype
emb_layer(k.view(2, 3)).shape
lstm(emb_layer(k.view(2, 3)))[0]
lin(lstm(batch)[0][..., :5])
torch.tanh(F.linear(batch[:, 0], rnn.weight_ih_l0, rnn.bias_ih_l0) + F.linear(h[0], rnn.weight_hh_l0, rnn.bias_hh_l0))
pad_sequence(seqs)
pad_sequence(seqs, batch_first=True)
pad_sequence(seqs, batch_first=True, padding_value=-1.0)
pad_sequence([torch.tensor([1, 2, 3]), torch.tensor([4])], batch_first=True)
pad_sequence(seqs, True).shape
nn.utils.rnn.pad_sequence(seqs).shape
nn.utils.rnn.unpad_sequence(pad_sequence(seqs), torch.tensor([4, 2, 3]))[1]
pack_padded_sequence(batch, [4, 3, 2], batch_first=True).data
pack_padded_sequence(batch, [4, 3, 2], batch_first=True).batch_sizes
pad_packed_sequence(packed)
pad_packed_sequence(packed, batch_first=True)
pad_packed_sequence(packed, batch_first=True)[1]
pad_packed_sequence(packed, batch_first=True, padding_value=-1.0)[0]
pad_packed_sequence(packed, batch_first=True, total_length=6)[0].shape
pad_packed_sequence(lstm(packed)[0], batch_first=True)[0]
lstm(packed)[1][0]
out, (hn, cn) = deep(packed); torch.cat((hn[-2], hn[-1]), 1)
out, lens = pad_packed_sequence(gru(packed)[0], batch_first=True); (out, lens)
out, lens = pad_packed_sequence(gru(packed)[0], batch_first=True); out[torch.arange(3), lens - 1]
out, _ = pad_packed_sequence(deep(packed)[0], batch_first=True, padding_value=float("-inf")); out.max(1)[0]
gru(packed, h)[1]
gru(packed, None)[1]
gru(pack_sequence(seqs_of_five, enforce_sorted=False))[1]
pad_packed_sequence(pack_sequence(seqs, enforce_sorted=False))[0]
pad_packed_sequence(pack_sequence([seqs[0], seqs[2], seqs[1]]), batch_first=True)
pad_packed_sequence(pack_padded_sequence(batch.transpose(0, 1), [4, 4, 2]))[0]
pad_packed_sequence(pack_padded_sequence(batch, lengths.tolist(), True, enforce_sorted=False), True)[0]
isinstance(packed, nn.utils.rnn.PackedSequence)
isinstance(gru(packed)[0], PackedSequence)
packed.sorted_indices
packed.unsorted_indices
packed.data.shape
packed.batch_sizes.sum()
packed.data.dtype
PackedSequence(packed.data * 2, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices).data
packed._replace(data=lin(packed.data)).data.shape
gru(packed)[0].data.sum()
lens, order = lengths.sort(descending=True); gru(pack_padded_sequence(batch[order], lens, True))[1][:, order.argsort()]
torch.arange(4)[None, :] < lengths[:, None]
(torch.arange(lengths.max())[None] < lengths[:, None]).float()
torch.arange(4).expand(3, 4) >= lengths.unsqueeze(1)
torch.arange(batch.size(1), device=batch.device).repeat(3, 1).lt(lengths.view(-1, 1))
(i != 0).sum(dim=1)
i.ne(0).long().sum(-1).tolist()
scores = torch.bmm(batch, h[0, :, :5].unsqueeze(2)).squeeze(2); F.softmax(scores, dim=1)
torch.bmm(F.softmax(batch @ batch.mT, -1), batch)
F.softmax((batch @ v).masked_fill(torch.arange(4) >= lengths[:, None], -1e9), dim=1).unsqueeze(1).bmm(batch)
(batch * torch.softmax(batch @ v, 1).unsqueeze(-1)).sum(1)
torch.cat((batch, h[-1, :, None, :5].expand(-1, 4, -1)), dim=2).shape
h.transpose(0, 1).contiguous().view(3, -1)
h.new_zeros(2, h.size(1), h.size(2)).shape
tuple(t[:, [2, 0, 1]] for t in (h, c))
torch.flip(batch, [1])[:, 0]
torch.stack([t.flip(0) for t in batch])
batch[:, -1:].repeat(1, 3, 1)
batch.unfold(1, 2, 1).shape
lstm(batch)[0].detach().numpy().shape
""",
    "optimizers and schedules": """
for g in opt.param_groups: g["lr"] *= 0.5\\nlr = opt.param_groups[0]["lr"]; del g; lr
opt.zero_grad()
loss.backward(); opt.step(); lin.weight
opt.zero_grad(); loss.backward(); opt.step(); lin(batch)
opt.zero_grad(set_to_none=True); lin.weight.grad
loss.backward(); opt.zero_grad(set_to_none=False); lin.weight.grad
loss.backward(); opt.zero_grad(); lin.weight.grad
for _ in range(3): opt.zero_grad(); lin(batch).pow(2).mean().backward(); opt.step(); lin.weight
for _ in range(3): adam.zero_grad(); lin(batch).pow(2).mean().backward(); adam.step(); lin.weight
trained(optim.SGD, lr=0.1)
trained(optim.SGD, lr=0.1, momentum=0.9, nesterov=True)
trained(optim.SGD, lr=0.1, weight_decay=1e-2)
trained(optim.Adam)
trained(optim.Adam, lr=1e-2, betas=(0.8, 0.95), eps=1e-7)
trained(optim.Adam, lr=1e-2, weight_decay=0.1, amsgrad=True)
trained(optim.AdamW, lr=1e-2)
trained(optim.RMSprop, lr=1e-2, alpha=0.9)
trained(optim.RMSprop, lr=1e-2, momentum=0.9, centered=True)
trained(optim.Adagrad, lr=0.1)
trained(optim.Adamax, lr=0.1)
trained(optim.NAdam, lr=0.1)
trained(optim.RAdam, lr=0.1)
trained(optim.Adadelta)
trained(optim.Rprop)
trained(optim.ASGD)
trained(optim.Adam, lr=1e-2, fused=False, foreach=False)
trained(optim.SGD, lr=0.1, maximize=True)
opt.param_groups[0]["lr"]
len(opt.param_groups)
opt.param_groups[0]["lr"] = 0.5; loss.backward(); opt.step(); lin.weight
[g["lr"] for g in opt.param_groups]
sorted(opt.param_groups[0])[:3]
opt.add_param_group({"params": [q], "lr": 0.01}); [g["lr"] for g in opt.param_groups]
optim.Adam([{"params": [q]}, {"params": lin.parameters(), "lr": 1.0}], lr=0.1).param_groups[0]["lr"]
optim.SGD([q, w], lr=0.1).defaults["lr"]
optim.Adam([t for t in lin.parameters() if t.requires_grad]).param_groups[0]["betas"]
optim.Adam(list(lin.parameters()) + list(mlp.parameters())).param_groups[0]["eps"]
optim.Adam(lin.named_parameters()).param_groups[0]["lr"]
getattr(optim, "Adam")(lin.parameters(), lr=torch.tensor(0.1)).param_groups[0]["lr"]
isinstance(opt, optim.Optimizer)
isinstance(opt, torch.optim.SGD)
loss.backward(); opt.step(); len(opt.state)
loss.backward(); opt.step(); opt.state[lin.weight]["momentum_buffer"]
def closure(): opt.zero_grad(); l = lin(batch).mean(); l.backward(); return l\\nresult = opt.step(closure)
nn.utils.clip_grad_norm_(lin.parameters(), 1.0)
loss.backward(); nn.utils.clip_grad_norm_(lin.parameters(), 0.1); lin.weight.grad
loss.backward(); torch.nn.utils.clip_grad_norm_(lin.parameters(), max_norm=0.1, norm_type=2.0)
loss.backward(); clip_grad_norm_(lin.weight, 0.1); lin.weight.grad
loss.backward(); nn.utils.clip_grad_norm_(lin.parameters(), 0.1, norm_type=float("inf")).item()
loss.backward(); nn.utils.clip_grad_value_(lin.parameters(), 0.01); lin.weight.grad
loss.backward(); nn.utils.get_total_norm([t.grad for t in lin.parameters()])
loss.backward(); sum(t.grad.norm() ** 2 for t in lin.parameters()) ** 0.5
loss.backward(); torch.stack([t.grad.detach().norm() for t in lin.parameters()]).norm()
loss.backward(); [t.grad.data.clamp_(-0.01, 0.01) for t in lin.parameters()]
loss.backward(); for t in lin.parameters(): t.data -= 0.1 * t.grad; lin.weight
loss.backward(); for t in lin.parameters(): t.data.add_(t.grad.data, alpha=-0.1); lin.weight
loss.backward(); for t in lin.parameters(): t.data.sub_(0.1 * t.grad); lin.bias
loss.backward(); lin.weight.grad.mul_(0.5)
(lin(batch).mean() / 2).backward(); (lin(batch).mean() / 2).backward(); lin.weight.grad
rates(optim.lr_scheduler.StepLR, step_size=2, gamma=0.5)
rates(optim.lr_scheduler.MultiStepLR, milestones=[1, 3], gamma=0.1)
rates(optim.lr_scheduler.ExponentialLR, gamma=0.9)
rates(optim.lr_scheduler.CosineAnnealingLR, T_max=4)
rates(optim.lr_scheduler.CosineAnnealingLR, T_max=4, eta_min=0.01)
rates(optim.lr_scheduler.CosineAnnealingWarmRestarts, T_0=2, T_mult=2)
rates(optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.95 ** epoch)
rates(optim.lr_scheduler.LambdaLR, lambda step: min((step + 1) ** -0.5, (step + 1) * 3 ** -1.5))
rates(optim.lr_scheduler.MultiplicativeLR, lambda epoch: 0.95)
rates(optim.lr_scheduler.LinearLR, start_factor=0.5, total_iters=3)
rates(optim.lr_scheduler.ConstantLR, factor=0.5, total_iters=2)
rates(optim.lr_scheduler.PolynomialLR, total_iters=4, power=2.0)
rates(optim.lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=6)
rates(optim.lr_scheduler.OneCycleLR, max_lr=0.5, epochs=2, steps_per_epoch=4, pct_start=0.25)
rates(optim.lr_scheduler.CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=2)
sched = optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0, factor=0.5); [sched.step(1.0) for _ in range(3)]; opt
sched = optim.lr_scheduler.ReduceLROnPlateau(opt, "max", patience=1); [sched.step(m) for m in (1, 2, 1, 1)]; opt
sched = optim.lr_scheduler.ReduceLROnPlateau(opt, mode="min"); sched.step(loss); opt.param_groups[0]["lr"]
sched = optim.lr_scheduler.StepLR(opt, 1); sched.get_last_lr()
sched = optim.lr_scheduler.StepLR(opt, 1, 0.5); opt.step(); sched.step(); opt.param_groups[0]["lr"]
sched = optim.lr_scheduler.StepLR(opt, 1); sched.last_epoch
s1, s2 = warm(opt); sched = optim.lr_scheduler.SequentialLR(opt, [s1, s2], milestones=[2]); stepped(opt, sched)
s1, s2 = warm(opt); sched = optim.lr_scheduler.ChainedScheduler([s1, s2]); stepped(opt, sched)
torch.optim.lr_scheduler.StepLR is optim.lr_scheduler.StepLR
torch.optim.swa_utils.AveragedModel(lin).module is not lin
torch.optim.LBFGS(lin.parameters()).param_groups[0]["lr"]
scaler = torch.amp.GradScaler("cpu", enabled=False); scaler.scale(loss).backward()
with torch.autocast("cpu", enabled=False): t = lin(batch)
""",
    "data": """
list(DataLoader(data, batch_size=4).__iter__())[1][1]
len(data)
data[0]
data[2][1].item()
data[1:3]
data.tensors[0].shape
TensorDataset(x, x[:, 0])[-1][1]
TensorDataset(torch.arange(3))[0]
[t.shape for t, _ in DataLoader(data, batch_size=3)]
list(DataLoader(data, batch_size=3))
len(DataLoader(data, batch_size=3))
len(DataLoader(data, batch_size=3, drop_last=True))
len(DataLoader(data, 2).dataset)
next(iter(DataLoader(data, batch_size=2)))
next(iter(DataLoader(data, 2)))[1].dtype
for t, label in DataLoader(data, batch_size=4): last = label
for step, (t, label) in enumerate(DataLoader(data, batch_size=4)): last = (step, label)
sorted(e for _, l in DataLoader(data, batch_size=2, shuffle=True) for e in l.tolist())
sorted(int(l) for _, l in DataLoader(data, shuffle=True, generator=torch.Generator().manual_seed(0)))
[l for _, l in DataLoader(data, batch_size=4, num_workers=0, pin_memory=False)]
[l for _, l in DataLoader(data, sampler=[3, 1, 2])]
[l for _, l in DataLoader(data, batch_sampler=[[0, 5], [2]])]
[l for _, l in DataLoader(data, batch_size=2, sampler=SequentialSampler(data))]
[l.tolist() for _, l in DataLoader(data, batch_size=3, sampler=range(6, 0, -1))]
list(DataLoader([1, 2, 3], batch_size=2))
list(DataLoader([1.0, 2.0], batch_size=2))[0].dtype
list(DataLoader(range(4), batch_size=2))
list(DataLoader(["a", "b"], batch_size=2))
list(DataLoader([(1, "a"), (2, "b")], batch_size=2))
list(DataLoader([{"x": 1, "y": [1, 2]}, {"x": 2, "y": [3, 4]}], batch_size=2))
list(DataLoader(np.arange(6).reshape(3, 2), batch_size=2))
list(DataLoader(x, batch_size=3))[0].shape
list(DataLoader([(v, 1), (u, 0)], batch_size=2))[0]
list(DataLoader(seqs, batch_size=3, collate_fn=lambda items: pad_sequence(items, batch_first=True)))
list(DataLoader(seqs, batch_size=2, collate_fn=list))[1]
list(DataLoader(seqs, batch_size=None))[1]
[t.shape for t in DataLoader(seqs)]
DataLoader(data, batch_size=5).batch_size
DataLoader(data, batch_size=5, shuffle=False).drop_last
type(DataLoader(data, shuffle=True).sampler).__name__
DataLoader(data, shuffle=True).num_workers
[l for _, l in DataLoader(Subset(data, [4, 2]), batch_size=2)]
Subset(data, range(3))[2][1]
len(Subset(data, [1, 2]))
[len(part) for part in random_split(data, [5, 2])]
[len(part) for part in random_split(data, [0.5, 0.5])]
sorted(int(data[e][1]) for part in random_split(data, [4, 3], generator=torch.Generator()) for e in part.indices)
ConcatDataset([data, data])[8][1]
len(data + data)
list(SequentialSampler(data))
sorted(RandomSampler(data))
len(RandomSampler(data, replacement=True, num_samples=4))
sorted(SubsetRandomSampler([4, 2]))
list(BatchSampler(SequentialSampler(data), 3, drop_last=False))
list(BatchSampler(range(5), batch_size=2, drop_last=True))
list(WeightedRandomSampler([0.0, 1.0, 0.0], 3))
len(WeightedRandomSampler(torch.ones(4), num_samples=6, replacement=True))
torch.utils.data.DataLoader is DataLoader
torch.utils.data.dataloader.default_collate([v, u])
torch.utils.data.default_collate([(v, 1), (u, 2)])
default_collate([{"a": 1.0}, {"a": 2.0}])
default_collate([np.ones(2), np.zeros(2)])
default_collate([(1, v), (2, u)])[1].shape
list(Words())
Words()[1]
list(DataLoader(Words(), batch_size=2))
list(DataLoader(Stream(), batch_size=2))
isinstance(Stream(), IterableDataset)
isinstance(Words(), torch.utils.data.Dataset)
torch.utils.data.get_worker_info()
import itertools; list(itertools.islice(DataLoader(data, batch_size=1), 2))[1]
list(zip(DataLoader(x), DataLoader(y)))[0][1].shape
[e[0] for e in DataLoader(TensorDataset(v))]
sum(t.size(0) for t, _ in DataLoader(data, batch_size=3))
[t.mean() for (t, *_) in DataLoader(data, batch_size=7)]
""",
    "initialization": """
nn.init.zeros_(q)
nn.init.ones_(q)
nn.init.constant_(q, 0.3)
nn.init.eye_(q)
nn.init.uniform_(q, -0.1, 0.1).abs().max() <= 0.1
nn.init.uniform_(q).min() >= 0
nn.init.normal_(q, 0, 0.01).shape
nn.init.normal_(q, mean=0.0, std=0.02).std() < 0.1
nn.init.xavier_uniform_(q).abs().max() <= math.sqrt(6 / 7)
nn.init.xavier_uniform_(q, gain=nn.init.calculate_gain("tanh")).shape
nn.init.xavier_normal_(q).requires_grad
nn.init.kaiming_uniform_(q, a=math.sqrt(5)).shape
nn.init.kaiming_uniform_(q, nonlinearity="relu").abs().max() <= math.sqrt(2)
nn.init.kaiming_normal_(q, mode="fan_out").shape
t = nn.init.orthogonal_(torch.empty(4, 4)); torch.allclose(t @ t.t(), torch.eye(4), atol=1e-5)
nn.init.orthogonal_(lstm.weight_hh_l0).shape
nn.init.trunc_normal_(q, std=0.02, a=-0.04, b=0.04).abs().max() <= 0.04
nn.init.calculate_gain("relu")
nn.init.calculate_gain("leaky_relu", 0.2)
nn.init.calculate_gain("tanh")
nn.init.zeros_(lin.bias); lin.bias
nn.init.constant_(lin.bias.data, 1.0); lin.bias
torch.nn.init.constant_(lin.weight, 0.5); lin(batch)
nn.init.xavier_uniform_(lin.weight.data).shape
init.zeros_(lin.weight)
nn.init.normal_(torch.empty(3, 5), std=1e-3).requires_grad
for t in lstm.parameters(): nn.init.orthogonal_(t) if t.dim() > 1 else nn.init.zeros_(t); lstm.bias_ih_l0
for t in lstm.parameters(): nn.init.uniform_(t, -1 / math.sqrt(6), 1 / math.sqrt(6)); lstm.bias_ih_l0
lstm.bias_ih_l0.data[6:12].fill_(1.0); lstm.bias_ih_l0
lstm.bias_ih_l0.data.chunk(4)[1].fill_(1.0); lstm.bias_ih_l0
nn.init.zeros_(lstm.weight_ih_l0[:6]); lstm.weight_ih_l0
nn.init.constant_(lstm.bias_ih_l0[6:12], 1); lstm.bias_ih_l0
gru.weight_hh_l0.data[:6] = torch.eye(6); gru.weight_hh_l0
model.apply(lambda m: [nn.init.ones_(t) for t in m.parameters(recurse=False)]); model(k.view(1, 6))
emb_layer.weight.data.uniform_(-1, 1); emb_layer.weight.data[0].zero_(); emb_layer.weight[0]
emb_layer.weight.data.copy_(torch.ones(7, 5)); emb_layer(target)
""",
    "distributions": """
m = Categorical(p); m.log_prob(m.sample()).shape
Categorical(p).probs
Categorical(p).logits
Categorical(logits=logits).probs
Categorical(probs=p).sample().shape
Categorical(p).sample((4,)).shape
Categorical(logits=logits).log_prob(target)
Categorical(p).log_prob(torch.tensor(1))
Categorical(p).entropy()
Categorical(logits=logits).entropy().mean().backward(); logits.grad
(-Categorical(logits=logits).log_prob(target) * v[:3]).sum().backward(); logits.grad
Categorical(torch.tensor([0.0, 1.0])).sample().item()
Categorical(torch.tensor([1.0, 3.0])).probs
Categorical(p).mode
Categorical(p).enumerate_support(expand=False).shape
Categorical(p).batch_shape
Normal(0.0, 1.0).log_prob(v)
Normal(v, u.abs()).mean
Normal(v, u.abs()).stddev
Normal(v, u.abs()).variance
Normal(v, u.abs()).entropy()
Normal(v, torch.ones(5)).sample().shape
Normal(z, torch.ones(5)).rsample().requires_grad
Normal(z, torch.ones(5)).sample().requires_grad
Normal(0, 1).sample((2, 3)).shape
Normal(torch.zeros(2), torch.ones(2)).log_prob(torch.ones(2)).sum(-1)
Normal(z, 1.0).log_prob(v).sum().backward(); z.grad
Normal(0.0, 1.0).cdf(v)
Normal(0.0, 1.0).icdf(v.sigmoid())
Bernoulli(p).log_prob((p > 0.2).float())
Bernoulli(logits=v).probs
Bernoulli(torch.tensor([0.0, 1.0])).sample()
Bernoulli(probs=p).entropy()
torch.distributions.kl_divergence(Categorical(p), Categorical(logits=logits))
torch.distributions.kl_divergence(Normal(v, 1.0), Normal(0.0, 1.0))
torch.distributions.kl.kl_divergence(Bernoulli(p), Bernoulli(p))
torch.distributions.Uniform(0.0, 1.0).sample((3,)).shape
torch.distributions.Uniform(-1.0, 1.0).log_prob(v)
torch.distributions.Exponential(torch.ones(2)).mean
torch.distributions.Beta(torch.ones(2), torch.ones(2)).mean
torch.distributions.Laplace(0.0, 1.0).log_prob(v)
torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)).mean
torch.distributions.Independent(Normal(v, 1.0), 1).log_prob(u)
torch.multinomial(F.softmax(logits / 0.8, dim=-1), 1).squeeze(1).shape
torch.multinomial(torch.tensor([0.0, 0.0, 2.0]), 1).item()
torch.rand(3, generator=torch.Generator().manual_seed(1)).shape
""",
    "hooks": """
w.register_hook(lambda g: g * 2).remove(); w.sum().backward(); w.grad
seen = []; lin.register_forward_hook(lambda m, args, out: seen.append(out.shape)); lin(batch); seen
lin.register_forward_hook(lambda m, args, out: out * 2); lin(batch)
lin.register_forward_pre_hook(lambda m, args: (args[0] * 2,)); lin(batch)
hook = lin.register_forward_hook(lambda m, args, out: out + 1); hook.remove(); lin(batch)
seen = {}; mlp[0].register_forward_hook(lambda m, args, out: seen.update(first=out.detach())); mlp.eval()(batch); seen
seen = []; lin.register_full_backward_hook(lambda m, i, o: seen.append(o[0].sum())); lin(batch).sum().backward(); seen
lin.register_full_backward_hook(lambda m, gi, go: None); lin(batch).sum().backward(); lin.weight.grad
lin.weight.register_hook(lambda g: g * 0); loss.backward(); lin.weight.grad
lin.weight.register_hook(lambda g: g.clamp(-0.01, 0.01)); loss.backward(); lin.weight.grad
for t in lin.parameters(): t.register_hook(lambda g: torch.clamp(g, -0.01, 0.01))
seen = []; for m in mlp: m.register_forward_hook(lambda m, args, out: seen.append(type(m).__name__)); mlp(batch); seen
lin.register_forward_hook(lambda m, args, kwargs, out: out, with_kwargs=True); lin(input=batch)
seen = []; rnn.register_forward_hook(lambda m, args, out: seen.append(out[1].shape)); rnn(batch); seen
out = lin(batch); out.retain_grad(); out.sum().backward(); out.grad
out = lin(batch); out.register_hook(lambda g: g * 2); out.sum().backward(); lin.bias.grad
seen = []; w.register_post_accumulate_grad_hook(seen.append); w.sum().backward(); len(seen)
len(lin._forward_hooks)
opt.register_step_post_hook(lambda o, args, kwargs: None); loss.backward(); opt.step()
""",
    "printing": """
str(s)
print(v)
str(torch.tensor([1, 2, 3]))
str(torch.tensor([1.0, 2.0]))
str(torch.tensor([True, False]))
str(torch.tensor([1e-8, 1.0]))
str(torch.zeros(2, 0))
str(n)
str(i)
str(n.int())
str(torch.tensor([float("nan"), float("inf")]))
str(torch.ones(2, requires_grad=True))
repr(nn.Parameter(torch.zeros(2)))
str(torch.arange(2000))
str(x.shape)
f"{x.shape}"
f"{tuple(x.shape)} {x.size(0)}"
f"{s:.2f}"
f"{s.item():.3f}"
f"{n[0]}"
f"{n[0]:3d}"
f"{n[0].item():03d}"
f"{loss.item():.4f}"
f"{loss:.4f}"
"%.4f" % loss
"%d" % n[0]
"{:.3f}".format(s)
"{} {}".format(n[1], s)
str(x.device)
repr(x.device)
f"{x.device}"
str(x.dtype)
repr(torch.float32)
str(lin)
repr(nn.ReLU())
str(nn.Dropout(0.5))
str(lstm)
str(deep)
str(emb_layer)
str(mlp)
str(model)
str(nn.GRUCell(5, 6))
str(nn.Conv1d(3, 4, 3, padding=1))
str(nn.LayerNorm(5))
str(bn)
str(nn.ModuleList([nn.Linear(2, 3), nn.Tanh()]))
str(nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]))
str(nn.ModuleDict({"a": nn.Linear(2, 3)}))
str(nn.CrossEntropyLoss())
str(nn.Sequential())
str(opt)
str(adam)
str(Categorical(p))
str(x.max(dim=1))[:20]
str(lengths.tolist())
str(list(x.shape))
print(*n)
print(x.shape, x.dtype)
print("loss", loss.item())
repr(torch.Size([2, 3]))
str(nn.TransformerEncoderLayer(4, 2, 8)).splitlines()[1]
lin.__repr__().startswith("Linear(")
""",
    "errors": """
x.view(7, -1)
x.reshape(7, 7)
torch.cat([x, v])
torch.cat([])
torch.stack([])
torch.stack([v, a])
x + a
x @ a
torch.mm(x, y)
torch.bmm(a, b)
torch.dot(v, a)
x[10]
x[0, 0, 0, 0]
x[:, 7]
v[torch.tensor([9])]
x[mask[0]]
x["a"]
x.size(5)
x.squeeze(4)
x.transpose(0, 5)
x.permute(0, 1)
x.expand(2, 2)
x.item()
int(x)
bool(x)
if x > 0: pass
float(v)
range(s)
len(s)
iter(s)
torch.tensor("abc")
torch.tensor([[1, 2], [3]])
torch.tensor([None])
torch.from_numpy([1, 2])
torch.zeros(-1)
torch.arange(0, 3, 0)
x.gather(1, torch.zeros(2, 2, 2))
x.scatter_(1, i, 1.0)
x.index_select(0, torch.tensor([7]))
x.masked_fill(v > 0.0, v)
x.sum(dim=3)
x.max(dim=7)
x.topk(9)
x.unfold(0, 9, 1)
x.split([1, 1])
x.chunk(0)
x.mean(dim="time")
i.mean()
i.float().long().std()
torch.zeros(2, dtype="float32")
torch.zeros(2, device="tpu")
torch.device("abc")
x.cuda()
x.to("cuda")
lin.cuda()
w.numpy()
x.backward()
v.sum().backward()
w.backward()
w.sum().backward(torch.ones(2))
t = (w * w).sum(); t.backward(); t.backward()
w.add_(1)
w[0] = 1
w += 1
w.zero_()
i.requires_grad_()
i.requires_grad = True
torch.tensor([1, 2], requires_grad=True)
(w * 2).requires_grad = False
t = w.exp(); t += 1; t.sum().backward()
torch.autograd.grad(v.sum(), v)
torch.autograd.grad(w.sum(), z)
x.grad = v
i /= 2
i += 0.5
n[0] = torch.ones(2)
x[0] = torch.ones(7)
x[mask] = torch.ones(3)
x.copy_(torch.ones(7))
x.fill_(v)
v += x
lin(wave(3, 4))
lin(i)
lin("a")
lin()
lstm(a[None])
lstm(batch, h)
lstm(batch, (h, c[:, :1]))
gru(batch, (h, c))
gru(batch, h[0])
cell(batch)
emb_layer(x)
emb_layer(torch.tensor([9]))
emb_layer(torch.tensor([-1]))
nn.LSTM(5)
nn.LSTM(5, 6, num_layers=0)
nn.LSTM(5, 6, dropout=2)
nn.RNN(5, 6, nonlinearity="sin")
nn.Dropout(1.5)
nn.Linear(5)
nn.Embedding(4, 3, padding_idx=9)
nn.Linear(5, 4).foo
x.foo
torch.foo
nn.Foo
nn.ModuleList([1])
nn.Sequential(lin, 3)(batch)
lin.weight = torch.ones(4, 5)
lin.weight = 3
nn.Module()(x)
nn.Module().register_parameter("a", v)
nn.Module().register_buffer("a.b", v)
lin.load_state_dict({"weight": torch.ones(4, 5)})
lin.load_state_dict(dict(lin.state_dict(), extra=v))
lin.load_state_dict({"weight": torch.ones(2, 2), "bias": torch.ones(4)})
F.cross_entropy(logits, torch.tensor([0, 1, 9]))
F.cross_entropy(logits, target.float())
F.cross_entropy(logits, target[:2])
F.nll_loss(logits, target.unsqueeze(1))
F.mse_loss(x, y, reduction="avg")
F.binary_cross_entropy(v * 5, u)
F.one_hot(target, 2)
F.one_hot(target.float())
F.pad(x, (1,))
F.conv1d(x, wave(4, 2, 3))
F.softmax(x, dim=5)
pack_padded_sequence(batch, [2, 3, 4], batch_first=True)
pack_padded_sequence(batch, [4, 3], batch_first=True)
pack_padded_sequence(batch, [4, 0, 2], batch_first=True, enforce_sorted=False)
pad_sequence([])
pad_sequence([v, a])
optim.SGD([], lr=0.1)
optim.SGD(lin.parameters(), lr=-1)
optim.Adam(lin.parameters(), betas=(2, 0))
optim.Adam(lin)
optim.SGD([w * 2], lr=0.1)
optim.SGD([3], lr=0.1)
opt.load_state_dict({})
adam.add_param_group({"params": lin.weight})
data[9]
TensorDataset(x, v)
DataLoader(data, batch_size=0)
DataLoader(data, shuffle=True, sampler=[1])
DataLoader(data, batch_size=2, batch_sampler=[[1]])
next(iter(DataLoader([v, a[0]], batch_size=2)))
random_split(data, [1, 1])
Categorical()
Categorical(p).log_prob(torch.tensor(9))
torch.load("missing.pt")
torch.multinomial(p, 9)
torch.einsum("ij,jk", a)
torch.tensor(3)[0]
x.new_zeros(2, 3, 4).view(3)
nn.utils.vector_to_parameters(v, 3)
torch.manual_seed("a")
nn.MultiheadAttention(5, 2)
nn.LayerNorm(4)(x)
nn.BatchNorm1d(4)(x)
nn.Conv1d(3, 4, 9)(x)
bn(v)
""",
}

_HINT = "the error names what to write instead"
_PRECISION = "lucid trains in float32: it has no mixed precision, and the error says so"
_ABSENT = "lucid has no such argument or method, and raises an error"
_DTYPE = "a dtype is NumPy's"
_SIZE = "a shape is a tuple of ints"
_DIGITS = "numbers are printed as NumPy prints them, without zeros at their ends"
_TEXT = "a module, a result or an optimizer prints its options in another way"
_FLOATS = "a loader makes float32 of Python floats"
_STATE = "an optimizer's numbers are Python's, and its options those that it has"
_SAVED = "a file holds tensors, without the class Parameter"
_GENERATOR = "the state of the generator is NumPy's, a dict"
_ASSERTS = "PyTorch asserts; lucid raises ValueError, RuntimeError or IndexError"
_ERROR = "an error of another class: lucid names the argument"
_ACCEPTED = "PyTorch raises an error; lucid computes what NumPy would"

DIFFERENT: dict[str, str] = {
    "torch.linalg.norm(v)": _HINT,
    "torch.linalg.vector_norm(x, dim=-1)": _HINT,
    "torch.copysign(v, -u)": _HINT,
    "torch.cosine_similarity(x, y, dim=-1)": _HINT,
    "torch.dropout(x, 0.5, False)": _HINT,
    "torch.layer_norm(x, (5,))": _HINT,
    "F.relu_(x)": _HINT,
    "torch.autograd.functional.jacobian(torch.tanh, v)": _HINT,
    "w.grad_fn": _HINT,
    "(w * 2).grad_fn is not None": _HINT,
    "(w * 2).grad_fn.name()": _HINT,
    "filled(nn.ConvTranspose1d(3, 2, 2, stride=2))(x).shape": _HINT,
    "F.conv_transpose1d(x, wave(3, 2, 2)).shape": _HINT,
    "lin.type(torch.float64).weight.dtype": _HINT,
    "nn.EmbeddingBag(4, 3).weight.shape": _HINT,
    'F.embedding_bag(i.clamp(max=3), b, mode="mean")': _HINT,
    "nn.Transformer.generate_square_subsequent_mask(3)": _HINT,
    "rates(optim.lr_scheduler.CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=2)": _HINT,
    'torch.optim.LBFGS(lin.parameters()).param_groups[0]["lr"]': _HINT,
    "torch.optim.swa_utils.AveragedModel(lin).module is not lin": _HINT,
    "trained(optim.ASGD)": _HINT,
    "trained(optim.Adadelta)": _HINT,
    "trained(optim.Rprop)": _HINT,
    "x.kthvalue(2)[0].shape": _HINT,
    "x.mode(dim=1)[0].shape": _HINT,
    "x.resize_(2, 2).shape": _HINT,
    "torch.fmax(x, y)": _HINT,
    "nn.Dropout2d(0.5).eval()(img)": _HINT,
    "F.dropout2d(img, training=False)": _HINT,
    "nn.InstanceNorm1d(3)(x)": _HINT,
    "F.instance_norm(x)": _HINT,
    "seen = []; w.register_post_accumulate_grad_hook(seen.append); w.sum().backward(); len(seen)": _HINT,
    "torch.distributions.Beta(torch.ones(2), torch.ones(2)).mean": _HINT,
    "torch.distributions.Exponential(torch.ones(2)).mean": _HINT,
    "torch.distributions.Independent(Normal(v, 1.0), 1).log_prob(u)": _HINT,
    "torch.distributions.Laplace(0.0, 1.0).log_prob(v)": _HINT,
    "torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)).mean": _HINT,
    "x.to(torch.bfloat16).dtype": _PRECISION,
    'scaler = torch.amp.GradScaler("cpu", enabled=False); scaler.scale(loss).backward()': _PRECISION,
    'with torch.autocast("cpu", enabled=False): t = lin(batch)': _PRECISION,
    "torch.add(x, y, out=x)": _ABSENT,
    "n << 1": _ABSENT,
    "n >> 1": _ABSENT,
    "filled(nn.Embedding(4, 3, max_norm=1.0))(torch.tensor([1, 2])).norm(dim=1)": _ABSENT,
    "Normal(0.0, 1.0).icdf(v.sigmoid())": _ABSENT,
    "len(lin._forward_hooks)": _ABSENT,
    "opt.register_step_post_hook(lambda o, args, kwargs: None); loss.backward(); opt.step()": _ABSENT,
    "isinstance(x.dtype, torch.dtype)": _DTYPE,
    "torch.float32.is_floating_point": _DTYPE,
    "x.dtype.is_floating_point": _DTYPE,
    "torch.finfo(torch.float32).eps": _DTYPE,
    "torch.finfo(x.dtype).min": _DTYPE,
    "str(x.dtype)": _DTYPE,
    "repr(torch.float32)": _DTYPE,
    "str(n.int())": _DTYPE,
    "str(x.shape)": _SIZE,
    'f"{x.shape}"': _SIZE,
    "print(x.shape, x.dtype)": _SIZE,
    "repr(torch.Size([2, 3]))": _SIZE,
    "str(Categorical(p))": _SIZE,
    "print(v)": _DIGITS,
    "str(s)": _DIGITS,
    "str(torch.tensor([1e-8, 1.0]))": _DIGITS,
    "str(torch.zeros(2, 0))": _DIGITS,
    "str(torch.arange(2000))": _DIGITS,
    "str(x.max(dim=1))[:20]": _TEXT,
    "str(opt)": _TEXT,
    "str(adam)": _TEXT,
    "str(bn)": _TEXT,
    "str(mlp)": _TEXT,
    "str(nn.Conv1d(3, 4, 3, padding=1))": _TEXT,
    "str(nn.Dropout(0.5))": _TEXT,
    "str(nn.LayerNorm(5))": _TEXT,
    "str(nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]))": _TEXT,
    "str(nn.TransformerEncoderLayer(4, 2, 8)).splitlines()[1]": _TEXT,
    "list(DataLoader([1.0, 2.0], batch_size=2))[0].dtype": _FLOATS,
    "list(DataLoader(Words(), batch_size=2))": _FLOATS,
    'default_collate([{"a": 1.0}, {"a": 2.0}])': _FLOATS,
    'loss.backward(); adam.step(); adam.state_dict()["state"][0]["step"]': _STATE,
    'torch.save({"opt": adam.state_dict(), "args": {"lr": 0.1, "on": True}}, path); torch.load(path)': _STATE,
    'getattr(optim, "Adam")(lin.parameters(), lr=torch.tensor(0.1)).param_groups[0]["lr"]': _STATE,
    "sorted(opt.param_groups[0])[:3]": _STATE,
    "torch.save(q, path); type(torch.load(path)).__name__": _SAVED,
    "torch.get_rng_state().dtype": _GENERATOR,
    "TensorDataset(x, v)": _ASSERTS,
    "nn.MultiheadAttention(5, 2)": _ASSERTS,
    "nn.Embedding(4, 3, padding_idx=9)": _ASSERTS,
    "x.cuda()": _ASSERTS,
    'x.to("cuda")': _ASSERTS,
    "lin.cuda()": _ASSERTS,
    "F.one_hot(target, 2)": _ERROR,
    "gru(batch, (h, c))": _ERROR,
    "lstm(batch, h)": _ERROR,
    "opt.load_state_dict({})": _ERROR,
    'x["a"]': _ERROR,
    "i.mean()": _ACCEPTED,
    "i.float().long().std()": _ACCEPTED,
    'torch.zeros(2, dtype="float32")': _ACCEPTED,
    "x.masked_fill(v > 0.0, v)": _ACCEPTED,
    "x.grad = v": _ACCEPTED,
    "gru(batch, h[0])": _ACCEPTED,
}
"""The lines whose results differ, each with the reason."""
