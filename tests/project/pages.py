"""The pages of the site and of the repository: their fenced blocks, links and headings."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGES", "ROOT", "Block", "anchors", "blocks", "links", "prose"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    page.relative_to(ROOT).as_posix(): page
    for page in (
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "models/data/README.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    )
}
FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        page: the name of its page.
        line: where it begins.
        language: what stands after the backquotes; a directive of the site's in braces.
        text: what is in it, not indented.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def is_doctest(self) -> bool:
        """Whether pytest runs it."""
        return re.search(r"^>>> ", self.text, re.MULTILINE) is not None


def blocks(page: str) -> list[Block]:
    """Returns the fenced blocks of a page, in order."""
    text = PAGES[page].read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[3].strip(), textwrap.dedent(found[4]))
        for found in FENCE.finditer(text)
    ]


def prose(page: str) -> str:
    """Returns the text of a page without its fenced blocks and without code in backquotes."""
    return re.sub(r"`[^`\n]+`", "`code`", FENCE.sub("", PAGES[page].read_text(encoding="utf-8")))


def links(page: str) -> list[str]:
    """Returns the targets of the links of a page that stay in the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", PAGES[page].read_text(encoding="utf-8")))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Returns the anchors of the headings of a page, as GitHub and the site make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
