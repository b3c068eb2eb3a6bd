"""Rows: running values, statistics, searches, diagonals, windows, and selections along an axis."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case, Sample, bools, floats, ints, positive, row

TWICE = np.array([3.0, 1.0, 3.0, 2.0, 1.0, 1.0])
ROWS = np.array([[1, 2], [0, 5], [1, 2], [0, 4]])
SHARES = Sample("float", (3,), 0.1, 0.9, grad=False)
PLACES = np.array([2, 0, -1])


def running(x, dim):
    x = np.moveaxis(x, dim, 0)
    places, best = np.zeros(x.shape, np.int64), np.array(x[0])
    for i in range(1, len(x)):
        later = np.isnan(x[i]) | (x[i] >= best)
        places[i], best = np.where(later, i, places[i - 1]), np.where(later, x[i], best)
    values = np.take_along_axis(x, places, 0)
    return np.moveaxis(values, 0, dim), np.moveaxis(places, 0, dim)


def lower_median(x, dim, keepdim=False):
    order = np.argsort(x, axis=dim, kind="stable")
    places = np.take(order, [(x.shape[dim] - 1) // 2], axis=dim)
    values = np.take_along_axis(x, places, axis=dim)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def quantiles(x, q, dim=None, keepdim=False, interpolation="linear"):
    return np.quantile(x, q, axis=dim, keepdims=keepdim, method=interpolation)


def runs(x):
    starts = np.r_[True, x[1:] != x[:-1]]
    return x[starts], np.cumsum(starts) - 1, np.diff(np.r_[np.flatnonzero(starts), len(x)])


def counted(x, weights=None, minlength=0):
    return np.bincount(x, weights, minlength)


def filled(x, dim, index, value):
    y = np.array(x)
    np.moveaxis(y, dim, 0)[index] = value
    return y


def added(x, index, source, dim, alpha=1):
    y = np.array(x)
    np.add.at(np.moveaxis(y, dim, 0), index, alpha * np.moveaxis(source, dim, 0))
    return y


def scattered(ufunc):
    def reference(x, index, src, dim=1):
        y = np.array(x)
        for i, j in np.ndindex(index.shape):
            place = (index[i, j], j) if dim == 0 else (i, index[i, j])
            y[place] = ufunc(y[place], src if np.isscalar(src) else src[i, j])
        return y

    return reference


def windows(x, dimension, size, step):
    view = np.lib.stride_tricks.sliding_window_view(x, size, axis=dimension)
    return np.moveaxis(np.moveaxis(view, dimension, 0)[::step], 0, dimension)


NAMES: list[Case] = [
    # --- running values
    row("cumprod", floats(2, 4), ref=lambda x, dim: np.cumprod(x, dim), dim=1),
    row("cumprod", floats(3, 2, 2), ref=lambda x, dim: np.cumprod(x, dim), dim=0, note="first"),
    row("cumprod", np.array([2.0, 0.0, 3.0, 0.0, 5.0]), ref=lambda x, dim: np.cumprod(x, dim), dim=-1, note="zeros"),
    row("cumprod", ints(4, 2, 3), ref=lambda x, dim: np.cumprod(x, dim), dim=1, note="ints"),
    row("cummax", floats(2, 5), ref=running, dim=1),
    row("cummax", floats(4, 2, 3), ref=running, dim=0, note="first"),
    row("cummax", TWICE, ref=running, dim=0, note="ties", derivative=False),
    row(
        "cummax",
        np.array([1.0, 3.0, np.nan, 5.0, np.nan, 2.0]),
        ref=running,
        dim=-1,
        note="nan",
        derivative=False,
    ),
    row("cummax", ints(5, 2, 6, low=-5), ref=running, dim=1, note="ints"),
    row("cummax_places", floats(2, 5), ref=lambda x, dim: running(x, dim)[1], dim=1, torch=None, derivative=False),
    row("diff", floats(3, 4), ref=lambda x: np.diff(x)),
    row("diff", floats(4, 3), ref=lambda x, n, dim: np.diff(x, n, dim), n=2, dim=0, note="twice"),
    row(
        "diff",
        floats(2, 3),
        floats(2, 1),
        floats(2, 2),
        ref=lambda x, before, after: np.diff(np.concatenate([before, x, after], 1)),
        call=lambda f, x, before, after: f(x, prepend=before, append=after),
        note="longer",
    ),
    row(
        "diff",
        floats(2, 3),
        floats(2, 1),
        ref=lambda x, before: x,
        call=lambda f, x, before: f(x, 0, prepend=before),
        note="none",
        derivative=False,
    ),
    row("diff", bools(5), ref=lambda x: x[1:] != x[:-1], note="bools"),
    # --- statistics
    row("count_nonzero", ints(3, 2, 4), ref=lambda x, dim: np.count_nonzero(x, axis=dim), dim=1),
    row("count_nonzero", bools(2, 4), ref=lambda x: np.array(np.count_nonzero(x)), note="all"),
    row("median", floats(2, 5), ref=lower_median, dim=1),
    row("median", floats(4, 3), ref=lower_median, dim=0, keepdim=True, note="even"),
    row("median", floats(2, 3), ref=lambda x: np.sort(x.reshape(-1))[2], note="all"),
    row("median", np.array([1.0, 2.0, 2.0, 2.0, 3.0]), ref=np.median, note="ties", derivative=False),
    row("quantile", floats(2, 5), ref=quantiles, q=0.3, dim=1),
    row("quantile", floats(2, 4), ref=quantiles, q=0.5, note="all"),
    row("quantile", floats(4, 3), ref=quantiles, q=0.7, dim=0, keepdim=True, note="keepdim"),
    row(
        "quantile",
        floats(2, 5),
        SHARES,
        ref=lambda x, q, dim: np.quantile(x, q, axis=dim),
        dim=1,
        note="several",
    ),
    *(
        row("quantile", floats(2, 5), ref=quantiles, q=0.6, dim=1, interpolation=how, note=how)
        for how in ("lower", "higher", "nearest", "midpoint")
    ),
    row("bincount", ints(6, 9), ref=counted, opset=16),
    row("bincount", ints(3, 7), ref=counted, minlength=8, note="longer", opset=16),
    row("bincount", ints(4, 7), positive(7), ref=counted, note="weights", opset=16, derivative=False),
    # --- searches
    row("isin", ints(9, 3, 4), ints(9, 5), ref=np.isin),
    row("isin", floats(3), np.array([0.5, np.nan]), ref=np.isin, invert=True, note="inverted", derivative=False),
    row("searchsorted", np.arange(6.0), floats(2, 3), ref=np.searchsorted, derivative=False),
    row(
        "searchsorted",
        np.array([1, 3, 3, 5]),
        np.array([3, 0, 9]),
        ref=lambda x, v, right: np.searchsorted(x, v, "right"),
        right=True,
        note="right",
    ),
    row(
        "searchsorted",
        np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        np.array([[2.0, 9.0], [4.5, 0.0]]),
        ref=lambda x, v: np.array([[1, 3], [1, 0]]),
        note="rows",
        derivative=False,
    ),
    row(
        "searchsorted",
        np.array([5, 1, 3]),
        np.array([3, 0, 9]),
        ref=lambda x, v, sorter: np.searchsorted(x, v, sorter=sorter),
        sorter=np.array([1, 2, 0]),
        note="sorter",
    ),
    row(
        "places_in_order",
        np.arange(6.0),
        floats(2, 3),
        ref=lambda x, v, right: np.searchsorted(x, v),
        right=False,
        torch=None,
        derivative=False,
    ),
    row("unique", TWICE.astype(np.int64), ref=np.unique),
    row(
        "unique",
        np.array([[3, 1], [3, 2]]),
        ref=lambda x, **_: (np.array([1, 2, 3]), np.array([[2, 0], [2, 1]]), np.array([1, 1, 2])),
        return_inverse=True,
        return_counts=True,
        note="all",
    ),
    row(
        "unique",
        ROWS,
        ref=lambda x, **_: (np.unique(x, axis=0), np.array([2, 1, 2, 0]), np.array([1, 1, 2])),
        return_inverse=True,
        return_counts=True,
        dim=0,
        note="rows",
        no_export="ONNX sorts elements, not rows",
    ),
    row("unique_consecutive", np.array([1, 1, 2, 1, 1, 1]), ref=lambda x: runs(x)[0]),
    row(
        "unique_consecutive",
        np.array([1, 1, 2, 1, 1, 1]),
        ref=lambda x, **_: runs(x),
        return_inverse=True,
        return_counts=True,
        note="all",
    ),
    row(
        "unique_consecutive",
        ROWS[[0, 2, 1, 3]].T,
        ref=lambda x, dim: x[:, [0, 2, 3]],
        dim=1,
        note="columns",
    ),
    row("row_order", ROWS, ref=lambda x: np.array([3, 1, 0, 2]), torch=None, no_export="ONNX sorts elements, not rows"),
    # --- diagonals
    row("diagonal", floats(3, 4), ref=np.diagonal),
    row(
        "diagonal",
        floats(2, 3, 4),
        ref=lambda x, offset, dim1, dim2: np.diagonal(x, offset, dim1, dim2),
        offset=1,
        dim1=-2,
        dim2=2,
        note="batch",
    ),
    row("diagonal", floats(3, 4), ref=lambda x, offset: np.diagonal(x, offset), offset=-1, note="below"),
    row("diag", floats(3), ref=np.diag),
    row("diag", floats(3), ref=lambda x, diagonal: np.diag(x, diagonal), diagonal=2, note="above"),
    row("diag", floats(3), ref=lambda x, diagonal: np.diag(x, diagonal), diagonal=-1, note="below"),
    row("diag", floats(3, 3), ref=np.diag, note="of_matrix"),
    row("trace", floats(3, 4), ref=np.trace),
    # --- windows, joining
    row("narrow", floats(2, 5), ref=lambda x, dim, start, length: x[:, 1:4], dim=1, start=1, length=3),
    row("narrow", floats(4, 2), ref=lambda x, dim, start, length: x[-3:-1], dim=0, start=-3, length=2, note="back"),
    row("select", floats(2, 5), ref=lambda x, dim, index: x[:, -2], dim=1, index=-2),
    row("unfold", floats(2, 7), ref=windows, dimension=1, size=3, step=2, torch="method"),
    row("unfold", floats(5, 2), ref=windows, dimension=0, size=2, step=1, note="first", torch="method"),
    row("ravel", floats(2, 3), ref=np.ravel),
    row("swapdims", floats(2, 3, 4), ref=lambda x, dim0, dim1: x.swapaxes(0, 2), dim0=0, dim1=2),
    row(
        "concat",
        floats(2, 3),
        floats(2, 2),
        ref=lambda x, y: np.concatenate([x, y], 1),
        call=lambda f, x, y: f([x, y], 1),
    ),
    row("hstack", floats(2, 3), floats(2, 2), ref=lambda x, y: np.hstack([x, y]), call=lambda f, x, y: f([x, y])),
    row("hstack", floats(3), floats(2), ref=lambda x, y: np.hstack([x, y]), call=lambda f, x, y: f([x, y]), note="1d"),
    row("vstack", floats(3), floats(2, 3), ref=lambda x, y: np.vstack([x, y]), call=lambda f, x, y: f([x, y])),
    row("meshgrid", floats(2), floats(3), ref=lambda x, y: tuple(np.meshgrid(x, y, indexing="ij"))),
    row(
        "meshgrid",
        floats(2),
        floats(3),
        floats(4),
        ref=lambda *xs, indexing: tuple(np.meshgrid(*xs, indexing="xy")),
        indexing="xy",
        note="xy",
    ),
    # --- selection along an axis
    row(
        "index_fill",
        floats(2, 4),
        PLACES,
        ref=lambda x, i: filled(x, 1, i, 0.5),
        call=lambda f, x, i: f(x, 1, i, 0.5),
    ),
    row(
        "index_fill",
        floats(4, 2),
        PLACES,
        floats(),
        ref=lambda x, i, v: filled(x, 0, i, v),
        call=lambda f, x, i, v: f(x, 0, i, v),
        torch="values",
        note="tensor",
    ),
    row(
        "index_add",
        floats(4, 2),
        np.array([0, 3, 0]),
        floats(3, 2),
        ref=lambda x, i, s: added(x, i, s, 0),
        call=lambda f, x, i, s: f(x, 0, i, s),
        opset=16,
    ),
    row(
        "index_add",
        floats(2, 4),
        np.array([2, 2]),
        floats(2, 2),
        ref=lambda x, i, s: added(x, i, s, 1, -2),
        call=lambda f, x, i, s: f(x, 1, i, s, alpha=-2),
        note="alpha",
        opset=16,
    ),
    row(
        "take_along_dim",
        floats(2, 4),
        np.array([[1, 0], [3, 3]]),
        ref=lambda x, i, dim: np.take_along_axis(x, i, dim),
        dim=1,
    ),
    row(
        "take_along_dim",
        floats(2, 4),
        np.array([[1, 0]]),
        ref=lambda x, i, dim: np.take_along_axis(x, np.repeat(i, 2, 0), dim),
        dim=1,
        note="broadcast",
    ),
    row("take_along_dim", floats(2, 3), np.array([5, 0]), ref=lambda x, i: x.reshape(-1)[i], note="flat"),
    row(
        "scatter",
        floats(2, 4),
        np.array([[1, 1], [0, 3]]),
        floats(2, 2),
        ref=scattered(np.add),
        call=lambda f, x, i, s: f(x, 1, i, s, reduce="add"),
        torch="values",
        note="add",
        opset=16,
    ),
    row(
        "scatter",
        floats(2, 4),
        np.array([[1, 1], [0, 3]]),
        ref=lambda x, i: scattered(np.multiply)(x, i, 2.0),
        call=lambda f, x, i: f(x, 1, i, value=2.0, reduce="multiply"),
        torch="values",
        note="multiply",
        derivative=False,
        opset=16,
    ),
    row(
        "scatter_product",
        floats(2, 4),
        np.array([[1, 1], [0, 3]]),
        floats(2, 2),
        ref=scattered(np.multiply),
        call=lambda f, x, i, s: f(x, i, s, dim=1),
        torch=None,
        derivative=False,
        opset=16,
    ),
    row(
        "repeat_interleave",
        floats(3, 2),
        np.array([2, 0, 1]),
        ref=lambda x, n, dim: np.repeat(x, n, dim),
        dim=0,
        note="each",
    ),
    row("repeat_interleave", np.array([2, 0, 3]), ref=lambda n: np.repeat(np.arange(3), n), note="places"),
    row("repeated_places", np.array([2, 0, 3]), ref=lambda n: np.repeat(np.arange(3), n), torch=None),
    row("where", bools(2, 3), ref=np.nonzero, note="places"),
    row("nonzero_at", bools(2, 3), ref=np.argwhere, torch=None),
    # --- products, comparison
    row("addmm", floats(3), floats(2, 4), floats(4, 3), ref=lambda x, a, b: x + a @ b),
    row(
        "addmm",
        floats(2, 3),
        floats(2, 4),
        floats(4, 3),
        ref=lambda x, a, b, beta, alpha: beta * x + alpha * (a @ b),
        beta=0.5,
        alpha=-2,
        note="scaled",
    ),
    row("tensordot", floats(2, 3, 4), floats(3, 4, 5), ref=np.tensordot),
    row(
        "tensordot",
        floats(2, 3, 4),
        floats(4, 5, 2),
        ref=lambda x, y, dims: np.tensordot(x, y, dims),
        dims=([0, 2], [2, 0]),
        note="axes",
    ),
    row("add", floats(2, 3), floats(3), ref=lambda x, y, alpha: x + alpha * y, alpha=-0.5, note="alpha"),
    row("sub", floats(2, 3), 2.0, ref=lambda x, y, alpha: x - alpha * y, alpha=3, note="alpha"),
    row(
        "isclose",
        np.array([1.0, np.inf, np.nan, 2.0]),
        np.array([1.0 + 1e-9, np.inf, np.nan, 2.1]),
        ref=np.isclose,
        derivative=False,
    ),
    row(
        "isclose",
        np.array([1.0, np.inf, np.nan, 100.0]),
        np.array([1.01, -np.inf, np.nan, 101.0]),
        ref=lambda x, y, rtol, atol, equal_nan: np.isclose(x, y, rtol, atol, equal_nan),
        attrs={"rtol": 0.02, "atol": 0.0, "equal_nan": True},
        note="nan",
        derivative=False,
    ),
]
