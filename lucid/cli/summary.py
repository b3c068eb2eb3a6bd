"""The command `lucid summary`."""

from __future__ import annotations

import json

import click

from ..importing import from_onnx
from ..seeing import summary as summary_of
from . import arguments
from .session import open_session
from .text import clean

__all__ = ["summary"]

_DEFAULTS = {"batch": 1, "time": 32}


@click.command()
@arguments.model
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="NAME=SIZE",
    help="The size of a free axis.  [default: 1; 32 for time]",
)
@arguments.as_json
@arguments.no_verify
def summary(model: str, axes: tuple[str, ...], as_json: bool, no_verify: bool) -> None:
    """Show the layers of MODEL: output shapes, parameters, memory and multiply-adds at given sizes.

    \b
    lucid summary model.onnx --axis batch=8 --axis time=100

    The model is read as lucid.from_onnx reads it, and run once on generated inputs.
    """
    session = open_session(model, "cpu", None, no_verify)
    sizes = {name: _DEFAULTS.get(name, 1) for name in session.axes} | _parsed(axes, session.axes)
    found = summary_of(from_onnx(model, verify=not no_verify), *session.sample(**sizes))
    if as_json:
        click.echo(json.dumps({"model": model, "sizes": sizes, **found.as_dict()}, indent=2))
    else:
        at = ", ".join(f"{name}={n}" for name, n in sizes.items())
        for line in (f"{model} at {at}" if at else model, *str(found).splitlines()):
            click.echo(clean(line))


def _parsed(texts: tuple[str, ...], names: tuple[str, ...]) -> dict[str, int]:
    """Parses sizes of free axes, as in batch=8."""
    sizes = {}
    for text in texts:
        name, equals, size = text.rpartition("=")
        if not equals or not (size.isascii() and size.isdecimal() and 0 < int(size) < 2**31):
            raise click.UsageError(f"--axis takes a name and a size, as in batch=8; got {clean(text)!r}")
        if name not in names:
            there = ", ".join(map(clean, names)) or "none"
            raise click.UsageError(f"the model has no free axis {clean(name)}; there is {there}")
        sizes[name] = int(size)
    return sizes
