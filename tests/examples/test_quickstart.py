"""The notebook runs from top to bottom, and shows what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def test_it_is_kept_without_outputs() -> None:
    """They are made anew here; kept ones would be pictures in every diff, and could be out of date."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for link in re.findall(r"\]\(([^)]+)\)", NOTEBOOK.read_text(encoding="utf-8")):
        assert (NOTEBOOK.parent / link).is_file(), link


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What runs notebooks; its kernel finds this checkout."""
    for name in ("ipykernel", "ipywidgets"):
        pytest.importorskip(name, reason="install lucid-onnx[notebook]")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return pytest.importorskip("nbclient", reason="install lucid-onnx[notebook]")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own packages
def test_it_runs(kernel: Any, tmp_path: Path) -> None:
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    kernel.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output.text for output in shown if output.get("name") == "stderr"]
    kinds = [kind for output in shown for kind in output.get("data", {})]
    assert kinds.count("image/png") == 2
    assert kinds.count("text/html") >= 4
    assert "application/vnd.jupyter.widget-view+json" in kinds
    (right,) = [float(found) for output in shown for found in re.findall(r"^([\d.]+)% of", output.get("text", ""))]
    assert right > 90
    assert {path.name for path in tmp_path.iterdir()} == {"speakers.onnx", "live.onnx"}
