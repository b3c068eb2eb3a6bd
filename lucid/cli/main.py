"""The command `lucid`, and its error handling."""

from __future__ import annotations

from typing import Any

import click

from .. import __version__
from ..errors import LucidError
from .bench import bench
from .convert import convert
from .explain import explain
from .info import info
from .plot import plot
from .run import run
from .score import score
from .summary import summary
from .text import clean
from .verify import verify

__all__ = ["main"]


class _Commands(click.Group):
    """A command group that reports errors in the model or the data in one line on stderr, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (LucidError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(clean(_said(error))) from error


def _said(error: Exception) -> str:
    """Returns the message of an error; that of the system has a number, which says nothing to a reader."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0, all is well; 1, the model or the data are at fault; 2, the command was not understood.",
)
@click.version_option(__version__, prog_name="lucid")
def main() -> None:
    """Inspect, draw, verify and convert ONNX models, run them in onnxruntime, time them, and score files of rows."""


for command in (info, summary, plot, verify, run, bench, convert, score, explain):
    main.add_command(command)
