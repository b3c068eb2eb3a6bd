"""nn.scan: the results of a Python loop for any step, and one ONNX Scan for any length."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import gradcheck, gradgradcheck
from lucid.errors import ExportError, ShapeError, TraceError
from lucid.export import to_onnx
from lucid.tracer import trace
from lucid.tracer.tree import flatten
from tests.tiers import thinned

T, N, F, H = 5, 3, 2, 4


def normal(seed, *shape, dtype="float64", requires_grad=True):
    array = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    return lucid.tensor(array, requires_grad=requires_grad)


def leaves(tree):
    return flatten(tree, lambda x: isinstance(x, lucid.Tensor))[0]


def loop(step, xs, state, reverse=False):
    """The reference for `nn.scan`: a Python loop."""
    outputs = []
    times = range(xs.shape[0])
    for t in reversed(times) if reverse else times:
        y, state = step(xs[t], state)
        outputs.append(y)
    return lucid.stack(outputs[::-1] if reverse else outputs), state


# --- three recurrences that no layer implements


class Leaky(nn.Module):
    """A leaky integrator that emits the excess over its threshold."""

    def __init__(self, dtype="float64"):
        super().__init__()
        self.input = nn.Linear(F, H, dtype=dtype)
        self.decay = nn.Parameter(lucid.tensor(np.linspace(0.1, 0.9, H).astype(dtype)))

    def step(self, x, v):
        v = self.decay * v + self.input(x)
        excess = lucid.relu(v - 0.1)
        return excess, v - excess

    def forward(self, x, run=nn.scan):
        return run(self.step, x, lucid.zeros(x.shape[1], H, dtype=x.dtype))


class MinimalGatedUnit(nn.Module):
    """f = σ(W_f [x, h]); h' = (1 - f) h + f tanh(W_h [x, f h])

    Source: G. Zhou et al. (2016), "Minimal gated unit for recurrent neural networks".
    """

    def __init__(self, dtype="float64"):
        super().__init__()
        self.gate = nn.Linear(F + H, H, dtype=dtype)
        self.candidate = nn.Linear(F + H, H, dtype=dtype)

    def step(self, x, h):
        f = lucid.sigmoid(self.gate(lucid.cat([x, h], -1)))
        new = lucid.tanh(self.candidate(lucid.cat([x, f * h], -1)))
        h = (1 - f) * h + f * new
        return h, h

    def forward(self, x, run=nn.scan):
        return run(self.step, x, lucid.zeros(x.shape[1], H, dtype=x.dtype))


class AttentionDecoder(nn.Module):
    """A decoder that attends to all outputs of an encoder at each step."""

    def __init__(self, dtype="float64"):
        super().__init__()
        self.encoder = nn.GRU(F, H, dtype=dtype)
        self.cell = nn.LSTMCell(F + H, H, dtype=dtype)
        self.query = nn.Linear(H, H, dtype=dtype)

    def forward(self, x, run=nn.scan):
        memory = lucid.transpose(self.encoder(x)[0], 0, 1)  # (N, T, H)

        def step(x, state):
            scores = lucid.matmul(memory, lucid.unsqueeze(self.query(state[0]), -1))  # (N, T, 1)
            weights = lucid.softmax(scores, 1)
            context = (memory * weights).sum(1)
            state = self.cell(lucid.cat([x, context], -1), state)
            return (state[0] + context), state

        zeros = lucid.zeros(x.shape[1], H, dtype=x.dtype)
        return run(step, x, (zeros, zeros))


MODELS = [Leaky, MinimalGatedUnit, AttentionDecoder]
each_model = pytest.mark.parametrize("model", MODELS)


@each_model
def test_is_the_loop(model):
    net, x = model(), normal(0, T, N, F)
    results = []
    for run in (nn.scan, loop):
        net.zero_grad()
        x.grad = None
        outputs = leaves(net(x, run))
        sum((y * y).sum() * (i + 1) for i, y in enumerate(outputs)).backward()
        results.append([*(y.detach() for y in outputs), x.grad, *(p.grad for p in net.parameters())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)


@each_model
def test_one_scan_of_any_length(model):
    net, x = model("float32"), normal(0, T, N, F, dtype="float32")
    exported = to_onnx(net, x)
    assert exported.operators["Scan"] == 1
    assert list(exported.axes["x"]) == [0, 1]
    assert exported.axes["x"][0] == "time"
    frozen = to_onnx(lambda x: net(x, loop), x)
    assert "Scan" not in frozen.operators
    assert "as in range()" in frozen.fixed["x"][0]


@each_model
def test_gradients_export_too(model):
    net = model("float32")

    def step(x):
        output, _ = net(x)
        loss = (output * output).mean()
        return loss, *lucid.autograd.grad(loss, list(net.parameters()))

    exported = to_onnx(step, normal(0, T, N, F, dtype="float32"))
    assert exported.operators["Scan"] >= 2
    assert exported.axes["x"][0] == "time"


# --- against the layers


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_cell_is_its_layer(name):
    cell = getattr(nn, f"{name}Cell")(F, H, dtype="float64")
    layer = getattr(nn, name)(F, H, dtype="float64")
    layer.load_state_dict({f"{key}_l0": t for key, t in cell.state_dict().items()})
    x = normal(1, T, N, F)
    output, state = nn.scan(cell, x)
    expected, final = layer(x)
    np.testing.assert_allclose(output.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    for a, b in zip(leaves(state), leaves(final), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy()[0], rtol=1e-12)
    held = [normal(2 + i, N, H) for i in range(len(leaves(state)))]
    given = tuple(held) if len(held) > 1 else held[0]
    output, _ = nn.scan(cell, x, given)
    expected, _ = layer(x, tuple(h[None] for h in held) if len(held) > 1 else held[0][None])
    np.testing.assert_allclose(output.detach().numpy(), expected.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_cell_exports(name):
    cell = getattr(nn, f"{name}Cell")(F, H)
    exported = to_onnx(lambda x: nn.scan(cell, x), normal(0, T, N, F, dtype="float32"))
    assert exported.operators["Scan"] == 1
    assert exported.axes["x"][0] == "time"


# --- gradients


def general(x, token, h, k, w, reverse=False):
    """Scans two sequences, one of integers, with two states, two outputs, and a weight from outside the step."""

    def step(inputs, state):
        a = lucid.tanh(inputs["x"] @ w + state[0])
        b = state[1] * 0.5 + (a * a).sum(-1, keepdim=True) * inputs["token"]
        return {"sum": a + b, "x": inputs["x"]}, (a, b)

    outputs, state = nn.scan(step, {"x": x, "token": token}, (h, k), reverse=reverse)
    return outputs["sum"], outputs["x"], *state


@pytest.mark.parametrize("reverse", thinned([False, True], 2))
def test_gradients_of_any_order(reverse):
    token = lucid.tensor(np.arange(3 * 2).reshape(3, 2, 1) % 3)
    inputs = [normal(0, 3, 2, 2), normal(1, 2, 2), normal(2, 2, 1), normal(3, 2, 2)]

    def forward(x, h, k, w):
        return general(x, token, h, k, w, reverse)

    assert gradcheck(forward, inputs)
    assert gradgradcheck(forward, inputs)
    for which in range(4):
        assert gradcheck(lambda *args, which=which: forward(*args)[which], inputs)

    def second(w):
        (g,) = lucid.autograd.grad((forward(*inputs[:3], w)[0] ** 3).sum(), w, create_graph=True)
        (gg,) = lucid.autograd.grad((g * g).sum(), w, create_graph=True)
        return gg

    assert gradcheck(second, inputs[3:], atol=1e-5, rtol=1e-4)


def test_only_what_needs_a_gradient_gets_one():
    x, h, w = normal(0, T, N, F, requires_grad=False), normal(1, N, H, requires_grad=False), normal(2, F, H)
    output, _ = nn.scan(lambda x, h: (lucid.tanh(x @ w + h),) * 2, x, h)
    output.sum().backward()
    assert x.grad is None
    assert h.grad is None
    assert w.grad is not None
    with lucid.no_grad():
        output, _ = nn.scan(lambda x, h: (lucid.tanh(x @ w + h),) * 2, x, h)
    assert not output.requires_grad


def test_reverse_is_flipped_twice():
    net, x = MinimalGatedUnit(), normal(0, T, N, F)
    output, last = nn.scan(net.step, x, lucid.zeros(N, H, dtype="float64"), reverse=True)
    flipped, other = nn.scan(net.step, lucid.flip(x, 0), lucid.zeros(N, H, dtype="float64"))
    np.testing.assert_array_equal(output.detach().numpy(), lucid.flip(flipped, 0).detach().numpy())
    np.testing.assert_array_equal(last.detach().numpy(), other.detach().numpy())
    exported = to_onnx(
        lambda x: nn.scan(net.step, x, lucid.zeros(x.shape[1], H, dtype="float64"), reverse=True), x.detach()
    )
    assert exported.operators["Scan"] == 1


def test_truncated_backpropagation():
    net, x = MinimalGatedUnit(), normal(0, T, N, F)
    _, state = nn.scan(net.step, x[:3], lucid.zeros(N, H, dtype="float64"))
    output, _ = nn.scan(net.step, x[3:], state.detach())
    output.sum().backward()
    assert not x.grad.numpy()[:3].any()
    assert x.grad.numpy()[3:].all()


# --- kinds of steps


def test_trees_and_nothing_given():
    def step(x, state):
        return None, {"n": state["n"] + 1, "sum": state["sum"] + x[0] * x[1]}

    state = {"n": lucid.tensor(0), "sum": lucid.zeros(N)}
    given, last = nn.scan(step, (lucid.ones(T, N), lucid.full((T, N), 2.0)), state)
    assert given is None
    assert last["n"].item() == T
    assert last["sum"].tolist() == [2.0 * T] * N


def test_one_step_and_unbatched():
    cell = nn.GRUCell(F, H)
    output, h = nn.scan(cell, lucid.randn(1, F))
    np.testing.assert_array_equal(output[0].detach().numpy(), h.detach().numpy())


def test_what_a_step_draws_differs_from_step_to_step():
    output, _ = nn.scan(
        lambda x, h: (nn.functional.dropout(x, 0.5, training=True), h), lucid.ones(T, 100), lucid.zeros(1)
    )
    rows = {tuple(row) for row in output.numpy().tolist()}
    assert len(rows) == T


def test_a_token_fed_back():
    """A greedy decoder, whose integer state is the token of the previous step."""
    table, head = lucid.randn(7, F), nn.Linear(H, 7)
    cell = nn.GRUCell(F, H)

    def decode(start, h, clock):
        def step(_, state):
            token, h = state
            h = cell(table[token], h)
            token = head(h).argmax(-1)
            return token, (token, h)

        return nn.scan(step, clock, (start, h))[0]

    inputs = (lucid.tensor([1, 2, 3]), lucid.randn(3, H), lucid.zeros(T))
    token, h, expected = inputs[0], inputs[1], []
    for _ in range(T):
        h = cell(table[token], h)
        token = head(h).argmax(-1)
        expected.append(token.tolist())
    assert decode(*inputs).tolist() == expected
    exported = to_onnx(decode, *inputs)
    assert exported.operators["Scan"] == 1
    assert exported.axes["clock"] == {0: "time"}


def test_scan_in_scan():
    """A step may call `nn.scan`: rows of an image, each read pixel by pixel."""
    inner, outer = nn.GRUCell(F, H), nn.GRUCell(H, H)

    def rows(x):
        def step(row, h):
            _, summary = nn.scan(inner, row)
            h = outer(summary, h)
            return h, h

        return nn.scan(step, x, lucid.zeros(x.shape[2], H))[0]

    x = lucid.randn(4, 6, N, F)
    expected = loop(lambda row, h: (outer(loop_of(inner, row), h),) * 2, x, lucid.zeros(N, H))[0]
    np.testing.assert_allclose(rows(x).detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    for found in (rows(x), expected):
        (found * found).sum().backward()
    gradients = [p.grad.numpy().copy() for p in inner.parameters()]
    inner.zero_grad()
    (expected_again := loop(lambda row, h: (outer(loop_of(inner, row), h),) * 2, x, lucid.zeros(N, H))[0])
    (expected_again * expected_again).sum().backward()
    for a, p in zip(gradients, inner.parameters(), strict=True):
        np.testing.assert_allclose(a, 2 * p.grad.numpy(), rtol=1e-4, atol=1e-5)
    assert to_onnx(rows, x).operators["Scan"] == 1


def loop_of(cell, row):
    h = None
    for t in range(row.shape[0]):
        h = cell(row[t], h)
    return h


def test_one_node_whatever_the_length():
    net = Leaky("float32")
    counts = {len(trace(net, lucid.randn(steps, N, F)).nodes) for steps in (1, 5, 50)}
    assert len(counts) == 1


# --- refusals


def test_refusals():
    x, h = lucid.ones(T, N), lucid.zeros(N)
    with pytest.raises(TypeError, match="xs must be tensors, time first; got list"):
        nn.scan(lambda x, h: (x, h), [], h)
    with pytest.raises(TypeError, match="got PackedSequence; unpack it"):
        nn.scan(lambda x, h: (x, h), nn.utils.rnn.pack_sequence([lucid.ones(2, 1)]), h)
    with pytest.raises(TypeError, match="the state must have a tensor; got None"):
        nn.scan(lambda x, h: (x, h), x)
    with pytest.raises(TypeError, match=r"a step returns two things.*got Tensor"):
        nn.scan(lambda x, h: x, x, h)
    with pytest.raises(ShapeError, match=r"one length, of at least one step.*\(0, 3\)"):
        nn.scan(lambda x, h: (x, h), lucid.ones(0, N), h)
    with pytest.raises(ShapeError, match=r"\(5, 3\), \(4, 3\)"):
        nn.scan(lambda x, h: (x[0], h), (x, lucid.ones(4, N)), h)
    with pytest.raises(ShapeError, match=r"it was float32\[3\], and the step made it float32\[1, 3\]"):
        nn.scan(lambda x, h: (x, h[None]), x, h)
    with pytest.raises(ShapeError, match=r"it was float32\[3\], and the step made it float64\[3\]"):
        nn.scan(lambda x, h: (x, h.to("float64")), x, h)
    with pytest.raises(ShapeError, match="nested in another way"):
        nn.scan(lambda x, h: (x, (h,)), x, h)


def test_a_step_that_looks_at_values_is_refused():
    def step(x, h):
        return (x if float(x.sum()) > 0 else -x), h

    with pytest.raises(TraceError, match=r"turned a tensor into Python numbers.*item\(\) at .*test_scan\.py"):
        nn.scan(step, lucid.ones(T, N), lucid.zeros(N))


def test_what_a_step_freezes_of_the_outside_is_seen():
    """A number that a step takes from an outer tensor is a constant, as anywhere in a trace."""

    def model(x):
        greatest = x.max()
        return nn.scan(lambda x_t, h: (x_t * float(greatest), h), x, lucid.zeros(1))[0]

    with pytest.raises(ExportError, match=r"test_scan\.py:\d+ \(<lambda>\): a constant changed"):
        to_onnx(model, lucid.randn(T, N))


# --- ONNX node tests for recurrences that no layer implements


@pytest.fixture(scope="module")
def node_tests():
    pytest.importorskip("onnx.backend.test.case.node.gru")
    pytest.importorskip("onnx.backend.test.case.node.lstm")
    node = pytest.importorskip("onnx.backend.test.case.node")
    return {test.name: test.data_sets[0] for test in node._NodeTestCases}


def test_peephole_lstm(node_tests):
    """ONNX LSTM with P: the gates read the cell state, the output gate the new one."""
    (x, w, r, b, _, h0, c0, p), (expected,) = node_tests["test_lstm_with_peepholes"]
    w, r, p_i, p_o, p_f = map(lucid.tensor, (w[0].T.copy(), r[0].T.copy(), *np.split(p[0], 3)))
    bias = lucid.tensor(np.add(*np.split(b[0], 2)))

    def step(x, state):
        h, c = state
        i, o, f, g = lucid.chunk(x @ w + h @ r + bias, 4, -1)
        new = lucid.sigmoid(f + p_f * c) * c + lucid.sigmoid(i + p_i * c) * lucid.tanh(g)
        h = lucid.sigmoid(o + p_o * new) * lucid.tanh(new)
        return h, (h, new)

    _, (h, _) = nn.scan(step, lucid.tensor(x), (lucid.tensor(h0[0]), lucid.tensor(c0[0])))
    np.testing.assert_allclose(h.numpy()[None], expected, rtol=1e-5, atol=1e-6)


def test_gru_that_resets_before_the_product(node_tests):
    """ONNX GRU with linear_before_reset=0, as in the paper."""
    (x, w, r, b), (expected,) = node_tests["test_gru_seq_length"]
    w_z, w_r, w_h = map(lucid.tensor, np.split(w[0], 3))
    r_z, r_r, r_h = map(lucid.tensor, np.split(r[0], 3))
    b_z, b_r, b_h = map(lucid.tensor, np.split(np.add(*np.split(b[0], 2)), 3))

    def step(x, h):
        z = lucid.sigmoid(x @ w_z.T + h @ r_z.T + b_z)
        reset = lucid.sigmoid(x @ w_r.T + h @ r_r.T + b_r)
        new = lucid.tanh(x @ w_h.T + (reset * h) @ r_h.T + b_h)
        h = (1 - z) * new + z * h
        return h, h

    def model(x):
        return nn.scan(step, x, lucid.zeros(x.shape[1], r.shape[2]))[1]

    np.testing.assert_allclose(model(lucid.tensor(x)).numpy()[None], expected, rtol=1e-5, atol=1e-6)
    assert to_onnx(model, lucid.tensor(x)).operators["Scan"] == 1
