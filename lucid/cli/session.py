"""Opens a session with the options of a command."""

from __future__ import annotations

import click

from ..errors import LucidError
from ..runtime import Session

__all__ = ["open_session"]


def open_session(model: str, device: str, threads: int | None, no_verify: bool) -> Session:
    """Opens a model's session; an unknown device name is an error in the command, not in the model."""
    try:
        return Session(model, device, threads=threads, verify=not no_verify)
    except LucidError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from error
