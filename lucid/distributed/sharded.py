"""Sharded: the loss of a whole batch, of which this rank has a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ..errors import ExportError
from ..nn.module import Module
from ..ops.generator import Counter
from ..proof.axes import prove
from ..proof.example import Example
from ..proof.isolation import isolated
from ..proof.partition import Partition, Task, partition
from ..proof.placement import InseparableError
from ..proof.proof import Proof
from ..tensor import Tensor
from ..tracer.node import Value
from ..tracer.size import evaluate, symbols_of
from ..tracer.tree import Structure, unflatten
from .exchange import sum_over_ranks

__all__ = ["Sharded", "Sum", "specs"]

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


class _Refusal(NamedTuple):
    """Why there is no partition along an axis."""

    why: str

    def error(self) -> ExportError:
        return ExportError(
            f"DistributedDataParallel: the loss of a whole batch does not follow from its parts: {self.why}"
        )


class Sharded:
    """A module's loss as a graph, partitioned over ranks.

    Args:
        model: the module.
        structure: the nested structure of its arguments.
        tensors: the tensors among the arguments.
        names: their names.

    Raises:
        ExportError: the module cannot be traced, such as one that decides by values, or returns no loss.
    """

    def __init__(self, model: Module, structure: Structure, tensors: Sequence[Tensor], names: Sequence[str]) -> None:
        function = Loss(model, structure)
        with isolated(function):
            example = Example(function, tuple(tensors), {}, list(names))
            self._proof: Proof = prove(function, example, "auto", conditional=True, trained=True)
            if (axes := _tied(self._proof, example)) is not None:
                with suppress(ExportError):
                    self._proof = prove(function, example, axes, conditional=True, trained=True)
        self._names = example.names
        self._graph = self._proof.graph
        self._partitions: dict[str, Partition | _Refusal] = {}

    @property
    def ops(self) -> list[str]:
        """The names of the ops, in order."""
        return [node.op.name for node in self._graph.nodes]

    @property
    def draws(self) -> int:
        """The number of random draws."""
        return 1 + max((t.attrs["draw"] for t in self._graph.nodes if t.op.name == "keyed_uniform"), default=-1)

    def symbols(self) -> list[str]:
        """The symbols of the free axes of the inputs that are read."""
        read = {name for name, value in self._graph.inputs.items() if value in self._graph.read}
        return list(dict.fromkeys(symbol for (name, _), symbol in self._proof.axes.items() if name in read))

    def sizes(self, tensors: Sequence[Tensor]) -> dict[str, int] | None:
        """Returns the size of each free axis; None if the tensors do not fit."""
        shapes = dict(zip(self._names, [tensor._data.shape for tensor in tensors], strict=True))
        found: dict[str, int] = {}
        for name, value in self._graph.inputs.items():
            if value not in self._graph.read:
                continue
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

    def along(self, symbol: str) -> Partition:
        """Returns the partition along an axis.

        Raises:
            ExportError: an op takes the batch as a whole, or the module decides by its size.
        """
        found = self._found(symbol)
        if isinstance(found, _Refusal):
            raise found.error()
        return found

    def _found(self, symbol: str) -> Partition | _Refusal:
        found = self._partitions.get(symbol)
        if found is None:
            try:
                found = partition(self._graph, symbol)
            except InseparableError as error:
                found = _Refusal(str(error))
            for condition in self._proof.conditions:
                if symbol in symbols_of((condition.guard.left, condition.guard.right)):
                    found = _Refusal(f"the module decides by this size, {condition}")
            self._partitions[symbol] = found
        return found

    def best(self) -> str:
        """Returns the axis along which most can be partitioned.

        Raises:
            ExportError: there is none.
        """
        found = {symbol: self._found(symbol) for symbol in self.symbols()}
        cuts = {symbol: plan.cut for symbol, plan in found.items() if isinstance(plan, Partition)}
        if cuts:
            return max(cuts, key=cuts.__getitem__)
        refusals = {symbol: plan for symbol, plan in found.items() if isinstance(plan, _Refusal)}
        if len(refusals) == 1:
            raise next(iter(refusals.values())).error()
        if refusals:
            raise _Refusal("; ".join(f"along {symbol}, {plan.why}" for symbol, plan in refusals.items())).error()
        raise ExportError("DistributedDataParallel: no axis of the arguments is free, so that there is no batch to cut")

    def run(
        self,
        plan: Partition,
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
            plan: the partition.
            tensors: this rank's part of the inputs.
            sizes: its sizes.
            whole: the size of the whole batch.
            begin: the number of sequences before this part.
            counter: what random numbers are drawn by.
            ranks: the number of ranks.
            add_up: the exchange.
        """
        graph = self._graph
        env: dict[Value, Tensor] = dict(graph.captured)
        if counter is not None:
            env |= {value: counter.key for value in graph.captured if self._is_key(value)}
        env |= dict(zip(graph.inputs.values(), tensors, strict=True))
        totals: dict[Value, Tensor] = {}
        local, everywhere = dict[Any, int](sizes), {**sizes, plan.symbol: whole}
        share = sizes[plan.symbol] / whole
        for tasks, sums in zip(plan.levels, plan.sums, strict=True):
            for task in tasks:
                self._run(task, env, totals, local, everywhere, share, begin)
            if sums:
                arrays = add_up([env[value]._data for value in sums])
                for value, array in zip(sums, arrays, strict=True):
                    totals[value] = sum_over_ranks(env[value], array, ranks)
        (result,) = graph.outputs.values()
        return totals.get(result, env[result])

    def _is_key(self, value: Value) -> bool:
        return any(node.op.name == "keyed_uniform" and node.inputs[0] == value for node in self._graph.nodes)

    def _run(
        self,
        task: Task,
        env: dict[Value, Tensor],
        totals: Mapping[Value, Tensor],
        local: dict[Any, int],
        everywhere: dict[Any, int],
        share: float,
        begin: int,
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


def specs(plan: Partition, sizes: Mapping[str, int]) -> list[list[tuple[Any, str]]]:
    """Returns the shape and the dtype of what is added up after each level."""
    return [[(evaluate(value.shape, sizes), value.dtype.str) for value in sums] for sums in plan.sums]
