"""models.electricity: the yardsticks, what training sees, and the file, which takes megawatts."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucid.runtime import Session
from models import electricity
from models.electricity import DAY, WEEK

from .running import is_picture, run

DEMAND = electricity.load()
TRAINED = len(DEMAND) - electricity.TESTED
GIVEN, DAYS = electricity.origins(DEMAND, TRAINED, len(DEMAND))


def trained(epochs: int, seed: int = 0) -> electricity.Forecaster:
    return electricity.train(electricity.parse(["--epochs", str(epochs)]), DEMAND[:TRAINED], seed)


@pytest.fixture(scope="module")
def forecaster() -> electricity.Forecaster:
    return trained(2)


def test_each_day_of_the_test_follows_its_two_weeks() -> None:
    assert DEMAND.shape == (12 * WEEK,)
    assert GIVEN.shape == (625, 2 * WEEK)
    assert DAYS.shape == (625, DAY)
    np.testing.assert_array_equal(np.concatenate([GIVEN[0], DAYS[0]]), DEMAND[TRAINED - 2 * WEEK : TRAINED + DAY])
    np.testing.assert_array_equal(np.concatenate([GIVEN[-1], DAYS[-1]]), DEMAND[-2 * WEEK - DAY :])


@pytest.mark.parametrize(
    ("forecasts", "expected"),
    [
        (GIVEN[:, -1:], [2.26, 5.69, 19.90]),
        (GIVEN[:, -DAY:], [6.23, 5.69, 6.07]),
        (GIVEN[:, -WEEK : DAY - WEEK], [1.72, 1.61, 1.63]),
    ],
    ids=["last value", "yesterday", "last week"],
)
def test_the_errors_of_the_yardsticks_are_the_known_ones(forecasts: Any, expected: list[float]) -> None:
    errors = electricity.errors(forecasts, DAYS)
    np.testing.assert_allclose([errors[0], errors[-1], errors.mean()], expected, atol=0.005)


@pytest.mark.slow
def test_the_linear_model_does_as_well_as_is_known_and_sees_nothing_after_the_training() -> None:
    forecasts = electricity.linear(DEMAND, TRAINED, GIVEN)
    errors = electricity.errors(forecasts, DAYS)
    np.testing.assert_allclose([errors[0], errors[-1], errors.mean()], [0.37, 1.36, 1.24], atol=0.025)
    later = np.where(np.arange(len(DEMAND)) < TRAINED, DEMAND, 1.0)
    np.testing.assert_array_equal(electricity.linear(later, TRAINED, GIVEN), forecasts)


def test_coverage_is_the_share_between_the_outer_quantiles() -> None:
    quantiles = np.stack([DAYS - 1, DAYS, DAYS + 1], 2)
    assert electricity.coverage(quantiles, DAYS) == 1
    quantiles[::5] += 2
    assert electricity.coverage(quantiles, DAYS) == 0.8


def test_quantiles_are_in_order_and_in_megawatts(forecaster: Any) -> None:
    quantiles = electricity.eager(forecaster, GIVEN[::50])
    assert quantiles.shape == (13, DAY, 3)
    assert (np.diff(quantiles, axis=2) > 0).all()
    assert electricity.errors(quantiles[..., 1], DAYS[::50]).mean() < 5


def test_a_forecast_of_training_is_that_of_its_day(forecaster: Any) -> None:
    # The changes after the last half-hour, from a longer series and as the file computes them.
    series = DEMAND[: 2 * WEEK + 100]
    changes = forecaster.changes(electricity.as_tensor(series[:, None]), last=5).detach().numpy()
    assert changes.shape == (5, 1, DAY, 3)
    scale = forecaster.scale.item()
    expected = series[-WEEK : DAY - WEEK, None] * np.exp(scale * changes[-1, 0])
    np.testing.assert_allclose(electricity.eager(forecaster, series[None, -2 * WEEK :])[0], expected, rtol=2e-3)


def test_noise_is_added_in_training_alone(forecaster: Any) -> None:
    given = electricity.as_tensor(GIVEN[:2].T)
    forecaster.train()
    assert (forecaster(given) != forecaster(given)).numpy().any()
    forecaster.eval()
    assert (forecaster(given) == forecaster(given)).numpy().all()


def test_a_seed_decides_everything(forecaster: Any) -> None:
    for a, b in zip(forecaster.parameters(), trained(2).parameters(), strict=True):
        np.testing.assert_array_equal(a.detach(), b.detach())


@pytest.mark.slow
def test_a_short_training_beats_last_week() -> None:
    """Days that did not follow their pieces by one half-hour would miss this by far."""
    errors = electricity.errors(electricity.eager(trained(30), GIVEN)[..., 1], DAYS)
    assert errors[0] < 1.0
    assert errors.mean() < 1.5


@pytest.mark.slow
def test_the_file_takes_megawatts_and_answers_as_the_ensemble_does(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    electricity.main(["--epochs", "2", "--seed", "0", "1", "--out", str(tmp_path)])
    captured = capsys.readouterr()
    assert re.search(r"^yesterday +6.23 +5.69 +6.07\nlast week +1.72 +1.61 +1.63\n", captured.out, re.MULTILINE)
    pattern = r"^GRU, ensemble of 2 seeds, \w+((?: +\d\.\d\d){3} +[\d.]+ %)$"
    eager, answers = re.findall(pattern, captured.out, re.MULTILINE)
    assert eager.split() == answers.split()
    assert re.search(r"seed 1: 100%.* 2/2 .*loss \d\.\d{4}", captured.err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["electricity.onnx", "electricity.png"]
    assert is_picture(tmp_path / "electricity.png")

    session = Session(tmp_path / "electricity.onnx")
    assert [(value.name, tuple(value.shape)) for value in session.inputs] == [("demand", (2 * WEEK, "batch"))]
    assert [(value.name, tuple(value.shape)) for value in session.outputs] == [("quantiles", (DAY, "batch", 3))]
    (quantiles,) = session(GIVEN.T.astype(np.float32))
    members = [electricity.eager(trained(2, seed), GIVEN) for seed in (0, 1)]
    np.testing.assert_allclose(quantiles.swapaxes(0, 1), np.mean(members, axis=0), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_ensemble_beats_the_linear_model(tmp_path: Path) -> None:
    out, _ = run("electricity", tmp_path)
    rows = re.findall(r"^(\w.*?) +\d\.\d\d +\d\.\d\d +(\d\.\d\d)(?: +([\d.]+) %)?$", out, re.MULTILINE)
    means = {name: float(mean) for name, mean, _ in rows}
    assert means["GRU, ensemble of 5 seeds, onnxruntime"] < means["linear model"] < means["last week"]
    (covered,) = (float(share) for name, _, share in rows if name == "GRU, ensemble of 5 seeds, onnxruntime")
    assert 65 < covered < 90
