"""Compiles an optimizer's update into NumPy calls that write to existing arrays.

An update is a pure function, so each of its operators allocates an array. Called once with values that record these
operators, it becomes a `Program`, which does the same in place, in a third less time for large parameters.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
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
"""The equivalent of each ufunc for Python's numbers."""


_VARIES = object()
"""Stands for an option that is a number."""


def _into(ufunc: np.ufunc, x: Array, y: Array, out: Array) -> None:
    ufunc(x, y, out=out)


# NumPy warns if the result of one of these is the third positional argument, which takes longer than the call.
_CALLS: dict[Any, Callable[..., Any]] = {f: partial(_into, f) for f in (np.maximum, np.minimum)}


class Settings:
    """The options of a step: numbers that may change between steps, and options that a program is compiled for.

    A zero belongs to the second kind, since an update may omit the term that it multiplies; but a rate of zero, which
    a schedule may reach, to the first.

    Attributes:
        options: the options by name.
        fixed: the options that a program is compiled for, with the same placeholder for each number.
        numbers: the numbers, in order.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.numbers: list[float] = []
        self.fixed = self._fixed(options.items())

    def _fixed(self, options: Iterable[tuple[Any, Any]]) -> tuple[Any, ...]:
        fixed: list[Any] = []
        for name, option in options:
            kind = type(option)
            if (kind is float or kind is int) and (option or name == "lr"):
                self.numbers.append(option)
                fixed.append(_VARIES)
            else:
                fixed.append(self._fixed(enumerate(option)) if kind is tuple else option)
        return tuple(fixed)

    def noted(self, tape: _Tape) -> dict[str, Any]:
        """Returns the options, with recording values in place of numbers."""

        def one(fixed: Any) -> Any:
            if type(fixed) is tuple:
                return tuple([one(part) for part in fixed])
            return _Value(tape, float, option=True) if fixed is _VARIES else fixed

        return dict(zip(self.options, one(self.fixed), strict=True))


class _Value(NDArrayOperatorsMixin):
    """Stands for an array, or for a number that may change between steps, and records the operations on it."""

    def __init__(self, tape: _Tape, kind: Kind, option: bool = False) -> None:
        self.tape = tape
        self.kind = kind
        self.option = option
        self.index = len(tape.kinds)
        tape.kinds.append(kind)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> _Value:
        if method != "__call__" or keywords or ufunc.nout != 1:
            raise TypeError(f"{ufunc.__name__}: this cannot be recorded")
        return self.tape.note(ufunc, operands)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a recorded value is not an array")

    def __bool__(self) -> bool:
        if not self.option:
            raise TypeError("an update must not branch on an element")
        return True  # a zero is fixed, and so never appears here; an update always multiplies by the rate


class _Tape:
    """The recorded operations of an update, in order.

    A value is identified by its index; a number that is combined with an array, by its index and a dtype.

    Attributes:
        kinds: the kind of each value.
        constants: the literal numbers of the update, by index.
        numbers: the operations on numbers: functions, indices of operands, index of the result.
        arrays: the operations on arrays, likewise: ufuncs.
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
        # A number takes the dtype of the array that it is combined with.
        *taken, kind = ufunc.resolve_dtypes((*kinds, None))
        keys = [
            value.index if isinstance(value.kind, np.dtype) else (value.index, dtype)
            for value, dtype in zip(values, taken, strict=True)
        ]
        result = _Value(self, kind)
        self.arrays.append((ufunc, keys, result.index))
        return result

    def _constant(self, x: Any) -> _Value:
        if type(x) not in (int, float):
            raise TypeError(f"an update must be made of its arguments and of numbers; got {type(x).__name__}")
        value = _Value(self, type(x))
        self.constants[value.index] = x
        return value


class Program:
    """An update, compiled for arrays of certain dtypes and for certain options.

    Args:
        update: as `Optimizer.update`.
        names: the names of the state's arrays.
        counts: the names of the state's numbers.
        dtypes: the dtypes of the parameter, the gradient and the state's arrays.
        settings: the options.

    Raises:
        Exception: the update cannot be recorded, and must be called as it is.
    """

    def __init__(
        self,
        update: Callable[..., tuple[Any, dict[str, Any]]],
        names: Sequence[str],
        counts: Sequence[str],
        dtypes: Sequence[np.dtype[Any]],
        settings: Settings,
    ) -> None:
        tape = _Tape()
        options = settings.noted(tape)
        numbers = {name: _Value(tape, float) for name in counts}
        p, g, *kept = inputs = [_Value(tape, dtype) for dtype in dtypes]
        updated, new = update(p, g, {**numbers, **dict(zip(names, kept, strict=True))}, **options)
        self._numbers = [tape.constants.get(i, 0.0) for i in range(len(tape.kinds))]
        self._given: list[float] | None = None
        self._after: list[float] = []
        self._arithmetic = tape.numbers
        self._counts = [new[name].index for name in counts]
        self._operations = tape.arrays
        self._inputs = [value.index for value in inputs]
        self._results = [x.index for x in (updated, g, *(new[n] for n in names))]
        self._plan(tape, self._inputs, self._results)

    def _plan(self, tape: _Tape, inputs: Sequence[int], results: Sequence[int]) -> None:
        """Assigns an array to each result: the array that it finally belongs in, if that is free by then, or else a
        scratch array, of which there are as few as possible.

        Args:
            tape: the recorded operations.
            inputs: the values that stand for the arrays.
            results: the value that each array finally holds.
        """
        calls, kinds = tape.arrays, tape.kinds
        last = {key: k for k, (_, keys, _) in enumerate(calls) for key in keys}
        made = {result: k for k, (_, _, result) in enumerate(calls)}
        places: dict[Any, int] = {index: i for i, index in enumerate(inputs)}
        self._filled: list[tuple[Array, int]] = []
        self._keys = [key for key in last if key not in places and key not in made]
        for key in self._keys:
            places[key] = len(places)
            self._filled.append((np.empty((), key[1]), key[0]))
        first = len(places)
        self._copied: list[tuple[int, int]] = []
        for i, (index, result) in enumerate(zip(inputs, results, strict=True)):
            if result == index:
                continue
            k = made[result]  # fails if an update swaps arrays, or fills one with a number; it is then called as it is
            # The gradient may share the parameter's array, so the parameter is written last.
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
            self._calls.append(
                (_CALLS.get(function, function), itemgetter(*[places[key] for key in keys], places[result]))
            )
        self._copied = [(i, places[result]) for i, result in self._copied]

    @property
    def numbers(self) -> list[Array]:
        """The numbers that the runs of a step combine with arrays, without axes; `begin` fills them."""
        return [array for array, _ in self._filled]

    def replay(self, arrays: Sequence[Any], numbers: Sequence[Any], ops: Mapping[str, Callable[..., Any]]) -> list[Any]:
        """Computes the update by other functions than NumPy's, such as ops on Tensors.

        Args:
            arrays: the parameter, the gradient and the state.
            numbers: what stands for `numbers`.
            ops: the functions, by the names of NumPy's.

        Returns:
            The new parameter and the new state.

        Raises:
            KeyError: there is no such function.
        """
        values = dict(zip([*self._inputs, *self._keys], [*arrays, *numbers], strict=True))
        for ufunc, keys, result in self._operations:
            values[result] = ops[ufunc.__name__](*[values[key] for key in keys])
        updated, _, *kept = [values[i] for i in self._results]
        return [updated, *kept]

    def begin(self, settings: Settings, counts: Sequence[float]) -> list[float]:
        """Computes what is the same for all elements, for the runs of one step. Returns the state's new numbers."""
        numbers = self._numbers
        given = [*settings.numbers, *counts]
        if given == self._given:
            return self._after
        numbers[: len(given)] = given
        for function, operands, result in self._arithmetic:
            numbers[result] = function(*[numbers[i] for i in operands])
        for array, i in self._filled:
            array[()] = numbers[i]
        self._given, self._after = given, [numbers[i] for i in self._counts]
        return self._after

    def run(self, arrays: Sequence[Array]) -> None:
        """Updates the arrays of a parameter: data, gradient and state, all of one shape."""
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
