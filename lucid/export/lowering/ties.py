"""Ties: a weight that is used as it is and transposed, as the table of an embedding may be, stored once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from .builder import Builder

__all__ = ["tied"]

_SMALL = 1024
"""Matrices of fewer bytes may be stored twice: a node takes about as much."""


def tied(
    b: Builder, nodes: Sequence[ir.Node], initializers: Sequence[ir.Value]
) -> tuple[list[ir.Node], list[ir.Value]]:
    """Replaces each matrix whose transpose is an initializer, too, by a Transpose of that one.

    Two matrices count as one weight if they share their memory. onnxruntime transposes a constant when it loads the
    model, so calls take no longer.

    Args:
        b: the builder of the main graph.
        nodes: its nodes, in order.
        initializers: its initializers.

    Returns:
        The nodes and the initializers.
    """
    stored: dict[tuple[int, ...], ir.Value] = {}
    kept: list[ir.Value] = []
    made: list[ir.Node] = []
    # Those in the order of their memory come first: they have the name and the shape of the model's tensor.
    for value in sorted(initializers, key=lambda v: not _array(b, v).flags.c_contiguous):
        array = _array(b, value)
        if array.ndim != 2 or array.nbytes < _SMALL:
            kept.append(value)
            continue
        twin = stored.get(_place(array.T))
        if twin is None:
            stored[_place(array)] = value
            kept.append(value)
            continue
        turned = ir.Value(name=b.unique(f"{twin.name}/transposed"), shape=value.shape, type=value.type)
        made.append(ir.node("Transpose", [twin], {"perm": [1, 0]}, outputs=[turned], name=b.unique("tied/Transpose")))
        for node, index in list(value.uses()):
            node.replace_input_with(index, turned)
    order = {value: i for i, value in enumerate(initializers)}
    return [*made, *nodes], sorted(kept, key=lambda v: order[v])


def _array(b: Builder, value: ir.Value) -> np.ndarray[Any, Any]:
    array = b.array(value)
    assert array is not None
    return array


def _place(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    return (array.__array_interface__["data"][0], *array.shape, *array.strides, array.dtype.num)
