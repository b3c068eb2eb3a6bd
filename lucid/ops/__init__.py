"""The ops, grouped as the lowerings are, and the functions composed of them.

`__all__` contains what PyTorch has in ``torch`` itself (``torch.softmax`` is `lucid.softmax`); what it has only in
``torch.nn.functional`` is in `lucid.nn.functional`, which also loads the files here that declare no ops.
"""

from typing import TYPE_CHECKING

from ..methods.docstrings import document as _document
from ..tensor import Tensor as _Tensor
from . import (  # noqa: F401 - some only register ops
    activation,
    attention,
    conv,
    conversion,
    creation,
    ctc,
    cumulative,
    elementwise,
    extremum,
    index,
    linalg,
    logic,
    loss,
    math,
    moments,
    order,
    random,
    recurrent,
    reduce,
    search,
    shape,
    statistics,
    trigonometry,
    windowing,
)
from . import arrangements as _arrangements
from . import cells as _cells  # noqa: F401
from . import cross_entropy as _cross_entropy  # noqa: F401
from . import diagonal as _diagonal
from . import einsum as _einsum
from . import embedding as _embedding  # noqa: F401
from . import formulas as _formulas
from . import gru as _gru  # noqa: F401
from . import kinds as _kinds  # noqa: F401
from . import layer_norm as _layer_norm  # noqa: F401
from . import lstm as _lstm  # noqa: F401
from . import pad as _pad  # noqa: F401
from . import promotion as _promotion  # noqa: F401
from . import scan as _scan  # noqa: F401
from . import scatter as _scatter
from . import select as _select
from . import summaries as _summaries
from . import synonyms as _synonyms
from . import tile as _tile
from . import ufuncs as _ufuncs  # noqa: F401
from .arrangements import *
from .conversion import *
from .creation import *
from .cumulative import *
from .diagonal import *
from .einsum import *
from .elementwise import *
from .extremum import *
from .formulas import *
from .index import *
from .linalg import *
from .logic import *
from .math import *
from .moments import *
from .order import *
from .random import *
from .reduce import *
from .scatter import *
from .search import *
from .select import *
from .shape import *
from .statistics import *
from .summaries import *
from .synonyms import *
from .tile import *
from .trigonometry import *
from .windowing import *

# mypy reads no `+=` of an `__all__`. Without one it exports what the stars import, which is the same.
if not TYPE_CHECKING:
    __all__: list[str] = []
    __all__ += _arrangements.__all__
    __all__ += conversion.__all__
    __all__ += creation.__all__
    __all__ += cumulative.__all__
    __all__ += _diagonal.__all__
    __all__ += _einsum.__all__
    __all__ += elementwise.__all__
    __all__ += extremum.__all__
    __all__ += _formulas.__all__
    __all__ += index.__all__
    __all__ += linalg.__all__
    __all__ += logic.__all__
    __all__ += math.__all__
    __all__ += moments.__all__
    __all__ += order.__all__
    __all__ += random.__all__
    __all__ += reduce.__all__
    __all__ += _scatter.__all__
    __all__ += search.__all__
    __all__ += _select.__all__
    __all__ += shape.__all__
    __all__ += statistics.__all__
    __all__ += _summaries.__all__
    __all__ += _synonyms.__all__
    __all__ += _tile.__all__
    __all__ += trigonometry.__all__
    __all__ += windowing.__all__

_document(_Tensor)
