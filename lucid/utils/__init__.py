"""PyTorch's place for datasets and loaders: `lucid.utils.data` is `lucid.data`."""

from typing import TYPE_CHECKING

from ..absent import absent_from
from . import data

__all__ = ["data"]

# Type checkers would assume that every name exists.
if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
