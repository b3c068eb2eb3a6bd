"""Arguments and options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

__all__ = ["as_json", "device", "model", "no_verify", "sizes", "split", "threads"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

model: Decorator = click.argument("model", type=click.Path(exists=True, dir_okay=False))

device: Decorator = click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="cpu; cuda, cuda:1 and so on; webgpu or another execution provider; or auto: CUDA where it starts.",
)

threads: Decorator = click.option(
    "--threads", type=click.IntRange(1), help="Threads for one operator; onnxruntime's own choice if not given."
)

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

no_verify: Decorator = click.option(
    "--no-verify", is_flag=True, help="Run a file that was altered after lucid wrote it."
)


def sizes(text: str) -> Decorator:
    """Returns the option for sizes of free axes, with its help text; its value is a dict."""
    return click.option("--sizes", callback=_sizes, metavar="NAME=SIZE,...", help=text)


def _sizes(ctx: click.Context, param: click.Parameter, text: str | None) -> dict[str, int]:
    """Parses sizes of axes, as in batch=32,time=100."""
    found: dict[str, int] = {}
    for part in split([text] if text else []):
        name, equals, size = part.rpartition("=")
        if not equals or not name or not (size.isascii() and size.isdecimal() and 0 < int(size) < 2**31):
            raise click.BadParameter(f"{part!r}: expected a name and a size, as in batch=32,time=100")
        if found.setdefault(name, int(size)) != int(size):
            raise click.BadParameter(f"{name!r} is given twice")
    return found


def split(texts: Sequence[str]) -> list[str]:
    """Returns the parts of texts, which commas separate."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]
