"""Random numbers in a file: those that the eager model draws from the same seed, at every size."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError, LucidError, VerificationError
from lucid.export import to_onnx
from lucid.export.lowering import LOWERINGS
from lucid.export.lowering.opset import newest_opset
from lucid.nn import functional as F
from lucid.runtime import Session
from tests.tiers import thinned

EXACT = {
    "rand": lambda x: lucid.rand(x.shape),
    "rand_like": lambda x: lucid.rand_like(x),
    "rand of a fixed shape": lambda x: x + lucid.rand(2, 3)[0] * 0 + lucid.rand(3),
    "rand float64": lambda x: lucid.rand(x.shape, dtype="float64"),
    "rand float16": lambda x: lucid.rand(x.shape, dtype="float16"),
    "one number": lambda x: (lucid.rand(()), x.abs()),
    "bernoulli": lambda x: lucid.bernoulli(x.abs().clamp(0, 1)),
    "bernoulli float64": lambda x: lucid.bernoulli(x.double().abs().clamp(0, 1)),
    "dropout": lambda x: F.dropout(x, 0.3),
    "dropout of everything": lambda x: F.dropout(x, 1.0),
    "dropout1d": lambda x: F.dropout1d(x, 0.3),
    "uniform_": lambda x: (x * 0).uniform_(-2.0, 3.0),
    "sizes that are computed": lambda x: lucid.rand(x.shape[0] * 2 + 1, x.shape[1]),
}

CLOSE = {
    "randn": lambda x: lucid.randn(x.shape),
    "randn_like": lambda x: lucid.randn_like(x),
    "randn float64": lambda x: lucid.randn(x.shape, dtype="float64"),
    "randn float16": lambda x: lucid.randn(x.shape, dtype="float16"),
    "normal": lambda x: lucid.normal(x, 0.5),
    "gumbel_softmax": lambda x: F.gumbel_softmax(x, 0.7),
    "exponential_like": lambda x: lucid.ops.draw.exponential_like(x),
    "several": lambda x: F.dropout(x, 0.5) + lucid.randn_like(x) * lucid.rand(x.shape[1], 1),
}

SHAPES = [(4, 2, 3), (1, 1, 3), (7, 5, 3), (2, 3000, 3)]


def compared(function, exported, exact):
    session = Session(exported)
    rng = np.random.default_rng(0)
    for seed, shape in zip((0, 1, -7, 2**62 + 5), SHAPES, strict=True):
        x = rng.standard_normal(shape).astype(np.float32)
        found = session(x, seed=seed)
        lucid.manual_seed(seed, generator="counter")
        expected = function(lucid.tensor(x))
        for one, other in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
            other = other.detach().numpy()
            assert one.dtype == other.dtype
            if exact:
                np.testing.assert_array_equal(one, other)
            else:
                # A few units in the last place of numbers near 1: logarithm and cosine differ between libraries.
                unit = np.finfo(one.dtype).eps
                np.testing.assert_allclose(one, other, rtol=8 * unit, atol=8 * unit)


ROWS = [(name, opset) for opset in (18, 13, 17, "newest") for name in (*EXACT, *CLOSE)]


@pytest.mark.parametrize(("name", "opset"), thinned(ROWS, 4, 2, sample=3))
def test_a_file_draws_what_the_eager_model_draws(name, opset):
    lucid.manual_seed(3, generator="counter")
    function = (EXACT | CLOSE)[name]
    exported = to_onnx(function, lucid.randn(4, 2, 3), opset=newest_opset() if opset == "newest" else opset)
    assert exported.input_names[-1] == "seed"
    assert exported.draws == {"several": 3, "rand of a fixed shape": 2}.get(name, 1)
    assert len(exported.axes["x"]) >= (2 if name != "gumbel_softmax" else 1)
    compared(function, exported, name in EXACT)


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        return self.head(F.dropout(self.rnn(F.dropout(x, 0.2))[0], 0.5))


def test_a_model_with_dropout_is_one_step_a_call():
    generator = lucid.manual_seed(1, generator="counter")
    model, x = Noisy(), lucid.randn(6, 4, 3)
    state = lucid.get_rng_state()
    exported = to_onnx(model, x)
    assert lucid.get_rng_state() == state  # no export advances a generator
    assert exported.draws == 2
    seed = exported.proto.graph.input[-1]
    assert (seed.name, seed.type.tensor_type.elem_type, list(seed.type.tensor_type.shape.dim)) == (
        "seed",
        onnx.TensorProto.INT64,
        [],
    )
    assert seed.doc_string.startswith("The seed of all random numbers")
    session = Session(exported)
    seeds = []
    for _ in range(3):
        seeds.append(generator.begin_step())
        expected = model(x).detach().numpy()
        np.testing.assert_allclose(session(x, seed=seeds[-1])[0], expected, rtol=1e-5, atol=1e-6)
    assert seeds == [2, 3, 4]
    first = session(x, seed=2)[0]
    np.testing.assert_array_equal(session(x, seed=2)[0], first)
    assert (session(x, seed=3)[0] != first).any()


def test_a_function_may_begin_its_step_itself_or_draw_nothing():
    generator = lucid.manual_seed(1, generator="counter")

    def stepping(x):
        generator.begin_step()
        return F.dropout(x, 0.5)

    compared(lambda x: F.dropout(x, 0.5), to_onnx(stepping, lucid.ones(4, 2, 3)), True)
    exported = to_onnx(lambda x: x * 2, lucid.ones(2))
    assert (exported.input_names, exported.draws) == (["x"], 0)

    def twice(x):
        drawn = lucid.rand_like(x)
        generator.begin_step()
        return drawn + lucid.rand_like(x)

    with pytest.raises(LucidError, match="a file has one step a call"):
        to_onnx(twice, lucid.ones(2))


def test_a_model_that_seeds_itself_draws_constants():
    lucid.manual_seed(1, generator="counter")

    def seeded(x):
        lucid.manual_seed(5, generator="counter")
        return x + lucid.rand(x.shape)

    exported = to_onnx(seeded, lucid.zeros(4, 3))
    assert (exported.input_names, exported.draws) == (["x"], 0)
    for shape in ((4, 3), (9, 3)):
        np.testing.assert_array_equal(
            Session(exported)(lucid.zeros(shape))[0], lucid.rand(shape, generator=_counter(5)).numpy()
        )


def _counter(seed):
    return lucid.Generator().manual_seed(seed, "counter")


def test_draws_are_neither_cut_by_sequence_nor_by_time():
    lucid.manual_seed(1, generator="counter")
    whole = to_onnx(lambda x: F.dropout(x.tanh(), 0.5), lucid.ones(5, 4, 3))
    assert whole.separation is None
    rnn = nn.GRU(3, 4)
    for size in ("batch", "time"):
        index = {"batch": 1, "time": 0}[size]

        def noisy(x, h, index=index):
            output, last = rnn(x, h)
            shape = [1, 1, 1]
            shape[index] = x.shape[index]
            return output * lucid.rand(*shape), last

        exported = to_onnx(noisy, lucid.ones(5, 2, 3), lucid.zeros(1, 2, 4))
        assert exported.separation is None or size == "time"
        assert (exported.streaming.time is None) == (size == "time")
    # What is the same for every sequence and every step may be cut.
    exported = to_onnx(lambda x, h: rnn(x * lucid.rand(3), h), lucid.ones(5, 2, 3), lucid.zeros(1, 2, 4))
    assert exported.separation is not None
    assert exported.streaming.time == "time"
    session, x = Session(exported), lucid.randn(6, 1, 3)
    stream = session.stream()
    pieces = [stream(piece, seed=5)[0] for piece in (x[:2], x[2:3], x[3:])]
    np.testing.assert_allclose(np.concatenate(pieces), session(x, lucid.zeros(1, 1, 4), seed=5)[0], atol=1e-6)
    assert exported.draws == 1
    unread = to_onnx(lambda x: (x, lucid.rand_like(x))[0] * 2, lucid.ones(3))
    assert (unread.input_names, unread.draws) == (["x"], 0)


REFUSED = {
    "randint": lambda x: x + lucid.randint(9, (3,)),
    "randperm": lambda x: x[lucid.randperm(3)],
    "multinomial": lambda x: x + lucid.multinomial(x.abs() + 1, 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_file_draws_is_refused_by_name(name):
    lucid.manual_seed(1, generator="counter")
    op = {"randint": "integers", "randperm": "permutation"}.get(name, name)
    with pytest.raises(ExportError, match=rf"{op} at .* cannot be exported: .*draw outside of the model"):
        to_onnx(REFUSED[name], lucid.ones(3))


def test_other_refusals():
    lucid.manual_seed(1)
    with pytest.raises(ExportError, match=r"after lucid\.manual_seed\(seed, generator='counter'\) the file draws"):
        to_onnx(lambda x: F.dropout(x, 0.5), lucid.ones(3))
    lucid.manual_seed(1, generator="counter")
    with pytest.raises(ValueError, match="the model has one of that name, too; give it another by input_names="):
        to_onnx(lambda seed: F.dropout(seed, 0.5), lucid.ones(3))
    to_onnx(lambda seed: F.dropout(seed, 0.5), lucid.ones(3), input_names=["x"])
    other = _counter(2)
    with pytest.raises(LucidError, match="a file takes one seed"):
        to_onnx(lambda x: x + lucid.rand(3, generator=other), lucid.ones(3))
    with pytest.raises(ExportError, match="random numbers, which would differ in float16"):
        to_onnx(lambda x: F.dropout(x, 0.5), lucid.ones(3), precision="float16")
    with pytest.raises(ExportError, match="random numbers, which would differ in float32"):
        to_onnx(lambda x: x + lucid.rand_like(x), lucid.ones(3, dtype="float64"), precision="float32")
    # A mask is drawn in float32, whatever the dtype.
    exported = to_onnx(lambda x: F.dropout(x, 0.5), lucid.ones(3, dtype="float64"), precision="float32")
    np.testing.assert_array_equal(Session(exported)([1.0] * 9, seed=1)[0], F.dropout(lucid.ones(9), 0.5).numpy())
    with pytest.raises(LucidError, match="draw them before the loop"):
        to_onnx(lambda x: nn.scan(lambda x, h: (h, h + F.dropout(x)), x, lucid.zeros(3))[0], lucid.ones(4, 3))
    for kind in ("counter", "pcg64"):
        lucid.manual_seed(1, generator=kind)
        with pytest.raises(ExportError, match="decides"):
            to_onnx(lambda x: x * 2 if lucid.rand(()).item() < 0.5 else x, lucid.ones(3))


def test_the_comparison_finds_other_numbers(monkeypatch):
    lucid.manual_seed(1, generator="counter")
    right = LOWERINGS["keyed_uniform"]

    def wrong(b, seed, draw, **attrs):
        return right(b, seed, draw=draw + 1, **attrs)

    monkeypatch.setitem(LOWERINGS, "keyed_uniform", wrong)
    with pytest.raises(VerificationError, match="differs at"):
        to_onnx(lambda x: F.dropout(x, 0.5), lucid.ones(30))


@pytest.mark.slow
def test_int8_and_a_state_that_may_be_left_out():
    lucid.manual_seed(1, generator="counter")
    linear = nn.Linear(128, 128)
    exported = to_onnx(lambda x: F.dropout(linear(x), 0.5), lucid.randn(4, 128), precision="int8")
    x = lucid.randn(3, 128)
    found = Session(exported)(x, seed=6)[0]
    lucid.manual_seed(6, generator="counter")
    expected = F.dropout(linear(x), 0.5).detach().numpy()
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, atol=0.1)
    rnn = nn.GRU(3, 4)

    class Stateful(nn.Module):
        def forward(self, x, h=None):
            output, last = rnn(x, h)
            return F.dropout(output, 0.5), last

    exported = to_onnx(Stateful(), lucid.randn(5, 2, 3), lucid.zeros(1, 2, 4))
    assert exported.interface.optional
    x = lucid.randn(6, 1, 3)
    found = Session(exported)(x=x, seed=4)[0]
    lucid.manual_seed(4, generator="counter")
    np.testing.assert_allclose(found, F.dropout(rnn(x)[0], 0.5).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_function_may_give_the_seed_of_the_next_step():
    generator = lucid.manual_seed(1, generator="counter")

    def following():
        counter = generator._counter()
        assert counter is not None
        return counter.key + 1

    exported = to_onnx(lambda x: (F.dropout(x, 0.5), following()), lucid.ones(30), output_names=["y", "next.seed"])
    session, seed = Session(exported), np.array(40)
    for expected in (41, 42, 43):
        results = session(lucid.ones(9), seed=seed)
        lucid.manual_seed(int(seed), generator="counter")
        np.testing.assert_array_equal(results["y"], F.dropout(lucid.ones(9), 0.5).numpy())
        seed = results["next.seed"]
        assert (seed.item(), seed.dtype, seed.shape) == (expected, np.int64, ())
    assert to_onnx(lambda x: (x * 2, following()), lucid.ones(3)).draws == 0
