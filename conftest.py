"""What every doctest has at hand: the same random numbers, and in a docstring `lucid`, `nn` and `np`.

A page has no names but those that it imports: its reader pastes the blocks into a new interpreter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import lucid

# It puts lucid.data in its own place, so it cannot be imported by its path.
collect_ignore = ["lucid/utils/data.py"]
# What Sphinx runs, and what it makes.
collect_ignore += ["docs/conf.py", "docs/_extensions", "docs/api", "docs/tutorials"]
# Their examples need the extra [score].
if find_spec("pyarrow") is None:
    collect_ignore += ["lucid/runtime/scoring/parquet.py", "docs/scoring.md"]
if find_spec("distributed") is None:
    collect_ignore += ["lucid/runtime/scoring/cluster.py"]


@pytest.fixture(autouse=True)
def _alike(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> Iterator[None]:
    """Each test begins with the same names and random numbers, and ends in the folder that it began in."""
    doctest_namespace.clear()
    if request.path.suffix == ".py":
        doctest_namespace.update(lucid=lucid, nn=lucid.nn, np=np)
    lucid.manual_seed(0)
    folder = os.getcwd()
    yield
    os.chdir(folder)
