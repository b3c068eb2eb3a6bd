"""A row of the table of ops, and helpers to run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lucid
from lucid.tracer.op import FUNCTIONS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """A random input. `kind` is "float", "int" or "bool"; numbers are uniform between `low` and `high`, or normal."""

    kind: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    grad: bool = True

    def draw(self, rng: np.random.Generator, dtype: Any) -> Array:
        if self.kind == "bool":
            return rng.random(self.shape) < 0.5
        if self.kind == "int":
            return rng.integers(int(self.low or 0), int(self.high or 0), self.shape)
        if self.low is None or self.high is None:
            return rng.standard_normal(self.shape).astype(dtype)
        return rng.uniform(self.low, self.high, self.shape).astype(dtype)


def floats(*shape: int) -> Sample:
    return Sample("float", shape)


def positive(*shape: int) -> Sample:
    return Sample("float", shape, 0.5, 2.0)


def unit(*shape: int) -> Sample:
    return Sample("float", shape, 0.05, 0.95)


def fixed(*shape: int) -> Sample:
    """Floats that need no gradient."""
    return Sample("float", shape, 0.5, 2.0, grad=False)


def ints(high: int, *shape: int, low: int = 0) -> Sample:
    return Sample("int", shape, low, high)


def bools(*shape: int) -> Sample:
    return Sample("bool", shape)


@dataclass(frozen=True, eq=False)
class Case:
    """One call of an op or function.

    Attributes:
        name: its name in the table of ops or functions.
        inputs: samples to draw; arrays, numbers and None are used as they are.
        attrs: its other arguments, by name.
        ref: the reference in NumPy.
        call: how to call it, if not by ``fn(*inputs, **attrs)``; applies to PyTorch's function, too.
        torch: PyTorch's counterpart: "" for the function of the same name, "method" for the method, "values" if only
            values are compared, None if there is no counterpart.
        derivative: whether gradients are compared; False if they are 0 everywhere.
        no_export: why this call cannot be exported.
        dynamic: whether this call is valid at other sizes; or the axes that may vary, as `to_onnx` takes them.
        stays: whether float32 inputs give float32 outputs.
        opset: the oldest opset that supports it.
        elementwise: whether `ref` is an elementwise function, valid for all shapes and dtypes.
        rtol: the relative tolerance in float64.
        note: distinguishes the rows of one op.
    """

    name: str
    inputs: tuple[Any, ...]
    ref: Callable[..., Any] | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    call: Callable[..., Any] | None = None
    torch: Any = ""
    derivative: bool = True
    no_export: str = ""
    dynamic: Any = True
    stays: bool = True
    opset: int = 13
    elementwise: bool = False
    rtol: float = 1e-11
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name}-{self.note}" if self.note else self.name

    def arrays(self, dtype: Any = np.float64) -> list[Any]:
        """Returns new inputs, drawn from a fixed seed."""
        rng = np.random.default_rng(7)
        return [x.draw(rng, dtype) if isinstance(x, Sample) else x for x in self.inputs]

    def differentiable(self) -> list[bool]:
        """Returns for each input whether its gradient is computed."""
        return [
            x.kind == "float" and x.grad if isinstance(x, Sample) else isinstance(x, np.ndarray) and x.dtype.kind == "f"
            for x in self.inputs
        ]

    def run(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """Calls a function with the arguments of the row."""
        return self.call(function, *inputs) if self.call is not None else function(*inputs, **self.attrs)


def row(name: str, *inputs: Any, ref: Callable[..., Any] | None = None, **options: Any) -> Case:
    """Returns a row. Options that are not fields of `Case` are attributes of the op."""
    known = {k: options.pop(k) for k in list(options) if k in Case.__dataclass_fields__}
    attrs = {**options, **known.pop("attrs", {})}
    return Case(name, inputs, ref, attrs, **known)


def wrapped(arrays: list[Any], requires_grad: list[bool] | None = None) -> list[Any]:
    """Returns arrays as tensors, and anything else unchanged."""
    flags = requires_grad or [False] * len(arrays)
    return [
        lucid.tensor(x, requires_grad=flag) if isinstance(x, np.ndarray) else x
        for x, flag in zip(arrays, flags, strict=True)
    ]


def results(found: Any) -> list[Any]:
    """Returns one or several results as a list."""
    return [t for t in (found if isinstance(found, tuple) else (found,)) if t is not None]


def run(case: Case, tensors: list[Any]) -> list[Any]:
    """Returns the results of lucid's function for the arguments of the row."""
    return results(case.run(FUNCTIONS[case.name], *tensors))
