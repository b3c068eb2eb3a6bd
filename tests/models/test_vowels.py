"""models.vowels, with few epochs: padding has no effect, exported and eager models agree, seeds fix the results."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.runtime import Session
from models import vowels

from .running import is_picture, run

TRAIN, TEST = vowels.load()


@pytest.fixture(scope="module")
def options(tmp_path_factory: Any) -> Any:
    out = str(tmp_path_factory.mktemp("vowels"))
    return vowels.parse(["--epochs", "2", "--hidden", "8", "--seed", "0", "--out", out])


@pytest.fixture(scope="module")
def classifier(options: Any) -> vowels.SpeakerClassifier:
    return vowels.train(options, TRAIN, TEST, seed=0).model


@pytest.fixture(scope="module", params=["eager", "rnn", "scan"])
def engine(request: Any, classifier: Any, options: Any) -> vowels.Engine:
    if request.param == "eager":
        return vowels.eager(classifier)
    return vowels.exported(classifier, TEST, options.out / f"{request.param}.onnx", lowering=request.param)


def test_the_split_is_the_published_one() -> None:
    assert TRAIN.frames.shape == (270, 26, 12)
    assert TEST.frames.shape == (370, 29, 12)
    assert np.bincount(TRAIN.speakers).tolist() == [30] * 9
    assert np.bincount(TEST.speakers).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]


def test_each_fifth_utterance_of_each_speaker_is_for_validation() -> None:
    training, validation = TRAIN.split()
    assert np.bincount(training.speakers).tolist() == [24] * 9
    assert np.bincount(validation.speakers).tolist() == [6] * 9
    np.testing.assert_array_equal(validation.frames, TRAIN.frames[4::5])
    np.testing.assert_array_equal(training.lengths, np.delete(TRAIN.lengths, np.s_[4::5]))


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
    vowels.main(["--epochs", "2", "--hidden", "8", "--seed", "5", "6", "--out", str(tmp_path / "new" / "folder")])
    captured = capsys.readouterr()
    rows = [line.split("  ")[0] for line in captured.out.splitlines()]
    assert rows[1:11] == [
        "",
        "-" * len(rows[2]),
        "accuracy, seed 5",
        "accuracy, seed 6",
        "accuracy, mean",
        "known: dynamic time warping",
        "known: RNN in PyTorch, five seeds",
        "answers changed by NaN in more padding",
        "milliseconds a batch of 32",
        "greatest difference of a score",
    ]
    assert re.search(r"seed 6: 100%.* 2/2 .*loss \d\.\d+, accuracy \d+\.\d%", captured.err)
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["vowels.onnx", "vowels.png"]
    assert is_picture(tmp_path / "new" / "folder" / "vowels.png")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_vowels_reaches_its_accuracy_in_numpy_and_in_onnxruntime(tmp_path: Path) -> None:
    out, _ = run("vowels", tmp_path)
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
    alone, _ = run("vowels", tmp_path, "--seed", "1")
    assert f"accuracy, seed 1 {found['seed 1']}".split() in [line.split() for line in alone.splitlines()]
