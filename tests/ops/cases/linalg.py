"""Rows: matrix products, einsum."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case, floats, ints, row

EQUATIONS = (
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,kj->ik", (2, 3), (4, 3)),
    ("ij,jk", (2, 3), (3, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("bii->b", (2, 3, 3)),
    ("i,j->ij", (2,), (3,)),
    ("i,i->", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 2), (2, 2)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("...i,i->...", (2, 3, 4), (4,)),
    ("i...->...", (2, 3, 4)),
    ("abcd,bd->ac", (2, 3, 2, 4), (3, 4)),
    ("ij,k->", (2, 3), (4,)),
    ("bi,bj->ij", (2, 3), (2, 4)),
)


def weight_gradient(dz, x):
    return np.einsum("ro,ri->oi", dz.reshape(-1, 3), x.reshape(-1, 4))


def recurrent_weight_gradient(dz, first, states):
    first = np.zeros_like(states[:1]) if first is None else first
    return np.einsum("tno,tni->oi", dz, np.concatenate([first, states[:-1]]))


NAMES: list[Case] = [
    *(
        row("matmul", floats(*a), floats(*b), ref=np.matmul, note=f"{a}{b}")
        for a, b in (
            ((2, 3), (3, 4)),
            ((3,), (3,)),
            ((2, 3), (3,)),
            ((3,), (3, 4)),
            ((5, 2, 3), (3, 4)),
            ((5, 2, 3), (5, 3, 4)),
            ((2, 1, 2, 3), (5, 3, 4)),
            ((2, 5, 2, 3), (3,)),
            ((3,), (5, 3, 4)),
            ((2, 3), (5, 3, 4)),
            ((1, 1), (1, 1)),
        )
    ),
    row("matmul", floats(2, 0), floats(0, 3), ref=np.matmul, note="empty"),
    row("matmul", floats(2, 3, 0), floats(0, 4), ref=np.matmul, note="empty_sum", dynamic=False),
    row("matmul", floats(2, 0, 3), floats(3, 4), ref=np.matmul, note="empty_rows", dynamic=False),
    row("matmul", ints(9, 2, 3), ints(9, 3, 4), ref=np.matmul, note="ints"),
    row("linear", floats(2, 3), floats(4, 3), floats(4), ref=lambda x, w, b: x @ w.T + b),
    row("linear", floats(2, 5, 3), floats(4, 3), floats(4), ref=lambda x, w, b: x @ w.T + b, note="three_axes"),
    row("linear", floats(3), floats(4, 3), floats(4), ref=lambda x, w, b: x @ w.T + b, note="vector"),
    row("linear", floats(2, 3), floats(4, 3), None, ref=lambda x, w, b: x @ w.T, note="no_bias"),
    row("linear", floats(2, 5, 3), floats(4, 3), None, ref=lambda x, w, b: x @ w.T, note="three_axes_no_bias"),
    row("linear", floats(2, 3), floats(4, 3), ref=lambda x, w: x @ w.T, note="bias_left_out"),
    row(
        "linear",
        floats(2, 3),
        floats(4, 3),
        floats(4),
        ref=lambda x, w, b: x @ w.T + b,
        call=lambda f, x, w, b: f(x, bias=b, weight=w),
        note="by_name",
    ),
    *(
        row("weight_gradient", floats(*axes, 3), floats(*axes, 4), ref=weight_gradient, torch=None, note=f"{axes}")
        for axes in ((2,), (5, 2), ())
    ),
    *(
        row(
            "recurrent_weight_gradient",
            *(floats(steps, 2, 3), floats(1, 2, 4) if given else None, floats(steps, 2, 4)),
            ref=recurrent_weight_gradient,
            torch=None,
            note=f"{steps}_steps{'_from_a_state' * given}",
        )
        for steps in (5, 1)
        for given in (True, False)
    ),
    row(
        "linear",
        floats(2, 3, 0),
        floats(4, 0),
        floats(4),
        ref=lambda x, w, b: x @ w.T + b,
        note="empty_sum",
        dynamic=False,
    ),
    row("bmm", floats(2, 3, 4), floats(2, 4, 5), ref=np.matmul),
    row("mm", floats(3, 4), floats(4, 5), ref=np.matmul),
    row("mv", floats(3, 4), floats(4), ref=np.matmul),
    row("dot", floats(4), floats(4), ref=np.dot),
    row("outer", floats(3), floats(4), ref=np.outer),
    *(
        row(
            "einsum",
            *(floats(*s) for s in shapes),
            ref=lambda *xs, e=e: np.einsum(e, *xs),
            call=lambda f, *xs, e=e: f(e, *xs),
            note=e,
        )
        for e, *shapes in EQUATIONS
    ),
]
