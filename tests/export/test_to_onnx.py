"""to_onnx: free axes, refusals with their reasons, the size of the graphs, and no side effects."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError, ShapeError, VerificationError
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from lucid.runtime import Session

rnn = nn.RNN(4, 5)
second = nn.RNN(5, 3)
head = nn.Linear(5, 2)
table = lucid.randn(11, 4)


def run(exported: Any, **feed: Any) -> list[np.ndarray]:
    """Runs the model in a plain onnxruntime session."""
    session = onnxruntime.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(array) for name, array in feed.items()})


# --- programs with a recurrent layer, valid at every length and batch size

BOTH = {"x": {0: "time", 1: "batch"}}


def last_step(x):
    return head(rnn(x)[0][-1])


def last_by_size(x):
    return rnn(x)[0][x.shape[0] - 1]


def mean_over_time(x):
    return head(rnn(x)[0].mean(0))


def sum_by_size(x):
    return rnn(x)[0].sum(0) / x.shape[0]


def max_over_time(x):
    return rnn(x)[0].amax(0)


def both_directions(x):
    return lucid.cat([rnn(x)[0], rnn(x.flip(0))[0].flip(0)], -1)


def reshape_by_sizes(x):
    output = rnn(x)[0]
    steps, batch, hidden = output.shape
    return head(output.reshape(steps * batch, hidden)).reshape(steps, batch, 2)


def reshape_by_minus_one(x):
    return head(rnn(x)[0].reshape(-1, 5))


def zeros_by_size(x):
    return rnn(x, lucid.zeros(1, x.shape[1], 5))[0]


def truncated(x):
    return rnn(x)[0][:4]


def every_other(x):
    return rnn(x)[0][::2]


def differences(x):
    output = rnn(x)[0]
    return output[1:] - output[:-1]


def positions(x):
    steps = x.shape[0]
    return rnn(x)[0] + (lucid.arange(steps) / steps).float().reshape(-1, 1, 1)


def attention(x):
    output = rnn(x)[0].transpose(0, 1)
    return (output @ output.transpose(1, 2)).softmax(-1) @ output


def stacked(x):
    return second(rnn(x)[0])[0]


def shared_weights(x):
    return rnn(x)[0] + rnn(x * 2)[0]


def masked_by_value(x):
    return lucid.where(x.sum(-1, keepdim=True) > 0, rnn(x)[0], 0.0)


def chosen_by_value(x):
    return rnn(x)[0][x.sum(-1) > 0]


def scaled_by_size(x):
    return rnn(x)[0] * x.shape[0]


def nested_result(x):
    output, h_n = rnn(x)
    return {"out": output, "state": (h_n, h_n.sum())}


FREE = [
    last_step,
    last_by_size,
    mean_over_time,
    sum_by_size,
    max_over_time,
    both_directions,
    reshape_by_sizes,
    reshape_by_minus_one,
    zeros_by_size,
    truncated,
    every_other,
    differences,
    positions,
    attention,
    stacked,
    shared_weights,
    masked_by_value,
    chosen_by_value,
    scaled_by_size,
    nested_result,
]


@pytest.mark.parametrize("program", FREE, ids=lambda f: f.__name__)
def test_programs_true_at_every_size(program):
    exported = to_onnx(program, lucid.randn(6, 3, 4))
    assert exported.axes == BOTH
    for steps, batch in ((1, 1), (2, 7), (31, 2), (5, 5)):
        x = lucid.randn(steps, batch, 4)
        expected = program(x)
        leaves = [expected["out"], *expected["state"]] if isinstance(expected, dict) else [expected]
        for result, reference in zip(run(exported, x=x.numpy()), leaves, strict=True):
            np.testing.assert_allclose(result, reference.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("place", range(4))
def test_an_axis_expanded_to_nothing(place):
    def program(x):
        shape = [*x.shape]
        shape.insert(place, 0)
        return x.unsqueeze(place).expand(*shape) * 2

    exported = to_onnx(program, lucid.randn(6, 3, 4))
    assert exported.axes == {"x": {0: "x_dim_0", 1: "x_dim_1", 2: "x_dim_2"}}
    for shape in ((6, 3, 4), (1, 1, 1), (2, 9, 4)):
        x = lucid.randn(*shape)
        assert run(exported, x=x.numpy())[0].shape == program(x).shape


# --- fixed axes and refused programs, with the reason and the line


def python_loop(x):
    h = lucid.zeros(x.shape[1], 5)
    for t in range(x.shape[0]):
        h = (x[t] @ rnn.weight_ih_l0.T + h @ rnn.weight_hh_l0.T).tanh()
    return h


def state_from_numpy(x):
    return rnn(x, lucid.tensor(np.zeros((1, x.shape[1], 5), np.float32)))[0]


def branch_on_size(x):
    return rnn(x)[0] if x.shape[0] > 8 else rnn(x)[0] * 2


@pytest.mark.parametrize(
    ("program", "axis", "why"),
    [
        (python_loop, 0, r"test_to_onnx.py:\d+ \(python_loop\) uses it as a plain number, as in range\(\)"),
        (state_from_numpy, 1, r"rnn at .*\(state_from_numpy\) needs it to be 3"),
        (branch_on_size, 0, r"\(branch_on_size\) compares it with 8"),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_an_axis_that_is_frozen_is_fixed_and_says_why(program, axis, why):
    x = lucid.randn(6, 3, 4)
    exported = to_onnx(program, x)
    assert axis not in exported.axes["x"]
    assert re.search(why, exported.fixed["x"][axis]), exported.fixed["x"][axis]
    assert __file__ in exported.fixed["x"][axis]
    assert program.__name__ in exported.fixed["x"][axis]
    with pytest.raises(ExportError, match=rf"axis {axis} of x cannot be dynamic \('n'\).*{why}"):
        to_onnx(program, x, dynamic={"x": {axis: "n"}})


def leaked_maximum(x):
    return rnn(x)[0] / float(x.amax())


def leaked_array(x):
    return rnn(x)[0] * lucid.tensor(np.abs(x.numpy()).mean())


def leaked_branch(x):
    return rnn(x)[0] if x.sum() > 0 else rnn(x)[0] * 2


@pytest.mark.parametrize(
    ("program", "how", "why"),
    [
        (leaked_maximum, "item()", "a constant changed"),
        (leaked_array, "numpy()", "a tensor made outside of lucid's ops differs"),
        (leaked_branch, "bool()", "the recorded operations differ"),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
@pytest.mark.parametrize("dynamic", ["auto", None])
def test_a_leaked_value_is_refused_with_the_line(program, how, why, dynamic):
    line = program.__code__.co_firstlineno + 1
    # The sum is negative here, and positive for other values.
    x = -lucid.rand(6, 3, 4) * 0.1
    with pytest.raises(ExportError, match=why) as caught:
        to_onnx(program, x, dynamic=dynamic)
    assert f"a value computed from the inputs left the graph through {how} at {__file__}:{line}" in str(caught.value)


def test_a_branch_that_all_traces_take_alike_is_caught_in_onnxruntime():
    def program(x):
        output = rnn(x)[0]
        return output * 2 if getattr(x._data, "sha" + "pe")[0] > 14 else output

    with pytest.raises(VerificationError, match=r"output 'output' differs at .*=15"):
        to_onnx(program, lucid.randn(6, 3, 4))


def test_random_ops_are_refused():
    def program(x):
        return rnn(x + lucid.randn(*x.shape))[0]

    with pytest.raises(ExportError, match=rf"gaussian at {re.escape(__file__)}.*it draws random numbers"):
        to_onnx(program, lucid.randn(6, 3, 4))


def test_an_op_without_lowering_is_refused():
    @lucid.op
    def unknown_to_onnx(x, /):
        return x * 2

    try:
        with pytest.raises(ExportError, match=r"unknown_to_onnx at .* has no lowering; write one"):
            to_onnx(lambda x: unknown_to_onnx(x), lucid.ones(3))
    finally:
        del lucid.tracer.OPS["unknown_to_onnx"]


def test_a_program_that_fails_raises_its_own_error():
    def program(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        to_onnx(program, lucid.ones(3))


# --- axes and options in the call


@pytest.mark.parametrize(
    ("dynamic", "message"),
    [
        ({"y": {0: "a"}}, r"dynamic names an input 'y'; there is x, h0"),
        ({"x": {3: "a"}}, r"x has 3 axes; dynamic asks for axis 3"),
        ({"x": {0: 5}}, r"an axis is named by a word; got 5"),
        (
            {"x": {0: "n", 1: "n"}},
            r"the axes named 'n' have different sizes in the example: axis 0 of x and axis 1 of x",
        ),
        ({"x": {1: "batch"}}, r"axis 1 of x cannot be dynamic \('batch'\): rnn at .* needs it to be 3"),
        ({"x": {2: "features"}}, r"axis 2 of x cannot be dynamic.*rnn at .* needs it to be 4"),
    ],
)
def test_axes_that_cannot_be_had_are_refused(dynamic, message):
    with pytest.raises(ExportError, match=message):
        to_onnx(rnn, lucid.randn(6, 3, 4), lucid.randn(1, 3, 5), dynamic=dynamic)


def test_axes_asked_for_have_the_names_given():
    x, h0 = lucid.randn(6, 3, 4), lucid.randn(1, 3, 5)
    exported = to_onnx(rnn, x, h0, dynamic={"x": {0: "T", -2: "N"}, "h0": {1: "N"}})
    assert exported.axes == {"x": {0: "T", 1: "N"}, "h0": {1: "N"}}
    assert exported.fixed["x"] == {2: "it was not asked to be dynamic"}
    dims = [d.dim_param or d.dim_value for d in exported.proto.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["T", "N", 4]
    dims = [d.dim_param or d.dim_value for d in exported.proto.graph.output[0].type.tensor_type.shape.dim]
    assert dims == ["T", "N", 5]


def test_no_dynamic_axes():
    exported = to_onnx(rnn, lucid.randn(6, 3, 4), dynamic=None)
    assert exported.axes == {}
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        run(exported, x=np.zeros((7, 3, 4), np.float32))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dynamic": "all"}, ValueError, "dynamic must be 'auto', None, or a mapping"),
        ({"lowering": "loop"}, ValueError, "lowering must be"),
        ({"opset": 12}, ValueError, "opset must be from 13"),
        ({"opset": 99}, ValueError, "opset must be from 13"),
        ({"opset": "18"}, TypeError, "opset must be an int"),
        ({"input_names": ["a", "b"]}, ValueError, "input_names must be 1 distinct names"),
        ({"input_names": "a"}, ValueError, "input_names must be 1 distinct names"),
        ({"input_names": [""]}, ValueError, "input_names must be 1 distinct names"),
        ({"input_names": [1]}, ValueError, "input_names must be 1 distinct names"),
        ({"output_names": ["a", "\ud800"]}, ValueError, "output_names must be 2 distinct names"),
        ({"output_names": ["x", "a"]}, ValueError, "output_names must differ from the inputs' names; got x in both"),
        ({"dynamic": {"x": {0: "2*a"}}}, ExportError, r"an axis is named by a word; got '2\*a'"),
        ({"output_names": ["a", "a"]}, ValueError, "output_names must be 2 distinct names"),
    ],
)
def test_options_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        to_onnx(rnn, lucid.randn(6, 3, 4), **options)


def test_names_can_be_chosen():
    exported = to_onnx(rnn, lucid.randn(6, 3, 4), input_names=["frames"], output_names=["states", "last"])
    assert exported.input_names == ["frames"]
    assert exported.output_names == ["states", "last"]
    assert exported.axes == {"frames": {0: "time", 1: "batch"}}


def test_not_callable():
    with pytest.raises(TypeError, match="expected a Module or a function; got int"):
        to_onnx(3)


# --- groups of axes


def test_axes_of_equal_size_are_told_apart():
    """T, N and H are all 5. Only axes that vary together share a name."""
    layer = nn.RNN(5, 5)
    exported = to_onnx(layer, lucid.randn(5, 5, 5), lucid.randn(1, 5, 5))
    assert exported.axes == {"x": {0: "time", 1: "batch"}, "h0": {1: "batch"}}


@pytest.mark.parametrize("shape", [(1, 1, 4), (1, 3, 4), (6, 1, 4)])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("lowering", ["rnn", "scan"])
def test_examples_of_size_one_leave_the_axes_free(shape, with_state, lowering):
    layer = nn.RNN(4, 5, 2)
    inputs = [lucid.randn(*shape)] + [lucid.randn(2, shape[1], 5)] * with_state
    exported = to_onnx(layer, *inputs, lowering=lowering)
    assert exported.axes["x"] == {0: "time", 1: "batch"}
    x, h0 = lucid.randn(4, 9, 4), lucid.randn(2, 9, 5)
    feed = {"x": x.numpy()} | ({"h0": h0.numpy()} if with_state else {})
    expected = layer(x, h0) if with_state else layer(x)
    for result, reference in zip(run(exported, **feed), expected, strict=True):
        np.testing.assert_allclose(result, reference.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_axes_that_are_broadcast_to_each_other_are_one(n):
    exported = to_onnx(lambda i, m: lucid.where(m, i + 1, i), lucid.randn(n, 3), lucid.randn(n, 3) > 0)
    assert exported.axes == {"i": {0: "i_dim_0", 1: "i_dim_1"}, "m": {0: "i_dim_0", 1: "i_dim_1"}}
    assert [str(d) for d in exported.model.graph.outputs[0].shape] == ["i_dim_0", "i_dim_1"]


def test_an_axis_that_is_broadcast_stays_so():
    exported = to_onnx(lambda x, y: x + y, lucid.randn(4, 3), lucid.randn(1, 3))
    assert exported.axes == {"x": {0: "x_dim_0", 1: "x_dim_1"}, "y": {1: "x_dim_1"}}


def test_two_inputs_with_axes_of_their_own():
    def program(x, query):
        keys = rnn(x)[0].transpose(0, 1)
        return (query @ keys.transpose(1, 2)).softmax(-1) @ keys

    exported = to_onnx(program, lucid.randn(6, 3, 4), lucid.randn(3, 2, 5))
    assert exported.axes == {"x": {0: "time", 1: "batch"}, "query": {0: "batch", 1: "query_dim_1"}}


def test_token_ids_stay_in_range():
    def program(tokens):
        return rnn(table[tokens])[1]

    exported = to_onnx(program, lucid.randint(0, 11, (6, 3)))
    assert exported.axes == {"tokens": {0: "time", 1: "batch"}}
    tokens = lucid.randint(0, 11, (9, 2))
    np.testing.assert_allclose(run(exported, tokens=tokens)[0], program(tokens).detach().numpy(), atol=1e-6)


# --- sequences of different length


class Packed(nn.Module):
    def __init__(self, nonlinearity: Any = "tanh", batch_first: bool = False, enforce_sorted: bool = False) -> None:
        super().__init__()
        self.batch_first, self.enforce_sorted = batch_first, enforce_sorted
        self.rnn = nn.RNN(4, 5, 2, nonlinearity, batch_first=batch_first)
        self.head = nn.Linear(5, 3)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, self.batch_first, self.enforce_sorted)
        output, h_n = self.rnn(packed)
        return self.head(h_n[-1]), pad_packed_sequence(output, self.batch_first)[0]


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("lowering", ["rnn", "unrolled", "scan"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_are_an_input(nonlinearity, lowering, batch_first):
    model = Packed(nonlinearity, batch_first)
    shape = (3, 6, 4) if batch_first else (6, 3, 4)
    exported = to_onnx(model, lucid.randn(*shape), lucid.tensor([4, 6, 1]), lowering=lowering)
    assert exported.input_names == ["x", "lengths"]
    steps = 6 if lowering == "unrolled" else 9
    lengths = np.array([1, steps, 3, 2, 1])
    # Padding must not affect the results. NaN in the padding is the hardest case.
    x = lucid.randn(5, steps, 4).numpy()
    for row, length in enumerate(lengths):
        x[row, length:] = np.nan
    x = x if batch_first else np.ascontiguousarray(x.transpose(1, 0, 2))
    clean = np.nan_to_num(x, nan=0.0)
    expected = [t.detach().numpy() for t in model(lucid.tensor(clean), lucid.tensor(lengths))]
    for results in (
        run(exported, x=clean, lengths=lengths),
        run(exported, x=x, lengths=lengths),
        [t.detach().numpy() for t in model(lucid.tensor(x), lucid.tensor(lengths))],
    ):
        for result, reference in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, reference, atol=1e-5)


def at(x: Any, value: float) -> Any:
    """Returns a copy of `x` with one element of the third step replaced."""
    array = np.array(x)
    array[2, 1, 0] = value
    return array


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("lowering", ["rnn", "unrolled", "scan"])
def test_what_is_infinite_or_no_number_passes_a_relu(lowering, trainable):
    """onnxruntime's RNN operator alone would turn NaN into 0."""
    layer = nn.RNN(4, 5, 2, "relu")
    exported = to_onnx(layer, lucid.randn(6, 3, 4), lucid.zeros(2, 3, 5), lowering=lowering, trainable=trainable)
    weights = {name: tensor.detach().numpy() for name, tensor in layer.named_parameters()} if trainable else {}
    x, h0 = lucid.randn(6, 3, 4).numpy(), np.abs(lucid.randn(2, 3, 5).numpy())
    hostile = [(at(x, value), h0) for value in (np.nan, np.inf, -np.inf, 3e38)]
    hostile += [(x, at(h0.repeat(2, 0), np.nan)[2:]), (x * np.float32(1e38), h0 * np.float32(1e38))]
    for given, first in ((x, h0), *hostile):
        expected = [t.detach().numpy() for t in layer(lucid.tensor(given), lucid.tensor(first))]
        assert np.isnan(expected[0]).any() or not np.isnan(given).any()
        for result, reference in zip(run(exported, x=given, h0=first, **weights), expected, strict=True):
            np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-5)
    nn.init.constant_(layer.weight_hh_l1, np.nan)
    exported = to_onnx(layer, lucid.randn(6, 3, 4), lucid.zeros(2, 3, 5), lowering=lowering, verify=False)
    expected = layer(lucid.tensor(x), lucid.tensor(h0))
    for result, reference in zip(run(exported, x=x, h0=h0), expected, strict=True):
        np.testing.assert_array_equal(np.isnan(result), np.isnan(reference.detach().numpy()))


def test_the_operator_computes_a_relu_wherever_it_can():
    layer = nn.RNN(4, 5, nonlinearity="relu")
    exported = to_onnx(layer, lucid.randn(6, 3, 4), lowering="rnn")
    assert exported.operators["RNN"] == exported.operators["If"] == 1
    proto = exported.proto
    (choice,) = (node for node in proto.graph.node if node.op_type == "If")
    (other,) = (attribute.g for attribute in choice.attribute if attribute.name == "else_branch")
    (scan,) = (node for node in other.node if node.op_type == "Scan")
    for node in scan.attribute[0].g.node:
        node.op_type = node.op_type.replace("Relu", "Neg")  # shows which branch computed the result
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for scale, same in ((1.0, True), (1e30, True), (1e38, False)):
        x = lucid.randn(6, 3, 4).numpy() * np.float32(scale)
        expected = layer(lucid.tensor(x))[0].detach().numpy()
        close = np.allclose(session.run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-5, equal_nan=True)
        assert close == same, scale


def test_lengths_are_known_behind_other_ops():
    layer = nn.RNN(4, 5)

    def program(frames, lengths):
        x = ((frames - 0.5) / 2).transpose(0, 1)
        return layer(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]

    exported = to_onnx(program, lucid.randn(3, 6, 4), lucid.tensor([4, 6, 1]))
    assert exported.axes == {"frames": {0: "batch", 1: "time"}, "lengths": {0: "batch"}}
    assert exported.report is not None
    assert all(check.difference is not None for check in exported.report.checks)


def test_a_folder_that_is_not_there_is_seen_before_the_work(tmp_path):
    def program(x):
        raise AssertionError("the model ran")

    with pytest.raises(FileNotFoundError, match="the folder does not exist"):
        to_onnx(program, lucid.ones(3), path=tmp_path / "missing" / "model.onnx")


def test_lengths_that_must_be_sorted():
    exported = to_onnx(Packed(enforce_sorted=True), lucid.randn(6, 3, 4), lucid.tensor([6, 5, 1]))
    assert exported.axes == {"x": {0: "time", 1: "batch"}, "lengths": {0: "batch"}}


# --- small graphs


@pytest.mark.parametrize(
    ("layers", "batch_first", "with_state", "operators"),
    [
        (1, False, False, {"RNN": 1, "Squeeze": 1}),
        (1, False, True, {"RNN": 1, "Squeeze": 1}),
        (1, True, False, {"Transpose": 2, "RNN": 1, "Squeeze": 1}),
        (1, True, True, {"Transpose": 2, "RNN": 1, "Squeeze": 1}),
        (2, False, False, {"RNN": 2, "Squeeze": 2, "Concat": 1}),
        (2, False, True, {"Split": 1, "RNN": 2, "Squeeze": 2, "Concat": 1}),
    ],
)
def test_graphs_are_small(layers, batch_first, with_state, operators):
    layer = nn.RNN(4, 5, layers, batch_first=batch_first)
    batch = 6 if batch_first else 3
    layer_inputs = [lucid.randn(3, 6, 4) if batch_first else lucid.randn(6, 3, 4)]
    if batch_first:
        batch = 3
    if with_state:
        layer_inputs.append(lucid.randn(layers, batch, 5))
    exported = to_onnx(layer, *layer_inputs)
    assert exported.operators == operators
    assert exported.output_names == ["output", "h_n"]
    assert exported.input_names == (["x", "h0"] if with_state else ["x"])


def test_what_is_not_asked_for_is_not_computed():
    exported = to_onnx(lambda x: rnn(x)[1], lucid.randn(6, 3, 4))
    assert exported.operators == {"RNN": 1}
    assert exported.proto.graph.node[0].output[0] == ""


def test_constants_are_folded_and_shared():
    weight = lucid.randn(4, 4)

    def program(x):
        scale = (weight * 2).exp() + 1
        return x @ scale, rnn(x @ scale)[0], x @ scale.T

    exported = to_onnx(program, lucid.randn(6, 3, 4))
    assert exported.operators == {"MatMul": 2, "RNN": 1, "Squeeze": 1}
    digests = [i.raw_data for i in exported.proto.graph.initializer]
    assert len(digests) == len(set(digests))


def test_shared_weights_are_stored_once():
    exported = to_onnx(shared_weights, lucid.randn(6, 3, 4))
    assert sorted(list(i.dims) for i in exported.proto.graph.initializer) == [[], [1], [1, 5, 4], [1, 5, 5], [1, 10]]


def test_names_say_where_a_node_comes_from():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential({"rnn": nn.RNN(4, 5, 2)})
            self.head = nn.Linear(5, 2)

        def forward(self, x):
            return self.head(self.encoder(x)[0])

    exported = to_onnx(Model(), lucid.randn(6, 3, 4))
    names = [node.name for node in exported.proto.graph.node]
    assert names == [
        "encoder.rnn.l0/RNN",
        "encoder.rnn.l0/Squeeze",
        "encoder.rnn.l1/RNN",
        "encoder.rnn.l1/Squeeze",
        *[name for name in names if name.startswith("head/")],
    ]
    initializers = {i.name for i in exported.proto.graph.initializer}
    assert {"encoder.rnn.weight_ih_l0", "encoder.rnn.weight_hh_l1"} <= initializers


# --- lowerings


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_three_lowerings_agree(nonlinearity):
    layer = nn.RNN(4, 5, 2, nonlinearity)
    x, h0 = lucid.randn(6, 3, 4), lucid.randn(2, 3, 5)
    expected = [t.detach().numpy() for t in layer(x, h0)]
    for lowering, axes in (
        ("rnn", {0: "time", 1: "batch"}),
        ("unrolled", {1: "batch"}),
        ("scan", {0: "time", 1: "batch"}),
    ):
        exported = to_onnx(layer, x, h0, lowering=lowering)
        assert exported.axes["x"] == axes
        for result, reference in zip(run(exported, x=x, h0=h0), expected, strict=True):
            np.testing.assert_allclose(result, reference, atol=1e-6)


def test_auto_takes_the_operator_for_tanh_and_unrolls_relu():
    x = lucid.randn(6, 3, 4)
    assert to_onnx(nn.RNN(4, 5), x).operators == {"RNN": 1, "Squeeze": 1}
    exported = to_onnx(nn.RNN(4, 5, nonlinearity="relu"), x)
    assert exported.operators == {"MatMul": 6, "Add": 7, "Split": 1, "Relu": 6, "Concat": 1}
    assert exported.fixed["x"][0] == "a recurrent layer is unrolled over it; lowering='scan' leaves it free"
    exported = to_onnx(nn.RNN(4, 5, nonlinearity="relu"), x, dynamic={"x": {0: "time", 1: "batch"}})
    assert exported.operators["Scan"] == 1


def test_relu_without_a_length():
    with pytest.raises(ExportError, match=r"no example says over how many time steps.*lowering='scan'"):
        to_onnx(nn.RNN(4, 5, nonlinearity="relu"))
    assert to_onnx(nn.RNN(4, 5, nonlinearity="relu"), lowering="scan").axes == BOTH


def test_unrolled_cannot_be_dynamic_in_time():
    with pytest.raises(ExportError, match=r"axis time is unrolled step by step.*lowering='scan' leaves it free"):
        to_onnx(rnn, lucid.randn(6, 3, 4), lowering="unrolled", dynamic=BOTH)


def test_float64_by_scan():
    layer = nn.RNN(4, 5, 2, dtype=np.float64)
    x, h0 = lucid.randn(6, 3, 4, dtype=np.float64), lucid.randn(2, 3, 5, dtype=np.float64)
    exported = to_onnx(layer, x, h0)
    assert exported.operators["Scan"] == 2
    assert exported.report is not None
    assert exported.report.difference < 1e-12
    with pytest.raises(ExportError, match="onnxruntime has no RNN operator for float64"):
        to_onnx(layer, x, h0, lowering="rnn")


def test_relu_keeps_nan_where_numpy_does():
    layer = nn.RNN(4, 5, nonlinearity="relu")
    x = lucid.randn(6, 3, 4).numpy()
    x[2, 1, 0] = np.nan
    expected = layer(lucid.tensor(x))[0].detach().numpy()
    assert np.isnan(expected[2:, 1]).all()
    assert not np.isnan(expected[:, [0, 2]]).any()
    for lowering in ("unrolled", "scan"):
        result = run(to_onnx(layer, lucid.randn(6, 3, 4), lowering=lowering), x=x)[0]
        np.testing.assert_allclose(result, expected, atol=1e-6)


# --- gradients


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("lowering", ["rnn", "scan"])
def test_gradients_export_and_stay_dynamic(nonlinearity, lowering):
    layer = nn.RNN(4, 5, 2, nonlinearity)
    output = nn.Linear(5, 2)
    parameters = [*layer.parameters(), *output.parameters()]

    def loss_and_gradients(x, y):
        loss = nn.functional.cross_entropy(output(layer(x)[0][-1]), y)
        return loss, *lucid.grad(loss, parameters)

    exported = to_onnx(loss_and_gradients, lucid.randn(6, 3, 4), lucid.tensor([0, 1, 1]), lowering=lowering)
    assert exported.axes == {"x": {0: "time", 1: "batch"}, "y": {0: "batch"}}
    x, y = lucid.randn(9, 2, 4), lucid.tensor([1, 0])
    loss = nn.functional.cross_entropy(output(layer(x)[0][-1]), y)
    loss.backward()
    results = run(exported, x=x, y=y)
    np.testing.assert_allclose(results[0], loss.item(), atol=1e-6)
    for result, parameter in zip(results[1:], parameters, strict=True):
        np.testing.assert_allclose(result, parameter.grad.numpy(), atol=1e-5)


def test_gradients_of_gradients_export():
    layer = nn.RNN(4, 5, dtype=np.float64)

    def penalty(x):
        (g,) = lucid.grad((layer(x)[0] ** 2).sum(), [layer.weight_hh_l0], create_graph=True)
        return lucid.grad((g * g).sum(), [layer.weight_hh_l0, layer.weight_ih_l0])

    exported = to_onnx(penalty, lucid.randn(6, 3, 4, dtype=np.float64), rtol=1e-9, atol=1e-9)
    x = lucid.randn(4, 2, 4, dtype=np.float64)
    for result, reference in zip(run(exported, x=x), penalty(x), strict=True):
        np.testing.assert_allclose(result, reference.numpy(), rtol=1e-9, atol=1e-9)


# --- examples, side effects


def test_the_last_call_serves_as_example():
    model = nn.Sequential(nn.Linear(4, 4), nn.RNN(4, 5))
    with pytest.raises(ExportError, match="Sequential was never called, so its inputs are not known"):
        to_onnx(model)
    model(lucid.randn(6, 3, 4))
    exported = to_onnx(model)
    assert exported.axes == {"input": {0: "time", 1: "batch"}}
    assert exported.report is not None
    assert exported.report.checks[0].sizes == {"time": 6, "batch": 3}


def test_a_bare_recurrent_layer_needs_no_call():
    assert to_onnx(nn.RNN(4, 5)).axes == BOTH
    assert to_onnx(nn.RNN(4, 5, batch_first=True)).axes == {"x": {0: "batch", 1: "time"}}


def test_a_call_that_failed_is_no_example():
    rnn = nn.RNN(3, 4)
    rnn(lucid.randn(5, 2, 3))
    with pytest.raises(ShapeError):
        rnn(lucid.randn(5, 2, 4))
    assert to_onnx(rnn).axes == {"x": {0: "time", 1: "batch"}}


def test_the_last_call_keeps_lengths():
    model = Packed()
    model(lucid.randn(6, 3, 4), lucid.tensor([4, 6, 1]))
    assert to_onnx(model).axes == {"x": {0: "time", 1: "batch"}, "lengths": {0: "batch"}}


def test_dropout_is_gone_and_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.RNN(4, 5, 2, dropout=0.5))
    model[0].eval()
    model(lucid.randn(6, 3, 4))[0].sum().backward()
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    gradients = [p.grad for p in model.parameters()]
    state = lucid.ops.random.get_rng_state()
    exported = to_onnx(model)
    assert exported.operators == {"RNN": 2, "Squeeze": 2, "Concat": 1}
    assert (model.training, model[0].training) == (True, False)
    assert lucid.ops.random.get_rng_state() == state
    assert all(a is b for a, b in zip(gradients, (p.grad for p in model.parameters()), strict=True))
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(before[name], p.detach().numpy())


def test_the_model_is_left_as_it_was_when_the_export_fails(tmp_path):
    class Forgetful(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(4, 5)
            self.calls = 0
            self.register_buffer("state", lucid.zeros(1))

        def forward(self, x):
            self.calls += 1
            self.state = lucid.ones(1)
            return self.rnn(x)[0] / float(x.amax())

    model = Forgetful()
    state = model.state
    path = tmp_path / "model.onnx"
    with pytest.raises(ExportError):
        to_onnx(model, lucid.rand(6, 3, 4), path=path)
    assert model.training
    assert model.rnn.training
    assert model.calls == 0
    assert model.state is state
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_the_model(tmp_path):
    path = tmp_path / "model.onnx"
    exported = to_onnx(rnn, lucid.randn(6, 3, 4), path=path)
    assert exported.path == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    onnx.checker.check_model(str(path), full_check=True)
    assert onnx.load(path).graph == exported.proto.graph


def test_training_goes_on_after_an_export():
    model = nn.RNN(4, 5)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
    x = lucid.randn(6, 3, 4)
    losses = []
    for _ in range(3):
        loss = (model(x)[0] ** 2).mean()
        to_onnx(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[1] < losses[0]


# --- the report


def test_the_report_has_sizes_that_were_never_traced():
    exported = to_onnx(rnn, lucid.randn(6, 3, 4))
    assert exported.report is not None
    sizes = [check.sizes for check in exported.report.checks]
    assert sizes[:3] == [{"time": 6, "batch": 3}, {"time": 1, "batch": 1}, {"time": 15, "batch": 10}]
    assert exported.report.difference < 1e-6
    text = str(exported.report)
    assert text.splitlines()[0].split() == ["sizes", "greatest", "difference"]
    assert "time=15, batch=10" in text


def test_sizes_that_the_program_rejects_are_a_condition_of_the_file():
    def program(x):
        if x.shape[0] < 3:
            raise ValueError("too short")
        return rnn(x)[0][2]

    exported = to_onnx(program, lucid.randn(6, 3, 4))
    assert exported.axes == BOTH
    (condition,) = exported.conditions
    assert condition == "time >= 3"
    assert "(program)" in exported.conditions[condition]
    assert "time >= 3, as" in str(exported)
    assert exported.report is not None
    assert all(check.sizes["time"] >= 3 for check in exported.report.checks)
    with pytest.raises(ShapeError, match="the model is for time >= 3"):
        Session(exported)(lucid.randn(2, 3, 4))


def test_a_wrong_lowering_is_caught():
    @lucid.op
    def halved(x, /):
        return x / 2

    @lucid.export.lowers(halved)
    def _(b, x):
        return b.op("Mul", x, np.array(0.51, np.float32))

    try:
        with pytest.raises(VerificationError, match=r"output 'output' differs at .*; \d+ of \d+ elements are beyond"):
            to_onnx(lambda x: halved(x), lucid.randn(3, 4))
    finally:
        del lucid.tracer.OPS["halved"]
        del lucid.export.lowering.LOWERINGS["halved"]


def test_an_output_that_would_have_the_name_of_an_input_gets_another() -> None:
    exported = to_onnx(lambda output: output + 1, lucid.ones(3))
    assert exported.input_names == ["output"]
    assert exported.output_names == ["output_out"]
    np.testing.assert_array_equal(run(exported, output=np.zeros(2, np.float32))[0], [1, 1])


def test_a_tensor_expands_to_a_size_that_depends_on_elements() -> None:
    def function(x: lucid.Tensor) -> lucid.Tensor:
        places = lucid.nonzero(x)
        return x.sum().reshape(1, 1).expand(places.shape[0], 3) + places

    exported = to_onnx(function, lucid.tensor([1.0, 0.0, 2.0]))
    for values in ([0.0, 0.0], [1.0, 2.0, 0.0, 5.0]):
        x = np.array(values, np.float32)
        np.testing.assert_allclose(run(exported, x=x)[0], function(lucid.tensor(x)).numpy())
