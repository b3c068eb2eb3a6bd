"""The README's program, and what it is to print."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["README", "ROOT", "program", "same_output", "shown"]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def program() -> str:
    """Returns the program on the first screen."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return str(block)


def shown() -> str:
    """Returns what it prints, as the README shows it."""
    (block,) = re.findall(r"^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return str(block)


def same_output(printed: str, shown: str) -> None:
    """Compares two outputs, but for the folder of the program and what another processor rounds otherwise.

    Raises:
        AssertionError: they differ, a difference is 1e-5 or more, or the accuracies are more than 2 % apart.
    """
    texts = [re.sub(r"(?<= at )\S*(?=speakers\.py:)", "", text).strip() for text in (printed, shown)]
    masked = [re.sub(r"\d\.\de-\d\d|\d+%", "?", text) for text in texts]
    assert masked[0] == masked[1]
    (first,), (second,) = (re.findall(r"(\d+)%", text) for text in texts)
    assert abs(int(first) - int(second)) <= 2
    assert all(float(number) < 1e-5 for text in texts for number in re.findall(r"\d\.\de-\d\d", text))
