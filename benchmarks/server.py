"""Server: the process behind a `Worker`, which prepares one contender's jobs and runs them on command.

It reads pickled commands from its standard input and writes pickled answers to its standard output.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import Job

__all__ = ["Server"]


class Server:
    """Runs one contender. Each method is a command."""

    def __init__(self) -> None:
        self.bare = resident()
        self.job: Job | None = None

    def prepare(self, task: str, case: Any, options: dict[str, Any]) -> None:
        """Creates the job."""
        module, function = task.split(":")
        self.job = None
        gc.collect()
        self.job = getattr(import_module(f"benchmarks.contenders.{module}"), function)(case, **options)

    def results(self) -> dict[str, Any]:
        """Returns the results of the job's first call."""
        assert self.job is not None
        return self.job.results()

    def time(self, calls: int, warm: int) -> list[float]:
        """Returns the seconds that each of `calls` calls takes, after `warm` untimed calls."""
        assert self.job is not None
        run, clock = self.job.run, time.perf_counter
        for _ in range(warm):
            run()
        seconds = []
        for _ in range(calls):
            start = clock()
            run()
            seconds.append(clock() - start)
        return seconds

    def peak(self, calls: int) -> dict[str, int]:
        """Returns the bytes in use: by the bare interpreter, before the first call, and at the peak of the calls."""
        assert self.job is not None
        gc.collect()
        before = resident()
        forget_peak()
        for _ in range(calls):
            self.job.run()
        return {"interpreter": self.bare, "before": before, "peak": resident("VmHWM")}


def resident(field: str = "VmRSS") -> int:
    """Returns the bytes of memory of this process, now or at its peak (VmHWM)."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource  # not available everywhere, and needed only here

        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return usage if sys.platform == "darwin" else usage * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Resets the kernel's record of the peak, where it can."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def main() -> None:
    commands, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the output of libraries must not mix with the answers
    server = Server()
    while True:
        try:
            command, arguments = pickle.load(commands)
        except EOFError:
            return
        try:
            answer = (True, getattr(server, command)(*arguments))
        except Exception as error:
            text = str(error).strip().splitlines()
            answer = (False, (f"{type(error).__name__}: {text[0] if text else ''}", traceback.format_exc()))
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()
