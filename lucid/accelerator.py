"""What programs ask of an accelerator before they use it (torch.accelerator): there is none for tensors."""

from __future__ import annotations

from .devices import device

__all__ = ["current_accelerator", "device_count", "is_available"]


def is_available() -> bool:
    """Returns False: tensors are in the CPU's memory.

    >>> lucid.accelerator.is_available()
    False
    """
    return False


def device_count() -> int:
    """Returns 0."""
    return 0


def current_accelerator() -> device | None:
    """Returns None."""
    return None
