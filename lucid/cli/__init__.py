"""The command line: ``lucid info``, ``summary``, ``plot``, ``verify``, ``run``, ``bench``, ``convert``, ``score`` and
``explain``."""

from .main import main

__all__ = ["main"]
