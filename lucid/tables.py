"""Tables of text, for terminals, and of HTML with all text escaped, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

__all__ = ["Shown", "counted", "facts_table", "html_table", "preformatted", "size_of", "text_table"]

_CELL = "text-align: {}; font-family: monospace; white-space: pre-wrap"


def counted(count: int, noun: str) -> str:
    """Formats a number of things for display.

    Example:
        >>> from lucid.tables import counted
        >>> counted(1, "node"), counted(1200, "node")
        ('1 node', '1,200 nodes')
    """
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def size_of(count: int) -> str:
    """Formats a number of bytes for display.

    Example:
        >>> from lucid.tables import size_of
        >>> size_of(2_500_000)
        '2.4 MiB'
    """
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def text_table(rows: Sequence[Sequence[str]], left: int | None = None) -> str:
    """Formats rows as aligned columns.

    Args:
        rows: the cells.
        left: how many columns are aligned on the left, the others on the right; all if None.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligns = [str.ljust if left is None or i < left else str.rjust for i in range(len(widths))]
    return "\n".join(
        "  ".join(align(cell, width) for align, cell, width in zip(aligns, row, widths, strict=True)).rstrip()
        for row in rows
    )


def html_table(title: str, heading: Sequence[str], rows: Iterable[Sequence[object]], notes: Iterable[str] = ()) -> str:
    """Returns a table; numbers are aligned on the right.

    Args:
        title: what stands above it.
        heading: a name for each column.
        rows: the cells of each row.
        notes: lines below it.

    Example:
        >>> from lucid.tables import html_table
        >>> "&lt;b&gt;" in html_table("a", ["name"], [["<b>"]])
        True
    """
    head = "".join(f'<th style="text-align: left">{escape(name)}</th>' for name in heading)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    below = "".join(f"<div>{escape(note)}</div>" for note in notes)
    return (
        f"<div><strong>{escape(title)}</strong><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{below}</div>"
    )


def facts_table(title: str, facts: Mapping[str, object]) -> str:
    """Returns a table of two columns: what is known of a thing, by name."""
    return html_table(title, (), facts.items())


def preformatted(text: str, note: str = "") -> str:
    """Returns text as it is laid out, with a line below it."""
    below = f"<div>{escape(note)}</div>" if note else ""
    return f'<div><pre style="margin: 0">{escape(text)}</pre>{below}</div>'


class Shown:
    """Mixin: a repr, and a table in notebooks, of what `_facts` returns; neither computes or changes anything."""

    def _facts(self) -> Mapping[str, object]:
        """Returns what is shown, by name."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return facts_table(type(self).__name__, self._facts())


def _cell(content: object) -> str:
    number = isinstance(content, (int, float)) and not isinstance(content, bool)
    text = f"{content:,}" if isinstance(content, int) and number else str(content)
    return f'<td style="{_CELL.format("right" if number else "left")}">{escape(text)}</td>'
