"""The declaration of an op, and the table of all ops."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, cast

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError
from .call import NUMPY_NAMES, call_of

__all__ = ["FUNCTIONS", "OPS", "Array", "Op", "declare", "function", "numpy_names"]

# What an op's forward takes and returns: NumPy arrays. Callers pass Tensors and numbers in the same places, so the
# type is open to both.
Array = Any

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

OPS: dict[str, Op[Any, Any]] = {}
"""Every op by name; operators, gradients and lowerings look ops up here."""

FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""Every op, and every function composed of ops, by name; Tensor's methods look functions up here."""

_VARARGS = 0x04  # inspect.CO_VARARGS, without importing inspect


class Op(Generic[P, R]):
    """An op: a forward in NumPy and a gradient rule written in ops.

    The forward's positional-only parameters (before ``/``) and ``*args`` are the op's inputs, the others attributes.
    The op itself also takes both by name. An input with a default is optional; the default is a number or None.
    Names begin with a letter.
    The parameter names of the gradient rule say what it needs; nothing else is kept alive for it:

    - ``g``: the gradient of the output (with several outputs a tuple, with None for those that have no gradient);
    - ``out``: the output (a tuple if several);
    - ``needs``: one bool per input, True where a gradient is wanted;
    - ``shapes``: one shape per input, which keeps no array alive;
    - the name of an input (the starred name: all of those) or of an attribute: its value.

    The rule returns one gradient per input, or None where there is none. Shapes and dtypes need not match the inputs:
    the engine sums over broadcast axes and casts promoted dtypes back. `sizes` declares the sizes of the results.
    """

    def __init__(
        self,
        forward: Callable[P, Array],
        tensor: type[Any],
        *,
        no_gradient: str | None = None,
        no_export: str | None = None,
        view: bool | str = False,
    ) -> None:
        plain = getattr(forward, "__wrapped__", forward)
        code = plain.__code__
        names = code.co_varnames
        first, positional, keyword = code.co_posonlyargcount, code.co_argcount, code.co_kwonlyargcount
        star = names[positional + keyword : positional + keyword + 1] if code.co_flags & _VARARGS else ()
        if star and positional > first:
            raise TypeError(f"{forward.__name__}: an op with *{star[0]} takes its attributes by keyword only")
        self.variadic = bool(star)
        self.name: str = forward.__name__
        self.forward = forward
        self.tensor = tensor
        self.inputs: tuple[str, ...] = names[:first] + star
        self.attributes: tuple[str, ...] = names[first : positional + keyword]
        if own := [name for name in (*self.inputs, *self.attributes) if name.startswith("_")]:
            raise TypeError(f"{self.name}: names of inputs and attributes begin with a letter; got {', '.join(own)}")
        positional_defaults = plain.__defaults__ or ()
        with_default = names[positional - len(positional_defaults) : positional]
        defaults = dict(zip(with_default, positional_defaults, strict=True))
        defaults.update(plain.__kwdefaults__ or {})
        self.defaults: dict[str, Any] = {name: defaults[name] for name in self.attributes if name in defaults}
        self.optional: dict[str, Any] = {name: defaults[name] for name in self.inputs if name in defaults}
        self.no_gradient = no_gradient
        self.no_export = no_export
        self.view = view
        self.rule: Callable[..., Any] | None = None
        self.pull: Callable[..., Any] | None = None
        self.size_rule: Callable[..., Any] | None = None
        self.size_rule_needs_dtypes = False
        self.plan: tuple[tuple[str, Any], ...] = ()
        self.keeps_inputs: tuple[int, ...] = ()
        self.partners: dict[int, int] = {}
        self.promoted: tuple[int, ...] = ()
        self.alike: tuple[int, ...] = ()
        self.gives_floats = False
        self.ufunc: np.ufunc | None = None
        self.variant: tuple[str, Callable[..., Any]] | None = None
        self.unread: frozenset[int] = frozenset()
        self.keeps_star = self.keeps_out = self.keeps_shapes = False
        self.__wrapped__ = plain
        self.__doc__ = forward.__doc__
        self.__name__ = self.__qualname__ = forward.__name__
        self.__module__ = forward.__module__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        # The op gets a class of its own, so that later calls go directly to the generated function.
        self.__class__ = type(self.name, (Op,), {"__slots__": (), "__call__": staticmethod(call_of(self))})
        return self(*args, **kwargs)

    def vjp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Declares the op's gradient rule: a vector-Jacobian product, written in ops. Used as a decorator."""
        code = rule.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        star = self.inputs[-1] if self.variadic else None
        plan: list[tuple[str, Any]] = []
        for name in names:
            if name in ("g", "needs", "out", "shapes"):
                plan.append((name, None))
            elif name == star:
                plan.append(("star", len(self.inputs) - 1))
            elif name in self.inputs:
                plan.append(("input", self.inputs.index(name)))
            elif name in self.attributes:
                plan.append(("attribute", name))
            else:
                known = ("g", "out", "needs", "shapes", *self.inputs, *self.attributes)
                raise TypeError(f"{self.name}: the gradient asks for {name!r}; there is {', '.join(known)}")
        self.rule, self.plan, self.pull = rule, tuple(plan), None
        self.keeps_inputs = tuple(key for kind, key in plan if kind == "input")
        self.keeps_star = star in names
        self.keeps_out = "out" in names
        self.keeps_shapes = "shapes" in names
        self.__class__ = Op  # the next call generates the function again
        return rule

    def sizes(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Declares how the sizes of the results follow from those of the inputs. Used as a decorator.

        The rule gets the shape of each input, None for one that is omitted, and the attributes; and, if it has a
        parameter `dtypes`, the dtype of each input. It returns the shape of the result, or a list of shapes, with None
        for a size that depends on elements. Sizes are numbers or, in a proof, formulas: the rule computes with them,
        and compares them by the helpers in `lucid.tracer.extent`. Without a rule, a file measures the sizes of the
        results, as those of `nonzero`, and the proof of an export knows nothing about them.
        """
        self.size_rule = rule
        self.size_rule_needs_dtypes = "dtypes" in rule.__code__.co_varnames
        return rule

    def keep_for(self, **partners: str) -> None:
        """Declares that the gradient rule reads an input only for the gradient of one other input.

        ``mul.keep_for(x="y", y="x")``: if `y` requires no gradient, `x` is not kept and the rule gets None for it.
        """
        self.partners = {self.inputs.index(name): self.inputs.index(other) for name, other in partners.items()}
        self.__class__ = Op

    def promotes(self, *names: str, to_float: bool = False) -> None:
        """Declares that some inputs are converted to one dtype, as in PyTorch: see `lucid.tracer.promotion`.

        ``div.promotes("x", "y", to_float=True)``: if that is no floating-point dtype, they are converted to float32.
        """
        self.promoted, self.gives_floats = tuple(map(self.inputs.index, names)), to_float
        self.__class__ = Op

    def needs_one_dtype(self, *names: str) -> None:
        """Declares that some inputs must have one dtype; the op raises an error otherwise."""
        self.alike = tuple(map(self.inputs.index, names))
        self.__class__ = Op

    def computed_by(self, ufunc: np.ufunc) -> None:
        """Declares that the forward does nothing but call a ufunc, so that a call need not pass through it."""
        self.ufunc = ufunc
        self.__class__ = Op

    def takes(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declares that calls with one more argument are those of another function, which gets it by name.

        ``@add.takes("alpha")``: without `alpha`, a call costs no more than before.
        """

        def declare(variant: Callable[..., Any]) -> Callable[..., Any]:
            self.variant = name, variant
            self.__class__ = Op
            return variant

        return declare

    def keep_shape_of(self, *names: str) -> None:
        """Declares that the gradient rule reads of some inputs only the shape, so that they may be overwritten."""
        self.unread = frozenset(self.inputs.index(name) for name in names)

    def explain(self, arrays: Sequence[Any], attrs: dict[str, Any], error: Exception) -> NoReturn:
        """Raises an error of the forward again as a lucid error that names the op and its arguments."""
        got = ", ".join(f"{a.dtype}{list(a.shape)}" if hasattr(a, "dtype") else repr(a) for a in arrays)
        options = "".join(f", {name}={value!r}" for name, value in attrs.items())
        kind: type[Exception] = ShapeError
        if isinstance(error, (IndexError, TypeError)):
            kind = AxisError if isinstance(error, IndexError) else DtypeError
        raise kind(f"{self.name}: {_plain(str(error))}; got ({got}{options})") from error

    def __reduce__(self) -> str:
        """Pickles the op by name, so that a copy is the op itself, as for functions."""
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs)}; {', '.join(self.attributes)})>"


def _plain(message: str) -> str:
    """Returns a message of NumPy's without what only its authors know: the signature of a product."""
    found = re.search(r"core dimension.*\(size (\d+) is different from (\d+)\)", message)
    if found is None:
        return message.strip()
    return f"the axes that are summed over must have one size, not {found[2]} and {found[1]}"


def declare(
    forward: Callable[P, Array],
    tensor: type[R],
    *,
    no_gradient: str | None = None,
    no_export: str | None = None,
    view: bool | str = False,
) -> Op[P, R]:
    """Makes an op from a NumPy function and registers it under the function's name."""
    op: Op[P, R] = Op(forward, tensor, no_gradient=no_gradient, no_export=no_export, view=view)
    if op.name in OPS:
        raise ValueError(f"there is already an op named {op.name!r}, in {OPS[op.name].__module__}")
    OPS[op.name] = FUNCTIONS[op.name] = op
    return op


def function(composed: F) -> F:
    """Registers a function composed of ops under its name. Used as a decorator."""
    made = numpy_names(composed)
    FUNCTIONS[composed.__name__] = made
    return made


def numpy_names(composed: F) -> F:
    """Makes a function take NumPy's names, `axis` for `dim` and `keepdims` for `keepdim`, as PyTorch's functions do."""
    code = composed.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "dim" not in names or "axis" in names:
        return composed

    @functools.wraps(composed)
    def named(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for other, own in NUMPY_NAMES.items():
                if other in kwargs:
                    kwargs[own] = kwargs.pop(other)
        return composed(*args, **kwargs)

    return cast("F", named)
