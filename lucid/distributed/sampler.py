"""DistributedBatchSampler: each process gets its part of each batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..data.collate import Axes, batched
from ..data.sampler import BatchSampler
from ..errors import LucidError
from ..tensor import Tensor, around
from ..tracer.tree import flatten, unflatten
from .group import current

__all__ = ["DistributedBatchSampler"]


class DistributedBatchSampler(BatchSampler):
    """Groups the indices of a sampler into batches, and yields this process's part of each.

    The batches are the same however many processes there are, and so are the losses, and a position in the pass. A
    process gets consecutive samples of a batch; none, if there are fewer samples than processes. In a `DataLoader`,
    sequences are padded to the longest of the whole batch.

    Args:
        sampler: any iterable of sample indices, which yields the same in all processes; a sampler of lucid's is given
            the seed that it has on rank 0.
        batch_size: how many samples are in a batch, over all processes.
        drop_last: leave out the last batch if it is smaller.

    Raises:
        ValueError: `batch_size` is not an integer of at least 1.
        LucidError: there is no process group.

    Example:
        >>> import lucid.distributed as dist
        >>> dist.init_process_group()
        >>> list(dist.DistributedBatchSampler(range(5), 2))  # of one process
        [[0, 1], [2, 3], [4]]
        >>> dist.destroy_process_group()
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self._group = current()
        if hasattr(sampler, "load_state_dict"):
            self.load_state_dict(self._group.gather(self.state_dict())[0])

    def __iter__(self) -> Iterator[list[int]]:
        rank, size = self._group.rank, self._group.size
        return (batch[len(batch) * rank // size : len(batch) * (rank + 1) // size] for batch in super().__iter__())

    def align(self, batch: Any) -> Any:
        """Pads this process's part of a batch to the longest sequence of the whole; a part without samples is made.

        Args:
            batch: what the loader made; None for no samples.
        """
        if self._group.size == 1:
            return batch
        leaves, structure = flatten(batch, _is_tensor)
        own = None if batch is None else [_Spec(x._data.shape, x._data.dtype.str, x._axes) for x in leaves]
        found = self._group.gather(own)
        given = [specs for specs in found if specs is not None]
        if any(len(specs) != len(given[0]) for specs in given):
            raise LucidError("DistributedBatchSampler: the processes' batches have different structures")
        if len(given) < len(found):
            trees = self._group.gather(None if own is None else unflatten(structure, iter(own)))
            if own is None:
                tree = next(tree for tree in trees if tree is not None)
                leaves, structure = flatten(tree, _is_spec)
                leaves = [spec.without_samples() for spec in leaves]
        padded = [_padded(x, specs) for x, specs in zip(leaves, zip(*given, strict=True), strict=True)]
        return unflatten(structure, iter(padded))


class _Spec(NamedTuple):
    """The shape, the dtype and the names of the first axes of a tensor in a batch."""

    shape: tuple[int, ...]
    dtype: str
    axes: Axes | None

    def without_samples(self) -> Tensor:
        """Returns a tensor of as much as no sample."""
        axis = self.axes.index("batch") if self.axes and "batch" in self.axes else 0
        x = around(np.zeros([0 if i == axis else n for i, n in enumerate(self.shape)], self.dtype))
        x._axes = self.axes
        return x


def _padded(x: Tensor, specs: tuple[_Spec, ...]) -> Tensor:
    """Pads the axis of time to the longest on any rank."""
    axes = x._axes
    if not isinstance(axes, Axes) or "time" not in axes:
        return x
    axis = axes.index("time")
    missing = max(spec.shape[axis] for spec in specs) - x.shape[axis]
    if missing <= 0:
        return x
    widths = [(0, missing if i == axis else 0) for i in range(x.ndim)]
    return batched(around(np.pad(x._data, widths, constant_values=axes.padding)), *axes, padding=axes.padding)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def _is_spec(x: Any) -> bool:
    return isinstance(x, _Spec)
