"""A batch without sequences: onnxruntime's LSTM and GRU end the process, so each test runs in one of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.tiers import sampled, thinned

LAYERS = ["nn.LSTM", "nn.GRU", "nn.RNN"]
OTHERS = ["nn.GRU", "nn.LSTM", "nn.RNN"]

PRELUDE = """
import numpy as np
import lucid
from lucid import nn
from lucid.errors import ShapeError
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from lucid.runtime import Session

def empty(*shape): return np.zeros(shape, np.float32)

def flat(results): return [a for r in results for a in (flat(r) if isinstance(r, tuple) else [r.detach().numpy()])]

def same(found, expected):
    for a, b in zip(found, flat(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, atol=1e-6)
"""


def assert_runs(program: str) -> None:
    made = subprocess.run([sys.executable, "-c", PRELUDE + program], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("layer", thinned(LAYERS, 3, sample=2))
def test_sessions(layer: str) -> None:
    assert_runs(f"""
for lowering in ("rnn", "scan", "unrolled", "columns"):
    for bias in (True, False):
        model = {layer}(3, 4, 2, bias=bias)
        session = Session(to_onnx(model, lucid.randn(4, 2, 3), lowering=lowering))
        for batch in (0, 2, 0, 0, 1):
            same(session(empty(4, batch, 3)), model(lucid.zeros(4, batch, 3)))
""")


@pytest.mark.slow
@pytest.mark.parametrize("opset", sampled([13, 18], 2))
def test_reshapes(opset: int) -> None:
    """A size of 0 in a run is no reference to an axis of the operand."""
    assert_runs(f"""
class Reshapes(nn.Module):
    def forward(self, x):
        n, t, _ = x.shape
        return x.transpose(0, 1).reshape(n * t, 4).reshape(n, t, 4) * 2, x[:, :-1].reshape(-1, 4)

session = Session(to_onnx(Reshapes(), lucid.randn(3, 5, 4), opset={opset}))
for n, t in ((1, 1), (2, 3), (0, 0), (0, 1), (0, 2), (2, 0), (1, 0)):
    x = np.random.rand(n, t, 4).astype(np.float32)
    if t == 0:  # of a length that is refused: x[:, :-1] of no steps
        try:
            session(x)
        except lucid.errors.LucidError:
            continue
        raise AssertionError("not refused")
    try:
        found = session(x)
    except lucid.errors.LucidError:
        assert n == 0 and {opset} == 13
    else:
        same(found, Reshapes()(lucid.tensor(x)))
""")


@pytest.mark.slow
@pytest.mark.parametrize("layer", sampled(OTHERS, 3))
def test_opsets_and_precisions(layer: str) -> None:
    assert_runs(f"""
model = {layer}(3, 4)
for options in (dict(opset=13), dict(opset=21), dict(precision="float16")):
    session = Session(to_onnx(model, lucid.randn(4, 2, 3), **options))
    same(session(empty(4, 0, 3)), model(lucid.zeros(4, 0, 3)))
""")


@pytest.mark.slow
@pytest.mark.parametrize("layer", sampled(LAYERS, 3))
def test_results_that_are_not_empty_and_states(layer: str) -> None:
    assert_runs(f"""
model, head = {layer}(3, 4), nn.Linear(4, 2)
def forward(x, h): return head(model(x, (h, h) if {layer} is nn.LSTM else h)[0]).sum((0, 1)), head.weight * 1
session = Session(to_onnx(forward, lucid.randn(4, 2, 3), lucid.randn(1, 2, 4)))
same(session(empty(4, 0, 3), empty(1, 0, 4)), forward(lucid.zeros(4, 0, 3), lucid.zeros(1, 0, 4)))
""")


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["nn.GRU", "nn.LSTM"])
def test_a_batch_that_becomes_empty_in_the_model(layer: str) -> None:
    assert_runs(f"""
model = {layer}(3, 4)
def forward(x): return model(x[:, 1:])
session = Session(to_onnx(forward, lucid.randn(4, 3, 3)))
for batch in (1, 3): same(session(empty(4, batch, 3)), forward(lucid.zeros(4, batch, 3)))
""")


@pytest.mark.slow
@pytest.mark.parametrize("layer", sampled(OTHERS, 3))
def test_lengths(layer: str) -> None:
    assert_runs(f"""
model = {layer}(3, 4)
def forward(x, lengths):
    return pad_packed_sequence(model(pack_padded_sequence(x, lengths, enforce_sorted=False))[0])[0]
for lowering in ("rnn", "scan"):
    session = Session(to_onnx(forward, lucid.randn(4, 2, 3), lucid.tensor([4, 2]), lowering=lowering))
    for call in (session, lambda x, n: forward(lucid.tensor(x), lucid.tensor(n))):
        try: call(empty(4, 0, 3), np.zeros(0, np.int64))
        except ShapeError as error: assert "at least one sequence" in str(error), error
        else: raise AssertionError("no error")
""")


@pytest.mark.slow
@pytest.mark.parametrize("layer", sampled(LAYERS, 3))
def test_an_example_without_sequences_and_compiled_modules(layer: str) -> None:
    assert_runs(f"""
model = {layer}(3, 4).eval()
exported = to_onnx(model, lucid.zeros(4, 0, 3))
same(Session(exported)(empty(4, 0, 3)), model(lucid.zeros(4, 0, 3)))
compiled = lucid.compile(model)
for batch in (0, 2, 0): same(flat(compiled(lucid.zeros(4, batch, 3))), model(lucid.zeros(4, batch, 3)))
""")


@pytest.mark.slow
@pytest.mark.parametrize("layer", sampled(OTHERS, 3))
def test_training(layer: Any) -> None:
    assert_runs(f"""
class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = {layer}(3, 4)
    def forward(self, x): return (self.layer(x)[0] ** 2).sum()
model = Loss()
backward = lucid.compile_backward(model)
for batch in (2, 0, 3):
    x = lucid.randn(4, batch, 3)
    loss = backward(x)
    found = [p.grad.numpy().copy() for p in model.parameters()]
    model.zero_grad()
    expected = model(x)
    expected.backward()
    np.testing.assert_allclose(loss.numpy(), expected.detach().numpy(), rtol=1e-5)
    for p, g in zip(model.parameters(), found, strict=True): np.testing.assert_allclose(g, p.grad.numpy(), atol=1e-5)
    model.zero_grad()
""")
