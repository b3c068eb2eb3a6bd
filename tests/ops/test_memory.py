"""Memory: a result shares that of an input where PyTorch's does, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn
from tests.ops.case import Case, run, wrapped
from tests.ops.cases import CASES
from tests.tiers import thinned

VIEWS = {
    *(
        "broadcast_to",
        "chunk",
        "detach",
        "expand",
        "expand_as",
        "expand_to",
        "flatten",
        "movedim",
        "permute",
        "reshape",
    ),
    *("reshape", "reshape_to", "split", "split_to", "squeeze", "swapaxes", "t", "transpose", "unbind", "unflatten"),
    *("atleast_1d", "atleast_2d", "broadcast_tensors", "tensor_split"),
    *("unsqueeze", "view_as", "windows", "narrow", "select", "ravel", "swapdims", "meshgrid"),
    # With slices alone, without a copy of an axis; in evaluation mode; for a permutation alone.
    *("getitem", "slice_at", "dropout", "dropout1d", "einsum"),
}
"""What gives views in PyTorch, and the ops below it."""


@pytest.mark.parametrize("case", thinned([case for case in CASES if case.name not in VIEWS], 10), ids=str)
def test_results_have_their_own_memory(case: Case) -> None:
    tensors = wrapped(case.arrays())
    for out in run(case, tensors):
        if isinstance(out, lucid.Tensor):
            assert not any(np.shares_memory(out._data, x._data) for x in tensors if isinstance(x, lucid.Tensor))


NOTHING_TO_DO: dict[str, Callable[[Any], Any]] = {
    "flip": lambda x: lucid.flip(x, (0,)),
    "flip of no axis": lambda x: lucid.flip(x, ()),
    "roll": lambda x: lucid.roll(x, 0, 0),
    "roll around": lambda x: lucid.roll(x, (2, 6), (0, 1)),
    "roll in order": lambda x: lucid.roll(x, 0),
    "pad": lambda x: F.pad(x, (0, 0)),
    "pad that cuts": lambda x: F.pad(x, (-1, 0)),
    "pad by the mirror image": lambda x: F.pad(x, (0, 0), mode="reflect"),
    "pad by the edge": lambda x: F.pad(x, (0, -1), mode="replicate"),
    "repeat_interleave": lambda x: lucid.repeat_interleave(x, 1, 0),
    "repeat_interleave in order": lambda x: lucid.repeat_interleave(x, 1),
    "repeat_interleave of one": lambda x: lucid.repeat_interleave(x[:1, :1], 3, 0),
    "tile": lambda x: lucid.tile(x, (1, 1)),
    "repeat": lambda x: x.repeat(1, 1),
    "cat": lambda x: lucid.cat([x]),
    "stack": lambda x: lucid.stack([x]),
    "clone": lambda x: x.clone(),
    "cumsum": lambda x: lucid.cumsum(x[:1], 0),
    "sum": lambda x: x[:1].sum(0),
    "tanh": lambda x: x.tanh(),
    "tril": lambda x: lucid.tril(x, 9),
}


@pytest.mark.parametrize("call", NOTHING_TO_DO.values(), ids=NOTHING_TO_DO.keys())
def test_a_later_write_does_not_change_a_copy(call: Callable[[Any], Any]) -> None:
    x = lucid.tensor(np.arange(1.0, 7.0).reshape(2, 3), requires_grad=True)
    y = call(x)
    before = y.detach().numpy().copy()
    loss = (y * y).sum()
    nn.init.zeros_(x)
    np.testing.assert_array_equal(y.detach().numpy(), before)
    loss.backward()
    assert x.grad is not None
    assert (x.grad.numpy() != 0).any()
