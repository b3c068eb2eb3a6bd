"""Loaders that load ahead in threads: the same batches, in order, resumed at the same place, and no thread left."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lucid
from lucid.checkpoint import load_checkpoint, save_checkpoint
from lucid.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
    random_split,
)
from lucid.errors import StateDictError


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lucid-worker")]


def values(loader: DataLoader) -> list[Any]:
    return [batch.tolist() for batch in loader]


class Slow(Dataset[Any]):
    """Samples that take the less time the later they come, so that workers finish in another order."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        time.sleep(0.002 * (self.n - index))
        return np.float32(index)

    def __len__(self) -> int:
        return self.n


class Noisy(Dataset[Any]):
    """Samples with noise that lucid's generator draws."""

    def __getitem__(self, index: int) -> Any:
        return index + lucid.rand(1)

    def __len__(self) -> int:
        return 12


class Count(IterableDataset[int]):
    """The numbers below n; each worker yields its share."""

    def __init__(self, n: int, shared: bool = True) -> None:
        self.n, self.shared = n, shared

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        if info is None or not self.shared:
            return iter(range(self.n))
        return iter(range(info.id, self.n, info.num_workers))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("persistent", [False, True])
def test_the_same_batches_in_the_same_order(workers: int, persistent: bool) -> None:
    for options in ({"batch_size": 2}, {"batch_size": 3, "drop_last": True}, {"batch_size": None}, {"shuffle": True}):
        if "shuffle" in options:
            options["seed"] = 0
        plain = DataLoader(Slow(7), **options)  # type: ignore[arg-type]
        ahead = DataLoader(Slow(7), num_workers=workers, persistent_workers=persistent, **options)  # type: ignore[arg-type]
        assert [values(ahead), values(ahead)] == [values(plain), values(plain)]
    data = TensorDataset(lucid.arange(9), lucid.randn(9, 2))
    for (i, x), (j, y) in zip(
        DataLoader(Subset(data, [8, 3, 5, 1]), 3, num_workers=workers),
        DataLoader(Subset(data, [8, 3, 5, 1]), 3),
        strict=True,
    ):
        assert (i.tolist(), x.tolist()) == (j.tolist(), y.tolist())


def test_batches_are_loaded_ahead_while_the_loop_works() -> None:
    started = threading.Semaphore(0)

    class Watched(Dataset[int]):
        def __getitem__(self, index: int) -> int:
            started.release()
            return index

        def __len__(self) -> int:
            return 20

    batches = iter(DataLoader(Watched(), num_workers=2, prefetch_factor=3))
    assert next(batches).tolist() == [0]
    for _ in range(6):
        assert started.acquire(timeout=10)
    time.sleep(0.05)
    assert not started.acquire(blocking=False), "more is loaded than is asked for"
    assert [batch.item() for batch in batches] == list(range(1, 20))


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 11),
    size=st.integers(1, 4),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    done=st.integers(0, 12),
    shuffle=st.booleans(),
)
def test_what_was_loaded_ahead_is_not_done(
    n: int, size: int, before: int, after: int, done: int, shuffle: bool
) -> None:
    def stream(loader: DataLoader) -> Iterator[Any]:
        while True:
            yield from (batch.tolist() for batch in loader)

    data = np.arange(n)
    expected = list(islice(stream(DataLoader(data, size, shuffle=shuffle, seed=0 if shuffle else None)), done + 8))
    first = DataLoader(data, size, shuffle=shuffle, seed=0 if shuffle else None, num_workers=before)
    batches = stream(first)
    assert list(islice(batches, done)) == expected[:done]
    state = first.state_dict()
    batches.close()  # type: ignore[attr-defined]
    second = DataLoader(data, size, shuffle=shuffle, seed=9 if shuffle else None, num_workers=after)
    second.load_state_dict(state)
    assert list(islice(stream(second), 8)) == expected[done:]


@pytest.mark.parametrize("workers", [1, 3])
def test_what_workers_draw_depends_on_the_seed_the_pass_and_the_batch_alone(workers: int, tmp_path: Any) -> None:
    def loader(n: int) -> DataLoader:
        return DataLoader(Noisy(), 2, shuffle=True, num_workers=n, generator=lucid.Generator().manual_seed(3))

    reference = loader(2)
    first, second = values(reference), values(reference)
    assert [int(x) for batch in first for (x,) in batch] != [int(x) for batch in second for (x,) in batch]
    noise = [x % 1 for epoch in (first, second) for batch in epoch for (x,) in batch]
    assert len(set(noise)) == len(noise)
    other = loader(workers)
    assert [values(other), values(other)] == [first, second]

    running = loader(workers)
    for _, _ in zip(range(4), running, strict=False):
        save_checkpoint(tmp_path / "a", loader=running)
    resumed = DataLoader(Noisy(), 2, shuffle=True, num_workers=workers)
    load_checkpoint(tmp_path / "a", loader=resumed)
    assert [values(resumed), values(resumed)] == [first[4:], second]


def test_two_loaders_draw_different_noise_unless_seeded() -> None:
    lucid.manual_seed(0)
    first, second = (values(DataLoader(Noisy(), 3, num_workers=2)) for _ in range(2))
    assert first != second
    lucid.manual_seed(0)
    assert values(DataLoader(Noisy(), 3, num_workers=1)) == first


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("iterable", [False, True])
def test_an_error_arrives_with_its_line_and_no_thread_is_left(persistent: bool, iterable: bool) -> None:
    class Failing(Dataset[int]):
        def __getitem__(self, index: int) -> int:
            if index == 3:
                raise KeyError("sample three")  # the line to see
            return index

        def __len__(self) -> int:
            return 9

    class Broken(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            yield from (0, 1, 2)
            raise KeyError("sample three")  # the line to see

    seen = []
    loader = DataLoader(
        Broken() if iterable else Failing(), num_workers=1 + (not iterable), persistent_workers=persistent
    )
    with pytest.raises(KeyError, match="sample three") as caught:
        seen.extend(batch.item() for batch in loader)
    assert seen == [0, 1, 2]
    assert (
        traceback.extract_tb(caught.value.__traceback__)[-1].line == 'raise KeyError("sample three")  # the line to see'
    )
    del caught
    assert bool(threads()) is persistent
    del loader
    gone()


def gone() -> None:
    """Waits for the threads of workers to end, and fails if they do not."""
    gc.collect()
    for _ in range(200):
        if not threads():
            return
        time.sleep(0.01)
    raise AssertionError(threads())


@pytest.mark.slow
def test_no_thread_is_left_behind() -> None:
    loader = DataLoader(Slow(30), num_workers=3)
    for batch in loader:
        assert len(threads()) == 3
        if batch.item() == 2:
            break
    gone()
    batches = iter(loader)
    assert not threads()
    next(batches)
    assert len(threads()) == 3
    del batches
    assert not threads()
    values(loader)
    assert not threads()
    kept = DataLoader(Slow(3), num_workers=2, persistent_workers=True)
    assert values(kept) == values(kept)
    assert len(threads()) == 2
    kept.load_state_dict(kept.state_dict())
    assert not threads()
    values(kept)
    del kept
    gone()


def test_how_often_workers_are_initialized() -> None:
    numbers: list[int] = []
    for persistent, expected in ((False, [0, 1, 0, 1]), (True, [0, 1])):
        numbers.clear()
        options: dict[str, Any] = {"num_workers": 2, "persistent_workers": persistent}
        loader = DataLoader(range(4), worker_init_fn=numbers.append, **options)
        values(loader)
        values(loader)
        assert sorted(numbers) == sorted(expected)
    del loader

    def fails(number: int) -> None:
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        values(DataLoader(range(4), num_workers=2, worker_init_fn=fails))
    gone()


def test_a_worker_has_its_own_copy_of_the_dataset_and_its_own_seed() -> None:
    """As in PyTorch's documentation: the dataset is shared out by worker_init_fn."""
    data = Count(10, shared=False)
    data.first = 0  # type: ignore[attr-defined]
    infos = []

    def share(number: int) -> None:
        info = get_worker_info()
        assert info is not None
        assert info.id == number
        assert lucid.initial_seed() == info.seed
        infos.append(info)
        info.dataset.n = 3 + number
        lucid.manual_seed(number)

    loader = DataLoader(data, 2, num_workers=2, worker_init_fn=share)
    before = lucid.initial_seed()
    assert values(loader) == [[0, 1], [0, 1], [2], [2, 3]]
    assert data.n == 10
    assert infos[0].seed + 1 == infos[1].seed
    assert lucid.initial_seed() == before
    assert get_worker_info() is None


def test_a_seed_that_a_worker_sets_holds() -> None:
    def seeded(_: int) -> None:
        lucid.manual_seed(5)

    first, second = (values(DataLoader(Noisy(), 4, num_workers=2, worker_init_fn=seeded)) for _ in range(2))
    assert first == second


@pytest.mark.filterwarnings("ignore")  # PyTorch's, of processes
@pytest.mark.parametrize("size", [None, 1, 2, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_iterable_datasets(size: int | None, drop_last: bool, torch: Any) -> None:
    if size is None and drop_last:
        return

    class Theirs(torch.utils.data.IterableDataset):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[int]:
            info = torch.utils.data.get_worker_info()
            return iter(range(7) if info is None else range(info.id, 7, info.num_workers))

    for workers in (0, 1, 2, 3):
        options = {"batch_size": size, "drop_last": drop_last, "num_workers": workers}
        ours = [x if size is None else x.tolist() for x in DataLoader(Count(7), **options)]
        theirs = [x if size is None else x.tolist() for x in torch.utils.data.DataLoader(Theirs(), **options)]
        assert ours == theirs


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterable_dataset_is_resumed_by_reading_it_again(workers: int) -> None:
    loader = DataLoader(Count(11), 2, num_workers=workers)
    expected = values(loader)
    batches = iter(loader)
    assert [next(batches).tolist() for _ in range(3)] == expected[:3]
    resumed = DataLoader(Count(11), 2, num_workers=workers)
    resumed.load_state_dict(loader.state_dict())
    assert [values(resumed), values(resumed)] == [expected[3:], expected]


def test_lengths_of_iterable_datasets() -> None:
    class Known(Count):
        def __len__(self) -> int:
            return self.n

    assert [len(DataLoader(Known(7), n)) for n in (1, 2, None)] == [7, 4, 7]
    assert len(DataLoader(Known(7), 2, drop_last=True)) == 3
    with pytest.raises(TypeError, match=r"object of type 'Count' has no len\(\)"):
        len(DataLoader(Count(7)))


def test_gradients_are_off_in_workers_where_they_are_off_around_the_loop() -> None:
    weight = lucid.ones(1, requires_grad=True)

    class Scaled(Dataset[Any]):
        def __getitem__(self, index: int) -> Any:
            return (weight * index).requires_grad

        def __len__(self) -> int:
            return 2

    loader = DataLoader(Scaled(), 2, num_workers=1)
    assert values(loader) == [[True, True]]
    with lucid.no_grad():
        assert values(loader) == [[False, False]]


def test_attributes() -> None:
    data = range(5)
    loader = DataLoader(data, 2, num_workers=2, drop_last=True, pin_memory=True)
    assert (loader.dataset, loader.batch_size, loader.drop_last, loader.num_workers) == (data, 2, True, 2)
    assert (loader.prefetch_factor, loader.persistent_workers, loader.pin_memory) == (2, False, True)
    assert loader.collate_fn is default_collate
    assert DataLoader(data, batch_sampler=[[1]]).batch_size is None
    assert list(DataLoader(data, batch_size=None, sampler=[3, 1])) == [3, 1]
    (x, name), _ = DataLoader([(np.ones(2), "a"), (np.ones(2), "b")], batch_size=None)
    assert (x.tolist(), name) == ([1, 1], "a")


def test_a_dataset_may_fetch_several_samples_at_once() -> None:
    class Several(Dataset[int]):
        def __getitems__(self, indices: list[int]) -> list[int]:
            return [10 * i for i in indices]

        def __len__(self) -> int:
            return 3

    assert values(DataLoader(Several(), 2)) == [[0, 10], [20]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers must be an integer of at least 0; got -1"),
        ({"persistent_workers": True}, "persistent_workers needs num_workers > 0"),
        ({"prefetch_factor": 2}, "with num_workers > 0; got 2"),
        ({"prefetch_factor": 0, "num_workers": 1}, "at least 1, .*; got 0"),
        ({"timeout": 3}, "a thread cannot be interrupted; got 3"),
        ({"multiprocessing_context": "fork"}, "workers are threads"),
        ({"batch_size": None, "drop_last": True}, "makes no batches, so drop_last must be False"),
        ({"dataset": Count(3), "shuffle": True}, "an IterableDataset sets the order"),
        ({"dataset": Count(3), "sampler": [1]}, "an IterableDataset sets the order"),
        ({"dataset": Count(3), "batch_sampler": [[1]]}, "an IterableDataset sets the order"),
        ({"dataset": Count(3), "batch_size": 0}, "batch_size must be an integer of at least 1; got 0"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataLoader(**{"dataset": range(3), **options})


def test_states_that_do_not_fit() -> None:
    loader = DataLoader(range(3), num_workers=1)
    for seed in (-1, "x"):
        with pytest.raises(StateDictError, match="seed must be an integer that is not negative"):
            loader.load_state_dict({"epoch": 0, "done": 0, "sampler": {}, "seed": seed})
    state = DataLoader(range(3)).state_dict()
    assert state.keys() == {"epoch", "done", "sampler"}
    loader.load_state_dict(state)
    assert values(loader) == [[0], [1], [2]]


def test_generators_of_pytorchs_kind() -> None:
    def orders(make: Any) -> list[list[int]]:
        return [
            random_split(range(9), [0.5, 0.5], generator=make())[0].indices,
            [batch.item() for batch in DataLoader(range(9), shuffle=True, generator=make())],
            list(WeightedRandomSampler(range(9), 20, generator=make())),
        ]

    assert orders(lambda: lucid.Generator().manual_seed(42)) == orders(lambda: lucid.Generator().manual_seed(42))
    assert orders(lambda: lucid.Generator().manual_seed(42)) != orders(lambda: lucid.Generator().manual_seed(43))
    assert values(DataLoader(range(3), generator=lucid.Generator())) == [[0], [1], [2]]
