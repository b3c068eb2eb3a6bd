"""Runs at several sizes unified into one graph: symbolic sizes, and refusals with the user's line."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import TraceError
from lucid.tracer import trace
from lucid.tracer.symbolic import Size, evaluate, symbols_of, unify

BASE = {"time": 3, "batch": 2}
RUNS = [BASE, {"time": 4, "batch": 2}, {"time": 3, "batch": 5}]


def unified(function, *shapes, runs=RUNS):
    """Traces the function at the sizes of each run, and unifies the graphs. Shapes may contain symbols."""
    graphs = [trace(function, *(lucid.ones(*(sizes.get(n, n) for n in shape)) for shape in shapes)) for sizes in runs]
    return unify(graphs, runs)


X = ("time", "batch", 4)


def test_sizes():
    graph = unified(lambda x: x.reshape(-1, 4)[:, 1:], X)
    assert graph.inputs["x"].shape == (Size(("time",)), Size(("batch",)), 4)
    assert str(graph).splitlines() == [
        "graph(x: float32[time, batch, 4])",
        "  %0: float32[batch*time, 4] = reshape_to(x; shape=(-1, 4))",
        "  %1: float32[batch*time, 3] = slice_at(%0; index=(slice(None, None, None), slice(1, None, None)))",
        "  return output=%1",
    ]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x.flatten(), "[4*batch*time]"),
        (lambda x: x[1:], "[time-1, batch, 4]"),
        (lambda x: lucid.cat([x, x, x[:2]]), "[2*time+2, batch, 4]"),
        (lambda x: x.reshape(x.shape[0] * x.shape[1], 2, 2), "[batch*time, 2, 2]"),
        (lambda x: lucid.zeros(x.shape[0], x.shape[0]), "[time, time]"),
        (lambda x: lucid.zeros(x.shape[0] * x.shape[0] + 1), "[time*time+1]"),
        (lambda x: x.transpose(0, 1).expand(6, -1, -1, -1), "[6, batch, time, 4]"),
        (lambda x: lucid.arange(x.shape[1]), "[batch]"),
        (lambda x: x.split([1, x.shape[0] - 1])[1], "[time-1, batch, 4]"),
        (lambda x: x[0, :, 0], "[batch]"),
        (lambda x: lucid.zeros(3), "[3]"),
    ],
)
def test_formulas(function, shape):
    graph = unified(function, X)
    value = graph.outputs["output"]
    assert f"[{', '.join(map(str, value.shape))}]" == shape
    for sizes in (*RUNS, {"time": 11, "batch": 13}):
        expected = function(lucid.ones(sizes["time"], sizes["batch"], 4)).shape
        assert tuple(evaluate(value.shape, sizes)) == expected


def test_the_graph_at_sizes_never_run():
    def function(x):
        return x[2:].reshape(-1, x.shape[1] * 4)

    graph = unified(function, X)
    for node in graph.nodes:
        for attribute in node.attrs.values():
            evaluate(attribute, {"time": 9, "batch": 6})
    assert symbols_of(graph.nodes[-1].attrs["shape"]) == {"batch"}


def test_a_model_is_one_graph():
    model = nn.Sequential(nn.Linear(4, 3), nn.RNN(3, 2, num_layers=2))
    graph = unified(model, X)
    assert [node.op.name for node in graph.nodes] == ["linear", "rnn", "rnn", "concat"]
    assert [graph.labels[v] for v in graph.captured][:2] == ["0.weight", "0.bias"]
    assert [node.scope for node in graph.nodes] == ["0", "1.l0", "1.l1", "1"]


def test_gradients_are_one_graph():
    model = nn.RNN(4, 3)

    def step(x):
        model.zero_grad()
        output, _ = model(x)
        (output * output).mean().backward()
        return [p.grad for p in model.parameters()]

    graph = unified(step, X)
    model.zero_grad()
    assert [tuple(v.shape) for v in graph.outputs.values()] == [(3, 4), (3, 3), (3,), (3,)]
    assert "rnn_backward" in [node.op.name for node in graph.nodes]


def test_size_arithmetic():
    size = Size(("n", "n"), 3, -2)
    assert str(size) == repr(size) == "3*n*n-2"
    assert size.at({"n": 4}) == 46
    assert str(size.renamed({"n": "m"})) == "3*m*m-2"
    assert evaluate((size, [slice(None, size, 2)], "x"), {"n": 1}) == (1, [slice(None, 1, 2)], "x")
    assert symbols_of((slice(size, 3), [Size(("k",))])) == {"n", "k"}


def test_values_that_nobody_has_a_formula_for():
    graph = unified(lambda x: (x[: max(2, x.shape[0] // 2)]).sum(), X, runs=[{"time": 4, "batch": 2}] * 2)
    assert len(graph.nodes) == 2


# --- refusals


def _loop(x):
    for _ in range(x.shape[0]):
        x = x + 1
    return x


def _branch(x):
    if x.shape[0] > 3:
        return x * 2
    return x + 2


def _frozen_number(x):
    return x * float(x.sum())


def _frozen_array(x):
    return x * np.arange(x.shape[0] * x.shape[1] * 4, dtype=np.float32).reshape(x.shape)


def _odd_size(x):
    return x.reshape(-1)[: x.shape[1] // 2]


def _rewired(x):
    y = x + 2
    z = y + 2
    return (y - z) if x.shape[0] > 3 else (z - y)


def _tensor_or_number(x):
    return x + (x.sum() if x.shape[0] > 3 else 1.0) if False else lucid.add(x, x if x.shape[0] > 3 else 1.0)


def _more_inputs(x):
    return lucid.cat([x] * x.shape[0])


def _fewer_inputs(x):
    return lucid.cat([x] * (9 - x.shape[0]))


def _more_outputs(x):
    return [x * 1] * x.shape[0]


def _fewer_outputs(x):
    return [x * 1] * (9 - x.shape[0])


def _other_rank(x):
    return x.sum(0) if x.shape[0] > 3 else x.sum(0, True)


REFUSED = [
    (_loop, "the recorded operations differ .*loop or branch", 2),
    (_branch, "operations differ", 2),
    (_frozen_number, "a constant changed", 1),
    (_frozen_array, "a tensor made outside of lucid's ops differs", 1),
    (_odd_size, "'index' changed", 1),
    (_rewired, "wired differently", 3),
    (_tensor_or_number, "a tensor in one run and a constant in another", 1),
    (_more_inputs, "the number of inputs changed", 1),
    (_fewer_inputs, "the number of inputs changed", 1),
    (_other_rank, "'keepdim' changed", 1),
]


@pytest.mark.parametrize(("function", "message", "line"), REFUSED, ids=lambda x: getattr(x, "__name__", ""))
def test_refused_with_the_users_line(function, message, line):
    with pytest.raises(TraceError, match=message) as caught:
        unified(function, X)
    text = str(caught.value)
    first = function.__code__.co_firstlineno
    if function not in (_loop, _branch):
        assert f"{__file__}:{first + line} ({function.__name__})" in text
    assert f"{__file__}:" in text
    assert "with a size (time from 3 to 4, batch from 2 to 5)" in text or "depends on a size (time" in text


@pytest.mark.parametrize("function", [_more_outputs, _fewer_outputs])
def test_outputs_that_are_no_fixed_number(function):
    with pytest.raises(TraceError, match=r"the number of outputs changed \(\d and \d and \d\) with a size \(time"):
        unified(function, X)


def test_the_leak_is_told_too():
    with pytest.raises(TraceError, match=r"left the graph through item\(\) at .*test_unify.py:\d+ \(_frozen_number\)"):
        unified(_frozen_number, X)
