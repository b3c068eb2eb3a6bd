"""Every link between pages leads to a file of the repository, and to a heading that is there."""

from __future__ import annotations

import pytest

from tests.project.pages import PAGES, ROOT, anchors, blocks, links

TUTORIALS = {path.stem for path in (ROOT / "examples" / "tutorials").glob("plot_*.py")}
MADE = {"api/index", "tutorials/index", *(f"tutorials/{name}" for name in TUTORIALS)}
"""Pages that the site makes."""


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    lost = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (PAGES[page].parent / path).resolve() if path else PAGES[page]
        if path in MADE:
            continue
        found = target.exists() and target.is_relative_to(ROOT)
        if not found or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert not lost


def test_there_are_links_to_check() -> None:
    assert len(links("docs/export.md")) > 5
    assert "lowerings" in anchors(ROOT / "docs" / "export.md")
    assert any("#" in link for link in links("docs/index.md"))


def test_every_page_has_its_place() -> None:
    """A page that no table of contents has cannot be found."""
    entries = [
        line for block in blocks("docs/index.md") if block.language == "{toctree}" for line in block.text.splitlines()
    ]
    lost = []
    for page in PAGES:
        name = page.removeprefix("docs/").removesuffix(".md")
        if page.startswith("docs/") and name != "index" and name not in entries:
            lost.append(page)
    assert not lost, "add them to a toctree in docs/index.md"
