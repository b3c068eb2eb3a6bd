"""Damaged and hostile files: whatever they contain, loading them raises lucid's own errors."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

import lucid
from lucid import nn
from lucid.errors import FileError, VerificationError
from lucid.export import load, to_onnx, verify
from lucid.export.file.read import parse, read


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model with a Scan, in one file."""
    return to_onnx(nn.RNN(2, 3), lucid.ones(4, 2, 2), lowering="scan", metadata={"task": "test"}).serialize()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A model with external weights."""
    path = tmp_path / "model" / "model.onnx"
    path.parent.mkdir()
    to_onnx(nn.RNN(16, 32), lucid.ones(4, 2, 16), path=path, external_data=True)
    return path


def outcome(path: Path) -> str:
    """Returns whether a file is refused, altered or whole. Any error other than lucid's fails the test."""
    try:
        model = load(path)
        for graph in model.graphs():
            for value in graph.initializers.values():
                if value.const_value is not None:
                    value.const_value.numpy()
    except FileError:
        with pytest.raises((FileError, VerificationError)):
            verify(path)
        return "refused"
    except VerificationError:
        with pytest.raises(VerificationError):
            verify(path)
        return "altered"
    try:
        verify(path)
    except (FileError, VerificationError):
        return "altered"
    return "whole"


SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return path


def test_the_original_is_whole(original: bytes, folder: Path) -> None:
    assert outcome(write(folder, original)) == "whole"


# --- damage


@SETTINGS
@given(data=st.data())
def test_a_truncated_file(data: st.DataObject, original: bytes, folder: Path) -> None:
    size = data.draw(st.integers(0, len(original) - 1))
    assert outcome(write(folder, original[:size])) != "whole"


def test_a_file_truncated_at_each_kind_of_place(original: bytes, folder: Path) -> None:
    starts = range(0, len(original), max(1, len(original) // 300))
    for size in {*range(64), *starts, *range(len(original) - 64, len(original))}:
        assert outcome(write(folder, original[:size])) != "whole"


@SETTINGS
@given(data=st.data())
def test_a_flipped_bit(data: st.DataObject, original: bytes, folder: Path) -> None:
    place = data.draw(st.integers(0, 8 * len(original) - 1))
    damaged = bytearray(original)
    damaged[place // 8] ^= 1 << place % 8
    assert outcome(write(folder, bytes(damaged))) != "whole"


@pytest.mark.slow
@SETTINGS
@given(data=st.data())
def test_bytes_replaced_removed_inserted_and_doubled(data: st.DataObject, original: bytes, folder: Path) -> None:
    start = data.draw(st.integers(0, len(original)))
    stop = data.draw(st.integers(start, min(len(original), start + 40)))
    between = data.draw(st.one_of(st.binary(max_size=40), st.just(original[start:stop] * 2)))
    damaged = original[:start] + between + original[stop:]
    if outcome(write(folder, damaged)) == "whole":  # a field is repeated with the same value
        assert onnx.ModelProto.FromString(damaged) == onnx.ModelProto.FromString(original)


@SETTINGS
@given(st.binary(max_size=200))
@example(b"")
@example(b"\x08")
@example(b"\x08\x0a")
@example(b"\x3a\x00")
@example(b"PK\x03\x04")
@example(b"<html></html>")
@example(b"\x00" * 100)
@example(b"\x80\x05K\x01.")
def test_bytes_that_are_no_model(folder: Path, data: bytes) -> None:
    path = write(folder, data)
    with pytest.raises(FileError, match=str(path)):
        load(path)


def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)
        server.bind("socket")
        for name, message in [
            ("missing.onnx", "cannot be read: No such file"),
            (".", "is not a file"),
            ("pipe", "is not a file"),
            ("socket", "is not a file"),
            ("loop", "cannot be read: Too many levels"),
            ("missing/x.onnx", "cannot be read: No such file"),
            ("a\0b", "cannot be read: embedded null"),
            ("x" * 5000, "cannot be read: File name too long"),
            ("/dev/zero", "is not a file"),
        ]:
            for reader in (load, verify):
                with pytest.raises(FileError, match=message):
                    reader(name)


def test_a_file_larger_than_protobuf_reads(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with open(path, "wb") as file:
        file.truncate(2**31)
    with pytest.raises(FileError, match="2,147,483,648 bytes"):
        load(path)


# --- false contents


def field(number: int, payload: bytes) -> bytes:
    """Returns a protobuf field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(n: int) -> bytes:
    return bytes([n & 127]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


@pytest.mark.parametrize("depth", [10, 25, 30, 33, 40, 1000, 100_000])
def test_graphs_inside_graphs(depth: int, original: bytes, folder: Path) -> None:
    graph = onnx.GraphProto(node=[onnx.NodeProto(op_type="Identity", input=["x"], output=["y"])], name="inner")
    nested = graph.SerializeToString()
    for _ in range(min(depth, 2000)):
        attribute = field(1, b"a") + varint(20 << 3) + b"\x05" + field(6, nested)
        nested = field(1, field(4, b"If") + field(2, b"y") + field(5, attribute))
    if depth > 2000:  # lengths that claim ever deeper nesting
        nested = b"\x0a\xff\xff\xff\x7f" * depth
    path = write(folder, original + field(7, nested))
    assert outcome(path) in ("refused", "altered")


BAD = b"\xff\xfe"

NOT_UTF8 = {
    "graph": field(7, field(2, BAD)),
    "producer": field(2, BAD),
    "metadata": field(14, field(1, b"a") + field(2, BAD)),
    "axis": field(7, field(11, field(1, b"x") + field(2, field(1, field(2, field(1, field(2, BAD))))))),
    "attribute": field(7, field(1, field(5, field(1, BAD)))),
    "input": field(7, field(1, field(1, BAD))),
    "tensor": field(7, field(5, field(8, BAD))),
    "place": field(7, field(5, field(13, field(1, b"location") + field(2, BAD)))),
    "opset": field(8, field(1, BAD)),
}


@pytest.mark.parametrize("more", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_texts_that_are_not_utf8(more: bytes, original: bytes, folder: Path) -> None:
    path = write(folder, original + more)
    with pytest.raises(FileError, match="not UTF-8"):
        load(path)
    assert outcome(path) == "refused"


def with_tensor(original: bytes, **fields: Any) -> bytes:
    proto = onnx.ModelProto.FromString(original)
    proto.graph.initializer.append(TensorProto(**{"name": "bad", "data_type": TensorProto.FLOAT, **fields}))
    return proto.SerializeToString()


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "huge size": ({"dims": [2**62], "raw_data": b"1234"}, "18,446,744,073,709,551,616 bytes; it has 4"),
    "huge product": ({"dims": [2**62] * 60, "raw_data": b""}, "must have"),
    "huge rank": ({"dims": [2**62] * 100_000, "raw_data": b""}, "100,000 axes"),
    "negative size": ({"dims": [-1, -4], "raw_data": b"1234"}, "negative size"),
    "too few bytes": ({"dims": [2], "raw_data": b"1234"}, "must have 8 bytes; it has 4"),
    "too many bytes": ({"dims": [1], "raw_data": b"12345678"}, "must have 4 bytes; it has 8"),
    "no elements": ({"dims": [3]}, "must have 3 elements; it has 0"),
    "too few elements": ({"dims": [3], "float_data": [1.0]}, "must have 3 elements; it has 1"),
    "elements elsewhere": ({"dims": [1], "int64_data": [1]}, "must have 1 elements; it has 0"),
    "too few int4": ({"dims": [3], "data_type": TensorProto.INT4, "int32_data": [1]}, "must have 2 elements"),
    "too few texts": ({"dims": [3], "data_type": TensorProto.STRING, "string_data": [b"a"]}, "must have 3 elements"),
    "texts as bytes": ({"dims": [3], "data_type": TensorProto.STRING, "raw_data": b"abc"}, "must have 0 bytes"),
    "no dtype": ({"dims": [1], "data_type": 0, "raw_data": b"1234"}, "dtype that does not exist: 0"),
    "unknown dtype": ({"dims": [1], "data_type": 9999, "raw_data": b"1234"}, "dtype that does not exist: 9999"),
    "negative dtype": ({"dims": [1], "data_type": -1, "raw_data": b"1234"}, "dtype that does not exist: -1"),
    "segment": ({"dims": [1], "raw_data": b"1234", "segment": TensorProto.Segment(begin=0, end=1)}, "is a segment"),
}


@pytest.mark.parametrize(("fields", "message"), LIES.values(), ids=LIES.keys())
def test_tensors_that_lie(fields: dict[str, Any], message: str, original: bytes, folder: Path) -> None:
    path = write(folder, with_tensor(original, **fields))
    with pytest.raises(FileError, match=f"tensor 'bad'.*{message}"):
        load(path)
    assert outcome(path) == "refused"


@pytest.mark.parametrize(
    "place", ["attribute", "tensors", "sparse", "sparse attribute", "function", "subgraph", "training"]
)
def test_tensors_that_lie_anywhere(place: str, original: bytes, folder: Path) -> None:
    proto = onnx.ModelProto.FromString(original)
    bad = TensorProto(name="bad", data_type=1, dims=[2**40], raw_data=b"")
    node = onnx.NodeProto(op_type="Constant", output=["c"])
    if place == "attribute":
        node.attribute.add(name="value", type=4, t=bad)
    elif place == "tensors":
        node.attribute.add(name="value", type=9, tensors=[bad])
    elif place == "sparse":
        proto.graph.sparse_initializer.add(values=bad, indices=bad, dims=[2])
    elif place == "sparse attribute":
        node.attribute.add(name="value", type=11, sparse_tensor=onnx.SparseTensorProto(values=bad))
    elif place == "function":
        proto.functions.add(name="f", node=[onnx.NodeProto(op_type="A")]).node[0].attribute.add(name="v", type=4, t=bad)
    elif place == "subgraph":
        node.attribute.add(name="g", type=5, g=onnx.GraphProto(initializer=[bad]))
    else:
        proto.training_info.add(initialization=onnx.GraphProto(initializer=[bad]))
    proto.graph.node.append(node)
    path = write(folder, proto.SerializeToString())
    with pytest.raises(FileError, match="tensor 'bad'"):
        load(path)


def test_tensors_that_say_the_truth_in_other_words(original: bytes) -> None:
    for dtype, fields in [
        (TensorProto.FLOAT, {"dims": [2], "float_data": [1.0, 2.0]}),
        (TensorProto.COMPLEX64, {"dims": [1], "float_data": [1.0, 2.0]}),
        (TensorProto.FLOAT16, {"dims": [2], "int32_data": [1, 2]}),
        (TensorProto.BOOL, {"dims": [2], "int32_data": [1, 0]}),
        (TensorProto.UINT32, {"dims": [2], "uint64_data": [1, 0]}),
        (TensorProto.INT4, {"dims": [3], "int32_data": [1, 0]}),
        (TensorProto.INT4, {"dims": [3], "raw_data": b"ab"}),
        (TensorProto.BFLOAT16, {"dims": [], "raw_data": b"ab"}),
        (TensorProto.STRING, {"dims": [2], "string_data": [b"a", b"\xff"]}),
        (TensorProto.DOUBLE, {"dims": [0], "raw_data": b""}),
    ]:
        parse(with_tensor(original, data_type=dtype, **fields))


WIRES: dict[str, tuple[Callable[[onnx.GraphProto], object], str]] = {
    "input": (lambda g: g.node[-1].input.append("nothing"), "takes 'nothing'"),
    "input in a body": (lambda g: body(g).node[0].input.append("nothing"), "takes 'nothing'"),
    "order": (lambda g: g.node.append(g.node.pop(0)), "nothing before it makes"),
    "output": (lambda g: g.output.add(name="nothing"), "nothing makes the output 'nothing'"),
    "output of a body": (lambda g: setattr(body(g).output[0], "name", "nothing"), "the output 'nothing'"),
    "made twice": (lambda g: g.node.append(g.node[0]), "as another node does"),
    "no nodes": (lambda g: g.ClearField("node"), "nothing makes the output"),
}


def body(graph: onnx.GraphProto) -> onnx.GraphProto:
    return next(a.g for node in graph.node if node.op_type == "Scan" for a in node.attribute if a.name == "body")


@pytest.mark.parametrize(("change", "message"), WIRES.values(), ids=WIRES.keys())
def test_wires_that_lead_nowhere(
    change: Callable[[onnx.GraphProto], object], message: str, original: bytes, folder: Path
) -> None:
    proto = onnx.ModelProto.FromString(original)
    change(proto.graph)
    with pytest.raises(FileError, match=message):
        load(write(folder, proto.SerializeToString()))


# --- external weights


def edit(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    """Changes the entries of a model that locate its external weights."""
    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        if tensor.external_data:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            change(entries)
            del tensor.external_data[:]
            for key, value in entries.items():
                tensor.external_data.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


def data_file(pair: Path) -> Path:
    return next(pair.parent.glob("*.data"))


@pytest.mark.parametrize(
    "location",
    [
        "",
        ".",
        "..",
        "../secret",
        "a/../../secret",
        "./../secret",
        "/etc/passwd",
        "//server/share",
        "\\\\server\\share\\x",
        "..\\secret",
        "a\\b",
        "C:\\secret",
        "C:secret",
        "file:///etc/passwd",
        "model\0.data",
        "*/_ORT_MEM_ADDR_/*",
        "$HOME/x",
        "~/x",
        "x" * 5000,
        "missing",
        "model.onnx/x",
    ],
)
def test_places_outside_of_the_folder(location: str, pair: Path) -> None:
    (pair.parent.parent / "secret").write_bytes(data_file(pair).read_bytes())
    edit(pair, lambda entries: entries.update(location=location))
    for reader in (load, verify):
        with pytest.raises(FileError, match="stands in"):
            reader(pair)


def test_an_absolute_place_inside_the_folder(pair: Path) -> None:
    edit(pair, lambda entries: entries.update(location=str(data_file(pair))))
    with pytest.raises(FileError, match="not in the model's own folder"):
        load(pair)


def test_links(pair: Path) -> None:
    data, outside = data_file(pair), pair.parent.parent / "outside"
    outside.mkdir()
    secret = outside / data.name
    data.rename(secret)
    data.symlink_to(secret)
    with pytest.raises(FileError, match="is a link"):
        load(pair)
    data.unlink()
    os.link(secret, data)
    with pytest.raises(FileError, match="another name"):
        load(pair)
    data.unlink()
    data.symlink_to(data.name)
    with pytest.raises(FileError, match="is a link"):
        load(pair)
    data.unlink()
    (pair.parent / "folder").symlink_to(outside)
    edit(pair, lambda entries: entries.update(location=f"folder/{secret.name}"))
    with pytest.raises(FileError, match="is a link"):
        load(pair)
    (pair.parent / "folder").unlink()
    (pair.parent / "folder").mkdir()
    secret.rename(pair.parent / "folder" / secret.name)
    assert outcome(pair) == "whole"


def test_places_that_are_no_files(pair: Path) -> None:
    data = data_file(pair)
    data.unlink()
    with pytest.raises(FileError, match="cannot be read: No such file"):
        load(pair)
    data.mkdir()
    with pytest.raises(FileError, match="not a plain file"):
        load(pair)
    data.rmdir()
    os.mkfifo(data)
    with pytest.raises(FileError, match="not a plain file"):
        load(pair)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": "-1"}, "at -1"),
        ({"offset": "4096"}, "that file has"),
        ({"offset": str(2**63)}, "that file has"),
        ({"offset": "9" * 5000}, "at -1"),
        ({"offset": "1e3"}, "at -1"),
        ({"offset": "٣"}, "at -1"),
        ({"length": "0"}, "the model says 0"),
        ({"length": "-1"}, "the model says -1"),
        ({"length": str(2**62)}, "the model says 4,611"),
        ({"length": "x"}, "the model says -1"),
        ({"basepath": "/etc"}, "in more ways than one"),
        ({"prepacked_0": "x"}, "in more ways than one"),
    ],
)
def test_bytes_that_are_not_there(changes: dict[str, str], message: str, pair: Path) -> None:
    edit(pair, lambda entries: entries.update(changes))
    for reader in (load, verify):
        with pytest.raises(FileError, match=message):
            reader(pair)


def test_a_place_said_twice(pair: Path) -> None:
    proto = onnx.load(pair, load_external_data=False)
    next(t for t in proto.graph.initializer if t.external_data).external_data.add(key="location", value="/etc/passwd")
    pair.write_bytes(proto.SerializeToString())
    with pytest.raises(FileError, match="in more ways than one"):
        load(pair)


def test_a_tensor_that_stands_inside_and_outside(pair: Path) -> None:
    proto = onnx.load(pair, load_external_data=False)
    for tensor in proto.graph.initializer:
        tensor.data_location = TensorProto.DEFAULT
    pair.write_bytes(proto.SerializeToString())
    with pytest.raises(FileError, match="must stand in the model itself"):
        load(pair)


@pytest.mark.parametrize(
    ("field", "value"), [("raw_data", b"\0"), ("raw_data", b""), ("int32_data", [1]), ("float_data", [1.0])]
)
def test_a_tensor_beside_the_model_has_no_elements_in_it(pair: Path, field: str, value: Any) -> None:
    proto = onnx.load(pair, load_external_data=False)
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.external_data)
    if isinstance(value, bytes):
        tensor.raw_data = value
    else:
        getattr(tensor, field).extend(value)
    pair.write_bytes(proto.SerializeToString())
    with pytest.raises(FileError, match="has elements in the model itself, too"):
        load(pair)


def test_weights_elsewhere_need_a_folder(pair: Path) -> None:
    with pytest.raises(FileError, match="read from its path only"):
        parse(pair.read_bytes())


def test_damaged_weights_beside_the_model(pair: Path) -> None:
    data = data_file(pair)
    whole = data.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        data.write_bytes(whole[:size])
        assert outcome(pair) == "refused"
    for place in (0, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        data.write_bytes(damaged)
        with pytest.raises(VerificationError, match="the weights weight_"):
            verify(pair)
    data.write_bytes(whole + b"more")
    assert outcome(pair) == "whole"


@SETTINGS
@given(data=st.data())
def test_a_flipped_bit_in_a_model_with_weights_beside_it(data: st.DataObject, pair: Path) -> None:
    original = pair.read_bytes()
    try:
        place = data.draw(st.integers(0, 8 * len(original) - 1))
        damaged = bytearray(original)
        damaged[place // 8] ^= 1 << place % 8
        pair.write_bytes(damaged)
        assert outcome(pair) != "whole"
    finally:
        pair.write_bytes(original)


def test_dtypes_that_numpy_lacks_are_read_beside_the_model(tmp_path: Path) -> None:
    import ml_dtypes

    from lucid.export.file.tensors import Contents

    arrays = {
        "bfloat16": np.arange(1024).astype(ml_dtypes.bfloat16),
        "int4": (np.arange(4095) % 7).astype(ml_dtypes.int4),
        "float8": np.arange(2048).astype(ml_dtypes.float8_e4m3fn),
        "float64": np.arange(512.0),
        "bool": np.arange(1024) % 3 == 0,
    }
    values = [ir.Value(name=name, const_value=ir.tensor(array, name=name)) for name, array in arrays.items()]
    output = ir.Value(name="y", type=ir.TensorType(ir.DataType.DOUBLE), shape=ir.Shape([512]))
    node = ir.Node("", "Identity", [values[3]], outputs=[output])
    graph = ir.Graph([], [output], nodes=[node], initializers=values, opset_imports={"": 18}, name="g")
    from lucid.export.file.write import write as write_model

    write_model(ir.Model(graph, ir_version=10), tmp_path / "m.onnx", external_data=True)
    proto = read(tmp_path / "m.onnx")
    assert all(t.external_data for t in proto.graph.initializer)
    for tensor in proto.graph.initializer:
        found = Contents(tmp_path)(tensor)
        assert found.dtype == arrays[tensor.name].dtype
        np.testing.assert_array_equal(found.astype(np.float64), arrays[tensor.name].astype(np.float64))
