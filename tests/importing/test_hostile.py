"""Damaged and hostile files: importing them raises lucid's own errors, in little time and memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import lucid
from lucid import nn
from lucid.errors import FileError, LucidError, ModelImportError, VerificationError

from .files import as_tensors, graph, numbers, port
from .test_recurrent import recurrent

node = helper.make_node
FOLDER = Path(__file__).parents[1] / "data" / "onnx"


def made(
    nodes: list[onnx.NodeProto], constants: Any = None, inputs: Any = None, outputs: Any = None, opset: int = 17
) -> onnx.ModelProto:
    """Returns a model from x, of three axes, to y, which nobody checked."""
    main = graph(nodes, inputs or [port("x", ("T", "N", 4))], outputs or [port("y", (None, None, None))], constants)
    return helper.make_model(main, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def refused(source: Any, error: Any = LucidError) -> str:
    """Fails unless an import, or else a call of the module, raises an error; returns its message."""
    with pytest.raises(error) as caught:
        lucid.from_onnx(source)(lucid.ones(3, 2, 4))
    message = str(caught.value)
    assert message.strip()
    return message


@pytest.fixture(scope="module")
def own() -> bytes:
    """A file that lucid wrote."""
    return bytes(lucid.export.to_onnx(nn.GRU(4, 3).eval(), lucid.randn(5, 2, 4)).serialize())


# --- damaged files


def test_what_is_no_model(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "missing.onnx", FileError)
    assert "is not a file" in refused(tmp_path, FileError)
    for content in (b"", b"hello, I am no model", b"PK\3\4" * 100, bytes(500), b"\x08"):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        assert str(path) in refused(path, FileError)
        refused(content, FileError)
    refused(onnx.ModelProto(), FileError)
    for wrong, name in ((3, "int"), (None, "NoneType"), (np.ones(3), "ndarray"), (nn.GRU(2, 3), "GRU")):
        with pytest.raises(TypeError, match=f"expected a path, bytes or a ModelProto; got {name}"):
            lucid.from_onnx(wrong)  # type: ignore[arg-type]


def test_a_file_of_lucids_cut_or_altered(own: bytes, tmp_path: Path) -> None:
    for size in range(0, len(own), 97):
        refused(own[:size], (FileError, VerificationError))
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(own), 100):
        damaged = bytearray(own)
        damaged[place] ^= 1 << rng.integers(0, 8)
        refused(bytes(damaged), (FileError, VerificationError))
    altered = onnx.ModelProto.FromString(own)
    altered.graph.initializer[0].raw_data = bytes(len(altered.graph.initializer[0].raw_data))
    path = tmp_path / "model.onnx"
    path.write_bytes(altered.SerializeToString())
    for source in (path, path.read_bytes(), altered):
        assert "digests" in refused(source, VerificationError)
        lucid.from_onnx(source, verify=False)


SAMPLE = ["keras_gru", "lm", "attn_dynamo"]


def flipped(data: bytes, count: int, seed: int) -> Any:
    """Yields files with a few bits that differ."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            damaged[place] ^= 1 << rng.integers(0, 8)
        yield bytes(damaged)


def survives(source: bytes) -> bool:
    """Imports and runs a damaged file; any error but lucid's fails the test. Returns whether it ran."""
    try:
        model = lucid.from_onnx(source)
        given = [numbers(*(n if isinstance(n, int) and n < 64 else 3 for n in x.shape or ())) for x in model.inputs]
        with np.errstate(all="ignore"), lucid.no_grad():
            model(*[lucid.tensor(np.abs(x).astype(port.dtype)) for x, port in zip(given, model.inputs, strict=True)])
    except LucidError:
        return False
    return True


@pytest.mark.parametrize("count", [20, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.exhaustive])])
@pytest.mark.parametrize("name", SAMPLE)
def test_bits_flipped_in_foreign_files(name: str, count: int) -> None:
    """Nobody knows of a number that differs; the structure is checked."""
    proto = onnx.load(FOLDER / f"{name}.onnx")
    started = time.perf_counter()
    for damaged in flipped(proto.SerializeToString(), count, len(name)):
        survives(damaged)
    assert time.perf_counter() - started < count


@pytest.mark.parametrize("name", SAMPLE)
def test_foreign_files_cut(name: str) -> None:
    data = onnx.load(FOLDER / f"{name}.onnx").SerializeToString()
    for size in np.linspace(0, len(data) - 1, 40).astype(int):
        assert not survives(data[:size])


# --- graphs that are wrong


WRONG: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "an undefined name": ([node("Add", ["x", "nothing"], ["y"])], {}),
    "an output that nobody computes": ([node("Tanh", ["x"], ["z"])], {}),
    "a cycle": ([node("Add", ["x", "b"], ["a"]), node("Tanh", ["a"], ["b"]), node("Tanh", ["b"], ["y"])], {}),
    "a value that is its own input": ([node("Add", ["x", "y"], ["y"])], {}),
    "a name defined twice": ([node("Tanh", ["x"], ["y"]), node("Exp", ["x"], ["y"])], {}),
    "an input defined again": ([node("Tanh", ["x"], ["x"]), node("Exp", ["x"], ["y"])], {}),
    "too few inputs": ([node("Add", ["x"], ["y"])], {}),
    "no inputs": ([node("MatMul", [], ["y"])], {}),
    "a missing attribute": ([node("Cast", ["x"], ["y"])], {}),
    "an attribute of another type": ([node("Concat", ["x", "x"], ["y"], axis=[1, 2])], {}),
    "an unknown attribute": ([node("Tanh", ["x"], ["y"], speed=3)], {}),
    "an axis out of range": ([node("Concat", ["x", "x"], ["y"], axis=7)], {}),
    "a permutation of another rank": ([node("Transpose", ["x"], ["y"], perm=[0, 1])], {}),
    "a product of other sizes": ([node("MatMul", ["x", "w"], ["y"])], {"w": numbers(5, 4)}),
    "another dtype": ([node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((4, 4))}),
    "a shape that does not fit": ([node("Reshape", ["x", "s"], ["y"])], {"s": np.array([7, 7])}),
    "weights of another rank": ([node("LSTM", ["x", "w", "w"], ["y"], hidden_size=4)], {"w": numbers(16, 4)}),
    "weights of another size": (
        [node("GRU", ["x", "w", "r"], ["y"], hidden_size=3)],
        {"w": numbers(1, 9, 5), "r": numbers(1, 9, 3)},
    ),
    "weights for one direction": (
        [node("GRU", ["x", "w", "r"], ["y"], hidden_size=3, direction="bidirectional")],
        {"w": numbers(1, 9, 4), "r": numbers(1, 9, 3)},
    ),
    "a convolution of other channels": ([node("Conv", ["x", "w"], ["y"])], {"w": numbers(3, 5, 1)}),
    "an operator that nobody knows": ([node("Frobnicate", ["x"], ["y"])], {}),
    "an operator of another domain": ([node("Gelu", ["x"], ["y"], domain="com.microsoft")], {}),
    "a name in lower case": ([node("linear", ["x", "w"], ["y"])], {"w": numbers(4, 4)}),
    "an index out of range": ([node("Gather", ["x", "i"], ["y"])], {"i": np.array([9])}),
    "a tensor in place of a list": ([node("ConcatFromSequence", ["x"], ["y"], axis=0)], {}),
    "a list in place of a tensor": (
        [node("SequenceConstruct", ["x", "x"], ["l"]), node("Tanh", ["l"], ["y"])],
        {},
    ),
    "a dtype that does not exist": ([node("Cast", ["x"], ["y"], to=99)], {}),
    "texts": ([node("Cast", ["x"], ["y"], to=TensorProto.STRING)], {}),
    "a step of zero": (
        [node("Slice", ["x", "s", "e", "a", "z"], ["y"])],
        {k: np.array([v]) for k, v in zip("seaz", (0, 2, 0, 0), strict=True)},
    ),
    "a division by zero": ([node("Split", ["x"], ["y"], num_outputs=0)], {}),
}


def test_the_rest_of_these_models_is_right() -> None:
    x = numbers(3, 2, 4)
    found = lucid.from_onnx(made([node("Tanh", ["x"], ["y"])]))(*as_tensors([x]))
    np.testing.assert_allclose(found.numpy(), np.tanh(x), 1e-6)


@pytest.mark.parametrize("name", WRONG)
def test_graphs_that_are_wrong(name: str, tmp_path: Path) -> None:
    nodes, constants = WRONG[name]
    model = made(nodes, constants)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    for source in (model, path.read_bytes(), path):
        refused(source)


def body_of(nodes: list[onnx.NodeProto], inputs: list[str], outputs: list[str]) -> onnx.GraphProto:
    return graph(nodes, [port(name, None) for name in inputs], [port(name, None) for name in outputs])


STEP = body_of([node("Add", ["h", "e"], ["h1"])], ["h", "e"], ["h1"])
CONTROL: dict[str, list[onnx.NodeProto]] = {
    "a Scan without a body": [node("Scan", ["x", "x"], ["y"], num_scan_inputs=1)],
    "a Scan without a count": [node("Scan", ["x", "x"], ["y"], body=STEP)],
    "a Scan of too many sequences": [node("Scan", ["x", "x"], ["y"], body=STEP, num_scan_inputs=9)],
    "a Scan of too few inputs": [node("Scan", ["x"], ["y"], body=STEP, num_scan_inputs=1)],
    "a Scan of too many outputs": [node("Scan", ["x", "x"], ["y", "z"], body=STEP, num_scan_inputs=1)],
    "a Scan with an axis out of range": [
        node("Scan", ["x", "x"], ["y"], body=STEP, num_scan_inputs=1, scan_input_axes=[5])
    ],
    "a Scan with too many axes": [
        node("Scan", ["x", "x"], ["y"], body=STEP, num_scan_inputs=1, scan_input_axes=[0, 0])
    ],
    "a Scan with a wrong direction": [
        node("Scan", ["x", "x"], ["y"], body=STEP, num_scan_inputs=1, scan_input_directions=[0, 1, 1])
    ],
    "a Loop without a body": [node("Loop", ["", "", "x"], ["y"])],
    "a Loop whose body takes something else": [node("Loop", ["", "", "x"], ["y"], body=STEP)],
    "an If without a branch": [node("If", ["x"], ["y"], then_branch=body_of([], [], ["x"]))],
    "an If whose condition is no bool": [
        node(
            "If",
            ["x"],
            ["y"],
            then_branch=body_of([node("Tanh", ["x"], ["a"])], [], ["a"]),
            else_branch=body_of([node("Exp", ["x"], ["b"])], [], ["b"]),
        )
    ],
}


@pytest.mark.parametrize("name", CONTROL)
def test_control_flow_that_is_wrong(name: str) -> None:
    model = made(CONTROL[name])
    for source in (model, model.SerializeToString()):
        refused(source)


@pytest.mark.parametrize("kind", ["Scan", "If"])
def test_graphs_within_graphs_without_end(kind: str) -> None:
    """A body in a body in a body, thousands of them deep."""
    for depth in (50, 5000):
        data = deep(kind, depth)
        refused(data)


def deep(kind: str, depth: int) -> bytes:
    """Returns a model whose node has a graph, whose node has a graph, and so on; without a leaf that could run."""

    def field(number: int, content: bytes) -> bytes:
        size, head = len(content), b""
        while size > 127:
            head += bytes([size & 127 | 128])
            size >>= 7
        return bytes([number << 3 | 2]) + head + bytes([size]) + content

    inner = field(1, field(2, b"o") + field(4, b"Nothing"))
    name = {"Scan": b"body", "If": b"then_branch"}[kind]
    for _ in range(depth):
        # AttributeProto: name 1, g 6, type 20 = GRAPH; NodeProto: output 2, op_type 4, attribute 5
        attribute = field(1, name) + field(6, inner) + b"\xa0\x01\x05"
        inner = field(1, field(2, b"o") + field(4, kind.encode()) + field(5, attribute))
    return b"\x08\x08" + field(7, inner) + field(8, b"\x10\x11")


# --- much from little


BOMBS: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "ConstantOfShape": ([node("ConstantOfShape", ["n"], ["z"])], {"n": np.array([10**6, 10**6])}),
    "Expand": ([node("Expand", ["c", "n"], ["z"])], {"c": np.ones(1, "f4"), "n": np.array([10**6, 10**6])}),
    "Tile": ([node("Tile", ["c", "n"], ["z"])], {"c": np.ones(1000, "f4"), "n": np.array([10**9])}),
    "Range": (
        [node("Range", ["a", "b", "c"], ["z"])],
        {"a": np.float32(0), "b": np.float32(1e12), "c": np.float32(1)},
    ),
    "Range with small steps": (
        [node("Range", ["a", "b", "c"], ["z"])],
        {"a": np.float32(0), "b": np.float32(1e6), "c": np.float32(1e-6)},
    ),
    "Pad": ([node("Pad", ["c", "n"], ["z"])], {"c": np.ones(3, "f4"), "n": np.array([0, 10**12])}),
    "OneHot": (
        [node("OneHot", ["c", "n", "v"], ["z"])],
        {"c": np.arange(1000), "n": np.array(10**10), "v": np.array([0.0, 1.0])},
    ),
    "Resize": (
        [node("Resize", ["c", "", "", "n"], ["z"])],
        {"c": np.ones((1, 1, 9, 9), "f4"), "n": np.array([1, 1, 10**6, 10**6])},
    ),
    "outer": (
        [node("Mul", ["c", "d"], ["z"])],
        {"c": np.ones((10**5, 1), "f4"), "d": np.ones((1, 10**6), "f4")},
    ),
    "doubling": (
        [node("Concat", [f"d{i}", f"d{i}"], [f"d{i + 1}"], axis=0) for i in range(45)]
        + [node("Identity", ["d45"], ["z"])],
        {"d0": np.ones(1000, "f4")},
    ),
}

LIMITED = """
import resource, sys
import numpy as np
import lucid
from lucid.errors import LucidError
data = sys.stdin.buffer.read()
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    model = lucid.from_onnx(data)
    print("loaded", end=" ")
except LucidError:
    print("refused", end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) >> 10)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_much_memory_from_a_small_file(name: str) -> None:
    """Loading, in a process of its own, takes no more than some hundred MiB."""
    nodes, constants = BOMBS[name]
    model = made(
        [
            *nodes,
            node("ReduceSum", ["z"], ["s"], keepdims=0),
            node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
            node("Add", ["x", "f"], ["y"]),
        ],
        constants,
        opset=18,
    )
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], input=model.SerializeToString(), capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()[-500:]
    outcome, grown = done.stdout.split()
    assert int(grown) < 800, outcome


def test_a_tensor_that_claims_to_be_large() -> None:
    held = made([node("Add", ["x", "w"], ["y"])], {"w": numbers(4)})
    for dims in ([10**12], [-1], [2**62, 4], [3], [4, 0]):
        model = onnx.ModelProto()
        model.CopyFrom(held)
        model.graph.initializer[0].dims[:] = dims
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        refused(model)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


# --- data beside the file


@pytest.fixture
def beside(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model whose weight is in another file."""

    def write(**entries: str) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "w.data").write_bytes(np.arange(4, dtype="f4").tobytes())
        (tmp_path / "secret").write_bytes(bytes(16))
        model = made([node("Add", ["x", "w"], ["y"])], {"w": numbers(4)})
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            weight.external_data.add(key=key, value=value)
        (folder / "m.onnx").write_bytes(model.SerializeToString())
        return folder / "m.onnx"

    return write


def test_data_beside_a_file(beside: Callable[..., Path]) -> None:
    path = beside(location="w.data", offset="0", length="16")
    x = numbers(3, 2, 4)
    np.testing.assert_array_equal(
        lucid.from_onnx(path)(*as_tensors([x])).numpy(force=True), x + np.arange(4, dtype="f4")
    )
    refused(path.read_bytes())
    (path.parent / "w.data").unlink()
    assert "w.data" in refused(path, FileError)


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../secret"},
        {"location": "/etc/hostname"},
        {"location": "nowhere/../../secret"},
        {"location": ""},
        {},
        {"location": "."},
        {"location": "w.data", "offset": "8"},
        {"location": "w.data", "offset": "-4"},
        {"location": "w.data", "length": "12"},
        {"location": "w.data", "length": "1000000000000"},
        {"location": "w.data", "offset": "many"},
    ],
)
def test_data_that_is_not_the_files_own(beside: Callable[..., Path], entries: dict[str, str]) -> None:
    refused(beside(**entries), FileError)


def test_a_link_out_of_the_folder(beside: Callable[..., Path]) -> None:
    path = beside(location="link", length="16")
    (path.parent / "link").symlink_to(path.parent.parent / "secret")
    refused(path, FileError)


# --- what lucid does not have


def test_the_message_names_all_operators_and_a_node_of_each() -> None:
    model = made(
        [node("Gelu", ["x"], ["a"], "first", domain="com.microsoft"), node("StringSplit", ["a"], ["b", "y"], "second")],
        opset=20,
    )
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)])
    message = refused(model)
    assert "com.microsoft.Gelu (node 'first')" in message
    assert "StringSplit (node 'second')" in message
    assert "a Session runs the file as it is" in message


def test_arguments_that_do_not_fit() -> None:
    model = lucid.from_onnx(recurrent("lstm", lengths=True)[0])
    with pytest.raises(
        TypeError, match=r"OnnxModule takes x float32\[T, N, 4\], lengths int32\[N\]; got 1 by position"
    ):
        model(lucid.ones(3, 2, 4))
    with pytest.raises(LucidError, match="N is 3 in lengths, and 2 in x"):
        model(lucid.ones(3, 2, 4), lucid.tensor(np.array([3, 3, 3], np.int32)))
    for wrong in ((3, 2, 5), (3, 2), (3, 2, 4, 1)):
        with pytest.raises(LucidError, match=r"x float32\[T, N, 4\] got shape"):
            model(lucid.ones(*wrong), lucid.tensor(np.array([3, 3], np.int32)))
    with pytest.raises(TypeError, match="x must be a Tensor, an array or a number; got str"):
        model("x", lucid.tensor(np.array([3, 3], np.int32)))


def test_an_old_operator_set_is_converted_or_refused() -> None:
    lucid.from_onnx(made([node("Squeeze", ["x"], ["y"], axes=[0])], opset=11))
    weights = {"w": numbers(1, 12, 4), "r": numbers(1, 12, 3)}
    with pytest.raises(ModelImportError, match="the model has operator set 1; lucid reads 13 and later"):
        lucid.from_onnx(made([node("LSTM", ["x", "w", "r"], ["y"], hidden_size=3)], weights, opset=1))
