"""Hints: each is for a name that PyTorch has and lucid has not, and names what exists and computes the same."""

from __future__ import annotations

import importlib
import math
import re
from functools import reduce
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.absent import EXPRESSIONS, MODULES
from lucid.methods.absent import _INSTEAD as TENSORS
from lucid.nn.module import _INSTEAD as LAYERS

PLACES = {"lucid.data": "torch.utils.data"}

HINTS = [*EXPRESSIONS.values(), *TENSORS.values(), *LAYERS.values(), *(h for m in MODULES.values() for h in m.values())]
ROOTS = {
    "lucid": lucid,
    "nn": nn,
    "optim": optim,
    "np": np,
    "math": math,
    "x": lucid.ones(2, 2),
    "model": nn.Linear(2, 2),
}


@pytest.mark.parametrize("module", MODULES)
def test_hints_are_for_names_that_pytorch_has_and_lucid_has_not(module: str, torch: Any) -> None:
    theirs = importlib.import_module(PLACES.get(module, module.replace("lucid", "torch")))
    ours = importlib.import_module(module)
    for name in MODULES[module]:
        if name != "tensorboard":  # imported by its own name, and only where it is installed
            assert hasattr(theirs, name), f"{theirs.__name__}.{name}"
        assert name not in dir(ours)
        with pytest.raises(AttributeError, match=f"^module '{module}' has no attribute '{name}': ") as caught:
            getattr(ours, name)
        assert str(caught.value).endswith(MODULES[module][name])
        assert caught.value.name == name


def test_expressions_are_for_functions_that_pytorch_has_and_lucid_has_not(torch: Any) -> None:
    for name in EXPRESSIONS:
        assert any(hasattr(place, name) for place in (torch, torch.nn.functional, torch.Tensor)), name
        places = [lucid, nn.functional, lucid.ones(2)]
        assert not any(name in dir(place) for place in places), name
        for place in places:
            with pytest.raises(AttributeError, match=re.escape(f"'{name}': write {EXPRESSIONS[name]}") + "$"):
                getattr(place, name)


@pytest.mark.parametrize("hint", sorted(set(HINTS)))
def test_what_a_hint_names_exists(hint: str) -> None:
    for root, path in re.findall(r"(?<![\w.'/])(lucid|nn|optim|np|math|x|model)((?:\.[A-Za-z_]\w*)+)", hint):
        reduce(getattr, path.split(".")[1:], ROOTS[root])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_computes_what_pytorch_computes(name: str, torch: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4)).astype(np.float32)
    y = rng.standard_normal((3, 4)).astype(np.float32)
    given = [torch.tensor(x), *([torch.tensor(y)] if re.search(r"\by\b", EXPRESSIONS[name]) else [])]
    places = (torch, torch.nn.functional, torch.Tensor)
    theirs = next(getattr(place, name) for place in places if hasattr(place, name))(*given)
    ours = eval(EXPRESSIONS[name], {"x": lucid.tensor(x), "y": lucid.tensor(y), "lucid": lucid})
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "expression", "theirs"),
    [
        ("InstanceNorm1d", "nn.GroupNorm(channels, channels, affine=False)(z)", "nn.InstanceNorm1d(4)(z)"),
        ("MultiLabelSoftMarginLoss", "nn.BCEWithLogitsLoss()(x, y)", "nn.MultiLabelSoftMarginLoss()(x, y)"),
        ("RReLU", "nn.LeakyReLU(11 / 48)(x)", "nn.RReLU().eval()(x)"),
        ("Softmax2d", "nn.Softmax(-3)(z)", "nn.Softmax2d()(z)"),
        ("CosineSimilarity", "nn.functional.cosine_similarity(x, y, dim)", "nn.CosineSimilarity(1)(x, y)"),
        ("PairwiseDistance", "nn.functional.pairwise_distance(x, y)", "nn.PairwiseDistance()(x, y)"),
        ("baddbmm", "x + lib.bmm(z, z)", "lib.baddbmm(x, z, z)"),
        ("bucketize", "lib.searchsorted(boundaries, x)", "lib.bucketize(x, boundaries)"),
        ("column_stack", "lib.stack(columns, 1)", "lib.column_stack(columns)"),
        ("dstack", "lib.stack(columns, 2)", "lib.dstack(columns)"),
        ("logspace", "2.0 ** lib.linspace(0, 3, 4)", "lib.logspace(0, 3, 4, 2.0)"),
        ("tril_indices", "lib.nonzero(lib.tril(lib.ones(3, 4))).T", "lib.tril_indices(3, 4)"),
        ("triu_indices", "lib.nonzero(lib.triu(lib.ones(3, 4))).T", "lib.triu_indices(3, 4)"),
        ("index_copy", "x.clone().index_copy_(0, rows, y[:2])", "lib.index_copy(x, 0, rows, y[:2])"),
        ("index_put", "x.clone().index_put_((rows,), y[:2])", "lib.index_put(x, (rows,), y[:2])"),
        ("instance_norm", "nn.functional.group_norm(z, z.shape[1])", "nn.functional.instance_norm(z)"),
        ("fill_diagonal_", "z[0].masked_fill_(lib.eye(4).bool(), 7.0)", "z[0].fill_diagonal_(7.0)"),
        ("get_total_norm", "nn.utils.clip_grad_norm_([p], math.inf)", "nn.utils.get_total_norm([p.grad])"),
    ],
)
def test_hints_that_are_no_expression_compute_what_pytorch_computes(
    name: str, expression: str, theirs: str, torch: Any
) -> None:
    rng = np.random.default_rng(0)
    x, y, z = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 4), (4, 4), (3, 4, 4)))
    if name == "MultiLabelSoftMarginLoss":
        y = (y > 0).astype(np.float32)
    results = []
    for library, code in ((lucid, expression), (torch, theirs)):
        p = library.tensor(x, requires_grad=True)
        (p * p).sum().backward()
        values = {"x": library.tensor(x), "y": library.tensor(y), "z": library.tensor(z), "p": p}
        values |= {"lib": library, "nn": library.nn, "math": math, "channels": 4, "dim": 1}
        values |= {"boundaries": library.tensor([-1.0, 0.0, 1.0]), "rows": library.tensor([2, 0])}
        values["columns"] = [values["x"], values["y"]] if name == "dstack" else [values["x"][0], values["y"][0]]
        results.append(np.asarray(eval(code, values)))
    np.testing.assert_allclose(*results, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("place", "name", "hint"),
    [
        (lucid, "dropout", r"write nn.functional.dropout(...)"),
        (lucid, "contiguous", "write x.contiguous(...)"),
        (nn, "gelu", "write nn.functional.gelu(...)"),
        (nn, "tanh", "write nn.functional.tanh(...)"),
        (nn.functional, "exp", "write lucid.exp(...)"),
        (lucid.ones(1), "gelu", "write nn.functional.gelu(x, ...)"),
        (lucid.ones(1), "zeros_like", "write lucid.zeros_like(x, ...)"),
        (nn.Linear(1, 1), "type", "write model.to(dtype)"),
        (nn.Linear(1, 1), "fit", "write the loop"),
    ],
)
def test_what_stands_elsewhere_is_found_there(place: Any, name: str, hint: str) -> None:
    assert not hasattr(place, name)
    with pytest.raises(AttributeError, match=re.escape(f"{name!r}: {hint}")):
        getattr(place, name)


def test_what_nobody_has_gets_no_hint() -> None:
    for place in (lucid, nn, nn.functional, optim, lucid.data, lucid.ones(1), nn.Linear(1, 1)):
        for name in ("nothing_of_that_name", "__nothing__"):
            with pytest.raises(AttributeError, match=f"has no attribute '{name}'$"):
                getattr(place, name)
