"""Traces: the text and captures of a graph, and no side effects."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import NamedTuple

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import TraceError
from lucid.tracer import Graph, trace


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 3, num_layers=2)

    def forward(self, x):
        return self.rnn(x)[0][-1]


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Linear(3, 1)
        self.register_buffer("offset", lucid.tensor([0.5]))

    def forward(self, x):
        return self.head(self.encoder(x)).tanh() + self.offset


def test_text():
    graph = trace(Model(), lucid.ones(4, 1, 2))
    assert str(graph) == (
        "graph(x: float32[4, 1, 2])\n"
        "  encoder.rnn.weight_ih_l0: float32[3, 2]  parameter\n"
        "  encoder.rnn.weight_hh_l0: float32[3, 3]  parameter\n"
        "  encoder.rnn.bias_ih_l0: float32[3]  parameter\n"
        "  encoder.rnn.bias_hh_l0: float32[3]  parameter\n"
        "  encoder.rnn.weight_ih_l1: float32[3, 3]  parameter\n"
        "  encoder.rnn.weight_hh_l1: float32[3, 3]  parameter\n"
        "  encoder.rnn.bias_ih_l1: float32[3]  parameter\n"
        "  encoder.rnn.bias_hh_l1: float32[3]  parameter\n"
        "  head.weight: float32[1, 3]  parameter\n"
        "  head.bias: float32[1]  parameter\n"
        "  offset: float32[1]  constant\n"
        "  %0, %1: float32[4, 1, 3], float32[1, 1, 3] = rnn(x, None, encoder.rnn.weight_ih_l0, "
        "encoder.rnn.weight_hh_l0, encoder.rnn.bias_ih_l0, encoder.rnn.bias_hh_l0, None; nonlinearity='tanh')"
        "  # encoder.rnn.l0\n"
        "  %2, %3: float32[4, 1, 3], float32[1, 1, 3] = rnn(%0, None, encoder.rnn.weight_ih_l1, "
        "encoder.rnn.weight_hh_l1, encoder.rnn.bias_ih_l1, encoder.rnn.bias_hh_l1, None; nonlinearity='tanh')"
        "  # encoder.rnn.l1\n"
        "  %4: float32[1, 3] = slice_at(%2; index=(-1,))  # encoder\n"
        "  %5: float32[1, 1] = linear(%4, head.weight, head.bias)  # head\n"
        "  %6: float32[1, 1] = tanh(%5)\n"
        "  %7: float32[1, 1] = add(%6, offset)\n"
        "  return output=%7"
    )
    assert repr(graph) == "<Graph of 6 nodes: (x) -> (output)>"


def test_only_what_the_outputs_need():
    w = lucid.ones(3)

    def function(x):
        (x * w).exp()
        return x + 1

    graph = trace(function, lucid.ones(3))
    assert [node.op.name for node in graph.nodes] == ["add"]
    assert not graph.captured


def test_locations_are_the_users():
    graph = trace(Model(), lucid.ones(4, 1, 2))
    for node in graph.nodes:
        assert node.location.file == __file__
        assert node.location.function == "forward"
    lines = [node.location.line for node in graph.nodes]
    assert lines == sorted(lines) or lines[-1] == max(lines)


# --- names


class Pair(NamedTuple):
    left: lucid.Tensor
    right: lucid.Tensor


def test_nested_inputs_and_outputs():
    def function(a, pair, *rest, flag, table):
        assert flag is True
        assert isinstance(pair, Pair)
        assert isinstance(table["deep"], list)
        return {"sum": a + pair.left, "parts": (pair.right, [table["deep"][1] * 2])}, rest[0]

    one = lucid.ones(2)
    graph = trace(function, one, Pair(one, one), one, flag=True, table={"deep": [3, one]})
    assert list(graph.inputs) == ["a", "pair_left", "pair_right", "input_2", "table_deep_1"]
    assert list(graph.outputs) == ["output_0_sum", "output_0_parts_0", "output_0_parts_1_0", "output_1"]
    assert graph.outputs["output_1"] is graph.inputs["input_2"]
    one_dict = trace(lambda x: {"y": x * 2, "z": x}, one)
    assert list(one_dict.outputs) == ["y", "z"]


def test_names_stay_distinct():
    linear = nn.Linear(2, 2)

    class Clash(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(lucid.ones(2))

        def forward(self, weight):
            return weight * self.weight

    graph = trace(Clash(), lucid.ones(2))
    assert "mul(weight, weight_1)" in str(graph)
    graph = trace(lambda x: nn.Linear(2, 2)(linear(x)) + linear(x), lucid.ones(2))
    assert [node.scope for node in graph.nodes] == ["linear", "linear_1", "linear", ""]
    assert len(set(graph.names().values())) == len(graph.names())
    graph = trace(lambda *x: x[0] + x[1], lucid.ones(2), lucid.ones(2))
    assert list(graph.inputs) == ["input_0", "input_1"]


def test_keys_that_read_alike():
    one = lucid.ones(2)
    graph = trace(lambda t: t[1] + t["1"] * 2 + t["1_1"], {1: one, "1": one, "1_1": one})
    assert list(graph.inputs) == ["t_1", "t_1_1", "t_1_1_1"]


def test_the_same_tensor_twice_is_two_inputs():
    x = lucid.ones(2)
    graph = trace(lambda a, b: a - b, x, x)
    assert list(graph.inputs) == ["a", "b"]
    assert not graph.captured


def test_closures():
    w, c = lucid.ones(2, requires_grad=True), lucid.tensor([3.0])
    hidden = w * 2
    model = nn.Linear(2, 1)
    graph = trace(lambda x: model(x * w + c) + hidden.sum() + np.ones(1, np.float32), lucid.ones(2))
    captured = {graph.labels[value]: tensor for value, tensor in graph.captured.items()}
    assert captured.pop("linear.weight") is model.weight
    assert captured.pop("linear.bias") is model.bias
    rest = list(captured.values())
    assert all(name.startswith("constant_") for name in captured)
    assert rest[0] is w
    assert rest[1] is c
    # A tensor computed outside is a constant here; its own graph is not traced.
    assert rest[2] is hidden
    assert rest[3].tolist() == [1]
    assert "constant_" in str(graph)


def test_shared_modules_keep_their_first_name():
    linear = nn.Linear(2, 2)
    graph = trace(nn.Sequential(linear, linear), lucid.ones(2))
    assert [node.scope for node in graph.nodes] == ["0", "0"]
    assert [graph.labels[value] for value in graph.captured] == ["0.weight", "0.bias"]


def test_a_packed_sequence_is_two_inputs():
    packed = nn.utils.rnn.pack_sequence([lucid.ones(3, 2), lucid.ones(1, 2)])
    graph = trace(nn.RNN(2, 3), packed)
    assert list(graph.inputs) == ["x_padded", "x_lengths"]
    assert len(graph.nodes) == 1


# --- refusals and leaks


def test_refusals():
    one = lucid.ones(1)
    with pytest.raises(TraceError, match="already under way"):
        trace(lambda x: trace(lambda y: y, x), one)
    with pytest.raises(TraceError, match="returned no Tensor, but int"):
        trace(lambda x: 3, one)
    with pytest.raises(TraceError, match="returned no Tensor, but NoneType"):
        trace(lambda x: None, one)
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: 1 / 0, one)
    assert trace(lambda x: x * 2, one).nodes


def test_leaks_are_noted_with_the_users_line():
    def function(x, n):
        if bool(x.sum() > 0):
            x = x * float(x.max() if hasattr(x, "max") and False else x.amax())
        x = x + n.item() + [1, 2, 3][n] + x.numpy().sum() + len(x.tolist())
        return x * (3.0 in x)

    graph = trace(function, lucid.ones(3), lucid.tensor(1))
    assert [read.how for read in graph.reads] == ["bool()", "item()", "item()", "item()", "numpy()", "tolist()", "in"]
    first = function.__code__.co_firstlineno
    assert [read.where.line - first for read in graph.reads] == [1, 2, 3, 3, 3, 3, 4]
    assert f"bool() at {__file__}:{first + 1} (function)" in map(str, graph.reads)


def test_outside_values_are_no_leak():
    limit = lucid.tensor(3.0)

    def function(x):
        return x * limit.item() if float(limit) > 2 else x

    assert trace(function, lucid.ones(2)).reads == ()


# --- no side effects


def test_training_goes_on_as_if_nothing_had_happened():
    def train(traced):
        lucid.manual_seed(0)
        model, x = Model(), lucid.randn(4, 2, 2)
        losses = []
        for _ in range(3):
            if traced:
                trace(model, x)
            loss = (model(x) * model(x)).mean()
            loss.backward()
            if traced:
                trace(model, lucid.ones(4, 2, 2))
            for p in model.parameters():
                p._assign(p._data - 0.1 * p.grad._data)
            model.zero_grad()
            losses.append(loss.item())
        return losses

    assert train(traced=True) == train(traced=False)


def test_gradients_and_graphs_outside_are_untouched():
    model = nn.Linear(2, 1)
    x = lucid.ones(2, requires_grad=True)
    y = model(x)
    trace(model, x)
    assert x.grad is None
    assert model.weight.grad is None
    y.backward()
    assert model.weight.grad.tolist() == [[1, 1]]
    assert x.grad.tolist() == model.weight.tolist()[0]


def test_a_traced_run_in_no_grad():
    model = nn.Linear(2, 1)
    with lucid.no_grad():
        graph = trace(model, lucid.ones(2))
        assert not lucid.is_grad_enabled()
    assert [node.needs_grad for node in graph.nodes] == [False]
    assert trace(model, lucid.ones(2)).nodes[0].needs_grad


def test_a_graph_is_freed_by_reference_counting():
    gc.collect()
    gc.disable()
    try:
        model = Model()
        graph = trace(model, lucid.ones(4, 1, 2))
        nodes = [weakref.ref(node) for node in graph.nodes]
        del graph
        assert all(node() is None for node in nodes)
        alive = weakref.ref(model)
        del model
        assert alive() is None
    finally:
        gc.enable()


def test_what_a_traced_run_leaves_behind_is_no_cycle():
    class Stateful(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(lucid.ones(2))

        def forward(self, x):
            self.last = x * self.weight
            self.last.sum().backward()
            return self.last

    gc.collect()
    gc.disable()
    try:
        model = Stateful()
        trace(model, lucid.ones(2))
        alive = weakref.ref(model), weakref.ref(model.weight)
        del model
        assert [ref() is None for ref in alive] == [True, True]
    finally:
        gc.enable()


def test_traces_in_threads():
    graphs: dict[int, Graph] = {}

    def work(n):
        def function(x):
            for _ in range(n):
                x = x + n
            return x

        for _ in range(5):
            graphs[n] = trace(function, lucid.ones(2))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: len(graph.nodes) for n, graph in graphs.items()} == {n: n for n in range(1, 6)}


# --- gradients inside a trace


def test_a_step_with_its_gradients():
    w = lucid.tensor([1.0, 2.0], requires_grad=True)

    def step(x):
        w.grad = None
        (w * x).sum().backward()
        (w * x * x).sum().backward()
        return w.grad

    x = lucid.tensor([3.0, 4.0])
    graph = trace(step, x)
    w.grad = None
    assert step(x).tolist() == [12, 20]
    w.grad = None
    # The graph has both passes and their sum, and depends on x.
    assert [node.op.name for node in graph.nodes].count("add") == 1
    assert any(graph.inputs["x"] in node.inputs for node in graph.nodes)
    assert not any(value.dtype.kind == "f" and value.shape == (2,) for value in graph.captured)


def test_a_leaf_made_inside_a_trace():
    def function(x):
        w = lucid.zeros(2, requires_grad=True)
        assert w.is_leaf
        (w * x).sum().backward()
        return w.grad

    graph = trace(function, lucid.ones(2))
    assert "x" in str(graph.nodes[-1] and graph)
    assert graph.nodes[-1].op.name == "mul"


def test_detach_is_seen():
    graph = trace(lambda x: x.detach() * 2, lucid.ones(2))
    assert [node.op.name for node in graph.nodes] == ["detach", "mul"]
