"""Module: a layer or model with parameters, buffers and submodules (torch.nn.Module)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..devices import is_device, require_cpu
from ..tables import html_table
from ..tensor import Parameter, Tensor, around
from ..tracer.mode import MODE
from ..tracer.run import RUN, assigns
from .call import summary_of
from .hooks import Hooked, call_with_hooks
from .state import IncompatibleKeys, entries_of, load_state

__all__ = ["Module"]

M = TypeVar("M", bound="Module")


class Module(Hooked):
    """The base class of all layers and models.

    Parameters and submodules are registered when assigned to attributes; `forward` defines what a call computes.

    Attributes:
        training: whether it is in training mode; dropout acts only then.

    Example:
        >>> class Regression(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.rnn = nn.RNN(2, 8)
        ...         self.head = nn.Linear(8, 1)
        ...     def forward(self, x):
        ...         output, h_n = self.rnn(x)
        ...         return self.head(h_n[-1])
        >>> Regression()(lucid.zeros(5, 3, 2)).shape
        (3, 1)
    """

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: frozenset[str] = frozenset()
    _notes: frozenset[str] = frozenset()
    """The attributes in which a call notes something that no later call reads."""

    def __init__(self) -> None:
        own = self.__dict__
        own["training"] = True
        own["_parameters"] = {}
        own["_buffers"] = {}
        own["_modules"] = {}
        own["_last_call"] = None
        own["_hooks"] = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the result of a call; each module defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        trace = MODE.get().trace
        if trace is not None:
            with trace.module(self) as call:
                result = self.forward(*args, **kwargs) if self._hooks is None else call_with_hooks(self, args, kwargs)
                if call is not None:
                    call.returned(result)
                return result
        result = self.forward(*args, **kwargs) if self._hooks is None else call_with_hooks(self, args, kwargs)
        if RUN.get() is None:
            self.__dict__["_last_call"] = summary_of(args, kwargs)
        return result

    # --- attributes

    @property
    def training(self) -> bool:
        """Whether it is in training mode; inside the runs of an export, that of the run."""
        try:
            own: bool = self.__dict__["training"]
        except KeyError:
            raise AttributeError(f"call super().__init__() in {type(self).__name__}.__init__ first") from None
        run = RUN.get()
        return own if run is None else run.mode(self, own)

    @training.setter
    def training(self, mode: bool) -> None:
        run = RUN.get()
        if run is not None and "training" in self.__dict__:
            run.set_mode(self, mode)
        else:
            self.__dict__["training"] = mode

    def __setattr__(self, name: str, value: Any) -> None:
        assigns(self, name)
        own = self.__dict__
        if isinstance(value, (Parameter, Module)) and "_parameters" not in own:
            raise AttributeError(f"call super().__init__() in {type(self).__name__}.__init__ before assigning {name!r}")
        for table, kind, what in _TABLES:
            entries = own.get(table, {})
            if isinstance(value, kind) and kind is not Tensor:
                # A replaced entry keeps its place in the order.
                if name not in entries:
                    self._forget(name)
                entries[name] = value
                return
            if name in entries:
                if value is not None and not isinstance(value, kind):
                    raise TypeError(
                        f"cannot assign {type(value).__name__} as {what} {name!r}; expected {kind.__name__} or None"
                    )
                entries[name] = value
                return
        if name in own.get("_computed", ()):
            raise AttributeError(f"{name!r} is computed at each access; change what it is computed from")
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        own: dict[str, Any] = self.__dict__
        for table in ("_parameters", "_buffers", "_modules"):
            if name in (entries := own.get(table, ())):
                return entries[name]
        computed = own.get("_computed", ())
        if name in computed:
            return computed[name](self)
        hint = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __delattr__(self, name: str) -> None:
        assigns(self, name)
        if not self._forget(name):
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _forget(self, name: str) -> bool:
        own = self.__dict__
        entries = (own.get("_parameters", {}), own.get("_buffers", {}), own.get("_modules", {}), own)
        return any(table.pop(name, _MISSING) is not _MISSING for table in entries)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Registers a parameter under a name; None reserves the name for an absent parameter."""
        self._check_name(name, "_parameters")
        assigns(self, name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot register {type(param).__name__} as parameter {name!r}; expected Parameter or None")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Registers a tensor that is not trained; it belongs to the state dict unless `persistent` is False."""
        self._check_name(name, "_buffers")
        assigns(self, name)
        assigns(self, "_transient")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot register {type(tensor).__name__} as buffer {name!r}; expected Tensor or None")
        self._buffers[name] = tensor
        self.__dict__["_transient"] = self._transient - {name} if persistent else self._transient | {name}

    def add_module(self, name: str, module: Module | None) -> None:
        """Registers a submodule under a name."""
        self._check_name(name, "_modules")
        assigns(self, name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module")
        self._modules[name] = module

    def _check_name(self, name: str, table: str) -> None:
        if table not in self.__dict__:
            raise AttributeError(f"call super().__init__() in {type(self).__name__}.__init__ before adding {name!r}")
        if not isinstance(name, str):
            raise TypeError(f"a name must be a string; got {type(name).__name__}")
        if "." in name or not name:
            raise KeyError(f"a name must not be empty nor contain '.'; got {name!r}")
        if hasattr(self, name) and name not in self.__dict__[table]:
            raise KeyError(f"{type(self).__name__} already has an attribute {name!r}")

    # --- contents

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yields this module and every module below it, once, with its path."""
        # A stack: a nested function that calls itself would be a reference cycle, which holds all modules seen.
        seen: set[Module] = set()
        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if module not in seen:
                seen.add(module)
                yield path, module
                children = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
                stack.extend(reversed(children))

    def modules(self) -> Iterator[Module]:
        """Yields this module and every module below it, once."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """Returns the submodule at a path such as "layers.0"; itself for "". Raises AttributeError if there is none."""
        found: Any = self
        for name in target.split(".") if target else ():
            found = getattr(found, name)
        if not isinstance(found, Module):
            raise AttributeError(f"{target!r} is no module but a {type(found).__name__}")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """Returns the parameter at a path such as "layers.0.weight". Raises AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(path), name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"{target!r} is no parameter but a {type(found).__name__}")
        return found

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yields the modules directly below this one, with their names."""
        return ((name, child) for name, child in self._modules.items() if child is not None)

    def children(self) -> Iterator[Module]:
        """Yields the modules directly below this one."""
        return (child for _, child in self.named_children())

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yields every parameter, once, with its path."""
        return self._named("_parameters", prefix, recurse, once=True)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yields every parameter, once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yields every buffer, once, with its path."""
        return self._named("_buffers", prefix, recurse, once=True)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yields every buffer, once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, table: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen: set[Tensor] = set()
        paths = self.named_modules(prefix) if once else self._paths(prefix)
        for path, module in paths if recurse else ((prefix, self),):
            for name, tensor in module.__dict__[table].items():
                if tensor is not None and not (once and tensor in seen):
                    seen.add(tensor)
                    yield f"{path}.{name}" if path else name, tensor

    def _paths(self, prefix: str) -> Iterator[tuple[str, Module]]:
        """Yields every path to a module; a shared module has several."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child._paths(f"{prefix}.{name}" if prefix else name)

    # --- modes

    def train(self: M, mode: bool = True) -> M:
        """Switches this module and all below it to training mode, or to evaluation mode."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode must be a bool; got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Switches this module and all below it to evaluation mode."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Enables or disables gradients for all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or sets them to zero."""
        run = RUN.get()
        for parameter in self.parameters():
            if run is not None:
                run.gradients.append(parameter)
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = around(np.zeros_like(parameter._data))

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Calls a function on this module and every module below it, the innermost first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self: M, *target: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> M:
        """Converts all floating-point parameters and buffers to a dtype, in place (torch.nn.Module.to).

        Args:
            target: a dtype, a tensor whose dtype is taken, or the device "cpu", which a dtype may follow.
            dtype: the dtype, by name.
            device: "cpu".
            non_blocking: has no effect.

        Raises:
            TypeError: the dtype is not a floating-point one.
            RuntimeUnavailableError: the device is not the CPU.
        """
        kinds = []
        for item in (*target, device, dtype):
            if item is None or is_device(item):
                require_cpu(item)
            elif not isinstance(item, bool):
                kinds.append(item.dtype if isinstance(item, Tensor) else np.dtype(item))
        for kind in kinds:
            if kind.kind != "f":
                raise TypeError(f"a module can be converted to floating-point dtypes only; got {kind}")
            self._convert(kind)
        return self

    def _convert(self, dtype: np.dtype[Any]) -> None:
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.is_floating_point() and tensor.dtype != dtype:
                tensor._replace(tensor._data.astype(dtype))
                if tensor.grad is not None:
                    tensor.grad = around(tensor.grad._data.astype(dtype))

    def cpu(self: M) -> M:
        """Returns the module itself: it is in the CPU's memory."""
        return self

    def cuda(self: M, device: Any = None) -> M:
        """Raises RuntimeUnavailableError: training runs on the CPU, exported and compiled models on a GPU."""
        return self.to("cuda")

    def float(self: M) -> M:
        """Converts to float32, in place."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Converts to float64, in place."""
        return self.to(np.float64)

    def half(self: M) -> M:
        """Converts to float16, in place."""
        return self.to(np.float16)

    # --- state

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Returns all parameters and buffers by name, sharing memory with the module's.

        Args:
            destination: the dict to add them to, and to return; a new `OrderedDict` if None.
            prefix: what the names begin with.
            keep_vars: return the parameters and buffers themselves rather than tensors without gradients.
        """
        state: dict[str, Any] = OrderedDict() if destination is None else destination
        for name, tensor in entries_of(self):
            state[prefix + name] = tensor if keep_vars else around(tensor._data)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copies values into the parameters and buffers. If anything does not fit, nothing is changed.

        Args:
            state_dict: tensors or arrays by name: lucid's, or PyTorch's as NumPy arrays.
            strict: reject names that are missing or unexpected.

        Returns:
            The names missing from `state_dict`, and those in it that the module does not have.

        Raises:
            StateDictError: names (if `strict`), shapes or dtypes do not fit; the message lists them all.
        """
        return load_state(self, state_dict, strict)

    # --- representation

    def extra_repr(self) -> str:
        """Returns what the repr shows between the parentheses, besides the submodules."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return "\n  ".join([f"{type(self).__name__}({extra}", *lines]) + "\n)"

    def _repr_html_(self) -> str:
        rows = []
        for path, module in self.named_modules():
            own = sum(p._data.size for p in module.parameters(recurse=False))
            rows.append((path or "(model)", type(module).__name__, module.extra_repr(), own))
        total = f"parameters: {sum(p._data.size for p in self.parameters()):,}"
        return html_table(type(self).__name__, ("module", "type", "options", "own parameters"), rows, [total])


_INSTEAD = {
    "bfloat16": "NumPy has none; write model.half() or model.float()",
    "get_buffer": "write dict(model.named_buffers())[name]",
    "load": "write model.load_state_dict(lucid.load(path))",
    "register_module": "write model.add_module(name, module)",
    "save": "write lucid.save(model.state_dict(), path)",
    "share_memory": "lucid trains in one process; lucid.compile_backward(model) uses all cores",
    "type": "write model.to(dtype)",
    "compile": "lucid.compile(model) runs it in onnxruntime",
    "fit": "write the loop: loss = ...; loss.backward(); optimizer.step()",
    "predict": "call the model: model(x)",
    "summary": "write lucid.summary(model, x)",
}
"""Attributes of PyTorch's and Keras' models, and what to write instead."""

_TABLES = (
    ("_parameters", Parameter, "parameter"),
    ("_modules", Module, "child module"),
    ("_buffers", Tensor, "buffer"),
)


class _Missing:
    """Stands for an absent entry where None may be present."""


_MISSING = _Missing()
