"""Programs in which Python decides by a size: the axis is fixed, or right at every size."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import to_onnx
from lucid.proof.probes import Probes, probes
from lucid.proof.reach import Reach
from tests.proof.case import Case, Cases, rand, verdict

SIZES = (1, 2, 3, 4, 6, 7, 8, 12, 13, 16, 17, 20, 21, 31, 32, 33, 64, 100, 129, 257, 300)
X = rand(5, 2, 3)
TIMES = [(rand(n, 2, 3),) for n in SIZES]
BATCHES = [(rand(5, n, 3),) for n in SIZES]
WEEK = 7

FIXED = Cases()
fixed = FIXED.refused


@fixed((X,), *TIMES)
def a_branch_beyond_the_sizes_tried(x):
    return x * 2 if x.shape[0] > 20 else x * 3


@fixed((X,), *TIMES)
def a_branch_on_one_size(x):
    return x * 2 if x.shape[0] == 64 else x * 3


@fixed((X,), *TIMES)
def odd_and_even(x):
    return x * 2 if len(x) % 2 else x * 3


@fixed((X,), *TIMES)
def the_first_hundred(x):
    return x[: min(x.shape[0], 100)] * 1.0


@fixed((X,), *TIMES)
def at_least_sixteen(x):
    return x / max(x.size(0), 16)


@fixed((X,), *TIMES)
def chunks_of_32(x):
    return lucid.cat([x[i : i + 32] * (i + 1) for i in range(0, x.shape[0], 32)])


@fixed((X,), *BATCHES)
def center_large_batches(x):
    return x - x.mean(1, keepdim=True) if x.shape[1] >= 32 else x * 1.0


@fixed((rand(5, 3), rand(4, 3)), *[(rand(a, 3), rand(b, 3)) for a, b in ((5, 4), (9, 3), (30, 10), (30, 3), (4, 30))])
def compare_two_sizes(x, y):
    return x.sum(0) + y.sum(0) if len(x) <= 5 * len(y) + 9 else x.sum(0) - y.sum(0)


@fixed((rand(5, 3), rand(4, 3)), *[(rand(a, 3), rand(b, 3)) for a, b in ((5, 4), (4, 4), (9, 9), (3, 8))])
def equal_sizes(x, y):
    return x.sum(0) + y.sum(0) if x.shape[0] == y.shape[0] else x.sum(0) - y.sum(0)


@fixed((X,), *TIMES)
def a_table_of_sizes(x):
    return x * {5: 2.0, 12: 2.0}.get(x.shape[0], 3.0)


def deeper(x, limit=40):
    return x * 2 if x.shape[0] > limit else x * 3


@fixed((X,), *TIMES)
def a_branch_in_another_function(x):
    return deeper(x)


@fixed((X,), *TIMES)
class ABranchInAMethod(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(3, 4)

    def forward(self, x):
        return self.rnn(self.scaled(x))[0]

    @staticmethod
    def scaled(x):
        return x * 2 if x.shape[0] >= 30 else x


EXPORTED = Cases()
exported = EXPORTED.exported


@exported((X,), *TIMES)
def scaled_by_a_size(x):
    return x * x.shape[0] + x.shape[1]


@exported((X,), *TIMES)
def whole_weeks(x):
    n = x.shape[0]
    return x[: n - n % WEEK] * 1.0


@exported((X,), *TIMES[1:])
def positions(x):
    return x + lucid.arange(x.shape[0]).float().reshape(x.shape[0], 1, 1)


@exported((X,), *TIMES, *BATCHES)
def merged_and_split(x):
    return x.reshape(-1, 3).tanh().reshape(x.shape[0], x.shape[1], 3)


@functools.lru_cache
def lower_triangle(n):
    return lucid.tril(lucid.ones(n, n))


@exported((rand(5, 3),), *[(rand(n, 3),) for n in SIZES])
def a_cached_mask(x):
    return lower_triangle(x.shape[0]) @ x


@exported((X,), *TIMES)
def rejected_sizes(x):
    if x.shape[0] > 1000:
        raise ValueError("too long")
    return x * 2


@exported((rand(2, 7, 4), rand(1, 7, 4)), (rand(5, 9, 4), rand(1, 9, 4)))
def broadcast_over_a_batch_of_two(x, p):
    return x + p


@exported((X,), (rand(5, 7, 3),))
def a_row_is_added(x):
    return x + lucid.as_tensor(np.ones((1, 1, 3), np.float32))


@pytest.mark.parametrize("case", FIXED, ids=str)
def test_no_size_is_wrong(case: Case) -> None:
    found = verdict(case)
    assert not found.startswith("wrong"), found


@pytest.mark.parametrize("case", [case for case in FIXED if len(case.example) == 1], ids=str)
def test_an_axis_that_was_asked_for_is_refused_with_the_line(case: Case) -> None:
    axis = 1 if case.function is center_large_batches else 0
    with pytest.raises(ExportError, match=r"cannot be dynamic.*test_sizes\.py:\d+"):
        to_onnx(case.function, *case.example, dynamic={"x": {axis: "n"}})


@pytest.mark.parametrize("case", EXPORTED, ids=str)
def test_what_follows_a_size_is_exported(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("right"), found
    assert "0: " in found, found


def test_no_tensor_of_a_trace_stays_in_a_cache() -> None:
    lower_triangle(3)
    to_onnx(a_cached_mask, rand(5, 3), verify=False)
    assert lower_triangle.cache_info().currsize == 0
    x = lucid.tensor(rand(5, 3))
    np.testing.assert_allclose(a_cached_mask(x).numpy(), np.tril(np.ones((5, 5))) @ x.numpy(), rtol=1e-5)


def test_layers_of_lucids_own_are_probed_at_size_one_alone() -> None:
    assert probes(Reach(nn.RNN(3, 4)), False) == Probes((1,))
    assert probes(Reach(nn.Sequential(nn.Linear(3, 4), nn.Tanh())), False) == Probes((1,))
    assert probes(Reach(lambda x: x * 2), False) == Probes((1,))
    assert probes(Reach(lambda x: x * x.shape[0]), False) == Probes((1, 2, 61, 257))


def test_numbers_of_the_program_are_probed_if_sizes_leak() -> None:
    found = probes(Reach(functools.partial(a_branch_beyond_the_sizes_tried).func), True)
    assert {19, 20, 21, 257} <= set(found.alone)
    assert {39, 40, 41} <= set(probes(Reach(a_branch_in_another_function), True).alone)
    assert {29, 30, 31} <= set(probes(Reach(ABranchInAMethod()), True).alone)
    assert {6, 7, 8} <= set(probes(Reach(whole_weeks), True).alone)


def test_compiled_modules_are_right_at_sizes_that_decide() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(3, 4)

        def forward(self, x: Any) -> Any:
            return self.rnn(x * 2 if x.shape[0] > 20 else x)[0]

    model = Model().eval()
    fast = lucid.compile(model)
    for n in (17, 20, 21, 30, 31, 16):
        x = lucid.tensor(rand(n, 2, 3))
        np.testing.assert_allclose(fast(x).numpy(), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)
