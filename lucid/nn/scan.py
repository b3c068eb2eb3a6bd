"""scan: runs a user-defined step over time.

Letters: T time, N batch, I input, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ShapeError, TraceError
from ..ops.creation import zeros
from ..ops.scan import scan as _scan
from ..tensor import Tensor
from ..tracer.mode import note
from ..tracer.subgraph import record
from ..tracer.tree import flatten, unflatten
from .cells import LSTMCell, RNNCellBase
from .utils.rnn import PackedSequence

__all__ = ["scan"]


def scan(step: Callable[..., Any], xs: Any, state: Any = None, *, reverse: bool = False) -> tuple[Any, Any]:
    """Runs a step over time, and passes its state from one step to the next.

    y_t, state_t = step(x_t, state_(t-1))

    It is equivalent to the loop ``for x in xs: y, state = step(x, state)``, including gradients of any order. But the
    step is recorded once, and is one op of the graph, whatever the length. So it exports as one ONNX Scan with a
    dynamic time axis, where a Python loop would be frozen at the example's length. Tensors that the step reads besides
    its arguments (parameters, encoder outputs) get their gradients too.

    The step must be the same at every time: it must not branch on values, nor convert a tensor to a Python number.

    Args:
        step: a function or module that takes x_t and the state, and returns the step's result and the next state; or a
            cell (`nn.RNNCell`, `nn.LSTMCell`, `nn.GRUCell`), whose result is its h.
        xs: a tensor, time first, or several nested in tuples, lists or dicts; x_t has the same structure.
        state: the initial state, a tensor or a nested structure of tensors; zeros for a cell if None.
        reverse: run backward in time; the results stay in the order of `xs`.

    Shape:
        xs: (T, *); x_t: (*); the state keeps its shapes and dtypes from step to step.
        The result: the results of the steps, each tensor stacked along a first axis T, in the same structure; the last
        state.

    Raises:
        ShapeError: there is no time step, the sequences differ in length, or the state changes its form.
        TraceError: the step converts a tensor to a Python number.
        TypeError: there is no sequence or no state.

    Source: the interface is that of jax.lax.scan, with PyTorch's order of arguments in a cell; ONNX operator Scan.

    Example:
        >>> def leaky(x, v):
        ...     v = 0.5 * v + x
        ...     return v, v
        >>> output, last = nn.scan(leaky, lucid.ones(4, 1), lucid.zeros(1))
        >>> output.flatten()
        tensor([1.   , 1.5  , 1.75 , 1.875])
        >>> output, (h, c) = nn.scan(nn.LSTMCell(3, 5), lucid.randn(7, 2, 3))
        >>> (output.shape, h.shape)
        ((7, 2, 5), (2, 5))
    """
    sequences, xs_structure = flatten(xs, _is_tensor)
    if not sequences or isinstance(xs, PackedSequence):
        raise TypeError(
            f"scan: xs must be tensors, time first; got {type(xs).__name__}"
            + ("; unpack it with nn.utils.rnn.pad_packed_sequence" if isinstance(xs, PackedSequence) else "")
        )
    if any(not x.ndim or x.shape[0] == 0 or x.shape[0] != sequences[0].shape[0] for x in sequences):
        raise ShapeError(
            "scan: the sequences must have one length, of at least one step, as their first axis; got shapes "
            + ", ".join(str(x.shape) for x in sequences)
        )
    if isinstance(step, RNNCellBase):
        note(sequences[0], "time", *("batch", None)[-sequences[0].ndim + 1 :])
        state = _zeros(step, sequences[0]) if state is None else state
        step = _stepping(step)
    states, structure = flatten(state, _is_tensor)
    if not states:
        raise TypeError(
            f"scan: the state must have a tensor; got {state!r}; a step without a state needs no scan, call it on xs"
        )

    def body(*tensors: Tensor) -> tuple[list[Tensor], Any]:
        held = unflatten(structure, iter(tensors[: len(states)]))
        result = step(unflatten(xs_structure, iter(tensors[len(states) :])), held)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(
                "scan: a step returns two things, what it gives and the next state; got "
                + (f"{len(result)}" if isinstance(result, (tuple, list)) else type(result).__name__)
            )
        given, following = result
        new, new_structure = flatten(following, _is_tensor)
        forms = [[(s.shape, str(s.dtype)) for s in tensors] for tensors in (states, new)]
        if new_structure != structure or forms[0] != forms[1]:
            raise ShapeError(
                f"scan: the state must keep its form from step to step; it was {_form(states)}, and the step made it "
                f"{_form(new)}" + ("" if forms[0] != forms[1] else ", nested in another way")
            )
        return new, given

    sample = [*states, *(x._sample(first=True) for x in sequences)]
    names = [*(f"state_{i}" for i in range(len(states))), *(f"x_{i}" for i in range(len(sequences)))]
    graph, rest, results = record(body, sample, names)
    if graph.reads:
        raise TraceError(
            "scan: the step turned a tensor into Python numbers, which would be the same at every time: "
            + ", ".join(str(read) for read in graph.reads)
        )
    found = _scan(
        *states, *sequences, *rest, body=graph, states=len(states), scanned=len(sequences), reverse=bool(reverse)
    )
    count = len(graph.outputs)
    outputs = unflatten(results.parts[1], iter(found[len(states) : count]))
    return outputs, unflatten(structure, iter(found[: len(states)]))


def _stepping(cell: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a cell as a step, whose result is its h."""

    def step(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        following = cell(x, state)
        return (following[0] if isinstance(following, tuple) else following), following

    return step


def _zeros(cell: RNNCellBase, x: Tensor) -> Any:
    """Returns the initial state of a cell."""
    state = zeros((*x.shape[1:-1], cell.hidden_size), dtype=x.dtype)
    return (state, state) if isinstance(cell, LSTMCell) else state


def _form(tensors: list[Tensor]) -> str:
    return ", ".join(f"{x.dtype}{list(x.shape)}" for x in tensors) or "nothing"


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)
