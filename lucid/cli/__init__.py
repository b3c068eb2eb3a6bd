"""The command line: ``lucid info``, ``summary``, ``plot``, ``verify``, ``run``, ``bench``, ``convert`` and
``score``."""

from .main import main

__all__ = ["main"]
