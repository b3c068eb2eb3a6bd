"""Moves the state of a training step out of a model and its optimizer, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import StateDictError
from ...nn.module import Module
from ...ops.generator import default_generator, seed_of_next_step
from ...optim.joined import NUMBERS
from ...optim.optimizer import Optimizer
from ...tensor import Tensor, around
from ..lowering.plan import SEED
from .state import Array, Group, State, state_of

__all__ = ["load", "taken"]


def taken(state: State, model: Module, optimizer: Optimizer) -> dict[str, Array]:
    """Returns copies of the values that a model and its optimizer have now.

    Args:
        state: the state of the step.
        model, optimizer: those that the step was made of, or others with the same keys and groups.

    Raises:
        StateDictError: they do not fit the step, or the step draws and lucid's generator is not counter-based.
        ExportError: the parameters were updated a different number of times.
    """
    _require_fit(state, model, optimizer)
    seed = around(np.array(_seed("state_of"), np.int64)) if SEED in state.entries else None
    try:
        now = state_of(model, optimizer, state.names("parameter"), state.names("buffer"), seed)
    except KeyError as error:
        raise StateDictError(f"state_of: the model has no buffer {error}") from error
    wrong = [
        name for name, e in now.entries.items() if _spec(e.tensor._data) != _spec(state.entries[name].tensor._data)
    ]
    if now.entries.keys() != state.entries.keys() or wrong:
        apart = sorted(now.entries.keys() ^ state.entries.keys()) or wrong
        raise StateDictError(f"state_of: the model or the optimizer does not fit the step: {', '.join(apart)}")
    return now.start()


def load(state: State, model: Module, optimizer: Optimizer, values: Mapping[str, Any]) -> None:
    """Gives a model, its optimizer and, if the step draws, lucid's generator the values of a state.

    If anything does not fit, nothing changes.

    An option keeps its number where that rounds to the value in the state.

    Args:
        state: the state of the step.
        model, optimizer: those that the step was made of, or others with the same keys and groups.
        values: arrays or tensors by name.

    Raises:
        StateDictError: names, shapes or dtypes do not fit; the message lists them all.
    """
    _require_fit(state, model, optimizer)
    given = {name: value._data if isinstance(value, Tensor) else np.asarray(value) for name, value in values.items()}
    problems = [f"it lacks {name!r}" for name in state.entries if name not in given]
    problems += [f"it has an unexpected {name!r}" for name in given if name not in state.entries]
    for name, entry in state.entries.items():
        if name in given and (found := _spec(given[name])) != (wanted := _spec(entry.tensor._data)):
            problems.append(f"{name!r} should be {wanted[1]}{list(wanted[0])}, got {found[1]}{list(found[0])}")
    if problems:
        raise StateDictError(f"load_into: the state does not fit the step: {'; '.join(problems)}")
    if SEED in state.entries:
        _seed("load_into")
        default_generator().set_state({"generator": "counter", "seed": int(given[SEED]), "draw": 0})
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    for name in state.names("parameter"):
        parameters[name]._assign(given[name])
    for name in state.names("buffer"):
        buffers[name]._assign(given[name])
    for group, target in zip(state.groups, optimizer.param_groups, strict=True):
        for key in group.keys:
            optimizer.state[parameters[key]] = {slot: _slot(group, slot, key, given) for slot in group.slots}
        for name in group.moved if group.keys else ():
            target[name] = _option(target[name], given[name + group.suffix])


def _require_fit(state: State, model: Module, optimizer: Optimizer) -> None:
    """Raises StateDictError if a model and an optimizer do not have the parameters and the groups of a state."""
    parameters = dict(model.named_parameters())
    keys = {parameter: key for key, parameter in parameters.items()}
    groups = [[key for p in group["params"] if (key := keys.get(p)) is not None] for group in optimizer.param_groups]
    missing = [name for name in state.names("parameter") if name not in parameters]
    missing += sorted(set(state.names("buffer")) - dict(model.named_buffers()).keys())
    if missing:
        raise StateDictError(f"the model does not fit the step: it has no {', '.join(missing)}")
    fits = len(groups) == len(state.groups) and all(
        set(group.keys) <= set(own) and optimizer.slots(optimizer.options(target)).keys() == group.slots.keys()
        for group, own, target in zip(state.groups, groups, optimizer.param_groups, strict=True)
    )
    if not fits:
        raise StateDictError(
            "the optimizer does not fit the step: it must be of the same kind, with the same groups of parameters"
        )


def _seed(function: str) -> int:
    """Returns the seed of the next step.

    Raises:
        StateDictError: lucid's generator has no steps.
    """
    seed = seed_of_next_step()
    if seed is None:
        raise StateDictError(
            f"{function}: the step draws random numbers, but lucid's generator is not the one that draws the same; "
            "call lucid.manual_seed(seed, generator='counter') first"
        )
    return seed


def _slot(group: Group, slot: str, key: str, given: Mapping[str, Array]) -> Any:
    value = given[group.name_of(slot, key)]
    return float(value) if slot in NUMBERS else around(np.array(value))


def _option(now: Any, value: Array) -> Any:
    """Returns the number that an option gets; the one it has, if that rounds to the value."""
    if isinstance(now, tuple):
        return tuple([_option(number, part) for number, part in zip(now, value, strict=True)])
    return now if np.float32(now) == value else float(value)


def _spec(array: Array) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return array.shape, array.dtype
