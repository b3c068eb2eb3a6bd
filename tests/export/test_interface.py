"""Interface: what a file says of its inputs and outputs, and what a session makes of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError, FileError, ShapeError
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence
from lucid.runtime import Session

Array = Any
T, N, F, H = 6, 3, 3, 4


def randn(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("f4")


def eager(model: Any, *args: Any) -> list[Array]:
    with lucid.no_grad():
        results = model(*(None if x is None else lucid.tensor(x) for x in args))
    return [y.numpy() for result in results for y in (result if isinstance(result, tuple) else (result,))]


def assert_equal(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


gru, lstm, cell = nn.GRU(F, H).eval(), nn.LSTM(F, H).eval(), nn.LSTMCell(F, H).eval()


# --- lengths


@pytest.mark.parametrize("lowering", ["rnn", "scan"])
def test_lengths_are_what_a_layer_takes_whatever_their_name(lowering: Any) -> None:
    def model(x: Any, n: Any) -> Any:
        return (gru(pack_padded_sequence(x, n, enforce_sorted=False))[1],)

    session = Session(to_onnx(model, randn(T, N, F), lucid.tensor([6, 2, 3]), lowering=lowering).serialize())
    assert session.interface.lengths == {"n": "time"}
    x = randn(5, 2, F)
    assert_equal(session(x, [5, 1]), eager(model, x, np.array([5, 1])))
    for wrong in ([0, 5], [5, 6]):
        with pytest.raises(ShapeError, match="input 'n' must hold lengths from 1 to 5"):
            session(x, wrong)
    assert session.sample(time=9, batch=2)[1].tolist() == [9, 9]


@pytest.mark.parametrize(
    ("change", "formula", "right", "wrong"),
    [
        (lambda n, t: n - 1, "(length-1)", [2, 6], [1, 7]),
        (lambda n, t: (n.int() + 1) // 2, "((length+1)//2)", [1, 10], [0, 11]),
        (lambda n, t: n.clamp(max=t), "min(length, (time))", [1, 99], [0]),
        (lambda n, t: t - n, "((time)-length)", [0, 4], [5, -1]),
    ],
)
def test_lengths_that_are_computed(change: Any, formula: str, right: list[int], wrong: list[int]) -> None:
    def model(x: Any, n: Any) -> Any:
        return (gru(pack_padded_sequence(x, change(n, x.shape[0]), enforce_sorted=False))[1],)

    session = Session(to_onnx(model, randn(T, N, F), lucid.tensor([3, 2, 3]), lowering="scan"))
    assert session.interface.computed == (("n", formula, "time"),)
    assert session.interface.lengths == {}
    x = randn(5, 2, F)
    assert_equal(session(x, right), eager(model, x, np.array(right)))
    for n in wrong:
        with pytest.raises(ShapeError, match=rf"of input 'n' are lengths, .* from 1 to time; got length={n} in"):
            session(x, [n, right[0]])
    session.warmup(time=5, batch=2)


def test_lengths_that_are_clamped_first_may_be_zero() -> None:
    def model(x: Any, x_lengths: Any) -> Any:
        return (gru(pack_padded_sequence(x, x_lengths.clamp(min=1), enforce_sorted=False))[1],)

    session = Session(to_onnx(model, randn(T, N, F), lucid.tensor([6, 2, 3])))
    assert session.interface.lengths == {}
    x, lengths = randn(5, 2, F), np.array([0, 4])
    assert_equal(session(x, lengths), eager(model, x, lengths))
    with pytest.raises(ShapeError, match=r"max\(length, 1\) of input 'x_lengths' are lengths, .*; got length=6 in"):
        session(x, [0, 6])


def test_the_lengths_of_a_decoder_have_their_own_number_of_steps() -> None:
    """A mask takes any number, and the steps of the encoder do not bound it."""

    def model(x: Any, lengths: Any, y: Any, y_lengths: Any) -> Any:
        h = gru(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]
        z = gru(y, h)[0]
        mask = lucid.arange(y.shape[0])[:, None] < y_lengths
        return ((z * mask[:, :, None].float()).sum(0),)

    given = (randn(T, N, F), np.array([6, 2, 3]), randn(9, N, F), np.array([9, 0, 7]))
    session = Session(to_onnx(model, *map(lucid.tensor, given)))
    (steps,) = session.interface.counts.values()
    assert session.interface.lengths == {"lengths": "time"}
    assert session.interface.counts == {"y_lengths": steps}
    assert steps != "time"
    assert_equal(session(*given), eager(model, *given))


def test_a_mask_over_a_fixed_number_of_steps() -> None:
    def model(x: Any, n: Any) -> Any:
        return (x * (lucid.arange(T) < n.unsqueeze(1)),)

    exported = to_onnx(model, randn(N, T), lucid.tensor([1, 2, 3]), dynamic=None)
    assert exported.interface.counts == {"n": T}


# --- states


def test_layers_and_cells_say_which_output_continues_which_input() -> None:
    for model, x, states, expected in (
        (nn.RNN(F, H), (T, N, F), [(1, N, H)], {"h0": "h_n"}),
        (nn.RNN(F, H, 2, batch_first=True), (N, T, F), [(2, N, H)], {"h0": "h_n"}),
        (nn.GRUCell(F, H), (N, F), [(N, H)], {"h": "h_next"}),
    ):
        assert to_onnx(model, randn(*x), *(randn(*s) for s in states)).interface.states == expected
    exported = to_onnx(nn.LSTM(F, H), lucid.randn(T, N, F), (lucid.randn(1, N, H), lucid.randn(1, N, H)))
    assert exported.interface.states == {"h0": "h_n", "c0": "c_n"}
    exported = to_onnx(nn.LSTMCell(F, H), lucid.randn(N, F), (lucid.randn(N, H), lucid.randn(N, H)))
    assert exported.interface.states == {"h": "h_next", "c": "c_next"}


@pytest.mark.parametrize("options", [{"precision": "int8"}, {"dynamic": None}, {"lowering": "unrolled"}])
def test_states_are_declared_where_nothing_is_streamed(options: Any) -> None:
    exported = to_onnx(nn.RNN(F, H).eval(), lucid.randn(T, N, F), lucid.randn(1, N, H), **options)
    assert exported.interface.states == {"h0": "h_n"}


def stacked(x: Any, s: Any = None) -> Any:
    """One input holds h and c of a layer."""
    y, (h, c) = lstm(x, None if s is None else (s[0:1], s[1:2]))
    return y, lucid.cat([h, c])


def stacked_step(x: Any, s: Any) -> Any:
    h, c = cell(x, (s[0], s[1]))
    return h, lucid.stack([h, c])


def test_a_stack_of_states_has_a_fixed_size_and_is_streamed() -> None:
    exported = to_onnx(stacked, randn(T, N, F), randn(2, N, H))
    assert exported.axes == {"x": {0: "time", 1: "batch"}, "s": {1: "batch"}}
    assert exported.fixed["s"][0] == "it is a state, and the output that continues it has this size"
    x = randn(11, 2, F)
    stream = Session(exported).stream(batch=2)
    assert stream.pairs == {"s": "output_1"}
    pieces = [stream(piece)[0] for piece in np.split(x, [4, 5])]
    expected = eager(stacked, x)
    assert_equal([np.concatenate(pieces), stream.state["s"]], expected)
    with pytest.raises(ShapeError, match="axis 0 of input 's' must be 2; got 3"):
        Session(exported)(x, randn(3, 2, H))


def test_a_stack_of_states_of_one_step() -> None:
    exported = to_onnx(stacked_step, randn(N, F), randn(2, N, H))
    assert exported.axes == {"x": {0: "batch"}, "s": {1: "batch"}}
    x, s = randn(5, 2, F), np.zeros((2, 2, H), "f4")
    stream = Session(exported).stream(batch=2)
    for piece in x:
        y, s = eager(stacked_step, piece, s)
        assert_equal([stream(piece)[0], stream.state["s"]], [y, s])


project = nn.Linear(F, F)


def leaky(x: Any, v: Any) -> Any:
    """A step of one's own: no layer says that it has states."""
    x = project(x)
    a, b = v[0] * 0.9 + x, v[1] * 0.5 - x
    return a + b, lucid.stack([a, b])


def test_states_of_a_step_of_ones_own_are_declared() -> None:
    free = to_onnx(leaky, randn(N, F), randn(2, N, F))
    assert free.interface.states == {}
    assert 0 in free.axes["v"]
    with pytest.raises(ValueError, match=r"stream: the file declares no state.*to_onnx\(step, x, h, states="):
        Session(free).stream()
    exported = to_onnx(leaky, randn(N, F), randn(2, N, F), states={"v": "output_1"})
    assert exported.axes == {"x": {0: "x_dim_0"}, "v": {1: "x_dim_0"}}
    x, v = randn(5, 2, F), np.zeros((2, 2, F), "f4")
    stream = Session(exported).stream(batch=2)
    for piece in x:
        y, v = eager(leaky, piece, v)
        assert_equal([stream(piece)[0], stream.state["v"]], [y, v])


def test_states_that_are_declared_wrongly() -> None:
    x, h, v = randn(T, N, F), randn(1, N, H), randn(2, N, F)
    with pytest.raises(ValueError, match="states names input 'z', which does not exist; the inputs are x, h0"):
        to_onnx(gru, x, h, states={"z": "h_n"})
    with pytest.raises(ValueError, match=r"states names output 'z', which does not exist; .* the outputs output, h_n"):
        to_onnx(gru, x, h, states={"h0": "z"})
    with pytest.raises(ExportError, match=r"a state goes in as it came out, but h0 is float32\(1, .*\), and output, "):
        to_onnx(gru, x, h, states={"h0": "output"})
    with pytest.raises(ExportError, match=r"but v is float32\(rows, 3, 3\), and output_1, .* is float32\(2, 3, 3\)"):
        to_onnx(leaky, x[0], v, states={"v": "output_1"}, dynamic={"v": {0: "rows"}})

    def swapped(x: Any, a: Any, b: Any) -> Any:
        return *gru(x, a), *gru(x, b)

    with pytest.raises(ValueError, match="the last state of the layer that starts from it is 'output_1'"):
        to_onnx(swapped, x, h, h, states={"a": "output_3", "b": "output_1"})


def test_what_is_no_state_is_not_declared() -> None:
    second = nn.GRU(F, H).eval()

    def flipped(x: Any, h: Any) -> Any:
        return gru(x.flip(0), h)

    def shared(x: Any, h: Any) -> Any:
        return gru(x, h)[1], second(x, h)[1]

    def doubled(x: Any, h: Any) -> Any:
        y, h = gru(x, h)
        return y, h * 2

    for model in (flipped, shared, doubled):
        assert to_onnx(model, randn(T, N, F), randn(1, N, H)).interface.states == {}


# --- states that are left out


def test_optional_states_are_zeros() -> None:
    exported = to_onnx(nn.GRU(F, H, 2).eval(), lucid.randn(T, N, F), lucid.randn(2, N, H))
    session = Session(exported.serialize())
    x = randn(5, 2, F)
    zeros = np.zeros((2, 2, H), "f4")
    expected = session(x, zeros)
    for found in (session(x), session(x=x), session(x, None), session(x, h0=None)):
        assert_equal(found, expected)
    assert not np.allclose(session(x, zeros + 1)[1], expected[1])
    with pytest.raises(TypeError, match="input 'x' is missing"):
        session(h0=zeros)


def test_optional_states_as_an_eager_call_has_them() -> None:
    def model(x: Any, h0: Any = None, scale: Any = None) -> Any:
        y, h = gru(x, h0)
        return y * (1.0 if scale is None else scale), h

    session = Session(to_onnx(model, randn(T, N, F), randn(1, N, H), lucid.tensor(2.0)))
    assert session.interface.optional == (("h0",),)
    x = randn(5, 2, F)
    assert_equal(session(x, scale=3.0), eager(model, x, None, np.float32(3)))
    with pytest.raises(TypeError, match="input 'scale' is missing"):
        session(x)


def test_what_does_not_start_from_zeros_is_not_optional() -> None:
    def from_ones(x: Any, h0: Any = None) -> Any:
        return gru(x, lucid.ones(1, x.shape[1], H) if h0 is None else h0)

    def demanded(x: Any, h0: Any = None) -> Any:
        if h0 is None:
            raise ValueError("a state is needed")
        return gru(x, h0)

    def without_default(x: Any, h0: Any) -> Any:
        return gru(x, h0)

    for model in (from_ones, demanded, without_default):
        exported = to_onnx(model, randn(T, N, F), randn(1, N, H))
        assert exported.interface.states == {"h0": exported.output_names[1]}
        assert exported.interface.optional == ()
        with pytest.raises(TypeError, match="input 'h0' is missing"):
            Session(exported)(randn(T, N, F))


def test_states_that_are_left_out_together() -> None:
    exported = to_onnx(nn.LSTM(F, H).eval(), lucid.randn(T, N, F), (lucid.randn(1, N, H), lucid.randn(1, N, H)))
    session = Session(exported)
    x, h, zeros = randn(5, 2, F), randn(1, 2, H), np.zeros((1, 2, H), "f4")
    assert_equal(session(x), session(x, zeros, zeros))
    with pytest.raises(TypeError, match="input 'c0' was left out, but only these may be, together: 'h0' and 'c0'"):
        session(x, h)

    def model(x: Any, h0: Any = None, c0: Any = None) -> Any:
        return lstm(x, None if h0 is None else (h0, c0))  # without h0, c0 means nothing

    session = Session(to_onnx(model, x, h, h))
    assert session.interface.optional == (("c0",), ("h0", "c0"))
    assert_equal(session(x), eager(model, x))
    assert_equal(session(x, h, h), eager(model, x, h, h))
    assert_equal(session(x, h), eager(model, x, h))
    with pytest.raises(TypeError, match="input 'h0' was left out"):
        session(x, c0=h)


# --- the file


def test_a_file_says_what_its_inputs_and_outputs_are(tmp_path: Any) -> None:
    table = nn.Embedding(7, F)

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.gru = table, gru

        def forward(self, ids: Any, lengths: Any, h0: Any = None) -> Any:
            y, h = self.gru(pack_padded_sequence(self.table(ids), lengths, enforce_sorted=False), h0)
            return {"y": nn.utils.rnn.pad_packed_sequence(y)[0], "h_n": h}

    ids = lucid.tensor(np.arange(T * N).reshape(T, N) % 7)
    exported = to_onnx(Tagger(), ids, lucid.tensor([6, 2, 3]), lucid.randn(1, N, H), path=tmp_path / "tagger.onnx")
    graph = onnx.load(tmp_path / "tagger.onnx").graph
    assert {value.name: value.doc_string for value in (*graph.input, *graph.output)} == {
        "ids": "Row numbers of table.weight, from 0 to 6. Axes: time, batch.",
        "lengths": "The number of steps of each sequence, from 1 to time. Axes: batch.",
        "h0": "A state: give the output 'h_n' of one call to the next; zeros, if a caller leaves it out. "
        "Axes: 1, batch, 4.",
        "y": "A result, step by step. Axes: time, batch, 4.",
        "h_n": "The state after the last step: the next value of input 'h0'. Axes: 1, batch, 4.",
    }
    session = Session(tmp_path / "tagger.onnx")
    assert session.interface == exported.interface
    assert json.loads(session.metadata["lucid.interface"]) == {
        "lengths": {"lengths": "time"},
        "computed": [],
        "counts": {},
        "states": {"h0": "h_n"},
        "optional": [["h0"]],
        "separable": {"batch": {"y": 1, "h_n": 1}},
    }
    assert lucid.export.verify(tmp_path / "tagger.onnx").metadata == {}


@pytest.mark.parametrize(
    "record",
    ["{", "[]", '{"states": {"h0": 1}}', '{"lengths": {"x": 1.5}}', '{"more": 1}', '{"separable": {"b": {"y": "1"}}}'],
)
def test_a_record_that_makes_no_sense(record: str) -> None:
    proto = to_onnx(gru, lucid.randn(T, N, F), lucid.randn(1, N, H)).proto
    for entry in proto.metadata_props:
        if entry.key == "lucid.interface":
            entry.value = record
    with pytest.raises(FileError, match="has metadata that lucid did not write"):
        Session(proto.SerializeToString(), verify=False)


# --- names of axes

attend = nn.functional.scaled_dot_product_attention


def convolved(x: Any) -> Any:
    return gru(conv(x.transpose(1, 2)).permute(2, 0, 1))[0]


conv, attention, linear = nn.Conv1d(F, F, 3, stride=2), nn.MultiheadAttention(H, 2, batch_first=True), nn.Linear(F, H)


@pytest.mark.parametrize(
    ("model", "shapes", "axes"),
    [
        (nn.GRUCell(F, H), [(N, F)], {"x": {0: "batch"}}),
        (conv, [(N, F, T)], {"input": {0: "batch", 2: "time"}}),
        (convolved, [(N, T, F)], {"x": {0: "batch", 1: "time"}}),
        (lambda x: nn.scan(cell, x)[0], [(T, N, F)], {"x": {0: "time", 1: "batch"}}),
        (lambda x: attention(x, x, x)[0], [(N, T, H)], {"x": {0: "batch", 1: "time"}}),
        (lambda x: attend(*[linear(x)] * 3), [(N, T, F)], {"x": {0: "batch", 1: "time"}}),
        (lambda x: linear(x), [(N, F)], {"x": {0: "x_dim_0"}}),
    ],
)
def test_layers_name_the_axes(model: Any, shapes: Any, axes: Any) -> None:
    assert to_onnx(model, *(lucid.randn(*shape) for shape in shapes)).axes == axes


def test_losses_name_the_batch() -> None:
    def loss(x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(linear(x), y)

    assert to_onnx(loss, lucid.randn(N, F), lucid.tensor([0, 1, 2])).axes == {"x": {0: "batch"}, "y": {0: "batch"}}

    def ctc(x: Any, labels: Any, steps: Any, counts: Any) -> Any:
        return nn.functional.ctc_loss(nn.functional.log_softmax(linear(x), -1), labels, steps, counts)

    given = lucid.randn(T, N, F), lucid.tensor([[1], [2], [3]]), lucid.tensor([T] * N), lucid.tensor([1] * N)
    axes = to_onnx(ctc, *given).axes
    assert (axes["x"], axes["steps"], axes["counts"]) == ({0: "time", 1: "batch"}, {0: "batch"}, {0: "batch"})


def test_loaders_name_the_axes() -> None:
    data = lucid.data.TensorDataset(lucid.randn(8, F), lucid.arange(8))
    x, _ = next(iter(lucid.data.DataLoader(data, batch_size=4)))
    model = nn.Linear(F, H)
    assert to_onnx(model, x).axes == {"input": {0: "batch"}}
    model(x)
    assert to_onnx(model).axes == {"input": {0: "batch"}}
    samples = [(np.ones((3, F), "f4"), 0), (np.ones((5, F), "f4"), 1)]
    for batch_first, axes in ((False, {0: "time", 1: "batch"}), (True, {0: "batch", 1: "time"})):
        (padded, _), _ = lucid.data.pad_collate(samples, batch_first=batch_first)
        assert to_onnx(linear, padded).axes == {"input": axes}


def test_a_name_that_the_user_gave_stays() -> None:
    exported = to_onnx(gru, lucid.randn(T, N, F), dynamic={"x": {0: "frames", 1: "speakers"}})
    assert exported.axes == {"x": {0: "frames", 1: "speakers"}}
