"""The programs need PyTorch and are no tests themselves: `test_programs` runs them, with both libraries."""

from __future__ import annotations

from pathlib import Path

OWN = {"__init__.py", "conftest.py", "test_programs.py"}
collect_ignore = sorted(path.name for path in Path(__file__).parent.glob("*.py") if path.name not in OWN)
