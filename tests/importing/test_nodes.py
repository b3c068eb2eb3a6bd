"""Every imported operator passes ONNX's own tests of it, and what lucid cannot compute is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import lucid
from lucid.errors import LucidError, ModelImportError
from tests.importing.nodes import BY_ONNXRUNTIME, MODULES, REFUSED, array_of, cases_of, reason
from tests.tiers import thinned


@pytest.mark.parametrize("module", thinned(MODULES, 9))
def test_operators(module):
    for case in cases_of(module):
        check = check_refused if reason(case) else check_values
        check(case)


def check_refused(case: Any) -> None:
    with pytest.raises(LucidError) as caught:  # noqa: PT012 - some say so at the call alone
        model = lucid.from_onnx(case.model)
        model(*[lucid.tensor(array_of(x)) for x in case.data_sets[0][0]])
    wanted = ModelImportError if not re.search(r"^test_loop11", case.name) else LucidError
    assert isinstance(caught.value, wanted), f"{case.name}: {caught.value!r}"


def check_values(case: Any) -> None:
    model = lucid.from_onnx(case.model)
    # Sums in float32 have an error of the size of their terms, however small they are; float16 has 11 bits.
    for given, outputs in case.data_sets:
        arrays = [array_of(x) for x in given]
        wanted = [array_of(x) for x in outputs]
        if any(re.search(pattern, case.name) for pattern in BY_ONNXRUNTIME):
            wanted = by_onnxruntime(case.model, arrays)
        with lucid.no_grad():
            found = model(*[lucid.tensor(x) for x in arrays])
        found = found if isinstance(found, tuple) else (found,)
        assert len(found) == len(wanted), case.name
        for y, want in zip(found, wanted, strict=True):
            assert (y.dtype, y.shape) == (want.dtype, want.shape), case.name
            half = want.dtype == np.float16
            rtol, atol = (2e-3, 5e-4) if half else (case.rtol, max(case.atol, 1e-6))
            np.testing.assert_allclose(y.numpy(), want, rtol=rtol, atol=atol, err_msg=case.name)


def by_onnxruntime(model: onnx.ModelProto, arrays: list[Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([port.name for port in session.get_inputs()], arrays, strict=True)))


@pytest.mark.slow
def test_every_refusal_is_of_a_test():
    names = [case.name for module in MODULES for case in cases_of(module)]
    for pattern in (*REFUSED, *BY_ONNXRUNTIME):
        assert any(re.search(pattern, name) for name in names), pattern
