"""Names of an imported module's parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .node import Node

__all__ = ["Paths", "own_name", "stack_of"]

_GENERATED = re.compile(r"onnx::|const|val_|tensor_|init_|_|[A-Z]\d*_|.*__\d+$|.*_(quantized|scale|zero_point)$")
"""Names that an exporter makes up for a weight that it changed."""

_PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*")

_COPY = re.compile(r"(.*(?:weight|bias)(?:_ih|_hh)?(?:_l\d+)?(?:_reverse)?)(?:_\d+)+")
"""The name of a weight with the number of a copy."""

_STACKED = re.compile(r"(?:(.*)\.)?(?:weight|bias)_[ih]h_l(\d+)(?:_\w+)?")
"""The name of a recurrent layer's weight: the path of its stack, and its number there."""

_LAYER = re.compile(r"(.*)\.l(\d+)")


class Paths:
    """Distinct paths, such as ``encoder.weight``, of which none is the folder of another."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._reserved = frozenset(reserved)
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def fresh(self, wish: str) -> str:
        """Returns a path that is not taken, as close to the wish as possible."""
        parts = [re.sub(r"\W", "_", part) or "_" for part in wish.split(".")]
        parts = [f"{part}_" if part in self._reserved else part for part in parts]
        for i in range(len(parts)):
            # A folder must not be a parameter's path, and a parameter's neither another's nor a folder's.
            others = self._taken if i + 1 < len(parts) else self._taken | self._folders
            own, count = parts[i], 0
            while ".".join(parts[: i + 1]) in others:
                count += 1
                parts[i] = f"{own}_{count}"
        path = ".".join(parts)
        self._taken.add(path)
        self._folders.update(".".join(parts[:i]) for i in range(1, len(parts)))
        return path


def own_name(name: str) -> str | None:
    """Returns the path that an initializer's name gives its parameter; None if an exporter made the name up."""
    name = re.sub(r"\.T(_\d+)?$", "", name)
    if _GENERATED.match(name) or not _PATH.fullmatch(name):
        return None
    copy = _COPY.fullmatch(name)
    return copy[1] if copy else name


def stack_of(node: Node, weights: Iterable[str]) -> tuple[str, int | None]:
    """Returns the path of the stack that a recurrent operator is a layer of, and its number there, if they are known.

    Args:
        node: the operator.
        weights: the names of its weights in the file.
    """
    for pattern, texts in ((_STACKED, [*weights]), (_LAYER, [node.scope])):
        found = [match for match in map(pattern.fullmatch, texts) if match]
        if found:
            return found[0][1] or "", int(found[0][2])
    return node.scope, None
