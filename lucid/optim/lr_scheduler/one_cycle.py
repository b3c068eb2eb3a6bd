"""OneCycleLR: raises the learning rate once and lowers it again, and does the reverse with the momentum."""

from __future__ import annotations

import math
from typing import Any

from ..optimizer import Optimizer
from .scheduler import LRScheduler, for_each_group

__all__ = ["OneCycleLR"]


class OneCycleLR(LRScheduler):
    """Raises the learning rate to `max_lr`, then lowers it to almost zero (torch.optim.lr_scheduler.OneCycleLR).

    Call `step` after every batch.

    Args:
        optimizer: the optimizer whose groups are scheduled.
        max_lr: the highest learning rate, or one for each group.
        total_steps: the steps of the whole cycle; `epochs` times `steps_per_epoch` if not given.
        epochs: the number of epochs.
        steps_per_epoch: the number of batches in one.
        pct_start: the fraction of the cycle in which the learning rate rises.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: lower the momentum (Adam: the first beta) while the learning rate rises, and raise it again.
        base_momentum: the lowest momentum, or one for each group.
        max_momentum: the highest momentum, or one for each group.
        div_factor: how many times lower than `max_lr` the first learning rate is.
        final_div_factor: how many times lower than the first the last learning rate is.
        three_phase: return to the first learning rate symmetrically, and then lower it to the last.
        last_epoch: the step to resume from; -1 to start.

    Raises:
        ValueError: the length is missing or not positive, an option is unknown or out of range, the optimizer has no
            momentum to cycle, or `step` is called more often than `total_steps`.

    Source: L. Smith and N. Topin (2018), "Super-convergence: very fast training of neural networks using large
    learning rates", in the form that PyTorch gives it.

    Example:
        >>> optimizer = lucid.optim.Adam([lucid.ones(1)])
        >>> scheduler = lucid.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=10)
        >>> round(scheduler.get_last_lr()[0], 6)
        0.02
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
            lengths = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
            self.total_steps = epochs * steps_per_epoch
        else:
            lengths = {"total_steps": total_steps}
            self.total_steps = total_steps
        for name, value in lengths.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"OneCycleLR: {name} must be an integer of at least 1; got {value}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be in [0, 1]; got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear'; got {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.pct_start = pct_start
        self.three_phase = three_phase
        max_lrs = for_each_group(optimizer, "max_lr", max_lr)
        if last_epoch == -1:
            for group, highest in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            if not optimizer.defaults.keys() & {"momentum", "betas"}:
                raise ValueError(f"OneCycleLR: {type(optimizer).__name__} has no momentum; pass cycle_momentum=False")
            if last_epoch == -1:
                lows = for_each_group(optimizer, "base_momentum", base_momentum)
                highs = for_each_group(optimizer, "max_momentum", max_momentum)
                for group, low, high in zip(optimizer.param_groups, lows, highs, strict=True):
                    group["base_momentum"], group["max_momentum"] = low, high
        super().__init__(optimizer, last_epoch)

    def _phases(self) -> list[tuple[float, str, str, str, str]]:
        """Returns the last step of each phase, and the keys that learning rate and momentum go from and to."""
        up = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
        peak, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if self.three_phase:
            down = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
            rest = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
            return [(peak, *up), (2 * self.pct_start * self.total_steps - 2, *down), (end, *rest)]
        return [(peak, *up), (end, "max_lr", "min_lr", "base_momentum", "max_momentum")]

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"OneCycleLR: step {step} is past the end; total_steps is {self.total_steps}")
        rates = []
        phases = self._phases()
        for group in self.optimizer.param_groups:
            start = 0.0
            for number, (end, lr_from, lr_to, momentum_from, momentum_to) in enumerate(phases):
                if step <= end or number == len(phases) - 1:
                    done = (step - start) / (end - start) if end != start else 1.0
                    rates.append(self._between(group[lr_from], group[lr_to], done))
                    if self.cycle_momentum:
                        _set_momentum(group, self._between(group[momentum_from], group[momentum_to], done))
                    break
                start = end
        return rates

    def _between(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2 * (1 + math.cos(math.pi * done))
        return (end - start) * done + start


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
