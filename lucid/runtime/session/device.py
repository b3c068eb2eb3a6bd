"""Devices, and the onnxruntime execution providers that they select."""

from __future__ import annotations

import io
import re
import threading
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from ...devices import device as Place
from ...errors import RuntimeUnavailableError
from .plugin import Plugin, installed

__all__ = ["Device", "allocate", "find_device", "holds_memory", "load_libraries", "require", "select", "turn"]

Array = np.ndarray[Any, Any]

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_TURN = threading.RLock()
_PACKAGES = ("mlx", "openvino", "webgpu")
"""The kinds of devices whose plugins are known to be packages onnxruntime-ep-…."""

_INSTALL = (
    "install it with `pip install 'lucid-onnx[gpu]'`, then `pip install --force-reinstall --no-deps onnxruntime-gpu`, "
    "since onnxruntime and onnxruntime-gpu unpack into the same folder"
)
_LIBRARIES = (
    "onnxruntime-gpu is installed, but its CUDA provider did not start: it needs an NVIDIA driver and the CUDA and "
    "cuDNN libraries, `pip install onnxruntime-gpu[cuda,cudnn]`"
)


class Device(NamedTuple):
    """The device that a model runs on: "cpu", "cuda", or the name of another execution provider, and its number.

    Attributes:
        kind: "cpu", "cuda", "webgpu", or another name that `find_device` takes.
        number: which of several devices of this kind.
    """

    kind: str
    number: int = 0

    @property
    def providers(self) -> list[Any] | None:
        """onnxruntime's execution providers, the preferred one first; None for a plugin, which takes devices."""
        if self.kind == "cpu":
            return [_CPU]
        if self.kind == "cuda":
            return [(_CUDA, {"device_id": self.number}), _CPU]
        return None if Plugin.find(self.kind) else [_carried(self.kind), _CPU]

    def __str__(self) -> str:
        return self.kind if not self.number else f"{self.kind}:{self.number}"


def find_device(name: str | Place | Device) -> Device:
    """Returns the device of a name, or of PyTorch's `lucid.device`.

    "cpu", "cuda" and "cuda:1" are the CPU and NVIDIA's GPUs; "auto" is CUDA if onnxruntime has it. "webgpu" and other
    names are execution providers of onnxruntime: the plugin of an installed package onnxruntime-ep-webgpu, and so on,
    or one that this build of onnxruntime carries inside, as that of the package onnxruntime-webgpu does.

    Raises:
        ValueError: there is no such name.
        RuntimeUnavailableError: this installation of onnxruntime has no such device.

    Example:
        >>> from lucid.runtime import find_device
        >>> find_device("cuda:x")
        Traceback (most recent call last):
        ValueError: device must be 'cpu', 'cuda', 'cuda:<number>', 'webgpu' or another provider ...; got 'cuda:x'
    """
    if isinstance(name, Device):
        return name
    if isinstance(name, Place):
        name = "cpu" if name.type == "cpu" else str(name)
    match = (
        re.fullmatch(r"cpu|auto|(?!(?:cpu|auto):)([a-z][a-z0-9-]*)(?::(\d+))?", name) if isinstance(name, str) else None
    )
    if match is None:
        raise _unknown(name)
    has_cuda = _CUDA in onnxruntime.get_available_providers()
    if name == "cpu" or (name == "auto" and not has_cuda):
        return Device("cpu")
    device = Device(match[1] or "cuda", int(match[2] or 0))
    if device.kind != "cuda":
        _check(device, name)
    elif not has_cuda:
        raise RuntimeUnavailableError(
            f"device {name!r} asked for, but this installation of onnxruntime has no CUDA: {_INSTALL}; or use "
            "device='cpu'"
        )
    return device


def _unknown(name: Any) -> ValueError:
    plugins = ", ".join(installed())
    return ValueError(
        "device must be 'cpu', 'cuda', 'cuda:<number>', 'webgpu' or another provider of an installed package "
        f"onnxruntime-ep-… ({plugins or 'none'}), or 'auto'; got {name!r}"
    )


def _check(device: Device, name: str) -> None:
    """Checks that onnxruntime has the execution provider of a device, and so many devices of it.

    Raises:
        ValueError, RuntimeUnavailableError: it does not.
    """
    plugin = Plugin.find(device.kind)
    if plugin is None and _carried(device.kind) is None:
        if device.kind not in _PACKAGES:
            raise _unknown(name)
        raise RuntimeUnavailableError(
            f"device {name!r} asked for, but this installation of onnxruntime has no {device.kind}: install it with "
            f"`pip install onnxruntime-ep-{device.kind}`, which takes onnxruntime 1.23 or later; or use device='cpu'"
        )
    count = len(plugin.devices()) if plugin else 1
    if device.number >= count:
        devices = ", ".join(repr(str(Device(device.kind, i))) for i in range(count))
        raise RuntimeUnavailableError(f"device {name!r} asked for, but there is only {devices}")


def _carried(kind: str) -> str | None:
    """Returns the name of the execution provider of this kind that onnxruntime carries inside, or None."""
    provider = f"{kind.replace('-', '')}executionprovider"
    return next((name for name in onnxruntime.get_available_providers() if name.lower() == provider), None)


def select(device: Device, options: Any) -> list[Any] | None:
    """Adds a device to the options of a session; returns what the session takes as its providers.

    Raises:
        RuntimeUnavailableError: there is no such device.
    """
    if device.kind in ("cpu", "cuda"):
        return device.providers
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")  # for `require`
    _check(device, str(device))  # again: a session may come from another process
    if plugin := Plugin.find(device.kind):
        options.add_provider_for_devices([plugin.devices()[device.number]], {})
    return device.providers


def load_libraries(device: Device) -> str:
    """Loads CUDA's libraries, including those that pip installed, if onnxruntime would not find them by itself.

    Returns:
        onnxruntime's messages about libraries that it could not load.
    """
    if device.kind != "cuda" or not hasattr(onnxruntime, "preload_dlls"):
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
    if device.kind == "cpu":
        return
    if device.kind == "cuda":
        if _CUDA not in session.get_providers():
            why = f" ({said})" if said else ""
            raise RuntimeUnavailableError(f"device {str(device)!r} asked for: {_LIBRARIES}{why}; or use device='cpu'")
        return
    plugin = Plugin.find(device.kind)
    provider = plugin.provider if plugin else _carried(device.kind)
    # onnxruntime 1.24 and later say which nodes run where.
    places = [part.ep_name for part in getattr(session, "get_provider_graph_assignment_info", list)()]
    if provider not in session.get_providers() or (places and provider not in places):
        raise RuntimeUnavailableError(
            f"device {str(device)!r} asked for, but onnxruntime runs no node of this model on {provider}; or use "
            "device='cpu'"
        )


def turn(device: Device) -> AbstractContextManager[Any]:
    """Returns what a thread holds while onnxruntime works on a device.

    WebGPU's provider records the commands of all sessions and copies in one place, and breaks if two threads do so.
    """
    return nullcontext() if device.kind in ("cpu", "cuda") else _TURN


def allocate(device: Device, zeros: Array) -> Any:
    """Returns an OrtValue of zeros in the memory of a device; None if onnxruntime cannot allocate there."""
    if device.kind == "cuda":
        return onnxruntime.OrtValue.ortvalue_from_numpy(zeros, device.kind, device.number)
    return _allocated(device, zeros) if holds_memory(device) else None


@cache
def holds_memory(device: Device) -> bool:
    """Returns whether buffers can lie in the memory of a device, so that the state of a stream stays there."""
    if device.kind in ("cpu", "cuda"):
        return device.kind == "cuda"
    try:
        with turn(device):
            return bool(_allocated(device, np.zeros(1, np.float32)).numpy() == 0)
    except Exception:  # older versions lack one or the other of these functions, and raise what they like
        return False


def _allocated(device: Device, zeros: Array) -> Any:
    plugin = Plugin.find(device.kind)
    assert plugin is not None  # a provider that onnxruntime carries inside has no list of devices
    memory = plugin.devices()[device.number].memory_info(onnxruntime.OrtDeviceMemoryType.DEFAULT)
    if memory is None:  # it computes in the CPU's memory
        raise RuntimeUnavailableError(f"{device} has no memory of its own")
    with turn(device):
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(zeros.shape, zeros.dtype.type, memory_info=memory)
        value.update_inplace(zeros)
    return value
