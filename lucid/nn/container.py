"""Containers of modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .module import Module

__all__ = ["Sequential"]


class Sequential(Module):
    """Modules called one after the other, each on the result of the one before (torch.nn.Sequential).

    Args:
        modules: the modules, or one dict from names to modules.

    Example:
        >>> nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))(lucid.ones(5, 3)).shape
        (5, 2)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], dict) else dict(enumerate(modules))
        for name, module in named.items():
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int | slice) -> Any:
        children = list(self.named_children())
        if isinstance(index, slice):
            return Sequential(dict(children[index]))
        return children[index][1]
