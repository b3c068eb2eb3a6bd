"""Scoring: files of sequences through `lucid score`, against bare onnxruntime sessions that are fed from memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

import lucid
from lucid import nn
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence

from .command import command
from .options import Options
from .place import ROOT
from .result import Finding, Result, Row, ratio
from .rounds import say

__all__ = ["measure"]

FEATURES, HIDDEN, CLASSES = 12, 64, 9
SHORTEST, LONGEST = 7, 29
FILES, BATCH = 8, 512
REPEATED = 4
"""How often two workers score each file: starting them takes as long as some files."""

Array = np.ndarray[Any, Any]


class Used(NamedTuple):
    """What a command used: seconds, those of processors, and the greatest memory of one of its processes in bytes."""

    seconds: float
    processor: float
    memory: float


class Classifier(nn.Module):
    """The size of the model of vowels: frames (N, T, 12) and lengths (N,) to scores (N, 9)."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(FEATURES, HIDDEN, batch_first=True), nn.Linear(HIDDEN, CLASSES)

    def forward(self, frames: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.rnn(packed)[1][0])


def measure(options: Options) -> Result:
    """Measures the time, the processor time and the memory of scoring Parquet files, beyond what starting takes."""
    count, rounds = (2_000, 1) if options.quick else (100_000, 3)
    cases = ("one process", "one process, processor", "two workers, processor")
    rows = [Row(case, {"lucid": [], "onnxruntime": []}) for case in cases]
    starts: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _export(folder / "model.onnx")
        lengths, few = _write(folder / "rows", count), _write(folder / "few", count // 4)
        (folder / "many").mkdir()
        for path in (folder / "rows").iterdir():
            for i in range(REPEATED):
                os.link(path, folder / "many" / f"{i}-{path.name}")
        for i in range(rounds):
            bare = _bare(model, lengths)
            alone = _alone(model, folder / "rows", folder / f"alone{i}")
            job = "score", model, folder / "many", "--out", folder / f"two{i}", "--workers", 2
            two, start = _run(*job), _run(*job)  # the second job finds that all is done
            starts.append(start.processor)
            for row, mine, its in (
                (rows[0], alone.seconds, bare.seconds),
                (rows[1], alone.processor, bare.processor),
                (rows[2], max(two.processor - start.processor, 1e-9) / REPEATED, bare.processor),
            ):
                row.values["lucid"].append(mine)
                row.values["onnxruntime"].append(its)
            say(f"round {i}: {count / alone.seconds:,.0f} sequences a second")
        many, less = (
            _run("score", model, folder / part, "--out", folder / f"{part}0").memory for part in ("rows", "few")
        )
    across = Row("", {"two": rows[2].values["lucid"], "one": rows[1].values["lucid"]})
    findings = [
        Finding.at_most("scoring, lucid / bare onnxruntime, time", 1.3, ratio(rows[0], "lucid", "onnxruntime")),
        Finding.at_most(
            "scoring, lucid / bare onnxruntime, processor time", 1.3, ratio(rows[1], "lucid", "onnxruntime")
        ),
        Finding.at_most("scoring, two workers / one process, processor time", 1.2, ratio(across, "two", "one")),
        Finding.at_most("scoring, memory of a process", 500, max(many, two.memory) / 2**20, " MiB"),
        Finding.at_most("scoring, memory with four times as many rows", 1.1, many / less),
    ]
    notes = [
        f"{count:,} sequences of {SHORTEST} to {LONGEST} frames in {FILES} files; few: {len(few):,}",
        "lucid reads and writes Parquet; onnxruntime gets padded batches from memory, and its results are dropped",
        f"starting two workers takes {np.median(starts):.1f} s of processor time, which is left out",
    ]
    title = f"Scoring {count:,} sequences, tanh RNN, hidden {HIDDEN}, one thread each"
    return Result("score", title, ["lucid", "onnxruntime"], rows, findings, notes, unit=("s", 1.0))


def _export(path: Path) -> Path:
    lucid.manual_seed(0)
    example = lucid.randn(2, LONGEST, FEATURES), lucid.tensor([SHORTEST, LONGEST])
    to_onnx(Classifier().eval(), *example, output_names=["scores"], path=path)
    return path


def _write(folder: Path, count: int) -> Array:
    """Writes sequences into Parquet files, and returns their lengths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, LONGEST + 1, count)
    for i, part in enumerate(np.array_split(lengths, FILES)):
        numbers = rng.standard_normal(int(part.sum()) * FEATURES, np.float32)
        steps = pa.FixedSizeListArray.from_arrays(pa.array(numbers), FEATURES)
        frames = pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(part)]).astype(np.int32), steps)
        pq.write_table(pa.table({"id": np.arange(len(part)), "frames": frames}), folder / f"{i}.parquet")
    return lengths


def _bare(model: Path, lengths: Array) -> Used:
    """Runs onnxruntime on padded batches, which are made before the clock starts."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options)
    seconds = processor = 0.0
    for batches in _batches(lengths):
        start, used = time.perf_counter(), time.process_time()
        for frames, counts in batches:
            session.run(None, {"frames": frames, "lengths": counts})
        seconds, processor = seconds + time.perf_counter() - start, processor + time.process_time() - used
    return Used(seconds, processor, 0.0)


def _batches(lengths: Array) -> Iterator[list[tuple[Array, Array]]]:
    """Yields padded batches, some at a time, so that they fit in memory."""
    rng = np.random.default_rng(0)
    for i in range(0, len(lengths), 16 * BATCH):
        parts = [lengths[k : k + BATCH] for k in range(i, min(i + 16 * BATCH, len(lengths)), BATCH)]
        yield [(rng.standard_normal((len(n), int(n.max()), FEATURES), np.float32), n) for n in parts]


def _alone(model: Path, rows: Path, out: Path) -> Used:
    """Scores a folder in this process."""
    session = lucid.runtime.Session(model, threads=1)
    out.mkdir()
    start, used = time.perf_counter(), time.process_time()
    for path in sorted(rows.iterdir()):
        lucid.runtime.score_file(session, path, out / path.name, batch_size=BATCH)
    return Used(time.perf_counter() - start, time.process_time() - used, 0.0)


def _run(*arguments: Any) -> Used:
    """Runs the command line in a new process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "lucid", *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)  # with all processes that it has waited for
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"lucid {arguments[0]} failed")
    return Used(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024.0)


if __name__ == "__main__":
    command(measure)
