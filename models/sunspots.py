"""Forecasts next year's sunspots with a tanh RNN, exported with its state and fed one year at a time.

``python -m models.sunspots`` trains one model per seed on 1700-1920, writes ``sunspots.onnx`` and ``sunspots.png``, and
compares the forecasts for the years since with persistence and with an autoregression. In onnxruntime the years come
one by one, and the state of the RNN is passed from each call to the next. The data and the measure, the average
relative variance, are described in ``models/data/README.md``.

Letters: T time, N batch, H hidden.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import nn
from lucid.export import to_onnx
from lucid.nn.functional import mse_loss
from lucid.optim import Adam
from lucid.optim.lr_scheduler import CosineAnnealingLR
from lucid.runtime import Session

from . import report

LAST_TRAINED = 1920
PERIODS = ((1921, 1955), (1956, 1979), (1980, 2008))
HERE = Path(__file__).parent

Array = np.ndarray[Any, Any]


def load() -> tuple[Array, Array]:
    """Returns the years, and the mean number of sunspots in each."""
    table = np.loadtxt(HERE / "data" / "sunspots_yearly.csv", delimiter=",", skiprows=1)
    return table[:, 0].astype(int), table[:, 1]


def relative_variances(
    forecasts: Array, years: Array, sunspots: Array, periods: Sequence[tuple[int, int]]
) -> list[float]:
    """Returns each period's mean squared error over the variance of 1700-1979. The first year has no forecast."""
    squares, forecast_years = np.square(forecasts - sunspots[1:]), years[1:]
    variance = sunspots[years <= 1979].var()
    means = [squares[(first <= forecast_years) & (forecast_years <= last)].mean() for first, last in periods]
    return [float(mean / variance) for mean in means]


class Forecaster(nn.Module):
    """Forecasts next year's number of sunspots, from this year's and the state of a tanh RNN.

    Args:
        hidden: the number of hidden units of the RNN.
        mean, std: the mean and standard deviation that sunspots are standardized with.

    Shape:
        sunspots: (T, N, 1); h0: (1, N, H), zeros if omitted. The results: forecasts (T, N, 1) and h_n (1, N, H).
    """

    def __init__(self, hidden: int, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", lucid.tensor(mean))
        self.register_buffer("std", lucid.tensor(std))
        self.rnn = nn.RNN(1, hidden)
        self.head = nn.Linear(hidden, 1)

    def forward(self, sunspots: lucid.Tensor, h0: lucid.Tensor | None = None) -> tuple[lucid.Tensor, lucid.Tensor]:
        output, h_n = self.rnn((sunspots - self.mean) / self.std, h0)
        return self.head(output) * self.std + self.mean, h_n


def train(options: argparse.Namespace, sunspots: Array, seed: int) -> Forecaster:
    """Trains a model to forecast each year of a series from those before; all randomness comes from the seed."""
    lucid.manual_seed(seed)
    model = Forecaster(options.hidden, float(sunspots.mean()), float(sunspots.std()))
    optimizer = Adam(model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    scheduler = CosineAnnealingLR(optimizer, T_max=options.epochs)
    series = as_series(sunspots)
    given, wanted = lucid.as_tensor(series[:-1]), lucid.as_tensor(series[1:])
    for _ in (epochs := lucid.progress(range(options.epochs), f"seed {seed}", unit="epoch")):
        forecasts, _ = model(given)
        loss = mse_loss(forecasts / model.std, wanted / model.std)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        epochs.show(loss=loss)
    return model


def as_series(sunspots: Array) -> Array:
    """Converts numbers (T,) to one series (T, 1, 1)."""
    return sunspots.astype(np.float32)[:, None, None]


def eager(model: Forecaster, sunspots: Array) -> Array:
    """Computes the forecasts (T,) for the year after each, in NumPy, all years at once."""
    with lucid.no_grad():
        forecasts: Array = model(lucid.as_tensor(as_series(sunspots)))[0].numpy()
    return forecasts[:, 0, 0]


def export(model: Forecaster, path: Path, device: str = "cpu") -> Session:
    """Exports the model with its state, for any number of years and of series, and returns its session."""
    to_onnx(
        model,
        lucid.zeros(3, 2, 1),
        lucid.zeros(1, 2, model.rnn.hidden_size),
        path=path,
        output_names=["forecasts", "h_n"],
        dynamic={"sunspots": {0: "time", 1: "batch"}, "h0": {1: "batch"}},
    )
    return Session(path, device)


def stream(session: Session, sunspots: Array) -> Array:
    """Computes the forecasts (T,) in onnxruntime, each from one year and the state that the years before left."""
    year_by_year = session.stream(batch=1)
    return np.array([year_by_year(year[None])["forecasts"].item() for year in as_series(sunspots)])


def autoregression(sunspots: Array, trained: int, order: int = 12) -> Array:
    """Computes forecasts (T,) linear in the last `order` years, fitted to the first `trained` years; NaN at first."""
    windows = np.lib.stride_tricks.sliding_window_view(sunspots, order)[:-1]
    windows = np.column_stack([windows, np.ones(len(windows))])
    weights = np.linalg.lstsq(windows[: trained - order], sunspots[order:trained])[0]
    return np.concatenate([np.full(order, np.nan), windows @ weights])


def validate(options: argparse.Namespace, years: Array, sunspots: Array) -> float:
    """Returns the mean relative variance over 1871-1920 of models trained on the years before that."""
    known = sunspots[years <= 1870]
    forecasts = [eager(train(options, known, seed), sunspots[:-1]) for seed in options.seeds]
    return float(np.mean([relative_variances(run, years, sunspots, [(1871, LAST_TRAINED)]) for run in forecasts]))


def draw(figure: Any, years: Array, sunspots: Array, forecasts: Array) -> None:
    """Draws observations and forecasts, from the end of the training on."""
    recent = years > LAST_TRAINED - 20
    years, sunspots, forecasts = years[recent], sunspots[recent], forecasts[recent]
    axes = figure.subplots()
    axes.axvspan(years[0], LAST_TRAINED + 0.5, color=report.GREY, alpha=0.2, linewidth=0)
    axes.text(years[0] + 0.6, 0.97, "training, from 1700", transform=axes.get_xaxis_transform(), va="top")
    axes.bar(years, sunspots, width=0.8, color=report.GREY, alpha=0.7, label="sunspots")
    axes.plot(years, forecasts, color=report.COLOURS[1], linewidth=1.5, label="forecast the year before")
    axes.set(title="Yearly sunspots, and forecasts streamed through onnxruntime", xlim=(years[0], years[-1] + 0.6))
    axes.set_ylim(0, 1.12 * sunspots.max())
    axes.legend(loc="upper right", ncols=2)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.sunspots", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="one model is trained for each")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--hidden", type=int, default=8, help="hidden units of the RNN")
    parser.add_argument("--learning-rate", type=float, default=1e-2, help="at first; it falls along a cosine")
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    parser.add_argument("--device", default="cpu", help="where onnxruntime runs: cpu, cuda, cuda:1, auto")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="folder for sunspots.onnx and sunspots.png")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="forecast 1871-1920 after training up to 1870: how the defaults were chosen",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, exports, streams and reports."""
    start = time.perf_counter()
    options = parse(arguments)
    years, sunspots = load()
    if options.validate:
        print(f"average relative variance, 1871-1920: {validate(options, years, sunspots):.3f}")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    trained = int((years <= LAST_TRAINED).sum())
    models = [train(options, sunspots[:trained], seed) for seed in options.seeds]
    whole: list[Array] = []
    streamed: list[Array] = []
    # The first seed comes last, so that its model is the one that stays in the file.
    for model in reversed(models):
        session = export(model, options.out / "sunspots.onnx", options.device)
        whole.insert(0, eager(model, sunspots[:-1]))
        streamed.insert(0, stream(session, sunspots[:-1]))

    def row(name: str, *runs: Array) -> list[str]:
        means = np.mean([relative_variances(run, years, sunspots, PERIODS) for run in runs], axis=0)
        return [name, *(f"{mean:.3f}" for mean in means)]

    seeds = f"mean of {len(models)} seeds"
    rows = [
        ["average relative variance", *(f"{first}-{last}" for first, last in PERIODS)],
        row("persistence", sunspots[:-1]),
        row("AR(12), least squares", autoregression(sunspots, trained)[1:]),
        row(f"RNN, eager, {seeds}", *whole),
        row(f"RNN, onnxruntime year by year, {seeds}", *streamed),
    ]
    mean = np.mean(streamed, axis=0)
    report.draw(options.out / "sunspots.png", 10.5, 4, lambda figure: draw(figure, years[1:], sunspots[1:], mean))
    print(f"\n{report.table(rows)}")
    difference = np.abs(np.subtract(whole, streamed)).max()
    print(f"\ngreatest difference between the two, in sunspots: {difference:.1e}")
    year = report.milliseconds(lambda: stream(session, sunspots), calls=len(sunspots))
    print(f"milliseconds a year in onnxruntime: {year:.3f}")
    print(f"{options.out / 'sunspots.onnx'} and sunspots.png written, {time.perf_counter() - start:.1f} s in all")


if __name__ == "__main__":
    main()
