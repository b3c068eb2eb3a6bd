"""The state dict of a module: what it holds, and how values are loaded into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import StateDictError
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

__all__ = ["IncompatibleKeys", "entries_of", "load_state"]


class IncompatibleKeys(NamedTuple):
    """The names that only one side had when a state dict was loaded. It prints as PyTorch's does."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def entries_of(module: Module) -> Iterator[tuple[str, Tensor]]:
    """Yields each parameter and each persistent buffer with its name; one that is shared, under each of its names."""
    for path, part in module._paths(""):
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None and not (name in part._transient and name in part._buffers):
                yield f"{path}.{name}" if path else name, tensor


def load_state(module: Module, state_dict: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Copies values into a module; see `Module.load_state_dict`."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"expected a mapping from names to tensors; got {type(state_dict).__name__}")
    own = dict(entries_of(module))
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    problems = []
    if strict and missing:
        problems.append(f"Missing key(s) in state_dict: {_quoted(missing)}.")
    if strict and unexpected:
        problems.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}.")
    fitting: list[tuple[Tensor, np.ndarray[Any, Any]]] = []
    for name, tensor in own.items():
        if name not in state_dict:
            continue
        given = state_dict[name]
        try:
            array = given._data if isinstance(given, Tensor) else np.asarray(given)
        except ValueError:  # lists of different lengths
            problems.append(f"type mismatch for {name}: expected a tensor, got {type(given).__name__}.")
            continue
        if array.shape != tensor.shape:
            problems.append(
                f"size mismatch for {name}: copying a param with shape {array.shape} from checkpoint, the shape in "
                f"current model is {tensor.shape}."
            )
        elif not _fits(array.dtype, tensor.dtype):
            problems.append(f"dtype mismatch for {name}: expected {tensor.dtype}, got {array.dtype}.")
        else:
            fitting.append((tensor, array))
    if problems:
        lines = "".join(f"\n\t{problem}" for problem in problems)
        raise StateDictError(f"Error(s) in loading state_dict for {type(module).__name__}:{lines}")
    for tensor, array in fitting:
        tensor._assign(array)
    return IncompatibleKeys(missing, unexpected)


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _fits(given: np.dtype[Any], own: np.dtype[Any]) -> bool:
    """Returns whether elements may be copied to another dtype: precision may change, the kind of number may not."""
    return (given.kind == "f") == (own.kind == "f") and given.kind in "fiub" and np.can_cast(given, own, "same_kind")
