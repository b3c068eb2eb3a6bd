"""table: the table of docs/runtimes.md, read and written."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten

import onnxruntime

from examples.web.npm import onnxruntime_web

from .browser import Page
from .engine import Engine

__all__ = ["Cells", "cells", "versions_of", "versions_on_page", "write"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runtimes.md"
START, END = "<!-- runtimes -->", "<!-- end of runtimes -->"
MADE_WITH = "Made with "

Cells = dict[str, dict[str, str]]
"""What stands in the table, by row and column."""


def cells() -> Cells:
    """Returns the table as it is in the page."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in _lines() if line[:1] == "|"]
    return {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[2:]}


def versions_on_page() -> str:
    """Returns the line that names what the table in the page was made with."""
    return next((line for line in _lines() if line.startswith(MADE_WITH)), "")


def versions_of(found: Mapping[str, Engine]) -> str:
    """Returns the line that names what a table is made with."""
    web = json.loads((onnxruntime_web().parent / "package.json").read_text())["version"]
    browser = next(engine.browser.version for engine in found.values() if isinstance(engine, Page))
    return (
        f"{MADE_WITH}Python {'.'.join(platform.python_version_tuple()[:2])} and onnxruntime {onnxruntime.__version__} "
        f"(1.22, the oldest supported, under Python 3.10), onnxruntime-web {web} and Chromium {browser.split('.')[0]}, "
        "whose WebGPU was SwiftShader: a GPU in software."
    )


def write(table: Cells, versions: str) -> None:
    """Writes the table into the page, with lines below that name the versions, and say what is wrong."""
    titles = list(next(iter(table.values())))
    lines = [_line(["", *titles]), _line(["---"] * (1 + len(titles)))]
    lines += [_line([row, *(cell.split(":")[0] for cell in line.values())]) for row, line in table.items()]
    wrong = {(row, title): cell for row, line in table.items() for title, cell in line.items() if ":" in cell}
    notes = [f"- {row}, {title}: {shorten(cell, 200, placeholder=' …')}" for (row, title), cell in wrong.items()]
    text = "\n".join([*lines, "", versions, *([""] if notes else []), *notes])
    whole = re.compile(f"(?<={START}\n).*(?={END})", re.DOTALL)
    PAGE.write_text(whole.sub(lambda _: f"\n{text}\n\n", PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def _line(parts: list[str]) -> str:
    return f"| {' | '.join(parts)} |"


def _lines() -> list[str]:
    return PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0].splitlines()
