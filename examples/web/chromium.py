"""chromium: the Chromium that this machine has, driven by Playwright (the extra `web`)."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["chromium", "missing"]

# For a machine without a network, a desktop or a graphics card.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing() -> str | None:
    """Returns why there is no Chromium to drive; None if there is one."""
    if importlib.util.find_spec("playwright") is None:
        return "there is no Playwright: install lucid-onnx[web]"
    return None if shutil.which("chromium") else "there is no chromium: see `make chromium`"


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """Runs a headless Chromium with an empty profile, and further flags; yields Playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()
