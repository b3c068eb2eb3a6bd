"""TrainingStep: a training step as files, and as a function of a state and a batch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ...tensor import Tensor
from ...tracer.tree import flatten
from ..exported import Exported
from ..file.write import staged, write
from ..parity import session_of
from ..report import Report
from .state import PREFIX, Array, State
from .transfer import load, taken

__all__ = ["ENDING", "TrainingStep", "check_path"]

ENDING = ".train.onnx"


class TrainingStep:
    """A training step; made by `training_step`.

    Attributes:
        exported: the step as an ONNX model.
        init: the model without inputs whose outputs are the state at the start.
        inference: the model for inference, whose inputs are the model's and the state's parameters and buffers; None if
            the loss does not call the model.
        contract: what the step reads and gives, by name; the file has it as JSON in its metadata, as ``lucid.train``.
        path: the file of the step; None if it was not written.
    """

    def __init__(
        self,
        exported: Exported,
        init: ir.Model,
        inference: Exported | None,
        state: State,
        contract: dict[str, Any],
    ) -> None:
        self.exported = exported
        self.init = init
        self.inference = inference
        self.contract = contract
        self.path: str | None = None
        self._state = state
        self._start = state.start()
        self._session: Any = None

    @property
    def report(self) -> Report | None:
        """The report of the comparison with eager training; None if it was not compared."""
        return self.exported.report

    @property
    def start(self) -> dict[str, Array]:
        """The state at the start, by name; a copy."""
        return {name: array.copy() for name, array in self._start.items()}

    def __call__(self, state: Mapping[str, Any], *batch: Any) -> tuple[dict[str, Array], float, dict[str, Array]]:
        """Takes one step in onnxruntime, on the CPU.

        Args:
            state: the state, by name: `start`, what the last call returned, or either with another ``lr``.
            batch: tensors or arrays, nested as the loss takes them.

        Returns:
            The next state, the loss, and the metrics by name, with ``grad_norm`` where gradients are clipped by it.

        Example:
            >>> model = nn.Linear(2, 1)
            >>> optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
            >>> def loss(model, x, y):
            ...     return nn.functional.mse_loss(model(x), y)
            >>> x, y = lucid.randn(4, 2), lucid.randn(4, 1)
            >>> step = lucid.export.training_step(model, loss, optimizer, x, y)
            >>> state, first, _ = step(step.start, x, y)
            >>> state, second, _ = step({**state, "lr": 0.01}, x, y)
            >>> second < first
            True
        """
        names = self.contract["batch"]
        leaves, _ = flatten(batch, lambda x: isinstance(x, (Tensor, np.ndarray)))
        if len(leaves) != len(names):
            raise TypeError(f"TrainingStep: the batch has {len(names)} tensors, {', '.join(names)}; got {len(leaves)}")
        if self._start.keys() != state.keys():
            apart = ", ".join(sorted(self._start.keys() ^ state.keys()))
            raise TypeError(
                f"TrainingStep: the state must have the names of `start`, and no other; these differ: {apart}"
            )
        feed = {name: np.asarray(_array(state[name]), start.dtype, "C") for name, start in self._start.items()}
        feed |= {name: np.asarray(_array(leaf), order="C") for name, leaf in zip(names, leaves, strict=True)}
        outputs = self.exported.output_names
        results = dict(zip(outputs, self._loaded().run(outputs, feed), strict=True))
        loss = float(results.pop("loss"))
        following = {name: results.pop(PREFIX + name) for name in self._start}
        return following, loss, results

    def _loaded(self) -> Any:
        if self._session is None:
            with staged(self.exported.model) as source:
                self._session = session_of(source, False)
        return self._session

    def state_of(self, model: Module, optimizer: Optimizer) -> dict[str, Array]:
        """Returns the state that a model and its optimizer are in, so that a file goes on where eager training stopped.

        Raises:
            StateDictError: they are not such as the step was made of.
            ExportError: the parameters were updated a different number of times.
        """
        return taken(self._state, model, optimizer)

    def load_into(self, model: Module, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Gives a model and its optimizer a state, so that eager training goes on where a file stopped.

        Args:
            model, optimizer: those that the step was made of, or others with the same keys and groups.
            state: arrays or tensors by name, such as `lucid.load` gives. If anything does not fit, nothing changes.

        Raises:
            StateDictError: it does not fit; the message lists all that does not.

        Example:
            >>> model = nn.Linear(2, 1)
            >>> optimizer = lucid.optim.Adam(model.parameters())
            >>> x, y = lucid.randn(4, 2), lucid.randn(4, 1)
            >>> step = lucid.export.training_step(
            ...     model, lambda model, x, y: nn.functional.mse_loss(model(x), y), optimizer, x, y
            ... )
            >>> state, _, _ = step(step.start, x, y)
            >>> step.load_into(model, optimizer, state)
            >>> optimizer.state[model.weight]["step"]
            1.0
        """
        load(self._state, model, optimizer, state)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the files ``<name>.train.onnx``, ``<name>.init.onnx`` and ``<name>.onnx``, each whole or not at all.

        Args:
            path: the file of the step, which ends in ``.train.onnx``; it is written last.

        Raises:
            ValueError: the path ends otherwise. OSError: the folder does not exist, the disk is full, and so on.
        """
        stem = check_path(path)
        if self.inference is not None:
            self.inference.save(f"{stem}.onnx")
        write(self.init, f"{stem}.init.onnx")
        self.exported.save(path)
        self.path = os.fspath(path)

    def __repr__(self) -> str:
        return f"<TrainingStep ({', '.join(self.contract['batch'])}), {len(self._start)} parts of a state>"


def check_path(path: str | os.PathLike[str]) -> str:
    """Returns what stands before the ending of a step's path.

    Raises:
        ValueError: it has another ending; the message has the right path.
    """
    name = os.fspath(path)
    if not name.endswith(ENDING) or os.path.basename(name) == ENDING:
        stem = name.removesuffix(".onnx").removesuffix(".train")
        raise ValueError(
            f"training_step: the path of a step ends in {ENDING!r}, and other files of its name stand beside it; got "
            f"{name!r}, write {stem + ENDING!r}"
        )
    return name.removesuffix(ENDING)


def _array(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else np.asarray(x)
