"""backward: the gradients and where they arrive, refusals, second order, and large graphs."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import grad
from lucid.errors import DtypeError, GradientError
from lucid.tracer import walk


def leaf(*values, dtype="float32"):
    return lucid.tensor(values, dtype=dtype, requires_grad=True)


# --- gradients of leaves


def test_a_leaf_used_many_times():
    x = leaf(2.0, 3.0)
    (x * x + x * 3 + x).sum().backward()
    assert x.grad.tolist() == [8, 10]


def test_gradients_add_up_over_calls():
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * x).sum().backward()
    assert x.grad.tolist() == [6, 12]
    scalar = lucid.tensor(2.0, requires_grad=True)
    for _ in range(2):
        (scalar * 3).backward()
    assert scalar.grad.item() == 6
    assert type(scalar.grad._data) is np.ndarray


def test_a_leaf_is_its_own_root():
    x = leaf(1.0, 2.0)
    x.backward(lucid.tensor([3.0, 4.0]))
    assert x.grad.tolist() == [3, 4]


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1), (1, 1), (), (1,), (4, 1, 3), (4, 2, 3)])
def test_what_was_broadcast_is_summed(shape):
    rng = np.random.default_rng(0)
    x = lucid.tensor(rng.normal(size=shape), requires_grad=True)
    y = lucid.tensor(rng.normal(size=(2, 3)), requires_grad=True)
    out = x * y
    g = rng.normal(size=out.shape)
    out.backward(lucid.tensor(g))
    gx, gy = g * y._data, g * x._data
    np.testing.assert_allclose(x.grad.numpy(), _summed(gx, shape))
    np.testing.assert_allclose(y.grad.numpy(), _summed(gy, (2, 3)))


def _summed(g, shape):
    """The reference: sums the leading axes, then each axis of size one."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    for axis, n in enumerate(shape):
        if n == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g.reshape(shape)


@pytest.mark.parametrize("low", ["float16", "float32"])
def test_gradients_have_the_dtype_of_their_leaf(low):
    x, y = leaf(1.0, 2.0, dtype=low), leaf(3.0, 4.0, dtype="float64")
    (x * y).sum().backward()
    assert x.grad.dtype == low
    assert y.grad.dtype == "float64"
    assert x.grad.tolist() == [3, 4]
    z = leaf(1.0, dtype="float64")
    z.float().sum().backward(lucid.tensor(0.1))
    assert z.grad.dtype == "float64"
    assert z.grad.item() == np.float32(0.1)


def test_empty_tensors():
    x = lucid.zeros(0, 3, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.shape == (0, 3)
    w = lucid.ones(3, requires_grad=True)
    (x.detach() * w).sum().backward()
    assert w.grad.tolist() == [0, 0, 0]


def test_nan_and_infinity_pass_through():
    x = leaf(np.nan, np.inf, 1.0)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    y = leaf(1.0)
    (y * lucid.tensor([np.nan])).sum().backward()
    assert np.isnan(y.grad.item())


def test_integers_take_no_gradient():
    x, index = leaf(1.0, 2.0, 3.0), lucid.tensor([2, 0, 2])
    x[index].sum().backward()
    assert x.grad.tolist() == [1, 0, 2]
    assert index.grad is None


def test_gradients_are_nobody_elses():
    x, y, g = leaf(1.0, 2.0), leaf(3.0, 4.0), lucid.tensor([1.0, 1.0])
    (x + y).backward(g)
    x.grad.numpy()[:] = 7
    assert y.grad.tolist() == [1, 1]
    assert g.tolist() == [1, 1]
    z = leaf(1.0, 2.0)
    array = np.ones(2, np.float32)
    z.clone().backward(array)
    z.grad.numpy()[:] = 7
    assert array.tolist() == [1, 1]


def test_leaves_that_nothing_needs_any_more():
    x = leaf(1.0)
    y = x * 2
    del x
    y.backward()


def test_one_of_several_outputs():
    x = lucid.tensor(np.arange(6.0), requires_grad=True)
    _, middle, _ = x.split(2)
    (middle * middle).sum().backward()
    assert x.grad.tolist() == [0, 0, 4, 6, 0, 0]


def test_roots_that_share_their_graph():
    x = leaf(2.0)
    y = x * x
    (a,) = grad([y, y * 3], x)
    assert a.item() == 16


# --- refusals


def test_backward_errors():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match=r"single element.*\(2,\).*sum\(\) or mean\(\)"):
        (x * 2).backward()
    with pytest.raises(GradientError, match=r"gradient has shape \(3,\), but the tensor has \(2,\)"):
        (x * 2).backward(lucid.ones(3))
    with pytest.raises(GradientError, match="requires gradients"):
        lucid.ones(1).backward()
    with lucid.no_grad():
        y = x.sum()
    with pytest.raises(GradientError, match="requires gradients"):
        y.backward()
    assert x.grad is None


def test_a_graph_is_freed_by_backward():
    x = leaf(3.0)
    y = x * x
    y.backward()
    with pytest.raises(GradientError, match=r"graph of mul was freed.*retain_graph=True"):
        y.backward()
    z = x * x
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad.item() == 18
    with pytest.raises(GradientError, match="freed"):
        (z * 2).backward()


OVERWRITES = {
    "the tensor itself": lambda w: w,
    "a transposed view": lambda w: w.T,
    "a slice": lambda w: w[:1],
    "a view of a view": lambda w: w.reshape(4).unsqueeze(0),
    "a part": lambda w: w.split(1)[1],
    "a broadcast": lambda w: w.expand(3, 2, 2),
}


@pytest.mark.parametrize("view", OVERWRITES.values(), ids=OVERWRITES)
def test_overwritten_since_the_forward_pass(view):
    w = lucid.ones(2, 2, requires_grad=True)
    used = view(w)
    y = (used * used).sum()
    nn.init.constant_(w, 5.0)
    with pytest.raises(GradientError, match="mul needs was overwritten after the forward pass"):
        y.backward()
    y = (view(w) + 2).sum()
    nn.init.constant_(w, 6.0)
    y.backward()
    used = view(w)
    nn.init.constant_(w, 7.0)
    (used * used).sum().backward()


def test_a_copy_may_be_overwritten_around():
    w = lucid.ones(2, requires_grad=True)
    copied = w.clone()
    y = (copied * copied).sum()
    nn.init.constant_(w, 5.0)
    y.backward()
    assert w.grad.tolist() == [2, 2]


def test_ops_without_a_gradient_stop_it():
    x = leaf(1.0, 2.0)
    assert not (x > 1).requires_grad
    assert not x.argmax().requires_grad


# --- create_graph


def test_third_derivative():
    x = leaf(2.0, dtype="float64")
    y = x * x * x * x
    for expected in (32.0, 48.0, 48.0, 24.0):
        (y,) = grad(y.sum(), x, create_graph=True)
        assert y.item() == expected
    (y,) = grad(y.sum(), x, create_graph=True, allow_unused=True) if y.requires_grad else (None,)
    assert y is None or y.item() == 0


def test_create_graph_keeps_the_graph_and_records_grad():
    x = leaf(3.0)
    y = x * x
    y.backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 2
    (x * x).backward()
    assert x.grad.item() == 8
    assert not x.grad.requires_grad


def test_gradient_penalty():
    x = leaf(1.0, -2.0, dtype="float64")
    (g,) = grad((x * x * x).sum(), x, create_graph=True)
    (g * g).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 36 * x.detach().numpy() ** 3)


# --- deep and wide graphs, memory, threads


@pytest.mark.slow
def test_a_graph_a_hundred_thousand_deep():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1
    assert len(walk([y._value])) == 100_000
    y.backward()
    assert x.grad.item() == 1
    del y


@pytest.mark.slow
def test_a_deep_graph_that_is_dropped():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y
    assert x.grad is None


def test_a_diamond_a_hundred_deep():
    x = leaf(1.0, dtype="float64")
    y = x
    for _ in range(100):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**100


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
def test_graphs_are_freed_by_reference_counting():
    w = leaf(1.0, 2.0)

    def everything():
        rnn = nn.RNN(2, 3, num_layers=2)
        x = lucid.ones(4, 1, 2, requires_grad=True)
        output, h_n = rnn(nn.utils.rnn.pack_padded_sequence(x, [3]))
        y = (w * w).exp() + h_n.sum() + output.padded.mean() + lucid.stack(list(w)).split(1)[0]
        y.retain_grad()
        y.register_hook(lambda g: g * 2)
        return y.sum()

    for finish in (
        lambda y: None,
        lambda y: y.backward(),
        lambda y: y.backward(retain_graph=True),
        lambda y: grad(y, w, create_graph=True),
    ):
        y = everything()
        nodes = [weakref.ref(node) for node in walk([y._value])]
        assert len(nodes) > 8
        finish(y)
        del y
        assert [node().op.name for node in nodes if node() is not None] == []


@pytest.mark.usefixtures("_no_collector")
def test_a_model_is_freed_by_reference_counting():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model(lucid.ones(4, 2)).sum().backward()
    refs = [weakref.ref(p) for p in model.parameters()]
    del model
    assert all(ref() is None for ref in refs)


def test_only_what_the_rules_ask_for_is_kept():
    x = leaf(*np.arange(10.0))
    squeezed = weakref.ref(grown := x + 1)
    y = grown.exp()
    del grown
    assert squeezed() is None
    kept, outputs, _ = y._value.node.saved
    assert not kept
    assert outputs[0] is y._data
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp(np.arange(10.0) + 1), rtol=1e-6)


def test_threads_do_not_mix():
    results, start = {}, threading.Barrier(4)

    def work(number):
        start.wait()
        x = leaf(float(number))
        for _ in range(50):
            with lucid.no_grad() if number % 2 else lucid.enable_grad():
                y = x * x
            results.setdefault(number, set()).add(y.requires_grad)
        (x * x).backward()
        results[number].add(x.grad.item())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    with lucid.no_grad():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {0: {True, 0.0}, 1: {False, 2.0}, 2: {True, 4.0}, 3: {False, 6.0}}


# --- wrong gradient rules


def test_a_rule_that_returns_too_few_gradients():
    from lucid.tracer import OPS

    @lucid.op
    def lopsided_for_test(x, y, /):
        return x + y

    lopsided_for_test.vjp(lambda g: (g,))
    try:
        with pytest.raises(GradientError, match="gave 1 gradients for 2 inputs"):
            lopsided_for_test(leaf(1.0), leaf(2.0)).backward()
    finally:
        del OPS["lopsided_for_test"]


def test_dtype_errors_are_of_every_kind():
    with pytest.raises(DtypeError) as caught:
        lucid.tensor([1]).requires_grad_()
    assert isinstance(caught.value, (TypeError, ValueError))
    assert isinstance(caught.value, RuntimeError)
