"""What programs ask of CUDA before they use it (torch.cuda): lucid has none, its exported and compiled models do."""

from __future__ import annotations

from typing import Any, NoReturn

from .devices import require_cpu

__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "set_device",
    "synchronize",
]


def is_available() -> bool:
    """Returns False: tensors are in the CPU's memory.

    >>> lucid.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """Returns 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Has no effect, as in PyTorch without a GPU; `lucid.manual_seed` seeds the generator."""


def manual_seed_all(seed: int) -> None:
    """Has no effect, as in PyTorch without a GPU."""


def empty_cache() -> None:
    """Has no effect."""


def synchronize(device: Any = None) -> None:
    """Has no effect: every op is complete when it returns."""


def current_device() -> NoReturn:
    """Raises RuntimeUnavailableError, as the following functions do."""
    _refuse()


def get_device_name(device: Any = None) -> NoReturn:
    """Raises RuntimeUnavailableError."""
    _refuse()


def set_device(device: Any) -> NoReturn:
    """Raises RuntimeUnavailableError."""
    _refuse()


def _refuse() -> NoReturn:
    require_cpu("cuda")
    raise AssertionError
