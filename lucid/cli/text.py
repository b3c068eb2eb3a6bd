"""Text from files, in terminals."""

from __future__ import annotations

__all__ = ["clean"]


def clean(text: str) -> str:
    """Sanitizes text from a file for printing: returns one line, with control characters escaped.

    Example:
        >>> from lucid.cli.text import clean
        >>> print(clean("two\\nlines" + chr(27) + "[31m"))
        two lines\\x1b[31m
    """
    line = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
