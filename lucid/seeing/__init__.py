"""Seeing what a model is made of and how its training goes: tables and progress bars."""

from .progress import Progress, progress
from .summary import Row, Summary, summary

__all__ = ["Progress", "Row", "Summary", "progress", "summary"]
