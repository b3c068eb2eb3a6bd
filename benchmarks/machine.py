"""The machine that a benchmark ran on."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from pathlib import Path

from .contender import package
from .place import ROOT

__all__ = ["busy", "describe", "freed", "held", "vectors"]

PACKAGES = ("numpy", "onnx", "onnxruntime", "torch", "onnxscript", "jax", "jaxlib")

HOLDING = (
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
)
"""The variables that hold a library to the kernels of another processor than the one that it runs on."""

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


def freed() -> dict[str, str]:
    """Returns the environment without what holds a library to older kernels."""
    return {name: text for name, text in os.environ.items() if name not in HOLDING}


def held() -> str:
    """Describes what holds a library to older kernels here; contenders run without it."""
    found = [f"{name}={os.environ[name]}" for name in HOLDING if name in os.environ]
    if not found:
        return ""
    return (
        f"{', '.join(found)} holds a library to the kernels of another processor; contenders in processes of their own "
        "were measured without it"
    )


def processor() -> str:
    """Returns the processor's name, with its widest vector instructions."""
    fields = _fields()
    if not fields:
        return platform.processor() or platform.machine()
    family = f"family {fields['cpu family']} model {fields['model']}" if "cpu family" in fields else ""
    return ", ".join(filter(None, (fields.get("model name", platform.machine()), family, vectors())))


def vectors() -> str:
    """Returns the processor's widest vector instructions, "avx512f", "avx2" or "avx"; "" where it has or tells none."""
    flags = _fields().get("flags", "").split()
    return next((name for name in ("avx512f", "avx2", "avx") if name in flags), "")


def _fields() -> dict[str, str]:
    """Returns what the system says of the last processor; {} where it does not."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return {name.strip(): text.strip() for name, text in lines.items()}


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
