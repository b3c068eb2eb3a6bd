"""The site builds without a warning, its links lead somewhere, it opens in a browser, and its search finds things.

It is one test, since the build takes a minute, and tests may run in several processes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

from examples.web.chromium import chromium, missing
from tests.project.names import MODULES
from tests.project.pages import ROOT

NEEDS = ("sphinx", "myst_parser", "furo", "sphinx_gallery", "sphinx_click", "sphinx_copybutton")
LACKING = [name for name in NEEDS if importlib.util.find_spec(name) is None]
NOT_REFERENCE = {"lucid.tracer"}
"""Modules whose names are on record, but that users have little to do with."""


@pytest.mark.slow
@pytest.mark.skipif(bool(LACKING), reason=f"{', '.join(LACKING)} missing: install lucid-onnx[docs]")
def test_the_site(tmp_path: Path) -> None:
    site = built(tmp_path)
    pages = {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}
    assert {"index.html", "start.html", "api/lucid.nn.RNN.html", "tutorials/plot_1_classify.html"} <= pages.keys()
    assert {f"api/{name}.html" for name in MODULES if name not in NOT_REFERENCE} <= pages.keys()
    lost = [(name, link) for name, page in pages.items() for link in page.links if not leads(site, pages, name, link)]
    assert not lost
    if reason := missing():
        pytest.skip(f"the site was built, but not opened: {reason}")
    with served(site) as address, chromium() as browser:
        open_all(browser, address, list(pages))
        search(browser, address)


def built(folder: Path) -> Path:
    """Builds the site from a copy of the checkout, without what was made there before, and returns its folder."""

    def ignored(path: str, names: list[str]) -> set[str]:
        made = {"api", "tutorials", "sg_execution_times.rst"} if Path(path) == ROOT / "docs" else {"build", "out"}
        return {name for name in names if name in {*made, "node_modules", "__pycache__"} or name.startswith(".")}

    shutil.copytree(ROOT, folder / "checkout", ignore=ignored)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-j",
        "auto",
        "-b",
        "html",
        "docs",
        str(folder / "site"),
    ]
    done = subprocess.run(
        command,
        cwd=folder / "checkout",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder / "checkout")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        self.links |= {found[name] for name in ("href", "src") if name in found}


def leads(site: Path, pages: dict[str, Page], name: str, link: str) -> bool:
    """Whether a link of a page leads out of the site, or to a file and an anchor that are there."""
    if urlsplit(link).scheme:
        return True
    target, anchor = urldefrag(urljoin(f"http://site/{name}", link))
    path = unquote(urlsplit(target).path).removeprefix("/")
    if not (site / path).is_file():
        return False
    return not anchor or path not in pages or unquote(anchor) in pages[path].anchors


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder; yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def open_all(browser: Any, address: str, pages: list[str]) -> None:
    """Opens each page; none may write to the console, raise an error, or ask another host for anything."""
    said: list[str] = []
    tab = browser.new_page()
    tab.on("console", lambda message: said.append(f"{tab.url}: {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"{tab.url}: {error}"))
    tab.on("request", lambda request: request.url.startswith((address, "data:")) or said.append(request.url))
    for page in pages:
        tab.goto(address + page)
    tab.close()
    assert not said


def search(browser: Any, address: str) -> None:
    """Searches for RNN by the box in the sidebar."""
    tab = browser.new_page()
    tab.goto(f"{address}index.html")
    tab.fill("input.sidebar-search", "RNN")
    tab.press("input.sidebar-search", "Enter")
    tab.wait_for_selector("#search-results ul.search li a")
    found = [tab.evaluate("a => a.pathname", link) for link in tab.query_selector_all("#search-results ul.search li a")]
    assert "/api/lucid.nn.RNN.html" in found[:5], found
    tab.close()
