"""The command line: ``lucid info``, ``verify``, ``run`` and ``bench``."""

from .main import main

__all__ = ["main"]
