"""Arguments and options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["as_json", "device", "model", "no_verify", "threads"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

model: Decorator = click.argument("model", type=click.Path(exists=True, dir_okay=False))

device: Decorator = click.option(
    "--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 and so on, or auto: CUDA where it starts."
)

threads: Decorator = click.option(
    "--threads", type=click.IntRange(1), help="Threads for one operator; onnxruntime's own choice if not given."
)

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

no_verify: Decorator = click.option(
    "--no-verify", is_flag=True, help="Run a file that was altered after lucid wrote it."
)
