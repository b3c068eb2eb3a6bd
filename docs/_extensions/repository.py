"""repository: links from pages to what lies outside of docs, which the site has elsewhere or does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["setup"]

PAGES = {
    "README.md": "index",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "security",
    "models/data/README.md": "data",
}
"""The pages of the site that show files of the repository."""


def relink(app: Any, doctree: Any) -> None:
    """Leads links to files that are pages of the site there, and makes plain text of links to folders."""
    from sphinx.addnodes import pending_xref

    root = Path(app.srcdir).parent
    for node in list(doctree.findall(pending_xref)):
        target = node.get("reftarget", "")
        if node.get("reftype") != "myst" or not target:
            continue
        places = [(start / target).resolve() for start in (Path(app.srcdir), root)]
        for place in places:
            name = place.relative_to(root).as_posix() if place.is_relative_to(root) else ""
            if name in PAGES:
                node["refdomain"], node["reftype"], node["reftarget"] = "doc", None, PAGES[name]
                node["reftargetid"] = None
                break
            if place.is_dir():
                node.replace_self(node.children)
                break


def setup(app: Any) -> dict[str, Any]:
    """Registers the links with Sphinx."""
    app.connect("doctree-read", relink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
