"""RMSprop: scales steps by a running average of the squared gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.op import Array
from .arithmetic import cast, sqrt
from .optimizer import Optimizer, at_least

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """The RMSprop optimizer (torch.optim.RMSprop).

    Equation, with weight decay λ, momentum μ and learning rate η::

        g = g + λ p
        v = α v + (1 − α) g²
        a = α a + (1 − α) g              (only if centered, else 0)
        b = μ b + g / (sqrt(v − a²) + ε)
        p = p − η b

    Args:
        params: the parameters, or dicts of groups.
        lr: the learning rate.
        alpha: the decay rate of the averages.
        eps: prevents division by zero.
        weight_decay: the factor of the penalty on the squared parameters.
        momentum: the momentum factor.
        centered: divide by the standard deviation of the gradient instead of its root mean square.
        maximize: maximize the objective instead of minimizing it.
        foreach, fused: accepted for ported code, and without effect.

    Raises:
        ValueError: an option is out of range.

    Source: T. Tieleman and G. Hinton (2012), Neural networks for machine learning, lecture 6.5; centered: A. Graves
    (2013), "Generating sequences with recurrent neural networks".

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = lucid.optim.RMSprop([w], lr=0.1, alpha=0.75)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8, 1.8])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        at_least(0, options, "lr", "alpha", "eps", "weight_decay", "momentum")

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        names = ["step", "square_avg"]
        if options["momentum"]:
            names.append("momentum_buffer")
        if options["centered"]:
            names.append("grad_avg")
        return dict.fromkeys(names, 0.0)

    @staticmethod
    def update(
        p: Array,
        g: Array,
        state: Mapping[str, Array],
        *,
        lr: Any,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
        maximize: bool,
    ) -> tuple[Array, dict[str, Array]]:
        if maximize:
            g = -g
        if weight_decay:
            g = g + weight_decay * p
        v = alpha * state["square_avg"] + (1 - alpha) * (g * g)
        new = {"step": state["step"] + 1, "square_avg": v}
        if centered:
            mean = new["grad_avg"] = alpha * state["grad_avg"] + (1 - alpha) * g
            v = v - mean * mean
        g = g / (sqrt(v) + eps)
        if momentum:
            g = new["momentum_buffer"] = momentum * state["momentum_buffer"] + g
        return p - cast(lr, p) * g, new
