"""Export to ONNX, verified against the eager model before it is returned."""

from .exported import Exported
from .lowering import lowers
from .parity import Report
from .to_onnx import to_onnx

__all__ = ["Exported", "Report", "lowers", "to_onnx"]
