"""Weight normalization: a weight that is computed from a length and a direction."""

from __future__ import annotations

from typing import Any

from ...ops.moments import norm2
from ...tensor import Parameter, Tensor
from ...tracer.run import assigns
from ..module import Module
from ..rnn import RNNBase

__all__ = ["parametrized_weight_norm", "remove_weight_norm", "weight_norm"]


class WeightNorm:
    """Computes ``g * v / ‖v‖`` from two parameters of a module, at each access to its weight.

    Args:
        length: the path of g.
        direction: the path of v.
        dim: the axis that keeps a norm for each index; None for one norm of all elements.
    """

    def __init__(self, length: str, direction: str, dim: int | None) -> None:
        self.length = length
        self.direction = direction
        self.dim = dim

    def __call__(self, module: Module) -> Tensor:
        direction = module.get_parameter(self.direction)
        return direction * (module.get_parameter(self.length) / _lengths(direction, self.dim))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Replaces a weight w by ``g * v / ‖v‖``, whose length g and direction v are trained (torch.nn.utils.weight_norm).

    The parameter becomes two: ``{name}_g`` and ``{name}_v``. The weight itself is computed whenever it is read, so that
    it is always up to date.

    Args:
        module: the module; it is changed, and returned.
        name: the name of the parameter.
        dim: the axis along which each slice has a length of its own; None for one length of all.

    Raises:
        ValueError: there is no such parameter. TypeError: the module is a recurrent layer.

    Source: T. Salimans and D. Kingma (2016), "Weight normalization".

    Example:
        >>> layer = nn.utils.weight_norm(nn.Linear(20, 40))
        >>> layer.weight_g.shape, layer.weight_v.shape, layer.weight.shape
        ((40, 1), (40, 20), (40, 20))
    """
    weight = _taken(module, name)
    names = f"{name}_g", f"{name}_v"
    for own, parameter in zip(names, _split(weight, dim), strict=True):
        module.register_parameter(own, parameter)
    _compute(module, name, WeightNorm(*names, dim))
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Turns a weight that `weight_norm` made into a parameter again (torch.nn.utils.remove_weight_norm).

    Raises:
        ValueError: the weight is not computed.

    Example:
        >>> layer = nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(2, 3)))
        >>> sorted(dict(layer.named_parameters()))
        ['bias', 'weight']
    """
    computed: dict[str, WeightNorm] = module.__dict__.get("_computed", {})
    if name not in computed or f"{name}_g" not in module._parameters:
        raise ValueError(f"weight_norm of {name!r} not found in {type(module).__name__}")
    weight = getattr(module, name).detach()
    del computed[name]
    delattr(module, f"{name}_g")
    delattr(module, f"{name}_v")
    module.register_parameter(name, Parameter(weight))
    return module


def parametrized_weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Replaces a weight w by ``g * v / ‖v‖``, as `weight_norm`, under the newer names
    (torch.nn.utils.parametrizations.weight_norm).

    g is the parameter ``parametrizations.{name}.original0``, and v ``parametrizations.{name}.original1``.

    Example:
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        (40, 1)
    """
    weight = _taken(module, name)
    if "parametrizations" not in module._modules:
        module.add_module("parametrizations", Module())
    originals = Module()
    originals.original0, originals.original1 = _split(weight, dim)
    module.parametrizations.add_module(name, originals)
    _compute(module, name, WeightNorm(f"parametrizations.{name}.original0", f"parametrizations.{name}.original1", dim))
    return module


def _taken(module: Module, name: str) -> Tensor:
    """Removes a parameter from a module, and returns it."""
    if isinstance(module, RNNBase):
        raise TypeError(
            f"weight_norm: a recurrent layer reads its parameters as one block; normalize the weights of a cell, or of "
            f"a step of nn.scan; got {type(module).__name__}"
        )
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"weight_norm: {type(module).__name__} has no parameter {name!r}")
    delattr(module, name)
    return weight


def _split(weight: Tensor, dim: int | None) -> tuple[Parameter, Parameter]:
    """Returns the lengths and the directions of a weight."""
    detached = weight.detach()
    trained = weight.requires_grad
    return Parameter(_lengths(detached, dim), trained), Parameter(detached, trained)


def _lengths(v: Tensor, dim: int | None) -> Tensor:
    # PyTorch counts -1 as no axis at all.
    if dim is None or dim == -1:
        return norm2(v)
    return norm2(v, tuple([axis for axis in range(v.ndim) if axis != dim % v.ndim]), True)


def _compute(module: Module, name: str, computed: Any) -> None:
    assigns(module, "_computed")
    module.__dict__.setdefault("_computed", {})[name] = computed
