"""The command `lucid plot`."""

from __future__ import annotations

import json

import click

from ..plot import graph
from . import arguments

__all__ = ["plot"]


@click.command(short_help="Draw the graph of MODEL.")
@arguments.model
@click.argument("out", type=click.Path(dir_okay=False))
@click.option(
    "--most", type=click.IntRange(1), default=12, show_default=True, help="With more nodes a module becomes one box."
)
@arguments.as_json
def plot(model: str, out: str, most: int, as_json: bool) -> None:
    """Draw the graph of MODEL, framed by module, into OUT: .svg, .png or .pdf by Graphviz, or its text, .dot.

    The model is read, not run. In a training step the gradients and the update are frames of their own.
    """
    try:
        drawing = graph(model, path=out, most=most)
    except ValueError as error:  # the ending of OUT
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps({"model": model, "path": out, "boxes": drawing.boxes}, indent=2))
    else:
        click.echo(f"{out}: {drawing.boxes} boxes")
