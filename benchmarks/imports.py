"""Imports: how long they take in a new process, and how much of a disk what is imported takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from .command import command
from .contender import package
from .options import Options
from .result import Finding, Result, Row, ratio
from .rounds import say
from .worker import ROOT

__all__ = ["measure"]

LIBRARIES = ("lucid", "numpy", "torch", "jax")
ROUNDS = 15

INSTALLED = {
    "lucid": ("numpy", "onnx", "onnx-ir", "onnxruntime", "safetensors", "tqdm"),
    "numpy": ("numpy",),
    "torch": ("torch", "numpy"),
    "jax": ("jax", "jaxlib", "numpy", "scipy", "ml_dtypes", "opt_einsum"),
}
"""What is on the disk for each: lucid with everything that it depends on at the first level, peers likewise."""

CLOCK = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def measure(options: Options) -> Result:
    """Imports: seconds of each import in a new process, in turns, and the installed sizes."""
    names = [name for name in LIBRARIES if name in ("lucid", "numpy") or name in options.against]
    notes = [f"{name} is left out: it is not installed" for name in names if name != "lucid" and package(name) is None]
    names = [name for name in names if name == "lucid" or package(name) is not None]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(-1, 3 if options.quick else ROUNDS):
        for name in names:
            taken = clock(name)
            if i >= 0:  # the round before the first one fills the disk's cache
                seconds[name].append(taken)
    row = Row("import", seconds)
    sizes = {name: sum(map(installed, INSTALLED[name])) / 2**20 for name in names}
    sizes["lucid"] += source() / 2**20
    listed = ", ".join(f"{name} {size:.0f} MiB" for name, size in sizes.items())
    notes.append(f"installed sizes, with what each depends on: {listed}; lucid alone is {source() / 2**20:.1f} MiB")
    say(f"imports: {names}")
    findings = [
        Finding.at_most("import lucid / import numpy", 1.3, ratio(row, "lucid", "numpy")),
        Finding.at_least("import torch / import lucid", 8, ratio(row, "torch", "lucid")),
    ]
    return Result("imports", "Import in a new process", names, [row], findings, notes)


def clock(name: str) -> float:
    """The seconds that an import takes in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCK.format(name)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def installed(name: str) -> int:
    """The bytes of the files of a distribution."""
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return 0
    return _size(Path(str(file.locate())) for file in files)


def source() -> int:
    """The bytes of lucid's own files."""
    return _size((ROOT / "lucid").rglob("*.py"))


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


if __name__ == "__main__":
    command(measure)
