"""Free axes: what is fixed rather than refused, and how many runs the search takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.export import to_onnx
from lucid.proof.axes import prove
from lucid.proof.example import Example
from lucid.proof.runs import Runs
from lucid.runtime import Session


def squeezed(x: Any) -> Any:
    return x.squeeze()


def reshaped(x: Any) -> Any:
    return x.reshape(5, -1)


def merged(x: Any, y: Any) -> Any:
    return (x.reshape(-1) + y.reshape(-1)).sum()


@pytest.mark.parametrize(
    ("function", "shapes", "free", "fixed"),
    [
        (squeezed, [(5, 1, 3)], set(), {0: "compares it with 1", 2: "compares it with 1"}),
        (reshaped, [(5, 2, 3)], {0, 1, 2}, {}),
        (merged, [(3, 4), (3, 4)], {0, 1}, {}),
    ],
)
def test_auto_fixes_an_axis_with_a_reason(function: Any, shapes: Any, free: set[int], fixed: dict[int, str]) -> None:
    exported = to_onnx(function, *[lucid.randn(*shape) for shape in shapes])
    assert set(exported.axes.get("x", {})) == free
    for axis, why in fixed.items():
        assert why in exported.fixed["x"][axis]


def training_step(count: int, momentum: bool) -> tuple[Any, list[lucid.Tensor]]:
    """Returns a step of that many layers as a function of a batch and the optimizer's states, and those states."""
    net = nn.Sequential(*[nn.Linear(4, 4, bias=False) for _ in range(count)])
    parameters = list(net.parameters())

    def step(x: Any, y: Any, *states: Any) -> Any:
        loss = nn.functional.mse_loss(net(x), y)
        gradients = lucid.grad(loss, parameters)
        new = [0.9 * m + g if momentum else 0.99 * m + g * g for m, g in zip(states, gradients, strict=True)]
        return loss, *new, *[p - 0.1 * m for p, m in zip(parameters, new, strict=True)]

    return step, [lucid.zeros(4, 4) for _ in parameters]


@pytest.mark.parametrize("batch", [6, 4])
@pytest.mark.parametrize("momentum", [True, False])
def test_the_states_of_an_optimizer_take_no_runs(monkeypatch: pytest.MonkeyPatch, batch: int, momentum: bool) -> None:
    """They meet parameters, so no run tries their axes, though the batch may have the same size."""
    counts = []
    run = Runs.run_on
    monkeypatch.setattr(Runs, "run_on", lambda self, *args, **kwargs: counts.append(1) or run(self, *args, **kwargs))
    runs = {}
    for count in (2, 16):
        step, states = training_step(count, momentum)
        counts.clear()
        proof = prove(step, Example(step, (lucid.randn(batch, 4), lucid.randn(batch, 4), *states), {}), "auto")
        runs[count] = len(counts)
        assert set(proof.axes) == {("x", 0), ("y", 0)}
        assert len(set(proof.axes.values())) == 1
        assert sum("parameter of the same shape" in why for why in proof.fixed.values()) == 2 * count
    assert runs[2] == runs[16]


def test_a_batch_of_two_beside_a_size_of_one() -> None:
    def added(x: Any, p: Any) -> Any:
        return x + p

    exported = to_onnx(added, lucid.randn(2, 7, 4), lucid.randn(1, 7, 4))
    assert exported.axes["x"].keys() == {0, 1, 2}
    assert 0 not in exported.axes["p"]
    x, p = np.ones((5, 9, 4), np.float32), np.ones((1, 9, 4), np.float32)
    np.testing.assert_array_equal(Session(exported)(x, p)[0], x + p)
