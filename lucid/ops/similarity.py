"""Distances and similarities of vectors, and the losses made of them."""

from __future__ import annotations

from typing import Any, Literal

from ..errors import ShapeError
from ..tensor import Tensor, as_tensor
from ..tracer.extent import broadcast, same_shape
from ..tracer.op import function
from .elementwise import eq, minimum, sqrt, where
from .loss import at_least, reduced
from .math import clamp, square
from .moments import norm, norm2
from .reduce import sum
from .shape import expand_to

__all__ = ["cosine_embedding_loss", "cosine_similarity", "pairwise_distance", "triplet_margin_loss"]

Reduction = Literal["none", "mean", "sum"]


@function
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Computes ``x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps))`` along an axis (torch.nn.functional.cosine_similarity).

    Shape:
        x1, x2: broadcast to one shape; the result: that shape without the axis.

    >>> lucid.nn.functional.cosine_similarity(lucid.tensor([[3.0, 4.0]]), lucid.tensor([[1.0, 0.0]]))
    tensor([0.6])
    """
    shape = broadcast(x1.shape, x2.shape)
    wide = [x if same_shape(x.shape, shape) else expand_to(x, shape=shape) for x in (x1, x2)]
    scaled = [x / at_least(norm2(x, dim, True), eps) for x in wide]
    return sum(scaled[0] * scaled[1], dim)


@function
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """Computes the p-norm of ``x1 - x2 + eps`` over the last axis (torch.nn.functional.pairwise_distance).

    >>> lucid.nn.functional.pairwise_distance(lucid.tensor([[3.0, 4.0]]), lucid.zeros(1, 2))
    tensor([5.])
    """
    return norm(x1 - x2 + eps, p, -1, keepdim)


@function
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Computes ``max(d(anchor, positive) - d(anchor, negative) + margin, 0)``, reduced
    (torch.nn.functional.triplet_margin_loss).

    Args:
        anchor: vectors.
        positive: vectors that should be near.
        negative: vectors that should be farther away.
        margin: by how much.
        p: the norm of the distance d, see `pairwise_distance`.
        eps: is added to each difference.
        swap: take the distance between `positive` and `negative` where it is the smaller one.
        reduction: "mean", "sum", or "none" for the loss of each vector.

    Shape:
        anchor, positive, negative: (N, D) or (D,).

    Raises:
        ValueError: the margin is not positive.

    Source: V. Balntas et al. (2016), "Learning local feature descriptors with triplets".

    >>> near, far = lucid.tensor([[0.0, 1.0]]), lucid.tensor([[0.0, 1.5]])
    >>> lucid.nn.functional.triplet_margin_loss(lucid.zeros(1, 2), near, far)
    tensor(0.5)
    """
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be positive; got {margin}")
    close = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced("triplet_margin_loss", clamp(close - far + margin, min=0), reduction)


@function
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Any, margin: float = 0.0, reduction: Reduction = "mean"
) -> Tensor:
    """Computes ``1 - cos(input1, input2)`` where the target is 1, and ``max(cos(input1, input2) - margin, 0)`` where it
    is -1, reduced (torch.nn.functional.cosine_embedding_loss).

    Shape:
        input1, input2: (N, D) or (D,); target: (N,) or (), of 1 and -1.

    >>> x = lucid.tensor([[1.0, 0.0]])
    >>> lucid.nn.functional.cosine_embedding_loss(x, lucid.tensor([[3.0, 4.0]]), lucid.tensor([1]))
    tensor(0.4)
    """
    target = as_tensor(target)
    if target.ndim + 1 != input1.ndim or input1.ndim != input2.ndim:
        raise ShapeError(
            "cosine_embedding_loss: expected inputs (N, D) and a target (N,), or (D,) and (); got shapes "
            f"{input1.shape}, {input2.shape} and {target.shape}"
        )
    # PyTorch's small number under the root.
    lengths = sqrt((sum(square(input1), -1) + 1e-12) * (sum(square(input2), -1) + 1e-12))
    cosine = sum(input1 * input2, -1) / lengths
    apart = where(eq(target, -1), clamp(cosine - margin, min=0), 0.0)
    return reduced("cosine_embedding_loss", where(eq(target, 1), 1 - cosine, apart), reduction)
