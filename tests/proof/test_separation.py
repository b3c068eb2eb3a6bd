"""Batches in parts: if a graph is proved separable, its parts give the results of the whole batch."""

from __future__ import annotations

import pickle
import warnings
from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError, LucidError
from lucid.export import to_onnx
from lucid.proof.axes import prove
from lucid.proof.example import Example
from lucid.proof.placement import RULES
from lucid.proof.proof import Proof
from lucid.proof.separation import Separation, separate, with_totals
from lucid.runtime import Session
from lucid.runtime.compiled.parts import Parts
from lucid.tracer.graph import Graph
from lucid.tracer.node import Value
from lucid.tracer.symbolic import resolved
from tests.ops.case import Case, wrapped
from tests.ops.case import run as call
from tests.ops.cases import CASES, ELSEWHERE
from tests.tiers import thinned

F = nn.functional


class Evaluated:
    """Stands in for the session of `Parts`; runs the ops of a graph in NumPy."""

    def __init__(self, graph: Graph, separation: Separation) -> None:
        self.graph = with_totals(graph, separation.totals)
        self.separation = separation
        self.outputs = [SimpleNamespace(shape=(None,)) for _ in self.graph.outputs]

    def check(self, shapes: Any) -> dict[str, int]:
        return {}

    def run(self, arrays: Any, shapes: Any) -> list[Any]:
        size = next(shape[axis] for shape, axis in zip(shapes, self.separation.inputs, strict=True) if axis is not None)
        graph = resolved(self.graph, {self.separation.symbol: size})
        found: dict[Value, Any] = {value: tensor._data for value, tensor in graph.captured.items()}
        found.update(zip(graph.inputs.values(), arrays, strict=True))
        for node in graph.nodes:
            with np.errstate(all="ignore"):
                results = node.op.forward(*[found[x] if type(x) is Value else x for x in node.inputs], **node.attrs)
            if node.op.name == "squeeze":  # as exported: the squeezed axes do not depend on the batch
                results = results.reshape(node.outputs[0].shape)
            for i, result in enumerate(results if isinstance(results, tuple) else (results,)):
                found[node.value(i)] = result
        return [np.asarray(found[value]) for value in graph.outputs.values()]


def separated(function: Any, tensors: list[Any], axes: dict[int, int]) -> tuple[Graph, Separation | None]:
    """Returns the graph of a function whose given axes are free and share a symbol, and its separation, if any."""
    proof = proved_free(function, tensors, axes)
    return proof.graph, separate(proof.graph, proof.axes)


def proved_free(function: Any, tensors: list[Any], axes: dict[int, int]) -> Proof:
    example = Example(function, tuple(tensors), {})
    return prove(function, example, {example.names[i]: {axis: "batch"} for i, axis in axes.items()})


def assert_parts_give_the_whole(graph: Graph, separation: Separation, arrays: list[Any]) -> None:
    session: Any = Evaluated(graph, separation)
    shapes = tuple(array.shape for array in arrays)
    whole = session.run(arrays, shapes)[: len(separation.outputs)]
    for count in (2, 3):
        with np.errstate(all="ignore"):
            parts = Parts(session, separation, count).run(arrays, shapes)
        for found, expected in zip(parts, whole, strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def assignments(arrays: list[Any]) -> list[dict[int, int]]:
    """Returns every choice of batch axes for some of the arrays. The axes share one size, of at least two."""
    choices = [[None, *range(array.ndim)] for array in arrays]
    found = []
    for chosen in product(*choices):
        axes = {i: axis for i, axis in enumerate(chosen) if axis is not None}
        sizes = {arrays[i].shape[axis] for i, axis in axes.items()}
        if len(sizes) == 1 and min(sizes) > 1:
            found.append(axes)
    return found


def gradients_too(case: Case, places: list[int], *tensors: Any) -> Any:
    """Returns the results of a row, and the gradients of the sum of squares of the first result."""
    flags = [case.differentiable()[i] for i in places]
    inputs = [tensor.detach().requires_grad_(flag) for tensor, flag in zip(tensors, flags, strict=True)]
    outputs = values(case, places, *inputs)
    sought = [tensor for tensor in inputs if tensor.requires_grad]
    if not sought or not outputs[0].requires_grad:
        return outputs
    loss = (outputs[0] * outputs[0]).sum()
    return [*outputs, *[g for g in lucid.autograd.grad(loss, sought, allow_unused=True) if g is not None]]


def values(case: Case, places: list[int], *tensors: Any) -> Any:
    inputs = case.arrays()
    for i, tensor in zip(places, tensors, strict=True):
        inputs[i] = tensor
    return call(case, inputs)


@pytest.mark.parametrize("name", thinned(sorted({case.name for case in CASES}), 14, sample=6))
def test_an_op_that_is_separable_gives_the_same_part_by_part(name: str) -> None:
    """Every row of the table, for every choice of batch axes, with and without gradients."""
    proved = 0
    for case, results in product([case for case in CASES if case.name == name], (values, gradients_too)):
        given = case.arrays()
        places = [i for i, x in enumerate(given) if isinstance(x, np.ndarray)]
        arrays = [given[i] for i in places]
        function = partial(results, case, places)
        for axes in assignments(arrays):
            try:
                graph, separation = separated(function, wrapped(arrays), axes)
            except (LucidError, ValueError):  # the axis is not free, or the op cannot be exported or differentiated
                continue
            if separation is not None:
                proved += 1
                assert_parts_give_the_whole(graph, separation, arrays)
    if name in RULES and name not in ELSEWHERE and name not in SIZED:
        assert proved


X = lucid.randn(6, 4, 3, dtype=lucid.float64)
Y = lucid.randn(4, 3, dtype=lucid.float64)
INDEX = lucid.tensor([[2, 0, 1, 2]])

SIZED: dict[str, tuple[Any, list[Any], dict[int, int]]] = {
    "reshape_to": (lambda x: x.reshape(-1, 3).tanh().reshape(x.shape), [X], {0: 1}),
    "reshape_to of merged axes": (lambda x, y: ((x.reshape(-1, 3) - 1) * x.reshape(-1, 3)).sum(0) * 2, [X, Y], {0: 1}),
    "squeeze": (lambda x: x[:1].squeeze(0), [X], {0: 1}),
    "expand_to": (lambda y: y.expand(6, *y.shape) * 2, [Y], {0: 0}),
    "fill": (lambda x: x + lucid.ones(1, x.shape[1], 1, dtype=x.dtype), [X], {0: 1}),
    "slice_add": (
        lambda x: lucid.autograd.grad((r := x.detach().requires_grad_())[2:4].square().sum(), [r])[0],
        [X],
        {0: 1},
    ),
    "sum_to": (
        lambda x, y: lucid.autograd.grad((x * (r := y.detach().requires_grad_())).square().sum(), [r])[0],
        [X, Y],
        {0: 1, 1: 0},
    ),
    "sum_to over the batch": (
        lambda x, y: lucid.autograd.grad((x * (r := y.detach().requires_grad_())).square().sum(), [r])[0],
        [X, Y],
        {0: 0},
    ),
    "index_sum": (
        lambda i: lucid.autograd.grad((r := Y.detach().requires_grad_())[i].square().sum(), [r])[0],
        [INDEX[0]],
        {0: 0},
    ),
    "gather_at": (lambda y, i: y.gather(1, i), [Y, lucid.tensor([[0, 2], [1, 1], [2, 0], [0, 1]])], {0: 0, 1: 0}),
}


@pytest.mark.parametrize("name", SIZED)
def test_sizes_may_depend_on_the_batch(name: str) -> None:
    function, tensors, axes = SIZED[name]
    graph, separation = separated(function, tensors, axes)
    assert name.split(" ")[0] in {node.op.name for node in graph.nodes}
    assert separation is not None
    assert_parts_give_the_whole(graph, separation, [tensor.numpy() for tensor in tensors])


class Model(nn.Module):
    """A recurrent layer and a loss of its output. The loss may use a linear head."""

    def __init__(self, layer: nn.Module, loss: Any) -> None:
        super().__init__()
        self.layer, self.head, self.loss = layer, nn.Linear(5, 3), loss

    def forward(self, x: Any, *rest: Any) -> Any:
        return self.loss(self, self.layer(x)[0], *rest)


def separation_of(model: nn.Module, *args: Any) -> Separation | None:
    return to_onnx(model, *args, verify=False).separation


INSEPARABLE = {
    "normalized over the batch": lambda m, h: h - h.mean(1, keepdim=True),
    "softmax over the batch": lambda m, h: h.softmax(1),
    "sequences in another order": lambda m, h: h.flip(1),
    "one sequence": lambda m, h: h[:, 0],
    "all but one": lambda m, h: h[:, 1:],
    "summed up": lambda m, h: h.cumsum(1),
    "the root of a sum": lambda m, h: h.square().sum().sqrt(),
    "the product of sums": lambda m, h: h.sum() * h.sum(),
    "a sum and what is no sum": lambda m, h: h.sum() + m.head.weight.square().sum(),
    "a sum and its size": lambda m, h: h.mean() + h.sum(),
    "a sum where a sequence is": lambda m, h: h - h.sum(),
    "the greatest of the batch": lambda m, h: h.amax((0, 1)),
    "the batch as another axis": lambda m, h: h[-1] @ h[-1].T,
    "numbers of sequences": lambda m, h: h + lucid.arange(h.shape[1])[:, None],
    "divided by a function of a sum": lambda m, h: h / (h.square().sum() + 1),
    "divided by sums along axes": lambda m, h: h / h.square().sum(1, keepdim=True),
    "weighed twice by one total": lambda m, h: (lambda share: (share * share).sum())(h / h.square().sum()),
    "rows named by a sum": lambda m, h: m.head.weight[(h > 0).sum(1) % 3],
    "rows of a table named by a sum": lambda m, h: F.embedding((h > 0).sum(1) % 3, m.head.weight),
    "integers of what is weighed": lambda m, h: (h / h.square().sum()).sum(dtype=lucid.int64),
    "rows of what is computed": lambda m, h: h[-1][lucid.tensor([0, 1])],
}


@pytest.mark.parametrize("name", INSEPARABLE)
def test_what_takes_the_batch_as_a_whole_is_not_separable(name: str) -> None:
    x = lucid.randn(6, 4, 3)
    model = Model(nn.RNN(3, 5), INSEPARABLE[name])
    assert separation_of(Model(nn.RNN(3, 5), lambda m, h: m.head(h)), x) is not None
    exported = to_onnx(model, x, verify=False)
    assert "batch" in exported.axes["x"].values()
    assert exported.separation is None
    with pytest.raises(ExportError, match="as a whole"):
        exported.part()


@pytest.mark.parametrize("total", [[1.0, 2, 3, 4], [1.0, -1, 3, 4], [0.0, 0, 3, 4], [1.0, np.inf, 3, 4], [1, 2, -3, 0]])
def test_totals_that_cannot_be_weighed_by(total: list[float]) -> None:
    """Parts with a zero, infinite or negative total cannot be combined, so the whole batch is run."""
    graph, separation = separated(
        lambda x, w: x.sum(0) / w.sum(), [Y, lucid.tensor(total, dtype=lucid.float64)], {0: 0, 1: 0}
    )
    assert separation is not None
    assert separation.totals
    with np.errstate(all="ignore"):
        assert_parts_give_the_whole(graph, separation, [Y.numpy(), np.array(total, np.float64)])


def test_a_table_named_by_a_sum_over_the_batch() -> None:
    """A sum over the batch must not select rows. A sum over axis 0 may, if axis 1 is the batch."""
    table = nn.Embedding(9, 3)
    ids = lucid.tensor([[1, 0], [0, 1], [1, 1]])
    for function in (lambda i: table(i.sum(0)), lambda i: table.weight[i.sum(0)]):
        separation = to_onnx(function, ids).separation
        assert separation is not None
        assert separation.inputs == (1,)
    separation = to_onnx(lambda i: table(i).sum(0), ids, dynamic={"i": {0: "batch"}}).separation
    assert separation is not None
    assert separation.outputs[0].kind == "partial"


STEPS: list[Any] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a @ b.transpose(-1, -2) if a.ndim > 1 and b.ndim > 1 else a * b,
    lambda a, b: a.transpose(0, -1) @ b if a.ndim == b.ndim == 2 else a + b,
    lambda a, b: lucid.where(a > b, a, 0.0),
    lambda a, b: lucid.where(a > 0, a, b),
    lambda a, b: a.sum(),
    lambda a, b: a.sum(0),
    lambda a, b: a.sum(-1, keepdim=True),
    lambda a, b: a.sum(dtype=lucid.int64),
    lambda a, b: a.mean(0),
    lambda a, b: a.mean(),
    lambda a, b: a.abs() + 0.5,
    lambda a, b: a * 2 - b,
    lambda a, b: a.tanh(),
    lambda a, b: -a,
    lambda a, b: a.softmax(-1),
    lambda a, b: a.reshape(-1),
    lambda a, b: a.reshape(-1, 3) if a.shape[-1:] == (3,) else a,
    lambda a, b: a.unsqueeze(0),
    lambda a, b: a.transpose(0, -1),
    lambda a, b: a[0],
    lambda a, b: a[..., :2],
    lambda a, b: lucid.cat([a, a], -1),
    lambda a, b: a.amax(0),
    lambda a, b: lucid.zeros_like(a) + b,
    lambda a, b: TABLE[a.to(lucid.int64).remainder(2)],
]
TABLE = lucid.randn(2, 3, dtype=lucid.float64)


def program(seed: int, *tensors: Any) -> Any:
    """Applies random steps from `STEPS`, each to two earlier results or inputs."""
    rng = np.random.default_rng(seed)
    made = [*tensors, TABLE.sum(0)]
    for _ in range(rng.integers(1, 7)):
        a, b = (made[i] for i in rng.integers(0, len(made), 2))
        made.append(STEPS[rng.integers(len(STEPS))](a, b))
        made.append(made[-1])  # appended twice, so that later results are drawn more often
    return made[-1]


@pytest.mark.slow
@pytest.mark.parametrize("first", thinned(range(0, 1200, 100), 12, sample=3))
def test_what_is_proved_of_programs_at_random(first: int) -> None:
    """Rules that are each correct may be wrong in combination."""
    proved = 0
    for seed in range(first, first + 100):
        for axes in ({0: 0, 1: 0}, {0: 1, 1: 1}, {0: 0}):
            tensors = [SQUARE, SQUARE * SQUARE]
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    proof = proved_free(partial(program, seed), tensors, axes)
                except (LucidError, ValueError, IndexError, TypeError):  # shapes do not fit, or the axis is not free
                    continue
                separation = separate(proof.graph, proof.axes)
                if separation is not None:
                    proved += 1
                    assert_parts_give_the_whole(proof.graph, separation, [tensor.numpy() for tensor in tensors])
    assert proved > 10


SQUARE = lucid.randn(4, 3, dtype=lucid.float64)


def test_divided_by_totals_of_many_elements() -> None:
    """The totals have several free axes, so their number is not known at export."""
    exported = to_onnx(lambda x: x / x.abs().sum(1, keepdim=True), lucid.randn(3, 4, 5))
    assert exported.axes == {"x": {0: "x_dim_0", 1: "x_dim_1", 2: "x_dim_2"}}
    assert exported.separation is not None
    assert exported.separation.symbol != "x_dim_1"


@pytest.mark.parametrize("loss", [False, True])
def test_what_was_exported_can_be_pickled(loss: bool) -> None:
    """The pickle leaves out the graph. It also leaves out a separation with totals, which needs the graph."""
    x, y = lucid.randn(6, 4, 3), lucid.tensor([0, 1, 2, 0])
    model = Model(nn.RNN(3, 5), (lambda m, h, y: F.cross_entropy(m.head(h[-1]), y)) if loss else lambda m, h, y: h)
    exported = to_onnx(model, x, y, verify=False)
    assert exported.separation is not None
    assert bool(exported.separation.totals) == loss
    again = pickle.loads(pickle.dumps(exported))
    assert again.serialize() == exported.serialize()
    assert (again.separation is None) == loss
    assert exported.part().output_names == exported.output_names + ["total_0"] * loss


def test_what_is_quantized_is_not_separable() -> None:
    assert to_onnx(nn.RNN(3, 5), lucid.randn(6, 4, 3), precision="int8").separation is None


def test_names_of_totals_are_free() -> None:
    x, y = lucid.randn(4, 3), lucid.randn(4, 3)
    exported = to_onnx(lambda total_0, y: F.cross_entropy(total_0, y.argmax(1)), x, y, output_names=["total_1"])
    assert exported.separation is not None
    part = exported.part()
    assert part.input_names == ["total_0", "y"]
    assert part.output_names == ["total_1", "total_2"]
    parts = Parts(Session(part), exported.separation, 3)
    (found,) = parts.run([x.numpy(), y.numpy()], (x.shape, y.shape))
    np.testing.assert_allclose(found, F.cross_entropy(x, y.argmax(1)).numpy(), rtol=1e-6)
