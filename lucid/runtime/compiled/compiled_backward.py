"""compile_backward: a loss and its gradients in onnxruntime."""

from __future__ import annotations

from typing import Any

from ...autograd import grad
from ...errors import GradientError, LucidError
from ...nn.module import Module
from ...tensor import Tensor
from ...tracer.mode import MODE
from ...tracer.tree import Structure, unflatten
from .flattened import Flattened
from .module import CompiledModule

__all__ = ["CompiledBackward", "compile_backward"]


def compile_backward(model: Module, device: str = "cpu", *, threads: int | None = None) -> CompiledBackward:
    """The forward and the backward pass of a model in onnxruntime, as one graph: what ``loss = model(x, y)`` and
    ``loss.backward()`` do.

    The model returns what is differentiated, or several tensors of which that is the first. A call adds the gradients
    to the `grad` of the parameters that require them, and returns what the model returns, without gradients; the
    optimizer steps as always. Parameters are inputs of the graph, so it is exported once, when first called, with every
    axis of the other inputs free that can be, and compared with the eager model; and again when a buffer, a submodule,
    a mode, a plain attribute or a parameter's `requires_grad` changed. For each class of shapes, sizes being alike up
    to the next power of two, the model is traced once and held against what was exported, the lowerings of recurrent
    layers are timed, and the fastest serves from then on. If it is proved that gradients are sums over the sequences of
    a batch, or means, batches cut into parts, one for each core, are timed as well, and else one thread.

    Args:
        model: a Module, in the mode in which it is to run; nothing random can be exported, dropout neither.
        device: "cpu", "cuda", "cuda:1" and so on, or "auto"; parameters and gradients stay on the CPU.
        threads: over how many threads an operator, or a batch, is spread; if None, those that onnxruntime takes, or one
            for each core, or one.

    Raises:
        TypeError: it is no Module.
        RuntimeUnavailableError: there is no such device.
        ExportError: at the call, the model cannot be exported, or does something else at these shapes, by a branch on a
            size; it never runs otherwise than in onnxruntime.
        GradientError: at the call, gradients are disabled, no parameter requires any, the result depends on none of
            them, or the gradient that arrives is missing or has another shape than the result.

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
    return CompiledBackward(model, device, threads)


class CompiledBackward(CompiledModule):
    """The forward and the backward pass of a model in onnxruntime; made by `compile_backward`.

    Attributes:
        model: the eager model.
        device: where it runs.
    """

    name = "compile_backward"
    trains = True

    def flat(self, structure: Structure) -> Flattened:
        return _Gradients(self.model, structure)

    def __call__(self, *args: Any, gradient: Tensor | None = None, **kwargs: Any) -> Any:
        """What the model returns, its gradients being added to those of the parameters.

        Args:
            args: what the model takes.
            gradient: what arrives at the result, of its shape; may be omitted for a single element.
            kwargs: what the model takes by name.
        """
        mode = MODE.get()
        if mode.trace is not None:
            raise LucidError("compile_backward: gradients cannot be added to parameters inside of a trace")
        if not mode.grad:
            raise GradientError("compile_backward: gradients are disabled here, by no_grad or the like")
        if gradient is not None:
            kwargs["gradient"] = gradient
        candidate, arrays, shapes = self._find(self._current(), mode, args, kwargs)
        flat = candidate.flat
        assert isinstance(flat, _Gradients)
        results = candidate.run(arrays, shapes)
        for parameter, array in zip(flat.reached, results[-len(flat.reached) :], strict=True):
            if parameter.grad is None:
                parameter.grad = Tensor(array)
            else:
                parameter.grad = Tensor(parameter.grad._data + array)
        return flat.returned(results)


class _Gradients(Flattened):
    """A model and the gradients of its first result, as a function from a row of tensors to a row of tensors.

    Attributes:
        reached: the parameters that there are gradients of, the last of what it returns.
    """

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
        # In place: an export puts the attributes of a module back.
        self.reached[:] = [p for p, g in zip(trained, found, strict=True) if g is not None]
        return *[leaf.detach() for leaf in leaves], *[g for g in found if g is not None]
