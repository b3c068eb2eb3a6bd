"""Worker: a contender in a process of its own, kept alive and driven over a pipe."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
from typing import Any

from .contender import Contender
from .machine import freed
from .place import ROOT

__all__ = ["Worker", "WorkerError"]


class WorkerError(Exception):
    """A contender failed; the traceback of its own process is in `details`."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message.replace(f"{ROOT}{os.sep}", ""))  # a report should not contain the project's path
        self.details = details


class Worker:
    """Runs a contender in a process of its own; a context manager, at whose end the process ends."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            cwd=ROOT,
            env=freed(),
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def prepare(self, case: Any) -> None:
        """Creates the job for a case."""
        self.ask("prepare", self.contender.task, case, self.contender.options)

    def results(self) -> dict[str, Any]:
        """Returns the results of the job's first call."""
        results: dict[str, Any] = self.ask("results")
        return results

    def time(self, calls: int, warm: int = 0) -> list[float]:
        """Returns the seconds that each of `calls` calls takes, after `warm` untimed calls."""
        seconds: list[float] = self.ask("time", calls, warm)
        return seconds

    def peak(self, calls: int) -> dict[str, int]:
        """Returns the bytes in use: by the bare interpreter, before the first call, and at the peak of the calls."""
        peak: dict[str, int] = self.ask("peak", calls)
        return peak

    def ask(self, command: str, *arguments: Any) -> Any:
        """Sends a command and waits for its answer.

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
        """Ends the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # Unsent data cannot reach a process that has ended.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        self._said.close()
