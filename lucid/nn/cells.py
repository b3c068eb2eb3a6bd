"""Recurrent cells: modules that compute one step, with one op.

Letters: N batch, I input, H hidden.
"""

from __future__ import annotations

from typing import Any, Literal

from ..devices import require_cpu
from ..errors import DtypeError, ShapeError
from ..ops.cells import gru_cell, lstm_cell, rnn_cell
from ..ops.creation import zeros
from ..tensor import Parameter, Tensor
from ..tracer.mode import note
from . import init
from .module import Module
from .rnn import check_flags, check_sizes

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """The base class of all cells: parameters and checks (torch.nn.RNNCellBase).

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether to add b_ih and b_hh.
        num_chunks: how many gates there are.
        device: "cpu".
        dtype: the dtype of the parameters.

    Raises:
        TypeError, ValueError: an argument has the wrong type or an invalid value.
    """

    input_names: tuple[str | tuple[str, ...], ...] = ("x", "h")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        num_chunks: int = 1,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        require_cpu(device)
        name = type(self).__name__
        check_sizes(name, input_size=input_size, hidden_size=hidden_size)
        check_flags(name, bias=bias)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(zeros(rows, input_size, dtype=dtype))
        self.weight_hh = Parameter(zeros(rows, hidden_size, dtype=dtype))
        self.register_parameter("bias_ih", Parameter(zeros(rows, dtype=dtype)) if bias else None)
        self.register_parameter("bias_hh", Parameter(zeros(rows, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reinitializes all parameters from U(-1/√H, 1/√H)."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters(recurse=False):
            init.uniform_(parameter, -bound, bound)

    def _checked(self, input: Any, states: dict[str, Any]) -> tuple[Any, ...]:
        """Checks the arguments, and returns the states, with zeros for those that are None."""
        name, x = type(self).__name__, input
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: input must be a Tensor; got {type(x).__name__}")
        if x.ndim not in (1, 2):
            raise ShapeError(f"{name}: input must have 1 or 2 axes; got shape {x.shape}")
        if x._extent[-1] != self.input_size:
            expected = "(input_size,)" if x.ndim == 1 else "(batch, input_size)"
            raise ShapeError(
                f"{name}: input has {x.shape[-1]} features in its last axis, but input_size is {self.input_size}; got "
                f"shape {x.shape}, expected {expected}"
            )
        dtype = self._parameters["weight_ih"].dtype  # type: ignore[union-attr]
        if x.dtype != dtype:
            raise DtypeError(
                f"{name}: input has dtype {x.dtype}, but the parameters have {dtype}; convert the input with "
                f"input.to('{dtype}'), or the module with module.to('{x.dtype}')"
            )
        note(x, *_AXES[-x.ndim :])
        # A size of the input, so that the zeros follow it when the batch is dynamic.
        shape = (*x._extent[:-1], self.hidden_size)
        checked = []
        for what, state in states.items():
            if state is None:
                checked.append(zeros(shape, dtype=x.dtype))
                continue
            if not isinstance(state, Tensor):
                raise TypeError(f"{name}: {what} must be a Tensor or None; got {type(state).__name__}")
            if state._extent != shape:
                expected = "(hidden_size,)" if x.ndim == 1 else "(batch, hidden_size)"
                raise ShapeError(f"{name}: {what} must be {shape} {expected}; got {state.shape}")
            if state.dtype != x.dtype:
                raise DtypeError(f"{name}: {what} has dtype {state.dtype}, but input has {x.dtype}")
            checked.append(state)
        return tuple(checked)

    def _weights(self) -> tuple[Any, Any, Any, Any]:
        own = self._parameters
        return own["weight_ih"], own["weight_hh"], own["bias_ih"], own["bias_hh"]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


_AXES = ("batch", None)
"""The names of the axes of an input and of a state, the last of which is that of the features."""


def _stepped(*states: tuple[Tensor, Tensor]) -> None:
    """Notes that each of several states goes on as another tensor."""
    for state, following in states:
        note(state, *_AXES[-state.ndim :], next=following)


class RNNCell(RNNCellBase):
    """Computes one step of a simple recurrent layer (torch.nn.RNNCell).

    h' = f(W_ih x + b_ih + W_hh h + b_hh)

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether to add b_ih and b_hh.
        nonlinearity: f, "tanh" or "relu".
        device: "cpu".
        dtype: the dtype of the parameters; float32 if None.

    Shape:
        input: (N, I) or (I,); hx: (N, H) or (H,), zeros if omitted; h': as hx.
        weight_ih: (H, I); weight_hh: (H, H); bias_ih, bias_hh: (H,); all drawn from U(-1/√H, 1/√H).

    Raises:
        TypeError, ValueError: an argument has the wrong type or an invalid value.
        ShapeError, DtypeError: at the call, if input or hx does not fit.

    Example:
        >>> cell = nn.RNNCell(10, 20)
        >>> h = lucid.zeros(3, 20)
        >>> for x in lucid.randn(6, 3, 10):
        ...     h = cell(x, h)
        >>> h.shape
        (3, 20)
    """

    output_names = ("h_next",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: nonlinearity must be 'tanh' or 'relu'; got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, 1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        (h,) = self._checked(input, {"hx": hx})
        h_next = rnn_cell(input, h, *self._weights(), nonlinearity=self.nonlinearity)
        _stepped((h, h_next))
        return h_next

    def extra_repr(self) -> str:
        extra = super().extra_repr()
        return f"{extra}, nonlinearity={self.nonlinearity}" if self.nonlinearity != "tanh" else extra


class LSTMCell(RNNCellBase):
    """Computes one step of an LSTM layer (torch.nn.LSTMCell).

    i, f, g, o = W_ih x + b_ih + W_hh h + b_hh
    c' = σ(f) c + σ(i) tanh(g)
    h' = σ(o) tanh(c')

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether to add b_ih and b_hh.
        device: "cpu".
        dtype: the dtype of the parameters; float32 if None.

    Shape:
        input: (N, I) or (I,); hx: the tuple (h, c), each (N, H) or (H,), zeros if omitted; the result: the tuple
        (h', c'), likewise.
        weight_ih: (4H, I); weight_hh: (4H, H); bias_ih, bias_hh: (4H,); all drawn from U(-1/√H, 1/√H).

    Raises:
        TypeError, ValueError: an argument has the wrong type or an invalid value.
        ShapeError, DtypeError: at the call, if input or hx does not fit.

    Example:
        >>> cell = nn.LSTMCell(10, 20)
        >>> h, c = cell(lucid.randn(3, 10))
        >>> h, c = cell(lucid.randn(3, 10), (h, c))
        >>> (h.shape, c.shape)
        ((3, 20), (3, 20))
    """

    input_names = ("x", ("h", "c"))
    output_names = ("h_next", "c_next")

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            got = f"{len(hx)} parts" if isinstance(hx, (tuple, list)) else type(hx).__name__
            raise TypeError(f"LSTMCell: hx must be a tuple (h, c) or None; got {got}")
        h, c = self._checked(input, dict(zip(("h", "c"), hx or (None, None), strict=True)))
        h_next, c_next, _ = lstm_cell(input, h, c, *self._weights())
        _stepped((h, h_next), (c, c_next))
        return h_next, c_next


class GRUCell(RNNCellBase):
    """Computes one step of a GRU layer (torch.nn.GRUCell).

    r = σ(W_ir x + b_ir + W_hr h + b_hr)
    z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))
    h' = (1 - z) n + z h

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether to add b_ih and b_hh.
        device: "cpu".
        dtype: the dtype of the parameters; float32 if None.

    Shape:
        input: (N, I) or (I,); hx: (N, H) or (H,), zeros if omitted; h': as hx.
        weight_ih: (3H, I); weight_hh: (3H, H); bias_ih, bias_hh: (3H,); all drawn from U(-1/√H, 1/√H).

    Raises:
        TypeError, ValueError: an argument has the wrong type or an invalid value.
        ShapeError, DtypeError: at the call, if input or hx does not fit.

    Example:
        >>> nn.GRUCell(10, 20)(lucid.randn(3, 10)).shape
        (3, 20)
    """

    output_names = ("h_next",)

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        (h,) = self._checked(input, {"hx": hx})
        h_next, _, _ = gru_cell(input, h, *self._weights())
        _stepped((h, h_next))
        return h_next
