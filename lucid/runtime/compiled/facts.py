"""Facts: what a choice of the fastest way depends on, as JSON."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ...nn.guards import PLAIN
from ...nn.module import Module
from ...optim.optimizer import Optimizer

__all__ = ["machine", "of_function", "of_inputs", "of_model", "of_optimizer", "versions"]


def of_model(model: Module) -> list[Any]:
    """Returns the classes of all modules with their plain attributes, and the tensors, but not their elements."""
    found: list[Any] = []
    for name, module in model.named_modules():
        plain = {
            key: repr(value)
            for key, value in sorted(module.__dict__.items())
            if isinstance(value, PLAIN) and key not in module._notes and key != "_last_call"
        }
        found.append([name, of_function(type(module)), plain])
    for key, tensor in (*model.named_parameters(), *model.named_buffers()):
        found.append([key, str(tensor.dtype), list(tensor.shape), bool(tensor.requires_grad)])
    return found


def of_function(function: Callable[..., Any]) -> Any:
    """Returns where a function or a class is defined; for a module, what `of_model` does."""
    if isinstance(function, Module):
        return of_model(function)
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"


def of_optimizer(optimizer: Optimizer) -> list[Any]:
    """Returns the class of an optimizer, and for each group the options that an update is compiled for.

    Numbers other than zero are not among them: a schedule may change them.
    """
    groups = [
        {name: _kind(option) for name, option in sorted(optimizer.options(group).items())}
        for group in optimizer.param_groups
    ]
    return [of_function(type(optimizer)), groups]


def _kind(option: Any) -> Any:
    if isinstance(option, tuple):
        return [_kind(part) for part in option]
    return "number" if isinstance(option, float) and option else repr(option)


@cache
def _processor() -> str:
    """Returns the name of the processor, with its family and model where the system says them."""
    path = Path("/proc/cpuinfo")
    found: dict[str, str] = {}
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "cpu family", "model", "CPU part"):
                found.setdefault(key.strip(), value.strip())
    parts = [f"{key} {value}" if key != "model name" else value for key, value in sorted(found.items())]
    return ", ".join(parts) or platform.processor() or platform.machine()


def machine(count: int) -> dict[str, Any]:
    """Returns the processor, and the number of cores that are used."""
    return {"processor": _processor(), "system": f"{platform.system()} {platform.machine()}", "cores": count}


def versions() -> dict[str, str]:
    """Returns the versions of what computes."""
    from ... import __version__

    return {"lucid": __version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__}


def of_inputs(dtypes: Sequence[np.dtype[Any]], sizes: Sequence[Sequence[int]]) -> list[str]:
    """Returns the dtype and the sizes of each input; a size is that of its class."""
    return [f"{dtype.name}{tuple(shape)}" for dtype, shape in zip(dtypes, sizes, strict=True)]
