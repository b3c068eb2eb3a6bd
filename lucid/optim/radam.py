"""RAdam: Adam that waits until its average square is reliable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.op import Array
from .adam import check_adam
from .arithmetic import cast, corrected, effective_length, maximum, minimum, sqrt
from .optimizer import Optimizer

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """The RAdam optimizer (torch.optim.RAdam).

    Equation, with weight decay λ, learning rate η and step count t::

        g = g + λ p                        (p = (1 − η λ) p instead, if decoupled_weight_decay)
        m = β₁ m + (1 − β₁) g
        v = β₂ v + (1 − β₂) g²
        R = 2 / (1 − β₂) − 1
        ρ = R − 2 t β₂ᵗ / (1 − β₂ᵗ)
        r = sqrt((ρ − 4) (ρ − 2) R / ((R − 4) (R − 2) ρ))
        p = p − η m / (1 − β₁ᵗ) r sqrt(1 − β₂ᵗ) / (sqrt(v) + ε)        where ρ > 5
        p = p − η m / (1 − β₁ᵗ)                                        where it is not

    Args:
        params: the parameters, or dicts of groups.
        lr: the learning rate.
        betas: the decay rates of the averages of the gradient and of its square.
        eps: prevents division by zero.
        weight_decay: the factor of the penalty on the squared parameters.
        decoupled_weight_decay: subtract the penalty from the parameters, as AdamW does.
        maximize: maximize the objective instead of minimizing it.
        foreach, fused: accepted for ported code, and without effect.

    Raises:
        ValueError: an option is out of range.

    Source: L. Liu et al. (2020), "On the variance of the adaptive learning rate and beyond".

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = lucid.optim.RAdam([w], lr=0.25)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach().numpy().round(4)
        array([0.5, 1. ], dtype=float32)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
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
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        check_adam(options)

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        return dict.fromkeys(("step", "exp_avg", "exp_avg_sq"), 0.0)

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
        m = beta1 * state["exp_avg"] + (1 - beta1) * g
        v = beta2 * state["exp_avg_sq"] + (1 - beta2) * (g * g)
        rest = corrected(beta2, step)
        longest = 2 / (1 - beta2) - 1
        length = effective_length(beta2, step)
        # 1 where length > 5, else 0: no two numbers near 5 are closer than 1e-16. A branch could not be exported.
        reliable = minimum(maximum((length - 5) * 1e17, 0), 1)
        # Where it is 1, the product below is above 3; elsewhere it does not matter, but must not be 0.
        share = (length - 4) * (length - 2) * longest / (maximum((longest - 4) * (longest - 2), 1) * length)
        rectified = reliable * sqrt(maximum(share, 0) * rest)
        plain = 1 - reliable
        factor = cast(rectified, v) / (sqrt(v) + cast(eps + plain, v)) + cast(plain, v)
        return p - cast(lr / corrected(beta1, step), p) * m * factor, {"step": step, "exp_avg": m, "exp_avg_sq": v}
