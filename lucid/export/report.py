"""Report: what the comparison of a model with onnxruntime found."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Check", "Report"]


class Check(NamedTuple):
    """One comparison of all outputs.

    Attributes:
        sizes: the size of each symbol.
        difference: the greatest absolute difference of any output; None if these sizes were not compared.
        note: the reason why they were not, if so.
    """

    sizes: dict[str, int]
    difference: float | None
    note: str = ""


class Report(NamedTuple):
    """The result of the parity check; prints as a table.

    Attributes:
        checks: the comparisons; the example's sizes come first.
        outputs: the names of the compared outputs.
        rtol: the relative tolerance; None for the default of each output's dtype.
        atol: the absolute tolerance; likewise.
        tolerances: the relative and the absolute tolerance applied to each output.
        precision: the precision that the model was converted to; None if it was not.
        bytes: the size of the model before and after the conversion; None if there was none.
        kept: with "int8", the weights that stay float32: they are small, not finite, or those of an ONNX operator.
        seconds: with "int8", how long a call takes in float32 and in int8 at the example's sizes; not part of a file.
        reads: where Python reads elements of tensors, without any effect on the result; not part of the file.
        rounding: the outputs that differ by more than the default tolerances, and the greatest part of the absolute one
            that rounding in the model's own sums explains; it is applied element by element.
    """

    checks: tuple[Check, ...]
    outputs: tuple[str, ...]
    rtol: float | None
    atol: float | None
    tolerances: dict[str, tuple[float, float]] = {}  # noqa: RUF012 - never changed
    precision: str | None = None
    bytes: tuple[int, int] | None = None
    reads: tuple[str, ...] = ()
    rounding: dict[str, float] = {}  # noqa: RUF012 - never changed
    kept: tuple[str, ...] = ()
    seconds: tuple[float, float] | None = None

    @property
    def difference(self) -> float:
        """The greatest absolute difference of all checks."""
        return max((check.difference for check in self.checks if check.difference is not None), default=0.0)

    def __str__(self) -> str:
        rows = [("sizes", "greatest difference")]
        for sizes, difference, note in self.checks:
            text = ", ".join(f"{symbol}={n}" for symbol, n in sizes.items()) or "as the example"
            rows.append((text, note if difference is None else f"{difference:.1e}"))
        width = max(len(row[0]) for row in rows)
        lines = [f"{left.ljust(width)}  {right}" for left, right in rows]
        if self.bytes is not None:
            lines.append(f"{self.precision}: {self.bytes[1]:,} bytes, from {self.bytes[0]:,}")
        if self.seconds is not None:
            before, after = self.seconds
            lines.append(f"{self.precision}: {after * 1e3:.3g} ms a call, from {before * 1e3:.3g} ms in float32")
        if self.kept:
            lines.append(f"float32 still, as they are small or have no int8 form: {', '.join(self.kept)}")
        for name, most in self.rounding.items():
            lines.append(f"{name}: rounding in the model's sums explains differences up to {most:.1e}")
        lines += [f"read in Python, without effect: {read}" for read in self.reads]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as a dict for JSON, without the lines of the user's files."""
        made = {**self._asdict(), "checks": [check._asdict() for check in self.checks], "difference": self.difference}
        del made["reads"], made["seconds"]
        return made
