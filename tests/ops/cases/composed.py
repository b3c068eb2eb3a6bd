"""Rows: functions that are composed of others in a line or two."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case, floats, ints, positive, row, unit
from tests.ops.cases.elementwise import each


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x))


def reduced(loss, reduction="mean"):
    return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[reduction]()


def distances(x, y, p=2.0):
    return np.linalg.norm(x[:, None] - y[None], p, -1)


def pieces(x, indices_or_sections, dim):
    return tuple(np.array_split(x, indices_or_sections, axis=dim))


HOLES = np.array([[1.0, np.nan, 3.0], [np.nan, 5.0, -2.0]])
ENDS = np.array([np.nan, np.inf, -np.inf, 1.5])

NAMES: list[Case] = [
    each("addcmul", floats(2, 3), floats(2, 3), floats(2, 3), ref=lambda x, y, z: x + y * z),
    row(
        "addcmul",
        floats(3),
        floats(3),
        floats(3),
        ref=lambda x, y, z, value: x + value * y * z,
        value=0.3,
        note="value",
    ),
    each("addcdiv", floats(2, 3), floats(2, 3), positive(2, 3), ref=lambda x, y, z: x + y / z),
    each("lerp", floats(2, 3), floats(2, 3), floats(2, 3), ref=lambda x, y, weight: x + weight * (y - x)),
    row("lerp", floats(2, 3), floats(3), 0.25, ref=lambda x, y, weight: x + weight * (y - x), note="number"),
    row("clamp_min", floats(2, 3), 0.1, ref=np.maximum),
    row("clamp_max", floats(2, 3), 0.1, ref=np.minimum),
    each("exp2", floats(2, 3), ref=np.exp2),
    each("deg2rad", floats(2, 3), ref=np.deg2rad),
    each("rad2deg", floats(2, 3), ref=np.rad2deg),
    each("logit", unit(2, 3), ref=lambda x: np.log(x / (1 - x))),
    row(
        "logit",
        unit(6),
        ref=lambda x, eps: np.log(np.clip(x, eps, 1 - eps) / (1 - np.clip(x, eps, 1 - eps))),
        eps=0.3,
        note="eps",
    ),
    each("xlogy", floats(2, 3), positive(3), ref=lambda x, y: x * np.log(y)),
    row(
        "xlogy",
        np.array([0.0, 0.0, 2.0]),
        np.array([0.0, 3.0, 1.0]),
        ref=lambda x, y: np.zeros(3),
        torch="values",
        note="of_0",
        derivative=False,
    ),
    row(
        "nan_to_num",
        ENDS,
        ref=lambda x, nan, posinf, neginf: np.array([7.0, 8.0, -9.0, 1.5]),
        nan=7.0,
        posinf=8.0,
        neginf=-9.0,
        derivative=False,
    ),
    row("std_mean", floats(3, 4), ref=lambda x, dim: (x.std(dim, ddof=1), x.mean(dim)), dim=1),
    row("var_mean", floats(3, 4), ref=lambda x, dim: (x.var(dim, ddof=1), x.mean(dim)), dim=0),
    row("nansum", HOLES, ref=lambda x, dim: np.nansum(x, dim), dim=1, derivative=False),
    row("nansum", floats(2, 3), ref=np.nansum, note="all"),
    row("nanmean", HOLES, ref=lambda x, dim: np.nanmean(x, dim), dim=1, derivative=False),
    row("nanmean", floats(2, 3), ref=np.nanmean, note="all"),
    row("aminmax", floats(2, 4), ref=lambda x, dim: (x.min(dim), x.max(dim)), dim=1),
    row("inner", floats(2, 3), floats(4, 3), ref=np.inner),
    row("inner", floats(3), floats(3), ref=np.inner, note="vectors"),
    row("dist", floats(2, 3), floats(2, 3), ref=lambda x, y: np.linalg.norm((x - y).ravel())),
    row("cdist", floats(3, 4), floats(2, 4), ref=distances),
    row("cdist", floats(3, 4), floats(2, 4), 1.0, ref=distances, note="of_1"),
    row("atleast_1d", floats(), ref=np.atleast_1d),
    row("atleast_2d", floats(3), ref=np.atleast_2d),
    row("broadcast_tensors", floats(3), floats(2, 1), ref=lambda x, y: tuple(np.broadcast_arrays(x, y)), dynamic=False),
    row(
        "column_stack",
        floats(3),
        floats(3, 2),
        ref=lambda x, y: np.column_stack([x, y]),
        call=lambda f, x, y: f([x, y]),
    ),
    row("fliplr", floats(2, 3), ref=np.fliplr),
    row("flipud", floats(2, 3), ref=np.flipud),
    row("tensor_split", floats(2, 5), 2, 1, ref=pieces, dynamic=False),
    row("tensor_split", floats(5, 2), (1, 3), 0, ref=pieces, dynamic=False, note="places"),
    row("argwhere", ints(2, 3, 4), ref=np.argwhere),
    row("addmv", floats(2), floats(2, 3), floats(3), ref=lambda x, y, z: x + y @ z),
    row(
        "baddbmm",
        floats(2, 3, 2),
        floats(2, 3, 4),
        floats(2, 4, 2),
        ref=lambda x, y, z, beta, alpha: beta * x + alpha * y @ z,
        beta=0.5,
        alpha=2.0,
    ),
    row("diag_embed", floats(2, 3), ref=lambda x: x[..., None] * np.eye(3)),
    row("diag_embed", floats(3), ref=lambda x, offset: np.diag(x, offset), offset=-1, note="below"),
    row(
        "bucketize",
        floats(2, 3),
        np.array([-0.5, 0.1, 0.8]),
        ref=lambda x, ends: np.searchsorted(ends, x),
        derivative=False,
    ),
    each("selu", floats(2, 3), ref=lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    each("celu", floats(2, 3), ref=elu),
    row("celu", floats(2, 3), 0.5, ref=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x / alpha)), note="alpha"),
    each("mish", floats(2, 3), ref=lambda x: x * np.tanh(np.logaddexp(0, x))),
    each("hardsigmoid", floats(2, 3), ref=lambda x: np.clip(x + 3, 0, 6) / 6, torch="values"),
    each("hardswish", floats(2, 3), ref=lambda x: x * np.clip(x + 3, 0, 6) / 6),
    each("softsign", floats(2, 3), ref=lambda x: x / (1 + abs(x))),
    each("tanhshrink", floats(2, 3), ref=lambda x: x - np.tanh(x)),
    row("softmin", floats(2, 3), 1, ref=lambda x, dim: np.exp(-x) / np.exp(-x).sum(dim, keepdims=True)),
    each("softshrink", floats(2, 3), ref=lambda x: np.sign(x) * np.maximum(abs(x) - 0.5, 0)),
    each("hardshrink", floats(2, 3), ref=lambda x: np.where(abs(x) > 0.5, x, 0)),
    row("threshold", floats(2, 3), 0.1, 20.0, ref=lambda x, limit, value: np.where(x > limit, x, value)),
    row(
        "margin_ranking_loss",
        floats(4),
        floats(4),
        np.array([1.0, -1.0, 1.0, -1.0]),
        0.3,
        ref=lambda x, y, t, m: np.maximum(0, m - t * (x - y)).mean(),
    ),
    row(
        "hinge_embedding_loss",
        floats(4),
        np.array([1, -1, 1, -1]),
        ref=lambda x, t, margin, reduction: np.where(t == 1, x, np.maximum(0, margin - x)),
        margin=1.5,
        reduction="none",
    ),
    row(
        "soft_margin_loss",
        floats(4),
        np.array([1, -1, 1, -1]),
        ref=lambda x, t: np.log1p(np.exp(-t * x)).mean(),
    ),
    row("poisson_nll_loss", floats(4), np.array([1.0, 0.0, 2.0, 3.0]), ref=lambda x, t: (np.exp(x) - t * x).mean()),
    row(
        "poisson_nll_loss",
        positive(4),
        np.array([1.0, 0.0, 2.0, 3.0]),
        ref=lambda x, t, log_input: (x - t * np.log(x + 1e-8)).mean(),
        log_input=False,
        note="counts",
    ),
]
