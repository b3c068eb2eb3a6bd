"""Pieces: a model is streamed only if any division along time gives what the whole gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import LucidError
from lucid.export import to_onnx
from lucid.runtime import Session
from tests.tiers import thinned

F = nn.functional
Array = Any

STEPS, BATCH = 12, 3
CUTS = ([1] * STEPS, [2] * 6, [5, 1, 4, 2], [STEPS])


def randn(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("f4")


class Net(nn.Module):
    """A recurrent layer and heads, joined by a function of the module, the sequence and the state."""

    def __init__(self, forward: Callable[..., Any], layer: nn.Module | None = None) -> None:
        super().__init__()
        self.layer = nn.GRU(3, 4) if layer is None else layer
        self.second, self.third = nn.GRU(4, 4), nn.GRU(4, 4)
        self.head, self.norm = nn.Linear(4, 2), nn.LayerNorm(4)
        self.table, self.conv = nn.Embedding(7, 3), nn.Conv1d(4, 2, 3, padding=1)
        self.point = nn.Conv1d(4, 2, 1)
        self.attention = nn.MultiheadAttention(4, 2)
        self.cell = nn.LSTMCell(3, 4)
        self.function = forward

    def forward(self, x: Any, *states: Any) -> Any:
        return self.function(self, x, *states)


def last(result: Any) -> tuple[Any, ...]:
    """Splits the result of a layer into its output and its states."""
    out, state = result
    return (out, *state) if isinstance(state, tuple) else (out, state)


H = (1, BATCH, 4)


def example(x: Array, states: Sequence[Array]) -> list[Any]:
    return [lucid.tensor(x), *map(lucid.tensor, states)]


def assert_streams(
    model: Any, x: Array, shapes: Sequence[tuple[int, ...]], axis: int = 0, cuts: Any = CUTS, **options: Any
) -> Session:
    """Exports a model of a sequence and its states, and compares pieces with the whole, run eagerly."""
    model = model.eval() if isinstance(model, nn.Module) else model
    states = [randn(*shape) for shape in shapes]
    given = x[:4] if axis == 0 else x[:, :4]
    session = Session(to_onnx(model, *example(given, states), **options))
    pairs = dict(zip(session.input_names[1:], session.output_names[-len(shapes) :], strict=True))
    with lucid.no_grad():
        whole = [result.numpy() for result in flat(model(*example(x, states)))]
    for sizes in cuts:
        stream = session.stream(batch=BATCH, state=pairs)
        stream.state = dict(zip(pairs, states, strict=True))
        pieces = [stream(piece) for piece in np.split(x, np.cumsum(sizes)[:-1], axis)]
        for i, expected in enumerate(whole[: -len(shapes)]):
            found = np.concatenate([np.asarray(piece[i]) for piece in pieces], axis)
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
        for found, expected in zip(stream.state.values(), whole[-len(shapes) :], strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    return session


def flat(results: Any) -> list[Any]:
    return [y for result in results for y in (flat(result) if isinstance(result, (tuple, list)) else [result])]


def stacked(m: Net, x: Any, a: Any, b: Any) -> Any:
    """Two layers with a residual connection, a normalization and an activation."""
    y, a = m.layer(x, a)
    z, b = m.second(F.gelu(m.norm(y)), b)
    return m.head(z + y).log_softmax(-1), a, b


def with_table(m: Net, ids: Any, h: Any) -> Any:
    return last(m.layer(m.table(ids), h))


def scanned(m: Net, x: Any, h: Any, c: Any) -> Any:
    return last(nn.scan(m.cell, x, (h, c)))


def decaying(m: Net, x: Any, v: Any) -> Any:
    def step(x_t: Any, v: Any) -> Any:
        v = 0.9 * v + x_t - x_t.mean(-1, keepdim=True)
        return v.flip(-1), v

    return last(nn.scan(step, x, v))


def two_side_by_side(m: Net, x: Any, a: Any, b: Any) -> Any:
    y, a = m.layer(x, a)
    z, b = m.second(y * 2, b)
    return lucid.cat([y, z.flip(-1)], -1), y.sum(-1), z[:, :, 1:3], z.amax((1, 2)), a, b


def states_taken_apart(m: Net, x: Any, states: Any) -> Any:
    """One input holds the states of two layers, side by side in its last axis."""
    a, b = states[..., :4], states[..., 4:]
    y, a = m.layer(x, a)
    z, b = m.second(y, b)
    return z, lucid.cat([a, b], -1)


def squeezed(m: Net, x: Any, h: Any) -> Any:
    out, h = m.layer(x, h.unsqueeze(0))
    return out, h.squeeze(0)


def merged(m: Net, x: Any, h: Any) -> Any:
    """The steps and the batch are one axis, steps first, in between and in a result."""
    out, h = m.layer(x, h)
    flat = m.head(out.reshape(-1, 4)).tanh()
    return flat.reshape(x.shape[0], x.shape[1], 2), h


def memory(m: Net, x: Any, h: Any) -> Any:
    """A table of the model's own is attended to by each step."""
    out, h = m.layer(x, h)
    scores = (out @ m.table.weight[:, :1].expand(7, 4).T).softmax(-1)
    return scores @ m.table.weight, h


X = randn(STEPS, BATCH, 3)
STREAMED: dict[str, tuple[Any, Array, list[tuple[int, ...]], dict[str, Any]]] = {
    "stacked": (Net(stacked), X, [H, H], {}),
    "an embedding": (Net(with_table), np.arange(36).reshape(STEPS, BATCH) % 7, [H], {}),
    "an lstm of two layers": (
        Net(lambda m, x, h, c: last(m.layer(x, (h, c))), nn.LSTM(3, 4, 2)),
        X,
        [(2, BATCH, 4)] * 2,
        {},
    ),
    "batch first": (
        Net(lambda m, x, h: last(m.layer(x, h)), nn.RNN(3, 4, batch_first=True)),
        X.swapaxes(0, 1).copy(),
        [H],
        {"axis": 1},
    ),
    "relu, as a scan": (
        Net(lambda m, x, h: last(m.layer(x, h)), nn.RNN(3, 4, nonlinearity="relu")),
        X,
        [H],
        {"lowering": "scan"},
    ),
    "a scan of a cell": (Net(scanned), X, [(BATCH, 4)] * 2, {}),
    "a scan of a step": (
        Net(decaying),
        X,
        [(BATCH, 3)],
        {"dynamic": {"x": {0: "time", 1: "batch"}, "input_1": {0: "batch"}}},
    ),
    "ops along other axes": (Net(two_side_by_side), X, [H, H], {}),
    "states in one input": (Net(states_taken_apart), X, [(1, BATCH, 8)], {}),
    "a state without an axis of layers": (Net(squeezed), X, [(BATCH, 4)], {}),
    "steps and batch merged": (Net(merged), X, [H], {}),
    "rows of a table": (Net(memory), X, [H], {}),
}


@pytest.mark.parametrize("name", thinned(STREAMED, 6))
def test_pieces_of_any_size_give_the_whole(name: str) -> None:
    model, x, shapes, options = STREAMED[name]
    session = assert_streams(model, x, shapes, **options)
    assert session.streaming.time == "time"


def positions(m: Net, x: Any, h: Any) -> Any:
    """Sums of embeddings and of an encoding of the positions, as in a transformer."""
    places = lucid.arange(x.shape[0], dtype=lucid.float32)
    return last(m.layer(x + (places / 10).sin()[:, None, None], h))


def both_ways(m: Net, x: Any, a: Any, b: Any) -> Any:
    y, a = m.layer(x, a)
    z, b = m.second(y.flip(0), b)
    return lucid.cat([y, z.flip(0)], -1), a, b


def swapped(m: Net, x: Any, a: Any, b: Any) -> Any:
    y, a = m.layer(x, a)
    z, b = m.second(y, b)
    return z, b, a


def swapped_in_one(m: Net, x: Any, states: Any) -> Any:
    y, a = m.layer(x, states[:1])
    z, b = m.second(y, states[1:])
    return z, lucid.cat([b, a])


def padded(m: Net, x: Any, h: Any) -> Any:
    out, h = m.layer(x, h)
    return F.pad(out, (0, 0, 0, 0, 2, 0))[: x.shape[0]], h


def attended(m: Net, x: Any, h: Any) -> Any:
    out, h = m.layer(x, h)
    return m.attention(out, out, out)[0], h


def by_hand(m: Net, x: Any, h: Any) -> Any:
    """Attention of a sequence to itself, with a mask that hides the steps to come."""
    out, h = m.layer(x, h)
    rows = out.transpose(0, 1)
    scores = rows @ rows.transpose(-1, -2)
    return (scores.tril().softmax(-1) @ rows).transpose(0, 1), h


def joined(m: Net, x: Any, h: Any) -> Any:
    out, h = m.layer(lucid.cat([lucid.zeros(1, x.shape[1], 3), x]), h)
    return out[1:], h


def shifted(m: Net, x: Any, h: Any) -> Any:
    out, h = m.layer(x, h)
    return out - lucid.cat([out[:1], out[:-1]]), h


def decoder(m: Net, x: Any, h: Any) -> Any:
    """The second layer starts where the first one ends."""
    y, h = m.layer(x, h)
    z, h = m.second(y, h)
    return z, h


def one_state_twice(m: Net, x: Any, h: Any) -> Any:
    y, a = m.layer(x, h)
    z, _ = m.second(y, h)
    return z, a


def zeros_below(m: Net, x: Any, h: Any) -> Any:
    y, _ = m.layer(x)
    return last(m.second(y, h))


def scan_of_all(m: Net, x: Any, h: Any) -> Any:
    """Each step reads the mean of all steps."""
    mean = x.mean(0)
    return last(nn.scan(lambda x_t, v: ((x_t - mean).tanh(), v + x_t), x, h))


def layer(m: Net, x: Any, h: Any) -> Any:
    return last(m.layer(x, h))


def then(change: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that changes the output of the layer."""

    def function(m: Net, x: Any, h: Any) -> Any:
        out, h = m.layer(x, h)
        return change(m, out, h), h

    return function


def first(change: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that changes the sequence before the layer."""
    return lambda m, x, h: last(m.layer(change(x), h))


LINE = r" at test_pieces\.py:\d+ \((?:\w+|<lambda>)\)"
REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "flip": (then(lambda m, y, h: y.flip(0)), "flip" + LINE),
    "a flip before the layer": (first(lambda x: x + x.flip(0)), "flip" + LINE),
    "cumsum": (then(lambda m, y, h: y.cumsum(0)), "cumsum" + LINE),
    "sum": (then(lambda m, y, h: y + y.sum(0)), "sum" + LINE),
    "mean": (first(lambda x: x - x.mean(0, keepdim=True)), "mean" + LINE),
    "a mean as a result": (then(lambda m, y, h: y.mean((0, 2))), "mean" + LINE),
    "a mean of all": (first(lambda x: x / x.square().mean()), "mean" + LINE),
    "greatest": (then(lambda m, y, h: y - y.amax(0)), "amax" + LINE),
    "softmax": (then(lambda m, y, h: y.softmax(0)), "softmax" + LINE),
    "sort": (then(lambda m, y, h: y.sort(0)[0]), r"\w+" + LINE),
    "a padded convolution": (
        then(lambda m, y, h: m.conv(y.permute(1, 2, 0)).permute(2, 0, 1)),
        "convolved" + LINE,
    ),
    "attention": (attended, r"\w+ at \w+\.py:\d+ \(\w+\)"),
    "attention by hand": (by_hand, r"\w+" + LINE),
    "positions": (positions, "count" + LINE + ": it depends on the number of steps"),
    "the number of steps": (first(lambda x: x / x.shape[0]), "div" + LINE + ": it depends on the number of steps"),
    "padding": (padded, r"pad_with" + LINE),
    "a step in front": (joined, "concat" + LINE),
    "differences": (shifted, r"slice_at" + LINE),
    "all but the first step": (then(lambda m, y, h: y[1:]), "slice_at" + LINE),
    "the last step": (then(lambda m, y, h: y[-1]), "slice_at" + LINE),
    "every other step": (then(lambda m, y, h: y[::2]), "slice_at" + LINE),
    "some steps": (then(lambda m, y, h: y[lucid.tensor([0, 2, 1])]), "index_at" + LINE),
    "gather along time": (then(lambda m, y, h: y.gather(0, (y > 0).to(lucid.int64))), "gather_at" + LINE),
    "steps and batch merged, batch first": (then(lambda m, y, h: y.transpose(0, 1).reshape(-1, 4)), "output 'out"),
    "roll": (then(lambda m, y, h: y.roll(1, 0)), r"\w+" + LINE),
    "the state doubled": (lambda m, x, h: (lambda y, h: (y, h * 2))(*m.layer(x, h)), "mul" + LINE),
    "the state among the outputs": (then(lambda m, y, h: y + h), "add" + LINE + ": it computes with the last state"),
    "the first state among the outputs": (
        lambda m, x, h: (lambda y, last: (y + h, last))(*m.layer(x, h)),
        "add" + LINE + r": it computes with the state '\w+'",
    ),
    "a state computed from an input": (lambda m, x, h: last(m.layer(x, h.tanh())), "starts from a state that is no in"),
    "a part of the state as a result": (then(lambda m, y, h: h[0, :, :2]), "has elements of a state"),
    "the state in another order": (lambda m, x, h: (lambda y, h: (y, h.flip(-1)))(*m.layer(x, h)), "has elements of a"),
    "a decoder": (decoder, "starts from the last state of a layer"),
    "one state for two layers": (one_state_twice, "starts from the same elements of"),
    "a layer that starts from zeros": (zeros_below, r"layer.l0/GRU does not come from \w+, so it would start"),
    "scan backwards": (
        lambda m, x, h: last(nn.scan(nn.GRUCell(3, 4), x, h, reverse=True)),
        "Scan reads time from its end",
    ),
    "a scan that reads all steps": (scan_of_all, "mean" + LINE),
    "the initial state returned": (lambda m, x, h: (m.layer(x, h)[0], h * 1.0), r"\w+" + LINE),
}


@pytest.mark.parametrize("name", thinned(REFUSED, 14))
def test_what_mixes_steps_is_refused(name: str) -> None:
    function, match = REFUSED[name]
    shape = {"a scan that reads all steps": (BATCH, 3), "scan backwards": (BATCH, 4)}.get(name, H)
    session = Session(to_onnx(Net(function).eval(), *example(X, [randn(*shape)]), verify=False))
    state = {session.input_names[1]: session.output_names[-1]}
    with pytest.raises((LucidError, ValueError), match=match):
        session.stream(state=state)
    assert session.streaming.time is None


@pytest.mark.parametrize("function", [both_ways, swapped, stacked])
def test_states_of_two_layers(function: Any) -> None:
    session = Session(to_onnx(Net(function).eval(), *example(X, [randn(*H)] * 2), verify=False))
    (a, b), (p, q) = session.input_names[1:], session.output_names[-2:]
    if function is both_ways:
        with pytest.raises(LucidError, match="flip" + LINE):
            session.stream(state={a: p, b: q})
        return
    pairs, wrong = {a: p, b: q}, {a: q, b: p}
    if function is swapped:
        pairs, wrong = wrong, pairs
    assert session.stream(state=pairs).pairs == pairs
    with pytest.raises(LucidError, match=f"{wrong[a]!r} is not the next value of {a!r}: its next value is {pairs[a]}"):
        session.stream(state=wrong)
    with pytest.raises(LucidError, match=f"does not come from {a}, so it would start again with every piece"):
        session.stream(state={a: pairs[a]})


def test_the_layers_of_one_state_swapped() -> None:
    session = Session(to_onnx(Net(swapped_in_one).eval(), *example(X, [randn(2, BATCH, 4)])))
    with pytest.raises(LucidError, match="is not the whole next value of one"):
        session.stream(state={session.input_names[1]: session.output_names[-1]})


# --- files


def foreign(exported: Any) -> bytes:
    """Returns a file without lucid's metadata."""
    proto = exported.proto
    del proto.metadata_props[:]
    proto.producer_name = "another"
    return bytes(proto.SerializeToString())


def assert_file_streams(data: bytes, model: Any, x: Array, shapes: Sequence[tuple[int, ...]], axis: int = 0) -> None:
    session = Session(data)
    states = [randn(*shape) for shape in shapes]
    with lucid.no_grad():
        whole = [result.numpy() for result in flat(model(*example(x, states)))]
    pairs = {name: outputs[0] for name, outputs in session.streaming.states.items()}
    stream = session.stream(batch=BATCH, state=pairs)
    stream.state = dict(zip(pairs, states, strict=True))
    pieces = [stream(piece) for piece in np.split(x, [5, 6], axis)]
    for i, expected in enumerate(whole[: -len(shapes)]):
        found = np.concatenate([np.asarray(piece[i]) for piece in pieces], axis)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


FOREIGN = [
    "stacked",
    "an embedding",
    "an lstm of two layers",
    "batch first",
    "a scan of a cell",
    "ops along other axes",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_the_nodes_of_a_file_prove_that_it_streams(name: str) -> None:
    model, x, shapes, options = STREAMED[name]
    states = [randn(*shape) for shape in shapes]
    data = foreign(to_onnx(model.eval(), *example(x, states), verify=False))
    assert_file_streams(data, model, x, shapes, options.get("axis", 0))


@pytest.mark.parametrize("lowering", ["auto", "scan"])
@pytest.mark.parametrize("name", thinned(REFUSED, 6))
def test_the_nodes_of_a_file_prove_nothing_wrong(name: str, lowering: Any) -> None:
    function, _ = REFUSED[name]
    shape = {"a scan that reads all steps": (BATCH, 3), "scan backwards": (BATCH, 4)}.get(name, H)
    exported = to_onnx(Net(function).eval(), *example(X, [randn(*shape)]), verify=False, lowering=lowering)
    session = Session(foreign(exported))
    assert session.streaming.time is None
    with pytest.raises(
        (LucidError, ValueError), match=r"stream: (it is not proved|the state of|a state must|\S+ reads)"
    ):
        session.stream(state={session.input_names[1]: session.output_names[-1]})


def test_a_file_is_refused_with_the_reason_that_its_export_found(tmp_path: Any) -> None:
    model = Net(REFUSED["flip"][0]).eval()
    exported = to_onnx(model, *example(X, [randn(*H)]), path=tmp_path / "model.onnx", output_names=["y", "h_n"])
    session = Session(tmp_path / "model.onnx")
    with pytest.raises(LucidError, match=r"not proved that pieces give .*: flip at test_pieces\.py:\d+ \(<lambda>\)"):
        session.stream(state={"input_1": "h_n"})
    assert session.streaming.why == exported.streaming.why
    # What was not verified counts for nothing, even if it says that the file streams.
    proto = exported.proto
    for entry in proto.metadata_props:
        if entry.key == "lucid.streaming":
            entry.value = '{"time": "time", "states": {"input_1": ["h_n"]}}'
    with pytest.raises(LucidError, match=r"no proof of lucid's that was verified, and its nodes prove none: .*Slice"):
        Session(proto.SerializeToString(), verify=False).stream(state={"input_1": "h_n"})


def test_a_file_of_its_own_nodes_with_a_time_axis_without_a_name() -> None:
    exported = to_onnx(
        nn.RNN(3, 4).eval(), lucid.tensor(X), lucid.zeros(1, BATCH, 4), dynamic={"x": {1: "batch"}, "h0": {1: "batch"}}
    )
    with pytest.raises(LucidError, match="no recurrent layer runs over a free axis"):
        Session(exported).stream()
    with pytest.raises(ValueError, match=r"declares no state: .*along 'batch', RNN "):
        Session(foreign(exported)).stream()


# --- lengths, and models of one step


def test_a_sequence_ends_in_its_last_piece_alone() -> None:
    rnn = nn.RNN(3, 4).eval()
    packed = nn.utils.rnn.pack_padded_sequence(lucid.randn(5, 2, 3), [5, 3])
    exported = to_onnx(rnn, packed, lucid.zeros(1, 2, 4))
    assert exported.streaming.lengths == ("x_lengths",)
    stream = Session(exported).stream(batch=2, state={"h0": "h_n"})
    x = randn(9, 2, 3)
    stream(x[:4], [4, 4])
    stream(x[4:6], [2, 1])
    before = stream.state["h0"]
    for _ in range(2):
        with pytest.raises(LucidError, match=r"the sequences of rows \[1\] ended in the last piece"):
            stream(x[6:], [3, 3])
    np.testing.assert_array_equal(stream.state["h0"], before)
    stream.reset(rows=[-1])
    stream(x[6:], [2, 3])
    with lucid.no_grad():
        first = rnn(lucid.tensor(x[:8, :1]))[1].numpy()
        second = rnn(lucid.tensor(x[6:, 1:]))[1].numpy()
    np.testing.assert_allclose(stream.state["h0"], np.concatenate([first, second], 1), rtol=0, atol=1e-6)
    stream.state = stream.state
    stream(x[:1], [1, 1])


def test_lengths_are_for_layers_alone() -> None:
    rnn = nn.RNN(3, 4).eval()

    def weighed(x: Any, lengths: Any, h: Any) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, last = rnn(packed, h)
        return nn.utils.rnn.pad_packed_sequence(output, total_length=x.shape[0])[0] / lengths[:, None], last

    exported = to_onnx(weighed, lucid.randn(5, 2, 3), lucid.tensor([5, 3]), lucid.zeros(1, 2, 4), verify=False)
    assert "it computes with the lengths 'lengths'" in exported.streaming.why


def test_a_model_of_one_step() -> None:
    """It has no time axis, so its states may be any: the calls say how they follow."""
    cell, head = nn.LSTMCell(3, 4).eval(), nn.Linear(4, 2)

    def step(x: Any, h: Any, c: Any) -> Any:
        h, c = cell(x, (h, c))
        return head(h).flip(-1), h, c

    zeros = lucid.zeros(BATCH, 4)
    session = Session(to_onnx(step, lucid.tensor(X[0]), zeros, zeros + 0, output_names=["y", "h_n", "c_n"]))
    stream = session.stream(batch=BATCH, state={"h": "h_n", "c": "c_n"})
    assert stream.time is None
    found = [stream(x)[0] for x in X]
    with lucid.no_grad():
        h = c = zeros
        for x, y in zip(X, found, strict=True):
            expected, h, c = step(lucid.tensor(x), h, c)
            np.testing.assert_allclose(y, expected.numpy(), rtol=0, atol=1e-6)


def unrolled(m: Net, x: Any, h: Any) -> Any:
    """A loop in Python; the axis of its steps is fixed."""
    cell, outputs = m.cell, []
    x = x - x.mean(0, keepdim=True)
    for t in range(x.shape[0]):
        h, _ = cell(x[t], (h, h * 0))
        outputs.append(h)
    return lucid.stack(outputs), h


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("dynamic", ["auto", None])
def test_a_loop_in_python_has_no_time_axis(steps: int, dynamic: Any) -> None:
    exported = to_onnx(Net(unrolled).eval(), *example(X[:steps], [randn(BATCH, 4)]), dynamic=dynamic)
    with pytest.raises(LucidError, match=r"no recurrent layer runs over a free axis .* use nn\.scan for a loop"):
        Session(exported).stream(state={"input_1": exported.output_names[-1]})


def test_a_layer_whose_steps_are_as_many_as_the_sequences() -> None:
    def function(x: Any, h0: Any) -> Any:
        output, h_n = gru(x, h0)
        return output + output.transpose(0, 1), h_n

    gru = nn.GRU(3, 4)
    exported = to_onnx(function, lucid.randn(3, 3, 3), lucid.zeros(1, 3, 4), verify=False)
    with pytest.raises(LucidError, match="input 'x' has the axis 'time' twice"):
        Session(exported).stream(state={"h0": exported.output_names[-1]})


def test_an_unrolled_layer_takes_pieces_of_one_length() -> None:
    relu = nn.RNN(3, 4, nonlinearity="relu")
    assert_streams(Net(layer, relu), X, [H], cuts=[[4, 4, 4]])
    exported = to_onnx(Net(REFUSED["flip"][0], relu).eval(), *example(X[:1], [randn(*H)]))
    assert "time" not in str(exported.axes)
    with pytest.raises(LucidError, match="flip" + LINE):
        Session(exported).stream(state={"input_1": exported.output_names[-1]})


def test_int8() -> None:
    """Each row of a product has its own scale, so pieces have the numbers of the whole."""
    model, x = nn.GRU(32, 96), np.random.default_rng(0).standard_normal((9, 2, 32)).astype(np.float32)
    h0 = np.zeros((1, 2, 96), np.float32)
    exported = to_onnx(model, lucid.tensor(x), lucid.tensor(h0), precision="int8")
    assert "MatMulInteger" in str(exported.model.graph)
    session = Session(exported)
    stream = session.stream(batch=2)
    pieces = [stream(x[:1])[0], stream(x[1:6])[0], stream(x[6:])[0]]
    np.testing.assert_allclose(np.concatenate(pieces), session(x, h0)[0], atol=1e-6)


# --- other inputs


def with_inputs(change: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of a sequence, another input and a state."""
    gru, query = nn.GRU(3, 4), nn.Linear(4, 3)

    def function(x: Any, y: Any, h0: Any) -> Any:
        output, h_n = gru(x, h0)
        return {"z": change(query(output), y), "h_n": h_n}

    return function


Y = randn(STEPS, BATCH, 3)


@pytest.mark.parametrize(
    "change",
    [lambda z, y: z * y, lambda z, y: lucid.where(y > 0, z, 0.0), lambda z, y: lucid.cat([z, y.softmax(-1)], -1)],
)
def test_another_sequence_is_cut_as_well(change: Any) -> None:
    function, h0 = with_inputs(change), np.zeros(H, "f4")
    dynamic = {"x": {0: "time"}, "y": {0: "time"}}
    stream = Session(to_onnx(function, *map(lucid.tensor, (X[:5], Y[:5], h0)), dynamic=dynamic)).stream()
    with lucid.no_grad():
        whole = function(*map(lucid.tensor, (X, Y, h0)))["z"].numpy()
    pieces = [stream(X[a:b], Y[a:b])["z"] for a, b in ((0, 1), (1, 3), (3, STEPS))]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=2e-6)


MIXED = [
    lambda z, y: z * y.mean((0, 1)),
    lambda z, y: (z.transpose(0, 1) @ y.permute(1, 2, 0)).softmax(-1).transpose(0, 1).amax(-1),
    lambda z, y: z + y.flip(0)[0],
]


@pytest.mark.parametrize("change", MIXED)
def test_an_input_that_is_mixed_is_given_whole(change: Any) -> None:
    """It must have a fixed size, so that it cannot be cut."""
    function, h0 = with_inputs(change), np.zeros(H, "f4")
    given = [*map(lucid.tensor, (X[:5], Y, h0))]
    stream = Session(to_onnx(function, *given, dynamic={"x": {0: "time"}})).stream()
    with lucid.no_grad():
        whole = function(*map(lucid.tensor, (X, Y, h0)))["z"].numpy()
    pieces = [stream(X[a:b], Y)["z"] for a, b in ((0, 1), (1, 3), (3, STEPS))]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=2e-6)
    free = to_onnx(function, *given, dynamic={"x": {0: "time"}, "y": {0: "other"}})
    with pytest.raises(LucidError, match=r"along 'other', which is free as well, .* or make that axis fixed"):
        Session(free).stream()
    with pytest.raises(ValueError, match=r"declares no state: the file has no proof of lucid's"):
        Session(foreign(free)).stream()


def test_a_part_of_an_input_that_depends_on_the_number_of_steps() -> None:
    function = with_inputs(lambda z, y: z + y[z.shape[0] - 2 : z.shape[0]].amax(0))
    given = [*map(lucid.tensor, (X[:5], randn(40, BATCH, 3), np.zeros(H, "f4")))]
    exported = to_onnx(function, *given, dynamic={"x": {0: "time"}}, verify=False)
    with pytest.raises(LucidError, match="slice_at" + LINE + ": it depends on the number of steps"):
        Session(exported).stream()


def test_two_sequences_of_their_own_lengths() -> None:
    first, second = nn.GRU(3, 4), nn.GRU(3, 4)

    def function(x: Any, y: Any, a0: Any, b0: Any) -> Any:
        (p, a_n), (q, b_n) = first(x, a0), second(y, b0)
        return {"p": p, "q": q, "a_n": a_n, "b_n": b_n}

    given = lucid.tensor(X), lucid.tensor(Y), lucid.zeros(*H), lucid.zeros(*H)
    with pytest.raises(LucidError, match="layers run along 'time' and 'y_dim_0'; make one of these axes fixed"):
        Session(to_onnx(function, *given, verify=False)).stream()
    dynamic = {"x": {0: "time"}, "y": {0: "time"}}
    assert Session(to_onnx(function, *given, verify=False, dynamic=dynamic)).stream().time == "time"
