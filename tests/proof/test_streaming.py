"""Streams: if a graph is proved to be streamable, the pieces of a sequence give the results of the whole."""

from __future__ import annotations

import json
import warnings
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import LucidError
from lucid.export import to_onnx
from lucid.proof.axes import prove
from lucid.proof.example import Example
from lucid.proof.streaming import Streaming, prove_streaming
from lucid.tracer.graph import Graph
from lucid.tracer.node import Value
from lucid.tracer.size import symbols_of
from lucid.tracer.symbolic import resolved
from tests.ops.case import wrapped
from tests.ops.cases import CASES
from tests.proof.test_separation import SQUARE, assignments, program, values
from tests.tiers import thinned

WEIGHT = lucid.tensor([[0.5]], dtype=lucid.float64)


def evaluated(graph: Graph, arrays: list[Any], steps: int) -> list[Any]:
    """Runs the ops of a graph in NumPy."""
    graph = resolved(graph, {"time": steps})
    found: dict[Value, Any] = {value: tensor._data for value, tensor in graph.captured.items()}
    found.update(zip(graph.inputs.values(), arrays, strict=True))
    for node in graph.nodes:
        with np.errstate(all="ignore"):
            results = node.op.forward(*[found[x] if type(x) is Value else x for x in node.inputs], **node.attrs)
        if node.op.name == "squeeze":  # as exported: the squeezed axes do not depend on the number of steps
            results = results.reshape(node.outputs[0].shape)
        for i, result in enumerate(results if isinstance(results, tuple) else (results,)):
            found[node.value(i)] = result
    return [np.asarray(found[value]) for value in graph.outputs.values()]


def assert_pieces_give_the_whole(graph: Graph, streaming: Streaming, arrays: list[Any]) -> None:
    axes = [next((i for i, n in enumerate(v.shape) if symbols_of(n)), None) for v in graph.inputs.values()]
    steps = next(array.shape[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None)
    whole = evaluated(graph, arrays, steps)
    for sizes in ([1] * steps, [1, steps - 1], [steps - 1, 1]):
        state = dict(zip(graph.inputs, arrays, strict=True))
        pieces, start = [], 0
        for n in sizes:
            given = [
                state[name] if axis is None else array.take(range(start, start + n), axis)
                for name, array, axis in zip(graph.inputs, arrays, axes, strict=True)
            ]
            pieces.append(dict(zip(graph.outputs, evaluated(graph, given, n), strict=True)))
            state |= {name: pieces[-1][outputs[0]] for name, outputs in streaming.states.items()}
            start += n
        carried = {output for outputs in streaming.states.values() for output in outputs}
        for (name, value), expected in zip(graph.outputs.items(), whole, strict=True):
            results = [piece[name] for piece in pieces]
            axis = next((i for i, n in enumerate(value.shape) if symbols_of(n)), None)
            if name in carried:
                np.testing.assert_allclose(results[-1], expected, rtol=1e-9, atol=1e-11)
            elif axis is None:
                for result in results:
                    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-11)
            else:
                np.testing.assert_allclose(np.concatenate(results, axis), expected, rtol=1e-9, atol=1e-11)


def proved(function: Any, tensors: list[Any], axes: dict[int, int]) -> tuple[Graph, Streaming, list[Any]]:
    """Proves a function of sequences beside a layer that runs over the same steps."""

    def both(*given: Any) -> Any:
        *own, s, h = given
        result = function(*own)
        output, last = lucid.ops.recurrent.rnn(s, h, WEIGHT, WEIGHT, None, None, None)
        return *(result if isinstance(result, (tuple, list)) else (result,)), output, last

    steps = next(tensors[i].shape[axis] for i, axis in axes.items())
    generator = np.random.default_rng(0)
    given = [*tensors, *[lucid.tensor(generator.standard_normal(shape)) for shape in ((steps, 1, 1), (1, 1, 1))]]
    example = Example(both, tuple(given), {})
    dynamic = {example.names[i]: {axis: "time"} for i, axis in (axes | {len(tensors): 0}).items()}
    proof = prove(both, example, dynamic)
    return proof.graph, prove_streaming(proof), [tensor.numpy() for tensor in given]


@pytest.mark.parametrize("name", thinned(sorted({case.name for case in CASES}), 14, sample=3))
def test_an_op_that_streams_gives_the_same_piece_by_piece(name: str) -> None:
    """Every row of the table, for every choice of time axes."""
    count = 0
    for case in [case for case in CASES if case.name == name]:
        given = case.arrays()
        places = [i for i, x in enumerate(given) if isinstance(x, np.ndarray)]
        tensors = wrapped([given[i] for i in places])
        for axes in assignments([given[i] for i in places]):
            try:
                graph, streaming, arrays = proved(partial(values, case, places), tensors, axes)
            except (LucidError, ValueError):  # the axis is not free, or the op cannot be exported
                continue
            if streaming.time is not None:
                count += 1
                assert_pieces_give_the_whole(graph, streaming, arrays)
    if name in ("tanh", "linear", "softmax", "rnn", "conv1d", "pad", "sort", "where", "layer_norm"):
        assert count


@pytest.mark.slow
@pytest.mark.parametrize("first", thinned(range(0, 600, 100), 6, sample=2))
def test_what_is_proved_of_programs_at_random(first: int) -> None:
    """Rules that are each correct may be wrong in combination."""
    count = 0
    for seed in range(first, first + 100):
        for axes in ({0: 0, 1: 0}, {0: 1, 1: 1}, {0: 0}):
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    graph, streaming, arrays = proved(partial(program, seed), [SQUARE, SQUARE * SQUARE], axes)
                except (LucidError, ValueError, IndexError, TypeError):  # shapes do not fit, or the axis is not free
                    continue
                if streaming.time is not None:
                    count += 1
                    assert_pieces_give_the_whole(graph, streaming, arrays)
    assert count > 10


MOVES: list[Any] = [
    lambda h: h,
    lambda h: h.permute(2, 0, 1),
    lambda h: h.reshape(-1),
    lambda h: h.flip(-1),
    lambda h: h.flip(0).flip(1).flip(2),
    lambda h: h[:, :, 1:],
    lambda h: lucid.cat([h[..., 2:], h[..., :2]], -1),
    lambda h: lucid.cat([h[:, 3:], h[:, :3]], 1),
    lambda h: h.reshape(h.shape[1], h.shape[0] * h.shape[2]),
    lambda h: h.transpose(0, 1).reshape(h.shape),
]


@pytest.mark.slow
def test_a_state_is_proved_only_if_it_comes_out_as_it_goes_in() -> None:
    rnn = nn.RNN(3, 4, 2).eval()
    found = []
    for there, back in product(range(len(MOVES)), repeat=2):

        def function(x: Any, h: Any, there: int = there, back: int = back) -> Any:
            output, last = rnn(x, MOVES[there](h))
            return output, MOVES[back](last)

        # With a batch of three, MOVES[7] changes nothing.
        example = Example(function, (lucid.randn(5, 3, 3), lucid.randn(2, 3, 4)), {})
        try:
            proof = prove(function, example, {"x": {0: "time", 1: "batch"}, "h": {1: "batch"}})
        except (LucidError, ValueError):  # the layer refuses the shape of the state
            continue
        if prove_streaming(proof).time is not None:
            found.append((there, back))
    assert found == [(0, 0), (3, 3), (4, 4), (6, 6)]


def test_what_is_recorded() -> None:
    x, h = lucid.randn(5, 2, 3), lucid.zeros(1, 2, 4)
    exported = to_onnx(nn.RNN(3, 4).eval(), x, h)
    assert exported.streaming == Streaming("time", {"h0": ("h_n",)})
    assert Streaming.of(json.loads(json.dumps(exported.streaming.as_dict()))) == exported.streaming
    for wrong in ([], {"time": 1}, {"states": []}, {"states": {"h0": "h_n"}}, {"steps": [1]}, {"what": ""}):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            Streaming.of(wrong)  # type: ignore[arg-type]
    assert to_onnx(nn.RNN(3, 4).eval(), x).streaming.why.startswith("rnn at ")
    assert to_onnx(nn.RNN(3, 4).eval(), x, h, precision="int8").streaming == exported.streaming
    assert "no recurrent layer runs over a free axis" in to_onnx(lambda x: x * 2, x).streaming.why
