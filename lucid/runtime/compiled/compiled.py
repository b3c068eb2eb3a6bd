"""compile: runs a module in onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, overload

from ...devices import device as Place
from ...errors import LucidError
from ...nn.guards import Guards
from ...nn.module import Module
from ...ops.generator import default_generator
from ...optim.optimizer import Optimizer
from ...tracer.mode import MODE
from ...tracer.tree import Structure
from .compiled_step import CompiledStep
from .flattened import Flattened
from .module import Cache, CompiledModule

__all__ = ["Compiled", "compile"]


@overload
def compile(
    model: Module,
    device: str | Place = "cpu",
    *,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Compiled: ...


@overload
def compile(
    model: Module,
    device: str | Place = "cpu",
    *,
    loss: Callable[..., Any],
    optimizer: Optimizer,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> CompiledStep: ...


def compile(
    model: Module,
    device: str | Place = "cpu",
    *,
    loss: Callable[..., Any] | None = None,
    optimizer: Optimizer | None = None,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Compiled | CompiledStep:
    """Returns a drop-in replacement for a model that runs in onnxruntime; or, with a loss, a training step.

    The first call exports the model, with every axis free that can vary, and compares it with the eager model. Where
    the model decides by a size, an export is for sizes with the same outcome; a call at others exports it again, and
    raises the model's own error if it rejects them. When a parameter, a buffer, a submodule or a plain attribute has
    changed, the next call exports it again, too. Shapes form a class if their sizes agree up to the next power of two.
    For each class, the lowerings of recurrent layers are timed, and the fastest is used from then on. If the sequences
    of a batch are proved to be independent, batches split into parts, one for each core, are timed as well. This choice
    is made piece by piece in the calls that follow the first, or at once by `tune`. Results record no gradients.

    With a loss and an optimizer it returns a training step instead: ``step(*batch)`` is forward, backward, clipping and
    update. Model and optimizer hold the truth all the time. What a step changes, the parameters, running statistics and
    the optimizer's state, is in their own tensors afterwards, and what is changed there, such as by `load_state_dict`,
    by an eager step, or in `lr` by a schedule, acts on the next step. Another change, of a mode, `requires_grad`, a
    hook, the groups, or an option from or to zero, exports again. `grad` is neither read nor written. For each class of
    shapes it is timed whether one graph updates the parameters, too, or the optimizer does so from the gradients of a
    graph, whose batch may run in parts. If its inputs are large, that graph is also tried in NumPy, op by op. Its
    gradients are compared with the eager model's. If a call fails, nothing has changed.

    Args:
        model: a Module in evaluation mode. If it draws random numbers, then by a counter-based generator,
            `lucid.manual_seed(seed, generator="counter")`: each call is the next step of it, as after
            `Generator.begin_step`. With such a generator it may also be in training mode, with dropout. For a training
            step it may be in any mode, and keeps it.
        device: "cpu", "cuda", "cuda:1" and so on, "auto", or another that `find_device` knows. What a step trains stays
            on a GPU between steps; reading a parameter, or the optimizer's state, brings it back.
        loss: a function ``loss(model, *batch)`` that gives a tensor without axes, or such a tensor and a dict of
            metrics by name. The step returns the same. It must compute with the model that it is given; plain numbers,
            texts and tuples that its code names are watched.
        optimizer: the optimizer of the model's parameters.
        clip_grad_norm: the largest norm of all gradients together; None for no limit. The norm before is the metric
            ``grad_norm``, if there are metrics.
        clip_grad_value: the largest magnitude of an element of a gradient, after that; None for no limit.
        threads: the number of threads that an operator, or a batch, is spread over; if None, onnxruntime's default for
            an operator and one per core for a batch.
        cache: the path of a JSON file that keeps the choices: the next process that compiles the same model, for
            shapes of the same class, on the same machine and with the same versions, begins with the fastest way. An
            export is proved and verified as always.

    Raises:
        TypeError: it is not a Module, or there is a loss without an optimizer or the reverse.
        ValueError: a limit of the gradients is not positive.
        RuntimeUnavailableError: there is no such device.
        FileError: what is at the path of `cache` is no file of choices, or is damaged.
        OSError: the folder of `cache` does not exist, or cannot be written to.
        LucidError: at the call, the model is in training mode or draws, and the generator is not counter-based.
        ExportError: at the call, the model cannot be exported, such as one that decides by a value, or fixed axes would
            need too many exports; it never falls back to the eager model.
        GradientError: at the call, an input requires gradients. In a training step, gradients are disabled, or the loss
            was computed from no parameter that the optimizer has and that requires them.

    Example:
        >>> rnn = nn.RNN(3, 4).eval()
        >>> fast = lucid.compile(rnn)
        >>> x = lucid.randn(7, 2, 3)
        >>> output, h_n = fast(x)
        >>> bool(np.allclose(output, rnn(x)[0].detach(), atol=1e-6))
        True
        >>> def loss(model, x, y):
        ...     return nn.functional.mse_loss(model(x)[0], y)
        >>> optimizer = lucid.optim.Adam(rnn.parameters(), lr=0.1)
        >>> step = lucid.compile(rnn, loss=loss, optimizer=optimizer)
        >>> losses = [step(x, lucid.zeros(7, 2, 4)).item() for _ in range(20)]
        >>> losses[-1] < losses[0], optimizer.state[rnn.weight_hh_l0]["step"]
        (True, 20.0)
    """
    if loss is None and optimizer is None and clip_grad_norm is None and clip_grad_value is None:
        return Compiled(model, device, threads, cache)
    if loss is None or optimizer is None:
        raise TypeError(
            "compile: a training step needs both a loss and an optimizer, as in lucid.compile(model, loss=loss, "
            "optimizer=optimizer)"
        )
    if not callable(loss):
        raise TypeError(f"compile: the loss must be a function of the model and a batch; got {type(loss).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"compile: expected one of lucid's optimizers; got {type(optimizer).__name__}")
    for name, limit in (("clip_grad_norm", clip_grad_norm), ("clip_grad_value", clip_grad_value)):
        if limit is not None and not limit > 0:
            raise ValueError(f"compile: {name} must be positive or None; got {limit}")
    return CompiledStep(model, loss, optimizer, (clip_grad_norm, clip_grad_value), device, threads, cache)


class Compiled(CompiledModule):
    """A model that runs in onnxruntime; made by `compile`. Other attributes, such as `state_dict`, are the model's.

    Attributes:
        model: the eager model.
        device: the device that it runs on.
    """

    name = "compile"

    def flat(self, structure: Structure) -> Flattened:
        return Flattened(self.model, structure)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the model in onnxruntime and returns its result.

        Inside a trace or an export it calls the eager model.
        """
        mode = MODE.get()
        if mode.trace is not None:
            return self.model(*args, **kwargs)
        cache = self._current()
        if (module := cache.guards.training()) is not None or cache.modes:
            cache = self._in_mode(cache, module)
        candidate, arrays, shapes = self._find(cache, mode, args, kwargs)
        return candidate.flat.returned((candidate.step if candidate.draws else candidate.run)(arrays, shapes))

    def _tune(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        mode = MODE.get()
        if mode.trace is not None:
            raise LucidError("compile: the fastest way is chosen by exports, which no trace records; tune it outside")
        cache = self._current()
        self._find(self._in_mode(cache, cache.guards.training()), mode, args, kwargs, whole=True)

    def _in_mode(self, cache: Cache, module: Module | None) -> Cache:
        """Returns the cache for the modes of the modules, of which one may be in training mode; an empty one for new
        modes.

        Raises:
            LucidError: one is, and the generator is not counter-based.
        """
        if module is not None and default_generator()._counter() is None:
            name = type(self.model).__name__
            part = "" if module is self.model else f"a {type(module).__name__} in "
            raise LucidError(
                f"compile: {part}{name} is in training mode; call eval() on the model first, or, to run it as it is, "
                "lucid.manual_seed(seed, generator='counter'), so that a file draws the same random numbers"
            )
        modes = () if module is None else tuple([m.training for m in cache.guards.modules])
        if modes != cache.modes:
            self._cache = cache = Cache(Guards(self.model, self.trains), {}, {}, {}, modes)
        return cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["model"], name)
