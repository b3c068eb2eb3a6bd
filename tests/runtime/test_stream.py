"""Streams: a sequence gives the same results in pieces of any length as in one call."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lucid
from lucid import nn
from lucid.errors import DtypeError, LucidError, ShapeError
from lucid.runtime import Session

STEPS, BATCH = 24, 3


def session_of(lowering: str = "auto", **options: Any) -> tuple[nn.RNN, Session]:
    rnn = nn.RNN(3, 4, **options).eval()
    layers = options.get("num_layers", 1)
    x = lucid.randn(2, 5, 3) if options.get("batch_first") else lucid.randn(5, 2, 3)
    return rnn, Session(lucid.export.to_onnx(rnn, x, lucid.zeros(layers, 2, 4), lowering=lowering))


@pytest.fixture(scope="module")
def layers() -> tuple[nn.RNN, Session]:
    return session_of(num_layers=2)


def sequence(seed: int = 0, steps: int = STEPS, batch: int = BATCH) -> Any:
    return np.random.default_rng(seed).standard_normal((steps, batch, 3)).astype("f4")


def whole(rnn: nn.RNN, x: Any, h: Any = None) -> tuple[Any, Any]:
    with lucid.no_grad():
        output, h_n = rnn(lucid.tensor(x), None if h is None else lucid.tensor(h))
    return output.numpy(), h_n.numpy()


def cut(x: Any, places: Any) -> list[Any]:
    return np.split(x, sorted(set(places)))


@given(places=st.lists(st.integers(1, STEPS - 1), max_size=STEPS))
@settings(max_examples=60, deadline=None)
def test_any_cut_gives_the_whole(layers: Any, places: list[int]) -> None:
    rnn, session = layers
    x = sequence()
    output, h_n = whole(rnn, x)
    stream = session.stream(batch=BATCH)
    pieces = [stream(piece)["output"] for piece in cut(x, places)]
    np.testing.assert_allclose(np.concatenate(pieces), output, rtol=0, atol=1e-6)
    np.testing.assert_allclose(stream.state["h0"], h_n, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lowering", ["rnn", "scan", "unrolled"])
def test_every_lowering_step_by_step(lowering: str) -> None:
    rnn = nn.RNN(3, 4).eval()
    session = Session(lucid.export.to_onnx(rnn, lucid.randn(1, 2, 3), lucid.zeros(1, 2, 4), lowering=lowering))
    x = sequence()
    stream = session.stream(batch=BATCH)
    steps = [stream(x[t : t + 1])[0] for t in range(STEPS)]
    np.testing.assert_allclose(np.concatenate(steps), whole(rnn, x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("lowering", ["rnn", "scan"])
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_lstm_and_gru(layer: Any, lowering: Any) -> None:
    model = layer(3, 4, num_layers=2).eval()
    zeros = lucid.zeros(2, 2, 4)
    state = (zeros, zeros) if layer is nn.LSTM else zeros
    stream = Session(lucid.export.to_onnx(model, lucid.randn(5, 2, 3), state, lowering=lowering)).stream(batch=BATCH)
    x = sequence()
    with lucid.no_grad():
        output, last = model(lucid.tensor(x))
    pieces = [stream(piece)["output"] for piece in cut(x, [1, 2, 7, 8, 20])]
    np.testing.assert_allclose(np.concatenate(pieces), output.numpy(), rtol=0, atol=1e-6)
    for found, expected in zip(stream.state.values(), last if layer is nn.LSTM else (last,), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)


def test_earlier_results_stay_as_they_were(layers: Any) -> None:
    _, session = layers
    stream = session.stream(batch=BATCH)
    results = [stream(sequence(seed)[:2])[0] for seed in range(5)]
    copies = [result.copy() for result in results]
    stream(sequence(9)[:2])
    for result, copy in zip(results, copies, strict=True):
        np.testing.assert_array_equal(result, copy)
    assert not np.array_equal(copies[0], copies[1])


def test_state_and_reset(layers: Any) -> None:
    rnn, session = layers
    x = sequence()
    stream = session.stream(batch=BATCH)
    first = stream(x[:5])[0]
    state = stream.state
    second = stream(x[5:9])[0]
    stream.state = state
    np.testing.assert_array_equal(stream(x[5:9])[0], second)
    stream.reset()
    assert not stream.state["h0"].any()
    np.testing.assert_array_equal(stream(x[:5])[0], first)
    given_state = np.random.default_rng(1).standard_normal((2, BATCH, 4)).astype("f4")
    stream.state = {"h0": lucid.tensor(given_state)}
    np.testing.assert_allclose(stream(x)[0], whole(rnn, x, given_state)[0], rtol=0, atol=1e-6)
    state["h0"][...] = np.nan  # a copy, so the stream does not change
    assert np.isfinite(stream.state["h0"]).all()


@pytest.mark.parametrize("before", [1, 2])  # an odd and an even number of steps: either buffer holds the state
def test_reset_of_some_rows(layers: Any, before: int) -> None:
    rnn, session = layers
    old, new = sequence(1, before), sequence(2, 6)
    stream = session.stream(batch=BATCH)
    for t in range(before):
        stream(old[t : t + 1])
    stream.reset(rows=[1])
    mixed = np.concatenate([stream(new[:4])[0], stream(new[4:])[0]])
    through = whole(rnn, np.concatenate([old, new]))[0][before:]
    fresh = whole(rnn, new)[0]
    np.testing.assert_allclose(mixed[:, [0, 2]], through[:, [0, 2]], rtol=0, atol=1e-6)
    np.testing.assert_allclose(mixed[:, 1], fresh[:, 1], rtol=0, atol=1e-6)


def test_batch_first() -> None:
    rnn, session = session_of(batch_first=True)
    x = sequence().swapaxes(0, 1).copy()
    stream = session.stream(batch=BATCH)
    pieces = [stream(x[:, a:b])[0] for a, b in ((0, 1), (1, 10), (10, STEPS))]
    np.testing.assert_allclose(np.concatenate(pieces, 1), whole(rnn, x)[0], rtol=0, atol=1e-6)


class Tagger(nn.Module):
    """Two layers with custom names for their states, and an input besides the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.RNN(3, 4), nn.RNN(4, 5), nn.Linear(5, 2)

    def forward(self, x: Any, a: Any, scale: Any, b: Any) -> Any:
        x, a = self.first(x, a)
        x, b = self.second(x, b)
        return {"y": self.head(x) * scale, "b_next": b, "a_next": a, "mean": x.mean(-1)}


def test_states_named_by_the_user() -> None:
    model = Tagger().eval()
    x, a, scale, b = lucid.randn(4, 2, 3), lucid.zeros(1, 2, 4), lucid.tensor([1.0, 2.0]), lucid.zeros(1, 2, 5)
    session = Session(lucid.export.to_onnx(model, x, a, scale, b))
    assert session.stream().pairs == {"a": "a_next", "b": "b_next"}
    with pytest.raises(LucidError, match=r"the state of second\S* does not come from a, so it would start again"):
        session.stream(state={"a": "a_next"})
    stream = session.stream(batch=BATCH, state={"a": "a_next", "b": "b_next"})
    x = sequence()
    with lucid.no_grad():
        expected = model(lucid.tensor(x), lucid.zeros(1, BATCH, 4), scale, lucid.zeros(1, BATCH, 5))
    pieces = [stream(piece, scale) for piece in cut(x, [1, 2, 7])]
    np.testing.assert_allclose(np.concatenate([p["y"] for p in pieces]), expected["y"].numpy(), rtol=0, atol=1e-6)
    assert pieces[0].names == ("y", "mean")
    means = np.concatenate([p["mean"] for p in pieces])
    np.testing.assert_allclose(means, expected["mean"].numpy(), rtol=0, atol=1e-6)
    state = stream.state
    np.testing.assert_allclose(state["a"], expected["a_next"].numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(state["b"], expected["b_next"].numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(stream(scale=scale, x=x[:1])["y"].shape, (1, BATCH, 2))
    with pytest.raises(TypeError, match="input 'a' is a state, which the stream keeps"):
        stream(x[:1], scale, a=state["a"])
    with pytest.raises(TypeError, match="input 'scale' is missing"):
        stream(x[:1])


def test_lengths_in_a_piece() -> None:
    rnn = nn.RNN(3, 4).eval()
    packed = nn.utils.rnn.pack_padded_sequence(lucid.randn(5, 2, 3), [5, 3])
    exported = lucid.export.to_onnx(rnn, packed, lucid.zeros(1, 2, 4))
    stream = Session(exported).stream(batch=2, state={"h0": exported.output_names[-1]})
    x = sequence(batch=2)
    stream(x[:6], [6, 6])
    stream(x[6:10], [4, 1])
    h_n = stream.state["h0"]
    np.testing.assert_allclose(h_n[0, 0], whole(rnn, x[:10])[1][0, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(h_n[0, 1], whole(rnn, x[:7])[1][0, 1], rtol=0, atol=1e-6)
    with pytest.raises(ShapeError, match="must hold lengths from 1 to 4"):
        stream(x[6:10], [4, 5])


def test_several_streams_in_several_threads(layers: Any) -> None:
    rnn, session = layers
    given = [sequence(seed) for seed in range(8)]
    expected = [whole(rnn, x)[0] for x in given]
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        stream = session.stream(batch=BATCH)
        for _ in range(5):
            stream.reset()
            results[number] = np.concatenate([stream(given[number][t : t + 1])[0] for t in range(STEPS)])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, wanted in enumerate(expected):
        np.testing.assert_allclose(results[number], wanted, rtol=0, atol=1e-6)


def test_wrong_inputs_change_nothing(layers: Any) -> None:
    rnn, session = layers
    x = sequence()
    stream = session.stream(batch=BATCH)
    first = stream(x[:3])[0]
    before = stream.state["h0"]
    with pytest.raises(ShapeError, match="axis 1 of input 'x' is 2, but it is 'batch', and that is 3 here"):
        stream(x[3:5, :2])
    with pytest.raises(ShapeError, match="axis 0 of input 'x' is 0"):
        stream(x[:0])
    with pytest.raises(DtypeError, match="input 'x' is float64"):
        stream(x[3:4].astype("f8"))
    with pytest.raises(ShapeError, match=r"state 'h0' must have shape \(2, 3, 4\); got \(2, 1, 4\)"):
        stream.state = {"h0": before[:, :1]}
    with pytest.raises(KeyError, match="there is no state 'c0'; there is h0"):
        stream.state = {"c0": before}
    with pytest.raises(IndexError, match="rows must be places in a batch of 3"):
        stream.reset(rows=[3])
    np.testing.assert_array_equal(stream.state["h0"], before)
    rest = stream(x[3:])[0]
    np.testing.assert_allclose(np.concatenate([first, rest]), whole(rnn, x)[0], rtol=0, atol=1e-6)


def test_models_that_cannot_be_streamed() -> None:
    session = Session(lucid.export.to_onnx(nn.RNN(3, 4).eval(), lucid.randn(5, 2, 3)))
    with pytest.raises(ValueError, match=r"export the model with its state as an input, as in to_onnx\(rnn, x, h0\)"):
        session.stream()
    with pytest.raises(ValueError, match="there is no input 'h'; the inputs are x"):
        session.stream(state={"h": "h_n"})
    _, session = session_of()
    with pytest.raises(ValueError, match="a state must go in as it came out"):
        session.stream(state={"x": "h_n"})
    with pytest.raises(ValueError, match="there is no output 'y'"):
        session.stream(state={"h0": "y"})
    for wrong in (0, -1, True, 2.0):
        with pytest.raises(ValueError, match="batch must be a positive int"):
            session.stream(batch=wrong)  # type: ignore[arg-type]


def test_a_fixed_batch() -> None:
    rnn = nn.RNN(3, 4).eval()
    x, h0 = lucid.randn(5, 2, 3), lucid.zeros(1, 2, 4)
    session = Session(lucid.export.to_onnx(rnn, x, h0, dynamic={"x": {0: "time"}}))
    assert session.stream().batch == session.stream(batch=2).batch == 2
    with pytest.raises(ShapeError, match="the model has a fixed batch of 2; got batch=3"):
        session.stream(batch=3)
    stream = session.stream()
    stream(x[:2])
    stream.reset(rows=[0])
    np.testing.assert_allclose(stream(x[2:])[0][:, 1], whole(rnn, x._data)[0][2:, 1], rtol=0, atol=1e-6)


def backwards() -> bytes:
    import onnx.helper as oh
    from onnx import TensorProto

    rng = np.random.default_rng(0)
    weights = {"W": rng.standard_normal((1, 4, 3)), "R": rng.standard_normal((1, 4, 4))}
    graph = oh.make_graph(
        [oh.make_node("RNN", ["x", "W", "R", "", "", "h0"], ["", "h_n"], "layer", hidden_size=4, direction="reverse")],
        "g",
        [
            oh.make_tensor_value_info("x", TensorProto.FLOAT, ["time", "batch", 3]),
            oh.make_tensor_value_info("h0", TensorProto.FLOAT, [1, "batch", 4]),
        ],
        [oh.make_tensor_value_info("h_n", TensorProto.FLOAT, [1, "batch", 4])],
        [oh.make_tensor(name, TensorProto.FLOAT, w.shape, w.ravel()) for name, w in weights.items()],
    )
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def test_a_layer_that_reads_time_backwards_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"declares no state: .* along 'time', RNN 'layer': it reads time from its end"
    ):
        Session(backwards()).stream()
    with pytest.raises(LucidError, match="layer reads time from its end"):
        Session(backwards()).stream(state={"h0": "h_n"})
