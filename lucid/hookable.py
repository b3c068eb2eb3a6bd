"""Gradient hooks and retained gradients of a Tensor."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import GradientError
from .tracer.aliases import follow
from .tracer.hooks import Handle
from .tracer.node import Value
from .tracer.writes import LIVE

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Hookable"]


class Hookable:
    """Mixin: gradient hooks, and retained gradients of non-leaf tensors."""

    __slots__ = ()

    _requires_grad: bool
    _value: Value | None
    _leaf_value: Callable[[], Value]

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Registers a function that backward calls with the gradient of this tensor (torch.Tensor.register_hook).

        Args:
            hook: takes the gradient; what it returns, if not None, replaces the gradient.

        Returns:
            A handle, whose `remove` removes the hook.

        Raises:
            GradientError: the tensor requires no gradient.

        Example:
            >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
            >>> with w.register_hook(lambda g: g * 10):
            ...     w.sum().backward()
            >>> w.grad
            tensor([10., 10.])
        """
        if LIVE:
            follow((self,))
        if not self._requires_grad:
            raise GradientError("register_hook: this tensor requires no gradient, so the hook would never be called")
        return (self._value or self._leaf_value()).hook_table().add(hook)

    def retain_grad(self) -> None:
        """Makes `backward` store the gradient of this non-leaf tensor in `grad` (torch.Tensor.retain_grad).

        Raises:
            GradientError: the tensor requires no gradient.

        Example:
            >>> x = lucid.tensor([3.0], requires_grad=True)
            >>> y = x * 2
            >>> y.retain_grad()
            >>> (y * y).backward()
            >>> y.grad
            tensor([12.])
        """
        if LIVE:
            follow((self,))
        if not self._requires_grad:
            raise GradientError("retain_grad: this tensor requires no gradient")
        if self._value is not None and not self._value.is_leaf:
            self._value.hook_table().keeper = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether it is a non-leaf tensor that retains its gradient.

        >>> y = lucid.ones(2, requires_grad=True) * 2
        >>> y.retains_grad
        False
        >>> y.retain_grad()
        >>> y.retains_grad
        True
        """
        value = self._value
        return value is not None and not value.is_leaf and value.hook_table().keeper is not None
