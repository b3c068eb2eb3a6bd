"""Connectionist temporal classification.

Letters: T time, N batch, C classes, L labels of a target, S = 2 L + 1 labels with a blank before, between and after
them.

At each step a path through the labels may stay, go on to the next label, or skip a blank between two different labels.
One recurrence over time sums the probabilities of the paths, as logarithms. Its gradient is a linear recurrence in the
other direction, whose own gradient is the same recurrence again, so there are gradients of every order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.dim import concrete
from ..tracer.mode import note
from ..tracer.op import Array, function
from .creation import arange, full
from .elementwise import astype, eq, exp, lt, maximum, ne, where
from .index import getitem
from .loss import Reduction, reduced
from .math import logaddexp
from .pad import pad_with
from .scatter import gather_at
from .shape import cat, expand_to, reshape_to, stack, unsqueeze

__all__ = ["ctc_loss"]

NEVER = -1e30
"""The logarithm of probability zero: finite, so that no difference of two of them is NaN."""


@op
def ctc_paths(emissions: Array, skips: Array, /) -> Array:
    """Computes the log-probability of all paths that end at each label, for each step.

    a_t(s) = e_t(s) + log(exp a_(t-1)(s) + exp a_(t-1)(s-1) + exp(a_(t-1)(s-2) + skip(s)))

    Shape:
        emissions: (T, N, S); skips: (N, S), 0 where a blank may be skipped and `NEVER` elsewhere; the result:
        (T, N, S).
    """
    out = np.array(emissions)
    out[0, :, 2:] += NEVER
    total, part = np.empty_like(out[0]), np.empty_like(out[0])
    padded = np.full((out.shape[1], out.shape[2] + 2), NEVER, out.dtype)
    stay, step, skip = padded[:, 2:], padded[:, 1:-1], padded[:, :-2]
    top = np.empty_like(total)
    passed = np.empty_like(total)
    for before, now in pairwise(out):
        stay[...] = before
        np.add(skip, skips, out=passed)
        np.maximum(stay, step, out=top)
        np.maximum(top, passed, out=top)
        np.exp(np.subtract(stay, top, out=total), out=total)
        for other in (step, passed):
            np.exp(np.subtract(other, top, out=part), out=part)
            total += part
        np.log(total, out=total)
        total += top
        now += total
    return out


@ctc_paths.vjp
def _(g: Tensor, emissions: Tensor, skips: Tensor, out: Tensor) -> Any:
    before, arrived = out[:-1], (out - emissions)[1:]
    stay = exp(before - arrived)
    step = exp(_after(before, 1, NEVER) - arrived)
    skip = exp(_after(before, 2, NEVER) + skips - arrived)
    return band_scan(g, stay, step, skip, reverse=True), None


@op
def band_scan(g: Array, stay: Array, step: Array, skip: Array, /, reverse: bool) -> Array:
    """Runs a linear recurrence over time in which each position depends on itself and the two before it.

    z_t(s) = g_t(s) + stay_t(s) z_(t-1)(s) + step_t(s) z_(t-1)(s-1) + skip_t(s) z_(t-1)(s-2), or, if `reverse`, its
    transpose: z_t(s) = g_t(s) + (stay z)_(t+1)(s) + (step z)_(t+1)(s+1) + (skip z)_(t+1)(s+2).

    Shape:
        g: (T, N, S); stay, step, skip: (T - 1, N, S), their first entry for the step from 0 to 1; the result: (T, N,
        S).
    """
    out = np.array(g)
    product = np.empty_like(out[0])
    for t in range(len(out) - 2, -1, -1) if reverse else range(len(out) - 1):
        here, there = (out[t], out[t + 1]) if reverse else (out[t + 1], out[t])
        for distance, weight in enumerate((stay[t], step[t], skip[t])):
            if reverse:
                np.multiply(weight, there, out=product)
                here[:, : here.shape[1] - distance] += product[:, distance:]
            else:
                end = max(there.shape[1] - distance, 0)
                here[:, distance:] += weight[:, distance:] * there[:, :end]
    return out


@band_scan.vjp
def _(g: Tensor, stay: Tensor, step: Tensor, skip: Tensor, out: Tensor, needs: tuple[bool, ...], reverse: bool) -> Any:
    other = band_scan(g, stay, step, skip, reverse=not reverse)
    first, second = (other, out) if reverse else (out, other)
    weights = [_after(first[:-1], k, 0.0) * second[1:] if needs[1 + k] else None for k in range(3)]
    return other, *weights


def _after(x: Tensor, distance: int, value: float) -> Tensor:
    """Shifts the elements of the last axis by `distance` positions, and fills the start with `value`."""
    return pad_with(x, (0, 0, distance), (0, 0, -distance), value) if distance else x


@function
def ctc_loss(
    log_probs: Tensor,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Computes the negative log-probability of a target, over all its alignments (torch.nn.functional.ctc_loss).

    The gradient is with respect to `log_probs`. PyTorch's is with respect to the scores of which `log_probs` is the
    `log_softmax`; after the backward pass of `log_softmax` the two agree.

    Args:
        log_probs: the logarithms of the probabilities of each class at each step.
        targets: the labels, padded or concatenated; none of them is `blank`.
        input_lengths: the number of steps of each sequence, from 1 to T.
        target_lengths: the number of labels of each target.
        blank: the class that stands for no label.
        reduction: "mean" for the mean over the batch of the losses divided by the target lengths, "sum", or "none".
        zero_infinity: return 0 instead of an infinite loss where a target does not fit into its sequence.

    Shape:
        log_probs: (T, N, C) or (T, C); targets: (N, L) or (sum of target_lengths,); input_lengths, target_lengths:
        (N,);
        the result: (N,) if not reduced.

    Raises:
        ShapeError: the shapes do not fit. AxisError: a length or a label is out of range.

    Source: A. Graves et al. (2006), "Connectionist temporal classification".

    >>> log_probs = lucid.log_softmax(lucid.zeros(2, 1, 2), -1)
    >>> lucid.nn.functional.ctc_loss(log_probs, lucid.tensor([[1]]), [2], [1])
    tensor(0.2877)
    """
    single = log_probs.ndim == 2
    note(log_probs, *("time", "batch", None)[: log_probs.ndim - 1])
    if single:
        log_probs = unsqueeze(log_probs, 1)
    if log_probs.ndim != 3 or not log_probs.is_floating_point():
        raise ShapeError(
            f"ctc_loss: log_probs must be numbers (T, N, C) or (T, C); got {log_probs.dtype}{list(log_probs.shape)}"
        )
    steps, batch, classes = log_probs.shape
    lengths, counts = (_lengths(given, batch) for given in (input_lengths, target_lengths))
    labels = _labels(targets, counts, batch, single)
    _check(lengths, counts, labels, steps, classes, blank)
    size = labels.shape[1]
    # A blank before each label, and one after the last.
    blanks = full((batch, size), blank, dtype=np.int64)
    pairs = reshape_to(stack([blanks, labels], 2), shape=(batch, 2 * size))
    extended = cat([pairs, full((batch, 1), blank, dtype=np.int64)], 1)
    differs = ne(extended, pad_with(extended, (0, 2), (0, -2), blank)) & ne(extended, blank)
    skips = where(differs, full((), 0.0, dtype=log_probs.dtype), NEVER)
    index = expand_to(extended, shape=(steps, batch, 2 * size + 1))
    emissions = maximum(gather_at(log_probs, index, dim=2), NEVER)
    # The content of the padding must not reach the gradient, and 0 * NaN is NaN.
    counts_at = lt(unsqueeze(arange(steps), 1), lengths)
    paths = ctc_paths(where(unsqueeze(counts_at, -1), emissions, 0.0), skips)
    last = getitem(paths, (lengths - 1, arange(batch)))
    ends = unsqueeze(counts * 2, 1)
    at_blank = gather_at(last, ends, dim=1)[:, 0]
    at_label = gather_at(last, maximum(ends - 1, 0), dim=1)[:, 0]
    total = logaddexp(at_blank, where(eq(counts, 0), NEVER, at_label))
    impossible = lt(total, NEVER / 2)
    loss = where(impossible, 0.0 if zero_infinity else float("inf"), -total)
    if reduction == "mean":
        return (loss / astype(maximum(counts, 1), loss.dtype)).mean()
    return reduced("ctc_loss", loss[0] if single and reduction == "none" else loss, reduction)


def _lengths(given: Any, batch: int) -> Tensor:
    lengths = as_tensor(given)
    if lengths.dtype.kind not in "iu":
        raise DtypeError(f"ctc_loss: lengths must be integers; got {lengths.dtype}")
    if lengths.ndim == 0:
        lengths = unsqueeze(lengths, 0)
    if lengths.shape != (batch,):
        raise ShapeError(f"ctc_loss: a length for each of {batch} sequences; got shape {lengths.shape}")
    return lengths if lengths.dtype == np.int64 else astype(lengths, np.dtype(np.int64))


def _labels(targets: Any, counts: Tensor, batch: int, single: bool) -> Tensor:
    """Returns the targets, padded to one length."""
    labels = as_tensor(targets)
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"ctc_loss: targets must be integers; got {labels.dtype}")
    if labels.ndim == 1 and single:
        labels = unsqueeze(labels, 0)
    elif labels.ndim == 1:
        ends: Sequence[int] = np.cumsum(counts.tolist()).tolist()
        if not ends or ends[-1] != labels.shape[0]:
            raise ShapeError(
                f"ctc_loss: target_lengths add up to {ends[-1] if ends else 0}, but there are {labels.shape[0]} labels"
            )
        widest = int(max(counts.tolist()))
        rows = [labels[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        labels = stack([pad_with(row, (0,), (widest - row.shape[0],)) for row in rows])
    if labels.ndim != 2 or labels.shape[0] != batch:
        raise ShapeError(f"ctc_loss: targets must be (N, L), with N={batch}, or in one row; got shape {labels.shape}")
    return labels if labels.dtype == np.int64 else astype(labels, np.dtype(np.int64))


def _check(lengths: Tensor, counts: Tensor, labels: Tensor, steps: int, classes: int, blank: int) -> None:
    steps, classes, width = concrete(steps), concrete(classes), labels._data.shape[1]
    if not 0 <= blank < classes:
        raise AxisError(f"ctc_loss: blank must be one of {classes} classes; got {blank}")
    if lengths._data.size and not (lengths._data.min() >= 1 and lengths._data.max() <= steps):
        raise AxisError(f"ctc_loss: input_lengths must be from 1 to {steps}; got {lengths._data.tolist()}")
    if counts._data.size and not (counts._data.min() >= 0 and counts._data.max() <= width):
        raise AxisError(f"ctc_loss: target_lengths must be from 0 to {width}; got {counts._data.tolist()}")
    given = labels._data[np.arange(width) < counts._data[:, None]]
    if given.size and not (given.min() >= 0 and given.max() < classes and not (given == blank).any()):
        raise AxisError(
            f"ctc_loss: labels must be classes from 0 to {classes - 1} other than blank={blank}; got {given.tolist()}"
        )
