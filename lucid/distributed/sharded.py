"""Sharded: the loss of a whole batch, of which this rank has a part."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from ..errors import ExportError
from ..nn.module import Module
from ..ops.generator import Counter
from ..proof.axes import prove
from ..proof.example import Axis, Example
from ..proof.isolation import isolated
from ..proof.partition import Partition, Task, partition
from ..proof.placement import InseparableError
from ..proof.proof import Proof
from ..tensor import Tensor
from ..tracer.node import Node, Value
from ..tracer.size import evaluate, symbols_of
from ..tracer.tree import Structure, unflatten
from .exchange import sum_over_ranks

if TYPE_CHECKING:
    from .compiled import CompiledStep

__all__ = ["Sharded", "Sum"]

Array = np.ndarray[Any, Any]

Sum = Callable[[Sequence[Array]], list[Array]]
"""Adds up arrays over the ranks."""


class Loss(Module):
    """A module that returns the loss, as a function of tensors alone."""

    def __init__(self, model: Module, structure: Structure) -> None:
        super().__init__()
        self.model = model
        self.structure = structure

    def forward(self, *tensors: Tensor) -> Tensor:
        args, kwargs = unflatten(self.structure, iter(tensors))
        loss = self.model(*args, **kwargs)
        if not isinstance(loss, Tensor) or loss.shape != () or loss.dtype.kind != "f":
            what = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ExportError(
                f"DistributedDataParallel: {type(self.model).__name__} must return the loss, a float tensor without "
                f"axes, so that it is known what the whole batch's is; got {what}"
            )
        return loss


class Sharded:
    """A module's loss as a graph, partitioned over ranks.

    Attributes:
        plan: the partition.
        draws: the number of random draws.
        mark: a number that differs for different graphs.

    Args:
        model: the module.
        structure: the nested structure of its arguments.
        tensors: the tensors among the arguments.
        names: their names.
        dim: the axis of the batch in the first of them, where none is known by name.

    Raises:
        ExportError: the module cannot be traced, such as one that decides by values, or returns no loss; or an op takes
            the batch as a whole.
    """

    def __init__(
        self, model: Module, structure: Structure, tensors: Sequence[Tensor], names: Sequence[str], dim: int
    ) -> None:
        function = Loss(model, structure)
        with isolated(function):
            example = Example(function, tuple(tensors), {}, list(names))
            self._proof: Proof = prove(function, example, "auto", conditional=True, trained=True)
            if (axes := _tied(self._proof, example)) is not None:
                with suppress(ExportError):
                    self._proof = prove(function, example, axes, conditional=True, trained=True)
        self._compiled: dict[int, CompiledStep] = {}
        self._names = example.names
        self._graph = graph = self._proof.graph
        self._read = {name: value for name, value in graph.inputs.items() if value in graph.read}
        self.plan = self._partition(dim)
        drawn = [node for node in graph.nodes if node.op.name == "keyed_uniform"]
        self._keys = {node.inputs[0] for node in drawn}
        self.draws = 1 + max((node.attrs["draw"] for node in drawn), default=-1)
        self.mark = crc32(repr([self.plan.symbol, *map(_spelled, graph.nodes)]).encode())

    def compiled(self, model: Module, ranks: int, device: Any, threads: int | None) -> CompiledStep:
        """Returns the same in onnxruntime, for a number of ranks with sequences."""
        from .compiled import CompiledStep

        if ranks not in self._compiled:
            self._compiled[ranks] = CompiledStep(model, self, ranks, device, threads)
        return self._compiled[ranks]

    def _partition(self, dim: int) -> Partition:
        axes = {axis: symbol for axis, symbol in self._proof.axes.items() if axis[0] in self._read}
        symbol = "batch"
        if symbol not in axes.values():
            place = next(((name, dim % len(value.shape)) for name, value in self._read.items() if value.shape), None)
            if place not in axes:
                why = "no argument has one" if place is None else f"axis {place[1]} of {place[0]}: {self._fixed(place)}"
                raise ExportError(f"DistributedDataParallel: there is no axis of a batch that may have any size: {why}")
            symbol = axes[place]
        try:
            for guard in (condition.guard for condition in self._proof.conditions):
                if symbol in symbols_of((guard.left, guard.right)):
                    raise InseparableError(f"the module decides by its size, {guard}")
            return partition(self._graph, symbol)
        except InseparableError as error:
            raise ExportError(
                f"DistributedDataParallel: the loss of a whole batch does not follow from its parts: {error}"
            ) from error

    def _fixed(self, place: Axis) -> str:
        return self._proof.fixed.get(place, "it is fixed")

    def alike(self, tensors: Sequence[Tensor]) -> dict[str, int]:
        """Returns a digest of each input that is not cut, and hence is the same in all processes."""
        arrays = dict(zip(self._names, [tensor._data for tensor in tensors], strict=True))
        places = zip(self._graph.inputs, self.plan.inputs, strict=True)
        whole = [name for name, axis in places if axis is None and name in self._read]
        return {name: crc32(arrays[name].tobytes()) for name in whole}

    def dims(self, tensors: Sequence[Tensor]) -> dict[str, Any]:
        """Returns the size of each free axis; in a symbolic trace they are `Dim`s."""
        shapes = dict(zip(self._names, [tensor.shape for tensor in tensors], strict=True))
        return {symbol: shapes[name][axis] for (name, axis), symbol in self._proof.axes.items() if name in self._read}

    def sizes(self, tensors: Sequence[Tensor]) -> dict[str, int] | None:
        """Returns the size of each free axis; None if the tensors do not fit."""
        shapes = dict(zip(self._names, [tensor._data.shape for tensor in tensors], strict=True))
        found: dict[str, int] = {}
        for name, value in self._read.items():
            shape = shapes[name]
            if len(shape) != len(value.shape):
                return None
            for axis, wanted in enumerate(value.shape):
                symbol = self._proof.axes.get((name, axis))
                if symbol is None:
                    if shape[axis] != wanted:
                        return None
                elif found.setdefault(symbol, shape[axis]) != shape[axis]:
                    return None
        return found if all(condition.guard.holds(found) for condition in self._proof.conditions) else None

    def specs(self, sizes: Mapping[str, int]) -> list[list[tuple[Any, str]]]:
        """Returns the shape and the dtype of what is added up after each level."""
        return [[(evaluate(value.shape, sizes), value.dtype.str) for value in sums] for sums in self.plan.sums]

    def run(
        self,
        tensors: Sequence[Tensor],
        sizes: Mapping[str, int],
        whole: int,
        begin: int,
        counter: Counter | None,
        ranks: int,
        add_up: Sum,
    ) -> Tensor:
        """Computes the loss of the whole batch, with gradients.

        Args:
            tensors: this rank's part of the inputs.
            sizes: its sizes.
            whole: the size of the whole batch.
            begin: the number of sequences before this part.
            counter: what random numbers are drawn by.
            ranks: the number of ranks.
            add_up: the exchange.
        """
        steps = self.steps(tensors, sizes, whole, begin, None if counter is None else counter.key)
        try:
            terms = next(steps)
            while True:
                arrays = add_up([term._data for term in terms])
                totals = [sum_over_ranks(term, array, ranks) for term, array in zip(terms, arrays, strict=True)]
                terms = steps.send(totals)
        except StopIteration as end:
            loss: Tensor = end.value
            return loss

    def steps(
        self,
        tensors: Sequence[Tensor],
        sizes: Mapping[str, Any],
        whole: Any,
        begin: Any,
        key: Tensor | None,
    ) -> Generator[list[Tensor], list[Tensor], Tensor]:
        """Yields this rank's terms of what is added up next, and takes the sums; returns the whole batch's loss."""
        graph, plan = self._graph, self.plan
        env: dict[Value, Tensor] = dict(graph.captured)
        if key is not None:
            env |= dict.fromkeys(self._keys, key)
        env |= dict(zip(graph.inputs.values(), tensors, strict=True))
        totals: dict[Value, Tensor] = {}
        local, everywhere = dict[Any, Any](sizes), {**sizes, plan.symbol: whole}
        share = sizes[plan.symbol] / whole
        for tasks, sums in zip(plan.levels, plan.sums, strict=True):
            for task in tasks:
                self._run(task, env, totals, local, everywhere, share, begin)
            if sums:
                totals |= zip(sums, (yield [env[value] for value in sums]), strict=True)
        (result,) = graph.outputs.values()
        return totals.get(result, env[result])

    def _run(
        self,
        task: Task,
        env: dict[Value, Tensor],
        totals: Mapping[Value, Tensor],
        local: dict[Any, Any],
        everywhere: dict[Any, Any],
        share: Any,
        begin: Any,
    ) -> None:
        node = task.node
        for atom, (value, axis) in self._graph.measured.items():
            if atom not in local and value in env:
                local[atom] = everywhere[atom] = env[value].shape[axis]
        inputs = [
            (totals[x] if i in task.summed else env[x]) if type(x) is Value else evaluate(x, everywhere)
            for i, x in enumerate(node.inputs)
        ]
        attrs = {
            name: evaluate(attr, everywhere if task.drawn is not None else local) for name, attr in node.attrs.items()
        }
        found = node.op(*inputs, **attrs)
        results = found if isinstance(found, (tuple, list)) else (found,)
        if task.drawn is not None:
            n = evaluate(node.attrs["shape"][task.drawn], local)
            results = [result.narrow(task.drawn, begin, n) for result in results]
        for i, result in enumerate(results):
            env[node.value(i)] = result * share if task.share else result


def _spelled(node: Node) -> Any:
    """Returns the op of a node, and the numbers and texts that it takes."""
    plain = (bool, int, float, str)
    attrs = {name: attr for name, attr in node.attrs.items() if isinstance(attr, plain)}
    return node.op.name, [x for x in node.inputs if isinstance(x, plain)], attrs


def _tied(proof: Proof, example: Example) -> dict[str, dict[int, str]] | None:
    """Returns the names of the free axes where those that were compared, and found equal, have one; None if none were.

    `gather` takes fewer rows of indices than there are rows; so it cannot know that both are the batch.
    """
    names = {symbol: symbol for symbol in proof.sizes}
    found: dict[str, dict[int, str]] = {}
    for guard in (condition.guard for condition in proof.conditions):
        pair = symbols_of((guard.left, guard.right))
        if len(pair) == 2 and len({proof.sizes[symbol] for symbol in pair}) == 1:
            one, other = sorted(pair, key=lambda symbol: (symbol != "batch", symbol))
            names = {symbol: names[one] if name == names[other] else name for symbol, name in names.items()}
        elif len(pair) == 1 and {guard.left, guard.right} & {proof.sizes[symbol := next(iter(pair))]}:
            for name, axis in proof.fixed:
                if example.arrays[name].shape[axis] == proof.sizes[symbol]:
                    found.setdefault(name, {})[axis] = symbol
    if not found and all(symbol == name for symbol, name in names.items()):
        return None
    for (name, axis), symbol in proof.axes.items():
        found.setdefault(name, {})[axis] = names[symbol]
    return found
