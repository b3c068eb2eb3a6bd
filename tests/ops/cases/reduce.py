"""Rows: reductions, softmax, moments, norms, extrema, cumulative sums."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case, bools, floats, ints, positive, row


def logsumexp(x, dim=None, keepdim=False):
    top = np.max(x, axis=dim, keepdims=True)
    y = np.log(np.sum(np.exp(x - top), axis=dim, keepdims=True)) + top
    return y if keepdim else np.squeeze(y, axis=dim)


def softmax(x, dim, dtype=None):
    y = np.exp(x - x.max(axis=dim, keepdims=True))
    return y / y.sum(axis=dim, keepdims=True)


def numpy(function):
    """Returns a NumPy reduction that takes PyTorch's arguments."""

    def reference(x, dim=None, keepdim=False):
        return function(x, axis=tuple(dim) if isinstance(dim, list) else dim, keepdims=keepdim)

    return reference


DIMS = (
    {},
    {"dim": 0},
    {"dim": -1, "keepdim": True},
    {"dim": (0, 2)},
    {"dim": (-1, 0, 1), "keepdim": True},
)


def reductions(name, ref, sample=None, **options):
    """Yields one row for each way to give the axes."""
    torch_takes = options.pop("torch_takes", lambda attrs: True)
    for attrs in DIMS:
        note = "_".join(f"{k}{v}" for k, v in attrs.items()).replace(" ", "")
        torch = options.get("torch", "") if torch_takes(attrs) else None
        yield row(name, sample or floats(2, 3, 4), ref=ref, attrs=attrs, note=note, **{**options, "torch": torch})


def has_dim(attrs):
    return "dim" in attrs


def single(attrs):
    return not isinstance(attrs.get("dim"), tuple)


def largest(x, dim, keepdim=False):
    return np.max(x, axis=dim, keepdims=keepdim), np.argmax(x, axis=dim, keepdims=keepdim)


def smallest(x, dim, keepdim=False):
    return np.min(x, axis=dim, keepdims=keepdim), np.argmin(x, axis=dim, keepdims=keepdim)


def norm(order):
    return lambda x, p, dim, keepdim=False: np.sum(np.abs(x) ** order, axis=dim, keepdims=keepdim) ** (1 / order)


NAMES: list[Case] = [
    *reductions("sum", numpy(np.sum)),
    row("sum", ints(5, 2, 3), ref=np.sum, note="ints"),
    row("sum", bools(2, 3), ref=lambda x, dim: x.sum(dim), dim=1, note="bools"),
    row("sum", ints(5, 2, 3), ref=lambda x, dtype: x.sum(dtype=np.float64), dtype="float64", note="dtype", torch=None),
    row("sum", floats(0, 3), ref=lambda x, dim: x.sum(dim), dim=0, note="empty"),
    row("sum", floats(), ref=np.sum, note="no_axes"),
    row("sum", floats(2, 3), ref=lambda x, dim: x.sum(), dim=(), note="no_dims"),
    *(
        row("sum_to", floats(2, 3, 4), ref=lambda x, shape: _sum_to(x, shape), shape=shape, torch=None, note=str(shape))
        for shape in ((2, 3, 4), (3, 4), (1, 4), (2, 1, 4), (1, 1, 1), ())
    ),
    *reductions("mean", numpy(np.mean)),
    row(
        "mean",
        floats(0, 3),
        ref=lambda x, dim: np.full(3, np.nan),
        dim=0,
        note="empty",
        no_export="onnxruntime gives 0",
    ),
    *reductions("prod", numpy(np.prod), torch_takes=single),
    row("prod", np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0]]), ref=lambda x, dim: x.prod(dim), dim=1, note="zeros"),
    row("prod", floats(2, 0), ref=lambda x, dim: x.prod(dim), dim=1, note="empty"),
    row("prod_of_others", floats(2, 4), ref=lambda x: x.prod(-1, keepdims=True) / x, torch=None),
    row(
        "prod_of_others",
        np.array([[0.0, 2.0, 3.0]]),
        ref=lambda x: np.array([[6.0, 0.0, 0.0]]),
        torch=None,
        note="zero",
    ),
    row("prod_of_others", floats(2, 1), ref=np.ones_like, torch=None, note="alone"),
    *(
        row("size", floats(2, 3), ref=lambda x, dim, n=n: np.float64(n), dim=dim, torch=None, note=str(dim))
        for dim, n in ((None, 6), (0, 2), (-1, 3), ((0, 1), 6))
    ),
    *reductions("logsumexp", logsumexp, torch_takes=has_dim),
    row(
        "logsumexp",
        np.array([[1e3, 1e3, -1e3], [-np.inf, -np.inf, -np.inf], [-np.inf, 0.0, 0.0]]),
        ref=lambda x, dim: np.array([1e3 + np.log(2), -np.inf, np.log(2)]),
        dim=1,
        torch="values",
        note="extremes",
        derivative=False,
    ),
    *reductions("amax", numpy(np.amax), torch_takes=has_dim),
    *reductions("amin", numpy(np.amin), torch_takes=has_dim),
    row("amax", ints(9, 2, 3), ref=lambda x, dim: x.max(dim), dim=1, note="ints"),
    *(
        row(name, floats(2, 3, 4), ref=ref, attrs=attrs, note="_".join(map(str, attrs.values())))
        for name, ref in {"argmax": numpy(np.argmax), "argmin": numpy(np.argmin)}.items()
        for attrs in ({}, {"dim": 1}, {"dim": -1, "keepdim": True})
    ),
    row("argmax", ints(3, 5), ref=lambda x, dim: x.argmax(dim), dim=0, note="ties"),
    *(
        row(name, floats(2, 3, 4), ref=ref, attrs=attrs, note="_".join(map(str, attrs.values())))
        for name, ref in {"max": largest, "min": smallest}.items()
        for attrs in ({"dim": 1}, {"dim": -1, "keepdim": True})
    ),
    row("max", floats(2, 3), ref=np.max, note="all"),
    row("min", floats(2, 3), ref=np.min, note="all"),
    row("max", floats(2, 3), floats(3), ref=np.maximum, note="two"),
    row("min", floats(2, 3), floats(3), ref=np.minimum, note="two"),
    *reductions("any", numpy(np.any), bools(2, 3, 4)),
    *reductions("all", numpy(np.all), bools(2, 3, 4)),
    row("any", floats(2, 3), ref=lambda x, dim: x.any(dim), dim=0, note="floats"),
    row("all", bools(0, 3), ref=lambda x, dim: x.all(dim), dim=0, note="empty"),
    row("cumsum", floats(2, 3), ref=lambda x, dim: x.cumsum(dim), dim=1),
    row("cumsum", ints(5, 2, 3), ref=lambda x, dim: x.cumsum(dim), dim=0, note="ints"),
    row("softmax", floats(2, 3), ref=softmax, dim=-1),
    row("softmax", floats(2, 3, 2), ref=softmax, dim=1, note="middle"),
    row("softmax", np.array([1e3, 0.0, -np.inf]), ref=softmax, dim=0, note="extremes", derivative=False),
    row("log_softmax", floats(2, 3), ref=lambda x, dim: np.log(softmax(x, dim)), dim=-1),
    row("log_softmax", np.array([1e3, 0.0]), ref=lambda x, dim: np.array([0.0, -1e3]), dim=0, note="extremes"),
    # --- moments and norms
    row("var", floats(2, 3, 4), ref=lambda x: x.var(ddof=1)),
    row("var", floats(2, 3, 4), ref=lambda x, dim, unbiased: x.var(dim), dim=1, unbiased=False, note="biased"),
    row(
        "var",
        floats(2, 3, 4),
        ref=lambda x, dim, keepdim: x.var(dim, ddof=1, keepdims=True),
        dim=(0, 2),
        keepdim=True,
        note="keepdim",
    ),
    row("var", floats(5), ref=lambda x, correction: x.var(ddof=2), correction=2, note="correction"),
    row("var", floats(5), ref=lambda x, correction: x.var(ddof=1), correction=None, note="no_correction", torch=None),
    row("std", floats(5), ref=lambda x, correction: x.std(ddof=1), correction=None, note="no_correction", torch=None),
    row("std", floats(2, 3, 4), ref=lambda x, dim: x.std(dim, ddof=1), dim=-1),
    row("std", floats(5), ref=lambda x, correction: x.std(), correction=0, note="correction"),
    *reductions(
        "norm2", lambda x, dim=None, keepdim=False: np.sqrt(np.sum(x * x, axis=dim, keepdims=keepdim)), torch=None
    ),
    row("norm2", np.zeros((2, 3)), ref=lambda x, dim: np.zeros(2), dim=1, torch=None, note="zero", derivative=False),
    row("norm", floats(2, 3), ref=lambda x: np.sqrt(np.sum(x * x))),
    row("norm", floats(2, 3), ref=norm(1), p=1, dim=1, note="1"),
    row("norm", positive(2, 3), ref=norm(3), p=3, dim=1, keepdim=True, note="3"),
    row("norm", floats(2, 3), ref=lambda x, p, dim: np.abs(x).max(dim), p=float("inf"), dim=1, note="inf"),
    row("norm", floats(2, 3), ref=lambda x, p, dim: np.abs(x).min(dim), p=float("-inf"), dim=1, note="-inf"),
    row(
        "norm",
        floats(2, 3),
        ref=lambda x, p, dim: 1.0 * np.count_nonzero(x, axis=dim),
        p=0,
        dim=1,
        note="0",
        derivative=False,
    ),
    row("normalize", floats(2, 3), ref=lambda x: x / np.sqrt(np.sum(x * x, axis=1, keepdims=True))),
]


def _sum_to(x, shape):
    while x.ndim > len(shape):
        x = x.sum(0)
    for axis, n in enumerate(shape):
        if n == 1:
            x = x.sum(axis, keepdims=True)
    return x
