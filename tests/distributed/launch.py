"""Starts processes by MPI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def launched(n: int, program: str, *words: str, launcher: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a program of this folder in n processes.

    Args:
        n: the number of processes.
        program: the name of the file.
        words: its arguments.
        launcher: whether each is started as ``python -m mpi4py``.
    """
    pytest.importorskip("mpi4py")
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    command = [mpiexec, "-n", str(n), sys.executable, *(["-m", "mpi4py"] if launcher else []), str(HERE / program)]
    # One thread each: the processes share the cores.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([*command, *words], capture_output=True, text=True, env=environment, timeout=300, check=False)


def result(n: int, program: str, **options: Any) -> Any:
    """Returns what a program printed as JSON in its last line."""
    made = launched(n, program, json.dumps(options))
    assert made.returncode == 0, made.stdout + made.stderr
    return json.loads(made.stdout.splitlines()[-1])
