"""Names of the values and nodes of a model, no two of which may be the same."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Names"]


class Names:
    """The names that are taken.

    Args:
        taken: those at the start.

    Example:
        >>> from lucid.export.names import Names
        >>> names = Names(["x"])
        >>> names.fresh("x"), names.fresh("x"), names.fresh("y")
        ('x_1', 'x_2', 'y')
    """

    def __init__(self, taken: Iterable[str | None] = ()) -> None:
        self._taken = set(taken)

    def fresh(self, name: str) -> str:
        """Returns a name that is not taken, as close to `name` as possible, and takes it."""
        chosen, count = name, 0
        while chosen in self._taken:
            count += 1
            chosen = f"{name}_{count}"
        self._taken.add(chosen)
        return chosen
