"""Compiled training steps: model and optimizer hold what eager training gives them, whatever changes between."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.errors import ExportError, GradientError, LucidError, ShapeError
from lucid.export.training.live import cohorts_of
from lucid.optim.program import Settings
from lucid.runtime.compiled import compiled_step, dispatch
from lucid.tracer import trace
from tests.export.test_training_step import OPTIMIZERS
from tests.tiers import thinned

pytestmark = pytest.mark.usefixtures("quick_choices")

F = nn.functional

T, N, I, H = 6, 4, 3, 5  # noqa: E741 - the letters of the field

WAYS = ("graph", "optimizer", "device")
"""What updates the parameters: the graph, the optimizer, or the graph in the memory of a device, here of the CPU."""

each = pytest.mark.parametrize("by", thinned(WAYS, 3))


class Classifier(nn.Module):
    """A recurrent layer and a linear one on its last output."""

    def __init__(self, kind: str = "RNN", **kwargs: Any) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(I, H, **kwargs)
        self.head = nn.Linear(H, 3)
        self.scale = 1.0

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0][-1]) * self.scale


def loss(model: Any, x: Any, y: Any) -> Any:
    return F.cross_entropy(model(x), y)


def batch(seed: int = 0, steps: int = T, size: int = N) -> tuple[lucid.Tensor, lucid.Tensor]:
    rng = np.random.default_rng(seed)
    return lucid.tensor(rng.standard_normal((steps, size, I)).astype(np.float32)), lucid.tensor(
        rng.integers(0, 3, size)
    )


def choose(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """Has the graph update the parameters, or the optimizer; or has the state stay in memory of its own."""
    updates = by != "optimizer"
    monkeypatch.setattr(compiled_step.CompiledStep, "_resides", by == "device")
    monkeypatch.setattr(dispatch, "_cores", lambda: 1)
    monkeypatch.setattr(dispatch.Candidate, "seconds", lambda self, *_: float(self.way.updates != updates))


class Pair:
    """Two copies of a model with their optimizers, of which one is trained by a compiled step and one eagerly."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: optim.Optimizer,
        function: Callable[..., Any] = loss,
        norm: float | None = None,
        value: float | None = None,
    ) -> None:
        self.model, self.optimizer, self.loss, self.norm, self.value = model, optimizer, function, norm, value
        self.twin, self.other = copy.deepcopy((model, optimizer))
        self.step = lucid.compile(model, loss=function, optimizer=optimizer, clip_grad_norm=norm, clip_grad_value=value)

    def eager(self, *args: Any) -> Any:
        """Trains the copy."""
        self.other.zero_grad()
        result = self.loss(self.twin, *args)
        (result[0] if isinstance(result, tuple) else result).backward()
        owned = [p for group in self.other.param_groups for p in group["params"]]
        if self.norm is not None:
            nn.utils.clip_grad_norm_(owned, self.norm)
        if self.value is not None:
            nn.utils.clip_grad_value_(owned, self.value)
        self.other.step()
        return result

    def check(self, *args: Any, rtol: float = 1e-4, atol: float = 2e-6) -> Any:
        """Takes a step with both, by the candidate that was chosen, and compares what it gives and changes."""
        expected, found = self.eager(*args), self.step.tune(*args)(*args)
        one, other = (r[0] if isinstance(r, tuple) else r for r in (found, expected))
        assert one.shape == ()
        assert not one.requires_grad
        np.testing.assert_allclose(one.numpy(), other.detach().numpy(), rtol=rtol, atol=1e-6)
        self.compare(rtol, atol)
        return found

    def compare(self, rtol: float = 1e-4, atol: float = 2e-6) -> None:
        """Compares all that the models and the optimizers hold."""
        for (name, tensor), expected in zip(
            self.model.state_dict().items(), self.twin.state_dict().values(), strict=True
        ):
            np.testing.assert_allclose(tensor.numpy(), expected.numpy(), rtol, atol, err_msg=name)
        one, other = self.optimizer.state_dict(), self.other.state_dict()
        assert one["param_groups"] == other["param_groups"]
        assert one["state"].keys() == other["state"].keys()
        for number, kept in other["state"].items():
            assert one["state"][number].keys() == kept.keys()
            for name, value in kept.items():
                found = one["state"][number][name]
                assert type(found) is type(value)
                if isinstance(value, float):
                    assert found == value, name
                else:
                    np.testing.assert_allclose(found.numpy(), value.numpy(), rtol, atol, err_msg=name)

    @property
    def updates(self) -> set[bool]:
        """Whether the graphs in use update the parameters."""
        return {candidate.way.updates for candidate, _ in self.step._cache.served.values()}


def pair(kind: str = "RNN", optimizer: str = "Adam", **options: Any) -> Pair:
    lucid.manual_seed(0)
    model = Classifier(kind)
    return Pair(model, getattr(optim, optimizer)(model.parameters(), **{"lr": 0.01, **options}))


# --- values


@pytest.mark.parametrize(("name", "by"), thinned([(n, by) for n in OPTIMIZERS for by in WAYS], 10, 2, sample=3))
def test_each_optimizer(monkeypatch: pytest.MonkeyPatch, name: str, by: str) -> None:
    """The rate, and another number, change in each step; the first steps make the state."""
    choose(monkeypatch, by)
    kind, options = OPTIMIZERS[name]
    steps = pair("GRU", kind, **options)
    for number in range(8):
        for optimizer in (steps.optimizer, steps.other):
            group = optimizer.param_groups[0]
            group["lr"] = 0.01 / (1 + number)
            if group.get("weight_decay"):
                group["weight_decay"] = 0.1 / (1 + number)
        steps.check(*batch(number, 3 + number, 2 + number % 3))
    assert steps.updates == {by != "optimizer"}


LONG = [(kind, optimizer) for kind in ("GRU", "LSTM", "RNN") for optimizer in ("Adam", "SGD", "AdamW")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "optimizer"), thinned(LONG, len(LONG), 2, sample=4))
def test_a_long_run_is_eager_training_and_that_of_the_file(
    monkeypatch: pytest.MonkeyPatch, kind: str, optimizer: str
) -> None:
    choose(monkeypatch, "graph")
    steps = pair(kind, optimizer, lr=1e-3)
    data = [batch(i) for i in range(5)]
    file = lucid.export.training_step(steps.model, loss, steps.optimizer, *data[0], verify=False)
    state = file.start
    steps.step.tune(*data[0])
    for i in range(200):
        args = data[i % 5]
        value = steps.step(*args).item()
        expected = steps.eager(*args).item()
        state, other, _ = file(state, *args)
        assert value == pytest.approx(expected, rel=1e-4)
        assert value == pytest.approx(other, rel=1e-4)
    assert steps.updates == {True}
    steps.compare()
    for name, array in file.state_of(steps.model, steps.optimizer).items():
        np.testing.assert_allclose(array, state[name], rtol=1e-4, atol=1e-6, err_msg=name)


@each
def test_sizes_and_calls(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    choose(monkeypatch, by)
    steps = pair("LSTM")
    for i, (length, size) in enumerate([(T, N), (1, 1), (11, 2), (T, N), (T, N)]):
        steps.check(*batch(i, length, size))
    x, y = batch()
    steps.eager(x, y)
    steps.step(x, y=y)
    steps.compare()


@each
def test_metrics_and_clipping(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    choose(monkeypatch, by)

    def scored(model: Any, data: Any, flag: str) -> Any:
        scores = model(data["x"])
        assert flag == "plain"
        found = {"loss": scores.mean(), "scores": scores, "hits": (scores.argmax(-1) == data["y"]).sum()}
        return 10 * F.cross_entropy(scores, data["y"]), found

    model = Classifier()
    steps = Pair(model, optim.SGD(model.parameters(), lr=0.1), scored, norm=1.0, value=0.2)
    for i in range(4):
        x, y = batch(i, T + i)
        before = copy.deepcopy(steps.twin)
        before.zero_grad()
        value, metrics = steps.check({"x": x, "y": y}, "plain")
        expected = before(x).detach().numpy()
        assert list(metrics) == ["loss", "scores", "hits", "grad_norm"]
        np.testing.assert_allclose(metrics["scores"].numpy(), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(metrics["loss"].item(), expected.mean(), rtol=1e-4, atol=1e-5)
        assert metrics["hits"].item() == (expected.argmax(-1) == y.numpy()).sum()
        (10 * F.cross_entropy(before(x), y)).backward()
        assert metrics["grad_norm"].item() == pytest.approx(
            nn.utils.clip_grad_norm_(before.parameters(), 1.0).item(), rel=1e-4
        )
        assert metrics["grad_norm"].item() > 1
        kept = metrics["scores"].numpy().copy()
        steps.check({"x": x, "y": y}, "plain")
        np.testing.assert_array_equal(metrics["scores"].numpy(), kept)  # no later step overwrites it
        assert value.item() != 0


@pytest.mark.parametrize(("cores", "size"), [(2, N), (2, 1)])
def test_a_batch_in_parts(monkeypatch: pytest.MonkeyPatch, cores: int, size: int) -> None:
    monkeypatch.setattr(dispatch, "_cores", lambda: cores)
    monkeypatch.setattr(dispatch.Candidate, "seconds", lambda self, *_: float(self.parts != cores))
    steps = pair("GRU")
    for i in range(3):
        steps.check(*batch(i, 20, size))
    assert {candidate.parts for candidate, _ in steps.step._cache.served.values()} == {min(cores, size)}


@each
def test_float64(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    choose(monkeypatch, by)
    model = Classifier("LSTM").double()
    steps = Pair(model, optim.NAdam(model.parameters(), lr=0.01))
    for i in range(5):
        x, y = batch(i)
        steps.check(x.double(), y, rtol=1e-11, atol=1e-13)
    assert steps.updates == {by != "optimizer"}


# --- model and optimizer hold the truth


@each
def test_what_the_user_changes_acts_on_the_next_step_without_an_export(
    monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    choose(monkeypatch, by)
    steps = pair("GRU", weight_decay=0.1)
    steps.check(*batch())
    exported = counted(monkeypatch)
    saved = copy.deepcopy((steps.model.state_dict(), steps.optimizer.state_dict()))
    steps.check(*batch(1))
    for model, optimizer in ((steps.model, steps.optimizer), (steps.twin, steps.other)):
        model.load_state_dict(saved[0])
        optimizer.load_state_dict(copy.deepcopy(saved[1]))
    steps.check(*batch(1))
    for model in (steps.model, steps.twin):
        nn.init.ones_(model.head.bias)
        with lucid.no_grad():
            model.head.weight.mul_(0.5)
        model.rnn.weight_hh_l0.data = model.rnn.weight_hh_l0.data * 2
        model.head.weight.data = lucid.tensor(np.asfortranarray(model.head.weight.detach().numpy()))
    steps.check(*batch(2))
    for optimizer in (steps.optimizer, steps.other):
        optimizer.param_groups[0].update(lr=0.02, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.2)
    steps.check(*batch(3))
    schedules = [optim.lr_scheduler.LambdaLR(o, lambda i: float(i % 2)) for o in (steps.optimizer, steps.other)]
    for i in range(4):
        steps.check(*batch(4 + i))
        for schedule in schedules:
            schedule.step()
    assert exported == []


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Records for each export whether it updates the parameters."""
    exported = []
    unwatched = compiled_step.export_live

    def export(program: Any, *args: Any) -> Any:
        exported.append(isinstance(program, compiled_step.Whole))
        return unwatched(program, *args)

    monkeypatch.setattr(compiled_step, "export_live", export)
    return exported


@each
def test_views_and_gradients(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """Whoever holds a view of a parameter sees its new values; gradients are neither read nor written."""
    choose(monkeypatch, by)
    steps = pair("LSTM")
    weight = steps.model.head.weight
    array, tensor, detached = weight.detach().numpy(), weight.data, weight.detach()
    weight.grad = marked = lucid.ones(3, H)
    for i in range(3):
        before = array.copy()
        steps.check(*batch(i))
        assert np.abs(array - before).max() > 1e-4
        for view in (array, tensor.numpy(), detached.numpy(), weight.detach().numpy()):
            np.testing.assert_array_equal(view, steps.model.state_dict()["head.weight"].numpy())
    assert weight.grad is marked
    np.testing.assert_array_equal(marked.numpy(), 1)
    assert steps.model.head.bias.grad is None
    kept = (weight * weight).sum()
    steps.step(*batch())
    with pytest.raises(GradientError, match="overwritten"):
        kept.backward()


@each
def test_eager_and_compiled_steps_take_turns(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    choose(monkeypatch, by)
    steps = pair("GRU", "NAdam")
    for i in range(8):
        if i % 3 == 1:
            steps.optimizer.zero_grad()
            loss(steps.model, *batch(i)).backward()
            steps.optimizer.step()
            steps.eager(*batch(i))
            steps.compare()
        else:
            steps.check(*batch(i))
    assert steps.updates == {by != "optimizer"}


@each
def test_a_call_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    choose(monkeypatch, by)
    steps = pair("GRU", "Adam")
    x, y = batch()
    steps.check(x, y)
    steps.optimizer.state.clear()
    steps.other.state.clear()
    with pytest.raises(ShapeError, match="GRU: input has 2 features"):
        steps.step(lucid.randn(T, N, 2), y)
    with pytest.raises(LucidError):
        steps.step(x, lucid.tensor([0, 1, 2, 7]))
    assert steps.optimizer.state == {}
    ((candidate, _),) = {id(c): (c, s) for c, s in steps.step._cache.served.values()}.values()
    with monkeypatch.context() as patched:
        patched.setattr(candidate, "_run", lambda *_: (_ for _ in ()).throw(LucidError("it broke")))
        with pytest.raises(LucidError, match="it broke"):
            steps.step(x, y)
    assert steps.optimizer.state == {}
    steps.compare()
    steps.check(x, y)
    weight = steps.model.head.weight.detach().numpy()
    weight.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        steps.step(x, y)
    weight.flags.writeable = True
    steps.compare()
    steps.check(x, y)


@pytest.mark.slow
@each
def test_running_statistics(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    choose(monkeypatch, by)

    class Normed(Classifier):
        def __init__(self, momentum: float | None) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(H, momentum=momentum)
            self.register_buffer("shift", lucid.ones(3))

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(self.rnn(x)[0][-1])) + self.shift

    for momentum in (0.1, None):
        model = Normed(momentum)
        steps = Pair(model, optim.Adam(model.parameters(), lr=0.01))
        for i in range(3):
            steps.check(*batch(i))
        exported = counted(monkeypatch)
        for one in (steps.model, steps.twin):
            one.norm.reset_running_stats()
        steps.check(*batch(3))
        assert exported == []
        for one in (steps.model, steps.twin):
            nn.init.zeros_(one.shift)  # a constant of the graph
        steps.check(*batch(4))
        assert len(exported) > 0
        for one in (steps.model, steps.twin):
            one.norm.eval()
        steps.check(*batch(5))
        steps.check(*batch(6))
        assert steps.model.norm.num_batches_tracked.item() == 2


@pytest.mark.slow
def test_buffers_that_change_at_some_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later export finds to change was a constant in an earlier one."""
    choose(monkeypatch, "graph")

    class Averaged(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("short", lucid.zeros(3))
            self.register_buffer("long", lucid.zeros(3))

        def forward(self, x: Any) -> Any:
            scores = super().forward(x)
            found = scores * (1 + self.short + self.long)
            if x.shape[0] > 4:
                self.long = 0.5 * self.long + scores.detach().mean(0)
            else:
                self.short.mul_(0.5).add_(scores.detach().mean(0))
            return found

    model = Averaged()
    steps = Pair(model, optim.SGD(model.parameters(), lr=0.1))
    for i, length in enumerate([6, 3, 6, 3, 7, 2]):
        steps.check(*batch(i, length))
    assert steps.updates == {True}
    loss(steps.model, *batch())  # replaces a buffer
    loss(steps.twin, *batch())
    steps.check(*batch(7))


# --- which parameters are trained


@each
def test_groups_and_frozen_and_shared_parameters(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    choose(monkeypatch, by)

    class Tied(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.again = nn.RNN(I, H)
            self.again.weight_hh_l0 = self.rnn.weight_hh_l0
            self.left_out, self.unused = nn.Linear(H, 3), nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            last = self.rnn(x)[0][-1] + self.again(x)[0][-1]
            return self.head(last) + self.left_out(last)

    model = Tied()
    model.rnn.bias_hh_l0.requires_grad_(False)
    own = [p for name, p in model.named_parameters() if name.startswith(("rnn", "again", "unused"))]
    groups = [{"params": own}, {"params": model.head.parameters(), "lr": 0.1, "weight_decay": 0.0, "amsgrad": True}]
    steps = Pair(model, optim.Adam(groups, lr=0.01, weight_decay=0.1))
    for i in range(3):
        steps.check(*batch(i))
    # A parameter that the optimizer does not have is read at each call.
    for one in (steps.model, steps.twin):
        nn.init.ones_(one.left_out.weight)
    exported = counted(monkeypatch)
    steps.check(*batch(3))
    assert exported == []
    assert steps.updates == {by != "optimizer"}


@pytest.mark.slow
def test_parameters_without_a_gradient_at_some_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep their counts, so that they are no longer updated alike; eager training does the same."""
    choose(monkeypatch, "graph")

    class Short(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.short = nn.Linear(H, 3)

        def forward(self, x: Any) -> Any:
            head = self.head if x.shape[0] > 3 else self.short
            return head(self.rnn(x)[0][-1])

    model = Short()
    steps = Pair(model, optim.Adam(model.parameters(), lr=0.01))
    for i, length in enumerate([5, 5, 2, 2, 5, 2, 7]):
        steps.check(*batch(i, length))
    assert steps.optimizer.state[model.head.weight]["step"] == 4
    assert steps.optimizer.state[model.short.weight]["step"] == 3
    assert steps.optimizer.state[model.rnn.weight_hh_l0]["step"] == 7


@pytest.mark.slow
def test_it_is_exported_again_when_something_changes_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "graph")
    steps = pair("RNN", "SGD", momentum=0.9)
    factor = 1.0

    def scaled(model: Any, x: Any, y: Any) -> Any:
        return loss(model, x, y) * factor

    steps = Pair(steps.model, steps.optimizer, scaled)
    steps.check(*batch())
    exported = counted(monkeypatch)

    def exports(change: Callable[[nn.Module, optim.Optimizer], Any]) -> int:
        exported.clear()
        change(steps.model, steps.optimizer)
        change(steps.twin, steps.other)
        steps.check(*batch(1))
        steps.check(*batch(2))
        return len(exported)

    assert exports(lambda model, optimizer: None) == 0
    assert exports(lambda model, optimizer: setattr(model, "scale", 2.0)) == 1
    assert exports(lambda model, optimizer: model.head.weight.requires_grad_(False)) == 1
    assert exports(lambda model, optimizer: nn.init.ones_(model.head.weight)) == 1  # a constant of the graph
    assert exports(lambda model, optimizer: model.eval()) == 1
    assert exports(lambda model, optimizer: optimizer.param_groups[0].update(nesterov=True)) == 1
    assert exports(lambda model, optimizer: optimizer.param_groups[0].update(weight_decay=0.1)) == 1
    assert exports(lambda model, optimizer: optimizer.param_groups[0].update(weight_decay=0.2, momentum=0.5)) == 0
    assert exports(lambda model, optimizer: optimizer.param_groups[0].update(maximize=True)) == 1
    assert exports(lambda model, optimizer: setattr(model, "further", nn.LayerNorm(2))) == 1
    assert exports(lambda model, optimizer: optimizer.add_param_group({"params": model.further.parameters()})) == 1
    assert exports(lambda model, optimizer: model.head.register_forward_hook(lambda m, a, out: out * 2)) == 1
    factor = 3.0  # a variable of the closure
    assert exports(lambda model, optimizer: None) == 1


# --- what it cannot do


class Rotated(optim.Optimizer):
    """An optimizer of a user's own, whose update is no function of elements alone."""

    @staticmethod
    def update(p: Any, g: Any, state: Any, *, lr: float) -> Any:
        return p - lr * np.where(g > 0, g, 0.5 * g), {}


def test_an_update_without_a_graph_is_the_optimizers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "graph")
    model = Classifier()
    steps = Pair(model, Rotated(model.parameters(), {"lr": 0.1}))
    for i in range(3):
        steps.check(*batch(i))
    assert steps.updates == {False}


def test_the_numbers_of_an_update_are_those_of_now() -> None:
    """A proof computes with them, so memory that nobody wrote to would make it overflow at times."""
    model = Classifier("RNN")
    optimizer = optim.Adam(model.parameters(), lr=0.25)
    cohorts, _ = cohorts_of(model, optimizer, dict(model.named_parameters()))
    expected = optimizer.record(
        cohorts[0].slots,
        cohorts[0].counts,
        [np.dtype(np.float32)] * 4,
        settings := Settings(optimizer.options(optimizer.param_groups[0])),
    )
    expected.begin(settings, [0.0])
    assert [float(x.item()) for x in cohorts[0].numbers] == [float(x) for x in expected.numbers]


def test_what_cannot_be_compiled_is_refused() -> None:
    model = Classifier()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()
    for given in ({"loss": loss}, {"optimizer": optimizer}, {"clip_grad_norm": 1.0}):
        with pytest.raises(TypeError, match="compile: a training step needs both a loss and an optimizer"):
            lucid.compile(model, **given)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="compile: expected a Module"):
        lucid.compile(loss, loss=loss, optimizer=optimizer)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="compile: the loss must be a function of the model and a batch; got float"):
        lucid.compile(model, loss=1.0, optimizer=optimizer)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="compile: expected one of lucid's optimizers; got str"):
        lucid.compile(model, loss=loss, optimizer="Adam")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="compile: clip_grad_norm must be positive or None; got 0"):
        lucid.compile(model, loss=loss, optimizer=optimizer, clip_grad_norm=0)

    def step(function: Any, owner: Any = optimizer, **options: Any) -> Any:
        return lucid.compile(model, loss=function, optimizer=owner, **options)

    with pytest.raises(
        ExportError, match=r"compile: loss\(model, \*batch\) must return a tensor without axes.*\(4, 3\)"
    ):
        step(lambda model, x, y: model(x))(x, y)
    with pytest.raises(ExportError, match="compile: metrics must be tensors by name; got float for 'a'"):
        step(lambda model, x, y: (loss(model, x, y), {"a": 1.0}))(x, y)
    with pytest.raises(ExportError, match="compile: a metric is named 'grad_norm'"):
        step(lambda model, x, y: (loss(model, x, y), {"grad_norm": x.sum()}), clip_grad_norm=1.0)(x, y)
    with pytest.raises(
        GradientError, match="compile: what the loss returns was not computed from any parameter of Cla"
    ):
        step(lambda model, x, y: x.sum())(x, y)
    with pytest.raises(ExportError, match="decide"):
        step(lambda model, x, y: loss(model, x, y) * (2.0 if x.sum() > 0 else 1.0))(x, y)
    with pytest.raises(ExportError, match="decide"):
        step(lambda model, x, y: loss(model, x, y) * (2.0 if model.head.bias.sum() > 0 else 1.0))(x, y)
    with pytest.raises(
        ExportError, match=r"a parameter of shape \(2,\) in group 0 of the optimizer is none of the mod"
    ):
        step(loss, optim.SGD([*model.parameters(), lucid.ones(2, requires_grad=True)]))(x, y)
    good = step(loss)
    with pytest.raises(GradientError, match="compile: an input requires gradients"):
        good(lucid.randn(T, N, I).requires_grad_(), y)
    with pytest.raises(LucidError, match="compile: a training step changes parameters, which no trace records"):
        trace(lambda x: good(x, y), x)
    with pytest.raises(GradientError, match="compile: gradients are disabled here"), lucid.no_grad():
        good(x, y)
    for p in model.parameters():
        p.requires_grad_(False)
    with pytest.raises(GradientError, match="compile: no parameter of Classifier that the optimizer has requires grad"):
        good(x, y)
    assert optimizer.state == {}


def test_a_buffer_that_decides_is_refused() -> None:
    class Counting(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", lucid.tensor(0))

        def forward(self, x: Any) -> Any:
            self.calls.add_(1)
            scores = super().forward(x)
            return scores * 2 if self.calls.item() > 2 else scores

    model = Counting()
    step = lucid.compile(model, loss=loss, optimizer=optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ExportError):
        step(*batch())
    assert model.calls.item() == 0


@each
def test_dropout_draws_as_a_counter_based_generator(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    choose(monkeypatch, by)
    model = Classifier("GRU", num_layers=2, dropout=0.5)
    steps = Pair(model, optim.Adam(model.parameters(), lr=0.01))
    with pytest.raises(ExportError, match="draws random numbers"):
        steps.step(*batch())
    for i in range(4):
        lucid.manual_seed(i, generator="counter").begin_step()
        expected = steps.eager(*batch(i)).item()
        lucid.manual_seed(i, generator="counter")
        assert steps.step(*batch(i)).item() == pytest.approx(expected, rel=1e-5)
        steps.compare()
    lucid.manual_seed(3, generator="counter")
    values = [steps.step(*batch()).item() for _ in range(2)]
    assert values[0] != values[1]
    lucid.manual_seed(0)
    with pytest.raises(LucidError, match="draws random numbers, which a file does only as a counter-based generator"):
        steps.step(*batch())
