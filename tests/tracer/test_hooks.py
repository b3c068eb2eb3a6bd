"""Hooks on gradients, and retain_grad for tensors that are not leaves, as in PyTorch."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import grad
from lucid.errors import GradientError


def test_a_hook_sees_the_whole_gradient_once():
    x = lucid.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(("y", g.tolist())))
    x.register_hook(lambda g: seen.append(("x", g.tolist())))
    (y * y + y).sum().backward()
    assert seen == [("y", [7, 13]), ("x", [21, 39])]
    assert x.grad.tolist() == [21, 39]


def test_hooks_replace_in_the_order_they_were_registered():
    x = lucid.tensor([1.0], requires_grad=True)
    y = x * 1
    for target in (x, y):
        target.register_hook(lambda g: g + 1)
        target.register_hook(lambda g: g * 10)
    y.backward()
    assert x.grad.tolist() == [210]


def test_a_leaf_hook_sees_each_backward_and_not_the_sum():
    x = lucid.tensor([1.0], requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 2 + x * 3).backward()
    (x * 4).backward()
    assert seen == [5, 4]
    assert x.grad.item() == 9


def test_handles():
    x = lucid.tensor([1.0], requires_grad=True)
    handle = x.register_hook(lambda g: g * 10)
    (x * 1).backward()
    handle.remove()
    handle.remove()
    (x * 1).backward()
    assert x.grad.item() == 11
    with x.register_hook(lambda g: g * 0):
        (x * 1).backward()
    (x * 1).backward()
    assert x.grad.item() == 12
    y = x * 2
    handle = y.register_hook(print)
    del y
    handle.remove()


def test_a_hook_may_remove_itself():
    x = lucid.tensor([1.0], requires_grad=True)
    calls = []

    def once(g):
        calls.append(g.item())
        handle.remove()

    handle = x.register_hook(once)
    x.register_hook(lambda g: calls.append(-g.item()))
    for _ in range(2):
        (x * 1).backward()
    assert calls == [1, -1, -1]


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda g: g._data, TypeError, "returns a Tensor or None; got ndarray"),
        (lambda g: 2.0, TypeError, "got float"),
        (lambda g: g[:1], GradientError, r"float32\[2\].*returned float32\[1\]"),
        (lambda g: g.double(), GradientError, r"returned float64\[2\]"),
    ],
)
def test_what_a_hook_may_return(result, error, message):
    x = lucid.ones(2, requires_grad=True)
    x.register_hook(result)
    with pytest.raises(error, match=message):
        x.sum().backward()
    assert x.grad is None


def test_only_where_there_are_gradients():
    for method in (lambda x: x.register_hook(print), lambda x: x.retain_grad()):
        with pytest.raises(GradientError, match="requires no gradient"):
            method(lucid.ones(2))


def test_one_output_of_several():
    x = lucid.tensor([1.0, 2.0, 3.0], requires_grad=True)
    first, second, third = x.split(1)
    first.register_hook(lambda g: g * 5)
    third.register_hook(lambda g: pytest.fail("no gradient comes here"))
    second.retain_grad()
    (first * 2 + second * 3).backward()
    assert x.grad.tolist() == [10, 3, 0]
    assert second.grad.tolist() == [3]
    assert first.grad is None


def test_with_gradients_asked_for_by_name():
    x = lucid.tensor([1.0], requires_grad=True)
    w = lucid.tensor([1.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: g * 10)
    w.register_hook(lambda g: pytest.fail("its gradient was not asked for"))
    y.retain_grad()
    gx, gy = grad(y * 3 * w, [x, y])
    assert (gx.item(), gy.item()) == (80, 4)
    assert x.grad is None
    assert y.grad is None


def test_retain_grad():
    x = lucid.tensor([2.0], requires_grad=True)
    x.retain_grad()
    assert not x.retains_grad
    y = x * 3
    assert not y.retains_grad
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    y.register_hook(lambda g: g * 2)
    z = (y * y).sum()
    z.backward(retain_graph=True)
    assert y.grad.tolist() == [24]
    z.backward()
    assert y.grad.tolist() == [48]
    y.grad.numpy()[:] = 0
    assert x.grad.tolist() == [144]


def test_second_order_through_a_hook():
    x = lucid.tensor([3.0], requires_grad=True)
    x.register_hook(lambda g: g * g)
    (x * x).backward(create_graph=True)
    first, x.grad = x.grad, None
    assert first.item() == 36
    first.backward()
    # The derivative of 4x² is 8x = 24, and the hook squares it.
    assert x.grad.item() == 24**2


def test_hooks_are_traced():
    from lucid.tracer import trace

    w = lucid.tensor([1.0, 2.0], requires_grad=True)
    w.register_hook(lambda g: g.exp())

    def step(x):
        w.grad = None
        (w * x).sum().backward()
        return w.grad

    graph = trace(step, lucid.ones(2))
    w.grad = None
    assert [node.op.name for node in graph.nodes][-1] == "exp"


def test_hooks_survive_a_change_of_dtype():
    model = nn.Linear(2, 1, bias=False)
    model.weight.register_hook(lambda g: g * 10)
    model(lucid.ones(2)).sum().backward()
    model.double()
    assert model.weight.grad.tolist() == [[10, 10]]
    model.zero_grad()
    model(lucid.ones(2, dtype="float64")).sum().backward()
    assert model.weight.grad.tolist() == [[10, 10]]


def test_hooks_keep_no_graph_alive():
    gc.collect()
    gc.disable()
    try:
        x = lucid.ones(2, requires_grad=True)
        y = x * 2
        handle = y.register_hook(lambda g: None)
        y.retain_grad()
        refs = weakref.ref(y), weakref.ref(y._value.node)
        (y * y).sum().backward()
        del y
        assert [ref() for ref in refs] == [None, None]
        handle.remove()
    finally:
        gc.enable()


def test_like_pytorch(torch):
    results = []
    for library in (lucid, torch):
        x = library.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
        w = library.tensor([[0.3], [0.7]], requires_grad=True)
        y = x @ w
        y.retain_grad()
        y.register_hook(lambda g: g * 2 + 1)
        x.register_hook(lambda g: g.tanh())
        w.register_hook(lambda g: None)
        z = (y.tanh() + y * y).sum() + (x * 0.1).sum()
        z.backward(retain_graph=True)
        z.backward()
        results.append([np.asarray(t.grad) for t in (x, w, y)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
