"""Lookup: what the keys of a table are that a line of the user's program looks a size up in.

A table asks a key for its hash, and compares only what has the same one. So a size that is looked up is compared with
nothing, and the line itself has to say which keys it might have met. The expressions of the line that name a table, or
write one down, are computed once more, without running any code of the user's.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import operator
from collections import ChainMap
from collections.abc import Iterator, Mapping, Set
from typing import Any

from .dim import Dim
from .location import user_frame

__all__ = ["keys_in_sight"]

_MOST = 1000
"""The most keys of a table that are compared with a size: each may take a run."""

_FEW = 16
"""The most items of a list or tuple that are taken for keys, as in ``set([4, 8])``."""

_DEPTH = 3
"""How deep keys are searched for numbers, as in ``(4, ("half", 8))``."""

_BUILTINS = (range, len, int, float, str, abs, min, max, sum, round, sorted, zip, enumerate)
_CONTAINERS = (tuple, list, dict, set, frozenset)

_WRITTEN = (ast.Dict, ast.Set, ast.DictComp, ast.SetComp)
"""Tables that a line writes down."""

_OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}

_LARGEST = 1e6
"""Larger numbers are not computed with, for a power of them may take forever."""


class _UnclearError(Exception):
    """Only the user's code would say what an expression gives."""


class _TooManyError(_UnclearError):
    """A table has more keys with numbers than are compared."""


def keys_in_sight() -> list[Any] | None:
    """Returns the numbers, and sizes, in the keys of all tables that the user's line names or writes down.

    Returns:
        None if there are too many, or if only the user's code would say what the key of a table is that the line writes
        down.
    """
    frame = user_frame()
    if frame is None:
        return []
    lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    names = ChainMap(frame.f_locals, frame.f_globals)
    found: list[Any] = []
    for node in _expressions("".join(lines), frame.f_lineno):
        try:
            found += _numbers(_keys(node, names))
        except _UnclearError as error:
            if isinstance(node, _WRITTEN) or isinstance(error, _TooManyError):
                return None
    return found


def _numbers(things: Any, depth: int = _DEPTH) -> Iterator[Any]:
    for thing in things:
        if type(thing) in (int, float, Dim):
            yield thing
        elif isinstance(thing, (tuple, frozenset)) and depth and len(thing) <= _MOST:
            yield from _numbers(thing, depth - 1)
        elif depth and isinstance(own := getattr(thing, "__dict__", None), dict) and not callable(thing):
            yield from _numbers(own.values(), depth - 1)


@functools.lru_cache(maxsize=64)
def _statements(source: str) -> dict[int, ast.stmt]:
    """Returns the innermost statement at each line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # it was changed since, or is no Python
        return {}
    found: dict[int, ast.stmt] = {}
    for node in ast.walk(tree):  # outer statements come first
        if isinstance(node, ast.stmt):
            found.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node))
    return found


def _expressions(source: str, line: int) -> Iterator[ast.expr]:
    """Yields the expressions of the statement at a line, without those of statements inside it."""
    waiting: list[ast.AST] = [_statements(source).get(line, ast.Pass())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.expr):
            yield node
        waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]


def _keys(node: ast.expr, names: Mapping[str, Any]) -> list[Any]:
    """Returns the keys of what an expression gives; none if that is no table."""
    if isinstance(node, (ast.Dict, ast.Set, ast.List, ast.Tuple)):
        # The values of a dict are not computed. The key of another dict in it, as in ``{**other}``, is None.
        given = [key for key in (node.keys if isinstance(node, ast.Dict) else node.elts) if key is not None]
        return [_value(key, names) for key in given]
    if isinstance(node, (ast.DictComp, ast.SetComp, ast.ListComp, ast.GeneratorExp)):
        return list(_comprehended(node, names))
    if not isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Call)):
        return []
    table = _value(node, names)
    if isinstance(table, (Mapping, Set)):
        if len(table) > _MOST and next(_numbers(table), None) is not None:
            raise _TooManyError
        return list(table)
    return list(table) if type(table) in (list, tuple) and len(table) <= _FEW else []


def _comprehended(node: Any, names: Mapping[str, Any]) -> Iterator[Any]:
    if len(node.generators) != 1:
        raise _UnclearError
    one = node.generators[0]
    key = node.key if isinstance(node, ast.DictComp) else node.elt
    given = _keys(one.iter, names) if isinstance(one.iter, ast.Dict) else _value(one.iter, names)
    if not isinstance(given, (range, enumerate, zip, Mapping, Set, list, tuple)):
        raise _UnclearError
    for _, item in zip(range(_MOST), given, strict=False):
        targets = one.target.elts if isinstance(one.target, ast.Tuple) else [one.target]
        parts = item if isinstance(one.target, ast.Tuple) and type(item) is tuple else (item,)
        own = {target.id: part for target, part in zip(targets, parts, strict=False) if isinstance(target, ast.Name)}
        if not len(own) == len(targets) == len(parts):
            raise _UnclearError
        yield _value(key, ChainMap(own, names))  # type: ignore[arg-type]


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Computes an expression.

    Raises:
        _UnclearError: it may run the user's code.
    """
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            if node.id in names:
                return names[node.id]
            own = names.get("__builtins__", {})
            return (own if isinstance(own, dict) else vars(own)).get(node.id)
        case ast.Attribute():
            try:
                return inspect.getattr_static(_value(node.value, names), node.attr)
            except AttributeError:
                raise _UnclearError from None
        case ast.Subscript():
            return _item(_value(node.value, names), _value(node.slice, names))
        case ast.Tuple() | ast.List():
            return tuple([_value(item, names) for item in node.elts])
        case ast.UnaryOp(op=ast.USub()):
            return -_plain(_value(node.operand, names))
        case ast.BinOp() if type(node.op) in _OPERATORS:
            try:
                return _OPERATORS[type(node.op)](_plain(_value(node.left, names)), _plain(_value(node.right, names)))
            except (ArithmeticError, ValueError):
                raise _UnclearError from None
        case ast.Call(func=ast.Name(), keywords=[]):
            return _called(_value(node.func, names), node.args, names)
    raise _UnclearError


def _item(table: Any, key: Any) -> Any:
    if type(table) in (dict, list, tuple) and type(key) in (int, str):
        try:
            return table[key]
        except LookupError:
            pass
    raise _UnclearError


def _plain(number: Any) -> Any:
    if type(number) is not Dim and (type(number) not in (int, float) or abs(number) > _LARGEST):
        raise _UnclearError
    return number


def _called(function: Any, args: list[ast.expr], names: Mapping[str, Any]) -> Any:
    if any(function is one for one in _CONTAINERS):
        # Such a table is made of its keys: it would ask the size for its hash again.
        return tuple([key for arg in args for key in _keys(arg, names)])
    given = [_value(arg, names) for arg in args]
    kinds = (int, float, str, range, list, tuple)
    if not any(function is one for one in _BUILTINS) or not all(type(x) in kinds for x in given):
        raise _UnclearError
    try:
        return function(*given)
    except Exception:  # it would raise the same error to the program
        raise _UnclearError from None
