"""Hooks of modules: what they see, what they may change, and that graphs and exports have it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import GradientError
from lucid.export import to_onnx
from lucid.runtime import Session


class Pair(nn.Module):
    """Two inputs and two outputs."""

    def forward(self, x, y, scale=1.0):
        return x * y * scale, x + y


def double(module, args):
    return tuple(x * 2 for x in args)


def test_forward_hooks_see_and_change_calls_in_order():
    layer, seen = Pair(), []
    layer.register_forward_pre_hook(lambda module, args: seen.append(("before", module is layer, len(args))))
    layer.register_forward_pre_hook(double, prepend=True)
    layer.register_forward_hook(lambda module, args, output: seen.append(("after", args[0].item(), output[1].item())))
    layer.register_forward_hook(lambda module, args, output: output[0])
    layer.register_forward_hook(lambda module, args, output: (output[0], output[1] + 1), prepend=True)
    product = layer(lucid.tensor(2.0), lucid.tensor(3.0), scale=10.0)
    assert seen == [("before", True, 2), ("after", 4, 11)]
    assert product.item() == 240


def test_a_single_value_replaces_all_arguments():
    layer = nn.Identity()
    layer.register_forward_pre_hook(lambda module, args: args[0] + 1)
    assert layer(lucid.tensor(1.0)).item() == 2


def test_hooks_with_kwargs():
    layer, seen = Pair(), []

    def before(module, args, kwargs):
        return args, {**kwargs, "scale": kwargs["scale"] + 1}

    layer.register_forward_pre_hook(before, with_kwargs=True)
    layer.register_forward_hook(lambda module, args, kwargs, output: seen.append(kwargs), with_kwargs=True)
    assert layer(lucid.tensor(2.0), lucid.tensor(3.0), scale=1.0)[0].item() == 12
    assert seen == [{"scale": 2.0}]
    layer.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True, prepend=True)
    with pytest.raises(RuntimeError, match=r"returns None or \(args, kwargs\)"):
        layer(lucid.tensor(2.0), y=lucid.tensor(3.0))


def test_handles_remove_their_hook_alone():
    layer = nn.Identity()
    first = layer.register_forward_pre_hook(double)
    with layer.register_forward_hook(lambda module, args, output: output + 1):
        assert layer(lucid.tensor(1.0)).item() == 3
    assert layer(lucid.tensor(1.0)).item() == 2
    first.remove()
    first.remove()
    assert layer(lucid.tensor(1.0)).item() == 1
    assert layer._hooks is None
    with pytest.raises(TypeError, match="a hook must be callable; got int"):
        layer.register_forward_hook(1)


def run_with_backward_hooks(library, create_graph=False):
    """Returns what hooks of two layers see, and the gradients; the same program for lucid and PyTorch."""
    seen = []

    def note(module, grad_input, grad_output):
        seen.append([None if g is None else g.tolist() for g in (*grad_input, *grad_output)])

    def scale(module, grad_input, grad_output):
        return tuple(None if g is None else g * 3 for g in grad_input)

    class Layer(library.nn.Module):
        def forward(self, x, y, n):
            return x * y, x.exp() * n

    first, second = Layer(), library.nn.Tanh()
    for layer in (first, second):
        layer.register_full_backward_hook(note)
        layer.register_full_backward_hook(scale, prepend=True)
    x = library.tensor([0.5, 1.0], requires_grad=True)
    y = library.tensor([2.0, -1.0], requires_grad=True)
    product, _ = first(x, y, 2)
    (second(product) * library.tensor([1.0, 4.0])).sum().backward()
    return seen, x.grad.tolist()


def test_backward_hooks_see_and_replace_gradients():
    seen, gradient = run_with_backward_hooks(lucid)
    slope = 1 - np.tanh([1.0, -1.0]) ** 2
    arrived = np.array([1.0, 4.0])
    inner = arrived * slope * 3
    np.testing.assert_allclose(seen[0], [inner, arrived], rtol=1e-6)
    outer = inner * np.array([2.0, -1.0]) * 3
    np.testing.assert_allclose([*seen[1][:2], seen[1][3]], [outer, inner * np.array([0.5, 1.0]) * 3, inner], rtol=1e-6)
    # A number, and a result that is not used.
    assert seen[1][2] is seen[1][4] is None
    np.testing.assert_allclose(gradient, outer, rtol=1e-6)


def test_backward_hooks_like_pytorch(torch):
    ours, theirs = run_with_backward_hooks(lucid), run_with_backward_hooks(torch)
    for a, b in zip([*ours[0], ours[1]], [*theirs[0], theirs[1]], strict=True):
        assert [x is None for x in a] == [x is None for x in b]
        np.testing.assert_allclose(
            [x for x in a if x is not None], [x for x in b if x is not None], rtol=1e-6, atol=1e-7
        )


def test_without_inputs_that_require_gradients_the_outputs_count():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda module, inputs, outputs: seen.append((inputs, outputs[0].tolist())))
    layer(lucid.ones(3, 2)).sum().backward()
    assert seen == [((None,), [[1], [1], [1]])]
    with lucid.no_grad():
        layer(lucid.ones(3, 2))
    layer.register_full_backward_hook(lambda module, inputs, outputs: (lucid.ones(3, 2),))
    with pytest.raises(GradientError, match="returns None where no input"):
        layer(lucid.ones(3, 2)).sum().backward()


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda g: g, r"a tuple of 1 gradients; got Tensor"),
        (lambda g: (g, g), r"a tuple of 1 gradients; got 2 parts"),
        (lambda g: (g.sum(),), r"must keep shape and dtype, float32\[2\]; it returned float32\[\]"),
    ],
)
def test_what_a_backward_hook_must_not_return(result, message):
    layer = nn.Tanh()
    layer.register_full_backward_hook(lambda module, inputs, outputs: result(inputs[0]))
    with pytest.raises(GradientError, match=message):
        layer(lucid.ones(2, requires_grad=True)).sum().backward()


def test_a_result_without_gradients_to_hook_is_warned_of():
    class Named(nn.Module):
        def forward(self, x):
            return {"y": x}

    layer = Named()
    layer.register_full_backward_hook(lambda *_: None)
    with pytest.warns(UserWarning, match="Named: backward hooks are called for .* got dict"):
        layer(lucid.ones(2, requires_grad=True))


def test_second_order_gradients_pass_through_hooks():
    layer = nn.Tanh()
    handle = layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * 2,))
    x = lucid.tensor([0.3, -0.7], dtype="float64", requires_grad=True)
    (slope,) = lucid.grad(layer(x).sum(), [x], create_graph=True)
    t = np.tanh(x.detach().numpy())
    np.testing.assert_allclose(slope.detach().numpy(), 2 * (1 - t * t))
    handle.remove()
    (curve,) = lucid.grad(slope.sum(), [x])
    np.testing.assert_allclose(curve.numpy(), 2 * -2 * t * (1 - t * t))


def test_copies_have_the_hooks():
    layer = nn.Identity()
    layer.register_forward_pre_hook(double)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin(lucid.tensor(1.0)).item() == 2
        layer.register_forward_pre_hook(double).remove()
        assert twin(lucid.tensor(1.0)).item() == 2


def test_what_hooks_change_is_exported():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))
    seen = []
    model[1].register_forward_hook(lambda module, args, output: output * 2)
    model[0].register_forward_pre_hook(double)
    model[2].register_forward_hook(lambda module, args, output: seen.append(output))
    model[0].register_full_backward_hook(lambda module, inputs, outputs: None)
    exported = to_onnx(model, lucid.randn(4, 3))
    assert seen == []
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    np.testing.assert_allclose(Session(exported)(x)[0], model(lucid.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_the_gradient_that_hooks_change_is_exported():
    layer = nn.Linear(3, 2)
    layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * outputs[0].sum(),))

    def gradient(x):
        x = x.detach().requires_grad_()
        (g,) = lucid.grad(layer(x).square().sum(), [x])
        return g

    exported = to_onnx(gradient, lucid.randn(4, 3))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(Session(exported)(x)[0], gradient(lucid.tensor(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_compiled_modules_notice_hooks():
    layer = nn.Linear(3, 2).eval()
    compiled = lucid.compile(layer)
    x = lucid.randn(4, 3)
    before = compiled(x).numpy()
    handle = layer.register_forward_hook(lambda module, args, output: output + 1)
    np.testing.assert_allclose(compiled(x).numpy(), before + 1, rtol=1e-6)
    other = layer.register_forward_hook(lambda module, args, output: output * 2)
    np.testing.assert_allclose(compiled(x).numpy(), (before + 1) * 2, rtol=1e-6)
    handle.remove()
    other.remove()
    np.testing.assert_allclose(compiled(x).numpy(), before, rtol=1e-6)


def test_training_in_onnxruntime_has_what_backward_hooks_change():
    layer = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    layer[1].register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * 5,))
    x = lucid.randn(4, 3)
    layer(x).sum().backward()
    expected = layer[0].weight.grad.numpy().copy()
    layer.zero_grad()
    compiled = lucid.compile_backward(layer)
    compiled(x, gradient=lucid.ones(4, 3))
    np.testing.assert_allclose(layer[0].weight.grad.numpy(), expected, rtol=1e-5)
