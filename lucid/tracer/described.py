"""Describes, in messages, what was given in place of a Tensor, and what to write instead."""

from __future__ import annotations

from typing import Any

__all__ = ["described"]

_CONVERT = {
    "torch": "lucid.tensor(x.detach().cpu().numpy())",
    "tensorflow": "lucid.tensor(x.numpy())",
    "jax": "lucid.tensor(np.asarray(x))",
    "jaxlib": "lucid.tensor(np.asarray(x))",
    "pandas": "lucid.tensor(x.to_numpy())",
}


def described(x: Any) -> str:
    """Returns the type of an object, with what to write to make a Tensor of it.

    Example:
        >>> from lucid.tracer.described import described
        >>> described("text")
        'str'
        >>> described(np.ones(2))
        'ndarray; convert it, as in lucid.tensor(x)'
    """
    kind = type(x)
    package = kind.__module__.partition(".")[0]
    if isinstance(x, (tuple, list)) and len(x) < 2:
        return f"{kind.__name__} of {len(x)}; give the Tensor itself"
    if isinstance(x, tuple):
        return (
            f"{kind.__name__} of {len(x)}; a recurrent layer returns its output and its last state, so take the output "
            "first, as in output, state = rnn(x)"
        )
    if package == "numpy":
        return f"{kind.__name__}; convert it, as in lucid.tensor(x)"
    if package in _CONVERT:
        return f"{package}.{kind.__name__}; convert it, as in {_CONVERT[package]}"
    return kind.__name__
