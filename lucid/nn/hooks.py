"""Hooks of a module: functions that see a call, and may change its arguments, its result or its gradients."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors import GradientError
from ..ops.conversion import passed
from ..tensor import Tensor
from ..tracer.mode import is_grad_enabled
from ..tracer.run import assigns

__all__ = ["Hooked", "RemovableHandle", "call_with_hooks"]

Tables = dict[str, dict[object, Any]]


class RemovableHandle:
    """Removes a hook of a module, also at the end of a ``with`` block."""

    def __init__(self, module: Hooked, key: object) -> None:
        self._module = weakref.ref(module)
        self._key = key

    def remove(self) -> None:
        """Removes the hook; does nothing if it is already gone."""
        module = self._module()
        if module is None or module._hooks is None:
            return
        for table in module._hooks.values():
            table.pop(self._key, None)
        if not any(module._hooks.values()):
            assigns(module, "_hooks")
            module.__dict__["_hooks"] = None

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Hooked:
    """Mixin: registration of hooks."""

    _hooks: Tables | None
    """The hooks, by what they see; None if there are none, so that a call without hooks costs nothing more."""

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Registers a function that is called before `forward` (torch.nn.Module.register_forward_pre_hook).

        Args:
            hook: takes the module and the tuple of positional arguments; what it returns, if not None, replaces them.
            prepend: call it before the other hooks instead of after them.
            with_kwargs: the hook also takes the dict of keyword arguments, and returns both or None.

        Returns:
            A handle, whose `remove` removes the hook.

        Example:
            >>> layer = nn.Identity()
            >>> with layer.register_forward_pre_hook(lambda module, args: args[0] * 2):
            ...     layer(lucid.tensor([1.0]))
            tensor([2.])
        """
        return self._register("before", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Registers a function that is called after `forward` (torch.nn.Module.register_forward_hook).

        Args:
            hook: takes the module, the tuple of positional arguments, and the result; what it returns, if not None,
                replaces the result.
            prepend: call it before the other hooks instead of after them.
            with_kwargs: the hook also takes the dict of keyword arguments, before the result.

        Returns:
            A handle, whose `remove` removes the hook.

        Example:
            >>> layer, seen = nn.Linear(3, 2), []
            >>> handle = layer.register_forward_hook(lambda module, args, output: seen.append(output.shape))
            >>> _ = layer(lucid.ones(5, 3))
            >>> handle.remove()
            >>> seen
            [(5, 2)]
        """
        return self._register("after", hook, prepend, with_kwargs)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Registers a function that is called when the gradients of a call's inputs are there
        (torch.nn.Module.register_full_backward_hook).

        If no input requires a gradient, it is called when those of the outputs are there.

        Args:
            hook: takes the module, the gradients of the positional arguments, and those of the results: tuples, with
                None for what requires none or got none. What it returns, if not None, replaces those of the arguments.
            prepend: call it before the other hooks instead of after them.

        Returns:
            A handle, whose `remove` removes the hook.

        Example:
            >>> layer, x = nn.Tanh(), lucid.zeros(2, requires_grad=True)
            >>> handle = layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * 10,))
            >>> layer(x).sum().backward()
            >>> x.grad
            tensor([10., 10.])
        """
        return self._register("backward", hook, prepend, False)

    def _register(self, kind: str, hook: Callable[..., Any], prepend: bool, with_kwargs: bool) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"a hook must be callable; got {type(hook).__name__}")
        if self._hooks is None:
            assigns(self, "_hooks")
            self.__dict__["_hooks"] = {"before": {}, "after": {}, "backward": {}, "with_kwargs": {}}
        assert self._hooks is not None
        key, table = object(), self._hooks[kind]
        others = list(table.items()) if prepend else []
        for other, _ in others:
            del table[other]
        table[key] = hook
        table.update(others)
        if with_kwargs:
            self._hooks["with_kwargs"][key] = True
        return RemovableHandle(self, key)


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls a module's `forward`, and its hooks."""
    hooks: Tables = module._hooks
    with_kwargs = hooks["with_kwargs"]
    for key, hook in list(hooks["before"].items()):
        if key in with_kwargs:
            given = hook(module, args, kwargs)
            if given is not None:
                if not isinstance(given, tuple) or len(given) != 2:
                    raise RuntimeError(f"a forward pre-hook with kwargs returns None or (args, kwargs); got {given!r}")
                args, kwargs = given
        elif (given := hook(module, args)) is not None:
            args = given if isinstance(given, tuple) else (given,)
    backward = _Backward(module, list(hooks["backward"].values())) if hooks["backward"] else None
    if backward is not None:
        args = backward.enter(args)
    result = module.forward(*args, **kwargs)
    for key, hook in list(hooks["after"].items()):
        given = hook(module, args, kwargs, result) if key in with_kwargs else hook(module, args, result)
        if given is not None:
            result = given
    return result if backward is None else backward.leave(result)


class _Backward:
    """One call of a module with backward hooks: it joins the gradients of the inputs and of the outputs."""

    def __init__(self, module: Any, hooks: Sequence[Callable[..., Any]]) -> None:
        self.module = module
        self.hooks = hooks
        self.inputs: _Side | None = None
        self.outputs: _Side | None = None
        self.arguments = 0
        self.grad_output: tuple[Any, ...] | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.arguments = len(args)
        args, self.inputs = _link(self, "at_inputs", args)
        return args

    def leave(self, result: Any) -> Any:
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                f"{type(self.module).__name__}: backward hooks are called for a result that is a Tensor or a tuple; "
                f"got {type(result).__name__}",
                stacklevel=4,
            )
            return result
        parts, self.outputs = _link(self, "at_outputs", result if isinstance(result, tuple) else (result,))
        return parts if isinstance(result, tuple) else parts[0]

    def at_outputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        assert self.outputs is not None
        self.grad_output = self.outputs.spread(gradients)
        if self.inputs is None:
            for hook in self.hooks:
                given = hook(self.module, (None,) * self.arguments, self.grad_output)
                if given is not None and any(g is not None for g in given):
                    raise GradientError("a backward hook returns None where no input of the module requires gradients")
            self.grad_output = None
        return gradients

    def at_inputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        assert self.inputs is not None
        # In a gradient of a gradient, one may arrive that did not come through the outputs.
        if self.grad_output is None:
            return gradients
        found = self.inputs.spread(gradients)
        for hook in self.hooks:
            given = hook(self.module, found, self.grad_output)
            if given is not None:
                found = _checked(given, found)
        self.grad_output = None
        return tuple([found[place] for place in self.inputs.places])


def _checked(given: Any, before: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(given, tuple) or len(given) != len(before):
        what = f"{len(given)} parts" if isinstance(given, tuple) else type(given).__name__
        raise GradientError(f"a backward hook returns None or a tuple of {len(before)} gradients; got {what}")
    for new, old in zip(given, before, strict=True):
        if new is not None and old is not None and (new.shape != old.shape or new.dtype != old.dtype):
            raise GradientError(
                f"a backward hook must keep shape and dtype, {old.dtype}{list(old.shape)}; it returned "
                f"{new.dtype}{list(new.shape)}"
            )
    return given


class _Side(NamedTuple):
    """The inputs or the outputs of a call: how many there are, and the places of those that require gradients."""

    parts: int
    places: list[int]

    def spread(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns None for what has no gradient."""
        found: list[Any] = [None] * self.parts
        for place, g in zip(self.places, gradients, strict=True):
            found[place] = g
        return tuple(found)


class _Link:
    """What a node calls in the backward pass. Those of two runs of a module are equal, so that graphs can agree."""

    def __init__(self, call: _Backward, name: str) -> None:
        self.call = call
        self.name = name

    def __call__(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        found: tuple[Any, ...] = getattr(self.call, self.name)(gradients)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Link) and self.call.module is other.call.module and self.name == other.name

    def __hash__(self) -> int:
        return hash((self.call.module, self.name))


def _link(call: _Backward, name: str, parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], _Side | None]:
    """Passes on what requires gradients, so that the backward pass calls a method of `call` with all of these."""
    places = [i for i, part in enumerate(parts) if isinstance(part, Tensor) and part.requires_grad]
    if not places or not is_grad_enabled():
        return parts, None
    linked = list(parts)
    results: Any = passed(*[parts[place] for place in places], link=_Link(call, name))
    for place, result in zip(places, results, strict=True):
        linked[place] = result
    return tuple(linked), _Side(len(parts), places)
