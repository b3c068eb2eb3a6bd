"""The catalogue of errors: each program raises its error, the other does not, and docs/errors.md is a copy."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import lucid
import lucid.distributed
from lucid import nn
from lucid.catalogue import Entry, catalogue, entry_of
from lucid.cli import main
from lucid.errors import ExportError, LucidError
from tests.tiers import thinned

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def run(program: str) -> None:
    """Runs a program of the catalogue."""
    try:
        exec(program, {"lucid": lucid, "nn": nn, "np": np})
    finally:
        if lucid.distributed.is_initialized():
            lucid.distributed.destroy_process_group()


@pytest.mark.parametrize("entry", thinned(catalogue(), 3), ids=lambda entry: entry.key)
def test_the_first_program_raises_the_error_and_the_second_does_not(entry: Entry) -> None:
    wrong, right = re.findall(r"```python\n(.*?)```", entry.text, re.DOTALL)
    with pytest.raises(LucidError) as found:
        run(wrong)
    message = str(found.value)
    assert message.endswith(f" (see: lucid explain {entry.key})")
    assert [other.key for other in catalogue() if other.explains(message)] == [entry.key]
    assert entry.text.split("```text\n")[1].startswith(f"{type(found.value).__name__}: ")
    run(right)


def test_an_error_of_an_error_has_one_reference() -> None:
    inner = ExportError("to_onnx: axis 0 of x cannot be dynamic ('time'): why")
    assert str(ExportError(f"{inner}, and more")).count("lucid explain axes") == 1
    assert entry_of("something else") is None
    assert str(ExportError("something else")) == "something else"


def test_a_message_may_be_long() -> None:
    """It may quote a name in a hostile file."""
    assert entry_of("to_onnx: output differs at " * 100_000) is None


def test_the_page_is_a_copy() -> None:
    assert PAGE.read_text(encoding="utf-8") == files(lucid).joinpath("catalogue.md").read_text(encoding="utf-8")


def test_the_command() -> None:
    def said(*words: str) -> Any:
        return CliRunner().invoke(main, ["explain", *words])

    keys = [entry.key for entry in catalogue()]
    assert [line.split()[0] for line in said().stdout.splitlines()] == keys
    assert "An exported function decides by a value" in said().stdout
    assert "lucid.where" in said("values").stdout
    assert "lucid.where" in json.loads(said("values", "--json").stdout)["values"]
    assert list(json.loads(said("--json").stdout)) == keys
    assert said("nothing").exit_code == 2
