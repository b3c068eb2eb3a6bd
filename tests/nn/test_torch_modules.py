"""PyTorch's own test cases for layers, from its module database, run with lucid.

Each test makes lucid's layer from a case, loads the weights of PyTorch's layer, and compares results and all gradients.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import lucid
from lucid import nn

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:LSTM with projections")]
pytest.importorskip("expecttest")  # PyTorch's test helpers import it
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    database = pytest.importorskip("torch.testing._internal.common_modules")

NAMES = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
OTHERS = (
    *("Conv1d", "Conv2d", "BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "RMSNorm", "MaxPool1d", "MaxPool2d"),
    *("AvgPool1d", "AvgPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "PReLU"),
    *("TransformerEncoderLayer", "GaussianNLLLoss", "CosineEmbeddingLoss"),
)
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def cases_of(name, dtype, errors=False, training=False, **options):
    """Returns new cases for a class: cases hold tensors that accumulate gradients."""
    info = next(info for info in database.module_db if info.module_cls is getattr(torch.nn, name))
    make = info.module_error_inputs_func if errors else info.module_inputs_func
    torch.manual_seed(0)
    return make(info, device="cpu", dtype=getattr(torch, dtype), requires_grad=True, training=training, **options)


def to_lucid(tree):
    """Converts PyTorch's arguments to lucid's."""
    if isinstance(tree, torch.nn.utils.rnn.PackedSequence):
        padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(tree)
        return nn.utils.rnn.pack_padded_sequence(to_lucid(padded), lengths.numpy(), enforce_sorted=False)
    if isinstance(tree, torch.Tensor):
        return lucid.tensor(tree.detach().numpy(), requires_grad=tree.requires_grad)
    if isinstance(tree, torch.dtype):
        return str(tree).removeprefix("torch.")
    if isinstance(tree, (tuple, list)):
        return type(tree)(to_lucid(part) for part in tree)
    return tree


def make_lucid(name, given, dtype):
    """Returns lucid's layer for the arguments of a case, which may name a device of PyTorch."""
    options = {key: to_lucid(value) for key, value in given.kwargs.items() if key != "device"}
    return getattr(nn, name)(*given.args, **{"dtype": dtype, **options})


def leaves(tree):
    if isinstance(tree, torch.nn.utils.rnn.PackedSequence):
        return [torch.nn.utils.rnn.pad_packed_sequence(tree)[0]]
    if isinstance(tree, nn.utils.rnn.PackedSequence):
        return [tree.padded]
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, (tuple, list)) else [tree]


def compare(name, case, dtype):
    theirs = getattr(torch.nn, name)(*case.constructor_input.args, **case.constructor_input.kwargs)
    theirs = theirs.to(getattr(torch, dtype))
    ours = make_lucid(name, case.constructor_input, dtype)
    ours.load_state_dict({key: tensor.numpy() for key, tensor in theirs.state_dict().items()})
    given = case.forward_input.args
    results = []
    for model, arguments in ((ours, to_lucid(given)), (theirs, given)):
        outputs = leaves(model(*arguments))
        sum((y * y).sum() * (i + 1) for i, y in enumerate(outputs)).backward()
        # PyTorch's packed sequence is computed from its steps, so it is not a leaf.
        inputs = arguments if isinstance(arguments[0], (torch.Tensor, lucid.Tensor)) else arguments[1:]
        wanted = [*leaves(inputs), *model.parameters()]
        results.append([*(y.detach().numpy() for y in outputs), *(x.grad.numpy() for x in wanted)])
    for a, b in zip(*results, strict=True):
        assert a.shape == b.shape
        assert a.dtype == dtype
        # A gradient is a sum, whose rounding is that of its greatest terms.
        most = max(1, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * most)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_inputs(name, dtype):
    cases = cases_of(name, dtype)
    assert len(cases) >= (2 if name.endswith("Cell") else 8)
    for case in cases:
        compare(name, case, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_packed_sequences(name, dtype):
    cases = cases_of(name, dtype, with_packed_sequence=True)
    packed = [case for case in cases if isinstance(case.forward_input.args[0], torch.nn.utils.rnn.PackedSequence)]
    assert len(packed) >= 8
    for case in packed:
        compare(name, case, dtype)


@pytest.mark.parametrize("name", NAMES)
def test_errors(name):
    cases = cases_of(name, "float32", errors=True)
    assert len(cases) >= 4
    for error in cases:
        case = error.module_error_input
        at_construction = error.error_on == database.ModuleErrorEnum.CONSTRUCTION_ERROR
        expected: type[Exception] | tuple[type[Exception], ...] = error.error_type
        if name.endswith("Cell") and isinstance(case.constructor_input.args[-1], str):
            # PyTorch's cells take a string as `bias` for True; lucid's cells refuse it at once.
            at_construction, expected = True, TypeError
        if at_construction:
            with pytest.raises(expected):
                make_lucid(name, case.constructor_input, "float32")
        else:
            model = make_lucid(name, case.constructor_input, "float32")
            with pytest.raises(expected):
                model(*to_lucid(case.forward_input.args))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", OTHERS)
def test_other_layers(name, training):
    compared = 0
    for case in cases_of(name, "float64", training=training):
        given, call = case.constructor_input, case.forward_input
        # PyTorch's function is no activation for lucid's layer.
        if any(callable(x) for x in (*given.args, *given.kwargs.values())):
            continue
        theirs = getattr(torch.nn, name)(*given.args, **given.kwargs).double().train(training)
        options = {key: to_lucid(value) for key, value in given.kwargs.items() if key not in ("device", "dtype")}
        ours = getattr(nn, name)(*to_lucid(given.args), **options).double().train(training)
        ours.load_state_dict({key: tensor.numpy() for key, tensor in theirs.state_dict().items()})
        mine = {key: to_lucid(value) for key, value in call.kwargs.items()}
        for a, b in zip(
            leaves(ours(*to_lucid(call.args), **mine)), leaves(theirs(*call.args, **call.kwargs)), strict=True
        ):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)
        compared += 1
    assert compared >= 2
