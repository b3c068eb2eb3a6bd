"""Decisions by sizes of results and pieces, by what lucid rejects, and by sizes that travel: right or refused."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import to_onnx
from tests.proof.case import Case, Cases, rand, sized, verdict
from tests.tiers import thinned

F = nn.functional
X, Y = rand(5, 3), rand(4, 3)
TIMES = [*sized(3), (X * -2,), (-np.abs(X),), (np.abs(X),)]
PAIRS = ((1, 1), (2, 7), (7, 2), (4, 4), (13, 3), (3, 13), (20, 21), (21, 20), (31, 64), (64, 32), (33, 33), (300, 1))
TWO = [(rand(a, 3), rand(b, 3)) for a, b in PAIRS]
HONEST = Cases()
of_time = functools.partial(HONEST.honest, (X,), *TIMES)
of_two = functools.partial(HONEST.honest, (X, Y), *TWO)

# --- a number that a result's size makes; the program multiplies by it

PIECES: dict[str, Callable[[Any], Any]] = {
    "what is left of 600": lambda x: x[:600].shape[0],
    "what is left of 600, compared": lambda x: 2 if x[:600].shape[0] > 250 else 3,
    "what is left of 20": lambda x: 2 if x[20:].shape[0] > 0 else 3,
    "nothing left": lambda x: 2 if x[30:].numel() == 0 else 3,
    "the last 16": lambda x: 2 if x[-16:].shape[0] == 16 else 3,
    "what a long window leaves": lambda x: len(x[8:40]) + 1,
    "a window from the end": lambda x: x[-40:-8].shape[0] + 1,
    "every seventh": lambda x: 2 if x[::7].shape[0] > 3 else 3,
    "every second of a window": lambda x: x[3:50:2].shape[0],
    "backwards to the tenth": lambda x: x[:10:-1].shape[0] + 1,
    "a constant for small sizes": lambda x: x[: (9 - math.ceil(x.shape[0] / 50)) % 9 + 2].shape[0],
    "a selection": lambda x: lucid.masked_select(x, x > 0).shape[0],
    "a branch on a selection": lambda x: 2 if lucid.masked_select(x, x > 0).numel() > 9 else 3,
    "places that are not zero": lambda x: 2 if len((x > 1).nonzero()) > 3 else 3,
    "places that are True": lambda x: x[x > 0].shape[0],
    "rows that are True": lambda x: x[x[:, 0] > 0].shape[0],
    "pieces of 16": lambda x: len(x.split(16)),
    "the last piece of 16": lambda x: x.split(16)[-1].shape[0],
    "four chunks": lambda x: len(x.chunk(4)),
    "the first chunk": lambda x: x.chunk(3)[0].shape[0],
    "the last chunk": lambda x: x.chunk(4)[-1].shape[0],
    "rows unbound": lambda x: len(x.unbind(0)),
    "rows in a list": lambda x: len(list(x)),
    "twice as many": lambda x: 2 if lucid.cat([x, x]).shape[0] > 40 else 3,
    "repeated": lambda x: 2 if x.repeat_interleave(3, 0).size(0) % 13 == 0 else 3,
    "repeated as often as it is long": lambda x: x.repeat(x.shape[0], 1).shape[0],
    "padded": lambda x: 2 if F.pad(x, (0, 0, 3, 4)).shape[0] % 8 else 3,
    "a plane": lambda x: 2 if (x @ x.T).numel() > 900 else 3,
    "flattened": lambda x: 2 if x.flatten().shape[0] > 93 else 3,
    "convolved": lambda x: 2 if F.conv1d(x.T, lucid.ones(3, 3, 3), stride=4, padding=1).shape[-1] > 7 else 3,
    "without axes of one": lambda x: x.squeeze().dim(),
    "without its first axis if that is one": lambda x: x.squeeze(0).shape[0],
    "a sum without axes of one": lambda x: x.squeeze(0).sum(0).dim() + 2,
    "the largest three": lambda x: x.topk(min(x.shape[0], 3), 0).values.shape[0],
    "broadcast against 64 rows": lambda x: (x[:1] + lucid.zeros(64, 3)).shape[0] + x.sum(0, keepdim=True).shape[0],
    "broadcast against a row": lambda x: 2 if (x + lucid.ones(1, 3)).shape[0] >= 33 else 3,
    "an arange": lambda x: 2 if lucid.arange(0, x.shape[0], 3).shape[0] == 7 else 3,
    "a length in a name": lambda x: {"s5": 2.0}.get(f"s{len(x)}", 3.0),
    "a number in a shape": lambda x: 1 + (31 in x.shape),
    "the count in a shape": lambda x: 1 + x.shape.count(31),
    "the place in a shape": lambda x: 1 + x.shape.index(3),
    "a shape": lambda x: 2 if x.shape == (64, 3) else 3,
    "the head of a shape": lambda x: 2 if x.shape[:1] >= (21,) else 3,
    "a shape as a key": lambda x: {(5, 3): 2.0, (64, 3): 4.0}.get(x.shape, 3.0),
    "a shape as text": lambda x: 2 if str(x.shape) == "(31, 3)" else 3,
    "the length of a shape's text": lambda x: len(repr(x.shape)),
    "the largest in a shape": lambda x: max(x.shape),
    "the smallest in a shape": lambda x: functools.reduce(min, x.shape),
    "any of a shape": lambda x: 1 + any(n > 30 for n in x.shape),
    "a set of a shape": lambda x: len({*x.shape}),
    "all but the first": lambda x: sum(n for n in x.shape if n != 3),
    "bytes": lambda x: x.detach().numpy().nbytes,
    "the shape of an array": lambda x: x.detach().numpy().shape[0],
    "the length of an array": lambda x: 2 if len(x.detach().numpy()) > 20 else 3,
    "the length of a nested list": lambda x: 2 if len(x.tolist()) > 20 else 3,
    "a tensor of a size": lambda x: lucid.tensor([x.shape[0], 2]).sum(),
    "an array of a size": lambda x: lucid.tensor(np.arange(x.shape[0], dtype=np.float32).sum()),
    "a size that became a tensor": lambda x: 2 if lucid.tensor(x.shape[0]) > 20 else 3,
    "a size that was read from a tensor": lambda x: 2 if int(lucid.arange(x.shape[0]).max()) > 20 else 3,
    "ones that were counted": lambda x: 2 if lucid.ones_like(x).sum().item() > 93 else 3,
}


def scaled_by_a_piece(number: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def scaled(x: Any) -> Any:
        return x * number(x)

    return scaled


HONEST += [Case(scaled_by_a_piece(f), (X,), tuple(TIMES), name=name) for name, f in PIECES.items()]


@of_two()
def a_piece_that_is_empty_at_small_sizes(x, y):
    z = x[(8 + y.shape[0]) * 7 :]
    return x * (z.shape[0] + 1), y + 0


@of_two()
def a_branch_on_a_piece_that_is_empty_at_small_sizes(x, y):
    return x * (2 if len(x[(8 + y.shape[0]) * 7 :]) else 3), y + 0


@of_two()
def the_shorter_is_padded(x, y):
    if x.shape[0] > y.shape[0]:
        y = F.pad(y, (0, 0, 0, x.shape[0] - y.shape[0]))
    return x[:, :1] * 2 + y[: x.shape[0], :1]


@of_two()
def the_same_shape(x, y):
    return x + y if x.shape == y.shape else x.sum(0) - y.sum(0)


@HONEST.honest((X, X + 1), (X, rand(1, 3)), (rand(1, 3), X), (rand(8, 3), rand(8, 3)), (rand(1, 3), rand(1, 3)))
def broadcast_or_not(x, y):
    return x + y, (x * y).sum(0) / (x + y).shape[0]


@HONEST.honest((X, rand(5)), *[(rand(n, 3), rand(n)) for n in (1, 2, 3, 8, 31)], (rand(3, 3), rand(3)), (X, rand(3)))
def a_column_that_could_be_a_row(x, w):
    return x * (w if w.shape[0] == x.shape[1] else w.unsqueeze(1))


@HONEST.honest((rand(4, 4),), *[(rand(a, b),) for a, b in PAIRS])
def square_or_not(x):
    return x @ x if x.shape[0] == x.shape[1] else x @ x.T


@HONEST.honest((rand(4, 3), rand(3, 4)), *[(rand(a, b), rand(b, c)) for a, b, c in ((2, 5, 2), (6, 3, 2), (3, 3, 3))])
def a_product_with_a_trace(x, y):
    z = x @ y
    return z + z.T if z.shape[0] == z.shape[-1] else z * 2


# --- what lucid rejects, and the program catches


@of_time()
def an_index_beyond_the_end(x):
    try:
        return x[20] + 1
    except IndexError:
        return x[-1] * 2


@of_time()
def a_shape_that_does_not_fit(x):
    try:
        return x.reshape(-1, 8).sum(1)
    except (ValueError, RuntimeError):
        return x.sum(0) * 2


@of_time()
def sizes_that_do_not_fit(x):
    try:
        return x + lucid.ones(31, 3)
    except ValueError:
        return x.sum(0) * 2


@of_time()
def a_kernel_longer_than_the_signal(x):
    with suppress(Exception):
        return F.conv1d(x.T, lucid.ones(3, 3, 9))
    return x.T * 2


@of_time()
def more_than_there_are(x):
    try:
        return x.topk(7, 0).values
    except Exception:
        return x.sort(0).values


@of_time()
def any_error_at_all(x):
    try:
        return x[2 * x.shape[0] - 40] * 3
    except Exception:
        return x[0] * 2


# --- loops, recursion, pieces of other lengths


@of_time()
def cropped_by_negative_padding(x):
    return F.pad(x, (0, 0, 2, -2)) * 1.0


@of_time()
def cropped_if_it_is_long(x):
    return F.pad(x, (0, 0, 0, -30)) * 2 if x.shape[0] > 60 else x


@of_time()
def a_tree_of_halves(x):
    n = x.shape[0]
    return x.sum(0) if n <= 8 else (a_tree_of_halves(x[: n // 2]) - a_tree_of_halves(x[n // 2 :])).tanh()


@of_time()
def every_row(x):
    total = x[0] * 0
    for i, row in enumerate(x):
        total = (total + row * (i % 3)).tanh()
    return total


@of_time()
def rows_joined_backwards(x):
    return lucid.cat([x[i : i + 16].tanh() for i in range(x.shape[0] // 16 * 16, -1, -16)])


@of_time()
def rows_while_there_are_some(x):
    total = lucid.zeros(3)
    while x.shape[0] > 0:
        total, x = total + x[:10].amax(0), x[10:]
    return total


@of_time()
def pieces_of_a_list(x):
    return lucid.stack(([x] * 4)[: x.shape[0] // 2 + 1])


@of_time()
def rolled(x):
    return x.roll(1, 0), x.roll(x.shape[0] // 2, 0)


@of_time()
def spaced_and_repeated(x):
    T = x.shape[0]
    return lucid.linspace(0, 1, T).unsqueeze(1) + x, x.repeat_interleave(T, 0)[:T] * 1.0


@of_time()
def one_hot_by_a_size(x):
    return F.one_hot(lucid.arange(x.shape[0]), x.shape[0]).float() @ x


@of_time()
def sizes_made_tensors(x):
    T = x.shape[0]
    return x + lucid.tensor([T, 2, T // 2]) + lucid.as_tensor(float(T)), lucid.tensor(np.tri(T, dtype=np.float32)) @ x


@of_time()
def pairs_of_rows(x):
    return x.reshape(x.shape[0] // 2, 2, 3).sum(1) if x.shape[0] % 2 == 0 else x.reshape(1, -1, 3).sum(1)


@of_time()
def the_thirty_first_row_in_place(x):
    return x.masked_fill((lucid.arange(x.shape[0]) == 30).unsqueeze(1), 0.0) if x.shape[0] > 30 else x + 0


# --- sizes on their way


@dataclass(frozen=True, order=True)
class Step:
    size: Any
    unit: str = "ms"
    marks: tuple[int, ...] = field(default=(31, 64), compare=False)

    @property
    def long(self) -> bool:
        return bool(self.size > 20)


class Pair(NamedTuple):
    first: Any
    second: Any


@of_time()
def in_a_dataclass(x):
    return x * (2 if replace(Step(1), size=x.shape[0]).long else 3)


@of_time()
def compared_dataclasses(x):
    return x * (2 if Step(x.shape[0]) < Step(64) else 3)


@of_time()
def equal_dataclasses(x):
    return x * (2 if Step(x.shape[0]) == Step(31) else 3 if Step(x.shape[0]) in {Step(7), Step(64)} else 4)


@of_two()
def in_a_named_tuple(x, y):
    pair = Pair(x.shape[0], y.shape[0])
    return x.sum(0) * (2 if pair > Pair(20, 0) else 3) + y.sum(0) * (pair == (4, 4))


@of_time()
class InAnAttribute(nn.Module):
    limit = 20

    def __init__(self):
        super().__init__()
        self.long = False

    def forward(self, x):
        self.long = x.shape[0] > self.limit
        return self.scaled(x, steps=x.shape[0])

    def scaled(self, x, **sizes):
        return x * 2 if self.long or sizes["steps"] == 7 else x


@of_time()
class AnAttributeByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale_8, self.scale_64 = 2.0, 4.0

    def forward(self, x):
        return x * getattr(self, f"scale_{x.shape[0]}", 3.0)


@of_time()
class ALayerByAKey(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({"5": nn.Linear(3, 3), "64": nn.Linear(3, 3)})
        self.deep = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))

    def forward(self, x):
        key = str(x.shape[0])
        return self.layers[key](x) if key in self.layers else self.deep[x.shape[0] % 4](x)


@contextmanager
def chosen(n):
    yield 2 if n > 20 else 3


@of_time()
def in_a_context(x):
    with chosen(x.shape[0]) as factor:
        return x * factor


@of_time()
def in_a_generator(x):
    many = (m for m in (x.shape[0],) if m > 63)
    return x + len([*many])


@of_time()
def by_a_match_of_a_shape(x):
    match x.shape:
        case (31, _):
            return x * 2
        case [n, 3] if n > 60:
            return x * 4
        case (1, *_):
            return x * 5
    return x * 3


@of_time()
def rejected_between(x):
    if 40 < x.shape[0] < 90:
        raise NotImplementedError(f"{x.shape[0]} steps")
    return x + x.shape[0]


@of_time()
def ops_in_another_thread(x):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: x * 2 + x.shape[0]).result()


# --- size zero, which no example has


@of_time((np.zeros((0, 3), np.float32),))
def no_steps_at_all(x):
    return x.sum(0) * 2 if x.shape[0] > 0 else x.sum(0) + 5


@of_time((np.zeros((0, 3), np.float32),))
def at_least_one_step(x):
    return lucid.ones(3) * max(x.shape[0], 1) + x.sum(0)


@pytest.mark.parametrize("case", thinned(HONEST, 2), ids=str)
def test_it_is_right_at_every_size_or_refused(case: Case) -> None:
    found = verdict(case)
    assert found.startswith(("right", "refused")), found


@pytest.mark.parametrize(
    "case", thinned([case for case in HONEST if len(case.example) == 1 and case.example[0].ndim == 2], 3), ids=str
)
def test_an_axis_that_was_asked_for_is_refused_with_the_line_or_right(case: Case) -> None:
    asked = Case(case.function, case.example, case.probes, options={"dynamic": {"x": {0: "n"}}})
    found = verdict(asked)
    assert found.startswith(("right", "refused")), found
    if found.startswith("refused"):
        with pytest.raises(ExportError, match=r"test_pieces\.py:\d+"):
            to_onnx(case.function, *case.example, **asked.options)
