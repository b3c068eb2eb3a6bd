"""Files: the model file that a user gets, run in onnxruntime, beside the one that PyTorch writes."""

from __future__ import annotations

from .case import Case
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, geometric_mean, ratios
from .rounds import compare

__all__ = ["CASES", "CONTENDERS", "measure"]

CASES = (Case("tanh", 50, 32, 28, 64), Case("tanh", 100, 32, 64, 128), Case("tanh", 100, 32, 128, 256))

CONTENDERS = (
    Contender("lucid, default", "onnxruntime:file", {"lowering": "auto"}),
    Contender("lucid, fastest", "onnxruntime:file", {"lowering": "fastest"}),
    Contender("torch's file", "torch:exported", peer="torch", needs=("onnx",)),
)


def measure(options: Options) -> Result:
    """Measures the files of a tanh RNN at batch 32, of the default lowering and of the fastest, against PyTorch's."""
    rows, notes = compare(CONTENDERS, CASES[:1] if options.quick else CASES, options)
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    findings = []
    for name, mean in (("lucid, default", 1.0), ("lucid, fastest", 2.0)):
        times = ratios(rows, "torch's file", name)
        label = f"torch's file / {name}, tanh, N=32"
        findings.append(Finding.at_least(f"{label}, mean", mean, geometric_mean(times)))
        findings.append(Finding.at_least(f"{label}, worst size", 1.0, min(times, default=None)))
    title = "Model files of a tanh RNN in onnxruntime (T, N, I, H)"
    return Result("files", title, names, rows, findings, notes)


if __name__ == "__main__":
    command(measure)
