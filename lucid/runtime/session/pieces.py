"""Pieces: whether the pieces of a sequence give what the whole gives, as proved at export or from the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import FileError, LucidError
from ...export.file.metadata import read_json
from ...proof.interface import Interface
from ...proof.streaming import Streaming
from .foreign import prove_file
from .recurrence import Recurrence
from .source import Source
from .spec import Spec

__all__ = ["check_pieces", "interface_of", "streaming_of"]


def streaming_of(source: Source) -> Streaming:
    """Returns what was proved at export; for a file of other origin, what its nodes prove.

    Raises:
        FileError: its record is not one that lucid wrote.
    """
    if source.streaming is None:
        return prove_file(source.proto)
    try:
        return Streaming.of(read_json(source.streaming))
    except (ValueError, TypeError, AttributeError) as error:
        raise FileError(f"{source.name} has metadata that lucid did not write: {error}") from error


def interface_of(source: Source, recurrence: Recurrence, streaming: Streaming) -> Interface:
    """Returns the lengths and states that a file declares; for a file of other origin, what its nodes say.

    Raises:
        FileError: its record is not one that lucid wrote.
    """
    if source.interface is None:
        states = {name: outputs[0] for name, outputs in streaming.states.items() if outputs}
        lengths = {name: steps for name, steps in recurrence.lengths.items() if steps is not None}
        return Interface(lengths=lengths, states=states)
    try:
        return Interface.of(read_json(source.interface))
    except (ValueError, TypeError, AttributeError) as error:
        raise FileError(f"{source.name} has metadata that lucid did not write: {error}") from error


def check_pieces(streaming: Streaming, pairs: Mapping[str, str], inputs: Sequence[Spec]) -> None:
    """Checks that pieces of a sequence give the same results as the whole, if these states are carried over.

    Raises:
        LucidError: they do not, or it was not proved; the message gives the reason.
    """
    if streaming.time is None:
        # Without a time axis, a call is one step.
        states = {size for spec in inputs if spec.name in pairs for size in spec.shape}
        others = [spec for spec in inputs if spec.name not in pairs]
        free = {size for spec in others for size in spec.shape if not isinstance(size, int)}
        if all(spec.name in streaming.steps for spec in others) and free <= states:
            return
        raise LucidError(f"stream: it is not proved that pieces give what the whole gives: {streaming.why}")
    for name, output in pairs.items():
        wanted = streaming.states.get(name, ())
        if output not in wanted:
            found = f"its next value is {' or '.join(wanted)}" if wanted else "no layer starts from it"
            raise LucidError(
                f"stream: {output!r} is not the next value of {name!r}: {found}, so pieces would not give what the "
                "whole gives"
            )
    if missing := [name for name in streaming.states if name not in pairs]:
        raise LucidError(
            f"stream: a layer starts from {missing[0]!r}, which is none of the states {', '.join(pairs)}, so it would "
            f"start again with every piece; name it, too: {missing[0]!r}: {streaming.states[missing[0]][0]!r}"
        )
