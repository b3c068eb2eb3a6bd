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

_DEFAULTS = {"time": 32}


@click.command(short_help="Show the layers of MODEL, and what they cost.")
@arguments.model
@arguments.sizes("Sizes of free axes.  [default: 32 for time, 1 for all others]")
@arguments.as_json
@arguments.no_verify
def summary(model: str, sizes: dict[str, int], as_json: bool, no_verify: bool) -> None:
    """Show the layers of MODEL: output shapes, parameters, memory and multiply-adds at given sizes.

    \b
    lucid summary model.onnx --sizes batch=8,time=100

    The model is read as lucid.from_onnx reads it, and run once on generated inputs.
    """
    session = open_session(model, "cpu", None, no_verify)
    unknown = [name for name in sizes if name not in session.axes]
    if unknown:
        there = ", ".join(map(clean, session.axes)) or "none"
        raise click.UsageError(f"the model has no free axis {', '.join(map(clean, unknown))}; there is {there}")
    sizes = {name: _DEFAULTS.get(name, 1) for name in session.axes} | sizes
    found = summary_of(from_onnx(model, verify=not no_verify), *session.sample(**sizes))
    if as_json:
        click.echo(json.dumps({"model": model, "sizes": sizes, **found.as_dict()}, indent=2))
    else:
        at = ", ".join(f"{name}={n}" for name, n in sizes.items())
        for line in (f"{model} at {at}" if at else model, *str(found).splitlines()):
            click.echo(clean(line))
