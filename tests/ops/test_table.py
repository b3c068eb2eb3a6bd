"""docs/ops.md is up to date with the table of ops."""

from __future__ import annotations

import pytest

from tests.ops import table


@pytest.mark.slow
def test_the_page_is_what_the_command_makes():
    written = table.PAGE.read_text(encoding="utf-8").splitlines()
    made = table.page().splitlines()
    changed = sorted(set(made) ^ set(written))
    assert written == made, f"docs/ops.md is stale: run `python -m tests.ops.table`; lines that differ: {changed}"
