"""Memory allocation: training keeps freed memory in the process, since new pages from the system are slow."""

from __future__ import annotations

import ctypes
import os
from typing import Any

__all__ = ["before_backward", "keep_pages", "return_pages", "set_keep_freed_memory"]

KEPT = 512 * 2**20
"""How many freed bytes the process keeps."""

BLOCKS = (256 * 2**20, 32 * 2**20)
"""The largest block that is kept, in bytes; larger ones are returned when freed. An older glibc takes the second."""

USUAL = 128 * 2**10
"""What glibc keeps of itself, and the largest block of which it keeps any: its thresholds before they adapt."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")


class _Freed:
    """What becomes of freed memory.

    Attributes:
        undecided: whether neither a backward pass nor the user has decided it.
    """

    undecided = True


_freed = _Freed()


def set_keep_freed_memory(mode: bool) -> bool:
    """Sets whether the process keeps freed memory, up to 512 MiB, for the arrays of the next training step.

    The first backward pass of a process sets it, unless this function was called before. A program that only runs
    models never does. It is a setting of glibc's malloc, so it holds for the whole process, other libraries included.

    Args:
        mode: whether to keep it. False returns what is kept, and takes glibc's initial thresholds again.

    Returns:
        Whether malloc was told: False where it is not glibc's, or where the environment has settings of its own
        (mallopt(3), such as ``MALLOC_TRIM_THRESHOLD_``).

    Example:
        >>> told = lucid.set_keep_freed_memory(False)  # before the first backward pass
    """
    _freed.undecided = False
    return (keep_pages() if mode else _return_pages()) > 0


def before_backward() -> None:
    """Keeps freed memory from the first backward pass on, unless the user has decided otherwise."""
    if _freed.undecided:
        _freed.undecided = False
        keep_pages()


def keep_pages() -> int:
    """Makes glibc's malloc keep up to 512 MiB of freed memory, for the arrays of the next training step.

    A step allocates its arrays anew, and would request all their pages from the system again. That can cost as much as
    the computation, and more in a virtual machine whose host has reclaimed the free memory. Settings in the user's
    environment (mallopt(3)) take precedence. Other implementations of malloc are left as they are.

    Returns:
        The largest block that is kept, in bytes; 0 where malloc was left as it is.
    """
    library = _glibc()
    largest = 0 if library is None else next((b for b in BLOCKS if library.mallopt(_MMAP_THRESHOLD, b)), 0)
    if library is not None and largest:
        library.mallopt(_TRIM_THRESHOLD, KEPT)
    return largest


def return_pages() -> None:
    """Returns what is free now to the system, after much was used that will not be used again; keeps the setting."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _return_pages() -> int:
    """Makes glibc's malloc return freed memory; returns the largest block that it still keeps, or 0 as above."""
    library = _glibc()
    if library is None or not library.mallopt(_MMAP_THRESHOLD, USUAL):
        return 0
    library.mallopt(_TRIM_THRESHOLD, USUAL)
    library.malloc_trim(0)
    return USUAL


def _glibc() -> Any:
    """Returns the C library if it is glibc and the environment does not set its malloc; None otherwise."""
    if any(name in os.environ for name in _SETTINGS) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    try:
        library = ctypes.CDLL(None)
        library.mallopt, library.malloc_trim  # noqa: B018 - are they there?
    except (AttributeError, OSError, TypeError):
        return None
    return library
