"""The names of PyTorch's that lucid leaves out on purpose, in groups, and what no signature says of the others."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["CALLS", "DIFFERENCES", "GROUPS", "INTERNAL", "Group", "group_of"]


class Group(NamedTuple):
    """Names that are absent for one reason.

    Attributes:
        title: what they are.
        instead: what to do.
        pattern: matches the names, each as a whole.
    """

    title: str
    instead: str
    pattern: str


GROUPS = (
    Group(
        "Quantization",
        "`lucid.export.to_onnx(..., precision='int8')` writes a quantized model",
        r".*quantiz.*|q_.*|q?u?int\d+x\d+|qu?int\d+|per_(channel|tensor)_.*|qscheme|int_repr|choose_qparams_optimized"
        r"|fbgemm_.*|fused_moving_avg_obs_fake_quant|ao|qat|intrinsic|Q.*Storage",
    ),
    Group(
        "Sparse, nested and masked tensors",
        "tensors are dense; sequences of different length are padded or packed",
        r".*sparse.*|.*_csr|c?c?r?(ol|row)_indices(_copy)?|coalesce|is_coalesced|indices(_copy)?|values(_copy)?"
        r"|dense_dim|to_dense|to_mkldnn|(ss|s)paddmm|hspmm|saddmm|[dhs]s?mm|spmm|nested|jagged|is_nested|masked"
        r"|to_padded_tensor|SparseAdam|resize_as_sparse_",
    ),
    Group(
        "Complex numbers",
        "keep the real and the imaginary part in two tensors",
        r"complex\d*|.*conj(_physical_?)?|real|imag|polar|view_as_(real|complex)(_copy)?|cfloat|cdouble|chalf|isreal"
        r"|is_complex|is_neg|resolve_neg|angle|Complex.*Storage|H|mH|adjoint",
    ),
    Group(
        "Fourier transforms and windows",
        "NumPy has them, without a gradient",
        r"i?stft|fft|.*_window|signal|windows",
    ),
    Group(
        "Linear algebra",
        "NumPy has it, without a gradient: `lucid.tensor(np.linalg.inv(x.numpy()))`",
        r"cholesky.*|qr|svd(_lowrank)?|pca_lowrank|lobpcg|lu(_solve|_unpack)?|lstsq|(sym)?eig|inverse|p?inverse|slogdet"
        r"|(log)?det|geqrf|or[gm]qr|triangular_solve|solve|matrix_(exp|power|rank)|chain_matmul|linalg|kron|vander|corrcoef"
        r"|cov|block_diag|nuclear_norm|frobenius_norm|cross|renorm_?|dist|trace_backward|ger|addr_?|addbmm_?|addmv_?",
    ),
    Group(
        "Special functions",
        "SciPy has them, without a gradient; or declare [an op of your own](custom_ops.md)",
        r"(mv|multi)?l?gamma_?|mvlgamma_?|(di|poly)gamma_?|igammac?_?|i0_?|erfinv_?|sinc_?|special|logaddexp2|nextafter_?"
        r"|frexp|ldexp_?|heaviside_?|a(rc)?(cosh|sinh|tanh)_?|float_power_?|signbit|copysign_|xlogy_|logcumsumexp",
    ),
    Group(
        "Arithmetic of integers and bits",
        "NumPy has it",
        r"gcd_?|lcm_?|bitwise_(left|right)_shift_?|hash_tensor|unravel_index|combinations|cartesian_prod|bit",
    ),
    Group(
        "Small and unsigned dtypes",
        "write `lucid.uint8`, or one of the signed integers",
        r"uint(16|32|64)|u?int[1-7]|float\d_.*|bits\d.*|bfloat16|BFloat16.*|CharTensor|char",
    ),
    Group(
        "Devices, autocast and kernels of devices",
        "training runs on the CPU; exported models run on a GPU: `lucid.runtime.Session(path, device='cuda')`",
        r"cudnn_.*|miopen_.*|mkldnn_.*|xpu|mps|mtia|ipu|cpu|is_(cpu|ipu|maia|meta|mkldnn|mps|mtia|vulkan|xla|xpu)"
        r"|is_vulkan_available|.*autocast.*|GradScaler|amp|Stream.*|Event|DeviceObjType|get_device_module|record_stream"
        r"|is_pinned|OutOfMemoryError|AcceleratorError|.*_cudagraph_.*|scaled_mm|(scaled_)?grouped_mm|ScalingType"
        r"|SwizzleType|profiler_.*|attention",
    ),
    Group(
        "Processes",
        "`lucid.distributed` trains in several processes; `lucid.compile_backward(model)` uses all cores of one",
        r"distributed|is_distributed|multiprocessing|futures|Future|fork|wait|rpc|share_memory_|is_shared|Distributed.*"
        r"|.*multiprocessing_environment|SyncBatchNorm|DataParallel|parallel|set_multithreading_enabled"
        r"|(get|set)_num_interop_threads|init_num_threads",
    ),
    Group(
        "Graphs, TorchScript and compilation",
        "`lucid.export.to_onnx(model, example)` gives the graph of a model, and `lucid.compile(model)` runs it",
        r"jit|fx|func|_?functorch|compiler|library|package|export_.*|overrides|return_types|ops|classes|Script.*|.*Type"
        r"|.*IR.*|import_ir_module.*|parse_.*|merge_type_.*|unify_type_list|sym_.*|Sym.*|Tag|Graph.*|Node|Block|Value|Use"
        r"|Code|Argument.*|FunctionSchema|CompilationUnit|CompleteArgumentSpec|ConcreteModule.*|CallStack|Capsule"
        r"|AliasDb|AVG|SUM|Gradient|ExecutionPlan|StaticModule|TracingState|IODescriptor|InferredType|ErrorReport"
        r"|FileCheck|LiteScriptModule|OperatorInfo|BufferDict|DispatchKey.*|DeepCopyMemoTable|DisableTorchFunction.*"
        r"|ExcludeDispatchKeyGuard|JITException|FatalError|LoggerBase|LockingLogger|NoopLogger|ThroughputBenchmark"
        r"|Benchmark.*|PyTorchFile.*|.*erializationStorageContext|vmap|cond|while_loop|AggregationType|ModuleDict|ParameterDict",
    ),
    Group(
        "Memory and storage",
        "`x.numpy()` is the memory of a tensor; no op depends on the layout",
        r".*Storage(Base)?|storage.*|.*_storage|is_storage|(const_)?data_ptr|as_strided.*|layout|strided|memory_format"
        r"|channels_last.*|.*contiguous_format|preserve_format|dim_order|empty_(strided|permuted)|new_empty_strided"
        r"|resize(_as)?_?|set_|is_set_to|.*_copy|to_dlpack|from_dlpack|from_file|frombuffer|.*_weight_memory_format"
        r"|slice_inverse|storage_offset|name|volatile|output_nr|version|module_load|as_subclass|unsafe_.*|ipu|is_inference",
    ),
    Group(
        "Functions behind PyTorch's layers",
        "write the layer, or the function of `nn.functional`",
        r"native_.*|batch_norm_.*|(quantized_)?(gru|lstm|rnn_tanh|rnn_relu)(_cell)?|convolution|conv_tbc|constant_pad_nd"
        r"|embedding_renorm_|norm_except_dim|grid_sampler.*|affine_grid.*|grid_sample|feature_dropout_?|.*_with_indices"
        r"|segment_reduce|split_with_sizes.*|.*_backward(_.*)?|boolean_dispatch|assert_int_or_pair|.*torch_function.*"
        r"|LinearCrossEntropyOptions|factory_kwargs|common_types|modules|parameter|torch|grad|functional",
    ),
    Group(
        "Images and volumes",
        "lucid has layers for sequences, and `Conv2d`, `BatchNorm2d` and pools over two axes; compose others of ops",
        r".*3d|.*2d(_.*)?|(native_)?[cC]hannel_?[sS]huffle|[pP]ixel_?([uU]n)?[sS]huffle|[fF]old|[uU]nfold|.*LRN2d|LPPool1d"
        r"|lp_pool1d|[lL]ocal_?[rR]esponse_?[nN]orm|[mM]ax_?[uU]npool1d|upsample.*|Upsampling.*|dirac_?|rot90"
        r"|ConvTranspose1d|conv_transpose1d|fuse_.*",
    ),
    Group(
        "Layers that find their sizes themselves",
        "give the size of the input, as in `nn.Linear(in_features, out_features)`",
        r"Lazy.*|Uninitialized.*|skip_init",
    ),
    Group(
        "Settings and diagnostics of PyTorch",
        "leave them out",
        r"set_flush_denormal|.*warn_always.*|.*deterministic_(debug|algorithms).*|has_.*|compiled_with_cxx11_abi|USE_.*"
        r"|PRIVATE_OPS|.*anomaly.*|monitor|profiler|testing|typename|types|torch_version|cpp|get_file_path|hub|serialization"
        r"|classproperty|thread_safe_generator|quasirandom|random|backcompat|utils|is_inference_mode_enabled|grad_mode"
        r"|get_float32_matmul_precision|set_float32_matmul_precision|enforce_grad_layout_policy|reinforce|TYPE_CHECKING"
        r"|swap_in_optimizer_params_and_state|.*runtime_validation.*|argument_validation|.*deterministic|_DatasetKind"
        r"|.*_determinism|variable|NestedIOFunction|Container|is_warn_.*",
    ),
    Group(
        "Data pipes",
        "write a `lucid.data.IterableDataset`",
        r".*DataPipe|DataChunk|functional_datapipe",
    ),
    Group(
        "Transforms, and distributions that are seldom those of a sequence",
        "NumPy draws from them; write `log_prob` in ops",
        r".*Transform|biject_to|transform_to|identity_transform|register_kl|TransformedDistribution|ExponentialFamily"
        r"|LKJCholesky|Wishart|VonMises|Kumaraswamy|GeneralizedPareto|Pareto|Weibull|FisherSnedecor|LowRank.*|Inverse.*"
        r"|LogisticNormal|NegativeBinomial|StudentT|Chi2|HalfCauchy|HalfNormal|Cauchy|Relaxed.*|Multinomial"
        r"|ContinuousBernoulli|.*StraightThrough|cauchy_|geometric_|log_normal_|binomial|poisson",
    ),
    Group(
        "Functions that overwrite a tensor",
        "methods do, as in `x.copy_(x.acos())`",
        r".*[a-z0-9]_",
    ),
)
"""A name is in the first group that it matches, if no hint names it."""

_TABLES = tuple(re.compile(group.pattern) for group in GROUPS)

DIFFERENCES = {
    "torch.Size": "a tuple of ints, whose slices are plain tuples",
    "torch.accelerator": "there is none: `is_available()` is False",
    "torch.backends": "settings are accepted, and have no effect",
    "torch.compile": "returns a module that runs in onnxruntime, in evaluation mode",
    "torch.cuda": "there is none: `is_available()` is False",
    "torch.device": "the CPU alone",
    "torch.export": "`lucid.export.to_onnx(model, example, path)` writes an ONNX file",
    "torch.load": "reads files of `lucid.save`",
    "torch.norm": "no nuclear norm",
    "torch.ops": "the module of lucid's ops",
    "torch.save": "writes safetensors, with nested numbers and strings; objects are saved by their `state_dict()`",
    "torch.set_default_device": "the CPU alone",
    "torch.use_deterministic_algorithms": "no effect: all of lucid's are deterministic",
    "torch.utils": "`data` alone",
    "torch.Tensor.cuda": "raises an error",
    "torch.Tensor.dtype": "NumPy's",
    "torch.Tensor.norm": "no nuclear norm",
    "torch.Tensor.shape": "a `lucid.Size`",
    "torch.Tensor.unfold": "a copy, where PyTorch has a view",
    "torch.Tensor.view": "copies where the memory allows no view",
    "torch.nn.utils.rnn.PackedSequence": "stays padded; `data` and `batch_sizes` are computed on request",
    "torch.nn.utils.rnn.pad_packed_sequence": "keeps the time axis of the packed tensor",
    "torch.utils.data.DataLoader": "workers are threads, so nothing is pickled; Python floats become float32",
    "torch.utils.data.default_collate": "Python floats become float32",
}
"""What differs although the signatures agree."""

_KINDS = ("Bool", "Byte", "Double", "Float", "Half", "Int", "Long", "Short")

CALLS = {
    **{f"torch.{kind}Tensor": (f"m.{kind}Tensor([1, 2])",) for kind in _KINDS},
    "torch.Generator": ("m.Generator().manual_seed(3).initial_seed()",),
    "torch.arange": ("m.arange(5)", "m.arange(2, 5)", "m.arange(2, 8, 3)"),
    "torch.atleast_1d": ("m.atleast_1d(m.tensor(2.0))", "m.atleast_1d(x)"),
    "torch.atleast_2d": ("m.atleast_2d(x[0])", "m.atleast_2d(x)"),
    "torch.autograd.Variable": ("m.autograd.Variable(x)", "m.autograd.Variable(x, True).requires_grad"),
    "torch.device": ("m.device('cpu').type", "m.device('cpu') == m.device('cpu')", "m.device('cpu', 0).index"),
    "torch.finfo": ("m.finfo(m.float32).eps", "m.finfo(m.float64).max"),
    "torch.get_default_device": ("str(m.get_default_device())",),
    "torch.get_rng_state": ("m.set_rng_state(m.get_rng_state())",),
    "torch.iinfo": ("m.iinfo(m.int32).max",),
    "torch.initial_seed": ("[m.manual_seed(3), m.initial_seed()][1]",),
    "torch.linspace": ("m.linspace(0, 1, 5)",),
    "torch.randint": ("m.randint(5, (2, 3)).shape", "m.randint(2, 5, (2, 3)).shape"),
    "torch.repeat_interleave": ("m.repeat_interleave(m.tensor([1, 2]))",),
    "torch.scatter": ("m.scatter(x, 0, m.tensor([[1, 0]]), 7.0)",),
    "torch.std": ("m.std(x, False)", "m.std(x, 0, False)", "m.std(x, 0, correction=2)"),
    "torch.unique_consecutive": ("m.unique_consecutive(x, True, True)[2]",),
    "torch.var": ("m.var(x, False)", "m.var(x, 0, False)", "m.var(x, 0, correction=2)"),
    "torch.Tensor.requires_grad_": ("x.requires_grad_(requires_grad=False).requires_grad",),
    "torch.Tensor.scatter": ("x.scatter(0, m.tensor([[1, 0]]), 7.0)",),
    "torch.Tensor.scatter_": ("x.scatter_(0, m.tensor([[1, 0]]), 7.0)",),
    "torch.Tensor.squeeze": ("x[None, :, None].squeeze((0, 2))",),
    "torch.Tensor.std": ("x.std(False)", "x.std(0, False)", "x.std(0, correction=2)"),
    "torch.Tensor.var": ("x.var(False)", "x.var(0, False)", "x.var(0, correction=2)"),
    "torch.utils.data.get_worker_info": ("m.utils.data.get_worker_info()",),
}
"""Calls in all forms, of functions whose signatures do not say them; both libraries have to give the same."""

INTERNAL = re.compile(
    r"[A-Z].*|check_.*|get_expected_.*|permute_hidden|merge_masks|clone|profile_hook_step|recursive_undo|dump_patches"
    r"|call_super_init|share_memory|cumsum|sample_n|has_enumerate_support|set_default_validate_args|arg_constraints|cummulative_sizes|graphsafe_.*|ipu|xpu|mtia|is_pinned|multiprocessing_context|count|index"
)
"""Attributes of PyTorch's classes that users do not need."""


def group_of(name: str) -> Group | None:
    """Returns the group that a name is in."""
    return next((group for group, table in zip(GROUPS, _TABLES, strict=True) if table.fullmatch(name)), None)
