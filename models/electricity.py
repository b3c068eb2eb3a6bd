"""Forecasts the next day's demand for electricity, with intervals, from the last two weeks; a GRU, run in onnxruntime.

``python -m models.electricity`` trains one model per seed on ten weeks, writes their ensemble as ``electricity.onnx``
and a picture as ``electricity.png``, and compares the forecasts from each half-hour of the last two weeks with last
week, yesterday and a linear model. The file takes plain megawatts: the scaling is part of the graph. The data and the
measure, the mean absolute percentage error, are described in ``models/data/README.md``.

Letters: T time, N batch, H hidden, Q quantiles.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import lucid
from lucid import nn
from lucid.export import to_onnx
from lucid.nn.functional import softplus
from lucid.optim import AdamW
from lucid.optim.lr_scheduler import CosineAnnealingLR
from lucid.runtime import Session

from . import checks, report

DAY, WEEK = 48, 336
"""In half-hours."""
GIVEN = 2 * WEEK
QUANTILES = (0.1, 0.5, 0.9)
TESTED = 2 * WEEK
PIECE, WARM_UP = 6 * DAY, 2 * DAY
"""How many changes a piece of the series has in training, and how many of them come before the first forecast."""
HERE = Path(__file__).parent

Array = np.ndarray[Any, Any]


def load() -> Array:
    """Returns the demand of each half-hour in megawatts, (4032,)."""
    return np.loadtxt(HERE / "data" / "electricity_halfhourly.csv", skiprows=1)


class Forecaster(nn.Module):
    """Forecasts quantiles of the next day's demand, as changes against the same half-hour a week before.

    A GRU reads the logarithm of the demand, standardized, and its change against a week before. From its state and the
    changes of the last day, a linear layer computes the median of each change of the next day, and how far the other
    two quantiles are from it.

    Args:
        hidden: H, the number of hidden units of the GRU.
        dropout: the share of the state that the linear layer does not see in training.
        noise: the standard deviation of the noise that is added to the inputs of the GRU in training.
        demand: (T,) in megawatts, by which the logarithms and their changes are standardized.

    Shape:
        demand: (672, N), the last two weeks in megawatts. The result: (48, N, 3), in megawatts.
    """

    def __init__(self, hidden: int, dropout: float, noise: float, demand: Array) -> None:
        super().__init__()
        self.noise = noise
        logs = np.log(demand)
        self.register_buffer("mean", lucid.tensor(float(logs.mean())))
        self.register_buffer("std", lucid.tensor(float(logs.std())))
        self.register_buffer("scale", lucid.tensor(float((logs[WEEK:] - logs[:-WEEK]).std())))
        self.gru = nn.GRU(2, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden + DAY, DAY * len(QUANTILES))

    def forward(self, demand: lucid.Tensor) -> lucid.Tensor:
        week_before = demand[WEEK : WEEK + DAY].unsqueeze(2)
        return week_before * (self.scale * self.changes(demand, 1)[0].movedim(1, 0)).exp()

    def changes(self, demand: lucid.Tensor, last: int) -> lucid.Tensor:
        """Returns quantiles of the standardized changes in the day after each of the last half-hours, (*, N, 48, 3)."""
        logs = demand.log()
        change = (logs[WEEK:] - logs[:-WEEK]) / self.scale
        inputs = lucid.stack([change, (logs[WEEK:] - self.mean) / self.std], 2)
        if self.training:
            inputs = inputs + self.noise * lucid.randn(*inputs.shape)
        output, _ = self.gru(inputs)
        known = lucid.cat([self.dropout(output[-last:]), change[1 - last - DAY :].unfold(0, DAY, 1)], 2)
        median, below, above = self.head(known).unflatten(2, (len(QUANTILES), DAY)).unbind(2)
        return lucid.stack([median - softplus(below), median, median + softplus(above)], 3)


class Ensemble(nn.Module):
    """Returns the mean of the forecasts of several models."""

    def __init__(self, models: Sequence[Forecaster]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, demand: lucid.Tensor) -> lucid.Tensor:
        return lucid.stack([model(demand) for model in self.models]).mean(0)


def train(options: argparse.Namespace, demand: Array, seed: int) -> Forecaster:
    """Trains a model to forecast the days of a series (T,); all randomness comes from the seed.

    Each epoch takes pieces of the series at random, and forecasts from each half-hour of a piece but the first ones.
    """
    lucid.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = Forecaster(options.hidden, options.dropout, options.noise, demand)
    optimizer = AdamW(model.parameters(), lr=options.learning_rate)
    scheduler = CosineAnnealingLR(optimizer, T_max=options.epochs)
    criterion = nn.QuantileLoss(QUANTILES)
    logs = np.log(demand)
    changes = (logs[WEEK:] - logs[:-WEEK]) / model.scale.item()
    given, known = windows(demand, WEEK + PIECE), windows(changes, PIECE + DAY)
    forecast = PIECE - WARM_UP
    for _ in (epochs := lucid.progress(range(options.epochs), f"seed {seed}", unit="epoch")):
        # Clipped, so that the half-hours at both ends are forecast from as often as the others.
        starts = random.integers(-forecast, len(known) + forecast, options.batch_size).clip(0, len(known) - 1)
        days = windows(known[starts, WARM_UP + 1 :], DAY).swapaxes(0, 1)
        forecasts = model.changes(as_tensor(given[starts].T), forecast)
        loss = criterion(forecasts, as_tensor(days))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        epochs.show(loss=f"{loss.item():.4f}")
    return model.eval()


def windows(series: Array, length: int) -> Array:
    """Returns all windows (*, T - length + 1, length) of series (*, T)."""
    return sliding_window_view(series, length, axis=-1)


def as_tensor(x: Array) -> lucid.Tensor:
    """Converts an array to a tensor of float32."""
    return lucid.tensor(x.astype(np.float32))


def eager(model: nn.Module, given: Array) -> Array:
    """Computes the quantiles (N, 48, 3) in NumPy, from the two weeks (N, 672) before each day."""
    with lucid.no_grad():
        quantiles: Array = model(as_tensor(given.T)).numpy()
    return quantiles.swapaxes(0, 1)


def exported(model: nn.Module, path: Path, device: str = "cpu") -> Callable[[Array], Array]:
    """Exports the model for any number of series, and returns it in onnxruntime, a function like `eager`."""
    example = 30_000 + 5_000 * lucid.randn(GIVEN, 2)
    to_onnx(model, example, path=path, output_names=["quantiles"], dynamic={"demand": {1: "batch"}})
    session = Session(path, device)
    return lambda given: session(given.T.astype(np.float32))["quantiles"].swapaxes(0, 1)


def linear(demand: Array, trained: int, given: Array) -> Array:
    """Computes forecasts (N, 48), each linear in lags 1, 2, 3, 48, 49, 336, 337 and the week before the target.

    The coefficients of each of the 48 half-hours are fitted to the first `trained` half-hours by least squares.
    """

    def features(two_weeks: Array, ahead: int) -> Array:
        lags = np.array([1, 2, 3, DAY, DAY + 1, WEEK, WEEK + 1, WEEK + 1 - ahead])
        return np.column_stack([two_weeks[:, -lags], np.ones(len(two_weeks))])

    forecasts = []
    for ahead in range(1, DAY + 1):
        known = windows(demand[: trained - ahead], WEEK + 1)
        weights = np.linalg.lstsq(features(known, ahead), demand[WEEK + ahead : trained])[0]
        forecasts.append(features(given, ahead) @ weights)
    return np.stack(forecasts, 1)


def origins(demand: Array, first: int, last: int) -> tuple[Array, Array]:
    """Returns the two weeks (N, 672) before each day between two half-hours, and these days (N, 48)."""
    return windows(demand[first - GIVEN : last - DAY], GIVEN), windows(demand[first:last], DAY)


def errors(forecasts: Array, days: Array) -> Array:
    """Returns the mean absolute percentage error of each half-hour of the day, (48,)."""
    return 100 * np.abs(forecasts / days - 1).mean(0)


def coverage(quantiles: Array, days: Array) -> float:
    """Returns how often the demand lies between the outer quantiles, from 0 to 1."""
    return float(((quantiles[..., 0] <= days) & (days <= quantiles[..., -1])).mean())


def draw(figure: Any, demand: Array, first: int, quantiles: Array, curves: dict[str, Array]) -> None:
    """Draws three days of the test, each forecast at midnight, and the errors by horizon.

    Args:
        demand: (T,) of the whole series; first: the half-hour of the first of the days.
        quantiles: (3, 48, 3), the forecasts of the days.
        curves: errors (48,), by name.
    """
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    hours = np.arange(3 * DAY) / 2
    low, median, high = quantiles.reshape(-1, 3).T / 1000
    left.fill_between(hours, low, high, color=report.COLOURS[1], alpha=0.25, linewidth=0, label="80 % interval")
    left.plot(hours, median, color=report.COLOURS[1], linewidth=1.4, label="forecast at midnight")
    left.plot(hours, demand[first : first + 3 * DAY] / 1000, color=report.INK, linewidth=1.2, label="demand")
    left.plot(
        hours,
        demand[first - WEEK : first - WEEK + 3 * DAY] / 1000,
        color=report.GREY,
        linewidth=1.1,
        label="a week before",
    )
    left.set(
        title="Three days of the test, forecast in onnxruntime",
        xlabel="hours from the first midnight",
        ylabel="demand, GW",
    )
    left.set(xlim=(0, 72), xticks=range(0, 73, 12), ylim=(None, 1.12 * demand[first : first + 3 * DAY].max() / 1000))
    left.legend(loc="upper center", ncols=2)
    horizons = np.arange(1, DAY + 1) / 2
    for colour, (name, curve) in zip((report.GREY, *report.COLOURS), curves.items(), strict=False):
        right.plot(horizons, curve, color=colour, linewidth=1.4, label=f"{name}: {curve.mean():.2f}")
    right.set(title="Error by horizon", xlabel="hours ahead", ylabel="mean absolute percentage error, %")
    right.set(xlim=(0, 24), xticks=range(0, 25, 4), ylim=(0, 1.45 * max(map(np.max, curves.values()))))
    right.legend(loc="upper left", title="mean of all horizons", alignment="left")
    for axes in (left, right):
        axes.grid(axis="y", color=report.GREY, alpha=0.35, linewidth=0.6)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.electricity", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="one model is trained for each")
    parser.add_argument("--epochs", type=checks.count, default=200)
    parser.add_argument("--hidden", type=checks.count, default=32, help="hidden units of the GRU")
    parser.add_argument("--dropout", type=float, default=0.2, help="share of the state that is left out in training")
    parser.add_argument("--noise", type=float, default=0.3, help="standard deviation of the noise added in training")
    parser.add_argument("--batch-size", type=checks.count, default=14, help="pieces of the series in an epoch")
    parser.add_argument("--learning-rate", type=checks.positive, default=1e-2, help="at first; it falls along a cosine")
    parser.add_argument(
        "--device", type=checks.device, default="cpu", help="where onnxruntime runs: cpu, cuda, cuda:1, auto"
    )
    parser.add_argument(
        "--out", type=checks.folder, default=Path("out"), help="folder for electricity.onnx and electricity.png"
    )
    parser.add_argument(
        "--validate",
        action="store_true",
        help="leave the test out and forecast the two weeks before it: how the settings were chosen",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, exports, runs and reports."""
    start = time.perf_counter()
    options = parse(arguments)
    report.require_matplotlib()
    demand = load()
    if options.validate:
        demand = demand[:-TESTED]
    trained = len(demand) - TESTED
    given, days = origins(demand, trained, len(demand))
    options.out.mkdir(parents=True, exist_ok=True)
    models = [train(options, demand[:trained], seed) for seed in options.seed]
    runs = [eager(model, given) for model in models]
    ensemble = Ensemble(models)
    together, path = eager(ensemble, given), options.out / "electricity.onnx"
    answers = exported(ensemble, path, options.device)(given)

    seeds = f"of {len(models)} seed{'s' if len(models) > 1 else ''}"
    curves = {
        "yesterday": errors(given[:, -DAY:], days),
        "last week": errors(given[:, -WEEK : DAY - WEEK], days),
        "linear model": errors(linear(demand, trained, given), days),
        f"GRU, mean {seeds}": np.mean([errors(run[..., 1], days) for run in runs], axis=0),
        f"GRU, ensemble {seeds}, eager": errors(together[..., 1], days),
        f"GRU, ensemble {seeds}, onnxruntime": errors(answers[..., 1], days),
    }
    intervals = [
        float(np.mean([coverage(run, days) for run in runs])),
        coverage(together, days),
        coverage(answers, days),
    ]
    covered = [""] * (len(curves) - len(intervals)) + [f"{100 * share:.1f} %" for share in intervals]
    rows = [["mean absolute percentage error", "1st half-hour", "48th", "mean of 48", "in the 80 % interval"]]
    for (name, curve), share in zip(curves.items(), covered, strict=True):
        rows.append([name, f"{curve[0]:.2f}", f"{curve[-1]:.2f}", f"{curve.mean():.2f}", share])
    # Three days from a midnight on, the first of them a Friday.
    first = trained + 4 * DAY
    shown = answers[first - trained : first - trained + 3 * DAY : DAY]
    drawn = {name: curve for name, curve in curves.items() if name != "yesterday" and not name.endswith("eager")}
    picture = options.out / "electricity.png"
    report.draw(picture, 11.5, 4.6, lambda figure: draw(figure, demand, first, shown, drawn))
    print(f"\n{report.table(rows)}")
    print(f"\ngreatest difference between the two, in megawatts: {np.abs(together - answers).max():.1e}")
    print(f"{path} and electricity.png written, {time.perf_counter() - start:.1f} s in all")


if __name__ == "__main__":
    main()
