"""Text tables, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["markdown", "table"]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Formats rows as columns, with a heading in the first row; names are aligned left, everything else right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Formats rows as a Markdown table."""
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:]))
