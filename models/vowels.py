"""Identifies which of nine speakers uttered a vowel, with a tanh RNN trained in NumPy and run in onnxruntime.

``python -m models.vowels`` trains one model per seed, writes ``vowels.onnx`` and ``vowels.png``, and compares the
answers of each model in NumPy and in onnxruntime. Every fifth utterance of the training set is for validation, as the
curves show. The data and known results are described in ``models/data/README.md``.

Letters: T time, N batch.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import lucid
from lucid import nn
from lucid.data import DataLoader, TensorDataset
from lucid.export import to_onnx
from lucid.nn.functional import cross_entropy
from lucid.nn.utils.rnn import pack_padded_sequence
from lucid.optim import Adam
from lucid.optim.lr_scheduler import CosineAnnealingLR
from lucid.runtime import Session

from . import checks, report

FEATURES, SPEAKERS = 12, 9
HERE = Path(__file__).parent

Array = np.ndarray[Any, Any]

Engine = Callable[[Array, Array], Array]
"""A function from frames (N, T, 12) and lengths (N,) to scores (N, 9)."""


class Utterances(NamedTuple):
    """Frames (N, T, 12), padded at the end; lengths (N,) and speakers (N,)."""

    frames: Array
    lengths: Array
    speakers: Array

    def where(self, chosen: Array) -> Utterances:
        """Returns some of them."""
        return Utterances(*(array[chosen] for array in self))

    def split(self) -> tuple[Utterances, Utterances]:
        """Returns those to train on, and every fifth one for validation: they are in the order of their speakers."""
        held_out = np.arange(len(self.speakers)) % 5 == 4
        return self.where(~held_out), self.where(held_out)

    def batches(self, size: int) -> list[tuple[Array, Array]]:
        """Returns frames and lengths in order, split into batches."""
        return [(self.frames[i : i + size], self.lengths[i : i + size]) for i in range(0, len(self.lengths), size)]

    def spoiled(self, steps: int) -> Utterances:
        """Returns the same utterances with more padding, all of it NaN."""
        frames = np.pad(self.frames, ((0, 0), (0, steps), (0, 0)))
        frames[np.arange(frames.shape[1]) >= self.lengths[:, None]] = np.nan
        return self._replace(frames=frames)


def load() -> tuple[Utterances, Utterances]:
    """Returns the utterances to train on, and those to test on."""
    with np.load(HERE / "data" / "japanese_vowels.npz") as file:
        train, test = (
            Utterances(*(file[f"{part}_{what}"] for what in ("sequences", "lengths", "speakers")))
            for part in ("train", "test")
        )
    return train, test


class SpeakerClassifier(nn.Module):
    """Scores each speaker: standardizes frames, reads them with a tanh RNN, and maps its last state linearly.

    In training, noise is added to the standardized frames, so that the model does not memorize 270 utterances.

    Args:
        hidden: the number of hidden units of the RNN.
        noise: the standard deviation of the noise.

    Shape:
        frames: (N, T, 12), padded at the end with anything; lengths: (N,). The result: (N, 9).
    """

    def __init__(self, hidden: int, noise: float) -> None:
        super().__init__()
        self.noise = noise
        self.register_buffer("mean", lucid.zeros(FEATURES))
        self.register_buffer("std", lucid.ones(FEATURES))
        self.rnn = nn.RNN(FEATURES, hidden, batch_first=True)
        self.head = nn.Linear(hidden, SPEAKERS)

    def standardize_like(self, utterances: Utterances) -> None:
        """Takes mean and standard deviation from the frames that are not padding."""
        steps = utterances.frames.shape[1]
        frames = utterances.frames[np.arange(steps) < utterances.lengths[:, None]]
        self.mean, self.std = lucid.tensor(frames.mean(0)), lucid.tensor(frames.std(0))

    def forward(self, frames: lucid.Tensor, lengths: lucid.Tensor) -> lucid.Tensor:
        frames = (frames - self.mean) / self.std
        if self.training:
            frames = frames + self.noise * lucid.randn(*frames.shape)
        packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        _, h_n = self.rnn(packed)
        scores: lucid.Tensor = self.head(h_n[-1])
        return scores


class Run(NamedTuple):
    """A trained model, with its loss in training and its accuracy in validation after each epoch."""

    model: SpeakerClassifier
    losses: list[float]
    accuracies: list[float]


class Answers(NamedTuple):
    """The answers of an engine on the test set.

    Attributes:
        scores: (N, 9).
        accuracy: the share of right answers, from 0 to 1.
        changed: how many answers change, or become invalid, if the padding is NaN and longer.
        milliseconds: the time of a batch.
    """

    scores: Array
    accuracy: float
    changed: int
    milliseconds: float


def train(options: argparse.Namespace, utterances: Utterances, validation: Utterances, seed: int) -> Run:
    """Trains a model; all randomness comes from the seed."""
    lucid.manual_seed(seed)
    model = SpeakerClassifier(options.hidden, options.noise)
    model.standardize_like(utterances)
    loader = DataLoader(TensorDataset(*utterances), batch_size=options.batch_size, shuffle=True)
    optimizer = Adam(model.parameters(), lr=options.learning_rate)
    scheduler = CosineAnnealingLR(optimizer, T_max=options.epochs)
    run = Run(model, [], [])
    for _ in (epochs := lucid.progress(range(options.epochs), f"seed {seed}", unit="epoch")):
        total = 0.0
        for frames, lengths, speakers in loader:
            loss = cross_entropy(model(frames, lengths), speakers)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(speakers)
        scheduler.step()
        run.losses.append(total / len(utterances.speakers))
        run.accuracies.append(accuracy(score(eager(model), validation), validation))
        epochs.show(loss=f"{run.losses[-1]:.3f}", accuracy=f"{run.accuracies[-1]:.1%}")
    return run


def eager(model: SpeakerClassifier) -> Engine:
    """Returns the model in NumPy, in evaluation mode."""

    def scores(frames: Array, lengths: Array) -> Array:
        training = model.training
        model.eval()
        with lucid.no_grad():
            result = model(lucid.as_tensor(frames), lucid.as_tensor(lengths)).numpy()
        model.train(training)
        return result

    return scores


def exported(
    model: SpeakerClassifier, test: Utterances, path: Path, device: str = "cpu", lowering: Any = "scan"
) -> Engine:
    """Exports the model for any number of utterances of any length, and returns it in onnxruntime."""
    frames, lengths = test.batches(4)[0]
    to_onnx(
        model,
        frames,
        lengths,
        path=path,
        output_names=["scores"],
        dynamic={"frames": {0: "batch", 1: "time"}, "lengths": {0: "batch"}},
        lowering=lowering,
    )
    session = Session(path, device)
    return lambda frames, lengths: session(frames, lengths)["scores"]


def score(engine: Engine, utterances: Utterances, batch_size: int = 64) -> Array:
    """Returns the scores (N, 9) of all utterances."""
    return np.concatenate([engine(frames, lengths) for frames, lengths in utterances.batches(batch_size)])


def accuracy(scores: Array, utterances: Utterances) -> float:
    """Returns how often the highest score is that of the speaker, from 0 to 1."""
    return float((scores.argmax(1) == utterances.speakers).mean())


def examine(engine: Engine, test: Utterances, batch_size: int) -> Answers:
    """Runs the test set through an engine, also with spoiled padding, and times it."""
    scores = score(engine, test, batch_size)
    spoiled = score(engine, test.spoiled(steps=7), batch_size)
    changed = (scores.argmax(1) != spoiled.argmax(1)) | ~np.isfinite(spoiled).all(1)
    calls = len(test.batches(batch_size))
    milliseconds = report.milliseconds(lambda: score(engine, test, batch_size), calls)
    return Answers(scores, accuracy(scores, test), int(changed.sum()), milliseconds)


def validate(options: argparse.Namespace, utterances: Utterances, folds: int = 5) -> float:
    """Returns the mean accuracy in cross-validation on the training set; the test set stays unseen."""
    accuracies = []
    for seed in options.seed:
        fold = np.random.default_rng(seed).permutation(len(utterances.speakers)) % folds
        for k in range(folds):
            run = train(options, utterances.where(fold != k), utterances.where(fold == k), seed)
            accuracies.append(run.accuracies[-1])
    return float(np.mean(accuracies))


def summary(options: argparse.Namespace, answers: Sequence[tuple[Answers, Answers]], utterances: int) -> str:
    """Formats a table of the models' answers, in NumPy and in onnxruntime."""
    columns = list(zip(*answers, strict=True))
    means = [np.mean([a.accuracy for a in column]) for column in columns]
    changed = [sum(a.changed for a in column) for column in columns]
    times = [np.mean([a.milliseconds for a in column]) for column in columns]
    difference = max(np.abs(a.scores - b.scores).max() for a, b in answers)
    return report.table(
        [
            ["", "eager", "onnxruntime"],
            *(
                [f"accuracy, seed {seed}", *(f"{a.accuracy:.1%}" for a in pair)]
                for seed, pair in zip(options.seed, answers, strict=True)
            ),
            ["accuracy, mean", *(f"{mean:.1%}" for mean in means)],
            ["known: dynamic time warping", "94.9%", ""],
            ["known: RNN in PyTorch, five seeds", "94.1% to", "96.5%"],
            ["answers changed by NaN in more padding", *(f"{n} of {utterances * len(answers)}" for n in changed)],
            [f"milliseconds a batch of {options.batch_size}", *(f"{t:.2f}" for t in times)],
            ["greatest difference of a score", "", f"{difference:.1e}"],
        ]
    )


def draw(figure: Any, seeds: Sequence[int], runs: Sequence[Run], scores: Array, test: Utterances) -> None:
    """Draws the learning curves of all models, and the confusion matrix of the first."""
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.05))
    loss, rate = left.subplots(2, 1, sharex=True)
    for colour, seed, run in zip(itertools.cycle(report.COLOURS), seeds, runs, strict=False):
        epochs = range(1, len(run.losses) + 1)
        style: Any = {"color": colour, "linewidth": 1.3, "marker": report.marker(epochs)}
        loss.plot(epochs, run.losses, label=f"seed {seed}", **style)
        rate.plot(epochs, [100 * a for a in run.accuracies], **style)
    loss.set(yscale="log", title="Cross entropy in training", ylabel="nats an utterance")
    loss.yaxis.set_major_formatter("{x:g}")
    loss.legend(loc="upper right")
    rate.set(title="Accuracy in validation", xlabel="epoch", ylabel="right answers, %", ylim=(0, 102))
    rate.locator_params(axis="x", integer=True, min_n_ticks=1)
    for axes in (loss, rate):
        axes.grid(axis="y", color=report.GREY, alpha=0.35, linewidth=0.6)

    counts = np.zeros((SPEAKERS, SPEAKERS), int)
    np.add.at(counts, (test.speakers, scores.argmax(1)), 1)
    shares = counts / counts.sum(1, keepdims=True)
    matrix = right.subplots()
    matrix.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
    for i, j in zip(*counts.nonzero(), strict=True):
        plain = report.INK if i == j or shares[i, j] > 0.3 else report.COLOURS[1]
        colour, weight = "white" if shares[i, j] > 0.55 else plain, "normal" if i == j else "bold"
        matrix.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour, fontweight=weight)
    matrix.set(
        title=f"Answers in onnxruntime, seed {seeds[0]}: {accuracy(scores, test):.1%} right",
        xlabel="answered speaker",
        ylabel="true speaker",
        xticks=range(SPEAKERS),
        yticks=range(SPEAKERS),
        xticklabels=range(1, SPEAKERS + 1),
        yticklabels=range(1, SPEAKERS + 1),
    )
    matrix.tick_params(length=0)
    matrix.spines[:].set_visible(False)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.vowels", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2], help="one model is trained for each")
    parser.add_argument("--epochs", type=checks.count, default=50)
    parser.add_argument("--hidden", type=checks.count, default=64, help="hidden units of the RNN")
    parser.add_argument("--noise", type=float, default=0.5, help="standard deviation of the noise added in training")
    parser.add_argument("--batch-size", type=checks.count, default=32)
    parser.add_argument("--learning-rate", type=checks.positive, default=5e-3, help="at first; it falls along a cosine")
    parser.add_argument(
        "--lowering",
        default="scan",
        choices=["rnn", "scan"],
        help="rnn is the smallest file, scan the fastest for batches",
    )
    parser.add_argument(
        "--device", type=checks.device, default="cpu", help="where onnxruntime runs: cpu, cuda, cuda:1, auto"
    )
    parser.add_argument("--out", type=checks.folder, default=Path("out"), help="folder for vowels.onnx and vowels.png")
    parser.add_argument(
        "--validate", action="store_true", help="cross-validate on the training set, by which settings are to be chosen"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, exports, runs and reports."""
    start = time.perf_counter()
    options = parse(arguments)
    report.require_matplotlib()
    utterances, test = load()
    if options.validate:
        print(f"accuracy in five-fold cross-validation: {validate(options, utterances):.1%}")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    training, validation = utterances.split()
    runs = [train(options, training, validation, seed) for seed in options.seed]
    answers: list[tuple[Answers, Answers]] = []
    # The first seed comes last, so that its model is the one that stays in the file.
    for run in reversed(runs):
        engines = (
            eager(run.model),
            exported(run.model, test, options.out / "vowels.onnx", options.device, options.lowering),
        )
        first, second = (examine(engine, test, options.batch_size) for engine in engines)
        answers.insert(0, (first, second))
    scores = answers[0][1].scores
    report.draw(options.out / "vowels.png", 10.5, 5, lambda figure: draw(figure, options.seed, runs, scores, test))
    print(f"\n{summary(options, answers, len(test.speakers))}")
    print(f"\n{options.out / 'vowels.onnx'} and vowels.png written, {time.perf_counter() - start:.1f} s in all")


if __name__ == "__main__":
    main()
