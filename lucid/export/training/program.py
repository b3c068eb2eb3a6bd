"""Program: a training step as a function of a batch alone, of which the state is captured."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...autograd import grad
from ...errors import ExportError
from ...nn.module import Module
from ...nn.utils.clip_grad import scaled_to_norm
from ...optim.optimizer import Optimizer
from ...optim.option import Option
from ...tensor import Tensor
from ...tracer.mode import enable_grad, no_grad
from ...tracer.op import FUNCTIONS
from ...tracer.trace import input_names
from ..lowering.plan import SEED
from .state import PREFIX, Group, State

__all__ = ["Loss", "Program", "batch_names", "parts_of"]

Loss = Callable[..., Any]
"""A function of a model and a batch that returns a scalar, or a scalar and a dict of metrics."""


class Program(Module):
    """A training step as a function of a batch: the tensors of the state are captured, and become inputs of the file.

    It changes nothing: while the loss runs, the buffers that it changes are copies.

    Attributes:
        model: the model.
        loss: the loss.
        outputs: the names of the outputs, in order; known after a run.
    """

    _notes = frozenset({"outputs", "optimizer", "state", "clip"})

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        state: State,
        clip_grad_norm: float | None,
        clip_grad_value: float | None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.state = state
        self.clip = clip_grad_norm, clip_grad_value
        self.outputs: list[str] = []

    def forward(self, *batch: Any, **named: Any) -> list[Tensor]:
        results, gradients, changed = self.differentiated(*batch, **named)
        with no_grad():
            following = {**self._updated(self._clipped(gradients, results)), **changed}
            if SEED in following:
                following[SEED] = following[SEED] + 1
        results |= {PREFIX + name: following[name] for name in self.state.entries}
        self.outputs = list(results)
        return list(results.values())

    def _clipped(self, gradients: dict[str, Tensor], results: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the clipped gradients, and adds their norm to the results where they are clipped by it."""
        most, limit = self.clip
        if most is not None:
            clipped, results["grad_norm"] = scaled_to_norm(list(gradients.values()), most)
            gradients = dict(zip(gradients, clipped, strict=True))
        if limit is not None:
            gradients = {key: FUNCTIONS["clamp"](g, -limit, limit) for key, g in gradients.items()}
        return gradients

    def differentiated(
        self, *batch: Any, **named: Any
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Returns loss and metrics, the gradients by the keys of the parameters, and the next values of the buffers."""
        keys = self.state.names("parameter")
        parameters = [self.state.entries[key].tensor for key in keys]
        with enable_grad(), _buffers(self.model, self.state) as after:
            loss, metrics = parts_of(self.loss(self.model, *batch, **named))
            # Sizes may decide which parameters have a gradient; the others stay as they are, as in eager training.
            found = grad(loss, parameters, allow_unused=True)
            changed = after()
        gradients = {key: g for key, g in zip(keys, found, strict=True) if g is not None}
        return (
            {"loss": loss.detach(), **{name: metric.detach() for name, metric in metrics.items()}},
            gradients,
            changed,
        )

    def _updated(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the next value of everything that the optimizer changes, and of its options."""
        now = {name: entry.tensor.detach() for name, entry in self.state.entries.items()}
        following = now.copy()
        for group in self.state.groups:
            if not group.keys:
                continue
            options = {**group.options, **_options(group, now)}
            for key in filter(gradients.__contains__, group.keys):
                kept = {slot: now[group.name_of(slot, key)] for slot in group.slots}
                with no_grad():
                    following[key], new = self.optimizer.update(now[key], gradients[key], kept, **options)
                following |= {group.name_of(slot, key): new[slot] for slot in group.slots}
        return following


def _options(group: Group, now: Mapping[str, Tensor]) -> dict[str, Any]:
    """Returns the options of a group that may change, as tensors."""
    found: dict[str, Any] = {}
    for name in group.moved:
        tensor, start = now[name + group.suffix], group.options[name]
        if isinstance(start, tuple):
            found[name] = tuple([Option(tensor[i], number) for i, number in enumerate(start)])
        else:
            found[name] = Option(tensor, start)
    return found


@contextmanager
def _buffers(model: Module, state: State) -> Iterator[Callable[[], dict[str, Tensor]]]:
    """Has a model compute with copies of the buffers that it changes; yields a function that returns their values."""
    places = {}
    for key in state.names("buffer"):
        path, _, name = key.rpartition(".")
        places[key] = model.get_submodule(path)._buffers, name
    before = {key: table[name] for key, (table, name) in places.items()}
    for key, (table, name) in places.items():
        table[name] = state.entries[key].tensor.detach().clone()

    def after() -> dict[str, Tensor]:
        found = {}
        for key, (table, name) in places.items():
            value = table[name]
            assert value is not None
            found[key] = value.detach()
        return found

    try:
        yield after
    finally:
        for key, (table, name) in places.items():
            table[name] = before[key]


def parts_of(result: Any, who: str = "training_step") -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the loss and the metrics in what a loss function returned to `who`.

    Raises:
        ExportError: it is neither a tensor of one element nor a pair of one and a dict of tensors.
    """
    loss, metrics = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
    if not isinstance(loss, Tensor) or loss.shape != () or not isinstance(metrics, Mapping):
        shape = f"a tensor of shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ExportError(
            f"{who}: loss(model, *batch) must return a tensor without axes, or one and a dict of metrics; got "
            f"{shape}{'' if isinstance(metrics, Mapping) else f' and {type(metrics).__name__}'}"
        )
    for name, metric in metrics.items():
        if not isinstance(name, str) or not isinstance(metric, Tensor):
            raise ExportError(f"{who}: metrics must be tensors by name; got {type(metric).__name__} for {name!r}")
    return loss, dict(metrics)


def batch_names(loss: Loss, batch: tuple[Any, ...], named: Mapping[str, Any] | None = None) -> list[str]:
    """Returns a name for each tensor of a batch: that of the loss's argument."""

    def forward(*_: Any) -> None: ...

    try:
        function = getattr(loss, "forward", loss)
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters = parameters[1:]
        forward.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    except (TypeError, ValueError):  # such as a function of NumPy's
        pass
    return input_names(forward, batch, dict(named or {}))
