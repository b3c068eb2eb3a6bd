"""Puts the arguments of a call in the order of a model's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .spec import Spec, as_array, check_shapes, resolve

__all__ = ["INSTEAD", "filled", "ordered"]

INSTEAD = {
    "get_inputs": "session.inputs has the name, dtype and shape of each input",
    "get_outputs": "session.outputs has the name, dtype and shape of each output",
    "get_modelmeta": "session.metadata is a dict",
    "get_providers": "session.device is where it runs",
    "predict": "call the session: session(x)",
    "run_with_iobinding": "small inputs are bound from the second call on, and all on a GPU",
}
"""Attributes of onnxruntime's and Keras' models, and what to write instead."""


def ordered(
    specs: Sequence[Spec], args: tuple[Any, ...], kwargs: Mapping[str, Any], optional: Sequence[Sequence[str]] = ()
) -> list[Any]:
    """Returns the argument for each input, given by position or by name; None for a state that was left out.

    Args:
        specs: the inputs.
        args: arguments by position.
        kwargs: arguments by name.
        optional: the groups of states that may be left out.

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
    may_miss = {name for group in optional for name in group}
    if missing := [name for name in names if name not in given and name not in may_miss]:
        raise TypeError(f"input {', '.join(map(repr, missing))} is missing; {takes}")
    return [given.get(name) for name in names]


def filled(specs: Sequence[Spec], given: Sequence[Any], optional: Sequence[Sequence[str]]) -> Sequence[Any]:
    """Returns the arguments with zeros for the states that were left out, None.

    Raises:
        TypeError: they are no groups that may be left out.
        ShapeError, DtypeError: another input does not fit.
    """
    may_miss = {name for group in optional for name in group}
    left = {spec.name for spec, x in zip(specs, given, strict=True) if x is None and spec.name in may_miss}
    if not left:
        return given
    whole = {name for group in optional if left.issuperset(group) for name in group}
    if alone := left - whole:
        groups = "; or ".join(" and ".join(map(repr, group)) for group in optional)
        raise TypeError(
            f"input {', '.join(map(repr, sorted(alone)))} was left out, but only these may be, together: {groups}"
        )
    arrays = [None if spec.name in left else as_array(x, spec) for x, spec in zip(given, specs, strict=True)]
    present = [(spec, array.shape) for spec, array in zip(specs, arrays, strict=True) if array is not None]
    sizes = check_shapes([spec for spec, _ in present], [shape for _, shape in present])
    return [
        np.zeros(resolve(spec, sizes) or (), spec.dtype) if array is None else array
        for spec, array in zip(specs, arrays, strict=True)
    ]
