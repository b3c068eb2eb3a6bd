"""Ten programs written for PyTorch run with lucid: only their lines of imports change."""

from __future__ import annotations

import re
import types
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
PROGRAMS = [path.stem for path in sorted(HERE.glob("*.py")) if path.stem not in ("__init__", "test_programs")]
RELATIVE, ABSOLUTE = 1e-4, 1e-5


def with_lucid(source):
    """Returns the source of a program with lucid in the place of PyTorch: only lines of imports are changed."""
    source = re.sub(r"^import torch$", "import lucid as torch", source, flags=re.M)
    return re.sub(r"^(import|from) torch\b", r"\1 lucid", source, flags=re.M)


def results_of(name, source):
    module = types.ModuleType(name)
    exec(compile(source, str(HERE / f"{name}.py"), "exec"), module.__dict__)
    return np.array(module.main(), np.float64)


def source_of(name):
    return (HERE / f"{name}.py").read_text(encoding="utf-8")


def test_only_lines_of_imports_change():
    for name in PROGRAMS:
        before, after = source_of(name), with_lucid(source_of(name))
        lines = zip(before.splitlines(), after.splitlines(), strict=True)
        changed = [(old, new) for old, new in lines if old != new]
        assert changed
        assert all(re.match(r"(import|from) torch\b", old) for old, _ in changed)
        assert not re.search(r"^\s*(import|from) torch\b", after, re.M)
    assert len(PROGRAMS) == 10


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_gives_the_same_losses(name):
    found, wanted = results_of(name, with_lucid(source_of(name))), results_of(name, source_of(name))
    np.testing.assert_allclose(found, wanted, RELATIVE, ABSOLUTE)
