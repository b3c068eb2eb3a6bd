"""Schedulers that lower the learning rate along half a cosine."""

from __future__ import annotations

import math

from ..optimizer import Optimizer
from .scheduler import LRScheduler

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(LRScheduler):
    """Anneals to `eta_min` along half a cosine of `T_max` epochs, and rises again (…lr_scheduler.CosineAnnealingLR).

    Equation: ``lr = eta_min + (base − eta_min) (1 + cos(π epoch / T_max)) / 2``, applied step by step, so that changes
    that other schedulers make are kept.

    Raises:
        ValueError: `T_max` is below 1.

    Source: I. Loshchilov and F. Hutter (2017), "SGDR: stochastic gradient descent with warm restarts".

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be at least 1; got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        epoch, low = self.last_epoch, self.eta_min
        if not self._begun:
            return self._current()
        rise = 1 + math.cos(math.pi * epoch / self.T_max)
        before = 1 + math.cos(math.pi * (epoch - 1) / self.T_max)
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The step before was at the minimum, so there is nothing to multiply.
            step = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - low) * step for lr, base in zip(self._current(), self.base_lrs, strict=True)]
        return [low + (lr - low) * rise / before for lr in self._current()]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Anneals to `eta_min` along half a cosine, and restarts (torch.optim.lr_scheduler.CosineAnnealingWarmRestarts).

    Args:
        optimizer: the optimizer whose groups are scheduled.
        T_0: the epochs until the first restart.
        T_mult: how many times longer each cycle is than the one before.
        eta_min: the lowest learning rate.
        last_epoch: the epoch to resume from; -1 to start.

    Raises:
        ValueError: `T_0` or `T_mult` is not an integer of at least 1.

    Source: I. Loshchilov and F. Hutter (2017), "SGDR: stochastic gradient descent with warm restarts".

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        >>> rates = []
        >>> for _ in range(4):
        ...     rates.append(scheduler.get_last_lr()[0])
        ...     scheduler.step()
        >>> rates
        [1.0, 0.5, 1.0, 0.5]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"CosineAnnealingWarmRestarts: {name} must be an integer of at least 1; got {value}")
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        epoch, length = self.last_epoch, self.T_0
        if self.T_mult == 1:
            epoch %= length
        while epoch >= length:
            epoch -= length
            length *= self.T_mult
        factor = (1 + math.cos(math.pi * epoch / length)) / 2
        return [self.eta_min + (base - self.eta_min) * factor for base in self.base_lrs]
