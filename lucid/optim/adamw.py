"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.op import Array
from .adam import Adam
from .arithmetic import cast

__all__ = ["AdamW"]


class AdamW(Adam):
    """The Adam optimizer with decoupled weight decay (torch.optim.AdamW).

    Equation: ``p = (1 − η λ) p``, with learning rate η and weight decay λ, then a step of Adam without weight decay.

    Args:
        params: the parameters, or dicts of groups.
        lr: the learning rate.
        betas: the decay rates of the averages of the gradient and of its square.
        eps: prevents division by zero.
        weight_decay: the part of a parameter that each step subtracts, times the learning rate.
        amsgrad: divide by the largest average so far.
        maximize: maximize the objective instead of minimizing it.
        foreach, fused: accepted for ported code, and without effect.

    Raises:
        ValueError: an option is out of range.

    Source: I. Loshchilov and F. Hutter (2019), "Decoupled weight decay regularization".

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = lucid.optim.AdamW([w], lr=0.5, weight_decay=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach().numpy().round(4)
        array([0.45, 1.4 ], dtype=float32)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

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
        if weight_decay:
            p = cast(1 - lr * weight_decay, p) * p
        return Adam.update(p, g, state, lr=lr, betas=betas, eps=eps, weight_decay=0, amsgrad=amsgrad, maximize=maximize)
