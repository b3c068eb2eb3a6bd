"""Conversion of parameters to and from one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...errors import ShapeError
from ...ops.shape import cat, reshape
from ...tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Concatenates the elements of all parameters (torch.nn.utils.parameters_to_vector).

    Raises:
        ShapeError: there is no parameter.

    Example:
        >>> nn.utils.parameters_to_vector([lucid.zeros(1, 2), lucid.ones(1)])
        tensor([0., 0., 1.])
    """
    parts = [reshape(p, -1) for p in parameters]
    if not parts:
        raise ShapeError("parameters_to_vector: expected at least one parameter; got none")
    return cat(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies the elements of a vector into the parameters, in order (torch.nn.utils.vector_to_parameters).

    Raises:
        ShapeError: `vec` is not a vector, or has another number of elements than the parameters; nothing is changed.

    Example:
        >>> w, b = lucid.zeros(1, 2), lucid.zeros(1)
        >>> nn.utils.vector_to_parameters(lucid.tensor([1.0, 2.0, 3.0]), [w, b])
        >>> w, b
        (tensor([[1., 2.]]), tensor([3.]))
    """
    tensors = list(parameters)
    expected = sum(math.prod(p.shape) for p in tensors)
    if vec.shape != (expected,):
        raise ShapeError(f"vector_to_parameters: the parameters have {expected} elements; got shape {vec.shape}")
    start = 0
    for p in tensors:
        end = start + math.prod(p.shape)
        p._assign(vec._data[start:end].reshape(p.shape))
        start = end
