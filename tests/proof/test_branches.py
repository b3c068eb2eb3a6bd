"""Numbers that Python makes of sizes, in ways that no formula has: right at every size the file takes, or refused."""

from __future__ import annotations

import array
import bisect
import calendar
import cmath
import collections
import copy
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import heapq
import itertools
import json
import logging
import math
import numbers
import operator
import pickle
import random
import statistics
import struct
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from lucid.errors import ExportError
from lucid.export import to_onnx
from tests.proof.case import Case, Cases, rand, sized, verdict
from tests.tiers import thinned

X, Y = rand(5, 3), rand(4, 3)
TIMES = [*sized(3), (X * -2,)]
PAIRS = ((1, 1), (2, 7), (7, 2), (4, 4), (13, 3), (3, 13), (20, 21), (21, 20), (31, 64), (64, 32), (33, 33), (129, 1))
TWO = [(rand(a, 3), rand(b, 3)) for a, b in PAIRS]

LIMIT = int("64")
TABLE, WEEK = {5: 2.0, 12: 2.0, 31: 4.0}, (1, 2, 3, 4, 5, 6, 7)
NAMES, SQUARES = {"05": 2.0, "12": 2.0, "5": 2.0}, {k * k: 2.0 for k in range(3, 11)}
CONFIGURATION = json.loads('{"limits": [{"steps": 31}]}')


class Limit:
    """A thing that compares itself with sizes."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __lt__(self, other: Any) -> bool:
        return self.steps < other

    def __eq__(self, other: object) -> bool:
        return bool(self.steps == other)

    def __hash__(self) -> int:
        return hash(self.steps)


class Lengths(enum.IntEnum):
    """Sizes with names."""

    SHORT = 7
    LONG = 64


def halvings(n: Any) -> int:
    count = 0
    while n > 1:
        n, count = n // 2, count + 1
    return count


def matched(n: Any) -> int:
    match n:
        case 31 | 64:
            return 2
        case int() if n > 100:
            return 4
        case 0 | 1:
            return 5
    return 3


def by_exception(n: Any) -> float:
    try:
        return (2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0)[n % 9]
    except IndexError:
        return 7.0


def by_missing_key(n: Any) -> float:
    with suppress(KeyError):
        return TABLE[n]
    return 3.0


def by_name(n: Any) -> float:
    try:
        return 2.0 + len(Lengths(n).name)
    except ValueError:
        return 2.0


def by_failed_assertion(n: Any) -> float:
    try:
        assert n < 20
    except AssertionError:
        return 2.0
    return 3.0


def by_finally(n: Any) -> float:
    try:
        return 100.0 / (n - 31)
    except ZeroDivisionError:
        return 7.0


def recursive(n: Any) -> int:
    return 1 if n <= 8 else 1 + recursive(n // 2)


@functools.lru_cache
def cached_choice(n: int) -> float:
    return 2.0 if n <= 20 else 3.0


@functools.lru_cache
def cached_key(n: int) -> float:
    return TABLE.get(n, 3.0)


@functools.singledispatch
def by_type(n: Any) -> float:
    return 2.0


@by_type.register
def _(n: int) -> float:
    return 3.0


CHOICES: dict[str, Callable[[Any], Any]] = {
    # comparisons
    "within": lambda n: 2 if 5 <= n < 50 else 3,
    "a negation": lambda n: 2 if not n > 40 else 3,
    "a bool as a number": lambda n: 1 + (n > 20),
    "a bool of a difference": lambda n: 2 if n - 31 else 3,
    "or": lambda n: n % 5 or 7,
    "and": lambda n: n // 20 and 7,
    "a computed limit": lambda n: 2 if n < LIMIT else 3,
    "a folded constant": lambda n: 2 if n < 4 * 8 else 3,
    "a limit made of text": lambda n: 2 if n < len("a text of some thirty characters") else 3,
    "a limit in JSON": lambda n: 2 if n < CONFIGURATION["limits"][0]["steps"] else 3,
    "a limit of NumPy's": lambda n: 2 if n < np.int64(31) else 3,
    "a limit that is a float": lambda n: 2 if n < 3.15e1 else 3,
    "a limit with a method": lambda n: 2 if Limit(20) < n else 3,
    "equal to a thing": lambda n: 2 if Limit(31) == n else 3,
    "equal to a name": lambda n: 2 if n == Lengths.LONG else 3,
    "of a square": lambda n: 2 if n * n > 900 else 3,
    "of a quotient": lambda n: 2 if n // 16 > 1 else 3,
    "of a rest": lambda n: 2 if n % 13 == 0 else 3,
    "of a rest of a multiple": lambda n: 2 if n * 7 % 30 == 11 else 3,
    "of a half": lambda n: 2 if n / 2 > 15.5 else 3,
    "of a reciprocal": lambda n: 2 if 1 / n < 0.033 else 3,
    "of a negative": lambda n: 2 if -n < -20 else 3,
    "of a power": lambda n: 2 if 2**n > 2**30 else 3,
    "of divmod": lambda n: 2 if divmod(n, 7) == (4, 3) else 3,
    "by a method": lambda n: 2 if n.__gt__(20) else 3,
    "by a method of int": lambda n: 2 if int.__gt__(n, 20) else 3,
    "by operator": lambda n: 2 if operator.ge(n, 32) else 3,
    "identity": lambda n: 2 if n is WEEK[6] else 3,
    "close": lambda n: 2 if math.isclose(n, 31, abs_tol=1.5) else 3,
    "any": lambda n: 2 if any(m == n for m in (31, 64)) else 3,
    "all": lambda n: 2 if all(m < n for m in (7, 8)) else 3,
    "a match": matched,
    "halvings in a loop": halvings,
    "a recursion": recursive,
    "a cache": cached_choice,
    # numbers
    "a power beyond 64 bits": lambda n: 2**n / 2.0**60,
    "a formula beyond 64 bits": lambda n: n**12 / 1e30,
    "a product beyond 64 bits": lambda n: n * 10**17 // 10**16,
    "a difference beyond 53 bits": lambda n: (n + 2**60) / 2**60 - 1 + ((n + 2**60) / 4 - 2**58),
    "a power with a negative base": lambda n: (-2) ** (n % 5) + (-1) ** n,
    "a rest of floats": lambda n: n * 0.1 % 0.3,
    "a large factor": lambda n: n * 1e300 / 1e299,
    "a factorial": lambda n: math.factorial(n) / math.factorial(n - 1),
    "an absolute difference": lambda n: abs(n - 20),
    "rounded": lambda n: round(n / 4),
    "rounded to tens": lambda n: round(n, -1),
    "truncated": lambda n: int(n / 3),
    "truncated by math": lambda n: math.trunc(-n / 4),
    "floored": lambda n: math.floor(n * 0.7),
    "its ceiling below zero": lambda n: math.ceil(-n / 4),
    "a float": lambda n: float(n),
    "a complex number": lambda n: (complex(n) * 1j).imag,
    "a square root": lambda n: math.sqrt(n),
    "a square root of a negative": lambda n: cmath.sqrt(20 - n).real,
    "a power of a negative": lambda n: abs((10.5 - n) ** 0.5),
    "a logarithm": lambda n: math.log(n),
    "a gcd": lambda n: math.gcd(n, 12),
    "an integer root": lambda n: math.isqrt(n),
    "a binomial coefficient": lambda n: math.comb(n, 2),
    "the last bit": lambda n: n & 1,
    "shifted to the right": lambda n: n >> 1,
    "shifted to the left": lambda n: 1 << (n % 8),
    "exclusive or": lambda n: n ^ 5,
    "a complement": lambda n: ~n,
    "the number of bits": lambda n: n.bit_length(),
    "its real part": lambda n: n.real + n.imag + n.numerator,
    "a power modulo": lambda n: pow(n, 2, 7),
    "a power of a number modulo": lambda n: pow(3, n, 5),
    "the larger": lambda n: max(n, 12),
    "the smaller": lambda n: min(n, 31),
    "the one between": lambda n: sorted([n, 20, 64])[1],
    "the largest by a heap": lambda n: heapq.nlargest(1, [n, 20])[0],
    # tables
    "in a tuple": lambda n: 2 if n in (7, 31) else 3,
    "in a set": lambda n: 2 if n in {8, 64} else 3,
    "in a set made here": lambda n: 2 if n in frozenset(range(60, 70)) else 3,
    "in a range": lambda n: 2 if n in range(20, 40) else 3,
    "in a range of itself": lambda n: 2 if 31 in range(n) else 3,
    "in an array": lambda n: 2 if n in np.array([8, 64]) else 3,
    "an exception": by_exception,
    "a missing key": by_missing_key,
    "a division by zero": by_finally,
    "a failed assertion": by_failed_assertion,
    "a name of a size": by_name,
    "a table behind a cache": cached_key,
    "a table by a rest": lambda n: WEEK[n % 7],
    "a table by a smaller size": lambda n: WEEK[min(n, 6)],
    "a table by a bool": lambda n: WEEK[(n > 20) + 2],
    "a table by a quotient": lambda n: {0: 2.0, 1: 4.0}.get(n // 16, 5.0),
    "a table by a half": lambda n: {2.5: 2.0, 32.0: 4.0}.get(n / 2, 5.0),
    "a table by a pair": lambda n: {(5, 1): 2.0, (31, 1): 4.0}.get((n, n % 2), 5.0),
    "a computed table": lambda n: SQUARES.get(n, 3.0),
    "a table made of text": lambda n: {int(k): 2.0 for k in json.loads('["8", "64"]')}.get(n, 3.0),
    "a read-only table": lambda n: types.MappingProxyType(TABLE).get(n, 3.0),
    "two tables": lambda n: collections.ChainMap({7: 2.0}, TABLE).get(n, 3.0),
    "a default table": lambda n: collections.defaultdict(lambda: 3.0, {7: 2.0})[n],
    "a place in a list": lambda n: [*range(60, 70), n].index(n),
    "a count in a list": lambda n: [31, 64, n].count(n),
    "different ones": lambda n: len({n, 5, 31}),
    "counted ones": lambda n: collections.Counter([n, 64])[64],
    "a hash": lambda n: hash(n) % 3,
    "a hash of a pair": lambda n: hash((n, 1)) % 5,
    "a bucket": lambda n: bisect.bisect([8, 16, 32, 64], n),
    # text
    "the length of its text": lambda n: len(str(n)),
    "its last digit": lambda n: int(str(n)[-1]),
    "text as a key": lambda n: NAMES.get(f"{n:02d}", 3.0),
    "text that is compared": lambda n: 2 if format(n, "d") == "31" else 3,
    "its repr": lambda n: 2 if repr(n) == "64" else 3,
    "its bits as text": lambda n: bin(n).count("1") + len(f"{n:x}"),
    "text as code": lambda n: eval(f"2 if {n} > 20 else 3"),
    "text as JSON": lambda n: json.loads(json.dumps([n, 1]))[0],
    "repeated text": lambda n: len("ab" * n),
    "a character": lambda n: ord(chr(64 + n % 26)),
    # types
    "an instance of int": lambda n: 2 if isinstance(n, int) else 3,
    "not of other types": lambda n: 2 if isinstance(n, (bool, float, str, np.integer)) else 3,
    "an instance of Integral": lambda n: 2 if isinstance(n, numbers.Integral) else 3,
    "a supported index": lambda n: 2 if hasattr(n, "__index__") and not hasattr(n, "shape") else 3,
    "its type": lambda n: 2 if type(n) is int else 3,
    "its type's name": lambda n: 2 if type(n).__name__ == "int" else 3,
    "a function of its type": by_type,
    "an index": lambda n: operator.index(n) + n.__index__(),
    "an int": lambda n: int(n),
    # loops, lists and containers
    "the length of a range": lambda n: len(range(n)),
    "a range by steps": lambda n: sum(2 for _ in range(0, n, 16)),
    "a reversed range": lambda n: sum(i for i in reversed(range(n)) if i == 30),
    "an item of a range": lambda n: range(100, 0, -1)[n % 50],
    "a list": lambda n: len([0] * n),
    "a tuple": lambda n: len(n * (0,)),
    "a slice of a list": lambda n: len([*range(40)][:n]),
    "bytes": lambda n: len(bytes(n)),
    "repeated by itertools": lambda n: len([*itertools.repeat(1, n)]),
    "an item of an iterator": lambda n: next(itertools.islice(itertools.count(), n % 20, None)),
    "zipped": lambda n: len([*zip(range(n), range(30), strict=False)]),
    "accumulated": lambda n: [*itertools.accumulate([n, 20], max)][1],
    "indices of a slice": lambda n: sum(slice(2, -1, 3).indices(n)),
    # the standard library, NumPy, threads
    "a mean": lambda n: statistics.mean([n, 3]),
    "a fraction": lambda n: float(fractions.Fraction(n, 3)),
    "a decimal": lambda n: float(decimal.Decimal(n) / 4),
    "a leap year": lambda n: 2 if calendar.isleap(n) else 3,
    "a time": lambda n: datetime.timedelta(hours=n).days,
    "a random number of a seed": lambda n: random.Random(n).random(),
    "packed": lambda n: struct.unpack("<h", struct.pack("<h", n))[0],
    "an array": lambda n: array.array("i", [n])[0],
    "a number of C": lambda n: ctypes.c_int8(n).value,
    "its bytes": lambda n: n.to_bytes(2, "little")[0],
    "a copy": lambda n: copy.deepcopy([n])[0] + copy.copy(n),
    "a pickled copy": lambda n: pickle.loads(pickle.dumps(n)),
    "a number of NumPy's": lambda n: float(np.int64(n)),
    "a function of NumPy's": lambda n: float(np.sqrt(n) + np.log(n)),
    "the smaller by NumPy": lambda n: float(np.minimum(n, 12)),
    "an array of its size": lambda n: float(np.ones(n).sum()),
    "an array of numbers up to it": lambda n: float(np.linspace(0, 1, n + 1).sum()),
    "an array that holds it": lambda n: float(np.array([n, 7]).max()),
    "its dtype": lambda n: np.asarray(n).dtype.itemsize,
    "an array compared with it": lambda n: float((np.arange(40) < n).sum()),
    "a number of NumPy's compared with it": lambda n: 2 if np.int64(20) < n else 3,
    "a place by NumPy": lambda n: float(np.searchsorted([8, 64], n)),
    "a random number of NumPy's": lambda n: float(np.random.default_rng(n).standard_normal()),
    "in another thread": lambda n: ThreadPoolExecutor(1).submit(lambda: 2 if n > 20 else 3).result(),
}


def scaled_by(number: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def scaled(x: Any) -> Any:
        return x * number(x.shape[0])

    return scaled


HONEST = Cases()
HONEST += [Case(scaled_by(f), (X,), tuple(TIMES), name=name) for name, f in CHOICES.items()]

BOTH: dict[str, Callable[[Any, Any], Any]] = {
    "greater": lambda t, s: 2 if t > s else 3,
    "twice as great": lambda t, s: 2 if t >= 2 * s + 3 else 3,
    "equal to half": lambda t, s: 2 if t // 2 == s else 3,
    "a difference of one": lambda t, s: 2 if t - s == 1 else 3,
    "a near difference": lambda t, s: 2 if abs(t - s) < 3 else 3,
    "divisible": lambda t, s: 2 if t % s == 0 else 3,
    "a product of both": lambda t, s: 2 if t * s > 100 else 3,
    "a sum of both": lambda t, s: 2 if t + s == 41 else 3,
    "two numbers": lambda t, s: 2 if (t, s) == (31, 64) else 3,
    "the order of pairs": lambda t, s: 2 if (t, 1) < (s, 0) else 3,
    "the largest of both": lambda t, s: max(t, s),
    "the lowest of both": lambda t, s: sorted((t, s))[0],
    "a key of both": lambda t, s: {(4, 4): 2.0, (20, 21): 4.0}.get((t, s), 3.0),
    "different sizes": lambda t, s: len({t, s}),
    "different keys": lambda t, s: len(dict.fromkeys([t, s, 20])),
    "the place of the largest": lambda t, s: [t, s].index(max(t, s)),
    "texts of both": lambda t, s: 2 if f"{t}x{s}" == "31x64" else 3,
    "the number of steps": lambda t, s: len(range(0, t, s)),
    "the bits of a rest": lambda t, s: (t % s).bit_length(),
    "both by NumPy": lambda t, s: float(np.lcm(t, s)),
}


def scaled_by_both(number: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def scaled(x: Any, y: Any) -> Any:
        return (x.sum(0) + y.sum(0)) * number(x.shape[0], y.shape[0])

    return scaled


HONEST += [Case(scaled_by_both(f), (X, Y), tuple(TWO), name=name) for name, f in BOTH.items()]

# --- decisions that change nothing, or that the program rejects: these axes stay free

EXPORTED = Cases()
free = functools.partial(EXPORTED.exported, (X,), *TIMES, free={"x": (0,)})


@free()
def always_so(x):
    T = x.shape[0]
    if T < 1 or T + 1 <= T or T // 2 > T or T - 1 < 0 or T % 3 >= 3 or x.size(0) != T:
        return x.sum()
    return x * 2


@free()
def logged_sizes(x):
    logging.getLogger(__name__).debug("%d steps of %s, %r", x.shape[0], x.shape, x.shape[0])
    return x * 2


@EXPORTED.exported((X, Y), *TWO, free={"x": (0,), "y": (0,)})
def rejected_for_two(x, y):
    if x.shape[0] == 2 * y.shape[0] or x.shape[0] * y.shape[0] > 2000:
        raise ValueError("too many steps")
    return x.sum(0) / y.shape[0] + y.sum(0)


@free()
def the_other_axis_decides(x):
    return x * 2 if x.shape[1] == 3 and len(x.shape) == 2 else x * 3


@pytest.mark.parametrize("case", thinned(HONEST, 3), ids=str)
def test_it_is_right_at_every_size_or_refused(case: Case) -> None:
    found = verdict(case)
    assert found.startswith(("right", "refused")), found


@pytest.mark.parametrize("case", thinned(HONEST[: len(CHOICES)], 5), ids=str)
def test_an_axis_that_was_asked_for_is_refused_with_the_line_or_right(case: Case) -> None:
    asked = Case(case.function, case.example, case.probes, options={"dynamic": {"x": {0: "n"}}})
    found = verdict(asked)
    assert found.startswith(("right", "refused")), found
    if found.startswith("refused"):
        with pytest.raises(ExportError, match=r"test_branches\.py:\d+"):
            to_onnx(case.function, *case.example, **asked.options)


@pytest.mark.parametrize("case", EXPORTED, ids=str)
def test_what_decides_nothing_leaves_the_axis_free(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("right"), found
