"""Lines of everyday PyTorch code, run with PyTorch and with lucid: values, dtypes, shapes, writes, prints, errors."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import types
import warnings
from typing import Any

import numpy as np
import pytest

import lucid
from tests.conformance.idioms import DIFFERENT, IDIOMS, INPUTS, PRELUDE
from tests.programs.test_programs import with_lucid
from tests.tiers import thinned

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

LEAST = 0.95
FAMILIES = (AttributeError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError)
RANDOM = re.compile(
    r"rand|normal|uniform|bernoulli_|exponential_|kaiming|xavier|orthogonal|reset_parameters|load_state_dict\(nn"
)
"""What draws numbers; each library draws its own, so that the value of the line alone is compared."""
SOURCES = {group: text.strip().splitlines() for group, text in IDIOMS.items()}


def world(prelude):
    """Returns the names that every line may use."""
    names: dict[str, Any] = {}
    exec(prelude, names)
    return names


THEIRS, OURS = world(PRELUDE), world(with_lucid(PRELUDE))


def named(tree):
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def define(name, space):
    """Adds an input, and the inputs that it is made of, to the names of a line."""
    if name in INPUTS and name not in space:
        for other in named(ast.parse(INPUTS[name])):
            define(other, space)
        space[name] = eval(INPUTS[name], space)


def outcome(idiom, names, path):
    """Returns what a line gives: its value, what it prints, and all that it names; or the error that it raises."""
    # `;` before a compound statement, and a backslash with an n, stand for line breaks.
    tree = ast.parse(re.sub(r"; (?=(for|with|if|def) )", "\n", idiom.replace(r"\n", "\n")))
    space, printed = {**names, "path": path}, io.StringIO()
    used = list(dict.fromkeys(named(tree)))
    for name in used:
        define(name, space)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            exec(compile(tree, idiom, "exec"), space)
            value = eval(compile(ast.Expression(last.value), idiom, "eval"), space) if last else None
        except Exception as error:  # which one it is decides the test
            return error
    touched = [name for name in used if name in space and (name in INPUTS or name not in names)]
    kept = [space[name] for name in touched if not RANDOM.search(idiom)]
    return value, printed.getvalue(), kept


def difference(mine, theirs):
    """Returns how two results differ; None if they agree."""
    if isinstance(mine, Exception) or isinstance(theirs, Exception):
        return of_errors(mine, theirs)
    if isinstance(theirs, torch.Tensor):
        return of_tensors(mine, theirs)
    if isinstance(theirs, (bool, int, float, str, np.generic)):
        same = type(mine) is type(theirs) and (
            np.isclose(mine, theirs, 2e-5, 1e-6, equal_nan=True) if isinstance(theirs, float) else mine == theirs
        )
        return None if same else f"{mine!r} for {theirs!r}"
    if isinstance(theirs, np.ndarray):
        return of_arrays(mine, theirs)
    if isinstance(theirs, (torch.dtype, torch.device, torch.layout)):
        return None if str(mine) == str(theirs).removeprefix("torch.") else f"{mine} for {theirs}"
    if isinstance(theirs, torch.nn.Module):
        return difference([mine.training, {**mine.state_dict()}], [theirs.training, {**theirs.state_dict()}])
    if isinstance(theirs, torch.optim.Optimizer):
        rates = [[group["lr"] for group in it.param_groups] for it in (mine, theirs)]
        return difference(*rates)
    if isinstance(theirs, torch.nn.utils.rnn.PackedSequence):
        unpack = torch.nn.utils.rnn.pad_packed_sequence
        return difference(lucid.nn.utils.rnn.pad_packed_sequence(mine), unpack(theirs))
    if isinstance(theirs, (dict, types.MappingProxyType)):
        return difference([list(mine), list(mine.values())], [list(theirs), list(theirs.values())])
    if isinstance(theirs, (list, tuple)):
        if isinstance(mine, (list, tuple)) and len(mine) == len(theirs):
            found = (difference(a, b) for a, b in zip(mine, theirs, strict=True))
            return next((each for each in found if each), None)
        return f"{mine!r} for {theirs!r}"
    if theirs is None or callable(theirs):
        return None if (mine is None) == (theirs is None) else f"{mine!r} for {theirs!r}"
    return None if type(mine).__name__ == type(theirs).__name__ else f"{type(mine)} for {type(theirs)}"


def of_errors(mine, theirs):
    if not isinstance(mine, Exception):
        return f"no {type(theirs).__name__}: {theirs}".splitlines()[0][:150]
    if not isinstance(theirs, Exception):
        return f"raises {type(mine).__name__}: {mine}".splitlines()[0][:250]
    shared = any(isinstance(mine, family) and isinstance(theirs, family) for family in FAMILIES)
    return None if shared else f"{type(mine).__name__} for {type(theirs).__name__}: {mine} | {theirs}"[:250]


def of_tensors(mine, theirs):
    if not isinstance(mine, lucid.Tensor):
        return f"{mine!r} for a tensor of shape {tuple(theirs.shape)}"
    if mine.requires_grad != theirs.requires_grad:
        return f"requires_grad: {mine.requires_grad} for {theirs.requires_grad}"
    if not theirs.is_leaf or theirs.grad is None:
        return of_arrays(mine.detach().numpy(), theirs.numpy(force=True))
    return of_arrays(mine.detach().numpy(), theirs.numpy(force=True)) or difference(mine.grad, theirs.grad)


def of_arrays(mine, theirs):
    if not isinstance(mine, np.ndarray) or mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return f"{getattr(mine, 'dtype', mine)} {np.shape(mine)} for {theirs.dtype} {theirs.shape}"
    close = theirs.dtype.kind != "f" or np.allclose(mine, theirs, 2e-5, 2e-6, equal_nan=True)
    return None if close and (theirs.dtype.kind == "f" or np.array_equal(mine, theirs)) else f"{mine} for {theirs}"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("group", thinned(SOURCES, 4))
def test_lines_do_as_in_pytorch(group, tmp_path):
    found = {}
    for idiom in SOURCES[group]:
        theirs = outcome(idiom, THEIRS, tmp_path / "theirs")
        assert isinstance(theirs, Exception) == (group == "errors"), f"{idiom}: {theirs!r}"
        differs = difference(outcome(idiom, OURS, tmp_path / "ours"), theirs)
        if differs is not None:
            found[idiom] = differs
    listed = {idiom for idiom in SOURCES[group] if idiom in DIFFERENT}
    unlisted = [f"{idiom}  ->  {found[idiom]}" for idiom in found if idiom not in listed]
    assert not unlisted, "\n".join(unlisted)
    assert not listed - {*found}, f"listed, but equal: {listed - {*found}}"


def test_lines_are_different_from_each_other_and_nearly_all_agree():
    lines = [idiom for group in SOURCES.values() for idiom in group]
    assert len(lines) == len({*lines})
    assert {*DIFFERENT} <= {*lines}
    assert 1 - len(DIFFERENT) / len(lines) >= LEAST
