"""Claims: what a file says of its origin, held against its digests."""

from __future__ import annotations

import onnx

from ...errors import VerificationError
from .digest import GRAPH, TENSORS, WEIGHTS, Contents, digests

__all__ = ["check_digests"]

_PREFIX = "lucid."
_PRODUCER = "lucid"


def check_digests(proto: onnx.ModelProto, contents: Contents, name: str, otherwise: str) -> dict[str, str]:
    """Checks a file that says that lucid wrote it against its digests.

    Args:
        proto: the model.
        contents: returns the elements of a tensor.
        name: its name in messages.
        otherwise: the beginning of the advice for a model that was altered on purpose.

    Returns:
        Its metadata; nothing if it does not say that lucid wrote it.

    Raises:
        VerificationError: it was altered after lucid wrote it, or lost its digests.
    """
    recorded = {entry.key: entry.value for entry in proto.metadata_props}
    if proto.producer_name != _PRODUCER and not any(key.startswith(_PREFIX) for key in recorded):
        return {}
    advice = f"{otherwise} a model that was altered on purpose"
    if missing := [key for key in (GRAPH, WEIGHTS, TENSORS) if key not in recorded]:
        raise VerificationError(
            f"{name} says that lucid wrote it, but its digests were removed: it has no {', '.join(missing)}; {advice}"
        )
    found = digests(proto, contents)
    parts = []
    if recorded[WEIGHTS] != found.weights or recorded[TENSORS] != found.metadata[TENSORS]:
        parts.append("the weights")
    if recorded[GRAPH] != found.graph:
        parts.append("the graph or the metadata")
    if parts:
        raise VerificationError(
            f"{name} is not as lucid wrote it: {' and '.join(parts)} do not fit the digests in it; {advice}"
        )
    return recorded
