"""Generates a specialized calling function for each op.

On small arrays the overhead of a call takes as long as the computation. So everything that follows from an op's
declaration (which arguments are inputs, which are optional, what the gradient rule reads) is decided once: `call_of`
compiles it into a Python function when the op is first called. To compile all ops at import would take longer than to
import NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LucidError
from .mode import MODE
from .node import Value
from .operands import (
    NUMBERS,
    as_array,
    as_arrays,
    captured,
    lacks,
    link,
    number_of,
    operand,
    recorded,
    wrap_array,
)
from .promotion import SETTLED, SETTLED_FLOATS, promoted, refuse_unlike
from .symbolic import call_symbolic
from .writes import CUT, LIVE

if TYPE_CHECKING:
    from .op import Op

__all__ = ["call_of", "source_of"]

NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}
"""NumPy's names of attributes; an op takes these, too, as in PyTorch."""

_MISSING = object()
"""The value of an attribute without a default that may be given by another name."""

_CALL = """\
def _call({parameters}):
{renamed}    _grad, _trace = _MODE.get()
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
    _needs = {needs}
    if _type(_result) is not _ndarray:
        _result = _as_arrays(_result)
        if _type(_result) is _tuple and _trace is None and not _needs:
            _tensors = _tuple([_Tensor._wrap(_part) for _part in _result])
{link_all}
            return _tensors
{after}    if _trace is None and not _needs:
        _tensor = _new(_Tensor)
        _tensor._data = _result
        _tensor._requires_grad = False
        _tensor._value = _tensor.grad = _tensor._axes = _tensor._base = None
{link}        return _tensor
    if _trace is None:
{edges}
    else:
{captured}
    _kept, _saved = {{}}, None
    if _needs:
{keep}
        _saved = (_kept, {out}, {shapes})
    _tensors = _recorded(_op, {values}, {attrs}, _result, _saved, _trace)
{link_recorded}    return _tensors
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

_TAKE_WITH_DTYPE = """\
if _isinstance({x}, _Tensor):
    {array} = {x}._data
    {dtype} = {array}.dtype
    if {x}._requires_grad:
        _needs = True
else:
    {other}
"""
"""For an input whose dtype matters; of one that is no tensor, it is the type."""

_CHECKED = """\
{dtype} = _type({x})
    if {dtype} in _PLAIN:
        {array} = {x}
    else:
        {x}, {array}, {dtype} = _operand(_op, {x})"""
_UNCHECKED = "{array} = {x}\n    {dtype} = _type({x})"
"""Beside a checked one, an unchecked input that is no number is found, since the two are not settled."""

_PROMOTE = """\
if {condition} and (_given := _promoted(_op, {inputs})) is not None:
    return _call(*_given{attrs})
"""

_SHARES = "_result.base is {array} or _result.base is {array}.base is not None"
"""Whether a result is a view of an array, where it may be a copy."""

_EDGE = "({x}._value or {x}._leaf_value()) if _isinstance({x}, _Tensor) and {x}._requires_grad else _number({x})"
"""Outside a trace, a node's inputs are values that gradients flow to, numbers, or None for everything else."""


def call_of(op: Op[Any, Any]) -> Callable[..., Any]:
    """Returns the function that runs an op on Tensors, arrays and numbers, and records the call.

    It returns a Tensor, or a tuple of them if the op has several outputs. A node is recorded if a trace is active,
    or if gradients are enabled and some input requires one.
    """
    names: dict[str, Any] = {
        "_op": op,
        "_forward": op.ufunc or op.forward,
        "_defaults": op.defaults,
        "_optional": op.optional,
        "_missing": _MISSING,
        "_lacks": lacks,
        "_variant": op.variant and op.variant[1],
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
        "_link": link,
        "_as_array": as_array,
        "_wrap_array": wrap_array,
        "_as_arrays": as_arrays,
        "_number": number_of,
        "_captured": captured,
        "_recorded": recorded,
        "_symbolic": call_symbolic,
        "_PLAIN": NUMBERS | {type(None)},
        "_none": type(None),
        "_operand": operand,
        "_promoted": promoted,
        "_refuse_unlike": refuse_unlike,
        "_settled": SETTLED_FLOATS if op.gives_floats else SETTLED,
        "_float32": np.dtype(np.float32),
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
                _d0 = _a0.dtype
                if x._requires_grad:
                    _needs = True
            else:
                _d0 = _type(x)
                if _d0 in _PLAIN:
                    _a0 = x
                else:
                    x, _a0, _d0 = _operand(_op, x)
            if _isinstance(y, _Tensor):
                _a1 = y._data
                _d1 = _a1.dtype
                if y._requires_grad:
                    _needs = True
            else:
                _a1 = y
                _d1 = _type(y)
            if _d0 is not _d1 and (_d0, _d1) not in _settled and (_given := _promoted(_op, (x, y,))) is not None:
                return _call(*_given)
        <BLANKLINE>
    """
    fixed = op.inputs[:-1] if op.variadic else op.inputs
    numbers = range(len(fixed))
    arrays = [f"_a{i}" for i in numbers]
    values = [f"_v{i}" for i in numbers]
    take = []
    for i, (x, array) in enumerate(zip(fixed, arrays, strict=True)):
        if i in op.promoted or i in op.alike:
            other = _UNCHECKED if i in op.promoted[1:] else _CHECKED
            take.append(_TAKE_WITH_DTYPE.replace("{other}", other).format(x=x, array=array, dtype=f"_d{i}"))
        else:
            take.append(_take(x, f"{array} = {{}}"))
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
    inputs = _row([*fixed, f"*{op.inputs[-1]}"] if op.variadic else list(fixed))
    before, after = _promotion(op, inputs)
    link = link_all = link_recorded = ""
    if op.view:
        # A view knows the tensor that it is a part of; `base_for` finds the one at the end of the chain.
        x = op.inputs[0]
        take[0] += f"    {x} = _wrap_array(_op, {arrays[0]})\n"
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
        renamed=_renamed(op, inputs),
        take=_block(take + before, 1),
        given=", ".join([*arrays, *(f"{name}={name}" for name in op.attributes)]),
        after=_block(after, 1) + "\n" if after else "",
        arrays=_row(arrays),
        attrs=f"{{{', '.join(f'{name!r}: {name}' for name in op.attributes)}}}" if op.attributes else "_defaults",
        inputs=inputs,
        needs="_needs and _grad" if op.no_gradient is None else "False",
        edges=_block(edges, 2),
        captured=_block(captured, 2),
        keep=_block(keep, 2),
        out="(_result if _type(_result) is _tuple else (_result,))" if op.keeps_out else "()",
        shapes=_row(shapes) if op.keeps_shapes else "()",
        values=_row(values),
        link=_block([link], 2) + "\n" if link else "",
        link_all=_block([link_all], 3),
        link_recorded=_block([link_recorded], 1) + "\n" if link_recorded else "",
    )


def _take(x: str, put: str) -> str:
    """Returns the code that extracts an input's array; `put` stores it, as in ``_a0 = {}``."""
    return _TAKE.format(x=x, data=put.format(f"{x}._data"), array=put.format(f"_as_array(_op, {x})"))


def _promotion(op: Op[Any, Any], inputs: str) -> tuple[list[str], list[str]]:
    """Returns the code that converts inputs to one dtype: before the forward runs, and after it. See `promotion`."""
    kinds = [f"_d{i}" for i in (op.alike or op.promoted)]
    if op.alike:
        pairs = [f"({kinds[0]} is not {kind} and {kind} is not _none)" for kind in kinds[1:]]
        return [f"if {' or '.join(pairs)}:\n    _refuse_unlike(_op, {inputs})"], []
    if not op.promoted:
        return [], []
    if op.variadic:
        # What joins to the dtype of the first needs no conversion.
        condition = "_result.dtype is not _arrays[0].dtype"
    elif len(kinds) == 1:
        condition = f"{kinds[0]} is not _float32 and {kinds[0]} not in _settled"
    else:
        equal = "({0} is not {1} or {0} is not _float32)" if op.gives_floats else "{0} is not {1}"
        tests = [f"{equal.format(x, y)} and ({x}, {y}) not in _settled" for x, y in combinations(kinds, 2)]
        condition = tests[0] if len(tests) == 1 else f"({' or '.join(tests)})"
    attrs = "".join(f", {name}={name}" for name in op.attributes)
    code = [_PROMOTE.format(condition=condition, inputs=inputs, attrs=attrs)]
    return ([], code) if op.variadic else (code, [])


def _parameters(op: Op[Any, Any], fixed: Iterable[str]) -> list[str]:
    """Returns the parameters: inputs, then attributes; keyword-only where they cannot be positional."""
    found = [f"{x}=_optional[{x!r}]" if x in op.optional else x for x in fixed]
    by_name = op.variadic
    if op.variadic:
        found.append(f"*{op.inputs[-1]}")
    aliases = _aliases(op)
    for name in op.attributes:
        if name in op.defaults or name in aliases.values():
            found.append(f"{name}=_defaults[{name!r}]" if name in op.defaults else f"{name}=_missing")
            continue
        if not by_name and any("=" in other for other in found):
            found.append("*")
            by_name = True
        found.append(name)
    named = [*aliases, *([op.variant[0]] if op.variant else [])]
    if named:
        found += [*([] if by_name else ["*"]), *(f"{name}=None" for name in named)]
    return found


def _aliases(op: Op[Any, Any]) -> dict[str, str]:
    known = (*op.inputs, *op.attributes)
    return {other: own for other, own in NUMPY_NAMES.items() if own in op.attributes and other not in known}


def _renamed(op: Op[Any, Any], inputs: str) -> str:
    """Returns the code that takes attributes by their other names, and hands over the calls of another function."""
    lines = []
    for other, own in _aliases(op).items():
        lines.append(f"if {other} is not None:\n    {own} = {other}")
        if own not in op.defaults:
            lines.append(f"elif {own} is _missing:\n    _lacks(_op, {own!r})")
    if op.variant is not None:
        given = [
            *inputs[1:-1].rstrip(", ").split(", "),
            *(f"{name}={name}" for name in (*op.attributes, op.variant[0])),
        ]
        lines.append(f"if {op.variant[0]} is not None:\n    return _variant({', '.join(given)})")
    return _block(lines, 1) + "\n" if lines else ""


def _block(lines: Iterable[str], depth: int) -> str:
    return indent("\n".join(line.rstrip("\n") for line in lines) or "pass", "    " * depth)


def _row(parts: list[str]) -> str:
    return f"({', '.join(parts)},)" if parts else "()"
