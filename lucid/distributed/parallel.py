"""DistributedDataParallel: trains replicas of a model on parts of a batch, as one process would on the whole of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import numpy as np

from ..autograd import grad
from ..errors import GradientError, LucidError, ShapeError
from ..nn.guards import Guards
from ..nn.module import Module
from ..ops.generator import Counter, default_generator
from ..tensor import Tensor, around, op
from ..tracer.mode import MODE, no_grad
from ..tracer.op import Array
from ..tracer.trace import input_names
from ..tracer.tree import Structure, flatten, key_of
from .group import Group, current
from .sharded import Sharded, specs

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Trains a replica of a model in each process, each on its part of a batch (torch.nn.parallel's class of the name).

    The module returns the loss, a scalar. A call returns that of the whole batch, in all processes, and `backward` adds
    the whole batch's gradients to the `grad` of the parameters: what one process would compute, however the batch was
    cut. What the loss divides by, as the number of targets that are not ignored or the sum of their weights, is added
    up over the processes before the division. PyTorch's class averages the gradients of the parts instead, which is
    something else where these differ.

    A penalty on the weights counts once. A process without sequences takes part without running the module. Parameters
    and buffers are those of rank 0 from the beginning. Clip gradients after `backward`.

    Random numbers are drawn by a counter-based generator, seeded alike in all processes,
    `lucid.manual_seed(seed, generator="counter")`: each call is a step of it, and each sequence gets the numbers that
    it would get in the whole batch.

    Args:
        module: the module, which computes the loss of its arguments.

    Attributes:
        module: the module.

    Raises:
        LucidError: there is no process group. At the call: the processes call it with different arguments.
        ExportError: at the call, the loss of the whole batch does not follow from its parts, as with statistics of the
            batch; the message names the line.
        ShapeError: at the call, sizes beside that of the batch differ between processes.

    Example:
        >>> import lucid.distributed as dist
        >>> dist.init_process_group()
        >>> class Loss(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.head = nn.Linear(3, 2)
        ...     def forward(self, x, y):
        ...         return nn.functional.cross_entropy(self.head(x), y)
        >>> model = dist.DistributedDataParallel(Loss())
        >>> loss = model(lucid.randn(4, 3), lucid.tensor([0, 1, 1, 0]))
        >>> loss.backward()
        >>> model.module.head.weight.grad.shape
        (2, 3)
        >>> dist.destroy_process_group()
    """

    def __init__(self, module: Module) -> None:
        super().__init__()
        if not isinstance(module, Module):
            raise TypeError(f"DistributedDataParallel: expected a Module; got {type(module).__name__}")
        self.module = module
        self.__dict__["_state"] = _State(current())
        _replicate(self._state.group, module)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, `backward` keeps the gradients to itself; the next one outside adds them up over the processes.

        So batches can be accumulated with one exchange. Until then they are not in the `grad` of the parameters.
        """
        before, self._state.syncs = self._state.syncs, False
        try:
            yield
        finally:
            self._state.syncs = before

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Returns the loss of the whole batch; the arguments are this process's part of it."""
        mode = MODE.get()
        if mode.trace is not None:
            raise LucidError("DistributedDataParallel: a file runs in one process; export the module itself")
        step = _Step(self._state, self.module, args, kwargs)
        parameters: list[Tensor] = [p for p in self.module.parameters() if p.requires_grad]
        if not mode.grad or not parameters:
            return step.loss.detach() if step.loss is not None else around(step.value)
        step.parameters = parameters
        return loss_of_all(*parameters, step=step)

    def __repr__(self) -> str:
        group = self._state.group
        return f"DistributedDataParallel(rank {group.rank} of {group.size}: {self.module!r})"


@op(no_export="it is a sum over several processes, and a file runs in one")
def loss_of_all(*parameters: Array, step: Any) -> Array:
    """Returns the loss of the whole batch, which depends on the parameters."""
    return step.value


@loss_of_all.vjp
def _(g: Any, step: Any) -> Any:
    return step.gradients(g)


class _State:
    """What a `DistributedDataParallel` keeps from call to call.

    Attributes:
        group: the processes.
        graphs: the traced losses, by structure, dtypes and ranks of the arguments.
        syncs: whether the next backward pass adds up gradients.
        kept: the gradients of backward passes that did not, by parameter.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.graphs: dict[Any, list[Sharded]] = {}
        self.syncs = True
        self.kept: dict[Tensor, Array] = {}
        self.guards: Any = None


class _Step:
    """One forward pass, and the backward pass that may follow.

    Attributes:
        value: the loss of the whole batch.
        loss: the same with this rank's graph; None if it has no sequences.
        parameters: what it is differentiated with respect to.
    """

    def __init__(self, state: _State, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._state = state
        self._group = state.group
        self.parameters: list[Tensor] = []
        tensors, structure = flatten((args, kwargs), lambda x: isinstance(x, Tensor))
        for tensor in tensors:
            if tensor.requires_grad:
                raise GradientError("DistributedDataParallel: an argument requires gradients; pass x.detach()")
        empty = any(0 in tensor.shape for tensor in tensors) or not tensors
        counter = _next_step()
        seed = None if counter is None else counter.seed
        header, sharded, sizes, problem = None, None, None, None
        try:
            if not empty:
                sharded = _graph(state, module, structure, tensors, args, kwargs)
                sizes = sharded.sizes(tensors)
                assert sizes is not None
                header = _mark(sharded, sizes), list(sizes.items()), sharded.best(), sharded.draws
        except Exception as error:  # the other processes would wait for this one
            problem = error
        headers = self._group.gather(
            (header, seed, None if problem is None else f"{type(problem).__name__}: {problem}")
        )
        if problem is not None:
            raise problem
        failed = [(rank, why) for rank, (_, _, why) in enumerate(headers) if why is not None]
        if failed:
            raise LucidError(f"DistributedDataParallel: on rank {failed[0][0]}: {failed[0][1]}")
        given = [(rank, found) for rank, (found, _, _) in enumerate(headers) if found is not None]
        if not given:
            raise ShapeError("DistributedDataParallel: no process has any sequence")
        self._check(given, headers)
        first, (_, _, best, draws) = given[0]
        symbol = _batch(given) or best
        plan = None if sharded is None else sharded.along(symbol)
        counts = [0 if found is None else dict(found[1])[symbol] for found, _, _ in headers]
        # A rank without sequences learns from another one how much is added up.
        shapes: Any = None
        if len(given) < len(headers):
            mine = None if plan is None or sizes is None else (specs(plan, sizes), plan.partial)
            shapes = next(found for found in self._group.gather(mine) if found is not None)
        if counter is not None:
            counter.draw = draws
        elif draws:
            raise LucidError("DistributedDataParallel: the module draws random numbers; seed this process alike")
        self.loss: Tensor | None = None
        if plan is None or sharded is None or sizes is None:
            levels, partial = shapes
            value = np.zeros(())
            for level in levels:
                if level:
                    value = self._add_up([np.zeros(shape, dtype) for shape, dtype in level])[-1]
            self.value = value if partial else self._from(first, value)
        else:
            begin = sum(counts[: self._group.rank])
            self._ranks = len(given)
            self.loss = sharded.run(plan, tensors, sizes, sum(counts), begin, counter, self._ranks, self._add_up)
            self.value = self.loss._data
            if not plan.partial and shapes is not None:
                self.value = self._from(first, self.value)

    def _from(self, first: int, value: Array) -> Array:
        """Returns the value that a rank with sequences has."""
        found = self._group.gather(value)[first]
        return np.asarray(found)

    def _add_up(self, arrays: Sequence[Array]) -> list[Array]:
        """Adds up arrays over the ranks, in one exchange, in float64 or, if all are integers, int64."""
        kind = np.int64 if all(array.dtype.kind in "bui" for array in arrays) else np.float64
        flat = self._group.sum(np.concatenate([np.ravel(array).astype(kind) for array in arrays]))
        bounds = np.cumsum([array.size for array in arrays])[:-1]
        return [
            part.reshape(array.shape).astype(array.dtype)
            for part, array in zip(np.split(flat, bounds), arrays, strict=True)
        ]

    def _check(self, given: Sequence[tuple[int, Any]], headers: Sequence[Any]) -> None:
        seeds = {seed for _, seed, _ in headers}
        if len(seeds) > 1:
            raise LucidError(
                "DistributedDataParallel: the processes' generators are at different steps or seeds: "
                f"{', '.join(map(str, (seed for _, seed, _ in headers)))}; seed all alike, and draw alike"
            )
        marks = {found[0] for _, found in given}
        if len(marks) > 1:
            raise LucidError(
                "DistributedDataParallel: the processes compute different losses; they must call the same module with "
                "arguments of the same structure, dtypes and numbers of axes"
            )

    def gradients(self, g: Tensor) -> tuple[Tensor | None, ...]:
        """Returns the gradient of the whole batch's loss for each parameter; None if it depends on no rank's."""
        group, parameters, state = self._group, self.parameters, self._state
        if MODE.get().grad:
            raise GradientError("DistributedDataParallel: gradients of gradients are not exchanged between processes")
        found: Sequence[Tensor | None] = [None] * len(parameters)
        if self.loss is not None and self.loss.requires_grad:
            found = grad(self.loss, parameters, (g / self._ranks).to(self.loss.dtype), allow_unused=True)
            self.loss = self.loss.detach()
        own = [None if x is None else x._data for x in found]
        for i, p in enumerate(parameters):
            before = state.kept.get(p)
            if before is not None:
                own[i] = before if own[i] is None else before + own[i]
        if not state.syncs:
            state.kept = {p: array for p, array in zip(parameters, own, strict=True) if array is not None}
            return (None,) * len(parameters)
        state.kept = {}
        return tuple([None if array is None else around(array) for array in _summed(group, own, parameters)])


def _summed(group: Group, own: Sequence[Array | None], parameters: Sequence[Tensor]) -> list[Array | None]:
    """Adds up gradients over the ranks, in one exchange for each dtype."""
    found: list[Array | None] = [None] * len(own)
    for dtype in dict.fromkeys(p.dtype for p in parameters):
        places = [i for i, p in enumerate(parameters) if p.dtype == dtype]
        size = sum(parameters[i]._data.size for i in places)
        flat = np.zeros(size + len(places), dtype)
        offset = 0
        for number, i in enumerate(places):
            array, n = own[i], parameters[i]._data.size
            if array is not None:
                flat[offset : offset + n] = array.ravel()
                flat[size + number] = 1  # it has a gradient on this rank
            offset += n
        flat = group.sum(flat)
        offset = 0
        for number, i in enumerate(places):
            n = parameters[i]._data.size
            if flat[size + number]:
                found[i] = flat[offset : offset + n].reshape(parameters[i]._data.shape)
            offset += n
    return found


def _graph(
    state: _State,
    module: Module,
    structure: Structure,
    tensors: Sequence[Tensor],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Sharded:
    """Returns the traced loss for these arguments; it is traced anew if the module has changed."""
    if state.guards is None or not state.guards.holds():
        state.guards, state.graphs = Guards(module, trains=True), {}
    key = key_of(structure), tuple([(tensor.dtype, tensor.ndim) for tensor in tensors])
    known = state.graphs.setdefault(key, [])
    for sharded in known:
        if sharded.sizes(tensors) is not None:
            return sharded
    if len(known) >= _GRAPHS:
        raise ShapeError(
            f"DistributedDataParallel: {type(module).__name__} was traced for {_GRAPHS} kinds of sizes, and decides "
            "by them anew; decide by them in one place, or pad to a few sizes"
        )
    known.append(Sharded(module, structure, tensors, input_names(module, args, kwargs)))
    return known[-1]


_GRAPHS = 8
"""The most traces for one structure of arguments, each for sizes that no earlier one accepts."""


def _mark(sharded: Sharded, sizes: Mapping[str, int]) -> int:
    """Returns a number that differs for different graphs."""
    return crc32(repr((sharded.ops, list(sizes))).encode())


def _batch(given: Sequence[tuple[int, Any]]) -> str | None:
    """Returns the symbol of the batch, if the sizes on the ranks tell.

    Raises:
        ShapeError: other sizes differ, too.
    """
    sizes = {rank: dict(found[1]) for rank, found in given}
    symbols = next(iter(sizes.values()))
    batch = "batch" if "batch" in symbols else None
    differing = [s for s in symbols if len({own[s] for own in sizes.values()}) > 1 and s != batch]
    if batch is None and len(differing) == 1:
        return differing[0]
    if differing:
        listed = "; ".join(
            f"{s}: {', '.join(f'{own[s]} on rank {rank}' for rank, own in sizes.items())}" for s in differing
        )
        raise ShapeError(
            f"DistributedDataParallel: the sizes of the processes' arguments differ in more than the batch: {listed}; "
            "pad each part to the longest of the whole batch, as a loader with DistributedBatchSampler does"
        )
    return batch


def _next_step() -> Counter | None:
    """Begins the next step of lucid's generator; returns None if it has no steps."""
    generator = default_generator()
    if generator._counter() is None:
        return None
    generator.begin_step()
    return generator._counter()


def _replicate(group: Group, module: Module) -> None:
    """Gives all ranks the parameters and buffers of rank 0.

    Raises:
        LucidError: the ranks have different modules.
    """
    tensors = dict([*module.named_parameters(), *module.named_buffers()])
    listed = [(name, tensor._data.shape, tensor._data.dtype.str) for name, tensor in tensors.items()]
    if any(other != listed for other in group.gather(listed)):
        raise LucidError("DistributedDataParallel: the processes have modules with different parameters or buffers")
    with no_grad():
        for tensor in tensors.values():
            tensor._assign(group.broadcast(tensor._data, 0))
