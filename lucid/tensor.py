"""Tensor, and the decorator that declares ops on Tensors."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, ParamSpec, overload

import numpy as np

from .devices import require_cpu
from .errors import DtypeError, GradientError
from .hookable import Hookable
from .layout import Layout
from .methods import Methods
from .readout import Readout
from .shape import sizes_given
from .tracer.aliases import follow
from .tracer.dim import has_dim
from .tracer.mode import MODE, GradMode
from .tracer.node import Value
from .tracer.op import FUNCTIONS, OPS, Array, Op, declare
from .tracer.overwriting import require_inside
from .tracer.run import RUN
from .tracer.writes import LIVE, Family, Written, touch

__all__ = ["Parameter", "Tensor", "around", "as_tensor", "from_numpy", "op", "tensor"]

P = ParamSpec("P")


class Tensor(Methods, Layout, Readout, Hookable):
    """An n-dimensional array that can record operations for automatic differentiation.

    Create it with `lucid.tensor`, `lucid.zeros` and the like, or with `lucid.from_numpy`, which does not copy an array.
    ``Tensor([1, 2])`` has these elements in float32, and ``Tensor(3, 4)`` unspecified ones in that shape: zeros, here.
    """

    __slots__ = {
        **dict.fromkeys(("__weakref__", "_away", "_axes", "_base", "_data", "_requires_grad", "_value", "_written")),
        "grad": """The gradient that `backward` accumulated, of the tensor's shape, or None (torch.Tensor.grad).

        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> w.grad
        tensor([2., 4.])
        """,
    }

    _base: Tensor | Family | None
    """Of a view: the tensor whose memory it shares, or `CUT`. Otherwise, its family, if a graph recorded a write."""
    _written: Written
    """Its memory as one that was overwritten; set by the first write, since most tensors never see one."""
    _away: Any
    """Of a tensor without `_data`: what brings it, since its elements are elsewhere, such as on a GPU."""
    _axes: tuple[str, ...] | None
    """The names of the first axes of a batch that a data loader made; None in any other tensor."""

    _traced: ClassVar[type[Any]]
    """The class of tensors in symbolic traces."""

    def __init__(self, *data: Any) -> None:
        self._hold(given(data, np.dtype(np.float32)))

    def _hold(self, data: np.ndarray[Any, Any], requires_grad: bool = False) -> Tensor:
        """Takes an array, without a copy, as that of a new leaf."""
        self._data = data
        self._value: Value | None = None
        self._requires_grad = False
        self.grad: Tensor | None = None
        self._axes = None
        self._base = None
        if requires_grad:
            self.requires_grad = True
        return self

    # --- properties

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are recorded for it. Set it on leaves only; the dtype must be floating-point.

        >>> x = lucid.ones(2, requires_grad=True)
        >>> (x * 2).requires_grad, x.detach().requires_grad
        (True, False)
        """
        if LIVE:
            follow((self,))
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if flag and self._data.dtype.kind != "f":
            raise DtypeError(f"only floating-point tensors can require gradients; got {self._data.dtype}")
        if not flag and not self.is_leaf:
            raise GradientError("requires_grad can be set to False on leaf tensors only; use x.detach() instead")
        self._requires_grad = bool(flag)
        if self._value is not None:
            # In a trace, even a tensor computed without gradients has a node; it still becomes a leaf.
            self._value.requires_grad = bool(flag)
            self._value.leaf = weakref.ref(self)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op computed it.

        >>> x = lucid.ones(2, requires_grad=True)
        >>> x.is_leaf, (x * 2).is_leaf
        (True, False)
        """
        if LIVE:
            follow((self,))
        return self._value is None or self._value.is_leaf or not self._requires_grad

    __hash__ = object.__hash__

    # --- gradients

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Adds the gradient of this tensor to the `grad` of every leaf that it depends on (torch.Tensor.backward).

        Args:
            gradient: the incoming gradient, of this tensor's shape; optional for a single element.
            retain_graph: keep the graph for another backward; defaults to `create_graph`.
            create_graph: make the gradients themselves differentiable.

        Raises:
            GradientError: the tensor requires no gradient, `gradient` is missing or has another shape, the graph was
                freed, or a tensor that it needs was overwritten.

        Example:
            >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
            >>> (w * w).sum().backward()
            >>> w.grad
            tensor([2., 4.])
        """
        if not self.requires_grad:
            raise GradientError("backward: this tensor was not computed from any tensor that requires gradients")
        from .tracer.backward import backward  # at first use: a model that only runs needs none of it

        retain = create_graph if retain_graph is None else retain_graph
        first = initial_gradient(self, gradient)
        roots = [(self._value or self._leaf_value(), first)]
        found = backward(roots, wrap=Tensor._wrap, retain_graph=retain, create_graph=create_graph)
        # A rule may pass its incoming gradient on unchanged, so several leaves may receive the same one.
        shared = {first}
        keeps_graph = create_graph or MODE.get().trace is not None
        run = RUN.get()
        for value, g in found.items():
            leaf = value.leaf() if value.leaf is not None else None
            if leaf is None:
                continue
            if run is not None:
                run.gradients.append(leaf)
            if leaf.grad is not None:
                with GradMode(create_graph):
                    leaf.grad = OPS["add"](leaf.grad, g)
            elif keeps_graph:
                leaf.grad = g
            else:
                # A broadcast view would be read-only, and shared with its source.
                own = g._data.base is None and g._data.flags.writeable and g not in shared
                leaf.grad = Tensor._wrap(g._data if own else g._data.copy())
                shared.add(g)

    def detach(self) -> Tensor:
        """Returns a tensor that shares the data but is detached from the graph (torch.Tensor.detach).

        >>> y = lucid.ones(2, requires_grad=True) * 3
        >>> y.detach()
        tensor([3., 3.])
        """
        if MODE.get().trace is not None:
            return OPS["detach"](self)
        return Tensor._wrap(self._data)

    # --- internals

    _follow = staticmethod(follow)

    @staticmethod
    def _wrap(data: np.ndarray[Any, Any], value: Value | None = None) -> Tensor:
        result = object.__new__(Tensor)  # every op ends here, and a call of __init__ costs more than its body
        result._data, result.grad, result._axes, result._base = data, None, None, None
        result._value = value
        result._requires_grad = value is not None and value.requires_grad
        return result

    def _leaf_value(self) -> Value:
        """Returns the value that represents this tensor in graphs, created on first use."""
        if self._value is None:
            self._value = Value(self._data.shape, self._data.dtype, self._requires_grad)
            self._value.leaf = weakref.ref(self)
        return self._value

    def _alias(self) -> Tensor:
        """Returns a new leaf with the same data."""
        return around(self._data, self._requires_grad)

    def _sample(self, first: bool = False) -> Tensor:
        """Returns a new leaf without gradients: the same data, or the first slice along the first axis."""
        return around(self._data[0] if first else self._data)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are new leaves: a graph refers only to the tensor that it was recorded with."""
        if not self.is_leaf:
            raise GradientError("only leaf tensors can be copied or pickled; use x.detach() for the data alone")
        return _rebuilt, (type(self), self._data, self._requires_grad, self.grad)

    def _replace(self, data: np.ndarray[Any, Any]) -> None:
        """Replaces the data, possibly with another dtype. Graphs recorded before no longer reach the tensor."""
        touch(self)
        before, self._data, self._value, self._base = self._value, data, None, None
        if before is not None:
            before.leaf = None
            self._leaf_value().hooks = before.hooks

    def _assign(self, data: np.ndarray[Any, Any]) -> None:
        """Overwrites the elements in place; a backward pass that needs the old ones then raises an error."""
        trace = MODE.get().trace
        if trace is not None:
            require_inside(trace, self)
        np.copyto(self._data, data)
        touch(self)


class Parameter(Tensor):
    """A tensor that a Module owns and an optimizer updates (torch.nn.Parameter)."""

    __slots__ = ()

    def __init__(self, data: Tensor | np.ndarray[Any, Any], requires_grad: bool = True) -> None:
        self._hold(data._data if isinstance(data, Tensor) else np.asarray(data), requires_grad)
        trace = MODE.get().trace
        if trace is not None and isinstance(data, Tensor) and trace.makes(data):
            trace.made.add(self._leaf_value())

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def _rebuilt(kind: type[Tensor], data: np.ndarray[Any, Any], requires_grad: bool, grad: Tensor | None) -> Tensor:
    tensor: Tensor = object.__new__(kind)._hold(data, requires_grad)
    tensor.grad = grad
    return tensor


def around(data: Any, requires_grad: bool = False) -> Tensor:
    """Returns a new leaf that shares memory with an array; a subclass such as np.matrix becomes a plain one."""
    return _rebuilt(Tensor, np.asarray(data), requires_grad, None)


def given(data: tuple[Any, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Returns what a constructor gets as an array: sizes make zeros, a sequence is copied, a tensor is shared."""
    sizes = sizes_given(data)
    if sizes is not None:
        return np.zeros([n.__index__() for n in sizes], dtype)
    (source,) = data
    if isinstance(source, Tensor):
        if source.dtype != dtype:
            raise DtypeError(f"a {dtype} tensor shares no elements with one of {source.dtype}; use x.to('{dtype}')")
        return source._read("Tensor()")
    if not isinstance(source, (list, tuple, np.ndarray)):
        raise TypeError(f"Tensor() takes sizes or one sequence of numbers; got {source!r}; use lucid.tensor()")
    return tensor(source, dtype)._data


def initial_gradient(output: Tensor, gradient: Tensor | None) -> Tensor:
    """Returns the gradient that backward starts from."""
    if gradient is None:
        if output._data.size != 1:
            raise GradientError(
                f"backward: gradient can be omitted for a single element only; got shape {output.shape}, "
                "so pass the gradient or reduce the tensor first, with sum() or mean()"
            )
        return around(np.ones(output._data.shape, output.dtype))
    gradient = as_tensor(gradient)
    if gradient.shape != output.shape:
        raise GradientError(f"backward: gradient has shape {gradient.shape}, but the tensor has {output.shape}")
    return gradient


# --- declaring ops


@overload
def op(forward: Callable[P, Array], /) -> Op[P, Tensor]: ...
@overload
def op(
    *, no_gradient: str | None = None, no_export: str | None = None, view: bool | str = False
) -> Callable[[Callable[P, Array]], Op[P, Tensor]]: ...
def op(
    forward: Callable[P, Array] | None = None,
    /,
    *,
    no_gradient: str | None = None,
    no_export: str | None = None,
    view: bool | str = False,
) -> Any:
    """Declares an op: makes a NumPy function callable on Tensors, with a gradient rule to be added by `vjp`.

    Parameters before ``/`` (or ``*args``) are inputs, all others are attributes; see `lucid.tracer.Op`. `sizes` adds a
    rule for the shapes of the results; without one an exported file measures them.

    Args:
        no_gradient: why the op has no gradient, if it has none.
        no_export: why the op cannot be exported, if it cannot.
        view: whether its results are parts of its first input, in the same memory, so that a write to one changes the
            other, too; "maybe" if they may be copies as well.

    Example:
        >>> @lucid.op
        ... def cube(x, /):
        ...     return x * x * x
        >>> @cube.vjp
        ... def _(g, x):
        ...     return g * 3 * x * x
        >>> x = lucid.tensor([2.0], requires_grad=True)
        >>> cube(x).backward()
        >>> x.grad
        tensor([12.])
    """
    declared = functools.partial(declare, tensor=Tensor, no_gradient=no_gradient, no_export=no_export, view=view)
    return declared if forward is None else declared(forward)


# --- creating tensors


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Returns a tensor with a copy of `data` (torch.tensor).

    Python floats become float32 unless a dtype is given. Arrays keep theirs, and so do tables and other objects that
    bring an array of their own.

    Args:
        data: a number, nested sequences of numbers, a NumPy array or what converts to one, or a Tensor.
        dtype: a NumPy dtype or its name.
        requires_grad: record gradients for it.
        device: "cpu".

    Raises:
        DtypeError: the elements are not numbers.

    Example:
        >>> lucid.tensor([[1.0, 2.0], [3.0, 4.0]])
        tensor([[1., 2.],
                [3., 4.]])
    """
    require_cpu(device)
    trace = MODE.get().trace
    if isinstance(data, Tensor):
        if trace is not None and trace.owner(data) is not None:
            copied: Tensor = OPS["detach"](data)
            if dtype is not None:
                copied = OPS["astype"](copied, dtype=np.dtype(dtype))
            return copied.requires_grad_() if requires_grad else copied
        data = data._data
    elif trace is not None and trace.sizes is not None and has_dim(data):
        filled = _of_sizes(data, dtype)
        return filled.requires_grad_() if requires_grad else filled
    try:
        array = np.array(data, dtype=dtype)
    except (ValueError, TypeError) as error:
        raise DtypeError(f"tensor: {error}") from error
    if dtype is None and array.dtype == np.float64 and not _brings_array(data):
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"tensor: elements must be numbers or bools; got {array.dtype}")
    made = around(array, requires_grad)
    if trace is not None:
        trace.made.add(made._leaf_value())
    return made


def _brings_array(data: Any) -> bool:
    """Returns whether an object has a dtype of its own: an array, a table or its column, a buffer."""
    if isinstance(data, (list, tuple, float, int)) and not isinstance(data, np.generic):
        return False
    if any(hasattr(data, name) for name in ("__array__", "__array_interface__", "__array_struct__", "__dataframe__")):
        return True
    try:
        memoryview(data)
    except TypeError:
        return False
    return True


def _of_sizes(data: Any, dtype: Any) -> Tensor:
    """Returns a tensor of sizes of a symbolic trace, and of other numbers beside them."""
    if isinstance(data, (tuple, list)):
        parts = [_of_sizes(item, dtype) for item in data]
        if any(part.is_floating_point() for part in parts):
            parts = [part if part.is_floating_point() else part.astype(np.float32) for part in parts]
        stacked: Tensor = FUNCTIONS["stack"](parts)
        return stacked
    kind = np.dtype(dtype if dtype is not None else np.int64 if isinstance(data, int) else np.float32)
    filled: Tensor = OPS["fill"](shape=(), value=data, dtype=kind)
    return filled


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Returns `data` as a tensor, without a copy if it is a tensor or an array of that dtype (torch.as_tensor).

    >>> lucid.as_tensor(np.arange(3))
    tensor([0, 1, 2])
    """
    require_cpu(device)
    if isinstance(data, Tensor) and (dtype is None or data.dtype == dtype):
        return data
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == dtype) and data.dtype.kind in "fiub":
        return around(data)
    return tensor(data, dtype)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """Returns a tensor that shares memory with a NumPy array (torch.from_numpy).

    >>> lucid.from_numpy(np.ones(2, np.float32))
    tensor([1., 1.])
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array; got {type(array).__name__}")
    return as_tensor(array)


Tensor._converted = staticmethod(as_tensor)
