"""engines: all engines that this machine has, and why it lacks the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import onnxruntime

from examples.web.chromium import chromium, missing
from examples.web.npm import NpmError, onnxruntime_web

from .browser import PAGES, SOFTWARE_GPU, Page
from .engine import Engine, EngineError, Program
from .pythons import PYTHONS, python

__all__ = ["LOCAL", "TITLES", "engines"]

EXAMPLES = Path(__file__).resolve().parents[1]
DEPLOY, DRIVERS = EXAMPLES / "deploy", EXAMPLES / "train_anywhere"
JNA = Path("/usr/share/java/jna.jar")
"""Where Debian's package libjna-java has it."""

Make = Callable[[Path], Program]


def python_engine(title: str, interpreter: str) -> Program:
    """Returns run.py and drive.py under an interpreter."""

    def words(path: Path, epochs: int) -> list[str]:
        batches = sorted(map(str, path.parent.glob(f"{path.name}.*.npz")))
        return [f"{path}.train.onnx", *batches, "--epochs", str(epochs)]

    run, drive = ([interpreter, str(file)] for file in (DEPLOY / "run.py", DRIVERS / "drive.py"))
    return Program(title, run, ".json", drive, words)


def other_python_engine(title: str, scratch: Path) -> Program:
    """Returns the same under another version of Python.

    Raises:
        EngineError: there is no such Python, or its packages cannot be installed.
    """
    return python_engine(title, python(title, scratch))


def c_engine(scratch: Path) -> Program:
    """Compiles run.c and drive.c.

    Raises:
        EngineError: there is no compiler, or onnxruntime's header or library is missing.
    """
    compiler, headers = shutil.which("cc"), DRIVERS / "include"
    library = shared_library(scratch)
    if compiler is None or not (headers / "onnxruntime_c_api.h").exists():
        raise EngineError("there is no compiler, or no header of onnxruntime: see `make headers`")
    for source in (DEPLOY / "run.c", DRIVERS / "drive.c"):
        words = [f"-I{headers}", str(source), str(library), "-Wl,-rpath,$ORIGIN"]
        subprocess.run([compiler, "-Wall", "-Werror", *words, "-o", str(scratch / source.stem)], check=True)
    return Program(
        "C",
        [str(scratch / "run")],
        ".bin",
        [str(scratch / "drive")],
        lambda path, epochs: [f"{path}.train.onnx", f"{path}.init.onnx", f"{path}.bin", str(epochs)],
    )


def java_engine(scratch: Path) -> Program:
    """Compiles Run.java.

    Raises:
        EngineError: there is no Java, or no JNA.
    """
    compiler, java = shutil.which("javac"), shutil.which("java")
    library = shared_library(scratch)
    if compiler is None or java is None or not JNA.exists():
        raise EngineError("there is no Java, or no JNA: see `make java`")
    source = str(DEPLOY / "Run.java")
    subprocess.run([compiler, "-Werror", "-cp", str(JNA), "-d", str(scratch), source], check=True)
    path = os.pathsep.join([str(JNA), str(scratch)])
    return Program("Java", [java, "-cp", path, f"-Djna.library.path={library.parent}", "Run"], ".bin")


def node_engine(scratch: Path) -> Program:
    """Returns run.mjs and drive.mjs.

    Raises:
        EngineError: there is no Node, or no onnxruntime-web.
    """
    if reason := no_web() or (None if shutil.which("node") else "there is no node"):
        raise EngineError(reason)
    run, drive = (["node", str(file)] for file in (DEPLOY / "run.mjs", DRIVERS / "drive.mjs"))
    return Program(
        "Node", run, ".json", drive, lambda path, epochs: [f"{path}.train.onnx", f"{path}.json", str(epochs)]
    )


def shared_library(scratch: Path) -> Path:
    """Returns a link to onnxruntime's C library, which the Python wheel has, under the names that linkers look for.

    Raises:
        EngineError: the wheel has none.
    """
    library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"), None)
    if library is None:
        raise EngineError("this onnxruntime has no libonnxruntime.so")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        if not (scratch / name).exists():
            (scratch / name).symlink_to(library)
    return scratch / "libonnxruntime.so"


def no_web() -> str | None:
    """Returns why there is no onnxruntime-web; None if there is."""
    try:
        onnxruntime_web()
    except NpmError as error:
        return str(error)
    return None


OTHERS: dict[str, Make] = {title: partial(other_python_engine, title) for title in PYTHONS}
LOCAL: dict[str, Make] = {
    "Python": lambda scratch: python_engine("Python", sys.executable),
    "C": c_engine,
    "Java": java_engine,
    "Node": node_engine,
}
"""The programs; all but the other versions of Python, whose packages pip has to load."""
TITLES = ["Python", *OTHERS, *[title for title in LOCAL if title != "Python"], *PAGES]
"""All engines, in the order of the table."""


@contextmanager
def engines(scratch: Path, *titles: str) -> Iterator[tuple[dict[str, Engine], dict[str, str]]]:
    """Yields engines by their titles, and why this machine lacks those that it lacks.

    Args:
        scratch: a folder for what has to be compiled or installed.
        titles: those that are wanted.
    """
    found: dict[str, Engine] = {}
    lacking: dict[str, str] = {}
    for title in titles:
        if make := (LOCAL | OTHERS).get(title):
            try:
                found[title] = make(scratch)
            except EngineError as error:
                lacking[title] = str(error)
    pages = [title for title in titles if title in PAGES]
    reason = (no_web() or missing()) if pages else None
    with ExitStack() as stack:
        if reason:
            lacking |= dict.fromkeys(pages, reason)
        elif pages:
            browser = stack.enter_context(chromium(*SOFTWARE_GPU))
            found |= {title: Page(title, browser, *PAGES[title]) for title in pages}
        yield found, lacking
