"""State: what a training step reads and writes anew, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...errors import ExportError
from ...nn.module import Module
from ...optim.joined import NUMBERS
from ...optim.optimizer import Optimizer
from ...tensor import Tensor, around
from ..lowering.plan import SEED

__all__ = ["OPTIONS", "PREFIX", "Entry", "Group", "State", "check_names", "check_owned", "moving", "state_of"]

PREFIX = "next."
"""What an output that continues a state has before the state's name."""

OPTIONS = ("lr", "betas", "momentum", "weight_decay")
"""The options of optimizers that may change from step to step."""

_RESERVED = ("next", "loss", "grad_norm", "lr", "step", SEED)
"""Names that no parameter, batch or metric has in any file, so that a driver can rely on them."""

Array = np.ndarray[Any, Any]


class Entry(NamedTuple):
    """One part of the state.

    Attributes:
        name: its name.
        kind: "parameter", "buffer", "slot" (what an optimizer keeps for a parameter), "count" (a number that it keeps),
            "option", or "seed" (of the random numbers).
        tensor: the tensor that stands for it in the graph, with the value at the start.
    """

    name: str
    kind: str
    tensor: Tensor

    @property
    def start(self) -> Array:
        """A copy of the value at the start."""
        return self.tensor._data.copy()


class Group(NamedTuple):
    """A group of an optimizer's parameters.

    Attributes:
        keys: the keys of the parameters that the step updates.
        options: the options, as Python numbers.
        slots: for each slot of a parameter, whether it is a number.
        suffix: what follows the names of the group's own numbers: nothing, or ".0", ".1" if there are several groups.
    """

    keys: tuple[str, ...]
    options: dict[str, Any]
    slots: dict[str, bool]
    suffix: str

    def name_of(self, slot: str, key: str) -> str:
        """Returns the name of a slot of a parameter."""
        if not self.slots[slot]:
            return f"{slot}.{key}"
        # All parameters are updated together, so that they have one count of steps.
        return slot if slot == "step" else f"{slot}{self.suffix}"

    @property
    def moved(self) -> list[str]:
        """The options that are part of the state; one that is zero is not, since its term is left out."""
        found = []
        for name in OPTIONS:
            value = self.options.get(name)
            parts = value if isinstance(value, tuple) else (value,)
            if all(type(part) in (int, float) for part in parts) and (name == "lr" or all(parts)):
                found.append(name)
        return found


class State(NamedTuple):
    """The state of a training step.

    Attributes:
        entries: its parts, by name.
        groups: the groups of the optimizer's parameters.
    """

    entries: dict[str, Entry]
    groups: tuple[Group, ...]

    def names(self, *kinds: str) -> list[str]:
        """Returns the names of the parts of some kinds."""
        return [name for name, entry in self.entries.items() if entry.kind in kinds]

    def start(self) -> dict[str, Array]:
        """Returns copies of all values at the start."""
        return {name: entry.start for name, entry in self.entries.items()}

    def as_dict(self) -> dict[str, Any]:
        """Returns what JSON can say of it."""
        return {
            "state": {
                name: {"kind": e.kind, "shape": list(e.tensor.shape), "dtype": str(e.tensor.dtype)}
                for name, e in self.entries.items()
            },
            "groups": [list(group.keys) for group in self.groups],
        }


def state_of(
    model: Module, optimizer: Optimizer, updated: Iterable[str], buffers: Iterable[str], seed: Tensor | None = None
) -> State:
    """Collects the state of a model and its optimizer.

    Args:
        model: the model.
        optimizer: the optimizer of its parameters.
        updated: the keys of the parameters that the step updates.
        buffers: the keys of the buffers that it changes.
        seed: the seed of the step's random numbers; None if nothing is drawn.

    Raises:
        ExportError: the optimizer's parameters were updated a different number of times, so that one count is not
            enough; or two parts have one name.
    """
    parameters = dict(model.named_parameters())
    keys = {parameter: key for key, parameter in parameters.items()}
    chosen = set(updated)
    entries = [Entry(key, "parameter", parameters[key]) for key in parameters if key in chosen]
    tensors = dict(model.named_buffers())
    entries += [Entry(key, "buffer", _leaf(tensors[key]._data)) for key in buffers]
    several = len(optimizer.param_groups) > 1
    groups: list[Group] = []
    numbers: dict[str, tuple[float, str]] = {}
    for place, group in enumerate(optimizer.param_groups):
        options = optimizer.options(group)
        slots = {name: name in NUMBERS for name in optimizer.slots(options)}
        own = tuple(keys[p] for p in group["params"] if keys.get(p) in chosen)
        record = Group(own, options, slots, f".{place}" if several else "")
        groups.append(record)
        for key in own:
            kept = _kept(optimizer, parameters[key], options)
            for slot, is_number in slots.items():
                name = record.name_of(slot, key)
                if not is_number:
                    entries.append(Entry(name, "slot", _leaf(kept[slot])))
                elif numbers.setdefault(name, (kept[slot], key))[0] != kept[slot]:
                    value, other = numbers[name]
                    raise ExportError(
                        f"training_step: the optimizer's {slot} is {value:g} for {other!r}, but {kept[slot]:g} for "
                        f"{key!r}; a step has one {name!r}, so all parameters must have been updated as often"
                    )
    entries += [Entry(name, "count", _leaf(np.float32(value))) for name, (value, _) in numbers.items()]
    for record in groups:
        entries += [
            Entry(f"{name}{record.suffix}", "option", _leaf(np.float32(record.options[name])))
            for name in record.moved
            if record.keys
        ]
    if seed is not None:
        entries.append(Entry(SEED, "seed", seed))
    found = State({entry.name: entry for entry in entries}, tuple(groups))
    if len(found.entries) < len(entries):
        names = [entry.name for entry in entries]
        twice = next(name for name in names if names.count(name) > 1)
        raise ExportError(f"training_step: {twice!r} is a parameter of the model and a name in the optimizer's state")
    return found


def check_owned(function: str, model: Module, optimizer: Optimizer) -> None:
    """Checks that all parameters of an optimizer are the model's.

    Raises:
        ExportError: one is not.
    """
    own = set(model.parameters())
    for number, group in enumerate(optimizer.param_groups):
        for p in group["params"]:
            if p not in own:
                raise ExportError(
                    f"{function}: a parameter of shape {tuple(p.shape)} in group {number} of the optimizer is none of "
                    "the model's; make what it belongs to a part of the model"
                )


def check_names(state: State, batch: Iterable[str], metrics: Iterable[str]) -> None:
    """Checks that no two things in a file have the same name.

    Args:
        state: the state.
        batch: the names of the batch's tensors.
        metrics: the names of the metrics.

    Raises:
        ExportError: two things have the same name, or one has a reserved one; the message says which.
    """
    model = state.names("parameter", "buffer")
    seen: dict[str, str] = dict.fromkeys(state.names("slot", "count", "option"), "the optimizer's state")
    for kind, own in (("the model's parameters and buffers", model), ("the batch", batch), ("the metrics", metrics)):
        for name in own:
            if (first := name.split(".")[0]) in _RESERVED:
                raise ExportError(
                    f"training_step: {name!r} in {kind} begins with {first!r}, a name of the file's own; rename the "
                    f"attribute, argument or metric: {', '.join(_RESERVED)} are taken"
                )
            if name in seen:
                raise ExportError(
                    f"training_step: {name!r} stands in {seen[name]} and in {kind}; rename the attribute, argument or "
                    "metric: a file has one thing of a name"
                )
            seen[name] = kind


def _kept(optimizer: Optimizer, p: Tensor, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what an optimizer keeps for a parameter, or would keep: arrays, and numbers."""
    kept = optimizer.state.get(p, {})
    found: dict[str, Any] = {}
    for name, start in optimizer.slots(options).items():
        value = kept.get(name, start)
        if name in NUMBERS:
            found[name] = float(value)
        else:
            found[name] = value._data if isinstance(value, Tensor) else np.full(p.shape, start, p.dtype)
    return found


def _leaf(data: Any) -> Tensor:
    """Returns a leaf with a copy of an array that may change from step to step."""
    return moving(np.array(data))


def moving(array: Array) -> Tensor:
    """Returns a leaf over an array that may change from step to step.

    To a trace, that is whatever requires gradients. So it does, even if it holds integers: nothing differentiates it.
    """
    tensor = around(array)
    tensor._requires_grad = True
    return tensor
