"""Memory allocation: keeps freed memory in the process, since new pages from the system are slow."""

from __future__ import annotations

import ctypes
import os

__all__ = ["keep_pages"]

KEPT = 512 * 2**20
"""How many freed bytes the process keeps."""

BLOCKS = (256 * 2**20, 32 * 2**20)
"""The largest block that is kept, in bytes; larger ones are returned when freed. An older glibc takes the second."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")


def keep_pages() -> int:
    """Makes glibc's malloc keep up to 512 MiB of freed memory, for the arrays of the next training step.

    A step allocates its arrays anew, and would request all their pages from the system again. That can cost as much as
    the computation, and more in a virtual machine whose host has reclaimed the free memory. Settings in the user's
    environment (mallopt(3)) take precedence. Other implementations of malloc are left as they are.

    Returns:
        The largest block that is kept, in bytes; 0 where malloc was left as it is.
    """
    if any(name in os.environ for name in _SETTINGS) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return 0
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return 0
    largest = next((block for block in BLOCKS if mallopt(_MMAP_THRESHOLD, block)), 0)
    if largest:
        mallopt(_TRIM_THRESHOLD, KEPT)
    return largest
