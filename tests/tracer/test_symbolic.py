"""Symbolic traces: sizes as formulas, and agreement with plain runs at other sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import TraceError
from lucid.proof import sizeruns  # noqa: F401 - declares the size rules
from lucid.tracer import trace
from lucid.tracer.agreement import require_agreement
from lucid.tracer.size import Size, evaluate, symbols_of
from lucid.tracer.symbolic import resolved
from lucid.tracer.trace import record

BASE = {"time": 3, "batch": 2}
RUNS = [BASE, {"time": 4, "batch": 2}, {"time": 3, "batch": 5}]
X = ("time", "batch", 4)


def arrays(shapes, sizes):
    return tuple(lucid.ones(*(sizes.get(n, n) for n in shape)) for shape in shapes)


def symbolic(function, *shapes):
    """Traces a function with formulas for sizes. Shapes may contain symbols."""
    formulas = [[Size.symbol(n) if isinstance(n, str) else n for n in shape] for shape in shapes]
    return resolved(record(function, arrays(shapes, BASE), {}, shapes=formulas), {})


def agreeing(function, *shapes):
    """Traces a function with formulas, and checks plain runs at other sizes."""
    graph = symbolic(function, *shapes)
    for sizes in RUNS:
        require_agreement(graph, trace(function, *arrays(shapes, sizes)), sizes, BASE)
    return graph


def test_sizes():
    graph = agreeing(lambda x: x.reshape(-1, 4)[:, 1:], X)
    assert graph.inputs["x"].shape == (Size.symbol("time"), Size.symbol("batch"), 4)
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
        (lambda x: x[2:], "[max(0, time-2), batch, 4]"),
        (lambda x: lucid.cat([x, x, x[:1]]), "[2*time+1, batch, 4]"),
        (lambda x: x.reshape(x.shape[0] * x.shape[1], 2, 2), "[batch*time, 2, 2]"),
        (lambda x: lucid.zeros(x.shape[0], x.shape[0]), "[time, time]"),
        (lambda x: lucid.zeros(x.shape[0] * x.shape[0] + 1), "[time*time+1]"),
        (lambda x: x.transpose(0, 1).expand(6, -1, -1, -1), "[6, batch, time, 4]"),
        (lambda x: lucid.arange(x.shape[1]), "[batch]"),
        (lambda x: x.split([1, x.shape[0] - 1])[1], "[time-1, batch, 4]"),
        (lambda x: x[0, :, 0], "[batch]"),
        (lambda x: lucid.zeros(3), "[3]"),
        (lambda x: x[: x.shape[0] // 2], "[time//2, batch, 4]"),
        (lambda x: x[::2], "[(time+1)//2, batch, 4]"),
        (lambda x: x[x.shape[0] - 3 :], "[time-bound(time-3, time), batch, 4]"),
        (lambda x: x[: math.ceil(x.shape[0] / 2)], "[min(ceil(time/2), time), batch, 4]"),
        (lambda x: x[: x.shape[0] - x.shape[0] % 7], "[time-time%7, batch, 4]"),
        (lambda x: nn.functional.pad(x, (0, 0, 0, 0, 0, -x.shape[0] % 8)), "[time-(time+7)%8+7, batch, 4]"),
        (lambda x: lucid.zeros(math.prod(x.shape), sum(x.shape[:2])), "[4*batch*time, batch+time]"),
        (lambda x: lucid.zeros(divmod(x.shape[0], 2)), "[time//2, time%2]"),
    ],
)
def test_formulas(function, shape):
    graph = agreeing(function, X)
    value = graph.outputs["output"]
    assert f"[{', '.join(map(str, value.shape))}]" == shape
    for sizes in (*RUNS, {"time": 11, "batch": 13}, {"time": 1, "batch": 1}, {"time": 2, "batch": 1}):
        expected = function(lucid.ones(sizes["time"], sizes["batch"], 4)).shape
        assert tuple(evaluate(value.shape, sizes)) == expected


def test_a_number_that_follows_from_sizes_is_an_operand():
    graph = agreeing(lambda x: x / (x.shape[0] * (x.shape[0] + 1) / 2) * x.shape[1] ** -0.5, X)
    assert [str(node.inputs[1]) for node in graph.nodes] == ["(time*time+time)/2", "batch**(-0.5)"]
    assert symbols_of(graph.nodes[1].inputs[1]) == {"batch"}


def test_a_model_is_one_graph():
    model = nn.Sequential(nn.Linear(4, 3), nn.RNN(3, 2, num_layers=2))
    graph = agreeing(model, X)
    assert [node.op.name for node in graph.nodes] == ["linear", "rnn", "rnn", "concat"]
    assert [graph.labels[v] for v in graph.captured][:2] == ["0.weight", "0.bias"]
    assert [node.scope for node in graph.nodes] == ["0", "1.l0", "1.l1", "1"]


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_gradients_are_one_graph(layer):
    model = layer(4, 3)

    def step(x):
        model.zero_grad()
        output = model(x)[0]
        (output * output).mean().backward()
        return [p.grad for p in model.parameters()]

    graph = agreeing(step, X)
    model.zero_grad()
    assert [tuple(v.shape) for v in graph.outputs.values()] == [p.shape for p in model.parameters()]
    assert f"{layer.__name__.lower()}_backward" in [node.op.name for node in graph.nodes]


def test_a_scan_and_its_gradient_are_one_graph():
    cell = nn.GRUCell(4, 3)

    def step(x):
        for parameter in cell.parameters():
            parameter.grad = None
        output, _ = nn.scan(cell, x)
        (output * output).sum().backward()
        return output, cell.weight_ih.grad

    graph = agreeing(step, X)
    assert tuple(map(str, graph.outputs["output_0"].shape)) == ("time", "batch", "3")
    assert [node.op.name for node in graph.nodes].count("scan") == 2


def test_a_size_that_no_rule_gives_is_measured():
    def function(x):
        chosen = x[x > 0]
        return lucid.arange(chosen.shape[0]) * 2

    graph = symbolic(function, X)
    assert [node.op.name for node in graph.nodes] == ["gt", "index_at", "count", "mul"]
    assert graph.outputs["output"].shape == (None,)
    ((atom, (value, axis)),) = graph.measured.items()
    assert (atom.name, value.node.op.name, axis) == ("unknown", "index_at", 0)
    require_agreement(graph, trace(function, lucid.ones(3, 2, 4)), BASE, BASE)


def test_sizes_are_plain_after_the_trace():
    kept = []

    def function(x):
        kept.append(x * 2)
        kept.append(x.shape[0])
        return kept[0]

    symbolic(function, X)
    assert kept[0].shape == (3, 2, 4)
    assert all(type(n) is int for n in kept[0].shape)
    assert kept[1] == 3
    assert {3: "found"}[kept[1]] == "found"
    assert list(range(kept[1])) == [0, 1, 2]


# --- disagreement, with the user's line


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
    return x * np.arange(x.shape[0] * x.shape[1] * 4, dtype=np.float32).reshape(x._data.shape)


def _plain_size(x):
    return x.reshape(-1)[: x._data.shape[1] // 2]


def _rewired(x):
    y = x + 2
    z = y + 2
    return (y - z) if x.shape[0] > 3 else (z - y)


def _tensor_or_number(x):
    return lucid.add(x, x if x.shape[0] > 3 else 1.0)


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
    (_plain_size, "'index' changed", 1),
    (_rewired, "wired differently", 3),
    (_tensor_or_number, "a tensor in one run and a constant in another", 1),
    (_more_inputs, "the number of inputs changed", 1),
    (_fewer_inputs, "the number of inputs changed", 1),
    (_other_rank, "'keepdim' changed", 1),
]


@pytest.mark.parametrize(("function", "message", "line"), REFUSED, ids=lambda x: getattr(x, "__name__", ""))
def test_refused_with_the_users_line(function, message, line):
    with pytest.raises(TraceError, match=message) as caught:
        agreeing(function, X)
    text = str(caught.value)
    first = function.__code__.co_firstlineno
    if function not in (_loop, _branch):
        assert f"{__file__}:{first + line} ({function.__name__})" in text
    assert f"{__file__}:" in text
    assert "a size (time from 3 to 4)" in text or "a size (batch from 2 to 5)" in text


@pytest.mark.parametrize("function", [_more_outputs, _fewer_outputs])
def test_outputs_that_are_no_fixed_number(function):
    with pytest.raises(TraceError, match=r"the number of outputs changed \(\d and \d\) with a size \(time"):
        agreeing(function, X)


def test_the_read_is_told_too():
    with pytest.raises(TraceError, match=r"left the graph through item\(\) at .*:\d+ \(_frozen_number\)"):
        agreeing(_frozen_number, X)
