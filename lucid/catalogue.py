"""The catalogue of errors: what an error means, and what to write instead; catalogue.md holds it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

__all__ = ["Entry", "catalogue", "entry_of"]


class Entry(NamedTuple):
    """An error that users meet.

    Attributes:
        key: its name, as in ``lucid explain values``.
        text: the section about it, in Markdown.
        parts: what its messages have, in this order.
    """

    key: str
    text: str
    parts: tuple[str, ...]

    def explains(self, message: str) -> bool:
        """Returns whether a message is one of its. It takes linear time: a message may quote a hostile file."""
        start = 0
        for part in self.parts:
            place = message.find(part, start)
            if place < 0:
                return False
            start = place + len(part)
        return True


@cache
def catalogue() -> tuple[Entry, ...]:
    """Returns all entries."""
    page = files(__package__).joinpath("catalogue.md").read_text(encoding="utf-8")
    found = []
    for section in page.split("\n## ")[1:]:
        key, text = section.split("\n", 1)
        message = text.split("```text\n", 1)[1].split("\n```", 1)[0].split(": ", 1)[1]
        found.append(Entry(key, text.strip(), tuple(message.split("..."))))
    return tuple(found)


def entry_of(message: str) -> Entry | None:
    """Returns the entry that a message belongs to; None if it has none.

    Example:
        >>> from lucid.catalogue import entry_of
        >>> entry_of("backward: the graph of sum was freed by an earlier backward; ...").key
        'freed'
    """
    return next((entry for entry in catalogue() if entry.explains(message)), None)
