"""SGD: gradient descent, with optional momentum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.op import Array
from .arithmetic import cast, minimum
from .optimizer import Optimizer, at_least

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent (torch.optim.SGD).

    Equation, with weight decay λ, momentum μ, dampening d and learning rate η::

        g = g + λ p
        b = μ b + (1 − d) g      (b = g at the first step)
        p = p − η b              (p − η (g + μ b) if nesterov)

    Args:
        params: the parameters, or dicts of groups.
        lr: the learning rate.
        momentum: the momentum factor.
        dampening: the part of the gradient that is kept out of the momentum.
        weight_decay: the factor of the penalty on the squared parameters.
        nesterov: use Nesterov momentum.
        maximize: maximize the objective instead of minimizing it.
        foreach, fused: accepted for ported code, and without effect.

    Raises:
        ValueError: an option is out of range; nesterov without momentum, or with dampening.

    Source: I. Sutskever et al. (2013), "On the importance of initialization and momentum in deep learning", in the
    form that PyTorch gives it.

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = lucid.optim.SGD([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8, 1.6])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        at_least(0, options, "lr", "momentum", "weight_decay")
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            raise ValueError(
                "nesterov needs momentum, and no dampening; "
                f"got momentum {options['momentum']} and dampening {options['dampening']}"
            )

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        if not options["momentum"]:
            return {}
        # Only dampening makes the first step differ from the others.
        return {"momentum_buffer": 0.0, "step": 0.0} if options["dampening"] else {"momentum_buffer": 0.0}

    @staticmethod
    def update(
        p: Array,
        g: Array,
        state: Mapping[str, Array],
        *,
        lr: Any,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
    ) -> tuple[Array, dict[str, Array]]:
        new: dict[str, Array] = {}
        if maximize:
            g = -g
        if weight_decay:
            g = g + weight_decay * p
        if momentum:
            fresh = g
            if dampening:
                new["step"] = state["step"] + 1
                fresh = cast(1 - dampening * minimum(state["step"], 1), g) * g
            buffer = new["momentum_buffer"] = momentum * state["momentum_buffer"] + fresh
            g = g + momentum * buffer if nesterov else buffer
        return p - cast(lr, p) * g, new
