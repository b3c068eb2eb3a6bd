"""Tensor's operators and methods. Each looks up a function by name and calls it."""

from .absent import Absent
from .composed import Composed
from .conversions import Conversions
from .drawing import Drawing
from .elementwise import Elementwise
from .operators import Operators
from .reductions import Reductions
from .shapes import Shapes
from .writing import Writing

__all__ = ["Methods"]


class Methods(Operators, Elementwise, Reductions, Shapes, Composed, Conversions, Writing, Drawing, Absent):
    """Mixin: all operators and methods."""

    __slots__ = ()
