"""What a model's command line refuses before it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models import characters, electricity, vowels


@pytest.mark.parametrize("model", [vowels, electricity, characters])
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--epochs", "0"], "must be a positive whole number; got 0"),
        (["--hidden", "-3"], "must be a positive whole number; got -3"),
        (["--batch-size", "1.5"], "must be a positive whole number; got 1.5"),
        (["--learning-rate", "0"], "must be positive; got 0"),
        (["--learning-rate", "fast"], "invalid positive value: 'fast'"),
        (["--device", "tpu"], "device must be 'cpu', 'cuda'"),
        (["--out", __file__], "is no folder"),
    ],
)
def test_mistakes_are_found_before_training(model: Any, words: list[str], reason: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as error:
        model.parse(words)
    assert error.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_text_must_be_a_file(tmp_path: Path, capsys: Any) -> None:
    for path in (tmp_path, tmp_path / "missing.txt"):
        with pytest.raises(SystemExit):
            characters.parse(["--text", str(path)])
        assert f"there is no file {path}" in capsys.readouterr().err
    assert characters.parse(["--text", __file__, "--out", str(tmp_path / "new")]).text == Path(__file__)
