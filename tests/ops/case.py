"""What a row of the table of ops says."""

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
    """An input to draw: `kind` is "float", "int" or "bool"; numbers lie between `low` and `high`, or are normal."""

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
    """Floats by which nothing is differentiated."""
    return Sample("float", shape, 0.5, 2.0, grad=False)


def ints(high: int, *shape: int, low: int = 0) -> Sample:
    return Sample("int", shape, low, high)


def bools(*shape: int) -> Sample:
    return Sample("bool", shape)


@dataclass(frozen=True, eq=False)
class Case:
    """One call of an op or function.

    Attributes:
        name: its name in the table of ops, or of functions.
        inputs: samples to draw, arrays as they are, numbers and None.
        attrs: its other arguments, by name.
        ref: what it should give, in NumPy.
        call: how it is called, if not ``fn(*inputs, **attrs)``; PyTorch's is called in the same way.
        torch: PyTorch's counterpart: "" for the function with the same name, "method" for the method; "values" where
            its gradient is another one, or none; None if there is no counterpart.
        derivative: whether the gradient is worth a comparison; False where it is 0 everywhere.
        no_export: why this call cannot be exported.
        dynamic: whether this call makes sense at other sizes; or of which axes, as `to_onnx` takes them.
        stays: whether float32 comes out if float32 goes in.
        opset: the least that it can be exported with.
        elementwise: whether `ref` is the same function of each element, so that it holds at all shapes and dtypes.
        rtol: relative tolerance in float64.
        note: tells several rows of one op apart.
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
        """The inputs, drawn anew but always alike."""
        rng = np.random.default_rng(7)
        return [x.draw(rng, dtype) if isinstance(x, Sample) else x for x in self.inputs]

    def differentiable(self) -> list[bool]:
        """Which inputs a gradient is taken by."""
        return [
            x.kind == "float" and x.grad if isinstance(x, Sample) else isinstance(x, np.ndarray) and x.dtype.kind == "f"
            for x in self.inputs
        ]

    def run(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """Call a function as the row says."""
        return self.call(function, *inputs) if self.call is not None else function(*inputs, **self.attrs)


def row(name: str, *inputs: Any, ref: Callable[..., Any] | None = None, **options: Any) -> Case:
    """A row: the options that are none of `Case`'s own are attributes of the op."""
    known = {k: options.pop(k) for k in list(options) if k in Case.__dataclass_fields__}
    attrs = {**options, **known.pop("attrs", {})}
    return Case(name, inputs, ref, attrs, **known)


def wrapped(arrays: list[Any], requires_grad: list[bool] | None = None) -> list[Any]:
    """The arrays as tensors; what is no array stays as it is."""
    flags = requires_grad or [False] * len(arrays)
    return [
        lucid.tensor(x, requires_grad=flag) if isinstance(x, np.ndarray) else x
        for x, flag in zip(arrays, flags, strict=True)
    ]


def results(found: Any) -> list[Any]:
    """One result or several, as a list."""
    return [t for t in (found if isinstance(found, tuple) else (found,)) if t is not None]


def run(case: Case, tensors: list[Any]) -> list[Any]:
    """What lucid's function gives, called as the row says."""
    return results(case.run(FUNCTIONS[case.name], *tensors))
