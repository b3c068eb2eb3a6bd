"""The layers of PyTorch's that lucid has, and how each is made again from the attributes of PyTorch's module.

torch is never imported: a type is known by the names of its module and of its class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn
from ...nn import functional as F
from ...tensor import around

__all__ = ["differences_of_options", "is_module", "layer_of", "made", "obstacles", "type_name"]

_FILES = {
    "activation": "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish "
    "MultiheadAttention PReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmin Softplus Softshrink Softsign Tanh "
    "Tanhshrink Threshold",
    "batchnorm": "BatchNorm1d BatchNorm2d",
    "container": "ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "conv": "Conv1d Conv2d",
    "distance": "CosineSimilarity PairwiseDistance",
    "dropout": "Dropout Dropout1d",
    "flatten": "Flatten Unflatten",
    "linear": "Identity Linear",
    "loss": "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss HingeEmbeddingLoss "
    "HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss NLLLoss PoissonNLLLoss SmoothL1Loss SoftMarginLoss "
    "TripletMarginLoss",
    "normalization": "GroupNorm LayerNorm RMSNorm",
    "padding": "CircularPad1d ConstantPad1d ReflectionPad1d ReplicationPad1d ZeroPad1d",
    "pooling": "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AvgPool1d AvgPool2d MaxPool1d MaxPool2d",
    "rnn": "GRU GRUCell LSTM LSTMCell RNN RNNCell",
    "sparse": "Embedding",
    "transformer": "TransformerEncoder TransformerEncoderLayer",
    "upsampling": "Upsample",
}
"""The classes of `torch.nn` that lucid has, by the file of PyTorch's that defines them."""

_LAYERS: dict[str, type[nn.Module]] = {
    f"torch.nn.modules.{file}.{name}": getattr(nn, name) for file, names in _FILES.items() for name in names.split()
}
# The projection in MultiheadAttention: a Linear, with a name that PyTorch's quantization knows.
_LAYERS["torch.nn.modules.linear.NonDynamicallyQuantizableLinear"] = nn.Linear

_CONTAINERS = (nn.ModuleDict, nn.ModuleList, nn.ParameterDict, nn.ParameterList, nn.Sequential)

_UNREAD = frozenset({"args", "device", "dtype", "init", "kwargs", "max_value", "min_value", "reduce", "size_average"})
"""Arguments that no attribute keeps: what they say, the weights and other attributes say, too."""

_FREE = frozenset({"Dropout.p", "Dropout1d.p", "dropout", "inplace"})
"""Options that change nothing in evaluation mode: a rewritten module may have others."""

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def type_name(thing: Any) -> str:
    """Returns the full name of a thing's type."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def is_module(thing: Any) -> bool:
    """Returns whether a thing is a module of PyTorch's."""
    return any(f"{c.__module__}.{c.__qualname__}" == "torch.nn.modules.module.Module" for c in type(thing).__mro__)


def layer_of(module: Any) -> type[nn.Module] | None:
    """Returns lucid's class for a module of exactly one of PyTorch's own types; None if there is none."""
    return _LAYERS.get(type_name(module))


def obstacles(module: Any) -> list[str]:
    """Returns why a module cannot be made again, apart from its children; nothing if it can."""
    if type_name(module).startswith("torch.nn.utils.parametri") or "parametrizations" in module._modules:
        return ["it has a parametrization; remove it first (torch.nn.utils.parametrize.remove_parametrizations)"]
    kind = layer_of(module)
    if kind is None:
        base = next((c for c in type(module).__mro__ if f"{c.__module__}.{c.__qualname__}" in _LAYERS), None)
        if base is not None:
            return [f"it is a class of its own, derived from {base.__name__}, whose code lucid does not see"]
        if type(module).__module__.startswith("torch."):
            return ["lucid has no such layer"]
        return ["it is a class of its own, whose forward() lucid does not see"]
    found = []
    if any(getattr(module, hooks, None) for hooks in _HOOKS):
        found.append("it has hooks (or weight_norm, which is one); remove them first")
    if "forward" in vars(module):
        found.append("its forward() was replaced")
    for name, value in _others(module, kind).items():
        found.append(f"lucid's {kind.__name__} has no option {name}={value!r}")
    if kind in (nn.LogSoftmax, nn.Softmax, nn.Softmin) and module.dim is None:
        found.append("dim=None lets PyTorch choose an axis; give it a dim")
    if kind is nn.TransformerEncoderLayer and "activation" not in module._modules and not _activation(module):
        found.append(f"lucid knows the activations relu and gelu; got {module.activation!r}")
    return found


def _others(module: Any, kind: type[nn.Module]) -> dict[str, Any]:
    """Returns the options that lucid's layer does not have and that are not at their default."""
    own = set(inspect.signature(kind.__init__).parameters) | _UNREAD
    found = {}
    for name, parameter in inspect.signature(type(module).__init__).parameters.items():
        if name not in own and hasattr(module, name):
            value = getattr(module, name)
            if value is not parameter.default and value != parameter.default:
                found[name] = value
    if kind in (nn.RNN, nn.GRU) and module.proj_size:
        found["proj_size"] = module.proj_size
    return found


# --- options


def _activation(module: Any) -> Any:
    """Returns the activation of a TransformerEncoderLayer; None if lucid has no such function."""
    function = module.activation
    if isinstance(module, nn.Module):
        return function
    own = str(getattr(function, "__module__", "")).startswith("torch")
    return {"relu": F.relu, "gelu": F.gelu}.get(getattr(function, "__name__", "")) if own else None


_READ: dict[tuple[type[nn.Module], str], Callable[[Any], Any]] = {
    (nn.MultiheadAttention, "bias"): lambda m: m.in_proj_bias is not None,
    (nn.MultiheadAttention, "add_bias_kv"): lambda m: m.bias_k is not None,
    (nn.PairwiseDistance, "p"): lambda m: m.norm if hasattr(m, "norm") else m.p,
    (nn.TransformerEncoderLayer, "d_model"): lambda m: m.self_attn.embed_dim,
    (nn.TransformerEncoderLayer, "nhead"): lambda m: m.self_attn.num_heads,
    (nn.TransformerEncoderLayer, "dim_feedforward"): lambda m: m.linear1.out_features,
    (nn.TransformerEncoderLayer, "dropout"): lambda m: m.dropout.p,
    (nn.TransformerEncoderLayer, "layer_norm_eps"): lambda m: m.norm1.eps,
    (nn.TransformerEncoderLayer, "batch_first"): lambda m: m.self_attn.batch_first,
    (nn.TransformerEncoderLayer, "bias"): lambda m: m.linear1.bias is not None,
    (nn.TransformerEncoderLayer, "activation"): lambda m: F.relu if "activation" in m._modules else _activation(m),
}
"""How an option is read that is not simply the attribute of its name."""


def _options(module: Any, kind: type[nn.Module]) -> dict[str, Any]:
    """Returns the arguments that make a layer, read from a module of PyTorch's, or from lucid's own."""
    names = [name for name in list(inspect.signature(kind.__init__).parameters)[1:] if name not in _UNREAD]
    found = {}
    for name in names:
        read = _READ.get((kind, name))
        if read is None and isinstance(module, nn.Module) and not hasattr(module, name):
            continue  # one that lucid's layers accept, and do without, such as inplace
        value = read(module) if read else getattr(module, name)
        if name == "bias" and not isinstance(value, bool):
            value = value is not None
        elif hasattr(value, "detach"):
            value = around(np.zeros(tuple(value.shape), np.float32))  # its elements follow
        elif isinstance(value, tuple) and len(value) == 1 and kind.__name__.endswith("1d"):
            value = value[0]
        found[name] = value
    return found


def made(module: Any, kind: type[nn.Module], child: Callable[[str], nn.Module | None]) -> nn.Module:
    """Returns lucid's layer for a module of PyTorch's, with parameters that are still to be set.

    Args:
        module: the module, which has no obstacles.
        kind: lucid's class.
        child: returns lucid's module for the child of a name.
    """
    names = list(module._modules)
    layer: nn.Module
    if kind in _CONTAINERS:
        layer = kind()
    elif kind is nn.TransformerEncoder:
        layer = nn.TransformerEncoder(nn.Identity(), 0)
    else:
        layer = kind(**_options(module, kind))
    for name in names:
        part = child(name)
        if part is None:
            raise ValueError(f"its child {name!r} is None")
        layer._modules[name] = part
        vars(layer).pop(name, None)
    if isinstance(layer, nn.TransformerEncoder):
        layer.num_layers = module.num_layers
    return layer


def differences_of_options(theirs: Any, ours: nn.Module) -> list[str]:
    """Returns how the options of a layer differ from those of lucid's layer of the same type, dropout apart."""
    kind = layer_of(theirs)
    if kind is None or kind is not type(ours) or kind in (*_CONTAINERS, nn.TransformerEncoder):
        return []
    found = [f"{name} is {value!r}, which lucid's layer does not have" for name, value in _others(theirs, kind).items()]
    one, two = _options(theirs, kind), _options(ours, kind)
    for name in two:
        same = one[name] is two[name] or hasattr(one[name], "detach") or one[name] == two[name]
        if not same and _FREE.isdisjoint({name, f"{kind.__name__}.{name}"}):
            found.append(f"{name} is {one[name]!r}, and {two[name]!r} in lucid")
    return found
