"""An optimizer's update, exported: onnxruntime takes the same steps as `step`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import optim
from lucid.export import to_onnx
from lucid.optim.arithmetic import corrected, effective_length
from lucid.optim.option import Option

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "alpha": 0.9}),
    ("NAdam", {"weight_decay": 0.1}),
    ("RAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("Adamax", {}),
    ("Adagrad", {"lr_decay": 0.2, "initial_accumulator_value": 0.5}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{name}-{'-'.join(options)}" for name, options in CASES])
def test_ten_steps_in_onnxruntime(name: str, options: dict[str, Any]) -> None:
    ort = pytest.importorskip("onnxruntime")
    p = lucid.randn(3, 4, requires_grad=True)
    optimizer = getattr(optim, name)([p], **options)
    settings = optimizer.options(optimizer.param_groups[0])
    state = optimizer.prepare(p, settings)
    inputs = {"p": p.detach().numpy().copy(), "g": np.zeros((3, 4), np.float32)}
    inputs.update((key, np.float64(v) if isinstance(v, float) else v.numpy().copy()) for key, v in state.items())
    inputs["lr"] = np.float64(0)
    # The step count and the learning rate are inputs, so one file serves a whole training run and its schedule.
    inputs = {key: np.asarray(value) for key, value in inputs.items()}
    names = [*state]
    settings.pop("lr")

    def update(p: Any, g: Any, lr: Any, *state: Any) -> Any:
        updated, new = optimizer.update(p, g, dict(zip(names, state, strict=True)), lr=lr, **settings)
        return (updated, *(new[key] for key in names))

    example = [lucid.tensor(inputs[key]) for key in ("p", "g", "lr", *names)]
    exported = to_onnx(
        update,
        *example,
        input_names=["p", "g", "lr", *names],
        output_names=["new_p", *(f"new_{key}" for key in names)],
        verify=False,  # compared here, step by step
    )
    session = ort.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    for step in range(10):
        g = np.random.default_rng(step).standard_normal((3, 4)).astype(np.float32)
        lr = 0.05 / (1 + step)
        inputs.update(g=g, lr=np.asarray(lr))
        results = session.run(None, inputs)
        inputs.update(zip(["p", *names], results, strict=True))
        optimizer.param_groups[0]["lr"] = lr
        p.grad = lucid.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(inputs["p"], p.detach().numpy(), rtol=1e-6, atol=1e-7)
        for key, value in state.items():
            np.testing.assert_allclose(
                inputs[key], value if isinstance(value, float) else value.numpy(), rtol=1e-6, atol=1e-7
            )


@pytest.mark.parametrize("beta", [0.9, 0.99, 0.999, 0.9999])
def test_numbers_of_steps_keep_their_digits_in_float32(beta: float) -> None:
    steps = np.unique(np.geomspace(1, 50_000, 2000).astype(int)).astype(np.float64)
    exact = -np.expm1(steps * np.log(beta))
    # The difference of nearly equal numbers loses digits in float64, too, but not as many.
    lengths = 2 / (1 - beta) - 1 - 2 * steps * beta**steps / exact
    narrow = lucid.tensor(steps.astype(np.float32))
    for given in (beta, Option(lucid.tensor(np.float32(beta)), beta)):
        found = corrected(given, narrow)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.numpy(), exact, rtol=3.5e-7)
        np.testing.assert_allclose(effective_length(given, narrow).numpy(), lengths, rtol=1e-6)


def test_an_option_that_changed_is_computed_with() -> None:
    changed = Option(lucid.tensor(0.95), 0.9)
    assert (1 - changed).item() == pytest.approx(0.05, rel=1e-5)
    assert changed.log().item() == pytest.approx(np.log(0.95), rel=1e-5)
    steps = lucid.tensor([1.0, 2.0, 3.0])
    np.testing.assert_allclose(corrected(changed, steps).numpy(), 1 - 0.95 ** np.arange(1.0, 4.0), rtol=1e-5)
    np.testing.assert_array_equal(corrected(0, steps).numpy(), np.ones(3))
