"""Optimizer: parameter groups, their state, and the loop that updates them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import getattr_static
from typing import Any

import numpy as np

from ..errors import ShapeError, StateDictError, TraceError
from ..tables import html_table
from ..tensor import Tensor, around
from ..tracer.mode import MODE, enable_grad
from ..tracer.op import Array
from ..tracer.run import RUN
from ..tracer.writes import touch
from .joined import NUMBERS, Joined
from .program import Program, Settings
from .saved import fit, malformed

__all__ = ["Optimizer", "at_least", "below_one"]

# An update reads and writes the parameter, gradient, state and two arrays of its own, some of them in each call. Blocks
# of this many elements stay in the cache, which saves a third of the time for a parameter of four million elements.
_BLOCK = 1 << 17

# For a small parameter the overhead of the calls dominates. Parameters of up to this many elements are updated
# together, as if they were one: at most as many as fit into a block.
_SMALL, _TOGETHER = 1 << 13, 16


class Optimizer:
    """The base class of all optimizers (torch.optim.Optimizer).

    An optimizer defines three functions: `check`, `slots` and `update`. `update` is the mathematics, written once: a
    pure function of a parameter, its gradient and its state, made of operators and of `lucid.optim.arithmetic`. `step`
    computes it with NumPy arrays, in place. A trace runs it on Tensors, so the same update can be part of an exported
    training graph. It is elementwise: `step` splits a large parameter into blocks, and joins several small ones. An
    update that cannot run in place, such as one that branches on an element, is called as it is.

    Args:
        params: the parameters, pairs of a name and a parameter as `named_parameters` yields them, or dicts with the key
            ``params``, for either of them, and options that differ from the defaults.
        defaults: the options of groups that do not set them.

    Attributes:
        param_groups: one dict per group: ``params``, all options, and ``param_names`` if they were given. A scheduler
            changes the options between steps.
        state: for each parameter that was updated, its state tensors by name; ``step`` and ``mu_product`` are numbers.
        defaults: the options that a new group gets.

    Raises:
        TypeError: `params` is not an iterable of Tensors or dicts.
        ValueError: there are no parameters, one was computed from others or is given twice, or an option is out of
            range.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, (Tensor, np.ndarray, Mapping)) or not isinstance(params, Iterable):
            instead = "; write model.parameters()" if hasattr(params, "parameters") else ""
            raise TypeError(f"params must be an iterable of Tensors or of dicts; got {type(params).__name__}{instead}")
        self.defaults = {name: _number(value) for name, value in defaults.items()}
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._joined: dict[Tensor, Joined] = {}
        self._programs: dict[Any, Program | None] = {}
        given = list(params)
        if not given:
            raise ValueError(f"{type(self).__name__}: got an empty parameter list")
        for group in given if isinstance(given[0], Mapping) else [{"params": given}]:
            self.add_param_group(group)

    # --- what an optimizer defines

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        """Raises ValueError for options that are out of range."""

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        """Returns the state of a new parameter: the name of each tensor, and the number that fills it."""
        return {}

    @staticmethod
    def update(*args: Any, **kwargs: Any) -> tuple[Array, dict[str, Array]]:
        """Computes one step: ``update(p, g, state, **options) -> (new p, new state)``, for arrays or Tensors.

        With Tensors, the numbers of the state are float64 Tensors without axes, and `lr` may be a Tensor too.
        """
        raise NotImplementedError("an optimizer defines update()")

    # --- use

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Adds parameters with their own options.

        Args:
            param_group: ``params``, a Tensor or an iterable of them or of pairs of a name and a Tensor; and the options
                that differ from the defaults.
        """
        if not isinstance(param_group, Mapping):
            raise TypeError(f"a parameter group must be a dict; got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f"a parameter group needs the key 'params'; got {', '.join(map(repr, param_group))}")
        params = param_group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError("parameters must come in an order that stays the same; got a set, pass a list")
        params = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ValueError(f"{type(self).__name__}: a parameter group is empty")
        names, params = _without_names(params)
        if self.param_groups and (names is None) == ("param_names" in self.param_groups[0]):
            raise ValueError(f"{type(self).__name__}: either all groups have names of parameters, or none")
        known = {p for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"{type(self).__name__} can only optimize Tensors; one of the params is {type(p).__name__}"
                )
            if not p.is_leaf:
                raise ValueError(f"can't optimize a tensor that was computed from others; got one of shape {p.shape}")
            if p in known:
                raise ValueError(f"a parameter may be given only once; the one of shape {p.shape} comes again")
            known.add(p)
        group = {"params": params, **self.defaults, **{k: _number(v) for k, v in param_group.items() if k != "params"}}
        if names is not None:
            group["param_names"] = names
        self.check(self.options(group))
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or sets them to zero."""
        run = RUN.get()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if run is not None:
                        run.gradients.append(p)
                    p.grad = None if set_to_none else around(np.zeros_like(p.grad._data))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient, in place.

        Args:
            closure: clears the gradients, computes the loss, calls `backward` and returns the loss; run first if given.

        Returns:
            What the closure returned.

        Raises:
            ShapeError: a gradient has another shape than its parameter; nothing was changed.
            TraceError: a trace is active, which would not record the update.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if MODE.get().trace is not None:
            raise TraceError(f"{type(self).__name__}.step: parameters cannot be changed inside a trace; trace update()")
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.grad._data.shape != p._data.shape:
                    raise ShapeError(f"step: a gradient has shape {p.grad.shape}, but its parameter has {p.shape}")
        with np.errstate(all="ignore"):
            for group in self.param_groups:
                settings = Settings(self.options(group))
                for batch in self._batches(group["params"], settings.options):
                    self._step(batch, settings)
        return loss

    def options(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the options of a group that `update` takes, as Python numbers."""
        # A NumPy float64 would promote float32 arrays to float64; a Python float does not.
        return {name: x.item() if isinstance(x := group[name], np.generic) else x for name in self.defaults}

    def prepare(self, p: Tensor, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the state of a parameter, with everything that an update with these options needs."""
        return self._prepared(p, self.slots(options))

    def _prepared(self, p: Tensor, slots: Mapping[str, float]) -> dict[str, Any]:
        state = self.state.get(p)
        if state is None or state.keys() != slots.keys():
            state = self.state[p] = {**slots, **{k: v for k, v in (state or {}).items() if k in slots}}
            for name, start in slots.items():
                if name not in NUMBERS and not isinstance(state[name], Tensor):
                    state[name] = around(np.full(p.shape, start, p.dtype))
        return state

    def _batches(self, params: Iterable[Tensor], options: Mapping[str, Any]) -> Iterator[list[Tensor]]:
        """Yields the parameters that have a gradient: large ones alone, small ones of the same kind together."""
        slots = self.slots(options)
        names = [name for name in slots if name not in NUMBERS]
        numbers = [name for name in slots if name in NUMBERS]
        waiting: dict[Any, list[Tensor]] = {}
        for p in params:
            if p.grad is None:
                continue
            state = self._prepared(p, slots)
            if p._data.size > _SMALL:
                yield [p]
                continue
            dtypes = [state[name]._data.dtype for name in names]
            counts = [state[name] for name in numbers]
            batch = waiting.setdefault((*counts, p._data.dtype, p.grad._data.dtype, *dtypes), [])
            batch.append(p)
            if len(batch) == _TOGETHER:
                yield batch.copy()
                batch.clear()
        yield from filter(None, waiting.values())

    def _step(self, batch: list[Tensor], settings: Settings) -> None:
        """Updates a parameter, or several of the same kind, and their states."""
        states = [self.state[p] for p in batch]
        joined = self._join(batch, states) if len(batch) > 1 else None
        if joined is not None:
            arrays = joined.gather()
        else:
            (p,) = batch
            assert p.grad is not None
            arrays = [p._data, p.grad._data, *[t._data for name, t in states[0].items() if name not in NUMBERS]]
        numbers = self._run(arrays, states[0], settings)
        if joined is not None:
            joined.scatter()
        for state in states:
            state.update(numbers)
        touch(*batch)

    def _join(self, batch: list[Tensor], states: list[dict[str, Any]]) -> Joined:
        """Joins the parameters of a batch, and caches the result: the next step usually has the same batches."""
        joined = self._joined.get(batch[0])
        if joined is None or not joined.holds(batch, states):
            joined = self._joined[batch[0]] = Joined(batch, states)
        return joined

    def _run(
        self, arrays: list[np.ndarray[Any, Any]], state: Mapping[str, Any], settings: Settings
    ) -> dict[str, float]:
        """Updates the arrays of a parameter: data, gradient and state. Returns the new numbers of its state."""
        names = [name for name in state if name not in NUMBERS]
        counts = [name for name in state if name in NUMBERS]
        program = self._program(names, counts, [array.dtype for array in arrays], settings)
        whole = arrays[0].size <= _BLOCK or not arrays[0].flags.c_contiguous
        numbers: Sequence[float] = ()
        if program is not None:
            numbers = program.begin(settings, [state[name] for name in counts])
        flat = arrays if whole else [array.reshape(-1) for array in arrays]
        for i in range(0, 1 if whole else flat[0].size, _BLOCK):
            parts = flat if whole else [array[i : i + _BLOCK] for array in flat]
            if program is not None:
                program.run(parts)
                continue
            p, g, *kept = parts
            updated, new = self.update(p, g, {**state, **dict(zip(names, kept, strict=True))}, **settings.options)
            results = [updated, *[new[name] for name in names]]
            # A result that is one of the other arrays must be copied before that array is overwritten.
            results = [np.array(x) if any(x is part for part in parts) else x for x in results]
            for array, result in zip((p, *kept), results, strict=True):
                array[...] = result
            numbers = [new[name] for name in counts]
        return dict(zip(counts, numbers, strict=True))

    def _program(self, names: list[str], counts: list[str], dtypes: list[Any], settings: Settings) -> Program | None:
        """Returns the compiled update for such arrays and options, or None if it must be called as it is."""
        try:
            key = *names, *counts, *dtypes, settings.fixed
            if key not in self._programs:
                self._programs[key] = None
                self._programs[key] = self.record(names, counts, dtypes, settings)
            return self._programs[key]
        except Exception:  # any error of the update is raised where it is called
            return None

    def record(
        self, names: Sequence[str], counts: Sequence[str], dtypes: Sequence[np.dtype[Any]], settings: Settings
    ) -> Program:
        """Returns the compiled update: see `Program`.

        Raises:
            Exception: it cannot be recorded.
        """
        # A method may read attributes that change from step to step.
        if not isinstance(getattr_static(self, "update"), staticmethod):
            raise TypeError("the update is a method")
        return Program(self.update, names, counts, dtypes, settings)

    # --- state

    def __getstate__(self) -> dict[str, Any]:
        """Drops the caches from copies and pickles, in which a view would become a separate array."""
        return {**vars(self), "_joined": {}, "_programs": {}}

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of all parameters and the options, with parameters numbered in the order of the groups.

        As in PyTorch, it is ``{"state": {0: {"exp_avg": ...}, ...}, "param_groups": [{"lr": ..., "params": [0]}]}``.
        The tensors share memory with the optimizer's.
        """
        groups = []
        state: dict[int, dict[str, Any]] = {}
        count = 0
        for group in self.param_groups:
            indices = list(range(count, count + len(group["params"])))
            count += len(indices)
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": indices})
            state.update(
                (i, dict(self.state[p])) for i, p in zip(indices, group["params"], strict=True) if p in self.state
            )
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Loads the state and options of an optimizer of the same kind. If anything does not fit, nothing changes.

        Args:
            state_dict: what `state_dict` returned; NumPy arrays may stand for tensors.

        Raises:
            StateDictError: groups, names or shapes do not fit; the message lists them all.
            ValueError: an option is out of range.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"expected a mapping with 'state' and 'param_groups'; got {type(state_dict).__name__}")
        if not {"state", "param_groups"} <= state_dict.keys():
            raise StateDictError(
                f"expected the keys 'state' and 'param_groups'; got {', '.join(map(repr, state_dict))}"
            )
        saved_groups, saved_state = state_dict["param_groups"], state_dict["state"]
        if wrong := malformed(saved_groups, saved_state):
            raise StateDictError(f"state dict does not fit {type(self).__name__}: {wrong}")
        have, given = ([len(g["params"]) for g in groups] for groups in (self.param_groups, saved_groups))
        if have != given:
            raise StateDictError(
                f"state dict does not fit {type(self).__name__}: groups of {given} parameters, not {have}"
            )
        problems: list[str] = []
        new_groups: list[dict[str, Any]] = []
        new_state: dict[Tensor, dict[str, Any]] = {}
        indices: set[Any] = set()
        for number, (group, saved) in enumerate(zip(self.param_groups, saved_groups, strict=True)):
            missing = [name for name in self.defaults if name not in saved]
            if missing:
                problems.append(f"group {number} lacks {', '.join(missing)}")
                continue
            names = {"param_names": group["param_names"]} if "param_names" in group else {}
            new = {**names, **saved, "params": group["params"]}
            for name, default in self.defaults.items():
                if isinstance(default, tuple):
                    if not isinstance(new[name], (tuple, list)) or len(new[name]) != len(default):
                        raise StateDictError(f"group {number}: {name} must be {len(default)} numbers; got {new[name]}")
                    new[name] = tuple(new[name])
            options = self.options(new)
            self.check(options)
            slots = self.slots(options)
            new_groups.append(new)
            for index, p in zip(saved["params"], group["params"], strict=True):
                indices.add(index)
                entries = {k: v for k, v in saved_state.get(index, {}).items() if v is not None}
                if entries:
                    new_state[p] = fit(entries, p, slots, f"parameter {index}", problems)
        problems += [
            f"parameter {i} is in no group" for i in saved_state if i not in indices and len(new_groups) == len(have)
        ]
        if problems:
            raise StateDictError(f"state dict does not fit {type(self).__name__}: {'; '.join(problems)}")
        for group, new in zip(self.param_groups, new_groups, strict=True):
            group.clear()
            group.update(new)
        self.state = new_state

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}("]
        for number, group in enumerate(self.param_groups):
            options = ", ".join(f"{name}={value!r}" for name, value in group.items() if name in self.defaults)
            lines.append(f"  ({number}): {len(group['params'])} parameters, {options}")
        return "\n".join([*lines, ")"])

    def _repr_html_(self) -> str:
        rows = [
            (number, len(group["params"]), *(group.get(name, "") for name in self.defaults))
            for number, group in enumerate(self.param_groups)
        ]
        return html_table(type(self).__name__, ("group", "parameters", *self.defaults), rows)


def _without_names(params: list[Any]) -> tuple[list[str] | None, list[Any]]:
    """Separates pairs of a name and a parameter; the names are None if there are none."""
    named = [isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for p in params]
    if not any(named):
        return None, params
    if not all(named):
        raise ValueError("either all parameters come with a name, or none; got some of each")
    return [name for name, _ in params], [p for _, p in params]


def _number(option: Any) -> Any:
    """Returns an option; a tensor without axes, which PyTorch takes for `lr`, as a number."""
    return option.item() if isinstance(option, Tensor) and not option.ndim else option


def at_least(low: float, options: Mapping[str, Any], *names: str) -> None:
    """Raises an error unless each of the options is a finite number of at least `low`."""
    for name in names:
        value = options[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a number; got {type(value).__name__}")
        if not value >= low or math.isinf(value):
            raise ValueError(f"{name} must be at least {low:g}, and finite; got {value}")


def below_one(name: str, value: Any) -> None:
    """Raises ValueError unless the value is in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1); got {value}")
