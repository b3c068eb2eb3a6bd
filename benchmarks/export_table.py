"""Every way to export a recurrent layer, run in onnxruntime at five pairs of sizes and compared with the eager model.

``python -m benchmarks.export_table`` writes docs/export-appendix.md. A slow test generates the whole page again and
compares, an everyday test generates a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnxruntime

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import Exported, to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

__all__ = ["CASES", "DYNAMIC", "LOWERINGS", "PAGE", "PAIRS", "Case", "Cell", "page", "row", "try_out"]

PAGE = Path(__file__).parents[1] / "docs" / "export-appendix.md"

Kind = Literal["tanh", "relu", "LSTM", "GRU"]
Lowering = Literal["rnn", "unrolled", "scan"]
Dynamic = Literal["none", "batch", "both"]
Arrays = dict[str, np.ndarray[Any, Any]]
Axes = dict[str, dict[int, str]]

LOWERINGS: tuple[Lowering, ...] = ("rnn", "unrolled", "scan")
DYNAMIC: tuple[Dynamic, ...] = ("none", "batch", "both")

PAIRS = ((5, 2), (1, 1), (2, 5), (5, 7), (9, 3))
"""T and N; nodes are counted at the first."""

I, H = 4, 6  # noqa: E741 - the letters of the field

_BOUNDS = (1e-6, 1e-5, 1e-4)
"""What a difference is said to be below: its own digits are not the same on every machine."""


class Case(NamedTuple):
    """A model to export.

    Attributes:
        name: what it is.
        make: makes it.
        inputs: makes its inputs, by name, of T and N.
        axes: the names of the axes of its inputs that can vary.
    """

    name: tuple[str, ...]
    make: Callable[[], nn.Module]
    inputs: Callable[[int, int], Arrays]
    axes: Axes


class Cell(NamedTuple):
    """What came of one way to export a case.

    Attributes:
        nodes: how many there are at the first pair of sizes, in the bodies of scans too; None if it was refused.
        difference: the greatest difference of any output at any pair of sizes.
    """

    nodes: int | None
    difference: float

    def __str__(self) -> str:
        return "–" if self.nodes is None else str(self.nodes)


# --- the cases


class Layer(nn.Module):
    """A recurrent layer that may be given a state, an LSTM's in two parts, and lengths."""

    def __init__(self, kind: Kind, num_layers: int, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        if kind == "tanh" or kind == "relu":
            self.rnn: nn.RNNBase = nn.RNN(I, H, num_layers, kind, batch_first=batch_first)
        else:
            self.rnn = (nn.LSTM if kind == "LSTM" else nn.GRU)(I, H, num_layers, batch_first=batch_first)

    def forward(self, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
        hx = h0 if c0 is None else (h0, c0)
        if lengths is None:
            output, state = self.rnn(x, hx)
        else:
            packed, state = self.rnn(pack_padded_sequence(x, lengths, self.batch_first, enforce_sorted=False), hx)
            output = pad_packed_sequence(packed, self.batch_first)[0]
        return (output, *state) if isinstance(state, tuple) else (output, state)


class TwoInputs(nn.Module):
    """The last state of one sequence is the first state of another."""

    def __init__(self, nonlinearity: Literal["tanh", "relu"]) -> None:
        super().__init__()
        self.reader = nn.RNN(I, H, nonlinearity=nonlinearity)
        self.writer = nn.RNN(I, H, nonlinearity=nonlinearity)

    def forward(self, read: Any, written: Any) -> Any:
        return self.writer(written, self.reader(read)[1])


class Tokens(nn.Module):
    """Rows of a table, by token id, through a recurrent layer."""

    def __init__(self, nonlinearity: Literal["tanh", "relu"]) -> None:
        super().__init__()
        self.table = nn.Parameter(lucid.randn(11, I))
        self.rnn = nn.RNN(I, H, nonlinearity=nonlinearity)

    def forward(self, ids: Any) -> Any:
        return self.rnn(self.table[ids])


class Reshaped(nn.Module):
    """A linear layer over (T*N, H), and back to (T, N, H)."""

    def __init__(self, nonlinearity: Literal["tanh", "relu"]) -> None:
        super().__init__()
        self.rnn = nn.RNN(I, H, nonlinearity=nonlinearity)
        self.linear = nn.Linear(H, H)

    def forward(self, x: Any) -> Any:
        output, _ = self.rnn(x)
        steps, batch, hidden = output.shape
        return self.linear(output.reshape(steps * batch, hidden)).reshape(steps, batch, hidden)


class Shared(nn.Module):
    """Two recurrent layers with the same weights, called one after the other."""

    def __init__(self, nonlinearity: Literal["tanh", "relu"]) -> None:
        super().__init__()
        self.first = nn.RNN(H, H, nonlinearity=nonlinearity)
        self.second = nn.RNN(H, H, nonlinearity=nonlinearity)
        for name, parameter in self.first.named_parameters():
            setattr(self.second, name, parameter)

    def forward(self, x: Any) -> Any:
        output, h_n = self.first(x)
        return (*self.second(output, h_n), h_n)


def _layer(kind: Kind, num_layers: int, batch_first: bool, state: bool, lengths: bool) -> Case:
    def inputs(steps: int, batch: int) -> Arrays:
        rng = _rng(steps, batch)
        arrays = {"x": _normal(rng, batch, steps, I) if batch_first else _normal(rng, steps, batch, I)}
        if state:
            arrays["h0"] = _normal(rng, num_layers, batch, H)
            if kind == "LSTM":
                arrays["c0"] = _normal(rng, num_layers, batch, H)
        if lengths:
            arrays["lengths"] = rng.permutation(np.append(rng.integers(1, steps + 1, batch - 1), steps))
        return arrays

    axes: Axes = {"x": {0: "batch", 1: "time"} if batch_first else {0: "time", 1: "batch"}}
    if state:
        axes["h0"] = {1: "batch"}
        if kind == "LSTM":
            axes["c0"] = {1: "batch"}
    if lengths:
        axes["lengths"] = {0: "batch"}
    order = "N, T" if batch_first else "T, N"
    name = (kind, str(num_layers), order, "given" if state else "", "given" if lengths else "")
    return Case(name, lambda: Layer(kind, num_layers, batch_first), inputs, axes)


def _others(nonlinearity: Literal["tanh", "relu"]) -> Iterator[Case]:
    both = {0: "time", 1: "batch"}
    yield Case(
        ("two inputs, of lengths of their own", nonlinearity),
        lambda: TwoInputs(nonlinearity),
        lambda steps, batch: {
            "read": _normal(_rng(steps, batch), steps, batch, I),
            "written": _normal(_rng(batch, steps), steps + 2, batch, I),
        },
        {"read": both, "written": {0: "written", 1: "batch"}},
    )
    yield Case(
        ("token ids", nonlinearity),
        lambda: Tokens(nonlinearity),
        lambda steps, batch: {"ids": _rng(steps, batch).integers(0, 11, (steps, batch))},
        {"ids": both},
    )
    yield Case(
        ("(T, N, H) to (T\\*N, H) and back", nonlinearity),
        lambda: Reshaped(nonlinearity),
        lambda steps, batch: {"x": _normal(_rng(steps, batch), steps, batch, I)},
        {"x": both},
    )
    yield Case(
        ("shared weights", nonlinearity),
        lambda: Shared(nonlinearity),
        lambda steps, batch: {"x": _normal(_rng(steps, batch), steps, batch, H)},
        {"x": both},
    )


def _rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape).astype(np.float32)


_KINDS: tuple[Kind, ...] = ("tanh", "relu", "LSTM", "GRU")
_NONLINEARITIES: tuple[Literal["tanh", "relu"], ...] = ("tanh", "relu")

CASES = (
    *(_layer(*options) for options in product(_KINDS, (1, 2, 3), (False, True), (False, True), (False, True))),
    *(case for nonlinearity in _NONLINEARITIES for case in _others(nonlinearity)),
)


# --- trying them out


def try_out(case: Case, lowering: Lowering, dynamic: Dynamic) -> Cell:
    """Export a case and run it at all pairs of sizes; where an axis is fixed, at each of its sizes anew.

    Raises:
        AssertionError: a result is not the eager model's, or what cannot be exported is not refused.
    """
    lucid.manual_seed(0)
    model = case.make()
    if lowering == "unrolled" and dynamic == "both":
        return _refused(model, case)
    nodes, greatest = None, 0.0
    sessions: dict[tuple[int, ...], onnxruntime.InferenceSession] = {}
    for steps, batch in PAIRS:
        fixed = {"none": (steps, batch), "batch": (steps,), "both": ()}[dynamic]
        if fixed not in sessions:
            exported = _export(model, case, (steps, batch), lowering, dynamic)
            sessions[fixed] = onnxruntime.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
            nodes = nodes or sum(len(graph) for graph in exported.model.graphs())
        arrays = case.inputs(steps, batch)
        results = sessions[fixed].run(None, arrays)
        with lucid.no_grad():
            expected = model(*_arguments(case, arrays))
        expected = expected if isinstance(expected, tuple) else (expected,)
        for result, tensor in zip(results, expected, strict=True):
            reference = tensor.numpy()
            where = f"{case.name}, {lowering}, {dynamic}, T={steps}, N={batch}"
            assert (result.shape, result.dtype) == (reference.shape, reference.dtype), where
            difference = float(np.abs(result - reference).max())
            assert difference < _BOUNDS[-1], f"{where}: off by {difference}"
            greatest = max(greatest, difference)
    return Cell(nodes, greatest)


def _refused(model: nn.Module, case: Case) -> Cell:
    try:
        _export(model, case, PAIRS[0], "unrolled", "both")
    except ExportError as error:
        if "unrolled step by step, so it cannot be dynamic; lowering='scan' leaves it free" in str(error):
            return Cell(None, 0.0)
        raise
    raise AssertionError(f"{case.name}: an unrolled time axis was not refused")


def _export(model: nn.Module, case: Case, sizes: tuple[int, int], lowering: Lowering, dynamic: Dynamic) -> Exported:
    wanted = {"none": (), "batch": ("batch",), "both": ("batch", "time", "written")}[dynamic]
    axes = {
        name: {axis: symbol for axis, symbol in symbols.items() if symbol in wanted}
        for name, symbols in case.axes.items()
    }
    # What onnxruntime makes of it is compared here, and at more sizes.
    return to_onnx(
        model, *_arguments(case, case.inputs(*sizes)), lowering=lowering, dynamic=axes if wanted else None, verify=False
    )


def _arguments(case: Case, arrays: Arrays) -> list[Any]:
    names = ("x", "h0", "c0", "lengths") if "x" in arrays and len(case.name) > 2 else tuple(arrays)
    return [lucid.from_numpy(arrays[name]) if name in arrays else None for name in names]


# --- the page

_HEAD = """# Exporting to ONNX: all combinations

This is the appendix of [Exporting to ONNX](export.md). Each combination below was exported, checked by onnx, run in
onnxruntime at T, N = {pairs}, and compared with the eager model: all outputs,
in float32. The lowering `columns`, which is for training graphs, is not listed.

- A column names the lowering and the dynamic axes: "none", "batch", or "both" (time and batch). Where an axis is fixed,
  the model was exported again for each size.
- A number is the number of nodes at T, N = {first}, including those in subgraphs.
- A dash means that the export is refused, with an error that says why: a time axis that is unrolled step by step cannot
  be dynamic.
- The last column bounds the greatest difference of all cells in the row.

`python -m benchmarks.export_table` generates this page, and a slow test compares it with a new one.
"""


_COLUMNS = [(lowering, dynamic) for lowering in LOWERINGS for dynamic in DYNAMIC]


def row(case: Case) -> str:
    """Returns the row of a case: its cells, tried out, and what bounds their differences."""
    cells = [try_out(case, *column) for column in _COLUMNS]
    greatest = max(cell.difference for cell in cells)
    bound = next(bound for bound in _BOUNDS if greatest < bound)
    return _line((*case.name, *map(str, cells), f"< {bound:.0e}"))


def page(row: Callable[[Case], str] = row) -> str:
    """Returns the page, with a row for each case.

    Args:
        row: returns the row of a case.
    """
    layers = [case for case in CASES if len(case.name) > 2]
    others = [case for case in CASES if len(case.name) == 2]
    pairs = [f"{steps}, {batch}" for steps, batch in PAIRS]
    parts = [
        _HEAD.format(pairs="; ".join(pairs), first=pairs[0]),
        "## Layers\n",
        _table(("", "layers", "input", "h0", "lengths"), map(row, layers)),
        "## Models around them\n",
        _table(("", ""), map(row, others)),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _table(heads: tuple[str, ...], rows: Iterable[str]) -> str:
    first = (*heads, *(f"{lowering}, {dynamic}" for lowering, dynamic in _COLUMNS), "difference")
    second = ("---",) * len(heads) + ("---:",) * (len(_COLUMNS) + 1)
    return "\n".join([_line(first), _line(second), *rows]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
