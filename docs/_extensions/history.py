"""history: draws the ratios of all full runs of the benchmarks into the page docs/history.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__ = ["setup"]

ROOT = Path(__file__).resolve().parents[2]
MARK = "<!-- the pictures, which the site draws from benchmarks/history.jsonl -->"


def fill(app: Any, name: str, source: list[str]) -> None:
    """Puts the pictures in the place of the mark: some for each machine."""
    if name != "history":
        return
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks.history import PATH, by_machine, drawn, read
    finally:
        sys.path.remove(str(ROOT))
    app.env.note_dependency(str(PATH))
    parts = []
    for place, runs in by_machine(read()).items():
        parts.append(f"## {place}")
        for svg in drawn(runs):
            figure = svg[svg.index("<svg") :].replace("<svg", '<svg style="max-width: 100%; height: auto"', 1)
            parts.append("```{raw} html\n" + figure + "\n```")
    before, mark, after = source[0].partition(MARK)
    if not mark:
        raise ValueError(f"docs/history.md must have the line {MARK!r}")
    source[0] = before + "\n\n".join(parts) + after


def setup(app: Any) -> dict[str, Any]:
    """Registers the pictures with Sphinx."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
