"""Spec: the declared inputs and outputs of a model, and the checks of arrays before onnxruntime sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import DtypeError, FileError, ShapeError
from ...tensor import Tensor
from .formula import compute

__all__ = ["Shape", "Spec", "as_array", "axis_of", "check_shapes", "evaluate", "resolve", "sample", "specs_of"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

_DTYPES = {"float": np.float32, "double": np.float64}
_DTYPES |= {name: np.dtype(name).type for name in ("float16", "bool", "int8", "int16", "int32", "int64")}
_DTYPES |= {name: np.dtype(name).type for name in ("uint8", "uint16", "uint32", "uint64")}


class Spec(NamedTuple):
    """The declaration of an input or output.

    Attributes:
        name: its name.
        dtype: the dtype of its elements.
        shape: for each axis its size, its name if it is free, or None if it is unknown.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]

    @property
    def dims(self) -> str:
        """The shape as text."""
        return f"({', '.join('?' if n is None else str(n) for n in self.shape)}{',' if len(self.shape) == 1 else ''})"

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{self.dims}"


def specs_of(arguments: Iterable[Any], kind: str) -> tuple[Spec, ...]:
    """Returns the specs of a session's inputs or outputs, as onnxruntime reports them.

    Raises:
        FileError: one is not a tensor of numbers.
    """
    specs = []
    for argument in arguments:
        match = re.fullmatch(r"tensor\((\w+)\)", argument.type)
        if match is None or match[1] not in _DTYPES:
            raise FileError(f"{kind} {argument.name!r} is a {argument.type}; lucid runs tensors of numbers only")
        # An empty name or a negative size says only that the axis is free.
        shape = tuple(n if (isinstance(n, str) and n) or (type(n) is int and n >= 0) else None for n in argument.shape)
        specs.append(Spec(argument.name, np.dtype(_DTYPES[match[1]]), shape))
    return tuple(specs)


def as_array(x: Any, spec: Spec) -> Array:
    """Converts the argument for an input to an array. Lists and numbers take the model's dtype; arrays must have it.

    Raises:
        DtypeError: the dtype is another one, or the numbers of a list do not fit it.
        ShapeError: a list whose rows differ in length.
    """
    if isinstance(x, Tensor):
        array = x._read("Session")
    elif isinstance(x, np.ndarray):
        array = x
    elif isinstance(x, (list, tuple, int, float)):
        return _from_list(x, spec)
    elif isinstance(x, dict):
        raise TypeError(f"input {spec.name!r} is a dict; give inputs by name as session(**inputs)")
    else:
        array = np.asarray(x)
    if array.dtype != spec.dtype:
        raise DtypeError(
            f"input {spec.name!r} is {array.dtype}, but the model takes {spec.dtype}; convert it, as in "
            f"x.astype('{spec.dtype}')"
        )
    return array


def _from_list(x: Any, spec: Spec) -> Array:
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ShapeError(f"input {spec.name!r} is a list whose rows differ in length") from error
    if array.size and not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise DtypeError(f"input {spec.name!r} is a list of {array.dtype}, but the model takes {spec.dtype}")
    if array.dtype.kind in "iu" and spec.dtype.kind in "iu" and array.size:
        bounds = np.iinfo(spec.dtype)
        if array.min() < bounds.min or array.max() > bounds.max:
            raise DtypeError(f"input {spec.name!r} holds numbers beyond {spec.dtype}, which the model takes")
    return array.astype(spec.dtype)


def check_shapes(
    specs: Sequence[Spec], shapes: Sequence[Shape], known: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Checks the shapes of inputs and returns the size of each free axis.

    Args:
        specs: the inputs.
        shapes: their shapes.
        known: sizes that are already known.

    Raises:
        ShapeError: a shape has the wrong number of axes or a wrong size, or two inputs disagree about an axis.
    """
    sizes = dict(known or {})
    where = {symbol: f"that is {n} here" for symbol, n in sizes.items()}
    for spec, shape in zip(specs, shapes, strict=True):
        if len(shape) != len(spec.shape):
            raise ShapeError(
                f"input {spec.name!r} must have {len(spec.shape)} axes, {spec.dims}; got {len(shape)}, shape {shape}"
            )
        for axis, (n, wanted) in enumerate(zip(shape, spec.shape, strict=True)):
            if isinstance(wanted, int) and n != wanted:
                raise ShapeError(
                    f"axis {axis} of input {spec.name!r} must be {wanted}; got {n}, shape {shape}, expected {spec.dims}"
                )
            if not isinstance(wanted, str):
                continue
            if sizes.setdefault(wanted, n) != n:
                raise ShapeError(
                    f"axis {axis} of input {spec.name!r} is {n}, but it is {wanted!r}, and {where[wanted]}; "
                    f"got shape {shape}, expected {spec.dims}"
                )
            where.setdefault(wanted, f"axis {axis} of input {spec.name!r} is {n}")
    return sizes


def evaluate(size: int | str | None, sizes: Mapping[str, int]) -> int | None:
    """Returns the value of a size such as ``time``, ``2*time`` or ``(time+1)//2``; None if it is not known.

    Example:
        >>> from lucid.runtime.session.spec import evaluate
        >>> evaluate("2*time-1", {"time": 5})
        9
    """
    if not isinstance(size, str):
        return size
    if size in sizes:
        return sizes[size]
    found = compute(size, sizes)
    return found if type(found) is int else None


def axis_of(specs: Sequence[Spec], size: str) -> str:
    """Returns words for the first axis of this size, for a message."""
    for spec in specs:
        if size in spec.shape:
            return f"axis {spec.shape.index(size)} of input {spec.name!r}"
    return f"axis {size!r}"


def resolve(spec: Spec, sizes: Mapping[str, int]) -> Shape | None:
    """Returns the shape at given sizes; None if it does not follow from them."""
    shape = [evaluate(n, sizes) for n in spec.shape]
    return None if any(n is None or n < 0 for n in shape) else tuple(shape)  # type: ignore[arg-type]


def sample(specs: Sequence[Spec], sizes: Mapping[str, int], lengths: Mapping[str, int] | None = None) -> list[Array]:
    """Returns made-up inputs: random numbers, zeros for integers, which are valid ids, and full lengths.

    Args:
        specs: the inputs.
        sizes: the sizes of free axes; those not named are 1.
        lengths: for each input that holds lengths, the length to fill in.

    Raises:
        ShapeError: an input is larger than the memory, or than any array.
    """
    rng = np.random.default_rng(0)
    arrays = []
    for spec in specs:
        shape = tuple(1 if (size := evaluate(n, sizes)) is None else size for n in spec.shape)
        try:
            if spec.name in (lengths or {}):
                arrays.append(np.full(shape, (lengths or {})[spec.name], spec.dtype))
            elif spec.dtype.kind == "f":
                arrays.append(rng.standard_normal(shape).astype(spec.dtype))
            else:
                arrays.append(np.zeros(shape, spec.dtype))
        except (ValueError, OverflowError, MemoryError) as error:
            raise ShapeError(f"input {spec.name!r} of shape {shape} cannot be made up: {error}") from error
    return arrays
