"""Programs written for PyTorch run unchanged in lucid: the same training losses, and exports that agree.

Each program takes the library as an argument: PyTorch or lucid.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import lucid
from lucid.export import to_onnx
from lucid.runtime import Session

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

STEPS = 6


def attention_decoder(T):
    nn, F = T.nn, T.nn.functional

    class Seq2Seq(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(15, 8)
            self.encoder = nn.LSTM(8, 12)
            self.query, self.keys, self.score = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 1)
            self.cell = nn.LSTMCell(8 + 12, 12)
            self.out = nn.Linear(12, 15)

        def forward(self, src, tgt):
            encoded, (h, c) = self.encoder(self.emb(src))
            h, c, keys = h[-1], c[-1], encoded.permute(1, 0, 2)
            word = T.zeros(src.size(1), dtype=T.long)
            logits = []
            for t in range(tgt.size(0)):
                scores = self.score(T.tanh(self.query(h.unsqueeze(1)) + self.keys(keys))).squeeze(2).unsqueeze(1)
                context = T.bmm(F.softmax(scores, dim=-1), keys).squeeze(1)
                h, c = self.cell(T.cat((self.emb(word), context), dim=1), (h, c))
                logits.append(self.out(h))
                word = tgt[t] if t % 2 == 0 else logits[-1].topk(1)[1].squeeze(-1).detach()
            return F.log_softmax(T.stack(logits), dim=-1)

    model = Seq2Seq()
    optimizer = T.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    scheduler = T.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=20)

    def loss(src, tgt):
        return nn.NLLLoss()(model(src, tgt).reshape(-1, 15), tgt.reshape(-1))

    return model, optimizer, scheduler, loss


def transformer(T):
    nn, F = T.nn, T.nn.functional

    class Block(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.attn = nn.MultiheadAttention(width, heads, dropout=0.0, batch_first=True)
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.ff = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.0), nn.Linear(4 * width, width)
            )

        def forward(self, x, mask, padding):
            y = self.ln1(x)
            y, _ = self.attn(y, y, y, attn_mask=mask, key_padding_mask=padding, need_weights=False)
            x = x + y
            return x + self.ff(self.ln2(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(20, 16)
            position = T.arange(50).unsqueeze(1)
            rate = T.exp(T.arange(0, 16, 2).float() * (-math.log(10000.0) / 16))
            table = T.stack([T.sin(position * rate), T.cos(position * rate)], dim=-1).flatten(1)
            self.register_buffer("table", table.unsqueeze(0), persistent=False)
            self.blocks = nn.ModuleList([Block(16, 4) for _ in range(2)])
            self.ln = nn.LayerNorm(16)
            self.head = nn.Linear(16, 20, bias=False)
            self.head.weight = self.emb.weight

        def forward(self, tokens, padding):
            mask = T.triu(T.ones(tokens.size(1), tokens.size(1)), diagonal=1).bool()
            x = self.emb(tokens) * math.sqrt(16) + self.table[:, : tokens.size(1)]
            for block in self.blocks:
                x = block(x, mask, padding)
            return self.head(self.ln(x))

    model = Model()
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = T.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
    scheduler = T.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 4))

    def loss(tokens, padding):
        wanted = tokens.roll(-1, 1).masked_fill(padding, -100)
        return F.cross_entropy(model(tokens, padding).transpose(1, 2), wanted, label_smoothing=0.1)

    return model, optimizer, scheduler, loss


def speech(T):
    nn, F = T.nn, T.nn.functional

    class Speech(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Sequential(
                nn.Conv1d(5, 12, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv1d(12, 12, 3, stride=2, padding=1),
                nn.ReLU(inplace=True),
            )
            self.rnn = nn.RNN(12, 16, nonlinearity="relu", batch_first=True)
            self.fc = nn.Linear(16, 8)

        def forward(self, x):
            y, _ = self.rnn(self.conv(x.transpose(1, 2)).transpose(1, 2).contiguous())
            return F.log_softmax(self.fc(y), dim=2)

    model = Speech()
    optimizer = T.optim.RMSprop(model.parameters(), lr=1e-3, momentum=0.9)
    scheduler = T.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    criterion = nn.CTCLoss(blank=0, zero_infinity=True)

    def loss(x):
        targets = T.tensor([[1, 2, 2, 3], [4, 5, 6, 0], [7, 1, 0, 0]])
        return criterion(model(x).permute(1, 0, 2), targets, T.tensor([10, 9, 8]), T.tensor([4, 3, 2]))

    return model, optimizer, scheduler, loss


def autoencoder(T):
    nn, F = T.nn, T.nn.functional

    class Vae(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.GRU(4, 16, batch_first=True), nn.GRU(3, 16, batch_first=True)
            self.mean, self.log_var, self.out = nn.Linear(16, 3), nn.Linear(16, 3), nn.Linear(16, 4)

        def forward(self, x, noise):
            h = self.encoder(x)[1].squeeze(0)
            mean, log_var = self.mean(h), self.log_var(h)
            z = mean + noise * T.exp(0.5 * log_var)
            y, _ = self.decoder(z.unsqueeze(1).expand(-1, x.size(1), -1).contiguous())
            return T.sigmoid(self.out(y)), mean, log_var

    model = Vae()
    optimizer = T.optim.Adagrad(model.parameters(), lr=0.05)
    scheduler = T.optim.lr_scheduler.MultiStepLR(optimizer, [2, 5])

    def loss(x, noise):
        y, mean, log_var = model(x, noise)
        entropy = F.binary_cross_entropy(y, x, reduction="sum")
        divergence = -0.5 * T.sum(1 + log_var - mean.pow(2) - log_var.exp())
        shapes = F.kl_div(F.log_softmax(y, dim=-1), F.softmax(x, dim=-1), reduction="batchmean")
        return (entropy + divergence) / x.size(0) + shapes

    return model, optimizer, scheduler, loss


def tagger(T):
    nn, R = T.nn, T.nn.utils.rnn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(20, 8, padding_idx=0)
            self.lstm = nn.LSTM(8, 10, 2, batch_first=True)
            self.fc = nn.Linear(10, 5)

        def forward(self, words, lengths):
            packed = R.pack_padded_sequence(self.emb(words), lengths, batch_first=True, enforce_sorted=False)
            y, (h, _) = self.lstm(packed)
            return self.fc(R.pad_packed_sequence(y, batch_first=True)[0]), h[-1]

    model = Tagger()
    optimizer = T.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    scheduler = T.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)

    def loss(words, lengths):
        y, h = model(words, lengths)
        mask = (words != 0).float()
        each = nn.CrossEntropyLoss(reduction="none")(y.view(-1, 5), (words % 5).view(-1)).view(y.size(0), -1)
        return (each * mask).sum() / mask.sum() + 0.01 * h.pow(2).mean()

    return model, optimizer, scheduler, loss


def words_of(rng):
    words = rng.integers(1, 20, (3, 7))
    words[0, 5:] = words[2, 3:] = 0
    return words, np.array([5, 7, 3])


PROGRAMS = {
    attention_decoder: lambda rng: (rng.integers(0, 15, (6, 3)), rng.integers(0, 15, (5, 3))),
    transformer: lambda rng: (rng.integers(0, 20, (3, 6)), np.arange(6) >= np.array([[4], [6], [6]])),
    speech: lambda rng: (rng.standard_normal((3, 20, 5)).astype(np.float32),),
    autoencoder: lambda rng: (rng.random((3, 5, 4), np.float32), rng.standard_normal((3, 3)).astype(np.float32)),
    tagger: words_of,
}


def trained(T, program, draw, weights=None):
    """Returns the model after some steps, its losses, and its initial weights."""
    T.manual_seed(0)
    model, optimizer, scheduler, loss_of = program(T)
    if weights is None:
        weights = {name: w.numpy().copy() for name, w in model.state_dict().items()}
    else:
        model.load_state_dict(weights)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(*map(T.tensor, draw(np.random.default_rng(step))))
        loss.backward()
        T.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return model.eval(), losses, weights


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_same_training_and_the_export_agrees(program):
    draw = PROGRAMS[program]
    _, expected, weights = trained(torch, program, draw)
    model, losses, _ = trained(lucid, program, draw, weights)
    assert list(model.state_dict()) == list(weights)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    session = Session(to_onnx(model, *map(lucid.tensor, draw(np.random.default_rng(1)))))
    inputs = draw(np.random.default_rng(2))
    outputs = model(*map(lucid.tensor, inputs))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for found, wanted in zip(session(*inputs), outputs, strict=True):
        np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=1e-4, atol=1e-5)
