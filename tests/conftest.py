"""Fixtures that several test files share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lucid
from lucid.runtime.compiled import autotune, candidate
from tests.tiers import LEFT_OUT

MOST = {"slow": 20, "": 8}
"""The most cases of a test in the slow tier, and in an everyday pytest; `make test-all` and `make test` run all."""


def pytest_configure(config: pytest.Config) -> None:
    chosen = config.getoption("markexpr")
    LEFT_OUT.update(tier for tier in ("slow", "exhaustive") if f"not {tier}" in chosen)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leaves out files whose tests are all slow, if slow tests are: some import PyTorch, which takes seconds."""
    if "slow" not in LEFT_OUT or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if re.search(r"^pytestmark = .*mark\.slow", text, re.MULTILINE) else None


@pytest.hookimpl(tryfirst=True)  # before pytest deselects slow tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        if "torch" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        if not item.get_closest_marker("exhaustive"):
            tier = "slow" if item.get_closest_marker("slow") else ""
            tests.setdefault((tier, item.nodeid.split("[")[0]), []).append(item)
    for (tier, _), cases in tests.items():
        every = -(-len(cases) // MOST[tier])
        for i, item in enumerate(cases):
            if i % every:
                item.add_marker(pytest.mark.exhaustive if tier else pytest.mark.wide)


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch, as the oracle. Tests that use it are slow, and are skipped where it is not installed."""
    return pytest.importorskip("torch")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch computes in one thread: its threads wait for each other longer than small programs run."""
    theirs = pytest.importorskip("torch")
    before = theirs.get_num_threads()
    theirs.set_num_threads(1)
    yield
    theirs.set_num_threads(before)


@pytest.fixture
def quick_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled modules choose a candidate after a few calls, without pauses.

    The choice may not be the fastest, but every candidate must give the right results.
    """
    monkeypatch.setattr(autotune, "_SETTLE", 0.0)
    monkeypatch.setattr(autotune, "_WARM", 0.0)
    monkeypatch.setattr(candidate, "_TURN", 0.0)


@pytest.fixture(autouse=True)
def pcg64_after_each_test() -> Iterator[None]:
    """A test that draws from a counter-based generator leaves the usual one to the next test."""
    yield
    if lucid.get_rng_state().get("generator") == "counter":
        lucid.manual_seed(0)
