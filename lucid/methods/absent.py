"""Attributes of PyTorch's tensors that lucid omits, and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ..absent import hint_for

__all__ = ["Absent"]

_INSTEAD = {
    "kthvalue": "write x.sort(dim), and select k - 1 along the axis",
    "mode": "write lucid.unique(x, return_counts=True), and take the value of the greatest count",
    "register_post_accumulate_grad_hook": "write x.register_hook(function), which gets the gradient",
    "resize_": "write x = x.reshape(...), or x.data = y",
    "grad_fn": "its repr names the op that made it, and x.is_leaf says whether there was one",
}


class Absent:
    """Mixin: explains what to write instead of a PyTorch attribute that is absent on purpose. Others are not slowed."""

    __slots__ = ()

    # Type checkers would assume that every attribute exists.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            hint = _INSTEAD.get(name) or hint_for("lucid.tensor", name)
            plain: Any = name[:-1]
            if hint is None and name.endswith("_") and not name.startswith("_") and hasattr(type(self), plain):
                hint = f"write x.copy_(x.{plain}(...))"
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}" + (f": {hint}" if hint else ""),
                name=name,
                obj=self,
            )
