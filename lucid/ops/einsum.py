"""einsum, composed of matrix products: as fast as these, differentiable and exportable without rules of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..tensor import Tensor, as_tensor
from ..tracer.dim import concrete
from ..tracer.extent import broadcast, equal, same_shape
from ..tracer.op import function
from .creation import arange
from .elementwise import mul
from .index import getitem
from .linalg import matmul
from .reduce import sum
from .shape import permute, reshape_to, unsqueeze

__all__ = ["einsum"]


@function
def einsum(equation: str, *operands: Any) -> Tensor:
    """Computes products of tensors, summed over the letters that the result does not have (torch.einsum).

    Each letter names an axis; one that occurs twice in an operand selects its diagonal; ``...`` stands for axes that
    broadcast. Without ``->`` the result has the letters that occur once, in alphabetical order.

    Args:
        equation: the letters of each operand, ``->``, and those of the result, as in ``"bij,bjk->bik"``.
        operands: the tensors, or one sequence of them. They are multiplied from left to right.

    Raises:
        ShapeError: the equation is malformed, or does not fit the operands.

    >>> lucid.einsum("ij,kj->ik", lucid.tensor([[1.0, 2.0]]), lucid.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([[11., 17.]])
    """
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    tensors = [as_tensor(x) for x in operands]
    terms, result = _parse(equation, tensors)
    sizes = _sizes(equation, terms, tensors)
    x, letters = _prepared(tensors[0], terms[0], set(result).union(*terms[1:]))
    for i, tensor in enumerate(tensors[1:], 1):
        rest = set(result).union(*terms[i + 1 :])
        y, others = _prepared(tensor, terms[i], rest | set(letters))
        x, letters = _summed(x, letters, rest | set(others))
        x, letters = _product(x, letters, y, others, rest, sizes)
    x, letters = _summed(x, letters, set(result))
    return _arranged(x, letters, result)


def _parse(equation: str, tensors: Sequence[Tensor]) -> tuple[list[str], str]:
    """Returns the letters of each operand and of the result; Greek letters, from alpha on, are the axes of ``...``."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not tensors or len(terms) != len(tensors):
        raise ShapeError(f"einsum: {equation!r} is for {len(terms)} operands; got {len(tensors)}")
    dots = 0
    for term, x in zip(terms, tensors, strict=True):
        names = term.replace("...", "", 1)
        if not all(c.isascii() and c.isalpha() for c in names):
            raise ShapeError(f"einsum: letters, '...', ',' and '->' make an equation; got {equation!r}")
        free = x.ndim - len(names)
        if free < 0 or (free and "..." not in term):
            raise ShapeError(f"einsum: {term!r} in {equation!r} does not fit an operand of shape {x.shape}")
        dots = max(dots, free)
    broadcast = "".join(chr(0x391 + i) for i in range(dots))
    spelled = []
    for term, x in zip(terms, tensors, strict=True):
        free = x.ndim - len(term.replace("...", "", 1))
        spelled.append(term.replace("...", broadcast[dots - free :], 1))
    if arrow:
        result = right.replace("...", broadcast, 1)
    else:
        every = "".join(spelled)
        result = broadcast + "".join(sorted(c for c in set(every) - set(broadcast) if every.count(c) == 1))
    unknown = set(result) - set("".join(spelled))
    if unknown or len(set(result)) != len(result):
        raise ShapeError(f"einsum: the result of {equation!r} must have letters of the operands, each once")
    return spelled, result


def _sizes(equation: str, terms: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, x in zip(terms, tensors, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            try:
                (sizes[letter],) = broadcast((sizes.get(letter, 1),), (n,))
            except ValueError as error:
                raise ShapeError(
                    f"einsum: {letter!r} in {equation!r} has the sizes {sizes[letter]} and {n}; got shapes "
                    f"{', '.join(str(x.shape) for x in tensors)}"
                ) from error
    return sizes


def _prepared(x: Tensor, letters: str, needed: set[str]) -> tuple[Tensor, str]:
    """Returns an operand with each letter once, summed over the letters that occur nowhere else."""
    for letter in sorted({c for c in letters if letters.count(c) > 1}):
        places = [i for i, c in enumerate(letters) if c == letter]
        order = [*places, *(i for i in range(len(letters)) if i not in places)]
        along = arange(x.shape[places[0]])
        if any(x.shape[i] != x.shape[places[0]] for i in places):
            raise ShapeError(f"einsum: {letter!r} stands for axes of different sizes in an operand of shape {x.shape}")
        x = getitem(permute(x, tuple(order)), (along,) * len(places))
        letters = letter + "".join(c for c in letters if c != letter)
    return _summed(x, letters, needed)


def _summed(x: Tensor, letters: str, needed: set[str]) -> tuple[Tensor, str]:
    lost = tuple(i for i, c in enumerate(letters) if c not in needed)
    return (sum(x, lost) if lost else x), "".join(c for c in letters if c in needed)


def _product(x: Tensor, xs: str, y: Tensor, ys: str, rest: set[str], sizes: dict[str, int]) -> tuple[Tensor, str]:
    """Contracts two operands by one matrix product over the letters that only they have."""
    both = [c for c in xs if c in ys]
    # A letter that has size one on one side only is not contracted.
    inner = [c for c in both if c not in rest and _fit(x.shape[xs.index(c)], y.shape[ys.index(c)])]
    batch = [c for c in both if c not in inner]
    rows, columns = [c for c in xs if c not in both], [c for c in ys if c not in both]
    if not inner:
        kept = "".join([*batch, *rows, *columns])
        return _summed(mul(_spread(x, xs, kept), _spread(y, ys, kept)), kept, rest)
    left = _merged(permute(x, _order(xs, [*batch, *rows, *inner])), len(batch), len(rows))
    right = _merged(permute(y, _order(ys, [*batch, *inner, *columns])), len(batch), len(inner))
    product = matmul(left, right)
    shape = (*product.shape[: len(batch)], *(sizes[c] for c in rows), *(sizes[c] for c in columns))
    if not same_shape(product.shape, shape):
        product = reshape_to(product, shape=shape)
    return _summed(product, "".join([*batch, *rows, *columns]), rest)


def _fit(m: Any, n: Any) -> bool:
    """Returns whether two axes have one size; if so, they always must."""
    return bool(concrete(m) == concrete(n)) and equal(m, n) is not None


def _order(letters: str, wanted: Sequence[str]) -> tuple[int, ...]:
    return tuple(letters.index(c) for c in wanted)


def _merged(x: Tensor, batch: int, first: int) -> Tensor:
    """Merges the axes after those of the batch into two: the first `first` of them, and the others."""
    sizes = [1, 1]
    for i, n in enumerate(x.shape[batch:]):
        sizes[i >= first] *= n
    shape = (*x.shape[:batch], *sizes)
    return x if same_shape(x.shape, shape) else reshape_to(x, shape=shape)


def _spread(x: Tensor, letters: str, wanted: str) -> Tensor:
    """Arranges the axes in the wanted order, with size one for missing letters."""
    x = _arranged(x, letters, "".join(c for c in wanted if c in letters))
    missing = tuple(i for i, c in enumerate(wanted) if c not in letters)
    return unsqueeze(x, missing) if missing else x


def _arranged(x: Tensor, letters: str, wanted: str) -> Tensor:
    order = _order(letters, wanted)
    return x if order == tuple(range(x.ndim)) else permute(x, order)
