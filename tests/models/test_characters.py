"""models.characters: the yardsticks, the split, and a text that streams out of onnxruntime."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.runtime import Session
from models import characters

from .running import is_picture, run

TEXT = "Ein Spaß, naïve café – the cat sat on the mat; the rat sat on the hat. " * 40


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model() -> characters.LanguageModel:
    lucid.manual_seed(0)
    return characters.LanguageModel(embedding=8, hidden=16)


@pytest.fixture(scope="module")
def session(model: Any, tmp_path_factory: Any) -> Session:
    return characters.export(model, tmp_path_factory.mktemp("model") / "characters.onnx")


def as_bytes(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8).astype(np.int64)


def test_the_parts_are_eight_tenths_and_two_tenths_in_order(file: Path) -> None:
    parts = characters.load(file)
    assert bytes(np.concatenate(parts).astype(np.uint8)).decode() == TEXT
    size = len(TEXT.encode())
    assert [len(part) for part in parts] == [size * 8 // 10, size * 9 // 10 - size * 8 // 10, size - size * 9 // 10]


def test_the_help_texts_are_long_enough() -> None:
    assert sum(map(len, characters.load())) > 300_000


def test_characters_are_counted_not_bytes() -> None:
    assert characters.characters(as_bytes(TEXT)) == len(TEXT) < len(TEXT.encode())


def test_streams_lie_side_by_side_and_are_followed_by_the_next_bytes() -> None:
    given, following = characters.streams(np.arange(24), 2)
    assert given.T.tolist() == [list(range(11)), list(range(11, 22))]
    np.testing.assert_array_equal(following, given + 1)


@pytest.mark.parametrize(("order", "smoothing"), [(0, 1), (2, 0.5), (3, 4)])
def test_an_ngram_counts_what_stands_before(order: int, smoothing: float) -> None:
    training, before, part = TEXT[:900], TEXT[900:1000], TEXT[1000:1300]
    known, text = training.encode(), (before + part).encode()

    def probability(context: bytes, byte: bytes, n: int) -> float:
        if n < 0:
            return 1 / 256
        context = context[len(context) - n :]
        hits = sum(known.startswith(context + byte, i) for i in range(len(known)))
        totals = sum(known.startswith(context, i) for i in range(len(known) - n))
        return (hits + smoothing * probability(context, byte, n - 1)) / (totals + smoothing)

    start = len(before.encode())
    expected = [-np.log2(probability(text[:i], text[i : i + 1], order)) for i in range(start, len(text))]
    counted = characters.count(as_bytes(training), as_bytes(before), as_bytes(part), order)
    np.testing.assert_allclose(counted.bits(order, smoothing), np.mean(expected), rtol=1e-12)


def test_the_probabilities_of_an_ngram_sum_to_one() -> None:
    training, before = as_bytes(TEXT[:500]), as_bytes("the c")
    bits = [characters.count(training, before, np.array([byte]), 3).bits(3, 2.0) for byte in range(256)]
    np.testing.assert_allclose(np.sum(np.exp2(-np.array(bits))), 1, rtol=1e-12)


def test_the_yardsticks_take_no_choice_from_the_test_part(file: Path) -> None:
    parts = characters.load(file)
    yardsticks = characters.yardsticks(parts)
    shuffled = parts._replace(test=np.random.default_rng(0).permutation(parts.test))
    assert [*characters.yardsticks(shuffled)] == [*yardsticks]  # the name has the order that was chosen
    assert yardsticks["xz, having read the rest"] < yardsticks["xz"]


@pytest.mark.slow
def test_the_file_needs_the_bits_of_the_model_in_pieces_of_any_size(model: Any, session: Session) -> None:
    text = as_bytes(TEXT[:700])
    for piece in (1, 64, 1000):
        np.testing.assert_allclose(
            characters.streamed_bits(session, text, piece), characters.eager_bits(model, text), rtol=1e-5
        )
    assert [tuple(value.shape) for value in session.inputs] == [("time", "batch"), (1, "batch", 16)]


@pytest.mark.slow
def test_the_best_byte_alone_is_what_the_eager_model_writes(model: Any, session: Session) -> None:
    written = "".join(characters.write(session, b"the ", 30, temperature=1.0, top_k=1, seed=0))
    text = list(b"the ")
    for _ in range(30):
        with lucid.no_grad():
            text.append(int(model(lucid.tensor(text).unsqueeze(1))[0][-1, 0].numpy().argmax()))
    assert written == codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(text))
    others = [
        "".join(characters.write(session, b"the ", 30, temperature=1.0, top_k=256, seed=seed)) for seed in (0, 0, 1)
    ]
    assert others[0] == others[1] != others[2]


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_bytes_are_drawn_as_the_softmax_says(model: Any, session: Session, temperature: float) -> None:
    with lucid.no_grad():
        scores = model(lucid.tensor(list(b"the ")).unsqueeze(1))[0][-1, 0].numpy().astype(float)
    random, best = np.random.default_rng(0), np.argsort(scores)[-3:]
    drawn = Counter(int(characters.drawn(scores, temperature, 3, random)) for _ in range(4000))
    assert drawn.keys() <= set(best.tolist())
    shares = np.exp(scores[best] / temperature) / np.exp(scores[best] / temperature).sum()
    np.testing.assert_allclose([drawn[int(byte)] / 4000 for byte in best], shares, atol=0.04)


@pytest.mark.parametrize("wrong", [["--temperature", "0"], ["--top-k", "0"], ["--top-k", "257"], ["--prompt", ""]])
def test_options_that_make_no_sense_are_refused(wrong: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit):
        characters.parse(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_a_text_that_is_too_short_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="needs at least 40002 bytes"):
        characters.main(["--text", str(file), "--batch-size", "500", "--out", str(tmp_path)])


@pytest.mark.slow
def test_a_seed_decides_the_text(file: Path, tmp_path: Path, capsys: Any) -> None:
    few = [
        "--text",
        str(file),
        "--epochs",
        "1",
        "--hidden",
        "8",
        "--batch-size",
        "4",
        "--steps",
        "32",
        "--length",
        "80",
    ]
    written = []
    for _ in range(2):
        characters.main([*few, "--seed", "3", "--out", str(tmp_path)])
        captured = capsys.readouterr()
        written += re.findall(r"piece by piece +[\d.]+\n\n(.*)\n\n[\d,]+ bytes a second", captured.out, re.DOTALL)
    assert written[0] == written[1]
    assert written[0].startswith("The ")
    assert captured.err == ""  # the bar is for a terminal
    rows = re.findall(r"^(\S.*?) +\d\.\d{3}$", captured.out, re.MULTILINE)
    assert rows[:3] == ["n-gram, order 3", "xz", "bz2"]
    assert rows[-2:] == ["GRU, eager", "GRU, onnxruntime, piece by piece"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["characters.onnx", "characters.png"]
    assert is_picture(tmp_path / "characters.png")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_model_needs_fewer_bits_than_the_yardsticks(tmp_path: Path) -> None:
    out, _ = run("characters", tmp_path)
    bits = {name: float(value) for name, value in re.findall(r"^(\S.*?) +(\d\.\d{3})$", out, re.MULTILINE)}
    reached = bits.pop("GRU, onnxruntime, piece by piece")
    assert abs(reached - bits.pop("GRU, eager")) <= 0.001
    assert reached < min(bits[name] for name in ("n-gram, order 3", "xz", "bz2"))
