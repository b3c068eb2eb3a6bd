"""Models from elsewhere: ONNX files and modules of PyTorch's, as modules that train and can be exported again."""

from .from_onnx import from_onnx
from .pytorch.from_torch import from_torch

__all__ = ["from_onnx", "from_torch"]
