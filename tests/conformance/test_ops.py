"""PyTorch's own samples of its ops, from its operator database, run with lucid: values, gradients, errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lucid
from lucid.nn import functional as F

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
pytest.importorskip("expecttest")  # PyTorch's test helpers import it
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    database = pytest.importorskip("torch.testing._internal.common_methods_invocations")

from tests.conformance.calls import REFUSALS, ForeignError, Report, compare, leaves, to_lucid  # noqa: E402

LEAST = 0.975
LEAST_REFUSED = 0.94

DTYPES = ("float64", "float32", "int64", "bool")

MOST = 150
"""Of ops with more samples, as pools, which combine all options, evenly chosen ones are run."""

RANDOM = {
    *("bernoulli", "empty", "empty_like", "multinomial", "new_empty", "nn.functional.dropout", "normal"),
    *("rand_like", "randint", "randn", "randn_like"),
}
"""Ops whose results are compared in shape and dtype alone."""

# PyTorch's database swaps these arguments.
SWAPPED: dict[str, Callable[..., Any]] = {
    # PyTorch's gradient is that of scores before log_softmax, which leaves logarithms of probabilities as they are.
    "nn.functional.ctc_loss": lambda x, *args, **options: F.ctc_loss(x.log_softmax(-1), *args, **options),
    "einsum": lambda operands, equation: lucid.einsum(equation, *operands),
    "nn.functional.embedding": lambda weight, indices, **options: F.embedding(indices, weight, **options),
    "where": lambda x, condition, y: lucid.where(condition, x, y),
    # PyTorch writes into a copy.
    "normal.in_place": lambda x, *args: x.clone().normal_(*args),
    "zero_": lambda x: x.clone().zero_(),
}

_TIES = "PyTorch leaves the order of equal elements open; lucid keeps it"

_FLOATS = "a mean of integers is a float, as in Tensor.mean; PyTorch's is rounded"
_FLOAT = "integers times a float are floats"
_ONE = "lucid takes one tensor"

DIFFERENT: dict[str, list[tuple[str, str]]] = {
    "addmv": [("for int64", _FLOAT)],
    "baddbmm": [("for int64", _FLOAT)],
    "atleast_1d": [("'list'", _ONE)],
    "atleast_2d": [("'list'", _ONE)],
    "nn.functional.hardsigmoid": [("gradient", "PyTorch's gradient of float64 is that of a sixth in float32")],
    "sort": [("value: .* for ", _TIES)],
    "argsort": [("value: .* for ", _TIES)],
    "topk": [("value: .* for ", _TIES)],
    "__rpow__": [("negative integer powers", "NumPy refuses them; PyTorch gives 0, 1 or -1")],
    "nn.functional.avg_pool1d": [("float32 for int64", _FLOATS)],
    "nn.functional.avg_pool2d": [("float32 for int64", _FLOATS)],
    "nn.functional.batch_norm": [
        ("expected an input \\(N, C, \\*\\); got shape \\(0,\\)", "there is no axis of channels")
    ],
    "gather": [("shapes \\(2, 0\\) and \\(5,\\)", "PyTorch takes an index without elements whatever its axes are")],
    "norm.nuc": [("got 'nuc'", "the nuclear norm needs singular values")],
    "nn.functional.layer_norm": [
        ("gradient 1: .0.. for", "of one feature: it is 0, and PyTorch's is what rounding leaves")
    ],
    "nn.functional.normalize": [("gradient 1", "along an axis of size one: it is 0, up to what rounding leaves")],
}
"""By name, the differences that are meant: a pattern of what is reported, and the reason."""

ONLY = {
    "addmv": ("int64",),
    "baddbmm": ("int64",),
    "nn.functional.hardsigmoid": ("float64",),
    "nn.functional.layer_norm": ("float32",),
    "nn.functional.normalize": ("float32",),
    "nn.functional.batch_norm": ("float32", "float64"),
    **dict.fromkeys(("nn.functional.avg_pool1d", "nn.functional.avg_pool2d"), ("int64",)),
    "__rpow__": ("int64",),
    "topk": ("int64",),
    "sort": ("bool",),
    "argsort": ("bool",),
    "norm.nuc": ("float32", "float64"),
}
"""The dtypes in which these differ, where not in all."""

_NUMBERS = "lucid takes a number in the place of a tensor"
_PROMOTED = "dtypes are promoted, as in NumPy"

ACCEPTED: dict[str, str] = {
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "remainder", "pow", "logaddexp"), _NUMBERS),
    **dict.fromkeys(("atan2", "clamp_max", "clamp_min", "fmod", "hypot", "isclose", "xlogy"), _NUMBERS),
    **dict.fromkeys(("maximum", "max.binary", "minimum", "min.binary"), _NUMBERS),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), _NUMBERS),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), _NUMBERS),
    **dict.fromkeys(("__radd__", "__rmul__", "__rsub__", "__rmod__", "__rpow__"), _NUMBERS),
    **dict.fromkeys(("__rand__", "__ror__", "__rxor__"), _NUMBERS),
    "arange": "a range against the sign of its step is empty, as in NumPy",
    "masked_fill": "the value broadcasts, as in where",
    "mean": "a mean of integers is float64, as in NumPy",
    "nn.functional.max_pool1d": "without channels there is nothing to pool",
    "scatter": _PROMOTED,
    "scatter_add": _PROMOTED,
}
"""By name, what PyTorch refuses and lucid accepts, and the reason."""


def function_of(info: Any) -> Callable[..., Any] | None:
    """Returns lucid's function or method for an entry of PyTorch's database."""
    name: str = info.name
    if (swapped := SWAPPED.get(name_of(info), SWAPPED.get(name))) is not None:
        return swapped
    if name.startswith("nn.functional."):
        return getattr(F, name.removeprefix("nn.functional."), None)
    found = getattr(lucid, name, None)
    if callable(found) and name in lucid.__all__:
        return found
    if isinstance(getattr(lucid.Tensor, name, None), property):
        return lambda x: getattr(x, name)
    return (lambda x, *args, **options: getattr(x, name)(*args, **options)) if hasattr(lucid.Tensor, name) else None


def tensors(tree: Any, kind: type) -> list[Any]:
    return [leaf for leaf in leaves(tree) if isinstance(leaf, kind)]


def name_of(info: Any) -> str:
    return f"{info.name}.{info.variant_test_name}" if info.variant_test_name else info.name


SHARED = [info for info in database.op_db if function_of(info) is not None]


def is_random(name: str, options: dict[str, Any]) -> bool:
    return name in RANDOM or bool(options.get("dropout_p"))


def theirs(info: Any) -> Callable[..., Any]:
    """Returns PyTorch's function."""
    if info.name == "nn.functional.ctc_loss":
        return lambda x, *args, **options: info.op(x.log_softmax(-1), *args, **options)
    return info.op


def order_of(info: Any, dtype: str) -> int:
    """Returns how often gradients are taken."""
    if dtype == "float64":
        return 2 if info.supports_gradgrad else 1
    # In float32, sums over all steps of CTC lose more digits than the tolerance has.
    return 0 if info.name == "nn.functional.ctc_loss" else 1


def differences(info: Any, dtype: str) -> Iterator[tuple[str | None, str]]:
    """Runs the samples of an op; yields for each how lucid differs from PyTorch, and the sample."""
    function: Any = function_of(info)
    kind = getattr(torch, dtype)
    if kind not in info.supported_dtypes("cpu"):
        return
    torch.manual_seed(0)
    differentiable = kind.is_floating_point and info.supports_autograd
    samples = list(info.sample_inputs("cpu", kind, requires_grad=differentiable))
    for sample in samples[:: 1 + len(samples) // MOST]:
        given = [sample.input, sample.args, sample.kwargs]
        try:
            x, args, options = to_lucid(given)
        except ForeignError:
            continue
        difference = compare(
            lambda x=x, args=args, options=options: function(x, *args, **options),
            lambda s=sample: theirs(info)(s.input, *s.args, **s.kwargs),
            list(zip(tensors([x, args, options], lucid.Tensor), tensors(given, torch.Tensor), strict=True)),
            dtype,
            orders=order_of(info, dtype),
            values=not is_random(info.name, sample.kwargs),
        )
        yield difference, " ".join(repr([getattr(sample.input, "shape", sample.input), *given[1:]]).split())


def test_enough_names_are_shared():
    assert len({info.name for info in SHARED}) >= 180


@pytest.mark.parametrize(
    ("dtype", "every"),
    [("float64", 4), *[pytest.param(dtype, 1, marks=pytest.mark.exhaustive) for dtype in DTYPES]],
)
def test_values_and_gradients(dtype, every):
    report = Report({name: rows for name, rows in DIFFERENT.items() if dtype in ONLY.get(name, DTYPES)})
    for info in SHARED[::every]:
        for difference, sample in differences(info, dtype):
            report.add(name_of(info), difference, sample)
    print(f"{report.share:.2%} of {report.calls} calls agree")
    report.check(LEAST, complete=every == 1)


@pytest.mark.exhaustive
def test_errors():
    accepted, refused = [], 0
    for info in SHARED:
        if info.error_inputs_func is None:
            continue
        function: Any = function_of(info)
        for error in info.error_inputs("cpu"):
            sample = error.sample_input
            if "number of categories cannot exceed" in str(error.error_regex):
                continue  # the weights are memory that was never written, so they may be valid or not
            try:
                x, args, options = to_lucid([sample.input, sample.args, sample.kwargs])
            except ForeignError:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    function(x, *args, **options)
            except REFUSALS:
                refused += 1
            else:
                accepted.append((name_of(info), error.error_regex, repr(sample)[:150]))
    unlisted = [row for row in accepted if row[0] not in ACCEPTED]
    assert not unlisted, "\n".join(map(str, unlisted))
    assert {name for name, _, _ in accepted} == ACCEPTED.keys()
    # Numbers in the place of tensors are no errors in lucid.
    others = [name for name, _, _ in accepted if ACCEPTED[name] != _NUMBERS]
    share = refused / (refused + len(others))
    print(f"{share:.2%} of {refused + len(others)} calls are refused")
    assert share >= LEAST_REFUSED
