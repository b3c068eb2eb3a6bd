"""Drawings of graphs: boxes, frames and edges; folding; escaping; files."""

from __future__ import annotations

import re
import shutil

import onnx.helper as oh
import pytest
from onnx import TensorProto

import lucid
from lucid import nn
from lucid.errors import LucidError


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


@pytest.fixture(scope="module")
def exported():
    return lucid.export.to_onnx(Tagger(), lucid.randn(4, 5, 6))


def boxes(source):
    """Returns the labels of the boxes, by key."""
    return dict(re.findall(r'^ *([nsio]\d+) \[label="([^"]*)"', source, re.MULTILINE))


def edges(source):
    """Returns the edges between labels, with their own labels."""
    names = boxes(source)
    found = re.findall(r'^ *([nsio]\d+) -> ([nsio]\d+)(?: \[label=" ([^"]*)"\])?$', source, re.MULTILINE)
    return {(names[a], names[b]): label for a, b, label in found}


def frames(source):
    return re.findall(r'subgraph "cluster_([^"]*)"', source)


def test_a_module_is_drawn_by_its_ops():
    source = lucid.plot.graph(Tagger(), lucid.randn(4, 5, 6)).source
    assert frames(source) == ["lstm", "lstm.l0", "lstm.l1", "head"]
    assert sorted(boxes(source).values()) == [
        *("linear", "lstm", "lstm", "output", "permute", "permute", "slice_at", "x"),
    ]
    assert edges(source)["slice_at", "linear"] == "(4, 8)"
    assert edges(source)["linear", "output"] == "(4, 3)"


def test_an_export_is_drawn_by_its_nodes(exported, tmp_path):
    drawing = lucid.plot.graph(exported, most=4)
    source = drawing.source
    assert frames(source) == ["lstm", "head"]
    # ReduceL1, Less, LSTM, Squeeze and If are more than four; the weights are left out.
    assert [label for label in boxes(source).values() if label.endswith("nodes")] == [r"l0\n5 nodes", r"l1\n5 nodes"]
    assert edges(source)[r"l0\n5 nodes", r"l1\n5 nodes"] == "(time, batch, 8)"
    assert edges(source)["Gemm", "output"] == "(batch, 3)"
    assert drawing.boxes == len(boxes(source))
    exported.save(tmp_path / "model.onnx")
    assert lucid.plot.graph(tmp_path / "model.onnx", most=4).source == source
    assert lucid.plot.graph(exported.proto, most=4).source == source
    assert "l0" in frames(lucid.plot.graph(exported, most=20).source)[1]


def test_a_stack_of_layers_has_a_box_for_each():
    layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 3)
    found = boxes(lucid.plot.graph(layers, lucid.randn(5, 2, 8)).source)
    names = [label.partition(r"\n")[0] for label in found.values()]
    assert names == ["src", "output", "0", "1", "2"]
    assert frames(lucid.plot.graph(layers, lucid.randn(5, 2, 8)).source) == ["layers"]
    names = [
        label.partition(r"\n")[0]
        for label in boxes(lucid.plot.graph(layers, lucid.randn(5, 2, 8), most=2).source).values()
    ]
    assert names == ["src", "output", "layers"]
    assert "layers.0.self_attn" in frames(lucid.plot.graph(layers, lucid.randn(5, 2, 8), most=500).source)


def test_a_training_step_has_few_boxes():
    model = Tagger()
    optimizer = lucid.optim.Adam(model.parameters())
    step = lucid.export.training_step(
        model,
        lambda model, x, y: nn.functional.cross_entropy(model(x), y),
        optimizer,
        lucid.randn(4, 5, 6),
        lucid.arange(4) % 3,
    )
    source = lucid.plot.graph(step).source
    found = edges(source)
    names = {label.partition(r"\n")[0] for pair in found for label in pair}
    assert {"x", "y", "state", "next state", "loss", "l0", "l1", "Gemm", "backward", "update"} <= names
    assert len(boxes(source)) < 40
    short = {(a.partition(r"\n")[0], b.partition(r"\n")[0]): label for (a, b), label in found.items()}
    count = f"{len(step.start)} tensors"
    assert short["update", "next state"] == short["state", "update"] == count
    # One gradient for each parameter passes from one to the other.
    assert int(short["backward", "update"].split()[0]) >= len(list(model.parameters()))
    assert ("update", "backward") not in short


def test_constants_are_folded_and_graphs_in_nodes_read():
    body = oh.make_graph(
        [oh.make_node("Add", ["outside", "three"], ["inner"])], "body", [], [oh.make_tensor_value_info("inner", 1, [2])]
    )
    graph = oh.make_graph(
        [
            oh.make_node("Constant", [], ["two"], value_floats=[2.0, 2.0]),
            oh.make_node("Neg", ["two"], ["three"]),
            oh.make_node("Mul", ["x", "two"], ["outside"], name="/a/Mul"),
            oh.make_node("If", ["condition"], ["y"], then_branch=body, else_branch=body),
        ],
        "graph",
        [oh.make_tensor_value_info("x", 1, [2]), oh.make_tensor_value_info("condition", TensorProto.BOOL, [])],
        [oh.make_tensor_value_info("y", 1, [2])],
    )
    source = lucid.plot.graph(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)])).source
    assert edges(source) == {("x", "Mul"): "(2)", ("condition", "If"): "()", ("Mul", "If"): "(2)", ("If", "y"): "(2)"}
    assert frames(source) == ["a"]


def test_names_are_escaped():
    name = 'x"];\nevil\\'
    value = oh.make_tensor_value_info(name, 1, [2])
    node = oh.make_node("Neg", [name], ["y"], name='/a"b/Neg')
    graph = oh.make_graph([node], "graph", [value], [oh.make_tensor_value_info("y", 1, [2])])
    drawing = lucid.plot.graph(oh.make_model(graph))
    assert r'label="x\"];\nevil\\"' in drawing.source
    assert r'subgraph "cluster_a\"b"' in drawing.source
    if shutil.which("dot"):
        assert drawing._repr_svg_().count("</svg>") == 1


def test_what_passes_twice_between_two_boxes_is_one_edge():
    def function(x):
        low, high = lucid.split(x, 2)
        return (low * low + high).sum()

    found = edges(lucid.plot.graph(function, lucid.ones(4)).source)
    assert found["mul", "add"] == "(2)"
    assert found["split_to", "mul"] == "(2)"


def test_files(exported, tmp_path, monkeypatch):
    lucid.plot.graph(exported, path=tmp_path / "model.dot")
    assert (tmp_path / "model.dot").read_text() == lucid.plot.graph(exported).source
    with pytest.raises(ValueError, match=r"a path ends in \.dot, .*got .*model\.bmp"):
        lucid.plot.graph(exported, path=tmp_path / "model.bmp")
    if shutil.which("dot"):
        lucid.plot.graph(exported, path=tmp_path / "model.svg")
        assert b"</svg>" in (tmp_path / "model.svg").read_bytes()
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "other.svg").write_text("old")
    with pytest.raises(LucidError, match=r"apt install graphviz.*\.source"):
        lucid.plot.graph(exported, path=tmp_path / "other.svg")
    assert (tmp_path / "other.svg").read_text() == "old"
    assert lucid.plot.graph(exported)._repr_svg_() is None


def test_nothing_of_the_model_changes():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    before = model[0].running_mean.numpy().copy()
    lucid.plot.graph(model, lucid.ones(4, 3))
    assert (model[0].running_mean.numpy() == before).all()
    assert all(module.training for module in model.modules())


def test_what_is_no_model_is_refused(exported):
    with pytest.raises(ValueError, match=r"inputs of Tagger are not known; write lucid\.plot\.graph\(model, x\)"):
        lucid.plot.graph(Tagger())
    with pytest.raises(TypeError, match="leave the inputs out"):
        lucid.plot.graph(exported, lucid.ones(2))
    with pytest.raises(TypeError, match="expected a Module, a function"):
        lucid.plot.graph(3)
    with pytest.raises(ValueError, match="most must be a positive integer"):
        lucid.plot.graph(exported, most=0)
