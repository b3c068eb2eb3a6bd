"""Learns to write from a text, character by character, with a GRU, and streams a text of its own out of onnxruntime.

``python -m models.characters`` trains on Python's own help texts, or on ``--text FILE``, and writes ``characters.onnx``
and ``characters.png``. It compares the bits per character on the last tenth of the text with compressors and n-grams:
the first eight tenths are for training, the ninth for what is chosen, such as the best epoch. Then the model writes,
in onnxruntime: each byte that it draws is its next input, and the stream keeps the state.

Letters: T time, N batch, H hidden.
"""

from __future__ import annotations

import argparse
import bz2
import codecs
import itertools
import lzma
import pydoc_data.topics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from tqdm import tqdm

import lucid
from lucid import nn
from lucid.export import to_onnx
from lucid.nn.functional import cross_entropy
from lucid.optim import Adam
from lucid.optim.lr_scheduler import CosineAnnealingLR
from lucid.runtime import Session

from . import checks, report

BYTES = 256
ORDERS = range(7)
SMOOTHING = (0.5, 1, 2, 4, 8, 16, 32, 64)
"""The orders that are tried for an n-gram, and the weights of the lower order."""

Array = np.ndarray[Any, Any]


class Parts(NamedTuple):
    """The bytes of a text: the first 80 % to train on, the next 10 % to choose by, and the last 10 % to test on."""

    training: Array
    validation: Array
    test: Array


def load(path: Path | None = None) -> Parts:
    """Returns the parts of a text in UTF-8, or of the help texts that every Python carries."""
    data = path.read_bytes() if path else "".join(pydoc_data.topics.topics.values()).encode()
    text = np.frombuffer(data, np.uint8).astype(np.int64)
    return Parts(*np.split(text, [len(text) * 8 // 10, len(text) * 9 // 10]))


def characters(part: Array) -> int:
    """Returns the number of characters: of bytes that do not continue one in UTF-8."""
    return int((part & 0xC0 != 0x80).sum())


class LanguageModel(nn.Module):
    """Scores each byte as the next one: an embedding, a GRU and a linear layer.

    Args:
        embedding: the size of the vector that stands for a byte.
        hidden: H, the number of hidden units of the GRU.

    Shape:
        text: (T, N), bytes as int64; h0: (1, N, H), zeros if omitted. The results: scores (T, N, 256), h_n (1, N, H).
    """

    def __init__(self, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BYTES, embedding)
        self.gru = nn.GRU(embedding, hidden)
        self.head = nn.Linear(hidden, BYTES)

    def forward(self, text: lucid.Tensor, h0: lucid.Tensor | None = None) -> tuple[lucid.Tensor, lucid.Tensor]:
        output, h_n = self.gru(self.embedding(text), h0)
        return self.head(output), h_n


class Run(NamedTuple):
    """A trained model, and its bits per byte in training and per character on the validation part, by epoch."""

    model: LanguageModel
    training: list[float]
    validation: list[float]


def loss(
    model: LanguageModel, text: lucid.Tensor, following: lucid.Tensor, h0: lucid.Tensor
) -> tuple[lucid.Tensor, dict[str, lucid.Tensor]]:
    """Returns the mean cross entropy of the next bytes, and the state after the last one."""
    scores, h_n = model(text, h0)
    return cross_entropy(scores.flatten(0, 1), following.flatten()), {"h_n": h_n}


def streams(part: Array, number: int) -> tuple[Array, Array]:
    """Cuts a part into streams of equal length, side by side; returns all bytes but the last, and the next of each."""
    length = (len(part) - 1) // number
    given, following = part[: length * number], part[1 : length * number + 1]
    return given.reshape(number, length).T, following.reshape(number, length).T


def train(options: argparse.Namespace, parts: Parts) -> Run:
    """Trains a model, and returns it as it was after the epoch with the fewest bits on the validation part.

    Backpropagation through time is truncated: a step reads the next bytes of each stream, from the state that the step
    before left. A step is one graph that runs in onnxruntime. All randomness comes from the seed.
    """
    lucid.manual_seed(options.seed)
    model = LanguageModel(options.embedding, options.hidden)
    frequencies = np.bincount(parts.training, minlength=BYTES) + 1
    with lucid.no_grad():
        # The bytes that the text lacks are most of all; to learn so from the loss takes long.
        model.head.bias.copy_(lucid.tensor(np.log(frequencies / frequencies.sum()).astype(np.float32)))
    optimizer = Adam(model.parameters(), lr=options.learning_rate)
    step = lucid.compile(model, options.device, loss=loss, optimizer=optimizer, clip_grad_norm=1.0)
    given, following = streams(parts.training, options.batch_size)
    starts = range(0, len(given) - options.steps + 1, options.steps)
    if not starts:
        raise SystemExit(
            f"characters: a text for {options.batch_size} streams of {options.steps} bytes needs at least "
            f"{options.batch_size * options.steps * 5 // 4 + 2} bytes; take a longer --text or a smaller --batch-size"
        )
    scheduler = CosineAnnealingLR(optimizer, T_max=options.epochs * len(starts))
    run, best = Run(model, [], []), model.state_dict()
    with tqdm(total=options.epochs * len(starts), desc=f"seed {options.seed}", unit="step", disable=None) as progress:
        for _ in range(options.epochs):
            total, state = 0.0, lucid.zeros(1, options.batch_size, options.hidden)
            for start in starts:
                piece = slice(start, start + options.steps)
                value, metrics = step(lucid.as_tensor(given[piece]), lucid.as_tensor(following[piece]), state)
                state = metrics["h_n"]
                total += value.item()
                scheduler.step()
                progress.update()
            run.training.append(total / len(starts) / np.log(2))
            run.validation.append(eager_bits(model, parts.validation, options.batch_size))
            if run.validation[-1] == min(run.validation):
                best = {name: value.detach().clone() for name, value in model.state_dict().items()}
            progress.set_postfix_str(f"bits {run.training[-1]:.3f}, validation {run.validation[-1]:.3f}")
    model.load_state_dict(best)
    return run


def eager_bits(model: LanguageModel, part: Array, number: int = 1) -> float:
    """Returns the bits per character that the model needs for a part, cut into streams; in NumPy."""
    given, following = streams(part, number)
    with lucid.no_grad():
        scores, _ = model(lucid.as_tensor(given))
        nats = cross_entropy(scores.flatten(0, 1), lucid.as_tensor(following).flatten(), reduction="sum")
    return nats.item() / np.log(2) / characters(following)


def export(model: LanguageModel, path: Path, device: str = "cpu") -> Session:
    """Exports the model with its state, for any number of bytes and of streams, and returns its session."""
    to_onnx(
        model,
        lucid.randint(0, BYTES, (5, 2)),
        lucid.zeros(1, 2, model.gru.hidden_size),
        path=path,
        output_names=["scores", "h_n"],
        dynamic={"text": {0: "time", 1: "batch"}, "h0": {1: "batch"}},
    )
    return Session(path, device)


def streamed_bits(session: Session, part: Array, piece: int = 1000) -> float:
    """Returns the bits per character that the file needs for a part, in onnxruntime, piece by piece."""
    stream = session.stream(batch=1)
    nats = 0.0
    for start in range(0, len(part) - 1, piece):
        text = part[start : start + piece + 1]
        scores = stream(text[:-1, None])["scores"][:, 0]
        highest = scores.max(1, keepdims=True)
        nats += np.sum(np.log(np.exp(scores - highest).sum(1)) + highest[:, 0] - scores[range(len(scores)), text[1:]])
    return nats / np.log(2) / characters(part[1:])


def write(session: Session, prompt: bytes, length: int, temperature: float, top_k: int, seed: int) -> Iterator[str]:
    """Continues a prompt by some bytes, each drawn from the scores of the `top_k` best; yields text as it comes.

    At a temperature below 1, better scores are drawn more often than the model says.
    """
    random = np.random.default_rng(seed)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    stream = session.stream(batch=1)
    scores = stream(np.frombuffer(prompt, np.uint8).astype(np.int64)[:, None])["scores"][-1, 0]
    yield decoder.decode(prompt)
    for _ in range(length):
        byte = drawn(scores, temperature, top_k, random)
        yield decoder.decode(bytes([byte]))
        scores = stream(np.array([[byte]]))["scores"][-1, 0]


def drawn(scores: Array, temperature: float, top_k: int, random: np.random.Generator) -> int:
    """Draws one of the `top_k` best from the softmax of the scores (256,) over the temperature."""
    best = np.argpartition(scores, -top_k)[-top_k:]
    # Gumbel's trick: the place of the largest score with such noise is a sample of the softmax.
    return int(best[np.argmax(scores[best] / temperature + random.gumbel(size=top_k))])


def compressed_bits(compress: Callable[[bytes], bytes], part: Array, before: Sequence[Array] = ()) -> float:
    """Returns the bits per character by which a part lengthens what a compressor makes of the parts before it."""
    known = b"".join(array.astype(np.uint8).tobytes() for array in before)
    whole = known + part.astype(np.uint8).tobytes()
    return 8 * (len(compress(whole)) - (len(compress(known)) if before else 0)) / characters(part)


class NGrams(NamedTuple):
    """What n-grams up to an order need to score a part: rows are the orders from 0 on, columns the bytes of the part.

    Attributes:
        hits: how often the byte follows its context, the bytes before it, in the training part.
        totals: how often the context occurs there before another byte.
    """

    hits: Array
    totals: Array

    def bits(self, order: int, smoothing: float) -> float:
        """Returns the bits per byte of the n-gram of an order.

        p(b | c) = (count(c b) + s p(b | c')) / (count(c) + s), where c is the context, c' is c without its first byte,
        and s is the smoothing.

        Source: D. J. C. MacKay and L. C. Bauman Peto (1995), "A hierarchical Dirichlet language model".
        """
        probability: Any = 1 / BYTES
        for hits, totals in zip(self.hits[: order + 1], self.totals, strict=False):
            probability = (hits + smoothing * probability) / (totals + smoothing)
        return float(-np.log2(probability).mean())


def count(training: Array, before: Array, part: Array, order: int) -> NGrams:
    """Counts for a part what stands in the training part; `before` is what the part continues."""
    text = np.concatenate([before[len(before) - order :], part])
    hits, totals = [], []
    for n in range(order + 1):
        known, asked = grams(training, n + 1), grams(text[order - n :], n + 1)
        hits.append(occurrences(known, asked))
        totals.append(occurrences(known // BYTES, asked // BYTES))
    return NGrams(np.stack(hits), np.stack(totals))


def grams(text: Array, n: int) -> Array:
    """Returns each n bytes in a row as one number."""
    return sliding_window_view(text, n) @ BYTES ** np.arange(n - 1, -1, -1)


def occurrences(known: Array, asked: Array) -> Array:
    """Returns how often each number that is asked for is known."""
    values, frequencies = np.unique(known, return_counts=True)
    places = np.searchsorted(values, asked).clip(max=len(values) - 1)
    return np.where(values[places] == asked, frequencies[places], 0)


def yardsticks(parts: Parts) -> dict[str, float]:
    """Returns the bits per character of n-grams and compressors on the test part, by name.

    The order and the smoothing of an n-gram are those that need the fewest bits on the validation part.
    """
    chosen_by = count(parts.training, parts.training, parts.validation, max(ORDERS))
    tested = count(parts.training, parts.validation, parts.test, max(ORDERS))

    def ngram(orders: Sequence[int]) -> tuple[int, float]:
        order, smoothing = min(itertools.product(orders, SMOOTHING), key=lambda choice: chosen_by.bits(*choice))
        return order, tested.bits(order, smoothing) * len(parts.test) / characters(parts.test)

    order, best = ngram(ORDERS)
    return {
        "n-gram, order 3": ngram([3])[1],
        "xz": compressed_bits(lzma.compress, parts.test),
        "bz2": compressed_bits(bz2.compress, parts.test),
        f"n-gram, best order ({order})": best,
        "xz, having read the rest": compressed_bits(lzma.compress, parts.test, parts[:2]),
    }


def draw(figure: Any, title: str, run: Run, known: dict[str, float], tested: float) -> None:
    """Draws the bits per character by epoch, with the yardsticks and the result on the test part as lines."""
    axes = figure.subplots()
    epochs = range(1, len(run.training) + 1)
    axes.plot(epochs, run.training, color=report.COLOURS[0], marker="o", markersize=3, label="GRU, training part")
    axes.plot(epochs, run.validation, color=report.COLOURS[1], marker="o", markersize=3, label="GRU, validation part")
    axes.axhline(tested, color=report.COLOURS[1], linewidth=1.5, label=f"GRU, test part: {tested:.2f}")
    styles = zip(("--", "-.", ":", "--", ":"), (report.INK, *report.COLOURS[2:], report.INK), strict=True)
    for (dashes, colour), (name, bits) in zip(styles, known.items(), strict=True):
        axes.axhline(bits, color=colour, linestyle=dashes, linewidth=1.1, label=f"{name}, test part: {bits:.2f}")
    axes.set(title=title, xlabel="epoch", ylabel="bits per character")
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.grid(axis="y", color=report.GREY, alpha=0.35, linewidth=0.6)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.characters", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--text", type=checks.file, help="a file in UTF-8 to learn from instead of Python's help texts")
    parser.add_argument("--seed", type=int, default=0, help="decides all random numbers")
    parser.add_argument("--epochs", type=checks.count, default=8)
    parser.add_argument("--embedding", type=checks.count, default=64, help="size of the vector that stands for a byte")
    parser.add_argument("--hidden", type=checks.count, default=128, help="hidden units of the GRU")
    parser.add_argument(
        "--batch-size", type=checks.count, default=32, help="streams that are read side by side in training"
    )
    parser.add_argument("--steps", type=checks.count, default=64, help="bytes between two updates")
    parser.add_argument("--learning-rate", type=checks.positive, default=6e-3, help="at first; it falls along a cosine")
    parser.add_argument("--prompt", default="The ", help="the text that the model continues")
    parser.add_argument("--length", type=checks.count, default=500, help="bytes to write")
    parser.add_argument(
        "--temperature", type=checks.positive, default=0.7, help="below 1, likelier bytes are drawn more often"
    )
    parser.add_argument(
        "--top-k",
        type=int,
        default=BYTES,
        choices=range(1, BYTES + 1),
        metavar="K",
        help="draw among the K likeliest bytes",
    )
    parser.add_argument(
        "--device", type=checks.device, default="cpu", help="where onnxruntime runs: cpu, cuda, cuda:1, auto"
    )
    parser.add_argument(
        "--out", type=checks.folder, default=Path("out"), help="folder for characters.onnx and characters.png"
    )
    options = parser.parse_args(arguments)
    if not options.prompt:
        parser.error("--prompt must have at least one character")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, exports, compares and writes."""
    start = time.perf_counter()
    options = parse(arguments)
    report.require_matplotlib()
    parts = load(options.text)
    options.out.mkdir(parents=True, exist_ok=True)
    run = train(options, parts)
    trained = time.perf_counter() - start
    session = export(run.model, options.out / "characters.onnx", options.device)
    known, tested = yardsticks(parts), streamed_bits(session, parts.test)
    rows = [
        ["bits per character, last tenth", ""],
        *([name, f"{bits:.3f}"] for name, bits in known.items()),
        ["GRU, eager", f"{eager_bits(run.model, parts.test):.3f}"],
        ["GRU, onnxruntime, piece by piece", f"{tested:.3f}"],
    ]
    title = f"A GRU learns {options.text.name if options.text else 'the help texts of Python'}"
    picture = options.out / "characters.png"
    report.draw(picture, 10.5, 4.5, lambda figure: draw(figure, title, run, known, tested))
    print(f"\n{report.table(rows)}\n")
    began = time.perf_counter()
    for text in write(
        session, options.prompt.encode(), options.length, options.temperature, options.top_k, options.seed
    ):
        print(text, end="", flush=True)
    speed = options.length / (time.perf_counter() - began)
    print(f"\n\n{speed:,.0f} bytes a second written in onnxruntime, trained in {trained:.1f} s")
    print(f"{options.out / 'characters.onnx'} and characters.png written, {time.perf_counter() - start:.1f} s in all")


if __name__ == "__main__":
    main()
