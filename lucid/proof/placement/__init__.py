"""How the results of each op for a batch follow from those for parts of the batch."""

from . import elementwise, layers, reduce, shape
from .placement import RULES, InseparableError, Placement, Step, places

__all__ = ["RULES", "InseparableError", "Placement", "Step", "elementwise", "layers", "places", "reduce", "shape"]
