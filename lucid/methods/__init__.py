"""What can be done with a Tensor: its operators and methods. Each finds its function by name and says nothing else
about it."""

from .absent import Absent
from .conversions import Conversions
from .elementwise import Elementwise
from .operators import Operators
from .reductions import Reductions
from .shapes import Shapes

__all__ = ["Methods"]


class Methods(Operators, Elementwise, Reductions, Shapes, Conversions, Absent):
    """Mixin: all of them."""

    __slots__ = ()
