"""What several files of tests share."""

from __future__ import annotations

import pytest

from lucid.runtime.compiled import autotune, candidate


@pytest.fixture
def quick_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled modules choose without a rest between candidates and by a few calls. That may be another choice, but any
    has to be right."""
    monkeypatch.setattr(autotune, "_SETTLE", 0.0)
    monkeypatch.setattr(autotune, "_WARM", 0.0)
    monkeypatch.setattr(candidate, "_TURN", 0.0)
