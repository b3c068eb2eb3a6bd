"""Rows: connectionist temporal classification (CTC), compared with the sum over all paths."""

from __future__ import annotations

from itertools import product

import numpy as np

from tests.ops.case import Case, floats, row, unit

NEVER = -1e30


def collapsed(path, blank):
    labels = [label for i, label in enumerate(path) if i == 0 or label != path[i - 1]]
    return tuple(label for label in labels if label != blank)


def losses(x, targets, blank=0):
    """Returns minus the logarithm of the total probability of all paths that collapse to the target."""
    result = []
    for n, target in enumerate(targets):
        steps = x[n]
        total = sum(
            np.exp(sum(steps[t][label] for t, label in enumerate(path)))
            for path in product(range(steps.shape[1]), repeat=len(steps))
            if collapsed(path, blank) == tuple(target)
        )
        result.append(-np.log(total) if total else np.inf)
    return np.array(result)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def by_hand(x, lengths, targets, blank=0):
    return losses([x[:n, i] for i, n in enumerate(lengths)], targets, blank)


def call(function, x, *rest, **options):
    """Applies log_softmax first: PyTorch's gradient of log_probs is right only behind it."""
    return function(x.log_softmax(-1), *rest, **options)


def band(g, stay, step, skip, reverse):
    """The recurrence with one matrix per step."""
    out = g.copy()
    n = g.shape[2]
    for t in range(len(g) - 2, -1, -1) if reverse else range(len(g) - 1):
        for b in range(g.shape[1]):
            matrix = np.diag(stay[t, b]) + np.diag(step[t, b, 1:], -1) + np.diag(skip[t, b, 2:], -2)
            assert matrix.shape == (n, n)
            if reverse:
                out[t, b] += matrix.T @ out[t + 1, b]
            else:
                out[t + 1, b] += matrix @ out[t, b]
    return out


def paths(e, skips):
    out = np.full_like(e, -np.inf)
    out[0, :, :2] = e[0, :, :2]
    for t, n, s in product(range(1, len(e)), range(e.shape[1]), range(e.shape[2])):
        ways = [out[t - 1, n, s]]
        ways += [out[t - 1, n, s - 1]] if s > 0 else []
        ways += [out[t - 1, n, s - 2]] if s > 1 and skips[n, s] == 0 else []
        out[t, n, s] = e[t, n, s] + np.logaddexp.reduce(ways)
    return np.maximum(out, NEVER)


TARGETS = np.array([[1, 2], [2, 2]])
SKIPS = np.array([[NEVER, NEVER, NEVER, 0.0, NEVER], [NEVER] * 5])

NAMES: list[Case] = [
    row("ctc_paths", floats(5, 2, 5), SKIPS, ref=lambda e, s: paths(e, s), torch=None, derivative=False, dynamic=False),
    *(
        row(
            "band_scan",
            floats(4, 2, 5),
            unit(3, 2, 5),
            unit(3, 2, 5),
            unit(3, 2, 5),
            ref=band,
            reverse=reverse,
            torch=None,
            note=str(reverse),
            dynamic=False,
        )
        for reverse in (True, False)
    ),
    row(
        "ctc_loss",
        floats(4, 2, 3),
        TARGETS,
        np.array([4, 3]),
        np.array([2, 2]),
        ref=lambda x, t, n, m: by_hand(log_softmax(x), n, t),
        call=lambda f, *xs: call(f, *xs, reduction="none"),
    ),
    row(
        "ctc_loss",
        floats(4, 2, 3),
        np.array([1, 2, 1]),
        np.array([4, 3]),
        np.array([2, 1]),
        ref=lambda x, t, n, m: (by_hand(log_softmax(x), n, [[1, 2], [1]]) / [2, 1]).mean(),
        call=call,
        note="in_a_row",
        no_export="where each target ends depends on data",
    ),
    row(
        "ctc_loss",
        floats(4, 1, 3),
        np.array([[0, 0]]),
        np.array([4]),
        np.array([1]),
        ref=lambda x, t, n, m: by_hand(log_softmax(x), n, [[0]], 2).sum(),
        call=lambda f, *xs: call(f, *xs, blank=2, reduction="sum"),
        note="blank",
    ),
    row(
        "ctc_loss",
        floats(3, 2, 3),
        np.array([[1, 1], [2, 1]]),
        np.array([2, 3]),
        np.array([2, 2]),
        ref=lambda x, t, n, m: _without_infinity(x, n, t),
        call=lambda f, *xs: call(f, *xs, reduction="none", zero_infinity=True),
        note="impossible",
    ),
    row(
        "ctc_loss",
        floats(3, 2, 3),
        np.array([[1], [2]]),
        np.array([3, 2]),
        np.array([0, 1]),
        ref=lambda x, t, n, m: by_hand(log_softmax(x), n, [[], [2]]),
        call=lambda f, *xs: call(f, *xs, reduction="none"),
        note="no_labels",
    ),
    row(
        "ctc_loss",
        floats(4, 3),
        np.array([1, 2]),
        np.array(4),
        np.array(2),
        ref=lambda x, t, n, m: by_hand(log_softmax(x)[:, None], [4], [t])[0] / 2,
        call=call,
        note="no_batch",
    ),
]


def _without_infinity(x, n, t):
    found = by_hand(log_softmax(x), n, t)
    return np.where(np.isinf(found), 0.0, found)
