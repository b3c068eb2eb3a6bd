"""Devices in PyTorch's terms: tensors are in the CPU's memory, and models run on a GPU once exported or compiled."""

from __future__ import annotations

from typing import Any

from .errors import RuntimeUnavailableError

__all__ = ["CPU", "device", "get_default_device", "is_device", "require_cpu", "set_default_device"]

_TYPES = frozenset(("cpu", "cuda", "hip", "hpu", "maia", "meta", "mps", "mtia", "vulkan", "xla", "xpu"))


class device:  # noqa: N801 - PyTorch's name
    """A name of a place for tensors, such as "cpu" or "cuda:0" (torch.device).

    Any may be named and compared, as in ``device.type == "cuda"``. Tensors and modules are on the CPU alone.

    Args:
        type: "cpu", "cuda" or another type that PyTorch has, with a number after a colon or not; or a device.
        index: the number.

    Attributes:
        type: the type alone.
        index: the number; None if there is none.

    Raises:
        RuntimeUnavailableError: there is no such type.

    Example:
        >>> device = lucid.device("cuda" if lucid.cuda.is_available() else "cpu")
        >>> device
        device(type='cpu')
        >>> lucid.ones(2, device=device).device == device
        True
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | device, index: int | None = None) -> None:
        if isinstance(type, device):
            kind, number = type.type, type.index
        else:
            kind, _, digits = str(type).partition(":")
            if not isinstance(type, str) or kind not in _TYPES or (digits and not digits.isdecimal()):
                raise RuntimeUnavailableError(f"device: expected 'cpu', or one of {sorted(_TYPES)}; got {type!r}")
            number = int(digits) if digits else index
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "index", number)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a device is not changed; write lucid.device({value!r})")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        """Accepts the CPU as the place of tensors made in a ``with`` block."""
        require_cpu(self)
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (")" if self.index is None else f", index={self.index})")


CPU = device("cpu")


def is_device(x: Any) -> bool:
    """Returns whether this names a device, be it a `device` or a text, rather than a dtype."""
    return isinstance(x, device) or (isinstance(x, str) and x.partition(":")[0] in _TYPES)


def require_cpu(place: Any) -> None:
    """Raises an error for every device but the CPU; None stands for the CPU.

    Raises:
        RuntimeUnavailableError: it is another device, or none at all.
    """
    if place is None or place is CPU or place == "cpu":
        return
    if isinstance(place, int) or device(place).type != "cpu":
        raise RuntimeUnavailableError(
            f"device {str(place)!r} was asked for, but tensors are in the CPU's memory: training runs on the CPU, "
            "exported and compiled models on a GPU; use 'cpu' here, and lucid.compile(model, 'cuda') or "
            "lucid.export.to_onnx to run the model there"
        )


def get_default_device() -> device:
    """Returns the CPU, where all tensors are (torch.get_default_device).

    >>> lucid.get_default_device()
    device(type='cpu')
    """
    return CPU


def set_default_device(device: Any) -> None:
    """Accepts the CPU (torch.set_default_device). Raises RuntimeUnavailableError for another device."""
    require_cpu(device)
