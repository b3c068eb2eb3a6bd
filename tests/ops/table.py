"""The page of all ops, with the gradient and the ONNX operators of each.

``python -m tests.ops.table`` writes docs/ops.md from the table of ops and its rows in tests/ops/cases/. A test checks
that the page is up to date.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid.export import to_onnx
from lucid.export.lowering import LOWERINGS
from lucid.tracer.op import FUNCTIONS, OPS
from tests.ops.case import Case, run, wrapped
from tests.ops.cases import CASES

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "ops.md"

# Not the newest opset, so that the page does not depend on the installed onnx.
_OPSET = 18

_HEAD = """# Ops

Every op, and every function composed of ops, by the file of `lucid/ops` that it stands in. Names in bold are ops; the
others are composed.

- *Differentiable*, *second order*: "yes" where there is a rule. Rules are written in ops, so gradients have gradients;
  the tests compare those of first and second order with finite differences. Otherwise, the reason why there is none.
- *ONNX operators*: what the first of its calls in the tests becomes, at opset {opset} and with fixed sizes. Dynamic
  axes may add operators that compute with sizes. Otherwise, the reason why there are none.
- *Opset*: the least that holds all of its calls in the tests.

Made by `python -m tests.ops.table`; a test makes it anew.
"""


def page() -> str:
    """Returns the page, generated from the tables."""
    # Tests and examples declare further ops.
    shipped = {name: f for name, f in FUNCTIONS.items() if f.__module__.startswith("lucid.ops.")}
    cases: dict[str, list[Case]] = {name: [case for case in CASES if case.name == name] for name in shipped}
    names = sorted(shipped, key=lambda name: (shipped[name].__module__, name))
    parts = [_HEAD.format(opset=_OPSET)]
    for module, group in groupby(names, lambda name: shipped[name].__module__):
        rows = [("op", "differentiable", "second order", "ONNX operators", "opset"), ("---",) * 5]
        rows += [_row(name, cases[name]) for name in group]
        parts += [f"## {module.rpartition('.')[2]}\n", "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"]
    return "\n".join(parts)


def _row(name: str, cases: list[Case]) -> tuple[str, ...]:
    op = OPS.get(name)
    first, second = ("as its ops",) * 2 if op is None else ("yes", "yes")
    if op is not None and op.no_gradient:
        first, second = f"no: {op.no_gradient}", "no"
    exported = [case for case in cases if not case.no_export]
    opset = ""
    if op is not None and op.no_export:
        onnx = f"none: {op.no_export}"
    elif exported:
        onnx = _operators(exported[0])
        opset = str(max(case.opset for case in exported))
    elif cases:
        onnx = f"none: {cases[0].no_export}"
    else:
        onnx = "as its ops" if op is None else "see [export](export.md)" if name in LOWERINGS else "none"
    return (f"`{name}`" if op is None else f"**`{name}`**", first, second, onnx, opset)


def _operators(case: Case) -> str:
    arrays = case.arrays(np.float32)
    inputs = [x for x in wrapped(arrays) if isinstance(x, lucid.Tensor)]

    def call(*tensors: Any) -> Any:
        rest = iter(tensors)
        return tuple(run(case, [next(rest) if isinstance(x, np.ndarray) else x for x in arrays]))

    if not inputs:
        return "a constant"
    counts = to_onnx(call, *inputs, opset=max(case.opset, _OPSET), dynamic=None, verify=False).operators
    return ", ".join(name if n == 1 else f"{n} {name}" for name, n in sorted(counts.items())) or "nothing"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
