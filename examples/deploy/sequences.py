"""Model: a session that runs sequences of different length, whatever the model's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid.runtime import Session

__all__ = ["Model"]

Array = np.ndarray[Any, Any]


class Model:
    """A session that runs sequences (steps, *features); several threads may use it at once.

    Raises:
        ValueError: it does not take a batch of sequences, or they are not independent.
    """

    def __init__(self, path: str, longest: int) -> None:
        self.session, self.longest = Session(path, threads=1), longest
        interface = self.session.interface
        self.states = interface.states
        self.lengths = [spec for spec in self.session.inputs if spec.name in interface.lengths]
        given = [spec for spec in self.session.inputs if spec.name not in {*interface.lengths, *self.states}]
        shape = given[0].shape if len(given) == 1 else ()
        free = [axis for axis in shape if isinstance(axis, str)]
        batch = [axis for axis in free if axis in interface.separable and axis not in interface.lengths.values()]
        optional = {state for group in interface.optional for state in group}
        others = {axis for spec in self.session.outputs for axis in spec.shape if isinstance(axis, str)} - {*free}
        fits = len(free) == 2 and None not in shape and batch and {*self.states} <= optional
        if not fits or (self.lengths and others):
            raise ValueError("the server takes models of one input with independent sequences: (time, batch, …)")
        self.x, self.batch = given[0], batch[0]
        (self.time,) = {*free} - {self.batch}
        self.features = tuple(axis for axis in self.x.shape if isinstance(axis, int))
        self.rows = interface.separable[self.batch]

    def sequence(self, value: Any, place: str) -> Array:
        """Returns a sequence as an array; raises ValueError if it does not fit."""
        integers = self.x.dtype.kind in "iu"
        try:
            x = np.asarray(value)
        except ValueError:
            raise ValueError(f"{place}: its steps differ in size") from None
        if x.size and x.dtype.kind not in ("iu" if integers else "iuf"):
            raise ValueError(f"{place} must hold {'integers' if integers else 'numbers'} alone")
        if not 1 <= len(x) <= self.longest:
            raise ValueError(f"{place} has {len(x)} steps; the server takes 1 to {self.longest}")
        if x.shape[1:] != self.features:
            taken = f"(steps, {', '.join(map(str, self.features))})"
            raise ValueError(f"{place} has shape {x.shape}; the model takes {taken}")
        with np.errstate(over="ignore"):
            converted = x.astype(self.x.dtype)
        if not (converted == x).all() if integers else not np.isfinite(converted).all():
            raise ValueError(f"{place} has a number that {self.x.dtype} does not hold")
        return converted

    def given(self, sequences: Sequence[Array]) -> dict[str, Array]:
        """Returns the model's inputs for sequences, padded at the end."""
        lengths = [len(x) for x in sequences]
        padded = np.zeros((len(lengths), max(lengths), *self.features), self.x.dtype)
        for row, x in zip(padded, sequences, strict=True):
            row[: len(x)] = x
        x = np.moveaxis(padded, (0, 1), (self.x.shape.index(self.batch), self.x.shape.index(self.time)))
        return {self.x.name: x} | {spec.name: np.array(lengths, spec.dtype) for spec in self.lengths}

    def answers(self, outputs: Any, lengths: Sequence[int]) -> list[dict[str, Any]]:
        """Returns the outputs of each sequence, without padding and states; None for NaN and infinities."""
        found: list[dict[str, Any]] = [{} for _ in lengths]
        for spec in self.session.outputs:
            if spec.name in self.states.values():
                continue
            axis = self.rows[spec.name]
            rest = [name for place, name in enumerate(spec.shape) if place != axis]
            for row, length in enumerate(lengths):
                y = np.moveaxis(outputs[spec.name], axis, 0)[row]
                if self.time in rest:
                    y = np.take(y, range(length), rest.index(self.time))
                plain = np.asarray(y).astype(object)
                plain[~np.isfinite(y)] = None
                found[row][spec.name] = plain.tolist()
        return found

    def run(self, sequences: Sequence[Array]) -> list[dict[str, Any]]:
        """Runs sequences: in one batch if the model takes lengths, otherwise those of equal length together."""
        groups: dict[int, list[int]] = {}
        for place, x in enumerate(sequences):
            groups.setdefault(0 if self.lengths else len(x), []).append(place)
        found: dict[int, dict[str, Any]] = {}
        for places in groups.values():
            some = [sequences[place] for place in places]
            found |= zip(places, self.answers(self.session(**self.given(some)), [len(x) for x in some]), strict=True)
        return [found[place] for place in range(len(sequences))]
