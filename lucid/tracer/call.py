"""Generates a specialized calling function for each op.

On small arrays the overhead of a call takes as long as the computation. So everything that follows from an op's
declaration (which arguments are inputs, which are optional, what the gradient rule reads) is decided once: `call_of`
compiles it into a Python function when the op is first called. To compile all ops at import would take longer than to
import NumPy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DtypeError, LucidError
from .described import described
from .mode import MODE
from .node import Node, Spec, Value
from .symbolic import call_symbolic
from .writes import CUT, LIVE, WRITES

if TYPE_CHECKING:
    from .op import Op
    from .trace import Trace

__all__ = ["call_of", "source_of"]

_NUMBERS = (bool, int, float)
"""The types of input that an op accepts besides tensors and arrays."""

_CALL = """\
def _call({parameters}):
    _grad, _trace = _MODE.get()
    if _LIVE:
        _follow({inputs})
    if _trace is not None and _trace.sizes is not None:
        return _symbolic(_op, {inputs}, {attrs}, _grad, _trace, _as_array)
    _needs = False
{take}
    try:
        _result = _forward({given})
    except _LucidError:
        raise
    except _ERRORS as _error:
        _op.explain({arrays}, {attrs}, _error)
    if _type(_result) is not _ndarray:
        _result = _as_arrays(_result)
    _needs = {needs}
    if _trace is None and not _needs:
        if _type(_result) is _tuple:
            _tensors = _tuple([_Tensor._wrap(_part) for _part in _result])
{link_all}
            return _tensors
        _tensor = _new(_Tensor)
        _tensor._data = _result
        _tensor._requires_grad = False
        _tensor._value = _tensor.grad = _tensor._base = None
{link}
        return _tensor
    if _trace is None:
{edges}
    else:
{captured}
    _kept, _saved = {{}}, None
    if _needs:
{keep}
        _saved = (_kept, {out}, {shapes})
    _tensors = _recorded(_op, {values}, {attrs}, _result, _saved, _trace)
{link_recorded}
    return _tensors
"""
"""Names with a leading underscore belong to the template; all others are inputs and attributes."""

_TAKE = """\
if _isinstance({x}, _Tensor):
    {data}
    if {x}._requires_grad:
        _needs = True
else:
    {array}
"""

_SHARES = "_result.base is {array} or _result.base is {array}.base is not None"
"""Whether a result is a view of an array, where it may be a copy."""

_EDGE = "({x}._value or {x}._leaf_value()) if _isinstance({x}, _Tensor) and {x}._requires_grad else _number({x})"
"""Outside a trace, a node's inputs are values that gradients flow to, numbers, or None for everything else."""

# A named tuple's own constructor takes three times as long.
_spec = functools.partial(tuple.__new__, Spec)


def call_of(op: Op[Any, Any]) -> Callable[..., Any]:
    """Returns the function that runs an op on Tensors, arrays and numbers, and records the call.

    It returns a Tensor, or a tuple of them if the op has several outputs. A node is recorded if a trace is active,
    or if gradients are enabled and some input requires one.
    """
    names: dict[str, Any] = {
        "_op": op,
        "_forward": op.forward,
        "_defaults": op.defaults,
        "_optional": op.optional,
        "_Tensor": op.tensor,
        "_Value": Value,
        "_LucidError": LucidError,
        "_ndarray": np.ndarray,
        "_new": object.__new__,
        # Builtins too: an input may be called `type`.
        "_ERRORS": (ValueError, IndexError, TypeError),
        **{f"_{builtin.__name__}": builtin for builtin in (enumerate, isinstance, tuple, type)},
        "_MODE": MODE,
        "_LIVE": LIVE,
        "_CUT": CUT,
        "_follow": op.tensor._follow,
        "_link": _link,
        "_as_array": _as_array,
        "_asarray": np.asarray,
        "_as_arrays": _as_arrays,
        "_number": _number,
        "_captured": _captured,
        "_recorded": _recorded,
        "_symbolic": call_symbolic,
    }
    # A name in lucid's folder, so that no line counts as the user's, but not a file, so that tracebacks show no lines.
    exec(compile(source_of(op), f"{__file__}:{op.name}", "exec"), names)
    call: Callable[..., Any] = names["_call"]
    call.__name__ = call.__qualname__ = op.name
    return call


def source_of(op: Op[Any, Any]) -> str:
    """Returns the Python source of an op's calling function.

    Example:
        >>> from lucid.tracer import OPS
        >>> from lucid.tracer.call import source_of
        >>> print(source_of(OPS["mul"]).split("try:")[0])
        def _call(x, y):
            _grad, _trace = _MODE.get()
            if _LIVE:
                _follow((x, y,))
            if _trace is not None and _trace.sizes is not None:
                return _symbolic(_op, (x, y,), _defaults, _grad, _trace, _as_array)
            _needs = False
            if _isinstance(x, _Tensor):
                _a0 = x._data
                if x._requires_grad:
                    _needs = True
            else:
                _a0 = _as_array(_op, x)
            if _isinstance(y, _Tensor):
                _a1 = y._data
                if y._requires_grad:
                    _needs = True
            else:
                _a1 = _as_array(_op, y)
        <BLANKLINE>
    """
    fixed = op.inputs[:-1] if op.variadic else op.inputs
    numbers = range(len(fixed))
    arrays = [f"_a{i}" for i in numbers]
    values = [f"_v{i}" for i in numbers]
    take = [_take(x, f"{array} = {{}}") for x, array in zip(fixed, arrays, strict=True)]
    edges = [f"{value} = {_EDGE.format(x=x)}" for x, value in zip(fixed, values, strict=True)]
    captured = [f"{value} = _captured(_op, {x}, _trace)" for x, value in zip(fixed, values, strict=True)]
    shapes = [f"{array}.shape if _type({array}) is _ndarray else ()" for array in arrays]
    keep = []
    for i in op.keeps_inputs:
        kept = f"_kept[{i}] = {arrays[i]}"
        if i in op.partners:
            other = values[op.partners[i]]
            kept = f"if _type({other}) is _Value and {other}.requires_grad:\n{indent(kept, '    ')}"
        keep.append(kept)
    if op.variadic:
        star = op.inputs[-1]
        take += ["_arrays = []", f"for _x in {star}:", indent(_take("_x", "_arrays.append({})"), "    ")]
        edges.append(f"_values = [{_EDGE.format(x='_x')} for _x in {star}]")
        captured.append(f"_values = [_captured(_op, _x, _trace) for _x in {star}]")
        shapes.append("*[_a.shape if _type(_a) is _ndarray else () for _a in _arrays]")
        if op.keeps_star:
            keep.append(f"_kept.update(_enumerate(_arrays, {len(fixed)}))")
        arrays.append("*_arrays")
        values.append("*_values")
    link = link_all = link_recorded = ""
    if op.view:
        # A view knows the tensor that it is a part of; `base_for` finds the one at the end of the chain.
        x = op.inputs[0]
        take[0] += f"    {x} = _Tensor(_asarray({arrays[0]}))\n"
        link_recorded = f"_link(_tensors, {x})"
        # What has no gradient, as what `detach` returns, is a view in a trace alone.
        if op.no_gradient is None:
            link = f"_tensor._base = {x} if _grad else _CUT"
            link_all = f"_link(_tensors, {x} if _grad else _CUT)"
        if op.view == "maybe":
            shares = f"if {_SHARES.format(array=arrays[0])}:"
            link, link_recorded = f"{shares}\n    {link}", f"{shares}\n    {link_recorded}"
    return _CALL.format(
        parameters=", ".join(_parameters(op, fixed)),
        take=_block(take, 1),
        given=", ".join([*arrays, *(f"{name}={name}" for name in op.attributes)]),
        arrays=_row(arrays),
        attrs=f"{{{', '.join(f'{name!r}: {name}' for name in op.attributes)}}}" if op.attributes else "_defaults",
        inputs=_row([*fixed, f"*{op.inputs[-1]}"] if op.variadic else list(fixed)),
        needs="_needs and _grad" if op.no_gradient is None else "False",
        edges=_block(edges, 2),
        captured=_block(captured, 2),
        keep=_block(keep, 2),
        out="(_result if _type(_result) is _tuple else (_result,))" if op.keeps_out else "()",
        shapes=_row(shapes) if op.keeps_shapes else "()",
        values=_row(values),
        link=_block([link], 2),
        link_all=_block([link_all], 3),
        link_recorded=_block([link_recorded], 1),
    )


def _take(x: str, put: str) -> str:
    """Returns the code that extracts an input's array; `put` stores it, as in ``_a0 = {}``."""
    return _TAKE.format(x=x, data=put.format(f"{x}._data"), array=put.format(f"_as_array(_op, {x})"))


def _parameters(op: Op[Any, Any], fixed: Iterable[str]) -> list[str]:
    """Returns the parameters: inputs, then attributes; keyword-only where they cannot be positional."""
    found = [f"{x}=_optional[{x!r}]" if x in op.optional else x for x in fixed]
    by_name = op.variadic
    if op.variadic:
        found.append(f"*{op.inputs[-1]}")
    for name in op.attributes:
        if name in op.defaults:
            found.append(f"{name}=_defaults[{name!r}]")
            continue
        if not by_name and any("=" in other for other in found):
            found.append("*")
            by_name = True
        found.append(name)
    return found


def _block(lines: Iterable[str], depth: int) -> str:
    return indent("\n".join(line.rstrip("\n") for line in lines) or "pass", "    " * depth)


def _row(parts: list[str]) -> str:
    return f"({', '.join(parts)},)" if parts else "()"


# --- helpers of the generated functions


def _as_array(op: Op[Any, Any], x: Any) -> Any:
    """Converts an input that is not a Tensor for the op's forward."""
    if x is None or type(x) in _NUMBERS:
        return x
    if isinstance(x, (np.ndarray, np.generic)):
        # A NumPy scalar takes part in dtype promotion, as in NumPy 2; a Python number does not.
        return np.asarray(x)
    raise DtypeError(f"{op.name}: expected Tensors, arrays or numbers; got {described(x)}")


def _as_arrays(result: Any) -> Any:
    """Returns a forward's result as an array or a tuple of arrays: NumPy turns arrays without axes into scalars."""
    return tuple([np.asarray(part) for part in result]) if type(result) is tuple else np.asarray(result)


def _number(x: Any) -> Any:
    return x if type(x) in _NUMBERS else None


def _captured(op: Op[Any, Any], x: Any, trace: Trace) -> Any:
    """Returns an input as a traced node stores it: a value for a tensor or array, a number, or None."""
    if x is None or type(x) in _NUMBERS:
        return x
    return trace.value_of(x if isinstance(x, op.tensor) else op.tensor(np.asarray(x)))


def _link(results: Any, base: Any) -> None:
    for result in results if type(results) is tuple else (results,):
        result._base = base


def _recorded(
    op: Op[Any, Any],
    inputs: tuple[Any, ...],
    attrs: dict[str, Any],
    result: Any,
    saved: Any,
    trace: Trace | None,
) -> Any:
    """Records a node and returns the op's results as Tensors.

    Args:
        op: the op that ran.
        inputs: its inputs as the node stores them: values, numbers or None.
        attrs: its attributes.
        result: the array that it returned, or a tuple of them.
        saved: what the gradient rule needs; None if no gradients are recorded.
        trace: the active trace, if any.
    """
    needs, stamp = saved is not None, WRITES.now
    results: Any
    if type(result) is tuple:
        node = Node(op, inputs, attrs, tuple([_spec((part.shape, part.dtype)) for part in result]), needs, saved, stamp)
        results = tuple([op.tensor._wrap(part, node.value(i)) for i, part in enumerate(result)])
    else:
        # The same for one result, inlined: the calls would take as long as everything else here.
        shape, dtype = spec = _spec((result.shape, result.dtype))
        node = Node(op, inputs, attrs, (spec,), needs, saved, stamp)
        results = object.__new__(op.tensor)
        results._data, results.grad, results._base = result, None, None
        results._requires_grad = needs = needs and dtype.kind == "f"
        results._value = Value(shape, dtype, needs, node)
    if trace is not None:
        trace.record(node)
    return results
