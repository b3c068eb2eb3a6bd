"""What every doctest has at hand: `lucid`, `nn` and `np`, and the same random numbers."""

from __future__ import annotations

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
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(lucid=lucid, nn=lucid.nn, np=np)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    lucid.manual_seed(0)
