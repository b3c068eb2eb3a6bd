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
ROOTS = {"lucid": lucid, "nn": nn, "optim": optim, "np": np, "math": math, "x": lucid.ones(2), "model": nn.Linear(2, 2)}


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
