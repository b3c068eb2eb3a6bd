"""Writes in place between forward and backward: an error or the right gradient, never another one."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import GradientError
from lucid.tracer.writes import WRITES


class Scaled(nn.Module):
    """A module with a buffer that its gradient needs."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(lucid.ones(2))
        self.register_buffer("c", lucid.tensor([2.0, 3.0]))

    def forward(self):
        return (self.w * self.c).sum()


class Holder(nn.Module):
    """A module with one buffer."""

    def __init__(self, c):
        super().__init__()
        self.register_buffer("c", c)


def sgd(x):
    x.grad = lucid.ones_like(x)
    lucid.optim.SGD([x], lr=0.5).step()


WRITE = {
    "init": lambda c: nn.init.zeros_(c),
    "assign": lambda c: c._assign(np.zeros(c.shape, np.float32)),
    "an optimizer": sgd,
    "a detached tensor": lambda c: nn.init.zeros_(c.detach()),
    "a view of it": lambda c: nn.init.zeros_(c[::-1]),
    "a part of it": lambda c: nn.init.zeros_(c[:1]),
    "an assignment": lambda c: c.detach().__setitem__(0, 5.0),
    "a part of a part": lambda c: c.detach()[:1].zero_(),
    "data": lambda c: c.data.mul_(2),
    "the memory of a state dict": lambda c: Holder(c).state_dict()["c"].fill_(3),
    "a vector": lambda c: nn.utils.vector_to_parameters(lucid.zeros(2), [c]),
}

USE = {
    "a factor": lambda w, c: w * c,
    "a view of it": lambda w, c: w * c.reshape(1, 2),
    "a slice": lambda w, c: w[:1] * c[1:] + w[:1] * c[:1],
    "a broadcast": lambda w, c: w * c.expand(3, 2),
    "a divisor": lambda w, c: w / c,
    "a matrix": lambda w, c: w @ c,
    "among several": lambda w, c: lucid.einsum("i,i->i", w, c),
}


@pytest.mark.parametrize("write", WRITE.values(), ids=WRITE)
@pytest.mark.parametrize("use", USE.values(), ids=USE)
def test_a_constant_that_is_overwritten(use, write):
    w, c = lucid.ones(2, requires_grad=True), lucid.tensor([2.0, 3.0])
    y = use(w, c).sum()
    write(c)
    with pytest.raises(GradientError, match="needs was overwritten after the forward pass"):
        y.backward()
    assert w.grad is None
    use(w, c).sum().backward()
    assert w.grad is not None


def test_a_buffer_that_is_loaded():
    model = Scaled()
    y = model()
    model.load_state_dict({"w": lucid.ones(2), "c": lucid.zeros(2)})
    with pytest.raises(GradientError, match=r"overwritten after the forward pass \(float32\[2\]\)"):
        y.backward()
    model().backward()
    assert model.w.grad.tolist() == [0, 0]


def test_a_load_that_is_refused_writes_nothing():
    model = Scaled()
    y = model()
    with pytest.raises(lucid.errors.StateDictError):
        model.load_state_dict({"w": lucid.ones(2), "c": lucid.zeros(3)})
    y.backward()
    assert model.w.grad.tolist() == [2, 3]


def test_an_output_that_is_kept():
    w = lucid.ones(2, requires_grad=True)
    kept = w.exp()
    y = kept.sum()
    nn.init.zeros_(kept.detach())
    with pytest.raises(GradientError, match="exp needs was overwritten"):
        y.backward()


def test_writes_elsewhere_do_no_harm():
    w, c, other = lucid.ones(2, requires_grad=True), lucid.tensor([2.0, 3.0]), lucid.ones(2, requires_grad=True)
    both = np.zeros(4, np.float32)
    left, right = lucid.from_numpy(both[:2]), lucid.from_numpy(both[2:])
    y = (w * c * right).sum() + (w * c.clone()).sum()
    nn.init.zeros_(left)
    sgd(other)
    y.backward()
    assert w.grad.tolist() == [2, 3]


def test_memory_that_is_used_again_was_not_overwritten():
    w = lucid.ones(1000, requires_grad=True)
    for _ in range(300):
        nn.init.ones_(lucid.zeros(1000))
        y = (w * lucid.ones(1000)).sum()
        nn.init.ones_(lucid.zeros(1000))
        w.grad = None
        y.backward()


def test_what_is_known_of_writes_does_not_grow():
    def known():
        return sum(len(memory.parts) + len(memory.indices) for memory in WRITES._memories.values())

    gc.collect()
    before = known()
    w = lucid.ones(3)
    for _ in range(2000):
        nn.init.ones_(w.detach())
        nn.init.ones_(lucid.zeros(5))
    assert known() < before + 1000


def test_gradients_of_gradients():
    w, c = lucid.ones(2, requires_grad=True), lucid.tensor([2.0, 3.0])
    (g,) = lucid.autograd.grad((w * w * c).sum(), w, create_graph=True)
    nn.init.zeros_(c)
    g.sum().backward()  # the product with c was computed before
    assert w.grad.tolist() == [4, 6]


def test_parts_without_a_gradient_get_zeros():
    x = lucid.tensor([np.inf, np.nan, 1.0], requires_grad=True)
    x.split(1)[2].sum().backward()
    assert x.grad.tolist() == [0, 0, 1]
