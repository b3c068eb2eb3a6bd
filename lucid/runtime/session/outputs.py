"""Outputs: the results of a session, in order and by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["Outputs"]

Array = np.ndarray[Any, Any]


class Outputs(tuple[Array, ...]):
    """The arrays that a model returned, in order and by name.

    Example:
        >>> from lucid.runtime import Outputs
        >>> outputs = Outputs.of([np.zeros(2), np.ones(1)], ("output", "h_n"))
        >>> output, h_n = outputs
        >>> outputs["h_n"] is outputs[1] is h_n
        True
        >>> list(outputs.keys())
        ['output', 'h_n']
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, arrays: Iterable[Array], names: tuple[str, ...]) -> Outputs:
        """Creates outputs from arrays and their names."""
        # No __new__: it would take half a microsecond, and a call of one step takes only microseconds.
        outputs = cls(arrays)
        outputs.names = names
        return outputs

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self.names:
                raise KeyError(f"no output is named {key!r}; there is {', '.join(self.names)}")
            key = self.names.index(key)
        return tuple.__getitem__(self, key)

    def keys(self) -> tuple[str, ...]:
        """Returns the names."""
        return self.names

    def items(self) -> Iterator[tuple[str, Array]]:
        """Returns an iterator over each name with its array."""
        return zip(self.names, self, strict=True)

    def __reduce__(self) -> Any:
        return Outputs.of, (tuple(self), self.names)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{name}={array!r}' for name, array in self.items())})"
