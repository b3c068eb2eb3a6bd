"""Isolation: runs a model without side effects on it or on the random state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..nn.module import Module
from ..ops.random import get_rng_state, set_rng_state

__all__ = ["isolated"]


@contextmanager
def isolated(model: Callable[..., Any], evaluation: bool) -> Iterator[None]:
    """Restores a model's attributes, modes, tables of buffers, gradients and the random state at exit.

    Args:
        model: a Module; for another callable only the random state is restored.
        evaluation: whether all modules are in evaluation mode inside.
    """
    modules = list(model.modules()) if isinstance(model, Module) else []
    before = [(m, dict(m.__dict__), dict(m._parameters), dict(m._buffers), dict(m._modules)) for m in modules]
    gradients = [(p, p.grad) for m in modules for p in m.parameters(recurse=False)]
    random = get_rng_state()
    try:
        for module in modules:
            module.training = module.training and not evaluation
        yield
    finally:
        set_rng_state(random)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, attributes, parameters, buffers, children in before:
            _restore(module.__dict__, attributes)
            for table, entries in (("_parameters", parameters), ("_buffers", buffers), ("_modules", children)):
                _restore(attributes[table], entries)


def _restore(table: dict[str, Any], entries: dict[str, Any]) -> None:
    """Restores a table's entries. If its names are unchanged, no other thread ever sees it without one of them."""
    if list(table) != list(entries):
        table.clear()
    table.update(entries)
