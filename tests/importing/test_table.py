"""docs/importing-appendix.md is up to date with the table of imports."""

from __future__ import annotations

import re

import onnx
import pytest

from lucid.importing.registry import IMPORTS
from tests.importing import table

STALE = "docs/importing-appendix.md is stale: run `python -m tests.importing.table`"


def written() -> dict[str, str]:
    """Returns for each operator of the page whether it is imported."""
    rows = re.findall(r"^\| `(\w+)` \| \d+ \| ([^|]*) \|", table.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows)


def test_the_page_lists_what_is_imported():
    listed = written()
    own = {name for name in IMPORTS if not name.islower()}
    assert {name for name, text in listed.items() if text == "yes"} == own & {*listed}, STALE
    assert own <= {*listed}, STALE


def test_the_page_lists_the_operators_of_onnx():
    made_with = re.search(r"Made with onnx (\S+)", table.PAGE.read_text(encoding="utf-8"))[1]
    if made_with == onnx.__version__:
        assert {*written()} == {*table.operators()}, STALE
    else:  # an older or a newer one knows other operators, but those of the page do not change their names
        assert len({*written()} & {*table.operators()}) > 190


@pytest.mark.slow
def test_the_page_is_what_the_command_makes():
    page = table.PAGE.read_text(encoding="utf-8")
    if f"Made with onnx {onnx.__version__} " not in page:
        pytest.skip("the page counts the tests of another version of onnx")
    changed = sorted({*table.page().splitlines()} ^ {*page.splitlines()})
    assert not changed, f"{STALE}; lines that differ: {changed}"
