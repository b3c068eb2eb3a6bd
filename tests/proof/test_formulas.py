"""Programs whose sizes are arithmetic: exported with those axes free, and right at every size."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.export import to_onnx
from tests.proof.case import SIZES, Case, Cases, rand, sized, verdict
from tests.tiers import thinned

F = nn.functional
X, Y = rand(5, 3), rand(7, 3)
TIMES = sized(3)
PAIRS = ((1, 1), (2, 7), (7, 2), (8, 8), (13, 3), (3, 13), (20, 21), (21, 20), (31, 64), (64, 32), (129, 1), (1, 129))
TWO = [(rand(a, 3), rand(b, 3)) for a, b in PAIRS]
PLANES = [(rand(a, b, 3),) for a, b in PAIRS]

EXPORTED = Cases()
T_FREE, TN_FREE, TWO_FREE = {"x": (0,)}, {"x": (0, 1)}, {"x": (0,), "y": (0,)}
of_time = functools.partial(EXPORTED.exported, (X,), *TIMES, free=T_FREE)
of_plane = functools.partial(EXPORTED.exported, (rand(5, 2, 3),), *PLANES, free=TN_FREE)
of_two = functools.partial(EXPORTED.exported, (X, Y), *TWO, free=TWO_FREE)

# --- a number made of a size, that multiplies; of two sizes

NUMBERS: dict[str, Callable[[Any], Any]] = {
    "triangle": lambda n: n * (n + 1) // 2,
    "squares": lambda n: n * (n + 1) * (2 * n + 1) / 6,
    "power": lambda n: n**-0.5,
    "cube": lambda n: n**3 / 1e4,
    "rounded up": lambda n: -(-n // 8),
    "rounded up by math": lambda n: math.ceil(n / 8),
    "rounded up to 16": lambda n: (n + 15) // 16 * 16,
    "of a negative size": lambda n: -n % 8,
    "modulo a negative": lambda n: n % -7,
    "divided by a negative": lambda n: n // -4,
    "by divmod": lambda n: sum(divmod(n, 6)),
    "by divmod from the left": lambda n: operator.sub(*divmod(100, n)),
    "a rest of a large number": lambda n: 100 % n,
    "nested": lambda n: ((n // 2 + 1) // 2 + 1) // 2,
    "of halves": lambda n: (n / 2 + 0.5) * 1e-1,
    "zero at all small sizes": lambda n: n // 30,
    "a step at a large size": lambda n: 1 + (n + 79) // 100,
    "parity": lambda n: 1 - 2 * (n % 2),
    "a float modulo": lambda n: n * 0.5 % 4,
    "a float floor": lambda n: n / 2 // 3,
    "a reciprocal": lambda n: 1 / n + 1.0 / (2 * n),
    "a sum of terms": lambda n: sum([n, n // 2, n // 4, 1]),
    "a product": lambda n: math.prod([n, n + 1, 0.25]),
    "a polynomial by reduce": lambda n: functools.reduce(lambda a, c: a * n + c, (1e-3, -2, 7)),
    "with signs": lambda n: +n - -n,
    "by operator": lambda n: operator.floordiv(operator.add(n, 3), 4),
    "at least one, as all sizes are": lambda n: max(n, 1),
    "compared with what no size is below": lambda n: n + 1 if n + 1 > n and n > 0 and n * 2 >= 2 else -1,
}


def scaled_by(number: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def scaled(x: Any) -> Any:
        return x * number(x.shape[0])

    return scaled


EXPORTED += [Case(scaled_by(f), (X,), tuple(TIMES), free=T_FREE, name=name) for name, f in NUMBERS.items()]

OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda t, s: t + s,
    "difference": lambda t, s: t - s,
    "product": lambda t, s: t * s,
    "ratio": lambda t, s: t / s,
    "whole ratio": lambda t, s: t // s,
    "rest": lambda t, s: t % s,
    "mean": lambda t, s: (t + s) / 2,
    "power of a ratio": lambda t, s: (t / s) ** 0.5,
    "padding to a multiple": lambda t, s: -t % s,
    "harmonic": lambda t, s: 2 * t * s / (t + s),
}


def scaled_by_both(number: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def scaled(x: Any, y: Any) -> Any:
        return (x.sum(0) + y.sum(0)) * number(x.shape[0], y.shape[0])

    return scaled


EXPORTED += [Case(scaled_by_both(f), (X, Y), tuple(TWO), free=TWO_FREE, name=name) for name, f in OF_TWO.items()]

# --- bounds of slices; a bound that is negative at some sizes counts from the end there

BOUNDS: dict[str, Callable[[Any], Any]] = {
    "the last half": lambda n: slice(n // 2, None),
    "the middle third": lambda n: slice(n // 3, 2 * n // 3),
    "all but a quarter": lambda n: slice(n - n // 4),
    "half, rounded up": lambda n: slice(-(-n // 2)),
    "whole weeks": lambda n: slice(n - n % 7),
    "what remains of weeks": lambda n: slice(n - n % 7, None),
    "a negative half, which is zero at one": lambda n: slice(-(n // 2), None),
    "up to a negative quarter, which is zero below four": lambda n: slice(-(n // 4)),
    "up to a negative rest": lambda n: slice(-(n % 3)),
    "from one below a half, which is negative at one": lambda n: slice(n // 2 - 1, None),
    "up to two below a half": lambda n: slice(n // 2 - 2),
    "every second from a rest": lambda n: slice(n % 2, None, 2),
    "backwards from the middle": lambda n: slice(n // 2, None, -1),
    "beyond the end": lambda n: slice(n - 2, 2 * n),
    "nothing": lambda n: slice(n, None),
}


def cut_at(bounds: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def cut(x: Any) -> Any:
        return x[bounds(x.shape[0])] * 1.0

    return cut


EXPORTED += [Case(cut_at(f), (X,), tuple(TIMES), free=T_FREE, name=name) for name, f in BOUNDS.items()]


@of_time()
def the_last_and_the_middle(x):
    T = x.shape[0]
    return x[T - 1] + x[T // 2] * 2 + x[-(T // 2) - 1] * 3 + x[(T - 1) // 2, T % 2]


@of_two()
def cut_at_the_others_size(x, y):
    return x[: y.shape[0]] * 1.0, x[y.shape[0] :] * 2.0, y[-x.shape[0] :] * 3.0


@of_time()
def neighbours_and_halves(x):
    T = x.shape[0]
    k = T // 3
    return x[1:] - x[:-1], x[: T - k] * x[k:], x[: T // 2] + x[T - T // 2 :], x[::2][: T // 2] - x[1::2]


@of_plane()
def a_corner(x):
    T, N, _ = x.shape
    return x[T // 2 :, : -(-N // 2)] / (T * N)


# --- a size beside a tensor


@of_time()
def a_size_on_either_side(x):
    T = x.shape[0]
    return T - x, T / (x.abs() + 1), T * x + T, x - T // 2, 1.5**x + x.abs() ** (1 / T)


@EXPORTED.exported((np.arange(4),), *[(np.arange(n),) for n in SIZES], free={"ids": (0,)})
def a_size_beside_integers(ids):
    n = ids.shape[0]
    return ids * n, ids + n / 2, (ids + n) % 7, ids // n, n - ids, n % (ids + 1), ids % n == n - 1, ids.float() + n


@of_time()
def compared_with_a_tensor(x):
    n = x.shape[0]
    at = lucid.arange(n).unsqueeze(1)
    return (
        x.masked_fill(at >= n - 2, n),
        lucid.where(n // 2 > at, x, -1.0),
        lucid.where(at == n - 1, n, 0),
        x.clamp(max=n / 20),
        lucid.clamp(at * 3, 0, n - 1),
    )


# --- preconditions: what the program's own code rejects; the sizes it takes stay free


@EXPORTED.exported((rand(6, 3),), *TIMES, free=T_FREE)
def only_even_sizes(x):
    if x.shape[0] % 2:
        raise ValueError(f"an even number of steps, not {x.shape[0]}")
    return x[: x.shape[0] // 2] * 2


@of_time()
def asserted_sizes(x):
    assert x.shape[0] >= 3, f"{x.shape} is too short"
    assert x.dim() == 2
    assert x.shape == x.shape
    return x[2:] - x[:-2]


@EXPORTED.exported((X, rand(5, 2)), *[(rand(n, 3), rand(n, 2)) for n in SIZES], (X, rand(6, 2)), free=TWO_FREE)
def rejected_if_they_differ(x, y):
    if x.shape[0] != y.shape[0]:
        raise ValueError("as many rows of x as of y")
    return lucid.cat([x, y], 1) / x.shape[0]


# --- sizes that travel


class Span(NamedTuple):
    first: Any
    last: Any

    def middle(self) -> Any:
        return (self.first + self.last) // 2


@dataclass
class Plan:
    steps: Any
    overlap: int = 2

    @property
    def padded(self) -> Any:
        return self.steps + 2 * self.overlap


@of_time()
def in_tuples_and_classes(x):
    T = x.shape[0]
    span, plan = Span(T // 4, T - T // 4), Plan(steps=T)
    return x[span.first : span.last] * span.middle(), x / plan.padded, x * {"n": T, "half": T // 2}["half"]


@of_time()
class InAnAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = None

    def forward(self, x):
        self.steps = x.shape[0]
        return self.divided(x, by=self.steps + 1)

    def divided(self, x, *, by):
        return x * self.steps / by


@of_time()
def thirds_in_a_loop(x):
    T = x.shape[0]
    return lucid.stack([x[i * T // 3 : (i + 1) * T // 3].sum(0) for i in range(3)]) / T


@of_time()
def printed_sizes(x):
    text = f"{x.shape[0]:5d} steps, {x.shape}, {x.shape[0] / 2:.1f}, {x.shape!r}"
    str(x.shape[0]) + text + format(x.shape[0], "d")
    return x * x.shape[0]


# --- gradients


@of_time()
def the_gradient_of_a_mean_over_a_size(x):
    T = x.shape[0]
    x = x.detach().requires_grad_()
    weights = lucid.arange(1, T + 1).float().unsqueeze(1)
    return lucid.grad((x.square() * weights).sum() / (T * (T + 1) / 2), [x])[0]


@of_time()
def the_gradient_through_chunks(x):
    x = x.detach().requires_grad_()
    chunks = F.pad(x, (0, 0, 0, -x.shape[0] % 4)).reshape(-1, 4, 3)
    return lucid.autograd.grad((chunks.amax(1) * chunks.mean(1)).sum() / chunks.shape[0], [x])[0]


@EXPORTED.exported(
    (rand(6, 4, 3), rand(4), np.ones((6, 4), bool)),
    *[(rand(a, b, 3), rand(b), rand(a, b) > 0) for a, b in PAIRS],
    free={"x": (0, 1), "weight": (0,), "mask": (0, 1)},
)
def axes_shared_by_inputs(x, weight, mask):
    T, N = mask.shape
    return (x * weight.unsqueeze(1) * mask.unsqueeze(-1)).sum(0) / T, mask.float().sum() / (T * N) + weight / N


@pytest.mark.parametrize("case", thinned(EXPORTED, 2), ids=str)
def test_it_is_exported_and_right_at_every_size(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("right"), found


@pytest.mark.parametrize("case", [c for c in EXPORTED if len(c.example) == 1][::7], ids=str)
def test_an_axis_can_be_asked_for(case: Case) -> None:
    ((name, axes),) = case.free.items()
    exported = to_onnx(case.function, *case.example, dynamic={name: {axis: f"n{axis}" for axis in axes}})
    assert exported.axes == {name: {axis: f"n{axis}" for axis in axes}}
