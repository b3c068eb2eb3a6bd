"""The machine that a benchmark ran on."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from pathlib import Path

from .contender import package
from .worker import ROOT

__all__ = ["busy", "describe"]

PACKAGES = ("numpy", "onnx", "onnxruntime", "torch", "onnxscript", "jax", "jaxlib")

WATCHED = 1.0
"""Seconds to watch the machine before a benchmark begins; a load average would count what has ended, too."""


def describe() -> dict[str, str]:
    """Returns processor, memory, system, versions, and the day."""
    found = {
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    found |= {name: version for name in PACKAGES if (version := package(name)) is not None}
    if commit := _commit():
        found["commit"] = commit
    found["day"] = datetime.date.today().isoformat()
    return {name: text for name, text in found.items() if text}


def busy() -> str:
    """Describes other load on the machine, if it is high enough to distort times; call it before any measurement."""
    before = _worked()
    if before is None:
        return ""
    time.sleep(WATCHED)
    cores = ((_worked() or before) - before) / WATCHED
    return f"{cores:.1f} cores were busy when this began: the times are worth little" if cores > 0.3 else ""


def _worked() -> float | None:
    """Returns the seconds that all cores together have worked since the system started, those that a host took
    included; None where the system does not say.
    """
    path = Path("/proc/stat")
    if not path.exists():
        return None
    user, nice, system, _, _, irq, softirq, stolen, *_ = map(int, path.read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK")


def processor() -> str:
    """Returns the processor's name, with its widest vector instructions."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    fields = {name.strip(): text.strip() for name, text in lines.items()}
    flags = fields.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "avx") if name in flags), "")
    family = f"family {fields['cpu family']} model {fields['model']}" if "cpu family" in fields else ""
    return ", ".join(filter(None, (fields.get("model name", platform.machine()), family, widest)))


def memory() -> str:
    """Returns the size of the memory."""
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):
        return ""


def _commit() -> str:
    try:
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()
