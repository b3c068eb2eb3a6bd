"""The simple recurrent layer, and the base class of all recurrent layers.

Letters: T time, N batch, I input, H hidden, L layers, D directions.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any, Literal

from ..devices import require_cpu
from ..errors import DtypeError, ShapeError
from ..ops.creation import zeros
from ..ops.gru import gru
from ..ops.lstm import lstm
from ..ops.random import dropout
from ..ops.recurrent import reverse_sequence, rnn
from ..ops.shape import cat, split, squeeze, transpose, unsqueeze
from ..tensor import Parameter, Tensor
from ..tracer.described import described
from ..tracer.mode import current_trace
from . import init
from .module import Module
from .utils.rnn import PackedSequence

__all__ = ["RNN", "RNNBase"]

Mode = Literal["RNN_TANH", "RNN_RELU", "LSTM", "GRU"]

State = tuple[Tensor | None, ...]
"""The state of one layer in D directions, each part (D, N, H), or None for zeros: h, or h and c."""

_GATES: dict[str, int] = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class RNNBase(Module):
    """The base class of recurrent layers: parameters, checks, stacking and batching (torch.nn.RNNBase).

    Args:
        mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
        input_size: I.
        hidden_size: H.
        num_layers: L; each layer reads the output of the one before.
        bias: whether to add b_ih and b_hh.
        batch_first: whether input and output are (N, T, *) instead of (T, N, *).
        dropout: the probability of zeroing an output of any layer but the last, in training.
        bidirectional: whether each layer runs in both directions, D = 2 of them, instead of D = 1.
        proj_size: the size P to which an LSTM projects h; 0 for no projection.
        device: "cpu".
        dtype: the dtype of the parameters.

    Raises:
        TypeError, ValueError: an argument has the wrong type or an invalid value.
    """

    input_names: tuple[str | tuple[str, ...], ...] = ("x", "h0")
    output_names: tuple[str | tuple[str, ...], ...] = ("output", "h_n")

    def __init__(
        self,
        mode: Mode,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        require_cpu(device)
        name = type(self).__name__
        if mode not in _GATES:
            raise ValueError(f"{name}: mode must be one of {', '.join(map(repr, _GATES))}; got {mode!r}")
        check_sizes(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_flags(name, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        if proj_size != 0:
            check_sizes(name, proj_size=proj_size)
            if mode != "LSTM" or proj_size >= hidden_size:
                raise ValueError(
                    f"{name}: proj_size is for LSTM, and smaller than hidden_size; got proj_size={proj_size}, "
                    f"hidden_size={hidden_size}"
                )
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be a probability in [0, 1]; got {dropout!r}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{name}: dropout acts on the outputs of all layers but the last, so dropout={dropout} does nothing "
                "with num_layers=1",
                stacklevel=3 if type(self) is not RNNBase else 2,
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        rows, size = _GATES[mode] * hidden_size, proj_size or hidden_size
        for k in range(num_layers):
            features = input_size if k == 0 else size * len(self._directions)
            for direction in self._directions:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, features), "weight_hh": (rows, size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for what, shape in shapes.items():
                    self.register_parameter(f"{what}_l{k}{direction}", Parameter(zeros(*shape, dtype=dtype)))
        self.reset_parameters()

    @property
    def _directions(self) -> tuple[str, ...]:
        """What the names of the parameters of each direction end with."""
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each direction of each layer: W_ih, W_hh, b_ih, b_hh, W_hr, as far as there are such."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        ends = [f"_l{k}{direction}" for k in range(self.num_layers) for direction in self._directions]
        own: Any = self._parameters
        return [[own[name + end] for name in names if name + end in own] for end in ends]

    def flatten_parameters(self) -> None:
        """Does nothing: in PyTorch it joins the parameters in memory for cuDNN."""

    def reset_parameters(self) -> None:
        """Reinitializes all parameters from U(-1/√H, 1/√H)."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters(recurse=False):
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:
        packed = isinstance(input, PackedSequence)
        x: Any
        x, lengths = (input.padded, input.lengths) if isinstance(input, PackedSequence) else (input, None)
        self._check_input(x, packed)
        batched = x.ndim == 3
        if not batched:
            x = unsqueeze(x, 1)
        elif self.batch_first and not packed:
            x = transpose(x, 0, 1)
        states = self._initial_states(hx, x, batched)
        last: list[State] = []
        for k in range(self.num_layers):
            if k and self.dropout and self.training:
                x = dropout(x, self.dropout)
            with _scope(f"l{k}"):
                x, state = self._layer(k, x, states[k], lengths)
            last.append(state)
        final = tuple([parts[0] if self.num_layers == 1 else cat(parts) for parts in zip(*last, strict=True)])
        if not batched:
            x, final = squeeze(x, 1), tuple([squeeze(part, 1) for part in final])
        elif packed:
            x = PackedSequence.of(x, input.lengths, input._sorted, is_zero_padded=True)  # type: ignore[union-attr]
        elif self.batch_first:
            x = transpose(x, 0, 1)
        return x, final if self.mode == "LSTM" else final[0]

    def _layer(self, k: int, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """Runs one layer, in one or both directions, over the whole sequence."""
        if not self.bidirectional:
            return self._direction(f"l{k}", x, state, lengths)
        # The exporter finds these ops, and makes one operator of them.
        ahead, back = zip(*[(None, None) if part is None else split(part, 1) for part in state], strict=True)
        output, last = self._direction(f"l{k}", x, ahead, lengths)
        reverse, last_back = self._direction(f"l{k}_reverse", reverse_sequence(x, lengths), back, lengths)
        output = cat((output, reverse_sequence(reverse, lengths)), -1)
        return output, tuple([cat(pair) for pair in zip(last, last_back, strict=True)])  # type: ignore[arg-type]

    def _direction(self, name: str, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """Runs one direction of a layer over the whole sequence."""
        own = self._parameters
        weight_ih, weight_hh = own[f"weight_ih_{name}"], own[f"weight_hh_{name}"]
        bias_ih, bias_hh = own.get(f"bias_ih_{name}"), own.get(f"bias_hh_{name}")
        if self.mode == "LSTM":
            output, h, c, _, _ = lstm(x, state[0], state[1], weight_ih, weight_hh, bias_ih, bias_hh, lengths)
            return output, (h, c)
        if self.mode == "GRU":
            output, h, _, _ = gru(x, state[0], weight_ih, weight_hh, bias_ih, bias_hh, lengths)
            return output, (h,)
        activation: Literal["tanh", "relu"] = "tanh" if self.mode == "RNN_TANH" else "relu"
        output, h = rnn(x, state[0], weight_ih, weight_hh, bias_ih, bias_hh, lengths, nonlinearity=activation)
        return output, (h,)

    def _check_input(self, x: Any, packed: bool) -> None:
        name = type(self).__name__
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: input must be a Tensor or a PackedSequence; got {described(x)}")
        if x.ndim not in ((3,) if packed else (2, 3)):
            raise ShapeError(f"{name}: input must have {'3' if packed else '2 or 3'} axes; got shape {x.shape}")
        leading = (
            "seq_len" if x.ndim == 2 else "batch, seq_len" if self.batch_first and not packed else "seq_len, batch"
        )
        expected = f"({leading}, {self.input_size})"
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input has {x.shape[-1]} features in its last axis, but input_size is {self.input_size}; "
                f"got shape {x.shape}, expected {expected}"
            )
        if x.shape[1 if x.ndim == 3 and self.batch_first and not packed else 0] == 0:
            raise ShapeError(
                f"{name}: input has no time steps, at least one is needed; got shape {x.shape}, as {expected}"
            )
        dtype = self._parameters["weight_ih_l0"].dtype  # type: ignore[union-attr]
        if x.dtype != dtype:
            raise DtypeError(
                f"{name}: input has dtype {x.dtype}, but the parameters have {dtype}; convert the input with "
                f"input.to('{dtype}'), or the module with module.to('{x.dtype}')"
            )

    def _initial_states(self, hx: Any, x: Tensor, batched: bool) -> list[State]:
        """Returns the initial state of each layer."""
        if self.mode != "LSTM":
            return list(zip(self._initial_state("hx", hx, x, batched, "hidden_size")))
        if hx is None:
            return [(None, None)] * self.num_layers
        if not isinstance(hx, (tuple, list)) or len(hx) != 2:
            got = f"{len(hx)} parts" if isinstance(hx, (tuple, list)) else type(hx).__name__
            raise TypeError(f"{type(self).__name__}: hx must be a tuple (h_0, c_0) or None; got {got}")
        sizes = ("proj_size" if self.proj_size else "hidden_size", "hidden_size")
        parts = [
            self._initial_state(name, part, x, batched, size)
            for name, part, size in zip(("h_0", "c_0"), hx, sizes, strict=True)
        ]
        return list(zip(*parts, strict=True))

    def _initial_state(self, what: str, hx: Any, x: Tensor, batched: bool, size: str) -> list[Tensor | None]:
        """Returns one part of the initial state of each layer, (D, N, H) or (D, N, P), or None for zeros."""
        if hx is None:
            return [None] * self.num_layers
        name = type(self).__name__
        if not isinstance(hx, Tensor):
            raise TypeError(f"{name}: {what} must be a Tensor or None; got {type(hx).__name__}")
        if hx.dtype != x.dtype:
            raise DtypeError(f"{name}: {what} has dtype {hx.dtype}, but input has {x.dtype}")
        directions, batch, hidden = len(self._directions), x.shape[1], getattr(self, size)
        count, leading = self.num_layers * directions, "num_layers * 2" if self.bidirectional else "num_layers"
        if not batched:
            if hx.shape != (count, hidden):
                raise ShapeError(f"{name}: {what} must be {(count, hidden)} ({leading}, {size}); got {hx.shape}")
            hx = unsqueeze(hx, 1)
        elif hx.ndim == 2 and not self.bidirectional:
            if hx.shape != (batch, hidden):
                raise ShapeError(f"{name}: a 2-D {what} must be {(batch, hidden)} (batch, {size}); got {hx.shape}")
            return [unsqueeze(hx, 0), *[None] * (count - 1)]
        elif hx.shape != (count, batch, hidden):
            raise ShapeError(
                f"{name}: {what} must be {(count, batch, hidden)} ({leading}, batch, {size}); got {hx.shape}"
            )
        return [hx] if count == directions else list(split(hx, directions))

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        if self.proj_size:
            defaults = {"proj_size": 0, **defaults}
        parts += [
            f"{name}={getattr(self, name)}" for name, default in defaults.items() if getattr(self, name) != default
        ]
        return ", ".join(parts)


class RNN(RNNBase):
    """A simple recurrent layer, or a stack of them (torch.nn.RNN).

    h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: L; each layer reads the output of the one before.
        nonlinearity: f, "tanh" or "relu".
        bias: whether to add b_ih and b_hh.
        batch_first: whether input and output are (N, T, *) instead of (T, N, *). It does not apply to the state.
        dropout: the probability of zeroing an output of any layer but the last, in training.
        bidirectional: whether each layer also runs backward, from the end of each sequence, with weights of its own: D
            is 2 instead of 1. It cannot run as a stream.
        device: "cpu".
        dtype: the dtype of the parameters; float32 if None.

    Shape:
        input: (T, N, I), or (N, T, I) if batch_first, or (T, I), or a PackedSequence.
        hx: (D L, N, H), first all directions of the first layer; zeros if omitted. For input (T, I) it is (D L, H).
        With D = 1, (N, H) is the state of the first layer, and the others start from zeros.
        output: as the input, with D H features; h_n: as hx, (D L, N, H).
        weight_ih_l{k}: (H, I), from the second layer on (H, D H); weight_hh_l{k}: (H, H); bias_ih_l{k}, bias_hh_l{k}:
        (H,). Those of the backward direction end with _reverse. All drawn from U(-1/√H, 1/√H).

    Raises:
        TypeError, ValueError: an argument has the wrong type or an invalid value.
        ShapeError, DtypeError: at the call, if input or hx does not fit.

    Source: J. L. Elman (1990), "Finding structure in time", Cognitive Science 14; ONNX operator RNN.

    Example:
        >>> seq = lucid.randn(4, 6, 10)
        >>> rnn = nn.RNN(input_size=10, hidden_size=12, batch_first=True)
        >>> output, h_n = rnn(seq)
        >>> output.shape
        (4, 6, 12)
        >>> h_n.shape
        (1, 4, 12)
        >>> seq = lucid.randn(5, 3, 8)
        >>> h0 = lucid.zeros(2, 3, 6)
        >>> rnn = nn.RNN(input_size=8, hidden_size=6, num_layers=2, nonlinearity="relu", dropout=0.2)
        >>> output, h_n = rnn(seq, h0)
        >>> (output.shape, h_n.shape)
        ((5, 3, 6), (2, 3, 6))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu'; got {nonlinearity!r}")
        mode: Mode = "RNN_TANH" if nonlinearity == "tanh" else "RNN_RELU"
        super().__init__(
            mode,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        extra = super().extra_repr()
        return f"{extra}, nonlinearity={self.nonlinearity}" if self.nonlinearity != "tanh" else extra


def check_sizes(name: str, **sizes: Any) -> None:
    """Raises an error for sizes that are not positive ints."""
    for argument, n in sizes.items():
        if not isinstance(n, int) or isinstance(n, bool):
            raise TypeError(f"{name}: {argument} must be an int; got {n!r} ({type(n).__name__})")
        if n <= 0:
            raise ValueError(f"{name}: {argument} must be positive; got {n}")


def check_flags(name: str, **flags: Any) -> None:
    """Raises an error for flags that are not bools."""
    for argument, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name}: {argument} must be a bool; got {flag!r} ({type(flag).__name__})")


def _scope(name: str) -> Any:
    trace = current_trace()
    return nullcontext() if trace is None else trace.scope(name)
