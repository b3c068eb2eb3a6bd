"""The recording mode: gradients, a trace, both or neither. It is a context variable, so each thread has its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextvars import ContextVar
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

if TYPE_CHECKING:
    from .node import TensorLike
    from .trace import Trace

__all__ = [
    "MODE",
    "GradMode",
    "Mode",
    "current_trace",
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "note",
    "set_grad_enabled",
]

F = TypeVar("F", bound=Callable[..., Any])


class Mode(NamedTuple):
    """Whether gradients are recorded, and the active trace, if any."""

    grad: bool
    trace: Trace | None


_EAGER = (Mode(False, None), Mode(True, None))
"""The modes without a trace, indexed by whether gradients are recorded."""

MODE: ContextVar[Mode] = ContextVar("lucid.mode", default=_EAGER[True])


def is_grad_enabled() -> bool:
    """Returns whether ops on tensors that require gradients are recorded for the backward pass."""
    return MODE.get().grad


def current_trace() -> Trace | None:
    """Returns the active trace, or None."""
    return MODE.get().trace


def note(tensor: TensorLike, *axes: str | None, next: TensorLike | None = None) -> None:
    """Notes in the active trace what a layer says of a tensor that it takes, see `Trace.note`."""
    trace = MODE.get().trace
    if trace is not None:
        trace.note(tensor, *axes, next=next)


class GradMode:
    """Switches gradient recording on or off, in a ``with`` block or in every call of a decorated function."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_switch(self.mode))

    def __exit__(self, *exc: object) -> None:
        _switch(self._before.pop())

    def __call__(self, function: F) -> F:
        mode = self.mode

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with GradMode(mode):
                result = function(*args, **kwargs)
            return _each_step(mode, result) if isinstance(result, GeneratorType) else result

        return cast("F", wrapped)


def _switch(grad: bool) -> bool:
    """Switches gradient recording and returns the previous setting. The trace stays as it is."""
    before = MODE.get()
    if before.grad is not grad:
        MODE.set(_EAGER[grad] if before.trace is None else Mode(grad, before.trace))
    return before.grad


def _each_step(mode: bool, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Wraps a generator so that its body runs in a mode and its caller keeps its own."""
    resume: Callable[[], Any] = functools.partial(next, steps)
    try:
        while True:
            try:
                with GradMode(mode):
                    made = resume()
            except StopIteration as stop:
                return stop.value
            try:
                resume = functools.partial(steps.send, (yield made))
            except Exception as error:
                resume = functools.partial(steps.throw, error)
    finally:
        with GradMode(mode):
            steps.close()


class set_grad_enabled(GradMode):  # noqa: N801 - PyTorch's name
    """Switches gradient recording on or off: a statement, a context manager or a decorator (torch.set_grad_enabled).

    >>> x = lucid.ones(2, requires_grad=True)
    >>> with lucid.set_grad_enabled(False):
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        # It takes effect at once, since it may be used as a statement.
        self._at_once = [_switch(self.mode)]

    def __enter__(self) -> None:
        super().__enter__()
        if self._at_once:
            self._before[-1] = self._at_once.pop()

    def __call__(self, function: F) -> F:
        if self._at_once:
            _switch(self._at_once.pop())
        return super().__call__(function)


class _Bare(GradMode):
    """A mode that decorates with parentheses, ``@no_grad()``, and without, ``@no_grad``."""

    _mode: bool

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return object.__new__(cls) if function is None else cls()(function)

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        super().__init__(self._mode)


class no_grad(_Bare):  # noqa: N801 - PyTorch's name
    """Disables gradient recording: a context manager and a decorator (torch.no_grad).

    >>> x = lucid.ones(2, requires_grad=True)
    >>> with lucid.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    _mode = False


class inference_mode(GradMode):  # noqa: N801 - PyTorch's name
    """Disables gradient recording, like `no_grad`; with ``mode=False`` it changes nothing (torch.inference_mode).

    >>> with lucid.inference_mode():
    ...     y = lucid.ones(2, requires_grad=True) * 2
    >>> y.requires_grad
    False
    """

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else object.__new__(cls)

    def __init__(self, mode: Any = True) -> None:
        super().__init__(False if mode else is_grad_enabled())


class enable_grad(_Bare):  # noqa: N801 - PyTorch's name
    """Enables gradient recording inside `no_grad`: a context manager and a decorator (torch.enable_grad).

    >>> x = lucid.ones(2, requires_grad=True)
    >>> with lucid.no_grad(), lucid.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    _mode = True
