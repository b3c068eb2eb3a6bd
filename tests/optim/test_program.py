"""Programs that run updates in place: results bit for bit as from `update`, and updates that have no program."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import optim
from lucid.optim.program import Program, Settings
from tests.optim.test_optim import CASES, IDS, gradient, make
from tests.tiers import thinned

every_option = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
START = np.random.default_rng(0).standard_normal((3, 4))


def steps(optimizer: optim.Optimizer, p: lucid.Tensor, count: int = 4, dtype: Any = None) -> list[np.ndarray]:
    """Returns the parameter and its state after each step."""
    found = []
    for step in range(count):
        g = gradient(p.detach().numpy().astype(np.float64), step)
        p.grad = lucid.tensor(g.astype(dtype or p.dtype))
        optimizer.step()
        state = optimizer.state[p]
        found += [
            np.array(p.detach().numpy()),
            *[np.array(v if isinstance(v, float) else v.numpy()) for v in state.values()],
        ]
    return found


def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optim.Optimizer, "_program", lambda *_: None)


def programs(optimizer: optim.Optimizer) -> list[Program | None]:
    return list(optimizer._programs.values())


# --- in place, bit for bit


@every_option
@pytest.mark.parametrize(
    ("dtype", "incoming"),
    thinned(
        [("float32", "float32"), ("float64", "float64"), ("float16", "float16"), ("float32", "float64")], 2, arguments=2
    ),
)
@pytest.mark.parametrize("layout", thinned(["C", "F"], 2))
def test_it_is_bit_for_bit_the_update_that_is_called(
    name: str, options: dict[str, Any], dtype: str, incoming: str, layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parameter() -> lucid.Tensor:
        return lucid.from_numpy(np.array(START, dtype, order=layout)).requires_grad_()

    p = parameter()
    optimizer = make(name, [p], **options)
    found = steps(optimizer, p, dtype=incoming)
    assert all(isinstance(program, Program) for program in programs(optimizer))
    as_it_is(monkeypatch)
    p = parameter()
    expected = steps(make(name, [p], **options), p, dtype=incoming)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("size", [0, 1, 3, 70_001, 300_001])
def test_any_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = np.random.default_rng(2).standard_normal(size).astype(np.float32)

    def ends() -> list[np.ndarray]:
        params = [lucid.tensor(start, requires_grad=True), lucid.tensor(start[:1].sum(), requires_grad=True)]
        optimizer = optim.Adam(params, lr=0.1)
        for step in range(3):
            for p in params:
                p.grad = lucid.tensor(np.sin(p.detach().numpy() + step))
            optimizer.step()
        return [p.detach().numpy().copy() for p in params]

    found = ends()
    as_it_is(monkeypatch)
    for a, b in zip(found, ends(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, 1e-45])
def test_what_is_no_number_goes_where_it_goes_otherwise(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends() -> np.ndarray:
        p = lucid.zeros(3, requires_grad=True)
        optimizer = optim.Adam([p], lr=0.1, amsgrad=True)
        for value in (1.0, bad, 1.0):
            p.grad = lucid.tensor([value, 1.0, 0.0])
            optimizer.step()
        return p.detach().numpy().copy()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ends()
    as_it_is(monkeypatch)
    np.testing.assert_array_equal(found, ends())


def test_a_gradient_may_be_the_parameter_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends() -> np.ndarray:
        p = lucid.tensor(START, requires_grad=True)
        optimizer = optim.AdamW([p], lr=0.1)
        for _ in range(3):
            p.grad = p.detach()
            optimizer.step()
        return p.detach().numpy().copy()

    found = ends()
    as_it_is(monkeypatch)
    np.testing.assert_array_equal(found, ends())


def test_no_array_of_a_parameters_size_is_made() -> None:
    p = lucid.ones(1000, 1000, requires_grad=True)
    p.grad = lucid.ones(1000, 1000)
    optimizer = optim.Adam([p])
    optimizer.step()
    tracemalloc.start()
    try:
        optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000


# --- one program for many steps


def test_options_that_are_numbers_may_change_from_step_to_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(optimizer: optim.Optimizer, p: lucid.Tensor) -> np.ndarray:
        for step in range(4):
            (group,) = optimizer.param_groups
            group.update(lr=0.1 / (step + 1), betas=(0.9 - 0.1 * step, 0.99), eps=1e-3 * (step + 1), weight_decay=1)
            steps(optimizer, p, 1)
        return p.detach().numpy().copy()

    p = lucid.tensor(START, requires_grad=True)
    optimizer = optim.Adam([p])
    found = ends(optimizer, p)
    assert len(programs(optimizer)) == 1
    as_it_is(monkeypatch)
    p = lucid.tensor(START, requires_grad=True)
    np.testing.assert_array_equal(found, ends(optim.Adam([p]), p))


def test_an_option_that_becomes_zero_is_another_program() -> None:
    p = lucid.tensor(START, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, weight_decay=0.1)
    steps(optimizer, p, 1)
    optimizer.param_groups[0]["weight_decay"] = 0
    before = p.detach().numpy().copy()
    p.grad = lucid.zeros(3, 4)
    optimizer.step()
    np.testing.assert_array_equal(p.detach().numpy(), before)
    assert len(programs(optimizer)) == 2


def test_a_rate_of_zero_changes_the_state_alone() -> None:
    p = lucid.tensor(START, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.0)
    steps(optimizer, p, 2)
    np.testing.assert_array_equal(p.detach().numpy(), START)
    assert optimizer.state[p]["step"] == 2
    assert np.abs(optimizer.state[p]["exp_avg"].numpy()).max() > 0


def test_groups_of_one_kind_share_a_program() -> None:
    params = [lucid.tensor(START, requires_grad=True) for _ in range(3)]
    optimizer = optim.SGD([{"params": [p], "lr": 10.0**-i} for i, p in enumerate(params)])
    for p in params:
        p.grad = lucid.ones(3, 4)
    optimizer.step()
    assert len(programs(optimizer)) == 1
    for i, p in enumerate(params):
        np.testing.assert_allclose(p.detach().numpy(), START - 10.0**-i, atol=1e-6)


def test_settings_tell_numbers_from_the_rest() -> None:
    settings = Settings({"lr": 0.5, "betas": (0.9, 0.0), "flag": True, "count": 3, "zero": 0, "kind": float})
    assert settings.numbers == [0.5, 0.9, 3]
    other = Settings({"lr": 7, "betas": (0.1, 0.0), "flag": True, "count": 2, "zero": 0, "kind": float})
    assert settings.fixed == other.fixed
    assert settings.fixed != Settings({**other.options, "flag": False}).fixed
    assert settings.fixed != Settings({**other.options, "betas": (0.0, 0.1)}).fixed


# --- updates without a program

Update = Callable[..., Any]


def kind(update: Update, **slots: float) -> type[optim.Optimizer]:
    namespace = {"update": staticmethod(update), "slots": staticmethod(lambda _: slots)}
    return type("Own", (optim.Optimizer,), namespace)


def one_step(update: Update, slots: dict[str, float], **options: Any) -> tuple[optim.Optimizer, lucid.Tensor]:
    p = lucid.tensor([1.0, -2.0, 3.0], requires_grad=True)
    p.grad = lucid.tensor([1.0, 1.0, -1.0])
    optimizer = kind(update, **slots)([p], {"lr": 0.5, **options})
    optimizer.step()
    return optimizer, p


def by_element(p: Any, g: Any, state: Any, lr: float) -> Any:
    return np.where(p > 0, p - lr * g, p), {}


def by_number(p: Any, g: Any, state: Any, lr: float) -> Any:
    return (p - lr * g if lr > 0.1 else p), {}


def by_step(p: Any, g: Any, state: Any, lr: float) -> Any:
    return (p if state["step"] else p - lr * g), {"step": state["step"] + 1}


def in_place(p: Any, g: Any, state: Any, lr: float) -> Any:
    p = p.copy()
    p -= lr * g
    return p, {}


def of_float64(p: Any, g: Any, state: Any, lr: float) -> Any:
    return p - np.float64(lr) * g, {}


def of_an_array(p: Any, g: Any, state: Any, lr: float) -> Any:
    return p - np.array([lr, lr, lr], p.dtype) * g, {}


def of_the_size(p: Any, g: Any, state: Any, lr: float) -> Any:
    return p - lr * g * (p.size / 3), {}


@pytest.mark.parametrize(
    ("update", "slots", "expected"),
    [
        (by_element, {}, [0.5, -2.0, 3.5]),
        (by_number, {}, [0.5, -2.5, 3.5]),
        (by_step, {"step": 0.0}, [0.5, -2.5, 3.5]),
        (in_place, {}, [0.5, -2.5, 3.5]),
        (of_float64, {}, [0.5, -2.5, 3.5]),
        (of_an_array, {}, [0.5, -2.5, 3.5]),
        (of_the_size, {}, [0.5, -2.5, 3.5]),
    ],
)
def test_what_cannot_be_noted_down_is_called(update: Update, slots: dict[str, float], expected: list[float]) -> None:
    optimizer, p = one_step(update, slots)
    assert p.detach().tolist() == expected
    assert programs(optimizer) == [None]


def test_a_method_may_read_what_changes() -> None:
    class Own(optim.Optimizer):
        scale = 1.0

        def update(self, p: Any, g: Any, state: Any, *, lr: float) -> Any:  # type: ignore[override]
            return p - lr * self.scale * g, {}

    p = lucid.zeros(1, requires_grad=True)
    p.grad = lucid.ones(1)
    optimizer = Own([p], {"lr": 1.0})
    for scale, expected in ((1.0, -1.0), (2.0, -3.0)):
        optimizer.scale = scale
        optimizer.step()
        assert p.detach().tolist() == [expected]


def test_options_that_cannot_be_looked_up() -> None:
    optimizer, p = one_step(lambda p, g, state, lr, rates: (p - lr * rates[0] * g, {}), {}, rates=[1.0, 2.0])
    assert p.detach().tolist() == [0.5, -2.5, 3.5]
    assert programs(optimizer) == []


def test_arrays_that_are_exchanged_handed_on_or_filled() -> None:
    def update(p: Any, g: Any, state: Any, lr: float) -> Any:
        return p - lr * g, {"new": state["old"] * 1, "old": state["new"], "last": g, "five": 5.0}

    slots = {"new": 1.0, "old": 2.0, "last": 0.0, "five": 0.0}
    optimizer, p = one_step(update, slots)
    assert p.detach().tolist() == [0.5, -2.5, 3.5]
    state = {name: value.tolist() for name, value in optimizer.state[p].items()}
    assert state == {"new": [2.0] * 3, "old": [1.0] * 3, "last": [1.0, 1.0, -1.0], "five": [5.0] * 3}


def test_what_is_read_after_it_was_computed_anew() -> None:
    """The parameter and each array of the state are read again after their new values are computed."""

    def update(p: Any, g: Any, state: Any, lr: float) -> Any:
        a, b = state["a"] + g, state["b"] + state["a"]
        updated = p - lr * g
        return updated, {"a": a, "b": b, "moved": updated - p, "same": b, "kept": state["kept"]}

    optimizer, p = one_step(update, {"a": 1.0, "b": 2.0, "moved": 0.0, "same": 0.0, "kept": 4.0})
    assert isinstance(programs(optimizer)[0], Program)
    assert p.detach().tolist() == [0.5, -2.5, 3.5]
    state = {name: value.tolist() for name, value in optimizer.state[p].items()}
    assert state["a"] == [2.0, 2.0, 0.0]
    assert state["b"] == state["same"] == [3.0] * 3
    assert state["moved"] == [-0.5, -0.5, 0.5]
    assert state["kept"] == [4.0] * 3


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError])
def test_an_updates_own_error_comes_through_and_nothing_is_changed(error: type[Exception]) -> None:
    def update(p: Any, g: Any, state: Any, lr: float) -> Any:
        raise error("its own")

    p = lucid.ones(2, requires_grad=True)
    p.grad = lucid.ones(2)
    with pytest.raises(error, match="its own"):
        kind(update)([p], {"lr": 0.5}).step()
    assert p.detach().tolist() == [1.0, 1.0]


def test_an_error_of_arithmetic_with_numbers_changes_nothing() -> None:
    def update(p: Any, g: Any, state: Any, lr: float) -> Any:
        return p - lr / (state["step"] - 1) * g, {"step": state["step"] + 1}

    p = lucid.ones(2, requires_grad=True)
    p.grad = lucid.ones(2)
    optimizer = kind(update, step=0.0)([p], {"lr": 0.5})
    optimizer.step()
    assert p.detach().tolist() == [1.5, 1.5]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            optimizer.step()
        assert p.detach().tolist() == [1.5, 1.5]
        assert optimizer.state[p]["step"] == 1
