"""Export to ONNX, verified against the eager model before it is returned."""

from .exported import Exported
from .files import load
from .lowering import lowers
from .parity import Report
from .to_onnx import to_onnx
from .verify import Verified, verify

__all__ = ["Exported", "Report", "Verified", "load", "lowers", "to_onnx", "verify"]
