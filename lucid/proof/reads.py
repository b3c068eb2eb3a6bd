"""Reads: what a program does if Python gets other values of a tensor than those of the example.

A graph does not record what Python reads. So the function runs again and again, and each read gets other answers. If
the graph is the same every time, the read is harmless: a print, a log, a check of the input. If not, the file would do
what the example happened to do.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import combinations, product
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import ExportError, TraceError
from ..tracer.agreement import require_agreement
from ..tracer.dim import formula
from ..tracer.graph import Graph, walk
from ..tracer.location import PACKAGE, is_foreign
from ..tracer.node import Value
from ..tracer.read import Answer, Key, Read
from ..tracer.size import symbols_of
from ..tracer.trace import EndlessRunError

__all__ = ["ReadCheck", "answers", "is_counted", "line_of", "raised_by_the_user"]

Array = np.ndarray[Any, Any]
Run = Callable[[Answer, float], Graph]
"""Traces the function with such answers, and at most so many ops and reads."""

_FACTOR, _SPARE = 10, 100
"""A run with other answers may have ten times the ops and reads of the first one, and a few more."""

_RUNS = 2000
"""The most runs for one proof."""

_NUMBERS = 24
"""The most numbers of the surrounding code that are tried."""


class ReadCheck:
    """Tells harmless reads from those that decide something.

    Args:
        run: traces the function at the example's sizes.
        sizes: the sizes of the inputs: a program may compare a value with them.
        counted: the reads of what follows from sizes.
    """

    def __init__(self, run: Run, sizes: Sequence[int], counted: Container[Key] = ()) -> None:
        self._run = run
        self._sizes = frozenset(sizes)
        self._counted = counted
        self._left = _RUNS
        self.harmless: dict[Key, Read] = {}

    def check(self, base: Graph) -> None:
        """Checks all reads of a run that depend on its inputs.

        Raises:
            ExportError: one decides what the function does; with the user's line.
        """
        first = self._lines(base)
        for key in first:
            self._vary(base, {}, key, first[key])
        keys = list(first)
        if len(keys) > 1:
            self._vary_together(base, first)
        self.harmless |= {key: reads[0] for key, reads in first.items()}

    def _lines(self, graph: Graph) -> dict[Key, list[Read]]:
        """Returns the reads that depend on inputs, by line."""
        lines: dict[Key, list[Read]] = {}
        for read in graph.reads:
            if read.data.size and (read.key in self._counted or graph.depends(read.value)):
                lines.setdefault(read.key, []).append(read)
        return lines

    def _numbers(self, reads: Sequence[Read]) -> list[int]:
        """Returns the numbers of the answers that differ from the elements at some read.

        Two of them may agree at these reads, and differ at those that they lead to.
        """
        rows = [(read.data.tobytes(), answers(read, self._sizes)) for read in reads]
        count = max(len(row) for _, row in rows)
        return [n for n in range(count) if any(row[n % len(row)].tobytes() != data for data, row in rows)]

    def _vary(self, base: Graph, given: Mapping[Key, int], key: Key, reads: Sequence[Read]) -> None:
        """Tries every other answer at one line; then those at lines that only other answers lead to."""
        for number in self._numbers(reads):
            choice = {**given, key: number}
            found = self._attempt(base, choice)
            if found is None:
                continue
            for other, more in self._lines(found).items():
                if other not in choice and other not in self.harmless and not any(r.key == other for r in base.reads):
                    self._vary(base, choice, other, more)

    def _vary_together(self, base: Graph, lines: Mapping[Key, Sequence[Read]]) -> None:
        """Tries other answers at several lines at once: a decision may take two of them."""
        numbers = {key: self._numbers(reads) for key, reads in lines.items()}
        for one, other in combinations(lines, 2):
            # Of numbers the first few answers are far apart; bools have no more.
            for i, j in product(numbers[one][:5], numbers[other][:5]):
                self._attempt(base, {one: i, other: j})
        rng = np.random.default_rng(0)
        for _ in range(32):
            chosen = {key: int(rng.choice(some)) for key, some in numbers.items() if some and rng.random() < 0.8}
            if chosen:
                self._attempt(base, chosen)

    def _attempt(self, base: Graph, choice: Mapping[Key, int]) -> Graph | None:
        """Runs with these answers; None if the user's own code rejects them.

        Raises:
            ExportError: the function does something else.
        """
        self._left -= 1
        if self._left < 0:
            raise ExportError(f"to_onnx: {_refusal(choice)} (there are too many such lines to try all)")

        def answer(read: Read) -> Array:
            number = choice.get(read.key)
            if number is None:
                return read.data
            others = answers(read, self._sizes)
            return others[number % len(others)]

        limit = _FACTOR * (len(base.nodes) + len(base.reads)) + _SPARE
        try:
            with np.errstate(all="ignore"):
                graph = self._run(answer, limit)
            require_agreement(base, graph, shapes=False)
        except EndlessRunError:
            why = "it does not come to an end"
        except TraceError as error:
            why = str(error).partition("; a traced value left the graph")[0]
        except Exception as error:  # the user's own code may raise anything
            if raised_by_the_user(error):
                return None
            why = f"it fails: {type(error).__name__}: {error}"
        else:
            return graph
        raise ExportError(f"to_onnx: {_refusal(choice)} ({why})")


def _refusal(choice: Mapping[Key, int]) -> str:
    lines = ", ".join(f"{how} at {where}" for how, where in choice)
    return (
        f"a value computed from the inputs left the graph through {lines}, and decides what the function does: with "
        "another value it does something else, but a file cannot; compute with tensors instead, as with lucid.where"
    )


def answers(read: Read, sizes: frozenset[int] = frozenset()) -> list[Array]:
    """Returns elements for a read: far away, close by, in another order, and around the numbers in the code.

    Reads of the same dtype, size and line have the same answers in the same places, so that a loop over elements can be
    answered with one value throughout.
    """
    data = read.data
    bounds = np.iinfo(data.dtype) if data.dtype.kind in "iu" else None
    found = []
    for candidate in _candidates(read, sizes):
        if bounds is not None:
            candidate = np.clip(np.round(np.nan_to_num(candidate)), bounds.min, bounds.max)
        with np.errstate(all="ignore"):
            found.append(np.asarray(candidate).astype(data.dtype))
    return found


def _candidates(read: Read, sizes: frozenset[int]) -> Iterator[Any]:
    data = read.data
    zeros = np.zeros(data.shape)
    rng = np.random.default_rng(data.size)
    numbers = sorted((n for n in read.numbers | sizes if abs(n) < 2**53), key=lambda n: (abs(n), n))[:_NUMBERS]
    if data.dtype.kind == "b":
        yield from (~data, zeros, zeros + 1, rng.random(data.shape) < 0.5)
        return
    if data.dtype.kind == "f":
        wide = data.astype(np.float64)
        yield from (-wide - 1, wide * 0.5 - 0.125, wide + 1, zeros + 1e30, zeros - 1e30, zeros, zeros + 1)
        yield from (zeros + np.nan, zeros + np.inf, wide * 1e-9, wide * (1 + 1e-3), zeros - 1)
    else:
        wide = data.astype(np.int64)
        yield from (wide + 1, zeros, zeros + 1000, wide - 1, -wide - 1, wide * 2 + 3, zeros + 1, zeros - 1)
        yield rng.integers(0, 8, data.shape)
    if data.size > 1:
        flat = wide.reshape(-1)
        yield flat[::-1].reshape(data.shape)
        yield flat[rng.permutation(data.size)].reshape(data.shape)
        yield np.sort(flat).reshape(data.shape)
        yield rng.standard_normal(data.shape) * 3
        # One element alone: a window on an extremum or a count.
        for place, value in ((0, 1e6), (data.size - 1, -1e6), (data.size // 2, 0)):
            one = flat.copy()
            one[place] = value
            yield one.reshape(data.shape)
    for n in numbers:
        step = max(abs(n), 1) * 1e-3 if data.dtype.kind == "f" else 1
        yield from (zeros + n, zeros + n + step, zeros + n - step)


def raised_by_the_user(error: BaseException) -> bool:
    """Returns whether a statement outside lucid raised an error: the program itself rejects such values."""
    last: TracebackType | None = error.__traceback__
    if last is None:
        return False
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    return not code.co_filename.startswith(PACKAGE) and dis.opname[code.co_code[last.tb_lasti]] in _RAISES


_RAISES = ("RAISE_VARARGS", "RERAISE")


def line_of(error: BaseException) -> str:
    """Returns the innermost of the user's lines that an error came from."""
    found, at = "", error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if not is_foreign(code.co_filename):
            found = f"{code.co_filename}:{at.tb_lineno} ({code.co_name})"
        at = at.tb_next
    return found


def is_counted(value: Value) -> bool:
    """Returns whether a value of a symbolic trace was computed from sizes."""
    for node in walk([value]):
        sized = node.op.name == "size" and any(type(x) is Value and symbols_of(formula(_shape(x))) for x in node.inputs)
        if sized or symbols_of(formula((*node.inputs, *node.attrs.values()))):
            return True
    return False


def _shape(value: Value) -> tuple[Any, ...]:
    node = value.node
    return value.shape if node is None or node.sizes is None else node.sizes[value.index]
