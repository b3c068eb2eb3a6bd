"""Every layer, row by row: values, first- and second-order gradients, export, modes, state."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import gradcheck, gradgradcheck
from lucid.tracer.tree import flatten, unflatten
from tests.nn.cases import BASES, CASES
from tests.tiers import thinned

each_layer = pytest.mark.parametrize("case", thinned(CASES, 2), ids=str)


def tensors(library, tree, dtype, requires_grad=False):
    """Returns the inputs of a case as tensors, nested in the same way."""
    if isinstance(tree, tuple):
        return tuple(tensors(library, part, dtype, requires_grad) for part in tree)
    if tree.dtype.kind != "f":
        return library.tensor(tree)
    return library.tensor(tree.astype(dtype), requires_grad=requires_grad)


def leaves(tree):
    return flatten(tree, lambda x: not isinstance(x, (tuple, list, dict)) and hasattr(x, "shape"))[0]


def has_gradient(tensor):
    return tensor.requires_grad


@each_layer
@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_value_and_gradients_like_pytorch(case, dtype, tolerance, torch):
    ours, theirs = case.make(dtype).eval(), case.make_torch(torch).to(getattr(torch, dtype)).eval()
    theirs.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
    results = []
    for library, model in ((lucid, ours), (torch, theirs)):
        inputs = tensors(library, case.inputs, dtype, requires_grad=True)
        outputs = leaves(model(*inputs))
        loss = sum((y * y).sum() * (i + 1) for i, y in enumerate(outputs))
        loss.backward()
        wanted = [*filter(has_gradient, leaves(inputs)), *model.parameters()]
        results.append([*(y.detach().numpy() for y in outputs), *(x.grad.numpy() for x in wanted)])
    for a, b in zip(*results, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def functional(case):
    """Returns the layer as a function of inputs and parameters, and these, in float64 and evaluation mode."""
    model = case.make("float64").eval()
    inputs = tensors(lucid, case.inputs, "float64", requires_grad=True)
    flat, structure = flatten(inputs, lambda x: isinstance(x, lucid.Tensor))
    names = [name for name, _ in model.named_parameters()]

    def forward(*everything):
        given, parameters = everything[: len(flat)], everything[len(flat) :]
        for name, p in zip(names, parameters, strict=True):
            path, _, own = name.rpartition(".")
            dict(model.named_modules())[path]._parameters[own] = p
        return tuple(leaves(model(*unflatten(structure, iter(given)))))

    return forward, [*flat, *(lucid.tensor(p._data, requires_grad=True) for p in model.parameters())]


@pytest.mark.parametrize("case", thinned(CASES, 3, sample=2), ids=str)
def test_gradients(case):
    forward, inputs = functional(case)
    assert gradcheck(forward, inputs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("case", thinned(CASES, 20, sample=5), ids=str)
def test_second_order_gradients(case):
    forward, inputs = functional(case)
    assert gradgradcheck(lambda *x: tuple(y * y for y in forward(*x)), inputs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", thinned(CASES, 2, sample=3), ids=str)
@pytest.mark.parametrize("dtype", thinned(["float32", "float64"], 2))
def test_export(case, dtype):
    """to_onnx itself compares with onnxruntime, at the example's sizes and at others."""
    model = case.make(dtype)
    inputs = tensors(lucid, case.inputs, dtype)
    exported = lucid.export.to_onnx(model, *inputs)
    if case.axes:
        assert set(case.axes) <= set(exported.axes[exported.input_names[0]])
    assert model.training


@each_layer
def test_training_and_evaluation(case):
    model = case.make("float32")
    inputs = tensors(lucid, case.inputs, "float32")
    model.eval()
    calm = [y.tolist() for y in leaves(model(*inputs))]
    assert [y.tolist() for y in leaves(model(*inputs))] == calm
    model.train()
    lively = [y.tolist() for y in leaves(model(*inputs))]
    assert (lively == calm) == case.deterministic


@each_layer
@pytest.mark.parametrize("how", thinned(["state dict", "deepcopy", "pickle"], 3))
def test_round_trips(case, how):
    model = case.make("float32").eval()
    if how == "state dict":
        twin = case.make("float32").eval()
        assert list(twin.state_dict()) == list(model.state_dict())
        twin.load_state_dict({name: t.numpy().copy() for name, t in model.state_dict().items()})
    else:
        twin = copy.deepcopy(model) if how == "deepcopy" else pickle.loads(pickle.dumps(model))
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert p is not q
        assert not np.shares_memory(p._data, q._data)
    inputs = tensors(lucid, case.inputs, "float32")
    for a, b in zip(leaves(model(*inputs)), leaves(twin(*inputs)), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert repr(twin) == repr(model)
    assert repr(model).startswith(f"{case.layer.__name__}(")


def test_every_layer_has_a_row():
    layers = {x for x in vars(nn).values() if inspect.isclass(x) and issubclass(x, nn.Module)}
    missing = layers - {layer for case in CASES for layer in case.layer.__mro__[:2]} - set(BASES)
    assert not missing, f"no row in tests/nn/cases.py: {', '.join(sorted(x.__name__ for x in missing))}"
    assert {x.__name__ for x in layers} <= set(nn.__all__)
