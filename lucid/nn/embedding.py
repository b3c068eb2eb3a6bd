"""Embedding: a table of vectors, looked up by index."""

from __future__ import annotations

from typing import Any

from ..devices import require_cpu
from ..errors import AxisError, ShapeError
from ..ops.creation import zeros
from ..ops.embedding import embedding
from ..tensor import Parameter, Tensor
from ..tracer.writes import touch
from . import init
from .module import Module

__all__ = ["Embedding"]


class Embedding(Module):
    """Looks up rows of `weight` by index (torch.nn.Embedding).

    Args:
        num_embeddings: the number of rows.
        embedding_dim: the size of a row.
        padding_idx: a row that starts as zeros and receives no gradient; counted from the end if negative.
        device: "cpu".
        dtype: the dtype of the parameter.

    Shape:
        input: (*,), row indices, from 0; output: (*, embedding_dim).
        weight: (num_embeddings, embedding_dim), drawn from N(0, 1).

    Raises:
        AxisError: an element of the input, or `padding_idx`, is out of range.

    Example:
        >>> nn.Embedding(10, 3, padding_idx=0)(lucid.tensor([[0, 4]]))[:, 0].detach()
        tensor([[0., 0., 0.]])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        require_cpu(device)
        for name, n in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if not isinstance(n, int) or isinstance(n, bool):
                raise TypeError(f"Embedding: {name} must be an int; got {type(n).__name__}")
            if n <= 0:
                raise ValueError(f"Embedding: {name} must be positive; got {n}")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AxisError(f"Embedding: padding_idx must name one of {num_embeddings} rows; got {padding_idx}")
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(zeros(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """Creates a layer with a given table, which is not trained if `freeze`.

        >>> nn.Embedding.from_pretrained(lucid.tensor([[1.0, 2.0], [3.0, 4.0]]))(lucid.tensor([1]))
        tensor([[3., 4.]])
        """
        if embeddings.ndim != 2:
            raise ShapeError(f"Embedding: a table must be a matrix (rows, features); got shape {embeddings.shape}")
        rows, features = embeddings.shape
        layer = cls(rows, features, padding_idx, dtype=embeddings.dtype)
        layer.weight._assign(embeddings._data)
        return layer.requires_grad_(not freeze)

    def reset_parameters(self) -> None:
        """Reinitializes the table."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight._data[self.padding_idx] = 0
            touch(self.weight)

    def forward(self, input: Any) -> Tensor:
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
