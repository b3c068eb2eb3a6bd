"""An optimizer's update, exported: onnxruntime takes the same steps as `step`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import optim
from lucid.export import to_onnx

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
