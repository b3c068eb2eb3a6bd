"""The table of docs/runtimes.md: ``python -m examples.runtimes [--row TITLE …] [--column TITLE …]`` makes it anew.

Each runtime runs a small model for each feature, or takes a few steps of each task; the numbers are compared with
those of eager lucid. If rows or columns are named, the other cells stay where they are right and the versions are the
same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .check import ROWS, prepared
from .engines import TITLES, engines
from .table import Cells, cells, versions_of, versions_on_page, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.runtimes", description="Makes the table of runtimes.")
    parser.add_argument("--row", action="append", choices=ROWS, metavar="TITLE", help="make this row; without one, all")
    parser.add_argument("--column", action="append", choices=TITLES, metavar="TITLE", help="the same for a column")
    given = parser.parse_args()
    rows, columns = given.row or ROWS, given.column or TITLES
    with tempfile.TemporaryDirectory() as scratch, engines(Path(scratch), *TITLES) as (found, lacking):
        if lacking:
            sys.exit("\n".join(f"error: {title} is missing: {reason}" for title, reason in lacking.items()))
        versions = versions_of(found)
        old = cells() if versions == versions_on_page() else {}
        table: Cells = {}
        for row in ROWS:
            known = {title: cell for title, cell in old.get(row, {}).items() if cell[0] in "✓–"}
            again = [title for title in TITLES if title not in known or (row in rows and title in columns)]
            folder = Path(scratch) / "row"
            folder.mkdir(exist_ok=True)
            check = prepared(folder, row) if again else None
            table[row] = {title: check(found[title]) if check and title in again else known[title] for title in TITLES}
            print(row, *(f"{title} {table[row][title]}" for title in again), sep="; ", flush=True)
    write(table, versions)


if __name__ == "__main__":
    main()
