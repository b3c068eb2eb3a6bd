"""The price of a page: freed memory that goes back to the system is taken from it again, page by page."""

from __future__ import annotations

import ctypes
import os

__all__ = ["keep_pages"]

KEPT = 512 * 2**20
"""How many bytes of what was freed stay with the process."""

BLOCKS = (256 * 2**20, 32 * 2**20)
"""The largest block that is kept, in bytes; a larger one goes back when freed. An older glibc takes the second."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")


def keep_pages() -> int:
    """Let glibc's malloc keep what is freed, up to 512 MiB, for the arrays of the next training step.

    A step makes its arrays anew, and would take all their pages from the system again. That may cost as much as what is
    computed in them, and more in a virtual machine, whose host has meanwhile taken back what was free. What the user
    says about it in the environment stands (mallopt(3)), and another malloc than glibc's does what it does.

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
