"""Other versions of Python, with onnxruntime and NumPy alone, in environments of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .engine import EngineError

__all__ = ["PYTHONS", "python"]

PYTHONS = {
    "Python 3.10": "onnxruntime==1.22.*",
    "Python 3.12": "onnxruntime",
    "Python 3.13": "onnxruntime",
}
"""For each version what pip installs: for the oldest one the oldest onnxruntime that lucid supports."""


def python(title: str, scratch: Path) -> str:
    """Returns the interpreter of a new environment with onnxruntime and NumPy.

    Raises:
        EngineError: there is no such Python, or pip cannot install them.
    """
    folder = scratch / title.replace(" ", "")
    interpreter = folder / "bin" / "python"
    commands = (
        [_found(title.lower().replace(" ", "")), "-m", "venv", str(folder)],
        [str(interpreter), "-m", "pip", "install", "-qq", "--no-compile", PYTHONS[title], "numpy"],
    )
    for command in () if interpreter.exists() else commands:
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise EngineError(f"`{' '.join(command[1:])}` failed: {run.stderr.strip().splitlines()[-1:]}")
    return str(interpreter)


def _found(name: str) -> str:
    """Returns the path of an interpreter such as ``python3.12``: on the path, or among pyenv's.

    Raises:
        EngineError: there is none.
    """
    versions = sorted((Path.home() / ".pyenv" / "versions").glob(f"{name.removeprefix('python')}.*/bin/python"))
    for path in (shutil.which(name), *map(str, versions)):
        # pyenv puts a command on the path that only says that there is no such version.
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    raise EngineError(f"there is no {name}")
