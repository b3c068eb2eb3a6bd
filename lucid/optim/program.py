"""An optimizer's update as a row of NumPy calls whose results go into arrays that are there already.

An update is written as a pure function, so each of its operators makes an array. Called once with values that note down
what is done with them, it becomes a `Program`, which does the same in place: a third less time for large parameters.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["Program", "Settings"]

Array = np.ndarray[Any, Any]
Kind = Any
"""The dtype of an array; the type of a number."""

_NUMBERS: dict[Any, Callable[..., Any]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.power: operator.pow,
    np.negative: operator.neg,
    np.sqrt: math.sqrt,
    np.minimum: min,
    np.maximum: max,
}
"""What a ufunc is for Python's numbers."""


_VARIES = object()
"""Stands for an option that is a number."""


def _into(ufunc: np.ufunc, x: Array, y: Array, out: Array) -> None:
    ufunc(x, y, out=out)


# Where the result is the third positional argument, NumPy warns, which takes longer than the call.
_CALLS: dict[Any, Callable[..., Any]] = {f: partial(_into, f) for f in (np.maximum, np.minimum)}


class Settings:
    """The options of a step: numbers, which may be others in the next one, and what a program is made for.

    A zero is of the second kind, since an update may leave out what it stands for.

    Attributes:
        options: by name.
        fixed: what a program is made for, with the same object in the place of each number.
        numbers: in order.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.numbers: list[float] = []
        self.fixed = self._fixed(tuple(options.values()))

    def _fixed(self, options: tuple[Any, ...]) -> tuple[Any, ...]:
        fixed: list[Any] = []
        for option in options:
            kind = type(option)
            if (kind is float or kind is int) and option:
                self.numbers.append(option)
                fixed.append(_VARIES)
            else:
                fixed.append(self._fixed(option) if kind is tuple else option)
        return tuple(fixed)

    def noted(self, tape: _Tape) -> dict[str, Any]:
        """The options, with values in the place of numbers."""

        def one(fixed: Any) -> Any:
            if type(fixed) is tuple:
                return tuple([one(part) for part in fixed])
            return _Value(tape, float, option=True) if fixed is _VARIES else fixed

        return dict(zip(self.options, one(self.fixed), strict=True))


class _Value(NDArrayOperatorsMixin):
    """Stands for an array, or for a number that may be another in the next step; notes down what is done with it."""

    def __init__(self, tape: _Tape, kind: Kind, option: bool = False) -> None:
        self.tape = tape
        self.kind = kind
        self.option = option
        self.index = len(tape.kinds)
        tape.kinds.append(kind)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> _Value:
        if method != "__call__" or keywords or ufunc.nout != 1:
            raise TypeError(f"{ufunc.__name__}: this is nothing that can be noted down")
        return self.tape.note(ufunc, operands)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("what is noted down is no array")

    def __bool__(self) -> bool:
        if not self.option:
            raise TypeError("what is done must not hang on an element")
        return True  # or it would be fixed


class _Tape:
    """What an update does, in order. Values go by their index; a number that meets an array, by that and a dtype.

    Attributes:
        kinds: of all values.
        constants: the numbers that stand in the update itself, by index.
        numbers: what is done to numbers: functions, indices of operands, index of the result.
        arrays: what is done to arrays, likewise.
    """

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.constants: dict[int, float] = {}
        self.numbers: list[tuple[Any, list[Any], int]] = []
        self.arrays: list[tuple[Any, list[Any], int]] = []

    def note(self, ufunc: np.ufunc, operands: Sequence[Any]) -> _Value:
        values = [x if isinstance(x, _Value) else self._constant(x) for x in operands]
        kinds = [value.kind for value in values]
        if not any(isinstance(kind, np.dtype) for kind in kinds):
            result = _Value(self, float)
            self.numbers.append((_NUMBERS[ufunc], [value.index for value in values], result.index))
            return result
        # A number takes the dtype of the array that it meets.
        *taken, kind = ufunc.resolve_dtypes((*kinds, None))
        keys = [
            value.index if isinstance(value.kind, np.dtype) else (value.index, dtype)
            for value, dtype in zip(values, taken, strict=True)
        ]
        result = _Value(self, kind)
        self.arrays.append((_CALLS.get(ufunc, ufunc), keys, result.index))
        return result

    def _constant(self, x: Any) -> _Value:
        if type(x) not in (int, float):
            raise TypeError(f"an update is made of what it is given and of numbers; got {type(x).__name__}")
        value = _Value(self, type(x))
        self.constants[value.index] = x
        return value


class Program:
    """An update, for arrays of certain dtypes and certain options.

    Args:
        update: as `Optimizer.update`.
        names: of the state's arrays.
        counted: whether the state has a ``step``, which is a number.
        dtypes: of the parameter, the gradient and the state's arrays.
        settings: the options.

    Raises:
        Exception: the update does what cannot be noted down, and must be called as it is.
    """

    def __init__(
        self,
        update: Callable[..., tuple[Any, dict[str, Any]]],
        names: Sequence[str],
        counted: bool,
        dtypes: Sequence[np.dtype[Any]],
        settings: Settings,
    ) -> None:
        tape = _Tape()
        options = settings.noted(tape)
        step = {"step": _Value(tape, float)} if counted else {}
        p, g, *kept = inputs = [_Value(tape, dtype) for dtype in dtypes]
        updated, new = update(p, g, {**step, **dict(zip(names, kept, strict=True))}, **options)
        self._numbers = [tape.constants.get(i, 0.0) for i in range(len(tape.kinds))]
        self._given: list[float] | None = None
        self._after: float | None = None
        self._arithmetic = tape.numbers
        self._step = new["step"].index if counted else None
        self._plan(tape, [value.index for value in inputs], [x.index for x in (updated, g, *(new[n] for n in names))])

    def _plan(self, tape: _Tape, inputs: Sequence[int], results: Sequence[int]) -> None:
        """Find an array for each result: the one of which it is to be the content, if that is free by then, or else one
        of as few others as will do.

        Args:
            tape: what is to be done.
            inputs: what stands for the arrays.
            results: what is to be the content of each.
        """
        calls, kinds = tape.arrays, tape.kinds
        last = {key: k for k, (_, keys, _) in enumerate(calls) for key in keys}
        made = {result: k for k, (_, _, result) in enumerate(calls)}
        places: dict[Any, int] = {index: i for i, index in enumerate(inputs)}
        self._filled: list[tuple[Array, int]] = []
        for key in last:
            if key not in places and key not in made:
                places[key] = len(places)
                self._filled.append((np.empty((), key[1]), key[0]))
        first = len(places)
        self._copied: list[tuple[int, int]] = []
        for i, (index, result) in enumerate(zip(inputs, results, strict=True)):
            if result == index:
                continue
            k = made[result]  # an update that exchanges arrays, or fills one with a number, is called as it is
            # The gradient may be the array of the parameter, which is written last for that reason.
            free = last.get(index, -1) <= k and index not in results and (i or k == len(calls) - 1)
            if free and result not in places and kinds[result] == kinds[index]:
                places[result] = i
            else:
                self._copied.append((i, result))
                last[result] = len(calls)
        self._calls: list[tuple[Any, Any]] = []
        self._scratch: list[Array] = []
        unused: set[int] = set()
        for k, (function, keys, result) in enumerate(calls):
            unused |= {places[key] for key in keys if last[key] == k and places[key] >= first}
            if result not in places:
                fitting = [n for n in unused if self._scratch[n - first].dtype == kinds[result]]
                if not fitting:
                    fitting = [first + len(self._scratch)]
                    self._scratch.append(np.empty(0, kinds[result]))
                places[result] = min(fitting)
                unused.discard(places[result])
            self._calls.append((function, itemgetter(*[places[key] for key in keys], places[result])))
        self._copied = [(i, places[result]) for i, result in self._copied]

    def begin(self, settings: Settings, step: float | None) -> float | None:
        """Compute what is the same for all elements, for the runs of one step. Returns the new step count."""
        numbers = self._numbers
        given = settings.numbers if step is None else [*settings.numbers, step]
        if given == self._given:
            return self._after
        numbers[: len(given)] = given
        for function, operands, result in self._arithmetic:
            numbers[result] = function(*[numbers[i] for i in operands])
        for array, i in self._filled:
            array[()] = numbers[i]
        self._given, self._after = given, None if self._step is None else numbers[self._step]
        return self._after

    def run(self, arrays: Sequence[Array]) -> None:
        """Update the arrays of a parameter: data, gradient, and those of its state, all of one shape."""
        shape, size = arrays[0].shape, arrays[0].size
        registers = [*arrays, *[array for array, _ in self._filled]]
        for i, scratch in enumerate(self._scratch):
            if scratch.size < size:
                scratch = self._scratch[i] = np.empty(size, scratch.dtype)
            registers.append(scratch[:size].reshape(shape))
        for function, picked in self._calls:
            function(*picked(registers))
        for to, source in self._copied:
            registers[to][...] = registers[source]
