"""Imports: their time in a new process, and the disk space of what is imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from .command import command
from .contender import package
from .machine import freed
from .options import Options
from .place import ROOT
from .result import Finding, Result, Row, ratio
from .rounds import say

__all__ = ["measure"]

LIBRARIES = ("lucid", "numpy", "torch", "jax")
ROUNDS = 15

INSTALLED = {
    "lucid": ("numpy", "onnx", "onnx-ir", "onnxruntime", "safetensors", "tqdm"),
    "numpy": ("numpy",),
    "torch": ("torch", "numpy"),
    "jax": ("jax", "jaxlib", "numpy", "scipy", "ml_dtypes", "opt_einsum"),
}
"""The installed packages of each library: lucid with its direct dependencies, peers likewise."""

CLOCK = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"

STATEMENTS = {
    "import": {name: f"import {name}" for name in LIBRARIES},
    # What lucid loads on first use does not count above, but every program with a model waits for it.
    "import, and a first model": {name: f"import {name}; {name}.nn.RNN(2, 3)" for name in ("lucid", "torch")},
    "import, and make a model and its optimizer": {
        name: f"import {name}; {name}.optim.Adam({name}.nn.RNN(2, 3).parameters())" for name in ("lucid", "torch")
    },
}
"""The timed statements, for each library that has them."""


def measure(options: Options) -> Result:
    """Measures the seconds of each import in a new process, in turns, and the installed sizes."""
    names = [name for name in LIBRARIES if name in ("lucid", "numpy") or name in options.against]
    notes = [f"{name} is left out: it is not installed" for name in names if name != "lucid" and package(name) is None]
    names = [name for name in names if name == "lucid" or package(name) is not None]
    rows = [Row(case, {name: [] for name in names if name in each}) for case, each in STATEMENTS.items()]
    for i in range(-1, 3 if options.quick else ROUNDS):
        for row in rows:
            for name in row.values:
                taken = clock(STATEMENTS[row.case][name])
                if i >= 0:  # the first round only fills the disk cache and compiles bytecode
                    row.values[name].append(taken)
    sizes = {name: sum(map(installed, INSTALLED[name])) / 2**20 for name in names}
    sizes["lucid"] += source() / 2**20
    listed = ", ".join(f"{name} {size:.0f} MiB" for name, size in sizes.items())
    notes.append(f"installed sizes, with what each depends on: {listed}; lucid alone is {source() / 2**20:.1f} MiB")
    say(f"imports: {names}")
    first, *later = rows
    beside = [Row(row.case, {"lucid": row.values["lucid"], "numpy": first.values["numpy"]}) for row in later]
    for row, both in zip(later, beside, strict=True):
        notes.append(f"{row.case}: lucid takes {ratio(both, 'lucid', 'numpy'):.2f} times what `import numpy` takes")
    findings = [
        Finding.at_most("import lucid / import numpy", 1.3, ratio(first, "lucid", "numpy")),
        Finding.at_most("import lucid, and a first model / import numpy", 1.25, ratio(beside[0], "lucid", "numpy")),
        Finding.at_least("import torch / import lucid", 8, ratio(first, "torch", "lucid")),
    ]
    return Result("imports", "Import in a new process", names, rows, findings, notes)


def clock(statement: str) -> float:
    """Returns the seconds that a statement takes in a new process."""
    # pip compiles what it installs. A checkout is compiled by its first import, unless that must not write bytecode;
    # then only lucid would be compiled again every time.
    environment = {name: value for name, value in freed().items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", CLOCK.format(statement)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def installed(name: str) -> int:
    """Returns the bytes of the files of a distribution."""
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return 0
    return _size(Path(str(file.locate())) for file in files)


def source() -> int:
    """Returns the bytes of lucid's own files."""
    return _size((ROOT / "lucid").rglob("*.py"))


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


if __name__ == "__main__":
    command(measure)
