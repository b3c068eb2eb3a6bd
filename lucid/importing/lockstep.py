"""Lockstep: a program at the sizes of its file and at others, side by side, to see what stands for a size.

A file with fixed sizes may hold constants that were made of them: a shape, an index of the last step, initial states
for each sequence. The program runs at the file's sizes and at others side by side, so each node shows which axes of
its inputs are free. A constant that can only mean a free size is replaced by it; one that may mean it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import LucidError, ModelImportError
from ..ops.shape import broadcast_to
from ..tensor import Parameter, Tensor
from .program import Program, Step, computed
from .registry import Operation, imports
from .values import Array, Sizes, constant, integers
from .weights import GATES

__all__ = ["Lockstep", "differing"]

_BROADCASTING = frozenset(
    {"Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod"}
    | {"Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"}
)
_PASSING = frozenset({"Add", "Cast", "Neg", "Reshape", "Squeeze", "Sub", "Transpose", "Unsqueeze"})
_INDEXED = frozenset({"GatherElements", "GatherND", "ScatterElements", "ScatterND"})
_MAKING = {"ConstantOfShape": (0,), "Expand": (1,), "Range": (0, 1), "Resize": (2, 3), "Tile": (1,)}
"""Operators that make axes, and the inputs that say how large."""

_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})


class Lockstep:
    """Runs a program at the file's sizes and at others, and adapts its steps to the latter.

    Args:
        program: the program.
        scope: its parameters and buffers, by key.
        frozen: the sizes that are freed, by name.
        where: called with a recurrent step and the two values of each of its inputs, before it is adapted.
    """

    def __init__(
        self,
        program: Program,
        scope: Mapping[str, Any],
        frozen: Mapping[str, int],
        where: Callable[[Step, Sequence[Any], Sequence[Any]], None] | None = None,
    ) -> None:
        self._program = program
        self._scope = scope
        self._frozen = dict(frozen)
        self._where = where
        self._constants: dict[str, Any] = dict(program.constants)
        self._fixed = {*scope, *program.constants}
        self._summed: set[str] = set()
        self._sequences: set[str] = set()
        self._steps: list[Step] = []

    def run(self, one: Sequence[Any], two: Sequence[Any]) -> Program:
        """Returns the program with adapted steps.

        Args:
            one: the inputs at the file's sizes.
            two: the inputs at other sizes.

        Raises:
            ModelImportError: a constant may stand for a size that is freed, or a node fails at other sizes.
        """
        first = {**self._scope, **self._constants, **dict(zip(self._program.inputs, one, strict=True))}
        second = {**self._scope, **self._constants, **dict(zip(self._program.inputs, two, strict=True))}
        for step in self._program.steps:
            a, b = ([values[name] if name else None for name in step.inputs] for values in (first, second))
            if step.node.op_type in (*GATES, "Loop", "Scan") and self._where is not None:
                self._where(step, a, b)
            before = list(computed(step, first))
            try:
                parts = self._adapted(step, a, b)
            except (ValueError, IndexError, TypeError) as error:
                raise self._refusal(step, f"it has other axes at other sizes: {error}") from error
            for part in parts:
                self._steps.append(part)
                second.update({name: value for name, value in self._constants.items() if name not in second})
                try:
                    results = computed(part, second)
                except (LucidError, ValueError, IndexError) as error:
                    raise self._refusal(step, f"it fails at other sizes: {error}") from error
                second.update({name: value for name, value in zip(part.outputs, results, strict=False) if name})
            first.update({name: value for name, value in zip(step.outputs, before, strict=False) if name})
            if any(name and len(_shape(first[name])) != len(_shape(second[name])) for name in step.outputs):
                raise self._refusal(step, "the number of axes that it gives depends on a size that is to be freed")
        for name in self._program.outputs:
            if name in self._fixed and self._stands_for_size(_shape(first[name])):
                raise ModelImportError(
                    f"the output {name!r} is a constant, and one of its axes has a size that is freed"
                )
        return self._program._replace(steps=tuple(self._steps), constants=self._constants)

    # --- what may stand for a size

    def _refusal(self, step: Step, reason: str) -> ModelImportError:
        error = ModelImportError(f"{step.node}: {reason}")
        error.node = step.node
        return error

    def _stands_for_size(self, numbers: Iterable[Any], last: bool = False) -> int | None:
        """Returns the first number that is a size to be freed, or that size less one, if there is one."""
        sizes = {n for n in self._frozen.values() if n > 1}
        sizes |= {n - 1 for n in sizes if n > 2} if last else set()
        return next((int(n) for n in numbers if abs(n) < 2**31 and int(n) == n and int(n) in sizes), None)

    def _refuse_number(self, step: Step, numbers: Iterable[Any], what: str) -> None:
        found = self._stands_for_size(numbers, last=True)
        if found is not None:
            raise self._refusal(step, f"the constant {found} in its {what} may stand for a size that is to be freed")

    def _adapted(self, step: Step, a: Sequence[Any], b: Sequence[Any]) -> list[Step]:
        kind = step.node.op_type
        self._note_sums(step, a, b)
        if kind in GATES:
            return self._recurrent(step, a, b)
        if kind == "Reshape":
            return [self._reshape(step, a, b)]
        if kind in _BROADCASTING:
            return [self._broadcast(step, a, b)]
        if kind == "Expand" and step.inputs[0] in self._fixed:
            rank = len(_numbers(a[1]))
            free = {i - rank for i, (n, m) in enumerate(zip(_numbers(a[1]), _numbers(b[1]), strict=True)) if n != m}
            step = self._shrunk(step, 0, a[0], free)
        if kind == "Transpose" and step.inputs[0] in self._sequences and step.node.get("perm") == [0, 2, 1, 3]:
            self._sequences.add(step.outputs[0])
        self._check(step, kind, a, b)
        return [step]

    def _check(self, step: Step, kind: str, a: Sequence[Any], b: Sequence[Any]) -> None:
        """Refuses a node by whose constants a free axis is cut, indexed or made."""
        free = differing(a[0], b[0]) if a else []
        if kind == "Gather" and step.node.get("axis", 0) % len(_shape(a[0])) in free and constant(a[1]):
            axis = step.node.get("axis", 0) % len(_shape(a[0]))
            size = _shape(a[0])[axis]
            found = [int(i) for i in np.ravel(a[1]) if i == size - 1]
            if found:
                raise self._refusal(
                    step, f"the index {found[0]} may stand for the last of {size} elements along an axis that is freed"
                )
        elif kind == "Slice":
            self._slice(step, a, b, free)
        elif kind in _INDEXED:
            if free and constant(a[1]):
                self._refuse_number(step, np.ravel(a[1]), "indices")
            if step.inputs[0] in self._fixed and any(differing(x, y) for x, y in zip(a, b, strict=True)):
                self._refuse_number(step, _shape(a[0]), "shape")
        elif kind in ("Compress", "ReverseSequence") and free and constant(a[1]):
            raise self._refusal(step, "what it chooses along an axis that is freed is a constant")
        elif kind in _MAKING:
            for i in _MAKING[kind]:
                if i < len(a) and a[i] is not None and not isinstance(a[i], Tensor):
                    numbers, later = _numbers(a[i]), _numbers(b[i])
                    own = (
                        [1] * len(numbers)
                        if kind != "Expand"
                        else [*([1] * len(numbers)), *_shape(a[0])][-len(numbers) :]
                    )
                    same = [n for n, m, size in zip(numbers, later, own, strict=True) if n == m and size == 1]
                    self._refuse_number(step, same, "bounds" if kind == "Range" else "shape")
        elif (
            kind in ("Split", "TopK") and step.node.get("axis", -1 if kind == "TopK" else 0) % len(_shape(a[0])) in free
        ):
            if len(a) > 1 and constant(a[1]) and a[1] is not None:
                self._refuse_number(step, [*np.ravel(a[1]), int(np.sum(a[1]))], "counts along an axis that is freed")
        elif kind in _POOLS and any(axis > 1 for axis in free):
            self._refuse_number(step, step.node.get("kernel_shape", ()), "kernel")
        for inner in step.node.attributes.values():
            if isinstance(inner, Program):
                self._inside(step, inner)
        if kind == "Loop" and constant(a[0]) and a[0] is not None:
            self._refuse_number(step, np.ravel(a[0]), "number of trips")

    def _slice(self, step: Step, a: Sequence[Any], b: Sequence[Any], free: Sequence[int]) -> None:
        rank = len(_shape(a[0]))
        starts, ends = _numbers(a[1]), _numbers(a[2])
        axes = [int(n) % rank for n in _numbers(a[3])] if len(a) > 3 and a[3] is not None else range(len(starts))
        for start, end, axis, later, last in zip(starts, ends, axes, _numbers(b[1]), _numbers(b[2]), strict=False):
            if axis in free:
                size = _shape(a[0])[axis]
                suspects = [n for n, m in ((start, later), (end, last)) if n == m and n in (size, size - 1, -size)]
                suspects = [n for n in suspects if not (n == 0 and start == 0 and end != 0)]
                if suspects:
                    raise self._refusal(
                        step,
                        f"the bound {suspects[0]} may stand for the end of an axis that is freed, of {size} elements",
                    )

    def _inside(self, step: Step, program: Program) -> None:
        for name, value in program.constants.items():
            if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
                self._refuse_number(step, value.ravel(), f"graph ({name})")
        for inner in program.steps:
            for value in inner.node.attributes.values():
                if isinstance(value, Program):
                    self._inside(step, value)

    def _note_sums(self, step: Step, a: Sequence[Any], b: Sequence[Any]) -> None:
        """Notes the sums over free axes, since a mean may be such a sum, divided by the size."""
        kind = step.node.op_type
        if kind == "ReduceSum":
            axes = step.node.get("axes")
            if axes is None and len(a) > 1 and a[1] is not None:
                axes = _numbers(a[1])
            rank = len(_shape(a[0]))
            over = range(rank) if axes is None or not len(axes) else [int(axis) % rank for axis in axes]
            if set(over) & set(differing(a[0], b[0])):
                self._summed.update(step.outputs)
        elif kind in _PASSING and self._summed & set(step.inputs):
            self._summed.update(step.outputs)

    # --- what is adapted

    def _recurrent(self, step: Step, a: Sequence[Any], b: Sequence[Any]) -> list[Step]:
        """Gives constant initial states the size of the batch, and drops those that are zero, and full lengths."""
        batch_axis = 0 if step.node.get("layout", 0) else 1
        self._sequences.add(step.outputs[0])
        free = differing(a[0], b[0])
        if not free:
            return [step]
        inputs, parts = list(step.inputs), []
        lengths, *states = (1, 2, 3) if step.form == "recurrent" else (4, 5, 6)
        if self._lengths(step, a, lengths):
            inputs[lengths] = ""
        if batch_axis not in free:
            return [step._replace(inputs=tuple(inputs))]
        held = [i for i in states if i < len(a) and inputs[i]]
        frozen = [i for i in held if inputs[i] in self._fixed]
        if len(frozen) == len(held) and all(not _array(a[i]).any() for i in held):
            for i in held:
                inputs[i] = ""
            frozen = []
        for i in frozen:
            state = _array(a[i])
            row = np.take(state, [0], batch_axis)
            if (state != row).any():
                name = inputs[i].removeprefix("\0")
                raise self._refusal(step, f"the initial state {name!r} is a constant that differs between sequences")
            name = self._constant(f"{step.outputs[0] or step.outputs[-1]}\0{i}", row)
            node = Operation("Expand", f"{step.node.name}", {"axis": batch_axis}, step.node.opset, 1)
            parts.append(Step("broadcast_state", node, (name, inputs[0]), (f"{name}\0",)))
            inputs[i] = f"{name}\0"
        return [*parts, step._replace(inputs=tuple(inputs))]

    def _lengths(self, step: Step, a: Sequence[Any], place: int) -> bool:
        """Returns whether the lengths of sequences are constants, and say that each has all steps."""
        if place >= len(a) or a[place] is None or not constant(a[place]):
            return False
        axis = 1 if step.node.get("layout", 0) else 0
        if (np.asarray(a[place]) != _shape(a[0])[axis]).any():
            raise self._refusal(step, "the lengths of its sequences are constants")
        return True

    def _reshape(self, step: Step, a: Sequence[Any], b: Sequence[Any]) -> Step:
        """Replaces the sizes in a constant shape that follow from free axes."""
        free = differing(a[0], b[0])
        if not free or not constant(a[1]):
            return step
        given, target = _shape(a[0]), [int(n) for n in np.ravel(a[1])]
        if not step.node.get("allowzero", 0):
            target = [given[i] if n == 0 else n for i, n in enumerate(target)]
        known = math.prod(n for n in target if n != -1)
        whole = [math.prod(given) // max(known, 1) if n == -1 else n for n in target]
        if step.inputs[0] in self._sequences and whole == [*given[:2], given[2] * given[3]] and 2 not in free:
            sizes: Any = ((0,), (1,), whole[2])  # (T, N, D, H) to (T, N, D H), whatever T and N are
        else:
            sizes = _aligned(given, whole, free)
        if sizes is None:
            raise self._refusal(
                step,
                f"it reshapes {tuple(given)} to {tuple(whole)}; which of these follow from what is freed is not clear",
            )
        node = step.node._replace(attributes={**step.node.attributes, "sizes": sizes})
        return step._replace(form="reshape_by_axes", node=node, inputs=step.inputs[:1])

    def _broadcast(self, step: Step, a: Sequence[Any], b: Sequence[Any]) -> Step:
        """Shrinks constants that repeat along a free axis; refuses those that do not, and a sum divided by a size."""
        rank = max(len(_shape(x)) for x in a)
        free = {axis - len(_shape(x)) for x, y in zip(a, b, strict=True) for axis in differing(x, y)}
        for i, name in enumerate(step.inputs):
            if name in self._fixed:
                self._refuse_mean(step, _array(a[i]), rank)
                step = self._shrunk(step, i, a[i], free)
        if any(isinstance(x, Sizes) for x in a):
            for name, x in zip(step.inputs, a, strict=True):
                if name in self._fixed:
                    self._refuse_number(step, _numbers(x), "arithmetic on sizes")
        return step

    def _shrunk(self, step: Step, i: int, value: Any, free: Iterable[int]) -> Step:
        """Returns a step whose constant input has one element along free axes, which count from the last."""
        array = _array(value)
        for axis in free:
            if -axis <= array.ndim and array.shape[axis] > 1:
                row = np.take(array, [0], axis)
                if (array != row).any() or isinstance(value, Parameter):
                    name = step.inputs[i].removeprefix("\0")
                    raise self._refusal(step, f"the constant {name!r} has elements along an axis that is freed")
                array = row
        if array.shape == _shape(value):
            return step
        inputs = list(step.inputs)
        inputs[i] = self._constant(f"{step.outputs[0]}\0{i}", array)
        return step._replace(inputs=tuple(inputs))

    def _refuse_mean(self, step: Step, array: Array, rank: int) -> None:
        if array.size == 1 and rank and self._summed & set(step.inputs) and step.node.op_type in ("Div", "Mul"):
            value = float(array.reshape(-1)[0])
            if any(np.isclose(value, n) or np.isclose(value, 1 / n) for n in self._frozen.values()):
                raise self._refusal(step, f"it scales a sum over an axis that is freed by the constant {value:g}")

    def _constant(self, name: str, array: Array) -> str:
        self._constants[name] = np.ascontiguousarray(array)
        self._fixed.add(name)
        return name


def _array(x: Any) -> Array:
    return np.asarray(x._data if isinstance(x, Tensor) else x)


def _shape(x: Any) -> tuple[int, ...]:
    return tuple(x.items.shape if isinstance(x, Sizes) else np.shape(x._data if isinstance(x, Tensor) else x))


def _numbers(x: Any) -> list[Any]:
    return integers(x) if isinstance(x, Sizes) else list(_array(x).ravel().tolist())


def differing(x: Any, y: Any) -> list[int]:
    """Returns the axes in which a value differs between the two runs."""
    if x is None or y is None:
        return []
    return [axis for axis, (n, m) in enumerate(zip(_shape(x), _shape(y), strict=True)) if n != m]


def _aligned(given: Sequence[int], target: Sequence[int], free: Sequence[int]) -> tuple[Any, ...] | None:
    """Returns for each size of a shape a number, or the axes whose product it is; None if that is not clear.

    Example:
        >>> from lucid.importing.lockstep import _aligned
        >>> _aligned((7, 3, 1, 8), (7, 3, 8), [0, 1])
        ((0,), (1,), 8)
        >>> _aligned((21, 8), (7, 3, 8), [0]) is None
        True
    """
    sizes: list[Any] = []
    i = j = 0
    while i < len(given) or j < len(target):
        axes, places = [], []
        left = right = 1
        while True:
            if (left <= right and i < len(given)) or j == len(target):
                left, i = left * given[i], i + 1
                axes.append(i - 1)
            else:
                right, j = right * target[j], j + 1
                places.append(j - 1)
            if (left == right and axes and places) or (i == len(given) and j == len(target)):
                break
        own = [axis for axis in axes if axis in free]
        large = [axis for axis in axes if given[axis] != 1 or axis in free]
        if not own:
            sizes += [target[place] for place in places]
        elif any(given[axis] == 1 for axis in own) and not (len(axes) == len(places) == 1):
            return None
        elif len([place for place in places if target[place] != 1]) == 1:
            sizes += [1 if target[place] == 1 else tuple(large) for place in places]
        else:
            return None
    return tuple(sizes)


@imports("reshape_by_axes")
def _(node: Operation, x: Tensor) -> Tensor:
    """A Reshape some of whose sizes are products of its input's."""
    sizes = [n if isinstance(n, int) else math.prod([x.shape[axis] for axis in n]) for n in node.get("sizes")]
    return x.reshape(*sizes)


@imports("broadcast_state")
def _(node: Operation, state: Tensor, x: Tensor) -> Tensor:
    """An initial state that is the same for each sequence, for those of a batch."""
    axis = node.get("axis")
    shape = list(state.shape)
    shape[axis] = x.shape[axis]
    return broadcast_to(state, tuple(shape))
