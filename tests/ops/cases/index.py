"""Rows: indexing, gathering and scattering, selection."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case, bools, floats, ints, row

I64 = np.int64


def at(*index):
    """Returns a `call` with a constant index."""
    return lambda function, x: function(x, index if len(index) != 1 else index[0])


def getitem(x, index):
    return x[index]


INDICES = (
    (0,),
    (-1,),
    (slice(1, None),),
    (slice(None, -1),),
    (slice(None, None, 2),),
    (slice(3, 0, -2),),
    (slice(None, None, -1),),
    (Ellipsis, 1),
    (1, Ellipsis, slice(0, 2)),
    (None, slice(None), 2, None),
    (slice(-2, None), 0, slice(1, 9)),
    (0, 1, 2),
    (slice(2, 2),),
)


def added(shape, index):
    """Returns a reference that adds a gradient to zeros at an index."""

    def reference(g, *indices, **_):
        out = np.zeros(shape)
        np.add.at(out, index(*indices), g)
        return out

    return reference


def scatter_sum(g, indices, dim, shape):
    out = np.zeros(shape)
    places = list(np.indices(indices.shape))
    places[dim] = indices
    np.add.at(out, tuple(places), g)
    return out


def put(x, indices, src, dim):
    out = x.copy()
    places = list(np.indices(indices.shape))
    places[dim] = indices
    out[tuple(places)] = src if np.isscalar(src) else src[tuple(slice(n) for n in indices.shape)]
    return out


def order(x, dim, k=None, sign=1):
    """Returns the first k elements in order, and their indices."""
    indices = np.argsort(x, axis=dim).take(range(x.shape[dim] if k is None else k), dim)
    return sign * np.take_along_axis(x, indices, dim), indices


def stored(x, value, index):
    """Returns a copy with other elements at an index."""
    out = x.copy()
    out[index] = value
    return out


STAR = "*"
PLACES = np.array([2, 0, 1])
DISTINCT = np.array([[2, 0], [1, 3]])

NAMES: list[Case] = [
    *(
        row(
            "slice_put",
            floats(4, 5, 3),
            value,
            ref=lambda x, v, index: stored(x, v, index),
            index=index,
            torch=None,
            note=f"{index}{note}",
            dynamic=value == 0.5,
        )
        for index in INDICES
        for note, value in (
            ("", floats(*np.empty((4, 5, 3))[index].shape)),
            (" last", floats(*np.empty((4, 5, 3))[index].shape[-1:])),
            (" number", 0.5),
        )
    ),
    *(
        row(
            "index_put",
            floats(4, 5, 3),
            value,
            *picks,
            ref=lambda x, v, *i, index, numpy=numpy: stored(x, v, numpy(*i)),
            index=index,
            torch=None,
            note=f"{note}{kind}",
            opset=13,
            dynamic=False,
        )
        for note, index, picks, numpy, shape in (
            ("first", (STAR,), (PLACES,), lambda i: (i,), (3, 5, 3)),
            ("last", (Ellipsis, STAR), (PLACES[:2] - 3,), lambda i: (..., i), (4, 5, 2)),
            ("middle", (slice(1, None), STAR), (PLACES,), lambda i: (slice(1, None), i), (3, 3, 3)),
            ("two", (STAR, STAR), (PLACES, PLACES[:, None]), lambda i, j: (i, j), (3, 3, 3)),
            ("apart", (STAR, slice(None), STAR), (PLACES[1:], PLACES[1:]), lambda i, j: (i, slice(None), j), (2, 5)),
            ("position", (STAR, 2), (PLACES,), lambda i: (i, 2), (3, 3)),
            ("new_axis", (None, STAR, slice(0, 2)), (PLACES,), lambda i: (None, i, slice(0, 2)), (1, 3, 2, 3)),
        )
        for kind, value in (("", floats(*shape)), (" last", floats(shape[-1])), (" number", 0.5))
    ),
    *(
        row(
            "index_put",
            floats(4, 5),
            0.5,
            mask,
            ref=lambda x, v, i, index, numpy=numpy: stored(x, v, numpy(i)),
            index=index,
            torch=None,
            note=note,
            dynamic=False,
        )
        for note, index, mask, numpy in (
            ("mask", (STAR,), bools(4, 5), lambda m: (m,)),
            ("mask_rows", (STAR,), bools(4), lambda m: (m,)),
            ("mask_columns", (slice(None), STAR), bools(5), lambda m: (slice(None), m)),
        )
    ),
    *(
        row("slice_at", floats(4, 5, 3), ref=lambda x, index: x[index], index=index, torch=None, note=str(index))
        for index in INDICES
    ),
    *(
        row(
            "slice_add",
            floats(*np.empty((4, 5, 3))[index].shape),
            ref=added((4, 5, 3), lambda index=index: index),
            index=index,
            shape=(4, 5, 3),
            torch=None,
            note=str(index),
            dynamic=False,
        )
        for index in INDICES
    ),
    *(
        row(
            "getitem",
            floats(4, 5, 3),
            ref=lambda x, index=index: x[index],
            call=at(*index),
            torch=None,
            note=str(index),
        )
        for index in INDICES[:3]
    ),
    *(
        row(
            "index_at",
            floats(4, 5, 3),
            *picks,
            ref=lambda x, *i, index, numpy=numpy: x[numpy(*i)],
            index=index,
            torch=None,
            note=note,
        )
        for note, index, picks, numpy in (
            ("first", (STAR,), (ints(4, 2, 3),), lambda i: (i,)),
            ("last", (Ellipsis, STAR), (ints(3, 4),), lambda i: (..., i)),
            ("middle", (slice(1, None), STAR), (ints(5, 2),), lambda i: (slice(1, None), i)),
            ("two", (STAR, STAR), (ints(4, 3), ints(5, 2, 1)), lambda i, j: (i, j)),
            ("apart", (STAR, slice(None), STAR), (ints(4, 2), ints(3, 2)), lambda i, j: (i, slice(None), j)),
            ("position", (STAR, 2), (ints(4, 2),), lambda i: (i, 2)),
            ("position_apart", (1, slice(None), STAR), (ints(3, 2),), lambda i: (1, slice(None), i)),
            ("new_axis", (None, STAR, slice(0, 2)), (ints(4, 2),), lambda i: (None, i, slice(0, 2))),
            ("negative", (STAR, STAR), (ints(0, 3, low=-4), ints(0, 3, low=-5)), lambda i, j: (i, j)),
            ("no_axes", (STAR,), (ints(4),), lambda i: (i,)),
        )
    ),
    *(
        row(
            "index_at",
            floats(4, 5),
            mask,
            ref=lambda x, i, index, numpy=numpy: x[numpy(i)],
            index=index,
            torch=None,
            note=note,
        )
        for note, index, mask, numpy in (
            ("mask", (STAR,), bools(4, 5), lambda m: (m,)),
            ("mask_rows", (STAR,), bools(4), lambda m: (m,)),
            ("mask_columns", (slice(None), STAR), bools(5), lambda m: (slice(None), m)),
            ("mask_position", (STAR, 1), bools(4), lambda m: (m, 1)),
        )
    ),
    row(
        "index_sum",
        floats(2, 3, 5),
        ints(4, 2, 3),
        ref=added((4, 5), lambda i: (i,)),
        index=(STAR,),
        shape=(4, 5),
        torch=None,
        opset=16,
        dynamic=False,
    ),
    row(
        "index_sum",
        floats(3, 2, 5),
        ints(4, 2),
        ref=added((3, 4, 5), lambda i: (slice(None), i)),
        index=(slice(None), STAR),
        shape=(3, 4, 5),
        torch=None,
        opset=16,
        dynamic=False,
        note="middle",
    ),
    row(
        "index_sum",
        floats(3, 5),
        ints(4, 3),
        ints(6, 3),
        ref=added((4, 6, 5), lambda i, j: (i, j)),
        index=(STAR, STAR),
        shape=(4, 6, 5),
        torch=None,
        opset=16,
        dynamic=False,
        note="two",
    ),
    row(
        "index_sum",
        floats(2, 5),
        ints(4, 2),
        ints(6, 2),
        ref=added((4, 5, 6), lambda i, j: (i, slice(None), j)),
        index=(STAR, slice(None), STAR),
        shape=(4, 5, 6),
        torch=None,
        opset=16,
        dynamic=False,
        note="apart",
    ),
    row(
        "index_sum",
        floats(2),
        np.array([True, False, True]),
        ref=added((3,), lambda m: (m,)),
        index=(STAR,),
        shape=(3,),
        torch=None,
        opset=16,
        dynamic=False,
        note="mask",
    ),
    row(
        "getitem",
        floats(4, 5),
        ints(4, 3),
        ref=lambda x, i: x[i, 1:3],
        call=lambda f, x, i: f(x, (i, slice(1, 3))),
        torch=None,
        note="tensor",
    ),
    row("getitem", floats(4, 5), ref=lambda x: x[[0, 2]], call=lambda f, x: f(x, [0, 2]), torch=None, note="list"),
    # --- along one axis
    row(
        "gather_at", floats(3, 4), ints(3, 2, 4), ref=lambda x, i, dim: np.take_along_axis(x, i, dim), dim=0, torch=None
    ),
    row(
        "gather_at",
        floats(3, 4),
        ints(3, 2, 2),
        ref=lambda x, i, dim: np.take_along_axis(x[:, :2], i, dim),
        dim=0,
        torch=None,
        note="smaller",
    ),
    row(
        "gather_sum",
        floats(3, 2),
        ints(4, 3, 2),
        ref=scatter_sum,
        dim=1,
        shape=(3, 4),
        torch=None,
        opset=16,
        dynamic=False,
    ),
    row(
        "gather_sum",
        floats(2, 2),
        ints(3, 2, 2),
        ref=scatter_sum,
        dim=0,
        shape=(3, 4),
        torch=None,
        opset=16,
        dynamic=False,
        note="smaller",
    ),
    row(
        "scatter_at",
        floats(2, 4),
        DISTINCT,
        floats(2, 2),
        ref=lambda x, i, s, dim: put(x, i, s, dim),
        dim=1,
        torch=None,
        dynamic=False,
    ),
    row(
        "ordered",
        floats(3, 4),
        ref=lambda x, k, dim, descending: order(x, dim, k),
        k=2,
        dim=0,
        descending=False,
        torch=None,
    ),
    row(
        "nonzero",
        np.array([[0, 3], [4, 0]]),
        ref=lambda x, as_tuple: np.nonzero(x),
        as_tuple=True,
        note="tuple",
        derivative=False,
    ),
    row(
        "nonzero",
        np.array(2.0),
        ref=lambda x, as_tuple: np.array([0]),
        as_tuple=True,
        note="no_axes",
        derivative=False,
        dynamic=False,
    ),
    row("sort", floats(3, 4), ref=lambda x: order(x, -1)),
    row(
        "sort", floats(3, 4), ref=lambda x, dim, descending: order(-x, 0, sign=-1), dim=0, descending=True, note="down"
    ),
    row(
        "sort",
        np.array([2, 1, 2, 1, 2]),
        ref=lambda x, descending, stable: (np.array([2, 2, 2, 1, 1]), np.array([0, 2, 4, 1, 3])),
        descending=True,
        stable=True,
        note="ties",
    ),
    row("argsort", floats(3, 4), ref=lambda x, dim: x.argsort(dim), dim=1, derivative=False),
    row("topk", floats(3, 4), ref=lambda x, k: order(-x, -1, k, -1), k=2),
    row("topk", floats(3, 4), ref=lambda x, k, dim, largest: order(x, 0, k), k=1, dim=0, largest=False, note="least"),
    row(
        "gather",
        floats(3, 4),
        ints(4, 3, 2),
        ref=lambda x, i: np.take_along_axis(x, i, 1),
        call=lambda f, x, i: f(x, 1, i),
    ),
    row(
        "gather",
        floats(3, 4),
        ints(3, 1, 4),
        ref=lambda x, i: np.take_along_axis(x, i, 0),
        call=lambda f, x, i: f(x, -2, i),
        note="negative",
    ),
    row(
        "scatter",
        floats(2, 4),
        DISTINCT,
        floats(2, 2),
        ref=lambda x, i, s: put(x, i, s, 1),
        call=lambda f, x, i, s: f(x, 1, i, s),
    ),
    row(
        "scatter",
        floats(2, 4),
        DISTINCT,
        floats(3, 3),
        ref=lambda x, i, s: put(x, i, s, 1),
        call=lambda f, x, i, s: f(x, 1, i, s),
        note="larger",
        torch="values",
    ),
    row(
        "scatter",
        floats(2, 4),
        DISTINCT,
        ref=lambda x, i: put(x, i, 7.0, 1),
        call=lambda f, x, i: f(x, 1, i, 7.0),
        note="number",
    ),
    row(
        "scatter_add",
        floats(3, 4),
        ints(3, 5, 4),
        floats(5, 4),
        ref=lambda x, i, s: x + scatter_sum(s, i, 0, x.shape),
        call=lambda f, x, i, s: f(x, 0, i, s),
        opset=16,
    ),
    row("index_select", floats(3, 4), ints(4, 5), ref=lambda x, i: x[:, i], call=lambda f, x, i: f(x, 1, i)),
    row("take", floats(3, 4), ints(12, 2, 2), ref=np.take),
    row("masked_fill", floats(2, 3), bools(3), -1.5, ref=lambda x, m, value: np.where(m, value, x)),
    row(
        "masked_select",
        floats(2, 3),
        bools(2, 3),
        ref=lambda x, m: x[m],
        no_export="the size of the result depends on data",
        note="same",
    ),
    row("masked_select", floats(2, 3), np.array([True, False, True]), ref=lambda x, m: x[:, m].ravel()),
    row("nonzero", bools(3, 4), ref=np.argwhere),
    row(
        "is_class",
        ints(4, 2, 1),
        np.arange(4),
        ref=lambda x, classes, n: x == classes,
        n=4,
        torch=None,
        dynamic=False,
    ),
    row("one_hot", ints(4, 2, 3), ref=lambda x, num_classes: np.eye(4, dtype=I64)[x], num_classes=4),
    *(
        row(
            name,
            floats(3, 4),
            ref=lambda x, diagonal, numpy=numpy: numpy(x, diagonal),
            diagonal=diagonal,
            note=str(diagonal),
            opset=14,
        )
        for name, numpy in {"tril": np.tril, "triu": np.triu}.items()
        for diagonal in (0, 1, -2)
    ),
    row("tril", ints(9, 2, 3, 3), ref=np.tril, note="ints", opset=14),
    row("take_rows", floats(5, 3), ints(5, 2, 4), ref=lambda w, i: w[i], torch=None),
    row("embedding", ints(5, 2, 4), floats(5, 3), ref=lambda i, w: w[i]),
    row(
        "embedding",
        ints(5, 2, 4),
        floats(5, 3),
        ref=lambda i, w, padding_idx: w[i],
        padding_idx=-2,
        note="padding",
        derivative=False,
    ),
]
