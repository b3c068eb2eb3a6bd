"""The price of a page: freed memory that goes back to the system is taken from it again, page by page."""

from __future__ import annotations

import numpy as np

__all__ = ["keep_pages"]

LARGEST = 32 * 2**20
"""glibc's DEFAULT_MMAP_THRESHOLD_MAX on 64 bits: a larger block always goes back to the system when it is freed."""


def keep_pages() -> None:
    """Let malloc keep up to 64 MiB of what is freed, for the arrays of the next training step.

    A step makes its arrays anew, of a few megabytes each, and would take all their pages from the system again, which
    may cost as much as what is computed in them. glibc learns from what it sees: when it frees a block that it had
    mapped, blocks up to that size come from the heap from then on, and twice as much may stay free there (mallopt(3),
    M_MMAP_THRESHOLD). So one block is shown to it, and never touched: no page is taken for it. Another malloc than
    glibc's does what it does.
    """
    np.empty(LARGEST - 2**16, np.uint8)
