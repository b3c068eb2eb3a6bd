"""Tensors whose shapes are arithmetic on sizes: exported with those axes free, and right at every size."""

from __future__ import annotations

import functools
import math

import pytest

import lucid
from lucid import nn
from tests.proof.case import Case, Cases, rand, sized, verdict

F = nn.functional
X, Y = rand(5, 3), rand(7, 3)
TIMES = sized(3)
SHORT = sized(3, sizes=(1, 2, 3, 7, 8, 13, 16, 21, 32, 64, 129))
PAIRS = ((1, 1), (2, 7), (7, 2), (8, 8), (13, 3), (3, 13), (20, 21), (21, 20), (31, 64), (64, 32), (129, 1), (1, 129))
TWO = [(rand(a, 3), rand(b, 3)) for a, b in PAIRS]
PLANES = [(rand(a, b, 3),) for a, b in PAIRS]

lucid.manual_seed(0)
table, rnn, gru, conv = nn.Embedding(400, 3), nn.RNN(3, 4), nn.GRU(3, 3), nn.Conv1d(3, 4, 3, stride=2, padding=1)

EXPORTED = Cases()
T_FREE, TN_FREE, TWO_FREE = {"x": (0,)}, {"x": (0, 1)}, {"x": (0,), "y": (0,)}
of_time = functools.partial(EXPORTED.exported, (X,), *TIMES, free=T_FREE)
of_short = functools.partial(EXPORTED.exported, (X,), *SHORT, free=T_FREE)
of_plane = functools.partial(EXPORTED.exported, (rand(5, 2, 3),), *PLANES, free=TN_FREE)
of_two = functools.partial(EXPORTED.exported, (X, Y), *TWO, free=TWO_FREE)

# --- tensors of a computed size


@of_time()
def half_as_many_positions(x):
    return x.sum() + lucid.arange(x.shape[0] // 2).float()


@of_time()
def positions_backwards_and_doubled(x):
    T = x.shape[0]
    return x * lucid.arange(T - 1, -1, -1).float().unsqueeze(1) + lucid.arange(0, 2 * T, 2).reshape(T, 1)


@of_two()
def a_plane_of_a_size(x, y):
    T, S = x.shape[0], y.shape[0]
    return lucid.full((T, S), T).float() + x.sum(), lucid.full((S,), T / S, dtype="float32") + lucid.ones(
        S, dtype="float32"
    )


@of_short()
def identity_and_triangles(x):
    T = x.shape[0]
    return lucid.eye(T) @ x + lucid.triu(lucid.full((T, T), 0.5), 1) @ x, lucid.ones(T, T).tril() @ x / T


@of_two()
def a_band_whose_place_is_a_difference(x, y):
    T, S = x.shape[0], y.shape[0]
    seen = lucid.arange(S).unsqueeze(0) - (S - T) <= lucid.arange(T).unsqueeze(1)
    return (x @ y.T).masked_fill(~seen, 0.0) / S


@of_time()
def padded_by_a_half(x):
    T = x.shape[0]
    return lucid.cat([x, lucid.zeros(T // 2, 3), x.new_full((T % 3, 3), T)])


@of_time()
def padded_into_chunks(x):
    T = x.shape[0]
    padded = F.pad(x, (0, 0, 0, -T % 8))
    chunks = padded.reshape((T + 7) // 8, 8, 3)
    return chunks.sum(1), padded.reshape(-1, 8, 3).amax(1), padded.reshape(-1, 24)[:, 0] / chunks.shape[0]


@of_time()
def shifted_into_the_past(x):
    return F.pad(x, (0, 0, x.shape[0] - 1, 0))[: x.shape[0]]


@of_time()
def pooled_by_four(x):
    T = x.shape[0]
    return x[: T // 4 * 4].reshape(T // 4, 4, 3).sum(1), x[: T // 2 * 2].reshape(2, T // 2, 3)[1] * 1.0


@of_time()
def halves_side_by_side(x):
    half = x.shape[0] // 2
    return x[: 2 * half].reshape(2, half, 3).transpose(0, 1).reshape(half, 6) * 1.0


@of_time()
def interleaved_and_upsampled(x):
    T = x.shape[0]
    return (
        lucid.stack([x[:-1], x[1:]], 1).reshape(2 * (T - 1), 3),
        x.unsqueeze(1).expand(T, 3, 3).reshape(3 * T, 3)[: 2 * T + 1] * 1.0,
        x.repeat_interleave(2, 0)[T // 2 : T // 2 + T] * 1.0,
    )


@of_short()
def every_row_with_every_row(x):
    T = x.shape[0]
    apart = (x.unsqueeze(0).expand(T, T, 3) - x.unsqueeze(1)).square().sum(-1)
    return apart.sum() / (T * (T - 1) + 1), x.repeat(T, 1).reshape(T * T, 3)[:: T + 1] * 1.0


@of_time()
def windows_of_three(x):
    index = lucid.arange(x.shape[0] - 2).unsqueeze(1) + lucid.arange(3)
    return x[index].sum(1) / 3


@of_time()
def gathered_at_computed_places(x):
    T = x.shape[0]
    at = lucid.arange(T)
    return x[at // 2] + x[(at + 1) % T] + x[T - 1 - at], x.gather(0, (at % T).unsqueeze(1).expand(T, 3)) * 2


@of_time()
def scattered_into_half_as_many(x):
    T = x.shape[0]
    index = (lucid.arange(T) // 2).unsqueeze(1).expand(T, 3)
    return lucid.zeros((T + 1) // 2, 3).scatter_add(0, index, x)


# --- sizes of sizes, of results, of pieces


@of_plane()
def numbers_of_elements(x):
    T, N, H = x.shape
    return x / x.numel(), x.sum() / math.prod(x.shape), x * sum(x.shape[:2]), x.sum((0, 1)) / (T * N * H)


@of_plane()
def merged_and_split_again(x):
    *lead, H = x.shape
    flat = x.flatten(0, 1).tanh()
    return (
        flat.unflatten(0, lead),
        flat.reshape(*lead, H, 1),
        x.reshape(lead[1] * H, lead[0]) * 1.0,
        x.transpose(0, 1).reshape(x.size(1), -1) / flat.shape[0],
    )


@of_plane()
def shapes_from_shapes(x):
    shape = x.shape[:1] + (1,) * (x.dim() - 2) + x.shape[-1:]
    sums = [a + b for a, b in zip(x.shape, x.shape[::-1], strict=True)]
    return x + lucid.ones(*shape), lucid.zeros(sums[0], 2) + x.sum(), lucid.ones(x.shape).cumsum(0) * x


@of_two()
def three_pieces_joined(x, y):
    z = lucid.cat([x, y, x[1:]])
    return z * z.shape[0] - len(z.shape), z[: z.shape[0] // 2] / (z.numel() - y.numel())


@of_two()
def half_of_one_before_the_other(x, y):
    z = lucid.cat([x[: x.shape[0] // 2], y])
    return z / z.shape[0] + lucid.arange(z.shape[0]).unsqueeze(1)


@of_time()
def sizes_of_slices(x):
    return x[:-1] * x[1:].shape[0], x * x[: x.shape[0] // 2].size(0), x[1:] + x[:-1].numel()


@of_time()
def means_of_every_third(x):
    third = x[::3]
    return third.sum(0) / third.shape[0], x[1::3].sum(0) / (x[1::3].shape[0] + 1), third * lucid.ones(third.shape[0], 3)


@of_two()
def sizes_of_products_and_stacks(x, y):
    scores = x @ y.T
    return scores / scores.shape[1], lucid.stack([x, x], 1).sum((0, 1)) / scores.shape[0] ** 0.5


@EXPORTED.exported((rand(2, 3, 9),), *[(rand(b, 3, a),) for a, b in PAIRS], free={"x": (0, 2)})
def the_size_after_a_convolution(x):
    y = conv(x)
    return y.sum(-1) / y.shape[-1], y * lucid.arange(y.shape[-1]).float()


@of_plane()
class StatesAndLastSteps(nn.Module):
    def __init__(self):
        super().__init__()
        self.forwards, self.backwards = rnn, gru

    def forward(self, x):
        T, N, _ = x.shape
        output, _ = self.forwards(x, lucid.full((1, N, 4), 1.0) / N)
        return output[T - 1] + output[T // 2], self.backwards(x.flip(0))[0].flip(0)[: T // 2] / T


@of_time()
def positions_from_a_table(x):
    T = x.shape[0]
    return x + table(lucid.arange(T)) - table(lucid.arange(T, 0, -1)) + table.weight[:T]


@of_time()
def waves_of_positions(x):
    T = x.shape[0]
    angles = lucid.arange(T).float().unsqueeze(1) / (10000.0 ** (lucid.arange(2).float() / 2)) / T
    return lucid.cat([angles.sin(), angles.cos()], 1)[:, :3] + x


@pytest.mark.parametrize("case", EXPORTED, ids=str)
def test_it_is_exported_and_right_at_every_size(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("right"), found
