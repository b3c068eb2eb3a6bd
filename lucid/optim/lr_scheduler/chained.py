"""ChainedScheduler: runs schedulers at the same time."""

from __future__ import annotations

from collections.abc import Sequence

from ..optimizer import Optimizer
from .composite import Composite
from .scheduler import LRScheduler

__all__ = ["ChainedScheduler"]


class ChainedScheduler(Composite):
    """Steps several schedulers at once, whose factors multiply (torch.optim.lr_scheduler.ChainedScheduler).

    Args:
        schedulers: the schedulers, in the order in which they step.
        optimizer: the optimizer of all the schedulers; that of the first if None.

    Raises:
        ValueError: there are no schedulers, a scheduler belongs to another optimizer, or one needs a metric.

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> warmup = lucid.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> decay = lucid.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler = lucid.optim.lr_scheduler.ChainedScheduler([warmup, decay])
        >>> rates = []
        >>> for _ in range(4):
        ...     rates.append(scheduler.get_last_lr()[0])
        ...     scheduler.step()
        >>> rates
        [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        # The schedulers have taken their first steps already.
        self.optimizer = self._hold(schedulers, optimizer)
        self.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
        self.last_epoch = 0
        self._last_lr = self._current()
        self._begun = True

    def step(self) -> None:
        """Advances all schedulers by an epoch."""
        self.last_epoch += 1
        for scheduler in self.schedulers:
            scheduler.step()
        self._last_lr = self._current()

    def _begin(self) -> None:
        self.last_epoch += 1
        for scheduler in self.schedulers:
            scheduler._begin()
        self._last_lr = self._current()

    def _restart(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self.last_epoch = -1
        for scheduler in self.schedulers:
            scheduler.last_epoch = -1
        self._begin()
