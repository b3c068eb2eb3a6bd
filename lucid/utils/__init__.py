"""PyTorch's place for datasets and loaders: `lucid.utils.data` is `lucid.data`."""

from . import data

__all__ = ["data"]
