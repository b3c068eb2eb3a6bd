"""Messages for what users of PyTorch, NumPy, onnxruntime and Keras write: each says what to write instead."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import DtypeError, ExportError, FileError
from lucid.export import to_onnx
from lucid.runtime import Session
from lucid.tracer.described import described

ONES: Any = lucid.ones(3)
X = np.ones((5, 2, 3), np.float32)
ANY: Any = nn.Linear(3, 2)
EXPORT: Any = to_onnx


@pytest.fixture(scope="module")
def session() -> Any:
    return Session(to_onnx(ANY, X))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EXPORT(ANY, (X,), "f.onnx"), r"a path is given by name, .* path='model.onnx'"),
        (lambda: EXPORT(ANY, X, Path("f.onnx")), r"a path is given by name"),
        (lambda: EXPORT(ANY, args=(X,), f="f.onnx"), r"the inputs follow the model"),
        (lambda: EXPORT(ANY, X, f="f.onnx"), r"the file is path="),
        (lambda: EXPORT(ANY, X, dynamic_axes={}), r"no 'dynamic_axes', as torch.onnx.export has it: .*dynamic="),
        (lambda: EXPORT(ANY, X, opset_version=17), r"it is opset="),
        (lambda: EXPORT(ANY, (X,)), r"got tuple of 1; give the Tensor itself"),
        (lambda: ANY(nn.LSTM(5, 3)(lucid.ones(4, 2, 5))), r"Linear: .* got tuple of 2; .*output, state = rnn\(x\)"),
        (lambda: np.sqrt(ONES), r"np.sqrt would lose the graph of a Tensor; write lucid.sqrt, or np.sqrt of x.detach"),
        (lambda: np.absolute(ONES), r"write lucid.abs, or np.absolute of x.detach\(\).numpy\(\)$"),
        (lambda: np.arctan(ONES), r"; write np.arctan of x.detach\(\).numpy\(\)$"),
        (lambda: np.add(ONES, X), r"write lucid.add, or"),
        (lambda: np.add.reduce(ONES), r"write lucid.add, or"),
        (lambda: np.add(X, ONES, out=X), r"write array = array \+ tensor, not array \+= tensor"),
        (lambda: operator.iadd(X, ONES), r"write array = array \+ tensor, not array \+= tensor"),
        (lambda: nn.LSTM(3, 4)(X), r"LSTM: input must be a Tensor .*got ndarray; convert it, as in lucid.tensor\(x\)"),
    ],
)
def test_a_call_of_another_library(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_a_constant_text_that_is_no_file_is_an_argument() -> None:
    exported = to_onnx(lambda x, how: x.sum() if how == "sum" else x.mean(), X, "sum")
    assert exported.input_names == ["x"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.run(None, {"input": X}), r"session\(\*\*feeds\)\['output'\]"),
        (lambda s: s.run(["output"], {"input": X}), r"in place of onnxruntime's session.run"),
        (lambda s: s({"input": X}), r"input 'input' is a dict; give inputs by name as session\(\*\*inputs\)"),
    ],
)
def test_a_session_called_as_onnxruntimes(session: Any, call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(session)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("get_inputs", "session.inputs"), ("get_outputs", "session.outputs"), ("get_providers", "session.device")],
)
def test_attributes_of_onnxruntimes_session(session: Any, name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; {hint}"):
        getattr(session, name)
    with pytest.raises(AttributeError, match=r"no attribute 'other'$"):
        session.other  # noqa: B018


@pytest.mark.parametrize(("name", "hint"), [("fit", "loss.backward"), ("predict", "model")])
def test_attributes_of_other_modules(name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}': .*{hint}"):
        getattr(ANY, name)


def test_tensors_of_other_libraries_are_named() -> None:
    class Tensor:
        __module__ = "torch"

    assert described(Tensor()) == "torch.Tensor; convert it, as in lucid.tensor(x.detach().cpu().numpy())"
    given: Any = Tensor()
    with pytest.raises(DtypeError, match=r"got torch\.Tensor; convert it"):
        lucid.ones(3) + given
    with pytest.raises(TypeError, match=r"got torch\.Tensor; convert it"):
        nn.GRU(3, 4)(given)


def test_none_equals_no_tensor() -> None:
    x: Any = lucid.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711


def test_a_file_in_onnxruntimes_own_format(tmp_path: Path) -> None:
    path = tmp_path / "model.ort"
    path.write_bytes(b"\x18\x00\x00\x00ORTM" + bytes(64))
    with pytest.raises(FileError, match="in onnxruntime's own format"):
        Session(path)


def test_a_batch_that_was_not_asked_for_everywhere() -> None:
    with pytest.raises(ExportError, match=r"if it is also axis 1 of h0, .*dynamic=\{\.\.\., 'h0': \{1: 'batch'\}\}"):
        to_onnx(nn.RNN(3, 4), X, np.zeros((1, 2, 4), np.float32), dynamic={"x": {1: "batch"}})


def test_a_number_that_is_kept_on_an_object() -> None:
    class Count:
        n = 0

    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = Count()

        def forward(self, x: Any) -> Any:
            self.count.n += 1
            return x * self.count.n

    with pytest.raises(ExportError, match="a state that a call keeps on an object, take it as an input, and return it"):
        to_onnx(Counts(), X)


def test_what_onnxruntime_refuses_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    session = Session(to_onnx(lambda t, i: t[i * 2], lucid.randn(5, 2), lucid.tensor([1, 2])))
    with pytest.raises(lucid.errors.LucidError, match="onnxruntime failed"):
        session(np.zeros((5, 2), np.float32), [9])
    assert capfd.readouterr().err == ""
