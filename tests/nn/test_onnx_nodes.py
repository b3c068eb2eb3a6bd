"""The ONNX project's node tests for RNN, GRU and LSTM, reproduced by the layers.

The cases are used unchanged: inputs, attributes and expected outputs. Each layer gets the weights of a case, runs
eagerly, and is exported as the operator. Cases of the reverse direction alone are left out. No layer has peepholes or
a GRU that resets before the product; tests/ops/test_scan.py covers these two cases with `nn.scan`.
"""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.export import to_onnx

onnx = pytest.importorskip("onnx")
node = pytest.importorskip("onnx.backend.test.case.node")
for kind in ("rnn", "gru", "lstm"):
    pytest.importorskip(f"onnx.backend.test.case.node.{kind}")

LAYERS = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}

# The positions of PyTorch's gates in ONNX's order.
ORDER = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 2, 3, 1]}


class Case:
    """One node test: its inputs and outputs by name, with time first."""

    def __init__(self, test):
        (operator,) = test.model.graph.node
        given, expected = test.data_sets[0]
        self.name, self.kind = test.name, operator.op_type
        self.options = {a.name: onnx.helper.get_attribute_value(a) for a in operator.attribute}
        self.inputs = dict(zip(filter(None, operator.input), given, strict=True))
        self.outputs = dict(zip(filter(None, operator.output), expected, strict=True))
        if self.options.get("layout"):
            self.inputs["X"] = self.inputs["X"].swapaxes(0, 1)
            self.outputs = {
                # (N, T, 1, H) to (T, 1, N, H), and (N, 1, H) to (1, N, H)
                name: array.transpose(1, 2, 0, 3) if array.ndim == 4 else array.swapaxes(0, 1)
                for name, array in self.outputs.items()
            }
        directions, rows, _ = self.inputs["W"].shape
        biases = self.inputs.get("B", np.zeros((directions, 2 * rows), np.float32))
        self.parts = {}
        for end, weight, recurrent, bias in zip(
            ("_l0", "_l0_reverse"), self.inputs["W"], self.inputs["R"], biases, strict=False
        ):
            self.parts |= {f"weight_ih{end}": weight, f"weight_hh{end}": recurrent}
            self.parts |= {f"bias_ih{end}": bias[:rows], f"bias_hh{end}": bias[rows:]}

    def __str__(self):
        return self.name

    @property
    def is_forward(self):
        return self.options.get("direction", b"forward") == b"forward"

    @property
    def is_bidirectional(self):
        return self.options.get("direction") == b"bidirectional"

    @property
    def is_a_layer(self):
        """Whether PyTorch has such a layer: with several steps, its GRU must reset after the product."""
        several = self.kind == "GRU" and not self.options.get("linear_before_reset") and len(self.inputs["X"]) > 1
        return (self.is_forward or self.is_bidirectional) and "P" not in self.inputs and not several

    def check(self, found):
        for name, expected in self.outputs.items():
            if expected.ndim == 4:  # (T, D, N, H) to (T, N, D H)
                expected = np.concatenate(list(expected.swapaxes(0, 1)), -1)
            np.testing.assert_allclose(found[name].reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


CASES = [Case(test) for test in node._NodeTestCases if test.model.graph.node[0].op_type in LAYERS]


def test_none_is_missing():
    assert len(CASES) >= 18
    assert sum(case.is_forward for case in CASES) >= 12
    left = {str(case) for case in CASES if case.is_forward and not case.is_a_layer}
    assert left == {"test_gru_seq_length", "test_lstm_with_peepholes"}


@pytest.mark.parametrize("case", [case for case in CASES if case.is_a_layer], ids=str)
def test_node(case):
    x = case.inputs["X"]
    model = LAYERS[case.kind](x.shape[2], case.options["hidden_size"], bidirectional=case.is_bidirectional)
    order = ORDER[case.kind]
    model.load_state_dict(
        {name: np.concatenate([np.split(part, len(order))[i] for i in order]) for name, part in case.parts.items()}
    )
    output, final = model(lucid.tensor(x))
    states = dict(zip(("Y_h", "Y_c"), final if case.kind == "LSTM" else (final,), strict=False))
    case.check({name: state.detach().numpy() for name, state in {"Y": output, **states}.items()})
    exported = to_onnx(model, lucid.tensor(x))
    assert exported.operators[case.kind] == 1
    assert exported.operators.get("Squeeze", 0) == (not case.is_bidirectional)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    case.check(dict(zip(("Y", "Y_h", "Y_c"), session.run(None, {"x": x}), strict=False)))
