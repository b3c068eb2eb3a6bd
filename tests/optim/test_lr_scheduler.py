"""Schedulers, compared with rates worked out by hand, with PyTorch, and after resuming."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.errors import StateDictError
from lucid.optim import SGD, Adagrad, Adam, Optimizer, lr_scheduler

STEPS = 50


def halve(epoch: int) -> float:
    return 0.5 ** (epoch // 7)


def slow(epoch: int) -> float:
    return 1 / (1 + epoch)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [20, 5, 5, 30], "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [0, 3], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 9}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 30}),
    ("CosineAnnealingLR", {"T_max": 50}),
    ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("LambdaLR", {"lr_lambda": halve}),
    ("LambdaLR", {"lr_lambda": [halve, slow]}),
    ("MultiplicativeLR", {"lr_lambda": slow}),
    ("MultiplicativeLR", {"lr_lambda": [halve, slow]}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 30, "power": 0.7}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 60}),
    ("OneCycleLR", {"max_lr": [0.4, 0.8], "epochs": 5, "steps_per_epoch": 10, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 50, "three_phase": True, "pct_start": 0.25}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 50, "div_factor": 5, "final_div_factor": 10, "pct_start": 0.5}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 50, "base_momentum": 0.5, "max_momentum": [0.9, 0.8]}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 50, "cycle_momentum": False}),
]
every_option = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name}-{'-'.join(options)}" for name, options in CASES]
)

LOSSES = np.random.default_rng(0).standard_normal(STEPS) + np.concatenate([np.linspace(3, 1, 20), np.ones(30)])
PLATEAUS: list[dict[str, Any]] = [
    {"patience": 2},
    {"patience": 0, "factor": 0.5, "cooldown": 3},
    {"patience": 1, "mode": "max", "factor": 0.5},
    {"patience": 1, "threshold": 0.5, "threshold_mode": "abs"},
    {"patience": 1, "threshold": 0.5, "mode": "max", "threshold_mode": "abs", "factor": 0.7},
    {"patience": 0, "min_lr": [0.01, 0.02], "factor": 0.5},
    {"patience": 0, "eps": 0.05, "factor": 0.5},
]


def optimizer(kind: type[Optimizer] = SGD) -> Optimizer:
    """Returns an optimizer with two groups, whose learning rates are 0.1 and 0.2."""
    groups = [{"params": lucid.ones(1, requires_grad=True)}, {"params": lucid.ones(1, requires_grad=True), "lr": 0.2}]
    return kind(groups, lr=0.1)  # type: ignore[call-arg]


def rates(scheduler: Any, steps: int = STEPS) -> list[list[float]]:
    """Returns the learning rates and momenta before each step."""
    path = []
    for _ in range(steps):
        groups = scheduler.optimizer.param_groups
        momenta = [g["betas"][0] if "betas" in g else g["momentum"] for g in groups]
        assert [g["lr"] for g in groups] == list(scheduler.get_last_lr())
        path.append([*scheduler.get_last_lr(), *momenta])
        scheduler.optimizer.step()
        scheduler.step()
    return path


def theirs(kind: type[Optimizer] = SGD) -> Any:
    torch = pytest.importorskip("torch")
    groups = [
        {"params": [torch.ones(1, requires_grad=True)]},
        {"params": [torch.ones(1, requires_grad=True)], "lr": 0.2},
    ]
    return getattr(torch.optim, kind.__name__)(groups, lr=0.1)


# --- rates


@every_option
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_rates_are_those_of_pytorch(name: str, options: dict[str, Any], kind: type[Optimizer], torch: Any) -> None:
    expected = rates(getattr(torch.optim.lr_scheduler, name)(theirs(kind), **options))
    actual = rates(getattr(lr_scheduler, name)(optimizer(kind), **options))
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", PLATEAUS, ids=["-".join(options) for options in PLATEAUS])
def test_plateaus_are_those_of_pytorch(options: dict[str, Any], torch: Any) -> None:
    ours = lr_scheduler.ReduceLROnPlateau(optimizer(), **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs(), **options)
    for loss in LOSSES:
        ours.step(loss)
        other.step(loss)
        assert ours.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-9)
        assert [g["lr"] for g in ours.optimizer.param_groups] == ours.get_last_lr()
        assert ours.in_cooldown == other.in_cooldown


@pytest.mark.parametrize("last", ["ExponentialLR", "CosineAnnealingLR", "LinearLR", "OneCycleLR", "StepLR"])
def test_sequences_are_those_of_pytorch(last: str, torch: Any) -> None:
    options = next(options for name, options in CASES if name == last)

    def sequence(of: Any, optimizer: Any) -> Any:
        parts = [
            of.LinearLR(optimizer, 0.1, total_iters=8),
            of.ExponentialLR(optimizer, 0.9),
            getattr(of, last)(optimizer, **options),
        ]
        return of.SequentialLR(optimizer, parts, milestones=[8, 20])

    expected = rates(sequence(torch.optim.lr_scheduler, theirs()))
    np.testing.assert_allclose(rates(sequence(lr_scheduler, optimizer())), expected, rtol=1e-9, atol=1e-12)


def test_chains_are_those_of_pytorch(torch: Any) -> None:
    def chain(of: Any, optimizer: Any) -> Any:
        return of.ChainedScheduler(
            [of.ConstantLR(optimizer, 0.1, 20), of.ExponentialLR(optimizer, 0.9), of.PolynomialLR(optimizer, 40)],
            optimizer=optimizer,
        )

    expected = rates(chain(torch.optim.lr_scheduler, theirs()))
    np.testing.assert_allclose(rates(chain(lr_scheduler, optimizer())), expected, rtol=1e-9, atol=1e-12)


def chained(optimizer: Optimizer) -> lr_scheduler.ChainedScheduler:
    return lr_scheduler.ChainedScheduler(
        [lr_scheduler.LinearLR(optimizer, 0.5, total_iters=4), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    )


def test_a_chain_is_the_product_of_its_factors() -> None:
    path = rates(chained(optimizer()), 6)
    warm = [0.5, 0.625, 0.75, 0.875, 1, 1]
    np.testing.assert_allclose([step[0] for step in path], [0.1 * w * 0.9**i for i, w in enumerate(warm)])


def test_a_chain_resumes_and_is_part_of_a_sequence() -> None:
    whole = rates(chained(optimizer()), 10)
    first = chained(optimizer())
    rates(first, 4)
    second = chained(optimizer())
    second.load_state_dict(first.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    np.testing.assert_allclose(rates(second, 6), whole[4:])
    with pytest.raises(StateDictError, match="it is for 0 schedulers, not 2"):
        second.load_state_dict({})
    for place in (0, 1):
        opt = optimizer()
        parts = [lr_scheduler.ExponentialLR(opt, 0.5), chained(opt)]
        path = rates(lr_scheduler.SequentialLR(opt, parts if place else parts[::-1], [3]), 9)
        start = 3 if place else 0
        length = 6 if place else 3
        np.testing.assert_allclose(path[start : start + length], whole[:length])


def test_two_schedulers_multiply_as_in_pytorch(torch: Any) -> None:
    paths = []
    for of, opt in ((lr_scheduler, optimizer()), (torch.optim.lr_scheduler, theirs())):
        first, second = of.CosineAnnealingLR(opt, 20), of.ExponentialLR(opt, 0.95)
        path = []
        for _ in range(STEPS):
            opt.step()
            first.step()
            second.step()
            path.append([group["lr"] for group in opt.param_groups])
        paths.append(path)
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5), [1, 1, 0.5, 0.5, 0.25]),
        (lambda o: lr_scheduler.MultiStepLR(o, [1, 3], gamma=0.5), [1, 0.5, 0.5, 0.25, 0.25]),
        (lambda o: lr_scheduler.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625]),
        (lambda o: lr_scheduler.ConstantLR(o, 0.5, total_iters=2), [0.5, 0.5, 1, 1, 1]),
        (lambda o: lr_scheduler.LinearLR(o, 0.5, 1.0, total_iters=4), [0.5, 0.625, 0.75, 0.875, 1]),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 4), [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2), [1, 0.5, 1, 0.5, 1]),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 1, T_mult=2), [1, 1, 0.5, 1, (1 + 0.5**0.5) / 2]),
        (lambda o: lr_scheduler.LambdaLR(o, slow), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
        (
            lambda o: lr_scheduler.OneCycleLR(
                o, 1.0, 5, pct_start=0.6, anneal_strategy="linear", div_factor=5, final_div_factor=2
            ),
            [0.2, 0.6, 1.0, 0.55, 0.1],
        ),
    ],
)
def test_rates_by_hand(make: Callable[[Optimizer], lr_scheduler.LRScheduler], expected: list[float]) -> None:
    scheduler = make(SGD([lucid.ones(1, requires_grad=True)], lr=1.0, momentum=0.9))
    assert [rate for rate, _ in rates(scheduler, 5)] == pytest.approx(expected, abs=1e-12)


def test_plateau_by_hand() -> None:
    opt = SGD([lucid.ones(1)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=1, cooldown=1)
    path = []
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, float("nan"), 1.0):
        scheduler.step(lucid.tensor(loss))
        path.append(opt.param_groups[0]["lr"])
    assert path == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert scheduler.best == 1.0


def test_momentum_goes_against_the_rate() -> None:
    opt = SGD([lucid.ones(1)], lr=1.0)
    scheduler = lr_scheduler.OneCycleLR(opt, 1.0, 5, pct_start=0.6, anneal_strategy="linear")
    assert [momentum for _, momentum in rates(scheduler, 5)] == pytest.approx([0.95, 0.9, 0.85, 0.9, 0.95])


def test_one_cycle_with_no_rise_begins_at_the_top() -> None:
    scheduler = lr_scheduler.OneCycleLR(SGD([lucid.ones(1)], lr=1.0), 0.5, total_steps=10, pct_start=0.1)
    assert scheduler.get_last_lr() == [0.5]


@every_option
def test_going_on_from_an_epoch(name: str, options: dict[str, Any], torch: Any) -> None:
    paths = []
    for of, opt in ((lr_scheduler, optimizer()), (torch.optim.lr_scheduler, theirs())):
        rates(getattr(of, name)(opt, **options), 5)
        paths.append(rates(getattr(of, name)(opt, **options, last_epoch=4), 20))
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-9, atol=1e-12)


# --- state


@every_option
def test_a_loaded_scheduler_goes_on_alike(name: str, options: dict[str, Any]) -> None:
    make = getattr(lr_scheduler, name)
    whole = rates(make(optimizer(), **options))
    first = make(optimizer(), **options)
    rates(first, 20)
    second = make(optimizer(), **options)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(second, STEPS - 20) == whole[20:]


def test_a_loaded_plateau_goes_on_alike() -> None:
    first, second = (lr_scheduler.ReduceLROnPlateau(optimizer(), patience=p) for p in (1, 5))
    for loss in LOSSES[:20]:
        first.step(loss)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    for loss in LOSSES[20:]:
        first.step(loss)
        second.step(loss)
        assert first.get_last_lr() == second.get_last_lr()
    assert first.state_dict() == second.state_dict()


def sequence() -> lr_scheduler.SequentialLR:
    opt = optimizer()
    parts = [lr_scheduler.LinearLR(opt, total_iters=8), lr_scheduler.CosineAnnealingLR(opt, 30)]
    return lr_scheduler.SequentialLR(opt, parts, milestones=[8])


@pytest.mark.parametrize("stop", [0, 5, 8, 20])
def test_a_loaded_sequence_goes_on_alike(stop: int) -> None:
    whole = rates(sequence())
    first, second = sequence(), sequence()
    rates(first, stop)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(second, STEPS - stop) == whole[stop:]


def test_a_sequence_can_be_part_of_a_sequence() -> None:
    opt = SGD([lucid.ones(1)], lr=1.0)
    inner = lr_scheduler.SequentialLR(
        opt, [lr_scheduler.ConstantLR(opt, 0.5, total_iters=9), lr_scheduler.ExponentialLR(opt, 0.5)], milestones=[2]
    )
    outer = lr_scheduler.SequentialLR(opt, [lr_scheduler.ConstantLR(opt, 0.25, total_iters=9), inner], milestones=[2])
    assert [rate for rate, _ in rates(outer, 7)] == [0.25, 0.25, 0.5, 0.5, 1, 0.5, 0.25]


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    step, chain = lr_scheduler.StepLR(optimizer(), 3), sequence()
    rates(chain, 4)
    before = [step.state_dict(), chain.state_dict()]
    good = chain.state_dict()
    bad_part = {**good["schedulers"][1], "gamma": 1}
    for scheduler, state, message in [
        (step, {**step.state_dict(), "T_max": 3}, "StepLR: unexpected: T_max"),
        (step, {"gamma": 0.5}, "StepLR: missing: base_lrs, last_epoch, _last_lr, step_size|missing: step_size"),
        (step, {**step.state_dict(), "base_lrs": [1.0]}, "it is for 1 parameter groups; the optimizer has 2"),
        (chain, {**good, "schedulers": []}, "it is for 0 schedulers, not 2"),
        (
            chain,
            {**good, "last_epoch": 9, "schedulers": [{**good["schedulers"][0], "last_epoch": 9}, bad_part]},
            "gamma",
        ),
    ]:
        with pytest.raises(StateDictError, match=message):
            scheduler.load_state_dict(state)
    assert [step.state_dict(), chain.state_dict()] == before
    with pytest.raises(TypeError, match="expected a mapping from names to values; got list"):
        step.load_state_dict([])  # type: ignore[arg-type]


def test_functions_are_not_part_of_the_state() -> None:
    state = lr_scheduler.LambdaLR(optimizer(), slow).state_dict()
    assert state == {"base_lrs": [0.1, 0.2], "last_epoch": 0, "_last_lr": [0.1, 0.2]}


# --- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: lr_scheduler.StepLR(o, 0), "step_size must be at least 1; got 0"),
        (lambda o: lr_scheduler.ConstantLR(o, factor=0), r"factor must be in \(0, 1\]; got 0"),
        (lambda o: lr_scheduler.LinearLR(o, start_factor=0), r"start_factor must be in \(0, 1\]; got 0"),
        (lambda o: lr_scheduler.LinearLR(o, end_factor=1.5), r"end_factor must be in \[0, 1\]; got 1.5"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), "T_max must be at least 1; got 0"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 1.5), "T_0 must be an integer of at least 1; got 1.5"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 1, 0), "T_mult must be an integer of at least 1; got 0"),
        (lambda o: lr_scheduler.LambdaLR(o, [slow]), "lr_lambda: expected one for each of 2 parameter groups; got 1"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), "give total_steps, or both epochs and steps_per_epoch"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 0), "total_steps must be an integer of at least 1; got 0"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=-1), "steps_per_epoch must be"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, pct_start=2), r"pct_start must be in \[0, 1\]; got 2"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, anneal_strategy="x"), "must be 'cos' or 'linear'; got 'x'"),
        (lambda o: lr_scheduler.OneCycleLR(o, [1.0], 9), "max_lr: expected one for each of 2 parameter groups; got 1"),
        (lambda _: lr_scheduler.OneCycleLR(optimizer(Adagrad), 1.0, 9), "Adagrad has no momentum; pass cycle_momentum"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1), "factor must be below 1; got 1"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, "least"), "mode must be 'min' or 'max'; got 'least'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="x"), "threshold_mode must be 'rel' or 'abs'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0.1]), "min_lr: expected one for each of 2"),
        (lambda o: lr_scheduler.PolynomialLR(o, 0), "total_iters must be at least 1; got 0"),
        (lambda o: lr_scheduler.ChainedScheduler([]), "ChainedScheduler: expected at least one scheduler; got none"),
        (
            lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(o, 1)], optimizer()),
            "scheduler 0 belongs to another",
        ),
        (
            lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)]),
            "needs a measure at each step",
        ),
        (lambda o: lr_scheduler.SequentialLR(o, [], []), "expected at least one scheduler; got none"),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 1)], [1]),
            "1 schedulers need 0 milestones; got 1",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(optimizer(), 1)], []),
            "scheduler 0 belongs to another",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ReduceLROnPlateau(o)], []),
            "needs a measure at each step",
        ),
    ],
)
def test_bad_options(make: Callable[[Optimizer], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(optimizer())


@pytest.mark.parametrize("name", ["StepLR", "LambdaLR", "OneCycleLR", "ReduceLROnPlateau"])
def test_what_is_no_optimizer(name: str) -> None:
    options = {"StepLR": (1,), "LambdaLR": (slow,), "OneCycleLR": (1.0, 5), "ReduceLROnPlateau": ()}[name]
    with pytest.raises(TypeError, match="a scheduler needs an Optimizer; got list"):
        getattr(lr_scheduler, name)([], *options)


def test_bad_calls() -> None:
    with pytest.raises(KeyError, match="last_epoch is 3, but group 0 has no 'initial_lr' to go on from"):
        lr_scheduler.StepLR(optimizer(), 1, last_epoch=3)
    with pytest.raises(TypeError, match="pass the measure to watch"):
        lr_scheduler.ReduceLROnPlateau(optimizer()).step()
    scheduler = lr_scheduler.OneCycleLR(optimizer(), 1.0, 3)
    rates(scheduler, 3)
    with pytest.raises(ValueError, match="step 4 is past the end; total_steps is 3"):
        scheduler.step()
    with pytest.raises(NotImplementedError, match=r"LRScheduler does not define get_lr"):
        lr_scheduler.LRScheduler(optimizer())
    assert math.isclose(lr_scheduler.StepLR(optimizer(), 1).get_last_lr()[1], 0.2)
