"""The table of lowerings: which ONNX nodes an op becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...tracer.op import OPS, Op

__all__ = ["LOWERINGS", "lowers"]

Lowering = Callable[..., Any]

LOWERINGS: dict[str, Lowering] = {}
"""The lowering of each op, by the op's name."""


def lowers(*ops: str | Op[Any, Any]) -> Callable[[Lowering], Lowering]:
    """Declare how an op becomes ONNX. A decorator.

    The lowering mirrors the op's forward: it is called as ``lowering(b, *inputs, **attributes)``, where `b` is the
    `Builder`, an input is an `onnx_ir.Value`, a Python number or None, as it was in the run, and an int in an attribute
    may be a `Size`, which `b.sizes` turns into a tensor. It returns one `onnx_ir.Value` an output.

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
