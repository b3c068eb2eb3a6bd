"""GPU: sessions, lucid.compile, training steps and streams on CUDA, WebGPU and other devices that are there.

Without such a device it says what is missing, and ends. Inputs come from the CPU's memory and results go back there;
the state of a stream stays on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import lucid
from lucid.errors import LucidError
from lucid.export import to_onnx
from lucid.runtime import Session
from lucid.runtime.session.plugin import installed

from .case import Case
from .command import command
from .contender import Contender
from .options import Options
from .placed import MODES, Placed
from .result import Result, Row, geometric_mean, ratios
from .rounds import compare

__all__ = ["CONTENDERS", "devices", "main", "measure", "on"]

CONTENDERS = (
    Contender("lucid", "lucid_gpu:run"),
    Contender("lucid on the CPU", "lucid_gpu:run", {"device": "cpu"}),
    Contender("torch", "torch_gpu:run", peer="torch"),
    Contender("torch compiled", "torch_gpu:run", {"compiled": True}, peer="torch"),
)

SIZES = ((100, 32, 64, 128), (100, 64, 128, 256), (200, 64, 256, 512))
SHORT = ((20, 32, 64, 128), (20, 64, 256, 512))
"""What a device without recurrent operators runs: the layer is unrolled there."""

TOLERANCE = 5e-3
"""Relative to the largest element: cuDNN and onnxruntime both multiply with ten bits of mantissa (TF32) by default."""


def devices(names: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Returns the devices that run a model here, CUDA first, and why each other one does not."""
    found, missing = [], []
    exported = to_onnx(lucid.nn.Linear(2, 3), lucid.randn(4, 2))
    for name in names or dict.fromkeys(("cuda", "webgpu", *installed())):
        try:
            Session(exported, name)
        except LucidError as error:
            missing.append(f"{name}: {error}")
        else:
            found.append(name)
    return found, missing


def on(device: str, quick: bool = False) -> list[Placed]:
    """Returns the cases of a device."""
    sizes = ((5, 4, 8, 16),) if quick else SIZES if device == "cuda" else SHORT
    found = []
    for mode in MODES:
        for kind in ("tanh", "lstm", "gru"):
            if mode == "stream":
                found.append(Placed(device, mode, Case(kind, 20, 1, 32, 64)))
            else:
                found += [Placed(device, mode, Case(kind, *size)) for size in sizes]
    return found


def measure(options: Options) -> Result:
    """Measures sessions, compiled modules, training steps and streams on each device, against PyTorch on that card."""
    places, missing = devices()
    rows: list[Row] = []
    notes = [f"not measured: {text}" for text in missing]
    for device in places:
        own = CONTENDERS if device == "cuda" else CONTENDERS[:2]  # PyTorch runs on CUDA alone
        measured, left_out = compare(own, on(device, options.quick), options, TOLERANCE)
        rows += measured
        notes += left_out + means(measured)
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    title = "On devices other than the CPU (T, N, I, H), with the transfer of inputs and results"
    return Result("gpu", title, names, rows, [], notes)


def means(rows: Sequence[Row]) -> list[str]:
    """Returns a note on each way to run: the geometric mean of the ratios."""
    notes = []
    for mode in MODES:
        own = [row for row in rows if f", {mode}, " in row.case]
        for other in [c.name for c in CONTENDERS[1:]]:
            if (mean := geometric_mean(ratios(own, other, "lucid"))) is not None:
                notes.append(f"{own[0].case.split(',')[0]}, {mode}, {other} / lucid: mean {mean:.3g}")
    return notes


def main() -> None:
    found, missing = devices()
    if not found:
        print("there is no device other than the CPU to measure:")
        print("\n".join(f"- {text}" for text in missing))
        return
    command(measure)


if __name__ == "__main__":
    main()
