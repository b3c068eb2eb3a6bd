"""One row for each layer: its arguments, its inputs, and its counterpart in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lucid
from lucid import nn

rng = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape)


@dataclass(frozen=True)
class LayerCase:
    """A layer and a call of it.

    Attributes:
        layer: the class of the layer.
        args: its positional arguments.
        options: its keyword arguments.
        inputs: the arrays of the call, nested in tuples as the layer takes them; floats become tensors of the dtype
            under test.
        torch: makes PyTorch's module; None for the class of the same name with the same arguments.
        deterministic: whether training and evaluation mode give the same results.
        axes: the axes of the first exported input that must be free.
        note: distinguishes the rows of one layer.
    """

    layer: type[nn.Module]
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ()
    torch: Callable[[Any], Any] | None = None
    deterministic: bool = True
    axes: tuple[int, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        return self.layer.__name__ + (f" {self.note}" if self.note else "")

    def make(self, dtype: str) -> nn.Module:
        return self.layer(*self.args, **self.options).to(dtype)

    def make_torch(self, torch: Any) -> Any:
        return (
            self.torch(torch.nn) if self.torch else getattr(torch.nn, self.layer.__name__)(*self.args, **self.options)
        )


class CTCLoss(nn.CTCLoss):
    """CTC loss of scores: PyTorch's gradient of log_probs is right only behind a log_softmax."""

    def forward(self, scores: Any, *rest: Any) -> Any:
        return super().forward(lucid.log_softmax(scores, -1), *rest)


def torch_ctc(torch_nn: Any, **options: Any) -> Any:
    def forward(self: Any, scores: Any, *rest: Any) -> Any:
        return torch_nn.CTCLoss.forward(self, scores.log_softmax(-1), *rest)

    return type("CTCLoss", (torch_nn.CTCLoss,), {"forward": forward})(**options)


class Encoder(nn.TransformerEncoder):
    """Two layers and a norm."""

    def __init__(self) -> None:
        super().__init__(nn.TransformerEncoderLayer(4, 2, 6, 0.0), 2, nn.LayerNorm(4))


def torch_hard(torch_nn: Any, factor: Callable[[Any], Any]) -> Any:
    """Hardsigmoid times a factor: the gradient of PyTorch's own is that of a sixth in float32, in float64 too."""
    forward = {"forward": lambda self, x: factor(x) * torch_nn.functional.relu6(x + 3) / 6}
    return type("Hard", (torch_nn.Module,), forward)()


def torch_pinball(torch_nn: Any, quantiles: Any, reduction: str = "mean") -> Any:
    """Quantile loss as it is written by hand for PyTorch, which has none."""

    def forward(self: Any, x: Any, y: Any) -> Any:
        y = y if isinstance(quantiles, float) else y.unsqueeze(-1)
        q = x.new_tensor(quantiles)
        losses = (q * (y - x)).max((q - 1) * (y - x))
        return losses.mean() if reduction == "mean" else losses.sum()

    return type("Pinball", (torch_nn.Module,), {"forward": forward})()


def chances(*shape: int) -> np.ndarray:
    return rng.uniform(0.1, 0.9, size=shape)


X = floats(3, 3, 2)
IDS = np.array([[0, 4, 2], [2, 2, 1]])
MASKED = np.array([[False, False, True, False], [False, True, False, False], [False, False, False, False]])
LABELS = np.array([[1, 2], [3, 3]])
STATE = floats(2, 3, 3)

CASES = [
    LayerCase(nn.Linear, (2, 3), {}, (X,), axes=(0, 1)),
    LayerCase(nn.Linear, (2, 3), {"bias": False}, (floats(2),), note="of a vector without bias"),
    LayerCase(nn.Linear, (1, 1), {}, (floats(1, 1),), note="of size one"),
    LayerCase(nn.RNN, (2, 3), {}, (X,), axes=(0, 1)),
    LayerCase(nn.RNN, (2, 3, 2), {"nonlinearity": "relu"}, (X, STATE), axes=(1,), note="relu with a state"),
    LayerCase(nn.RNN, (2, 3, 2), {"batch_first": True, "bias": False}, (X,), axes=(0, 1), note="batch first"),
    LayerCase(nn.RNN, (2, 3), {}, (floats(4, 2), floats(1, 3)), axes=(0,), note="unbatched"),
    LayerCase(nn.RNN, (2, 3, 2), {"dropout": 0.5}, (X,), deterministic=False, axes=(0, 1), note="with dropout"),
    LayerCase(nn.RNN, (2, 3), {"bidirectional": True}, (X, STATE), axes=(0, 1), note="bidirectional"),
    LayerCase(nn.LSTM, (2, 3), {}, (X,), axes=(0, 1)),
    LayerCase(nn.LSTM, (2, 2, 2), {}, (X, (floats(2, 3, 2), floats(2, 3, 2))), axes=(0, 1), note="with states"),
    LayerCase(nn.LSTM, (2, 3), {"batch_first": True, "bias": False}, (X,), axes=(0, 1), note="batch first"),
    LayerCase(
        nn.LSTM,
        (2, 2, 2),
        {"bidirectional": True, "batch_first": True},
        (X, (floats(4, 3, 2), floats(4, 3, 2))),
        axes=(0, 1),
        note="bidirectional",
    ),
    LayerCase(nn.LSTM, (2, 3), {"proj_size": 2}, (X,), axes=(0, 1), note="projected"),
    LayerCase(nn.GRU, (2, 3), {}, (X,), axes=(0, 1)),
    LayerCase(nn.GRU, (2, 3, 2), {}, (X, STATE), axes=(0, 1), note="with a state"),
    LayerCase(nn.GRU, (2, 3), {"batch_first": True, "bias": False}, (X,), axes=(0, 1), note="batch first"),
    LayerCase(nn.GRU, (2, 3, 2), {"bidirectional": True, "bias": False}, (X,), axes=(0, 1), note="bidirectional"),
    LayerCase(nn.RNNCell, (2, 3), {}, (floats(3, 2), floats(3, 3)), axes=(0,)),
    LayerCase(nn.RNNCell, (2, 3, False, "relu"), {}, (floats(2),), note="relu, of a vector"),
    LayerCase(nn.LSTMCell, (2, 3), {}, (floats(3, 2), (floats(3, 3), floats(3, 3))), axes=(0,)),
    LayerCase(nn.LSTMCell, (2, 3, False), {}, (floats(3, 2),), axes=(0,), note="without a state"),
    LayerCase(nn.GRUCell, (2, 3), {}, (floats(3, 2), floats(3, 3)), axes=(0,)),
    LayerCase(nn.GRUCell, (2, 3, False), {}, (floats(2), floats(3)), note="of a vector"),
    LayerCase(nn.Dropout, (0.5,), {}, (X,), deterministic=False, axes=(0, 1, 2)),
    LayerCase(nn.Dropout, (0.0,), {}, (X,), note="of nothing"),
    LayerCase(nn.MSELoss, (), {}, (floats(3, 2), floats(3, 2)), axes=(0, 1)),
    LayerCase(
        nn.MSELoss, ("none",), {}, (floats(3), floats(3)), torch=lambda t: t.MSELoss(reduction="none"), note="none"
    ),
    LayerCase(nn.CrossEntropyLoss, (), {}, (floats(3, 4), np.array([1, 0, 3])), axes=(0,)),
    LayerCase(
        nn.CrossEntropyLoss,
        (),
        {"label_smoothing": 0.1, "ignore_index": 0, "reduction": "sum"},
        (floats(3, 4, 2), np.array([[1, 0], [3, 2], [0, 1]])),
        note="smoothed",
    ),
    LayerCase(nn.NLLLoss, (), {}, (floats(3, 4), np.array([1, 0, 3])), axes=(0,)),
    LayerCase(
        nn.NLLLoss,
        (),
        {"ignore_index": 2, "reduction": "none"},
        (floats(3, 4, 2), np.array([[1, 0], [3, 2], [0, 1]])),
        note="ignoring",
    ),
    LayerCase(nn.L1Loss, (), {}, (floats(3, 2), floats(3, 2)), axes=(0, 1)),
    LayerCase(nn.SmoothL1Loss, (), {"beta": 0.5}, (floats(3, 2), floats(3, 2)), axes=(0, 1)),
    LayerCase(nn.HuberLoss, (), {"delta": 0.7}, (floats(3, 2), floats(3, 2)), axes=(0, 1)),
    LayerCase(nn.BCELoss, (), {}, (chances(3, 2), chances(3, 2)), axes=(0, 1)),
    LayerCase(nn.BCEWithLogitsLoss, (), {"reduction": "sum"}, (floats(3, 2), chances(3, 2)), axes=(0, 1)),
    LayerCase(nn.KLDivLoss, (), {"reduction": "batchmean"}, (floats(3, 2), chances(3, 2)), axes=(0, 1)),
    LayerCase(nn.KLDivLoss, (), {"reduction": "sum", "log_target": True}, (floats(3, 2), floats(3, 2)), note="of logs"),
    LayerCase(
        CTCLoss, (), {}, (floats(5, 2, 4), LABELS, np.array([5, 4]), np.array([1, 2])), torch=torch_ctc, axes=(0, 1)
    ),
    LayerCase(
        CTCLoss,
        (3, "sum"),
        {"zero_infinity": True},
        (floats(5, 2, 4), LABELS % 3, np.array([5, 2]), np.array([1, 2])),
        torch=lambda t: torch_ctc(t, blank=3, reduction="sum", zero_infinity=True),
        note="of what does not fit",
    ),
    LayerCase(nn.Embedding, (5, 3), {}, (IDS,), axes=(0, 1)),
    LayerCase(nn.Embedding, (5, 3), {"padding_idx": -2}, (IDS,), axes=(0, 1), note="with padding"),
    LayerCase(nn.LayerNorm, (4,), {}, (floats(3, 2, 4),), axes=(0, 1)),
    LayerCase(nn.LayerNorm, ((2, 4),), {"bias": False, "eps": 1e-3}, (floats(3, 2, 4),), axes=(0,), note="of two axes"),
    LayerCase(nn.LayerNorm, (4,), {"elementwise_affine": False}, (floats(3, 4),), axes=(0,), note="without parameters"),
    LayerCase(nn.Conv1d, (2, 3, 3), {}, (floats(3, 2, 7),), axes=(0, 2)),
    LayerCase(nn.Conv1d, (2, 4, 3), {"padding": "same", "groups": 2}, (floats(3, 2, 7),), axes=(0, 2), note="grouped"),
    LayerCase(nn.Conv1d, (2, 3, (2,), 2, 1, 2), {"bias": False}, (floats(2, 7),), axes=(1,), note="strided, unbatched"),
    LayerCase(nn.Conv2d, (2, 3, (3, 2)), {}, (floats(2, 2, 5, 4),), axes=(0, 2, 3)),
    LayerCase(
        nn.Conv2d,
        (2, 4, 3, (2, 1), (1, 0), (1, 2), 2),
        {"bias": False},
        (floats(2, 5, 6),),
        axes=(1, 2),
        note="strided, grouped, unbatched",
    ),
    LayerCase(nn.Conv2d, (2, 3, 3), {"padding": "same"}, (floats(2, 2, 4, 3),), axes=(0, 2, 3), note="same"),
    LayerCase(nn.BatchNorm1d, (3,), {}, (floats(4, 3, 5),), deterministic=False, axes=(0, 2)),
    LayerCase(
        nn.BatchNorm1d, (3, 1e-3, None, False), {}, (floats(4, 3),), deterministic=False, axes=(0,), note="plain"
    ),
    LayerCase(
        nn.BatchNorm1d, (3,), {"track_running_stats": False}, (floats(4, 3, 2),), axes=(0, 2), note="of each batch"
    ),
    LayerCase(nn.BatchNorm2d, (3,), {}, (floats(4, 3, 2, 3),), deterministic=False, axes=(0, 2, 3)),
    LayerCase(nn.GroupNorm, (2, 4), {}, (floats(3, 4, 5),), axes=(0, 2)),
    LayerCase(nn.GroupNorm, (1, 4), {"affine": False, "eps": 1e-3}, (floats(3, 4),), axes=(0,), note="plain"),
    LayerCase(nn.BatchNorm1d, (3,), {"bias": False}, (floats(4, 3),), deterministic=False, axes=(0,), note="no bias"),
    LayerCase(nn.GroupNorm, (2, 4), {"bias": False}, (floats(3, 4, 5),), axes=(0, 2), note="no bias"),
    LayerCase(nn.RMSNorm, (4,), {}, (floats(3, 2, 4),), axes=(0, 1)),
    LayerCase(nn.RMSNorm, ((2, 4), 0.1, False), {}, (floats(3, 2, 4),), axes=(0,), note="of two axes"),
    LayerCase(nn.MaxPool1d, (2,), {}, (floats(2, 3, 6),), axes=(0, 1, 2)),
    LayerCase(
        nn.MaxPool1d,
        (3, 2, 1),
        {"dilation": 2, "ceil_mode": True},
        (floats(2, 8),),
        axes=(0, 1),
        note="ragged, unbatched",
    ),
    LayerCase(nn.MaxPool2d, ((2, 3), (2, 1)), {}, (floats(2, 2, 4, 5),), axes=(0, 1, 2, 3)),
    LayerCase(nn.AvgPool1d, (3, 2, 1), {}, (floats(2, 3, 7),), axes=(0, 1, 2)),
    LayerCase(
        nn.AvgPool1d,
        (3, 2, 1),
        {"ceil_mode": True, "count_include_pad": False},
        (floats(2, 3, 8),),
        axes=(0, 1, 2),
        note="ragged",
    ),
    LayerCase(nn.AvgPool2d, (2, 2, 1), {"ceil_mode": True}, (floats(2, 2, 5, 4),), axes=(0, 1, 2, 3)),
    LayerCase(nn.AvgPool2d, (2,), {"divisor_override": 3}, (floats(2, 5, 4),), axes=(0, 1, 2), note="divided"),
    LayerCase(nn.AdaptiveAvgPool1d, (3,), {}, (floats(2, 3, 7),), axes=(0, 1, 2)),
    LayerCase(nn.AdaptiveAvgPool1d, (1,), {}, (floats(2, 3, 4),), axes=(0, 1, 2), note="of all"),
    LayerCase(nn.AdaptiveAvgPool2d, ((2, None),), {}, (floats(2, 2, 5, 3),), axes=(0, 1, 2, 3)),
    LayerCase(nn.AdaptiveMaxPool1d, (3,), {}, (floats(2, 3, 7),), axes=(0, 1, 2)),
    LayerCase(nn.AdaptiveMaxPool1d, (1,), {}, (floats(3, 4),), axes=(0, 1), note="of all"),
    LayerCase(nn.Flatten, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Flatten, (0, 1), {}, (X,), axes=(0, 1, 2), note="of the first axes"),
    LayerCase(nn.Unflatten, (1, (2, -1)), {}, (floats(3, 4, 2),), axes=(0, 2)),
    LayerCase(nn.Dropout1d, (0.5,), {}, (floats(3, 8, 2),), deterministic=False, axes=(0, 1, 2)),
    LayerCase(nn.PReLU, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.SELU, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.CELU, (0.5,), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Mish, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Hardsigmoid, (), {}, (X,), torch=lambda t: torch_hard(t, lambda x: 1), axes=(0, 1, 2)),
    LayerCase(nn.Hardswish, (), {}, (X,), torch=lambda t: torch_hard(t, lambda x: x), axes=(0, 1, 2)),
    LayerCase(nn.Softsign, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Softmin, (-1,), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Tanhshrink, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Softshrink, (0.3,), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Hardshrink, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Threshold, (0.1, 20.0), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.ConstantPad1d, ((2, 0), 0.5), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.ZeroPad1d, (1,), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.ReflectionPad1d, (1,), {}, (floats(2, 3, 4),), axes=(0, 1, 2)),
    LayerCase(nn.ReplicationPad1d, ((1, 2),), {}, (floats(2, 3, 4),), axes=(0, 1, 2)),
    LayerCase(nn.CircularPad1d, (1,), {}, (floats(2, 3, 4),), axes=(0, 1, 2)),
    LayerCase(nn.CosineSimilarity, (-1,), {}, (floats(3, 4), floats(3, 4)), axes=(0, 1)),
    LayerCase(nn.PairwiseDistance, (), {"keepdim": True}, (floats(3, 4), floats(3, 4)), axes=(0, 1)),
    LayerCase(nn.MarginRankingLoss, (0.3,), {}, (floats(4), floats(4), np.array([1.0, -1.0, 1.0, -1.0]))),
    LayerCase(nn.HingeEmbeddingLoss, (1.5,), {"reduction": "sum"}, (floats(4), np.array([1, -1, 1, -1]))),
    LayerCase(nn.SoftMarginLoss, (), {}, (floats(4), np.array([1, -1, 1, -1]))),
    LayerCase(nn.PoissonNLLLoss, (), {}, (floats(4), np.array([1.0, 0.0, 2.0, 3.0]))),
    LayerCase(nn.Upsample, (), {"scale_factor": 2}, (floats(2, 3, 4),), axes=(0, 1, 2)),
    LayerCase(
        nn.Upsample, (7,), {"mode": "linear", "align_corners": True}, (floats(2, 3, 4),), axes=(0, 1), note="linear"
    ),
    LayerCase(nn.PReLU, (3, 0.1), {}, (X,), axes=(0, 2), note="of channels"),
    LayerCase(
        nn.TransformerEncoderLayer,
        (4, 2, 6, 0.5),
        {},
        (floats(3, 2, 4),),
        torch=lambda t: t.TransformerEncoderLayer(4, 2, 6, 0.5),
        deterministic=False,
        axes=(0, 1),
    ),
    LayerCase(
        nn.TransformerEncoderLayer,
        (4, 2, 6),
        {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True, "bias": False},
        (floats(2, 3, 4),),
        axes=(0, 1),
        note="norm first",
    ),
    LayerCase(
        Encoder,
        (),
        {},
        (floats(3, 2, 4),),
        torch=lambda t: t.TransformerEncoder(
            t.TransformerEncoderLayer(4, 2, 6, 0.0), 2, t.LayerNorm(4), enable_nested_tensor=False
        ),
        axes=(0, 1),
    ),
    LayerCase(nn.GaussianNLLLoss, (), {"full": True}, (floats(3, 2), floats(3, 2), chances(3, 2)), axes=(0, 1)),
    LayerCase(
        nn.GaussianNLLLoss, (), {"reduction": "none"}, (floats(3, 2), floats(3, 2), chances(3)), note="of each row"
    ),
    LayerCase(
        nn.GaussianNLLLoss, (), {"reduction": "sum"}, (floats(3, 2), floats(3, 2), chances(1, 2)), note="of each column"
    ),
    LayerCase(nn.TripletMarginLoss, (), {"margin": 0.7}, (floats(3, 2), floats(3, 2), floats(3, 2)), axes=(0, 1)),
    LayerCase(
        nn.TripletMarginLoss,
        (2.0, 1.0),
        {"swap": True, "reduction": "sum"},
        (floats(3, 2), floats(3, 2), floats(3, 2)),
        axes=(0, 1),
        note="swapped",
    ),
    LayerCase(nn.CosineEmbeddingLoss, (-0.5,), {}, (floats(3, 2), floats(3, 2), np.array([1, -1, -1])), axes=(0, 1)),
    LayerCase(
        nn.QuantileLoss, (0.9,), {}, (floats(3, 2), floats(3, 2)), torch=lambda t: torch_pinball(t, 0.9), axes=(0, 1)
    ),
    LayerCase(
        nn.QuantileLoss,
        ((0.1, 0.5), "sum"),
        {},
        (floats(3, 2), floats(3)),
        torch=lambda t: torch_pinball(t, (0.1, 0.5), "sum"),
        axes=(0,),
        note="of several",
    ),
    LayerCase(nn.MultiheadAttention, (4, 2), {}, (floats(3, 2, 4), floats(5, 2, 4), floats(5, 2, 4)), axes=(0, 1)),
    LayerCase(
        nn.MultiheadAttention,
        (4, 2),
        {"kdim": 3, "vdim": 5},
        (floats(3, 2, 4), floats(5, 2, 3), floats(5, 2, 5)),
        axes=(0, 1),
        note="features",
    ),
    LayerCase(
        nn.MultiheadAttention,
        (4, 2),
        {"batch_first": True, "bias": False},
        (floats(3, 2, 4), floats(3, 4, 4), floats(3, 4, 4), MASKED),
        axes=(0, 1),
        note="masked",
    ),
    LayerCase(
        nn.MultiheadAttention, (4, 1), {}, (floats(3, 4), floats(5, 4), floats(5, 4)), axes=(0,), note="unbatched"
    ),
    LayerCase(
        nn.MultiheadAttention,
        (4, 2, 0.5),
        {},
        (floats(3, 2, 4), floats(5, 2, 4), floats(5, 2, 4)),
        deterministic=False,
        note="with dropout",
    ),
    LayerCase(nn.ReLU, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Tanh, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Sigmoid, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.SiLU, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.LeakyReLU, (0.2,), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.ReLU6, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.LogSigmoid, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.GLU, (1,), {}, (X[:, :2],), axes=(0, 2)),
    LayerCase(nn.ELU, (0.7,), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.GELU, (), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.GELU, ("tanh",), {}, (X,), torch=lambda t: t.GELU(approximate="tanh"), note="by tanh"),
    LayerCase(nn.Softplus, (2.0, 1.0), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Hardtanh, (-0.5, 0.6), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Softmax, (1,), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.LogSoftmax, (-1,), {}, (X,), axes=(0, 1, 2)),
    LayerCase(nn.Identity, (), {}, (X,)),
    LayerCase(
        nn.Sequential,
        (),
        {},
        (X,),
        torch=lambda t: t.Sequential(),
        note="of nothing",
    ),
]

# Modules without a row: base classes, and containers that are not called.
BASES = (nn.Module, nn.RNNBase, nn.RNNCellBase, nn.ModuleDict, nn.ModuleList, nn.ParameterDict, nn.ParameterList)
