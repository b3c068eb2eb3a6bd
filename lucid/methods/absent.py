"""Attributes of PyTorch's tensors that lucid omits, and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ..absent import EXPRESSIONS, hint_for

__all__ = ["Absent"]

_CLONED = "write y = x.clone(); y[index] = value"

_INSTEAD = {
    "H": "write x.mT",
    "adjoint": "write x.mT",
    "apply_": "write ops, which work on all elements",
    "baddbmm": "write x + lucid.bmm(y, z)",
    "bfloat16": "write x.half(); NumPy has no bfloat16",
    "byte": "write x.to('uint8')",
    "char": "write x.to('int8')",
    "data_ptr": "write x.numpy().ctypes.data",
    "diagonal_scatter": _CLONED,
    "dsplit": "write x.split(sizes, 2)",
    "exponential_": "write x.uniform_().neg_().log1p_().neg_()",
    "fill_diagonal_": "write x.masked_fill_(lucid.eye(n).bool(), value)",
    "grad_fn": "its repr names the op that made it, and x.is_leaf says whether there was one",
    "hsplit": "write x.split(sizes, 1)",
    "index_copy": "write x.clone().index_copy_(dim, index, source)",
    "index_put": "write x.clone().index_put_(indices, values)",
    "is_complex": "it is False",
    "is_cpu": "it is True",
    "is_nonzero": "write bool(x)",
    "is_quantized": "it is False",
    "is_same_size": "write x.shape == y.shape",
    "is_sparse": "it is False",
    "mH": "write x.mT",
    "map_": "write ops, which work on all elements",
    "masked_scatter": _CLONED,
    "masked_scatter_": "write x[mask] = source",
    "random_": "write x.copy_(lucid.randint(low, high, x.shape))",
    "register_post_accumulate_grad_hook": "x.register_hook(hook) is called with the gradient before it is accumulated",
    "resize_": "write x.reshape(shape), or x.new_empty(shape)",
    "scatter_reduce": "write x.scatter_add(dim, index, src), which sums",
    "select_scatter": _CLONED,
    "set_": "write x.data = other",
    "share_memory_": "leave it out: the workers of loaders are threads",
    "short": "write x.to('int16')",
    "slice_scatter": _CLONED,
    "storage": "x.numpy() is the memory of a tensor",
    "swapaxes_": "write x.transpose_(dim0, dim1)",
    "swapdims_": "write x.transpose_(dim0, dim1)",
    "tensor_split": "write x.split(sizes, dim)",
    "untyped_storage": "x.numpy() is the memory of a tensor",
    "vdot": "write x.dot(y)",
    "vsplit": "write x.split(sizes, 0)",
}


class Absent:
    """Mixin: explains what to write instead of a PyTorch attribute that is absent on purpose. Others are not slowed."""

    __slots__ = ()

    # Type checkers would assume that every attribute exists.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
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
