"""The comparison of exporters: each outcome is told from the others, and the pages have what was counted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import lucid
from benchmarks import exporters
from benchmarks.contender import available
from benchmarks.exporters import CONTENDERS, File, judge, measure, section, summary, write
from benchmarks.layer import EXAMPLES, LAYERS, PAIRS, Layer
from benchmarks.options import PEERS, Options
from tests.tiers import thinned


def session(model: Any, x: Any, dynamic: Any) -> onnxruntime.InferenceSession:
    exported = lucid.export.to_onnx(model, x, dynamic=dynamic, verify=False)
    return onnxruntime.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])


def test_each_outcome_is_found() -> None:
    weight = lucid.ones(3)
    free = session(lambda x: x * weight, lucid.ones(2, 3), {"x": {0: "batch"}})
    x = np.ones((5, 3), np.float32)
    assert judge(free, {"x": x}, [x]) == ("right", "")
    assert judge(free, {"x": x}, [x + 2e-3])[0] == "wrong"
    assert judge(free, {"x": x}, [x[:4]]) == ("wrong", "output has shape (5, 3) instead of (4, 3)")
    assert judge(free, {"x": np.full_like(x, np.nan)}, [x])[0] == "wrong"
    fixed = session(lambda x: x * weight, lucid.ones(2, 3), None)
    assert judge(fixed, {"x": x}, [x]) == ("fixed", "x is [2, 3] in the file")
    picked = session(lambda i: weight[i], lucid.tensor([1]), None)
    assert judge(picked, {"i": np.array([7])}, [x[0, :1]])[0] == "fails"


@pytest.mark.parametrize("layer", thinned(LAYERS, len(LAYERS), sample=6), ids=str)
def test_lucids_files_are_right(layer: Layer) -> None:
    (file,) = [f for f in measure(Options(against=(), only=str(layer)))[0] if f.layer == layer]
    assert file.outcomes == ["right"] * len(PAIRS)
    assert file.nodes is not None
    assert file.seconds is not None
    assert not file.reasons


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("contender", CONTENDERS[:-1], ids=lambda contender: contender.name)
def test_what_is_written_of_pytorch_is_so(torch: Any, contender: Any) -> None:
    if not available([contender], PEERS)[0]:
        pytest.skip("PyTorch's exporter needs onnxscript")
    page = exporters.PAGE.read_text(encoding="utf-8")
    if f"torch {torch.__version__}" not in page:
        pytest.skip("the page was written with another version of PyTorch")
    layers = [layer for layer in LAYERS if (layer.kind, layer.form) == ("LSTM", "time first")]
    column = [name.name for name in CONTENDERS].index(contender.name)
    rows = re.findall(r"^\| LSTM, time first \| (.+) \|$", page, re.MULTILINE)
    written = [row.split(" | ")[column] for row in rows if not re.search(r"\d", row)]
    assert [exporters._letters(file) for file in exporters._files(contender, layers)] == written


def some_files() -> list[File]:
    outcomes: list[Any] = ["right", "wrong", "fixed", "fails", "no file", "right"]
    return [
        File(c.name, layer, 0.5 + i, 7 + 2 * i, outcomes if i else ["right"] * 6)
        for i, c in enumerate(CONTENDERS)
        for layer in LAYERS
    ]


def test_the_counts_add_up() -> None:
    rows = summary(some_files())
    checks = len(LAYERS) * len(PAIRS)
    assert rows[1] == [CONTENDERS[0].name, str(checks), "0", "0", "7", "0.5"]
    assert rows[2] == [CONTENDERS[1].name, str(checks // 3), str(checks // 2), str(checks // 6), "9", "1.5"]


def test_the_page_has_each_layer_once_for_each_example() -> None:
    text = section(some_files(), {"torch": "2"})
    assert "torch 2." in text
    for layer in LAYERS:
        assert text.count(f"| {layer.kind}, {layer.form} | ✓✓✓✓✓✓ | ✓✗fe–✓ |") == (
            2 if (layer.form, EXAMPLES[1]) in {(other.form, (other.time, other.batch)) for other in LAYERS} else 1
        )


def test_both_pages_are_written_or_none(tmp_path: Path) -> None:
    pages = tmp_path / "readme.md", tmp_path / "page.md"
    pages[0].write_text(f"a\n\n{exporters.BEGIN}\n{exporters.END}\n\nb\n", encoding="utf-8")
    pages[1].write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the lines"):
        write(some_files(), {}, *pages)
    assert "right" not in pages[0].read_text(encoding="utf-8")
    pages[1].write_text(pages[0].read_text(encoding="utf-8"), encoding="utf-8")
    write(some_files(), {"torch": "2"}, *pages)
    assert f"With PyTorch 2, and lucid {lucid.__version__}." in pages[0].read_text(encoding="utf-8")
    assert all("| lucid | 48 |" in page.read_text(encoding="utf-8") for page in pages)


def test_the_readme_has_the_table_of_the_page() -> None:
    readme, page = (path.read_text(encoding="utf-8") for path in (exporters.README, exporters.PAGE))
    table, versions = readme.partition(exporters.BEGIN)[2].partition(exporters.END)[0].strip().split("\n\n")
    assert table.count("\n") == len(CONTENDERS) + 1
    (torch,) = re.findall(r"PyTorch ([\d.]+)", versions)
    assert f"torch {torch}" in page
    assert table in page
    assert re.search(rf"^\| lucid \| {len(LAYERS) * len(PAIRS)} \| 0 \| 0 \|", table, re.MULTILINE)
