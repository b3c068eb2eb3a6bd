"""Whether lucid's functions take the parameters of PyTorch's, by name, order and default.

PyTorch's signatures are those of its Python functions, and for functions in C those of the stubs that it is installed
with, one for each overload.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lucid.tracer.call import call_of
from lucid.tracer.op import Op

torch = pytest.importorskip("torch")  # pytest imports every file, for its examples

__all__ = ["NOWHERE", "Parameter", "differences", "ours", "theirs"]

NOWHERE = {
    "out": "assign the result, or write it into a tensor with `y.copy_(...)`",
    "layout, memory_format, pin_memory, non_blocking": "leave them out: no op depends on where a tensor lies in memory",
    "out_dtype, sparse_grad, sparse": "leave them out: gradients are dense, products of the dtype of their inputs",
    "foreach, fused, capturable, differentiable": "leave them out: they say how PyTorch's optimizers compute",
    "size_average, reduce, min_value, max_value": "PyTorch deprecates them; write `reduction`, `min_val` and `max_val`",
}
"""Parameters that lucid may leave out anywhere, and what to do."""

_LEFT_OUT = {name for names in NOWHERE for name in names.split(", ")} | {"implicit", "orig_func", "names"}
_BY_NAME = {"device", "dtype", "requires_grad"}
"""Parameters that lucid may take by name only."""

_TENSORS = {"input", "other", "a", "b", "tensor", "batch", "data"}
_VALUES = ("Tensor", "Number", "complex")
_HIDDEN = ("EllipsisType", "SymInt", "_layout", "DispatchKey")
"""What overloads of named tensors, and others that users do not write, have in their annotations."""

_STUBS = Path(torch.__file__).parent / "_C"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_KEYWORD, _STAR = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL
_REQUIRED = inspect.Parameter.empty


class Parameter(NamedTuple):
    """A parameter: its default is `inspect.Parameter.empty` if there is none, and Ellipsis if it is no constant."""

    name: str
    kind: Any
    default: Any
    annotation: str


@functools.cache
def _stub(file: str, inside: str | None = None) -> dict[str, list[ast.FunctionDef]]:
    """Returns the functions of a stub, or the methods of a class in it, with all overloads."""
    tree = ast.parse((_STUBS / file).read_text(encoding="utf-8"))
    body = tree.body
    if inside is not None:
        body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == inside)
    found: dict[str, list[ast.FunctionDef]] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(node)
    return found


def _parsed(node: ast.FunctionDef) -> list[Parameter]:
    arguments = node.args
    found = []
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[Any] = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    kind: Any
    for given, default in zip(positional, defaults, strict=True):
        kind = _POSITIONAL[given not in arguments.posonlyargs]
        found.append(Parameter(given.arg, kind, _constant(default), _text(given.annotation)))
    if arguments.vararg:
        kind = inspect.Parameter.VAR_POSITIONAL
        found.append(Parameter(arguments.vararg.arg, kind, ..., _text(arguments.vararg.annotation)))
    for given, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        kind = inspect.Parameter.KEYWORD_ONLY
        found.append(Parameter(given.arg, kind, _constant(default), _text(given.annotation)))
    if arguments.kwarg:
        found.append(Parameter(arguments.kwarg.arg, inspect.Parameter.VAR_KEYWORD, ..., ""))
    return found


def _text(node: ast.expr | None) -> str:
    return "" if node is None else ast.unparse(node)


def _constant(node: ast.expr | None) -> Any:
    if node is None:
        return _REQUIRED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...


def _inspected(function: Any) -> list[Parameter] | None:
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return None
    return [Parameter(p.name, p.kind, p.default, _written(p.annotation)) for p in signature.parameters.values()]


def _written(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else str(annotation)


def _is_open(parameters: list[Parameter] | None) -> bool:
    """Returns whether a signature says nothing, as ``(*args, **kwargs)`` does."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameters is None or all(p.kind in kinds or p.name == "self" for p in parameters)


def theirs(thing: Any, name: str, place: str) -> list[list[Parameter]]:
    """Returns the parameters of each overload of a function, method or class of PyTorch's; none if nothing says them.

    Args:
        thing: the function.
        name: its name.
        place: the module or class that has it, such as "torch.Tensor".
    """
    found: list[list[Parameter]] = []
    if isinstance(thing, type) and issubclass(thing, torch.nn.Module) and thing.__init__ is torch.nn.Module.__init__:
        return [[]]
    if isinstance(thing, type):
        found = _overloads(thing) or [p for p in [_inspected(thing)] if p is not None]
    elif not _is_open(own := _inspected(thing)):
        found = [own or []]
    else:
        files = [("_VariableFunctions.pyi", None), ("_nn.pyi", None), ("__init__.pyi", None)]
        if place == "torch.Tensor":
            files = [("__init__.pyi", "TensorBase")]
        for file, inside in files:
            found = found or [_parsed(node) for node in _stub(file, inside).get(name, [])]
    if not found or all(map(_is_open, found)):
        found = _documented(thing, name) or found
    if isinstance(thing, type) or place == "torch.Tensor":
        found = [[p for p in one if p.name != "self"] for one in found]
    return [one for one in found if not _is_hidden(one)] or found


def _is_hidden(overload: list[Parameter]) -> bool:
    """Returns whether an overload is deprecated, as one with `alpha` before a tensor, or none that users write."""
    deprecated = any(p.name in ("alpha", "beta") and p.kind in _POSITIONAL for p in overload)
    return deprecated or any(word in p.annotation for p in overload for word in _HIDDEN)


def _overloads(kind: type) -> list[list[Parameter]]:
    """Returns the overloads of a constructor, from its source."""
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, ValueError):
        return []
    inits = [f for f in getattr(node, "body", []) if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
    if len(inits) < 2:
        return []
    found = [_parsed(f) for f in inits if any(_text(d).endswith("overload") for d in f.decorator_list)]
    return [one for one in found if not _is_open(one)]


def _documented(thing: Any, name: str) -> list[list[Parameter]]:
    """Returns the signature in the first line of a docstring."""
    line = next(iter((getattr(thing, "__doc__", None) or "").strip().splitlines()), "")
    if not line.startswith(f"{name}("):
        return []
    head = line.split("->")[0].strip().replace("\\*", "*")
    try:
        (node,) = ast.parse(f"def {head}: ...").body
    except SyntaxError:
        return []
    assert isinstance(node, ast.FunctionDef)
    return [_parsed(node)]


def ours(thing: Any) -> list[Parameter] | None:
    """Returns the parameters of a function, method or class of lucid's."""
    found = _inspected(call_of(thing) if isinstance(thing, Op) else thing)
    return found and [p for p in found if p.name != "self"]


def differences(overloads: list[list[Parameter]], own: list[Parameter]) -> list[str]:
    """Returns what lucid's signature lacks of PyTorch's: short phrases, none if it takes all that PyTorch's takes."""
    phrases: dict[str, None] = {}
    for overload in overloads:
        phrases.update(dict.fromkeys(_differences(overload, own)))
    return list(phrases)


def _differences(overload: list[Parameter], own: list[Parameter]) -> Iterator[str]:
    named = {p.name: p for p in own if p.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, _KEYWORD)}
    positional = [p for p in own if p.kind in _POSITIONAL]
    star = next((p for p in own if p.kind is _STAR), None)
    options = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own)
    wanted = [p for p in overload if not p.name.startswith("_") and (p.name not in _LEFT_OUT or p.name in named)]
    known = {p.name for p in wanted}
    place, met = 0, set()
    for p in wanted:
        if p.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        here = positional[place] if place < len(positional) else None
        if p.kind is _STAR:
            met |= {q.name for q in positional[place:]}
            if star is None and not (here and "Any" in here.annotation):
                yield f"no `*{p.name}`"
            continue
        other = named.get(p.name)
        if p.kind in _POSITIONAL:
            place += 1
            if here is not None and here.name == p.name:
                other = here
            elif star is not None and here is None:
                if "dtype" in p.annotation and other is None:
                    yield f"no `{p.name}`"
                continue
            elif other is None and here is not None and here.name not in known:
                other = here
                if not (_is_value(p) or p.name in _TENSORS):
                    yield f"`{p.name}` is called `{here.name}`"
            elif other is not None and p.name not in _BY_NAME:
                yield f"`{p.name}` by name only"
        if other is None:
            if not options:
                yield f"no `{p.name}`"
            continue
        met.add(other.name)
        if p.default is not _REQUIRED and other.default is _REQUIRED:
            yield f"`{p.name}` is required"
        elif _differ(p.default, other.default):
            yield f"`{p.name}={other.default!r}` by default, not `{p.default!r}`"
    for q in own:
        if q.kind in (*_POSITIONAL, _KEYWORD) and q.default is _REQUIRED and q.name not in met:
            yield f"`{q.name}` is required"


def _is_value(p: Parameter) -> bool:
    """Returns whether a parameter takes a tensor, which is given by its place."""
    return any(word in p.annotation for word in _VALUES)


def _differ(a: Any, b: Any) -> bool:
    """Returns whether two defaults are plain values of one kind, and unlike."""
    kinds: tuple[Any, ...] = ((bool,), (int, float), (str,), (tuple,))
    return any(isinstance(a, kind) and isinstance(b, kind) for kind in kinds) and a != b
