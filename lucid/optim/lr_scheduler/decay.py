"""Schedulers that multiply the learning rate by a factor, at certain epochs or at every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from ..optimizer import Optimizer
from .scheduler import LRScheduler, for_each_group

__all__ = [
    "ConstantLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """Multiplies the initial learning rate by a function of the epoch (torch.optim.lr_scheduler.LambdaLR).

    Args:
        optimizer: the optimizer whose groups are scheduled.
        lr_lambda: the function, or one for each group. It is not part of the state: functions cannot be saved.
        last_epoch: the epoch to resume from; -1 to start.

    Raises:
        ValueError: there is not one function per group.

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    _unsaved: ClassVar[frozenset[str]] = LRScheduler._unsaved | {"lr_lambdas"}

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas: list[Callable[[int], float]] = for_each_group(optimizer, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LRScheduler):
    """Multiplies the learning rate by a function of the epoch, at every epoch
    (torch.optim.lr_scheduler.MultiplicativeLR).

    Args:
        optimizer: the optimizer whose groups are scheduled.
        lr_lambda: the function, or one for each group. It is not part of the state: functions cannot be saved.
        last_epoch: the epoch to resume from; -1 to start.

    Raises:
        ValueError: there is not one function per group.

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 1 / (1 + epoch))
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    _unsaved: ClassVar[frozenset[str]] = LRScheduler._unsaved | {"lr_lambdas"}

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas: list[Callable[[int], float]] = for_each_group(optimizer, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if not self._begun:
            return self._current()
        return [lr * f(self.last_epoch) for lr, f in zip(self._current(), self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """Multiplies the learning rate by `gamma` every `step_size` epochs (torch.optim.lr_scheduler.StepLR).

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be at least 1; got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self._current()]


class MultiStepLR(LRScheduler):
    """Multiplies the learning rate by `gamma` at each epoch in `milestones` (torch.optim.lr_scheduler.MultiStepLR).

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factor = self.gamma ** self.milestones.count(self.last_epoch)
        return [lr * factor for lr in self._current()]


class ConstantLR(LRScheduler):
    """Multiplies the learning rate by `factor` for `total_iters` epochs (torch.optim.lr_scheduler.ConstantLR).

    Raises:
        ValueError: `factor` is not in (0, 1].

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=1)
        >>> scheduler.get_last_lr()
        [0.5]
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [1.0]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        # A multiplication by 0 cannot be undone by a division.
        if not 0 < factor <= 1:
            raise ValueError(f"ConstantLR: factor must be in (0, 1]; got {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._current()]
        return [lr / self.factor if self.last_epoch == self.total_iters else lr for lr in self._current()]


class LinearLR(LRScheduler):
    """Multiplies the learning rate by a factor that changes linearly (torch.optim.lr_scheduler.LinearLR).

    Args:
        optimizer: the optimizer whose groups are scheduled.
        start_factor: the factor at epoch 0.
        end_factor: the factor at epoch `total_iters` and after it.
        total_iters: how many epochs the change takes.
        last_epoch: the epoch to resume from; -1 to start.

    Raises:
        ValueError: `start_factor` is not in (0, 1], or `end_factor` not in [0, 1].

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must be in (0, 1]; got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must be in [0, 1]; got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        epoch = self.last_epoch
        if epoch == 0:
            return [lr * self.start_factor for lr in self._current()]
        if not self._begun or epoch > self.total_iters:
            return self._current()
        slope = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (epoch - 1) * slope
        return [lr * (1 + slope / before) for lr in self._current()]


class PolynomialLR(LRScheduler):
    """Multiplies the initial learning rate by ``(1 - epoch / total_iters) ** power``, until it is 0
    (torch.optim.lr_scheduler.PolynomialLR).

    Args:
        optimizer: the optimizer whose groups are scheduled.
        total_iters: the epoch at which the learning rate is 0.
        power: the power.
        last_epoch: the epoch to resume from; -1 to start.

    Raises:
        ValueError: `total_iters` is not positive.

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2.0)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5625]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        if total_iters < 1:
            raise ValueError(f"PolynomialLR: total_iters must be at least 1; got {total_iters}")
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        epoch, end = self.last_epoch, self.total_iters
        if not self._begun or epoch > end:
            return self._current()
        factor = ((end - epoch) / (end - epoch + 1)) ** self.power
        return [lr * factor for lr in self._current()]


class ExponentialLR(LRScheduler):
    """Multiplies the learning rate by `gamma` at every epoch (torch.optim.lr_scheduler.ExponentialLR).

    Example:
        >>> optimizer = lucid.optim.SGD([lucid.ones(1)], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma if self._begun else lr for lr in self._current()]
