"""Runs ONNX models in onnxruntime: sessions on any device, streaming, compiled modules, scoring of files."""

from .compiled.compiled import Compiled, compile
from .compiled.compiled_backward import CompiledBackward, compile_backward
from .compiled.compiled_step import CompiledStep
from .scoring.score import Scored, score_file
from .session.device import Device, find_device
from .session.outputs import Outputs
from .session.session import Session
from .session.spec import Spec
from .session.stream import Stream

__all__ = [
    "Compiled",
    "CompiledBackward",
    "CompiledStep",
    "Device",
    "Outputs",
    "Scored",
    "Session",
    "Spec",
    "Stream",
    "compile",
    "compile_backward",
    "find_device",
    "score_file",
]
