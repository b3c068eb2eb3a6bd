"""Fine-tunes a voice activity detector that others trained, Silero's, whose ONNX file `pip install silero-vad` brings.

The file becomes a module (`lucid.from_onnx`), learns from a few minutes of made sounds, is exported with a free time
axis, and then runs piece by piece in onnxruntime, as on a microphone.

    pip install silero-vad --no-deps
    python -m examples.finetune --out detector.onnx

Letters: T windows, of 32 ms.
"""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import optim
from lucid.nn import functional as F
from lucid.runtime import Session

__all__ = ["accuracy", "finetune", "main", "shipped", "sound", "windows"]

RATE = 16_000
"""Samples per second."""

WINDOW, CONTEXT = 512, 64
"""Samples of a window, and how many before it the model also sees."""

Array = np.ndarray[Any, Any]


def shipped() -> Path | None:
    """Returns the file in the package silero-vad that takes whole sequences; None if the package is not installed."""
    found = find_spec("silero_vad")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "data" / "silero_vad_16k_sequence.onnx"


def sound(seconds: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Makes speech-like phrases in noise.

    A phrase is a buzz with a gliding pitch, whose harmonics two formants shape and syllables interrupt. The noise is
    white or brown, with a hum of steady tones that a detector may take for a voice.

    Shape:
        The results: (T * 512,) samples from -1 to 1, and (T,) 1 where a phrase sounds.
    """
    count = int(seconds * RATE) // WINDOW
    t = np.arange(count * WINDOW) / RATE
    noise = rng.standard_normal(t.size)
    if rng.random() < 0.5:
        noise = np.cumsum(noise) - np.linspace(0, noise.sum(), t.size)
    signal = 0.02 * noise / noise.std()
    for tone in rng.uniform(100, 900, 3):
        signal += 0.01 * np.sin(2 * np.pi * tone * t)
    label = np.zeros(count)
    start = int(rng.integers(5, 20))
    while start < count:
        stop = min(count, start + int(rng.integers(15, 50)))
        part = slice(start * WINDOW, stop * WINDOW)
        signal[part] += 0.2 * _phrase(t[part], rng)
        label[start:stop] = 1
        start = stop + int(rng.integers(10, 40))
    return np.clip(signal, -1, 1).astype(np.float32), label.astype(np.float32)


def _phrase(t: Array, rng: np.random.Generator) -> Array:
    pitch = rng.uniform(90, 220) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.5, 1.5) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = rng.uniform(300, 800), rng.uniform(1000, 2200)
    voice = np.zeros(t.size)
    for k in range(1, 25):
        low, high = (np.exp(-(((k * pitch - formant) / 150) ** 2)) for formant in formants)
        voice += (0.1 / k + low + high) * np.sin(k * phase)
    syllables = np.clip(1.3 + np.sin(2 * np.pi * rng.uniform(3, 5) * t), 0, 2) / 2
    voiced: Array = syllables * voice / max(1e-9, np.abs(voice).max())
    return voiced


def windows(signal: Array) -> Array:
    """Cuts samples (T * 512,) into windows, each after the last 64 samples of the one before it: (T, 576)."""
    padded = np.concatenate([np.zeros(CONTEXT, signal.dtype), signal])
    return np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + WINDOW)[::WINDOW].copy()


def finetune(model: Any, seconds: float, epochs: int, seed: int = 0) -> None:
    """Trains all weights but the Fourier basis on made sounds, one sequence of eight seconds at a time."""
    rng = np.random.default_rng(seed)
    sounds = [sound(8, rng) for _ in range(max(1, round(seconds / 8)))]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("basis" not in name)
    optimizer = optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-4)
    state = lucid.zeros(1, 1, 128)
    for epoch in range(epochs):
        total = 0.0
        for i in rng.permutation(len(sounds)):
            signal, label = sounds[i]
            optimizer.zero_grad()
            found, _, _ = model(lucid.tensor(windows(signal)), state, state)
            loss = F.binary_cross_entropy(found.clamp(1e-6, 1 - 1e-6), lucid.tensor(label))
            loss.backward()
            lucid.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(sounds):.3f}")


def accuracy(run: Any, seed: int = 1) -> float:
    """Returns the part of windows that a function of samples (T * 512,) gets right, in sounds that are new to it."""
    rng = np.random.default_rng(seed)
    sounds = [sound(8, rng) for _ in range(5)]
    return float(np.mean([np.mean((run(signal) > 0.5) == (label > 0.5)) for signal, label in sounds]))


def eagerly(model: Any) -> Any:
    """Returns a function of samples that runs the module."""
    state = lucid.zeros(1, 1, 128)

    def run(signal: Array) -> Array:
        with lucid.no_grad():
            found: Array = model(lucid.tensor(windows(signal)), state, state)[0].numpy()
        return found

    return run


def streamed(session: Session, piece: int = 5) -> Any:
    """Returns a function of samples that runs the file in pieces of a few windows, as they would arrive."""

    def run(signal: Array) -> Array:
        stream = session.stream()
        given = windows(signal)
        return np.concatenate([stream(given[i : i + piece])[0] for i in range(0, len(given), piece)])

    return run


def main(args: list[str] | None = None) -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=shipped(), help="the detector's file; by default silero-vad's")
    parser.add_argument("--out", type=Path, default=Path("detector.onnx"), help="the file to write")
    parser.add_argument("--seconds", type=float, default=160, help="how much sound to learn from")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args(args)
    if options.model is None:
        parser.error("silero-vad is not installed; pip install silero-vad --no-deps, or give --model")
    model = lucid.from_onnx(options.model)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{options.model.name}: {count:,} parameters; right at first: {accuracy(eagerly(model)):.1%}")
    began = time.perf_counter()
    finetune(model, options.seconds, options.epochs)
    print(f"trained for {time.perf_counter() - began:.0f} s; right now: {accuracy(eagerly(model)):.1%}")
    state = lucid.zeros(1, 1, 128)
    example = lucid.tensor(windows(sound(2, np.random.default_rng(2))[0]))
    lucid.export.to_onnx(model.eval(), example, state, state, path=options.out, states={"h": "hn", "c": "cn"})
    session = Session(options.out)
    print(f"{options.out}: {session.inputs[0].shape}; streamed, right: {accuracy(streamed(session)):.1%}")


if __name__ == "__main__":
    main()
