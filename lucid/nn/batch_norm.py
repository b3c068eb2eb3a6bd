"""BatchNorm1d and BatchNorm2d: normalization of each channel over the batch."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..devices import require_cpu
from ..errors import ShapeError
from ..ops.creation import ones, zeros
from ..ops.normalization import batch_norm
from ..tensor import Parameter, Tensor, around
from ..tracer.mode import current_trace
from . import init
from .module import Module

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class _BatchNorm(Module):
    """Batch normalization; `_axes` names those that an input has after the batch, by their number."""

    _axes: ClassVar[dict[int, str]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        require_cpu(device)
        if not isinstance(num_features, int) or num_features < 1:
            raise ValueError(f"{type(self).__name__}: num_features must be a positive int; got {num_features!r}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.register_parameter("weight", Parameter(ones(num_features, dtype=dtype)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features, dtype=dtype)) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", ones(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", around(np.array(0)) if tracked else None)

    def reset_running_stats(self) -> None:
        """Sets the running mean to zeros, the running variance to ones, and the count to 0."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            self.num_batches_tracked._assign(np.array(0))

    def reset_parameters(self) -> None:
        """Resets the running statistics, and sets the weight to ones and the bias to zeros."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self._axes or input.shape[1] != self.num_features:
            wanted = " or ".join(f"(N, {axes})" for axes in self._axes.values())
            raise ShapeError(
                f"{type(self).__name__}: expected an input {wanted} with C = {self.num_features}; got shape "
                f"{input.shape}"
            )
        by_batch = self.training or self.running_mean is None
        momentum = self.momentum
        count, trace = self.num_batches_tracked, current_trace()
        counts = trace is not None and count is not None and trace.makes(count)
        if self.training and count is not None and (trace is None or counts):
            count.add_(1)
        if momentum is None and counts and self.training:
            momentum = 1 / count.to(np.float32)
        elif momentum is None:
            # The mean over all batches.
            momentum = 1 / max(self.num_batches_tracked.item(), 1) if by_batch and self.track_running_stats else 0.0
        running = self.running_mean, self.running_var
        return batch_norm(input, *running, self.weight, self.bias, by_batch, momentum, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Applies ``(x - mean) / sqrt(variance + eps) * weight + bias`` to each channel (torch.nn.BatchNorm1d).

    In training mode, mean and variance are those of the batch, and the running ones are updated; in evaluation mode,
    and in exported models, they are the running ones, which are constants there.

    Args:
        num_features: C.
        eps: keeps the square root away from 0.
        momentum: the share of a batch in the running values; None for the mean over all batches.
        affine: whether there are `weight` and `bias`.
        track_running_stats: whether there are running values; without them, mean and variance are always the batch's.
        device: "cpu".
        dtype: the dtype of the parameters and the running values.
        bias: whether there is a `bias`, if there is a `weight`.

    Shape:
        input: (N, C) or (N, C, L); output: the same.
        weight, bias: (C,); initially ones and zeros. Buffers running_mean, running_var: (C,); initially zeros and ones;
        num_batches_tracked: ().

    Raises:
        ShapeError: the input has other axes or channels. ValueError: in training, there is one element per channel.
        TraceError: in training mode, it was to become part of a graph.

    Source: S. Ioffe and C. Szegedy (2015), "Batch normalization".

    Example:
        >>> norm = nn.BatchNorm1d(1, eps=1e-9)
        >>> norm(lucid.tensor([[1.0], [3.0]])).tolist()
        [[-1.0], [1.0]]
        >>> norm.running_mean
        tensor([0.2])
    """

    _axes: ClassVar[dict[int, str]] = {2: "C", 3: "C, L"}


class BatchNorm2d(_BatchNorm):
    """Applies ``(x - mean) / sqrt(variance + eps) * weight + bias`` to each channel of images (torch.nn.BatchNorm2d).

    The arguments, parameters, buffers and errors are those of `BatchNorm1d`.

    Shape:
        input: (N, C, H, W); output: the same.

    Example:
        >>> nn.BatchNorm2d(3)(lucid.randn(2, 3, 4, 5)).shape
        (2, 3, 4, 5)
    """

    _axes: ClassVar[dict[int, str]] = {4: "C, H, W"}
