"""What lucid leaves out of PyTorch, and what to write instead."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import NoReturn

__all__ = ["EXPRESSIONS", "MODULES", "absence_of", "absent_from", "hint_for"]

EXPRESSIONS = {
    "absolute": "lucid.abs(x)",
    "atleast_1d": "x if x.ndim else x.reshape(1)",
    "celu": "lucid.clamp(x, min=0) + lucid.clamp(alpha * lucid.expm1(x / alpha), max=0)",
    "clamp_max": "lucid.clamp(x, max=y)",
    "clamp_min": "lucid.clamp(x, min=y)",
    "concatenate": "lucid.cat(tensors, dim)",
    "copysign": "lucid.where(y < 0, -lucid.abs(x), lucid.abs(x))",
    "deg2rad": "x * (math.pi / 180)",
    "divide": "lucid.div(x, y)",
    "erfc": "1 - lucid.erf(x)",
    "exp2": "lucid.exp(x * math.log(2))",
    "fix": "lucid.trunc(x)",
    "greater": "lucid.gt(x, y)",
    "greater_equal": "lucid.ge(x, y)",
    "hardshrink": "lucid.where(lucid.abs(x) > lambd, x, 0.0)",
    "hardsigmoid": "lucid.nn.functional.relu6(x + 3) / 6",
    "hardswish": "x * lucid.nn.functional.relu6(x + 3) / 6",
    "inner": "lucid.matmul(x, y.T)",
    "lerp": "x + weight * (y - x)",
    "less": "lucid.lt(x, y)",
    "less_equal": "lucid.le(x, y)",
    "logit": "lucid.log(x / (1 - x))",
    "mish": "x * lucid.tanh(lucid.nn.functional.softplus(x))",
    "moveaxis": "lucid.movedim(x, source, destination)",
    "multiply": "lucid.mul(x, y)",
    "nan_to_num": "lucid.where(lucid.isnan(x), 0.0, x)",
    "nansum": "lucid.where(lucid.isnan(x), 0.0, x).sum()",
    "negative": "-x",
    "not_equal": "lucid.ne(x, y)",
    "numel": "x.numel()",
    "positive": "x",
    "rad2deg": "x * (180 / math.pi)",
    "reshape_as": "x.reshape(y.shape)",
    "rsub": "y - x",
    "selu": "1.0507009873554805 * lucid.nn.functional.elu(x, 1.6732632423543772)",
    "sgn": "lucid.sign(x)",
    "softmin": "lucid.nn.functional.softmax(-x, dim)",
    "softshrink": "x - lucid.clamp(x, -lambd, lambd)",
    "softsign": "x / (1 + lucid.abs(x))",
    "std_mean": "(lucid.std(x, dim), lucid.mean(x, dim))",
    "subtract": "lucid.sub(x, y)",
    "tanhshrink": "x - lucid.tanh(x)",
    "threshold": "lucid.where(x > limit, x, value)",
    "true_divide": "lucid.div(x, y)",
    "var_mean": "(lucid.var(x, dim), lucid.mean(x, dim))",
    "xlogy": "lucid.where(x == 0, 0.0, x * lucid.log(y))",
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
        "fx": "lucid.export.to_onnx(model, example) gives the graph of a model",
        "get_default_dtype": "it is lucid.float32",
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
        "set_default_dtype": "pass dtype= to constructors, or convert the model with model.to(dtype)",
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
        "Variable": "write lucid.tensor(data, requires_grad=True)",
        "functional": "write lucid.autograd.grad(y, x, create_graph=True) for each output",
        "profiler": "use python -m cProfile, which sees every op as a function",
        "set_detect_anomaly": "errors of backward name the op and the line that made it; lucid.isfinite(x) finds a NaN",
    },
    "lucid.nn": {
        "Bilinear": "write lucid.einsum('ni,oij,nj->no', x, weight, y) + bias",
        "Buffer": "write self.register_buffer(name, tensor)",
        "CELU": f"write {EXPRESSIONS['celu']}",
        "CircularPad1d": "write nn.functional.pad(x, (left, right), 'circular')",
        "ConstantPad1d": "write nn.functional.pad(x, (left, right), value=value)",
        "Conv3d": _OWN,
        "ConvTranspose1d": _OWN,
        "DataParallel": _PROCESSES,
        "EmbeddingBag": "write nn.Embedding(rows, features), and the mean or the sum of its result over axis 1",
        "Hardshrink": f"write {EXPRESSIONS['hardshrink']}",
        "Hardsigmoid": f"write {EXPRESSIONS['hardsigmoid']}",
        "Hardswish": f"write {EXPRESSIONS['hardswish']}",
        "HingeEmbeddingLoss": "write lucid.where(target == 1, x, nn.functional.relu(margin - x)).mean()",
        "LazyLinear": _SIZES,
        "LazyConv1d": _SIZES,
        "MarginRankingLoss": "write nn.functional.relu(margin - target * (x - y)).mean()",
        "Mish": f"write {EXPRESSIONS['mish']}",
        "PoissonNLLLoss": "write (lucid.exp(x) - target * x).mean()",
        "ReflectionPad1d": "write nn.functional.pad(x, (left, right), 'reflect')",
        "ReplicationPad1d": "write nn.functional.pad(x, (left, right), 'replicate')",
        "SELU": f"write {EXPRESSIONS['selu']}",
        "SoftMarginLoss": "write nn.functional.softplus(-target * x).mean()",
        "Softmin": f"write {EXPRESSIONS['softmin']}",
        "Softshrink": f"write {EXPRESSIONS['softshrink']}",
        "Softsign": f"write {EXPRESSIONS['softsign']}",
        "SyncBatchNorm": _PROCESSES,
        "Tanhshrink": f"write {EXPRESSIONS['tanhshrink']}",
        "Threshold": f"write {EXPRESSIONS['threshold']}",
        "Transformer": _DECODER,
        "TransformerDecoder": _DECODER,
        "TransformerDecoderLayer": _DECODER,
        "ZeroPad1d": "write nn.functional.pad(x, (left, right))",
        "parallel": _PROCESSES,
        "quantized": "lucid.export.to_onnx(..., precision='int8') writes a quantized model",
    },
    "lucid.nn.functional": {
        "conv3d": _OWN,
        "conv_transpose1d": _OWN,
        "embedding_bag": "write the mean or the sum of nn.functional.embedding(indices, weight) over axis 1",
        "margin_ranking_loss": "write nn.functional.relu(margin - target * (x - y)).mean()",
        "multi_head_attention_forward": "write nn.functional.scaled_dot_product_attention(q, k, v)",
        "poisson_nll_loss": "write (lucid.exp(x) - target * x).mean()",
        "soft_margin_loss": "write nn.functional.softplus(-target * x).mean()",
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
