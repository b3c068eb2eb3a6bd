"""What is asked of a run just now: gradients, a trace, both or neither. One context variable, so threads do not mix."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from .trace import Trace

__all__ = ["MODE", "Mode", "current_trace", "enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])


class Mode(NamedTuple):
    """Whether gradients are recorded, and the trace that is under way, if one is."""

    grad: bool
    trace: Trace | None


MODE: ContextVar[Mode] = ContextVar("lucid.mode", default=Mode(True, None))  # noqa: B039 - a NamedTuple cannot change


def is_grad_enabled() -> bool:
    """Whether ops on tensors that require gradients are recorded for backward."""
    return MODE.get().grad


def current_trace() -> Trace | None:
    """The trace under way, or None."""
    return MODE.get().trace


class set_grad_enabled:  # noqa: N801 - PyTorch's name
    """Record gradients, or do not: a context manager and a decorator (torch.set_grad_enabled).

    >>> x = lucid.ones(2, requires_grad=True)
    >>> with lucid.set_grad_enabled(False):
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self._tokens: list[Token[Mode]] = []

    def __enter__(self) -> None:
        self._tokens.append(MODE.set(Mode(self.mode, MODE.get().trace)))

    def __exit__(self, *exc: object) -> None:
        MODE.reset(self._tokens.pop())

    def __call__(self, function: F) -> F:
        mode = self.mode

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(mode):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(set_grad_enabled):  # noqa: N801 - PyTorch's name
    """Record no gradients: a context manager and a decorator (torch.no_grad).

    >>> x = lucid.ones(2, requires_grad=True)
    >>> with lucid.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):  # noqa: N801 - PyTorch's name
    """Record gradients again, inside `no_grad`: a context manager and a decorator (torch.enable_grad).

    >>> x = lucid.ones(2, requires_grad=True)
    >>> with lucid.no_grad(), lucid.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    def __init__(self) -> None:
        super().__init__(True)
