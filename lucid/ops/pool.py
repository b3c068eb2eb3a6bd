"""Pooling over one axis or two: the largest element, or the mean, under a moving window.

Letters: N batch, C channels, L input positions, T output positions. Axes are pooled one after the other: the largest
of the largest is the largest, and windows of one size have one weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor
from ..tracer.extent import lesser
from ..tracer.op import function
from .conv import numbers, window_max, windows
from .creation import arange, ones
from .elementwise import astype, ge, lt, maximum, where
from .extremum import max
from .math import remainder
from .pad import pad_with
from .reduce import mean, sum
from .scatter import gather
from .shape import reshape_to, unsqueeze

__all__ = [
    "adaptive_avg_pool",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
]


class _Windows(NamedTuple):
    """The windows along one axis.

    Attributes:
        axis: the axis.
        size, stride, dilation: the window, as in a convolution.
        padding: how many elements are added at both ends.
        extra: how many more are added at the end, to complete the last window.
    """

    axis: int
    size: int
    stride: int
    dilation: int
    padding: int
    extra: Any

    def padded(self, x: Tensor, value: float) -> Tensor:
        if self.padding == 0 and type(self.extra) is int and self.extra == 0:
            return x
        before = tuple([self.padding if d == self.axis else 0 for d in range(x.ndim)])
        after = tuple([self.padding + self.extra if d == self.axis else 0 for d in range(x.ndim)])
        return pad_with(x, before, after, value)

    def position(self, tap: Tensor) -> Tensor:
        """Returns where the elements lie that stand at some place in their windows."""
        first = arange(tap.shape[self.axis]) * self.stride - self.padding
        found = tap * self.dilation + reshape_to(first, shape=(-1, *[1] * (tap.ndim - 1 - self.axis)))
        # In a window of nothing but -inf the first is that of the padding; the first element comes next.
        return where(lt(found, 0), remainder(found, self.dilation), found) if self.padding else found

    def sums(self, x: Tensor) -> Tensor:
        """Adds up each window."""
        taps = windows(self.padded(x, 0.0), size=self.size, stride=self.stride, dilation=1, axis=self.axis)
        return sum(taps, self.axis)


def _windows(
    name: str, x: Tensor, axes: int, size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> Iterator[_Windows]:
    """Yields the windows along each axis, the last one first."""
    _check_axes(name, x, axes)
    sizes = numbers(name, axes, "kernel_size", size)
    strides = sizes if stride is None or stride == () else numbers(name, axes, "stride", stride)
    paddings = numbers(name, axes, "padding", padding, least=0)
    gaps = numbers(name, axes, "dilation", dilation)
    for i in reversed(range(axes)):
        n, k, step, added = x.shape[i - axes], sizes[i], strides[i], paddings[i]
        if 2 * added > k:
            raise ShapeError(f"{name}: padding must be at most half of kernel_size={k}; got {added}")
        reach = gaps[i] * (k - 1) + 1
        ragged = ceil and step > 1
        if n + 2 * added + (step - 1 if ragged else 0) < reach:
            raise ShapeError(
                f"{name}: the window reaches over {reach} positions, but there are {n} and {2 * added} of padding"
            )
        extra: Any = 0
        if ragged:
            # The last window may reach beyond the end, but it must begin before the padding at the end.
            count = lesser(1 - (reach - n - 2 * added) // step, -(-(n + added) // step))
            extra = (count - 1) * step + reach - n - 2 * added
        yield _Windows(x.ndim - axes + i, k, step, gaps[i], added, extra)


def _check_axes(name: str, x: Tensor, axes: int) -> None:
    if x.ndim not in (axes + 1, axes + 2):
        wanted = "(N, C, L) or (C, L)" if axes == 1 else "(N, C, H, W) or (C, H, W)"
        raise ShapeError(f"{name}: expected an input {wanted}; got shape {x.shape}")


def _max_pool(
    name: str, axes: int, x: Tensor, size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, places: bool
) -> Any:
    least = float("-inf") if x.is_floating_point() else np.iinfo(x.dtype).min
    width, found = x.shape[-1], None
    for w in _windows(name, x, axes, size, stride, padding, dilation, ceil):
        x, tap = window_max(w.padded(x, least), size=w.size, stride=w.stride, dilation=w.dilation, axis=w.axis)
        if places:
            row = w.position(tap)
            found = row if found is None else row * width + gather(found, w.axis, row)
    return (x, found) if places else x


def _avg_pool(
    name: str, axes: int, x: Tensor, size: Any, stride: Any, padding: Any, ceil: bool, include: bool, divisor: Any
) -> Tensor:
    if divisor is not None and divisor == 0:
        raise ValueError(f"{name}: divisor_override must not be 0")
    total, weight = x, 1
    for w in _windows(name, x, axes, size, stride, padding, 1, ceil):
        total = w.sums(total)
        if divisor is not None:
            continue
        if not (ceil and w.stride > 1) and (include or w.padding == 0):
            weight *= w.size
            continue
        # A window at an edge counts what it covers.
        line = w._replace(axis=0)
        covered = ones(x.shape[w.axis], dtype=x.dtype)
        if include:
            covered = pad_with(covered, (w.padding,), (w.padding,), 1.0)
            line = line._replace(padding=0)
        total = total / reshape_to(line.sums(covered), shape=(-1, *[1] * (x.ndim - 1 - w.axis)))
    return total / (weight if divisor is None else divisor)


def _bins(name: str, axes: int, x: Tensor, output_size: Any) -> Iterator[tuple[int, int | None]]:
    """Yields each axis, and the number of bins that it is cut into; None for as many as it has elements."""
    _check_axes(name, x, axes)
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * axes
    if len(given) != axes or not all(n is None or (isinstance(n, int) and n > 0) for n in given):
        raise ValueError(f"{name}: output_size must be positive ints or None, one for each axis; got {output_size!r}")
    for i, count in enumerate(given):
        axis = x.ndim - axes + i
        if x.shape[axis] == 0:
            raise ShapeError(f"{name}: axis {axis} has no elements; got shape {x.shape}")
        yield axis, count


def _binned(x: Tensor, axis: int, count: int, other: float) -> tuple[Tensor, Tensor]:
    """Repeats an axis for each of its bins, with `other` outside the bin; and the number of elements in each.

    Bin i of the L elements begins at floor(i L / count), and ends before ceil((i + 1) L / count).
    """
    n = x.shape[axis]
    first = arange(count) * n // count
    end = -(-(arange(1, count + 1) * n) // count)
    place = arange(n)
    inside = ge(place, unsqueeze(first, 1)) & lt(place, unsqueeze(end, 1))
    behind = [1] * (x.ndim - 1 - axis)
    inside = reshape_to(inside, shape=(count, n, *behind))
    return where(inside, unsqueeze(x, axis), other), reshape_to(end - first, shape=(count, *behind))


def adaptive_avg_pool(name: str, axes: int, x: Tensor, output_size: Any) -> Tensor:
    """Cuts the last axes into bins and returns the means; see `adaptive_avg_pool1d`."""
    for axis, count in _bins(name, axes, x, output_size):
        if count == 1:
            x = mean(x, axis, True)
        elif count is not None:
            spread, covered = _binned(x, axis, count, 0.0)
            x = sum(spread, axis + 1) / astype(covered, x.dtype)
    return x


def _adaptive_max_pool(name: str, axes: int, x: Tensor, output_size: Any, places: bool) -> Any:
    width, found = x.shape[-1], None
    for axis, count in reversed(list(_bins(name, axes, x, output_size))):
        n = x.shape[axis]
        bins = n if count is None else count
        if bins == 1:
            x, row = max(x, axis, True)
        else:
            x, row = max(_binned(x, axis, bins, float("-inf"))[0], axis + 1)
            if places:
                # Of a bin of nothing but -inf, it is the first.
                row = maximum(row, reshape_to(arange(bins) * n // bins, shape=(-1, *[1] * (x.ndim - 1 - axis))))
        if places:
            found = row if found is None else row * width + gather(found, axis, row)
    return (x, found) if places else x


@function
def max_pool1d(
    input: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    dilation: int | tuple[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Returns the largest element under a moving window; of equal ones, the first gets the gradient
    (torch.nn.functional.max_pool1d).

    Args:
        input: the sequences.
        kernel_size: K, the number of elements in a window.
        stride: how far the window moves from one output to the next; K if None.
        padding: how many elements, of -inf, are added at both ends; at most K / 2.
        dilation: how far apart the elements of a window are.
        ceil_mode: whether a window may reach beyond the end.
        return_indices: also return where the elements lie.

    Shape:
        input: (N, C, L) or (C, L); the result: the same with T = (L + 2 * padding - dilation * (K - 1) - 1) // stride
        + 1 for L; with ceil_mode, the quotient is rounded up. With return_indices, a pair of this shape; the indices
        are int64, from 0 to L - 1.

    Raises:
        ShapeError: the input has other axes, or is shorter than the window. ValueError: an option is out of range.

    >>> lucid.nn.functional.max_pool1d(lucid.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[3., 2.]]])
    """
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@function
def max_pool2d(
    input: Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Returns the largest element under a window that moves over two axes (torch.nn.functional.max_pool2d).

    The options are those of `max_pool1d`; a number counts for both axes.

    Shape:
        input: (N, C, H, W) or (C, H, W); the result: the same with H and W pooled. Indices count row by row, from 0 to
        H * W - 1.

    >>> lucid.nn.functional.max_pool2d(lucid.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 2)
    tensor([[[3.]]])
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@function
def avg_pool1d(
    input: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Returns the mean under a moving window (torch.nn.functional.avg_pool1d).

    Args:
        input: the sequences.
        kernel_size: K, the number of elements in a window.
        stride: how far the window moves from one output to the next; K if None.
        padding: how many zeros are added at both ends; at most K / 2.
        ceil_mode: whether a window may reach beyond the end; what is beyond does not count.
        count_include_pad: whether the padding counts as elements.

    Shape:
        input: (N, C, L) or (C, L); the result: the same with T = (L + 2 * padding - K) // stride + 1 for L; with
        ceil_mode, the quotient is rounded up.

    Raises:
        ShapeError: the input has other axes, or is shorter than the window. ValueError: an option is out of range.

    >>> lucid.nn.functional.avg_pool1d(lucid.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[2., 1.]]])
    """
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@function
def avg_pool2d(
    input: Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Returns the mean under a window that moves over two axes (torch.nn.functional.avg_pool2d).

    The options are those of `avg_pool1d`; a number counts for both axes. The sum is divided by `divisor_override`
    instead, if given.

    Shape:
        input: (N, C, H, W) or (C, H, W); the result: the same with H and W pooled.

    >>> lucid.nn.functional.avg_pool2d(lucid.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 2)
    tensor([[[1.5]]])
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@function
def adaptive_avg_pool1d(input: Tensor, output_size: int | tuple[int]) -> Tensor:
    """Cuts a sequence into bins of about equal size and returns their means (torch.nn.functional.adaptive_avg_pool1d).

    Shape:
        input: (N, C, L) or (C, L); the result: the same with output_size for L. Bin i has the elements from
        floor(i L / output_size) up to, but excluding, ceil((i + 1) L / output_size).

    >>> lucid.nn.functional.adaptive_avg_pool1d(lucid.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[2., 1.]]])
    """
    return adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


@function
def adaptive_avg_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None] | None) -> Tensor:
    """Cuts two axes into bins, as `adaptive_avg_pool1d`, and returns the means
    (torch.nn.functional.adaptive_avg_pool2d).

    Shape:
        input: (N, C, H, W) or (C, H, W); the result: the same with output_size for (H, W); None keeps an axis.

    >>> lucid.nn.functional.adaptive_avg_pool2d(lucid.tensor([[[1.0, 3.0], [2.0, 0.0]]]), (1, 2))
    tensor([[[1.5, 1.5]]])
    """
    return adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


@function
def adaptive_max_pool1d(input: Tensor, output_size: int | tuple[int], return_indices: bool = False) -> Any:
    """Cuts a sequence into bins, as `adaptive_avg_pool1d`, and returns the largest element of each, with
    return_indices also where it lies (torch.nn.functional.adaptive_max_pool1d).

    >>> lucid.nn.functional.adaptive_max_pool1d(lucid.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[3., 2.]]])
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)
