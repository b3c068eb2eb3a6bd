"""External weights, and files that would load without end: a session owns what it runs, and loading ends."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pytest
from onnx import TensorProto

import lucid
from lucid import nn
from lucid.errors import FileError, ShapeError, VerificationError
from lucid.export import load, to_onnx, verify
from lucid.export.file.count import count_nodes
from lucid.export.file.layout import lay_out
from lucid.export.file.write import write
from lucid.runtime import Session

PATHS = {**os.environ, "PYTHONPATH": str(Path(lucid.__file__).parents[1])}


def external(folder: Path, places: tuple[str, ...] = ("initializer",), dtype: Any = np.float32) -> onnx.ModelProto:
    """Writes a model of another writer that adds external tensors, each at one of several places, to its input."""
    kind = oh.np_dtype_to_tensor_dtype(np.dtype(dtype))
    array = np.arange(1, 5).astype(dtype)
    (folder / "w.data").write_bytes(array.tobytes())

    def tensor(name: str) -> TensorProto:
        made = TensorProto(name=name, data_type=kind, dims=[4], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "w.data"), ("offset", "0"), ("length", str(array.nbytes))):
            made.external_data.add(key=key, value=value)
        return made

    nodes, inits, x = [], [], "x"
    for i, place in enumerate(places):
        w = f"w{i}"
        if place == "initializer":
            inits.append(tensor(w))
        elif place == "constant":
            nodes.append(oh.make_node("Constant", [], [w], value=tensor("")))
        else:
            branch = oh.make_graph(
                [oh.make_node("Identity", ["inner"], ["out"])],
                "branch",
                [],
                [oh.make_tensor_value_info("out", kind, [4])],
                [tensor("inner")],
            )
            inits.append(oh.make_tensor(f"yes{i}", TensorProto.BOOL, [], [True]))
            nodes.append(oh.make_node("If", [f"yes{i}"], [w], then_branch=branch, else_branch=branch))
        nodes.append(oh.make_node("Cast", [w], [f"f{i}"], to=TensorProto.FLOAT))
        nodes.append(oh.make_node("Add", [x, f"f{i}"], [f"y{i}"]))
        x = f"y{i}"
    graph = oh.make_graph(
        nodes,
        "g",
        [oh.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [oh.make_tensor_value_info(x, TensorProto.FLOAT, [4])],
        inits,
    )
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return model


@pytest.mark.parametrize(
    "places", [("initializer",), ("constant",), ("branch",), ("initializer", "branch", "constant", "initializer")]
)
def test_external_tensors_anywhere(places: tuple[str, ...], tmp_path: Path) -> None:
    external(tmp_path, places)
    session = Session(tmp_path / "m.onnx")
    expected = len(places) * np.arange(1.0, 5.0)
    np.testing.assert_array_equal(session(np.zeros(4, "f4"))[0], expected)
    (tmp_path / "w.data").write_bytes(bytes(16))
    np.testing.assert_array_equal(session(np.zeros(4, "f4"))[0], expected)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "bool", "bfloat16"])
def test_external_tensors_of_any_dtype(dtype: str, tmp_path: Path) -> None:
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    external(tmp_path, dtype=kind)
    expected = np.arange(1, 5).astype(kind).astype("f4")
    np.testing.assert_array_equal(Session(tmp_path / "m.onnx")(np.zeros(4, "f4"))[0], expected)


@pytest.mark.slow
def test_weights_that_are_overwritten_or_cut_off_while_a_session_lives(tmp_path: Path) -> None:
    """In a process of its own, which a mapped file would end."""
    table = nn.Embedding(4096, 64)
    to_onnx(table, lucid.tensor(np.arange(4)), path=tmp_path / "m.onnx", external_data=True)
    program = """
import os, sys, numpy as np, lucid
from lucid.runtime import Session
path, data = sys.argv[1:]
kept, model = Session(path), lucid.export.load(path)
ids = np.arange(4096)
before = kept(ids)[0].copy()
size = os.path.getsize(data)
with open(data, "r+b") as file:
    file.write(bytes(size))
assert np.array_equal(kept(ids)[0], before)
os.truncate(data, 0)
assert np.array_equal(kept(ids)[0], before)
weights = [v.const_value.numpy() for v in model.graph.initializers.values()]
assert any(np.array_equal(w, before) for w in weights)
print("alive")
"""
    (data,) = tmp_path.glob("*.data")
    command = [sys.executable, "-c", program, str(tmp_path / "m.onnx"), str(data)]
    done = subprocess.run(command, env=PATHS, capture_output=True, text=True, check=False)
    assert done.stdout == "alive\n", done.stderr


def test_a_model_copied_without_its_data_file_names_it(tmp_path: Path) -> None:
    to_onnx(nn.Linear(64, 64), lucid.ones(2, 64), path=tmp_path / "m.onnx", external_data=True)
    (data,) = tmp_path.glob("*.data")
    (tmp_path / "other").mkdir()
    (tmp_path / "m.onnx").rename(tmp_path / "other" / "m.onnx")
    for reader in (load, Session, verify):
        with pytest.raises(FileError, match=f"stands in '{data.name}'.*No such file.*must be copied together"):
            reader(tmp_path / "other" / "m.onnx")


# --- digests that are gone


def test_a_file_that_lost_its_digests_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    proto = to_onnx(nn.Linear(2, 3), lucid.ones(1, 2)).proto
    for keep in ("lucid.", "lucid.axes", "nothing"):
        kept = [e for e in proto.metadata_props if e.key.startswith(keep) and "sha256" not in e.key]
        del proto.metadata_props[:]
        proto.metadata_props.extend(kept)
        path.write_bytes(proto.SerializeToString())
        for reader in (load, Session):
            with pytest.raises(VerificationError, match=r"its digests were removed.*verify=False"):
                reader(path)
        assert load(path, verify=False).graph.num_nodes() == 1
        assert Session(path, verify=False)(np.ones((1, 2), "f4"))[0].shape == (1, 3)


def test_load_finds_a_changed_weight(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    proto = to_onnx(nn.Linear(2, 3), lucid.ones(1, 2)).proto
    tensor = proto.graph.initializer[0]
    tensor.raw_data = bytes(len(tensor.raw_data))
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(VerificationError, match="the weights do not fit the digests in it; load"):
        load(path)
    assert load(path, verify=False).graph.num_nodes() == 1


# --- what has no end


def nested(levels: int, repeat: int = 2) -> bytes:
    """Returns a model of functions that call each other, `repeat` times each."""
    functions = []
    for i in range(levels):
        kind, domain = (f"f{i - 1}", "d") if i else ("Neg", "")
        names = ["x", *(f"a{k}" for k in range(repeat - 1)), "y"]
        body = [oh.make_node(kind, [a], [b], domain=domain) for a, b in pairwise(names)]
        functions.append(
            oh.make_function("d", f"f{i}", ["x"], ["y"], body, [oh.make_opsetid("", 18), oh.make_opsetid("d", 1)])
        )
    graph = oh.make_graph(
        [oh.make_node(f"f{levels - 1}", ["x"], ["y"], domain="d")],
        "g",
        [oh.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [oh.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    imports = [oh.make_opsetid("", 18), oh.make_opsetid("d", 1)]
    return bytes(oh.make_model(graph, functions=functions, opset_imports=imports, ir_version=8).SerializeToString())


def chain(n: int) -> bytes:
    nodes = [oh.make_node("Neg", [f"x{i}"], [f"x{i + 1}"]) for i in range(n)]
    ends = [oh.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x0", f"x{n}")]
    graph = oh.make_graph(nodes, "g", ends[:1], ends[1:])
    return bytes(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8).SerializeToString())


def test_functions_are_counted_as_they_are_written_out() -> None:
    for levels, repeat, expected in ((1, 1, 2), (3, 2, 15), (4, 3, 121)):
        assert count_nodes(onnx.ModelProto.FromString(nested(levels, repeat))) == expected
    np.testing.assert_array_equal(Session(nested(4))(np.ones(2, "f4"))[0], np.ones(2))


@pytest.mark.parametrize("model", [nested(30), nested(500), nested(60, 1000), chain(20_001)], ids=range(4))
def test_a_model_that_would_load_for_hours_is_refused_at_once(model: bytes) -> None:
    with pytest.raises(FileError, match=r"nodes if its functions are written out|over 64 levels"):
        Session(model)


def test_a_function_that_calls_itself() -> None:
    proto = onnx.ModelProto.FromString(nested(1))
    proto.functions[0].node[0].op_type, proto.functions[0].node[0].domain = "f0", "d"
    with pytest.raises(FileError, match="'f0' calls itself"):
        Session(proto.SerializeToString())


@pytest.mark.parametrize("size", [2**62, 2**40, -5])
def test_a_size_that_no_array_has(size: int) -> None:
    info = [oh.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "xy"]
    graph = oh.make_graph([oh.make_node("Neg", ["x"], ["y"])], "g", info[:1], info[1:])
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8)
    try:
        session = Session(model.SerializeToString())
    except FileError:
        return
    if session.inputs[0].shape == (size, size):
        with pytest.raises(ShapeError, match=r"input 'x' of shape .* cannot be made up"):
            session.sample()


@pytest.mark.parametrize(
    "report", ["3", "[]", '"x"', "{}", '{"checks": 3}', '{"checks": [3]}', '{"checks": [{}]}', "[" * 100_000]
)
def test_a_forged_report(report: str, tmp_path: Path) -> None:
    model = to_onnx(nn.Linear(2, 3), lucid.ones(1, 2)).model
    model.metadata_props["lucid.verification"] = report
    model.metadata_props.update(lay_out(model).digests().metadata)
    write(model, tmp_path / "m.onnx")
    with pytest.raises(VerificationError, match="metadata that lucid did not write"):
        verify(tmp_path / "m.onnx")
