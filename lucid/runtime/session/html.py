"""Tables of sessions and streams, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...tables import facts_table, html_table

if TYPE_CHECKING:
    from .session import Session
    from .stream import Stream

__all__ = ["html_of_session", "html_of_stream"]


def html_of_session(session: Session) -> str:
    """Returns inputs and outputs, the conditions on sizes, and how sequences can be streamed."""
    rows = [("input", str(spec)) for spec in session.inputs] + [("output", str(spec)) for spec in session.outputs]
    rows += [("condition", str(condition)) for condition in session.conditions]
    streaming = session.streaming
    streams = streaming.why or "step by step" if streaming.time is None else f"piece by piece along {streaming.time}"
    return html_table(f"Session on {session.device}", (), [*rows, ("streams", streams)])


def html_of_stream(stream: Stream) -> str:
    """Returns the batch, the axis along which sequences are cut, and the states."""
    facts: dict[str, object] = {"device": stream.session.device, "batch": stream.batch}
    facts["cut along"] = stream.time or "nothing: each call is one step"
    facts |= {f"state {name}": f"continued by {output}" for name, output in stream.pairs.items()}
    return facts_table("Stream", facts)
