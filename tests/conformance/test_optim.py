"""PyTorch's own samples of its optimizers, from its optimizer database, run with lucid, alone and with a scheduler."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import optim

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
pytest.importorskip("expecttest")  # PyTorch's test helpers import it
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    database = pytest.importorskip("torch.testing._internal.common_optimizers")

from tests.conformance.calls import REFUSALS, ForeignError, Report, differ, to_lucid  # noqa: E402
from tests.tiers import sampled  # noqa: E402

LEAST = 0.97
STEPS = 12

_ROUNDED = "PyTorch's schedulers round a rate that is a float32 tensor at each step; in lucid it is a number"

DIFFERENT: dict[str, list[tuple[str, str]]] = {name: [("^parameters: ", _ROUNDED)] for name in ("SGD", "Adagrad")}
"""By name, the differences that are meant: a pattern of what is reported, and the reason."""

ACCEPTED = {
    "betas must be either both floats or both Tensors": "a tensor without axes counts as a number",
}
"""By PyTorch's message, what lucid accepts, and the reason."""

SHARED = [info for info in database.optim_db if hasattr(optim, info.optim_cls.__name__)]

# How PyTorch computes, which changes no result.
MANNER = {"foreach", "fused", "capturable", "differentiable"}

SCHEDULERS: dict[str, tuple[str, dict[str, Any]] | None] = {
    "alone": None,
    "step": ("StepLR", {"step_size": 3, "gamma": 0.5}),
    "milestones": ("MultiStepLR", {"milestones": [2, 5], "gamma": 0.3}),
    "exponential": ("ExponentialLR", {"gamma": 0.9}),
    "constant": ("ConstantLR", {"factor": 0.5, "total_iters": 4}),
    "linear": ("LinearLR", {"start_factor": 0.2, "total_iters": 5}),
    "cosine": ("CosineAnnealingLR", {"T_max": 7, "eta_min": 1e-4}),
    "restarts": ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2}),
    "lambda": ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
}


def path_of(library: Any, name: str, options: dict[str, Any], scheduler: Any, make: Callable[..., Any]) -> list[Any]:
    """Returns the parameters after each step; the gradients are those of a bowl with ripples."""
    rng = np.random.default_rng(0)
    params = [make(rng.standard_normal(shape)) for shape in ((3, 4), (5,), ())]
    optimizer = getattr(library, name)(params, **options)
    follower = None
    if scheduler is not None:
        follower = getattr(library.lr_scheduler, scheduler[0])(optimizer, **scheduler[1])
    path = []
    for _ in range(STEPS):
        for p in params:
            x = p.detach().numpy()
            p.grad = make(x + np.sin(3 * x) + 0.5 * rng.standard_normal(x.shape)).detach()
        optimizer.step()
        if follower is not None:
            follower.step()
        path += [p.detach().numpy().copy() for p in params]
    return path


def converted(tree: Any, known: dict[Any, Any]) -> Any:
    """Converts parameters to lucid's: one that occurs twice stays one."""
    if isinstance(tree, torch.Tensor):
        return known.setdefault(tree, to_lucid(tree))
    if isinstance(tree, dict):
        return {key: converted(value, known) for key, value in tree.items()}
    return [converted(part, known) for part in tree] if isinstance(tree, (tuple, list)) else tree


def mine(dtype: str) -> Callable[[Any], Any]:
    return lambda x: lucid.tensor(np.asarray(x, dtype), requires_grad=True)


def theirs(dtype: str) -> Callable[[Any], Any]:
    return lambda x: torch.tensor(np.asarray(x, dtype), requires_grad=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", sampled(["float64", "float32"], 2))
def test_runs(dtype):
    report = Report(DIFFERENT if dtype == "float64" else {})
    for info in SHARED:
        name = info.optim_cls.__name__
        for sample in info.optim_inputs_func("cpu"):
            options = {key: value for key, value in sample.kwargs.items() if key not in MANNER}
            for label, scheduler in SCHEDULERS.items():
                own = copy.deepcopy(options)  # PyTorch's schedulers change a rate that is a tensor
                wanted = path_of(torch.optim, name, own, scheduler, theirs(dtype))
                try:
                    found = path_of(optim, name, to_lucid(options), scheduler, mine(dtype))
                except ForeignError:
                    continue
                except REFUSALS as error:
                    difference: str | None = f"{type(error).__name__}: {error}"
                else:
                    steps = [differ("parameters", a, b, dtype) for a, b in zip(found, wanted, strict=True)]
                    difference = next((step for step in steps if step is not None), None)
                    if difference is not None and not isinstance(options.get("lr"), torch.Tensor):
                        difference = f"of a plain rate: {difference}"
                report.add(name, difference, f"{sample.desc} {options} {label}")
    print(f"{report.share:.2%} of {report.calls} runs agree")
    report.check(LEAST)


@pytest.mark.filterwarnings("ignore")
def test_errors():
    refused, accepted = 0, []
    for info in SHARED:
        for error in info.optim_error_inputs_func("cpu", torch.float32):
            sample = error.optimizer_error_input
            options = {key: value for key, value in sample.kwargs.items() if key not in MANNER}
            if options.keys() != sample.kwargs.keys() or issubclass(error.error_type, Warning):
                continue
            given = sample.params if sample.params is not None else [torch.ones(2, requires_grad=True)]
            try:
                getattr(optim, info.optim_cls.__name__)(converted(given, {}), **to_lucid(options))
            except REFUSALS:
                refused += 1
            else:
                accepted.append((info.optim_cls.__name__, sample.desc, str(error.error_regex)))
    unlisted = [row for row in accepted if row[2] not in ACCEPTED]
    assert not unlisted, "\n".join(map(str, unlisted))
    assert {regex for _, _, regex in accepted} == ACCEPTED.keys()
    assert refused >= 25
