"""The ops, grouped as the lowerings are, and the functions composed of them."""

from . import creation, elementwise, index, linalg, loss, random, recurrent, reduce, shape
from . import gru as _gru
from . import lstm as _lstm
from .creation import *
from .elementwise import *
from .gru import *
from .index import *
from .linalg import *
from .loss import *
from .lstm import *
from .random import *
from .recurrent import *
from .reduce import *
from .shape import *

__all__: list[str] = []
__all__ += creation.__all__
__all__ += elementwise.__all__
__all__ += _gru.__all__
__all__ += index.__all__
__all__ += linalg.__all__
__all__ += loss.__all__
__all__ += _lstm.__all__
__all__ += random.__all__
__all__ += recurrent.__all__
__all__ += reduce.__all__
__all__ += shape.__all__
