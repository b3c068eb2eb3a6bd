"""The history of full runs: what it holds, what it shows, and that it is written whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as everything
from benchmarks import history, page
from benchmarks.contender import package
from benchmarks.history import Run, append, by_machine, changes, drawn, from_git, of_results, parse, read
from benchmarks.options import Options
from benchmarks.place import ROOT
from benchmarks.result import Finding, Result

MACHINE = {"processor": "some, avx2", "cores": "2", "numpy": "2.4", "commit": "abc1234", "day": "2026-01-02"}


def result(machine: dict[str, str] = MACHINE) -> Result:
    findings = [
        Finding.at_least("training, torch / lucid, mean", 2.5, 5.0),
        Finding.at_most("import lucid / import numpy", 1.3, 1.2),
        Finding.at_most("export", 0.5, 0.25, " s"),
        Finding.at_least("not measured", 1.0, None),
    ]
    return Result("train", "Training", ["lucid"], [], findings, machine=machine)


def run(day: str, **ratios: float) -> Run:
    return Run(day, day, {"processor": "p", "cores": "2"}, {name: (value, "≥ 2 ×") for name, value in ratios.items()})


def test_a_run_has_its_ratios_with_their_targets() -> None:
    found = of_results([result()])
    assert (found.day, found.commit, found.place) == ("2026-01-02", "abc1234", "some, avx2; cores 2")
    assert found.machine == {"processor": "some, avx2", "cores": "2", "numpy": "2.4"}
    assert found.ratios == {
        "training, torch / lucid, mean": (5.0, "≥ 2.5 ×"),
        "import lucid / import numpy": (1.2, "≤ 1.3 ×"),
    }
    assert found.distance("training, torch / lucid, mean") == 2.0
    assert found.distance("import lucid / import numpy") == pytest.approx(1.3 / 1.2)


def test_runs_are_appended_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read(path) == []
    first, second = of_results([result()]), run("2026-02-03", a=3.0)
    append([first], path)
    before = path.read_text(encoding="utf-8")
    append([second], path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(before)
    assert text.count("\n") == 2
    assert read(path) == [first, second]
    assert [entry.name for entry in tmp_path.iterdir()] == ["history.jsonl"]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"day": "x"}', '{"day": "", "commit": "", "machine": {}, "ratios": {"a": 1}}']
)
def test_a_broken_file_is_left_as_it_is(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history.jsonl"
    append([run("2026-02-03", a=3.0)], path)
    broken = path.read_text(encoding="utf-8") + line + "\n"
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2 of history\.jsonl is not a run"):
        append([run("2026-02-04", a=3.0)], path)
    assert path.read_text(encoding="utf-8") == broken


def test_only_a_full_run_is_appended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    appended: list[Run] = []
    options = Options(out=tmp_path)
    monkeypatch.setattr(everything, "BENCHMARKS", [(lambda _: replace(result(), machine={}), lambda *_: tmp_path)])
    monkeypatch.setattr(everything, "package", lambda name: "1.0")
    monkeypatch.setattr(everything, "busy", lambda: "")
    monkeypatch.setattr(history, "append", appended.extend)
    monkeypatch.setattr(page, "write", lambda folder: True)
    for partial in ({"quick": True}, {"only": "tanh"}, {"against": ("torch",)}):
        monkeypatch.setattr(everything, "parse", lambda _, partial=partial: replace(options, **partial))
        everything.main()
        assert appended == []
    monkeypatch.setattr(everything, "parse", lambda _: options)
    monkeypatch.setattr(everything, "package", lambda name: None if name == "jax" else "1.0")
    everything.main()
    assert appended == []
    monkeypatch.setattr(everything, "package", lambda name: "1.0")
    everything.main()
    assert [run.ratios for run in appended] == [of_results([result()]).ratios]
    assert appended[0].machine.keys() >= {"processor", "numpy"}


def test_a_change_counts_by_what_is_better() -> None:
    before, after = run("1", lost=4.0, won=1.0, same=2.0, gone=1.0), run("2", lost=2.0, won=3.0, same=2.1, new=1.0)
    assert [(name, a, b) for name, a, b, _ in changes(before, after)] == [("lost", 4.0, 2.0), ("won", 1.0, 3.0)]
    small = [Run(day, day, {}, {"memory": (value, "≤ 1 ×")}) for day, value in (("1", 0.5), ("2", 0.8))]
    assert [share < 1 for *_, share in changes(*small)] == [True]


def test_a_target_that_was_moved_is_no_change() -> None:
    before, after = (Run("1", "1", {}, {"a": (3.0, target)}) for target in ("≥ 1 ×", "≥ 2 ×"))
    assert changes(before, after) == []


def test_a_page_gives_its_run() -> None:
    text = f"{page.BEGIN}\n\n{page.section([result()])}\n\n{page.END}\n"
    assert parse(text) == of_results([result()])
    assert parse(text.replace("### Beside", f"{page.MIXED}.\n\n### Beside")) is None
    assert parse("no run") is None
    assert parse(f"{page.BEGIN}\n{page.END}") is None


def test_the_run_of_the_appendix_is_in_the_history() -> None:
    text = page.APPENDIX.read_text(encoding="utf-8")
    here = parse(text)
    # A run that goes on after midnight is of two days, and the page says so.
    assert here in read() if here is not None else page.MIXED in text
    days = [entry.day for entry in read()]
    assert days == sorted(days)


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a clone of the repository")
def test_what_the_commits_had_is_taken_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.jsonl"
    history.main(["--from-git"], path)
    once = path.read_bytes()
    history.main(["--from-git"], path)
    assert path.read_bytes() == once
    runs = read(path)
    assert runs == from_git()
    out = capsys.readouterr().out
    assert all(f"{place}: {len(mine)} run" in out for place, mine in by_machine(runs).items())


def test_each_machine_has_its_pictures() -> None:
    if package("matplotlib") is None:
        pytest.skip("pictures need matplotlib")
    runs = [run("2026-01-02", a=1.0), Run("2026-02-03", "d", {}, {"training, a": (2.0, "≥ 1 ×"), "a": (3.0, "≥ 2 ×")})]
    training, rest = drawn(runs)
    assert "training, a" in training
    assert "training, a" not in rest
    assert all(svg.count("<svg") == 1 and "times the target" in svg for svg in (training, rest))
    assert "01-02" in rest
    assert drawn(runs) == [training, rest]
