"""Worker: a contender in a process of its own, kept alive and driven over a pipe."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .contender import Contender

__all__ = ["ROOT", "Worker", "WorkerError"]

ROOT = Path(__file__).resolve().parent.parent


class WorkerError(Exception):
    """A contender could not do what it was told; the traceback of its own process is in `details`."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message.replace(f"{ROOT}{os.sep}", ""))  # a report should not say where the project stands
        self.details = details


class Worker:
    """A contender in a process of its own; a context manager, at whose end the process ends."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            cwd=ROOT,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def prepare(self, case: Any) -> None:
        """Make the job for a case."""
        self.ask("prepare", self.contender.task, case, self.contender.options)

    def results(self) -> dict[str, Any]:
        """What the job's first call gives."""
        results: dict[str, Any] = self.ask("results")
        return results

    def time(self, calls: int, warm: int = 0) -> list[float]:
        """The seconds that each of `calls` calls takes, after `warm` calls that are not timed."""
        seconds: list[float] = self.ask("time", calls, warm)
        return seconds

    def peak(self, calls: int) -> dict[str, int]:
        """The bytes in use: of the bare interpreter, before the first call, and at most during `calls` calls."""
        peak: dict[str, int] = self.ask("peak", calls)
        return peak

    def ask(self, command: str, *arguments: Any) -> Any:
        """Send a command and wait for its answer.

        Raises:
            WorkerError: the command failed, or the process ended.
        """
        commands, answers = self._process.stdin, self._process.stdout
        assert commands is not None
        assert answers is not None
        try:
            pickle.dump((command, arguments), commands)
            commands.flush()
            done, answer = pickle.load(answers)
        except (EOFError, BrokenPipeError) as error:
            code = self._process.wait()
            raise WorkerError(f"the process ended with exit status {code}", self._tail()) from error
        if not done:
            raise WorkerError(*answer)
        return answer

    def _tail(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace")[-4000:]

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What was not sent yet cannot reach a process that has ended.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        self._said.close()
