"""What lucid leaves out of PyTorch, and what to write instead."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import NoReturn

__all__ = ["EXPRESSIONS", "MODULES", "absence_of", "absent_from", "hint_for"]

EXPRESSIONS = {
    "copysign": "lucid.where(y < 0, -lucid.abs(x), lucid.abs(x))",
    "erfc": "1 - lucid.erf(x)",
    "rsub": "y - x",
}
"""Functions and methods of PyTorch's, as an expression of lucid's."""

_LINEAR_ALGEBRA = "NumPy has it, without a gradient, as in lucid.tensor(np.linalg.inv(x.numpy()))"
_LAYOUT = "leave it out: no op depends on the memory layout"
_COMPLEX = "lucid has no complex numbers; keep the real and the imaginary part in two tensors"
_HALF = "train in float32; lucid.export.to_onnx(..., precision='float16') writes a model in float16"
_PROCESSES = "lucid trains in one process; lucid.compile_backward(model) uses all cores"
_OWN = "write an nn.Module whose forward() composes it of ops, or an op of your own with lucid.op"
_SIZES = "give the size of the input, as in nn.Linear(in_features, out_features)"
_DECODER = "compose it of nn.MultiheadAttention, nn.LayerNorm and nn.Linear"
_DISTRIBUTION = "write a class that inherits lucid.distributions.Distribution, with sample() and log_prob()"
_OPTIMIZER = "choose another, such as optim.Adam, or write a class that inherits optim.Optimizer"

MODULES: dict[str, dict[str, str]] = {
    "lucid": {
        "Storage": "x.numpy() is the memory of a tensor",
        "amp": _HALF,
        "asarray": "write lucid.as_tensor(data)",
        "autocast": _HALF,
        "bfloat16": "write lucid.float16 or lucid.float32; NumPy has no bfloat16",
        "channels_last": _LAYOUT,
        "cholesky": _LINEAR_ALGEBRA,
        "compiler": "lucid.compile(model) runs it in onnxruntime",
        "complex": _COMPLEX,
        "complex64": _COMPLEX,
        "complex128": _COMPLEX,
        "contiguous_format": _LAYOUT,
        "default_generator": "lucid.manual_seed(seed) returns it",
        "det": _LINEAR_ALGEBRA,
        "distributed": _PROCESSES,
        "dtype": "a dtype is one of NumPy's, of the class np.dtype",
        "fft": "NumPy has it, without a gradient, as in lucid.tensor(abs(np.fft.rfft(x.numpy())))",
        "func": "lucid.grad computes gradients of any order, of functions written with tensors",
        "fmax": "write lucid.maximum(x, y), which keeps NaN",
        "fx": "lucid.export.to_onnx(model, example) gives the graph of a model",
        "hub": "load weights with lucid.load, from a safetensors file",
        "inverse": _LINEAR_ALGEBRA,
        "jit": "lucid.export.to_onnx(model, example) writes the graph of a model; lucid.compile(model) runs it",
        "linalg": f"lucid.norm is there; {_LINEAR_ALGEBRA}",
        "memory_format": _LAYOUT,
        "multiprocessing": _PROCESSES,
        "onnx": "write lucid.export.to_onnx(model, example, path='model.onnx')",
        "preserve_format": _LAYOUT,
        "profiler": "use python -m cProfile, which sees every op as a function",
        "qr": _LINEAR_ALGEBRA,
        "quantization": "lucid.export.to_onnx(..., precision='int8') writes a quantized model",
        "random": "write lucid.manual_seed, lucid.get_rng_state or lucid.set_rng_state",
        "range": "write lucid.arange(start, end)",
        "scalar_tensor": "write lucid.tensor(number)",
        "seed": "write lucid.manual_seed(seed)",
        "set_default_tensor_type": "pass dtype= to constructors, or convert the model with model.to(dtype)",
        "set_float32_matmul_precision": "leave it out: products of float32 are in float32",
        "set_printoptions": "x.numpy() prints as np.set_printoptions says",
        "sparse": "lucid has dense tensors alone",
        "special": "write the functions of lucid itself, such as lucid.erf and lucid.logsumexp",
        "stft": "cut the signal into windows with NumPy, and apply np.fft.rfft",
        "strided": _LAYOUT,
        "svd": _LINEAR_ALGEBRA,
        "version": "lucid.__version__ is the version",
        "vmap": "write the batch as an axis of the tensors: ops broadcast",
    },
    "lucid.autograd": {
        "Function": "declare an op with lucid.op, and its gradient with .vjp; see docs/custom_ops.md",
        "functional": "write lucid.autograd.grad(y, x, create_graph=True) for each output",
        "profiler": "use python -m cProfile, which sees every op as a function",
    },
    "lucid.nn": {
        "Bilinear": "write lucid.einsum('ni,oij,nj->no', x, weight, y) + bias",
        "Buffer": "write self.register_buffer(name, tensor)",
        "Conv3d": _OWN,
        "ConvTranspose1d": _OWN,
        "DataParallel": _PROCESSES,
        "Dropout2d": "write nn.Dropout1d on x.flatten(2), and give it the shape back",
        "EmbeddingBag": "write nn.Embedding(rows, features), and the mean or the sum of its result over axis 1",
        "InstanceNorm1d": "write nn.GroupNorm(channels, channels, affine=False)",
        "LazyLinear": _SIZES,
        "LazyConv1d": _SIZES,
        "SyncBatchNorm": _PROCESSES,
        "Transformer": _DECODER,
        "TransformerDecoder": _DECODER,
        "TransformerDecoderLayer": _DECODER,
        "parallel": _PROCESSES,
        "quantized": "lucid.export.to_onnx(..., precision='int8') writes a quantized model",
    },
    "lucid.nn.functional": {
        "conv3d": _OWN,
        "conv_transpose1d": _OWN,
        "dropout2d": "write nn.functional.dropout1d on x.flatten(2), and give it the shape back",
        "embedding_bag": "write the mean or the sum of nn.functional.embedding(indices, weight) over axis 1",
        "instance_norm": "write nn.functional.group_norm(x, channels)",
        "multi_head_attention_forward": "write nn.functional.scaled_dot_product_attention(q, k, v)",
    },
    "lucid.nn.utils": {
        "clip_grad_norm": "write nn.utils.clip_grad_norm_(parameters, max_norm)",
        "spectral_norm": _OWN,
    },
    "lucid.optim": {
        "ASGD": _OPTIMIZER,
        "Adadelta": _OPTIMIZER,
        "Adafactor": _OPTIMIZER,
        "LBFGS": _OPTIMIZER,
        "Muon": _OPTIMIZER,
        "Rprop": _OPTIMIZER,
        "SparseAdam": "gradients are dense: write optim.Adam",
        "swa_utils": "average the tensors of several model.state_dict() and load the means",
    },
    "lucid.optim.lr_scheduler": {
        "CyclicLR": "write optim.lr_scheduler.OneCycleLR, or a function of the step with optim.lr_scheduler.LambdaLR",
    },
    "lucid.distributions": {
        "Beta": _DISTRIBUTION,
        "Exponential": _DISTRIBUTION,
        "Gamma": _DISTRIBUTION,
        "Independent": "sum log_prob over the axes of an event, as in d.log_prob(x).sum(-1)",
        "Laplace": _DISTRIBUTION,
        "MultivariateNormal": "of independent elements, it is the sum of Normal(loc, scale).log_prob(x) over the axis",
        "Poisson": _DISTRIBUTION,
    },
    "lucid.utils": {
        "checkpoint": "cut the sequence into pieces, and detach the state between them",
        "tensorboard": "write the numbers, loss.item(), to a file or to a package of its own, such as tensorboardX",
    },
    "lucid.data": {
        "ChainDataset": "write an IterableDataset whose __iter__ is itertools.chain(*datasets)",
        "DistributedSampler": _PROCESSES,
        "StackDataset": "write lucid.data.TensorDataset, or a Dataset whose samples are tuples",
    },
}
"""What to write instead of the names that PyTorch's modules have, and lucid's of the same place have not."""

_NEIGHBOURS = {
    "lucid": {"nn.functional.{}(...)": "lucid.nn.functional", "x.{}(...)": "lucid.tensor"},
    "lucid.nn": {"nn.functional.{}(...)": "lucid.nn.functional", "lucid.{}(...)": "lucid"},
    "lucid.nn.functional": {"lucid.{}(...)": "lucid", "x.{}(...)": "lucid.tensor"},
    "lucid.tensor": {"lucid.{}(x, ...)": "lucid", "nn.functional.{}(x, ...)": "lucid.nn.functional"},
}
"""Where else a name may be found: among the names of a module, or among the methods of Tensor."""


def hint_for(module: str, name: str) -> str | None:
    """Returns what to write instead of a name that a module, or Tensor, does not have; None if nothing is known."""
    if name.startswith("_"):
        return None
    if name in MODULES.get(module, ()):
        return MODULES[module][name]
    if name in EXPRESSIONS and module in ("lucid", "lucid.nn.functional", "lucid.tensor"):
        return f"write {EXPRESSIONS[name]}"
    for form, other in _NEIGHBOURS.get(module, {}).items():
        found = importlib.import_module(other)
        if other == "lucid.tensor":
            found = found.Tensor
        elif name not in found.__all__:
            continue
        if callable(getattr(found, name, None)):
            return f"write {form.format(name)}"
    return None


def absence_of(module: str, name: str) -> AttributeError:
    """Returns the error of a name that a module does not have."""
    hint = hint_for(module, name)
    return AttributeError(
        f"module {module!r} has no attribute {name!r}" + (f": {hint}" if hint else ""),
        name=name,
        obj=sys.modules[module],
    )


def absent_from(module: str) -> Callable[[str], NoReturn]:
    """Returns the `__getattr__` of a module, which raises the error of a name that it does not have."""

    def __getattr__(name: str) -> NoReturn:  # noqa: N807
        raise absence_of(module, name)

    return __getattr__
