"""Running models as a user does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(model: str, out: Path, *arguments: str) -> tuple[str, str]:
    """Runs a model as a user does, and returns its stdout and its stderr."""
    command = [sys.executable, "-W", "error", "-m", f"models.{model}", "--out", str(out), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert not done.returncode, done.stderr
    return done.stdout, done.stderr


def is_picture(path: Path) -> bool:
    """Whether a file is a PNG with something on it."""
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
