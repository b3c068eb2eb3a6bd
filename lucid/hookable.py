"""What lets others see, change and keep the gradient of a Tensor."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import GradientError
from .tracer.hooks import Handle
from .tracer.node import Value

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Hookable"]


class Hookable:
    """Mixin: hooks on a gradient, and a gradient kept where there is no leaf."""

    __slots__ = ()

    _requires_grad: bool
    _value: Value | None
    _leaf_value: Callable[[], Value]

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call a function with the gradient of this tensor whenever backward has it (torch.Tensor.register_hook).

        Args:
            hook: gets the gradient; what it returns, if not None, takes the gradient's place.

        Returns:
            A handle, whose `remove` takes the hook away again.

        Raises:
            GradientError: the tensor requires no gradient.

        Example:
            >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
            >>> with w.register_hook(lambda g: g * 10):
            ...     w.sum().backward()
            >>> w.grad
            tensor([10., 10.])
        """
        if not self._requires_grad:
            raise GradientError("register_hook: this tensor requires no gradient, so the hook would never be called")
        return (self._value or self._leaf_value()).hook_table().add(hook)

    def retain_grad(self) -> None:
        """Let `backward` collect `grad` here too, though it is no leaf (torch.Tensor.retain_grad).

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
        if not self._requires_grad:
            raise GradientError("retain_grad: this tensor requires no gradient")
        if self._value is not None and not self._value.is_leaf:
            self._value.hook_table().keeper = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether it is no leaf but collects `grad` all the same."""
        value = self._value
        return value is not None and not value.is_leaf and value.hook_table().keeper is not None
