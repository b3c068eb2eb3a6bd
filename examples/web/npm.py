"""npm: finds onnxruntime-web, which ``npm ci`` installs as package-lock.json says."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

__all__ = ["NpmError", "onnxruntime_web"]

EXAMPLES = Path(__file__).resolve().parents[1]
INSTALLED = EXAMPLES / "node_modules" / "onnxruntime-web"


class NpmError(RuntimeError):
    """onnxruntime-web is neither installed, nor can it be."""


def onnxruntime_web() -> Path:
    """Returns the folder of onnxruntime-web's builds, in the version that package.json names; installs it if missing.

    Raises:
        NpmError: it is missing, and there is no npm or npm fails.
    """
    wanted = json.loads((EXAMPLES / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    about = INSTALLED / "package.json"
    if not about.exists() or json.loads(about.read_text())["version"] != wanted:
        _install(wanted)
    return INSTALLED / "dist"


def _install(wanted: str) -> None:
    what = f"onnxruntime-web {wanted} is not installed in {EXAMPLES / 'node_modules'}"
    npm = shutil.which("npm")
    if npm is None:
        raise NpmError(f"{what}, and there is no npm to install it with; install Node.js, which has npm")
    print(f"installing onnxruntime-web {wanted} with npm ci", flush=True)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    run = subprocess.run(command, cwd=EXAMPLES, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode:
        raise NpmError(f"{what}, and `npm ci` failed in {EXAMPLES}:\n{run.stderr.strip()}")
