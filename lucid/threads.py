"""The number of threads that NumPy's matrix products use."""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

from .errors import RangeError, RuntimeUnavailableError

__all__ = ["get_num_threads", "set_num_threads"]

_PREFIXES, _SUFFIXES = ("scipy_openblas", "openblas"), ("64_", "")
"""NumPy's own builds of OpenBLAS rename its functions."""


def get_num_threads() -> int:
    """Returns how many threads a matrix product uses (torch.get_num_threads).

    Raises:
        RuntimeUnavailableError: NumPy was not built with OpenBLAS.
    """
    return int(_openblas("get_num_threads")())


def set_num_threads(threads: int) -> None:
    """Sets how many threads a matrix product uses (torch.set_num_threads). Other ops use one.

    Raises:
        RangeError: it is not a positive integer.
        RuntimeUnavailableError: NumPy was not built with OpenBLAS.

    Example:
        >>> before = lucid.get_num_threads()
        >>> lucid.set_num_threads(1)
        >>> lucid.get_num_threads()
        1
        >>> lucid.set_num_threads(before)
    """
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise RangeError(f"set_num_threads: expected a positive integer; got {threads!r}")
    _openblas("set_num_threads")(threads)


@functools.cache
def _openblas(name: str) -> Any:
    """Returns a function of the OpenBLAS that NumPy loaded."""
    try:
        # A library's handle also finds the names of the libraries that it was linked with.
        library = ctypes.CDLL(str(importlib.import_module("numpy._core._multiarray_umath").__file__))
    except (ImportError, OSError):
        library = None
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            found = getattr(library, f"{prefix}_{name}{suffix}", None)
            if found is not None:
                return found
    raise RuntimeUnavailableError(
        f"{name}: this NumPy was not built with OpenBLAS; set the threads before Python starts, by the environment "
        "variable of its library, such as MKL_NUM_THREADS or VECLIB_MAXIMUM_THREADS"
    )
