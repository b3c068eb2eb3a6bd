"""NAdam: Adam with Nesterov momentum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.op import Array
from .adam import check_adam
from .arithmetic import cast, corrected, sqrt
from .optimizer import Optimizer, at_least

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """The NAdam optimizer (torch.optim.NAdam).

    Equation, with weight decay λ, learning rate η, momentum decay ψ and step count t::

        g = g + λ p                        (p = (1 − η λ) p instead, if decoupled_weight_decay)
        μ(t) = β₁ (1 − 0.96^(t ψ) / 2),  M = μ(1) … μ(t)
        m = β₁ m + (1 − β₁) g
        v = β₂ v + (1 − β₂) g²
        n = μ(t + 1) m / (1 − M μ(t + 1)) + (1 − μ(t)) g / (1 − M)
        p = p − η n / (sqrt(v / (1 − β₂ᵗ)) + ε)

    Args:
        params: the parameters, or dicts of groups.
        lr: the learning rate.
        betas: the decay rates of the averages of the gradient and of its square.
        eps: prevents division by zero.
        weight_decay: the factor of the penalty on the squared parameters.
        momentum_decay: how fast the momentum grows to β₁.
        decoupled_weight_decay: subtract the penalty from the parameters, as AdamW does.
        maximize: maximize the objective instead of minimizing it.
        foreach, fused: accepted for ported code, and without effect.

    Raises:
        ValueError: an option is out of range.

    Source: T. Dozat (2016), "Incorporating Nesterov momentum into Adam".

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = lucid.optim.NAdam([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach().numpy().round(4)
        array([0.4718, 1.4718], dtype=float32)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        check_adam(options)
        at_least(0, options, "momentum_decay")

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        return {"step": 0.0, "mu_product": 1.0, "exp_avg": 0.0, "exp_avg_sq": 0.0}

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
        momentum_decay: float,
        decoupled_weight_decay: bool,
        maximize: bool,
    ) -> tuple[Array, dict[str, Array]]:
        if maximize:
            g = -g
        if weight_decay and decoupled_weight_decay:
            p = cast(1 - lr * weight_decay, p) * p
        elif weight_decay:
            g = g + weight_decay * p
        beta1, beta2 = betas
        step = state["step"] + 1
        momentum = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))
        following = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        product = state["mu_product"] * momentum
        m = beta1 * state["exp_avg"] + (1 - beta1) * g
        v = beta2 * state["exp_avg_sq"] + (1 - beta2) * (g * g)
        # Scaling the numbers on both sides of the fraction, instead of sqrt(v), saves an array.
        scale = sqrt(corrected(beta2, step))
        ahead = lr * scale * following / (1 - product * following)
        now = lr * scale * (1 - momentum) / (1 - product)
        moved = (cast(ahead, p) * m + cast(now, p) * g) / (sqrt(v) + cast(eps * scale, v))
        return p - moved, {"step": step, "mu_product": product, "exp_avg": m, "exp_avg_sq": v}
