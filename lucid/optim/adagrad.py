"""Adagrad: scales steps by the sum of all squared gradients so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.op import Array
from .arithmetic import cast, sqrt
from .optimizer import Optimizer, at_least

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """The Adagrad optimizer (torch.optim.Adagrad).

    Equation, with weight decay λ, learning rate η, its decay γ and step count t::

        g = g + λ p
        s = s + g²
        p = p − η / (1 + (t − 1) γ) g / (sqrt(s) + ε)

    Args:
        params: the parameters, or dicts of groups.
        lr: the learning rate.
        lr_decay: the decay of the learning rate.
        weight_decay: the factor of the penalty on the squared parameters.
        initial_accumulator_value: the initial value of the sum of squares.
        eps: prevents division by zero.
        maximize: maximize the objective instead of minimizing it.
        foreach, fused: accepted for ported code, and without effect.

    Raises:
        ValueError: an option is out of range.

    Source: J. Duchi et al. (2011), "Adaptive subgradient methods for online learning and stochastic optimization".

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = lucid.optim.Adagrad([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.5, 1.5])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        at_least(0, options, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        return {"step": 0.0, "sum": options["initial_accumulator_value"]}

    @staticmethod
    def update(
        p: Array,
        g: Array,
        state: Mapping[str, Array],
        *,
        lr: Any,
        lr_decay: float,
        weight_decay: float,
        initial_accumulator_value: float,
        eps: float,
        maximize: bool,
    ) -> tuple[Array, dict[str, Array]]:
        if maximize:
            g = -g
        if weight_decay:
            g = g + weight_decay * p
        total = state["sum"] + g * g
        size = lr / (1 + state["step"] * lr_decay)
        new = {"step": state["step"] + 1, "sum": total}
        return p - cast(size, p) * g / (sqrt(total) + eps), new
