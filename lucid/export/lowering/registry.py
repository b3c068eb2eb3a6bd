"""The registry of lowerings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...tracer.op import OPS, Op

__all__ = ["LOWERINGS", "lowers"]

Lowering = Callable[..., Any]

LOWERINGS: dict[str, Lowering] = {}
"""The lowering of each op, by the op's name."""


def lowers(*ops: str | Op[Any, Any]) -> Callable[[Lowering], Lowering]:
    """Registers the decorated function as the lowering of ops.

    The lowering mirrors the op's forward: it is called as ``lowering(b, *inputs, **attributes)``, where `b` is the
    `Builder`. An input is an `onnx_ir.Value`, a Python number or None, as in the traced run. An int in an attribute may
    be a `Size`, which `b.sizes` converts to a tensor. The lowering returns one `onnx_ir.Value` per output.

    Args:
        ops: the ops, or their names.

    Example:
        >>> @lucid.op
        ... def twice(x, /):
        ...     return x + x
        >>> @lucid.export.lowers(twice)
        ... def _(b, x):
        ...     return b.op("Add", x, x)
        >>> lucid.export.to_onnx(lambda x: twice(x), lucid.ones(3)).operators
        {'Add': 1}
    """

    def register(lowering: Lowering) -> Lowering:
        for op in ops:
            name = op if isinstance(op, str) else op.name
            if name not in OPS:
                raise ValueError(f"there is no op named {name!r} to lower; declare it first, with @lucid.op")
            if name in LOWERINGS:
                raise ValueError(f"the op {name!r} already has a lowering")
            LOWERINGS[name] = lowering
        return lowering

    return register
