"""Snapshot: whether a module is still what it was."""

from __future__ import annotations

from typing import Any

from ..nn.module import Module

__all__ = ["Snapshot"]

_PLAIN = (bool, int, float, str, tuple, type(None))


class Snapshot:
    """What the result of a module depends on: its modules, their tensors, and their numbers, texts and tuples.

    Tensors that were overwritten are known by their version, which lucid's own optimizers, initializers and
    `load_state_dict` raise; a write into the memory of a tensor by other means is not seen.

    Args:
        model: the module.
        trains: whether parameters that require gradients may have other elements, and modes matter.

    Example:
        >>> from lucid.runtime.snapshot import Snapshot
        >>> layer = nn.Linear(2, 1)
        >>> snapshot = Snapshot(layer)
        >>> snapshot.holds()
        True
        >>> _ = nn.init.zeros_(layer.weight)
        >>> snapshot.holds()
        False
    """

    def __init__(self, model: Module, trains: bool = False) -> None:
        self._tables: list[tuple[dict[str, Any], str, list[tuple[str, Any]]]] = []
        self._tensors: list[tuple[Any, Any, Any, int]] = []
        self._kinds: list[tuple[Any, bool, Any, Any]] = []
        self._plain: list[tuple[dict[str, Any], list[tuple[str, Any]]]] = []
        self.modules = list(model.modules())
        for module in self.modules:
            own = module.__dict__
            for name in ("_modules", "_parameters", "_buffers"):
                self._tables.append((own, name, list(own[name].items())))
            for tensor in (*own["_parameters"].values(), *own["_buffers"].values()):
                if tensor is None:
                    continue
                if trains:
                    self._kinds.append((tensor, tensor.requires_grad, tensor._data.dtype, tensor._data.shape))
                if not (trains and tensor.requires_grad):
                    # Made here if there is none yet: from now on it counts how often the elements are overwritten.
                    value = tensor._leaf_value()
                    self._tensors.append((tensor, tensor._data, value, value.version))
            plain = [
                (k, v)
                for k, v in own.items()
                if isinstance(v, _PLAIN) and k != "_last_call" and (trains or k != "training")
            ]
            self._plain.append((own, plain))

    def training(self) -> Module | None:
        """The first of the modules that is in training mode, if any is."""
        for module in self.modules:
            if module.training:
                return module
        return None

    def holds(self) -> bool:
        """Whether all of it is as it was."""
        for tensor, data, value, version in self._tensors:
            if tensor._data is not data or tensor._value is not value or value.version != version:
                return False
        for tensor, requires_grad, dtype, shape in self._kinds:
            array = tensor._data
            if tensor._requires_grad is not requires_grad or array.dtype != dtype or array.shape != shape:
                return False
        for own, kind, entries in self._tables:
            table = own[kind]
            if len(table) != len(entries):
                return False
            for name, entry in entries:
                if table.get(name) is not entry:
                    return False
        for own, entries in self._plain:
            for name, before in entries:
                now = own.get(name)
                if now is not before and (type(now) is not type(before) or now != before):
                    return False
        return True
