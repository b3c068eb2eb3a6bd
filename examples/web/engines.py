"""Engines: what runs a training step, each by a driver of `examples.train_anywhere`, as a user would."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime

from .chromium import chromium, missing
from .npm import NpmError, onnxruntime_web
from .serve import server

__all__ = ["Engine", "EngineError", "Outcome", "engines"]

HERE = Path(__file__).parent
DRIVERS = HERE.parent / "train_anywhere"

# WebGPU on the CPU, for machines without a graphics card.
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")


class EngineError(RuntimeError):
    """An engine does not run a step; the message is its own."""


class Outcome(NamedTuple):
    """What an engine computed.

    Attributes:
        losses: the mean loss of each epoch.
        shares: how many nodes of the step ran on each of onnxruntime's providers; empty if the engine does not say.
    """

    losses: list[float]
    shares: dict[str, int]


class Engine(ABC):
    """Runs the step ``<name>.train.onnx`` in a folder, with the batches beside it, for some epochs.

    Attributes:
        title: what it is.
    """

    title: str

    def __init__(self, title: str) -> None:
        self.title = title

    @abstractmethod
    def run(self, folder: Path, name: str, epochs: int) -> Outcome:
        """Raises EngineError if the step does not run."""


class Driver(Engine):
    """A driver that is a program, which prints a line for each epoch."""

    def __init__(self, title: str, *program: str) -> None:
        super().__init__(title)
        self.program = program

    def words(self, folder: Path, name: str, epochs: int) -> list[str]:
        """Returns the arguments of the program."""
        return [f"{folder / name}.train.onnx", f"{folder / name}.json", str(epochs)]

    def run(self, folder: Path, name: str, epochs: int) -> Outcome:
        run = subprocess.run([*self.program, *self.words(folder, name, epochs)], capture_output=True, text=True)
        if run.returncode:
            raise EngineError((run.stderr or run.stdout).strip().splitlines()[-1])
        return Outcome([float(line.split()[3]) for line in run.stdout.splitlines() if line.startswith("epoch")], {})


class PythonDriver(Driver):
    """drive.py."""

    def words(self, folder: Path, name: str, epochs: int) -> list[str]:
        batches = sorted(map(str, folder.glob(f"{name}.*.npz")))
        return [f"{folder / name}.train.onnx", *batches, "--epochs", str(epochs)]


class CDriver(Driver):
    """drive.c."""

    def words(self, folder: Path, name: str, epochs: int) -> list[str]:
        path = folder / name
        return [f"{path}.train.onnx", f"{path}.init.onnx", f"{path}.bin", str(epochs)]


class Page(Engine):
    """A page in Chromium, with one of onnxruntime-web's builds."""

    def __init__(self, title: str, browser: Any, build: str, provider: str) -> None:
        super().__init__(title)
        self.browser, self.build, self.provider = browser, build, provider

    def run(self, folder: Path, name: str, epochs: int) -> Outcome:
        from playwright.sync_api import Error

        self._prepare(folder)
        log: list[str] = []
        with server(folder) as site:
            threading.Thread(target=site.serve_forever, daemon=True).start()
            page = self.browser.new_page()
            try:
                page.on("console", lambda message: log.append(message.text))
                page.goto(f"http://127.0.0.1:{site.server_port}/{self.build}.html")
                code = "async (given) => (await import('./bare.js')).train(...given)"
                losses = page.evaluate(code, [name, epochs, self.provider])
            except Error as error:
                raise EngineError(str(error).splitlines()[0].removeprefix("Page.evaluate: ")) from error
            finally:
                page.close()
                site.shutdown()
        return Outcome(losses, placed(log))

    def _prepare(self, folder: Path) -> None:
        """Puts what the page needs into the folder."""
        shutil.copyfile(HERE / "bare" / "bare.js", folder / "bare.js")
        shutil.copyfile(DRIVERS / "step.mjs", folder / "step.js")
        # The builds fetch their WebAssembly by its own name, from where they are themselves.
        if not (folder / "ort").exists():
            (folder / "ort").symlink_to(onnxruntime_web())
        imports = f'{{ "imports": {{ "onnxruntime-web": "./ort/{self.build}.bundle.min.mjs" }} }}'
        head = f'<link rel="icon" href="data:,"><script type="importmap">{imports}</script>'
        (folder / f"{self.build}.html").write_text(f"<!doctype html>{head}", encoding="utf-8")


def placed(log: list[str]) -> dict[str, int]:
    """Returns the number of nodes on each provider, of the step and its subgraphs, from onnxruntime's log."""
    found: dict[str, int] = {}
    for line in log:
        if match := re.search(r"placed on \[(\w+)ExecutionProvider\]\. Number of nodes: (\d+)", line):
            found[match[1]] = found.get(match[1], 0) + int(match[2])
    return found


@contextmanager
def engines(scratch: Path) -> Iterator[tuple[list[Engine], dict[str, str]]]:
    """Yields all engines that this machine has, and why it lacks the others, by their titles.

    Args:
        scratch: a folder for what has to be compiled.
    """
    found: list[Engine] = [PythonDriver("Python", sys.executable, str(DRIVERS / "drive.py"))]
    lacking: dict[str, str] = {}
    try:
        found.append(CDriver("C", str(_compiled(scratch))))
    except EngineError as error:
        lacking["C"] = str(error)
    no_web = _no_web()
    if reason := no_web or (None if shutil.which("node") else "there is no node"):
        lacking["Node"] = reason
    else:
        found.append(Driver("Node", "node", str(DRIVERS / "drive.mjs")))
    if reason := no_web or missing():
        yield found, lacking | dict.fromkeys(PAGES, reason)
        return
    with chromium(*SOFTWARE_GPU) as browser:
        pages = [Page(title, browser, build, provider) for title, (build, provider) in PAGES.items()]
        yield [*found, *pages], lacking


PAGES = {
    "Chromium, `ort.wasm`": ("ort.wasm", "wasm"),
    "Chromium, `ort.webgpu`": ("ort.webgpu", "webgpu"),
    "Chromium, `ort.jspi`": ("ort.jspi", "webgpu"),
    "Chromium, `ort.all` (jsep)": ("ort.all", "webgpu"),
}
"""The builds and their providers."""


def _no_web() -> str | None:
    """Returns why there is no onnxruntime-web; None if there is."""
    try:
        onnxruntime_web()
    except NpmError as error:
        return str(error)
    return None


def _compiled(scratch: Path) -> Path:
    """Compiles drive.c.

    Raises:
        EngineError: there is no compiler, or onnxruntime's header or library is missing.
    """
    compiler, headers = shutil.which("cc"), DRIVERS / "include"
    library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"), None)
    if compiler is None or library is None or not (headers / "onnxruntime_c_api.h").exists():
        raise EngineError("there is no compiler, or no header or library of onnxruntime: see `make headers`")
    (scratch / "libonnxruntime.so.1").symlink_to(library)
    sources = [f"-I{headers}", str(DRIVERS / "drive.c"), str(library), "-Wl,-rpath,$ORIGIN"]
    subprocess.run([compiler, "-Wall", "-Werror", *sources, "-o", str(scratch / "drive")], check=True)
    return scratch / "drive"
