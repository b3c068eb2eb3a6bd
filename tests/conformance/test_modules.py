"""PyTorch's own samples of its layers and losses, from its module database, run with lucid."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import lucid
from lucid import nn

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
pytest.importorskip("expecttest")  # PyTorch's test helpers import it
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    database = pytest.importorskip("torch.testing._internal.common_modules")

from tests.conformance.calls import REFUSALS, ForeignError, Report, compare, leaves, to_lucid  # noqa: E402
from tests.tiers import sampled  # noqa: E402

LEAST = 0.97

DIFFERENT: dict[str, list[tuple[str, str]]] = {}
"""By name, the differences that are meant: a pattern of what is reported, and the reason."""

ACCEPTED = {"NLLLoss": "dtypes are promoted, as in NumPy"}
"""By name, what PyTorch refuses and lucid accepts, and the reason."""

SHARED = [info for info in database.module_db if hasattr(nn, info.module_cls.__name__)]


def name_of(info: Any) -> str:
    return info.module_cls.__name__


def tensors(tree: Any, kind: type) -> list[Any]:
    return [leaf for leaf in leaves(tree) if isinstance(leaf, kind)]


def made(info: Any, given: Any, dtype: str) -> Any:
    """Returns lucid's module for the arguments of a sample."""
    args, options = to_lucid(given.args), to_lucid(dict(given.kwargs))
    try:
        module = getattr(nn, name_of(info))(*args, **{"dtype": dtype, **options})
    except TypeError as error:
        if "'dtype'" not in str(error):
            raise
        module = getattr(nn, name_of(info))(*args, **options)
    return module


def alone(tree: Any) -> Any:
    """Returns arguments that were not computed from each other."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().requires_grad_(tree.requires_grad)
    if isinstance(tree, dict):
        return {key: alone(value) for key, value in tree.items()}
    return type(tree)(alone(part) for part in tree) if isinstance(tree, (tuple, list)) else tree


def difference_of(info: Any, sample: Any, dtype: str, training: bool) -> str | None:
    given = sample.constructor_input
    theirs = info.module_cls(*given.args, **given.kwargs).to(getattr(torch, dtype)).train(training)
    try:
        ours = made(info, given, dtype).train(training)
        state = {key: value.numpy() for key, value in theirs.state_dict().items() if key in ours.state_dict()}
        ours.load_state_dict(state)
    except REFUSALS as error:
        return f"construction: {type(error).__name__}: {error}"
    args, named = alone(list(sample.forward_input.args)), alone(dict(sample.forward_input.kwargs))
    x, options = to_lucid(args), to_lucid(named)
    inputs = list(zip(tensors([x, options], lucid.Tensor), tensors([args, named], torch.Tensor), strict=True))
    parameters = dict(theirs.named_parameters())
    inputs += [(p, parameters[key]) for key, p in ours.named_parameters() if key in parameters]
    if name_of(info) == "CTCLoss":
        # PyTorch's gradient is that of scores before log_softmax, which leaves logarithms of probabilities as they are.
        scores, wanted = x[0], args[0]
        return compare(
            lambda: ours(scores.log_softmax(-1), *x[1:], **options),
            lambda: theirs(wanted.log_softmax(-1), *args[1:], **named),
            inputs,
            dtype,
            # In float32, sums over all steps lose more digits than the tolerance has.
            orders=1 if dtype == "float64" else 0,
        )
    return compare(
        lambda: ours(*x, **options),
        lambda: theirs(*args, **named),
        inputs,
        dtype,
        orders=2 if dtype == "float64" and info.supports_gradgrad else 1,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", sampled(["float64", "float32"], 2))
def test_values_and_gradients(dtype):
    report = Report(DIFFERENT)
    for info in SHARED:
        for training in (True, False):
            torch.manual_seed(0)
            samples = info.module_inputs_func(
                info, device="cpu", dtype=getattr(torch, dtype), requires_grad=True, training=training
            )
            for sample in samples:
                try:
                    difference = difference_of(info, sample, dtype, training)
                except ForeignError:
                    continue
                about = f"{sample.constructor_input.args} {sample.constructor_input.kwargs} {sample.desc}"
                report.add(name_of(info), difference, " ".join(about.split()))
    print(f"{report.share:.2%} of {report.calls} calls agree")
    report.check(LEAST)


@pytest.mark.filterwarnings("ignore")
def test_errors():
    accepted, refused = [], 0
    for info in SHARED:
        if info.module_error_inputs_func is None:
            continue
        torch.manual_seed(0)
        errors = info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=True, training=False
        )
        for error in errors:
            sample = error.module_error_input
            try:
                module = made(info, sample.constructor_input, "float32")
                module(*to_lucid(list(sample.forward_input.args)), **to_lucid(dict(sample.forward_input.kwargs)))
            except ForeignError:
                continue
            except REFUSALS:
                refused += 1
            else:
                accepted.append((name_of(info), error.error_regex))
    unlisted = [row for row in accepted if row[0] not in ACCEPTED]
    assert not unlisted, "\n".join(map(str, unlisted))
    assert {name for name, _ in accepted} == ACCEPTED.keys()
    assert refused >= 30
    print(f"{refused} of {refused + len(accepted)} calls are refused")
