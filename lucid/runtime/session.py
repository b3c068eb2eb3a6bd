"""Session: an ONNX model, run in onnxruntime."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime

from ..errors import FileError
from ..export.exported import Exported
from ..tensor import Tensor
from .device import Device, find_device, require
from .outputs import Outputs

__all__ = ["Session"]

Array = np.ndarray[Any, Any]


class Session:
    """An ONNX model, ready to run.

    Args:
        model: the path of a model, what `lucid.export.to_onnx` returned, or the bytes of a file.
        device: "cpu", "cuda", "cuda:1" and so on, or "auto": CUDA where there is any.

    Raises:
        FileError: there is no such file, or it is no model that onnxruntime can load.
        RuntimeUnavailableError: there is no such device.

    Example:
        >>> rnn = nn.RNN(3, 4)
        >>> session = lucid.runtime.Session(lucid.export.to_onnx(rnn, lucid.randn(5, 2, 3)))
        >>> output, h_n = session(lucid.randn(7, 6, 3))
        >>> output.shape
        (7, 6, 4)
        >>> session(x=lucid.randn(7, 6, 3))["h_n"].shape
        (1, 6, 4)
    """

    def __init__(self, model: str | os.PathLike[str] | Exported | bytes, device: str | Device = "cpu") -> None:
        self.device = find_device(device)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        source: Any = model.serialize() if isinstance(model, Exported) else model
        if not isinstance(source, bytes):
            source = os.fspath(source)
            if not os.path.isfile(source):
                raise FileError(f"Session: there is no file {source!r}")
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=self.device.providers)
        except Exception as error:  # onnxruntime raises types of its own
            raise FileError(f"Session: onnxruntime cannot load the model: {error}") from error
        require(self.device, self._session)
        self.input_names = tuple(i.name for i in self._session.get_inputs())
        self.output_names = tuple(o.name for o in self._session.get_outputs())

    def __call__(self, *args: Any, **kwargs: Any) -> Outputs:
        """Run the model on arrays or Tensors, in the order of its inputs or by name."""
        feed = dict(zip(self.input_names, args, strict=False)) | kwargs
        arrays = {name: x._data if isinstance(x, Tensor) else np.asarray(x) for name, x in feed.items()}
        return Outputs(self._session.run(None, arrays), self.output_names)
