"""lucid convert: what it writes agrees with what it reads, and what does not is not written."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import onnxruntime
import pytest

import lucid
from lucid import nn
from lucid.cli import compared
from lucid.runtime import Session
from tests.cli.test_cli import lucid_, one_line
from tests.importing.files import around, loop_body, port
from tests.importing.test_freeing import file, floats, ints, layer
from tests.tiers import thinned


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(4, 8, 2), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("convert")
    lucid.manual_seed(0)
    example = lucid.randn(5, 2, 4)
    lucid.export.to_onnx(
        Model(), example, path=folder / "rnn.onnx", output_names=["scores"], dynamic={"x": {0: "steps", 1: "rows"}}
    )
    nodes, constants = layer(5, 3, np.zeros((1, 3, 5), np.float32))
    constants["shape"] = ints(7, 3, 5)
    frozen = file([*nodes, oh.make_node("Reshape", ["t", "shape"], ["y"])], constants, (7, 3, 4))
    (folder / "frozen.onnx").write_bytes(frozen)
    last = file(
        [*nodes, oh.make_node("Gather", ["t", "at"], ["y"], axis=0)], {**constants, "at": np.array(6)}, (7, 3, 4)
    )
    (folder / "last.onnx").write_bytes(last)
    return folder


def run(path: Path, x: Any, **more: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, {session.get_inputs()[0].name: x, **more})
    return found


def convert(folder: Path, source: str, *options: str) -> tuple[Path, dict[str, Any]]:
    out = folder / f"out{len(list(folder.iterdir()))}.onnx"
    result = lucid_("convert", folder / source, out, "--seconds", "0.01", "--json", *options)
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_weights_that_stay_float32_are_named(folder: Path, tmp_path: Path) -> None:
    lucid.export.to_onnx(nn.RNN(3, 4), lucid.randn(5, 2, 3), path=tmp_path / "small.onnx")
    result = lucid_(
        "convert", tmp_path / "small.onnx", tmp_path / "out.onnx", "--precision", "int8", "--seconds", "0.01"
    )
    assert result.exit_code == 0, result.output
    assert "float32 still, as they are small or have no int8 form: weight_ih_l0" in result.stdout
    _, facts = convert(folder, "rnn.onnx")
    assert facts["kept"] == []


@pytest.mark.parametrize(
    ("options", "limit"),
    thinned(
        [
            (("--lowering", "scan"), 1e-5),
            (("--lowering", "unrolled"), None),
            (("--precision", "float16"), 1e-2),
            (("--opset", "20"), 1e-5),
            (("--sizes", "rows=9,steps=4"), 1e-5),
        ],
        5,
        arguments=2,
    ),
)
def test_names_axes_and_results_stay(folder, options, limit):
    if options[-1] == "unrolled":  # the file is free along time, and stays so
        error = one_line(lucid_("convert", folder / "rnn.onnx", folder / "no.onnx", *options))
        assert "unrolled" in error
        assert not (folder / "no.onnx").exists()
        return
    out, facts = convert(folder, "rnn.onnx", *options)
    assert facts["inputs"] == {"x": ["steps", "rows", 4]}
    assert facts["outputs"] == {"scores": ["steps", "rows", 3]}
    assert facts["difference"] <= limit
    assert len(facts["compared"]) == 3
    assert facts["bytes"][1] == out.stat().st_size
    assert facts["nodes"][1] == len(onnx.load(out).graph.node)
    assert all(ms > 0 for ms in facts["milliseconds"])
    if options[0] == "--sizes":
        assert facts["sizes"] == {"steps": 4, "rows": 9}
    if options[0] == "--opset":
        assert onnx.load(out).opset_import[0].version == 20
    x = floats(9, 5, 4)
    np.testing.assert_allclose(run(out, x)[0], run(folder / "rnn.onnx", x)[0], atol=limit)
    assert lucid.export.verify(out)


def test_the_table(folder):
    out = folder / "table.onnx"
    result = lucid_("convert", folder / "rnn.onnx", out, "--lowering", "scan", "--seconds", "0.01")
    assert result.exit_code == 0
    for text in ("before", "after", "nodes", "size", "milliseconds", "times as fast", "greatest difference", "written"):
        assert text in result.stdout


def test_axes_that_the_file_fixes_are_freed(folder):
    out, facts = convert(folder, "frozen.onnx", "--dynamic", "batch,time", "--lowering", "scan")
    assert facts["inputs"] == {"x": ["time", "batch", 4]}
    # The old file runs three sequences at a time, and nothing mixes them.
    assert facts["compared"] == [{"time": 7, "batch": 3}, {"time": 7, "batch": 9}]
    x = floats(7, 3, 4)
    want = run(folder / "frozen.onnx", x)[0]
    np.testing.assert_allclose(run(out, x)[0], want, atol=1e-6)
    np.testing.assert_allclose(run(out, x[:4, 1:].copy())[0], want[:4, 1:], atol=1e-6)
    _, facts = convert(folder, "frozen.onnx", "--dynamic", "rows=x:1")
    assert facts["inputs"] == {"x": [7, "rows", 4]}


def test_an_index_of_the_last_step_is_refused(folder):
    error = one_line(lucid_("convert", folder / "last.onnx", folder / "no.onnx", "--dynamic", "batch,time"))
    assert "index 6 may stand for the last of 7" in error
    assert "dynamic_axes=" in error
    assert not (folder / "no.onnx").exists()
    _, facts = convert(folder, "last.onnx", "--dynamic", "batch")
    assert facts["inputs"] == {"x": [7, "batch", 4]}


def test_states_are_carried(folder):
    out, facts = convert(folder, "rnn.onnx", "--stateful")
    assert facts["states"] == {"h1": "h1_next", "h2": "h2_next"}
    x = floats(9, 2, 4)
    want = run(folder / "rnn.onnx", x)[0]
    stream = Session(out).stream(batch=2)
    pieces = [stream(part)["scores"] for part in (x[:2], x[2:3], x[3:])]
    np.testing.assert_allclose(np.concatenate(pieces), want, atol=1e-6)
    zeros = {name: np.zeros((1, 2, 8), np.float32) for name in ("h1", "h2")}
    np.testing.assert_allclose(run(out, x, **zeros)[0], want, atol=1e-6)
    frozen, facts = convert(folder, "frozen.onnx", "--stateful", "--dynamic", "time,batch")
    assert facts["states"] == {"h": "h_next"}
    assert facts["inputs"] == {"x": ["time", "batch", 4], "h": [1, "batch", 5]}
    assert Session(frozen).stream(batch=2)(x)["y"].shape == (9, 2, 5)


@pytest.mark.parametrize("layer", [nn.RNN(4, 5), nn.LSTM(4, 5)], ids=str)
def test_states_of_a_scan_are_carried(layer, folder):
    example = lucid.randn(5, 2, 4)
    exported = lucid.export.to_onnx(
        lambda x: layer(x)[0], example, lowering="scan", path=folder / "scan.onnx", output_names=["y"]
    )
    assert exported.operators["Scan"] == 1
    out, facts = convert(folder, "scan.onnx", "--stateful")
    assert facts["no_stream"] == ""
    assert len(facts["states"]) == (2 if isinstance(layer, nn.LSTM) else 1)
    assert {tuple(facts["inputs"][name]) for name in facts["states"]} == {("batch", 5)}
    x = floats(9, 3, 4)
    stream = Session(out).stream(batch=3)
    pieces = [stream(part)["y"] for part in (x[:2], x[2:3], x[3:])]
    np.testing.assert_allclose(np.concatenate(pieces), run(folder / "scan.onnx", x)[0], atol=1e-6)


def test_the_state_of_a_loop_is_carried(folder):
    """As torch.jit.script writes a loop over the steps of a sequence."""
    step = [oh.make_node("Identity", ["go"], ["going"]), oh.make_node("Gather", ["x", "i"], ["u"], axis=0)]
    step += [oh.make_node("MatMul", ["h", "w"], ["p"]), oh.make_node("Add", ["p", "u"], ["s"])]
    step += [oh.make_node("Tanh", ["s"], ["h_next"]), oh.make_node("Identity", ["h_next"], ["out"])]
    nodes = [oh.make_node("Shape", ["x"], ["shape"]), oh.make_node("Gather", ["shape", "zero"], ["t"], axis=0)]
    nodes += [
        oh.make_node("Slice", ["shape", "one", "three"], ["rows"]),
        oh.make_node("ConstantOfShape", ["rows"], ["h0"]),
    ]
    body = loop_body(step, ["h"], ["h_next", "out"], {"w": floats(4, 4)})
    nodes.append(oh.make_node("Loop", ["t", "", "h0"], ["last", "y"], "loop", body=body))
    places = {"zero": 0, "one": np.array([1]), "three": np.array([3])}
    ports = [port("x", ("time", "batch", 4))], [port("y", ("time", "batch", 4))]
    (folder / "loop.onnx").write_bytes(around(nodes, *ports, places).SerializeToString())
    out, facts = convert(folder, "loop.onnx", "--stateful")
    assert facts["states"] == {"h": "h_next"}
    assert facts["inputs"]["h"] == ["batch", 4]
    x = floats(9, 3, 4)
    stream = Session(out).stream(batch=3)
    pieces = [stream(part)["y"] for part in (x[:2], x[2:3], x[3:])]
    np.testing.assert_allclose(np.concatenate(pieces), run(folder / "loop.onnx", x)[0], atol=1e-6)


def test_states_that_are_not_hidden_or_not_zero_are_refused(folder):
    exported = lucid.export.to_onnx(nn.GRU(4, 5), lucid.randn(5, 2, 4), lucid.zeros(1, 2, 5))
    exported.save(folder / "open.onnx")
    error = one_line(lucid_("convert", folder / "open.onnx", folder / "no.onnx", "--stateful"))
    assert "no hidden state" in error
    nodes, constants = layer(5, 3, np.ones((1, 3, 5), np.float32))
    (folder / "ones.onnx").write_bytes(file([*nodes, oh.make_node("Identity", ["t"], ["y"])], constants, (7, 3, 4)))
    error = one_line(lucid_("convert", folder / "ones.onnx", folder / "no.onnx", "--stateful"))
    assert "a constant that is not zero" in error
    lucid.export.to_onnx(nn.GRU(4, 5, bidirectional=True), lucid.randn(5, 2, 4), path=folder / "both.onnx")
    error = one_line(lucid_("convert", folder / "both.onnx", folder / "no.onnx", "--stateful"))
    assert "runs backward" in error
    assert not (folder / "no.onnx").exists()


def test_the_class_of_a_sequence_is_that_of_the_last_piece(folder):
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.GRU(4, 5), nn.Linear(5, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[1][-1])

    class Mean(Classifier):
        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0].mean(0))

    example = lucid.randn(5, 2, 4)
    lucid.export.to_onnx(Classifier(), example, path=folder / "class.onnx", output_names=["y"])
    out, facts = convert(folder, "class.onnx", "--stateful")
    assert "last state of a layer" in facts["no_stream"]
    x = floats(7, 2, 4)
    _, h = run(out, x[:4], h=np.zeros((1, 2, 5), np.float32))
    np.testing.assert_allclose(run(out, x[4:], h=h)[0], run(folder / "class.onnx", x)[0], atol=1e-6)
    lucid.export.to_onnx(Mean(), example, path=folder / "mean.onnx", output_names=["y"])
    error = one_line(lucid_("convert", folder / "mean.onnx", folder / "no.onnx", "--stateful"))
    assert "not written: y differs" in error
    assert "between a sequence and its pieces" in error


def test_what_does_not_agree_is_not_written(folder, monkeypatch):
    """A copy of the weights that was changed in between stands for a mistake of the conversion."""
    from lucid.cli import convert as module

    real = module.from_onnx

    def spoilt(*args: Any, **options: Any) -> Any:
        model = real(*args, **options)
        with lucid.no_grad():
            next(iter(model.parameters())).mul_(1.01)
        return model

    monkeypatch.setattr(module, "from_onnx", spoilt)
    error = one_line(lucid_("convert", folder / "rnn.onnx", folder / "no.onnx"))
    assert "not written: scores differs by" in error
    assert not (folder / "no.onnx").exists()


def test_nan_in_one_file_alone_is_a_difference():
    one, two = np.array([1.0, np.nan]), np.array([1.0, 2.0])
    with pytest.raises(lucid.errors.VerificationError, match="differs by nan"):
        compared._difference("y", one, two, None, "here")
    assert compared._difference("y", one, one.copy(), None, "here") == 0


def test_mistakes_in_the_command(folder):
    source = folder / "rnn.onnx"
    before = source.read_bytes()
    assert "never overwritten" in one_line(lucid_("convert", source, source), 2)
    assert source.read_bytes() == before
    out = folder / "no.onnx"
    assert "expected a name and a size" in one_line(lucid_("convert", source, out, "--sizes", "rows"), 2)
    assert "expected batch, time" in one_line(lucid_("convert", source, out, "--dynamic", "x"), 2)
    assert "no free axis batch" in one_line(lucid_("convert", source, out, "--sizes", "batch=3"), 2)
    assert "does not exist" in one_line(lucid_("convert", source, folder / "nowhere" / "a.onnx"), 2)
    assert "no recurrent layer" not in lucid_("convert", source, out, "--dynamic", "batch", "--seconds", "0.01").output
    assert out.exists()
    out.unlink()


def test_an_operator_that_lucid_does_not_have(folder):
    node = oh.make_node("Det", ["x"], ["y"])
    (folder / "det.onnx").write_bytes(file([node], {}, (3, 4, 4)))
    assert "no op for Det" in one_line(lucid_("convert", folder / "det.onnx", folder / "no.onnx"))
    assert not (folder / "no.onnx").exists()


def test_indices_of_a_table(folder):
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.rnn = nn.Embedding(3, 4), nn.GRU(4, 5)

        def forward(self, ids: Any, lengths: Any) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(self.table(ids), lengths, enforce_sorted=False)
            return self.rnn(packed)[1][0]

    ids = lucid.tensor([[0, 1], [2, 1], [2, 2]])
    lucid.export.to_onnx(Words(), ids, lucid.tensor([3, 2]), path=folder / "words.onnx", output_names=["y"])
    _, facts = convert(folder, "words.onnx", "--lowering", "scan")
    assert facts["difference"] < 1e-6


@pytest.mark.slow
def test_scan_is_faster_than_the_operator_that_pytorch_exports(torch, folder):
    class Tanh(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = torch.nn.RNN(32, 128, 2), torch.nn.Linear(128, 3)

        def forward(self, x):
            return self.head(self.rnn(x)[0])

    axes = {"x": {0: "time", 1: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"dynamo": False, "input_names": ["x"], "output_names": ["y"], "dynamic_axes": axes}
        torch.onnx.export(Tanh().eval(), (torch.randn(50, 32, 32),), folder / "tanh.onnx", **options)
    out, facts = convert(folder, "tanh.onnx", "--lowering", "scan", "--sizes", "batch=32,time=100")
    assert sum(node.op_type == "Scan" for node in onnx.load(out).graph.node) == 2
    assert facts["milliseconds"][1] < facts["milliseconds"][0]  # by 2.5 times and more on a quiet machine
