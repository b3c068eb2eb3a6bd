"""Counter-based random numbers: those of the published generator, uniform, and independent of their neighbours."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import DtypeError, LucidError
from lucid.nn import functional as F
from lucid.ops.counter import DRAWS, KEYS, hashed, keyed_uniform
from tests.ops.cases.nn import key_of, squares


def drawn(seed: int, count: int, draw: int = 0, word: int = 0, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = keyed_uniform(
        lucid.tensor(seed), shape=(count,), draw=draw, word=word, dtype=np.dtype(dtype)
    ).numpy()
    return made


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize(("draw", "word"), [(0, 0), (3, 1), (DRAWS - 1, 3)])
def test_the_numbers_are_those_of_the_published_generator(seed, draw, word):
    assert hashed(seed) == key_of(seed)
    count = 3
    words = [[squares((draw << 35) + (2 * word + i << 32) + n, key_of(seed)) for n in range(count)] for i in (0, 1)]
    expected = [w >> 8 for w in words[0]]
    np.testing.assert_array_equal(drawn(seed, count, draw, word) * 2.0**24, expected)
    expected = [w >> 21 for w in words[0]]
    np.testing.assert_array_equal(drawn(seed, count, draw, word, np.float16).astype(float) * 2**11, expected)
    expected = [(high << 21) + (low >> 11) for high, low in zip(*words, strict=True)]
    np.testing.assert_array_equal(drawn(seed, count, draw, word, np.float64) * 2.0**53, expected)


def test_numbers_depend_on_their_place_alone():
    whole = drawn(5, 20_000)
    np.testing.assert_array_equal(drawn(5, 8193), whole[:8193])
    assert drawn(5, 0).shape == (0,)
    lucid.manual_seed(5, generator="counter")
    np.testing.assert_array_equal(lucid.rand(2, 3, 4).numpy().ravel(), whole[:24])
    assert lucid.rand(()).item() == drawn(5, 1, draw=1)[0]


def test_the_keys_that_hash_seeds_are_as_the_source_demands():
    for key in KEYS:
        digits = f"{key:016x}"
        assert key % 2 == 1
        assert len(set(digits[:8])) == len(set(digits[8:])) == 8


def excess(numbers: np.ndarray[Any, Any], bins: int = 256) -> float:
    """Chi-square of uniform numbers, in its own standard deviations from its mean."""
    counts = np.bincount((numbers * bins).astype(int), minlength=bins)
    expected = numbers.size / bins
    return float((((counts - expected) ** 2 / expected).sum() - (bins - 1)) / sqrt(2 * (bins - 1)))


@pytest.mark.slow
def test_numbers_are_uniform_along_elements_seeds_and_draws():
    found = [excess(drawn(seed, 1 << 16, draw)) for seed in (0, 1, 2, 10**12, -1) for draw in (0, 1, 2, 1000)]
    assert max(map(abs, found)) < 4
    assert abs(np.mean(found)) < 4 / sqrt(len(found))
    assert abs(excess(np.concatenate([drawn(seed, 1) for seed in range(5000)]), 64)) < 4
    assert abs(excess(np.concatenate([drawn(3, 1, draw) for draw in range(5000)]), 64)) < 4


def test_pairs_and_triples_of_neighbours_fill_square_and_cube():
    numbers = drawn(5, 3 << 17)
    for width, bins in ((2, 32), (3, 10)):
        rows = (numbers.reshape(-1, width) * bins).astype(int)
        cell = np.ravel_multi_index(tuple(rows.T), (bins,) * width)
        assert abs(excess((cell + 0.5) / bins**width, bins**width)) < 4


@pytest.mark.parametrize("of", ["seeds", "draws", "words"])
def test_neighbours_are_uncorrelated(of):
    key = {"seeds": lambda i: (i, 0, 0), "draws": lambda i: (7, i, 0), "words": lambda i: (7, i // 4, i % 4)}[of]
    rows = []
    for i in range(100):
        seed, draw, word = key(i)
        rows.append(drawn(seed, 4096, draw, word) - 0.5)
    matrix = np.stack(rows).astype(float)
    found = (matrix @ matrix.T * 12 / sqrt(4096))[~np.eye(100, dtype=bool)]
    assert abs(found.std() - 1) < 0.05
    assert np.abs(found).max() < 5


def test_no_seed_or_draw_is_a_shifted_copy_of_its_neighbour():
    first = np.fft.fft(drawn(0, 1 << 16) - 0.5)
    for other in (drawn(1, 1 << 16), drawn(-1, 1 << 16), drawn(0, 1 << 16, draw=1), drawn(0, 1 << 16, word=1)):
        along = np.fft.ifft(first * np.conj(np.fft.fft(other - 0.5))).real * 12 / sqrt(1 << 16)
        assert np.abs(along).max() < 6


def test_each_bit_of_a_seed_changes_half_of_the_bits():
    def bits(seed):
        return (drawn(seed, 256) * 2.0**24).astype(np.int64)[:, None] >> np.arange(24) & 1

    for seed in (0, 12345, 987654321987):
        before = bits(seed)
        shares = np.stack([(before != bits(seed ^ 1 << i)).mean(0) for i in range(63)])
        assert np.abs(shares - 0.5).max() < 6 * 0.5 / sqrt(256)
        assert abs(shares.mean() - 0.5) < 6 * 0.5 / sqrt(256 * shares.size)


MOMENTS = {
    "randn": (lambda: lucid.randn(40_000), 0, 1),
    "randn float64": (lambda: lucid.randn(40_000, dtype="float64"), 0, 1),
    "normal": (lambda: lucid.normal(2.0, 3.0, (40_000,)), 2, 9),
    "rand": (lambda: lucid.rand(40_000), 0.5, 1 / 12),
    "rand float16": (lambda: lucid.rand(40_000, dtype="float16"), 0.5, 1 / 12),
    "uniform_": (lambda: lucid.zeros(40_000).uniform_(-1, 3), 1, 16 / 12),
    "normal_": (lambda: lucid.zeros(40_000).normal_(), 0, 1),
    "exponential_": (lambda: lucid.zeros(40_000).exponential_(), 1, 1),
    "bernoulli": (lambda: lucid.bernoulli(lucid.full((40_000,), 0.25)), 0.25, 0.1875),
    "dropout": (lambda: F.dropout(lucid.ones(40_000), 0.25), 1, 1 / 3),
    "dropout1d": (lambda: F.dropout1d(lucid.ones(40_000, 1), 0.25), 1, 1 / 3),
    "exponential_like": (lambda: lucid.ops.draw.exponential_like(lucid.ones(40_000)), 1, 1),
    "randint": (lambda: lucid.randint(3, 9, (40_000,)), 5.5, 35 / 12),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_distributions_and_repetition(name):
    draw, mean, variance = MOMENTS[name]
    lucid.manual_seed(11, generator="counter")
    first, second = (draw().numpy().astype(float) for _ in range(2))
    lucid.manual_seed(11, generator="counter")
    np.testing.assert_array_equal(draw().numpy().astype(float), first)
    assert (first != second).any()
    assert abs(first.mean() - mean) < 5 * sqrt(variance / first.size)
    assert abs(first.var() - variance) < 0.05 * variance


def test_normal_numbers_have_the_distribution_function_of_the_normal_one():
    lucid.manual_seed(2, generator="counter")
    numbers = lucid.randn(1 << 16, dtype="float64")
    uniform = (0.5 * (1 + lucid.erf(numbers / sqrt(2)))).numpy()
    assert abs(excess(np.minimum(uniform, 1 - 2**-53))) < 4


def test_certain_and_impossible_events():
    lucid.manual_seed(0, generator="counter")
    odds = lucid.tensor([0.0, 1.0]).expand(1000, 2)
    np.testing.assert_array_equal(lucid.bernoulli(odds).numpy(), odds.numpy())
    assert lucid.bernoulli(lucid.ones(3, dtype="int64")).dtype == np.int64
    hard = F.gumbel_softmax(lucid.tensor([[0.0, 200.0]]).expand(1000, 2), hard=True)
    np.testing.assert_array_equal(hard.numpy(), odds.numpy())


def test_steps_seeds_and_states():
    generator = lucid.manual_seed(5, generator="counter")
    assert generator is lucid.manual_seed(5, generator="counter")
    assert generator.begin_step() == 5
    assert lucid.get_rng_state() == {"generator": "counter", "seed": 5, "draw": 0}
    first = lucid.rand(3)
    lucid.randn(3)
    lucid.randperm(3)
    state = lucid.get_rng_state()
    assert state == {"generator": "counter", "seed": 5, "draw": 3}
    after = lucid.rand(3)
    assert [generator.begin_step(), generator.begin_step()] == [6, 6]
    np.testing.assert_array_equal(lucid.rand(3).numpy(), drawn(6, 3))
    lucid.set_rng_state(state)
    np.testing.assert_array_equal(lucid.rand(3).numpy(), after.numpy())
    np.testing.assert_array_equal(first.numpy(), drawn(5, 3))
    lucid.manual_seed(2**64 - 1, generator="counter")
    assert generator.begin_step() == -1
    assert lucid.initial_seed() == 2**64 - 1
    lucid.manual_seed(2**63 - 1, generator="counter")
    lucid.rand(1)
    assert generator.begin_step() == -(2**63)


def test_without_a_kind_the_generator_is_pcg64_as_ever():
    lucid.manual_seed(3)
    before = lucid.rand(4).numpy()
    lucid.manual_seed(3, generator="counter")
    assert (lucid.rand(4).numpy() != before).all()
    state = lucid.get_rng_state()
    lucid.manual_seed(3)
    np.testing.assert_array_equal(lucid.rand(4).numpy(), before)
    pcg = lucid.get_rng_state()
    lucid.set_rng_state(state)
    assert lucid.get_rng_state() == state
    lucid.set_rng_state(pcg)
    assert lucid.get_rng_state() == pcg
    generator = lucid.Generator().manual_seed(3, "counter")
    assert lucid.rand(4, generator=generator).tolist() == drawn(3, 4).tolist()
    assert generator.seed() == generator.initial_seed()
    assert generator.get_state()["generator"] == "counter"


def test_errors():
    with pytest.raises(ValueError, match=r"generator must be one of 'pcg64', 'counter'; got 'philox'"):
        lucid.manual_seed(0, generator="philox")
    with pytest.raises(DtypeError, match="a seed must be an integer"):
        lucid.manual_seed(0.5, generator="counter")
    lucid.manual_seed(0)
    with pytest.raises(LucidError, match=r"only a generator from manual_seed\(seed, generator='counter'\) has steps"):
        lucid.Generator().begin_step()
    for draw in (-1, DRAWS + 1):
        with pytest.raises(ValueError, match="not the state of a counter-based generator"):
            lucid.set_rng_state({"generator": "counter", "seed": 0, "draw": draw})
    lucid.set_rng_state({"generator": "counter", "seed": 0, "draw": DRAWS})
    with pytest.raises(LucidError, match=r"begin the next one with Generator\.begin_step"):
        lucid.rand(2)
    lucid.manual_seed(0)


def test_a_step_of_a_loop_does_not_draw_the_same_numbers_each_time():
    def noisy(x, h):
        return x * lucid.rand(2) + h, h

    lucid.manual_seed(0, generator="counter")
    with pytest.raises(LucidError, match="draw them before the loop"):
        nn.scan(noisy, lucid.ones(5, 2), lucid.zeros(2))
    lucid.manual_seed(0)
    given, _ = nn.scan(noisy, lucid.ones(5, 2), lucid.zeros(2))
    assert len(np.unique(given.numpy())) == 10


def test_a_checkpoint_holds_the_state(tmp_path):
    path = tmp_path / "run.safetensors"
    lucid.manual_seed(9, generator="counter")
    lucid.rand(3)
    lucid.save_checkpoint(path)
    expected = lucid.randn(3).numpy()
    lucid.manual_seed(1)
    lucid.load_checkpoint(path)
    np.testing.assert_array_equal(lucid.randn(3).numpy(), expected)
    assert lucid.get_rng_state() == {"generator": "counter", "seed": 9, "draw": 2}
