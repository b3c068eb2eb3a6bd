"""Rows: tensors without axes, whose axis may be named 0 or -1, as in PyTorch."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case, floats, ints, row

NEGATIVE = np.array(-2.5)
POSITIVE = np.array(1.5)
FIRST = np.array(0)


def same(x, **_):
    return x


def each(name, ref, *options, **fields):
    """Returns one row for each set of options."""
    return [row(name, NEGATIVE, ref=ref, attrs=attrs, note=f"no_axes_{i}", **fields) for i, attrs in enumerate(options)]


NAMES: list[Case] = [
    *(case for name in ("sum", "mean", "prod", "amax", "amin") for case in each(name, same, {"dim": 0}, {"dim": -1})),
    *each("logsumexp", same, {"dim": 0}, {"dim": -1, "keepdim": True}, {"dim": (0,)}),
    *each("softmax", lambda x, dim: np.ones(()), {"dim": 0}, {"dim": -1}),
    *each("log_softmax", lambda x, dim: np.zeros(()), {"dim": 0}, {"dim": -1}),
    *each("cumsum", same, {"dim": 0}, {"dim": -1}),
    *each("norm2", lambda x, **_: np.abs(x), {"dim": None}, {"dim": 0}, torch=None),
    *each("norm", lambda x, **_: np.abs(x), {}, {"p": 1}, {"p": 2, "dim": 0}, {"p": 3}, {"p": float("inf")}),
    *each("var", lambda x, **_: np.zeros(()), {"dim": 0, "correction": 0}, derivative=False),
    *each("size", lambda x, dim: np.ones(()), {"dim": 0}, torch=None),
    *each("squeeze", same, {"dim": 0}, {"dim": -1}, {"dim": None}, torch=None),
    *each("flip", same, {"dims": (0,)}, {"dims": (-1,)}),
    *each("transpose", same, {"dim0": 0, "dim1": -1}),
    *each("movedim", same, {"source": 0, "destination": -1}),
    *each("sort", lambda x, **_: (x, FIRST), {}, {"dim": 0, "descending": True}),
    *each("argsort", lambda x, **_: FIRST, {"dim": 0}, derivative=False),
    *each("topk", lambda x, **_: (x, FIRST), {"k": 1}, {"k": 0, "dim": 0}),
    *each("argmax", lambda x, dim: FIRST, {"dim": 0}),
    *(
        row(name, NEGATIVE, dim, ref=lambda x, d: (x, FIRST), call=lambda f, x, d: f(x, d), note=f"no_axes_{dim}")
        for name in ("max", "min")
        for dim in (0, -1)
    ),
    row("index_select", NEGATIVE, FIRST, ref=lambda x, i: x, call=lambda f, x, i: f(x, 0, i), note="no_axes"),
    row("gather", NEGATIVE, FIRST, ref=lambda x, i: x, call=lambda f, x, i: f(x, 0, i), note="no_axes"),
    row(
        "gather", NEGATIVE, np.zeros(3, int), ref=lambda x, i: x.repeat(3), call=lambda f, x, i: f(x, -1, i), note="row"
    ),
    row("gather", floats(3), np.array(1), ref=lambda x, i: x[1], call=lambda f, x, i: f(x, 0, i), note="one"),
    row(
        "scatter",
        NEGATIVE,
        FIRST,
        POSITIVE,
        ref=lambda x, i, s: s,
        call=lambda f, x, i, s: f(x, 0, i, s),
        note="no_axes",
    ),
    row(
        "scatter_add",
        NEGATIVE,
        FIRST,
        POSITIVE,
        ref=lambda x, i, s: x + s,
        call=lambda f, x, i, s: f(x, 0, i, s),
        note="no_axes",
        opset=16,
    ),
    row(
        "logsumexp",
        ints(3, 2, 3),
        ref=lambda x, dim: np.log(np.exp(x).sum(1)).astype(np.float32),
        dim=1,
        note="ints",
        torch=None,
    ),
]
