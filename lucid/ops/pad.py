"""Padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, op
from ..tracer.extent import whole
from ..tracer.op import Array, function
from .conversion import clone
from .shape import cat, expand_to, flip

__all__ = ["pad"]


@op
def pad_with(x: Array, /, before: tuple[int, ...], after: tuple[int, ...], value: float = 0.0) -> Array:
    """Pads both ends of each axis with one value; negative amounts crop (ONNX Pad)."""
    inner = tuple(slice(max(-b, 0), max(n - max(-a, 0), 0)) for b, a, n in zip(before, after, x.shape, strict=True))
    sizes = [b + n + a for b, a, n in zip(before, after, x.shape, strict=True)]
    if min(sizes, default=0) < 0:
        raise ValueError(f"axes cannot have the sizes {tuple(sizes)}")
    if max(*before, *after, 0, 0) == 0:
        return x[inner].copy()
    out = np.full(sizes, value, x.dtype)
    out[tuple(slice(max(b, 0), n - max(a, 0)) for b, a, n in zip(before, after, sizes, strict=True))] = x[inner]
    return out


@pad_with.vjp
def _(g: Tensor, before: tuple[int, ...], after: tuple[int, ...]) -> Any:
    return pad_with(g, tuple(-n for n in before), tuple(-n for n in after))


@function
def pad(
    x: Tensor,
    pad: Sequence[int],
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant",
    value: float | None = None,
) -> Tensor:
    """Pads the ends of axes (torch.nn.functional.pad).

    Args:
        x: the tensor.
        pad: two amounts per axis, before and after, the last axis first; negative ones crop.
        mode: what the new elements are: "constant", the mirror image ("reflect", without the edge), the edge
            ("replicate"), or the other end ("circular").
        value: the constant; 0 if not given.

    Raises:
        ShapeError: an odd number of amounts, more than there are axes, or more than "reflect" or "circular" can fill.

    >>> lucid.nn.functional.pad(lucid.tensor([1.0, 2.0, 3.0]), (1, 2))
    tensor([0., 1., 2., 3., 0., 0.])
    """
    amounts = [whole(n) for n in pad]
    axes = len(amounts) // 2
    if len(amounts) % 2 or axes > x.ndim:
        raise ShapeError(
            f"pad: two amounts an axis, for at most {x.ndim} axes; got {tuple(amounts)} for shape {x.shape}"
        )
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular'; got {mode!r}")
    if mode == "constant":
        before, after = [0] * x.ndim, [0] * x.ndim
        for i in range(axes):
            before[-1 - i], after[-1 - i] = amounts[2 * i], amounts[2 * i + 1]
        return pad_with(x, tuple(before), tuple(after), 0.0 if value is None else value)
    for i in range(axes):
        x = _filled(x, x.ndim - 1 - i, amounts[2 * i], amounts[2 * i + 1], mode)
    return x


def _filled(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """Pads an axis with its own elements."""
    ahead = (slice(None),) * axis
    if before < 0 or after < 0:
        cut = (*ahead, slice(-before if before < 0 else None, after if after < 0 else None))
        before, after = 0 if before < 0 else before, 0 if after < 0 else after
        if mode == "circular":
            # As in PyTorch: what is left fills the other end. In the other modes the whole axis does.
            return _filled(x[cut], axis, before, after, mode)
        return _filled(x, axis, before, after, mode)[cut]
    n = x.shape[axis]
    most = {"reflect": n - 1, "circular": n, "replicate": max(before, after) if n else 0}[mode]
    if max(before, after) > most:
        raise ShapeError(
            f"pad: mode {mode!r} has at most {most} elements for axis {axis}; got {(before, after)} for {x.shape}"
        )

    def part(start: int | None, stop: int | None) -> Tensor:
        return x[(*ahead, slice(start, stop))]

    pieces = []
    if before > 0:
        pieces.append(_edge(x, part, axis, mode, before, True))
    pieces.append(x)
    if after > 0:
        pieces.append(_edge(x, part, axis, mode, after, False))
    return cat(pieces, axis) if len(pieces) > 1 else clone(pieces[0])


def _edge(
    x: Tensor, part: Callable[[int | None, int | None], Tensor], axis: int, mode: str, n: int, first: bool
) -> Tensor:
    """Returns the `n` elements that are added before the axis, or after it."""
    if mode == "reflect":
        return flip(part(1, n + 1) if first else part(-n - 1, -1), (axis,))
    if mode == "circular":
        return part(-n, None) if first else part(None, n)
    return expand_to(part(None, 1) if first else part(-1, None), shape=(*x.shape[:axis], n, *x.shape[axis + 1 :]))
