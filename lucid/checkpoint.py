"""Checkpoints: the complete state of a training run in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from .errors import FileError, LucidError, StateDictError
from .io import open_file, write
from .ops.random import get_rng_state, set_rng_state
from .structure import MALFORMED, decode, encode

__all__ = ["load_checkpoint", "save_checkpoint"]

_FORMAT = "lucid_checkpoint"
_VERSION = 2
"""Version 1 had no digest."""


def save_checkpoint(path: str | os.PathLike[str], *, random_state: bool = True, **parts: Any) -> None:
    """Writes the state of a training run to one safetensors file, atomically.

    A run that is killed at any moment resumes from the file with bit-identical results. The file has a digest of all
    that is in it, and no longer loads if any bit of it has changed.

    Args:
        path: the file; an existing one is replaced.
        random_state: save the state of lucid's random generator.
        parts: what to save, by names of your choice, such as ``model=model, optimizer=optimizer, scheduler=scheduler,
            loader=loader``. An object with a `state_dict` is saved by it. Everything else is saved as it is:
            numbers, strings, bools, None, tensors, arrays, and lists, tuples and dicts of them.

    Raises:
        TypeError: a part contains something else.
        FileNotFoundError: the folder does not exist.

    Example:
        >>> import os, tempfile
        >>> model = nn.Linear(2, 1)
        >>> optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "run.safetensors")
        ...     lucid.save_checkpoint(path, model=model, optimizer=optimizer, epoch=3)
        ...     lucid.load_checkpoint(path, model=model, optimizer=optimizer)
        {'epoch': 3}
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    state: dict[str, Any] = {"version": _VERSION, "parts": {}, "values": {}}
    for name, part in parts.items():
        stateful = hasattr(part, "state_dict")
        kind = "parts" if stateful else "values"
        state[kind][name] = encode(part.state_dict() if stateful else part, name, arrays, "save_checkpoint")
    # After the parts: a loader that has not started draws its seed when asked for its state.
    if random_state:
        state["random"] = encode(get_rng_state(), "random", arrays, "save_checkpoint")
    write(arrays, path, {_FORMAT: json.dumps(state)})


def load_checkpoint(path: str | os.PathLike[str], *, random_state: bool = True, **parts: Any) -> dict[str, Any]:
    """Restores the state of a training run from a checkpoint. If anything does not fit, nothing changes.

    Args:
        path: the file.
        random_state: restore the state of lucid's random generator, if the file has it.
        parts: the objects to load into, by the names they were saved under. Parts that are not named are not loaded, so
            a model alone can be loaded from the checkpoint of a whole run.

    Returns:
        The other saved values, by name.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is truncated, was altered after it was written, or is not a checkpoint.
        StateDictError: a part is not in the file, or does not fit.
    """
    file = os.fspath(path)
    contents = open_file(path)
    arrays, metadata = contents.arrays, contents.metadata
    if _FORMAT not in metadata:
        raise FileError(f"{file} is not a checkpoint; lucid.load reads its tensors")
    try:
        state = json.loads(metadata[_FORMAT])
        version = state["version"]
        if version not in (1, _VERSION):
            raise FileError(f"{file} is a checkpoint of version {version}; this lucid reads version {_VERSION} and 1")
        if version != 1 and contents.digest is None:
            raise FileError(f"{file} was altered after lucid wrote it: a checkpoint has a digest, and it has none")
        saved = {name: decode(entry, arrays) for name, entry in state["parts"].items()}
        values = {name: decode(entry, arrays) for name, entry in state["values"].items()}
        random = decode(state["random"], arrays) if "random" in state else None
    except FileError:
        raise
    except MALFORMED as error:
        raise FileError(f"{file} is damaged: its state does not fit its tensors ({error!r})") from error
    for name, part in parts.items():
        if not hasattr(part, "load_state_dict"):
            raise TypeError(f"load_checkpoint: {name} has no load_state_dict; values are returned, not passed")
        if name not in saved:
            raise StateDictError(f"{file} has no part {name!r}; it has {', '.join(saved) or 'none'}")
    _load(parts, saved, random if random_state else None, file)
    return values


def _load(parts: Mapping[str, Any], saved: Mapping[str, Any], random: Any, file: str) -> None:
    """Loads every part and the random state, or nothing."""
    generator = get_rng_state()
    before: list[tuple[Any, Any]] = []
    try:
        copies = [(part, _copied(name, part.state_dict())) for name, part in parts.items()]
        if random is not None:
            try:
                set_rng_state(random)
            except MALFORMED as error:
                raise FileError(f"{file} is damaged: its random state is none ({error!r})") from error
            random = get_rng_state()
        before = copies
        for name, part in parts.items():
            try:
                part.load_state_dict(saved[name])
            except LucidError:
                raise
            except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError) as error:
                raise StateDictError(f"{file} does not fit: part {name!r} cannot load its state ({error!r})") from error
    except BaseException:
        for part, state in reversed(before):
            with suppress(Exception):  # the others must be restored, too, and the first error is the one to see
                part.load_state_dict(state)
        random = None
        raise
    finally:
        set_rng_state(generator if random is None else random)


def _copied(name: str, state: Any) -> Any:
    """Returns a copy of a state that shares no memory with it."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    encoded = encode(state, name, arrays, "load_checkpoint")
    return decode(encoded, {key: array.copy() for key, array in arrays.items()})
