"""Nested values as JSON, with their arrays beside it: what is saved of anything but a dict of tensors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from .tensor import Tensor, around

__all__ = ["MALFORMED", "array_of", "decode", "encode"]

MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What `decode` raises for an entry of the wrong type or the wrong form."""

_RESERVED = "__metadata__"
"""A name that no array may have: safetensors keeps it for itself."""


def encode(value: Any, path: str, arrays: dict[str, np.ndarray[Any, Any]], who: str) -> Any:
    """Encodes a value as JSON; tensors and arrays go into `arrays`, named after their path.

    Raises:
        TypeError: it contains something else than numbers, strings, bools, None, dtypes, tensors, arrays, and lists,
            tuples and dicts of them. The message begins with `who`.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    array = array_of(value)
    if array is not None and not isinstance(value, np.generic):
        name = path or "value"
        while name in arrays or name == _RESERVED:
            name += "_"
        arrays[name] = array
        return {"array" if isinstance(value, np.ndarray) else "tensor": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, (list, tuple)):
        items = [encode(item, _joined(path, i), arrays, who) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        for key in value:
            if key is not None and not isinstance(key, (str, int, float)):
                raise TypeError(f"{who}: {path or 'it'} has the key {key!r}; keys must be strings or numbers")
        pairs = [[key, encode(item, _joined(path, key), arrays, who)] for key, item in value.items()]
        return {"ordered" if isinstance(value, OrderedDict) else "dict": pairs}
    hint = "; save what its state_dict() returns" if hasattr(value, "state_dict") else ""
    raise TypeError(
        f"{who}: {path or 'it'} is {type(value).__name__}; a file holds numbers, strings, tensors, and lists, tuples "
        f"and dicts of them{hint}"
    )


def decode(entry: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """Decodes an entry that `encode` made; raises one of `MALFORMED` for another."""
    if isinstance(entry, list):
        return [decode(item, arrays) for item in entry]
    if not isinstance(entry, dict):
        return entry
    ((kind, content),) = entry.items()
    if kind == "tensor":
        return around(arrays[content])
    if kind == "array":
        return arrays[content]
    if kind == "dtype":
        return np.dtype(content)
    if kind == "tuple":
        return tuple(decode(item, arrays) for item in content)
    if kind in ("dict", "ordered"):
        pairs = [(key, decode(item, arrays)) for key, item in content]
        return dict(pairs) if kind == "dict" else OrderedDict(pairs)
    raise ValueError(f"unknown entry {kind!r}")


def array_of(value: Any) -> np.ndarray[Any, Any] | None:
    """Returns the elements of a tensor or an array, be it of another library; None for anything else.

    bfloat16, which NumPy lacks, becomes float32.
    """
    if isinstance(value, Tensor):
        return value._data
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    if isinstance(value, type) or not (hasattr(value, "__array__") and hasattr(value, "dtype")):
        return None
    plain = value.detach() if hasattr(value, "detach") else value
    return np.asarray(plain.float() if str(plain.dtype) == "torch.bfloat16" else plain)


def _joined(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
