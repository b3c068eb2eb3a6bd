"""The lengths of sequences among a model's inputs: onnxruntime accepts some that have no meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...proof.interface import Interface
from .formula import compute
from .spec import Spec, evaluate

__all__ = ["Lengths"]

Array = np.ndarray[Any, Any]

_TIMES = 4
"""How many times as long as a layer's steps a length before arithmetic may be in made-up inputs."""


class Lengths:
    """The inputs that recurrent layers take as lengths, as they are or after arithmetic.

    Args:
        interface: what the file declares.
        inputs: the inputs of the model.
    """

    def __init__(self, interface: Interface, inputs: Sequence[Spec]) -> None:
        places = {spec.name: i for i, spec in enumerate(inputs)}
        self._counted = {**interface.counts, **interface.lengths}
        self._plain = [(places[name], name, steps) for name, steps in interface.lengths.items() if name in places]
        self._computed = [
            (places[name], name, formula, steps) for name, formula, steps in interface.computed if name in places
        ]

    def __bool__(self) -> bool:
        return bool(self._plain or self._computed)

    def check(self, arrays: Sequence[Array], sizes: Mapping[str, int]) -> None:
        """Checks the lengths among the inputs.

        Args:
            arrays: the inputs.
            sizes: the sizes of the free axes.

        Raises:
            ShapeError: a length is below one or beyond the number of steps, or there are no sequences.
        """
        for i, name, steps in self._plain:
            values, most = arrays[i], evaluate(steps, sizes)
            _require_some(name, values)
            if values.min() < 1 or (most is not None and values.max() > most):
                limit = "the number of steps" if most is None else most
                raise ShapeError(f"input {name!r} must hold lengths from 1 to {limit}; got {values.tolist()}")
        for i, name, formula, steps in self._computed:
            _require_some(name, arrays[i])
            if (wrong := _refused(np.unique(arrays[i]).tolist(), formula, steps, sizes)) is not None:
                raise ShapeError(
                    f"{formula} of input {name!r} are lengths, which must be from 1 to {steps}; got length={wrong} in "
                    f"{arrays[i].tolist()}"
                )

    def full(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Returns, for each input that is lengths, one with which a sequence has all steps."""
        found = {name: evaluate(steps, sizes) or 1 for name, steps in self._counted.items()}
        for _, name, formula, steps in self._computed:
            tried = range(_TIMES * (evaluate(steps, sizes) or 1), 0, -1)
            found[name] = next((n for n in tried if _refused([n], formula, steps, sizes) is None), 1)
        return found


def _require_some(name: str, values: Array) -> None:
    if not values.size:
        raise ShapeError(f"input {name!r} must hold the length of at least one sequence; got none")


def _refused(values: Sequence[int], formula: str, steps: int | str, sizes: Mapping[str, int]) -> int | None:
    """Returns the first number from which a formula makes no length of a sequence; None if there is none."""
    most = evaluate(steps, sizes)
    for n in values:
        found = compute(formula, {**sizes, "length": n})
        if found is not None and (found < 1 or (most is not None and found > most)):
            return n
    return None
