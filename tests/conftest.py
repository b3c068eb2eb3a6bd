"""What several files of tests share."""

from __future__ import annotations

import pytest

from lucid.runtime import contest, runner


@pytest.fixture
def quick_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled modules choose without a rest between candidates and by a few calls. That may be another choice, but any
    has to be right."""
    monkeypatch.setattr(contest, "_SETTLE", 0.0)
    monkeypatch.setattr(contest, "_WARM", 0.0)
    monkeypatch.setattr(runner, "_TURN", 0.0)
