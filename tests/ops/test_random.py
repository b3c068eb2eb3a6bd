"""Random tensors: reproducible from a seed, of the right distribution, and not exported by mistake."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid.errors import DtypeError, ExportError, RuntimeUnavailableError
from lucid.export import to_onnx
from lucid.nn import functional as F

DRAWS = {
    "randn": lambda: lucid.randn(1000),
    "rand": lambda: lucid.rand(1000),
    "randn_like": lambda: lucid.randn_like(lucid.zeros(1000)),
    "rand_like": lambda: lucid.rand_like(lucid.zeros(1000)),
    "randint": lambda: lucid.randint(3, 9, (1000,)),
    "randperm": lambda: lucid.randperm(1000),
    "bernoulli": lambda: lucid.bernoulli(lucid.full((1000,), 0.25)),
    "multinomial": lambda: lucid.multinomial(lucid.tensor([0.0, 1.0, 3.0]), 1000, replacement=True),
    "dropout": lambda: F.dropout(lucid.ones(1000), 0.25),
    "dropout1d": lambda: F.dropout1d(lucid.ones(1000, 1), 0.25),
    "exponential_like": lambda: lucid.ops.random.exponential_like(lucid.ones(1000)),
    "gumbel_softmax": lambda: F.gumbel_softmax(lucid.tensor([[0.0, 1.0986123]]).expand(1000, 2), hard=True)[:, 1],
}
MOMENTS = {
    "randn": (0, 1),
    "randn_like": (0, 1),
    "rand": (0.5, 1 / 12),
    "rand_like": (0.5, 1 / 12),
    "randint": (5.5, 35 / 12),
    "bernoulli": (0.25, 0.1875),
    "multinomial": (1.75, 0.1875),
    "dropout": (1, 1 / 3),
    "dropout1d": (1, 1 / 3),
    "exponential_like": (1, 1),
    "gumbel_softmax": (0.75, 0.1875),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_same_from_the_same_seed(name):
    lucid.manual_seed(3)
    first = DRAWS[name]().numpy()
    second = DRAWS[name]().numpy()
    lucid.manual_seed(3)
    np.testing.assert_array_equal(DRAWS[name]().numpy(), first)
    assert (first != second).any()


@pytest.mark.parametrize("name", MOMENTS)
def test_mean_and_variance(name):
    lucid.manual_seed(5)
    draws = np.concatenate([DRAWS[name]().numpy() for _ in range(50)]).astype(float)
    mean, variance = MOMENTS[name]
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / draws.size)
    assert abs(draws.var() - variance) < 0.03


def test_dtypes():
    assert DRAWS["randn"]().dtype == DRAWS["rand"]().dtype == np.float32
    assert lucid.randn(2, dtype="float64").dtype == lucid.randn_like(lucid.ones(2, dtype="float64")).dtype == np.float64
    assert DRAWS["randint"]().dtype == DRAWS["randperm"]().dtype == DRAWS["multinomial"]().dtype == np.int64


def test_state_can_be_kept_and_restored():
    state = lucid.get_rng_state()
    first = lucid.randn(4).numpy()
    lucid.set_rng_state(state)
    np.testing.assert_array_equal(lucid.randn(4).numpy(), first)


def test_a_permutation_has_each_number_once():
    np.testing.assert_array_equal(np.sort(lucid.randperm(50).numpy()), np.arange(50))


def test_draws_without_replacement_differ_and_follow_the_weights():
    weights = lucid.tensor([[5.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0]])
    counts = np.zeros((2, 4))
    for _ in range(500):
        drawn = weights.multinomial(2).numpy()
        assert drawn.shape == (2, 2)
        assert (drawn[:, 0] != drawn[:, 1]).all()
        np.add.at(counts, (np.arange(2), drawn[:, 0]), 1)
    assert counts[0, 3] == counts[1, 1] == 0
    np.testing.assert_allclose(counts[0, 0] / 500, 5 / 7, atol=0.08)


def test_dropout_scales_what_it_keeps_and_gives_the_same_gradient():
    x = lucid.ones(100, requires_grad=True)
    y = F.dropout(x, 0.25)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert set(np.unique(y.detach().numpy())) == {np.float32(0), np.float32(1 / 0.75)}


def test_dropout1d_drops_whole_channels():
    x = lucid.ones(20, 5, 3, requires_grad=True)
    y = F.dropout1d(x, 0.5)
    rows = y.detach().numpy()
    assert (rows == rows[:, :, :1]).all()
    assert set(np.unique(rows)) == {np.float32(0), np.float32(2)}
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), rows)


@pytest.mark.parametrize("dim", [0, -1])
def test_a_hard_draw_is_one_class_with_the_gradient_of_the_soft_one(dim):
    logits = lucid.randn(4, 3, requires_grad=True)
    weights = lucid.randn(4, 3)
    gradients = []
    for hard in (False, True):
        lucid.manual_seed(1)
        y = F.gumbel_softmax(logits, tau=0.7, hard=hard, dim=dim)
        np.testing.assert_allclose(y.sum(dim).detach().numpy(), 1, rtol=1e-6)
        gradients.append(lucid.grad((y * weights).sum(), [logits])[0].numpy())
    assert set(np.unique(y.detach().numpy())) == {0, 1}
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("name", ["randn_like", "bernoulli", "dropout"])
def test_random_ops_are_not_exported(name):
    functions = {
        "randn_like": lambda x: x + lucid.randn(3),
        "bernoulli": lambda x: lucid.bernoulli(x),
        "dropout": lambda x: F.dropout(x, 0.5, training=True),
    }
    with pytest.raises(ExportError, match="random"):
        to_onnx(functions[name], lucid.ones(3))


WITH_GENERATOR = {
    "randn": lambda g: lucid.randn(100, generator=g),
    "rand": lambda g: lucid.rand(100, generator=g),
    "randint": lambda g: lucid.randint(9, (100,), generator=g),
    "randperm": lambda g: lucid.randperm(100, generator=g),
    "bernoulli": lambda g: lucid.bernoulli(lucid.full((100,), 0.5), generator=g),
    "multinomial": lambda g: lucid.multinomial(lucid.ones(100), 9, generator=g),
}


@pytest.mark.parametrize("name", WITH_GENERATOR)
def test_a_generator_has_a_state_of_its_own(name):
    draw = WITH_GENERATOR[name]
    generator = lucid.Generator().manual_seed(3)
    before = lucid.get_rng_state()
    first, second = draw(generator).numpy(), draw(generator).numpy()
    assert lucid.get_rng_state() == before
    assert (first != second).any()
    np.testing.assert_array_equal(draw(generator.manual_seed(3)).numpy(), first)
    lucid.manual_seed(3)
    np.testing.assert_array_equal(draw(None).numpy(), first)
    with pytest.raises(TypeError, match=r"generator must be a lucid\.Generator; got int"):
        draw(3)


def test_generators_answer_as_pytorchs(torch):
    def answers(library):
        generator = library.Generator()
        return [
            generator.initial_seed(),
            generator.manual_seed(-1) is generator,
            generator.initial_seed(),
            library.Generator(device="cpu").manual_seed(5).initial_seed(),
            repr(generator.device),
            type(library.manual_seed(7)) is library.Generator,
            library.initial_seed(),
            library.manual_seed(7).seed() == library.initial_seed(),
        ]

    assert answers(lucid) == answers(torch)
    assert lucid.randperm(5, dtype=lucid.int32).dtype == lucid.int32


def test_a_generators_state_can_be_restored():
    generator = lucid.Generator()
    state = generator.get_state()
    first = lucid.randn(3, generator=generator)
    generator.set_state(state)
    assert lucid.randn(3, generator=generator).tolist() == first.tolist()
    assert lucid.randn(3, generator=lucid.Generator()).tolist() == first.tolist()
    with pytest.raises(RuntimeUnavailableError, match="asked for"):
        lucid.Generator("cuda")
    with pytest.raises(DtypeError, match=r"a seed must be an integer; got 1\.5"):
        generator.manual_seed(1.5)


def test_an_export_does_not_advance_a_generator():
    generator = lucid.Generator()

    def noted(x):
        lucid.randn(3, generator=generator)
        return x * 2

    before = generator.get_state()
    to_onnx(noted, (lucid.ones(2),))
    assert generator.get_state() == before
