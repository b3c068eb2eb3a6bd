"""Training graphs in NumPy: values, errors and draws as in onnxruntime, and no code of the model runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.errors import LucidError
from lucid.runtime.compiled import candidate, dispatch
from lucid.runtime.compiled.replayed import Replayed
from tests.runtime.test_compile_backward import H, I, Loss, N, T, assert_same, example, recurrent
from tests.runtime.test_compiled_step import Classifier, Pair, batch
from tests.runtime.test_compiled_step import loss as cross_entropy
from tests.tiers import thinned

F = nn.functional

each_layer = pytest.mark.parametrize("layer", thinned(["tanh", "relu", "lstm", "gru"], 4))


@pytest.fixture(autouse=True)
def in_numpy(monkeypatch: pytest.MonkeyPatch, quick_choices: None) -> None:
    """Makes small inputs count as large, and NumPy the fastest."""
    monkeypatch.setattr(dispatch, "_HUGE", 0)
    monkeypatch.setattr(candidate.Candidate, "seconds", lambda self, *_: float(self.lowering != "numpy"))


def lowerings(compiled: Any) -> set[str]:
    return set(compiled.lowerings.values())


@each_layer
def test_gradients_at_many_sizes(layer: str) -> None:
    model = Loss(layer, num_layers=2)
    backward = lucid.compile_backward(model)
    for steps, size in ((T, N), (1, 1), (11, 2), (7, 5)):
        backward.tune(*example(steps, size))
        assert_same(model, backward, *example(steps, size))
    assert lowerings(backward) == {"numpy"}


@each_layer
def test_sequences_of_different_length(layer: str) -> None:
    model = Loss(layer)
    x, y = example()
    array = x.numpy().copy()
    for i, n in enumerate([6, 2, 4]):
        array[n:, i] = np.nan
    args = lucid.tensor(array), y, lucid.tensor([6, 2, 4])
    backward = lucid.compile_backward(model).tune(*args)
    assert_same(model, backward, *args)
    assert lowerings(backward) == {"numpy"}


def test_steps_are_those_of_eager_training() -> None:
    class Normed(Classifier):
        def __init__(self) -> None:
            super().__init__("GRU")
            self.norm = nn.BatchNorm1d(5)

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(self.rnn(x)[0][-1]))

    def scored(model: Any, x: Any, y: Any) -> Any:
        scores = model(x)
        return F.cross_entropy(scores, y), {"scores": scores}

    model = Normed()
    steps = Pair(model, optim.Adam(model.parameters(), lr=0.01), scored, norm=0.5)
    for i in range(5):
        steps.check(*batch(i, 6 + i))
    assert lowerings(steps.step) == {"numpy"}
    assert steps.updates == {False}


def test_draws_are_those_of_the_counter() -> None:
    model = Classifier("GRU", num_layers=2, dropout=0.5)
    steps = Pair(model, optim.SGD(model.parameters(), lr=0.1))
    for i in range(4):
        lucid.manual_seed(i, generator="counter").begin_step()
        expected = steps.eager(*batch(i)).item()
        lucid.manual_seed(i, generator="counter")
        steps.step.tune(*batch(i))
        assert steps.step(*batch(i)).item() == pytest.approx(expected, rel=1e-5)
        steps.compare()
    assert lowerings(steps.step) == {"numpy"}
    lucid.manual_seed(0)
    with pytest.raises(LucidError, match="draws random numbers, which a file does only as a counter-based generator"):
        steps.step(*batch())


def test_errors_are_those_of_the_graph_and_change_nothing() -> None:
    model = Classifier()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x, y = batch()
    step = lucid.compile(model, loss=cross_entropy, optimizer=optimizer).tune(x, y)
    assert lowerings(step) == {"numpy"}
    other = lucid.compile(model, loss=cross_entropy, optimizer=optimizer, threads=1).tune(x, y)
    assert "numpy" not in lowerings(other)
    bad = lucid.tensor([0, 1, 2, 7])
    raised = []
    for compiled in (step, other):
        with pytest.raises(LucidError) as caught:
            compiled(x, bad)
        raised.append((caught.type, str(caught.value)))
    assert raised[0] == raised[1]
    assert optimizer.state == {}


def test_no_code_of_the_model_runs() -> None:
    """Hooks, prints and counters act once for each export, as with a graph in onnxruntime, and not in each call."""
    calls: list[int] = []

    class Counting(Loss):
        def forward(self, x: Any, y: Any, lengths: Any = None) -> Any:
            calls.append(1)
            return super().forward(x, y)

    model = Counting()
    model.head.register_forward_hook(lambda module, args, output: output * 2)
    args = example()
    backward = lucid.compile_backward(model).tune(*args)
    assert_same(model, backward, *args)
    count = len(calls)
    for _ in range(3):
        backward(*args)
    assert len(calls) == count
    assert lowerings(backward) == {"numpy"}


def test_results_belong_to_the_caller() -> None:
    """What is a view of a parameter, of an input or of another result in NumPy is a copy, as in onnxruntime."""

    class Sharing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(I, H)
            self.register_buffer("scale", lucid.ones(H))

        def forward(self, x: Any) -> Any:
            output, _ = self.rnn(x)
            spread = self.scale.expand(3, H)
            loss = (output * self.scale).sum()
            return loss, output, output.reshape(-1, H), x, x[1:], self.rnn.weight_hh_l0.t(), self.scale, spread

    model = Sharing()
    x = lucid.randn(T, N, I)
    backward = lucid.compile_backward(model).tune(x)
    expected = [tensor.detach().numpy().copy() for tensor in model(x)]
    kept = [tensor.detach().numpy().copy() for tensor in (x, *model.parameters(), model.scale)]
    found = [tensor.numpy() for tensor in backward(x)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    for array in found:
        array[...] = 7
    for i, array in enumerate(found):
        array[...] = i
    assert [float(array.flat[0]) for array in found] == list(range(len(found)))
    for before, tensor in zip(kept, (x, *model.parameters(), model.scale), strict=True):
        np.testing.assert_array_equal(before, tensor.detach().numpy())
    assert lowerings(backward) == {"numpy"}


def test_float64_and_an_incoming_gradient() -> None:
    model = recurrent("lstm", I, H).double()
    x, g = lucid.randn(T, N, I).double(), lucid.randn(T, N, H).double()
    model(x)[0].backward(g)
    wanted = [p.grad.numpy().copy() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    backward = lucid.compile_backward(model).tune(x, gradient=g)
    backward(x, gradient=g)
    for p, expected in zip(model.parameters(), wanted, strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-10)
    assert lowerings(backward) == {"numpy"}


def test_sizes_that_follow_from_elements() -> None:
    class Selecting(Loss):
        def forward(self, x: Any, y: Any, lengths: Any = None) -> Any:
            logits = self.head(self.rnn(x)[0][-1])
            return F.cross_entropy(logits, y), {"logits": logits[y > 0]}

    model = Selecting()
    x, y = example(T, 5)
    backward = lucid.compile_backward(model).tune(x, y)
    for labels in ([0, 1, 0, 1, 1], [1, 0, 0, 0, 0]):
        assert_same(model, backward, x, lucid.tensor(labels))
    assert lowerings(backward) == {"numpy"}


def test_where_it_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.RNNCell(I, H)

        def forward(self, x: Any) -> Any:
            def step(x: Any, h: Any) -> Any:
                h = self.cell(x, h)
                return h, h

            return nn.scan(step, x, lucid.zeros(x.shape[1], H))[0].sum()

    x = lucid.randn(T, N, I)
    assert "numpy" not in lowerings(lucid.compile_backward(Own()).tune(x))
    assert "numpy" not in lowerings(lucid.compile(nn.RNN(I, H).eval()).tune(x))
    args = example()
    assert "numpy" not in lowerings(lucid.compile_backward(Loss(), threads=2).tune(*args))
    monkeypatch.setattr(dispatch, "_HUGE", 10**6)
    assert "numpy" not in lowerings(lucid.compile_backward(Loss()).tune(*args))


def test_a_model_that_comes_to_hold_a_scan_is_chosen_anew() -> None:
    class Switching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.scans = nn.RNNCell(I, H), False

        def forward(self, x: Any) -> Any:
            return nn.scan(self.cell, x)[0].sum() if self.scans else self.cell(x[0]).sum() + self.rnn(x)[0].sum()

    model = Switching()
    model.rnn = nn.RNN(I, H)
    x = lucid.randn(T, N, I)
    backward = lucid.compile_backward(model).tune(x)
    assert lowerings(backward) == {"numpy"}
    model.scans = True
    for _ in range(40):
        assert backward(x).item() == pytest.approx(model(x).item(), rel=1e-4, abs=1e-5)
    assert "numpy" not in lowerings(backward)


def test_it_frees_what_is_read_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """No value outlives its last reader, so the peak is that of an eager step at most."""
    backward = lucid.compile_backward(model := Loss("gru"))
    backward.tune(*example())
    ((served, _),) = backward._cache.served.values()
    graph = served.exported._graph
    assert graph is not None
    replayed = Replayed(graph, served.session)
    freed = [value for _, values in replayed._replay.steps for value in values]
    assert len(freed) == len(set(freed))
    read = {x for node in graph.nodes for x in node.inputs if x in graph.read and x.node is not None}
    assert set(freed) == read - set(graph.outputs.values())
    assert_same(model, backward, *example())


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "choices.json"
    args = example()
    lucid.compile_backward(Loss(), cache=path).tune(*args)
    (entry,) = json.loads(path.read_text())["choices"].values()
    assert entry["way"]["lowering"] == "numpy"
    model = Loss()
    backward = lucid.compile_backward(model, cache=path)
    assert_same(model, backward, *args)
    assert lowerings(backward) == {"numpy"}
