"""Generator: a source of random numbers with a state of its own."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..devices import CPU, require_cpu
from ..devices import device as Device
from ..errors import DtypeError
from ..tracer.run import RUN, Run

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CURRENT", "Generator", "default_generator", "integer_below", "numpy_generator"]

_SEED = 67280421310721
"""PyTorch's seed of a generator that was given none."""


def _drawn_seed() -> int:
    """Returns a seed that the operating system draws."""
    return int.from_bytes(os.urandom(8), "little") >> 1


class Generator:
    """A source of random numbers (torch.Generator): NumPy's PCG64, from a seed.

    It begins with the same seed each time, until `manual_seed` gives it another.

    Args:
        device: "cpu".

    Example:
        >>> generator = lucid.Generator().manual_seed(0)
        >>> lucid.randint(0, 10, (3,), generator=generator)
        tensor([8, 6, 5])
        >>> generator.initial_seed()
        0
    """

    def __init__(self, device: Any = "cpu") -> None:
        require_cpu(device)
        self._seed = _SEED
        self._own: np.random.Generator | None = None

    @property
    def device(self) -> Device:
        """The CPU."""
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Starts anew from a seed, and returns the generator itself. A negative seed counts from 2**64 down."""
        if not isinstance(seed, int):
            raise DtypeError(f"manual_seed: a seed must be an integer; got {seed!r}")
        if RUN.get() is None:
            self._seed = seed if seed >= 0 else seed + 2**64
        _reseed(self.numpy(), seed if seed >= 0 else seed + 2**64)
        return self

    def seed(self) -> int:
        """Starts anew from a seed that the operating system draws, and returns it."""
        seed = _drawn_seed()
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """Returns the seed that it was last given."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """Returns the state, which `set_state` restores. `lucid.save` can write it."""
        return dict(self.numpy().bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state that `get_state` returned."""
        self.numpy().bit_generator.state = state

    def numpy(self) -> np.random.Generator:
        """Returns NumPy's generator, which draws; inside a run of an export, a copy that belongs to the run."""
        run = RUN.get()
        return self._outside() if run is None else self._inside(run)

    def _outside(self) -> np.random.Generator:
        """Creates the generator on first use: numpy.random takes a while to load, and NumPy itself loads it lazily."""
        if self._own is None:
            self._own = _made(self._seed)
        return self._own

    def _inside(self, run: Run) -> np.random.Generator:
        if self not in run.random:
            source = self._outside() if run.around is None else self._inside(run.around)
            run.random[self] = _made(0)
            run.random[self].bit_generator.state = source.bit_generator.state
        found: np.random.Generator = run.random[self]
        return found


def _made(seed: Any) -> np.random.Generator:
    import numpy as np

    return np.random.Generator(np.random.PCG64(seed))


def _reseed(generator: np.random.Generator, seed: Any) -> None:
    generator.bit_generator.state = _made(seed).bit_generator.state


_default = Generator()
_default._seed = _drawn_seed()

CURRENT: ContextVar[Generator] = ContextVar("lucid.generator", default=_default)
"""The generator of all functions that are given none. A worker of a loader has its own."""


def default_generator() -> Generator:
    """Returns the generator of all functions that are given none."""
    return CURRENT.get()


def numpy_generator(given: Any) -> np.random.Generator:
    """Returns NumPy's generator behind a `Generator`, or behind lucid's own if None is given.

    Raises:
        TypeError: it is something else.
    """
    if given is None:
        return CURRENT.get().numpy()
    if isinstance(given, Generator):
        return given.numpy()
    raise TypeError(f"generator must be a lucid.Generator; got {type(given).__name__}")


def integer_below(high: int, given: Any) -> int:
    """Draws an integer from a `Generator`, a NumPy generator, or lucid's own if None is given."""
    generator = given if hasattr(given, "integers") else numpy_generator(given)
    return int(generator.integers(high))
