"""ONNX models in onnxruntime: sessions on any device, streaming, compiled modules."""

from .device import Device, find_device
from .outputs import Outputs
from .session import Session
from .spec import Spec
from .stream import Stream

__all__ = ["Device", "Outputs", "Session", "Spec", "Stream", "find_device"]
