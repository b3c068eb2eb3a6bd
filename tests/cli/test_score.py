"""`lucid score`: its output, its exit codes, and jobs whose workers are killed, or that are killed themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lucid
from lucid.cli import main
from lucid.export import to_onnx
from tests.runtime.rows import FEATURES, alone, sequences, tagger, write_parquet
from tests.tiers import sampled


def score(*args: Any) -> Result:
    return CliRunner().invoke(main, ["score", *map(str, args)], catch_exceptions=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tagger(tmp_path / "tagger.onnx")
    return tmp_path / "tagger.onnx"


def write_npz(path: Path, count: int = 5, spoiled: int | None = None) -> Path:
    x = np.random.default_rng(count).standard_normal((count, 4, FEATURES)).astype("f4")
    if spoiled is not None:
        x[spoiled, 2] = np.nan
    path.parent.mkdir(exist_ok=True)
    np.savez(path, frames=x, id=np.arange(count))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("[!.]*.*"))}


def test_files_and_folders(model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    write_npz(rows / "a.npz", 5)
    write_npz(rows / "sub" / "b.npz", 7)
    write_npz(tmp_path / "c.npz", 3)
    (rows / ".hidden.npz").write_bytes(b"")
    (rows / "notes.txt").write_text("no rows")
    args = model, rows, tmp_path / "c.npz", "--out", rows / "out", "--columns", "x=frames"
    result = score(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "15 rows in 3 files; 0 there already, 0 failed\n"
    assert list(contents(rows / "out")) == ["a.npz", "c.npz", "sub/b.npz"]
    with np.load(rows / "a.npz") as given, np.load(rows / "out" / "a.npz") as found:
        assert found.files == ["id", "labels", "score"]
        np.testing.assert_allclose(found["score"], [s for _, s in alone(tagger()[0], list(given["frames"]))], atol=1e-6)
    result = score(*args, "--json")  # the results inside the folder are no rows
    facts = json.loads(result.stdout)
    assert (facts["rows"], facts["failed"]) == (15, [])
    assert [file["skipped"] for file in facts["files"]] == [True] * 3
    assert facts["files"][1] == {
        "source": str(rows / "a.npz"),
        "target": str(rows / "out" / "a.npz"),
        "rows": 5,
        "skipped": True,
    }


def test_parquet(model: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra [score]")
    rows = sequences(20)
    write_parquet(tmp_path / "rows.parquet", rows)
    assert score(model, tmp_path / "rows.parquet", "-o", tmp_path / "out", "--keep", "id").exit_code == 0
    found = pq.read_table(tmp_path / "out" / "rows.parquet")
    assert found.schema.names == ["id", "labels", "score"]
    np.testing.assert_allclose(found["score"], [s for _, s in alone(tagger()[0], rows)], atol=1e-6)
    result = score(model, tmp_path / "rows.parquet", "-o", tmp_path / "out", "--keep", "")
    assert "; 0 there already" in result.stdout
    assert pq.read_table(tmp_path / "out" / "rows.parquet").schema.names == ["labels", "score"]


def test_a_file_that_fails_is_named_and_the_rest_goes_on(model: Path, tmp_path: Path) -> None:
    write_npz(tmp_path / "rows" / "a.npz", 5, spoiled=3)
    write_npz(tmp_path / "rows" / "b.npz", 7)
    (tmp_path / "rows" / "c.npz").write_bytes(b"no rows")
    args = model, tmp_path / "rows", "--out", tmp_path / "out", "--columns", "x=frames"
    result = score(*args, "--json")
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith(f"Error: {tmp_path / 'rows' / 'a.npz'}, column 'frames', row 3: it holds NaN")
    assert second.startswith(f"Error: {tmp_path / 'rows' / 'c.npz'} is not a .npz file that can be read")
    facts = json.loads(result.stdout)
    assert [Path(file["source"]).name for file in facts["failed"]] == ["a.npz", "c.npz"]
    assert list(contents(tmp_path / "out")) == ["b.npz"]
    result = score(*args)
    assert result.exit_code == 1
    assert result.stdout == "7 rows in 1 file; 1 there already, 2 failed\n"


def test_mistakes_in_the_command(model: Path, tmp_path: Path) -> None:
    rows = write_npz(tmp_path / "a.npz")
    out = "--out", tmp_path / "out"

    def error(*args: Any, code: int = 2) -> str:
        result = score(*args)
        assert result.exit_code == code, result.output
        return result.stderr.splitlines()[-1]

    assert "Missing option '-o' / '--out'" in error(model, rows)
    assert "Missing argument 'IN...'" in error(model, *out)
    assert "expected INPUT=COLUMN" in error(model, rows, *out, "--columns", "frames")
    assert "'x' is given twice" in error(model, rows, *out, "--columns", "x=a,x=b")
    assert "give one of them" in error(model, rows, *out, "--workers", 2, "--scheduler", "tcp://127.0.0.1:1")
    assert "would replace the file of rows" in error(model, rows, "--out", tmp_path, code=1)
    (tmp_path / "b").mkdir()
    assert "there is no file whose name ends in .parquet or .npz" in error(model, tmp_path / "b", *out, code=1)
    write_npz(tmp_path / "b" / "a.npz")
    assert "would both have the results" in error(model, rows, tmp_path / "b" / "a.npz", *out, code=1)
    assert "no free axis 'rows'" in error(model, rows, *out, "--batch-axis", "rows", code=1)
    axes = {"x": {0: "time", 1: "batch"}}
    mixing = to_onnx(lambda x: x - x.mean(1, keepdim=True), lucid.randn(5, 2, 3), dynamic=axes)
    mixing.save(tmp_path / "mixing.onnx")
    assert "does not prove that the rows" in error(tmp_path / "mixing.onnx", rows, *out, code=1)
    result = score(tmp_path / "mixing.onnx", rows, *out, "--columns", "x=frames", "--batch-axis", "batch")
    assert result.exit_code == 1
    assert "depends on the other rows" in result.stderr
    assert contents(tmp_path / "out") == {}


def test_without_dask_the_error_says_what_to_install(model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "lucid.runtime.scoring.cluster", None)
    result = score(model, write_npz(tmp_path / "a.npz"), "--out", tmp_path / "out", "--workers", 2)
    assert result.exit_code == 1
    assert "distributed is needed, which is not installed: pip install 'lucid-onnx[score]'" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a terminal")
def test_a_terminal_shows_how_far_it_is(model: Path, tmp_path: Path) -> None:
    import fcntl
    import pty
    import struct
    import termios

    main_end, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 100, 0, 0))  # lines and columns
    write_npz(tmp_path / "rows" / "a.npz", 60)
    write_npz(tmp_path / "rows" / "b.npz", 40)
    command = [sys.executable, "-m", "lucid", "score", model, tmp_path / "rows", "--out", tmp_path / "out"]
    done = subprocess.run([*command, "--columns", "x=frames"], stdout=-1, stderr=terminal, text=True)
    assert (done.returncode, done.stdout[:20]) == (0, "100 rows in 2 files;")
    shown = os.read(main_end, 1 << 16).decode()
    assert "0/100" in shown
    assert "100/100" in shown
    os.close(main_end)
    os.close(terminal)


# --- processes

FILES, ROWS = 12, 400


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model, a folder of files of rows, one of which is spoiled, and what one process makes of them."""
    pytest.importorskip("pyarrow", reason="Parquet needs the extra [score]")
    pytest.importorskip("distributed", reason="--workers needs the extra [score]")
    folder = tmp_path_factory.mktemp("job")
    tagger(folder / "tagger.onnx")
    (folder / "rows").mkdir()
    for i in range(FILES):
        write_parquet(folder / "rows" / f"{i:02}.parquet", sequences(ROWS, 20, i), i * ROWS)
    assert score(folder / "tagger.onnx", folder / "rows", "--out", folder / "alone").exit_code == 0
    return folder


def started(job: Path, out: Path, *args: Any, rows: Path | None = None) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "lucid",
        "score",
        job / "tagger.onnx",
        rows or job / "rows",
        "--out",
        out,
        "--json",
    ]
    return subprocess.Popen([*map(str, command), *map(str, args)], stdout=-1, stderr=-1, text=True)  # pipes


def ended(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == code, stderr
    assert "Traceback" not in stderr
    facts: dict[str, Any] = json.loads(stdout)
    return {**facts, "stderr": stderr}


def children(process: int) -> Iterator[int]:
    """Yields the processes that a process has started, and those that these have."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, parent = int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == process:
            yield number
            yield from children(number)


@pytest.mark.slow
def test_workers_give_the_same_bytes(job: Path, tmp_path: Path) -> None:
    facts = ended(started(job, tmp_path / "out", "--workers", 2))
    assert (facts["rows"], facts["failed"], facts["stderr"]) == (FILES * ROWS, [], "")
    assert contents(tmp_path / "out") == contents(job / "alone")
    assert all(file["skipped"] for file in ended(started(job, tmp_path / "out", "--workers", 1))["files"])


@pytest.mark.slow
def test_a_running_scheduler(job: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        facts = ended(started(job, tmp_path / "out", "--scheduler", cluster.scheduler_address, "--batch-size", 32))
    assert facts["rows"] == FILES * ROWS
    assert contents(tmp_path / "out") == contents(job / "alone")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("whom", sampled(["worker", "job"], 2))
def test_processes_that_are_killed(job: Path, tmp_path: Path, whom: str) -> None:
    """Four times as many files as elsewhere, so that the job is at work when it is hit."""
    rows, out = tmp_path / "rows", tmp_path / "out"
    rows.mkdir()
    for i in range(4 * FILES):
        os.link(job / "rows" / f"{i % FILES:02}.parquet", rows / f"{i:02}.parquet")
    process = started(job, out, "--workers", 2, rows=rows)
    while len(list(out.glob("*.parquet"))) < 2:
        assert process.poll() is None
        time.sleep(0.005)
    family, whole = list(children(process.pid)), 0
    if whom == "worker":
        os.kill(next(filter(_is_worker, family)), signal.SIGKILL)
    else:
        process.kill()
        process.communicate(timeout=60)
        for number in family:  # the workers end when they see that the job has; here, at once
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        whole = len(list(out.glob("*.parquet")))
        assert 2 <= whole < 4 * FILES
        process = started(job, out, "--workers", 2, rows=rows)
    facts = ended(process)
    assert (facts["rows"], facts["failed"]) == (4 * FILES * ROWS, [])
    if whom == "job":
        assert sum(file["skipped"] for file in facts["files"]) == whole
    expected = contents(job / "alone")
    assert contents(out) == {f"{i:02}.parquet": expected[f"{i % FILES:02}.parquet"] for i in range(4 * FILES)}


def _is_worker(number: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_part_that_kills_its_worker_and_one_that_is_spoiled(job: Path, tmp_path: Path) -> None:
    """The others are scored, and both files are named."""
    from lucid.runtime.scoring import cluster
    from lucid.runtime.scoring.parts import parts_of
    from tests.cli.poison import PoisonedSession

    rows = sequences(4)
    (tmp_path / "rows").mkdir()
    for i in range(4):
        write_parquet(tmp_path / "rows" / f"{i}.parquet", rows, i)
    poisoned = [row.copy() for row in rows]
    poisoned[1][0, 0] = PoisonedSession.POISON
    write_parquet(tmp_path / "rows" / "1.parquet", poisoned)
    poisoned[1][0, 0] = np.nan
    write_parquet(tmp_path / "rows" / "2.parquet", poisoned)
    parts = parts_of([str(tmp_path / "rows")], str(tmp_path / "out"))
    outcomes = dict(cluster.score_on_cluster(PoisonedSession(job / "tagger.onnx", threads=1), parts, {}, workers=2))
    reasons = {Path(part.source).name: outcome for part, outcome in outcomes.items() if isinstance(outcome, str)}
    assert set(reasons) == {"1.parquet", "2.parquet"}
    assert "each worker process that scored it was killed" in reasons["1.parquet"]
    assert "column 'x', row 1: it holds NaN" in reasons["2.parquet"]
    assert sorted(contents(tmp_path / "out")) == ["0.parquet", "3.parquet"]
