"""from_torch: a module from one of PyTorch's, or its weights into a module that was rewritten with lucid's layers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, TypeVar, overload

from ... import nn
from ...errors import ModelImportError
from ...nn.module import Module
from ...tensor import Parameter, Tensor, around
from .layers import is_module, layer_of, made, obstacles, type_name
from .moving import move
from .tensors import array_of, is_half, obstacle

__all__ = ["from_torch"]

M = TypeVar("M", bound=Module)

_WAY = (
    "Either rewrite the module with lucid.nn, with the same attributes, and move the weights with "
    "lucid.from_torch(module, into=...); or write a file with torch.onnx.export and read it with lucid.from_onnx."
)


@overload
def from_torch(module: Any, *, into: M) -> M: ...


@overload
def from_torch(module: Any) -> Module: ...


def from_torch(module: Any, *, into: Module | None = None) -> Module:
    """Returns a module that computes what a module of PyTorch's computes, with copies of its weights.

    Without `into` the module must consist of layers that lucid has, alone or in Sequential, ModuleList and ModuleDict;
    each option is carried over or refused. With `into`, any module gives its parameters, buffers, modes and
    `requires_grad` to one that was rewritten with lucid's layers under the same names; if anything does not fit,
    nothing is changed. What the code of such a module computes is not compared.

    Weights that PyTorch's module shares are shared; bfloat16 becomes float32, with a warning. torch is not imported.

    Args:
        module: a torch.nn.Module, or, with `into`, a state dict, which has neither modes nor `requires_grad`.
        into: a module with the same names; its arrays are overwritten.

    Raises:
        ModelImportError: something cannot be carried over; the message lists each part with the reason.
        StateDictError: `into` does not fit; the message lists each difference.
        TypeError: `module` is neither a module of PyTorch's nor a state dict.

    Example::

        theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
        ours = lucid.from_torch(theirs)
        lucid.from_torch(theirs, into=ours)  # their weights of now
    """
    if into is not None:
        if not isinstance(into, Module):
            raise TypeError(f"from_torch: into must be a lucid.nn.Module; got {type(into).__name__}")
        if not is_module(module) and not isinstance(module, Mapping):
            raise TypeError(f"from_torch: expected a torch.nn.Module or a state dict; got {type(module).__name__}")
        move(module, into)
        return into
    if isinstance(module, Mapping):
        raise TypeError("from_torch: a state dict needs a module for its tensors: from_torch(state_dict, into=module)")
    if not is_module(module):
        raise TypeError(f"from_torch: expected a torch.nn.Module; got {type(module).__name__}")
    return _Conversion(module).result


class _Conversion:
    """One call: what was made so far, and what is in the way."""

    def __init__(self, module: Any) -> None:
        self._modules: dict[Any, Module | None] = {}
        self._tensors: dict[Any, Tensor] = {}
        self._places: dict[int, str] = {}
        self._refused: list[str] = []
        self._halves: list[str] = []
        result = self._convert(module, "")
        if result is None or self._refused:
            listed = "".join(f"\n  {line}" for line in self._refused)
            raise ModelImportError(f"from_torch cannot convert {type_name(module)}:{listed}\n{_WAY}")
        if self._halves:
            warnings.warn(f"from_torch: {', '.join(self._halves)}: bfloat16 in PyTorch, float32 in lucid", stacklevel=3)
        self.result = result

    def _refuse(self, path: str, module: Any, reason: str) -> None:
        self._refused.append(f"{path or 'the module itself'} ({type_name(module)}): {reason}")

    def _convert(self, module: Any, path: str) -> Module | None:
        """Returns lucid's module; None, with the reasons noted, if there is none."""
        if module in self._modules:
            return self._modules[module]
        before = len(self._refused)
        reasons = obstacles(module)
        for reason in reasons:
            self._refuse(path, module, reason)
        layer: Module | None = None
        kind = layer_of(module)
        if kind is not None and not reasons:
            children = {
                name: None if child is None else self._convert(child, f"{path}.{name}" if path else name)
                for name, child in module._modules.items()
            }
            if len(self._refused) == before:
                layer = self._made(module, kind, children, path)
        self._modules[module] = layer
        return layer

    def _made(self, module: Any, kind: type[Module], children: Mapping[str, Module | None], path: str) -> Module | None:
        try:
            layer = made(module, kind, children.__getitem__)
        except (AttributeError, TypeError, ValueError) as error:
            self._refuse(path, module, str(error))
            return None
        theirs = _held({**module._parameters, **module._buffers})
        if kind in (nn.ParameterDict, nn.ParameterList):
            if {str(key) for key, _ in _items(module)} != theirs.keys():
                self._refuse(path, module, "it holds values that are no parameters")
                return None
            layer._parameters.update(dict.fromkeys(theirs))
            ours = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
        else:
            ours = {name: tensor.shape for name, tensor in _held({**layer._parameters, **layer._buffers}).items()}
        if unknown := [*(theirs.keys() ^ ours.keys()), *(module._modules.keys() ^ layer._modules.keys())]:
            self._refuse(path, module, f"lucid's {kind.__name__} and it do not both have {', '.join(sorted(unknown))}")
            return None
        for name, tensor in theirs.items():
            own = f"{path}.{name}" if path else name
            table: dict[str, Any] = layer._parameters if name in layer._parameters else layer._buffers
            table[name] = self._tensor(tensor, own, module)
            if tuple(tensor.shape) != ours[name]:
                self._refuse(own, module, f"its shape is {tuple(tensor.shape)}; its options say {ours[name]}")
        layer.training = module.training
        return layer

    def _tensor(self, tensor: Any, path: str, module: Any) -> Tensor | None:
        if tensor in self._tensors:
            return self._tensors[tensor]
        reason = obstacle(tensor)
        if reason is None and tensor.numel():
            other = self._places.setdefault(tensor.data_ptr(), path)
            if other != path:
                reason = f"it is another tensor in the memory of {other}; make them one, as by a.weight = b.weight"
        if reason is not None:
            self._refuse(path, module, reason)
            return None
        array = array_of(tensor)
        if is_half(tensor):
            self._halves.append(path)
        is_parameter = type(tensor).__name__ == "Parameter"
        made = Parameter(array, tensor.requires_grad) if is_parameter else around(array, tensor.requires_grad)
        self._tensors[tensor] = made
        return made


def _held(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tensors that are not None."""
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _items(module: Any) -> list[tuple[Any, Any]]:
    """Returns the entries of a ParameterDict or a ParameterList."""
    return list(module.items()) if hasattr(module, "items") else list(enumerate(module))
