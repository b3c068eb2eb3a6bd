"""What lucid exports it imports again: each operator that a lowering emits, and each row of the table of ops."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import onnx
import pytest

import lucid
from lucid.errors import ExportError
from lucid.export import lowering, to_onnx
from lucid.export.lowering.opset import newest_opset
from lucid.importing.registry import IMPORTS
from tests.ops.case import results
from tests.ops.cases import CASES
from tests.ops.test_ops import axes, exportable
from tests.tiers import sampled, thinned

EXPORTED = [case for case in CASES if not case.no_export]

RANDOM = {"RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "Bernoulli", "Multinomial"}


def test_each_operator_that_a_lowering_emits_is_imported():
    """The lowerings name the operators in texts; whatever there is the name of an operator counts."""
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    emitted = set()
    for path in Path(lowering.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        emitted |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} & known
    assert len(emitted) > 80
    assert emitted - {*IMPORTS} <= RANDOM


def firsts():
    """Returns the first row of each op, and the others."""
    seen: set[str] = set()
    first = [case for case in EXPORTED if not (case.name in seen or seen.add(case.name))]
    return first, [case for case in EXPORTED if case not in first]


FIRST, MORE = firsts()


def check(case, opset):
    function, inputs = exportable(case)
    exported = to_onnx(function, *inputs, opset=opset, dynamic=axes(case), verify=False)
    model = lucid.from_onnx(exported.proto)
    found, wanted = results(model(*inputs)), results(function(*inputs))
    assert len(found) == len(wanted)
    for y, want in zip(found, wanted, strict=True):
        assert (y.dtype, y.shape) == (want.dtype, want.shape)
        np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("case", thinned(FIRST, 3), ids=str)
def test_rows(case):
    check(case, max(case.opset, 18))


@pytest.mark.slow
@pytest.mark.parametrize("case", sampled(MORE, 8), ids=str)
def test_more_rows(case):
    check(case, max(case.opset, 18))


@pytest.mark.parametrize("case", thinned([case for case in FIRST if case.opset == 13], 30, sample=3), ids=str)
def test_rows_of_the_oldest_opset(case):
    check(case, 13)


@pytest.mark.parametrize("case", thinned(FIRST, 30, sample=3), ids=str)
def test_rows_of_the_newest_opset(case):
    check(case, newest_opset())


FIXED = {
    "adaptive_avg_pool1d": "whether a length is a multiple",
    "adaptive_avg_pool2d": "the same",
    "adaptive_max_pool1d": "the same",
}
"""Rows whose files have axes that the reader cannot prove to be free, and why."""

BY_ELEMENTS = ("bincount", "repeated_places")
"""Rows whose files have sizes that depend on elements; these come in, and cannot go out again."""


@pytest.mark.parametrize("case", thinned([case for case in FIRST if case.dynamic is True], 30, sample=3), ids=str)
def test_axes_stay_free(case):
    function, inputs = exportable(case)
    exported = to_onnx(function, *inputs, dynamic="auto", verify=False)
    if any(exported.fixed.values()):
        return  # the export itself fixes them
    if str(case) in BY_ELEMENTS:
        with pytest.raises(ExportError, match="decides what the function does"):
            to_onnx(lucid.from_onnx(exported.proto), *inputs, dynamic="auto", verify=False)
        return
    again = to_onnx(lucid.from_onnx(exported.proto), *inputs, dynamic="auto", verify=False)
    assert any(again.fixed.values()) == (str(case) in FIXED), again.fixed
