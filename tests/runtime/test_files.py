"""Damaged and hostile files: lucid raises its own errors before onnxruntime reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pytest
from onnx import TensorProto

import lucid
from lucid import nn
from lucid.errors import ExportError, FileError, LucidError, VerificationError
from lucid.runtime import Session


@pytest.fixture(scope="module")
def data() -> bytes:
    return bytes(lucid.export.to_onnx(nn.RNN(3, 4).eval(), lucid.randn(5, 2, 3)).serialize())


def foreign(**external: str) -> onnx.ModelProto:
    """Returns a model that lucid did not write; with arguments, its weight is external."""
    weight = oh.make_tensor("w", TensorProto.FLOAT, [4], np.arange(4, dtype="f4"))
    if external:
        weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        for key, value in external.items():
            weight.external_data.add(key=key, value=value)
    graph = oh.make_graph(
        [oh.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [oh.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [oh.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [weight],
    )
    return oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8)


def refused(source: Any, error: type[Exception] = FileError) -> str:
    with pytest.raises(error) as caught:
        Session(source)
    message = str(caught.value)
    assert message.strip()
    return message


def test_what_is_no_model(tmp_path: Path, data: bytes) -> None:
    assert "No such file" in refused(tmp_path / "missing.onnx")
    assert "is not a file" in refused(tmp_path)
    assert "null" in refused("a\0b")
    for name, content in {
        "empty": b"",
        "text": b"hello, I am no model",
        "zip": b"PK\3\4" * 100,
        "zeros": bytes(500),
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert name in refused(path)
        refused(content)
    with pytest.raises(TypeError, match="expected the path of a model, an Exported or bytes; got int"):
        Session(3)  # type: ignore[arg-type]


def test_a_file_cut_anywhere(data: bytes) -> None:
    for size in range(0, len(data), 37):
        refused(data[:size], (FileError, VerificationError))  # type: ignore[arg-type]


def test_a_bit_flipped_anywhere(data: bytes) -> None:
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.integers(0, 8)
        refused(bytes(damaged), (FileError, VerificationError))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_bit_flipped_in_a_file_without_digests(data: bytes, tmp_path: Path) -> None:
    """The model may run with wrong numbers, but the process must not crash."""
    model = onnx.ModelProto.FromString(data)
    del model.metadata_props[:]
    model.producer_name = "another"
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    code = """
import sys, numpy as np, lucid
from lucid.errors import LucidError
from lucid.runtime import Session
data = open(sys.argv[1], "rb").read()
rng = np.random.default_rng(int(sys.argv[2]))
ran = 0
for place in rng.integers(0, len(data), 400):
    damaged = bytearray(data)
    damaged[place] ^= 1 << rng.integers(0, 8)
    try:
        Session(bytes(damaged))(np.zeros((5, 2, 3), "f4"))
        ran += 1
    except (LucidError, TypeError):
        pass
print(ran)
"""
    for seed in range(3):
        done = subprocess.run([sys.executable, "-c", code, str(path), str(seed)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not done.stderr


def test_a_model_altered_on_purpose(data: bytes, tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(data)
    weight = model.graph.initializer[0]
    weight.raw_data = bytes(len(weight.raw_data))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert "the weights do not fit the digests in it" in refused(path, VerificationError)
    assert issubclass(VerificationError, ExportError)
    assert Session(path, verify=False)(np.zeros((1, 1, 3), "f4"))[0].shape == (1, 1, 4)


def test_weights_beside_the_model(tmp_path: Path) -> None:
    rnn = nn.RNN(32, 64).eval()
    exported = lucid.export.to_onnx(rnn, lucid.randn(5, 2, 32))
    path = tmp_path / "model.onnx"
    exported.save(path, external_data=True)
    x = np.random.default_rng(0).standard_normal((3, 2, 32)).astype("f4")
    np.testing.assert_array_equal(Session(path)(x)[0], Session(exported)(x)[0])
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        np.testing.assert_array_equal(Session("model.onnx")(x)[0], Session(exported)(x)[0])
    finally:
        os.chdir(here)
    (weights,) = (p for p in tmp_path.iterdir() if p != path)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    assert "the weights do not fit" in refused(path, VerificationError)
    weights.write_bytes(content[:-1])
    assert weights.name in refused(path)
    weights.unlink()
    assert weights.name in refused(path)


def test_weights_that_are_not_the_models_own(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(4, dtype="f4").tobytes())
    (folder / "own.bin").write_bytes(secret.read_bytes())
    os.symlink(secret, folder / "link.bin")
    os.link(secret, folder / "other_name.bin")
    os.symlink(tmp_path, folder / "above")
    path = folder / "model.onnx"
    for location in (
        str(secret),
        "../secret.bin",
        "own.bin/../../secret.bin",
        "..\\secret.bin",
        "C:\\secret.bin",
        "link.bin",
        "above/secret.bin",
        "other_name.bin",
        "missing.bin",
        "",
        ".",
        "*/_ORT_MEM_ADDR_/*",
    ):
        path.write_bytes(foreign(location=location, offset="0", length="16").SerializeToString())
        refused(path)
    for offset, length in (("0", "64"), ("8", "16"), ("-4", "16"), ("0", "x"), ("99999999999999999999", "16")):
        path.write_bytes(foreign(location="own.bin", offset=offset, length=length).SerializeToString())
        refused(path)
    path.write_bytes(foreign(location="own.bin", offset="0", length="16").SerializeToString())
    np.testing.assert_array_equal(Session(path)(np.ones(4, "f4"))[0], [1, 2, 3, 4])
    assert "a file beside the model, so the model can be read from its path only" in refused(path.read_bytes())


def test_models_that_are_read_and_that_onnxruntime_refuses() -> None:
    model = foreign()
    model.graph.node[0].op_type = "NoSuchOperator"
    assert "cannot be loaded by onnxruntime" in refused(model.SerializeToString())
    model = foreign()
    model.opset_import[0].version = 9999
    assert "cannot be loaded by onnxruntime" in refused(model.SerializeToString())
    model = foreign()
    model.graph.node[0].input[1] = "nothing"
    assert "cannot be loaded by onnxruntime" in refused(model.SerializeToString())


def test_inputs_that_are_no_tensors_of_numbers() -> None:
    graph = oh.make_graph(
        [oh.make_node("Identity", ["x"], ["y"])],
        "g",
        [oh.make_tensor_value_info("x", TensorProto.STRING, [4])],
        [oh.make_tensor_value_info("y", TensorProto.STRING, [4])],
    )
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8)
    assert "input 'x' is a tensor(string); lucid runs tensors of numbers only" in refused(model.SerializeToString())


def test_nothing_is_printed_beside_the_error(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    model = foreign()
    model.graph.node[0].op_type = "NoSuchOperator"
    refused(model.SerializeToString())
    session = Session(lucid.export.to_onnx(lambda t, i: t[i], lucid.randn(5, 2), lucid.tensor([1, 2])))
    with pytest.raises(LucidError):
        session(np.zeros((5, 2), "f4"), [9])
    assert capfd.readouterr() == ("", "")
