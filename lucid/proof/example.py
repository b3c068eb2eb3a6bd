"""Example: the example arguments of a model, and variants of them at other sizes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..errors import ExportError
from ..nn.call import example_of
from ..nn.module import Module
from ..nn.rnn import RNNBase
from ..tensor import Tensor, around, as_tensor
from ..tracer.graph import Graph
from ..tracer.node import Value
from ..tracer.size import Size
from ..tracer.trace import input_names
from ..tracer.tree import flatten, unflatten
from .perturb import Arrays, difference, distinct, perturbations, quietly
from .resize import Axis, proposals

__all__ = ["CASTS", "Arrays", "Axis", "Example", "as_tensors", "check_names", "origin"]

CASTS = ("astype", "clone", "detach")
"""The ops that keep each element as it is, or convert it."""


class Example:
    """The arguments of one call: arrays by input name, and everything else unchanged.

    Attributes:
        arrays: the example's own arrays.
        axis_names: the names of the axes that a data loader made.
        sequence_lengths: for each input that holds sequence lengths, the axis of the steps that they count, or the
            number of steps if it depends on no free axis.
        synthetic: whether the sizes are made up, since there was neither an example nor an earlier call.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        names: Sequence[str] | None = None,
    ) -> None:
        self.synthetic = False
        self._function = function
        if not args and not kwargs and isinstance(function, Module):
            args, kwargs = self._without_arguments(function)
        args, kwargs = as_tensors(args), as_tensors(kwargs)
        leaves, self._structure = flatten((args, kwargs), _is_tensor)
        self.names = input_names(function, args, kwargs)
        if names is not None:
            check_names("input_names", names, len(self.names))
            self.names = list(names)
        self.arrays: Arrays = {name: leaf._data for name, leaf in zip(self.names, leaves, strict=True)}
        self.axis_names = {
            (name, axis): axis_name
            for name, leaf in zip(self.names, leaves, strict=True)
            for axis, axis_name in enumerate(leaf._axes or ())
        }
        self.sequence_lengths: dict[str, Axis | int] = {}

    def _without_arguments(self, module: Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
        last = example_of(module)
        if last is not None:
            return last
        if isinstance(module, RNNBase):
            self.synthetic = True
            shape = (2, 3) if module.batch_first else (3, 2)
            dtype = next(module.parameters()).dtype
            x = np.random.default_rng(0).standard_normal((*shape, module.input_size)).astype(dtype)
            return (around(x),), {}
        raise ExportError(
            f"to_onnx: {type(module).__name__} was never called, so its inputs are not known; pass example inputs, "
            "as in to_onnx(model, x), or call the model once"
        )

    def arguments(self, arrays: Arrays, without: Collection[str] = ()) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments of a call with these arrays in place of the example's.

        Args:
            arrays: the arrays by input name.
            without: the inputs of arguments that are None instead.
        """
        args, kwargs = unflatten(self._structure, iter([around(arrays[name]) for name in self.names]))
        left = {key for key, names in self._by_argument().items() if names and names[0] in without}
        args = tuple([None if i in left else arg for i, arg in enumerate(args)])
        return args, {key: None if key in left else arg for key, arg in kwargs.items()}

    def optional(self) -> list[tuple[str, ...]]:
        """Returns the inputs of each argument of which None is the default."""
        try:
            parameters = inspect.signature(getattr(self._function, "forward", self._function)).parameters
        except (TypeError, ValueError):  # such as one of NumPy's
            return []
        defaults = [(key, parameter.default) for key, parameter in parameters.items()]
        unset = {key for i, (name, default) in enumerate(defaults) if default is None for key in (i, name)}
        return [names for key, names in self._by_argument().items() if names and key in unset]

    def _by_argument(self) -> dict[int | str, tuple[str, ...]]:
        """Returns the inputs of each argument, by its position or its name."""
        names = iter(self.names)
        args, kwargs = self._structure.parts
        parts = (*enumerate(args.parts), *zip(kwargs.rest, kwargs.parts, strict=True))
        return {key: tuple(islice(names, part.leaves())) for key, part in parts}

    def note_roles(self, graph: Graph, axes: Mapping[str, Axis]) -> None:
        """Finds the inputs of a graph that hold sequence lengths, and what they count.

        Args:
            graph: a trace, with formulas for sizes or without.
            axes: for each symbol in the graph, an axis of that size.
        """
        inputs = {value: name for name, value in graph.inputs.items()}
        for node in graph.nodes:
            if "lengths" in node.op.inputs:
                lengths = origin(node.inputs[node.op.inputs.index("lengths")], CASTS)
                steps = node.outputs[0].shape[0]
                if lengths in inputs and isinstance(steps, Size):
                    if steps.is_symbol:
                        self.sequence_lengths[inputs[lengths]] = axes[str(steps)]
                elif lengths in inputs:
                    self.sequence_lengths[inputs[lengths]] = steps

    def elements(self, sizes: Mapping[Axis, int]) -> int:
        """Returns the number of elements of the arrays with some axes at other sizes."""
        return sum(
            math.prod(sizes.get((name, axis), n) for axis, n in enumerate(array.shape))
            for name, array in self.arrays.items()
        )

    def resized(self, sizes: Mapping[Axis, int], seed: int = 0) -> Arrays:
        """Returns the arrays with some axes at other sizes: repeated or cut, so that token ids stay in range."""
        return next(self.proposals(sizes, seed))

    def proposals(self, sizes: Mapping[Axis, int], seed: int = 0) -> Iterator[Arrays]:
        """Yields the arrays with some axes at other sizes, in several ways: a program may check its integers."""
        return quietly(distinct(proposals(self.arrays, sizes, self.sequence_lengths, seed)))

    def perturbations(self, arrays: Arrays | None = None) -> Iterator[Arrays]:
        """Yields other values in the shapes of arrays, the example's if not given, in several ways."""
        given = self.arrays if arrays is None else arrays
        return quietly(distinct(perturbations(given, self.sequence_lengths), given))

    def made_up(self, arrays: Arrays) -> str:
        """Says which integers of a run are not the user's; empty if there are none."""
        made = difference(arrays, self.arrays)
        return made and (
            f" (with {made}, made up from the example: pass another example, or say in dynamic= which axes vary)"
        )


def check_names(argument: str, names: Sequence[str], count: int) -> None:
    """Checks that there are `count` distinct names.

    Raises:
        ValueError: there are more or fewer, they are not distinct, or one is empty or not Unicode text.
    """
    # A str may hold a lone surrogate, which protobuf cannot write.
    texts = all(isinstance(name, str) and name and name.isprintable() for name in names)
    if isinstance(names, str) or not texts or len(names) != count or len(set(names)) != count:
        raise ValueError(f"to_onnx: {argument} must be {count} distinct names; got {names!r}")


def origin(value: Any, through: Collection[str]) -> Any:
    """Returns the value before ops of some names."""
    while type(value) is Value and value.node is not None and value.node.op.name in through:
        value = value.node.inputs[0]
    return value


def as_tensors(tree: Any) -> Any:
    """Returns nested arguments with tensors in place of arrays."""
    leaves, structure = flatten(tree, lambda x: isinstance(x, (Tensor, np.ndarray)))
    return unflatten(structure, iter([as_tensor(leaf) for leaf in leaves]))


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)
