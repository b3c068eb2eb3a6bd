"""A session that kills its process when it meets a certain number, as a crash in native code would."""

from __future__ import annotations

import os
import signal
from typing import Any

from lucid.runtime import Session

__all__ = ["PoisonedSession"]


class PoisonedSession(Session):
    """A session for which one number is poison."""

    POISON = 666.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any((x == self.POISON).any() for x in args):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(*args, **kwargs)

    def __reduce__(self) -> Any:
        _, state = super().__reduce__()
        return _poisoned, state


def _poisoned(model: Any, verify: bool, threads: int | None, arena: bool, device: Any, digest: str) -> PoisonedSession:
    return PoisonedSession(model, device, threads=threads, verify=verify, arena=arena)
