"""The ops, grouped as the lowerings are, and the functions composed of them."""

from .creation import *
from .elementwise import *
from .index import *
from .linalg import *
from .loss import *
from .random import *
from .recurrent import *
from .reduce import *
from .shape import *
