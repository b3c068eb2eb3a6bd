"""ONNX models in onnxruntime: sessions on any device, streaming, compiled modules."""

from .compiled import Compiled, compile
from .compiled_backward import CompiledBackward, compile_backward
from .device import Device, find_device
from .outputs import Outputs
from .session import Session
from .spec import Spec
from .stream import Stream

__all__ = [
    "Compiled",
    "CompiledBackward",
    "Device",
    "Outputs",
    "Session",
    "Spec",
    "Stream",
    "compile",
    "compile_backward",
    "find_device",
]
