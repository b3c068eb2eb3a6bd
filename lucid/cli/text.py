"""Text output for terminals."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["clean", "size_of", "table"]


def clean(text: str) -> str:
    """Sanitizes text from a file for printing: returns one line, with control characters escaped.

    Example:
        >>> from lucid.cli.text import clean
        >>> print(clean("two\\nlines" + chr(27) + "[31m"))
        two lines\\x1b[31m
    """
    line = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def size_of(count: int) -> str:
    """Formats a number of bytes for display.

    Example:
        >>> from lucid.cli.text import size_of
        >>> size_of(2_500_000)
        '2.4 MiB'
    """
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def table(rows: Sequence[Sequence[str]], numbers: bool = False) -> str:
    """Formats rows as aligned columns; numbers are aligned on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    align = str.rjust if numbers else str.ljust
    return "\n".join(
        "  ".join(align(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
