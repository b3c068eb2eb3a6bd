"""Adam: scales steps by running averages of the gradient and of its square."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.op import Array
from .arithmetic import cast, corrected, maximum, sqrt
from .optimizer import Optimizer, at_least, below_one

__all__ = ["Adam", "check_adam"]


def check_adam(options: Mapping[str, Any]) -> None:
    """Checks the options that Adam and its relatives share."""
    at_least(0, options, "lr", "eps", "weight_decay")
    if len(options["betas"]) != 2:
        raise ValueError(f"betas must be two numbers; got {options['betas']}")
    for i, beta in enumerate(options["betas"]):
        below_one(f"betas[{i}]", beta)


class Adam(Optimizer):
    """The Adam optimizer (torch.optim.Adam).

    Equation, with weight decay λ, learning rate η and step count t::

        g = g + λ p
        m = β₁ m + (1 − β₁) g
        v = β₂ v + (1 − β₂) g²            (the largest v so far, below, if amsgrad)
        p = p − η m / (1 − β₁ᵗ) / (sqrt(v / (1 − β₂ᵗ)) + ε)

    Args:
        params: the parameters, or dicts of groups.
        lr: the learning rate.
        betas: the decay rates of the averages of the gradient and of its square.
        eps: prevents division by zero.
        weight_decay: the factor of the penalty on the squared parameters.
        amsgrad: divide by the largest average so far.
        maximize: maximize the objective instead of minimizing it.
        foreach, fused: accepted for ported code, and without effect.

    Raises:
        ValueError: an option is out of range.

    Source: D. Kingma and J. Ba (2015), "Adam: a method for stochastic optimization"; S. Reddi et al. (2018), "On the
    convergence of Adam and beyond".

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = lucid.optim.Adam([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach().numpy().round(4)
        array([0.5, 1.5], dtype=float32)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        check_adam(options)

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        names = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        return dict.fromkeys(names if options["amsgrad"] else names[:3], 0.0)

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
        amsgrad: bool,
        maximize: bool,
    ) -> tuple[Array, dict[str, Array]]:
        if maximize:
            g = -g
        if weight_decay:
            g = g + weight_decay * p
        beta1, beta2 = betas
        step = state["step"] + 1
        m = beta1 * state["exp_avg"] + (1 - beta1) * g
        v = beta2 * state["exp_avg_sq"] + (1 - beta2) * (g * g)
        new = {"step": step, "exp_avg": m, "exp_avg_sq": v}
        if amsgrad:
            v = new["max_exp_avg_sq"] = maximum(state["max_exp_avg_sq"], v)
        # Scaling the numbers on both sides of the fraction, instead of sqrt(v), saves an array.
        scale = sqrt(corrected(beta2, step))
        size = lr * scale / corrected(beta1, step)
        return p - cast(size, p) * m / (sqrt(v) + cast(eps * scale, v)), new
