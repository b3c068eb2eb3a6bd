"""What exporters make of recurrent layers: files that are right at other sizes, fail loudly, or are silently wrong.

Each exporter writes each layer of `benchmarks.layer`. onnxruntime runs the files at other lengths and batch sizes than
the example's, and the results are compared with the eager layer of the library that wrote the file. A full run writes
the tables of README.md and docs/exporters.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime

import lucid

from . import page
from .contender import Contender, available
from .layer import EXAMPLES, LAYERS, PAIRS, Layer
from .machine import busy, describe
from .options import Options, parse
from .place import ROOT
from .rounds import chosen, say
from .table import markdown, table
from .worker import Worker, WorkerError

__all__ = ["CONTENDERS", "PAGE", "README", "File", "judge", "measure", "section", "summary", "write"]

README, PAGE = ROOT / "README.md", ROOT / "docs" / "exporters.md"
BEGIN = "<!-- exporters compared: written by `python -m benchmarks.exporters`, do not edit -->"
END = "<!-- the end of exporters compared -->"

CONTENDERS = (
    Contender("PyTorch, `Dim(…)`", "torch_layers:export", {"dims": "named"}, peer="torch", needs=("onnxscript",)),
    Contender("PyTorch, `Dim.AUTO`", "torch_layers:export", {"dims": "AUTO"}, peer="torch", needs=("onnxscript",)),
    Contender(
        "PyTorch, `Dim.DYNAMIC`", "torch_layers:export", {"dims": "DYNAMIC"}, peer="torch", needs=("onnxscript",)
    ),
    Contender("PyTorch, `dynamo=False`", "torch_layers:export_older", peer="torch"),
    Contender("lucid", "lucid_layers:export"),
)

TOLERANCE = 1e-4

Outcome = Literal["right", "no file", "fixed", "fails", "wrong"]
"""No file: the export raises, or onnxruntime does not load the file. Fixed: the file declares another size, so that
onnxruntime refuses the input. Fails: the file admits the input, and onnxruntime raises. Wrong: the results differ."""

LETTERS: dict[Outcome, str] = {"right": "✓", "no file": "–", "fixed": "f", "fails": "e", "wrong": "✗"}


@dataclass
class File:
    """What came of one export.

    Attributes:
        contender: its name.
        layer: the layer.
        seconds: the processor time of the export, which other work on the machine hardly changes; None if it raised.
        nodes: how many nodes the file has, those of subgraphs included.
        outcomes: one for each of PAIRS.
        reasons: what was said or seen wherever the outcome is not "right".
    """

    contender: str
    layer: Layer
    seconds: float | None = None
    nodes: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def measure(options: Options) -> tuple[list[File], list[str]]:
    """Exports the chosen layers with each contender, two at a time; returns the files, and notes on what was left out.

    Each contender has a process of its own for each class of layers.
    """
    contenders, notes = available(CONTENDERS, options.against)
    layers = [layer for layer in LAYERS if layer.form == "time first"] if options.quick else LAYERS
    kinds = [list(group) for _, group in groupby(chosen(layers, options), lambda layer: layer.kind)]
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda job: _files(*job), [(c, kind) for kind in kinds for c in contenders]))
    return [file for part in parts for file in part], notes


def _files(contender: Contender, layers: Sequence[Layer]) -> list[File]:
    files = []
    with Worker(contender) as worker:
        for layer in layers:
            files.append(_file(worker, layer))
            say(f"{contender.name}: {layer}: {_letters(files[-1])}")
    return files


def _file(worker: Worker, layer: Layer) -> File:
    file = File(worker.contender.name, layer)
    worker.prepare(layer)
    try:
        worker.time(1)
    except WorkerError as error:
        if not worker.alive:
            raise
        file.outcomes, file.reasons = ["no file"] * len(PAIRS), [str(error)]
        return file
    results = worker.results()
    data, file.seconds = results.pop("file").tobytes(), float(results.pop("seconds"))
    file.nodes = _nodes(onnx.load_model_from_string(data).graph)
    try:
        session = _session(data)
    except Exception as error:
        file.outcomes, file.reasons = ["no file"] * len(PAIRS), [_first_line(error)]
        return file
    for pair in PAIRS:
        expected = [array for name, array in results.items() if name.startswith(f"{pair} ")]
        outcome, reason = judge(session, layer.inputs(*pair), expected)
        file.outcomes.append(outcome)
        file.reasons += [f"{pair}: {reason}"] if reason else []
    return file


def _session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def judge(
    session: onnxruntime.InferenceSession, inputs: dict[str, Any], expected: Sequence[np.ndarray[Any, Any]]
) -> tuple[Outcome, str]:
    """Runs a file and compares all results, their shapes included; returns what came of it, and why it is not right."""
    declared = {given.name: given.shape for given in session.get_inputs()}
    feed = {name: array for name, array in inputs.items() if name in declared}
    for name, array in feed.items():
        if any(
            isinstance(size, int) and size != given for size, given in zip(declared[name], array.shape, strict=True)
        ):
            return "fixed", f"{name} is {declared[name]} in the file"
    try:
        results = session.run(None, feed)
    except Exception as error:
        return "fails", _first_line(error)
    for name, result, reference in zip(session.get_outputs(), results, expected, strict=True):
        if result.shape != reference.shape:
            return "wrong", f"{name.name} has shape {result.shape} instead of {reference.shape}"
        if not np.allclose(result, reference, rtol=TOLERANCE, atol=TOLERANCE):
            return "wrong", f"{name.name} is off by {np.abs(result - reference).max():.2g}"
    return "right", ""


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]


def _nodes(graph: onnx.GraphProto) -> int:
    return sum(1 + sum(_nodes(a.g) for a in node.attribute if a.HasField("g")) for node in graph.node)


# --- the tables


def summary(files: Iterable[File]) -> list[list[str]]:
    """Returns the rows of the short table: a contender in each, with its counts over all layers and sizes."""
    rows = [["exporter", "right", "fails, and says so", "silently wrong", "nodes", "CPU seconds"]]
    for name, group in _by_contender(files).items():
        counts = Counter(outcome for file in group for outcome in file.outcomes)
        right, wrong = counts["right"], counts["wrong"]
        loud = counts.total() - right - wrong
        rows.append([name, str(right), str(loud), str(wrong), *_middles(group)])
    return rows


def _versions(machine: dict[str, str]) -> str:
    names = {"torch": "PyTorch", "onnxscript": "onnxscript", "onnx": "onnx", "onnxruntime": "onnxruntime"}
    found = [f"{text} {machine[name]}" for name, text in names.items() if name in machine]
    return f"With {', '.join([*found, f'and lucid {lucid.__version__}'])}."


def _middles(files: Sequence[File]) -> tuple[str, str]:
    """The median number of nodes, of files from the first example, and the median seconds of an export."""
    nodes = [f.nodes for f in files if f.nodes is not None and (f.layer.time, f.layer.batch) == EXAMPLES[0]]
    seconds = [f.seconds for f in files if f.seconds is not None]
    return f"{median(nodes):.0f}" if nodes else "–", f"{median(seconds):.2g}" if seconds else "–"


def section(files: Sequence[File], machine: dict[str, str]) -> str:
    """Returns the tables of the page: the summary, one for each example, the nodes, and what was said."""
    parts = ["; ".join(f"{name} {text}" for name, text in machine.items()) + ".", markdown(summary(files))]
    for example in EXAMPLES:
        chosen = [file for file in files if (file.layer.time, file.layer.batch) == example]
        parts += [
            f"### From an example of T, N = {example[0]}, {example[1]}",
            markdown(_grid(chosen, _letters)),
            "Nodes, and CPU seconds of the export:",
            markdown(_grid(chosen, lambda file: f"{file.nodes}, {file.seconds:.2g}" if file.nodes else "–")),
        ]
    return "\n\n".join(parts)


def _grid(files: Sequence[File], cell: Any) -> list[list[str]]:
    """Rows by layer, columns by contender."""
    columns = _by_contender(files)
    rows = [["layer", *columns]]
    for group in zip(*columns.values(), strict=True):
        rows.append([f"{group[0].layer.kind}, {group[0].layer.form}", *map(cell, group)])
    return rows


def _letters(file: File) -> str:
    return "".join(LETTERS[outcome] for outcome in file.outcomes)


def _by_contender(files: Iterable[File]) -> dict[str, list[File]]:
    found: dict[str, list[File]] = {}
    for file in files:
        found.setdefault(file.contender, []).append(file)
    return found


def write(files: Sequence[File], machine: dict[str, str], readme: Path = README, target: Path = PAGE) -> None:
    """Writes the tables into the README and the page.

    Raises:
        ValueError: a file does not have both marks; neither is changed then.
    """
    short = "\n\n".join([markdown(summary(files)), _versions(machine)])
    pages = ((readme, short), (target, section(files, machine)))
    filled = [(path, page.fill(path.read_text(encoding="utf-8"), text, BEGIN, END)) for path, text in pages]
    for path, text in filled:
        path.write_text(text, encoding="utf-8")


def main() -> None:
    options = parse((__doc__ or "").splitlines()[0])
    was_busy = busy()
    files, notes = measure(options)
    notes += [was_busy] if was_busy else []
    machine = describe()
    options.out.mkdir(parents=True, exist_ok=True)
    saved = {"machine": machine, "pairs": PAIRS, "notes": notes, "files": [asdict(file) for file in files]}
    text = json.dumps(saved, indent=1, ensure_ascii=False)
    (options.out / "exporters.json").write_text(f"{text}\n", encoding="utf-8")
    print("\n\n".join([table(summary(files)), *(f"note: {note}" for note in notes)]))
    complete = {file.contender for file in files} == {contender.name for contender in CONTENDERS}
    if complete and not options.quick and not options.only:
        write(files, machine)
        print("\nREADME.md and docs/exporters.md have this run now")


if __name__ == "__main__":
    main()
