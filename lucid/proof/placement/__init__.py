"""Placement rules: how each op's results for a batch follow from its results for parts of the batch."""

from . import elementwise, layers, reduce, shape
from .placement import RULES, InseparableError, Placement, Step, places

__all__ = ["RULES", "InseparableError", "Placement", "Step", "elementwise", "layers", "places", "reduce", "shape"]
