"""training_step: exports forward, loss, backward, clipping and update as one ONNX file."""

from __future__ import annotations

import errno
import os
from typing import Any, get_args

import numpy as np

from ...errors import ExportError
from ...nn.batch_norm import BatchNorm1d, BatchNorm2d
from ...nn.module import Module
from ...ops.generator import default_generator
from ...optim.optimizer import Optimizer
from ...proof.axes import Dynamic
from ...proof.example import Example, as_tensors
from ...proof.isolation import isolated
from ...tensor import Tensor, around
from ...tracer.run import running
from ...tracer.tree import flatten, unflatten
from ..lowering.opset import DEFAULT_OPSET, check_opset
from ..lowering.plan import Lowering
from .build import build_inference, build_init, build_step, stamped
from .program import Loss, Program, batch_names
from .state import PREFIX, State, check_names, check_owned, state_of
from .step import TrainingStep, check_path
from .verification import Eager, compare

__all__ = ["training_step"]


def training_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    *example_batch: Any,
    path: str | os.PathLike[str] | None = None,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    dynamic: Dynamic = "auto",
    lowering: Lowering = "auto",
    opset: int = DEFAULT_OPSET,
    verify: bool = True,
) -> TrainingStep:
    """Exports a whole training step, which stock onnxruntime runs anywhere: forward, loss, backward, clipping, update.

    The file has a contract by names alone. An output ``next.X`` feeds the input ``X`` of the next call; X is

    - a key of ``model.named_parameters()``, a shared parameter under its first key; or of a buffer that training
      changes, such as the running statistics of BatchNorm; all other parameters and buffers are constants;
    - a name of the optimizer's with the key of a parameter, such as ``exp_avg.weight``, and its counts, such as
      ``step``;
    - ``lr`` and the optimizer's ``betas``, ``momentum`` and ``weight_decay`` unless zero; with several groups ``lr.0``,
      ``lr.1`` and so on. The file passes them on; a schedule feeds its own;
    - ``seed`` (int64), if the model or the loss draws random numbers, as dropout does; the next one is one more. They
      must draw by a counter-based generator, `lucid.manual_seed(seed, generator="counter")`; eager training that calls
      `Generator.begin_step` before each step draws the same.

    The other inputs are the batch, by the names of the loss's arguments; the other outputs are ``loss``, the metrics,
    and ``grad_norm`` where gradients are clipped by their norm. There is no float64 in the file, no product of a
    vector and a matrix, and no long Concat, so that WebGPU runs it.

    Model, optimizer and gradients are as before afterwards. Modules keep their mode. If something is drawn, lucid's
    generator is at the beginning of the step that is the file's first.

    Args:
        model: the model.
        loss: a function ``loss(model, *batch)`` that gives a tensor without axes, or such a tensor and a dict of
            metrics by name.
        optimizer: the optimizer of the model's parameters.
        example_batch: tensors or arrays, nested as the loss takes them.
        path: the file of the step, such as ``vowels.train.onnx``. Beside it stand ``vowels.init.onnx``, a model without
            inputs whose outputs are the state at the start, and ``vowels.onnx``, the model for inference, whose
            parameters are inputs of the same names; its other inputs are those of the model's last call in the loss.
        clip_grad_norm: the largest norm of all gradients together; None for no limit.
        clip_grad_value: the largest magnitude of an element of a gradient, after that; None for no limit.
        dynamic: as `to_onnx` takes it, for the batch.
        lowering: as `to_onnx` takes it, but "auto" is "scan". For a single sequence at a time "rnn" is faster.
        opset: the version of the ONNX operator set.
        verify: compare with eager training: several steps at the example's sizes, at size one and at larger ones.

    Raises:
        ExportError: something cannot be exported, such as dropout by a generator that no file has; a name stands for
            two things; or an optimizer's parameter is none of the model's.
        VerificationError: the file differs from eager training.
        ValueError, TypeError: an option is invalid, or the path ends otherwise.

    Example:
        >>> model = nn.RNN(3, 4)
        >>> optimizer = lucid.optim.Adam(model.parameters(), lr=0.01)
        >>> def loss(model, x, y):
        ...     return nn.functional.mse_loss(model(x)[0], y)
        >>> x, y = lucid.randn(5, 2, 3), lucid.randn(5, 2, 4)
        >>> step = lucid.export.training_step(model, loss, optimizer, x, y, clip_grad_norm=1.0)
        >>> state, value, metrics = step(step.start, lucid.randn(7, 3, 3), lucid.randn(7, 3, 4))
        >>> int(state["step"]), sorted(metrics)
        (1, ['grad_norm'])
    """
    _check(model, loss, optimizer, path, lowering, clip_grad_norm, clip_grad_value)
    check_opset(opset)
    example_batch = as_tensors(example_batch)
    names = batch_names(loss, example_batch)
    trial = Program(model, loss, optimizer, State({}, ()), clip_grad_norm, clip_grad_value)
    with running():
        eager, metrics, buffers, call = _tried(trial, names, example_batch)
        counter = default_generator()._counter()
        draws = counter is not None and counter.draw > 0
    state = state_of(model, optimizer, eager.trained(), buffers, _begun() if draws else None)
    check_names(state, names, metrics)
    program = Program(model, loss, optimizer, state, clip_grad_norm, clip_grad_value)
    example = Example(program, example_batch, {}, names)
    lowered, plan = build_step(program, example, dynamic, lowering, opset)
    report = None
    if verify:
        with isolated(program):
            report = compare(lowered, program, plan, example)
    outputs = [name for name in program.outputs if not name.startswith(PREFIX)]
    contract = {"version": 1, "batch": names, "outputs": outputs, **state.as_dict()}
    inference = None
    if call is not None:
        found = build_inference(model, call, state, dynamic, opset, verify)
        inference = stamped(found[0], found[1], opset, found[2], None)
    step = TrainingStep(
        stamped(lowered, plan, opset, report, contract), build_init(state, opset), inference, state, contract
    )
    if path is not None:
        step.save(path)
    return step


def _tried(
    program: Program, names: list[str], batch: tuple[Any, ...]
) -> tuple[Eager, list[str], list[str], tuple[Any, Any] | None]:
    """Takes a step with a copy of the model.

    Returns:
        The copy; the names of the metrics; the keys of the changed buffers; the last arguments of the model, or None.
    """
    example = Example(program, batch, {}, names)
    eager = Eager(program)
    before = {key: (buffer, buffer._data.copy()) for key, buffer in eager.model.named_buffers()}
    calls: list[tuple[Any, Any]] = []
    with eager.model.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append((args, kwargs)), prepend=True, with_kwargs=True
    ):
        results = eager.backward(*example.arguments(example.arrays))
    if not eager.trained():
        raise ExportError(
            "training_step: no parameter of the optimizer has a gradient; loss(model, *batch) must compute with the "
            "model that it is given"
        )
    counted = {
        f"{path}.{name}" if path else name
        for path, module in eager.model.named_modules()
        if isinstance(module, (BatchNorm1d, BatchNorm2d)) and module.training
        for name in module._buffers
    }
    buffers = [
        key
        for key, buffer in eager.model.named_buffers()
        if key in counted or key not in before or _changed(before[key], buffer)
    ]
    metrics = [name for name in results if name not in ("loss", "grad_norm")]
    return eager, metrics, buffers, _detached(calls[-1]) if calls else None


def _begun() -> Tensor:
    """Begins the next step of lucid's generator, and returns its seed, which a trace captures."""
    generator = default_generator()
    generator.begin_step()
    counter = generator._counter()
    assert counter is not None
    return counter.key


def _detached(call: tuple[Any, Any]) -> tuple[Any, Any]:
    """Returns the arguments of a call as leaves."""
    leaves, structure = flatten(call, lambda x: isinstance(x, Tensor))
    args, kwargs = unflatten(structure, iter([around(leaf._data) for leaf in leaves]))
    return args, kwargs


def _changed(before: tuple[Any, Any], buffer: Any) -> bool:
    tensor, data = before
    kind = data.dtype.kind
    return tensor is not buffer or not np.array_equal(data, buffer._data, equal_nan=kind == "f")


def _check(
    model: Any, loss: Any, optimizer: Any, path: Any, lowering: str, clip_grad_norm: Any, clip_grad_value: Any
) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"training_step: expected a Module; got {type(model).__name__}")
    if not callable(loss):
        raise TypeError(
            f"training_step: the loss must be a function of the model and a batch; got {type(loss).__name__}"
        )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"training_step: expected one of lucid's optimizers; got {type(optimizer).__name__}")
    if lowering not in get_args(Lowering):
        raise ValueError(
            f"training_step: lowering must be one of {', '.join(map(repr, get_args(Lowering)))}; got {lowering!r}"
        )
    for name, limit in (("clip_grad_norm", clip_grad_norm), ("clip_grad_value", clip_grad_value)):
        if limit is not None and not limit > 0:
            raise ValueError(f"training_step: {name} must be positive or None; got {limit}")
    if path is not None:
        check_path(path)
        if not os.path.isdir(folder := os.path.dirname(os.path.abspath(path))):
            raise FileNotFoundError(errno.ENOENT, "training_step: the folder does not exist", folder)
    check_owned("training_step", model, optimizer)
    trained = {p for group in optimizer.param_groups for p in group["params"] if p.requires_grad}
    for key, p in model.named_parameters():
        if p in trained and p.dtype != np.float32:
            raise ExportError(
                f"training_step: {key!r} is {p.dtype}, but a training step computes in float32; call model.float() "
                "before you make the optimizer"
            )
