"""Curves: how losses and metrics change in training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LucidError
from ..files import atomic_write
from ..tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["history"]


def history(
    values: Sequence[float] | Mapping[str, Any],
    *,
    path: str | os.PathLike[str] | None = None,
    xlabel: str = "epoch",
    log: bool = False,
) -> Figure:
    """Draws how losses and metrics change from epoch to epoch; returns matplotlib's figure.

    Args:
        values: the losses; or a dict of several lists by name, which share one panel; or a dict of such dicts, each
            with a panel of its own, such as ``{"loss": {"train": ..., "test": ...}, "accuracy": {"test": ...}}``.
        path: a file to write the picture to, as a whole or not at all; its ending says the format.
        xlabel: what the horizontal axis counts, from 1.
        log: whether the vertical axes are logarithmic.

    Raises:
        ValueError: there is nothing to draw, or a curve is not one list of numbers.
        LucidError: matplotlib is not installed; the message says how to install it.

    Example:
        >>> figure = lucid.plot.history({"train": [0.9, 0.5, 0.4], "test": [0.8, 0.6, 0.6]})
        >>> figure.axes[0].get_xlabel()
        'epoch'
    """
    panels = _panels(values)
    figure = _figure(len(panels))
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
    for axes, (name, curves) in zip(grid[:, 0], panels.items(), strict=True):
        _draw(axes, name, curves, log)
    figure.axes[-1].set_xlabel(xlabel)
    if path is not None:
        with atomic_write(path) as file:
            figure.savefig(file, format=Path(path).suffix.removeprefix(".") or "png", dpi=150)
    return figure


def _panels(values: Any) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Returns the curves of each panel by name; a panel's name stands at its vertical axis."""
    if not isinstance(values, Mapping):
        return {"loss": {"loss": _curve("loss", values)}}
    if not values:
        raise ValueError("history: there are no curves; pass losses, or a dict of lists by name")
    if not any(isinstance(part, Mapping) for part in values.values()):
        return {", ".join(values): {name: _curve(name, part) for name, part in values.items()}}
    panels = {}
    for panel, part in values.items():
        curves = part if isinstance(part, Mapping) else {panel: part}
        panels[panel] = {name: _curve(f"{panel}, {name}", curve) for name, curve in curves.items()}
        if not curves:
            raise ValueError(f"history: the panel {panel!r} has no curves")
    return panels


def _curve(name: str, values: Any) -> np.ndarray[Any, Any]:
    if isinstance(values, Tensor):
        values = values.detach().numpy()
    elif not isinstance(values, np.ndarray):
        values = [value.item() if isinstance(value, Tensor) else value for value in values]
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiub" or not array.size:
        raise ValueError(
            f"history: {name} must be a list of at least one number; got shape {array.shape}, {array.dtype}"
        )
    return array


def _figure(panels: int) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LucidError("history draws with matplotlib: pip install 'lucid-onnx[plot]'") from error
    return Figure(figsize=(7, 1 + 2.6 * panels), layout="constrained")


def _draw(axes: Axes, name: str, curves: Mapping[str, np.ndarray[Any, Any]], log: bool) -> None:
    for label, curve in curves.items():
        # A single epoch is a point.
        axes.plot(range(1, len(curve) + 1), curve, label=label, marker="o" if len(curve) == 1 else None)
    axes.set_ylabel(name)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if log:
        from matplotlib.ticker import LogLocator, NullFormatter

        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    if [*curves] != [name]:  # the axis names it already
        axes.legend(frameon=False)
