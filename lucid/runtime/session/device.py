"""Devices, and the onnxruntime execution providers that they select."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import onnxruntime

from ...devices import device as Place
from ...errors import RuntimeUnavailableError

__all__ = ["Device", "find_device", "load_libraries", "require"]

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"

_INSTALL = (
    "install it with `pip install 'lucid-onnx[gpu]'`, then `pip install --force-reinstall --no-deps onnxruntime-gpu`, "
    "since onnxruntime and onnxruntime-gpu unpack into the same folder"
)
_LIBRARIES = (
    "onnxruntime-gpu is installed, but its CUDA provider did not start: it needs an NVIDIA driver and the CUDA and "
    "cuDNN libraries, `pip install onnxruntime-gpu[cuda,cudnn]`"
)


class Device(NamedTuple):
    """The device that a model runs on: "cpu" or "cuda", and its number."""

    kind: str
    number: int = 0

    @property
    def providers(self) -> list[Any]:
        """onnxruntime's execution providers, the preferred one first."""
        return [_CPU] if self.kind == "cpu" else [(_CUDA, {"device_id": self.number}), _CPU]

    def __str__(self) -> str:
        return self.kind if not self.number else f"{self.kind}:{self.number}"


def find_device(name: str | Place | Device) -> Device:
    """Returns the device of a name: "cpu", "cuda", "cuda:1", or "auto", which is CUDA if onnxruntime has it; or of
    PyTorch's `lucid.device`.

    Raises:
        ValueError: there is no such name.
        RuntimeUnavailableError: this installation of onnxruntime has no CUDA.

    Example:
        >>> from lucid.runtime import find_device
        >>> find_device("cuda:x")
        Traceback (most recent call last):
        ValueError: device must be 'cpu', 'cuda', 'cuda:<number>' or 'auto'; got 'cuda:x'
    """
    if isinstance(name, Device):
        return name
    if isinstance(name, Place):
        name = "cpu" if name.type == "cpu" else str(name)
    match = re.fullmatch(r"cpu|auto|cuda(?::(\d+))?", name) if isinstance(name, str) else None
    if match is None:
        raise ValueError(f"device must be 'cpu', 'cuda', 'cuda:<number>' or 'auto'; got {name!r}")
    has_cuda = _CUDA in onnxruntime.get_available_providers()
    if name == "cpu" or (name == "auto" and not has_cuda):
        return Device("cpu")
    if not has_cuda:
        raise RuntimeUnavailableError(
            f"device {name!r} asked for, but this installation of onnxruntime has no CUDA: {_INSTALL}; or use "
            "device='cpu'"
        )
    return Device("cuda", int(match[1] or 0))


def load_libraries(device: Device) -> str:
    """Loads CUDA's libraries, including those that pip installed, if onnxruntime would not find them by itself.

    Returns:
        onnxruntime's messages about libraries that it could not load.
    """
    if device.kind == "cpu" or not hasattr(onnxruntime, "preload_dlls"):
        return ""
    said = io.StringIO()
    with redirect_stdout(said):  # onnxruntime prints its messages
        onnxruntime.preload_dlls()
    return " ".join(said.getvalue().split())


def require(device: Device, session: Any, said: str = "") -> None:
    """Checks that onnxruntime did not silently move a session to the CPU.

    Raises:
        RuntimeUnavailableError: it did.
    """
    if device.kind == "cuda" and _CUDA not in session.get_providers():
        why = f" ({said})" if said else ""
        raise RuntimeUnavailableError(f"device {str(device)!r} asked for: {_LIBRARIES}{why}; or use device='cpu'")
