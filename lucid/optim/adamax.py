"""Adamax: Adam with the largest gradient in place of the average square."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.op import Array
from .adam import check_adam
from .arithmetic import cast, corrected, maximum
from .optimizer import Optimizer

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """The Adamax optimizer (torch.optim.Adamax).

    Equation, with weight decay λ, learning rate η and step count t::

        g = g + λ p
        m = β₁ m + (1 − β₁) g
        u = max(β₂ u, |g| + ε)
        p = p − η / (1 − β₁ᵗ) m / u

    Args:
        params: the parameters, or dicts of groups.
        lr: the learning rate.
        betas: the decay rates of the average of the gradient and of the largest one.
        eps: prevents division by zero.
        weight_decay: the factor of the penalty on the squared parameters.
        maximize: maximize the objective instead of minimizing it.
        foreach, fused: accepted for ported code, and without effect.

    Raises:
        ValueError: an option is out of range.

    Source: D. Kingma and J. Ba (2015), "Adam: a method for stochastic optimization".

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = lucid.optim.Adamax([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach().numpy().round(4)
        array([0.5, 1.5], dtype=float32)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        check_adam(options)

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        return dict.fromkeys(("step", "exp_avg", "exp_inf"), 0.0)

    @staticmethod
    def update(
        p: Array,
        g: Array,
        state: Mapping[str, Array],
        *,
        lr: Any,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> tuple[Array, dict[str, Array]]:
        if maximize:
            g = -g
        if weight_decay:
            g = g + weight_decay * p
        beta1, beta2 = betas
        step = state["step"] + 1
        m = beta1 * state["exp_avg"] + (1 - beta1) * g
        u = maximum(beta2 * state["exp_inf"], maximum(g, -g) + eps)
        return p - cast(lr / corrected(beta1, step), p) * m / u, {"step": step, "exp_avg": m, "exp_inf": u}
