"""Datasets, samplers, collating, and loaders that can resume at any batch."""

from __future__ import annotations

from collections import namedtuple
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import lucid
from lucid.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    pad_collate,
    random_split,
)
from lucid.errors import DtypeError, LucidError, ShapeError, StateDictError


def batches(loader: DataLoader) -> list[list[int]]:
    return [np.asarray(batch.numpy()).tolist() for (batch,) in loader]


def numbers(n: int) -> TensorDataset:
    return TensorDataset(lucid.arange(n))


class Squares(Dataset):
    def __getitem__(self, index: int) -> int:
        return index * index

    def __len__(self) -> int:
        return 5


# --- datasets


def test_tensor_dataset() -> None:
    data = TensorDataset(lucid.tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([7, 8]))
    x, y = data[1]
    assert (x.tolist(), y.item(), len(data)) == ([3.0, 4.0], 8, 2)
    x, y = data.batch([1, 0, 1])
    assert (x.tolist(), y.tolist()) == ([[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]], [8, 7, 8])


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ((), "expected at least one tensor; got none"),
        ((np.zeros(2), np.zeros(3)), r"the same size in their first axis; got shapes \(2,\), \(3,\)"),
        ((np.zeros(()),), r"got shapes \(\)"),
    ],
)
def test_tensors_that_are_no_dataset(tensors: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TensorDataset(*tensors)


def test_a_dataset_defines_two_methods() -> None:
    assert [Squares()[i] for i in range(len(Squares()))] == [0, 1, 4, 9, 16]
    with pytest.raises(NotImplementedError, match="Dataset does not define __getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="Dataset does not define __len__"):
        len(Dataset())


def test_subset() -> None:
    part = Subset(Subset(Squares(), [4, 3, 0]), [1, 0])
    assert [part[i] for i in range(len(part))] == [9, 16]


@given(st.integers(0, 40), st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(0, 9))
def test_random_split_takes_each_sample_once(n: int, lengths: list[int], seed: int) -> None:
    lengths = [*lengths, max(0, n - sum(lengths))]
    n = sum(lengths)
    parts = random_split(range(n), lengths, seed=seed)
    assert [len(part) for part in parts] == lengths
    assert sorted(x for part in parts for x in part.indices) == list(range(n))


@pytest.mark.parametrize(
    ("n", "fractions", "expected"),
    [(10, [0.8, 0.2], [8, 2]), (10, [0.25, 0.75], [3, 7]), (11, [1 / 3, 1 / 3, 1 / 3], [4, 4, 3]), (7, [1.0], [7])],
)
def test_random_split_by_fractions(n: int, fractions: list[float], expected: list[int], torch: Any) -> None:
    assert [len(part) for part in random_split(range(n), fractions)] == expected
    assert [len(part) for part in torch.utils.data.random_split(range(n), fractions)] == expected


def test_random_split_follows_the_seed() -> None:
    def split(**options: Any) -> list[int]:
        return random_split(range(50), [20, 30], **options)[0].indices

    assert split(seed=1) == split(seed=1) != split(seed=2)
    assert split(generator=np.random.default_rng(1)) == split(generator=np.random.default_rng(1))
    lucid.manual_seed(3)
    first = split()
    lucid.manual_seed(3)
    assert split() == first != split()
    assert first != sorted(first)


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([3, 3], {}, r"must add up to 5, the size of the dataset, or to 1; got \[3, 3\]"),
        ([2.5, 2.5], {}, r"must add up to 5, .* got \[2.5, 2.5\]"),
        ([6, -1], {}, r"must not be negative; got \[6, -1\]"),
        ([float("nan")], {}, "must not be negative"),
        ([5], {"seed": 1, "generator": np.random.default_rng()}, "give a generator or a seed, not both"),
    ],
)
def test_random_split_refuses(lengths: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_split(range(5), lengths, **options)


# --- samplers


def test_samplers() -> None:
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert len(SequentialSampler("abc")) == len(RandomSampler("abc")) == 3
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, False)) == 3
    assert len(BatchSampler(range(5), 2, True)) == 2
    assert list(BatchSampler([], 2, False)) == []


def test_random_orders_follow_seed_and_count() -> None:
    first, second = RandomSampler(range(20), seed=1), RandomSampler(range(20), seed=1)
    orders = [list(first) for _ in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(20)) for order in orders)
    second.load_state_dict({"seed": 1, "epoch": 2})
    assert list(second) == orders[2]
    assert first.state_dict() == second.state_dict() == {"seed": 1, "epoch": 3}
    lucid.manual_seed(0)
    drawn = list(RandomSampler(range(20)))
    lucid.manual_seed(0)
    assert list(RandomSampler(range(20))) == drawn != list(RandomSampler(range(20)))
    a, b = (list(RandomSampler(range(20), generator=np.random.default_rng(5))) for _ in range(2))
    assert a == b


def test_samplers_refuse() -> None:
    with pytest.raises(ValueError, match="give a generator or a seed, not both"):
        RandomSampler("abc", generator=np.random.default_rng(), seed=0)
    with pytest.raises(ValueError, match="seed must not be negative; got -1"):
        RandomSampler("abc", seed=-1)
    for size in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match=f"batch_size must be an integer of at least 1; got {size}"):
            BatchSampler("abc", size, False)  # type: ignore[arg-type]
    with pytest.raises(StateDictError, match="expected the keys seed, epoch; got seed"):
        RandomSampler("abc").load_state_dict({"seed": 1})
    with pytest.raises(StateDictError, match="range has no state; got seed"):
        BatchSampler(range(3), 1, False).load_state_dict({"seed": 1})


# --- collating

Pair = namedtuple("Pair", ["x", "y"])


def test_default_collate() -> None:
    samples = [{"x": (np.ones(2), [1, 2.5]), "name": "a"}, {"x": (np.zeros(2), [3, 4.5]), "name": "b"}]
    batch = default_collate(samples)
    (x, (i, f)) = batch["x"]
    assert (x.tolist(), x.dtype) == ([[1, 1], [0, 0]], np.float64)
    assert (i.tolist(), i.dtype, f.tolist(), f.dtype) == ([1, 3], np.int64, [2.5, 4.5], np.float32)
    assert batch["name"] == ["a", "b"]
    pair = default_collate([Pair(True, lucid.tensor(1.0)), Pair(False, lucid.tensor(2.0))])
    assert isinstance(pair, Pair)
    assert (pair.x.tolist(), pair.x.dtype, pair.y.tolist()) == ([True, False], np.bool_, [1.0, 2.0])
    assert default_collate([np.float64(1), np.float64(2)]).dtype == np.float64


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ShapeError, "expected at least one sample; got none"),
        (
            [np.zeros(2), np.zeros(3)],
            ShapeError,
            r"same shape; got \(2,\), \(3,\). Pass collate_fn=lucid.data.pad_collate",
        ),
        ([(1, 2), (1,)], ShapeError, r"the same number of fields; got \[2, 1\]"),
        ([{"a": 1}, {"b": 1}], ShapeError, "the same keys; the first has 'a'"),
        ([object()], DtypeError, "samples must be tensors, arrays, numbers, .* got object"),
        ([np.array(["a"])], DtypeError, "numbers or bools"),
    ],
)
def test_default_collate_refuses(samples: Any, error: type[LucidError], message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(samples)


def test_pad_collate_of_samples_with_labels() -> None:
    samples = [(lucid.tensor([[1.0, 2.0]]), 3), (np.array([[4, 5], [6, 7], [8, 9]], np.float32), 4)]
    (padded, lengths), labels = pad_collate(samples)
    assert padded.shape == (3, 2, 2)
    assert padded.dtype == np.float32
    assert padded.tolist() == [[[1, 2], [4, 5]], [[0, 0], [6, 7]], [[0, 0], [8, 9]]]
    assert (lengths.tolist(), lengths.dtype, labels.tolist()) == ([1, 3], np.int64, [3, 4])


def test_pad_collate_options_and_several_sequences() -> None:
    samples = [{"x": np.array([1, 2]), "y": np.array([1.5])}, {"x": np.array([3]), "y": np.array([2.5, 3.5])}]
    batch = partial(pad_collate, batch_first=True, padding_value=-1)(samples)
    (x, x_lengths), (y, y_lengths) = batch["x"], batch["y"]
    assert (x.tolist(), x.dtype, x_lengths.tolist()) == ([[1, 2], [3, -1]], np.int64, [2, 1])
    assert (y.tolist(), y.dtype, y_lengths.tolist()) == ([[1.5, -1], [2.5, 3.5]], np.float64, [1, 2])
    empty, lengths = pad_collate([np.zeros((0, 2)), np.ones((1, 2))])
    assert (empty.tolist(), lengths.tolist()) == ([[[0, 0], [1, 1]]], [0, 1])


def test_pad_collate_refuses() -> None:
    with pytest.raises(ShapeError, match=r"may differ in their first axis only; got shapes \(3, 2\), \(3, 4\)"):
        pad_collate([np.zeros((3, 2)), np.zeros((3, 4))])
    with pytest.raises(ShapeError, match="expected at least one sample"):
        pad_collate([])


def test_padded_batches_go_into_a_recurrent_layer() -> None:
    rnn = lucid.nn.RNN(2, 3)
    sequences = [lucid.randn(t, 2) for t in (4, 1, 3)]
    (padded, lengths), _ = next(iter(DataLoader([(x, 0) for x in sequences], 3, collate_fn=pad_collate)))
    packed = lucid.nn.utils.rnn.pack_padded_sequence(padded, lengths, enforce_sorted=False)
    _, h_n = rnn(packed)
    for i, x in enumerate(sequences):
        np.testing.assert_allclose(h_n.detach().numpy()[0, i], rnn(x)[1].detach().numpy()[0], atol=1e-6)


# --- loaders


def test_batches_in_order() -> None:
    assert batches(DataLoader(numbers(5), 2)) == [[0, 1], [2, 3], [4]]
    assert batches(DataLoader(numbers(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert batches(DataLoader(numbers(4), 2)) == [[0, 1], [2, 3]]
    assert batches(DataLoader(numbers(0), 2)) == []
    assert [batch.tolist() for batch in DataLoader(Squares(), 3)] == [[0, 1, 4], [9, 16]]
    assert (len(DataLoader(numbers(5), 2)), len(DataLoader(numbers(5), 2, drop_last=True))) == (3, 2)


def test_batches_as_somebody_else_orders_them() -> None:
    assert batches(DataLoader(numbers(5), 2, sampler=[4, 2, 0])) == [[4, 2], [0]]
    assert batches(DataLoader(numbers(5), batch_sampler=[[4], [2, 0]])) == [[4], [2, 0]]
    assert batches(DataLoader(Subset(Subset(numbers(9), [8, 7, 6, 5]), [0, 3, 1]), 2)) == [[8, 5], [7]]
    assert list(DataLoader("abc", 2, collate_fn="".join)) == ["ab", "c"]


def test_a_whole_batch_indexed_at_once_is_what_collating_makes() -> None:
    data = TensorDataset(lucid.randn(7, 3), lucid.arange(7))
    subset = Subset(data, [6, 0, 3, 3])
    for source in (data, subset):
        fast = list(DataLoader(source, 3))
        slow = list(DataLoader(source, 3, collate_fn=lambda samples: default_collate(samples)))
        for (x, i), (y, j) in zip(fast, slow, strict=True):
            np.testing.assert_array_equal(x.numpy(), y.numpy())
            np.testing.assert_array_equal(i.numpy(), j.numpy())


def test_shuffling() -> None:
    loader = DataLoader(numbers(20), 6, shuffle=True, seed=0)
    first, second = batches(loader), batches(loader)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(20))
    assert first != second
    again = DataLoader(numbers(20), 6, shuffle=True, seed=0)
    assert [batches(again), batches(again)] == [first, second]
    a, b = (batches(DataLoader(numbers(20), 6, shuffle=True, generator=np.random.default_rng(0))) for _ in range(2))
    assert a == b != first
    lucid.manual_seed(1)
    drawn = batches(DataLoader(numbers(20), 6, shuffle=True))
    lucid.manual_seed(1)
    assert batches(DataLoader(numbers(20), 6, shuffle=True)) == drawn


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of at least 1; got 0"),
        ({"sampler": [0], "shuffle": True}, "a sampler sets the order, so shuffle must be False"),
        ({"seed": 0}, "seed is for shuffle=True"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler excludes batch_size"),
        ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler excludes batch_size"),
        ({"shuffle": True, "seed": 0, "generator": np.random.default_rng()}, "not both"),
    ],
)
def test_options_that_do_not_go_together(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataLoader(numbers(3), **options)


# --- resuming


def stream(loader: DataLoader, passes: int) -> list[list[int]]:
    return [batch for _ in range(passes) for batch in batches(loader)]


@settings(deadline=None)
@given(
    n=st.integers(1, 13),
    size=st.integers(1, 5),
    drop_last=st.booleans(),
    order=st.sampled_from(["sequential", "seed", "generator", "lucid", "sampler"]),
    done=st.integers(0, 20),
)
def test_after_loading_come_exactly_the_batches_that_were_to_come(
    n: int, size: int, drop_last: bool, order: str, done: int
) -> None:
    def make(seed: int) -> DataLoader:
        options: dict[str, Any] = {
            "seed": {"shuffle": True, "seed": seed},
            "generator": {"shuffle": True, "generator": np.random.default_rng(seed)},
            "lucid": {"shuffle": True},
            "sampler": {"sampler": [*range(n)][::-1]},
        }.get(order, {})
        return DataLoader(numbers(n), size, drop_last=drop_last, **options)

    loader = make(0)
    taken, state = 0, loader.state_dict()
    rest: list[list[int]] = []
    for _ in range(8):
        for (batch,) in loader:
            if taken >= done:
                rest.append(batch.tolist())
            taken += 1
            if taken == done:
                state = loader.state_dict()
    other = make(1)
    other.load_state_dict(state)
    assume(taken >= done)
    found: list[list[int]] = []
    while other.epoch < 8:
        found += batches(other)
    assert found == rest
    assert other.state_dict() == loader.state_dict()


def test_a_state_taken_between_passes() -> None:
    first, second = (DataLoader(numbers(9), 4, shuffle=True, seed=seed) for seed in (1, 2))
    stream(first, 2)
    second.load_state_dict(first.state_dict())
    assert second.epoch == 2
    assert second.state_dict() == first.state_dict()
    assert stream(first, 2) == stream(second, 2)


def test_a_state_taken_after_the_last_batch_of_a_pass() -> None:
    first, second = (DataLoader(numbers(4), 2, shuffle=True, seed=seed) for seed in (1, 2))
    for number, _ in enumerate(first):
        if number == 1:
            second.load_state_dict(first.state_dict())
    assert batches(second) == []
    assert second.epoch == first.epoch == 1
    assert batches(second) == batches(first)


def test_a_pass_given_up_is_followed_by_a_new_one() -> None:
    loader = DataLoader(numbers(4), 2)
    for _ in loader:
        break
    assert (loader.epoch, loader.state_dict()["done"]) == (0, 1)
    assert batches(loader) == [[0, 1], [2, 3]]
    assert loader.epoch == 2


def test_two_iterations_at_once_do_not_mix() -> None:
    loader = DataLoader(numbers(4), 2)
    assert [(a.tolist(), b.tolist()) for (a,), (b,) in zip(loader, loader, strict=True)] == [
        ([0, 1], [0, 1]),
        ([2, 3], [2, 3]),
    ]


def test_loading_what_does_not_fit_changes_nothing() -> None:
    loader = DataLoader(numbers(4), 2, shuffle=True, seed=3)
    next(iter(loader))
    before = loader.state_dict()
    for bad, message in [
        ({"epoch": 1}, "expected the keys epoch, done, sampler; got epoch"),
        ({**before, "done": 3}, "3 batches are done, but a pass has 2; is the dataset the same"),
        ({**before, "done": -1}, "-1 batches are done"),
        ({**before, "sampler": {}}, "RandomSampler: expected the keys seed, epoch"),
    ]:
        with pytest.raises(StateDictError, match=message):
            loader.load_state_dict(bad)
        assert loader.state_dict() == before
    with pytest.raises(TypeError, match="expected a mapping with epoch, done, sampler; got int"):
        loader.load_state_dict(3)  # type: ignore[arg-type]
    with pytest.raises(StateDictError, match="list has no state; got seed, epoch"):
        DataLoader(numbers(4), batch_sampler=[[0], [1], [2]]).load_state_dict(before)


# --- PyTorch's other datasets and samplers


def test_concatenated_datasets(torch: Any) -> None:
    def answers(kind: Any) -> list[Any]:
        data = kind([[1, 2], [3], [], [4, 5, 6]])
        return [[data[i] for i in range(-6, 6)], len(data), data.cumulative_sizes, data.datasets]

    assert answers(ConcatDataset) == answers(torch.utils.data.ConcatDataset)
    both = Squares() + Squares()
    assert [both[i] for i in range(len(both))] == [0, 1, 4, 9, 16] * 2
    for index in (6, -7):
        with pytest.raises(IndexError, match=f"index {index} is out of range; there are 6 samples"):
            ConcatDataset([[1, 2], [3], [], [4, 5, 6]])[index]
    with pytest.raises(ValueError, match="expected at least one dataset; got none"):
        ConcatDataset([])
    with pytest.raises(TypeError, match="IterableDataset has no samples by index"):
        ConcatDataset([IterableDataset()])


def test_random_samplers_draw_as_many_as_they_are_asked_for() -> None:
    assert sorted(RandomSampler(range(3), num_samples=7, seed=0)) in (
        [0, 0, 0, 1, 1, 2, 2],
        *[sorted([0, 1, 2] * 2 + [i]) for i in range(3)],
    )
    drawn = np.array(list(RandomSampler(range(5), True, 5000, seed=0)))
    assert np.abs(np.bincount(drawn, minlength=5) - 1000).max() < 150
    assert len(RandomSampler(range(3), num_samples=7)) == 7
    assert list(RandomSampler(range(0))) == []
    assert list(RandomSampler(range(0), True)) == []
    order = list(SubsetRandomSampler([7, 3, 5], seed=1))
    assert sorted(order) == [3, 5, 7]
    assert len({tuple(order) for order in (SubsetRandomSampler(range(9), seed=i) for i in range(5))}) == 5


def test_weights_say_how_often_a_sample_is_drawn() -> None:
    weights = lucid.tensor([1.0, 0.0, 3.0])
    sampler = WeightedRandomSampler(weights, 4000, seed=0)
    counts = np.bincount(list(sampler), minlength=3)
    assert counts[1] == 0
    assert abs(counts[2] - 3000) < 150
    assert sorted(WeightedRandomSampler([0.5, 0, 2, 1], 3, replacement=False)) == [0, 2, 3]
    assert len(sampler) == 4000
    first = [next(iter(WeightedRandomSampler([1.0, 9.0], 1, False, seed=s))) for s in range(500)]
    assert 420 < sum(first) < 480


@pytest.mark.parametrize("kind", ["random", "replacement", "subset", "weighted"])
def test_orders_are_resumed(kind: str) -> None:
    def make(seed: int) -> Any:
        return {
            "random": lambda: RandomSampler(range(9), seed=seed),
            "replacement": lambda: RandomSampler(range(9), True, 12, seed=seed),
            "subset": lambda: SubsetRandomSampler(range(9), seed=seed),
            "weighted": lambda: WeightedRandomSampler(range(9), 12, seed=seed),
        }[kind]()

    sampler, other = make(1), make(2)
    orders = [list(sampler) for _ in range(4)]
    other.load_state_dict({"seed": 1, "epoch": 2})
    assert [list(other), list(other)] == orders[2:]
    loader = DataLoader(range(9), 2, sampler=make(1))
    batches = iter(loader)
    done = [next(batches).tolist() for _ in range(2)]
    resumed = DataLoader(range(9), 2, sampler=make(2))
    resumed.load_state_dict(loader.state_dict())
    assert list(chain(*done, *(batch.tolist() for batch in resumed))) == orders[0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSampler("ab", num_samples=0), ValueError, "num_samples must be a positive integer; got 0"),
        (lambda: RandomSampler("ab", np.random.default_rng()), TypeError, "replacement must be a bool; got Generator"),
        (lambda: WeightedRandomSampler([1.0], 1, 0), TypeError, "replacement must be a bool; got int"),
        (lambda: WeightedRandomSampler([1.0], 1.5), ValueError, "num_samples must be a positive integer; got 1.5"),
        (lambda: WeightedRandomSampler([-1.0, 2.0], 1), ValueError, "that are not negative"),
        (lambda: WeightedRandomSampler([0.0], 1), ValueError, "not all 0"),
        (lambda: WeightedRandomSampler([float("nan")], 1), ValueError, "finite"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, "one row"),
        (lambda: WeightedRandomSampler([0.0, 1.0], 2, False), ValueError, "2 samples without replacement, but 1 have"),
        (lambda: list(Sampler()), NotImplementedError, "Sampler does not define __iter__"),
        (lambda: list(IterableDataset()), NotImplementedError, "IterableDataset does not define __iter__"),
        (lambda: list(RandomSampler("ab", generator="x")), TypeError, "generator must be a lucid.Generator; got str"),
    ],
)
def test_samplers_refuse_what_makes_no_order(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_the_module_has_pytorchs_name_too() -> None:
    import lucid.utils.data as data
    from lucid.utils.data import DataLoader as Theirs

    assert data is lucid.data is lucid.utils.data
    assert Theirs is DataLoader


def test_default_convert() -> None:
    given = {"x": np.ones(2), "pair": Pair(np.float64(1), [1, "a"]), "names": np.array(["b"])}
    made = default_convert(given)
    assert (made["x"].tolist(), made["pair"].x.item(), made["pair"].y) == ([1, 1], 1.0, [1, "a"])
    assert made["names"] is given["names"]
