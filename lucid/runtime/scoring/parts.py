"""Parts: the files of a scoring job, and what becomes of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import FileError, LucidError
from ..session.session import Session
from .score import ENDINGS, Scored, score_file

__all__ = ["Part", "parts_of", "reason", "score_alone"]


class Part(NamedTuple):
    """A file to score.

    Attributes:
        source: the file of rows.
        target: the file of results.
    """

    source: str
    target: str


def parts_of(inputs: Iterable[str], folder: str) -> list[Part]:
    """Returns the files to score, in the order of their names within each folder, and creates the folders of results.

    Args:
        inputs: files of rows, and folders, whose files of rows are found at any depth.
        folder: where the results go, each under the name of its file, within the folder that was given.

    Raises:
        FileError: there are none; or two would have the same file of results, or one its own.
    """
    found: dict[str, Part] = {}
    for given in inputs:
        root = Path(given)
        for path in _within(root, Path(folder)) if root.is_dir() else [root]:
            target = os.path.join(folder, path.relative_to(root) if root.is_dir() else path.name)
            if target in found:
                raise FileError(
                    f"{found[target].source} and {path} would both have the results {target}; score them apart"
                )
            if os.path.realpath(target) == os.path.realpath(path):
                raise FileError(f"the results {target} would replace the file of rows; choose another folder")
            found[target] = Part(str(path), target)
    if not found:
        raise FileError(f"{', '.join(inputs)}: there is no file whose name ends in {' or '.join(ENDINGS)}")
    for target in found:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    return list(found.values())


def _within(root: Path, results: Path) -> list[Path]:
    """Returns the files of rows in a folder, without hidden ones, and without results, which may stand inside it."""
    found = []
    for path in sorted(root.rglob("*")):
        hidden = any(name.startswith(".") for name in path.relative_to(root).parts)
        made = results.resolve() != root.resolve() and results.resolve() in path.resolve().parents
        if path.suffix.lower() in ENDINGS and path.is_file() and not hidden and not made:
            found.append(path)
    return found


def score_alone(
    session: Session, parts: Sequence[Part], options: Mapping[str, Any], progress: Callable[[int], Any] | None = None
) -> Iterator[tuple[Part, Scored | str]]:
    """Scores files one after the other, and yields what became of each: `Scored`, or why it failed."""
    for part in parts:
        try:
            yield part, score_file(session, part.source, part.target, progress=progress, **options)
        except Exception as error:  # one file that fails, for whatever reason, does not stop the others
            yield part, reason(part, error)


def reason(part: Part, error: BaseException) -> str:
    """Returns why a file failed, as one text that names it."""
    text = str(error) if isinstance(error, (LucidError, OSError)) else f"{type(error).__name__}: {error}"
    return text if part.source in text else f"{part.source}: {text}"
