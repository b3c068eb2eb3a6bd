"""models.report: tables, and when matplotlib is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from models import report

from .running import ROOT


def test_a_table_is_aligned() -> None:
    assert report.table([["", "eager", "b"], ["accuracy", "97.8%", "1"], ["x", "3", "1000"]]) == (
        "          eager     b\n---------------------\naccuracy  97.8%     1\nx             3  1000"
    )


@pytest.mark.slow
def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, models.characters, models.electricity, models.vowels; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
