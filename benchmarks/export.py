"""Export: from a model to the bytes of an ONNX file."""

from __future__ import annotations

from .case import Case
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, Row, ratio
from .rounds import compare

__all__ = ["CASES", "CONTENDERS", "measure"]

CASES = (Case("tanh", 100, 32, 64, 128, 2), Case("lstm", 100, 32, 64, 128, 2), Case("gru", 100, 32, 64, 128, 2))

CONTENDERS = (
    Contender("lucid", "lucid:export"),
    Contender("torch dynamo", "torch:export", {"dynamo": True}, peer="torch", needs=("onnxscript",)),
    Contender("torch traced", "torch:export", {"dynamo": False}, peer="torch", needs=("onnx",)),
)


def measure(options: Options) -> Result:
    """Measures export: lucid's, verified in onnxruntime, against both of PyTorch's, which verify nothing."""
    rows, notes = compare(CONTENDERS, CASES[:1] if options.quick else CASES, options)
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    findings = []
    for kind, layers, seconds in (("tanh", "two layers", 0.5), ("lstm", "two layers of an LSTM", 0.25)):
        row = next((row for row in rows if row.case.startswith(kind)), Row(kind, {}))
        label = "torch.onnx.export(dynamo=True) / lucid's export and verification"
        label += "" if kind == "tanh" else ", LSTM"
        findings.append(Finding.at_least(label, 10, ratio(row, "torch dynamo", "lucid")))
        findings.append(Finding.at_most(f"export and verification of {layers}", seconds, row.middle("lucid"), " s"))
    return Result("export", "Export to ONNX, lucid's with verification (T, N, I, H)", names, rows, findings, notes)


if __name__ == "__main__":
    command(measure)
