"""Files of other tools: they are imported, trained, and exported again; onnxruntime is the oracle throughout."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import lucid
from lucid import optim

from ..tiers import sampled, thinned
from .files import Array, as_tensors, compare, numbers, ort, results
from .torch_models import NAMES, Case, cases, normal, scripted, tokens

FOLDER = Path(__file__).parents[1] / "data" / "onnx"


def inputs_of(name: str, n: int, t: int) -> list[Array]:
    """Returns inputs for a file in the folder, with a number of sequences and of steps."""
    if name in ("lstm_clf", "gru_clf", "bilstm_clf"):
        return [tokens(n, t, seed=3)]
    if name == "attn_dynamo":
        return [tokens(2, 7, seed=n)]
    if name == "lm":
        return [tokens(t, n), normal(2, n, 16), normal(2, n, 16, seed=1)]
    if name == "stream":
        return [normal(t, n, 6), normal(2, n, 8), normal(2, n, 8, seed=1)]
    if name.startswith("keras_masked"):
        x = normal(n, t, 4, seed=n)
        x[0, t // 2 :] = 0  # the layer skips steps of zeros
        return [x]
    shapes = {"conv_gru": (n, 4, t), "cells": (4, n, 3), "forecast": (n, t, 1)}
    return [normal(*shapes.get(name, (n, t, 4)), seed=n)]


FILES = sorted(path.stem for path in FOLDER.glob("*.onnx"))
SIZES = ((2, 7), (1, 5), (5, 12))
UNSEEN = ((3, 9), (7, 4))

FREED = {"stream": {"h": {1: "B"}, "c": {1: "B"}}}
"""Axes that files fix: this one's state has two sequences, so its input could have no other number."""


def loss_of(model: Any, inputs: list[Array]) -> lucid.Tensor:
    """Returns the squared distance of a model's first output to numbers made up."""
    found = model(*as_tensors(inputs))
    y = found[0] if isinstance(found, tuple) else found
    return ((y - lucid.tensor(numbers(*y.shape, seed=9, dtype=str(y.dtype)))) ** 2).mean()


def train(model: Any, inputs: list[Array]) -> None:
    """Fails unless five steps of Adam lower a loss, and reach every parameter."""
    model.train()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = loss_of(model, inputs)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


def free_axes(model: onnx.ModelProto) -> set[tuple[str, int]]:
    """Returns the axes of inputs that are free."""
    held = {tensor.name for tensor in model.graph.initializer}
    return {
        (value.name, axis)
        for value in model.graph.input
        if value.name not in held
        for axis, size in enumerate(value.type.tensor_type.shape.dim)
        if not size.HasField("dim_value")
    }


def export_again(model: Any, inputs: list[Array], lowering: Any, source: onnx.ModelProto) -> onnx.ModelProto:
    """Exports an imported model; fails unless at least the axes of the file are free."""
    model.eval()
    again = lucid.export.to_onnx(model, *as_tensors(inputs), lowering=lowering).proto
    assert free_axes(again) >= free_axes(source)
    return again


def same(again: onnx.ModelProto, model: Any, inputs: list[Array]) -> None:
    """Compares an export in onnxruntime with the module."""
    for found, want in zip(ort(again, *inputs), results(model, inputs), strict=True):
        np.testing.assert_allclose(found, want, 1e-4, 1e-4)


@pytest.mark.parametrize("name", FILES)
def test_a_file_computes_what_onnxruntime_does(name: str) -> None:
    path = FOLDER / f"{name}.onnx"
    model = lucid.from_onnx(path)
    assert any(parameter.ndim > 1 for parameter in model.parameters())
    for n, t in SIZES:
        compare(model, str(path), *inputs_of(name, 2 if name in FREED else n, t), tolerance=1e-4)


@pytest.mark.parametrize("lowering", ["auto", "scan"])
@pytest.mark.parametrize("name", thinned(FILES, 6))
def test_a_file_is_trained_and_exported_again(name: str, lowering: Any) -> None:
    model = lucid.from_onnx(FOLDER / f"{name}.onnx", dynamic=FREED.get(name))
    train(model, inputs_of(name, *SIZES[0]))
    again = export_again(model, inputs_of(name, *SIZES[0]), lowering, onnx.load(FOLDER / f"{name}.onnx"))
    for n, t in UNSEEN:
        same(again, model, inputs_of(name, n, t))


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(["keras_gru", "lstm_clf", "conv_gru", "attn_dynamo"], 4))
def test_a_file_is_compiled(name: str) -> None:
    model = lucid.from_onnx(FOLDER / f"{name}.onnx").eval()
    compiled = lucid.compile(model)
    for n, t in (*SIZES, *UNSEEN):
        inputs = as_tensors(inputs_of(name, n, t))
        with lucid.no_grad():
            np.testing.assert_allclose(compiled(*inputs).numpy(), model(*inputs).numpy(), 1e-4, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(["gru_clf", "forecast", "keras_lstm"], 3))
def test_a_training_step_of_a_file(name: str) -> None:
    """One step of the exported graph, and of a compiled step, gives the weights of an eager one."""
    models = [lucid.from_onnx(FOLDER / f"{name}.onnx").train() for _ in range(3)]
    optimizers = [optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in models]
    inputs = inputs_of(name, 3, 6)
    target = numbers(*models[0](*as_tensors(inputs)).shape, seed=9)

    def loss(model: Any, x: Any, y: Any) -> Any:
        return ((model(x) - y) ** 2).mean()

    eager = loss(models[0], *as_tensors([*inputs, target]))
    eager.backward()
    optimizers[0].step()

    step = lucid.export.training_step(models[1], loss, optimizers[1], *as_tensors([*inputs, target]))
    state, value, _ = step(step.start, *as_tensors([*inputs, target]))
    np.testing.assert_allclose(value, eager.item(), 1e-5)

    compiled = lucid.compile(models[2], loss=loss, optimizer=optimizers[2])
    np.testing.assert_allclose(float(compiled(*as_tensors([*inputs, target]))), eager.item(), 1e-5)
    for key, parameter in models[0].named_parameters():
        want = parameter.numpy(force=True)
        np.testing.assert_allclose(state[key], want, 1e-4, 1e-5, err_msg=key)
        np.testing.assert_allclose(models[2].state_dict()[key].numpy(), want, 1e-4, 1e-5, err_msg=key)


# --- files of PyTorch's two exporters

UNKNOWN_TO_DYNAMO = ("packed", "convolutional", "translation")
"""Its newer exporter refuses the first two; onnxruntime refuses what it makes of the third at other sizes."""

FIXED_BY_DYNAMO = ("rnn", "bidirectional", "pooled", "tied")
"""Its newer exporter fixes the number of steps of these, the last not always."""


def exported_by_torch(torch: Any, model: Any, case: Case, dynamo: bool, axes: Any, path: Path) -> None:
    inputs = tuple(torch.from_numpy(x) for x in case.inputs(3, 6))
    options: dict[str, Any] = {"dynamic_axes": dict(zip(case.names, axes, strict=True))}
    if dynamo:
        options = {"dynamic_shapes": tuple([dict.fromkeys(names, torch.export.Dim.DYNAMIC) for names in axes])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, inputs, path, input_names=[*case.names], dynamo=dynamo, verbose=False, **options)


FILES_OF_PYTORCH = [(name, False) for name in NAMES] + [(name, True) for name in NAMES if name not in UNKNOWN_TO_DYNAMO]


@pytest.mark.parametrize(("name", "dynamo"), thinned(FILES_OF_PYTORCH, 29, 2, sample=4))
def test_a_file_of_pytorch(name: str, dynamo: bool, tmp_path: Path, torch: Any) -> None:
    """The oracle is the module, since onnxruntime has no GRU of float64; for all others also onnxruntime."""
    if dynamo:
        pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    path, case = tmp_path / "model.onnx", cases(torch)[name]
    theirs = case.make().eval()
    fixed = dynamo and name in FIXED_BY_DYNAMO
    axes = [{axis: label for axis, label in labels.items() if label == "N" or not fixed} for labels in case.axes]
    exported_by_torch(torch, theirs, case, dynamo, axes, path)
    model = lucid.from_onnx(path)
    sizes = [(n, 6 if fixed else t) for n, t in (*SIZES, *UNSEEN)]
    for size in sizes[:3]:
        inputs = case.inputs(*size)
        if name != "double":
            compare(model, str(path), *inputs, tolerance=1e-4)
        with torch.no_grad():
            wanted = theirs(*map(torch.from_numpy, inputs))
        for found, want in zip(results(model, inputs), wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            np.testing.assert_allclose(found, want.numpy(), 1e-4, 1e-4)
    if name != "convolutional":  # whose batch norm is part of the convolution before it
        counts = [sum(p.numel() for p in each.parameters()) for each in (model, theirs)]
        assert counts[0] >= counts[1]
    train(model, case.inputs(*sizes[0]))
    # "auto" unrolls a layer with relu, and so fixes its number of steps.
    for lowering in ("rnn" if name == "pooled" else "auto", "scan"):
        again = export_again(model, case.inputs(*sizes[0]), lowering, onnx.load(path))
        for size in sizes[3:]:
            same(again, model, case.inputs(*size))


@pytest.mark.parametrize("name", thinned(["stacked", "joined", "every second"], 3))
def test_a_loop_of_pytorch_script(name: str, tmp_path: Path, torch: Any) -> None:
    """A scripted module keeps its loop, whose number of trips is a size; its list becomes what the Loop collects."""
    path = tmp_path / "model.onnx"
    x, h = torch.randn(4, 2, 3), torch.randn(2, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.script(scripted(torch)[name]().eval())
        axes = {"x": {0: "T", 1: "N"}, "h": {0: "N"}}
        torch.onnx.export(model, (x, h), path, dynamo=False, input_names=["x", "h"], dynamic_axes=axes)
    imported = lucid.from_onnx(path)
    for t, n in ((4, 2), (1, 3), (7, 1)):
        compare(imported, str(path), numbers(t, n, 3), numbers(n, 5))
    inputs = [numbers(4, 2, 3), numbers(2, 5)]
    train(imported, inputs)
    again = export_again(imported, inputs, "auto", onnx.load(path))
    for t, n in ((5, 4), (9, 1)):
        same(again, imported, [numbers(t, n, 3), numbers(n, 5)])
