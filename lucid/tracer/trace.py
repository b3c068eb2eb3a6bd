"""Tracing: runs a function once and records its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from math import inf
from typing import Any

from ..errors import TraceError
from .dim import Guard
from .graph import Graph, depends
from .location import PACKAGE, user_location
from .mode import MODE, Mode
from .node import Node, Note, TensorLike, Value
from .op import OPS
from .read import Answer, Read, numbers_around
from .size import Size
from .symbolic import Sizes
from .tree import Structure, flatten, paths, unflatten
from .writes import LIVE

__all__ = ["Call", "EndlessRunError", "Trace", "input_names", "record", "trace"]


class EndlessRunError(BaseException):
    """A run was cut off, since it did not end; no ``except Exception`` of the user's catches it."""


class Call:
    """A call of a module in a trace.

    Attributes:
        path: the module's path in the model.
        kind: its type.
        shapes: the shapes of the tensors in the result, depth first; None until the call has returned.
    """

    def __init__(self, path: str, kind: str) -> None:
        self.path = path
        self.kind = kind
        self.shapes: tuple[tuple[int, ...], ...] | None = None

    def returned(self, result: Any) -> None:
        """Notes the result."""
        leaves, _ = flatten(result, _is_tensor)
        self.shapes = tuple([tuple(map(int, leaf.shape)) for leaf in leaves])


class Trace:
    """A recording in progress.

    Attributes:
        parent: the trace around it, if it records a subgraph.
        reads: what Python read of its tensors.
        notes: what layers say of the values that they take.
        calls: the calls of modules, in the order in which they began, if they are wanted.
        answer: what a read gets instead of the elements; the elements themselves if None.
        sizes: what is known of sizes, if the trace is symbolic.
        made: leaves that were made inside, of plain numbers.
        trained: whether what requires gradients may change, as inputs do.
        repeats: whether what is recorded runs many times, as the step of a loop does.
    """

    def __init__(
        self,
        parent: Trace | None = None,
        answer: Answer | None = None,
        limit: float = inf,
        sizes: Sizes | None = None,
        trained: bool = False,
    ) -> None:
        self.parent = parent
        self.trained: bool = trained if parent is None else parent.trained
        self.repeats: bool = False if parent is None else parent.repeats
        self.answer = answer
        self.sizes: Sizes | None = sizes if parent is None else parent.sizes
        self.reads: list[Read] = []
        self.notes: list[Note] = []
        self.calls: list[Call] | None = None if parent is None else parent.calls
        # The ops and reads that are left to the outermost trace and those inside it; None if there is no limit.
        self._left: list[float] | None = parent._left if parent is not None else None if limit == inf else [limit]
        self.inputs: set[Value] = set()
        self.made: set[Value] = set()
        self.captured: dict[Value, TensorLike] = {}
        self.labels: dict[Value, str] = {} if parent is None else parent.labels
        self._scopes: list[str] = [] if parent is None else parent._scopes[-1:]
        self._modules: dict[Any, str] = {} if parent is None else parent._modules

    def value_of(self, tensor: Any) -> Value:
        """Returns a tensor's value in this trace; a tensor from outside is captured as a constant."""
        if LIVE:
            OPS["add"].tensor._follow((tensor,))
        value: Value = tensor._value or tensor._leaf_value()
        node = value.node
        if (node is None and value not in self.inputs) or (node is not None and node.trace is not self):
            if value not in self.captured and node is not None and node.trace is not None:
                self._check_kept(value, node.trace)
            self.captured.setdefault(value, tensor)
        return value

    def _check_kept(self, value: Value, origin: Trace) -> None:
        """Rejects a tensor that another call computed from its inputs.

        Raises:
            TraceError: it is one.
        """
        around: Trace | None = self
        while around is not None and around is not origin:
            around = around.parent
        if around is None and depends(value, origin.inputs):
            assert value.node is not None
            raise TraceError(
                f"{value.node.op.name} at {value.node.location}: a tensor that one call computed from its inputs is "
                "used in a later call, but a file keeps nothing between calls; take it as an input, and return it"
            )

    def sees(self, tensor: TensorLike) -> bool:
        """Returns whether the tensor is an input of this trace or was computed in it."""
        value = tensor._value
        return value is not None and (value in self.inputs if value.node is None else value.node.trace is self)

    def makes(self, tensor: TensorLike) -> bool:
        """Returns whether the tensor was made in this trace, so that nobody else has it."""
        value = tensor._value
        return value is not None and (value in self.made if value.node is None else value.node.trace is self)

    def owner(self, tensor: TensorLike) -> Trace | None:
        """Returns the trace that sees a tensor: this one, one around it, or None."""
        trace: Trace | None = self
        while trace is not None and not trace.sees(tensor):
            trace = trace.parent
        return trace

    def record(self, node: Node) -> None:
        """Adds a node to this trace."""
        node.trace = self
        node.scope = self._scopes[-1] if self._scopes else ""
        node.location = user_location()
        if self._left is not None:
            self._spend()

    def read(self, how: str, tensor: TensorLike) -> Any:
        """Records that Python reads a tensor, and returns the elements that it gets: read-only if the trace sees it.

        Args:
            how: the conversion, such as "item()".
            tensor: the tensor.
        """
        trace = self.owner(tensor)
        if trace is None and self.trained and tensor.requires_grad:
            trace = self
        if trace is None:
            return tensor._data
        value = tensor._value or tensor._leaf_value()
        found = Read(how, user_location(), value, tensor._data, numbers_around(_CODE, PACKAGE))
        trace.reads.append(found)
        if self._left is not None:
            self._spend()
        root = trace
        while root.parent is not None:
            root = root.parent
        # What NumPy writes, the graph does not record.
        data = (found.data if root.answer is None else root.answer(found)).view()
        data.flags.writeable = False
        return data

    def note(self, tensor: TensorLike, *axes: str | None, next: TensorLike | None = None) -> None:
        """Notes what a layer says of a tensor that it takes, unless the trace records a subgraph.

        Args:
            tensor: the tensor.
            axes: a name for each of its axes that the layer knows, and None for the others.
            next: the tensor that continues it, if it is the state of a layer that computes one step.
        """
        value, after = tensor._value, None if next is None else next._value
        if self.parent is None and value is not None and (after is not None or next is None):
            self.notes.append(Note(value, axes, after))

    def _spend(self) -> None:
        """Counts an op or a read.

        Raises:
            EndlessRunError: there were more than the limit.
        """
        assert self._left is not None
        self._left[0] -= 1
        if self._left[0] < 0:
            raise EndlessRunError

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Appends `name` to the scope of the nodes recorded inside."""
        self._scopes.append(f"{self._scopes[-1]}.{name}" if self._scopes and self._scopes[-1] else name)
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def module(self, module: Any) -> Iterator[Call | None]:
        """Sets the scope of the nodes recorded inside to the module's path in the model, however it was called.

        Yields:
            The call, which wants its result, if calls are noted.
        """
        if module not in self._modules:
            self.name_module(module, self._fresh(type(module).__name__.lower()))
        path = self._modules[module]
        call = None if self.calls is None else Call(path, type(module).__name__)
        if call is not None and self.calls is not None:
            self.calls.append(call)
        self._scopes.append(path)
        try:
            yield call
        finally:
            self._scopes.pop()

    def name_module(self, module: Any, prefix: str) -> None:
        """Names a module, its submodules, and their parameters and buffers."""
        for path, child in module.named_modules():
            self._modules.setdefault(child, ".".join(filter(None, (prefix, path))))
        for path, tensor in (*module.named_parameters(), *module.named_buffers()):
            self.labels.setdefault(tensor._leaf_value(), ".".join(filter(None, (prefix, path))))

    def forget(self) -> None:
        """Releases tensors and modules, which a kept tensor would otherwise hold through its node and its trace."""
        self.captured = {}
        self.reads = []
        self.notes = []
        self.calls = None
        self.answer = None
        self._modules = {}

    def _fresh(self, name: str) -> str:
        taken = set(self._modules.values())
        return next(n for n in (name, *(f"{name}_{i}" for i in range(1, len(taken) + 2))) if n not in taken)


def trace(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Graph:
    """Runs a function or a module on example inputs and returns the recorded graph.

    Every Tensor among the arguments, however nested, becomes an input of the graph, named after its parameter;
    everything else is a constant. What the function closes over, parameters included, is captured.

    Args:
        function: a Module or any function of Tensors that returns Tensors, in any nested structure.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Raises:
        TraceError: inside another trace, or the function returned no Tensor.

    Example:
        >>> from lucid.tracer import trace
        >>> print(trace(lambda x: (x * 2).tanh(), lucid.ones(3)))
        graph(x: float32[3])
          %0: float32[3] = mul(x, 2)
          %1: float32[3] = tanh(%0)
          return output=%1
    """
    return record(function, args, kwargs)


def record(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    answer: Answer | None = None,
    limit: float = inf,
    names: Sequence[str] | None = None,
    shapes: Sequence[Sequence[int | Size]] | None = None,
    flipped: Guard | None = None,
    plain_keys: bool = False,
    trained: bool = False,
    calls: list[Call] | None = None,
) -> Graph:
    """Does what `trace` does; reads may get other answers, the run may be cut off, and sizes may be formulas.

    Args:
        function: what to run.
        args: its positional arguments.
        kwargs: its keyword arguments.
        answer: what each read gets instead of the elements.
        limit: the most ops and reads.
        names: a name for each input, in place of those of the function's parameters.
        shapes: for each input, the formula of each size; the trace is symbolic if they are given.
        flipped: a guard of a symbolic trace that gets the opposite outcome.
        plain_keys: whether sizes have the hashes of their numbers.
        trained: whether what requires gradients may change, as inputs do.
        calls: a list to which the calls of modules are added.

    Raises:
        TraceError: inside another trace, or the function returned no Tensor.
        EndlessRunError: the limit was exceeded.
    """
    if MODE.get().trace is not None:
        raise TraceError("trace: a trace is already under way here; a traced function cannot start another one")
    leaves, structure = flatten((args, kwargs), _is_tensor)
    sizes = None if shapes is None else Sizes(OPS["add"].tensor, flipped, plain_keys)
    recording = Trace(None, answer, limit, sizes, trained)
    recording.calls = calls
    if sizes is None:
        fresh = [leaf._alias() for leaf in leaves]
    else:
        fresh = [sizes.leaf(leaf, sizes.dims(leaf, shape)) for leaf, shape in zip(leaves, shapes or (), strict=True)]
    values = [tensor._leaf_value() for tensor in fresh]
    recording.inputs.update(values)
    names = names or input_names(function, args, kwargs)
    is_module = hasattr(function, "named_parameters")
    if is_module:
        nested = next((True for path, _ in function.named_modules() if path), False)  # type: ignore[attr-defined]
        recording.name_module(function, "")
        if not nested:
            recording._modules[function] = type(function).__name__.lower()
    args, kwargs = unflatten(structure, iter(fresh))
    token = MODE.set(Mode(MODE.get().grad, recording))
    try:
        result = function(*args, **kwargs)
        results, result_structure = flatten(result, _is_tensor)
        outputs = [recording.value_of(tensor) for tensor in results]
    finally:
        MODE.reset(token)
        if sizes is not None:
            sizes.done = True
    if not outputs:
        raise TraceError(f"trace: the function returned no Tensor, but {type(result).__name__}")
    for value in recording.captured:
        recording.labels.setdefault(value, f"constant_{len(recording.labels)}")
    declared = getattr(function, "output_names", ()) if is_module else ()
    parts = result_structure.parts if isinstance(result, (tuple, list)) else (result_structure,)
    if len(declared) == len(parts):
        output_names = [name for part, root in zip(parts, declared, strict=True) for name in _named(part, root)]
    else:
        output_names = [name.removeprefix("_") for name in paths(result_structure, _root(result_structure))]
    graph = Graph(
        dict(zip(names, values, strict=True)),
        dict(zip(_distinct(output_names), outputs, strict=True)),
        recording.captured,
        recording.labels,
        result_structure,
        tuple(recording.reads),
        None if sizes is None else sizes.unknowns,
        sizes,
        trained,
        tuple(recording.notes),
    )
    recording.forget()
    return graph


_CODE = record.__code__
"""Where the user's part of the stack begins."""


def input_names(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Returns a name for each Tensor among the arguments: its parameter's name, and its path in nested arguments."""
    import inspect

    declared = getattr(function, "input_names", ())
    try:
        parameters = list(inspect.signature(getattr(function, "forward", function)).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    # For an argument that holds several tensors a module may declare a name for each.
    named: list[str | tuple[str, ...]] = []
    for i in range(len(args)):
        if i < len(declared):
            named.append(declared[i])
        elif i < len(parameters) and parameters[i].kind is not inspect.Parameter.VAR_POSITIONAL:
            named.append(parameters[i].name)
        else:
            named.append(f"input_{i}")
    names: list[str] = []
    for name, argument in (*zip(named, args, strict=True), *kwargs.items()):
        names.extend(_named(flatten(argument, _is_tensor)[1], name))
    return _distinct(names)


def _named(structure: Structure, declared: str | tuple[str, ...]) -> list[str]:
    """Returns a name for each leaf: the declared names if there are as many, else paths that begin with one root."""
    if isinstance(declared, str):
        return paths(structure, declared)
    return list(declared) if len(declared) == structure.leaves() else paths(structure, "_".join(declared))


def _root(structure: Any) -> str:
    return "" if structure.kind is not None and issubclass(structure.kind, dict) else "output"


def _distinct(names: Iterable[str]) -> list[str]:
    taken: dict[str, None] = {}
    for name in names:
        taken[next(n for n in chain([name], (f"{name}_{i}" for i in count(1))) if n not in taken)] = None
    return list(taken)


def _is_tensor(x: Any) -> bool:
    return hasattr(x, "_leaf_value")
