"""Page: a page in Chromium with one of onnxruntime-web's builds."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from examples.web.npm import onnxruntime_web
from examples.web.serve import server

from .engine import Engine, EngineError, Outcome, read

__all__ = ["PAGES", "SOFTWARE_GPU", "Page", "placed"]

HERE = Path(__file__).parent

# WebGPU on the CPU, for machines without a graphics card.
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")

PAGES = {
    "Chromium, `ort.wasm`": ("ort.wasm", "wasm"),
    "Chromium, `ort.webgpu`": ("ort.webgpu", "webgpu"),
    "Chromium, `ort.jspi`": ("ort.jspi", "webgpu"),
    "Chromium, `ort.all` (jsep)": ("ort.all", "webgpu"),
}
"""The builds and their providers."""

FILES = {
    "page.js": HERE / "page.js",
    "model.js": HERE.parent / "deploy" / "model.mjs",
    "step.js": HERE.parent / "train_anywhere" / "step.mjs",
}
"""What the page loads."""


class Page(Engine):
    """A page in Chromium, with one of onnxruntime-web's builds."""

    def __init__(self, title: str, browser: Any, build: str, provider: str) -> None:
        super().__init__(title)
        self.browser, self.build, self.provider = browser, build, provider

    def infer(self, folder: Path, name: str, states: Mapping[str, str]) -> Outcome:
        described, shares = self._call(folder, "infer", name, dict(states), self.provider)
        return Outcome([read(outputs) for outputs in json.loads(described)], shares)

    def train(self, folder: Path, name: str, epochs: int) -> Outcome:
        return Outcome(*self._call(folder, "train", name, epochs, self.provider))

    def _call(self, folder: Path, function: str, *given: Any) -> tuple[Any, dict[str, int]]:
        """Calls a function of page.js; returns its result, and how many nodes ran on each provider."""
        from playwright.sync_api import Error

        self._prepare(folder)
        log: list[str] = []
        with server(folder) as site:
            threading.Thread(target=site.serve_forever, daemon=True).start()
            page = self.browser.new_page()
            try:
                page.on("console", lambda message: log.append(message.text))
                page.goto(f"http://127.0.0.1:{site.server_port}/{self.build}.html")
                code = "async ([name, given]) => (await import('./page.js'))[name](...given)"
                result = page.evaluate(code, [function, given])
            except Error as error:
                raise EngineError(str(error).splitlines()[0].removeprefix("Page.evaluate: ")) from error
            finally:
                page.close()
                site.shutdown()
        return result, placed(log)

    def _prepare(self, folder: Path) -> None:
        """Puts what the page needs into the folder."""
        for name, source in FILES.items():
            shutil.copyfile(source, folder / name)
        # The builds fetch their WebAssembly by its own name, from where they are themselves.
        if not (folder / "ort").exists():
            (folder / "ort").symlink_to(onnxruntime_web())
        imports = f'{{ "imports": {{ "onnxruntime-web": "./ort/{self.build}.bundle.min.mjs" }} }}'
        head = f'<link rel="icon" href="data:,"><script type="importmap">{imports}</script>'
        (folder / f"{self.build}.html").write_text(f"<!doctype html>{head}", encoding="utf-8")


def placed(log: list[str]) -> dict[str, int]:
    """Returns the number of nodes on each provider, of the model and its subgraphs, from onnxruntime's log."""
    found: dict[str, int] = {}
    for line in log:
        if match := re.search(r"placed on \[(\w+)ExecutionProvider\]\. Number of nodes: (\d+)", line):
            found[match[1]] = found.get(match[1], 0) + int(match[2])
    return found
