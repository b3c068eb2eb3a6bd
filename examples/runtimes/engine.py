"""Engine: what runs a model or a training step, by a program of the examples, as a user would."""

from __future__ import annotations

import json
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Engine", "EngineError", "Named", "Outcome", "Program", "Unsupported", "read"]

Named = dict[str, np.ndarray[Any, Any]]


class EngineError(RuntimeError):
    """An engine does not run a file; the message is its own, without the paths of the machine that built it."""

    def __init__(self, message: str) -> None:
        super().__init__(re.sub(r"(?<!\S)/\S+\s*", "", message))


class Unsupported(EngineError):  # noqa: N818 - no failure
    """The examples have no program for this."""


class Outcome(NamedTuple):
    """What an engine computed.

    Attributes:
        values: the outputs of each call, or the mean loss of each epoch.
        shares: how many nodes ran on each of onnxruntime's providers; empty if the engine does not say.
    """

    values: list[Any]
    shares: dict[str, int]


class Engine(ABC):
    """Runs files in a folder, with what they are given beside them.

    Attributes:
        title: what it is.
    """

    title: str

    def __init__(self, title: str) -> None:
        self.title = title

    @abstractmethod
    def infer(self, folder: Path, name: str, states: Mapping[str, str]) -> Outcome:
        """Runs ``<name>.onnx`` with the calls in ``<name>.json`` and ``.bin``; returns the outputs of each.

        Args:
            states: for each input that is a state, the output that continues it.

        Raises:
            EngineError: the model does not run.
        """

    @abstractmethod
    def train(self, folder: Path, name: str, epochs: int) -> Outcome:
        """Takes the step ``<name>.train.onnx`` with the batches beside it; returns the mean loss of each epoch.

        Raises:
            EngineError: the step does not run.
        """


Words = Callable[[Path, int], list[str]]


class Program(Engine):
    """Programs that print a line for each call, or for each epoch.

    Args:
        title: what it is.
        run: the program that runs a model.
        calls: the suffix of the calls that it reads.
        drive: the program that drives a training step, if there is one.
        words: the arguments of that, given the path of the step without suffix and the number of epochs.
    """

    def __init__(
        self,
        title: str,
        run: Sequence[str],
        calls: str,
        drive: Sequence[str] = (),
        words: Words = lambda path, epochs: [],
    ) -> None:
        super().__init__(title)
        self._run, self._calls, self._drive, self._words = run, calls, drive, words

    def infer(self, folder: Path, name: str, states: Mapping[str, str]) -> Outcome:
        path = folder / name
        pairs = [f"{state}={output}" for state, output in states.items()]
        lines = printed([*self._run, f"{path}.onnx", f"{path}{self._calls}", *pairs])
        return Outcome([read(json.loads(line)) for line in lines], {})

    def train(self, folder: Path, name: str, epochs: int) -> Outcome:
        if not self._drive:
            raise Unsupported("the examples have no driver of training steps for it")
        lines = printed([*self._drive, *self._words(folder / name, epochs)])
        return Outcome([float(line.split()[3]) for line in lines if line.startswith("epoch")], {})


def printed(words: Sequence[str]) -> list[str]:
    """Runs a program; returns the lines that it prints.

    Raises:
        EngineError: it fails.
    """
    run = subprocess.run(words, capture_output=True, text=True)
    if run.returncode:
        lines = (run.stderr or run.stdout).strip().splitlines() or [f"exit status {run.returncode}"]
        # Node and Java write a trace below the message, Python writes it above.
        said = [line for line in lines if re.match(r"\S*(Error|Exception)\b", line)]
        raise EngineError((said or lines)[-1])
    return run.stdout.splitlines()


def read(described: Mapping[str, Mapping[str, Any]]) -> Named:
    """Returns the arrays that JSON describes."""
    arrays = {}
    for name, given in described.items():
        data = [np.nan if value is None else value for value in given["data"]]
        arrays[name] = np.array(data, given["type"]).reshape(given["dims"])
    return arrays
