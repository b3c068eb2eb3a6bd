"""Flattens nested arguments and results into their leaves, and rebuilds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .dim import concrete

__all__ = ["LEAF", "Structure", "TreeNode", "flatten", "key_of", "paths", "unflatten"]


@runtime_checkable
class TreeNode(Protocol):
    """A container other than a tuple, list or dict that can flatten and rebuild itself."""

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        """Returns the parts, and whatever else is needed to rebuild the container."""
        ...

    @classmethod
    def tree_unflatten(cls, rest: Any, parts: tuple[Any, ...]) -> Any:
        """Rebuilds the container from its parts."""
        ...


class Structure(NamedTuple):
    """A nested structure: the container's type, what it needs besides its parts, and the structure of each part."""

    kind: Any
    rest: Any
    parts: tuple[Structure, ...]

    def leaves(self) -> int:
        """Returns the number of leaves."""
        return 1 if self.kind is None else sum(part.leaves() for part in self.parts)


LEAF = Structure(None, None, ())


def flatten(tree: Any, is_leaf: Callable[[Any], bool]) -> tuple[list[Any], Structure]:
    """Returns the leaves of nested tuples, named tuples, lists, dicts and `TreeNode`s, and their structure.

    Leaves come depth first. Anything else is a constant and stays in the structure, unless `is_leaf` accepts it.
    """
    if is_leaf(tree):
        return [tree], LEAF
    split = _split(tree)
    if split is None:
        return [], Structure(_Constant, concrete(tree), ())
    rest, parts = split
    leaves: list[Any] = []
    structures = []
    for part in parts:
        inner, structure = flatten(part, is_leaf)
        leaves.extend(inner)
        structures.append(structure)
    return leaves, Structure(type(tree), rest, tuple(structures))


def unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    """Rebuilds a nested structure, with its leaves taken from an iterator."""
    kind, rest, parts = structure
    if kind is None:
        return next(leaves)
    if kind is _Constant:
        return rest
    values = tuple([next(leaves) if part.kind is None else unflatten(part, leaves) for part in parts])
    if kind is tuple:
        return values
    if issubclass(kind, dict):
        return dict(zip(rest, values, strict=True))
    if issubclass(kind, tuple):
        return kind(*values) if hasattr(kind, "_fields") else kind(values)
    if issubclass(kind, list):
        return list(values)
    return kind.tree_unflatten(rest, values)


def paths(structure: Structure, root: str = "") -> list[str]:
    """Returns a name for each leaf: `root`, then the keys, fields or positions leading to it, joined by underscores."""
    kind, rest, parts = structure
    if kind is None:
        return [root]
    if kind is _Constant:
        return []
    if issubclass(kind, dict):
        keys = [str(key) for key in rest]
    elif hasattr(kind, "_fields"):
        keys = list(kind._fields)
    elif issubclass(kind, (tuple, list)):
        keys = [str(i) for i in range(len(parts))]
    else:
        keys = list(getattr(kind, "tree_names", map(str, range(len(parts)))))
    return [
        path for key, part in zip(keys, parts, strict=True) for path in paths(part, f"{root}_{key}" if root else key)
    ]


class _Constant:
    """Marks a constant in a `Structure`: neither a tensor nor a container."""


def _split(tree: Any) -> tuple[Any, tuple[Any, ...]] | None:
    if isinstance(tree, dict):
        return tuple(tree), tuple(tree.values())
    if isinstance(tree, (tuple, list)):
        return None, tuple(tree)
    if isinstance(tree, TreeNode):
        rest, parts = tree.tree_flatten()[::-1]
        return rest, tuple(parts)
    return None


def key_of(structure: Structure) -> Any:
    """Returns a hashable key for a structure; constants of equal value but different type have different keys."""
    kind, rest, parts = structure
    try:
        hash(rest)
    except TypeError:
        raise TypeError(
            "arguments and results must be Tensors, nested in tuples, lists or dicts, or plain "
            f"constants; got {type(rest).__name__}"
        ) from None
    return kind, type(rest), rest, tuple([key_of(part) for part in parts])
