"""Pictures of results. matplotlib is loaded only here, when a picture is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .contender import package
from .result import Result, ratio

__all__ = ["bars", "curves", "lines"]

INK = "#22313f"
GREY = "#aab4bd"
COLOURS = ("#1f5f99", "#d9722e", "#2f8f6b", "#8a5fa8", "#b5892b", "#b0413e", "#4b8bbe", "#777777")


def bars(result: Result, folder: Path) -> Path | None:
    """Draws each contender's time relative to the first, one group of bars per case."""
    first, *others = result.contenders
    if not result.compared:
        first, others = "", result.contenders
    labels = [row.case for row in result.rows]

    def fill(figure: Any) -> None:
        axes = figure.subplots()
        height = 0.8 / max(1, len(others))
        for i, name in enumerate(others):
            values = [ratio(row, name, first) if first else row.middle(name) for row in result.rows]
            scale = 1.0 if first else result.unit[1]
            places = [row + (i - (len(others) - 1) / 2) * height for row in range(len(labels))]
            shown = [(y, value * scale) for y, value in zip(places, values, strict=True) if value is not None]
            axes.barh([y for y, _ in shown], [v for _, v in shown], height * 0.9, label=name, color=COLOURS[i % 8])
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_title(result.title)
        axes.set_xlabel(f"times what {first} takes" if first else result.unit[0])
        if first:
            axes.axvline(1, color=INK, linewidth=1)
        axes.legend(loc="best")

    return _draw(folder / f"{result.name}.png", 8, 1.6 + 0.18 * len(labels) * (1 + len(others)), fill)


def curves(result: Result, panels: Sequence[tuple[str, Sequence[tuple[float, int]]]], folder: Path) -> Path | None:
    """Draws milliseconds over size, one panel per axis; a panel lists sizes and the numbers of their rows."""

    def fill(figure: Any) -> None:
        for axes, (label, points) in zip(
            figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
        ):
            for i, name in enumerate(result.contenders):
                found = [(size, result.rows[place].middle(name)) for size, place in points]
                shown = [(size, 1e3 * value) for size, value in found if value is not None]
                axes.plot(*zip(*shown, strict=True), marker="o", label=name, color=COLOURS[i % 8])
            axes.set(xscale="log", yscale="log", xlabel=label)
        figure.axes[0].set_ylabel("milliseconds")
        figure.axes[0].set_title(result.title)
        figure.axes[0].legend()

    return _draw(folder / f"{result.name}.png", 10, 3.8, fill)


def lines(title: str, ticks: Sequence[str], values: Sequence[tuple[str, Sequence[float | None]]], label: str) -> str:
    """Draws one line each for the values of some things at each tick, beside a line at 1; returns it as SVG."""

    def fill(figure: Any) -> None:
        from matplotlib.ticker import LogLocator

        axes = figure.subplots()
        for i, (name, numbers) in enumerate(values):
            shown = [(x, y) for x, y in enumerate(numbers) if y is not None]
            style = "-" if i < len(COLOURS) else "--" if i < 2 * len(COLOURS) else ":"
            axes.plot(*zip(*shown, strict=True), style, marker="o", markersize=3, label=name, color=COLOURS[i % 8])
        axes.axhline(1, color=INK, linewidth=1)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(0.5, 0.7, 1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.3, len(ticks) - 0.7)
        axes.set(title=title, ylabel=label)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7)

    text = io.StringIO()
    with _figure(10, max(2.6, 0.7 + 0.17 * len(values)), fill) as figure:
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _draw(path: Path, width: float, height: float, fill: Callable[[Any], None]) -> Path | None:
    """Writes a picture, without a display; returns None if matplotlib is not installed."""
    if package("matplotlib") is None:
        return None
    with _figure(width, height, fill) as figure:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    return path


@contextmanager
def _figure(width: float, height: float, fill: Callable[[Any], None]) -> Iterator[Any]:
    """Makes a figure in the style of the project, which holds until the figure has been written."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "lucid",  # the same names in each picture that is drawn anew
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure)
        yield figure
