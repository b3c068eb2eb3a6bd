"""The command `lucid score`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from ..errors import LucidError
from ..runtime import Scored, Session
from ..runtime.scoring.layout import lay_out
from ..runtime.scoring.parts import Part, parts_of, score_alone
from ..runtime.scoring.score import missing, open_source
from ..tables import counted
from . import arguments
from .session import open_session
from .text import clean

__all__ = ["score"]

Outcomes = Iterator[tuple[Part, Scored | str]]


def _pairs(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Parses names of inputs and columns, as in x=frames,lengths=n."""
    found: dict[str, str] = {}
    for text in arguments.split(texts):
        name, equals, column = text.partition("=")
        if not name or not equals or not column:
            raise click.BadParameter(f"{text!r}: expected INPUT=COLUMN, as in x=frames,lengths=n")
        if name in found:
            raise click.BadParameter(f"the input {name!r} is given twice")
        found[name] = column
    return found


def _names(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> list[str] | None:
    return arguments.split(texts) if texts else None


@click.command(short_help="Run MODEL over files of rows.")
@arguments.model
@click.argument("inputs", nargs=-1, required=True, metavar="IN...", type=click.Path(exists=True))
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False), help="The folder for the results.")
@click.option(
    "--columns",
    multiple=True,
    callback=_pairs,
    metavar="INPUT=COLUMN,...",
    help="The columns that inputs read.  [default: those of the same names]",
)
@click.option(
    "--keep",
    multiple=True,
    callback=_names,
    metavar="COLUMN,...",
    help="The columns to carry through; '' for none.  [default: all that the model does not read]",
)
@click.option("--batch-axis", metavar="NAME", help="The axis that counts rows, where the file does not prove which.")
@click.option("--batch-size", type=click.IntRange(1), default=512, show_default=True, help="The most rows in one call.")
@click.option("--workers", type=click.IntRange(1), help="Score in so many processes of a local Dask cluster.")
@click.option("--scheduler", metavar="ADDRESS", help="Score on a running Dask cluster, as at tcp://host:8786.")
@arguments.device
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads for one operator.")
@arguments.as_json
@arguments.no_verify
def score(
    model: str,
    inputs: tuple[str, ...],
    out: str,
    columns: dict[str, str],
    keep: list[str] | None,
    batch_axis: str | None,
    batch_size: int,
    workers: int | None,
    scheduler: str | None,
    device: str,
    threads: int,
    as_json: bool,
    no_verify: bool,
) -> None:
    """Run MODEL over files of rows IN, and write a file of results of the same name for each.

    \b
    lucid score rnn.onnx rows/ --out results --columns x=frames,lengths=n --workers 4

    IN are .parquet or .npz files, or folders of them. Results that are there already are kept if they were made by this
    model from this file, so a killed job can be run again. A file that fails is reported, and the rest goes on.
    """
    if workers is not None and scheduler is not None:
        raise click.UsageError("--workers starts a cluster, and --scheduler uses a running one; give one of them")
    session = open_session(model, device, threads, no_verify)
    lay_out(session, batch_axis)  # what no file could change fails now
    parts = parts_of(inputs, out)
    options = {"columns": columns, "keep": keep, "batch": batch_axis, "batch_size": batch_size}
    with _bar(session, parts, columns) as bar:
        if workers is None and scheduler is None:
            outcomes, step = score_alone(session, parts, options, bar.update), False
        else:
            outcomes, step = _on_cluster(session, parts, options, workers or 0, scheduler), True
        done, failed = _collected(outcomes, bar, step)
    rows, skipped = sum(scored.rows for scored in done), sum(scored.skipped for scored in done)
    if as_json:
        files = [scored._asdict() for scored in sorted(done)]
        click.echo(json.dumps({"rows": rows, "files": files, "failed": failed}, indent=2))
    else:
        made = f"{counted(rows, 'row')} in {counted(len(done), 'file')}"
        click.echo(f"{made}; {skipped} there already, {len(failed)} failed")
    if failed:
        click.get_current_context().exit(1)


def _on_cluster(
    session: Session, parts: Sequence[Part], options: Mapping[str, Any], workers: int, scheduler: str | None
) -> Outcomes:
    try:
        from ..runtime.scoring.cluster import score_on_cluster
    except ImportError as error:
        raise missing("for --workers and --scheduler", "distributed") from error
    return score_on_cluster(session, parts, options, workers=workers, scheduler=scheduler)


def _collected(outcomes: Outcomes, bar: Any, step: bool) -> tuple[list[Scored], list[dict[str, str]]]:
    """Returns the files that are done and those that failed, and reports the latter at once."""
    done: list[Scored] = []
    failed: list[dict[str, str]] = []
    for part, outcome in outcomes:
        if isinstance(outcome, Scored):
            done.append(outcome)
            if step:
                bar.update(outcome.rows)
        else:
            failed.append({"source": part.source, "reason": outcome})
            bar.write(f"Error: {clean(outcome)}", file=sys.stderr)
    return done, sorted(failed, key=lambda file: file["source"])


def _bar(session: Session, parts: Sequence[Part], columns: Mapping[str, str]) -> Any:
    """Returns a progress bar, which shows only on a terminal."""
    from tqdm import tqdm

    shown = sys.stderr.isatty()
    names = [columns.get(name, name) for name in session.input_names]
    total = sum(_rows(part.source, names) for part in parts) if shown else None
    return tqdm(total=total, unit=" rows", unit_scale=True, disable=not shown)


def _rows(path: str, names: Sequence[str]) -> int:
    """Returns the number of rows of a file; 0 if it cannot be read, which is reported in its turn."""
    try:
        source = open_source(path)
    except LucidError:
        return 0
    try:
        return source.count([name for name in names if name in source.names])
    finally:
        source.close()
