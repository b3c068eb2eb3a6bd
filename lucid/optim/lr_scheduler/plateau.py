"""ReduceLROnPlateau: lowers the learning rate when a metric stops improving."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from ..optimizer import Optimizer
from .scheduler import LRScheduler, for_each_group

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Lowers the learning rate when a metric stops improving (torch.optim.lr_scheduler.ReduceLROnPlateau).

    Args:
        optimizer: the optimizer whose groups are scheduled.
        mode: ``"min"`` if less is better, ``"max"`` if more is.
        factor: what the learning rate is multiplied by.
        patience: how many epochs without improvement are tolerated.
        threshold: by how much the metric must improve to count as better.
        threshold_mode: ``"rel"`` if `threshold` is relative to the best so far, ``"abs"`` if it is a difference.
        cooldown: how many epochs after a reduction are ignored.
        min_lr: the lowest learning rate, or one for each group.
        eps: a reduction smaller than this is skipped.

    Raises:
        ValueError: `factor` is not below 1, a mode is unknown, or there is not one `min_lr` per group.

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        >>> for loss in (3.0, 2.0, 2.0):
        ...     scheduler.step(loss)
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1; got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode must be 'min' or 'max'; got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs'; got {threshold_mode!r}")
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.eps = eps
        self.min_lrs: list[float] = for_each_group(optimizer, "min_lr", min_lr)
        super().__init__(optimizer)

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs are currently ignored."""
        return self.cooldown_counter > 0

    def get_lr(self) -> list[float]:
        return self._current()

    def step(self, metrics: SupportsFloat | None = None) -> None:
        """Advances by an epoch.

        Args:
            metrics: the metric at the end of the epoch.
        """
        if metrics is None:
            raise TypeError("ReduceLROnPlateau.step: pass the measure to watch, such as the validation loss")
        self.last_epoch += 1
        current = float(metrics)
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        rates: list[Any] = self._current()
        if self.num_bad_epochs > self.patience:
            lower = [max(lr * self.factor, low) for lr, low in zip(rates, self.min_lrs, strict=True)]
            rates = [new if lr - new > self.eps else lr for lr, new in zip(rates, lower, strict=True)]
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._set(rates)

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        margin = self.threshold * (self.best if self.threshold_mode == "rel" else 1)
        bound = self.best + sign * margin if math.isfinite(self.best) else self.best
        return sign * current > sign * bound
