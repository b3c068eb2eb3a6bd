"""OnnxModule: a module that computes what an ONNX file says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DtypeError, ModelImportError, ShapeError
from ..nn.module import Module
from ..tensor import Parameter, Tensor, around
from ..tracer.mode import note
from .freeing import freed, roles
from .layout import Reading
from .program import Program
from .states import with_states
from .values import as_tensor

__all__ = ["OnnxModule", "Port"]


class Port(NamedTuple):
    """An input or output of a file.

    Attributes:
        name: its name.
        shape: its axes: sizes, names, or None where nothing is known; None if even their number is not known.
        dtype: its dtype.
    """

    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: np.dtype[Any]

    @property
    def names(self) -> tuple[str | None, ...]:
        """The names of its axes that an export can keep."""
        return tuple([n if isinstance(n, str) and n.isidentifier() else None for n in self.shape or ()])

    def __str__(self) -> str:
        axes = "" if self.shape is None else f"[{', '.join('?' if n is None else str(n) for n in self.shape)}]"
        return f"{self.name} {self.dtype}{axes}"


class Folder(Module):
    """Weights of an imported module that belong together."""

    def forward(self, *args: Any) -> Any:
        raise NotImplementedError("it holds weights of an imported module; call that module")

    def extra_repr(self) -> str:
        return _sizes(self)


class OnnxModule(Module):
    """A module that computes what an ONNX file says (`lucid.from_onnx`).

    Attributes:
        inputs: what it takes, in this order.
        outputs: what it returns: a Tensor if it is one, otherwise a tuple.
        input_names, output_names: their names, which an export keeps.
        opset: the version of the operator set of the file.
        operators: how many nodes of each operator it has.

    Shape:
        As the file declares; axes with a name are free.

    Raises:
        TypeError: at the call, if an input is missing or is no Tensor, number or array.
        DtypeError: at the call, if an input has a dtype of another kind than the file declares.
        ShapeError: at the call, if an input does not have the axes that the file declares, or axes of one name differ.
    """

    def __init__(self, reading: Reading, inputs: Sequence[Port], outputs: Sequence[Port], opset: int) -> None:
        super().__init__()
        self.inputs, self.outputs, self.opset = tuple(inputs), tuple(outputs), opset
        self.input_names = tuple([port.name for port in inputs])
        self.output_names = tuple([port.name for port in outputs])
        self.operators = dict(Counter(step.node.op_type for step in _steps(reading.program)))
        self._program = reading.program
        self._keys = dict(reading.keys)
        for path, array in reading.parameters.items():
            folder, name = self._folder(path)
            folder.register_parameter(name, Parameter(around(array.copy())))
        for path, array in reading.buffers.items():
            folder, name = self._folder(path)
            folder.register_buffer(name, around(array.copy()))

    def axis_roles(self) -> dict[tuple[str, int], str]:
        """Returns which axes of the inputs a recurrent operator reads as "time" or as "batch"."""
        return roles(self._program, self._scope(), *_ports(self.inputs))

    def free(self, names: Mapping[tuple[str, int], str]) -> None:
        """Frees axes of the inputs that the file fixes: they then take any size.

        Args:
            names: the axes, each an input and a number, and the name of each; equal names are equal sizes.

        Raises:
            ModelImportError: a constant in the file may stand for the size that an axis had, or a node fails at others.
            ValueError: there is no such input or axis.
        """
        ports = {port.name: port for port in self.inputs}
        chosen: dict[tuple[str, int], str] = {}
        for (name, axis), label in names.items():
            if name not in ports:
                raise ValueError(f"from_onnx: dynamic names {name!r}; the inputs are {', '.join(ports)}")
            shape = list(ports[name].shape or ())
            if not -len(shape) <= axis < len(shape):
                raise ValueError(f"from_onnx: dynamic names axis {axis} of {name!r}, which has {len(shape)} axes")
            chosen[name, axis % len(shape)] = label
            shape[axis] = label
            ports[name] = ports[name]._replace(shape=tuple(shape))
        try:
            self._program = freed(self._program, self._scope(), *_ports(self.inputs), chosen)
        except ModelImportError as error:
            places = ", ".join(f"axis {axis} of {name} ({label})" for (name, axis), label in chosen.items())
            raise ModelImportError(
                f"from_onnx cannot free {places}: {error}. The file was written for fixed sizes; write it again with "
                "these axes free, by dynamic_axes= or dynamic_shapes= of torch.onnx.export"
            ) from error
        self.inputs = tuple([ports[port.name] for port in self.inputs])
        self.outputs = tuple([port._replace(shape=None) for port in self.outputs])

    def carry_states(self) -> dict[str, str]:
        """Makes an input of each hidden initial state, which is zero, and an output of the last state.

        Returns:
            The output that continues each new input: ``{"h": "h_next", "c": "c_next"}``, numbered if there are several
            layers.

        Raises:
            ModelImportError: there is no such state, or a layer runs backward, so its state cannot be carried on.
        """
        shapes, dtypes = _ports(self.inputs)
        self._program, states = with_states(self._program, self._scope(), shapes, dtypes)
        self.inputs += tuple([Port(state.name, state.shape, state.dtype) for state in states])
        self.outputs += tuple([Port(state.output, state.shape, state.dtype) for state in states])
        self.input_names += tuple([state.name for state in states])
        self.output_names += tuple([state.output for state in states])
        return {state.name: state.output for state in states}

    def _folder(self, path: str) -> tuple[Module, str]:
        *folders, name = path.split(".")
        module: Module = self
        for part in folders:
            if part not in module._modules:
                module.add_module(part, Folder())
            module = module._modules[part]  # type: ignore[assignment]
        return module, name

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Computes the outputs; inputs may be given by their names in the file."""
        values = self._arguments(inputs, named)
        # A graph may compute what it then does not choose, such as 0 * inf before a Where.
        with np.errstate(all="ignore"):
            results = [as_tensor(x) for x in self._program.run(self._scope(), *values, named=True)]
        return results[0] if len(results) == 1 else tuple(results)

    def _scope(self) -> dict[str, Tensor]:
        """Returns the parameters and buffers, by the names that the program has for them."""
        return {key: _at(self, path) for path, key in self._keys.items()}

    def _arguments(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> list[Any]:
        given = dict(zip(self.input_names, inputs, strict=False))
        unknown = sorted(set(named) - {*self.input_names} | set(named) & {*given})
        missing = [name for name in self.input_names if name not in given and name not in named]
        if len(inputs) > len(self.inputs) or unknown or missing:
            raise TypeError(
                f"OnnxModule takes {', '.join(map(str, self.inputs)) or 'nothing'}; got {len(inputs)} by position"
                + (f" and {', '.join(sorted(named))} by name" if named else "")
            )
        given |= named
        values = [_checked(port, given[port.name]) for port in self.inputs]
        _check_names(self.inputs, values)
        for port, value in zip(self.inputs, values, strict=True):
            if isinstance(value, Tensor):
                note(value, *port.names)
        return values

    def extra_repr(self) -> str:
        nodes = ", ".join(f"{count} {kind}" for kind, count in self.operators.items())
        takes, gives = (", ".join(map(str, ports)) for ports in (self.inputs, self.outputs))
        own = _sizes(self)
        return f"{takes} -> {gives}; opset {self.opset}; {nodes}" + (f"; {own}" if own else "")


def _ports(ports: Sequence[Port]) -> tuple[dict[str, tuple[int | str, ...]], dict[str, np.dtype[Any]]]:
    """Returns the shape and the dtype of each input, with a name for each axis that is free."""
    shapes = {}
    for port in ports:
        if port.shape is None:
            raise ModelImportError(f"the file does not say how many axes {port.name} has")
        shapes[port.name] = tuple([f"{port.name}\0{i}" if n is None else n for i, n in enumerate(port.shape)])
    return shapes, {port.name: port.dtype for port in ports}


def _steps(program: Program) -> list[Any]:
    found = []
    for step in program.steps:
        found.append(step)
        for inner in step.node.attributes.values():
            if isinstance(inner, Program):
                found += _steps(inner)
    return found


def _at(module: Module, path: str) -> Tensor:
    *folders, name = path.split(".")
    for part in folders:
        module = module._modules[part]  # type: ignore[assignment]
    found: Any = getattr(module, name)
    return found


def _checked(port: Port, value: Any) -> Any:
    """Returns an argument as the program takes it: a number or an array is a constant."""
    if isinstance(value, (bool, int, float, np.ndarray, np.generic)):
        given = np.asarray(value)
        value = given.astype(port.dtype) if np.can_cast(given.dtype, port.dtype, "same_kind") else given
    elif not isinstance(value, Tensor):
        raise TypeError(f"OnnxModule: {port.name} must be a Tensor, an array or a number; got {type(value).__name__}")
    if _KINDS.get(value.dtype.kind) != _KINDS[port.dtype.kind]:  # of one kind, since a module may be converted
        raise DtypeError(f"OnnxModule: {port} got dtype {value.dtype}")
    if port.shape is None:
        return value
    fits = len(value.shape) == len(port.shape) and all(
        not isinstance(want, int) or want == n for n, want in zip(value.shape, port.shape, strict=True)
    )
    if not fits:
        raise ShapeError(f"OnnxModule: {port} got shape {tuple(value.shape)}")
    return value


_KINDS = {"b": "bool", "f": "float", "i": "int", "u": "int"}


def _check_names(ports: Sequence[Port], values: Sequence[Any]) -> None:
    """Raises an error unless axes of one name have one size; in a trace this ties them."""
    seen: dict[str, tuple[Any, str]] = {}
    for port, value in zip(ports, values, strict=True):
        for label, n in zip(port.shape or (), value.shape, strict=False):
            if isinstance(label, str):
                first, owner = seen.setdefault(label, (n, port.name))
                if first != n:
                    raise ShapeError(f"OnnxModule: {label} is {n} in {port.name}, and {first} in {owner}")


def _sizes(module: Module) -> str:
    own = {**module._parameters, **module._buffers}
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in own.items() if value is not None)
