"""Similarities and distances of vectors, as modules."""

from __future__ import annotations

from ..ops.similarity import cosine_similarity, pairwise_distance
from ..tensor import Tensor
from .module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """Computes the cosine of the angle between vectors along an axis (torch.nn.CosineSimilarity).

    Args:
        dim: the axis.
        eps: the least length that counts.

    Example:
        >>> nn.CosineSimilarity(dim=0)(lucid.tensor([1.0, 1.0]), lucid.tensor([0.0, 2.0]))
        tensor(0.7071)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """Computes the p-norm of the differences of vectors along the last axis (torch.nn.PairwiseDistance).

    Args:
        p: the p of the norm.
        eps: what is added to each difference.
        keepdim: whether the axis is kept, with size one.

    Example:
        >>> nn.PairwiseDistance()(lucid.tensor([[1.0, 2.0]]), lucid.tensor([[4.0, 6.0]]))
        tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.p = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)
