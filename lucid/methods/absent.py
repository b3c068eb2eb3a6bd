"""What PyTorch's tensors have and these do not, and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["Absent"]

_INSTEAD = {
    "cpu": "tensors are NumPy arrays in the CPU's memory",
    "cuda": "tensors are NumPy arrays in the CPU's memory; a model runs on a GPU in onnxruntime, see lucid.compile",
    "data": "x.detach() shares the elements; lucid.nn.init and optimizers change those of a parameter",
    "device": "tensors are NumPy arrays in the CPU's memory; x.to('cpu') gives the tensor itself",
    "grad_fn": "its repr names the op that made it, and x.is_leaf says whether there was one",
    "type": "x.dtype is the dtype, and x.to(dtype) converts",
}


class Absent:
    """Mixin: says so where a ported program asks for what is absent on purpose. Costs nothing where it is not asked."""

    __slots__ = ()

    # Type checkers would take it for a promise of every attribute.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            hint = _INSTEAD.get(name)
            plain: Any = name[:-1]
            if hint is None and name.endswith("_") and not name.startswith("_") and hasattr(type(self), plain):
                hint = f"tensors are not changed in place, since a graph would not see it; write x = x.{plain}(...)"
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}" + (f": {hint}" if hint else "")
            )
