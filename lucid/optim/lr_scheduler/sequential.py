"""SequentialLR: runs schedulers one after another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from ..optimizer import Optimizer
from .composite import Composite
from .scheduler import LRScheduler

__all__ = ["SequentialLR"]


class SequentialLR(Composite):
    """Runs schedulers one after another, each from its own epoch 0 (torch.optim.lr_scheduler.SequentialLR).

    Args:
        optimizer: the optimizer of all the schedulers.
        schedulers: the schedulers, in their order.
        milestones: the epoch at which each but the first begins.
        last_epoch: the epoch to resume from; -1 to start.

    Raises:
        ValueError: there are no schedulers, the milestones are not one fewer than the schedulers, a scheduler belongs
            to another optimizer, or one needs a metric.

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> warmup = lucid.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> decay = lucid.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler = lucid.optim.lr_scheduler.SequentialLR(optimizer, [warmup, decay], milestones=[2])
        >>> rates = []
        >>> for _ in range(5):
        ...     rates.append(scheduler.get_last_lr()[0])
        ...     scheduler.step()
        >>> rates
        [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._hold(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones; "
                f"got {len(milestones)}"
            )
        self.milestones = list(milestones)
        super().__init__(optimizer, last_epoch)

    def _begin(self) -> None:
        self._begun = True
        self.last_epoch += 1
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in self.schedulers:
            scheduler._undo()
        first = self.schedulers[bisect_right(self.milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def _restart(self) -> None:
        self.last_epoch = 0
        self.schedulers[0]._restart()
        self._last_lr = self.schedulers[0].get_last_lr()

    def step(self) -> None:
        self.last_epoch += 1
        number = bisect_right(self.milestones, self.last_epoch)
        scheduler = self.schedulers[number]
        if number and self.milestones[number - 1] == self.last_epoch:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()
