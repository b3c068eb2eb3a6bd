"""Every op that PyTorch has under the same name, row by row: the same values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.autograd import grad
from tests.ops.case import run, wrapped
from tests.ops.cases import CASES

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

# PyTorch has something else under these names, or nothing that can be called in the same way.
OTHER = {"fill", "index_put", "index_sum", "size", "to", "windows"}


def counterpart(case):
    if case.torch == "method":
        return lambda x, *args, **kwargs: getattr(x, case.name)(*args, **kwargs)
    return getattr(torch.nn.functional, case.name, None) or getattr(torch, case.name, None)


def torch_value(x, flag=False):
    return torch.tensor(x, requires_grad=flag) if isinstance(x, np.ndarray) else x


SHARED = [case for case in CASES if case.torch is not None]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", SHARED, ids=str)
def test_value_and_gradient(case):
    function = counterpart(case)
    assert function is not None, "PyTorch has no such function: say torch=None in the row"
    flags = case.differentiable()
    arrays = case.arrays()
    ours = wrapped(arrays, [flag and isinstance(x, np.ndarray) for x, flag in zip(arrays, flags, strict=True)])
    theirs = [torch_value(x, flag) for x, flag in zip(arrays, flags, strict=True)]
    found = run(case, ours)
    attrs = {name: torch_value(value) for name, value in case.attrs.items()}
    wanted = case.call(function, *theirs) if case.call else function(*theirs, **attrs)
    wanted = list(wanted) if isinstance(wanted, (tuple, list)) else [wanted]
    assert len(found) == len(wanted)
    for y, reference in zip(found, wanted, strict=True):
        assert y.shape == tuple(reference.shape)
        np.testing.assert_allclose(y.detach().numpy(), reference.detach().numpy(), rtol=1e-10, atol=1e-12)
    pairs = [(y, z) for y, z in zip(found, wanted, strict=True) if z.requires_grad]
    leaves = [(x, z) for x, z, flag in zip(ours, theirs, flags, strict=True) if flag]
    if not pairs or not leaves or case.torch == "values":
        return
    pairs = [(y, z) for y, z in pairs if y.requires_grad]
    rng = np.random.default_rng(3)
    incoming = [rng.uniform(0.5, 1.5, y.shape) for y, _ in pairs]
    mine = (
        grad([y for y, _ in pairs], [x for x, _ in leaves], wrapped(incoming), allow_unused=True) if pairs else [None]
    )
    reference = torch.autograd.grad(
        [z for _, z in pairs], [z for _, z in leaves], [torch.tensor(g) for g in incoming], allow_unused=True
    )
    for g, h in zip(mine, reference, strict=True):
        if h is None:
            assert g is None or not g.numpy().any()
        elif g is None:
            assert not h.numpy().any()
        else:
            np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-8, atol=1e-10)


def test_every_shared_name_is_compared():
    compared = {case.name for case in SHARED}
    shared = {
        name
        for name in {case.name for case in CASES}
        if hasattr(torch.nn.functional, name) or hasattr(torch, name) or hasattr(torch.Tensor, name)
    }
    assert shared - compared == OTHER & shared
