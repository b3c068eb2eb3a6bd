"""Pulls: the gradient rule of an op, run on arrays.

Most gradients are not recorded. Then a rule need not compute with Tensors: Python's operators do the same with arrays,
and so do the forwards of the ops that a rule calls. `on_arrays` takes the code of a rule and gives it these forwards in
place of the ops, so one rule serves both. What asks for more than ops and operators runs on Tensors, as when a gradient
is recorded.

Like a call of an op, a pull is a function that is generated for the op: on small arrays, to look up what a rule needs
would take longer than the rule.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from ..errors import GradientError
from .node import FREED, Node, Value
from .op import OPS, Op
from .operands import NUMBERS
from .writes import WRITES

Array = np.ndarray[Any, Any]

__all__ = ["as_gradient", "on_arrays", "pull_of", "run_rule"]

Pull = Callable[[Node, Any], Sequence[Any]]
"""Takes a node and the gradient of its result, an array, or a list of them, with None, for several results. Returns the
gradients of its inputs, arrays or None."""

_ALIKE = frozenset({"T", "dtype", "ndim", "shape"})
"""The attributes that arrays and Tensors have alike."""

_BUILTINS = {
    f.__name__: f for f in (enumerate, int, isinstance, len, list, max, min, range, reversed, slice, sorted, tuple, zip)
}

_PLAIN = frozenset((np.ndarray, np.float32, np.float64, bool, int, float))
"""The types that a gradient rule must not return: a graph does not record them."""

_PULL = """\
def _pull(_node, g):
    _saved = _node.saved
    if _saved is _FREED or _node.stamp != _WRITES.now:
        _check(_node)
    _kept, _out, _shapes = _saved
    if _type(g) is _list:
        _given = g
        g = _tuple(g)
        _dtype = _common((*g, *_out))
    else:
        _given = [g]
        _dtype = g.dtype
{take}
    if {alike}:
        _result = _rule({given})
        if _type(_result) is _tuple and _len(_result) == {count}:
            return _result
        return _checked(_op, _result, {count})
    return _on_tensors(_node, _given)
"""
"""Names with a leading underscore belong to the template; all others are parameters of the rule."""

_SAME = "({x} is None or _type({x}) in _NUMBERS or {x}.dtype is _dtype)"


def pull_of(op: Op[Any, Any]) -> Pull:
    """Returns the function that runs the gradient rule of an op where nothing records it."""
    if op.pull is None:
        op.pull = _generated(op)
    return op.pull


def _generated(op: Op[Any, Any]) -> Pull:
    rule = None if op.rule is None or op.variadic else on_arrays(op.rule)
    if rule is None:
        return lambda node, g: _on_tensors(node, g if type(g) is list else [g])
    take, given, arrays = [], [], []
    for kind, key in op.plan:
        name = key if kind == "attribute" else op.inputs[key] if kind == "input" else kind
        if kind == "input":
            take.append(f"{name} = _kept.get({key})")
            arrays.append(name)
        elif kind == "out":
            take.append("out = _out[0] if _type(g) is not _tuple else _out")
        elif kind == "needs":
            take.append("needs = _tuple([_type(_v) is _Value and _v.requires_grad for _v in _node.inputs])")
        elif kind == "shapes":
            take.append("shapes = _shapes")
        elif kind == "attribute":
            take.append(f"{name} = _node.attrs[{key!r}]")
        given.append(name)
    names: dict[str, Any] = {
        "_op": op,
        "_rule": rule,
        "_on_tensors": _on_tensors,
        "_check": _check_saved,
        "_checked": _check_result,
        "_FREED": FREED,
        "_WRITES": WRITES,
        "_NUMBERS": NUMBERS,
        "_floats": _FLOATS,
        "_common": _common,
        "_Value": Value,
        "_len": len,
        "_list": list,
        "_tuple": tuple,
        "_type": type,
    }
    source = _PULL.format(
        take="\n".join(f"    {line}" for line in take) or "    pass",
        alike=" and ".join(["_dtype in _floats", *[_SAME.format(x=x) for x in arrays]]),
        given=", ".join(given),
        count=len(op.inputs),
    )
    exec(compile(source, f"{__file__}:{op.name}", "exec"), names)
    pull: Pull = names["_pull"]
    return pull


_FLOATS = frozenset({np.dtype(np.float32), np.dtype(np.float64)})


def _common(arrays: Iterable[Any]) -> Any:
    """Returns the dtype of some arrays, of which some may be None; None if they differ."""
    found = {array.dtype for array in arrays if array is not None}
    return found.pop() if len(found) == 1 else None


def on_arrays(rule: Callable[..., Any]) -> Callable[..., Any] | None:
    """Returns a rule as a function of arrays: the same code, in which each op is its forward.

    None if the code does anything else than to compute with operators, ops, sizes and functions that do the same. What
    names stand for is looked up once, so a rule that reads names of the user's, which may come to stand for something
    else, is none either.

    Example:
        >>> from lucid.ops.elementwise import tanh
        >>> from lucid.tracer.pull import on_arrays
        >>> on_arrays(tanh.rule)(np.ones(2), np.zeros(2))
        array([1., 1.])
    """
    return _made(rule, ())


def _made(rule: Any, callers: tuple[Any, ...]) -> Callable[..., Any] | None:
    if type(rule) is not FunctionType or rule.__closure__ or rule in callers or len(callers) > _DEEP:
        return None
    names: dict[str, Any] = {"__builtins__": _BUILTINS}
    for name in _read(rule.__code__):
        if name is None:
            return None
        if name in rule.__globals__:
            if not rule.__module__.startswith("lucid."):
                return None
            names[name] = value = _equal(rule.__globals__[name], (*callers, rule))
            if value is None:
                return None
        elif name not in _BUILTINS:
            return None
    made = FunctionType(rule.__code__, names, rule.__name__, rule.__defaults__)
    made.__kwdefaults__ = rule.__kwdefaults__
    return made


def _read(code: CodeType) -> Iterator[str | None]:
    """Yields the global names that some code reads; None if it does what a function of arrays does not."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
        elif step.opname in _FORBIDDEN or (step.opname in _ATTRIBUTE and step.argval not in _ALIKE):
            yield None
    for constant in code.co_consts:
        if type(constant) is CodeType:  # of a comprehension
            yield from _read(constant)


def _equal(value: Any, callers: tuple[Any, ...]) -> Any:
    """Returns what a global name stands for where Tensors are arrays; None if that is not known."""
    if isinstance(value, Op):
        return value.ufunc or value.forward
    if value is OPS:
        return _FORWARDS
    if isinstance(value, (int, float, np.dtype)) or (isinstance(value, type) and issubclass(value, Exception)):
        return value
    return _made(value, callers)


class _Forwards(dict[str, Any]):
    """The forwards of all ops, by name."""

    def __missing__(self, name: str) -> Any:
        return OPS[name].forward


_FORWARDS = _Forwards()

_DEEP = 3
"""How many functions a rule may go through to an op."""

_FORBIDDEN = frozenset({"IMPORT_NAME", "STORE_ATTR", "STORE_GLOBAL", "STORE_SLICE", "STORE_SUBSCR"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


def _on_tensors(node: Node, gradients: Sequence[Any]) -> Sequence[Any]:
    """Runs a gradient rule on Tensors, given arrays, and returns arrays."""
    wrap = node.op.tensor._wrap
    given = run_rule(node, [None if g is None else wrap(g) for g in gradients], wrap, False)
    return [None if g is None else g._data for g in given]


def run_rule(node: Node, gradients: Sequence[Any], wrap: Callable[..., Any], link: bool) -> tuple[Any, ...]:
    """Runs the gradient rule of a node on Tensors.

    Args:
        node: the node.
        gradients: the gradients of its results.
        wrap: makes a Tensor from an array, and from its Value if `link`.
        link: whether the rule is recorded.

    Raises:
        GradientError: there is no rule, it returned something else, or what it needs is no longer there.
    """
    op = node.op
    _check_saved(node)
    if op.rule is None:
        raise GradientError(
            f"backward: {op.name}, declared in {op.__module__}, has no gradient rule; write one under @{op.name}.vjp, "
            "or say why there is none, with @lucid.op(no_gradient=...)"
        )
    kept, outputs, shapes = node.saved
    args: list[Any] = []
    for kind, key in op.plan:
        if kind == "g":
            args.append(gradients[0] if len(gradients) == 1 else tuple(gradients))
        elif kind == "input":
            args.append(_rebuilt(node, key, kept.get(key), wrap, link))
        elif kind == "out":
            outs = tuple(wrap(a, node.value(i) if link else None) for i, a in enumerate(outputs))
            args.append(outs[0] if len(outs) == 1 else outs)
        elif kind == "needs":
            args.append(tuple([type(v) is Value and v.requires_grad for v in node.inputs]))
        elif kind == "shapes":
            args.append(shapes)
        elif kind == "star":
            args.append(tuple(_rebuilt(node, i, kept[i], wrap, link) for i in range(key, len(node.inputs))))
        else:
            args.append(node.attrs[key])
    return _check_result(op, op.rule(*args), len(node.inputs), _PLAIN)


def _check_saved(node: Node) -> None:
    """Checks that what the gradient rule of a node needs is still there.

    Raises:
        GradientError: it was freed, or overwritten.
    """
    op = node.op
    if node.saved is FREED:
        raise GradientError(
            f"backward: the graph of {op.name} was freed by an earlier backward; call that one with retain_graph=True "
            "to go through it again"
        )
    if op.rule is None or node.stamp == WRITES.now:
        return
    kept, outputs, _ = node.saved
    read = kept if not op.unread else {i: array for i, array in kept.items() if i not in op.unread}
    if gone := WRITES.since(node.stamp, chain(read.values(), outputs)):
        raise GradientError(
            f"backward: a tensor that the gradient of {op.name} needs was overwritten after the forward pass ("
            f"{', '.join(f'{array.dtype}{list(array.shape)}' for array in gone)}); run the forward pass again, or "
            "change parameters and buffers only after backward"
        )


def _check_result(op: Op[Any, Any], result: Any, count: int, refused: frozenset[type] = frozenset()) -> tuple[Any, ...]:
    """Returns what a gradient rule returned as a tuple.

    Args:
        op: the op.
        result: one gradient, or a tuple of them.
        count: the number of inputs.
        refused: the types that no gradient may have.

    Raises:
        GradientError: it is not one gradient for each input, or one that no graph records.
    """
    given = result if type(result) is tuple else (result,)
    if len(given) != count:
        raise GradientError(
            f"backward: the gradient rule of {op.name} gave {len(given)} gradients for {count} inputs "
            f"({', '.join(op.inputs)}); return one each, None where there is none"
        )
    for g in given:
        if type(g) in refused:
            raise _plain_result(op, g)
    return given


def as_gradient(op: Op[Any, Any], g: Any) -> Array:
    """Returns what a rule on arrays gave as an array: NumPy makes scalars of results without axes.

    Raises:
        GradientError: it is a plain number.
    """
    if type(g) in (bool, int, float):
        raise _plain_result(op, g)
    return np.asarray(g)


def _plain_result(op: Op[Any, Any], g: Any) -> GradientError:
    return GradientError(
        f"backward: the gradient rule of {op.name} gave a {type(g).__name__}; compute with its tensors, by ops, and "
        "not with NumPy, so that the gradient can be differentiated and exported itself"
    )


def _rebuilt(node: Node, index: int, saved: Any, wrap: Callable[..., Any], link: bool) -> Any:
    """Returns a node's input as the gradient rule sees it: a Tensor, or the number or None that was given."""
    if saved is None or isinstance(saved, (bool, int, float)):
        return saved
    value = node.inputs[index]
    return wrap(saved, value if link and type(value) is Value else None)
