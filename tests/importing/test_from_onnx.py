"""from_onnx: what it makes of a file: values, parameters and their names, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import lucid
from lucid import nn
from lucid.errors import DtypeError, FileError, ModelImportError, ShapeError, VerificationError
from tests.nn.cases import CASES, LayerCase
from tests.nn.test_layers import leaves, tensors
from tests.tiers import thinned

rng = np.random.default_rng(0)

OTHER_PARAMETERS = {
    "RNNCell relu, of a vector": "without a state the recurrent weight is not in the file",
}
"""The layers whose files hold other parameters than the layer, and why."""


class Whole(nn.Module):
    """A model with one layer."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Any) -> Any:
        return self.part(*inputs)


def results(model: Any, inputs: Any) -> list[np.ndarray]:
    return [x.detach().numpy() for x in leaves(model(*inputs))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", thinned(CASES, 8, sample=2), ids=str)
def test_a_layer_comes_back_with_its_values_and_parameters(case: LayerCase) -> None:
    model = Whole(case.make("float32")).eval()
    inputs = tensors(lucid, case.inputs, "float32")
    exported = lucid.export.to_onnx(model, *inputs)
    found = lucid.from_onnx(exported.proto)
    for a, b in zip(results(found, leaves(inputs)), results(model, inputs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    own, other = ({name: p.detach().numpy() for name, p in m.named_parameters()} for m in (model, found))
    same = own.keys() == other.keys() and all(np.array_equal(own[name], other[name]) for name in own)
    assert same == (str(case) not in OTHER_PARAMETERS), (sorted(own), sorted(other))


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.rnn = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.norm = nn.LayerNorm(10)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.rnn(self.embedding(x))[0]))


def test_a_model_comes_back_and_goes_out_with_the_same_axes(tmp_path: Any) -> None:
    model = Tagger().eval()
    x = lucid.tensor(rng.integers(0, 20, (4, 7)))
    exported = lucid.export.to_onnx(model, x, path=tmp_path / "tagger.onnx")
    found = lucid.from_onnx(tmp_path / "tagger.onnx")
    assert {n: p.shape for n, p in found.state_dict().items()} == {n: p.shape for n, p in model.state_dict().items()}
    found.load_state_dict(model.state_dict())
    again = lucid.export.to_onnx(found, x)
    assert again.axes == exported.axes
    assert again.fixed == exported.fixed
    assert again.operators == exported.operators
    assert again.input_names == exported.input_names
    assert again.output_names == exported.output_names
    other = lucid.tensor(rng.integers(0, 20, (2, 11)))
    session = lucid.runtime.Session(again)
    np.testing.assert_allclose(session(other.numpy())[0], model(other).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_an_imported_model_learns_what_the_original_learns() -> None:
    model = Tagger()
    x = lucid.tensor(rng.integers(0, 20, (4, 7)))
    y = lucid.tensor(rng.integers(0, 3, (4, 7)))
    found = lucid.from_onnx(lucid.export.to_onnx(model, x).proto)
    losses: list[list[float]] = []
    for each in (model, found):
        optimizer = lucid.optim.Adam(each.parameters(), lr=0.01)
        losses.append([])
        for _ in range(5):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(each(x).reshape(-1, 3), y.reshape(-1))
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_a_batch_norm_of_float64_comes_back() -> None:
    """Its file has no epsilon: the variance has it."""
    layer = Whole(nn.BatchNorm1d(3, eps=0.1, dtype="float64")).eval()
    layer.part.running_var.copy_(lucid.tensor([0.5, 2.0, 0.0], dtype="float64"))
    x = lucid.tensor(rng.standard_normal((4, 3)))
    found = lucid.from_onnx(lucid.export.to_onnx(layer, x).proto)
    np.testing.assert_allclose(found(x).detach(), layer(x).detach(), rtol=1e-12)
    assert sorted(name for name, _ in found.named_parameters()) == ["part.bias", "part.weight"]


def loss_of(model: Any, x: Any, y: Any) -> Any:
    return nn.functional.cross_entropy(model(x).reshape(-1, 3), y)


@pytest.mark.slow
def test_an_imported_model_compiles_and_steps() -> None:
    x, y = lucid.tensor(rng.integers(0, 20, (4, 7))), lucid.tensor(rng.integers(0, 3, (28,)))
    found = lucid.from_onnx(lucid.export.to_onnx(Tagger(), x).proto)
    expected = found(x).detach().numpy()
    found.eval()
    np.testing.assert_allclose(lucid.compile(found)(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    found.train()
    optimizer = lucid.optim.SGD(found.parameters(), lr=0.1)
    step = lucid.compile(found, loss=loss_of, optimizer=optimizer)
    losses = [step(x, y).item() for _ in range(5)]
    assert losses[-1] < losses[0]


def test_two_weights_of_equal_elements_stay_two() -> None:
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, copy.deepcopy(layer))
    found = lucid.from_onnx(lucid.export.to_onnx(model, lucid.ones(2, 3)).proto)
    assert len([*found.parameters()]) == 4


def test_a_weight_that_two_nodes_read_is_one_parameter() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(7, 4)

        def forward(self, x: Any) -> Any:
            return self.embedding(x) @ self.embedding.weight.T

    x = lucid.tensor([[0, 3, 6]])
    model = Tied()
    found = lucid.from_onnx(lucid.export.to_onnx(model, x).proto)
    np.testing.assert_allclose(found(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-5)
    found(x).sum().backward()
    model(x).sum().backward()
    gradients = [p.grad.numpy() for p in found.parameters()]
    assert len(gradients) == 1
    np.testing.assert_allclose(gradients[0], model.embedding.weight.grad.numpy(), rtol=1e-5)


def test_copies_and_pickles_compute_the_same() -> None:
    x = lucid.tensor(rng.integers(0, 20, (2, 3)))
    found = lucid.from_onnx(lucid.export.to_onnx(Tagger(), x).proto)
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        np.testing.assert_array_equal(other(x).detach().numpy(), found(x).detach().numpy())
        assert repr(other) == repr(found)
        next(iter(other.parameters())).data.fill_(0.0)
        assert not np.array_equal(other(x).detach().numpy(), found(x).detach().numpy())


def test_the_dtype_of_a_model_changes() -> None:
    model = Tagger()
    x = lucid.tensor(rng.integers(0, 20, (2, 3)))
    found = lucid.from_onnx(lucid.export.to_onnx(model, x).proto).double()
    np.testing.assert_allclose(found(x).detach().numpy(), model.double()(x).detach().numpy(), rtol=1e-8)


def test_the_repr_says_what_it_takes_and_gives() -> None:
    found = lucid.from_onnx(lucid.export.to_onnx(nn.GRU(3, 4), lucid.ones(5, 2, 3)).proto)
    assert "float32[time, batch, 3]" in repr(found)
    assert "1 GRU" in repr(found)
    assert "weight_ih_l0 (12, 3)" in repr(found)


def made(nodes: list[onnx.NodeProto], *, opset: int = 18, **initializers: np.ndarray) -> onnx.ModelProto:
    """Returns a model from x (?, 3) to y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in initializers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def test_every_operator_that_is_missing_is_named_at_once() -> None:
    nodes = [
        helper.make_node("StringNormalizer", ["x"], ["a"], name="first"),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("Gelu", ["b"], ["c"], name="second", domain="com.microsoft"),
        helper.make_node("Det", ["c"], ["y"], name="third"),
    ]
    model = made(nodes)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(ModelImportError, match=r"Det \(node 'third'\).*StringNormalizer.*com.microsoft.Gelu"):
        lucid.from_onnx(model)


def test_inputs_may_be_given_by_name_and_are_checked() -> None:
    found = lucid.from_onnx(made([helper.make_node("Tanh", ["x"], ["y"])]))
    np.testing.assert_array_equal(found(x=lucid.zeros(2, 3)).numpy(), np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"OnnxModule takes x float32\[n, 3\]"):
        found()
    with pytest.raises(TypeError, match="takes x"):
        found(lucid.zeros(2, 3), lucid.zeros(1))
    with pytest.raises(TypeError, match="takes x"):
        found(z=lucid.zeros(2, 3))
    with pytest.raises(ShapeError, match=r"x float32\[n, 3\] got shape \(2, 4\)"):
        found(lucid.zeros(2, 4))
    with pytest.raises(TypeError, match="must be a Tensor, an array or a number; got str"):
        found("text")


def test_an_error_names_the_node() -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"], name="cut")
    found = lucid.from_onnx(made([node], shape=np.array([5, -1])))
    with pytest.raises(ShapeError, match="Reshape 'cut'"):
        found(lucid.zeros(2, 3))


def test_axes_that_a_file_fixes_are_freed_on_request() -> None:
    model = made([helper.make_node("Tanh", ["x"], ["y"])])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    with pytest.raises(ShapeError):
        lucid.from_onnx(model)(lucid.zeros(2, 3))
    assert lucid.from_onnx(model, dynamic={"x": {0: "batch"}})(lucid.zeros(2, 3)).shape == (2, 3)
    with pytest.raises(ValueError, match="'z'; the inputs are x"):
        lucid.from_onnx(model, dynamic={"z": {0: "batch"}})
    with pytest.raises(ValueError, match="axis 2 of 'x', which has 2 axes"):
        lucid.from_onnx(model, dynamic={"x": {2: "batch"}})


def test_an_older_operator_set_is_converted() -> None:
    node = helper.make_node("Squeeze", ["x"], ["y"], axes=[0])
    found = lucid.from_onnx(made([node], opset=11))
    assert found(lucid.ones(1, 3)).shape == (3,)


def test_a_file_that_was_altered_is_refused(tmp_path: Any) -> None:
    exported = lucid.export.to_onnx(nn.Linear(3, 2), lucid.ones(1, 3), path=tmp_path / "model.onnx")
    proto = exported.proto
    weight = proto.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + 1, weight.name))
    with pytest.raises(VerificationError):
        lucid.from_onnx(proto)
    assert lucid.from_onnx(proto, verify=False)(lucid.ones(1, 3)).shape == (1, 2)
    with pytest.raises(FileError, match="is not an ONNX model"):
        lucid.from_onnx(b"\xff" * 40)
    with pytest.raises(FileError, match="cannot be read"):
        lucid.from_onnx(tmp_path / "missing.onnx")
    with pytest.raises(TypeError, match="expected a path, bytes or a ModelProto; got Linear"):
        lucid.from_onnx(nn.Linear(3, 2))  # type: ignore[arg-type]


def returning(nodes: list[onnx.NodeProto], outputs: list[str], **initializers: np.ndarray) -> onnx.ModelProto:
    """Returns a model from x (n, 3) to several outputs."""
    model = made(nodes, **initializers)
    del model.graph.output[:]
    model.graph.output.extend([helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs])
    return model


WEIGHT = rng.standard_normal((3, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("Identity", ["w"], ["z"])],
        [helper.make_node("Neg", ["w"], ["z"])],
        [helper.make_node("Transpose", ["w"], ["z"], perm=[1, 0])],
        [helper.make_node("ReduceSum", ["w"], ["s"]), helper.make_node("Mul", ["y", "s"], ["z"])],
        [helper.make_node("Abs", ["w"], ["a"]), helper.make_node("MatMul", ["y", "a"], ["z"])],
    ],
    ids=lambda nodes: nodes[0].op_type,
)
def test_what_is_computed_of_a_weight_follows_it(nodes: list[onnx.NodeProto]) -> None:
    model = returning([helper.make_node("MatMul", ["x", "w"], ["y"]), *nodes], ["y", "z"], w=WEIGHT)
    found = lucid.from_onnx(model)
    assert [name for name, _ in found.named_parameters()] == ["w"]
    x = rng.standard_normal((2, 3)).astype(np.float32)
    for values in (WEIGHT, np.full((3, 3), 0.5, np.float32)):
        (parameter,) = found.parameters()
        parameter.data[:] = lucid.tensor(values)
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
        wanted = ReferenceEvaluator(model).run(None, {"x": x})
        for a, b in zip(found(lucid.tensor(x)), wanted, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("first", [0, 1])
def test_a_weight_that_is_read_in_several_forms_is_one_parameter(first: int) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "table.weight"], ["y"]),
        helper.make_node("Transpose", ["table.weight"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "turned"], ["z"]),
    ]
    nodes = nodes if not first else [nodes[1], nodes[2], nodes[0]]
    found = lucid.from_onnx(returning(nodes, ["y", "z"], **{"table.weight": WEIGHT}))
    assert [name for name, _ in found.named_parameters()] == ["table.weight"]
    x = lucid.randn(2, 3)
    y, z = found(x)
    (y.sum() + 2 * z.sum()).backward()
    weight = lucid.tensor(WEIGHT, requires_grad=True)
    ((x @ weight).sum() + 2 * (x @ weight.T).sum()).backward()
    np.testing.assert_allclose(next(found.parameters()).grad.numpy(), weight.grad.numpy(), rtol=1e-5)


def test_a_half_weight_that_is_cast_twice_is_one_parameter() -> None:
    nodes = [
        helper.make_node("Cast", ["head.weight"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "a"], ["y"]),
        helper.make_node("Cast", ["head.weight"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["y", "b"], ["z"]),
    ]
    found = lucid.from_onnx(returning(nodes, ["y", "z"], **{"head.weight": WEIGHT.astype(np.float16)}))
    assert [(name, p.dtype) for name, p in found.named_parameters()] == [("head.weight", np.float32)]


def test_inputs_of_another_kind_are_refused() -> None:
    found = lucid.from_onnx(made([helper.make_node("Tanh", ["x"], ["y"])]))
    with pytest.raises(DtypeError, match=r"x float32\[n, 3\] got dtype int64"):
        found(lucid.ones(2, 3, dtype="int64"))
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "k"], ["y"])],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in ("x", "k")],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["n"])],
    )
    model = lucid.from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    with pytest.raises(DtypeError, match=r"k int64\[n\] got dtype float64"):
        model(lucid.tensor([1, 2]), np.array([1.5, 2.5]))
    assert model(lucid.tensor([1, 2]), np.array([3, 4], np.int32)).tolist() == [4, 6]
