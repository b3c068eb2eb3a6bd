"""The house form of docstrings, and what the site makes of it."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.project.names import MODULES
from tests.project.pages import ROOT


def extension(name: str) -> ModuleType:
    """Imports an extension of the site, which lies in no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_extensions" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documented() -> Iterator[tuple[Path, str]]:
    """Yields each docstring of lucid's."""
    for path in sorted((ROOT / "lucid").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
                yield path, text


def test_what_continues_an_argument_is_indented() -> None:
    """A line that is not would be taken for another argument."""
    wrong = []
    for path, text in documented():
        section = ""
        for line in text.splitlines():
            if found := re.fullmatch(r"([A-Z]\w*):", line):
                section = found[1]
            elif line and not line.startswith(" "):
                section = ""
            elif section in ("Args", "Attributes", "Raises") and re.match(r"    \S", line) and ": " not in line:
                wrong.append(f"{path.relative_to(ROOT)}: {line}")
    assert not wrong


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Adds (N, *) to a|b by add_.", ["Adds (N, \\*) to a\\|b by add\\_.", ""]),
        ("Adds ``x * y`` to `add_`.", ["Adds ``x * y`` to `add_`.", ""]),
        ("A\n\nh_t = f(x)\nc_t = 2 * x", ["A", "", ".. code-block:: none", "", "   h_t = f(x)", "   c_t = 2 * x", ""]),
        ("A\n\nHere x = 2 holds.", ["A", "", "Here x = 2 holds.", ""]),
        ("Args:\n    size: I.", ["Args:", "    size: \\I.", ""]),
        ("Shape:\n    x: (T, *)\n    more", ["Shape:", "    - x: (T, \\*)", "      more", ""]),
        ("Example:\n    >>> a * b_", ["Example:", "    >>> a * b_", ""]),
    ],
)
def test_docstrings_become_restructured_text(text: str, made: list[str]) -> None:
    assert extension("docstrings").converted(text.split("\n")) == made


def test_the_reference_has_every_public_module() -> None:
    assert set(MODULES) - {"lucid.tracer"} <= set(extension("reference").MODULES)


def test_the_reference_has_every_public_name(tmp_path: Path) -> None:
    reference = extension("reference")
    reference.write(tmp_path)
    pages = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.rst")}
    for name in ("lucid.nn.RNN", "lucid.Tensor", "lucid.data.DataLoader", "lucid.runtime.Session"):
        assert f".. autoclass:: {name.rpartition('.')[2]}\n" in pages[name]
    for module, function in (("lucid", "tanh"), ("lucid.nn.functional", "cross_entropy"), ("lucid.export", "to_onnx")):
        assert f".. autofunction:: {function}\n" in pages[module]
    assert "~Tensor.unfold" in pages["lucid.Tensor"]
    reference.write(tmp_path)
    assert {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.rst")} == pages
