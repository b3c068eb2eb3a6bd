"""The public names of lucid. `python -m tests.project.names` writes public_names.txt, which a test checks."""

from __future__ import annotations

import importlib
from pathlib import Path

__all__ = ["PAGE", "public_names"]

PAGE = Path(__file__).with_name("public_names.txt")

MODULES = (
    "lucid",
    "lucid.autograd",
    "lucid.checkpoint",
    "lucid.data",
    "lucid.distributed",
    "lucid.distributions",
    "lucid.errors",
    "lucid.export",
    "lucid.io",
    "lucid.nn",
    "lucid.nn.functional",
    "lucid.nn.init",
    "lucid.nn.utils",
    "lucid.nn.utils.parametrizations",
    "lucid.nn.utils.rnn",
    "lucid.optim",
    "lucid.optim.lr_scheduler",
    "lucid.plot",
    "lucid.runtime",
    "lucid.seeing",
    "lucid.tracer",
)
"""The modules that users import."""


def public_names() -> str:
    """Returns one line for each public name, and for each public attribute of a public class."""
    lines = []
    for name in MODULES:
        module = importlib.import_module(name)
        for public in sorted(module.__all__):
            lines.append(f"{name}.{public}")
            thing = getattr(module, public)
            if isinstance(thing, type) and thing.__module__.startswith("lucid"):
                lines += [f"{name}.{public}.{own}" for own in sorted(dir(thing)) if not own.startswith("_")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(public_names(), encoding="utf-8")
