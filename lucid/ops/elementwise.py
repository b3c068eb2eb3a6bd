"""Elementwise ops. Inputs broadcast as in NumPy; Python numbers take the dtype of the tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError
from ..tensor import Tensor, op
from ..tracer.op import Array
from ..tracer.promotion import result_type

__all__ = [
    "abs",
    "add",
    "astype",
    "eq",
    "exp",
    "ge",
    "gt",
    "le",
    "log",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "pow",
    "relu",
    "sigmoid",
    "sign",
    "sqrt",
    "sub",
    "tanh",
]

# PyTorch computes inf and nan silently. So do the ops that ordinarily yield them (quotients, powers, logarithms,
# exponentials), and the whole backward pass. Sums, differences and products of finite numbers overflow only if
# something has gone wrong, so there NumPy's RuntimeWarning stays: an errstate costs 0.5 µs, where such an op takes
# 1.5 µs on a small array, and NumPy's global setting belongs to the user.
_quiet = np.errstate(all="ignore")

_BOOLEAN = "the result is bool"


@op
def add(x: Array, y: Array, /) -> Array:
    """Computes ``x + y``, or ``x + alpha * y``.

    >>> lucid.add(lucid.tensor([1.0, 2.0]), 1)
    tensor([2., 3.])
    """
    return np.add(x, y)


@add.vjp
def _(g: Tensor) -> Any:
    return g, g


@op
def sub(x: Array, y: Array, /) -> Array:
    """Computes ``x - y``, or ``x - alpha * y``.

    >>> lucid.sub(lucid.tensor([1.0, 2.0]), 1)
    tensor([0., 1.])
    """
    return np.subtract(x, y)


@sub.vjp
def _(g: Tensor, needs: tuple[bool, ...]) -> Any:
    return g, -g if needs[1] else None


def _scaled(x: Any, y: Any, alpha: Any) -> Any:
    kind = result_type(x, y).kind
    if kind == "b":
        alpha = bool(alpha)
    elif isinstance(alpha, float) and kind != "f":
        raise DtypeError(f"add, sub: alpha must be an integer for integers; got {alpha}")
    return y * alpha


@add.takes("alpha")
def _(x: Any, y: Any, alpha: Any) -> Tensor:
    return add(x, _scaled(x, y, alpha))


@sub.takes("alpha")
def _(x: Any, y: Any, alpha: Any) -> Tensor:
    return sub(x, _scaled(x, y, alpha))


@op
def mul(x: Array, y: Array, /) -> Array:
    """Computes ``x * y``.

    >>> lucid.mul(lucid.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return np.multiply(x, y)


@mul.vjp
def _(g: Tensor, x: Any, y: Any, needs: tuple[bool, ...]) -> Any:
    return g * y if needs[0] else None, g * x if needs[1] else None


mul.keep_for(x="y", y="x")


@op
@_quiet
def div(x: Array, y: Array, /) -> Array:
    """Computes ``x / y``, the true division.

    >>> lucid.div(lucid.tensor([1.0, 2.0]), 2)
    tensor([0.5, 1. ])
    """
    return np.true_divide(x, y)


@div.vjp
def _(g: Tensor, out: Tensor, y: Any, needs: tuple[bool, ...]) -> Any:
    gx = g / y
    return gx, -gx * out if needs[1] else None


@op
@_quiet
def pow(x: Array, y: Array, /) -> Array:
    """Computes ``x ** y``. The gradient of `y` is 0 where `x` is 0 and `y` is not negative, and NaN below.

    >>> lucid.pow(lucid.tensor([1.0, 2.0]), 3)
    tensor([1., 8.])
    """
    return np.power(x, y)


@pow.vjp
def _(g: Tensor, x: Any, y: Any, out: Tensor, needs: tuple[bool, ...]) -> Any:
    gx = gy = None
    if needs[0]:
        # x ** (y - 1) is infinite at x = 0, y = 0, where the derivative is 0.
        lower = where(eq(y, 0), 1, y - 1) if isinstance(y, Tensor) else y - 1 if y else 1
        gx = g * (y * x**lower)
    if needs[1]:
        # 0 ** y is flat, but its logarithm is not finite.
        flat = eq(x, 0) & ge(y, 0)
        gy = g * where(flat, 0.0, out * log(where(flat, 1.0, x)))
    return gx, gy


@op
def neg(x: Array, /) -> Array:
    """Computes ``-x``.

    >>> lucid.neg(lucid.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return np.negative(x)


@neg.vjp
def _(g: Tensor) -> Any:
    return -g


@op
def abs(x: Array, /) -> Array:
    """Computes ``|x|``; the gradient at 0 is 0.

    >>> lucid.abs(lucid.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """
    return np.absolute(x)


@abs.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g * sign(x)


@op
def sign(x: Array, /) -> Array:
    """Returns the sign, -1, 0 or 1; the gradient is 0.

    >>> lucid.sign(lucid.tensor([3.0, 0.0, -2.0]))
    tensor([ 1.,  0., -1.])
    """
    try:
        return np.sign(x)
    except TypeError:
        if np.asarray(x).dtype != np.bool_:
            raise
        return np.array(x)


@sign.vjp
def _(g: Tensor) -> Any:
    return g * 0.0


@op
@_quiet
def exp(x: Array, /) -> Array:
    """Computes ``e ** x``.

    >>> lucid.exp(lucid.tensor([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """
    return np.exp(x)


@exp.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return g * out


@op
@_quiet
def log(x: Array, /) -> Array:
    """Computes the natural logarithm.

    >>> lucid.log(lucid.tensor([1.0, 10.0]))
    tensor([0.    , 2.3026])
    """
    return np.log(x)


@log.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g / x


@op
@_quiet
def sqrt(x: Array, /) -> Array:
    """Computes the square root.

    >>> lucid.sqrt(lucid.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    return np.sqrt(x)


@sqrt.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return g / (out * 2)


@op
def tanh(x: Array, /) -> Array:
    """Computes the hyperbolic tangent.

    >>> lucid.tanh(lucid.tensor([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """
    return np.tanh(x)


@tanh.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return g * (1 - out * out)


@op
@_quiet
def sigmoid(x: Array, /) -> Array:
    """Computes ``1 / (1 + exp(-x))``, the logistic function.

    >>> lucid.sigmoid(lucid.tensor([0.0, 1.0]))
    tensor([0.5   , 0.7311])
    """
    y = np.exp(-x)
    y += 1
    return 1 / y


@sigmoid.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return g * (out * (1 - out))


@op
def relu(x: Array, /) -> Array:
    """Computes ``max(x, 0)``; the gradient at 0 is 0, and NaN stays NaN.

    >>> lucid.relu(lucid.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return np.maximum(x, 0)


@relu.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return g * (out > 0)


@op
def maximum(x: Array, y: Array, /) -> Array:
    """Returns the elementwise maximum; equal elements get half of the gradient each.

    >>> lucid.maximum(lucid.tensor([1.0, 4.0]), lucid.tensor([2.0, 3.0]))
    tensor([2., 4.])
    """
    return np.maximum(x, y)


@op
def minimum(x: Array, y: Array, /) -> Array:
    """Returns the elementwise minimum; equal elements get half of the gradient each.

    >>> lucid.minimum(lucid.tensor([1.0, 4.0]), lucid.tensor([2.0, 3.0]))
    tensor([1., 3.])
    """
    return np.minimum(x, y)


@maximum.vjp
@minimum.vjp
def _(g: Tensor, x: Any, y: Any, out: Tensor) -> Any:
    first, second = astype(eq(x, out), g.dtype), astype(eq(y, out), g.dtype)
    share = g / (first + second)
    return share * first, share * second


@op
def where(condition: Array, x: Array, y: Array, /) -> Array:
    """Returns `x` where the condition is true, else `y`.

    >>> lucid.where(lucid.tensor([True, False]), lucid.tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    if not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray):
        # Two numbers are converted as in `lucid.tensor`.
        chosen: Any = np.where(condition, x, y)
        return chosen.astype(np.float32) if chosen.dtype == np.float64 else chosen
    return np.where(condition, x, y)


@where.vjp
def _(g: Tensor, condition: Tensor, needs: tuple[bool, ...]) -> Any:
    return (
        None,
        where(condition, g, 0.0) if needs[1] else None,
        where(condition, 0.0, g) if needs[2] else None,
    )


@op
@_quiet
def astype(x: Array, /, dtype: Any) -> Array:
    """Converts the elements to another dtype.

    >>> lucid.astype(lucid.tensor([1.5, 2.5]), "int64")
    tensor([1, 2])
    """
    return x.astype(dtype)


@astype.vjp
def _(g: Tensor) -> Any:
    return g


# --- comparisons


@op(no_gradient=_BOOLEAN)
def eq(x: Array, y: Array, /) -> Array:
    """Computes ``x == y``.

    >>> lucid.tensor([1.0, 2.0, 3.0]) == 2
    tensor([False,  True, False])
    """
    return np.equal(x, y)


@op(no_gradient=_BOOLEAN)
def ne(x: Array, y: Array, /) -> Array:
    """Computes ``x != y``.

    >>> lucid.tensor([1.0, 2.0, 3.0]) != 2
    tensor([ True, False,  True])
    """
    return np.not_equal(x, y)


@op(no_gradient=_BOOLEAN)
def lt(x: Array, y: Array, /) -> Array:
    """Computes ``x < y``.

    >>> lucid.tensor([1.0, 2.0, 3.0]) < 2
    tensor([ True, False, False])
    """
    return np.less(x, y)


@op(no_gradient=_BOOLEAN)
def le(x: Array, y: Array, /) -> Array:
    """Computes ``x <= y``.

    >>> lucid.tensor([1.0, 2.0, 3.0]) <= 2
    tensor([ True,  True, False])
    """
    return np.less_equal(x, y)


@op(no_gradient=_BOOLEAN)
def gt(x: Array, y: Array, /) -> Array:
    """Computes ``x > y``.

    >>> lucid.tensor([1.0, 2.0, 3.0]) > 2
    tensor([False, False,  True])
    """
    return np.greater(x, y)


@op(no_gradient=_BOOLEAN)
def ge(x: Array, y: Array, /) -> Array:
    """Computes ``x >= y``.

    >>> lucid.tensor([1.0, 2.0, 3.0]) >= 2
    tensor([False,  True,  True])
    """
    return np.greater_equal(x, y)
