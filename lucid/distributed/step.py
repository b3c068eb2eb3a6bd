"""Step: a forward pass over a part of a batch, and the backward pass that follows, with their exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd import grad
from ..errors import GradientError, LucidError, ShapeError
from ..nn.guards import Guards
from ..nn.module import Module
from ..ops.generator import Counter, default_generator
from ..tensor import Tensor, around, op
from ..tracer.mode import MODE
from ..tracer.op import Array
from ..tracer.trace import input_names
from ..tracer.tree import Structure, flatten, key_of
from .group import Group
from .sharded import Sharded

__all__ = ["State", "Step", "loss_of_all"]


@op(no_export="it is a sum over several processes, and a file runs in one")
def loss_of_all(*parameters: Array, step: Any) -> Array:
    """Returns the loss of the whole batch, which depends on the parameters."""
    return step.value


@loss_of_all.vjp
def _(g: Any, step: Any) -> Any:
    return step.gradients(g)


class State:
    """What a `DistributedDataParallel` keeps from call to call.

    Attributes:
        group: the processes.
        dim: the axis of the batch, where none is known by name.
        place: the device and the threads of compiled steps; None for steps in NumPy.
        syncs: whether the next backward pass adds up gradients.
        local: the gradients of backward passes that did not, by parameter.
    """

    def __init__(self, group: Group, dim: int, place: tuple[Any, int | None] | None) -> None:
        self.group = group
        self.dim = dim
        self.place = place
        self.syncs = True
        self.local: dict[Tensor, _Local] = {}
        self._guards: Guards | None = None
        # The traced losses, by structure, dtypes and numbers of axes of the arguments.
        self._graphs: dict[Any, list[Sharded]] = {}

    def graph(
        self, module: Module, structure: Structure, tensors: Sequence[Tensor], names: Sequence[str]
    ) -> tuple[Sharded, dict[str, int]]:
        """Returns the traced loss for these arguments, and their sizes; it is traced anew if the module has changed."""
        if self._guards is None or not self._guards.holds():
            self._guards, self._graphs = Guards(module, trains=True), {}
        key = key_of(structure), tuple([(tensor.dtype, tensor.ndim) for tensor in tensors])
        known = self._graphs.setdefault(key, [])
        for sharded in known:
            if (sizes := sharded.sizes(tensors)) is not None:
                return sharded, sizes
        if len(known) >= _GRAPHS:
            raise ShapeError(
                f"DistributedDataParallel: {type(module).__name__} was traced for {_GRAPHS} kinds of sizes, and "
                "decides by them anew; decide by them in one place, or pad to a few sizes"
            )
        known.append(Sharded(module, structure, tensors, names, self.dim))
        sizes = known[-1].sizes(tensors)
        assert sizes is not None
        return known[-1], sizes


_GRAPHS = 8
"""The most traces for one structure of arguments, each for sizes that no earlier one accepts."""


class _Local(NamedTuple):
    """What backward passes without exchange added to the gradient of a parameter.

    Attributes:
        before: the gradient before them; None if there was none.
        added: what they added.
        now: the gradient after them.
    """

    before: Array | None
    added: Array
    now: Array


class _Part(NamedTuple):
    """What a process says of its part of a batch before anything is computed.

    Attributes:
        mark: a number that differs for different losses.
        sizes: the size of each free axis.
        symbol: that of the batch.
        alike: a digest of each argument that is the same in all processes.
        draws: the number of random draws.
    """

    mark: int
    sizes: dict[str, int]
    symbol: str
    alike: dict[str, int]
    draws: int


class Step:
    """One forward pass, and the backward pass that may follow.

    Attributes:
        value: the loss of the whole batch.
        loss: the same with this rank's graph; None if it has no sequences.
        parameters: what it is differentiated with respect to.
    """

    def __init__(
        self, state: State, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], trains: bool = True
    ) -> None:
        self._own: list[tuple[Tensor, Array]] | None = None
        self._state = state
        self._group = state.group
        self._differentiated = False
        self.parameters: list[Tensor] = []
        self.loss: Tensor | None = None
        tensors, structure = flatten((args, kwargs), lambda x: isinstance(x, Tensor))
        counter = _next_step()
        part, sharded, problem = None, None, None
        try:
            if any(tensor.requires_grad for tensor in tensors):
                raise GradientError("DistributedDataParallel: an argument requires gradients; pass x.detach()")
            if tensors and not any(0 in tensor.shape for tensor in tensors):
                sharded, sizes = state.graph(module, structure, tensors, input_names(module, args, kwargs))
                part = _Part(sharded.mark, sizes, sharded.plan.symbol, sharded.alike(tensors), sharded.draws)
        except Exception as error:  # the other processes would wait for this one
            problem = error
        seed = None if counter is None else counter.seed
        said = self._group.gather((part, seed, None if problem is None else f"{type(problem).__name__}: {problem}"))
        if problem is not None:
            raise problem
        parts, seeds, problems = map(list, zip(*said, strict=True))
        _require_agreement(parts, seeds, problems)
        self._ranks = len(parts) - parts.count(None)
        first = next(part for part in parts if part is not None)
        if counter is not None:
            counter.draw = first.draws
        # A rank without sequences learns from another one how much is added up, and what is computed of that.
        alone = self._ranks == len(parts)
        specs = None if alone else self._first(None if sharded is None or part is None else sharded.specs(part.sizes))
        value: Any = None
        if sharded is None or part is None:
            for level in specs or ():
                if level:
                    self._add_up([np.zeros(shape, dtype) for shape, dtype in level])
        else:
            counts = [0 if part is None else part.sizes[first.symbol] for part in parts]
            begin = sum(counts[: self._group.rank])
            if trains and state.place is not None:
                step = sharded.compiled(module, self._ranks, *state.place)
                after = sum(counts[self._group.rank + 1 :])
                key = counter.key if counter is not None and sharded.draws else None
                value, self._own = step.run(tensors, begin, after, key, self._add_up)
            else:
                self.loss = sharded.run(tensors, part.sizes, sum(counts), begin, counter, self._ranks, self._add_up)
                value = self.loss._data
        self.value: Array = value if alone else self._first(value)

    def _first(self, thing: Any) -> Any:
        """Returns what the first rank with sequences has."""
        return next(found for found in self._group.gather(thing) if found is not None)

    def _add_up(self, arrays: Sequence[Array]) -> list[Array]:
        """Adds up arrays over the ranks, in one exchange, in float64 or, if all are integers, int64."""
        kind = np.int64 if all(array.dtype.kind in "bui" for array in arrays) else np.float64
        flat = self._group.sum(np.concatenate([np.ravel(array).astype(kind) for array in arrays]))
        return [part.astype(array.dtype) for part, array in zip(_cut(flat, arrays), arrays, strict=True)]

    def gradients(self, g: Tensor) -> tuple[Tensor | None, ...]:
        """Returns the gradient of the whole batch's loss for each parameter; None if it depends on no rank's."""
        if MODE.get().grad:
            raise GradientError("DistributedDataParallel: gradients of gradients are not exchanged between processes")
        if self._differentiated:
            raise GradientError("DistributedDataParallel: this loss was differentiated already; call the model again")
        self._differentiated = True
        found: Sequence[Tensor | None] = [None] * len(self.parameters)
        if self.loss is not None and self.loss.requires_grad:
            found = grad(self.loss, self.parameters, (g / self._ranks).to(self.loss.dtype), allow_unused=True)
            self.loss = None  # with its graph
        if self._own is not None:
            made = {p: around(array * g._data.astype(array.dtype)) for p, array in self._own}
            found = [made.get(p) for p in self.parameters]
        own = [None if x is None else x._data for x in found]
        sync = self._summed if self._state.syncs else self._kept
        return tuple([None if array is None else around(array) for array in sync(own)])

    def _kept(self, own: Sequence[Array | None]) -> Sequence[Array | None]:
        """Notes what a backward pass without exchange adds to the gradients."""
        for p, array in zip(self.parameters, own, strict=True):
            if array is not None:
                local = self._local(p)
                now = None if p.grad is None else p.grad._data
                before, added = (
                    (None if now is None else now.copy(), array)
                    if local is None
                    else (local.before, local.added + array)
                )
                self._state.local[p] = _Local(before, added, array if now is None else now + array)
        return own

    def _local(self, p: Tensor) -> _Local | None:
        """Takes what earlier backward passes without exchange added to a gradient; None if it was set to zero since.

        Raises:
            GradientError: it has been changed otherwise.
        """
        local, g = self._state.local.pop(p, None), p.grad
        if local is None or g is None or not g._data.any():
            return None
        if not np.array_equal(g._data, local.now, equal_nan=True):
            raise GradientError(
                "DistributedDataParallel: a gradient of no_sync() was changed before it was added up over the "
                "processes; clip or scale gradients after the backward pass outside of no_sync()"
            )
        return local

    def _summed(self, own: Sequence[Array | None]) -> list[Array | None]:
        """Adds up gradients over the ranks, with those of earlier passes, in one exchange for each dtype."""
        own = list(own)
        for i, p in enumerate(self.parameters):
            if (local := self._local(p)) is not None:
                p.grad = None if local.before is None else around(local.before)
                own[i] = local.added if own[i] is None else local.added + own[i]
        found: list[Array | None] = [None] * len(own)
        for dtype in dict.fromkeys(p.dtype for p in self.parameters):
            places = [i for i, p in enumerate(self.parameters) if p.dtype == dtype]
            arrays: list[Any] = [
                np.zeros(self.parameters[i].shape, dtype) if own[i] is None else own[i] for i in places
            ]
            # At the end, on how many ranks each has a gradient.
            arrays.append(np.array([own[i] is not None for i in places], dtype))
            flat = self._group.sum(np.concatenate([np.ravel(array) for array in arrays]))
            *sums, counts = _cut(flat, arrays)
            for i, total, count in zip(places, sums, counts, strict=True):
                found[i] = total if count else None
        return found


def _cut(flat: Array, like: Sequence[Array]) -> list[Array]:
    """Cuts an array into parts of given shapes."""
    bounds = np.cumsum([array.size for array in like])[:-1]
    return [part.reshape(array.shape) for part, array in zip(np.split(flat, bounds), like, strict=True)]


def _require_agreement(
    parts: Sequence[_Part | None], seeds: Sequence[int | None], problems: Sequence[str | None]
) -> None:
    """Requires that the processes compute the same loss, of parts of one batch.

    Raises:
        LucidError: one of them failed, or they differ in the loss, the seed, or an argument that is not cut.
        ShapeError: they differ in sizes other than that of the batch; or none has a sequence.
    """
    for rank, problem in enumerate(problems):
        if problem is not None:
            raise LucidError(f"DistributedDataParallel: on rank {rank}: {problem}")
    given = {rank: part for rank, part in enumerate(parts) if part is not None}
    if not given:
        raise ShapeError("DistributedDataParallel: no process has any sequence")
    if len(set(seeds)) > 1:
        raise LucidError(
            "DistributedDataParallel: the processes' generators are at different steps or seeds: "
            f"{', '.join(map(str, seeds))}; seed all alike, and draw alike"
        )
    first = next(iter(given.values()))
    if any(part.mark != first.mark for part in given.values()):
        raise LucidError(
            "DistributedDataParallel: the processes compute different losses; they must call the same module with "
            "arguments of the same structure, dtypes and numbers of axes"
        )
    for symbol in first.sizes:
        found = {rank: part.sizes[symbol] for rank, part in given.items()}
        if symbol != first.symbol and len(set(found.values())) > 1:
            listed = ", ".join(f"{n} on rank {rank}" for rank, n in found.items())
            raise ShapeError(
                f"DistributedDataParallel: the sizes of the processes' arguments differ in more than the batch: "
                f"{symbol} is {listed}; pad each part to the longest of the whole batch, as a loader with "
                "DistributedBatchSampler does"
            )
    for name in first.alike:
        if len({part.alike[name] for part in given.values()}) > 1:
            raise LucidError(
                f"DistributedDataParallel: {name} differs between the processes, but has no axis of the batch, "
                f"{first.symbol}, so that it must be the same; a second batch needs a call of its own, under no_sync()"
            )


def _next_step() -> Counter | None:
    """Begins the next step of lucid's generator; returns None if it has no steps."""
    generator = default_generator()
    if generator._counter() is None:
        return None
    generator.begin_step()
    return generator._counter()
