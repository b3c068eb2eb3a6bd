"""Rows: losses."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case, fixed, floats, ints, row, unit


def nll(x, t, weight=None, ignore=-100):
    x, t = (x[None], t[None]) if x.ndim == 1 else (x, t)
    weight = np.ones(x.shape[1]) if weight is None else weight
    kept = t != ignore
    index = np.where(kept, t, 0)
    w = weight[index] * kept
    return -np.take_along_axis(x, index[:, None], 1)[:, 0] * w, w


def log_softmax(x, dim=1):
    return x - np.log(np.exp(x).sum(dim, keepdims=True))


def mean_of(loss, w):
    return loss.sum() / w.sum()


def smoothed(x, t, eps, weight=None, ignore=-100):
    logs = log_softmax(x)
    hard, w = nll(logs, t, weight, ignore)
    weight = np.ones(x.shape[1]) if weight is None else weight
    spread = -(logs * weight.reshape(-1, *[1] * (x.ndim - 2))).sum(1) * (t != ignore)
    return (1 - eps) * mean_of(hard, w) + eps / x.shape[1] * spread.sum() / w.sum()


def probabilities(x, t, weight=1.0):
    return -(log_softmax(x) * t * weight).sum(1)


def huber(x, y, delta=1.0):
    d = np.abs(x - y)
    return np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def smooth_l1(x, y, beta=1.0):
    d = np.abs(x - y)
    return np.where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta)


def bce(x, t):
    return -(t * np.log(x) + (1 - t) * np.log(1 - x))


def logits(x, t, pos=1.0):
    p = 1 / (1 + np.exp(-x))
    return -(pos * t * np.log(p) + (1 - t) * np.log(1 - p))


def cosine(x, y, dim=1):
    return (x * y).sum(dim) / np.sqrt((x * x).sum(dim) * (y * y).sum(dim))


def distance(x, y, p=2.0, eps=1e-6, keepdim=False):
    return (np.abs(x - y + eps) ** p).sum(-1, keepdims=keepdim) ** (1 / p)


def triplet(a, p, n, margin=1.0, swap=False):
    far = np.minimum(distance(a, n), distance(p, n)) if swap else distance(a, n)
    return np.maximum(distance(a, p) - far + margin, 0).mean()


def gaussian(x, t, v):
    return 0.5 * (np.log(v) + (x - t) ** 2 / v)


def pinball(x, t, q=0.5):
    return np.maximum(q * (t - x), (q - 1) * (t - x))


SAMPLES = {"none": lambda x: x, "mean": np.mean, "sum": np.sum}
TARGETS = np.array([2, 0, -100, 1])


def each_reduction(name, inputs, ref, **options):
    """Returns one row for each reduction."""
    return [
        row(
            name,
            *inputs,
            ref=lambda *xs, reduction, how=how, **kw: how(ref(*xs, **kw)),
            reduction=reduction,
            note=reduction,
            **options,
        )
        for reduction, how in SAMPLES.items()
    ]


def less_one_at(x, t, dim, ignore_index):
    return x - (np.arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2)) == t[:, None])


NAMES: list[Case] = [
    row(
        "class_losses",
        floats(4, 3),
        TARGETS,
        None,
        ref=lambda x, t, w, **_: (*nll(log_softmax(x), t), np.exp(log_softmax(x))),
        dim=1,
        ignore_index=-100,
        torch=None,
    ),
    row(
        "class_losses",
        floats(2, 3, 5),
        ints(3, 2, 5),
        fixed(3),
        ref=lambda x, t, w, **_: (*nll(log_softmax(x), t, w, 1), np.exp(log_softmax(x))),
        dim=1,
        ignore_index=1,
        torch=None,
        note="weights",
    ),
    row("product_or_zero", floats(4), fixed(4), ref=np.multiply, torch=None),
    row(
        "product_or_zero",
        np.array([np.inf, np.nan, 2.0]),
        np.array([0.0, 0.0, 3.0]),
        ref=lambda x, w: np.array([0.0, 0.0, 6.0]),
        torch=None,
        note="zero",
        derivative=False,
    ),
    row("less_one_at", floats(4, 3), ints(3, 4), ref=less_one_at, dim=1, ignore_index=-100, torch=None, dynamic=False),
    row(
        "less_one_at",
        floats(2, 3, 5),
        ints(3, 2, 5),
        ref=less_one_at,
        dim=1,
        ignore_index=-100,
        torch=None,
        note="positions",
        dynamic=False,
    ),
    *each_reduction("mse_loss", (floats(2, 3), floats(2, 3)), lambda x, y: (x - y) ** 2),
    *each_reduction("l1_loss", (floats(2, 3), floats(2, 3)), lambda x, y: np.abs(x - y)),
    *each_reduction("smooth_l1_loss", (floats(2, 3), floats(2, 3)), smooth_l1, attrs={"beta": 0.7}),
    *each_reduction("huber_loss", (floats(2, 3), floats(2, 3)), huber, attrs={"delta": 0.7}),
    *each_reduction("binary_cross_entropy", (unit(2, 3), unit(2, 3)), bce),
    row(
        "binary_cross_entropy",
        unit(2, 3),
        unit(2, 3),
        fixed(3),
        ref=lambda x, t, w: (bce(x, t) * w).mean(),
        call=lambda f, x, t, w: f(x, t, w),
        note="weight",
    ),
    *each_reduction("binary_cross_entropy_with_logits", (floats(2, 3), unit(2, 3)), logits),
    row(
        "binary_cross_entropy_with_logits",
        floats(2, 3),
        unit(2, 3),
        fixed(2, 3),
        fixed(3),
        ref=lambda x, t, w, p: (logits(x, t, p) * w).mean(),
        call=lambda f, x, t, w, p: f(x, t, w, pos_weight=p),
        note="weights",
    ),
    row(
        "binary_cross_entropy_with_logits",
        np.array([900.0, -900.0]),
        np.array([0.0, 1.0]),
        ref=lambda x, t: 900.0,
        note="extremes",
    ),
    *each_reduction("kl_div", (floats(2, 3), unit(2, 3)), lambda x, t: t * (np.log(t) - x)),
    row(
        "kl_div",
        floats(2, 3),
        unit(2, 3),
        ref=lambda x, t, reduction: (t * (np.log(t) - x)).sum() / 2,
        reduction="batchmean",
        note="batchmean",
    ),
    row(
        "kl_div",
        floats(2, 3),
        floats(2, 3),
        ref=lambda x, t, log_target, reduction: (np.exp(t) * (t - x)).sum(),
        log_target=True,
        reduction="sum",
        note="log_target",
    ),
    row(
        "kl_div",
        floats(3),
        np.array([0.0, 0.5, 0.5]),
        ref=lambda x, t, reduction: (np.where(t > 0, t * np.log(np.where(t > 0, t, 1)), 0) - t * x).sum(),
        reduction="sum",
        note="zero",
        derivative=False,
        torch="values",
    ),
    *each_reduction("nll_loss", (floats(4, 3), ints(3, 4)), lambda x, t: nll(x, t)[0]),
    row("nll_loss", floats(3), np.array(1), ref=lambda x, t: -x[1], note="no_batch"),
    row(
        "nll_loss",
        floats(2, 3, 5),
        ints(3, 2, 5),
        fixed(3),
        ref=lambda x, t, w: mean_of(*nll(x, t, w)),
        note="positions",
    ),
    row(
        "nll_loss",
        floats(4, 3),
        TARGETS,
        fixed(3),
        ref=lambda x, t, w, reduction: nll(x, t, w)[0].sum(),
        reduction="sum",
        note="ignored",
    ),
    *each_reduction("cross_entropy", (floats(4, 3), ints(3, 4)), lambda x, t: nll(log_softmax(x), t)[0]),
    row("cross_entropy", floats(3), np.array(1), ref=lambda x, t: -log_softmax(x, 0)[1], note="no_batch"),
    row("cross_entropy", floats(4, 3), TARGETS, ref=lambda x, t: mean_of(*nll(log_softmax(x), t)), note="ignored"),
    row(
        "cross_entropy",
        floats(2, 3, 5),
        ints(3, 2, 5),
        fixed(3),
        ref=lambda x, t, w, ignore_index: mean_of(*nll(log_softmax(x), t, w, 1)),
        ignore_index=1,
        note="positions",
    ),
    row(
        "cross_entropy",
        floats(4, 3),
        TARGETS,
        fixed(3),
        ref=lambda x, t, w, label_smoothing: smoothed(x, t, 0.2, w),
        label_smoothing=0.2,
        note="smoothed",
    ),
    row(
        "cross_entropy",
        floats(2, 3, 5),
        ints(3, 2, 5),
        ref=lambda x, t, label_smoothing: smoothed(x, t, 0.1),
        label_smoothing=0.1,
        note="smoothed_positions",
    ),
    *(
        row(
            name,
            floats(2, 3),
            np.array([0, 0]),
            *weight,
            ref=lambda *_, **__: np.nan,
            attrs={"ignore_index": 0, **attrs},
            note=f"all_ignored_{len(weight)}{len(attrs)}",
            derivative=False,
        )
        for name, attrs in (("cross_entropy", {}), ("cross_entropy", {"label_smoothing": 0.1}), ("nll_loss", {}))
        for weight in ((), (fixed(3),))
    ),
    row("cross_entropy", floats(4, 3), unit(4, 3), ref=lambda x, t: probabilities(x, t).mean(), note="probabilities"),
    row(
        "cross_entropy",
        floats(2, 3, 5),
        unit(2, 3, 5),
        fixed(3),
        ref=lambda x, t, w, label_smoothing, reduction: probabilities(x, t * 0.9 + 0.1 / 3, w[:, None]).sum(),
        label_smoothing=0.1,
        reduction="sum",
        note="probabilities_smoothed",
    ),
    row("cosine_similarity", floats(3, 4), floats(3, 4), ref=cosine),
    row("cosine_similarity", floats(3, 1, 4), floats(2, 4), ref=cosine, dim=-1, note="broadcast"),
    row(
        "cosine_similarity",
        np.zeros((1, 3)),
        floats(1, 3),
        ref=lambda x, y: np.zeros(1),
        note="zero",
        torch="values",
        derivative=False,
    ),
    row("pairwise_distance", floats(3, 4), floats(3, 4), ref=distance),
    row("pairwise_distance", floats(3, 4), floats(4), ref=distance, p=3.0, keepdim=True, note="cubes"),
    row("triplet_margin_loss", floats(3, 4), floats(3, 4), floats(3, 4), ref=triplet),
    row(
        "triplet_margin_loss", floats(3, 4), floats(3, 4), floats(3, 4), ref=triplet, margin=3.0, swap=True, note="swap"
    ),
    row(
        "cosine_embedding_loss",
        floats(3, 4),
        floats(3, 4),
        np.array([1, -1, -1]),
        ref=lambda x, y, t: np.where(t == 1, 1 - cosine(x, y), np.maximum(cosine(x, y), 0)).mean(),
    ),
    row(
        "cosine_embedding_loss",
        floats(4),
        floats(4),
        np.array(-1),
        ref=lambda x, y, t, margin, reduction: np.maximum(cosine(x, y, -1) - margin, 0),
        margin=-0.9,
        reduction="none",
        # 1e-12 is added to squares.
        rtol=1e-9,
        note="one",
    ),
    row("gaussian_nll_loss", floats(3, 2), floats(3, 2), unit(3, 2), ref=lambda x, t, v: gaussian(x, t, v).mean()),
    row(
        "gaussian_nll_loss",
        floats(3, 2),
        floats(3, 2),
        unit(3),
        ref=lambda x, t, v, full, reduction: gaussian(x, t, v[:, None]) + 0.5 * np.log(2 * np.pi),
        full=True,
        reduction="none",
        note="rows",
    ),
    row("quantile_loss", floats(3, 2), floats(3, 2), ref=lambda x, t: pinball(x, t).mean(), torch=None),
    row(
        "quantile_loss",
        floats(3, 2),
        floats(3),
        ref=lambda x, t, quantiles, reduction: pinball(x, t[:, None], np.array(quantiles)),
        quantiles=(0.1, 0.8),
        reduction="none",
        torch=None,
        note="several",
    ),
]
