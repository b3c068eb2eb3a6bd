"""Lines of the user's program."""

from __future__ import annotations

import functools
import os
import sys
from types import CodeType, FrameType
from typing import NamedTuple

import numpy as np

__all__ = ["PACKAGE", "Location", "is_foreign", "user_frame", "user_location"]

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
"""The folder of lucid's own files."""

_LIBRARIES = (os.path.dirname(os.path.abspath(os.__file__)) + os.sep, os.path.dirname(np.__file__) + os.sep)
"""The folders of the standard library and of NumPy."""

_INSTALLED = ("site-packages", "dist-packages")
"""Folders inside these, with packages that may be the user's."""


@functools.lru_cache(maxsize=4096)
def is_foreign(file: str) -> bool:
    """Returns whether a file is lucid's, the standard library's, NumPy's or that of a compiled module."""
    return (
        file.startswith((PACKAGE, _LIBRARIES[1]))
        or file.endswith(".pyx")
        or (file.startswith(_LIBRARIES[0]) and not any(name in file for name in _INSTALLED))
    )


class Location(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.function})"


def _is_generated(code: CodeType) -> bool:
    """Returns whether code is a method that a dataclass or the like has made."""
    return code.co_filename == "<string>" and code.co_name.startswith("__")


def user_frame() -> FrameType | None:
    """Returns the innermost frame outside lucid, the standard library and NumPy."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (is_foreign(frame.f_code.co_filename) or _is_generated(frame.f_code)):
        frame = frame.f_back
    return frame


def user_location() -> Location | None:
    """Returns the innermost line being executed outside lucid, the standard library and NumPy."""
    frame = user_frame()
    if frame is None:
        return None
    return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
