"""ONNX models in onnxruntime: sessions on any device, streaming, compiled modules."""

from .device import Device, find_device
from .outputs import Outputs
from .session import Session

__all__ = ["Device", "Outputs", "Session", "find_device"]
