"""lucid explain: what an error means, and what to write instead."""

from __future__ import annotations

import json

import click

from ..catalogue import catalogue
from . import arguments

__all__ = ["explain"]


@click.command(short_help="Say what an error means.")
@click.argument("key", required=False)
@arguments.as_json
def explain(key: str | None, as_json: bool) -> None:
    """Say what the error KEY means, and what to write instead; without KEY, list all.

    A message of lucid's that is explained ends with its key.

    \b
    lucid explain values
    """
    texts = {entry.key: entry.text for entry in catalogue()}
    if key is not None and key not in texts:
        raise click.BadParameter(f"there is no {key!r}; there are {', '.join(texts)}", param_hint="KEY")
    if as_json:
        click.echo(json.dumps(texts if key is None else {key: texts[key]}, indent=2))
    elif key is None:
        width = max(map(len, texts))
        click.echo("\n".join(f"{name.ljust(width)}  {_title(text)}" for name, text in texts.items()))
    else:
        click.echo(texts[key])


def _title(text: str) -> str:
    return text.splitlines()[0].strip("*")
