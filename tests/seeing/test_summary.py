"""Summaries: counts against hand computation, PyTorch and the arrays that ops make; nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn import functional as F


class Tagger(nn.Module):
    """An embedding, a stacked bidirectional layer and a head that is called twice."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 6)
        self.lstm = nn.LSTM(6, 8, num_layers=2, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        states, _ = self.lstm(self.embedding(x))
        states = self.dropout(states)
        return self.head(states[:, -1]) + self.head(states[:, 0])


def test_rows_of_a_model():
    model, x = Tagger(), lucid.zeros(2, 5).long()
    found = lucid.summary(model, x)
    rows = {row.path: row for row in found.rows}
    assert list(rows) == ["", "embedding", "lstm", "dropout", "head"]
    assert [row.kind for row in found.rows] == ["Tagger", "Embedding", "LSTM", "Dropout", "Linear"]
    assert rows["lstm"].shapes == ((2, 5, 16), (4, 2, 8), (4, 2, 8))
    assert rows["head"].calls == 2
    # Of each direction: 4 gates, 6 or 16 inputs, 8 hidden units, and two biases.
    lstm = 2 * (4 * 8 * (6 + 8) + 2 * 32) + 2 * (4 * 8 * (16 + 8) + 2 * 32)
    assert rows["lstm"].parameters == lstm
    assert rows["lstm"].multiply_adds == 2 * 5 * (2 * 32 * (6 + 8) + 2 * 32 * (16 + 8))
    assert rows["head"].multiply_adds == 2 * 2 * 16 * 3
    assert found.parameters == 10 * 6 + lstm + 16 * 3 + 3
    assert found.multiply_adds == rows["lstm"].multiply_adds + rows["head"].multiply_adds
    assert found.parameter_bytes == 4 * found.parameters
    assert rows["embedding"].activation_bytes == 2 * 5 * 6 * 4
    assert rows["head"].activation_bytes == 2 * 2 * 3 * 4
    # The root adds the sum of the two answers.
    assert found.activation_bytes == sum(row.activation_bytes for row in found.rows[1:]) + 2 * 3 * 4


def test_frozen_and_shared_parameters_count_once():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model[0].bias.requires_grad = False
    found = lucid.summary(model)
    assert (found.parameters, found.trainable) == (9 + 3 + 3, 9 + 3)
    assert [row.parameters for row in found.rows] == [15, 12, 12]
    assert found.activation_bytes is None
    assert found.multiply_adds is None
    assert "and 3 frozen" in str(found)


def test_functions_count_where_they_are_called():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 3)
            self.kernel = nn.Parameter(lucid.randn(6, 2, 3))

        def forward(self, x):
            y = F.conv1d(x, self.kernel, padding=1, stride=2, groups=2)
            scores = lucid.einsum("ncl,nkl->nck", y, y)
            return F.linear(x, self.head.weight, self.head.bias).sum() + scores.sum() + (x @ x.mT).sum()

    found = lucid.summary(Functional(), lucid.randn(5, 4, 4))
    convolution, einsum = 5 * 6 * 2 * (2 * 3), 5 * 6 * 6 * 2
    assert found.multiply_adds == convolution + einsum + 5 * 4 * 4 * 3 + 5 * 4 * 4 * 4
    assert [(row.path, row.calls, row.shapes) for row in found.rows[1:]] == [("head", 0, None)]


LAYERS = {
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1), (2, 4, 5, 7), 2 * 6 * 5 * 7 * 4 * 9),
    "linear of a vector": (lambda: nn.Linear(4, 3), (4,), 12),
    "gru": (lambda: nn.GRU(3, 5), (4, 2, 3), 8 * 15 * (3 + 5)),
    "rnn": (lambda: nn.RNN(3, 5), (4, 2, 3), 8 * 5 * (3 + 5)),
    "gru cell": (lambda: nn.GRUCell(3, 5), (2, 3), 2 * 15 * (3 + 5)),
    "lstm cell": (lambda: nn.LSTMCell(3, 5), (2, 3), 2 * 20 * (3 + 5)),
    "rnn cell": (lambda: nn.RNNCell(3, 5), (2, 3), 2 * 5 * (3 + 5)),
    # Projections of query, key, value and result; scores and their sum.
    "attention": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        (2, 5, 8),
        2 * 5 * (4 * 8 * 8 + 2 * 8 * 16) + 2 * (2 * 5 * 5 * 8),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_multiply_adds_of_layers(name):
    make, shape, expected = LAYERS[name]
    assert lucid.summary(make(), lucid.randn(*shape)).multiply_adds == expected


def test_multiply_adds_of_a_scan_and_of_gradients():
    weight = nn.Parameter(lucid.randn(3, 3))

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = weight

        def forward(self, x):
            _, last = nn.scan(lambda x, h: (lucid.tanh(h @ self.weight + x),) * 2, x, lucid.zeros(2, 3))
            return last

    assert lucid.summary(Loop(), lucid.randn(7, 2, 3)).multiply_adds == 7 * 2 * 3 * 3

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.LSTMCell(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            def step(x, state):
                h, c = self.cell(x, state)
                return self.head(h), (h, c)

            return nn.scan(step, x, (lucid.zeros(2, 4), lucid.zeros(2, 4)))[0]

    found = {row.path: row for row in lucid.summary(Decoder(), lucid.randn(7, 2, 3)).rows}
    assert found["cell"].multiply_adds == 7 * 2 * 16 * (3 + 4)
    assert found["head"].multiply_adds == 7 * 2 * 4 * 2
    assert found[""].multiply_adds == found["cell"].multiply_adds + found["head"].multiply_adds
    assert found["head"].shapes == ((2, 2),)
    assert found["head"].calls == 1

    class Gradient(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(4, 3)

        def forward(self, x):
            (g,) = lucid.grad(self.rnn(x)[0].sum(), [self.rnn.weight_hh_l0])
            return g

    # Forward, the reversed loop, and the gradient of the weight.
    assert lucid.summary(Gradient(), lucid.randn(7, 2, 4)).multiply_adds == 14 * 3 * (4 + 3) + 14 * 9 + 14 * 9


def test_activations_are_those_that_ops_make():
    """The memory of what runs is that of the arrays that NumPy makes."""
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Conv1d(4, 2, 3, padding=1)), lucid.randn(6, 4, 3)
    with lucid.no_grad():
        hidden = model[1](model[0](x))
        expected = 2 * hidden.numpy().nbytes + model[2](hidden).numpy().nbytes
    assert lucid.summary(model, x).activation_bytes == expected
    assert lucid.summary(model.double(), x.double()).activation_bytes == 2 * expected


def test_without_inputs_the_last_call_is_the_example():
    model = Tagger()
    assert lucid.summary(model).shapes is None
    model(lucid.zeros(4, 7).long())
    assert lucid.summary(model).shapes == ((4, 7),)
    assert lucid.summary(model, np.zeros((1, 2), np.int64)).shapes == ((1, 2),)
    assert lucid.summary(model, x=lucid.zeros(1, 2).long()).shapes == ((1, 2),)


def test_nothing_changes():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[1].eval()
    model(lucid.randn(4, 3))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    last = model._last_call
    random = lucid.get_rng_state()
    str(lucid.summary(model, lucid.ones(2, 3)))
    assert lucid.get_rng_state() == random
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert model._last_call is last
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert all(p.grad is None for p in model.parameters())


def test_an_imported_model_has_the_rows_of_its_file():
    model, x = Tagger().eval(), lucid.zeros(2, 5).long()
    exported = lucid.export.to_onnx(model, x)
    found = lucid.summary(lucid.from_onnx(exported.proto), x)
    own = lucid.summary(model, x)
    assert found.parameters == own.parameters
    assert found.multiply_adds == own.multiply_adds
    assert [(row.path, row.parameters, row.multiply_adds) for row in found.rows if row.path] == [
        (row.path, row.parameters, row.multiply_adds) for row in own.rows if row.path in ("embedding", "lstm", "head")
    ]


def test_an_imported_layer_has_its_parameters_in_its_rows():
    exported = lucid.export.to_onnx(nn.RNN(3, 4), lucid.randn(5, 2, 3))
    rows = {row.path: row for row in lucid.summary(lucid.from_onnx(exported.proto), lucid.ones(5, 2, 3)).rows}
    assert {path: row.parameters for path, row in rows.items()} == dict.fromkeys(("", "rnn", "rnn.l0"), 4 * (3 + 4 + 2))


def test_modules_that_are_not_registered_are_named():
    hidden = [nn.Linear(3, 3)]

    class Forgetful(nn.Module):
        def forward(self, x):
            return hidden[0](x)

    found = lucid.summary(Forgetful(), lucid.ones(2, 3))
    assert [(row.path, row.parameters, row.multiply_adds) for row in found.rows] == [("", 0, 18), ("linear", 12, 18)]
    assert found.notes == ("not in model.parameters(), since they are no attributes of a module: linear",)


def test_ops_of_the_user_are_named():
    @lucid.op
    def summary_test_product(x, y, /):
        return x @ y

    class Own(nn.Module):
        def forward(self, x):
            return summary_test_product(x, x)

    assert "leave out ops that lucid does not know: summary_test_product" in str(lucid.summary(Own(), lucid.ones(2, 2)))


def test_plain_data_and_html():
    kind = type("<b>&", (nn.Linear,), {})
    found = lucid.summary(kind(2, 3), lucid.ones(4, 2))
    assert found.as_dict()["rows"][0]["multiply_adds"] == 4 * 2 * 3
    assert found.as_dict()["inputs"] == [[4, 2]]
    assert "<b>&" in str(found)
    html = found._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert "<b>&" not in html


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match="summary: expected a Module, such as the one that was compiled; got function"):
        lucid.summary(lambda x: x, lucid.ones(2))


FLOPS = {
    "Conv2d": ((4, 6, 3, 2, 1, 1, 2), (2, 4, 9, 8)),
    "Conv1d": ((4, 6, 3), (2, 4, 9)),
    "Linear": ((3, 4), (2, 5, 3)),
    "TransformerEncoderLayer": ((8, 2, 16), (5, 2, 8)),
}


@pytest.mark.parametrize("name", FLOPS)
def test_multiply_adds_are_those_that_torch_counts(torch, name):
    from torch.utils.flop_counter import FlopCounterMode

    arguments, shape = FLOPS[name]
    counter = FlopCounterMode(display=False)
    with counter:
        getattr(torch.nn, name)(*arguments)(torch.randn(*shape))
    found = lucid.summary(getattr(nn, name)(*arguments), lucid.randn(*shape))
    assert found.multiply_adds == counter.get_total_flops() / 2


TORCH = {
    "LSTM": (3, 5, 2, True, True, 0.0, True),
    "GRU": (3, 5),
    "Conv1d": (4, 6, 3, 1, 0, 1, 2),
    "Linear": (3, 4, False),
    "TransformerEncoderLayer": (8, 2),
    "BatchNorm1d": (7,),
}


@pytest.mark.parametrize("name", TORCH)
def test_parameters_are_those_of_torch(torch, name):
    expected = sum(p.numel() for p in getattr(torch.nn, name)(*TORCH[name]).parameters())
    assert lucid.summary(getattr(nn, name)(*TORCH[name])).parameters == expected
