"""The lowerings, grouped as the ops are: each turns one op into ONNX nodes."""

from . import creation, elementwise, gather, gru, index, linalg, lstm, recurrent, reduce, shape  # noqa: F401 - fills the table
from .registry import LOWERINGS, lowers

__all__ = ["LOWERINGS", "lowers"]
