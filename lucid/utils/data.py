"""PyTorch's name of `lucid.data`, the same module. The names here are for type checkers."""

import sys

from .. import data
from ..data import *

sys.modules[__name__] = data
