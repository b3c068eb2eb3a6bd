"""The process group, in one process and in several."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.distributed as dist
from lucid import nn
from lucid.data import DataLoader, RandomSampler, TensorDataset, pad_collate
from lucid.distributed import group as groups
from lucid.errors import ExportError, GradientError, LucidError, RuntimeUnavailableError, ShapeError, TraceError
from lucid.export import to_onnx
from tests.distributed.launch import launched, result
from tests.tiers import sampled

F = nn.functional


@pytest.fixture
def alone() -> Iterator[None]:
    dist.init_process_group()
    yield
    dist.destroy_process_group()


class Loss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(3, 4), nn.Linear(4, 2)

    def forward(self, x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
        return F.cross_entropy(self.head(self.rnn(x)[1][-1]), y)


@pytest.mark.usefixtures("alone")
def test_functions_in_one_process() -> None:
    x = lucid.tensor([1.0, 2.0])
    dist.all_reduce(x)
    dist.broadcast(x)
    assert x.tolist() == [1, 2]
    array = np.array([3])
    dist.all_reduce(array)
    assert array.tolist() == [3]
    assert [y.tolist() for y in dist.all_gather(x)] == [[1, 2]]
    dist.barrier()
    assert (dist.get_rank(), dist.get_world_size(), dist.is_initialized()) == (0, 1, True)
    with pytest.raises(ValueError, match="src must be a rank below 1"):
        dist.broadcast(x, 1)
    with pytest.raises(TypeError, match="expected a Tensor or an array; got list"):
        dist.all_reduce([1])  # type: ignore[arg-type]
    with pytest.raises(LucidError, match="requires gradients"):
        dist.all_reduce(lucid.ones(2, requires_grad=True))
    with pytest.raises(LucidError, match="there is a process group already"):
        dist.init_process_group()


def test_without_a_group() -> None:
    assert not dist.is_initialized()
    with pytest.raises(LucidError, match=r"call lucid\.distributed\.init_process_group"):
        dist.get_rank()
    with pytest.raises(LucidError, match=r"call lucid\.distributed\.init_process_group"):
        dist.DistributedDataParallel(Loss())
    with pytest.raises(ValueError, match="the backend must be 'mpi'"):
        dist.init_process_group("nccl")


def test_several_processes_need_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "is_available", lambda: False)
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(RuntimeUnavailableError, match=r"2 processes were started.*lucid-onnx\[mpi\]"):
        dist.init_process_group()
    monkeypatch.setenv("PMI_SIZE", "1")
    dist.init_process_group()
    assert dist.get_world_size() == 1
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_one_process_trains_as_without_a_group() -> None:
    x, y = lucid.randn(5, 4, 3), lucid.tensor([0, 1, 1, 0])
    plain = Loss()
    other = Loss()
    other.load_state_dict(plain.state_dict())
    model = dist.DistributedDataParallel(other)
    for steps, size in ((5, 4), (3, 2), (1, 1)):
        part = x[:steps, :size], y[:size]
        for module in (plain, model):
            module.zero_grad()
            module(*part).backward()
        for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            np.testing.assert_allclose(mine.grad, theirs.grad, rtol=1e-6, atol=1e-7)
    with lucid.no_grad():
        assert not model(x, y).requires_grad
    assert "rank 0 of 1" in repr(model)


@pytest.mark.usefixtures("alone")
def test_a_change_of_the_module_is_seen() -> None:
    module = Loss()
    model, x, y = dist.DistributedDataParallel(module), lucid.randn(5, 4, 3), lucid.tensor([0, 1, 1, 0])
    model(x, y)
    module.head = nn.Linear(4, 3)
    np.testing.assert_allclose(model(x, y).item(), module(x, y).item(), rtol=1e-6)
    module.rnn.weight_hh_l0.requires_grad_(False)
    model(x, y).backward()
    assert module.rnn.weight_hh_l0.grad is None
    assert module.rnn.weight_ih_l0.grad is not None


@pytest.mark.usefixtures("alone")
def test_accumulation_keeps_gradients_until_they_are_added_up() -> None:
    module = Loss()
    model, x, y = dist.DistributedDataParallel(module), lucid.randn(5, 4, 3), lucid.tensor([0, 1, 1, 0])
    with model.no_sync():
        model(x, y).backward()
    module.zero_grad()  # as if it had not been
    with model.no_sync():
        model(x, y).backward()
    assert all(p.grad is not None for p in module.parameters())
    model(x[:3], y).backward()
    found = [p.grad.numpy() for p in module.parameters()]  # type: ignore[union-attr]
    module.zero_grad()
    (module(x, y) + module(x[:3], y)).backward()
    for array, p in zip(found, module.parameters(), strict=True):
        np.testing.assert_allclose(array, p.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("alone")
def test_gradients_that_were_there_before_are_not_added_up_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two processes, which are alike here, adds as much."""

    class Twin(groups.Group):
        size = 2

        def sum(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return array * 2

        def gather(self, thing: Any) -> list[Any]:
            return [thing, thing]

    module, x, y = Loss(), lucid.randn(5, 4, 3), lucid.tensor([0, 1, 1, 0])
    monkeypatch.setattr(groups, "_group", Twin())
    model = dist.DistributedDataParallel(module)
    model(x, y).backward()
    with model.no_sync():
        model(x, y).backward()
    module.head.bias.grad.zero_()  # as of one set to zero in place
    model(x, y).backward()
    found = {name: p.grad.numpy().copy() for name, p in module.named_parameters()}  # type: ignore[union-attr]
    module.zero_grad()
    module(x, y).backward()
    for name, p in module.named_parameters():
        assert p.grad is not None
        times = 1 if name == "head.bias" else 3
        np.testing.assert_allclose(found[name], times * p.grad.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
    with model.no_sync():
        model(x, y).backward()
    nn.utils.clip_grad_norm_(module.parameters(), 1e-3)
    with pytest.raises(GradientError, match="was changed before it was added up"):
        model(x, y).backward()


VARYING = 1.0


@pytest.mark.usefixtures("alone")
def test_variables_that_a_module_names_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = lucid.tensor([1.0, 2.0])

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x: lucid.Tensor) -> lucid.Tensor:
            return (self.head(x) * weight).square().mean() * VARYING

    module, x = Weighted(), lucid.randn(4, 3)
    model = dist.DistributedDataParallel(module)
    for change in (lambda: None, lambda: weight.mul_(2), lambda: monkeypatch.setitem(globals(), "VARYING", 3.0)):
        change()
        np.testing.assert_allclose(model(x).item(), module(x).item(), rtol=1e-6)
    weight = lucid.tensor([5.0, 1.0])
    np.testing.assert_allclose(model(x).item(), module(x).item(), rtol=1e-6)


@pytest.mark.usefixtures("alone")
def test_the_axis_of_a_batch_without_a_name() -> None:
    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x: lucid.Tensor) -> lucid.Tensor:
            scores = self.head(x)  # (T, N, 2)
            return (scores.transpose(0, 1) @ scores.permute(1, 2, 0)).mean()  # over pairs of steps

    x = lucid.randn(4, 5, 3)
    with pytest.raises(ExportError, match=r"matmul .* takes the batch as a whole"):
        dist.DistributedDataParallel(Loss())(x)
    model = dist.DistributedDataParallel(Loss(), dim=1)
    np.testing.assert_allclose(model(x).item(), model.module(x).item(), rtol=1e-6)


SPOILED: dict[str, tuple[Any, type[Exception], str]] = {
    "mark": (lambda said: (said[0]._replace(mark=0), *said[1:]), LucidError, "compute different losses"),
    "size": (
        lambda said: (said[0]._replace(sizes={**said[0].sizes, "time": 9}), *said[1:]),
        ShapeError,
        "in more than the batch: time is 5 on rank 0, 9 on rank 1",
    ),
    "argument": (
        lambda said: (said[0]._replace(alike={"scale": 0}), *said[1:]),
        LucidError,
        "scale differs between the processes, but has no axis of the batch",
    ),
    "seed": (lambda said: (said[0], 7, said[2]), LucidError, "at different steps or seeds"),
    "problem": (lambda said: (None, said[1], "ValueError: no"), LucidError, "on rank 1: ValueError: no"),
}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("what", SPOILED)
def test_processes_that_differ_are_refused(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, kind, message = SPOILED[what]

    class Scaled(Loss):
        def forward(self, x: lucid.Tensor, y: lucid.Tensor, scale: lucid.Tensor) -> lucid.Tensor:  # type: ignore[override]
            return super().forward(x, y) * scale.sum()

    class Two(groups.Group):
        size = 2

        def gather(self, thing: Any) -> list[Any]:
            return [thing, spoil(thing)]

    model = dist.DistributedDataParallel(Scaled())
    monkeypatch.setattr(model._state, "group", Two())
    with pytest.raises(kind, match=message):
        model(lucid.randn(5, 4, 3), lucid.tensor([0, 1, 1, 0]), lucid.ones(2))


@pytest.mark.usefixtures("alone")
def test_parts_are_padded_by_the_value_that_they_were_padded_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the loader's function came to it."""
    data = [np.full(n, 7) for n in (2, 3)]

    class Two(groups.Group):
        size = 2

        def gather(self, thing: Any) -> list[Any]:
            longer = thing[0]._replace(shape=(*thing[0].shape[:1], 4))
            return [thing, [longer, *thing[1:]]]

    sampler = dist.DistributedBatchSampler(range(2), 4)
    monkeypatch.setattr(sampler, "_group", Two())
    monkeypatch.setattr(type(sampler), "__iter__", lambda self: iter([[0, 1]]))
    loader = DataLoader(
        data, batch_sampler=sampler, collate_fn=lambda rows: pad_collate(rows, batch_first=True, padding_value=-100)
    )
    ((padded, lengths),) = loader
    assert padded.tolist() == [[7, 7, -100, -100], [7, 7, 7, -100]]
    assert lengths.tolist() == [2, 3]


@pytest.mark.usefixtures("alone")
def test_what_is_refused() -> None:
    x, y = lucid.randn(5, 4, 3), lucid.tensor([0, 1, 1, 0])
    model = dist.DistributedDataParallel(Loss())
    with pytest.raises(GradientError, match="an argument requires gradients"):
        model(lucid.randn(5, 4, 3, requires_grad=True), y)
    with pytest.raises(LucidError, match="a file runs in one process"):
        to_onnx(model, x, y)
    with pytest.raises(GradientError, match="gradients of gradients"):
        model(x, y).backward(create_graph=True)
    loss = model(x, y)
    loss.backward(retain_graph=True)
    with pytest.raises(GradientError, match="differentiated already"):
        loss.backward()
    with pytest.raises(LucidError, match="no process has any sequence"):
        model(x[:, :0], y[:0])
    with pytest.raises(ExportError, match="must return the loss"):
        dist.DistributedDataParallel(nn.Linear(3, 2))(x)
    with pytest.raises(TypeError, match="expected a Module"):
        dist.DistributedDataParallel(lambda x: x)  # type: ignore[arg-type]

    class Normalized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: lucid.Tensor) -> lucid.Tensor:
            return self.norm(x).square().mean()

    with pytest.raises(TraceError, match="batch_norm: in training it updates its running values"):
        dist.DistributedDataParallel(Normalized())(lucid.randn(4, 3))


@pytest.mark.usefixtures("alone")
def test_batches_do_not_depend_on_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(dist.DistributedBatchSampler(RandomSampler(range(10), seed=3), 4))
    found: list[list[list[int]]] = []
    for rank in range(3):
        sampler = dist.DistributedBatchSampler(RandomSampler(range(10), seed=3), 4)
        part = groups.Group()
        part.rank, part.size = rank, 3
        monkeypatch.setattr(sampler, "_group", part)
        found.append(list(sampler))
        assert len(sampler) == 3
    assert [[i for part in parts for i in part] for parts in zip(*found, strict=True)] == whole
    assert [len(batch) for batch in found[0]] == [1, 1, 0], "a part may be empty"


@pytest.mark.usefixtures("alone")
def test_a_loader_of_one_process() -> None:
    data = [(np.arange(n, dtype=np.float32)[:, None], n % 2) for n in (2, 5, 3)]
    sampler = dist.DistributedBatchSampler(range(3), 2)
    batches = list(DataLoader(data, batch_sampler=sampler, collate_fn=pad_collate))
    assert [x.shape for (x, _), _ in batches] == [(5, 2, 1), (3, 1, 1)]
    (rows,) = next(iter(DataLoader(TensorDataset(lucid.arange(4)), batch_sampler=sampler)))
    assert rows.tolist() == [0, 1]


# --- several processes


def test_two_processes() -> None:
    found = result(2, "losses.py", names=["weighted and ignored", "two means", "dropout"])
    for off, difference, equal in found.values():
        assert off < 1e-12
        assert difference < 1e-12
        assert equal


REFUSED = {"standard deviation", "contrast", "normalized", "greatest", "no scalar", "half of the batch"}


@pytest.mark.slow
@pytest.mark.parametrize("case", sampled([(3, True), (4, False), (2, True)], 3), ids=str)
def test_each_loss_cut_in_unequal_parts(case: tuple[int, bool]) -> None:
    """Of three processes one has no sequence, of four two have none."""
    n, accumulate = case
    found = result(n, "losses.py", accumulate=accumulate)
    for name, outcome in found.items():
        if name in REFUSED:
            assert "DistributedDataParallel" in outcome, name
            assert "losses.py" in outcome or "must return the loss" in outcome, name
        else:
            off, difference, equal = outcome
            assert off < 1e-12, name
            assert difference < 1e-12, name
            assert equal, name
    assert len(found) == 18


@pytest.mark.slow
@pytest.mark.parametrize("task", sampled(["tagger", "vowels", "language"], 3))
@pytest.mark.parametrize("dtype", sampled(["float32", "float64"], 2))
def test_runs_over_fifty_steps(task: str, dtype: str) -> None:
    one, *others = [result(n, "train.py", task=task, dtype=dtype) for n in (1, 2, 3)]
    assert len(one["losses"]) == 50
    for other in others:
        # With AVX2 they agree to 1e-5. AVX-512 adds up in another order, and two of 50 steps differ by 1.5e-5.
        np.testing.assert_allclose(other["losses"], one["losses"], rtol=3e-5 if dtype == "float32" else 1e-10)
        assert len(set(other["digests"])) == 1, "replicas are equal bit by bit"


@pytest.mark.slow
@pytest.mark.parametrize("task", sampled(["language", "tagger"], 2))
def test_compiled_runs_over_fifty_steps(task: str) -> None:
    eager = result(1, "train.py", task=task)
    found = result(2, "train.py", task=task, compile=True)
    np.testing.assert_allclose(found["losses"], eager["losses"], rtol=1e-4)
    assert len(set(found["digests"])) == 1, "replicas are equal bit by bit"


class TwoMeans(nn.Module):
    """A weighted loss with ignored targets, a mean of another kind, and a penalty."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 4), nn.Linear(4, 3)
        self.register_buffer("weight", lucid.tensor([1.0, 3.0, 0.5]))

    def forward(self, x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
        out = self.head(self.rnn(x)[0]).flatten(0, 1)
        labels = y.flatten()
        loss = F.cross_entropy(out, labels, weight=self.weight, ignore_index=2)
        return loss + (out**2).sum() / (labels == 1).sum() + 0.01 * (self.head.weight**2).sum()


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_compiled_steps_are_eager_ones() -> None:
    lucid.manual_seed(0)
    models = [dist.DistributedDataParallel(TwoMeans(), compile=compile, threads=1) for compile in (False, True)]
    models[1].module.load_state_dict(models[0].module.state_dict())
    rng = np.random.default_rng(0)
    optimizers = [lucid.optim.Adam(model.parameters(), lr=0.02) for model in models]
    for n in (3, 3, 5, 2):
        x = lucid.tensor(rng.standard_normal((4, n, 3)).astype(np.float32))
        y = lucid.tensor(rng.integers(0, 3, (4, n)))
        losses = []
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            with model.no_sync():
                (model(x, y) * 0.5).backward()
            loss = model(x * 2, y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[1] == pytest.approx(losses[0], rel=1e-5)
        for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
            np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-4, atol=1e-6)
    with lucid.no_grad():
        assert models[1](x, y).item() == pytest.approx(models[0](x, y).item(), rel=1e-4)


@pytest.mark.usefixtures("alone")
def test_compiled_steps_draw_what_eager_ones_draw() -> None:
    found = []
    for compile in (False, True):
        lucid.manual_seed(0, generator="counter")
        model = dist.DistributedDataParallel(Noisy(), compile=compile, threads=1)
        losses = [model(lucid.ones(n, 3)) for n in (2, 2, 5)]
        losses[-1].backward()
        found.append([*(loss.item() for loss in losses), *model.module.head.weight.grad.flatten().tolist()])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
    assert len(set(found[0][:3])) == 3


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        return F.dropout(self.head(x), 0.5).mean()


@pytest.mark.slow
def test_compiled_steps_of_several_processes_draw_what_the_whole_batch_draws() -> None:
    """Of the three processes, one has no sequences."""
    found = result(3, "losses.py", names=["dropout", "noise"], compile=True)
    for name, (off, difference, equal) in found.items():
        assert off < 1e-10, name
        assert difference < 1e-10, name
        assert equal, name


@pytest.mark.slow
@pytest.mark.parametrize("then", sampled([2, 1, 3], 3))
def test_a_killed_run_goes_on_with_any_number_of_processes(then: int, tmp_path) -> None:
    whole = result(2, "train.py", task="vowels", steps=24)
    path = str(tmp_path / "run.safetensors")
    options = {"task": "vowels", "steps": 24, "checkpoint": path}
    killed = launched(2, "train.py", json.dumps({**options, "kill": [1, 13]}))
    assert killed.returncode != 0
    again = result(then, "train.py", **options)
    if then == 2:
        assert again == whole, "with as many processes bit by bit"
    np.testing.assert_allclose(again["losses"], whole["losses"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [True, False])
def test_an_exception_in_one_process_ends_all(launcher: bool) -> None:
    words = json.dumps({"task": "tagger", "raise": [1, 3]})
    made = launched(2, "train.py", words, launcher=launcher)
    assert made.returncode != 0
    assert "on one rank alone" in made.stderr + made.stdout


@pytest.mark.slow
def test_the_programs_run_alone() -> None:
    """Without a launcher the same program is one process."""
    import subprocess

    command = [sys.executable, "tests/distributed/train.py", json.dumps({"task": "tagger", "steps": 2})]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(made.stdout)["losses"]) == 2
