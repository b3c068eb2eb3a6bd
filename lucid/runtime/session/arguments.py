"""Puts the arguments of a call in the order of a model's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .spec import Spec

__all__ = ["ordered"]


def ordered(specs: Sequence[Spec], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """Returns the argument for each input, given by position or by name.

    Raises:
        TypeError: an input is missing, given twice or unknown.
    """
    names = [spec.name for spec in specs]
    takes = f"the inputs are {', '.join(map(str, specs))}"
    if len(args) > len(names):
        raise TypeError(
            f"{len(args)} inputs were given, but there {'is' if len(names) == 1 else 'are'} {len(names)}; {takes}"
        )
    given = dict(zip(names, args, strict=False))
    for name, x in kwargs.items():
        if name in given:
            raise TypeError(f"input {name!r} was given twice, by position and by name")
        if name not in names:
            raise TypeError(f"there is no input {name!r}; {takes}")
        given[name] = x
    if missing := [name for name in names if name not in given]:
        raise TypeError(f"input {', '.join(map(repr, missing))} is missing; {takes}")
    return [given[name] for name in names]
