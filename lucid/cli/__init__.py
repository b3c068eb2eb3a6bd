"""The command line: ``lucid info``, ``summary``, ``plot``, ``verify``, ``run``, ``bench`` and ``score``."""

from .main import main

__all__ = ["main"]
