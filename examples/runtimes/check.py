"""check: what a cell of the table says, of a feature or of a training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lucid

from .engine import Engine, EngineError, Named, Outcome, Unsupported
from .features import FEATURES
from .steps import EPOCHS, STEPS, write_step

__all__ = ["ROWS", "Check", "judged", "of_losses", "of_outputs", "prepared"]

Check = Callable[[Engine], str]
"""Gives "✓", with how many nodes ran on the GPU if any did; "–" if there is no program; "wrong: …" or "fails: …"."""

ROWS = [*FEATURES, *STEPS]
"""The titles of the table's rows."""


def prepared(folder: Path, title: str) -> Check:
    """Writes the files of a row into a folder; returns what tries them."""
    lucid.manual_seed(0)
    name = f"row{ROWS.index(title)}"
    if title in STEPS:
        losses = write_step(folder, name, title)
        return lambda engine: judged(lambda: engine.train(folder, name, EPOCHS), lambda found: of_losses(found, losses))
    made = FEATURES[title]()
    made.write(folder, name)
    return lambda engine: judged(
        lambda: engine.infer(folder, name, made.states), lambda found: of_outputs(found, made.expected, made.tolerance)
    )


def judged(run: Callable[[], Outcome], judge: Callable[[list[Any]], str | None]) -> str:
    """Returns what stands in a cell; `judge` says what is wrong, or None."""
    try:
        outcome = run()
    except Unsupported:
        return "–"
    except EngineError as error:
        return f"fails: {error}"
    if problem := judge(outcome.values):
        return f"wrong: {problem}"
    other = {provider: count for provider, count in outcome.shares.items() if provider != "CPU"}
    return f"✓ {sum(other.values())}/{sum(outcome.shares.values())}" if other else "✓"


def of_losses(found: Sequence[float], expected: Sequence[float]) -> str | None:
    if len(found) == len(expected) and np.allclose(found, expected, rtol=1e-4, atol=1e-6):
        return None
    return f"losses {_listed(found)} instead of {_listed(expected)}"


def of_outputs(found: Sequence[Named], expected: Sequence[Named], tolerance: float) -> str | None:
    if len(found) != len(expected):
        return f"{len(found)} calls instead of {len(expected)}"
    for results, wanted in zip(found, expected, strict=True):
        for name, y in wanted.items():
            x = results.get(name)
            if x is None or x.shape != y.shape or x.dtype != y.dtype:
                return f"{name} is {None if x is None else (x.dtype.name, x.shape)} instead of {y.dtype, y.shape}"
            difference = np.abs(x.astype(float) - y) / np.maximum(1, np.abs(y))
            if not (difference <= tolerance).all():
                return f"{name} differs by {difference.max():.1e}"
    return None


def _listed(losses: Sequence[float]) -> str:
    return ", ".join(f"{loss:.4f}" for loss in losses)
