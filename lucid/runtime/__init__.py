"""ONNX models in onnxruntime: sessions on any device, streaming, compiled modules."""

from .compiled import Compiled, compile
from .device import Device, find_device
from .outputs import Outputs
from .session import Session
from .spec import Spec
from .stream import Stream

__all__ = ["Compiled", "Device", "Outputs", "Session", "Spec", "Stream", "compile", "find_device"]
