"""Which constants of a graph are parameters, and in which layout: that of lucid's own layers, where one reads them.

A weight that all its readers take in one way gets the layout of the layer: the matrix of a product becomes (out, in),
and the weights of a recurrent operator become one matrix a direction, with gates in PyTorch's order. Otherwise it stays
as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .names import own_name
from .node import Constant, Node
from .values import Array

__all__ = ["GATES", "Use", "in_gates", "parts_of", "uses_of"]

GATES = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}
"""For each of PyTorch's gates the place of ONNX's: z r h is r z n, and i o f c is i f g o."""


class Use(NamedTuple):
    """How a node reads a constant.

    Attributes:
        layout: "plain", "transposed", "row" (all elements are along one axis), or a recurrent operator's type and what
            it reads, such as "LSTM weight_ih".
        name: what the parameter is called in its layer, such as "weight".
    """

    layout: str
    name: str


_SLOTS: dict[str, tuple[tuple[int, str], ...]] = {
    "Conv": ((1, "weight"), (2, "bias")),
    "ConvTranspose": ((1, "weight"), (2, "bias")),
    "LayerNormalization": ((1, "weight"), (2, "bias")),
    "BatchNormalization": ((1, "weight"), (2, "bias")),
    "InstanceNormalization": ((1, "weight"), (2, "bias")),
    "GroupNormalization": ((1, "weight"), (2, "bias")),
    "RMSNormalization": ((1, "weight"),),
    "PRelu": ((1, "weight"),),
    "Gather": ((0, "weight"),),
    "Einsum": ((0, "weight"), (1, "weight")),
}
"""The inputs of operators that are weights, as they are."""

_RECURRENT = {1: "weight_ih", 2: "weight_hh", 3: "bias", 7: "weight_peephole"}


def uses_of(node: Node, given: dict[int, Constant], is_layer: Callable[[str], bool]) -> dict[int, Use]:
    """Returns how a node reads constants as weights, by the position of its input.

    Args:
        node: the node.
        given: its inputs that are constants, by position.
        is_layer: returns whether a value is the result of a layer, to which a bias is added.
    """
    kind = node.op_type
    floats = {i: constant for i, constant in given.items() if constant.array.dtype.kind == "f" and constant.array.size}
    named = {i: use for i, constant in floats.items() if (use := _named(constant)) is not None}
    found = {i: c.array for i, c in floats.items() if c.array.ndim and not _MADE.match(c.name)}
    if kind in GATES:
        return {i: Use("plain" if i == 7 else f"{kind} {name}", name) for i, name in _RECURRENT.items() if i in found}
    if kind == "MatMul" and len(found) == 1:
        return {i: Use("transposed" if i == 1 and array.ndim == 2 else "plain", "weight") for i, array in found.items()}
    if kind == "Gemm":
        return _gemm(node, found)
    if kind in ("Add", "Mul", "Sub") and len(found) == 1 and not named:
        ((i, array),) = found.items()
        # One number is a bias, too: that of a layer with one output.
        if (_is_row(array) or array.shape == (1,)) and is_layer(node.inputs[1 - i]):
            return {i: Use("plain", "weight" if kind == "Mul" else "bias")}
        return {}
    return {**named, **{i: Use("plain", name) for i, name in _SLOTS.get(kind, ()) if i in found}}


_MADE = re.compile(r"const(ant)?_")
"""The names of constants that lucid's exporter makes: they are no weights."""


def _named(constant: Constant) -> Use | None:
    """Returns how a constant is read whose name says that it is the weight or bias of a layer."""
    own = own_name(constant.name)
    last = None if own is None else own.split(".")[-1]
    if last not in ("weight", "bias"):
        return None
    return Use("row" if constant.array.ndim != 1 and _is_row(constant.array) else "plain", last)


def _is_row(array: Array) -> bool:
    """Returns whether all elements are along one axis."""
    return array.ndim == 0 or sum(n > 1 for n in array.shape) == 1


def _gemm(node: Node, given: dict[int, Array]) -> dict[int, Use]:
    uses: dict[int, Use] = {i: Use("plain", "weight") for i in (0, 1) if i in given}
    if len(uses) > 1:
        return {}
    if 1 in uses and node.is_linear and not node.get("transB", 0):
        uses[1] = Use("transposed", "weight")
    if 2 in given:
        uses[2] = Use("plain", "bias")
    return uses


def parts_of(array: Array, layout: str) -> Iterator[tuple[str, Array]]:
    """Yields the parameters that a constant becomes in a layout, each with its name; that of the only one is ""."""
    if layout in ("plain", "row", "transposed"):
        turned = {"plain": array, "row": array.ravel(), "transposed": array.T}[layout]
        yield "", np.ascontiguousarray(turned)
        return
    kind, name = layout.split()
    for direction, suffix in zip(array, ("", "_reverse"), strict=False):
        if name == "bias":
            for half, side in zip(np.split(direction, 2), ("bias_ih", "bias_hh"), strict=True):
                yield f"{side}{{}}{suffix}", in_gates(half, kind)
        else:
            yield f"{name}{{}}{suffix}", in_gates(direction, kind)


def in_gates(array: Array, kind: str) -> Array:
    """Returns a weight of ONNX's recurrent operators, (G H, *), with its gates in PyTorch's order."""
    blocks = np.split(array, len(GATES[kind]))
    return np.concatenate([blocks[i] for i in GATES[kind]])
