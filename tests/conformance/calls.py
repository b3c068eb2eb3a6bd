"""Runs one call with PyTorch and with lucid, and compares values, gradients, and gradients of gradients."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.autograd import grad

torch = pytest.importorskip("torch")

REFUSALS = (ValueError, TypeError, IndexError, RuntimeError, AttributeError)
"""What lucid raises where it refuses a call."""

TOLERANCE = {"float32": (2e-5, 2e-6), "float64": (1e-9, 1e-11)}
PLACE = {"device", "layout", "pin_memory", "memory_format", "non_blocking"}
"""Options that say where PyTorch keeps the elements."""


class ForeignError(Exception):
    """An argument that lucid has nothing for, such as a complex number."""


def to_lucid(tree: Any) -> Any:
    """Converts PyTorch's arguments to lucid's."""
    if isinstance(tree, torch.Tensor):
        if tree.dtype.is_complex or tree.dtype == torch.bfloat16 or tree.layout != torch.strided or tree.ndim > 32:
            raise ForeignError(str(tree.dtype))
        array = tree.detach().resolve_conj().resolve_neg().numpy()
        return lucid.tensor(array, requires_grad=tree.requires_grad)
    if isinstance(tree, torch.dtype):
        if tree.is_complex or tree == torch.bfloat16:
            raise ForeignError(str(tree))
        return str(tree).removeprefix("torch.")
    if isinstance(tree, (torch.device, torch.Generator, torch.layout, torch.memory_format, torch.nn.Module, complex)):
        raise ForeignError(str(tree))
    if tree is torch.nn.functional.gelu:
        return lucid.nn.functional.gelu
    if isinstance(tree, dict):
        return {key: to_lucid(value) for key, value in tree.items() if key not in PLACE}
    if isinstance(tree, torch.Size):
        return tuple(tree)
    if isinstance(tree, (tuple, list)):
        return type(tree)(to_lucid(part) for part in tree)
    return tree


def leaves(tree: Any) -> list[Any]:
    """Returns the tensors and numbers of nested results or arguments."""
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves(part)]
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [] if tree is None else [tree]


def array_of(x: Any) -> np.ndarray[Any, Any]:
    if isinstance(x, torch.Tensor):
        return x.numpy(force=True)  # also of PyTorch's tensors that hold nothing but zeros
    return x.detach().numpy() if isinstance(x, lucid.Tensor) else np.asarray(x)


def differ(what: str, mine: Any, theirs: Any, dtype: str, kinds: bool = True) -> str | None:
    """Returns how two results differ; None if they agree."""
    a, b = array_of(mine), array_of(theirs)
    if a.shape != b.shape:
        return f"{what}: shape {a.shape} for {b.shape}"
    if kinds and a.dtype.kind != b.dtype.kind:
        return f"{what}: {a.dtype} for {b.dtype}"
    # Integers become floats of another size in lucid than in PyTorch.
    relative, absolute = TOLERANCE[dtype if dtype == "float64" and b.dtype != np.float32 else "float32"]
    if a.dtype.kind == "f" or b.dtype.kind == "f":
        if b.dtype == np.float16:
            relative, absolute = 2e-3, 1e-3
        same = np.allclose(a, b, relative, absolute * max(1.0, _size(b)), equal_nan=True)
    else:
        same = bool(np.array_equal(a, b))
    return None if same else f"{what}: {_shown(a)} for {_shown(b)}"


def _size(x: np.ndarray[Any, Any]) -> float:
    finite = np.abs(x[np.isfinite(x)])
    return float(finite.max()) if finite.size else 0.0


def _shown(x: np.ndarray[Any, Any]) -> str:
    return np.array2string(x.reshape(-1)[:6], precision=4, separator=", ")


def compare(
    mine: Callable[[], Any],
    theirs: Callable[[], Any],
    inputs: Sequence[tuple[Any, Any]],
    dtype: str,
    orders: int = 2,
    values: bool = True,
) -> str | None:
    """Returns how a call of lucid differs from PyTorch's; None if it agrees, or if PyTorch fails.

    Args:
        mine: the call of lucid.
        theirs: the call of PyTorch.
        inputs: pairs of tensors, lucid's and PyTorch's; gradients are compared where the latter require one.
        dtype: the dtype that decides the tolerance.
        orders: how often gradients are taken.
        values: whether values are compared, or shapes and dtypes alone.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = leaves(theirs())
        try:
            found = leaves(mine())
        except REFUSALS as error:
            return f"{type(error).__name__}: {error}"
        if len(found) != len(wanted):
            return f"{len(found)} results for {len(wanted)}"
        for a, b in zip(found, wanted, strict=True):
            if not values:
                a, b = np.zeros_like(array_of(a)), np.zeros_like(array_of(b))
            if (difference := differ("value", a, b, dtype)) is not None:
                return difference
        chosen = [(x, y) for x, y in inputs if y.requires_grad]
        if not values or not chosen:
            return None
        try:
            return _gradients(list(zip(found, wanted, strict=True)), chosen, dtype, orders)
        except REFUSALS as error:
            return f"gradient: {type(error).__name__}: {error}"


def _gradients(results: Any, inputs: Any, dtype: str, orders: int) -> str | None:
    for order in range(1, orders + 1):
        pairs = [(a, b) for a, b in results if isinstance(b, torch.Tensor) and b.requires_grad]
        if not pairs:
            return None
        try:
            total = sum((b * torch.from_numpy(weights(b))).sum() for _, b in pairs)
            last = order == orders
            wanted = torch.autograd.grad(total, [y for _, y in inputs], create_graph=not last, allow_unused=True)
        except (RuntimeError, NotImplementedError):
            return None  # PyTorch has no such gradient
        ours = [(a, b) for a, b in pairs if isinstance(a, lucid.Tensor) and a.requires_grad]
        found: Iterable[Any] = [None for _ in inputs]
        if ours:
            sums = [(a * lucid.tensor(weights(b))).sum() for a, b in ours]
            found = grad(sums, [x for x, _ in inputs], create_graph=not last, allow_unused=True)
        results = []
        for (x, _), g, h in zip(inputs, found, wanted, strict=True):
            a = lucid.zeros_like(x) if g is None else g
            b = torch.zeros(x.shape, dtype=torch.float64) if h is None else h
            if (difference := differ(f"gradient {order}", a, b, dtype)) is not None:
                return difference
            if h is not None:
                results.append((a, h))
    return None


def weights(x: Any) -> np.ndarray[Any, Any]:
    """Returns what the results are weighed with before gradients are taken: no two are alike."""
    return np.cos(np.arange(x.numel(), dtype=array_of(x).dtype)).reshape(tuple(x.shape)).astype(array_of(x).dtype)


class Report:
    """Calls, those that differ, and what was listed of them."""

    def __init__(self, listed: dict[str, Sequence[tuple[str, str]]]) -> None:
        self.listed = listed
        self.calls = 0
        self.different = 0
        self.unlisted: list[str] = []
        self.met: set[tuple[str, str]] = set()

    def add(self, name: str, difference: str | None, about: str) -> None:
        """Counts a call, and finds its difference in the list."""
        self.calls += 1
        if difference is None:
            return
        self.different += 1
        matched = [pattern for pattern, _ in self.listed.get(name, ()) if re.search(pattern, difference)]
        self.met |= {(name, pattern) for pattern in matched}
        if not matched:
            self.unlisted.append(f"{name}: {difference[:160]} | {about[:220]}")

    @property
    def share(self) -> float:
        return 1 - self.different / max(self.calls, 1)

    def check(self, least: float, complete: bool = True) -> None:
        """Asserts that nothing differs but what is listed, that all of that does, and that enough calls agree.

        Args:
            least: the least share of calls that agree.
            complete: whether all calls were made; if not, what is listed may not have been met.
        """
        assert not self.unlisted, f"{len(self.unlisted)} of {self.calls}:\n" + "\n".join(self.unlisted)
        # What rounding leaves may be nothing on another processor.
        unmet = [
            (name, p)
            for name, rows in self.listed.items()
            for p, reason in rows
            if (name, p) not in self.met and "what rounding leaves" not in reason
        ]
        assert not (complete and unmet), f"listed, but equal: {unmet}"
        assert self.share >= least, f"{self.share:.2%} of {self.calls} calls agree"
