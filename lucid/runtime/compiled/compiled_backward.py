"""compile_backward: computes a loss and its gradients in onnxruntime."""

from __future__ import annotations

import os
from typing import Any

from ...autograd import grad
from ...devices import device as Place
from ...errors import GradientError, LucidError
from ...nn.module import Module
from ...tensor import Tensor, around
from ...tracer.mode import MODE, Mode
from ...tracer.op import Array
from ...tracer.tree import Structure, unflatten
from .flattened import Flattened
from .module import CompiledModule

__all__ = ["CompiledBackward", "compile_backward"]


def compile_backward(
    model: Module,
    device: str | Place = "cpu",
    *,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> CompiledBackward:
    """Returns a replacement for ``loss = model(x, y)`` and ``loss.backward()``: one graph that runs in onnxruntime.

    The model returns the tensor to differentiate, or several tensors of which that is the first. A call adds the
    gradients to the `grad` of the parameters that require them, and returns the model's results, without gradients; the
    optimizer steps as usual. Parameters are inputs of the graph, so only the first call exports it, with every axis of
    the other inputs free that can vary, and compares it with the eager model. Where the model decides by a size, an
    export is for sizes with the same outcome; a call at others exports it again, and raises the model's own error if it
    rejects them. When a buffer, a submodule, a mode, a plain attribute or a parameter's `requires_grad` has changed,
    the next call exports it again, too. Shapes form a class if their sizes agree up to the next power of two. For each
    class, the lowerings of recurrent layers are timed, and the fastest is used from then on. If the gradients are
    proved to be sums or means over the sequences of a batch, batches split into parts, one for each core, are timed as
    well, otherwise a single thread. Where inputs are large, so is NumPy, which runs the same graph op by op. This
    choice is made piece by piece in the calls that follow the first, or at once by `tune`.

    Args:
        model: a Module, in the mode in which it is to run. If it draws random numbers, as dropout does, then by a
            counter-based generator, `lucid.manual_seed(seed, generator="counter")`: each call is the next step of it,
            as after `Generator.begin_step`.
        device: "cpu", "cuda", "cuda:1" and so on, "auto", or another that `find_device` knows; parameters and gradients
            stay on the CPU.
        threads: the number of threads that an operator, or a batch, is spread over; if None, onnxruntime's default for
            an operator and one per core for a batch, or a single thread.
        cache: the path of a file that keeps the choices, as with `lucid.compile`.

    Raises:
        TypeError: it is not a Module.
        RuntimeUnavailableError: there is no such device.
        FileError, OSError: `cache` is another file, or cannot be written.
        ExportError: at the call, the model cannot be exported, such as one that decides by a value or a parameter, or
            fixed axes would need too many exports; it never falls back to the eager model.
        LucidError: at the call, the model draws, but the generator is no longer counter-based.
        GradientError: at the call, gradients are disabled, no parameter requires any, the result depends on none of
            them, or the incoming gradient is missing or has another shape than the result.

    Example:
        >>> class Loss(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.rnn, self.head = nn.RNN(3, 8), nn.Linear(8, 1)
        ...     def forward(self, x, y):
        ...         return nn.functional.mse_loss(self.head(self.rnn(x)[1][-1]), y)
        >>> loss = Loss()
        >>> optimizer = lucid.optim.Adam(loss.parameters(), lr=0.1)
        >>> backward = lucid.compile_backward(loss)
        >>> x, y = lucid.randn(7, 2, 3), lucid.randn(2, 1)
        >>> losses = []
        >>> for _ in range(20):
        ...     optimizer.zero_grad()
        ...     losses.append(backward(x, y).item())
        ...     optimizer.step()
        >>> losses[-1] < losses[0]
        True
    """
    return CompiledBackward(model, device, threads, cache)


class CompiledBackward(CompiledModule):
    """The forward and the backward pass of a model in onnxruntime; made by `compile_backward`.

    Attributes:
        model: the eager model.
        device: the device that it runs on.
    """

    name = "compile_backward"
    trains = True

    def flat(self, structure: Structure) -> Flattened:
        return _Gradients(self.model, structure)

    def __call__(self, *args: Any, gradient: Tensor | None = None, **kwargs: Any) -> Any:
        """Runs the model and returns its result; adds its gradients to those of the parameters.

        Args:
            args: the model's arguments.
            gradient: the incoming gradient of the result, of its shape; optional for a single element.
            kwargs: the model's keyword arguments.
        """
        _require_gradients()
        if gradient is not None:
            kwargs["gradient"] = gradient
        results, gradients = self.computed(args, kwargs)
        for parameter, array in gradients:
            if parameter.grad is None:
                parameter.grad = around(array)
            else:
                parameter.grad = around(parameter.grad._data + array)
        return results

    def _tune(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("gradient", self) is None:
            del kwargs["gradient"]
        self._find(self._current(), _require_gradients(), args, kwargs, whole=True)

    def computed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[tuple[Tensor, Array]]]:
        """Returns the model's result, and the gradient of each parameter that it depends on."""
        candidate, arrays, shapes = self._find(self._current(), MODE.get(), args, kwargs)
        flat = candidate.flat
        assert isinstance(flat, _Gradients)
        results = (candidate.step if candidate.draws else candidate.run)(arrays, shapes)
        return flat.returned(results), list(zip(flat.reached, results[-len(flat.reached) :], strict=True))


def _require_gradients() -> Mode:
    """Returns the mode, in which gradients are computed.

    Raises:
        LucidError: a trace runs. GradientError: gradients are disabled.
    """
    mode = MODE.get()
    if mode.trace is not None:
        raise LucidError("compile_backward: gradients cannot be added to parameters inside of a trace")
    if not mode.grad:
        raise GradientError("compile_backward: gradients are disabled here, by no_grad or the like")
    return mode


class _Gradients(Flattened):
    """A model and the gradients of its first result, as a function from tensors to a tuple of tensors.

    Attributes:
        reached: the parameters that have gradients; these are the last results.
    """

    _notes = Flattened._notes | {"reached"}

    def __init__(self, model: Module, structure: Structure) -> None:
        super().__init__(model, structure)
        self.reached: list[Tensor] = []

    def forward(self, *tensors: Tensor) -> tuple[Any, ...]:
        args, kwargs = unflatten(self.structure, iter(tensors))
        gradient = kwargs.pop("gradient", None)
        leaves = self.leaves(args, kwargs)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        if not trained:
            raise GradientError(f"compile_backward: no parameter of {type(self.model).__name__} requires gradients")
        if not leaves or not leaves[0].requires_grad:
            raise GradientError(
                f"compile_backward: what {type(self.model).__name__} returns first was not computed from any parameter "
                "that requires gradients"
            )
        found = grad(leaves[0], trained, gradient, allow_unused=True)
        # In place: an export restores the attributes of a module.
        self.reached[:] = [p for p, g in zip(trained, found, strict=True) if g is not None]
        return *[leaf.detach() for leaf in leaves], *[g for g in found if g is not None]
