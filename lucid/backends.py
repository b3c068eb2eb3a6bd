"""The settings of PyTorch's backends (torch.backends) that programs write: accepted, and without effect.

lucid computes with NumPy on the CPU, and the same program gives the same numbers each time.
"""

from __future__ import annotations

__all__ = ["cuda", "cudnn", "mps", "use_deterministic_algorithms"]


class _Absent:
    """A backend that lucid does not have.

    Attributes:
        deterministic: whether results are reproducible; without effect, since they always are.
        benchmark, enabled, allow_tf32: without effect.
    """

    deterministic = True
    benchmark = False
    enabled = False
    allow_tf32 = False

    def is_available(self) -> bool:
        """Returns False."""
        return False

    def is_built(self) -> bool:
        """Returns False."""
        return False


class _Cuda(_Absent):
    """CUDA, and its matrix products."""

    matmul = _Absent()


cuda, cudnn, mps = _Cuda(), _Absent(), _Absent()


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Has no effect: all of lucid's algorithms are deterministic (torch.use_deterministic_algorithms)."""
