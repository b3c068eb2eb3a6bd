"""LRScheduler: sets the learning rate of each group of an optimizer, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ...errors import StateDictError
from ...tables import Shown
from ..optimizer import Optimizer

__all__ = ["LRScheduler", "for_each_group"]


class LRScheduler(Shown):
    """The base of all schedulers (torch.optim.lr_scheduler.LRScheduler).

    `get_lr` computes the learning rates at `last_epoch`, mostly from the current ones. So several schedulers may act on
    one optimizer, and their factors multiply.

    Args:
        optimizer: the optimizer whose groups are scheduled.
        last_epoch: the epoch to resume from; -1 to start.

    Attributes:
        base_lrs: the initial learning rate of each group.
        last_epoch: how often `step` was called.

    Raises:
        TypeError: `optimizer` is not an Optimizer.
        KeyError: `last_epoch` is given, but the groups have no ``initial_lr`` to resume from.
    """

    # Attributes that belong to the process, not to the state.
    _unsaved: ClassVar[frozenset[str]] = frozenset({"optimizer", "_begun"})

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        _check(optimizer)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"last_epoch is {last_epoch}, but group {number} has no 'initial_lr' to go on from")
        self.optimizer = optimizer
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self._begin()

    def get_lr(self) -> list[float]:
        """Returns the learning rate of each group at `last_epoch`, from its current one. A scheduler defines this."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def get_last_lr(self) -> list[float]:
        """Returns the learning rate of each group that the last `step` set."""
        return self._last_lr

    def step(self) -> None:
        """Advances by an epoch and sets the learning rates. Call it after the optimizer's `step`."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def _facts(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if not name.startswith("_") and _is_plain(value)}
        return own | {"lr": vars(self).get("_last_lr")}

    def _begin(self) -> None:
        """Sets the first learning rates; when it resumes from an epoch, they are mostly the current ones."""
        self._begun = False
        LRScheduler.step(self)
        self._begun = True

    def _restart(self) -> None:
        """Sets the learning rates of epoch 0, whatever they are now."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self.last_epoch = -1
        self._begin()

    def _undo(self) -> None:
        """Undoes the step that the constructor made; the learning rates stay as they are."""
        self.last_epoch -= 1

    def _set(self, rates: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = list(rates)

    def _current(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Returns all numbers needed to resume; functions, such as those of LambdaLR, are not included."""
        return {name: value for name, value in vars(self).items() if name not in self._unsaved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Loads the state of a scheduler of the same kind. The optimizer has its own; load both.

        Raises:
            StateDictError: the names do not fit; nothing was changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"expected a mapping from names to values; got {type(state_dict).__name__}")
        own = self.state_dict()
        missing = [name for name in own if name not in state_dict]
        unexpected = [str(name) for name in state_dict if name not in own]
        if missing or unexpected:
            problems = [f"missing: {', '.join(missing)}"] if missing else []
            problems += [f"unexpected: {', '.join(unexpected)}"] if unexpected else []
            raise StateDictError(f"state dict does not fit {type(self).__name__}: {'; '.join(problems)}")
        wrong = [name for name, value in own.items() if not _alike(value, state_dict[name])]
        if wrong:
            raise StateDictError(f"state dict does not fit {type(self).__name__}: {', '.join(wrong)} of another type")
        if len(state_dict["base_lrs"]) != len(self.base_lrs):
            raise StateDictError(
                f"state dict does not fit {type(self).__name__}: it is for {len(state_dict['base_lrs'])} parameter "
                f"groups; the optimizer has {len(self.base_lrs)}"
            )
        taken = {name: value for name, value in state_dict.items() if name not in self._unsaved}
        vars(self).update({name: list(v) if isinstance(v, list) else v for name, v in taken.items()})


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _alike(own: Any, given: Any) -> bool:
    """Returns whether a value can take the place of another: a number for a number, a list for a list."""
    if isinstance(own, (list, tuple)):
        return isinstance(given, (list, tuple))
    if isinstance(own, (int, float)):
        return isinstance(given, (int, float))
    return own is None or given is None or isinstance(given, type(own))


def for_each_group(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """Returns one value per parameter group, given as one for all or as a sequence.

    Raises:
        ValueError: the sequence does not have one value per group.
    """
    _check(optimizer)
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name}: expected one for each of {count} parameter groups; got {len(value)}")
    return list(value)


def _check(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a scheduler needs an Optimizer; got {type(optimizer).__name__}")
