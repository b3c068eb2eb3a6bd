"""docstrings: the house form of docstrings, as reStructuredText.

A docstring is plain text with names in backquotes, sections, and examples with ``>>>``. In reStructuredText a ``*`` or
the ``_`` at the end of a name would be markup; here they are what they are. Equations keep their lines, and what a
`Shape` section says of each tensor is an item of a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["converted", "setup"]

SECTION = re.compile(r"([A-Z]\w*):$")
EQUATION = re.compile(r"\S.* = \S")
NAMED = re.compile(r"    [^:.]+: ")
MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)|(?<=: )\w(?=\.( |$))")
"""Emphasis; substitutions; references; and numbers of items, as in ``input_size: I.``"""
CODE = re.compile(r"(``.+?``|`[^`]+`)")


def converted(lines: list[str]) -> list[str]:
    """Returns the lines of a docstring as reStructuredText; napoleon converts the sections."""
    found: list[str] = []
    section = ""
    for number, block in enumerate(paragraphs(lines)):
        first = block[0] if block else ""
        if heading := SECTION.match(first):
            section = heading[1]
        elif first and not first.startswith(" "):
            section = ""
        if any(">>> " in line for line in block) or (section == "Example" and first.startswith("    ")):
            found += block
        elif section == "Shape":
            found += shape(block)
        elif number and not section and is_equation(block):
            found += [".. code-block:: none", "", *(f"   {line}" for line in block)]
        else:
            found += map(escaped, block)
        found.append("")
    return found


def paragraphs(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yields the lines between empty lines."""
    block: list[str] = []
    for line in (*lines, ""):
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def is_equation(block: list[str]) -> bool:
    """Whether lines are equations: each has an equals sign, and none ends as a sentence does."""
    return all(EQUATION.match(line) and not line.endswith((".", ":")) for line in block)


def shape(block: list[str]) -> list[str]:
    """Makes a list of a `Shape` section: a line that names a tensor begins an item, any other line continues it."""
    found = []
    for line in block:
        if not line.startswith(" "):
            found.append(line)
        elif NAMED.match(line) or len(found) < 2:
            found.append(f"    - {escaped(line.strip())}")
        else:
            found.append(f"      {escaped(line.strip())}")
    return found


def escaped(line: str) -> str:
    """Escapes what would be markup, except within backquotes."""
    parts = CODE.split(line)
    parts[::2] = [MARKUP.sub(lambda found: f"\\{found[0]}", part) for part in parts[::2]]
    return "".join(parts)


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Converts a docstring before napoleon sees it."""
    lines[:] = converted(lines)


def setup(app: Any) -> dict[str, Any]:
    """Registers the conversion with Sphinx."""
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
