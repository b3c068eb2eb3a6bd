"""Moves weights, buffers and modes from a module of PyTorch's, or a state dict, into a module of the same names."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...errors import StateDictError
from ...nn.module import Module
from ...nn.state import entries_of
from ...tensor import Parameter, Tensor
from ..values import Array
from .layers import differences_of_options, type_name
from .tensors import array_of, is_half, obstacle

__all__ = ["move"]


class _Entry(NamedTuple):
    """A tensor of PyTorch's; kind is "parameter", "buffer", or "" for one of a state dict."""

    tensor: Any
    kind: str


def move(source: Any, into: Module) -> None:
    """Moves everything, or raises an error that lists each difference, and changes nothing.

    Args:
        source: a module of PyTorch's, or a state dict.
        into: the module that gets the weights.
    """
    is_state = isinstance(source, Mapping)
    theirs = {str(k): _Entry(v, "") for k, v in source.items()} if is_state else dict(_entries(source))
    ours = dict(entries_of(into)) if is_state else dict(_all_entries(into))
    problems = [f"{name}: only PyTorch's module has it" for name in theirs if name not in ours]
    problems += [f"{name}: only lucid's module has it" for name in ours if name not in theirs]
    arrays: dict[str, Array] = {}
    for name in [name for name in ours if name in theirs]:
        problem = _difference(theirs[name], ours[name])
        if problem is None:
            arrays[name] = array_of(theirs[name].tensor)
        else:
            problems.append(f"{name}: {problem}")
    if is_state:
        problems += _differences_of_values(ours, arrays)
    else:
        problems += _differences_of_sharing({name: theirs[name].tensor for name in arrays}, ours)
        modules = dict(into._paths(""))
        for path, module in _paths(source, ""):
            if path in modules:
                found = differences_of_options(module, modules[path])
                problems += [f"{path or 'the module itself'} ({type_name(module)}): {text}" for text in found]
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise StateDictError(f"from_torch: {type(into).__name__} does not fit, and was not changed:{listed}")
    _assign(source, into, theirs, ours, arrays)


def _assign(
    source: Any, into: Module, theirs: Mapping[str, _Entry], ours: Mapping[str, Tensor], arrays: Mapping[str, Array]
) -> None:
    for name, array in arrays.items():
        ours[name]._assign(array)
        if theirs[name].kind:
            ours[name].requires_grad = theirs[name].tensor.requires_grad
    if not isinstance(source, Mapping):
        modes = {path: module.training for path, module in _paths(source, "")}
        for path, own in into._paths(""):
            own.training = modes.setdefault(path, modes.get(path.rpartition(".")[0], source.training))
    if halves := [name for name, entry in theirs.items() if is_half(entry.tensor)]:
        warnings.warn(f"from_torch: {', '.join(halves)}: bfloat16 in PyTorch, float32 in lucid", stacklevel=4)


def _difference(entry: _Entry, own: Tensor) -> str | None:
    """Returns how a tensor differs from lucid's, apart from its elements."""
    tensor = entry.tensor
    if not hasattr(tensor, "detach"):
        return f"it is a {type(tensor).__name__}, no tensor of PyTorch's"
    if reason := obstacle(tensor):
        return reason
    kind = "parameter" if isinstance(own, Parameter) else "buffer"
    if entry.kind not in ("", kind):
        return f"it is a {entry.kind} in PyTorch, and a {kind} in lucid"
    if tuple(tensor.shape) != own.shape:
        return f"its shape is {tuple(tensor.shape)} in PyTorch, and {own.shape} in lucid"
    dtype = "float32" if is_half(tensor) else str(tensor.dtype).removeprefix("torch.")
    if dtype != str(own.dtype):
        way = "; convert one of them, as by model.to(dtype)" if "float" in dtype and "float" in str(own.dtype) else ""
        return f"its dtype is {dtype} in PyTorch, and {own.dtype} in lucid{way}"
    return None


def _differences_of_sharing(theirs: Mapping[str, Any], ours: Mapping[str, Tensor]) -> Iterator[str]:
    """Yields the names that are one tensor on one side alone."""
    for one, two, where in ((theirs, ours, "PyTorch"), (ours, theirs, "lucid")):
        first: dict[Any, str] = {}
        for name in theirs:
            other = first.setdefault(one[name], name)
            if two[other] is not two[name]:
                yield f"{name}: it is the same tensor as {other} in {where} alone"


def _differences_of_values(ours: Mapping[str, Tensor], arrays: Mapping[str, Array]) -> Iterator[str]:
    """Yields the names that are one tensor in lucid, and have different elements in a state dict."""
    first: dict[Tensor, str] = {}
    for name, array in arrays.items():
        other = first.setdefault(ours[name], name)
        if not np.array_equal(array, arrays[other], equal_nan=array.dtype.kind == "f"):
            yield f"{name}: it is the same tensor as {other} in lucid, and has other elements in the state dict"


# --- contents


def _paths(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields every path to a module of PyTorch's; a shared module has several."""
    yield path, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _paths(child, f"{path}.{name}" if path else name)


def _entries(module: Any) -> Iterator[tuple[str, _Entry]]:
    for path, part in _paths(module, ""):
        for kind, table in (("parameter", part._parameters), ("buffer", part._buffers)):
            for name, tensor in table.items():
                if tensor is not None:
                    yield f"{path}.{name}" if path else name, _Entry(tensor, kind)


def _all_entries(module: Module) -> Iterable[tuple[str, Tensor]]:
    """Yields all tensors of lucid's module, those that its state dict leaves out included."""
    for table in ("_parameters", "_buffers"):
        yield from module._named(table, "", True, once=False)
