"""Numbers that the exporter makes up: a program's own checks accept them, or the message says whose they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from lucid.proof.example import Example
from lucid.proof.perturb import perturbations
from lucid.proof.resize import proposals
from tests.proof.case import Case, Cases, rand, verdict
from tests.tiers import thinned

F = nn.functional
CASES = Cases()
exported = CASES.exported

lucid.manual_seed(0)
rnn = nn.GRU(3, 4)
embedding, positions, head = nn.Embedding(6, 4), nn.Embedding(40, 3), nn.Linear(3, 5)


def check(condition: Any, message: str) -> None:
    if not bool(condition):
        raise ValueError(message)


def steps(array: Any) -> Any:
    return np.diff(array.numpy())


# --- lengths


@exported((rand(6, 3, 3), np.array([6, 4, 2])), (rand(9, 4, 3), np.array([9, 5, 5, 1])))
def lengths_sorted_by_hand(x, lengths):
    check((steps(lengths) <= 0).all(), "lengths must fall")
    return rnn(pack_padded_sequence(x, lengths))[1]


@exported((rand(6, 3, 3), np.array([2, 4, 6])), (rand(9, 4, 3), np.array([1, 2, 5, 9])))
def lengths_that_rise(x, lengths):
    check((steps(lengths) >= 0).all(), "lengths must rise")
    return rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]


@exported((rand(6, 3, 3), np.array([6, 4, 2])), (rand(9, 4, 3), np.array([9, 5, 3, 1])))
def lengths_without_ties(x, lengths):
    check((steps(lengths) < 0).all(), "lengths must fall strictly")
    return rnn(pack_padded_sequence(x, lengths))[1]


@exported((rand(6, 3, 3), np.array([6, 4, 2])), (rand(9, 4, 3), np.array([9, 5, 5, 1])))
def the_longest_fills_the_steps(x, lengths):
    check(lengths.max() == x.shape[0], "the longest sequence must have all steps")
    return pad_packed_sequence(rnn(pack_padded_sequence(x, lengths))[0], total_length=x.shape[0])[0]


@exported((rand(6, 3, 3), np.array([6, 6, 6])), (rand(6, 2, 3), np.array([6, 6])))
def full_lengths(x, lengths):
    check((lengths == x.shape[0]).all(), "all sequences must have all steps")
    return rnn(pack_padded_sequence(x, lengths))[1]


@exported((rand(3, 6, 2), np.array([6, 4, 2])), (rand(4, 9, 2), np.array([9, 5, 5, 1])))
def a_masked_mean(x, lengths):
    check((lengths <= x.shape[1]).all() and (lengths > 0).all(), "lengths out of range")
    mask = lucid.arange(x.shape[1]) < lengths.unsqueeze(1)
    return (x * mask.unsqueeze(2).float()).sum(1) / lengths.unsqueeze(1).float()


@exported((rand(6, 3, 3), np.array([6, 4, 2]), np.array(12)), (rand(6, 3, 3), np.array([6, 5, 1]), np.array(12)))
def lengths_with_a_total(x, lengths, total):
    check(lengths.sum() == total, "lengths must add up to the total")
    return rnn(pack_padded_sequence(x, lengths))[1] * total.float()


@exported((rand(9, 3), np.array([4, 3, 2])), (rand(9, 3), np.array([5, 3, 1])), (rand(7, 3), np.array([4, 3])))
def rows_of_several_sequences(x, lengths):
    check(lengths.sum() == x.shape[0], "lengths must add up to the rows")
    return x * 2, lengths.float() / x.sum()


# --- targets and labels


def padded(targets: Any, lengths: Any) -> Any:
    return (targets.numpy() * (np.arange(targets.shape[1]) >= lengths.numpy()[:, None]) == 0).all()


@exported(
    (rand(12, 2, 5), np.array([[1, 2, 3], [4, 1, 0]]), np.array([3, 2])),
    (rand(12, 3, 5), np.array([[1, 0, 0], [4, 1, 0], [1, 2, 1]]), np.array([1, 2, 3])),
)
def ctc_with_padded_targets(x, targets, lengths):
    check((targets.numpy() < 5).all() and (targets.numpy() >= 0).all(), "targets out of range")
    check(padded(targets, lengths), "targets must be 0 beyond their length")
    check(lengths.max() <= targets.shape[1], "targets are shorter than their lengths")
    inputs = lucid.zeros_like(lengths) + x.shape[0]
    return F.ctc_loss(F.log_softmax(x, -1), targets, inputs, lengths, reduction="none")


@exported((rand(4, 3), np.array([0, 4, 2, 1])), (rand(6, 3), np.array([3, 3, 0, 1, 4, 2])))
def labels_in_range(x, labels):
    check((labels >= 0).all() and (labels < 5).all(), "labels out of range")
    return F.cross_entropy(head(x), labels)


@exported((rand(4, 3), np.array([0, 4, -100, 1])), (rand(5, 3), np.array([-100, 3, 0, 1, 4])))
def labels_with_some_ignored(x, labels):
    check(labels[2] == -100 if labels.shape[0] == 4 else True, "the third label is ignored")
    return F.cross_entropy(head(x), labels)


@exported((rand(3, 3), np.eye(5, dtype=np.int64)[[0, 4, 2]]), (rand(4, 3), np.eye(5, dtype=np.int64)[[1, 1, 0, 3]]))
def one_hot_labels(x, labels):
    check((labels.sum(1) == 1).all(), "one label a row")
    return -(F.log_softmax(head(x), -1) * labels.float()).sum(1)


@exported((np.array([[1, 5, 3, 2], [1, 4, 2, 0]]),), (np.array([[1, 5, 5, 2, 0], [1, 2, 0, 0, 0], [1, 3, 4, 5, 2]]),))
def tokens_with_a_first_and_a_last_one(tokens):
    ids = tokens.numpy()
    check((ids[:, 0] == 1).all(), "a sequence begins with 1")
    check((ids >= 0).all() and (ids < 6).all(), "ids out of range")
    return embedding(tokens).sum(1)


@exported((np.array([[1, 5, 3], [2, 4, 0]]), np.array([3, 2])), (np.array([[5, 0], [2, 3]]), np.array([1, 2])))
def tokens_padded_by_lengths(tokens, lengths):
    check((lengths == (tokens > 0).sum(1)).all(), "lengths must count the tokens")
    return embedding(tokens).sum(1) / lengths.unsqueeze(1).float()


# --- indices, segments and masks


@exported((rand(8, 3), np.array([0, 2, 5, 7])), (rand(8, 3), np.array([1, 2, 3, 4])))
def rising_indices(x, indices):
    check((steps(indices) > 0).all(), "indices must rise")
    return x[indices]


@exported((rand(5, 3), np.arange(5)), (rand(7, 3), np.arange(7)))
def position_ids(x, ids):
    check((steps(ids) == 1).all() and ids[0] == 0, "positions must count")
    return x + positions(ids)


@exported((rand(6, 3), np.array([0, 0, 1, 1, 1, 2])), (rand(7, 3), np.array([0, 0, 1, 1, 1, 2, 2])))
def sorted_segments(x, segments):
    check((steps(segments) >= 0).all() and segments.max() < 3, "segments must be sorted")
    return (
        lucid.zeros(3, 3).index_add(0, segments, x)
        if hasattr(x, "index_add")
        else ((segments.unsqueeze(0) == lucid.arange(3).unsqueeze(1)).float() @ x)
    )


@exported((rand(6, 3), np.array([0, 0, 1, 1, 1, 2])), (rand(7, 3), np.array([0, 0, 1, 1, 1, 2, 2])))
def segments_without_a_gap(x, segments):
    check(set(np.unique(segments.numpy())) == set(range(int(segments.max()) + 1)), "a segment is missing")
    return (segments.unsqueeze(0) == lucid.arange(3).unsqueeze(1)).float() @ x


@exported(
    (rand(3, 4), np.array([[True, True, False, False], [False, True, False, False], [True, True, True, True]])),
    (rand(2, 4), np.array([[True, False, False, True], [False, True, False, False]])),
)
def masks_with_an_entry_in_each_row(x, mask):
    check(mask.any(1).all(), "each row needs an entry")
    return F.softmax(x.masked_fill(~mask, -1e9), -1)


@exported(
    (rand(3, 4), np.array([[True, True, False, False], [True, False, False, False], [True, True, True, True]])),
    (rand(2, 4), np.array([[True, True, True, False], [True, False, False, False]])),
)
def masks_of_beginnings(x, mask):
    check((np.diff(mask.numpy().astype(int), axis=1) <= 0).all(), "a mask covers a beginning")
    return (x * mask.float()).sum(1) / mask.float().sum(1)


@exported((rand(3, 4), np.array([1, 0, 0])), (rand(4, 4), np.array([0, 0, 1, 0])))
def one_of_several(x, chosen):
    check(chosen.sum() == 1, "exactly one is chosen")
    return (x * chosen.unsqueeze(1).float()).sum(0)


@exported((np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]], np.float32),), (np.array([[0.1, 0.9]], np.float32),))
def probabilities(p):
    check(float((p.sum(1) - 1).abs().max()) < 1e-3, "rows must add up to one")
    return -(p * (p + 1e-6).log()).sum(1)


@exported(
    (rand(2, 5, 3), np.tril(np.ones((5, 5), bool))),
    (rand(1, 7, 3), np.tril(np.ones((7, 7), bool))),
)
def a_causal_mask(x, mask):
    check((mask.numpy() == np.tril(np.ones(mask.shape, bool))).all(), "the mask must be causal")
    return F.softmax((x @ x.transpose(-1, -2)).masked_fill(~mask, -1e9), -1) @ x


@exported((rand(4, 3), np.array([3, 0, 2, 1])), (rand(6, 3), np.array([3, 0, 2, 1, 5, 4])))
def a_permutation(x, order):
    np.testing.assert_array_equal(np.sort(order.numpy()), np.arange(x.shape[0]))
    return x[order]


@exported((rand(2, 5, 3), np.tile(np.arange(5), (2, 1))), (rand(3, 9, 3), np.tile(np.arange(9), (3, 1))))
def positions_of_a_batch(x, ids):
    check((np.diff(ids.numpy(), axis=1) == 1).all(), "positions must count")
    return x + positions(ids)


@exported((rand(6, 3), np.array([0, 2, 5, 6])), (rand(7, 3), np.array([0, 1, 7])))
def offsets_of_rows(x, offsets):
    check(offsets[0] == 0 and offsets[-1] == x.shape[0] and (steps(offsets) >= 0).all(), "offsets must cover the rows")
    return x * 2, offsets.float() * x.sum()


@exported((rand(4, 3), np.array([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])), (rand(5, 3), np.array([[0, 4], [3, 1]])))
def edges_of_a_graph(x, edges):
    check((edges < x.shape[0]).all(), "there is no such vertex")
    return x[edges[0]] - x[edges[1]]


@exported(
    (rand(2, 4, 3), np.eye(3, dtype=np.int32)[[[0, 1, 2, 1], [2, 2, 0, 1]]]),
    (rand(1, 2, 3), np.eye(3, dtype=np.int32)[[[0, 2]]]),
)
def one_hot_targets_of_each_step(x, y):
    check((y.sum(-1) == 1).all(), "one target a step")
    return (x * y.float()).sum(-1)


@exported(
    (rand(12, 2, 5), np.array([[1, 2, 3], [4, 1, 0]]), np.array([12, 10]), np.array([3, 2])),
    (rand(9, 2, 5), np.array([[1, 2, 3], [4, 1, 0]]), np.array([9, 8]), np.array([3, 2])),
)
def ctc_of_sorted_inputs(x, targets, input_lengths, lengths):
    check((steps(input_lengths) <= 0).all() and input_lengths[0] == x.shape[0], "inputs must be sorted")
    within = np.arange(targets.shape[1]) < lengths.numpy()[:, None]
    check(((targets.numpy() > 0) == within).all(), "0 is the blank")
    return F.ctc_loss(F.log_softmax(x, -1), targets, input_lengths, lengths, reduction="none")


@exported((rand(5, 3), np.sort(rand(5))), (rand(7, 3), np.sort(rand(7))))
def times_that_rise(x, times):
    check((steps(times) > 0).all(), "times must rise")
    return x * times.unsqueeze(1)


@exported((rand(4, 3), np.array([3.0, 1, 2, 4], np.float32)), (rand(5, 3), np.array([3.0, 1, 2, 4, 4], np.float32)))
def lengths_in_floats(x, lengths):
    check((lengths == lengths.round()).all() and (lengths >= 1).all(), "lengths must be whole")
    return x.sum(1) / lengths


@exported((rand(4, 3), np.array([7, 7, 7, 7])), (rand(5, 3), np.array([7, 7, 7, 7, 7])))
def a_constant(x, code):
    check((code == 7).all(), "the code is 7")
    return x * code.unsqueeze(1).float()


@pytest.mark.parametrize("case", thinned(CASES, 5), ids=str)
def test_a_program_that_checks_its_integers_is_exported(case: Case) -> None:
    assert verdict(case).startswith("right")


FREE: dict[str, dict[str, dict[int, str]]] = {
    "lengths_sorted_by_hand": {"x": {0: "time", 1: "batch"}, "lengths": {0: "batch"}},
    "lengths_that_rise": {"x": {0: "time", 1: "batch"}, "lengths": {0: "batch"}},
    "the_longest_fills_the_steps": {"x": {0: "time", 1: "batch"}, "lengths": {0: "batch"}},
    "full_lengths": {"x": {1: "batch"}, "lengths": {0: "batch"}},
    "a_masked_mean": {"x": {0: "n", 1: "t"}, "lengths": {0: "n"}},
    "rows_of_several_sequences": {"x": {0: "rows"}},
    "one_hot_labels": {"x": {0: "n"}, "labels": {0: "n"}},
    "tokens_padded_by_lengths": {"tokens": {0: "n", 1: "t"}, "lengths": {0: "n"}},
    "tokens_with_a_first_and_a_last_one": {"tokens": {0: "n", 1: "t"}},
    "position_ids": {"x": {0: "t"}, "ids": {0: "t"}},
    "sorted_segments": {"x": {0: "n"}, "segments": {0: "n"}},
    "segments_without_a_gap": {"x": {0: "n"}, "segments": {0: "n"}},
    "masks_with_an_entry_in_each_row": {"x": {0: "n", 1: "t"}, "mask": {0: "n", 1: "t"}},
    "masks_of_beginnings": {"x": {0: "n", 1: "t"}, "mask": {0: "n", 1: "t"}},
    "probabilities": {"p": {0: "n"}},
    "positions_of_a_batch": {"x": {0: "n", 1: "t"}, "ids": {0: "n", 1: "t"}},
    "edges_of_a_graph": {"x": {0: "n"}, "edges": {1: "m"}},
    "times_that_rise": {"x": {0: "n"}, "times": {0: "n"}},
    "lengths_in_floats": {"x": {0: "n"}, "lengths": {0: "n"}},
    "lengths_with_a_total": {"x": {0: "time", 1: "batch"}, "lengths": {0: "batch"}},
}


@pytest.mark.parametrize("case", thinned([case for case in CASES if str(case) in FREE], 4), ids=str)
def test_its_axes_can_be_asked_for(case: Case) -> None:
    asked = FREE[str(case)]
    made = to_onnx(case.function, *case.example, dynamic=asked)
    assert made.axes == asked
    assert made.report is not None
    assert sum(check.difference is not None for check in made.report.checks) > 1


# --- messages


def test_the_message_says_whose_numbers_they_were():
    def strange(x, k):
        check(k.numpy().tolist() == [3, 1, 4, 1, 5], "the code is 31415")
        return x * k.float()

    # No other numbers will do, and the reads do not decide anything.
    assert to_onnx(strange, rand(5), np.array([3, 1, 4, 1, 5])).axes == {}
    with pytest.raises(ExportError, match=r"the code is 31415 \(with k = \[.*\], made up from the example"):
        to_onnx(strange, rand(5), np.array([3, 1, 4, 1, 5]), dynamic={"x": {0: "n"}, "k": {0: "n"}})


def test_the_message_of_a_failure_says_whose_numbers_they_were():
    def looked_up(x, k):
        return x * lucid.tensor([1.0, 2.0])[k - 3]

    assert to_onnx(looked_up, rand(3), np.array([3, 4, 3])).report is not None

    calls = []

    def fails(x, k):
        calls.append(1)
        if not np.array_equal(k._data, [2, 0, 1]) or not np.array_equal(x._data, rand(3)):
            return x[None, 7]
        return x * k.float()

    with pytest.raises(ExportError, match=r"fails with other values than those of the example: .*made up from"):
        to_onnx(fails, rand(3), np.array([2, 0, 1]), dynamic=None)


# --- the numbers themselves


def made(*arrays: Any, lengths: tuple[str, ...] = ()) -> list[list[Any]]:
    named = {f"i{n}": np.array(array) for n, array in enumerate(arrays)}
    return [[array.tolist() for array in proposal.values()] for proposal in perturbations(named, lengths)]


@pytest.mark.parametrize(
    "lengths", [[9, 7, 4, 1], [1, 4, 7, 9], [5, 5, 3, 3, 1], [0, 0, 1, 1, 2], [2, 9, 4], list(range(0, 400, 4))]
)
def test_other_integers_keep_order_range_and_sum(lengths):
    for (found,) in made(lengths)[:2]:
        assert found != lengths
        assert sum(found) == sum(lengths)
        assert (min(found), max(found)) == (min(lengths), max(lengths))
        for direction in (1, -1):
            if lengths == sorted(lengths)[::direction]:
                assert found == sorted(found)[::direction]
        assert len(set(found)) == len(found) or len(set(lengths)) < len(lengths)


def test_many_sorted_integers_are_made_up_at_once():
    lengths = np.sort(np.random.default_rng(0).integers(1, 10**6, 100_000))[::-1]
    found = next(perturbations({"i": lengths}, ()))["i"]
    assert found.sum() == lengths.sum()
    assert (np.diff(found) <= 0).all()
    assert (found != lengths).sum() == 2


def test_other_integers_keep_padding_and_rows():
    targets, one_hot = [[3, 1, 2], [4, 0, 0]], [[0, 1], [1, 0], [1, 0]]
    (found, rows), *_ = made(targets, one_hot)
    assert sorted(found[0] + found[1]) == [0, 0, 1, 2, 3, 4]
    assert found[1][1:] == [0, 0]
    assert found != targets
    assert rows != one_hot
    assert all(sum(row) == 1 for row in rows)


def test_rows_move_together():
    ids, lengths = [[1, 2, 0], [3, 0, 0], [5, 4, 1]], [2, 1, 3]
    together = made(ids, lengths)[3]
    assert [sum(i > 0 for i in row) for row in together[0]] == together[1] != lengths


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2,), (5,), (3, 0), (1, 4), (3, 4), (2, 3, 2)])
def test_any_integers_can_be_made_up(dtype, shape):
    array = np.random.default_rng(0).integers(0, 2 if dtype == np.bool_ else 100, shape).astype(dtype)
    for proposal in perturbations({"i": array}, ["i"] if len(shape) == 1 else []):
        assert proposal["i"].dtype == dtype
        assert proposal["i"].shape == shape
    for axis in range(len(shape)):
        for n in (1, 2, 13):
            if shape[axis]:
                for proposal in proposals({"i": array, "x": rand(5, 2)}, {("i", axis): n}, {}, 0):
                    assert proposal["i"].dtype == dtype
                    assert proposal["i"].shape == (*shape[:axis], n, *shape[axis + 1 :])


def test_an_example_of_floats_has_few_proposals():
    example = Example(lambda x: x, (lucid.tensor(rand(4, 3)),), {})
    assert len(list(example.proposals({("x", 0): 9}))) == 1
    assert len(list(example.perturbations())) == 4
