"""The process group: the processes of one job, which run the same program on different data."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import LucidError, RuntimeUnavailableError, ShapeError
from ..tensor import Tensor, around

__all__ = [
    "Group",
    "all_gather",
    "all_reduce",
    "barrier",
    "broadcast",
    "current",
    "destroy_process_group",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_initialized",
]

Array = np.ndarray[Any, Any]

_RANKS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
"""Variables in which a launcher says how many processes it started."""


class Group:
    """One process alone: the base of groups of several.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
    """

    rank = 0
    size = 1

    def sum(self, array: Array) -> Array:
        """Returns the sum of an array over all ranks, the same bits on each."""
        return array.copy()

    def gather(self, thing: Any) -> list[Any]:
        """Returns what each rank gave, in the order of ranks; anything that can be pickled."""
        return [thing]

    def broadcast(self, array: Array, source: int) -> Array:
        """Returns the array of one rank; the others give one of the same shape and dtype."""
        return array.copy()

    def barrier(self) -> None:
        """Waits until all ranks are here."""


class _Processes(Group):
    """The processes that an MPI launcher started.

    Args:
        world: the communicator of all of them.
    """

    def __init__(self, world: Any) -> None:
        self._world = world
        self.rank, self.size = world.Get_rank(), world.Get_size()

    def sum(self, array: Array) -> Array:
        found = np.empty_like(array, order="C")
        self._world.Allreduce(np.ascontiguousarray(array), found)
        return found

    def gather(self, thing: Any) -> list[Any]:
        return list(self._world.allgather(thing))

    def broadcast(self, array: Array, source: int) -> Array:
        found = np.array(array, order="C")
        self._world.Bcast(found, source)
        return found

    def barrier(self) -> None:
        self._world.Barrier()


_group: Group | None = None


def is_available() -> bool:
    """Returns whether several processes can work together here: whether mpi4py is installed."""
    from importlib.util import find_spec

    return find_spec("mpi4py") is not None


def init_process_group(backend: str | None = None) -> None:
    """Joins the processes of this job (torch.distributed.init_process_group).

    ``mpiexec -n 4 python -m mpi4py train.py`` starts four; without mpiexec the same script runs as one process. An
    exception in one ends all of them: ``-m mpi4py`` sees to it, and where that is missing this function does.

    Args:
        backend: "mpi", the only one, or None.

    Raises:
        RuntimeUnavailableError: a launcher started several processes, but mpi4py is not installed.
        ValueError: there is no such backend. LucidError: there is a group already.

    Example:
        >>> import lucid.distributed as dist
        >>> dist.init_process_group()
        >>> dist.get_rank(), dist.get_world_size()
        (0, 1)
        >>> dist.destroy_process_group()
    """
    global _group
    if backend not in (None, "mpi"):
        raise ValueError(f"init_process_group: the backend must be 'mpi' or None; got {backend!r}")
    if _group is not None:
        raise LucidError("init_process_group: there is a process group already; destroy_process_group() ends it")
    if is_available():
        _group = _joined()
        return
    import os

    started = next((os.environ[name] for name in _RANKS if os.environ.get(name, "1") != "1"), None)
    if started is not None:
        raise RuntimeUnavailableError(
            f"init_process_group: {started} processes were started, but mpi4py is not installed; "
            "pip install 'lucid-onnx[mpi]'"
        )
    _group = Group()


def _joined() -> Group:
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # such as mpi4py without an MPI
        raise RuntimeUnavailableError(
            f"init_process_group: mpi4py cannot load an MPI ({error}); pip install 'lucid-onnx[mpi]'"
        ) from error
    # A communicator of its own: other users of MPI in the process do not disturb it.
    world = MPI.COMM_WORLD.Dup()
    if world.Get_size() == 1:
        return Group()
    if "mpi4py.run" not in sys.modules:
        _end_all_on_an_exception(world)
    return _Processes(world)


def _end_all_on_an_exception(world: Any) -> None:
    """Does what ``python -m mpi4py`` does: an exception that nobody catches ends all processes, which would wait."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        try:
            usual(kind, error, trace)
            sys.stderr.flush()
        except Exception:
            traceback.print_exc()
        world.Abort(1)

    sys.excepthook = hook


def destroy_process_group() -> None:
    """Leaves the process group (torch.distributed.destroy_process_group)."""
    global _group
    _group = None


def is_initialized() -> bool:
    """Returns whether there is a process group (torch.distributed.is_initialized)."""
    return _group is not None


def current() -> Group:
    """Returns the process group.

    Raises:
        LucidError: there is none.
    """
    if _group is None:
        raise LucidError("there is no process group; call lucid.distributed.init_process_group() first")
    return _group


def get_rank() -> int:
    """Returns the number of this process, from 0 (torch.distributed.get_rank)."""
    return current().rank


def get_world_size() -> int:
    """Returns the number of processes (torch.distributed.get_world_size)."""
    return current().size


def barrier() -> None:
    """Waits until all processes are here (torch.distributed.barrier)."""
    current().barrier()


def all_reduce(x: Tensor | Array) -> None:
    """Replaces a tensor or an array by its sum over all processes (torch.distributed.all_reduce).

    It has the same bits in each.

    Raises:
        ShapeError: the processes have different shapes or dtypes.
        LucidError: it requires gradients.

    Example:
        >>> import lucid.distributed as dist
        >>> dist.init_process_group()
        >>> x = lucid.ones(2)
        >>> dist.all_reduce(x)
        >>> x  # of one process
        tensor([1., 1.])
        >>> dist.destroy_process_group()
    """
    group, array = current(), _array("all_reduce", x)
    _require_alike("all_reduce", group, array)
    _write(x, group.sum(array))


def broadcast(x: Tensor | Array, src: int = 0) -> None:
    """Replaces a tensor or an array by that of one process (torch.distributed.broadcast).

    Args:
        x: the tensor or array.
        src: the rank that gives it.

    Raises:
        ShapeError: the processes have different shapes or dtypes.
        ValueError: there is no such rank. LucidError: it requires gradients.
    """
    group, array = current(), _array("broadcast", x)
    if not 0 <= src < group.size:
        raise ValueError(f"broadcast: src must be a rank below {group.size}; got {src}")
    _require_alike("broadcast", group, array)
    _write(x, group.broadcast(array, src))


def all_gather(x: Tensor | Array) -> list[Any]:
    """Returns the tensors or arrays of all processes, by rank; their shapes may differ.

    torch.distributed.all_gather fills a list that it is given instead.

    Example:
        >>> import lucid.distributed as dist
        >>> dist.init_process_group()
        >>> dist.all_gather(lucid.arange(2))
        [tensor([0, 1])]
        >>> dist.destroy_process_group()
    """
    found = current().gather(x._data if isinstance(x, Tensor) else np.asarray(x))
    return [around(array) for array in found] if isinstance(x, Tensor) else found


def _array(function: str, x: Any) -> Array:
    if isinstance(x, Tensor):
        if x.requires_grad:
            raise LucidError(f"{function}: the tensor requires gradients, which no exchange has; pass x.detach()")
        return x._data
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{function}: expected a Tensor or an array; got {type(x).__name__}")
    return x


def _write(x: Any, array: Array) -> None:
    if isinstance(x, Tensor):
        x.copy_(around(array))
    else:
        x[...] = array


def _require_alike(function: str, group: Group, array: Array) -> None:
    if group.size == 1:
        return
    found = group.gather((array.shape, str(array.dtype)))
    if len(set(found)) > 1:
        listed = ", ".join(f"{dtype}{list(shape)} on rank {rank}" for rank, (shape, dtype) in enumerate(found))
        raise ShapeError(f"{function}: all processes need the same shape and dtype; got {listed}")
