"""Gradients of outputs with respect to inputs, and gradient checks by finite differences (torch.autograd)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .absent import absent_from
from .errors import GradientError
from .tensor import Tensor, around, initial_gradient
from .tracer.mode import enable_grad, is_grad_enabled, no_grad
from .tracer.op import OPS

__all__ = [
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
]

Tensors = Tensor | Sequence[Tensor]


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Returns the gradients of the sum of `outputs` with respect to `inputs` (torch.autograd.grad).

    It changes the `grad` of no tensor.

    Args:
        outputs: a tensor or several.
        inputs: the tensors to differentiate with respect to: leaves or results of ops.
        grad_outputs: the incoming gradient of each output; optional for outputs of a single element.
        retain_graph: keep the graph for another backward; defaults to `create_graph`.
        create_graph: make the gradients themselves differentiable.
        allow_unused: return None for an input that no output depends on, instead of raising an error.

    Raises:
        GradientError: an output was not computed from tensors that require gradients, an input requires none or was
            not used, `grad_outputs` is missing or has another shape, or the graph was freed.

    Example:
        >>> x = lucid.tensor([3.0], requires_grad=True)
        >>> (dx,) = lucid.autograd.grad(x * x, x, create_graph=True)
        >>> lucid.autograd.grad(dx, x)
        (tensor([2.]),)
    """
    ys = _tensors("outputs", outputs)
    xs = _tensors("inputs", inputs)
    given: Sequence[Tensor | None]
    if grad_outputs is None:
        given = [None] * len(ys)
    else:
        given = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    if len(given) != len(ys):
        raise GradientError(f"grad: one of grad_outputs for each output; got {len(given)} for {len(ys)} outputs")
    for i, y in enumerate(ys):
        if not y.requires_grad:
            raise GradientError(f"grad: output {i} was not computed from any tensor that requires gradients")
    for i, x in enumerate(xs):
        if not x.requires_grad:
            raise GradientError(f"grad: input {i}, of shape {x.shape}, does not require gradients")
    from .tracer.backward import backward as gradients_of  # at first use

    targets = [x._value or x._leaf_value() for x in xs]
    found = gradients_of(
        [(y._value or y._leaf_value(), initial_gradient(y, g)) for y, g in zip(ys, given, strict=True)],
        wrap=Tensor._wrap,
        targets=targets,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )
    if not allow_unused:
        for i, (x, target) in enumerate(zip(xs, targets, strict=True)):
            if target not in found:
                raise GradientError(
                    f"grad: no output depends on input {i}, of shape {x.shape}; allow_unused=True gives None for it"
                )
    return tuple(found.get(target) for target in targets)


def backward(
    tensors: Tensors,
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Adds the gradients of the sum of several tensors to the `grad` of their leaves (torch.autograd.backward).

    Args:
        tensors: a tensor or several.
        grad_tensors: the incoming gradient of each; optional for tensors of a single element.
        retain_graph: keep the graph for another backward; defaults to `create_graph`.
        create_graph: make the gradients themselves differentiable.

    Example:
        >>> w = lucid.tensor([1.0, 2.0], requires_grad=True)
        >>> lucid.autograd.backward([w.sum(), (w * w).sum()])
        >>> w.grad
        tensor([3., 5.])
    """
    ys = _tensors("tensors", tensors)
    given = [grad_tensors] if grad_tensors is None or isinstance(grad_tensors, Tensor) else list(grad_tensors)
    given = given * len(ys) if grad_tensors is None else given
    if len(given) != len(ys):
        raise GradientError(f"backward: one of grad_tensors for each tensor; got {len(given)} for {len(ys)} tensors")
    for i, (y, g) in enumerate(zip(ys, given, strict=True)):
        keep = create_graph if retain_graph is None else retain_graph
        y.backward(g, retain_graph=keep or i + 1 < len(ys), create_graph=create_graph)


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:  # noqa: N802 - PyTorch's name
    """Returns a new leaf with the elements of a tensor (torch.autograd.Variable, of old programs).

    >>> lucid.autograd.Variable(lucid.ones(1), requires_grad=True).requires_grad
    True
    """
    return data.detach().requires_grad_(requires_grad)


class set_detect_anomaly:  # noqa: N801 - PyTorch's name
    """Has no effect, as a call or in a ``with`` block (torch.autograd.set_detect_anomaly).

    Errors of the backward pass name the op and the line that made it in any case.
    """

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None


detect_anomaly = set_detect_anomaly


def vjp_of(function: Callable[..., Any], inputs: Sequence[Tensor | None], gradients: Any) -> tuple[Tensor | None, ...]:
    """Computes the gradients of a fused op by differentiating the equivalent function composed of ops.

    Call it inside a gradient rule. The result is differentiable if the rule runs with gradients enabled.

    Args:
        function: a function of the same inputs that returns the op's outputs.
        inputs: the op's inputs, as the rule receives them.
        gradients: the gradients of the op's outputs, as the rule receives them.
    """
    record = is_grad_enabled()
    with enable_grad():
        leaves = [None if x is None else OPS["clone"](x) for x in inputs]
        for x in leaves:
            if x is not None and not x.requires_grad:
                x.requires_grad_()
        results = function(*leaves)
        pairs = [
            (y, g)
            for y, g in zip(_several(results), _several(gradients), strict=True)
            if g is not None and y.requires_grad
        ]
        found: tuple[Any, ...] = grad(
            [y for y, _ in pairs],
            [x for x in leaves if x is not None],
            [g for _, g in pairs],
            create_graph=record,
            allow_unused=True,
        )
    given = iter(found)
    return tuple(None if x is None else next(given) for x in leaves)


def _several(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensors,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-4,
    raise_exception: bool = True,
) -> bool:
    """Compares the gradients of a function with central differences, element by element (torch.autograd.gradcheck).

    Args:
        fn: a function of Tensors that returns a Tensor or several.
        inputs: its arguments; those that require gradients are checked, and must be float64.
        eps: the step of the differences.
        atol: absolute tolerance.
        rtol: relative tolerance.
        raise_exception: raise an error if they differ, instead of returning False.

    Raises:
        GradientError: they differ; the message gives the first position, both numbers and both Jacobians.

    Example:
        >>> lucid.autograd.gradcheck(lucid.tanh, lucid.tensor([0.5], dtype="float64", requires_grad=True))
        True
    """
    args = _tensors("inputs", inputs)
    checked = _checked("gradcheck", args)
    problem = _compare(fn, args, checked, eps, atol, rtol)
    if problem is not None and raise_exception:
        raise GradientError(f"gradcheck: {problem}")
    return problem is None


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Tensors,
    grad_outputs: Sequence[Tensor] | None = None,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-4,
    raise_exception: bool = True,
) -> bool:
    """Compares the second-order gradients of a function with central differences of the first-order ones
    (torch.autograd.gradgradcheck).

    Args:
        fn: a function of Tensors that returns a Tensor or several.
        inputs: its arguments; those that require gradients are checked, and must be float64.
        grad_outputs: the incoming gradients of the outputs; fixed irregular numbers if not given.
        eps: the step of the differences.
        atol: absolute tolerance.
        rtol: relative tolerance.
        raise_exception: raise an error if they differ, instead of returning False.

    Raises:
        GradientError: they differ; the message gives the first position, both numbers and both Jacobians.

    Example:
        >>> lucid.autograd.gradgradcheck(lucid.tanh, lucid.tensor([0.5], dtype="float64", requires_grad=True))
        True
    """
    args = _tensors("inputs", inputs)
    checked = _checked("gradgradcheck", args)
    outputs = _outputs(fn(*args))
    if grad_outputs is None:
        generator = np.random.default_rng(0)
        grad_outputs = [around(generator.uniform(0.5, 1.5, y.shape)) for y in outputs]
    arriving = [around(g._data.copy(), requires_grad=True) for g in grad_outputs]

    def first(*all_args: Tensor) -> tuple[Tensor, ...]:
        given, incoming = all_args[: len(args)], all_args[len(args) :]
        pairs = [(y, g) for y, g in zip(_outputs(fn(*given)), incoming, strict=True) if y.requires_grad]
        found = grad(
            [y for y, _ in pairs],
            [given[i] for i in checked],
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
        )
        return tuple(g for g in found if g is not None and g.requires_grad)

    everything = [*args, *arriving]
    problem = _compare(first, everything, [*checked, *range(len(args), len(everything))], eps, atol, rtol)
    if problem is not None and raise_exception:
        raise GradientError(f"gradgradcheck: {problem}")
    return problem is None


def _tensors(what: str, given: Tensors) -> list[Tensor]:
    tensors = [given] if isinstance(given, Tensor) else list(given)
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor) and what == "outputs":
            raise TypeError(f"{what} must be Tensors; number {i} is {type(x).__name__}")
    return tensors


def _checked(name: str, args: Sequence[Any]) -> list[int]:
    """Returns the positions of the arguments to check."""
    checked = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise GradientError(f"{name}: none of the inputs requires gradients")
    for i in checked:
        if args[i].dtype != np.float64:
            raise GradientError(
                f"{name}: finite differences need float64, but input {i} is {args[i].dtype}; use x.double() before "
                "requires_grad_()"
            )
    return checked


def _outputs(result: Any) -> list[Tensor]:
    """Returns the floating-point results."""
    outputs = [result] if isinstance(result, Tensor) else list(result)
    return [y for y in outputs if isinstance(y, Tensor) and y.is_floating_point()]


def _compare(
    fn: Callable[..., Any], args: Sequence[Any], checked: Sequence[int], eps: float, atol: float, rtol: float
) -> str | None:
    """Describes the first error in the gradients; returns None if there is none."""
    # Contiguous copies: the differences are taken in place, whatever views were given.
    args = [
        around(np.array(x._data, order="C"), requires_grad=x.requires_grad) if isinstance(x, Tensor) else x
        for x in args
    ]
    outputs = _outputs(fn(*args))
    differences = {i: _differences(fn, args, i, [y.shape for y in outputs], eps) for i in checked}
    for k, y in enumerate(outputs):
        rows: dict[int, list[np.ndarray[Any, Any]]] = {i: [] for i in checked}
        for flat in range(y._data.size):
            one = np.zeros(y.shape, y.dtype)
            one.reshape(-1)[flat] = 1
            found: tuple[Any, ...] = (None,) * len(checked)
            if y.requires_grad:
                found = grad(y, [args[i] for i in checked], around(one), retain_graph=True, allow_unused=True)
            for i, g in zip(checked, found, strict=True):
                if g is not None and g.shape != args[i].shape:
                    return f"the gradient of input {i} has shape {g.shape}, but the input has {args[i].shape}"
                rows[i].append(np.zeros(args[i]._data.size) if g is None else g._data.astype(np.float64).reshape(-1))
        for i in checked:
            analytic = np.array(rows[i]).reshape(y._data.size, args[i]._data.size)
            numeric = differences[i][k]
            close = np.isclose(analytic, numeric, rtol=rtol, atol=atol, equal_nan=True)
            if not close.all():
                row, column = (int(n) for n in np.argwhere(~close)[0])
                return (
                    f"the gradient of output {k}[{_place(row, y.shape)}] in input {i}[{_place(column, args[i].shape)}] "
                    f"is {analytic[row, column]:.8g}, but the finite difference is {numeric[row, column]:.8g} "
                    f"(atol={atol}, rtol={rtol}); the Jacobians are\n{analytic}\nand\n{numeric}"
                )
    return None


def _differences(
    fn: Callable[..., Any], args: Sequence[Any], i: int, shapes: Sequence[tuple[int, ...]], eps: float
) -> list[np.ndarray[Any, Any]]:
    """Returns each output's Jacobian with respect to input `i`, by central differences."""
    flat = args[i]._data.reshape(-1)
    jacobians = [np.zeros((int(np.prod(shape)), flat.size)) for shape in shapes]
    for j in range(flat.size):
        before = flat[j]
        ends = []
        for step in (eps, -eps):
            flat[j] = before + step
            ends.append([y._data.astype(np.float64).reshape(-1) for y in _outputs(fn(*args))])
        flat[j] = before
        for jacobian, high, low in zip(jacobians, *ends, strict=True):
            jacobian[:, j] = (high - low) / (2 * eps)
    return jacobians


def _place(flat: int, shape: tuple[int, ...]) -> str:
    return ", ".join(str(int(n)) for n in np.unravel_index(flat, shape)) if shape else ""


# Type checkers would assume that every name exists.
if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
