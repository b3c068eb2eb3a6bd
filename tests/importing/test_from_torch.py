"""lucid.from_torch: every layer with its options against PyTorch, in both modes, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ModelImportError, StateDictError
from tests.tiers import thinned

torch = pytest.importorskip("torch")
theirs_nn = torch.nn

pytestmark = [
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]

RNG = np.random.default_rng(7)
SEQ = RNG.standard_normal((5, 3, 4)).astype(np.float32)  # (T, N, I), or (N, C, L)
IMAGE = RNG.standard_normal((2, 4, 6, 5)).astype(np.float32)
ROW = RNG.standard_normal((3, 4)).astype(np.float32)
INDEX = RNG.integers(0, 6, (3, 5))

PLAIN = [
    *("CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid"),
    *("Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh"),
    "Tanhshrink",
]

CASES = [
    *[
        (lambda t, k=kind, o=options: getattr(t, k)(4, 6, **o), (SEQ,))
        for kind in ("RNN", "LSTM", "GRU")
        for options in (
            {},
            {"num_layers": 2, "bidirectional": True},
            {"batch_first": True, "bias": False},
            {"num_layers": 3, "bias": False, "batch_first": True},
        )
    ],
    (lambda t: t.RNN(4, 6, nonlinearity="relu"), (SEQ,)),
    (lambda t: t.RNN(4, 6, 2, nonlinearity="relu", bidirectional=True), (SEQ,)),
    (lambda t: t.LSTM(4, 6, 2, proj_size=3), (SEQ,)),
    (lambda t: t.LSTM(4, 6, proj_size=2, bidirectional=True, batch_first=True), (SEQ,)),
    (lambda t: t.RNNCell(4, 6), (ROW,)),
    (lambda t: t.RNNCell(4, 6, bias=False, nonlinearity="relu"), (ROW,)),
    (lambda t: t.LSTMCell(4, 6), (ROW,)),
    (lambda t: t.GRUCell(4, 6, bias=False), (ROW,)),
    (lambda t: t.Linear(4, 3), (SEQ,)),
    (lambda t: t.Linear(4, 3, bias=False), (SEQ,)),
    (lambda t: t.Identity(), (SEQ,)),
    (lambda t: t.Embedding(6, 3), (INDEX,)),
    (lambda t: t.Embedding(6, 3, padding_idx=2), (INDEX,)),
    *[
        (lambda t, o=options: t.Conv1d(3, 6, **o), (SEQ,))
        for options in (
            {"kernel_size": 2},
            {"kernel_size": 3, "padding": "same", "dilation": 2, "bias": False},
            {"kernel_size": 2, "stride": 2, "padding": 1, "groups": 3},
            {"kernel_size": 3, "padding": "valid"},
        )
    ],
    (lambda t: t.Conv2d(4, 6, (2, 3), stride=(2, 1), padding=(1, 0), groups=2), (IMAGE,)),
    (lambda t: t.Conv2d(4, 3, 3, dilation=2, bias=False), (IMAGE,)),
    *[
        (lambda t, o=options: t.BatchNorm1d(3, **o), (SEQ,))
        for options in (
            {},
            {"momentum": None},
            {"momentum": 0.3, "eps": 0.1, "affine": False},
            {"track_running_stats": False},
        )
    ],
    (lambda t: t.BatchNorm2d(4, eps=1e-3), (IMAGE,)),
    (lambda t: t.LayerNorm(4, eps=0.1), (SEQ,)),
    (lambda t: t.LayerNorm((3, 4), bias=False), (SEQ,)),
    (lambda t: t.LayerNorm(4, elementwise_affine=False), (SEQ,)),
    (lambda t: t.GroupNorm(2, 4, eps=0.1), (IMAGE,)),
    (lambda t: t.GroupNorm(4, 4, affine=False), (IMAGE,)),
    (lambda t: t.RMSNorm(4), (SEQ,)),
    (lambda t: t.RMSNorm((3, 4), eps=0.1, elementwise_affine=False), (SEQ,)),
    (lambda t: t.MultiheadAttention(4, 2), (SEQ, SEQ, SEQ)),
    (lambda t: t.MultiheadAttention(4, 2, bias=False, batch_first=True), (SEQ, SEQ, SEQ)),
    (lambda t: t.MultiheadAttention(4, 4, add_bias_kv=True, add_zero_attn=True), (SEQ, SEQ, SEQ)),
    (lambda t: t.MultiheadAttention(4, 1, kdim=2, vdim=3), (SEQ, SEQ[..., :2].copy(), SEQ[..., :3].copy())),
    (lambda t: t.TransformerEncoderLayer(4, 2, 8, 0.0), (SEQ,)),
    (lambda t: t.TransformerEncoderLayer(4, 2, 8, 0.0, "gelu", 0.1, True, True, bias=False), (SEQ,)),
    (lambda t: t.TransformerEncoder(t.TransformerEncoderLayer(4, 2, 8, 0.0), 2, t.LayerNorm(4)), (SEQ,)),
    (lambda t: t.TransformerEncoderLayer(4, 1, 8, 0.0, activation=t.ELU()), (SEQ,)),
    *[(lambda t, k=kind: getattr(t, k)(), (SEQ,)) for kind in PLAIN],
    (lambda t: t.CELU(0.7), (SEQ,)),
    (lambda t: t.ELU(0.7, inplace=True), (SEQ,)),
    (lambda t: t.GELU("tanh"), (SEQ,)),
    (lambda t: t.GLU(0), (IMAGE,)),
    (lambda t: t.Hardtanh(-0.3, 0.2), (SEQ,)),
    (lambda t: t.LeakyReLU(0.3), (SEQ,)),
    (lambda t: t.PReLU(3, 0.1), (SEQ,)),
    (lambda t: t.Softplus(2.0, 0.5), (SEQ,)),
    (lambda t: t.Hardshrink(0.2), (SEQ,)),
    (lambda t: t.Softshrink(0.2), (SEQ,)),
    (lambda t: t.Threshold(0.1, 2.0), (SEQ,)),
    (lambda t: t.LogSoftmax(1), (SEQ,)),
    (lambda t: t.Softmax(-1), (SEQ,)),
    (lambda t: t.Softmin(0), (SEQ,)),
    (lambda t: t.Dropout(0.0), (SEQ,)),
    (lambda t: t.Dropout1d(0.0), (SEQ,)),
    (lambda t: t.Flatten(), (IMAGE,)),
    (lambda t: t.Flatten(0, 1), (IMAGE,)),
    (lambda t: t.Unflatten(1, (2, 2)), (IMAGE,)),
    (lambda t: t.AvgPool1d(2, 1, 1, True, False), (SEQ,)),
    (lambda t: t.AvgPool2d((2, 3), (1, 2), 1, divisor_override=5), (IMAGE,)),
    (lambda t: t.MaxPool1d(3, 2, 1, dilation=1, ceil_mode=True), (SEQ,)),
    (lambda t: t.MaxPool2d(2, (1, 2)), (IMAGE,)),
    (lambda t: t.AdaptiveAvgPool1d(2), (SEQ,)),
    (lambda t: t.AdaptiveAvgPool2d((3, 2)), (IMAGE,)),
    (lambda t: t.AdaptiveMaxPool1d(3), (SEQ,)),
    (lambda t: t.CircularPad1d((1, 2)), (SEQ,)),
    (lambda t: t.ConstantPad1d((1, 2), 0.5), (SEQ,)),
    (lambda t: t.ReflectionPad1d(2), (SEQ,)),
    (lambda t: t.ReplicationPad1d((3, 0)), (SEQ,)),
    (lambda t: t.ZeroPad1d((-1, 2)), (SEQ,)),
    (lambda t: t.Upsample(scale_factor=2.0), (SEQ,)),
    (lambda t: t.Upsample(size=7, mode="linear", align_corners=True), (SEQ,)),
    (lambda t: t.CosineSimilarity(0, 0.1), (SEQ, SEQ + 1)),
    (lambda t: t.PairwiseDistance(1.0, keepdim=True), (ROW, ROW + 1)),
    (lambda t: t.MSELoss(reduction="sum"), (SEQ, SEQ + 1)),
    (lambda t: t.L1Loss(), (SEQ, SEQ + 1)),
    (lambda t: t.HuberLoss(delta=0.3), (SEQ, SEQ + 1)),
    (
        lambda t: t.SmoothL1Loss("none", beta=0.3) if t is nn else t.SmoothL1Loss(reduction="none", beta=0.3),
        (SEQ, SEQ + 1),
    ),
    (lambda t: t.CrossEntropyLoss(torch.arange(1.0, 5.0), label_smoothing=0.1, ignore_index=1), (ROW, INDEX[:, 0] % 4)),
    (lambda t: t.NLLLoss(torch.arange(1.0, 5.0)), (ROW, INDEX[:, 0] % 4)),
    (lambda t: t.BCEWithLogitsLoss(pos_weight=torch.arange(1.0, 5.0)), (ROW, (ROW > 0).astype(np.float32))),
    (lambda t: t.Sequential(t.Linear(4, 3), t.Tanh(), t.Sequential(t.Linear(3, 2))), (SEQ,)),
]


def results(value):
    """Returns all tensors in a result."""
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in results(part)]
    return [] if value is None else [value]


@pytest.mark.parametrize(("make", "arrays"), thinned(CASES, 40, arguments=2, sample=3))
def test_layers_compute_what_pytorchs_do(make, arrays):
    torch.manual_seed(0)
    theirs = make(theirs_nn)
    with torch.no_grad():
        for tensor in [*theirs.parameters(), *theirs.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) / 3)  # biases, scales and statistics beside 0 and 1
    ours = lucid.from_torch(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours.training) == repr(theirs.training)
    for mode in (True, False, True):
        theirs.train(mode), ours.train(mode)
        given = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
        own = [lucid.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
        wants = results(theirs(*[x.clone() for x in given]))
        gots = results(ours(*own))
        assert len(wants) == len(gots)
        for want, got in zip(wants, gots, strict=True):
            np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-5, atol=2e-6)
        if mode:
            sum((x * x).sum() for x in wants if x.is_floating_point()).backward()
            sum((x * x).sum() for x in gots if x.is_floating_point()).backward()
            pairs = [*zip(given, own, strict=True)]
            pairs += [(p, dict(ours.named_parameters())[name]) for name, p in theirs.named_parameters()]
            for want, got in pairs:
                if want.grad is not None:
                    np.testing.assert_allclose(got.grad.numpy(), want.grad.numpy(), rtol=1e-4, atol=1e-4)
            theirs.zero_grad(), ours.zero_grad()
    for name, value in theirs.state_dict().items():  # after training, with its statistics
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), value.numpy(), rtol=1e-5, atol=1e-6)


def test_modes_gradients_dtypes_sharing_and_copies_carry_over():
    one = theirs_nn.Linear(3, 3, dtype=torch.float64)
    two = theirs_nn.Linear(3, 3, dtype=torch.float64)
    two.bias = one.bias
    one.weight.requires_grad_(False)
    theirs = theirs_nn.ModuleDict(
        {"list": theirs_nn.ModuleList([one, two]), "again": one, "drop": theirs_nn.Dropout(0.2)}
    )
    theirs["drop"].eval()
    ours = lucid.from_torch(theirs)
    assert ours["again"] is ours["list"][0]
    assert ours["list"][1].bias is ours["list"][0].bias
    assert not ours["again"].weight.requires_grad
    assert ours["list"][1].weight.requires_grad
    assert ours["again"].weight.dtype == np.float64
    assert (ours.training, ours["drop"].training, ours["drop"].p) == (True, False, 0.2)
    before = ours["again"].weight.numpy().copy()
    with torch.no_grad():
        one.weight.zero_()
    np.testing.assert_array_equal(ours["again"].weight.numpy(), before)


def test_dropout_of_layers_carries_over():
    ours = lucid.from_torch(theirs_nn.LSTM(2, 3, 2, dropout=0.25))
    assert ours.dropout == 0.25
    encoder = theirs_nn.TransformerEncoderLayer(4, 2, 8, 0.3)
    encoder.dropout2.p = 0.4
    ours = lucid.from_torch(encoder)
    assert (ours.dropout1.p, ours.dropout2.p, ours.self_attn.dropout) == (0.3, 0.4, 0.3)


def test_parameter_containers():
    theirs = theirs_nn.ParameterDict({"b": torch.ones(2), "a": torch.zeros(3)})
    ours = lucid.from_torch(theirs)
    assert [(k, v.shape) for k, v in ours.items()] == [("a", (3,)), ("b", (2,))]
    ours = lucid.from_torch(theirs_nn.ParameterList([torch.ones(2), torch.zeros(1)]))
    assert [p.tolist() for p in ours] == [[1, 1], [0]]


def test_bfloat16_becomes_float32_with_a_warning():
    theirs = theirs_nn.Linear(3, 2).to(torch.bfloat16)
    with pytest.warns(UserWarning, match="weight, bias: bfloat16"):
        ours = lucid.from_torch(theirs)
    np.testing.assert_array_equal(ours.weight.detach().numpy(), theirs.weight.detach().float().numpy())
    with pytest.warns(UserWarning, match="bfloat16"):
        into = lucid.from_torch(theirs, into=nn.Linear(3, 2))
    np.testing.assert_array_equal(into.bias.detach().numpy(), theirs.bias.detach().float().numpy())


class Own(theirs_nn.Module):
    pass


class OwnLinear(theirs_nn.Linear):
    pass


def hooked():
    layer = theirs_nn.Linear(2, 2)
    layer.register_forward_hook(lambda *args: None)
    return layer


def replaced():
    layer = theirs_nn.Linear(2, 2)
    layer.forward = lambda x: x
    return layer


def memory():
    one, two = theirs_nn.Linear(2, 2), theirs_nn.Linear(2, 2)
    two.weight.data = one.weight.data
    return theirs_nn.Sequential(one, two)


def tensor_hook():
    layer = theirs_nn.Linear(2, 2)
    layer.weight.register_hook(lambda g: g * 2)
    return layer


def more():
    layer = theirs_nn.Linear(2, 2)
    layer.extra = theirs_nn.Parameter(torch.ones(1))
    return layer


def other_norm():
    layer = theirs_nn.TransformerEncoderLayer(4, 2)
    layer.norm1 = OwnLinear(4, 4)
    return layer


def weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return theirs_nn.utils.weight_norm(theirs_nn.Linear(2, 2))


REFUSED = [
    (Own, "Own.*a class of its own, whose forward"),
    (lambda: OwnLinear(2, 2), "derived from Linear"),
    (
        lambda: theirs_nn.Sequential(theirs_nn.Tanh(), Own(), theirs_nn.Bilinear(2, 2, 2)),
        "(?s)1 .*Own.*2 .*no such layer",
    ),
    (hooked, "it has hooks"),
    (replaced, r"forward\(\) was replaced"),
    (memory, "1.weight.*memory of 0.weight"),
    (tensor_hook, "weight.*it has hooks"),
    (more, "do not both have extra"),
    (other_norm, "norm1.*derived from Linear"),
    (lambda: theirs_nn.Conv1d(2, 2, 3, padding_mode="circular", padding=1), "no option padding_mode='circular'"),
    (lambda: theirs_nn.Embedding(3, 2, max_norm=1.0), "no option max_norm=1.0"),
    (lambda: theirs_nn.Embedding(3, 2, scale_grad_by_freq=True), "no option scale_grad_by_freq=True"),
    (lambda: theirs_nn.Embedding(3, 2, sparse=True), "no option sparse=True"),
    (lambda: theirs_nn.Softmax(), "dim=None"),
    (lambda: theirs_nn.TransformerEncoderLayer(4, 2, activation=torch.tanh), "activations relu and gelu"),
    (lambda: theirs_nn.LazyLinear(3), "no such layer|derived"),
    (lambda: theirs_nn.Linear(2, 2, device="meta"), "meta"),
    (lambda: theirs_nn.Linear(2, 2, dtype=torch.complex64), "no tensors of complex64"),
    (lambda: theirs_nn.utils.parametrizations.weight_norm(theirs_nn.Linear(2, 2)), "parametrization"),
    (weight_norm, "weight_norm"),
    (lambda: theirs_nn.utils.parametrizations.orthogonal(theirs_nn.Linear(2, 2)), "parametrization"),
]


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize(("make", "reason"), thinned(REFUSED, 8, arguments=2))
def test_what_lucid_does_not_have_is_refused_with_the_way_out(make, reason):
    with pytest.raises(ModelImportError, match=reason) as refused:
        lucid.from_torch(make())
    assert "torch.onnx.export" in str(refused.value)
    assert "into=" in str(refused.value)


@pytest.mark.parametrize("thing", [3, nn.Linear(2, 2), {}])
def test_what_is_no_module_is_a_type_error(thing):
    with pytest.raises(TypeError, match="from_torch"):
        lucid.from_torch(thing)
    with pytest.raises(TypeError, match="from_torch"):
        lucid.from_torch(theirs_nn.Linear(2, 2), into=3)


# --- into=


def network(t, base, batch_first=True, hidden=5, dropout=0.0):
    class Network(base):
        def __init__(self):
            super().__init__()
            self.embedding = t.Embedding(6, 4, padding_idx=0)
            self.rnn = t.GRU(4, hidden, 2, batch_first=batch_first, dropout=dropout)
            self.norm = t.BatchNorm1d(hidden)
            self.drop = t.Dropout(0.5)
            self.head = t.Linear(hidden, 4)

        def forward(self, x):
            return self.head(self.drop(self.norm(self.rnn(self.embedding(x))[0][:, -1])))

    return Network()


def test_weights_buffers_and_modes_move_into_a_rewritten_module():
    theirs, ours = network(theirs_nn, theirs_nn.Module), network(nn, nn.Module)
    theirs(torch.tensor(INDEX))  # statistics
    theirs.eval()
    theirs.norm.train()
    theirs.head.weight.requires_grad_(False)
    weight = ours.head.weight
    assert lucid.from_torch(theirs, into=ours) is ours
    assert ours.head.weight is weight
    assert (ours.training, ours.rnn.training, ours.norm.training) == (False, False, True)
    assert not weight.requires_grad
    ours.eval(), theirs.eval()
    np.testing.assert_allclose(
        ours(lucid.tensor(INDEX)).detach().numpy(), theirs(torch.tensor(INDEX)).detach().numpy(), rtol=1e-5, atol=1e-6
    )
    fresh = network(nn, nn.Module)
    lucid.from_torch(theirs.state_dict(), into=fresh)
    for name, tensor in fresh.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), theirs.state_dict()[name].numpy())
    assert fresh.training


@pytest.mark.parametrize(("make", "arrays"), thinned(CASES, 40, arguments=2, sample=3))
def test_weights_move_into_each_layer_with_the_same_options(make, arrays):
    theirs = make(theirs_nn)
    if any("weight" in name for name, _ in theirs.named_buffers()):
        return  # a loss whose weights are tensors of PyTorch's
    ours = lucid.from_torch(theirs, into=make(nn))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, tensor in ours.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), theirs.state_dict()[name].numpy())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: setattr(m, "more", nn.Linear(2, 2)), "(?s)more.weight: only lucid's.*more.bias: only lucid's"),
        (lambda m: delattr(m, "head"), "(?s)head.weight: only PyTorch's"),
        (lambda m: setattr(m, "head", nn.Linear(5, 3)), r"head.weight: its shape is \(4, 5\) in PyTorch, and \(3, 5\)"),
        (lambda m: m.head.to("float64"), "head.weight: its dtype is float32 in PyTorch, and float64"),
        (lambda m: setattr(m.rnn, "bias_hh_l0", m.rnn.bias_ih_l0), "bias_hh_l0: it is the same.* in lucid alone"),
        (lambda m: setattr(m.rnn, "batch_first", False), "rnn .*batch_first is True, and False in lucid"),
        (lambda m: setattr(m.norm, "eps", 0.1), "norm .*eps is 1e-05, and 0.1 in lucid"),
    ],
)
def test_what_does_not_fit_changes_nothing(change, reason):
    theirs, ours = network(theirs_nn, theirs_nn.Module).eval(), network(nn, nn.Module)
    change(ours)
    before = {name: tensor.numpy().copy() for name, tensor in ours.state_dict().items()}
    with pytest.raises(StateDictError, match=reason):
        lucid.from_torch(theirs, into=ours)
    assert ours.training
    for name, tensor in ours.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_sharing_must_be_that_of_pytorch():
    def twice(t):
        return t.Sequential(t.Linear(3, 3), t.Linear(3, 3))

    theirs, ours = twice(theirs_nn), twice(nn)
    theirs[1].weight = theirs[0].weight
    with pytest.raises(StateDictError, match=r"1.weight: it is the same tensor as 0.weight in PyTorch alone"):
        lucid.from_torch(theirs, into=ours)
    ours[1].weight = ours[0].weight
    lucid.from_torch(theirs, into=ours)
    lucid.from_torch(theirs.state_dict(), into=ours)
    with pytest.raises(StateDictError, match=r"1.weight: .* other elements"):
        lucid.from_torch(twice(theirs_nn).state_dict(), into=ours)


@pytest.mark.slow
def test_lucid_imports_no_torch():
    code = "import sys, lucid; lucid.from_torch; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.slow
def test_the_page():
    """The blocks of docs/from_pytorch.md that need PyTorch, in order."""
    page = (Path(__file__).parents[2] / "docs" / "from_pytorch.md").read_text(encoding="utf-8")
    section = page.partition("## Bring the weights along")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    names = {"lucid": lucid, "nn": nn}
    for block in blocks:
        exec(block, names)
