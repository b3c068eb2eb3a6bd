"""Report: the tables, pictures and timings of a model."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["COLOURS", "GREY", "INK", "draw", "marker", "milliseconds", "require_matplotlib", "table"]

INK = "#22313f"
GREY = "#aab4bd"
COLOURS = ("#1f5f99", "#d9722e", "#2f8f6b", "#8a5fa8", "#b5892b")
"""The colours of the pictures: text, background, and one per line."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Formats rows as text, with a heading in the first row; names are aligned left, everything else right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def milliseconds(run: Callable[[], object], calls: int = 1, repeats: int = 5) -> float:
    """Returns the milliseconds of each of the calls that `run` makes: the fastest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times) / calls


def marker(epochs: Sequence[int]) -> str | None:
    """Returns the marker of a curve: a single epoch is a point."""
    return "o" if len(epochs) == 1 else None


def require_matplotlib() -> None:
    """Ends the program if pictures cannot be drawn: a training is too long to find out at its end."""
    if importlib.util.find_spec("matplotlib") is None:
        raise SystemExit("models: pictures need matplotlib; install it with: pip install 'lucid-onnx[plot]'")


def draw(path: Path, width: float, height: float, fill: Callable[[Any], None]) -> None:
    """Writes a picture: `fill` draws on an empty matplotlib figure. matplotlib is loaded here, without a display."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style: Any = {
        "font.size": 9.5,
        "text.color": INK,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlepad": 10,
        "legend.frameon": False,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        FigureCanvasAgg(figure)
        fill(figure)
        figure.savefig(path, dpi=150)
