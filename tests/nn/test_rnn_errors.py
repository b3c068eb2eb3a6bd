"""Refusals of nn.RNN: the messages, and exception types that match PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import DtypeError, ShapeError

CONSTRUCTION = [
    ({"input_size": 0}, ValueError, "RNN: input_size must be positive; got 0"),
    ({"input_size": -3}, ValueError, "input_size must be positive; got -3"),
    ({"hidden_size": 0}, ValueError, "hidden_size must be positive; got 0"),
    ({"num_layers": 0}, ValueError, "num_layers must be positive; got 0"),
    ({"hidden_size": 2.0}, TypeError, r"hidden_size must be an int; got 2.0 \(float\)"),
    ({"hidden_size": "2"}, TypeError, r"hidden_size must be an int; got '2' \(str\)"),
    ({"input_size": True}, TypeError, r"input_size must be an int; got True \(bool\)"),
    ({"num_layers": True}, TypeError, r"num_layers must be an int; got True \(bool\)"),
    ({"num_layers": None}, TypeError, "num_layers must be an int"),
    ({"nonlinearity": "sigmoid"}, ValueError, "nonlinearity must be 'tanh' or 'relu'; got 'sigmoid'"),
    ({"nonlinearity": "Tanh"}, ValueError, "got 'Tanh'"),
    ({"nonlinearity": np.tanh}, ValueError, "nonlinearity must be"),
    ({"bias": 1}, TypeError, r"bias must be a bool; got 1 \(int\)"),
    ({"batch_first": "yes"}, TypeError, r"batch_first must be a bool; got 'yes' \(str\)"),
    ({"dropout": 1.1}, ValueError, r"dropout must be a probability in \[0, 1\]; got 1.1"),
    ({"dropout": -0.1}, ValueError, "got -0.1"),
    ({"dropout": True}, ValueError, "got True"),
    ({"dropout": float("nan")}, ValueError, "got nan"),
    ({"dropout": "0.5"}, ValueError, "got '0.5'"),
    ({"dtype": "int64"}, (DtypeError, TypeError), "int64"),
]


@pytest.mark.parametrize(("options", "error", "message"), CONSTRUCTION, ids=lambda x: str(x)[:40])
def test_construction(options, error, message):
    with pytest.raises(error, match=message):
        nn.RNN(**{"input_size": 2, "hidden_size": 3, **options})


@pytest.mark.parametrize("options", [row[0] for row in CONSTRUCTION if "dtype" not in row[0]], ids=str)
def test_construction_like_pytorch(options, torch):
    """If PyTorch raises an error, lucid's error is an instance of the same type."""
    arguments = {"input_size": 2, "hidden_size": 3, **options}
    try:
        torch.nn.RNN(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        with pytest.raises(type(error)):
            nn.RNN(**arguments)


def test_the_first_options_stand_where_pytorchs_do(torch):
    for library in (nn, torch.nn):
        rnn = library.RNN(2, 3, 2, "relu", False, True, 0.5)
        assert (rnn.num_layers, rnn.nonlinearity, rnn.bias, rnn.batch_first, rnn.dropout) == (
            2,
            "relu",
            False,
            True,
            0.5,
        )
        assert rnn.mode == "RNN_RELU"


def _call(shape, hx=None, *, batch_first=False, dtype="float32", hx_dtype="float32", layers=2):
    rnn = nn.RNN(4, 3, layers, batch_first=batch_first)
    return rnn(lucid.zeros(shape, dtype=dtype), None if hx is None else lucid.zeros(hx, dtype=hx_dtype))


CALLS = [
    (((6, 2, 3),), {}, r"RNN: input has 3 features in its last axis, but input_size is 4; got shape \(6, 2, 3\), exp"),
    (((6, 2, 3),), {}, r"expected \(seq_len, batch, 4\)"),
    (((2, 6, 3),), {"batch_first": True}, r"expected \(batch, seq_len, 4\)"),
    (((6, 3),), {}, r"got shape \(6, 3\), expected \(seq_len, 4\)"),
    (((4,),), {}, r"input must have 2 or 3 axes; got shape \(4,\)"),
    (((1, 6, 2, 4),), {}, "input must have 2 or 3 axes"),
    (((),), {}, "input must have 2 or 3 axes"),
    (((0, 2, 4),), {}, r"no time steps, at least one is needed; got shape \(0, 2, 4\), as \(seq_len, batch, 4\)"),
    (((2, 0, 4),), {"batch_first": True}, "no time steps"),
    (((0, 4),), {}, "no time steps"),
    (((6, 2, 4), (2, 3, 3)), {}, r"hx must be \(2, 2, 3\) \(num_layers, batch, hidden_size\); got \(2, 3, 3\)"),
    (((6, 2, 4), (1, 2, 3)), {}, r"hx must be \(2, 2, 3\)"),
    (((6, 2, 4), (2, 2, 4)), {}, r"hx must be \(2, 2, 3\)"),
    (((2, 6, 4), (6, 2, 3)), {"batch_first": True}, r"hx must be \(2, 2, 3\)"),
    (((6, 2, 4), (3,)), {}, r"hx must be \(2, 2, 3\)"),
    (((6, 2, 4), (2, 4)), {}, r"a 2-D hx must be \(2, 3\) \(batch, hidden_size\); got \(2, 4\)"),
    (((6, 2, 4), (3, 3)), {}, "a 2-D hx must be"),
    (((6, 4), (2, 1, 3)), {}, r"hx must be \(2, 3\) \(num_layers, hidden_size\); got \(2, 1, 3\)"),
    (((6, 4), (3,)), {}, r"hx must be \(2, 3\)"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "options", "message"), CALLS, ids=str)
def test_shapes(shapes, options, message):
    with pytest.raises(ShapeError, match=message) as caught:
        _call(*shapes, **options)
    # PyTorch raises one of the two.
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "bool"])
def test_dtypes(dtype):
    with pytest.raises(
        DtypeError, match=rf"input has dtype {dtype}, but the parameters have float32; .*to\('float32'\)"
    ):
        _call((6, 2, 4), dtype=dtype)
    with pytest.raises(DtypeError, match=f"hx has dtype {dtype}, but input has float32") as caught:
        _call((6, 2, 4), (2, 2, 3), hx_dtype=dtype)
    assert isinstance(caught.value, (RuntimeError, ValueError))


@pytest.mark.parametrize("given", [np.zeros((6, 2, 4), np.float32), [[1.0]], None, 3])
def test_what_is_no_tensor(given):
    with pytest.raises(TypeError, match=f"input must be a Tensor or a PackedSequence; got {type(given).__name__}"):
        nn.RNN(4, 3)(given)
    if given is not None:
        with pytest.raises(TypeError, match=f"hx must be a Tensor or None; got {type(given).__name__}"):
            nn.RNN(4, 3)(lucid.zeros(6, 2, 4), given)


def test_packed():
    pack = nn.utils.rnn.pack_padded_sequence
    rnn = nn.RNN(4, 3, batch_first=True)
    with pytest.raises(ShapeError, match=r"expected \(seq_len, batch, 4\)"):
        rnn(pack(lucid.zeros(2, 6, 3), [6, 1], batch_first=True))
    with pytest.raises(ShapeError, match="input must have 3 axes"):
        rnn(pack(lucid.zeros(6, 2), [6, 1]))
    with pytest.raises(ShapeError, match=r"hx must be \(1, 2, 3\)"):
        rnn(pack(lucid.zeros(6, 2, 4), [6, 1]), lucid.zeros(1, 6, 3))


def test_the_module_converted_fits_the_input():
    rnn = nn.RNN(4, 3).to("float64")
    assert rnn(lucid.zeros(6, 2, 4, dtype="float64"))[0].dtype == "float64"


def test_after_a_refusal_nothing_is_different():
    rnn = nn.RNN(4, 3)
    before = rnn(lucid.ones(6, 2, 4))[0].tolist()
    with pytest.raises(ShapeError):
        rnn(lucid.ones(6, 2, 5))
    assert rnn(lucid.ones(6, 2, 4))[0].tolist() == before
