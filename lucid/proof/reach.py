"""Reach: the modules, functions, variables and containers that a function can reach by name."""

from __future__ import annotations

import dis
import os
import sysconfig
import types
from collections.abc import Callable, Iterable
from typing import Any

from ..nn.module import Module
from ..tensor import Tensor
from ..tracer.location import PACKAGE

__all__ = ["Reach"]

_CONTAINERS = (dict, list, set)

_LARGE = 1000
"""Containers with more entries are data rather than state: they are not watched."""

_INSTALLED = (
    PACKAGE,
    *(
        os.path.join(folder, "")
        for folder in {*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))}
        if folder
    ),
)
"""The folders of lucid, the standard library and installed packages."""


_WITHOUT_STATE = frozenset({"lucid", "numpy", "builtins"})
"""The packages whose classes and functions are not followed."""


_STORES = frozenset(f"{what}_{where}" for what in ("STORE", "DELETE") for where in ("ATTR", "DEREF", "GLOBAL", "NAME"))

_INDIRECT = frozenset(
    {"__dict__", "__setattr__", "__delattr__", "_buffers", "_modules", "_parameters"}
    | {"delattr", "exec", "globals", "setattr", "vars"}
)
"""The names that code mentions where it assigns attributes or variables by other means than a statement."""


class Reach:
    """What a function can reach through attributes of modules, closures, defaults, global variables and containers.

    The standard library and installed packages are not followed, apart from the package of the function itself.

    Args:
        function: a Module or another callable.

    Attributes:
        modules: the modules.
        tables: the tables of their parameters, buffers and submodules, each with the module.
        functions: the user's functions and methods.
        containers: dicts, lists and sets.
        caches: functions with a `functools.lru_cache`.
        cells: the variables of closures, by name.
        globals: global variables with plain values, tensors or containers: (namespace, name).
        stored: the names of variables and attributes that the user's code assigns or deletes; None if it assigns some
            by other means, such as `globals` or `__dict__`.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.modules: list[Module] = []
        self.tables: list[tuple[Module, dict[str, Any]]] = []
        self.functions: list[types.FunctionType] = []
        self.containers: list[Any] = []
        self.caches: list[Any] = []
        self.cells: list[tuple[str, Any]] = []
        self.globals: list[tuple[dict[str, Any], str]] = []
        # The things themselves are kept, so that no other thing gets their identity.
        self._seen: dict[int, Any] = {}
        modules = function.modules() if isinstance(function, Module) else ()
        self._own = {_package(thing) for thing in (function, *map(type, modules))} - _WITHOUT_STATE
        self._visit(function)
        self.stored = _stored(self.functions)

    def _visit(self, thing: Any) -> None:
        if id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, Module):
            for module in thing.modules():
                self._module(module)
        elif isinstance(thing, types.MethodType):
            self._visit(thing.__func__)
            self._visit(thing.__self__)
        elif isinstance(thing, types.FunctionType):
            self._function(thing)
        elif isinstance(thing, type):
            self._class(thing)
        elif type(thing) in _CONTAINERS:
            self._container(thing)
        elif hasattr(thing, "__wrapped__"):
            if hasattr(thing, "cache_clear"):
                self.caches.append(thing)
            self._visit(thing.__wrapped__)
        elif not isinstance(thing, (types.ModuleType, Tensor)):
            self._class(type(thing))

    def _module(self, module: Module) -> None:
        if any(module is other for other in self.modules):
            return
        self._seen[id(module)] = module
        self.modules.append(module)
        own = module.__dict__
        for table in ("_parameters", "_buffers", "_modules"):
            self.tables.append((module, own[table]))
            self._seen[id(own[table])] = own[table]
        for name, value in own.items():
            if name not in module._notes:
                self._visit(value)
        self._visit(type(module))

    def _class(self, cls: type) -> None:
        for base in cls.__mro__:
            if _package(base) in _WITHOUT_STATE:
                continue
            for thing in vars(base).values():
                if isinstance(thing, property):
                    self._visit(thing.fget)
                elif isinstance(thing, (staticmethod, classmethod)):
                    self._visit(thing.__func__)
                elif isinstance(thing, types.FunctionType):
                    self._visit(thing)

    def _function(self, function: types.FunctionType) -> None:
        if function.__code__.co_filename.startswith(_INSTALLED) and _package(function) not in self._own:
            return
        self.functions.append(function)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            self.cells.append((name, cell))
            self._visit(content)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit(default)
        space = function.__globals__
        names = _names(function.__code__)
        for name in names & space.keys():
            value = space[name]
            if value is None or isinstance(value, (int, float, str, tuple, Tensor, *_CONTAINERS)):
                self.globals.append((space, name))
            if isinstance(value, types.ModuleType):
                self._imported(value, names)
            else:
                self._visit(value)

    def _imported(self, module: types.ModuleType, names: set[str]) -> None:
        """Follows the functions of an imported module that the code may call."""
        for name in names & vars(module).keys():
            thing = vars(module)[name]
            if isinstance(thing, types.FunctionType):
                self._visit(thing)

    def _container(self, container: Any) -> None:
        if len(container) > _LARGE:
            return
        self.containers.append(container)
        parts: Iterable[Any] = list(container.values()) if type(container) is dict else list(container)
        for part in parts:
            self._visit(part)


def _package(thing: Any) -> str:
    return (getattr(thing, "__module__", None) or "").partition(".")[0]


def _stored(functions: Iterable[types.FunctionType]) -> frozenset[str] | None:
    """Returns the names that code assigns or deletes, apart from local variables; None if it may be any name."""
    stored: set[str] = set()
    left = [function.__code__ for function in functions]
    for code in left:
        if not _INDIRECT.isdisjoint(code.co_names):
            return None
        left += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        stored.update(
            step.argval
            for step in dis.get_instructions(code)
            if step.opname in _STORES and isinstance(step.argval, str)
        )
    return frozenset(stored)


def _names(code: types.CodeType) -> set[str]:
    return set(code.co_names).union(*(_names(c) for c in code.co_consts if isinstance(c, types.CodeType)))
