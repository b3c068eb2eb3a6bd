"""ParameterList and ParameterDict: containers of parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..tensor import Parameter, Tensor
from .module import Module

__all__ = ["ParameterDict", "ParameterList"]


def _parameter(value: Any) -> Parameter:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"expected Parameters or Tensors; got {type(value).__name__}; keep other things in an attribute"
        )
    return value if isinstance(value, Parameter) else Parameter(value)


class ParameterList(Module):
    """A list of parameters, registered as such (torch.nn.ParameterList).

    Args:
        values: parameters; other tensors become parameters.

    Example:
        >>> scales = nn.ParameterList([lucid.ones(2), lucid.zeros(3)])
        >>> [p.shape for p in scales.parameters()]
        [(2,), (3,)]
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        if values is not None:
            self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Adds a parameter at the end."""
        self._parameters[str(len(self))] = _parameter(value)
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Adds parameters at the end."""
        if isinstance(values, Tensor):
            raise TypeError("ParameterList.extend takes several parameters; use append for one")
        for value in list(values):
            self.append(value)
        return self

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self)[index]
        return ParameterList(found) if isinstance(found, list) else found

    def __setitem__(self, index: int, value: Any) -> None:
        self._parameters[list(self._parameters)[index]] = _parameter(value)

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __len__(self) -> int:
        return len(self._parameters)

    def extra_repr(self) -> str:
        return _listed(self._parameters)


class ParameterDict(Module):
    """A dict of parameters, registered as such (torch.nn.ParameterDict).

    Args:
        parameters: a mapping, or pairs of a name and a parameter; other tensors become parameters. As in PyTorch, a
            plain dict is added in the order of its sorted names, an OrderedDict in its own.

    Example:
        >>> weights = nn.ParameterDict({"left": lucid.ones(2), "right": lucid.zeros(2)})
        >>> weights["left"].requires_grad, list(weights)
        (True, ['left', 'right'])
    """

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def update(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | ParameterDict) -> None:
        """Adds parameters; a parameter replaces an existing one of the same name."""
        pairs: Iterable[tuple[str, Any]]
        if isinstance(parameters, (OrderedDict, ParameterDict)):
            pairs = parameters.items()
        elif isinstance(parameters, Mapping):
            pairs = sorted(parameters.items())
        else:
            pairs = parameters
        for name, value in pairs:
            self[name] = value

    def get(self, key: str, default: Any = None) -> Any:
        """Returns a parameter, or `default` if there is none of that name."""
        return self._parameters.get(key, default)

    def pop(self, key: str) -> Any:
        """Removes a parameter and returns it."""
        return self._parameters.pop(key)

    def clear(self) -> None:
        """Removes all parameters."""
        self._parameters.clear()

    def keys(self) -> Iterable[str]:
        """Returns the names."""
        return self._parameters.keys()

    def values(self) -> Iterable[Any]:
        """Returns the parameters."""
        return self._parameters.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Returns the pairs of a name and a parameter."""
        return self._parameters.items()

    def __getitem__(self, key: str) -> Any:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"a name must be a string; got {type(key).__name__}")
        if "." in key or not key:
            raise KeyError(f"a name must not be empty nor contain '.'; got {key!r}")
        self._parameters[key] = _parameter(value)

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def extra_repr(self) -> str:
        return _listed(self._parameters)


def _listed(parameters: Mapping[str, Any]) -> str:
    lines = [f"\n  ({name}): {p.dtype}{list(p.shape)}" for name, p in parameters.items()]
    return "".join([*lines, "\n"]) if lines else ""
