"""Exports models to ONNX and verifies each export against the eager model."""

from .exported import Exported
from .file.read import load
from .file.verify import Verified, verify
from .lowering import lowers
from .report import Report
from .to_onnx import to_onnx
from .training import TrainingStep, training_step

__all__ = ["Exported", "Report", "TrainingStep", "Verified", "load", "lowers", "to_onnx", "training_step", "verify"]
