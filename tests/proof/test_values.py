"""Programs in which Python reads a value: refused with the line if the value decides anything, else exported."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence
from tests.proof.case import Case, Cases, rand, verdict

F = nn.functional
LIMIT = 100.0

REFUSED = Cases()
refused = REFUSED.refused
X = rand(5, 2, 3)

lucid.manual_seed(0)
rnn = nn.RNN(3, 4)
embedding, cell, head = nn.Embedding(6, 4), nn.RNNCell(4, 4), nn.Linear(4, 6)


# --- bools


@refused((X,), (-np.abs(X),))
def a_branch_on_a_sum(x):
    return x * 2 if x.sum() > 0 else x * 3


@refused((rand(4, 3), np.zeros((4, 3), bool)), (rand(4, 3), np.ones((4, 3), bool)))
def a_mask_applied_only_if_it_has_an_entry(x, mask):
    return x.masked_fill(mask, 0.0) if mask.any() else x * 1.0


@refused((rand(4, 3), np.ones((4, 3), bool)), (rand(4, 3), np.zeros((4, 3), bool)))
def a_mask_skipped_if_it_is_full(x, mask):
    if bool(mask.all()):
        return x + 0
    return x * mask.float()


@refused((X, np.array(True)), (X, np.array(False)))
def a_flag(x, flag):
    return x * 2 if flag else x * 3


@refused((X, np.array(False), np.array(False)), (X, np.array(True), np.array(True)))
def two_flags_that_act_together(x, a, b):
    first = bool(a)
    second = bool(b)
    return x * 2 if first and second else x * 3


@refused((X, np.array(False), np.array([0.5], np.float32)), (X, np.array(True), np.array([7.0], np.float32)))
def a_value_read_only_behind_a_flag(x, flag, y):
    if not flag:
        return x * 3
    return x * 2 if float(y) > 3 else x * 3


@refused((np.array([1.0, 3], np.float32),), (np.array([3.0, 1], np.float32),))
def pythons_max(x):
    return max(x[0], x[1])


@refused((np.array([3.0, 1, 2], np.float32),), (np.array([1.0, 2, 3], np.float32),))
def pythons_sorted(x):
    return lucid.stack(sorted([x[0], x[1], x[2]], key=lambda t: float(t)))


@refused((np.array([-1.0, 2, -3], np.float32),), (-np.ones(3, np.float32),))
def pythons_any(x):
    return x * 2 if any(v > 0 for v in x) else x * 3


@refused((np.array([1.0, 2, -3], np.float32),), (-np.ones(3, np.float32),))
def pythons_any_at_the_first(x):
    return x * 2 if any(v > 0 for v in x) else x * 3


@refused((np.array([1.0, 2, 3], np.float32),), (np.array([1.0, -2, 3], np.float32),))
def pythons_all(x):
    return x * 2 if all(v > 0 for v in x) else x * 3


@refused((rand(3), np.array(2)), (rand(3), np.array(5)))
def membership_in_a_tuple(x, k):
    return x * 2 if k in (1, 2) else x * 3


@refused((np.array([3.0, 1, 2], np.float32),), (np.array([3.0, 1, 9], np.float32),))
def the_first_of_many(x):
    return next(i * x for i, v in enumerate(x, 1) if v < 2.5)


@refused((X,), (np.where(X > 1, np.nan, X),))
def a_branch_on_nan(x):
    if not np.isfinite(x.sum().item()):
        return x * 0
    return x * 1


@refused((np.array([1, 2, 3]),), (np.array([1, 7, 3]),))
def membership(ids):
    return ids * 2 if 7 in ids else ids * 3


@refused((np.array([1, 2, 3]), np.array(2)), (np.array([1, 2, 3]), np.array(9)))
def membership_of_a_tensor(ids, k):
    return ids * 2 if k in ids else ids * 3


# --- numbers


@refused((X, np.array([3, 2])), (X, np.array([4, 5])))
def cut_at_the_longest(x, lengths):
    return x[: int(lengths.max())]


@refused((X, np.array(2)), (X, np.array(4)))
def a_slice_by_a_scalar(x, k):
    return x[: int(k)]


@refused((X, np.array(2)), (X, np.array(4)))
def a_slice_by_an_index(x, k):
    return x[: k.item()]


@refused((X,), (X * 1000,))
def a_threshold_far_away(x):
    return x / x.abs().max() if float(x.abs().max()) > 100 else x * 1.0


@refused((X,), (X * 1000,))
def a_threshold_in_a_global(x):
    return x / x.abs().max() if x.abs().max().item() > LIMIT else x * 1.0


@refused((X,), (X * 0 + 0.5004,))
def a_narrow_window(x):
    return x * 2 if 0.5 < float(x.mean()) < 0.501 else x * 3


CONFIGURATION = {"window": {"low": 0.5, "high": 0.501}}


@refused((X,), (X * 0 + 0.5004,))
def a_narrow_window_in_a_configuration(x):
    window = CONFIGURATION["window"]
    return x * 2 if window["low"] < float(x.mean()) < window["high"] else x * 3


@refused((X,), (X * 1000,))
def a_loop_until_small(x):
    while float(x.abs().max()) > 50:
        x = x * 0.5
    return x + 0


@refused((X,), (X * 3,))
def a_mean_by_a_python_number(x):
    return x / float(x.sum())


@refused((rand(4, 6), np.array([1, 0, 2, 1])), (rand(4, 6), np.array([1, -100, 2, -100])))
def divided_by_counted_targets(x, y):
    return F.cross_entropy(x, y, ignore_index=-100, reduction="sum") / int((y != -100).sum())


@refused((rand(4, 3), np.ones(4, bool)), (rand(4, 3), np.array([True, False, True, False])))
def divided_by_a_counted_mask(x, mask):
    return (x * mask.float().unsqueeze(1)).sum() / float(mask.sum())


@refused((X, np.array([5, 5])), (X, np.array([2, 5])))
def a_fast_path_for_full_lengths(x, lengths):
    if int(lengths.min()) == x.shape[0]:
        return rnn(x)[1]
    return rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]


@refused((rand(1, 4),), (rand(1, 4, scale=5),), (-rand(1, 4, scale=9),))
def a_greedy_decoder(h):
    rows = []
    for _ in range(6):
        rows.append(head(h))
        token = int(rows[-1].argmax())
        if token == 0:
            break
        h = cell(embedding(lucid.tensor([token])), h)
    return lucid.cat(rows)


@refused((rand(1, 4),), (rand(1, 4, scale=5),))
def a_greedy_decoder_without_an_end(h):
    for _ in range(3):
        h = cell(embedding(lucid.tensor([int(head(h).argmax())])), h)
    return h


@refused((X, np.array(1)), (X, np.array(2)))
def a_list_indexed_by_a_value(x, k):
    return [x, x * 2, x * 3][int(k)]


@refused((X, np.array(1)), (X, np.array(2)))
def a_table_by_a_value(x, k):
    return {0: x, 1: x * 2, 2: x * 3}[int(k)]


@refused((X, np.array(2)), (X, np.array(3)))
def a_number_of_steps(x, n):
    for _ in range(int(n)):
        x = x.tanh()
    return x


@refused((rand(5, 3),), (rand(5, 3, scale=2),))
def a_size_that_depends_on_a_value(x):
    return x.reshape(-1)[: int((x > 0).sum())]


# --- arrays


@refused((rand(5, 3),), (np.where(rand(5, 3) > 0, np.nan, 1).astype(np.float32),))
def a_mask_by_numpy(x):
    return lucid.where(lucid.tensor(np.isnan(x.numpy())), lucid.zeros(5, 3), x)


@refused((X,), (X * 2,))
def a_mean_by_numpy(x):
    return x * lucid.tensor(np.asarray(x).mean())


@refused((rand(6),), (rand(6)[::-1].copy(),))
def an_order_by_numpy(x):
    return x[lucid.tensor(np.argsort(x.numpy()))]


@refused((rand(3, 3), np.array([0, 2, 1])), (rand(3, 3), np.array([1, 0, 2])))
def an_index_as_a_list(x, order):
    return lucid.stack([x[i] for i in order.tolist()])


@refused((np.array([[9.0, 0], [8, 1], [7, 2]], np.float32),), (np.array([[1.0, 0], [8, 1], [17, 2]], np.float32),))
def rows_sorted_in_python(x):
    return x[lucid.tensor(sorted(range(3), key=lambda i: -float(x[i, 0])))]


@refused((rand(4),), (rand(4) + 1,), match="NumPy writes into")
def a_write_into_numpy(x):
    y = x * 2
    y.numpy()[0] = 0
    return y


@refused((rand(4),), (rand(4) + 1,))
def a_choice_by_the_text_of_a_tensor(x):
    return x * 2 if "nan" in repr(x) else x * 3


@refused((np.array([1.5], np.float32),), (np.array([2.5], np.float32),))
def a_choice_by_a_formatted_number(x):
    return x * 2 if f"{x.item():.1f}" == "1.5" else x * 3


# --- state


@refused((rand(5, 3),), (rand(9, 3, scale=1000),), match="TheLargestSeen.seen")
class TheLargestSeen(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = 0.0

    def forward(self, x):
        self.seen = max(self.seen, float(x.abs().max()))
        return x / (1.0 if self.seen < 100 else self.seen)


@refused((rand(2, 3),), (rand(2, 3),), match="earlier calls|Counts.calls")
class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


@refused((rand(2, 3),), (rand(2, 3),), match="take it as an input")
class KeepsItsState(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.h = nn.RNNCell(3, 4), None

    def forward(self, x):
        self.h = self.cell(x, self.h)
        return self.h


@refused((rand(2, 3),), (rand(2, 3),), match="FailsTheSecondTime.used")
class FailsTheSecondTime(nn.Module):
    def __init__(self):
        super().__init__()
        self.used = False

    def forward(self, x):
        if self.used:
            raise RuntimeError("used")
        self.used = True
        return x * 2


HISTORY: list[Any] = []


@refused((rand(2, 3),), (rand(2, 3),), match="HISTORY|take it as an input")
def a_history_in_a_global(x):
    HISTORY.append(1)
    return x * len(HISTORY)


def closure():
    total = 0.0

    def a_counter_in_a_closure(x):
        nonlocal total
        total += 1
        return x + total

    return a_counter_in_a_closure


REFUSED.append(Case(closure(), (rand(2, 3),), ((rand(2, 3),),), "total"))


EXPORTED = Cases()
exported = EXPORTED.exported


@exported((rand(5, 3),), (rand(9, 3),))
def printed_and_asserted(x):
    assert not np.isnan(float(x.sum())), f"{float(x.mean()):.3f}"
    return x * 2


@exported((rand(5, 3),), (rand(9, 3),))
def checked_with_a_raise(x):
    if float(x.abs().max()) > 1e4:
        raise ValueError("too large")
    return x * 2


@exported((rand(5, 3),), (rand(9, 3),))
def logged(x):
    logging.getLogger(__name__).debug("mean %s of %r", x.mean().item(), x)
    return x * 2


@exported((rand(3, 3), np.array([4, 4, 4])), (rand(3, 3), np.array([1, 2, 3])))
def a_tensor_of_a_tensor(x, ids):
    return x * lucid.tensor(ids).float().unsqueeze(1)


@exported((rand(3, 3), np.array([4, 4, 4])), (rand(3, 3), np.array([1, 2, 3])))
def a_tensor_of_another_dtype(x, ids):
    return x * lucid.tensor(ids, dtype="float32").unsqueeze(1)


@exported((rand(5, 3),), (rand(8, 3),))
def a_constant_that_is_read(x):
    scale = lucid.arange(4).sum()
    return x * int(scale) if scale > 3 else x


@exported((rand(5, 3),), (rand(9, 3),))
class CachedPositions(nn.Module):
    def __init__(self):
        super().__init__()
        self.cache = {}

    def forward(self, x):
        n = x.shape[0]
        if n not in self.cache:
            self.cache[n] = lucid.arange(n).float().unsqueeze(1)
        return x + self.cache[n]


@exported((rand(5, 3),), (rand(9, 3),))
class RemembersWhatItSaw(nn.Module):
    def __init__(self):
        super().__init__()
        self.largest, self.linear = 0.0, nn.Linear(3, 2)

    def forward(self, x):
        self.largest = max(self.largest, float(x.abs().max()))
        return self.linear(x)


@exported((rand(5, 2, 3), np.array([5, 3])), (rand(9, 2, 3), np.array([2, 9])))
def lengths_that_are_checked(x, lengths):
    if int(lengths.max()) > x.shape[0]:
        raise ValueError("too long")
    return rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_a_value_decides_is_refused_with_the_line(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("refused"), found
    assert re.search(case.match or re.escape(f"{__file__}:"), found), found


@pytest.mark.parametrize("case", EXPORTED, ids=str)
def test_what_decides_nothing_is_exported(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("right"), found
    assert "{}" not in found


def test_harmless_reads_are_in_the_report_and_not_in_the_file() -> None:
    made = to_onnx(printed_and_asserted, rand(5, 3))
    assert made.report is not None
    assert [read.partition(" at ")[0] for read in made.report.reads] == ["item()", "item()"][: len(made.report.reads)]
    assert f"{__file__}:" in str(made)
    assert __file__.encode() not in made.serialize()


def test_nothing_that_a_run_changes_is_left_or_seen_by_the_next() -> None:
    model = RemembersWhatItSaw()
    to_onnx(model, rand(5, 3))
    assert model.largest == 0.0
    cached = CachedPositions()
    to_onnx(cached, rand(5, 3))
    assert cached.cache == {}


def test_a_value_that_decides_makes_a_compiled_call_fail() -> None:
    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 1)

        def forward(self, x: Any, mask: Any) -> Any:
            return (self.linear(x) * mask).sum() / float(mask.sum())

    x, mask = lucid.tensor(rand(4, 3)), lucid.ones(4, 1)
    for compiled in (lucid.compile(Loss().eval()), lucid.compile_backward(Loss())):
        with pytest.raises(ExportError, match=r"item\(\) at .*test_values.py"):
            compiled(x, mask)


def test_a_tensor_kept_from_another_call() -> None:
    kept: list[Any] = []

    def keeps(x: Any) -> Any:
        kept.append(x * 2)
        return x + kept[0]

    with pytest.raises(ExportError, match="take it as an input"):
        to_onnx(keeps, rand(3))


def test_a_run_with_other_answers_ends() -> None:
    def counts_down(x: Any) -> Any:
        n = x.sum()
        while float(n) > 0:
            n = n - 1e-3
        return x * 1

    with pytest.raises(ExportError, match=r"does not come to an end|does something else"):
        to_onnx(counts_down, -np.abs(rand(4)))


def test_numpy_of_a_traced_tensor_is_read_only() -> None:
    found = np.zeros(2, np.int64)  # the elements of arrays are not watched

    def looks(x: Any) -> Any:
        found[int(x.numpy().flags.writeable)] += 1
        return x * 2

    to_onnx(looks, rand(3))
    assert (found > 0).all()  # writeable in the eager runs of the comparison


def test_a_tensor_is_not_used_in_another_thread() -> None:
    def read(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            positive = pool.submit(lambda: float(x.sum()) > -1e9).result()
        return x * 2 if positive else x * 3

    def computed(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return x + pool.submit(lambda: x * 0 + 1).result()

    for function in (read, computed):
        with pytest.raises(ExportError, match=r"test_values.py:\d+ .*: a tensor of a trace is used in another"):
            to_onnx(function, rand(5, 3))
