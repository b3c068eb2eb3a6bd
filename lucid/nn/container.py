"""Containers of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class Sequential(Module):
    """Calls modules one after another, each on the result of the one before (torch.nn.Sequential).

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
        return iter([module for module in self._modules.values() if module is not None])

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int | slice) -> Any:
        children = list(self.named_children())
        if isinstance(index, slice):
            return Sequential(dict(children[index]))
        return children[index][1]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module([name for name, _ in self.named_children()][index], module)

    def __delitem__(self, index: int | slice) -> None:
        children = list(self.named_children())
        del children[index]
        self._hold(children)

    def append(self, module: Module) -> Sequential:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Sequential:
        """Adds modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Sequential:
        """Inserts a module before the given index."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module")
        children = list(self.named_children())
        children.insert(index, ("0", module))
        self._hold(children)
        return self

    def pop(self, index: int) -> Module:
        """Removes a module and returns it."""
        module: Module = self[index]
        del self[index]
        return module

    def _hold(self, children: list[tuple[str, Module]]) -> None:
        """Replaces the children; those named by a number are renumbered by position."""
        self._modules.clear()
        for place, (name, module) in enumerate(children):
            self.add_module(str(place) if name.isdigit() else name, module)


class ModuleList(Module):
    """A list of modules, registered as submodules (torch.nn.ModuleList).

    Args:
        modules: the modules.

    Example:
        >>> layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])
        >>> layers.append(nn.Tanh())[-1]
        Tanh()
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Adds modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Inserts a module before the given index."""
        modules = list(self)
        modules.insert(index, module)
        self._hold(modules)

    def pop(self, index: int = -1) -> Module:
        """Removes a module and returns it."""
        module: Module = self[index]
        del self[index]
        return module

    def _hold(self, modules: Iterable[Module]) -> None:
        modules = list(modules)
        for module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"{type(module).__name__} is not a Module")
        self._modules.clear()
        self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self)[index]
        return ModuleList(modules) if isinstance(modules, list) else modules

    def __setitem__(self, index: int, module: Module) -> None:
        modules = list(self)
        modules[index] = module
        self._hold(modules)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index]
        self._hold(modules)

    def __add__(self, modules: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *modules])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __len__(self) -> int:
        return len(self._modules)


class ModuleDict(Module):
    """A dict of modules, registered as submodules (torch.nn.ModuleDict).

    Args:
        modules: the modules: a mapping, or pairs of a name and a module.

    Example:
        >>> heads = nn.ModuleDict({"mean": nn.Linear(3, 1)})
        >>> heads["scale"] = nn.Softplus()
        >>> list(heads)
        ['mean', 'scale']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds modules; a module replaces an existing one of the same name."""
        for name, module in dict(modules).items():
            self[name] = module

    def pop(self, key: str) -> Module:
        """Removes a module and returns it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Removes all modules."""
        self._modules.clear()

    def keys(self) -> Iterable[str]:
        """Returns the names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """Returns the modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Returns the pairs of a name and a module."""
        return self._modules.items()

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
