"""Attributes of PyTorch's tensors that lucid omits, and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..absent import EXPRESSIONS, hint_for

__all__ = ["Absent"]

_CLONED = "write y = x.clone(); y[index] = value"

_INSTEAD = {
    "H": "write x.mT",
    "adjoint": "write x.mT",
    "apply_": "write ops, which work on all elements",
    "bfloat16": "write x.half(); NumPy has no bfloat16",
    "diagonal_scatter": _CLONED,
    "dsplit": "write x.split(sizes, 2)",
    "kthvalue": "write x.sort(dim), and select k - 1 along the axis",
    "mode": "write lucid.unique(x, return_counts=True), and take the value of the greatest count",
    "register_post_accumulate_grad_hook": "write x.register_hook(function), which gets the gradient",
    "resize_": "write x = x.reshape(...), or x.data = y",
    "grad_fn": "its repr names the op that made it, and x.is_leaf says whether there was one",
    "hsplit": "write x.split(sizes, 1)",
    "index_copy": "write x.clone().index_copy_(dim, index, source)",
    "index_put": "write x.clone().index_put_(indices, values)",
    "is_cpu": "it is True",
    "is_nonzero": "write bool(x)",
    "is_quantized": "it is False",
    "is_same_size": "write x.shape == y.shape",
    "is_sparse": "it is False",
    "mH": "write x.mT",
    "map_": "write ops, which work on all elements",
    "masked_scatter": _CLONED,
    "masked_scatter_": "write x[mask] = source",
    "scatter_reduce": "write x.scatter_add(dim, index, src), which sums",
    "select_scatter": _CLONED,
    "share_memory_": "leave it out: the workers of loaders are threads",
    "slice_scatter": _CLONED,
    "storage": "x.numpy() is the memory of a tensor",
    "swapdims_": "write x.transpose_(dim0, dim1)",
    "untyped_storage": "x.numpy() is the memory of a tensor",
    "vdot": "write x.dot(y)",
    "vsplit": "write x.split(sizes, 0)",
}


class Absent:
    """Mixin: explains what to write instead of a PyTorch attribute that is absent on purpose. Others are not slowed."""

    __slots__ = ()

    # Type checkers would assume that every attribute exists.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name == "_data":
                return self._away.bring(self)
            hint = _INSTEAD.get(name) or hint_for("lucid.tensor", name)
            plain: Any = name[:-1]
            if hint is None and name.endswith("_") and not name.startswith("_"):
                if hasattr(type(self), plain):
                    hint = f"write x.copy_(x.{plain}(...))"
                elif plain in EXPRESSIONS:
                    hint = f"write x.copy_({EXPRESSIONS[plain]})"
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}" + (f": {hint}" if hint else ""),
                name=name,
                obj=self,
            )
