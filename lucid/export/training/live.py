"""Training steps of a live model, for `lucid.compile`: the programs of files, whose numbers the optimizer computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import ExportError
from ...nn.module import Module
from ...optim.joined import NUMBERS
from ...optim.optimizer import Optimizer
from ...optim.program import Program as Recorded
from ...optim.program import Settings
from ...proof.axes import prove
from ...proof.example import Example
from ...proof.isolation import isolated
from ...tensor import Tensor
from ...tracer.mode import no_grad
from ...tracer.op import OPS
from ...tracer.writes import WRITES
from ..exported import Exported
from ..lowering.graph import lower
from ..lowering.opset import DEFAULT_OPSET
from ..lowering.plan import Lowering, make_plan
from ..parity import check
from .build import stamped, with_inputs
from .program import Loss, Program
from .state import PREFIX, Entry, State, moving

__all__ = ["Cohort", "Gradients", "Touched", "Whole", "cohorts_of", "export_live", "parts_of_model", "touched"]

_OPS = {"subtract": "sub", "multiply": "mul", "divide": "div", "power": "pow", "negative": "neg", "absolute": "abs"}
"""lucid's names of functions that NumPy names otherwise."""

Array = np.ndarray[Any, Any]


class Touched(NamedTuple):
    """What a step changes.

    Attributes:
        parameters: the keys of the parameters of the optimizer that have a gradient.
        buffers: the keys of the buffers that change.
    """

    parameters: list[str]
    buffers: list[str]


class Cohort(NamedTuple):
    """Parameters that are updated alike: they are in one group, have one dtype, and were updated as often.

    Attributes:
        group: the number of the group.
        keys: the keys of the parameters.
        slots: the names of the arrays that the optimizer keeps for a parameter.
        counts: the names of the numbers that it keeps.
        program: the update. It computes the numbers of a step in float64, as eager training does.
        numbers: what stands for these numbers in a graph; they share the memory of the program's.
    """

    group: int
    keys: list[str]
    slots: list[str]
    counts: list[str]
    program: Recorded
    numbers: list[Tensor]


class Gradients(Program):
    """A training step up to the gradients: loss, metrics, the next values of the buffers, and the gradients."""

    def __init__(self, model: Module, loss: Loss, optimizer: Optimizer, state: State) -> None:
        super().__init__(model, loss, optimizer, state, None, None)

    def forward(self, *batch: Any, **named: Any) -> list[Tensor]:
        results, gradients, changed = self.differentiated(*batch, **named)
        results |= {PREFIX + key: value for key, value in changed.items()}
        results |= {f"gradient.{key}": g for key, g in gradients.items()}
        if not self.outputs:  # the graph is that of the first run; others may have other sizes
            self.outputs = list(results)
        return list(results.values())


class Whole(Program):
    """A training step of cohorts: loss, metrics, the norm of the gradients, and the next values of the state."""

    _notes = Program._notes | {"cohorts"}

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        cohorts: Sequence[Cohort],
        state: State,
        clip: tuple[float | None, float | None],
    ) -> None:
        super().__init__(model, loss, optimizer, state, *clip)
        self.cohorts = cohorts

    def forward(self, *batch: Any, **named: Any) -> list[Tensor]:
        results, gradients, changed = self.differentiated(*batch, **named)
        with no_grad():
            gradients = self._clipped(gradients, results)
            following = {**self._updated(gradients), **changed}
        results |= {PREFIX + name: following[name] for name in self.state.names("parameter", "slot", "buffer")}
        self.outputs = list(results)
        return list(results.values())

    def _updated(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        now = {name: entry.tensor.detach() for name, entry in self.state.entries.items()}
        following: dict[str, Tensor] = {}
        for cohort in self.cohorts:
            numbers = [number.detach() for number in cohort.numbers]
            for key in cohort.keys:
                names = [key, *[f"{slot}.{key}" for slot in cohort.slots]]
                p, *kept = [now[name] for name in names]
                new = cohort.program.replay([p, gradients[key], *kept], numbers, _FUNCTIONS)
                following |= dict(zip(names, new, strict=True))
        return following


class _Functions(dict[str, Any]):
    """lucid's ops by NumPy's names."""

    def __missing__(self, name: str) -> Any:
        return OPS[_OPS.get(name, name)]


_FUNCTIONS = _Functions()


def parts_of_model(model: Module, parameters: Iterable[str], buffers: Iterable[str]) -> dict[str, Entry]:
    """Returns the parts of a state that belong to the model."""
    own = dict(model.named_parameters())
    held = dict(model.named_buffers())
    entries = [Entry(key, "parameter", own[key]) for key in parameters]
    entries += [Entry(key, "buffer", moving(held[key]._data)) for key in buffers]
    return {entry.name: entry for entry in entries}


def cohorts_of(model: Module, optimizer: Optimizer, trained: Iterable[str]) -> tuple[list[Cohort], dict[str, Entry]]:
    """Groups the parameters that a step updates; returns the cohorts, and the parts of a state that belong to them.

    Raises:
        ExportError: the update cannot be recorded.
    """
    chosen = set(trained)
    keys = {p: key for key, p in model.named_parameters() if key in chosen}
    cohorts: list[Cohort] = []
    entries: dict[str, Entry] = {}
    for place, group in enumerate(optimizer.param_groups):
        settings = Settings(optimizer.options(group))
        slots = optimizer.slots(settings.options)
        counts = [name for name in slots if name in NUMBERS]
        names = [name for name in slots if name not in NUMBERS]
        alike: dict[Any, list[str]] = {}
        for p in group["params"]:
            if (key := keys.get(p)) is None:
                continue
            kept = optimizer.state.get(p, {})
            arrays = {n: kept[n]._data if n in kept else np.full(p.shape, slots[n], p.dtype) for n in names}
            entries |= {f"{n}.{key}": Entry(f"{n}.{key}", "slot", moving(a)) for n, a in arrays.items()}
            dtypes = [p.dtype, p.dtype, *[a.dtype for a in arrays.values()]]
            alike.setdefault((*dtypes, *[kept.get(n, slots[n]) for n in counts]), []).append(key)
        for kind, own in alike.items():
            try:
                program = optimizer.record(names, counts, kind[: len(names) + 2], settings)
            except Exception as error:  # an update may do anything
                raise ExportError(f"compile: the update of {type(optimizer).__name__} has no graph: {error}") from error
            program.begin(settings, kind[len(names) + 2 :])  # the proof computes with these
            numbers = [moving(array) for array in program.numbers]
            for number in numbers:
                entries[f"number.{len(entries)}"] = Entry(f"number.{len(entries)}", "option", number)
            cohorts.append(Cohort(place, own, names, counts, program, numbers))
    return cohorts, entries


def touched(model: Module, loss: Loss, optimizer: Optimizer, batch: tuple[Any, ...]) -> Touched:
    """Runs a loss and its gradients, without any effect, and returns what a step would change.

    Raises:
        GradientError: the loss was not computed from any parameter that requires gradients.
    """
    owned = {p for group in optimizer.param_groups for p in group["params"]}
    trained = [key for key, p in model.named_parameters() if p in owned and p.requires_grad]
    entries = parts_of_model(model, trained, [key for key, _ in model.named_buffers()])
    program = Gradients(model, loss, optimizer, State(entries, ()))
    with isolated(program):
        time = WRITES.now
        _, gradients, after = program.differentiated(*batch)
        buffers = [
            key
            for key, value in after.items()
            if WRITES.since(time, [value._data]) or _differ(value._data, entries[key].tensor._data)
        ]
    return Touched(list(gradients), buffers)


def _differ(one: Array, other: Array) -> bool:
    return not np.array_equal(one, other, equal_nan=other.dtype.kind == "f")


def export_live(program: Program, example: Example, lowering: Lowering, verify: bool) -> Exported:
    """Exports a step whose state, and whatever else requires gradients, are inputs that follow the batch.

    Sizes that decide become conditions. What is verified is compared with what the program gives eagerly.

    Raises:
        ExportError: something cannot be exported. VerificationError: the graph gives something else.
    """
    with isolated(program):
        proof = prove(program, example, "auto", conditional=True, trained=True)
        tensors = {entry.tensor: name for name, entry in program.state.entries.items()}
        proof, inputs = with_inputs(proof, tensors, program.outputs)
        plan = make_plan(proof, lowering, trainable=True)
        plan = plan._replace(parameters={**inputs, **plan.parameters})
        model = lower(plan, DEFAULT_OPSET)
        report = check(model, model, plan, program, example, verify=verify, rtol=None, atol=None)
    return stamped(model, plan, DEFAULT_OPSET, report, None)
