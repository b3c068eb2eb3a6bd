"""Plugin: an execution provider in a package of its own, beside those that onnxruntime carries inside."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from functools import cache
from typing import Any, NamedTuple

import onnxruntime

from ...errors import RuntimeUnavailableError

__all__ = ["Plugin", "installed"]

_PREFIX = "onnxruntime_ep_"
_LOCK = threading.Lock()


class Plugin(NamedTuple):
    """The execution provider of an installed package onnxruntime-ep-….

    Attributes:
        package: the package's name.
        provider: onnxruntime's name of the execution provider.
        library: the path of its library.
    """

    package: str
    provider: str
    library: str

    @classmethod
    def find(cls, kind: str) -> Plugin | None:
        """Returns the plugin of a kind of device, such as "webgpu"; None if no such package is installed.

        Raises:
            RuntimeUnavailableError: the package does not say where its library is.
        """
        package = f"onnxruntime-ep-{kind}"
        name = _PREFIX + kind.replace("-", "_")
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            return None
        try:
            return cls(package, module.get_ep_name(), module.get_library_path())
        except Exception as error:  # each package raises what it likes
            raise RuntimeUnavailableError(
                f"device {kind!r} asked for, but {package} does not name its provider and its library: {error}; "
                f"install it anew, `pip install --force-reinstall {package}`, or use device='cpu'"
            ) from error

    def devices(self) -> list[Any]:
        """Returns the devices that the provider can run on, in onnxruntime's order.

        Raises:
            RuntimeUnavailableError: onnxruntime does not load the library, or the provider finds no device.
        """
        if not hasattr(onnxruntime, "register_execution_provider_library"):
            raise RuntimeUnavailableError(
                f"{self.package} is installed, but onnxruntime {onnxruntime.__version__} cannot load it: it takes 1.23 "
                "or later, `pip install --upgrade onnxruntime`; or use device='cpu'"
            )
        with _LOCK:
            # A program may have registered the library under a name of its own.
            found = self._listed()
            if not found:
                try:
                    _register(self.package, self.library)
                except Exception as error:  # onnxruntime raises its own exception types
                    raise RuntimeUnavailableError(
                        f"{self.package} is installed, but onnxruntime {onnxruntime.__version__} does not load it: "
                        f"{error}; or use device='cpu'"
                    ) from error
                found = self._listed()
        if not found:
            raise RuntimeUnavailableError(
                f"{self.package} is installed, but finds no device on this machine that it can run on; use device='cpu'"
            )
        return found

    def _listed(self) -> list[Any]:
        """Returns the provider's devices that onnxruntime knows now, but for virtual ones, which only compile."""
        return [
            device
            for device in onnxruntime.get_ep_devices()
            if device.ep_name == self.provider and device.device.metadata.get("is_virtual") != "1"
        ]


@cache
def _register(package: str, library: str) -> None:
    """Loads a plugin's library into onnxruntime, once a process: onnxruntime refuses a name that it has."""
    onnxruntime.register_execution_provider_library(package, library)


def installed() -> list[str]:
    """Returns the kinds of devices for which a plugin is installed, sorted."""
    names = {module.name for module in pkgutil.iter_modules() if module.name.startswith(_PREFIX)}
    return sorted(name.removeprefix(_PREFIX).replace("_", "-") for name in names)
