"""The benchmarks: correct numbers, the same computation in every contender, and no results that disagree."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    distributed,
    export,
    files,
    first,
    gpu,
    imports,
    infer,
    loops,
    machine,
    memory,
    overhead,
    page,
    parts,
    picture,
    scaling,
    score,
    stream,
    train,
)
from benchmarks.agreement import disagreement
from benchmarks.case import KINDS, Case, cases
from benchmarks.command import finish
from benchmarks.contender import Contender, available, package
from benchmarks.loop import LOOPS, Loop
from benchmarks.operation import Operation
from benchmarks.options import PEERS, Options, parse
from benchmarks.place import ROOT
from benchmarks.placed import MODES, Placed
from benchmarks.result import Finding, Result, Row, geometric_mean, ratio
from benchmarks.rounds import LeftOut, compare, prepare
from benchmarks.table import markdown, table
from benchmarks.worker import Worker, WorkerError
from tests.tiers import sampled

TINY = Options(rounds=1, seconds=0.0, case_seconds=0.0)


def test_a_ratio_is_taken_within_rounds_so_a_machine_that_drifts_does_not_matter() -> None:
    row = Row("x", {"a": [1.0, 10.0, 2.0], "b": [2.0, 20.0, 4.0]})
    assert ratio(row, "b", "a") == 2.0
    assert row.middle("b") == 4.0
    assert ratio(row, "c", "a") is None
    assert row.middle("c") is None


def test_the_geometric_mean_leaves_out_what_is_missing() -> None:
    assert geometric_mean([1.0, None, 4.0]) == pytest.approx(2.0)
    assert geometric_mean([None]) is None


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (Finding.at_least("m", 2.5, 2.5), "met"),
        (Finding.at_least("m", 2.5, 2.4999), "missed"),
        (Finding.at_most("m", 1.3, 1.3), "met"),
        (Finding.at_most("m", 1.3, 1.31), "missed"),
        (Finding.at_most("m", 1.3, None), "not measured"),
    ],
)
def test_a_finding_says_whether_the_target_is_met(finding: Finding, verdict: str) -> None:
    assert finding.verdict == verdict


def test_the_means_of_training_are_over_the_six_sizes_of_one_layer() -> None:
    rows = [Row(str(case), {"lucid": [1.0], "torch": [2.0]}) for case in cases()]
    rows = [replace(row, values={"lucid": [1.0], "torch": [99.0]}) if "layers" in row.case else row for row in rows]
    found = {f.measure: f for f in train.findings(rows)}
    assert found["training, RNN, torch / lucid, mean"].value == "2 ×"
    assert found["training, LSTM, torch / lucid, worst size"].met is True
    assert found["training, LSTM, jax / lucid, mean"].met is None


@pytest.mark.parametrize(("vectors", "targets"), [("avx512f", "3.5 3.3 1.3"), ("avx2", "3.3 3 1.2"), ("", "3.3 3 1.2")])
def test_the_targets_of_a_compiled_step_follow_the_processor(
    vectors: str, targets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "vectors", lambda: vectors)
    found = {f.measure: f.target for f in train.findings([])}
    measures = ("RNN, torch / lucid step", "GRU, torch / lucid step", "RNN, jax / lucid step")
    assert [found[f"training, {measure}, mean"] for measure in measures] == [f"≥ {n} ×" for n in targets.split()]


def test_compiled_training_of_the_largest_products_is_held_against_eager() -> None:
    rows = [Row(str(c), {"lucid": [3.0], "lucid compiled": [2.0 if c.hidden == 512 else 9.0]}) for c in cases()]
    found = {f.measure: f.value for f in train.findings(rows)}
    for layer in ("RNN", "GRU"):
        assert found[f"training, {layer} at 200, 64, 256, 512, lucid / lucid compiled"] == "1.5 ×"


def test_each_layer_is_held_against_pytorchs_own_export() -> None:
    values = {"torch exported": [1.2], "lucid compiled": [1.0]}
    found = {f.measure: f for f in infer.findings([Row(str(c), values) for c in cases(stacked=False)])}
    assert found["torch's own export / lucid.compile, LSTM, mean"].met is False
    assert found["torch's own export / lucid.compile, GRU, worst size"].met is True


def test_loops_have_a_target_each() -> None:
    rows = [Row(str(loop), {"lucid": [1.0], "lucid compiled": [0.5], "torch": [0.95]}) for loop in LOOPS]
    *each, mean, worst = loops.findings(rows)
    assert [f.met for f in each] == [True, True, True, False, False, False]
    assert (mean.value, mean.met, worst.value) == ("1.9 ×", False, "1.9 ×")


@pytest.mark.slow
@pytest.mark.parametrize("program", sampled(["tutorial", "own cell", "RNNCell", "LSTMCell", "policy"], 3))
def test_all_contenders_of_a_loop_agree(program: Any) -> None:
    left_out = LeftOut()
    # torch.compile takes half a minute for a loop.
    found = [c for c in available(loops.CONTENDERS, PEERS)[0] if c.name != "torch compiled"]
    workers = [Worker(contender) for contender in found]
    try:
        assert prepare(workers, Loop(program, 3, 2, 3, 5), left_out) == workers
    finally:
        for worker in workers:
            worker.close()
    assert left_out.notes() == []


@pytest.mark.slow
def test_first_calls_are_measured_in_new_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "CASES", (Case("tanh", 4, 2, 3, 5),))
    result = first.measure(replace(TINY, quick=True))
    assert [list(row.values) for row in result.rows] == [["lucid.compile", "lucid.compile_backward"]]
    assert [len(seconds) for row in result.rows for seconds in row.values.values()] == [1, 1]
    assert [f.met is not None for f in result.findings] == [True, True]
    assert result.notes == []


def test_without_a_device_the_benchmark_says_what_is_missing_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.devices(["cpu"]) == (["cpu"], [])
    found, missing = gpu.devices(["mlx"])
    assert found == []
    assert missing[0].startswith("mlx: device 'mlx' asked for, but")
    monkeypatch.setattr(gpu, "devices", lambda: (found, missing))
    gpu.main()
    said = capsys.readouterr()
    assert said.out.startswith("there is no device other than the CPU to measure:\n- mlx: ")
    assert said.err == ""


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_way_to_run_on_a_device_agrees(mode: Any) -> None:
    """The same jobs run on the CPU, where PyTorch has them, too; each as a device without recurrent operators would."""
    found, _ = available(gpu.CONTENDERS[:3], PEERS)
    left_out = LeftOut()
    workers = [Worker(contender) for contender in found]
    try:
        for kind in ("tanh", "lstm", "gru"):
            ready = prepare(workers, Placed("cpu", mode, Case(kind, 3, 2, 3, 5)), left_out)
            assert ready == workers
            for worker in ready:
                assert worker.time(1)[0] > 0
    finally:
        for worker in workers:
            worker.close()
    assert left_out.notes() == []


def test_the_ways_to_run_on_a_device_have_a_mean_each() -> None:
    rows = [Row(str(placed), {"lucid": [1.0], "torch": [2.0]}) for placed in gpu.on("cuda")]
    assert gpu.means(rows) == [f"cuda, {mode}, torch / lucid: mean 2" for mode in MODES]
    assert {placed.case.time for placed in gpu.on("webgpu")} == {20}
    assert len(gpu.on("webgpu", quick=True)) == 3 * len(MODES)


@pytest.mark.slow
def test_model_files_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CASES", (Case("tanh", 4, 32, 3, 5),))
    result = files.measure(replace(TINY, quick=True))
    assert {"lucid, default", "lucid, fastest"} <= result.rows[0].values.keys()
    assert len(result.findings) == 4


def test_contenders_run_without_what_holds_numpy_to_older_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in machine.HOLDING:
        monkeypatch.delenv(name, raising=False)
    assert machine.held() == ""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    assert machine.held().startswith("OPENBLAS_CORETYPE=Prescott holds a library to the kernels of another processor")
    with Worker(Contender("numpy", "numpy:operation")) as worker:
        environment = Path(f"/proc/{worker._process.pid}/environ")
        if environment.exists():
            worker.prepare(Operation("tanh", 1))
            assert b"OPENBLAS_CORETYPE" not in environment.read_bytes()
    assert imports.clock("import os; assert 'OPENBLAS_CORETYPE' not in os.environ") > 0
    result = Result("some", "Some", ["lucid"], [Row("x", {"lucid": [1.0]})])
    finish(result, replace(TINY, out=tmp_path), lambda *_: tmp_path)
    assert result.notes == [machine.held()]


def test_eager_inference_is_judged_from_the_third_size_on() -> None:
    rows = [Row(str(c), {"lucid eager": [1.2 if c.hidden >= 128 else 9.0], "products": [1.0]}) for c in cases()]
    assert infer.findings(rows)[0].value == "1.2 ×"


def test_overhead_is_what_comes_on_top_of_numpy() -> None:
    rows = [Row("add", {"numpy": [1e-6], "lucid": [2e-6]}), Row("mul", {"numpy": [1e-6], "lucid": [4e-6]})]
    assert [f.value for f in overhead.findings(rows)] == ["3 µs", "–"]


def test_the_exponent_is_the_slope_between_logarithms() -> None:
    assert scaling.exponent([(n, 3 * n**1.5) for n in (1, 10, 100)]) == pytest.approx(1.5)


def test_tables_line_up() -> None:
    assert table([["case", "ms"], ["long name", "1"]]) == "case       ms\n-------------\nlong name   1"
    assert markdown([["a", "b"], ["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_disagreement_is_found_and_named() -> None:
    reference = {"output": np.ones(3), "gradient of w": np.ones(2)}
    assert disagreement(reference, reference) == ""
    assert "output is off by" in disagreement({"output": np.array([1.0, 1.0, 1.1])}, reference)
    assert "shape (2,)" in disagreement({"output": np.ones(2)}, reference)
    assert "nothing" not in disagreement({"output": np.full(3, np.nan)}, reference)
    assert disagreement({"output": np.full(3, np.nan)}, reference) != ""
    assert disagreement({"other": np.ones(3)}, reference) != ""


def test_a_step_is_held_against_adam_with_the_contenders_own_gradient() -> None:
    g = np.array([0.5, -2.0, 1e-9])
    right = {"gradient of w": g, "step of w": np.array([1.0, -1.0, 1e-9 / 1.1e-8])}
    assert disagreement(right, right) == ""
    assert "step of w" in disagreement(right | {"step of w": np.array([1.0, 1.0, 0.1])}, right)


def test_the_same_case_has_the_same_weights_and_inputs_everywhere() -> None:
    case = Case("lstm", 3, 2, 4, 5, layers=2)
    assert {name: w.shape for name, w in case.weights().items()} == {
        "weight_ih_l0": (20, 4),
        "weight_hh_l0": (20, 5),
        "bias_ih_l0": (20,),
        "bias_hh_l0": (20,),
        "weight_ih_l1": (20, 5),
        "weight_hh_l1": (20, 5),
        "bias_ih_l1": (20,),
        "bias_hh_l1": (20,),
    }
    np.testing.assert_array_equal(case.input(), replace(case).input())
    assert not np.array_equal(case.input(), replace(case, kind="gru").input())


def test_a_peer_that_is_not_installed_is_left_out_with_a_note() -> None:
    missing = Contender("other", "other:train", peer="no-such-distribution")
    found, notes = available([Contender("lucid", "lucid:train"), missing], ["no-such-distribution"])
    assert [c.name for c in found] == ["lucid"]
    assert notes == ["other is left out: no-such-distribution is not installed"]
    assert available([missing], []) == ([], [])


def test_a_worker_says_what_went_wrong_and_lives_on() -> None:
    with Worker(Contender("numpy", "numpy:operation")) as worker:
        with pytest.raises(WorkerError, match="KeyError: 'no such op'") as caught:
            worker.prepare(Operation("no such op", 1))
        assert "Traceback" in caught.value.details
        worker.prepare(Operation("tanh", 1))
        assert len(worker.time(3, warm=1)) == 3
        peak = worker.peak(1)
        assert 0 < peak["interpreter"] < peak["peak"]


def test_a_worker_whose_process_ends_is_noticed() -> None:
    with Worker(Contender("numpy", "numpy:operation")) as worker:
        worker._process.kill()
        with pytest.raises(WorkerError, match="the process ended"):
            worker.prepare(Operation("tanh", 1))


def test_notes_do_not_say_where_the_project_stands() -> None:
    assert str(WorkerError(f"failed at {ROOT}/benchmarks/case.py:3", "")) == "failed at benchmarks/case.py:3"


def test_a_contender_that_cannot_do_a_case_is_left_out_once_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    broken = Contender("broken", "numpy:no_such_function")
    rows, notes = compare(
        [Contender("numpy", "numpy:operation"), broken], [Operation("tanh", 1), Operation("add", 2)], TINY
    )
    assert [list(row.values) for row in rows] == [["numpy"], ["numpy"]]
    assert len(notes) == 1
    assert notes[0].startswith("broken is left out of tanh; add: AttributeError: ")
    assert capsys.readouterr().err.count("Traceback") == 1


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("benchmark", [train, infer, stream], ids=lambda m: m.__name__.split(".")[-1])
def test_all_contenders_agree(benchmark: Any) -> None:
    found, _ = available(benchmark.CONTENDERS, PEERS)
    left_out = LeftOut()
    workers = [Worker(contender) for contender in found]
    try:
        for number, kind in enumerate(KINDS):
            prepare(workers, Case(kind, 6, 2, 3, 5, 1 + number % 2), left_out)
    finally:
        for worker in workers:
            worker.close()
    assert left_out.notes() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(["lucid", *PEERS], 3))
def test_exports_run(name: str) -> None:
    found = [c for c in available(export.CONTENDERS, PEERS)[0] if (c.peer or "lucid") == name]
    if not found:
        pytest.skip(f"{name} does not export, or is not installed")
    for contender in found:
        with Worker(contender) as worker:
            worker.prepare(Case("tanh", 4, 2, 3, 5, 2))
            worker.time(1)


@pytest.mark.slow
def test_a_result_survives_its_json_and_becomes_a_page_and_a_picture(tmp_path: Path) -> None:
    rows = [Row("tanh 1, 2, 3, 4", {"lucid": [0.001], "torch": [0.002]}), Row("relu 1, 2, 3, 4", {"lucid": [0.003]})]
    finding = Finding.at_least("torch / lucid", 2, 2.0)
    result = Result("train", "Training", ["lucid", "torch"], rows, [finding], ["jax is left out"], {"quick": False})
    result.machine = {"processor": "some"}
    path = result.save(tmp_path)
    assert json.loads(path.read_text(encoding="utf-8"))["rows"][0]["values"]["torch"] == [0.002]
    again = Result.load(path)
    assert again == result
    assert "2.00" in again.table()
    assert "met" in again.table()
    section = page.section([again])
    assert "| tanh 1, 2, 3, 4 | 1 | 2 (2.00) |" in section
    assert "| relu 1, 2, 3, 4 | 3 | – |" in section
    assert "| processor | some |" in section
    if package("matplotlib") is not None:
        drawn = picture.bars(again, tmp_path)
        assert drawn is not None
        assert drawn.stat().st_size > 1000


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_of_a_step_is_found(kind: Any) -> None:
    found = parts.taken_apart(Case(kind, 3, 2, 4, 5), Options(rounds=2, seconds=0.001))
    assert tuple(found) == parts.COLUMNS
    assert all(value > 0 for values in found.values() for value in values)
    for step, *others, _ in zip(*found.values(), strict=True):
        assert step == pytest.approx(sum(others))


def test_the_summary_shows_the_worst_size_beside_the_mean() -> None:
    findings = [
        Finding.at_least("training, torch / lucid, mean", 2, 3.0),
        Finding.at_least("training, torch / lucid, worst size", 1, 0.5),
        Finding.at_most("import, lucid / numpy", 1.3, 1.2),
        Finding.at_most("an op, worst op", 4, None, " µs"),
    ]
    first = Result("train", "Training", ["lucid"], [], findings[:2], machine={"processor": "some", "cores": "2"})
    second = replace(first, findings=findings[2:])
    assert page.summary([first, second]).splitlines() == [
        "Measured on: processor some; cores 2.",
        "",
        "| measure | value (target) | worst size (target) |",
        "| --- | ---: | ---: |",
        "| training, torch / lucid | 3 × (≥ 2 ×) | 0.5 × (≥ 1 ×), missed |",
        "| import, lucid / numpy | 1.2 × (≤ 1.3 ×) |  |",
        "| an op, worst op | – (≤ 4 µs), not measured |  |",
    ]
    elsewhere = replace(second, machine={"processor": "other"})
    for text in (page.summary([first, elsewhere]), page.section([first, elsewhere])):
        assert "Not all benchmarks ran" in text


def test_only_a_full_run_is_written_into_the_pages(tmp_path: Path) -> None:
    targets = tmp_path / "short.md", tmp_path / "appendix.md"
    for target in targets:
        target.write_text(f"before\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n", encoding="utf-8")
    assert not page.write(tmp_path, *targets)
    for quick in (True, False):
        for name in page.ORDER:
            result = Result(name, f"Title of {name}", ["lucid"], [Row("x", {"lucid": [1.0]})], machine={"day": "1"})
            result.options = {"quick": quick, "only": ""}
            result.save(tmp_path)
        assert page.write(tmp_path, *targets) is not quick
    texts = [target.read_text(encoding="utf-8") for target in targets]
    for text in texts:
        assert text.startswith("before")
        assert text.endswith("after\n")
        assert "old" not in text
    assert "Measured on: day 1." in texts[0]
    assert "### Title of scaling" in texts[1]
    targets[1].write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the lines"):
        page.write(tmp_path, *targets)
    assert targets[0].read_text(encoding="utf-8") == texts[0]


@pytest.mark.parametrize("path", [page.SUMMARY, page.APPENDIX], ids=lambda path: path.stem)
def test_the_pages_have_their_marks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert page.fill(text, "new") != text


def test_the_summary_is_of_the_run_in_the_appendix() -> None:
    short, appendix = (path.read_text(encoding="utf-8") for path in (page.SUMMARY, page.APPENDIX))
    full, _, _ = appendix.partition(page.BEGIN)[2].partition(page.END)
    targets = re.findall(r"^\| (.+?) \| ([≥≤] .+?) \| (.+?) \| (?:met|missed|not measured) \|$", full, re.MULTILINE)
    assert len(targets) > 20
    for _, target, value in targets:
        assert f"| {value} ({target})" in short
    for name in ("commit", "day"):
        (text,) = re.findall(rf"^\| {name} \| (.+) \|$", full, re.MULTILINE)
        assert f"{name} {text}" in short


def test_the_machine_is_described_without_its_paths() -> None:
    found = machine.describe()
    assert {"processor", "cores", "Python", "numpy", "day"} <= found.keys()
    assert not any("/" in text for text in found.values())


def test_a_busy_machine_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "WATCHED", 2.0**-10)
    seconds: list[float | None] = []
    monkeypatch.setattr(machine, "_worked", lambda: seconds.pop())
    seconds[:] = [3 + 2.0**-9, 3]
    assert machine.busy().startswith("2.0 cores were busy")
    seconds[:] = [3 + 2.0**-12, 3]
    assert machine.busy() == ""
    seconds[:] = [None]
    assert machine.busy() == ""


def test_the_work_of_all_cores_is_counted() -> None:
    if not Path("/proc/stat").exists():
        assert machine._worked() is None
        return
    begin, before = machine._worked(), time.process_time()
    while time.process_time() - before < 0.2:
        pass
    end = machine._worked()
    assert begin is not None
    assert end is not None
    assert end - begin >= 0.15


def test_the_command_line() -> None:
    assert parse("x", []) == Options()
    quick = parse("x", ["--quick", "--against", "jax", "--only", "tanh"])
    assert (quick.quick, quick.against, quick.only, quick.rounds) == (True, ("jax",), "tanh", 3)
    assert parse("x", ["--against"]).against == ()
    assert parse("x", ["--rounds", "0"]).rounds == 1


@pytest.mark.slow
def test_memory_counts_lucids_own_steps() -> None:
    options = replace(TINY, quick=True, against=(), only="tanh 100, 1,")
    result = memory.measure(options)
    assert result.notes == []
    assert [row.case for row in result.rows] == ["tanh 100, 1, 16, 32, process", "tanh 100, 1, 16, 32, steps"]
    assert result.rows[0].values["lucid"][0] > result.rows[1].values["lucid"][0] > 0


@pytest.mark.slow
@pytest.mark.exhaustive
def test_scoring_is_measured() -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs the extra [score]")
    pytest.importorskip("distributed", reason="two workers need the extra [score]")
    result = score.measure(Options(quick=True))
    assert [row.case for row in result.rows] == ["one process", "one process, processor", "two workers, processor"]
    assert all(value > 0 for row in result.rows for values in row.values.values() for value in values)
    assert len(result.findings) == 5
    assert all(finding.met is not None for finding in result.findings)


def test_the_model_of_an_exchange() -> None:
    # Of 8 workers: 4 exchanges of 6 messages, and twice the bytes but for a worker's own eighth.
    found = distributed.on_paper(1e-3, 1000, 1e-6, 1e-9, 8)
    assert found == pytest.approx(1e-3 / (1e-3 + 24e-6 + 7e-6))
    assert distributed.on_paper(1e-3, 0, 0.0, 0.0, 512) == 1


@pytest.mark.slow
@pytest.mark.exhaustive
def test_several_processes_are_measured() -> None:
    pytest.importorskip("mpi4py")
    result = distributed.measure(Options(quick=True))
    step, *exchanges = result.rows
    assert set(step.values) == {"lucid", "wrapped", "two processes", "compiled", "two processes, compiled"}
    assert all(len(values) == 2 and min(values) > 0 for values in step.values.values())
    assert [row.case for row in exchanges] == [f"exchange of {n:,} bytes" for n in distributed.BYTES]
    assert [note for note in result.notes if note.startswith("on paper")]
