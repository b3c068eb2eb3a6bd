"""Finds the inputs and outputs of a model that are its recurrent states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import LucidError, ShapeError
from .recurrence import Recurrence
from .spec import Spec

__all__ = ["batch_of", "check_whole", "pair"]


def pair(inputs: Sequence[Spec], outputs: Sequence[Spec], states: Mapping[str, str], why: str = "") -> dict[str, str]:
    """Checks the states of a model: for each input that is one, the output that is its next value.

    Args:
        inputs: the inputs.
        outputs: the outputs.
        states: the states.
        why: why pieces do not give what the whole gives, if they do not.

    Raises:
        ValueError: there are none, or they do not exist or do not fit.

    Example:
        >>> from lucid.runtime.session.spec import Spec
        >>> from lucid.runtime.session.states import pair
        >>> h0, h_n = (Spec(name, np.dtype("float32"), (1, "batch", 4)) for name in ("h0", "h_n"))
        >>> pair([h0], [h_n], {"h0": "h_n"})
        {'h0': 'h_n'}
    """
    sources = {spec.name: spec for spec in inputs}
    targets = {spec.name: spec for spec in outputs}
    if not states:
        raise ValueError(
            f"stream: the file declares no state{why and f': {why}'}; the inputs are {', '.join(sources)}, the outputs "
            f"{', '.join(targets)}; export the model with its state as an input, as in to_onnx(rnn, x, h0), or say "
            "which output continues which input, as in to_onnx(step, x, h, states={'h': 'h_next'}) or "
            "stream(state={'h': 'h_next'})"
        )
    for name, output in states.items():
        if name not in sources or output not in targets:
            what = f"output {output!r}" if name in sources else f"input {name!r}"
            raise ValueError(
                f"stream: there is no {what}; the inputs are {', '.join(sources)}, the outputs {', '.join(targets)}"
            )
        before, after = sources[name], targets[output]
        if before.dtype != after.dtype or not _fit(before.shape, after.shape):
            raise ValueError(f"stream: a state must go in as it came out, but {before} is to follow from {after}")
    if len(set(states.values())) != len(states):
        raise ValueError(f"stream: state must name an output of its own for each input; got {dict(states)}")
    return dict(states)


def _fit(before: Sequence[int | str | None], after: Sequence[int | str | None]) -> bool:
    return len(before) == len(after) and all(
        a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in zip(before, after, strict=True)
    )


def check_whole(recurrence: Recurrence, pairs: Mapping[str, str]) -> None:
    """Checks that pieces of a sequence give the same results as the whole.

    Raises:
        LucidError: a layer reads time backwards, or has a state that is not carried over.
    """
    if recurrence.backwards:
        raise LucidError(
            f"stream: {', '.join(recurrence.backwards)} reads time from its end, so pieces would not give what the "
            "whole gives"
        )
    for label, sources in recurrence.states:
        if not sources & pairs.keys():
            raise LucidError(
                f"stream: the state of {label} does not come from {' or '.join(pairs)}, so it would start again with "
                "every piece; export the model with all its states as inputs and outputs"
            )


def batch_of(states: Sequence[Spec], batch: int | None) -> tuple[dict[str, int], dict[str, int], int]:
    """Returns the size of the free axis that the states share, the batch axis of each state, and the batch size.

    Raises:
        ValueError: `batch` is not a positive int.
        ShapeError: the states have other free axes, or a fixed batch of another size.
    """
    if batch is not None and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 1):
        raise ValueError(f"stream: batch must be a positive int; got {batch!r}")
    free = {n for spec in states for n in spec.shape if not isinstance(n, int)}
    if len(free) > 1 or None in free:
        raise ShapeError(f"stream: only the batch may be free in a state; got {', '.join(map(str, states))}")
    # In the states of recurrent layers, the batch is the second to last axis.
    axes = {spec.name: max(len(spec.shape) - 2, 0) for spec in states}
    if not free:
        fixed = next((n for spec in states if spec.shape for n in [spec.shape[axes[spec.name]]]), 1)
        if batch not in (None, fixed):
            raise ShapeError(f"stream: the model has a fixed batch of {fixed}; got batch={batch}")
        return {}, axes, int(fixed or 0)
    symbol = str(free.pop())
    axes |= {spec.name: spec.shape.index(symbol) for spec in states if symbol in spec.shape}
    return {symbol: batch or 1}, axes, batch or 1
