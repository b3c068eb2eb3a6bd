"""compile: a module that runs in onnxruntime."""

from __future__ import annotations

from typing import Any

from ...errors import LucidError
from ...nn.module import Module
from ...tracer.mode import MODE
from ...tracer.tree import Structure
from .flattened import Flattened
from .module import CompiledModule

__all__ = ["Compiled", "compile"]


def compile(model: Module, device: str = "cpu", *, threads: int | None = None) -> Compiled:
    """A drop-in for a model in evaluation mode that runs in onnxruntime.

    It is exported when first called, with every axis free that can be, and compared with the eager model; and again
    when a parameter, a buffer, a submodule or a plain attribute changed. For each class of shapes, sizes being alike up
    to the next power of two, the model is traced once and held against what was exported, the lowerings of recurrent
    layers are timed, and the fastest serves from then on. If it is proved that each sequence of a batch is computed by
    itself, batches cut into parts, one for each core, are timed as well. Results record no gradients.

    Args:
        model: a Module.
        device: "cpu", "cuda", "cuda:1" and so on, or "auto".
        threads: over how many threads an operator, or a batch, is spread; if None, those that onnxruntime takes, or one
            for each core.

    Raises:
        TypeError: it is no Module.
        RuntimeUnavailableError: there is no such device.
        LucidError: at the call, the model is in training mode.
        ExportError: at the call, the model cannot be exported, or does something else at these shapes, by a branch on a
            size; it never runs otherwise than in onnxruntime.
        GradientError: at the call, an input requires gradients.

    Example:
        >>> rnn = nn.RNN(3, 4).eval()
        >>> fast = lucid.compile(rnn)
        >>> x = lucid.randn(7, 2, 3)
        >>> output, h_n = fast(x)
        >>> bool(np.allclose(output, rnn(x)[0].detach(), atol=1e-6))
        True
    """
    return Compiled(model, device, threads)


class Compiled(CompiledModule):
    """A model that runs in onnxruntime; made by `compile`. What it lacks itself, such as `state_dict`, is the model's.

    Attributes:
        model: the eager model.
        device: where it runs.
    """

    name = "compile"

    def flat(self, structure: Structure) -> Flattened:
        return Flattened(self.model, structure)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns for such arguments, computed in onnxruntime.

        Inside of a trace or an export it is the model itself.
        """
        mode = MODE.get()
        if mode.trace is not None:
            return self.model(*args, **kwargs)
        cache = self._current()
        if (module := cache.guards.training()) is not None:
            name = type(self.model).__name__
            part = "" if module is self.model else f"a {type(module).__name__} in "
            raise LucidError(f"compile: {part}{name} is in training mode; call eval() on the model first")
        candidate, arrays, shapes = self._find(cache, mode, args, kwargs)
        return candidate.flat.returned(candidate.run(arrays, shapes))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["model"], name)
