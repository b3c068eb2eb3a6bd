"""The docstrings of methods that call a function of the same name, or overwrite the tensor with its result.

Such a method has no docstring in its file: it gets one when the functions are loaded. So `help` shows it, and its
example runs as a doctest, like that of any other method.
"""

from __future__ import annotations

from types import FunctionType

from .table import F

__all__ = ["document"]

_EXAMPLES = {
    "abs_": ("-1.0, 2.0", "", "1., 2."),
    "bitwise_and_": ("3, 5", "6", "2, 4"),
    "bitwise_not_": ("0, 1", "", "-1, -2"),
    "bitwise_or_": ("1, 4", "2", "3, 6"),
    "bitwise_xor_": ("3, 5", "1", "2, 4"),
    "ceil_": ("0.2, 1.5", "", "1., 2."),
    "clamp_max_": ("-2.0, 0.5, 3.0", "1", "-2. ,  0.5,  1. "),
    "clamp_min_": ("-2.0, 0.5, 3.0", "-1", "-1. ,  0.5,  3. "),
    "clamp_": ("-2.0, 0.5, 3.0", "-1, 1", "-1. ,  0.5,  1. "),
    "cos_": ("0.0, 1.0", "", "1.    , 0.5403"),
    "cumsum_": ("1.0, 2.0, 3.0", "0", "1., 3., 6."),
    "div_": ("1.0, 6.0", "4", "0.25, 1.5 "),
    "erf_": ("0.0, 1.0", "", "0.    , 0.8427"),
    "exp_": ("0.0, 1.0", "", "1.    , 2.7183"),
    "expm1_": ("0.0, 1.0", "", "0.    , 1.7183"),
    "floor_": ("0.2, 1.5", "", "0., 1."),
    "floor_divide_": ("7.0, -7.0", "2", " 3., -4."),
    "log1p_": ("0.0, 1.0", "", "0.    , 0.6931"),
    "log2_": ("1.0, 8.0", "", "0., 3."),
    "log_": ("1.0, 2.0", "", "0.    , 0.6931"),
    "logical_and_": ("True, True", "lucid.tensor([True, False])", " True, False"),
    "logical_not_": ("True, False", "", "False,  True"),
    "logical_or_": ("True, False", "lucid.tensor([False, False])", " True, False"),
    "logical_xor_": ("True, False", "lucid.tensor([True, True])", "False,  True"),
    "masked_fill_": ("1.0, 2.0", "lucid.tensor([True, False]), 0.0", "0., 2."),
    "mul_": ("1.0, 2.0", "3", "3., 6."),
    "neg_": ("1.0, -2.0", "", "-1.,  2."),
    "pow_": ("2.0, 3.0", "2", "4., 9."),
    "reciprocal_": ("2.0, 4.0", "", "0.5 , 0.25"),
    "relu_": ("-1.0, 2.0", "", "0., 2."),
    "remainder_": ("7.0, -7.0", "4", "3., 1."),
    "round_": ("0.2, 1.7", "", "0., 2."),
    "rsqrt_": ("1.0, 4.0", "", "1. , 0.5"),
    "scatter_": ("1.0, 2.0, 3.0", "0, lucid.tensor([2]), lucid.tensor([9.0])", "1., 2., 9."),
    "scatter_add_": ("1.0, 2.0, 3.0", "0, lucid.tensor([2, 2]), lucid.ones(2)", "1., 2., 5."),
    "sigmoid_": ("0.0, 1.0", "", "0.5   , 0.7311"),
    "sign_": ("-3.0, 0.0, 2.0", "", "-1.,  0.,  1."),
    "sin_": ("0.0, 1.0", "", "0.    , 0.8415"),
    "sqrt_": ("1.0, 4.0", "", "1., 2."),
    "square_": ("1.0, -2.0", "", "1., 4."),
    "squeeze_": ("[1.0, 2.0]", "0", "1., 2."),
    "swapaxes_": ("[1.0, 2.0]", "0, 1", "[1.],\n        [2.]"),
    "t_": ("[1.0, 2.0]", "", "[1.],\n        [2.]"),
    "tanh_": ("0.0, 1.0", "", "0.    , 0.7616"),
    "transpose_": ("[1.0, 2.0]", "0, 1", "[1.],\n        [2.]"),
    "tril_": ("[1.0, 2.0], [3.0, 4.0]", "", "[1., 0.],\n        [3., 4.]"),
    "triu_": ("[1.0, 2.0], [3.0, 4.0]", "", "[1., 2.],\n        [0., 4.]"),
    "trunc_": ("-1.5, 1.5", "", "-1.,  1."),
    "unsqueeze_": ("1.0, 2.0", "0", "[1., 2.]"),
}
"""By method: the elements of a tensor, the arguments, and the elements afterwards."""

_SHAPES = {"squeeze_", "swapaxes_", "t_", "transpose_", "unsqueeze_"}
"""The methods that change the axes of the tensor, and no element."""

_SECOND = {
    "absolute": ("abs", "-1.0, 2.0", "", "1., 2."),
    "divide": ("div", "1.0, 6.0", "4", "0.25, 1.5 "),
    "greater": ("gt", "1.0, 6.0", "4", "False,  True"),
    "greater_equal": ("ge", "1.0, 4.0", "4", "False,  True"),
    "less": ("lt", "1.0, 6.0", "4", " True, False"),
    "less_equal": ("le", "4.0, 6.0", "4", " True, False"),
    "moveaxis": ("movedim", "[1.0, 2.0]", "0, 1", "[1.],\n        [2.]"),
    "multiply": ("mul", "1.0, 2.0", "3", "3., 6."),
    "negative": ("neg", "1.0, -2.0", "", "-1.,  2."),
    "not_equal": ("ne", "1.0, 4.0", "4", " True, False"),
    "subtract": ("sub", "1.0, 2.0", "3", "-2., -1."),
    "true_divide": ("div", "1.0, 6.0", "4", "0.25, 1.5 "),
}
"""By second name of a method: the first name, the elements of a tensor, the arguments, and those of the result."""

_OVERWRITES = """Overwrites the elements with those of ``x.{plain}(...)``, and returns the tensor (torch.Tensor.{name}).

    It keeps its shape and dtype: the result has to fit. See `lucid.{plain}`.
"""
_RESHAPES = """Gives the tensor the axes of ``x.{plain}(...)``, and returns it (torch.Tensor.{name}).

    It keeps its elements and their memory. See `lucid.{plain}`.
"""
_SAME = """Is another name of ``x.{plain}(...)`` (torch.Tensor.{name}). See `lucid.{plain}`.
"""
_EXAMPLE = """
    >>> lucid.tensor([{before}]).{name}({arguments})
    tensor([{after}])
    """


def document(tensor: type) -> None:
    """Gives each public method without a docstring that of the function that it calls."""
    for kind in tensor.__mro__:
        for name, method in vars(kind).items():
            if isinstance(method, FunctionType) and method.__doc__ is None and not name.startswith("_"):
                method.__doc__ = _made(name) if name in _EXAMPLES or name in _SECOND else _called(name)


def _called(name: str) -> str | None:
    """Returns the docstring of a function, and how the method is called where its example does not show it."""
    text: str | None = getattr(F.get(name), "__doc__", None)
    if text is None or f").{name}(" in text:
        return text
    return f"{text.rstrip()}\n\n    The method ``x.{name}(...)`` is ``lucid.{name}(x, ...)``.\n    "


def _made(name: str) -> str | None:
    plain, before, arguments, after = _SECOND.get(name) or (name[:-1], *_EXAMPLES[name])
    if getattr(F[plain], "__doc__", None) is None:  # python -OO removes docstrings
        return None
    text = _SAME if name in _SECOND else _RESHAPES if name in _SHAPES else _OVERWRITES
    example = _EXAMPLE.format(before=before, name=name, arguments=arguments, after=after.replace("\n", "\n    "))
    return text.format(plain=plain, name=name) + example
