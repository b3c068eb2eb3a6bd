"""Several processes that train one model on parts of each batch (torch.distributed), over MPI."""

from .group import (
    all_gather,
    all_reduce,
    barrier,
    broadcast,
    destroy_process_group,
    get_rank,
    get_world_size,
    init_process_group,
    is_available,
    is_initialized,
)
from .parallel import DistributedDataParallel
from .sampler import DistributedBatchSampler

__all__ = [
    "DistributedBatchSampler",
    "DistributedDataParallel",
    "all_gather",
    "all_reduce",
    "barrier",
    "broadcast",
    "destroy_process_group",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_initialized",
]
