"""DistributedDataParallel: trains replicas of a model on parts of a batch, as one process would on the whole of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import LucidError
from ..nn.module import Module
from ..tensor import Tensor, around
from ..tracer.mode import MODE, no_grad
from .group import Group, current
from .step import State, Step, loss_of_all

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
        dim: the axis of the batch in the first argument, if it is not known by name, as from a recurrent layer or from
            a loader with `pad_collate`. Arguments that do not have it must be the same in all processes.

        compile: whether a step with gradients runs in onnxruntime: one graph for what is added up before the loss, as
            the number of targets, and one for the loss and its gradients. Parameters are inputs of it, as those of
            `lucid.compile_backward`.
        device, threads: where compiled steps run, as those of `lucid.compile_backward`.

    Attributes:
        module: the module.

    Raises:
        LucidError: there is no process group. At the call: the processes compute different losses, or an argument
            without the batch's axis differs between them.
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

    def __init__(
        self, module: Module, dim: int = 0, *, compile: bool = False, device: Any = "cpu", threads: int | None = None
    ) -> None:
        super().__init__()
        if not isinstance(module, Module):
            raise TypeError(f"DistributedDataParallel: expected a Module; got {type(module).__name__}")
        self.module = module
        self.__dict__["_state"] = State(current(), dim, (device, threads) if compile else None)
        _replicate(self._state.group, module)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, `backward` adds this process's terms of the gradients; the next one outside adds all up over the
        processes, so that batches are accumulated with one exchange. Until then `grad` has this process's own."""
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
        parameters: list[Tensor] = [p for p in self.module.parameters() if p.requires_grad]
        trains = mode.grad and bool(parameters)
        step = Step(self._state, self.module, args, kwargs, trains)
        if not trains:
            return around(step.value)
        step.parameters = parameters
        return loss_of_all(*parameters, step=step)

    def __repr__(self) -> str:
        group = self._state.group
        return f"DistributedDataParallel(rank {group.rank} of {group.size}: {self.module!r})"


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
