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
    "float_power": "x.double() ** y",
    "isneginf": "x == -lucid.inf",
    "isposinf": "x == lucid.inf",
    "msort": "lucid.sort(x, 0)[0]",
    "rsub": "y - x",
}
"""Functions and methods of PyTorch's, as an expression of lucid's."""

_LINEAR_ALGEBRA = "NumPy has it, without a gradient, as in lucid.tensor(np.linalg.inv(x.numpy()))"
_LAYOUT = "leave it out: no op depends on the memory layout"
_CLONED = "write y = x.clone(); y[index] = value"
_COMPLEX = "lucid has no complex numbers; keep the real and the imaginary part in two tensors"
_HALF = "train in float32; lucid.export.to_onnx(..., precision='float16') writes a model in float16"
_PROCESSES = "lucid.distributed trains in several processes; lucid.compile_backward(model) uses all cores of one"
_OWN = "write an nn.Module whose forward() composes it of ops, or an op of your own with lucid.op"
_SIZES = "give the size of the input, as in nn.Linear(in_features, out_features)"
_DECODER = "compose it of nn.MultiheadAttention, nn.LayerNorm and nn.Linear"
_DRAWN = "np.random.default_rng() draws from it; write its log_prob in ops"
_TRIPLET = "write nn.functional.relu(distance(a, p) - distance(a, n) + margin).mean()"
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
        "complex128": _COMPLEX,
        "complex64": _COMPLEX,
        "cond": "write Python's if, or lucid.where, which chooses by element",
        "contiguous_format": _LAYOUT,
        "cpu": "lucid has no other device; write lucid.device('cpu')",
        "default_generator": "lucid.manual_seed(seed) returns it",
        "det": _LINEAR_ALGEBRA,
        "diagonal_scatter": _CLONED,
        "dsplit": "write lucid.split(x, sizes, 2)",
        "dstack": "write lucid.stack(tensors, 2)",
        "dtype": "a dtype is one of NumPy's, of the class np.dtype",
        "fft": "NumPy has it, without a gradient, as in lucid.tensor(abs(np.fft.rfft(x.numpy())))",
        "from_dlpack": "write lucid.from_numpy(np.from_dlpack(x))",
        "frombuffer": "write lucid.from_numpy(np.frombuffer(buffer, dtype))",
        "func": "lucid.grad computes gradients of any order, of functions written with tensors",
        "fmax": "write lucid.maximum(x, y), which keeps NaN",
        "fx": "lucid.export.to_onnx(model, example) gives the graph of a model",
        "histc": "write np.histogram(x.numpy(), bins)",
        "hsplit": "write lucid.split(x, sizes, 1)",
        "hub": "load weights with lucid.load, from a safetensors file",
        "index_copy": "write x.clone().index_copy_(dim, index, source)",
        "index_put": "write x.clone().index_put_(indices, values)",
        "inverse": _LINEAR_ALGEBRA,
        "is_same_size": "write x.shape == y.shape",
        "jit": "lucid.export.to_onnx(model, example) writes the graph of a model; lucid.compile(model) runs it",
        "linalg": f"lucid.norm is there; {_LINEAR_ALGEBRA}",
        "logcumsumexp": "write x.max() + lucid.log(lucid.cumsum(lucid.exp(x - x.max()), dim))",
        "masked_scatter": _CLONED,
        "memory_format": _LAYOUT,
        "multiprocessing": _PROCESSES,
        "newaxis": "write None, as in x[:, None]",
        "onnx": "write lucid.export.to_onnx(model, example, path='model.onnx')",
        "preserve_format": _LAYOUT,
        "profiler": "use python -m cProfile, which sees every op as a function",
        "qr": _LINEAR_ALGEBRA,
        "quantization": "lucid.export.to_onnx(..., precision='int8') writes a quantized model",
        "randint_like": "write lucid.randint(low, high, x.shape)",
        "random": "write lucid.manual_seed, lucid.get_rng_state or lucid.set_rng_state",
        "range": "write lucid.arange(start, end)",
        "row_stack": "write lucid.vstack(tensors)",
        "scalar_tensor": "write lucid.tensor(number)",
        "scatter_reduce": "write lucid.scatter_add(x, dim, index, src), which sums",
        "seed": "write lucid.manual_seed(seed)",
        "select_scatter": _CLONED,
        "set_default_tensor_type": "pass dtype= to constructors, or convert the model with model.to(dtype)",
        "set_float32_matmul_precision": "leave it out: products of float32 are in float32",
        "set_printoptions": "x.numpy() prints as np.set_printoptions says",
        "slice_scatter": _CLONED,
        "sparse": "lucid has dense tensors alone",
        "special": "write the functions of lucid itself, such as lucid.erf and lucid.logsumexp",
        "stft": "cut the signal into windows with NumPy, and apply np.fft.rfft",
        "strided": _LAYOUT,
        "svd": _LINEAR_ALGEBRA,
        "vdot": "write lucid.dot(x, y)",
        "version": "lucid.__version__ is the version",
        "vmap": "write the batch as an axis of the tensors: ops broadcast",
        "vsplit": "write lucid.split(x, sizes, 0)",
        "while_loop": "write Python's loop, or nn.scan over time",
    },
    "lucid.autograd": {
        "Function": "declare an op with lucid.op, and its gradient with .vjp; see docs/custom_ops.md",
        "functional": "write lucid.autograd.grad(y, x, create_graph=True) for each output",
        "inference_mode": "write lucid.inference_mode",
        "profiler": "use python -m cProfile, which sees every op as a function",
        "set_grad_enabled": "write lucid.set_grad_enabled",
    },
    "lucid.nn": {
        "AdaptiveLogSoftmaxWithLoss": "write nn.Linear and nn.CrossEntropyLoss",
        "AlphaDropout": "write nn.Dropout(p), which does not keep the mean and the variance",
        "Bilinear": "write lucid.einsum('ni,oij,nj->no', x, weight, y) + bias",
        "Buffer": "write self.register_buffer(name, tensor)",
        "ConstantPad2d": "write nn.functional.pad(x, (left, right, top, bottom), value=value)",
        "Conv3d": _OWN,
        "ConvTranspose1d": _OWN,
        "DataParallel": _PROCESSES,
        "Dropout2d": "write nn.Dropout1d on x.flatten(2), and give it the shape back",
        "EmbeddingBag": "write nn.Embedding(rows, features), and the mean or the sum of its result over axis 1",
        "FeatureAlphaDropout": "write nn.Dropout1d(p), which does not keep the mean and the variance",
        "InstanceNorm1d": "write nn.GroupNorm(channels, channels, affine=False)",
        "LazyConv1d": _SIZES,
        "LazyLinear": _SIZES,
        "LinearCrossEntropyLoss": "write nn.functional.cross_entropy(linear(x), target)",
        "MultiLabelSoftMarginLoss": "write nn.BCEWithLogitsLoss()",
        "NLLLoss2d": "write nn.NLLLoss()",
        "RReLU": "write nn.LeakyReLU(11 / 48), which it is in evaluation",
        "Softmax2d": "write nn.Softmax(-3)",
        "SyncBatchNorm": _PROCESSES,
        "Transformer": _DECODER,
        "TransformerDecoder": _DECODER,
        "TransformerDecoderLayer": _DECODER,
        "TripletMarginWithDistanceLoss": _TRIPLET,
        "ZeroPad2d": "write nn.functional.pad(x, (left, right, top, bottom))",
        "parallel": _PROCESSES,
        "quantized": "lucid.export.to_onnx(..., precision='int8') writes a quantized model",
    },
    "lucid.nn.functional": {
        "alpha_dropout": "write nn.functional.dropout(x, p, training), which does not keep the mean and the variance",
        "bilinear": "write lucid.einsum('ni,oij,nj->no', x, weight, y) + bias",
        "conv3d": _OWN,
        "conv_transpose1d": _OWN,
        "dropout2d": "write nn.functional.dropout1d on x.flatten(2), and give it the shape back",
        "embedding_bag": "write the mean or the sum of nn.functional.embedding(indices, weight) over axis 1",
        "instance_norm": "write nn.functional.group_norm(x, x.shape[1])",
        "linear_cross_entropy": "write nn.functional.cross_entropy(x @ weight.T, target)",
        "multi_head_attention_forward": "write nn.functional.scaled_dot_product_attention(q, k, v)",
        "multilabel_soft_margin_loss": "write nn.functional.binary_cross_entropy_with_logits(x, target)",
        "rrelu": "write nn.functional.leaky_relu(x, 11 / 48), which it is in evaluation",
        "triplet_margin_with_distance_loss": _TRIPLET,
        "unfold": "x.unfold(dimension, size, step) has the windows along one axis",
        "upsample": "write nn.functional.interpolate(x, size, mode=mode)",
    },
    "lucid.nn.utils": {
        "clip_grad_norm": "write nn.utils.clip_grad_norm_(parameters, max_norm)",
        "clip_grads_with_norm_": "write nn.utils.clip_grad_norm_(parameters, max_norm)",
        "parametrize": "nn.utils.parametrizations.weight_norm is there; for others, compute the weight in forward()",
        "remove_spectral_norm": _OWN,
        "spectral_norm": _OWN,
        "stateless": "set the parameters with model.load_state_dict",
    },
    "lucid.nn.init": {
        "constant": "write nn.init.constant_(tensor, value)",
        "eye": "write nn.init.eye_(tensor)",
        "kaiming_normal": "write nn.init.kaiming_normal_(tensor)",
        "kaiming_uniform": "write nn.init.kaiming_uniform_(tensor)",
        "normal": "write nn.init.normal_(tensor)",
        "orthogonal": "write nn.init.orthogonal_(tensor)",
        "sparse_": "write nn.init.normal_(tensor, std=std), and multiply by a mask",
        "xavier_normal": "write nn.init.xavier_normal_(tensor)",
        "xavier_uniform": "write nn.init.xavier_uniform_(tensor)",
    },
    "lucid.distributions": {
        "Beta": _DRAWN,
        "Binomial": _DRAWN,
        "Dirichlet": _DRAWN,
        "Exponential": "write -lucid.log1p(-lucid.rand(shape)) / rate",
        "Gamma": _DRAWN,
        "Geometric": _DRAWN,
        "Gumbel": "write -lucid.log(-lucid.log(lucid.rand(shape)))",
        "Independent": "write distribution.log_prob(value).sum(-1)",
        "Laplace": _DRAWN,
        "LogNormal": "write lucid.exp(lucid.distributions.Normal(loc, scale).rsample())",
        "MixtureSameFamily": "write lucid.logsumexp(log_weights + components.log_prob(value), -1)",
        "Multinomial": "lucid.multinomial draws the categories of the trials",
        "MultivariateNormal": "without covariances, write lucid.distributions.Normal(loc, scale).log_prob(x).sum(-1)",
        "OneHotCategorical": "write nn.functional.one_hot(lucid.distributions.Categorical(probs).sample(), classes)",
        "Poisson": _DRAWN,
        "RelaxedOneHotCategorical": "write nn.functional.gumbel_softmax(logits, tau)",
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
        if name in MODULES.get(other, ()):
            return MODULES[other][name]
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
