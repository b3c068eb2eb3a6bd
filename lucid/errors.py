"""The exceptions that lucid raises.

Each also inherits the built-in types that NumPy and PyTorch raise in the same place, so code ported from either keeps
catching what it caught before.
"""

__all__ = [
    "AxisError",
    "DtypeError",
    "ExportError",
    "FileError",
    "GradientError",
    "LucidError",
    "ModelImportError",
    "RangeError",
    "RuntimeUnavailableError",
    "ShapeError",
    "StateDictError",
    "TraceError",
    "VerificationError",
]


class LucidError(Exception):
    """Any error that lucid itself detects. Messages of errors that the catalogue explains end with their key in it."""

    def __str__(self) -> str:
        from .catalogue import entry_of

        message = super().__str__()
        entry = None if _SEE in message else entry_of(message)
        return message if entry is None else f"{message}{_SEE}{entry.key})"


_SEE = " (see: lucid explain "


class ShapeError(LucidError, ValueError, RuntimeError):
    """Sizes or ranks that do not fit together (NumPy: ``ValueError``, PyTorch: ``RuntimeError``)."""


class DtypeError(LucidError, TypeError, ValueError, RuntimeError):
    """Dtypes that do not fit together, or that an op does not accept."""


class AxisError(LucidError, IndexError, ValueError):
    """An axis or an index out of range."""


class RangeError(LucidError, ValueError, RuntimeError):
    """Elements for which a function is not defined (PyTorch: ``RuntimeError``)."""


class GradientError(LucidError, RuntimeError):
    """A gradient that cannot be computed: no graph, a graph already freed, a value changed in between."""


class StateDictError(LucidError, RuntimeError):
    """A state dict whose names, shapes or dtypes do not fit the module or optimizer."""


class TraceError(LucidError, RuntimeError):
    """A function that cannot be traced, or a run of it that does something else than a graph says."""


class ExportError(LucidError, RuntimeError):
    """A graph that cannot be exported to ONNX."""


class VerificationError(ExportError):
    """An exported model whose results differ from the eager model's, or whose file was altered."""


class FileError(LucidError, OSError, ValueError):
    """A file that cannot be read or written in the expected format."""


class RuntimeUnavailableError(LucidError, RuntimeError):
    """A device or execution provider that this installation of onnxruntime does not have."""


class ModelImportError(LucidError, RuntimeError):
    """A model from elsewhere that lucid cannot compute.

    Attributes:
        node: the node that it cannot compute; None if it is not one alone.
    """

    node: object = None
