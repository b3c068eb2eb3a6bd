"""The models, with few epochs: padding has no effect, exported and eager models agree, seeds fix the results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.runtime import Session
from models import report, sunspots, vowels

ROOT = Path(__file__).parents[2]
TRAIN, TEST = vowels.load()


@pytest.fixture(scope="module")
def options(tmp_path_factory: Any) -> Any:
    out = str(tmp_path_factory.mktemp("vowels"))
    return vowels.parse(["--epochs", "2", "--hidden", "8", "--seeds", "0", "--out", out])


@pytest.fixture(scope="module")
def classifier(options: Any) -> vowels.SpeakerClassifier:
    return vowels.train(options, TRAIN, TEST, seed=0).model


@pytest.fixture(scope="module", params=["eager", "rnn", "scan"])
def engine(request: Any, classifier: Any, options: Any) -> vowels.Engine:
    if request.param == "eager":
        return vowels.eager(classifier)
    return vowels.exported(classifier, TEST, options.out / f"{request.param}.onnx", lowering=request.param)


# --- vowels


def test_the_split_is_the_published_one() -> None:
    assert TRAIN.frames.shape == (270, 26, 12)
    assert TEST.frames.shape == (370, 29, 12)
    assert np.bincount(TRAIN.speakers).tolist() == [30] * 9
    assert np.bincount(TEST.speakers).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]


def test_frames_that_are_real_are_standardized(classifier: Any) -> None:
    frames = np.concatenate([x[:n] for x, n in zip(TRAIN.frames, TRAIN.lengths, strict=True)])
    standard = (lucid.tensor(frames) - classifier.mean) / classifier.std
    np.testing.assert_allclose(standard.numpy().mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(standard.numpy().std(0), 1, atol=1e-5)


def test_all_engines_give_the_same_scores(engine: Any, classifier: Any) -> None:
    expected = vowels.score(vowels.eager(classifier), TEST)
    np.testing.assert_allclose(vowels.score(engine, TEST), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [0, 1, 40])
def test_nan_in_the_padding_and_more_of_it_change_nothing(engine: Any, steps: int) -> None:
    spoiled = TEST.spoiled(steps)
    assert np.isnan(spoiled.frames).sum() == 12 * (370 * (29 + steps) - TEST.lengths.sum())
    clean, dirty = vowels.score(engine, TEST), vowels.score(engine, spoiled)
    np.testing.assert_allclose(dirty, clean, rtol=0, atol=1e-6)
    assert (dirty.argmax(1) == clean.argmax(1)).all()


def test_an_utterance_alone_and_without_padding_gets_the_scores_that_it_gets_in_a_batch(engine: Any) -> None:
    together = vowels.score(engine, TEST)
    for i in range(0, 370, 37):
        n = TEST.lengths[i]
        alone = engine(TEST.frames[i : i + 1, :n], TEST.lengths[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], rtol=0, atol=1e-5)


@pytest.mark.parametrize("lowering", ["rnn", "scan"])
def test_batch_and_time_are_free_in_the_file(classifier: Any, tmp_path: Path, lowering: str) -> None:
    path = tmp_path / "vowels.onnx"
    vowels.exported(classifier, TEST, path, lowering=lowering)
    session = Session(path)
    assert [(i.name, tuple(i.shape)) for i in session.inputs] == [
        ("frames", ("batch", "time", 12)),
        ("lengths", ("batch",)),
    ]
    assert [(o.name, tuple(o.shape)) for o in session.outputs] == [("scores", ("batch", 9))]


def test_examine_counts_the_answers_that_padding_changes() -> None:
    def reads_padding(frames: Any, lengths: Any) -> Any:
        return frames.sum(1)[:, :9]

    def reads_lengths(frames: Any, lengths: Any) -> Any:
        return np.eye(9)[lengths % 9]

    padded = int((TEST.lengths < 29 + 7).sum())
    assert vowels.examine(reads_padding, TEST, 32).changed == padded
    assert vowels.examine(reads_lengths, TEST, 32).changed == 0


def test_noise_is_added_in_training_alone(classifier: Any) -> None:
    frames, lengths = (lucid.tensor(array) for array in TEST.batches(4)[0])
    classifier.train()
    assert (classifier(frames, lengths) != classifier(frames, lengths)).numpy().any()
    classifier.eval()
    assert (classifier(frames, lengths) == classifier(frames, lengths)).numpy().all()


def test_a_seed_decides_everything(options: Any) -> None:
    first, again, other = (vowels.train(options, TRAIN, TEST, seed) for seed in (3, 3, 4))
    assert first.losses == again.losses
    for (name, a), b, c in zip(
        first.model.named_parameters(), again.model.parameters(), other.model.parameters(), strict=True
    ):
        np.testing.assert_array_equal(a.detach(), b.detach(), err_msg=name)
        assert (a != c).detach().numpy().any(), name


def test_validation_keeps_to_the_training_set(options: Any) -> None:
    seen = TRAIN.where(np.arange(270) % 3 == 0)
    assert 0.2 < vowels.validate(options, seen, folds=2) < 1


def test_the_demo_writes_a_model_and_a_picture_and_prints_a_table(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    vowels.main(["--epochs", "2", "--hidden", "8", "--seeds", "5", "6", "--out", str(tmp_path / "new" / "folder")])
    captured = capsys.readouterr()
    rows = [line.split("  ")[0] for line in captured.out.splitlines()]
    assert rows[1:9] == [
        "",
        "-" * len(rows[2]),
        "accuracy, seed 5",
        "accuracy, seed 6",
        "accuracy, mean",
        "answers changed by NaN in more padding",
        "milliseconds a batch of 32",
        "greatest difference of a score",
    ]
    assert re.search(r"seed 6: 100%.* 2/2 .*loss \d\.\d+, accuracy \d+\.\d%", captured.err)
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["vowels.onnx", "vowels.png"]
    assert is_picture(tmp_path / "new" / "folder" / "vowels.png")


# --- sunspots

YEARS, SUNSPOTS = sunspots.load()


def test_the_baselines_are_those_of_the_literature() -> None:
    trained = int((YEARS <= 1920).sum())
    persistence = sunspots.relative_variances(SUNSPOTS[:-1], YEARS, SUNSPOTS, sunspots.PERIODS)
    np.testing.assert_allclose(persistence, [0.427, 0.965, 0.566], rtol=0, atol=5e-4)
    linear = sunspots.autoregression(SUNSPOTS, trained)
    assert np.isnan(linear[:12]).all()
    variances = sunspots.relative_variances(linear[1:], YEARS, SUNSPOTS, sunspots.PERIODS)
    np.testing.assert_allclose(variances, [0.130, 0.368, 0.198], rtol=0, atol=5e-4)


def test_the_autoregression_sees_no_year_after_the_training() -> None:
    later = np.where(YEARS <= 1920, SUNSPOTS, 7.0)
    forecasts, changed = (sunspots.autoregression(series, 221) for series in (SUNSPOTS, later))
    np.testing.assert_array_equal(forecasts[:222], changed[:222])


def test_years_streamed_one_by_one_give_the_forecasts_of_the_whole(tmp_path: Path) -> None:
    options = sunspots.parse(["--epochs", "3"])
    model = sunspots.train(options, SUNSPOTS[:221], seed=0)
    session = sunspots.export(model, tmp_path / "sunspots.onnx")
    assert [tuple(i.shape) for i in session.inputs] == [("time", "batch", 1), (1, "batch", 8)]
    whole, streamed = sunspots.eager(model, SUNSPOTS), sunspots.stream(session, SUNSPOTS)
    np.testing.assert_allclose(streamed, whole, rtol=0, atol=1e-3)
    # Without the carried state, the forecasts differ.
    alone = np.array([sunspots.eager(model, SUNSPOTS[i : i + 1])[0] for i in range(len(SUNSPOTS))])
    assert np.abs(alone - whole)[1:].min() > 0
    assert np.abs(alone - whole).max() > 1


@pytest.mark.slow
def test_the_forecasts_are_printed_beside_the_baselines(tmp_path: Path, capsys: Any) -> None:
    sunspots.main(["--epochs", "2", "--seeds", "0", "1", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert re.search(r"persistence +0\.427 +0\.965 +0\.566\nAR\(12\), least squares +0\.130 +0\.368 +0\.198\n", out)
    eager, streamed = re.findall(r"^RNN, .*?((?: +\d\.\d{3}){3})$", out, re.MULTILINE)
    assert eager.split() == streamed.split()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sunspots.onnx", "sunspots.png"]
    assert is_picture(tmp_path / "sunspots.png")


# --- shared code


def test_a_table_is_aligned() -> None:
    assert report.table([["", "eager", "b"], ["accuracy", "97.8%", "1"], ["x", "3", "1000"]]) == (
        "          eager     b\n---------------------\naccuracy  97.8%     1\nx             3  1000"
    )


@pytest.mark.slow
def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, models.vowels, models.sunspots; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


# --- full runs


def run(model: str, out: Path, *arguments: str) -> str:
    """Runs a model as a user does, and returns its stdout; stderr, which is no terminal, has no progress."""
    command = [sys.executable, "-W", "error", "-m", f"models.{model}", "--out", str(out), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
@pytest.mark.exhaustive
def test_vowels_reaches_its_accuracy_in_numpy_and_in_onnxruntime(tmp_path: Path) -> None:
    out = run("vowels", tmp_path)
    found = dict(re.findall(r"^accuracy, (mean|seed \d) +([\d.]+% +[\d.]+%)$", out, re.MULTILINE))
    assert found.keys() == {"seed 0", "seed 1", "seed 2", "mean"}
    for name, pair in found.items():
        eager, exported = (float(share) for share in re.findall(r"[\d.]+", pair))
        assert min(eager, exported) >= (94 if name == "mean" else 92), name
        assert abs(eager - exported) <= 0.3, name
    assert re.search(r"^answers changed by NaN in more padding +0 of 1110 +0 of 1110$", out, re.MULTILINE)
    assert float(re.search(r"^greatest difference of a score +(\S+)$", out, re.MULTILINE)[1]) < 1e-4
    assert is_picture(tmp_path / "vowels.png")
    frames, lengths = TEST.frames, TEST.lengths
    (scores,) = Session(tmp_path / "vowels.onnx")(frames, lengths)
    assert f"{vowels.accuracy(scores, TEST):.1%}" == found["seed 0"].split()[1]
    alone = run("vowels", tmp_path, "--seeds", "1")
    assert f"accuracy, seed 1 {found['seed 1']}".split() in [line.split() for line in alone.splitlines()]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_sunspots_does_as_well_as_the_data_allow(tmp_path: Path) -> None:
    out = run("sunspots", tmp_path)
    rows = re.findall(r"^(\w+).*?((?: +\d\.\d{3}){3})$", out, re.MULTILINE)
    persistence, linear, eager, streamed = (np.array(row.split(), float) for _, row in rows)
    np.testing.assert_allclose(streamed, eager, rtol=0, atol=0.001)
    assert (streamed < persistence / 2).all()
    assert streamed[0] < linear[0]
    assert (streamed < [0.13, 0.47, 0.24]).all()
