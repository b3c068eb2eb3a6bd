"""The command `lucid verify`."""

from __future__ import annotations

import json

import click

from ..export import verify as verify_file
from . import arguments
from .text import clean

__all__ = ["verify"]


@click.command(short_help="Check that MODEL is as lucid wrote it.")
@arguments.model
@click.option("-q", "--quiet", is_flag=True, help="Print nothing if all is well.")
@arguments.as_json
def verify(model: str, quiet: bool, as_json: bool) -> None:
    """Check that MODEL is as lucid wrote it: its graph, its weights, its metadata.

    The exit code is 1 if it was altered or damaged, or if lucid did not write it.
    """
    report = verify_file(model)
    if as_json and not quiet:
        click.echo(json.dumps(report._asdict(), indent=2))
    elif not quiet:
        for line in str(report).splitlines():
            click.echo(clean(line))
