"""Ranges: checks the elements of inputs that onnxruntime would read in another way than the eager model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import AxisError, FileError, RangeError
from ...export.file.metadata import read_json
from ...proof.ranges import Range
from .source import Source
from .spec import Spec, evaluate

__all__ = ["Ranges", "ranges_of"]

Array = np.ndarray[Any, Any]


class _Check(NamedTuple):
    """A range, with the position of its input and the index of the part that it is about."""

    place: int
    range: Range
    part: tuple[Any, ...]


class Ranges:
    """The ranges of a model's inputs.

    Attributes:
        sized: whether some depend on sizes.
    """

    def __init__(self, ranges: Sequence[Range], inputs: Sequence[Spec]) -> None:
        places = {spec.name: place for place, spec in enumerate(inputs)}
        self._checks = [
            _Check(places[one.input], one, tuple([slice(*c) if isinstance(c, tuple) else c for c in one.cut]))
            for one in ranges
        ]
        self.sized = any(isinstance(n, str) for one in ranges for n in (one.least, one.most))

    def __len__(self) -> int:
        return len(self._checks)

    def clipped(self, arrays: Sequence[Array]) -> list[Array]:
        """Returns made-up inputs with probabilities among them: integers are zeros, which are valid indices."""
        found = list(arrays)
        for place, one, _ in self._checks:
            if not one.whole:
                found[place] = np.clip(found[place], float(one.least), float(one.most), dtype=found[place].dtype)
        return found

    def check(self, arrays: Sequence[Array], sizes: Mapping[str, int]) -> None:
        """Checks the elements of inputs, as the eager model does.

        Args:
            arrays: the inputs in order.
            sizes: the sizes of free axes.

        Raises:
            AxisError: an index or a class is out of range. RangeError: a probability is.
        """
        for place, one, part in self._checks:
            least, most = evaluate(one.least, sizes), evaluate(one.most, sizes)
            if least is None or most is None:
                continue
            array = arrays[place][part] if part else arrays[place]
            if not array.size:
                continue
            if one.whole and array.dtype.kind == "f":
                with np.errstate(invalid="ignore"):
                    array = array.astype(np.int64)
            # In this form, NaN is out of range.
            if array.min() >= least and array.max() <= most:
                continue
            if one.ignored is not None:
                array = array[array != one.ignored]
                if not array.size or (array.min() >= least and array.max() <= most):
                    continue
            beside = "" if one.ignored is None else f", or {one.ignored}, which is ignored"
            kind = AxisError if one.whole else RangeError
            raise kind(
                f"input {one.input!r} must be from {least} to {most}{beside}, since {one.op} takes it; got "
                f"{array.min()} to {array.max()}"
            )


def ranges_of(source: Source, inputs: Sequence[Spec]) -> Ranges:
    """Returns the ranges in the record of a file.

    Raises:
        FileError: it is not one that lucid wrote.
    """
    try:
        return Ranges([_range(entry, inputs) for entry in _list(read_json(source.ranges))], inputs)
    except (ValueError, TypeError) as error:
        raise FileError(f"{source.name} has ranges in its metadata that lucid did not write: {error}") from error


def _list(record: Any) -> list[Any]:
    if not isinstance(record, list):
        raise ValueError(f"they are no list: {record}")
    return record


def _range(entry: Any, inputs: Sequence[Spec]) -> Range:
    """Returns a range from its record.

    Raises:
        ValueError, TypeError: it is none.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"an entry is no object: {entry}")
    given = {**entry}
    cut = tuple([tuple(part) if isinstance(part, list) else part for part in _list(given.pop("cut", []))])
    found = Range(**given, cut=cut)
    ranks = {spec.name: len(spec.shape) for spec in inputs}
    numbers = [n for part in cut for n in (part if isinstance(part, tuple) else (part,)) if n is not None]
    sound = (
        found.input in ranks
        and isinstance(found.op, str)
        and all(isinstance(n, (int, str)) for n in (found.least, found.most))
        and isinstance(found.ignored, int | None)
        and isinstance(found.whole, bool)
        and len(cut) <= ranks[found.input]
        and all(len(part) == 3 and part[2] != 0 for part in cut if isinstance(part, tuple))
        and all(type(n) is int for n in numbers)
        and None not in cut
    )
    if not sound:
        raise ValueError(f"an entry makes no sense: {entry}")
    return found
