"""docs/ops.md is what the tables of ops say."""

from __future__ import annotations

import op_table


def test_the_page_is_what_the_command_makes():
    written = op_table.PAGE.read_text(encoding="utf-8").splitlines()
    made = op_table.page().splitlines()
    changed = sorted(set(made) ^ set(written))
    assert written == made, f"docs/ops.md is stale: run `python tests/op_table.py`; lines that differ: {changed}"
