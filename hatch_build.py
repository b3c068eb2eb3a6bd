"""The description on an index of packages: the README's first screen.

An index shows it without the rest of the project, where the README's links to other files lead nowhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

END = "<!-- the first screen ends here -->"


class FirstScreen(MetadataHookInterface):
    """Takes the description from the README, up to a mark."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Adds the description to the metadata.

        Raises:
            ValueError: the README does not have the mark.
        """
        first, mark, _ = (Path(self.root) / "README.md").read_text(encoding="utf-8").partition(END)
        if not mark:
            raise ValueError(f"README.md must have the line {END!r}")
        metadata["readme"] = {"content-type": "text/markdown", "text": first}
