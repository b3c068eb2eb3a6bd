"""The step of one rank in onnxruntime: a graph for what is added up before the loss, and one for loss and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..export.lowering.builder import Builder
from ..export.lowering.registry import lowers
from ..nn.module import Module
from ..runtime.compiled.compiled_backward import CompiledBackward
from ..runtime.compiled.flattened import Flattened
from ..runtime.compiled.module import CompiledModule
from ..tensor import Tensor, around, op
from ..tracer.mode import MODE
from ..tracer.op import Array
from ..tracer.tree import Structure
from .sharded import Sharded, Sum

__all__ = ["CompiledStep"]


@op
def exchanged(x: Array, total: Array, /, ranks: int) -> Array:
    """Returns the sum over all ranks, which was exchanged before, where `x` is the term of this one.

    Its gradient is that of `sum_over_ranks`.
    """
    return total


@exchanged.vjp
def _(g: Any, ranks: int) -> Any:
    return g * ranks, None


@exchanged.sizes
def _(x: Any, total: Any, /, ranks: int) -> Any:
    return total


@lowers(exchanged)
def _(b: Builder, x: Any, total: Any, ranks: int) -> Any:
    return b.op("Identity", total)


class CompiledStep:
    """What one rank computes of a batch, in onnxruntime.

    Args:
        model: the module that computes the loss.
        sharded: its loss as a graph, partitioned over ranks.
        ranks: the number of ranks with sequences.
        device: where it runs, such as "cpu".
        threads: how many threads an operator, or a batch, is spread over.
    """

    def __init__(self, model: Module, sharded: Sharded, ranks: int, device: Any, threads: int | None) -> None:
        self._ranks = ranks
        exchanges = sum(1 for sums in sharded.plan.sums if sums)
        # The last exchange is that of the loss itself, if each rank has a term of it.
        self._partial = sharded.plan.partial
        count = exchanges - 1 if self._partial else exchanges
        self._terms = [_Terms(_Share(model, sharded, ranks), device, threads) for _ in range(count)]
        self._loss = _Gradients(_Share(model, sharded, ranks, last=True), device, threads)

    def run(
        self, tensors: Sequence[Tensor], before: int, after: int, key: Tensor | None, add_up: Sum
    ) -> tuple[Array, list[tuple[Tensor, Array]]]:
        """Computes the loss of the whole batch and this rank's terms of its gradients, by parameter.

        Args:
            tensors: this rank's part of the inputs.
            before: the number of sequences of the whole batch before this part.
            after: that of those after it.
            key: what random numbers are drawn by, if the module draws any.
            add_up: the exchange.
        """
        others = tuple([around(np.zeros(n, np.bool_)) for n in (before, after)])
        totals: list[list[Tensor]] = []
        for terms in self._terms:
            totals.append([around(array) for array in add_up(terms(others, key, totals, *tensors))])
        share = 1.0 if self._partial else 1 / self._ranks
        value, gradients = self._loss.own(others, key, totals, *tensors, share=share)
        return (add_up([value])[0] if self._partial else value), gradients


class _Share(Module):
    """What a rank computes after some exchanges: its terms of the next one, or of the loss."""

    def __init__(self, model: Module, sharded: Sharded, ranks: int, last: bool = False) -> None:
        super().__init__()
        self.model = model
        self.__dict__["_sharded"] = sharded
        self._ranks, self._last = ranks, last

    def forward(
        self, others: tuple[Tensor, Tensor], key: Tensor | None, totals: list[list[Tensor]], *tensors: Tensor
    ) -> Any:
        """Returns the terms.

        Args:
            others: tensors whose sizes are the numbers of sequences before this part and after it.
            key: what random numbers are drawn by.
            totals: what earlier exchanges gave.
            tensors: this rank's part of the inputs.
        """
        sharded: Sharded = self.__dict__["_sharded"]
        begin, after = (x.shape[0] for x in others)
        sizes = sharded.dims(tensors)
        steps = sharded.steps(tensors, sizes, begin + sizes[sharded.plan.symbol] + after, begin, key)
        try:
            terms = next(steps)
            for sums in totals:
                made = [exchanged(term, total, ranks=self._ranks) for term, total in zip(terms, sums, strict=True)]
                terms = steps.send(made)
        except StopIteration as end:
            return end.value
        return terms[0] if self._last else tuple(terms)


class _Terms(CompiledModule):
    """What a rank adds to an exchange."""

    name = "DistributedDataParallel"
    trains = True

    def flat(self, structure: Structure) -> Flattened:
        return Flattened(self.model, structure)

    def __call__(self, *args: Any) -> list[Array]:
        candidate, arrays, shapes = self._find(self._current(), MODE.get(), args, {})
        return [result._data for result in candidate.flat.returned(candidate.run(arrays, shapes))]


class _Gradients(CompiledBackward):
    """The loss and its gradients, which are not yet those of the whole batch."""

    name = "DistributedDataParallel"

    def own(self, *args: Any, share: float) -> tuple[Array, list[tuple[Tensor, Array]]]:
        """Returns the loss, and the gradient of each parameter that has one, times a share."""
        value, gradients = self.computed(args, {})
        return value._data, [(p, array * array.dtype.type(share)) for p, array in gradients]
