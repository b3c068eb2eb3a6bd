"""Formulas of sizes, as text in a file: shapes such as ``time//2``, and conditions such as ``time % 8 == 0``.

A file is read with distrust, so nothing but arithmetic on names and numbers is evaluated.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import FileError
from ...export.file.metadata import CONDITIONS, read_json

__all__ = ["compute", "conditions_of"]

_LONGEST = 10_000
"""The most characters of a formula."""

_OPERATORS: dict[type[Any], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    # Of floats, so that a power takes no more than a moment.
    ast.Pow: lambda x, y: float(x) ** float(y),
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "trunc": math.trunc,
    "float": float,
    "bound": lambda n, size: slice(n, None).indices(size)[0],
}


def compute(text: str, sizes: Mapping[str, int]) -> Any:
    """Returns the value of a formula; None if it is none, or has a name that is not known.

    Example:
        >>> from lucid.runtime.session.formula import compute
        >>> compute("(time+1)//2", {"time": 5}), compute("time >= 2", {"time": 1})
        (3, False)
    """
    tree = _parsed(text)
    if tree is None:
        return None
    try:
        return _value(tree, sizes)
    except (LookupError, ArithmeticError, ValueError, TypeError, RecursionError):
        return None


def conditions_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the conditions on sizes in the metadata of a file.

    Raises:
        FileError: they cannot be read.
    """
    try:
        found = read_json(metadata.get(CONDITIONS, "[]"))
    except ValueError as error:
        raise FileError(f"the conditions in the metadata cannot be read: {error}") from error
    if not isinstance(found, list) or any(not isinstance(text, str) or _parsed(text) is None for text in found):
        raise FileError(f"the conditions in the metadata are no list of formulas: {found!r}")
    return tuple(found)


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.expr | None:
    if len(text) > _LONGEST:
        return None
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _value(tree: ast.expr, sizes: Mapping[str, int]) -> Any:
    """Returns the value of a formula.

    Raises:
        LookupError: it is none, or a name is not known.
    """
    if isinstance(tree, ast.Name):
        return sizes[tree.id]
    if isinstance(tree, ast.Constant) and type(tree.value) in (int, float):
        return tree.value
    if isinstance(tree, ast.BinOp):
        return _OPERATORS[type(tree.op)](_value(tree.left, sizes), _value(tree.right, sizes))
    if isinstance(tree, ast.UnaryOp):
        return _OPERATORS[type(tree.op)](_value(tree.operand, sizes))
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1:
        return _OPERATORS[type(tree.ops[0])](_value(tree.left, sizes), _value(tree.comparators[0], sizes))
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        return _FUNCTIONS[tree.func.id](*(_value(argument, sizes) for argument in tree.args))
    raise LookupError(ast.dump(tree))
