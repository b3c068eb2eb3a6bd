"""Size rules of searches and counts; see `lucid.ops.sizes`."""

from __future__ import annotations

from typing import Any

from .sizes import Shape, fits, rule

__all__: list[str] = []


@rule("isin")
def _(elements: Shape, test_elements: Shape, **_: Any) -> Shape:
    return elements


@rule("places_in_order")
def _(ordered: Shape, values: Shape, right: bool) -> Shape:
    if len(ordered) > 1:
        fits(ordered[:-1], values[:-1])
    return values


@rule("repeated_places")
def _(counts: Shape) -> Shape:
    return (None,)


@rule("bincount")
def _(x: Shape, weights: Any, minlength: int) -> Shape:
    if weights is not None:
        fits(weights, x)
    return (None,)


@rule("row_order")
def _(x: Shape) -> Shape:
    return x[:1]
