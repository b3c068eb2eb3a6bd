"""Generator: a source of random numbers with a state of its own."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..devices import CPU, require_cpu
from ..devices import device as Device
from ..errors import DtypeError, LucidError
from ..tensor import Tensor, around
from ..tracer.mode import MODE
from ..tracer.run import RUN, Run
from .counter import DRAWS

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "CURRENT",
    "Counter",
    "Generator",
    "Kind",
    "begin_again",
    "counter_of",
    "default_generator",
    "integer_below",
    "numpy_generator",
    "seed_of_next_step",
]

Kind = Literal["pcg64", "counter"]
"""The generators: NumPy's PCG64, and one whose numbers exported files draw as well."""

_SEED = 67280421310721
"""PyTorch's seed of a generator that was given none."""


def _drawn_seed() -> int:
    """Returns a seed that the operating system draws."""
    return int.from_bytes(os.urandom(8), "little") >> 1


class Counter:
    """The state of a counter-based generator: the seed of the step, and the number of its next draw.

    Args:
        seed: the seed; its last 64 bits count.
        draw: the number of the next draw.
        key: the seed as a tensor, which a trace captures; a new one if None.
        given: whether it is the seed that an exported file takes as an input, not one that the traced function sets.
    """

    __slots__ = ("draw", "given", "key")

    def __init__(self, seed: int, draw: int = 0, key: Tensor | None = None, given: bool = False) -> None:
        import numpy as np

        self.key = around(np.array(_signed(seed), np.int64)) if key is None else key
        self.draw = draw
        self.given = given

    @property
    def seed(self) -> int:
        """The seed of the step, an int64."""
        return int(self.key._data)

    def take(self) -> int:
        """Returns the number of the next draw, and counts it.

        Raises:
            LucidError: there were too many in one step.
        """
        if self.draw >= DRAWS:
            raise LucidError(f"a step has at most {DRAWS} draws; begin the next one with Generator.begin_step()")
        self.draw += 1
        return self.draw - 1


class Generator:
    """A source of random numbers (torch.Generator): NumPy's PCG64, or a counter-based one, from a seed.

    It begins with the same seed each time, until `manual_seed` gives it another.

    The counter-based generator has no state but two numbers, the seed of a step and the number of the next draw in it.
    Each element is a hash of the two and of its place. An exported file computes the same hash, with the seed as its
    input, and always begins at draw 0: a call of the file is one step. Eagerly draws count on until `begin_step` begins
    the next step, with the next seed. So a training run that begins at seed s has the seeds s, s + 1 and so on; give
    runs that are to be independent seeds that lie farther apart than the number of their steps.

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
        self._own: np.random.Generator | Counter | None = None

    @property
    def device(self) -> Device:
        """The CPU."""
        return CPU

    def manual_seed(self, seed: int, generator: Kind = "pcg64") -> Generator:
        """Starts anew from a seed, and returns the generator itself. A negative seed counts from 2**64 down.

        Args:
            seed: the seed.
            generator: "pcg64", or "counter" for numbers that exported files draw as well.

        Raises:
            ValueError: there is no such generator.
        """
        if not isinstance(seed, int):
            raise DtypeError(f"manual_seed: a seed must be an integer; got {seed!r}")
        if generator not in get_args(Kind):
            raise ValueError(
                f"manual_seed: generator must be one of {', '.join(map(repr, get_args(Kind)))}; got {generator!r}"
            )
        run, seed = RUN.get(), seed if seed >= 0 else seed + 2**64
        if run is None:
            self._seed = seed
        if generator == "counter":
            self._set(Counter(seed, given=run is None))
        elif isinstance(source := self._source(), Counter):
            self._set(_made(seed))
        else:
            _reseed(source, seed)
        return self

    def seed(self) -> int:
        """Starts anew from a seed that the operating system draws, and returns it."""
        seed = _drawn_seed()
        self.manual_seed(seed, "counter" if isinstance(self._source(), Counter) else "pcg64")
        return seed

    def initial_seed(self) -> int:
        """Returns the seed that it was last given."""
        return self._seed

    def begin_step(self) -> int:
        """Begins a step, with the next seed and draw 0, unless nothing was drawn in this one; returns its seed.

        A file, and a compiled module, draw what an eager call draws at the beginning of a step of the same seed.
        A function that is exported may begin a step before it draws; that has no effect then.

        Raises:
            LucidError: the generator is not counter-based, or an exported function has drawn already.

        Example:
            >>> generator = lucid.Generator().manual_seed(5, "counter")
            >>> first = lucid.rand(2, generator=generator)
            >>> generator.begin_step(), generator.begin_step()
            (6, 6)
        """
        source = self._source()
        if not isinstance(source, Counter):
            raise LucidError("begin_step: only a generator from manual_seed(seed, generator='counter') has steps")
        if source.draw == 0:
            return source.seed
        if source.given and RUN.get() is not None:
            raise LucidError(
                "begin_step: an exported function has drawn in this step already, and a file has one step a call; "
                "begin it before the first draw, or outside of the function"
            )
        self._set(Counter(source.seed + 1, given=source.given))
        return self.begin_step()

    def get_state(self) -> dict[str, Any]:
        """Returns the state, which `set_state` restores. `lucid.save` can write it."""
        source = self._source()
        if isinstance(source, Counter):
            return {"generator": "counter", "seed": source.seed, "draw": source.draw}
        return dict(source.bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state that `get_state` returned."""
        source = self._source()
        if state.get("generator") != "counter":
            made = _made(0)
            made.bit_generator.state = state
            if isinstance(source, Counter):
                self._set(made)
            else:
                source.bit_generator.state = state
            return
        seed, draw = int(state["seed"]), int(state["draw"])
        if _signed(seed) != seed or not 0 <= draw <= DRAWS:
            raise ValueError(f"it is not the state of a counter-based generator: {state}")
        if isinstance(source, Counter) and source.seed == seed:
            self._set(Counter(seed, draw, source.key, source.given))
        else:
            self._set(Counter(seed, draw, given=RUN.get() is None))

    def _counter(self) -> Counter | None:
        """Returns the counter that draws are made by; None if the generator is PCG64."""
        source = self._source()
        return source if isinstance(source, Counter) else None

    def numpy(self) -> np.random.Generator:
        """Returns NumPy's generator, which draws; inside a run of an export, a copy that belongs to the run.

        A counter-based generator gives a new one for each draw, seeded with its key.
        """
        source = self._source()
        return _made([source.seed % 2**64, source.take()]) if isinstance(source, Counter) else source

    def _source(self) -> np.random.Generator | Counter:
        run = RUN.get()
        return self._outside() if run is None else self._inside(run)

    def _set(self, source: np.random.Generator | Counter) -> None:
        run = RUN.get()
        if run is None:
            self._own = source
        else:
            run.random[self] = source

    def _outside(self) -> np.random.Generator | Counter:
        """Creates the generator on first use: numpy.random takes a while to load, and NumPy itself loads it lazily."""
        if self._own is None:
            self._own = _made(self._seed)
        return self._own

    def _inside(self, run: Run) -> np.random.Generator | Counter:
        """Returns a copy that belongs to the run; it begins at draw 0, as the file does."""
        if self not in run.random:
            source = self._outside() if run.around is None else self._inside(run.around)
            if isinstance(source, Counter):
                run.random[self] = Counter(source.seed, 0, source.key, source.given)
            else:
                run.random[self] = _made(0)
                run.random[self].bit_generator.state = source.bit_generator.state
        found: np.random.Generator | Counter = run.random[self]
        return found


def begin_again() -> None:
    """Begins the step of the current run anew: each call of a function in it draws what a call of the file draws."""
    run = RUN.get()
    if run is not None:
        run.random = {key: source for key, source in run.random.items() if not isinstance(source, Counter)}


def seed_of_next_step() -> int | None:
    """Returns the seed that `begin_step` would begin the next step of lucid's generator with; None if that has no
    steps."""
    counter = CURRENT.get()._counter()
    return None if counter is None else _signed(counter.seed + (counter.draw > 0))


def _signed(seed: int) -> int:
    """Returns the last 64 bits of a seed as an int64."""
    return (seed + 2**63) % 2**64 - 2**63


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
    return _generator(given).numpy()


def counter_of(given: Any) -> Counter | None:
    """Returns the counter that draws from a generator are made by; None if it is PCG64.

    Args:
        given: a `Generator`, or None for lucid's own.

    Raises:
        LucidError: the draw is in the step of a loop, which would draw the same numbers each time; or an export would
            need a second seed.
        TypeError: it is something else.
    """
    generator = _generator(given)
    counter = generator._counter()
    trace = MODE.get().trace
    if counter is None or trace is None:
        return counter
    if trace.repeats:
        raise LucidError(
            "a step of nn.scan cannot draw from a counter-based generator: each step would draw the same numbers; draw "
            "them before the loop, and pass them as one of its sequences"
        )
    if counter.given and RUN.get() is not None and generator is not CURRENT.get():
        raise LucidError(
            "a file takes one seed, that of lucid's own generator, but the model draws from another one; draw without "
            "generator=, or seed it inside of the model"
        )
    return counter


def _generator(given: Any) -> Generator:
    if given is None:
        return CURRENT.get()
    if isinstance(given, Generator):
        return given
    raise TypeError(f"generator must be a lucid.Generator; got {type(given).__name__}")


def integer_below(high: int, given: Any) -> int:
    """Draws an integer from a `Generator`, a NumPy generator, or lucid's own if None is given."""
    generator = given if hasattr(given, "integers") else numpy_generator(given)
    return int(generator.integers(high))
