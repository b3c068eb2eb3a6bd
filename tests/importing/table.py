"""The page of all ONNX operators: which of them lucid imports.

``python -m tests.importing.table`` writes docs/importing-appendix.md from the table of imports, ONNX's schemas and
ONNX's own tests. Tests check that the page is up to date.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import onnx

from lucid.importing.registry import IMPORTS
from tests.importing.nodes import MODULES, cases_of, operator_of, reason

__all__ = ["PAGE", "operators", "page", "why_not"]

PAGE = Path(__file__).parents[2] / "docs" / "importing-appendix.md"

_HEAD = """# Operators that are imported

Every operator of ONNX's operator set {opset}, and whether [lucid.from_onnx](importing.md) computes it.

- *Since*: the operator set of its newest version. Older versions are read, too, from operator set 13 on; a model of an
  older set is converted to that first.
- *Imported*: "yes", or why not. A model with an operator that is not imported is refused when it is read.
- *Refused forms*: what an imported operator is not read with. The error names the node.
- *Tests*: how many of ONNX's own tests of the operator pass, in values, dtype and shape, and how many are refused.

Made with onnx {version} by `python -m tests.importing.table`; a test makes it anew.
"""

_WHY_NOT = {
    "it is random": (
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    ),
    "it is about sequences of tensors": ("SequenceMap",),
    "it is about optional values": ("Optional", "OptionalGetElement", "OptionalHasElement"),
    "it is about texts": ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"),
    "it is about images": (
        "AffineGrid",
        "DeformConv",
        "GridSample",
        "ImageDecoder",
        "MaxRoiPool",
        "NonMaxSuppression",
        "RoiAlign",
    ),
    "lucid has no op for it": ("BitCast", "Det", "LinearAttention"),
    "it is read as Resize, which replaced it": ("Upsample",),
}


def operators() -> dict[str, int]:
    """Returns the operators of the newest operator set, each with the version in which it last changed."""
    schemas = [schema for schema in onnx.defs.get_all_schemas() if schema.domain == ""]
    return {schema.name: schema.since_version for schema in sorted(schemas, key=lambda schema: schema.name)}


def why_not(name: str) -> str:
    """Returns why an operator is not imported; "" if it is."""
    if name in IMPORTS:
        return ""
    return next(text for text, names in _WHY_NOT.items() if name in names)


def page() -> str:
    """Returns the page, generated from the tables."""
    passed: dict[str, int] = defaultdict(int)
    refused: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for case in cases_of(module):
            why = reason(case)
            if why:
                refused[operator_of(case)].append(why)
            else:
                passed[operator_of(case)] += 1
    rows = [("operator", "since", "imported", "refused forms", "tests"), ("---",) * 5]
    for name, version in operators().items():
        forms = ", ".join(sorted(set(refused[name]))) if name in IMPORTS else ""
        counts = [f"{passed[name]} pass"] * bool(passed[name]) + [f"{len(refused[name])} refused"] * bool(refused[name])
        rows.append((f"`{name}`", str(version), why_not(name) or "yes", forms, ", ".join(counts)))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return _HEAD.format(opset=onnx.defs.onnx_opset_version(), version=onnx.__version__) + "\n" + table + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
