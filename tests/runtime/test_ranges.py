"""Ranges: a label or an index that the eager model refuses is refused by the compiled one, and by a file's session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import lucid
from lucid import nn
from lucid.errors import AxisError, FileError, RangeError
from lucid.export import to_onnx
from lucid.nn import functional
from lucid.runtime import Session
from tests.tiers import thinned

CLASSES = 5


class Loss(nn.Module):
    """A loss of linear scores, by a function of scores and labels."""

    def __init__(self, loss: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.linear, self.loss = nn.Linear(3, CLASSES), loss

    def forward(self, x: Any, y: Any) -> Any:
        return self.loss(self.linear(x), y)


LOSSES: dict[str, tuple[Callable[[Any, Any], Any], Any, list[int]]] = {
    "cross_entropy": (functional.cross_entropy, AxisError, [-1, CLASSES]),
    "ignoring": (lambda z, y: functional.cross_entropy(z, y, ignore_index=-1), AxisError, [-2, CLASSES]),
    "smoothed": (lambda z, y: functional.cross_entropy(z, y, label_smoothing=0.1), AxisError, [-1, CLASSES]),
    "nll_loss": (lambda z, y: functional.nll_loss(functional.log_softmax(z, -1), y), AxisError, [-1, CLASSES]),
    "reshaped": (
        lambda z, y: functional.cross_entropy(z, y.reshape(-1, 1).int().squeeze(1)),
        AxisError,
        [-1, CLASSES],
    ),
    "gather": (lambda z, y: lucid.gather(z, 1, y.unsqueeze(1)).sum(), AxisError, [-1, CLASSES]),
    "scatter": (lambda z, y: lucid.scatter(z, 1, y.unsqueeze(1), 0.0).sum(), AxisError, [-1, CLASSES]),
    "scatter_add": (lambda z, y: lucid.scatter_add(z, 1, y.unsqueeze(1), z).sum(), AxisError, [-1, CLASSES]),
    "one_hot": (lambda z, y: (z * functional.one_hot(y, CLASSES)).sum(), AxisError, [-1, CLASSES]),
    "indexed": (lambda z, y: z[:, y].sum(), IndexError, [-1 - CLASSES, CLASSES]),
    "rows": (lambda z, y: z[y].sum(), IndexError, [-5, 4]),
}


@pytest.mark.parametrize("name", thinned(LOSSES, 4))
def test_a_label_out_of_range_is_refused_as_the_eager_model_refuses_it(name: str) -> None:
    loss, error, wrong = LOSSES[name]
    model = Loss(loss)
    x, good = lucid.randn(4, 3), [0, 1, 3, 2]
    session = Session(to_onnx(model, x, lucid.tensor(good)))
    compiled = lucid.compile_backward(model)
    fast = lucid.compile(Loss(loss).eval())
    expected = compiled(x, lucid.tensor(good)).item()
    fast(x, lucid.tensor(good))
    for label in wrong:
        y = lucid.tensor([0, 1, label, 2])
        with pytest.raises(error):
            model(x, y)
        model.zero_grad()
        for call in (compiled, session, fast):
            for _ in range(2):
                with pytest.raises(error, match=rf"input 'y' must be from .*got .*{label}"):
                    call(x, y)
        assert all(p.grad is None for p in model.parameters())
    model.zero_grad()
    assert compiled(x, lucid.tensor(good)).item() == pytest.approx(expected)


def test_labels_to_ignore_are_allowed() -> None:
    for ignored in (-100, -1, 7):
        model = Loss(lambda z, y, k=ignored: functional.cross_entropy(z, y, ignore_index=k))  # type: ignore[misc]
        x, y = lucid.randn(4, 3), lucid.tensor([0, ignored, 3, ignored])
        found = lucid.compile_backward(model)(x, y)
        assert found.item() == pytest.approx(model(x, y).item(), abs=1e-5)
        by_hand = Loss(lambda z, y, k=ignored: functional.nll_loss(z, y, ignore_index=k))  # type: ignore[misc]
        assert lucid.compile_backward(by_hand)(x, y).item() == pytest.approx(by_hand(x, y).item(), abs=1e-5)


class Shifted(nn.Module):
    """A language model: each token is to predict the next one. The first and the last token play one part each."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, CLASSES)

    def forward(self, tokens: Any) -> Any:
        scores = self.head(self.embedding(tokens[:-1]))
        return functional.cross_entropy(scores.reshape(-1, CLASSES), tokens[1:].reshape(-1))


def test_only_the_part_of_an_input_that_is_used_is_checked() -> None:
    model = Shifted()
    compiled = lucid.compile_backward(model)
    tokens = np.array([[1, 2], [3, 4], [0, 1]])
    compiled(lucid.tensor(tokens))
    first, last = tokens.copy(), tokens.copy()
    first[0, 1] = 6  # no class, but a row of the table
    last[2, 0] = 5
    assert compiled(lucid.tensor(first)).item() == pytest.approx(model(lucid.tensor(first)).item(), abs=1e-5)
    for call in (model, compiled):
        with pytest.raises(AxisError, match="from 0 to 4"):
            call(lucid.tensor(last))
    first[0, 1] = 7
    for call in (model, compiled):
        with pytest.raises(AxisError, match="from 0 to 6"):
            call(lucid.tensor(first))


def test_probabilities_out_of_range_are_refused() -> None:
    class Weighs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(lucid.ones(3))

        def forward(self, p: Any) -> Any:
            return (functional.binary_cross_entropy(p, lucid.ones_like(p), reduction="none") * self.weight).sum()

    model = Weighs()
    p = lucid.tensor([[0.1, 0.9, 1.0]])
    session = Session(to_onnx(model, p)).warmup()
    compiled = lucid.compile_backward(model)
    assert compiled(p).item() == pytest.approx(model(p).item(), abs=1e-5)
    for wrong in (2.0, -0.5, float("nan")):
        for call in (model, compiled, session):
            with pytest.raises(RangeError, match=r"must be from 0 to 1(; got|, since)"):
                call(lucid.tensor([[0.1, wrong, 1.0]]))


def test_a_range_that_depends_on_a_size() -> None:
    session = Session(to_onnx(lambda table, y: lucid.gather(table, 0, y), lucid.randn(6, 2), lucid.tensor([[1, 5]])))
    table = np.ones((9, 2), np.float32)
    np.testing.assert_array_equal(session(table, np.array([[8, 0]]))[0], [[1.0, 1.0]])
    for wrong in (9, -1):
        with pytest.raises(AxisError, match="from 0 to 8"):
            session(table, np.array([[wrong, 0]]))


def test_tokens_of_a_stream_are_checked() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.rnn = nn.Embedding(7, 3), nn.GRU(3, 4)

        def forward(self, tokens: Any, h0: Any) -> Any:
            return self.rnn(self.embedding(tokens), h0)

    exported = to_onnx(Tokens(), lucid.tensor([[1, 2], [3, 4]]), lucid.zeros(1, 2, 4), output_names=["output", "h_n"])
    stream = Session(exported).stream(batch=2)
    stream(np.array([[1, 2]]))
    for wrong in (-1, 7):
        for _ in range(2):
            with pytest.raises(AxisError, match="input 'tokens' must be from 0 to 6, since embedding takes it"):
                stream(np.array([[1, wrong]]))
    stream(np.array([[1, 2]]))


def test_ranges_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "loss.onnx"
    to_onnx(Loss(functional.cross_entropy), lucid.randn(4, 3), lucid.tensor([0, 1, 3, 2]), path=path)
    x = np.ones((2, 3), np.float32)
    with pytest.raises(AxisError, match=r"input 'y' must be from 0 to 4, or -100, which is ignored"):
        Session(path)(x, np.array([0, 5]))
    Session(path)(x, np.array([-100, 4]))


@pytest.mark.parametrize(
    "record",
    [
        "{",
        "3",
        "[3]",
        '[{"input": "z", "op": "o", "least": 0, "most": 1}]',
        '[{"input": "y", "op": "o", "least": null, "most": 1}]',
        '[{"input": "y", "op": "o", "least": 0, "most": 1, "more": 1}]',
        '[{"input": "y", "op": "o", "least": 0, "most": 1, "cut": [[null, null]]}]',
        '[{"input": "y", "op": "o", "least": 0, "most": 1, "cut": [0, 0]}]',
        '[{"input": "y", "op": "o", "least": 0, "most": 1, "cut": [[0, 1, 0]]}]',
        '[{"input": "y", "op": "o", "least": 0, "most": 1, "cut": ["a"]}]',
    ],
)
def test_a_record_that_makes_no_sense_is_refused(record: str) -> None:
    exported = to_onnx(Loss(functional.cross_entropy), lucid.randn(4, 3), lucid.tensor([0, 1, 3, 2]))
    proto = onnx.ModelProto.FromString(exported.serialize())
    (entry,) = [entry for entry in proto.metadata_props if entry.key == "lucid.ranges"]
    assert json.loads(entry.value)[0]["input"] == "y"
    entry.value = record
    with pytest.raises(FileError, match="ranges in its metadata"):
        Session(proto.SerializeToString(), verify=False)
