"""Whole programs that read values, keep state or count in Python: exported rightly, or refused."""

from __future__ import annotations

import collections
import functools
import math
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn.utils.rnn import pack_padded_sequence
from tests.proof.case import Case, Cases, rand, sized, verdict

F = nn.functional
PAIRS = ((1, 1), (2, 7), (7, 2), (8, 8), (13, 3), (3, 13), (20, 21), (21, 20), (31, 9), (64, 2), (100, 1), (1, 65))
RNG = np.random.default_rng(6)
X = rand(5, 2, 3)
TIMES = sized(2, 3)
PLANES = [(rand(a, b, 3),) for a, b in PAIRS]

lucid.manual_seed(0)
embedding, cell, head, rnn = nn.Embedding(6, 4), nn.RNNCell(4, 4), nn.Linear(4, 6), nn.GRU(3, 4)

HONEST, REFUSED, EXPORTED = Cases(), Cases(), Cases()
honest, refused, exported = HONEST.honest, REFUSED.refused, EXPORTED.exported


def ids(*shape: int, of: int = 6) -> np.ndarray[Any, Any]:
    return RNG.integers(0, of, shape)


# --- Python reads a value, and it decides


@refused((rand(2, 4),), (rand(2, 4, scale=9),), (-rand(2, 4),))
def decodes_until_all_have_ended(h):
    done, tokens = lucid.zeros(2).bool(), []
    for _ in range(8):
        token = head(h).argmax(-1)
        done = done | (token == 0)
        tokens.append(token.masked_fill(done, 0))
        if bool(done.all()):
            break
        h = cell(embedding(token), h)
    return lucid.stack(tokens)


@refused((rand(6),), (rand(6, scale=9),), (-rand(6),))
def a_beam_in_python(logits):
    beams = [(0.0, (0,))]
    for _ in range(2):
        scores = logits.log_softmax(-1).tolist()
        beams = [(score + s, (*path, k)) for score, path in beams for k, s in enumerate(scores)]
        beams = sorted(beams, reverse=True)[:2]
    return lucid.tensor([path for _, path in beams]) + logits.sum()


@refused((rand(4, 3),), (rand(4, 3, scale=9),))
def leaves_early(x):
    for scale in (1.0, 2.0, 3.0):
        x = (x * scale).tanh()
        if float(x.softmax(-1).amax(-1).mean()) > 0.55:
            return x
    return x * 2


@refused((rand(3, 4),), (rand(3, 4, scale=5),))
def computes_until_halted(x):
    halted, total = lucid.zeros(3), x * 0
    while (halted < 1).any():
        p = x.mean(1).sigmoid()
        total, halted, x = total + x * p.unsqueeze(1), halted + p, x.tanh()
    return total


@refused((rand(4, 2, 3), np.array([4, 2])), (rand(4, 2, 3), np.array([2, 3])))
def sorted_by_length_in_python(x, lengths):
    order = sorted(range(2), key=lambda i: -int(lengths[i]))
    return rnn(pack_padded_sequence(x[:, order], lengths[order]))[1]


@refused((rand(9, 2, 3), np.array([3, 2])), (rand(9, 2, 3), np.array([9, 2])))
def padded_to_a_multiple_of_the_longest(x, lengths):
    longest = -(-int(lengths.max()) // 4) * 4
    return rnn(F.pad(x, (0, 0, 0, 0, 0, 3))[:longest])[0]


@refused((rand(4, 3), np.ones(4, bool)), (rand(4, 3), np.zeros(4, bool)))
def nothing_for_an_empty_mask(x, mask):
    if mask.sum() == 0:
        return x.sum() * 0
    return (x * mask.unsqueeze(1)).sum() / mask.float().sum()


@refused((rand(4, 3),), (rand(4, 3) * np.float32(np.nan),))
def zero_for_a_loss_that_is_nan(x):
    loss = x.square().mean()
    return lucid.zeros(()) if bool(lucid.isnan(loss)) else loss


@refused((np.array([1, 3, 3]),), (np.array([1, 2, 3]),), (np.array([5, 5, 5]),))
def the_different_tokens(tokens):
    return embedding(lucid.tensor(sorted(set(tokens.tolist())))).sum(0)


@refused((np.array([1, 3, 3]),), (np.array([1, 2, 2]),))
def the_most_frequent_token(tokens):
    return embedding(lucid.tensor(collections.Counter(tokens.tolist()).most_common(1)[0][0]))


@refused((rand(4, 3), np.array([0, 1, 0, 1])), (rand(4, 3), np.array([2, 2, 2, 1])))
def routed_to_experts(x, expert):
    return lucid.stack([x[i] * (2.0, 3.0, 4.0)[int(expert[i])] for i in range(4)])


@refused((rand(3, 4),), (rand(3, 4) * -1,))
def words_dropped_by_numpy(x):
    kept = (x.numpy() > 0).any(-1, keepdims=True)
    return x * lucid.tensor(kept)


@refused((np.array([1, 2, 0, 4]),), (np.array([1, 2, 4, 4]),), (np.array([0, 2, 4, 4]),))
def up_to_the_end_token(tokens):
    found = tokens.tolist()
    return embedding(tokens[: found.index(0)]).sum(0) if 0 in found else embedding(tokens).sum(0)


@refused((rand(6),), (rand(6) * 3,), match="")
def scaled_by_its_standard_deviation(x):
    return x * (1 / np.std(np.asarray(x)).item())


# --- state between calls


@refused((rand(4, 3),), (rand(4, 3) + 5,), match="RunningMean")
class RunningMean(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = lucid.zeros(3)

    def forward(self, x):
        self.mean = self.mean * 0.9 + x.mean(0) * 0.1
        return x - self.mean


@refused((rand(4, 3),), (rand(4, 3),), match="EverySecondCall")
class EverySecondCall(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls: list[int] = []

    def forward(self, x):
        self.calls.append(x.shape[0])
        return x * 2 if len(self.calls) % 2 else x


@honest((X,), *TIMES)
class TableGrownOnDemand(nn.Module):
    def __init__(self):
        super().__init__()
        self.waves = self.made(8)

    @staticmethod
    def made(n):
        return (lucid.arange(n).float().unsqueeze(1) / lucid.tensor([1.0, 7.0, 49.0])).sin()

    def forward(self, x):
        T = x.shape[0]
        if self.waves.shape[0] < T:
            self.waves = self.made(2 * T)
        return x + self.waves[:T].unsqueeze(1)


WARM = {n: lucid.arange(n).float() for n in (5, 13)}


@honest((X,), *TIMES)
def a_table_of_tensors_that_is_warm(x):
    if x.shape[0] not in WARM:
        WARM[x.shape[0]] = lucid.arange(x.shape[0]).float()
    return x + WARM[x.shape[0]].reshape(-1, 1, 1)


@honest((X,), *TIMES)
def a_table_of_numbers_that_is_kept(x, seen={}):  # noqa: B006 - the state is the point
    factor = seen.setdefault(x.shape[0], 1.0 / x.shape[0])
    return x * factor


@honest((X,), *TIMES)
class TheLongestSoFar(nn.Module):
    def __init__(self):
        super().__init__()
        self.longest = 7

    def forward(self, x):
        self.longest = max(self.longest, x.shape[0])
        return F.pad(x, (0, 0, 0, 0, 0, self.longest - x.shape[0]))


# --- loops and lengths in Python


@honest((X,), *TIMES)
class ChunksInALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4)

    def forward(self, x):
        state, outputs = None, []
        for begin in range(0, x.shape[0], 16):
            output, state = self.rnn(x[begin : begin + 16], state)
            state = state * 0.5
            outputs.append(output)
        return lucid.cat(outputs)


@honest((X,), *TIMES)
def truncated_to_the_last_sixteen(x):
    return rnn(x[-16:] if x.shape[0] > 16 else x)[1]


@honest((X,), *TIMES)
def padded_to_sixteen(x):
    return F.pad(x, (0, 0, 0, 0, 0, max(16 - x.shape[0], 0)))[:16].sum(1)


@honest((rand(5, 4), rand(4, 4)), *[(rand(a, 4), rand(b, 4)) for a, b in PAIRS])
def alignment_by_dynamic_programming(x, y):
    costs = (x.unsqueeze(1) - y).square().sum(-1)
    row = [costs[0, 0]]
    for j in range(1, min(y.shape[0], 40)):
        row.append(row[-1] + costs[0, j])
    for i in range(1, min(x.shape[0], 8)):
        new = [row[0] + costs[i, 0]]
        for j in range(1, len(row)):
            new.append(lucid.minimum(lucid.minimum(row[j], new[-1]), row[j - 1]) + costs[i, j])
        row = new
    return row[-1] / (len(x) + len(y))


@honest((rand(5, 3), rand(4, 3)), *[(rand(a, 3), rand(b, 3)) for a, b in PAIRS])
def the_longer_is_the_query(x, y):
    query, memory = (x, y) if x.shape[0] >= y.shape[0] else (y, x)
    return (query @ memory.T).softmax(-1) @ memory


@honest((X,), *PLANES)
def a_mean_over_pairs(x):
    N = x.shape[1]
    pairs = [(x[:, i] * x[:, j]).sum() for i in range(min(N, 9)) for j in range(i)]
    return sum(pairs, lucid.zeros(())) / max(len(pairs), 1)


@honest((rand(4, 4),), *[(rand(n, 4),) for n in (1, 2, 3, 5, 8, 9)])
def positions_of_hidden_size(x):
    return x + lucid.eye(x.shape[0])[:, :4].sum(0) if x.shape[0] < 4 else x @ lucid.eye(4) * x.shape[0]


@honest((X,), *PLANES)
def a_coin_decides(x):
    return rnn(x)[0] if lucid.rand(1).item() < 2.0 else x


@honest((rand(4, 6), ids(4)), *[(rand(n, 6), ids(n)) for n in (1, 2, 7, 31)])
def a_loss_and_a_metric(logits, target):
    return F.cross_entropy(logits, target), {"accuracy": float((logits.argmax(1) == target).float().mean())}


# --- what Python does changes nothing: exported, with these axes free


@exported((X,), *[(rand(5, n, 3),) for n in (1, 2, 7, 8, 31, 64)], free={"x": (1,)})
class TeacherForcingInALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRUCell(3, 4), nn.Linear(4, 3)

    def forward(self, x):
        h, y, outputs = lucid.zeros(x.shape[1], 4), x[0] * 0, []
        for t in range(x.shape[0]):
            h = self.cell(x[t] if t % 2 else y, h)
            y = self.head(h)
            outputs.append(y)
        return lucid.stack(outputs), sum(outputs) / len(outputs)


@exported((X,), *PLANES, free={"x": (0, 1)})
class ANumberOfAParameter(nn.Module):
    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(lucid.tensor(2.0))
        self.register_buffer("limits", lucid.tensor([3, 4]))

    def forward(self, x):
        if float(self.temperature) < 0 or int(self.limits[0]) > 3:
            raise ValueError("a negative temperature")
        return x.softmax(0) / self.temperature.item() * int(self.limits.max()) / x.shape[0]


@exported((X,), *PLANES, free={"x": (0, 1)})
def checked_and_measured(x):
    if not bool(lucid.isfinite(x).all()):
        raise FloatingPointError(f"a loss of {float(x.sum())} at {x.shape}")
    print(f"{x.abs().max().item():.2f}", end="")
    return x.square().sum() / x.numel()


@functools.lru_cache(maxsize=4)
def waves(length: int, size: int, base: float = 100.0) -> Any:
    at = lucid.arange(length).float().unsqueeze(1) / base ** (lucid.arange(size).float() / size)
    return lucid.where(lucid.arange(size) % 2 == 0, at.sin(), at.cos())


waves(5, 3)


@exported((X,), *PLANES, free={"x": (0, 1)})
def waves_from_a_warm_cache(x):
    return x * math.sqrt(3) + waves(x.shape[0], x.shape[2]).unsqueeze(1) / x.shape[1]


TABLES: dict[Any, Any] = {}


@exported((X,), *PLANES, free={"x": (0, 1)})
def masks_in_a_table_of_two_sizes(x):
    key = ("mask", x.shape[0], x.shape[1])
    if key not in TABLES:
        TABLES[key] = lucid.arange(x.shape[0]).unsqueeze(1) <= lucid.arange(x.shape[1])
    return x.masked_fill(TABLES[key].unsqueeze(-1), 0.0)


@exported((rand(4, 3), ids(4, of=3)), *[(rand(n, 3), ids(n, of=3)) for n in (1, 2, 7, 31, 64)], free={"x": (0,)})
def means_of_segments(x, segment):
    count = lucid.zeros(3).scatter_add(0, segment, lucid.ones(x.shape[0]))
    total = lucid.zeros(3, 3).scatter_add(0, segment.unsqueeze(1).expand(x.shape[0], 3), x)
    return total / count.clamp(min=1).unsqueeze(1), count / x.shape[0]


@exported((rand(4, 3), rand(6, 3)), *[(rand(a, 3), rand(b, 3)) for a, b in PAIRS], free={"x": (0,), "y": (0,)})
def the_nearest_of_others(x, y):
    apart = (x.unsqueeze(1) - y).square().sum(-1)
    return y[apart.argmin(1)], apart.amin(1).sum() / x.shape[0] + apart.amin(0).sum() / y.shape[0]


@exported(
    (rand(5, 3), rand(5), rand(3)),
    *[(rand(n, 3), rand(n), rand(3)) for n in (1, 2, 7, 31, 64)],
    free={"x": (0,), "y": (0,)},
)
def a_step_and_the_loss_after_it(x, y, w):
    w = w.detach().requires_grad_()
    (g,) = lucid.autograd.grad((x @ w - y).square().sum() / x.shape[0], [w], create_graph=True)
    after = w - g * (0.1 / g.norm().clamp(min=0.1))
    loss = (x @ after - y).square().mean()
    return loss, lucid.grad(loss, [w])[0] * x.shape[0]


@exported((X,), *PLANES, free={"x": (0, 1)})
class Saliency(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        T, N, _ = x.shape
        x = x.detach().requires_grad_()
        score = (self.head(self.rnn(x)[0]).amax(-1) * lucid.arange(T).float().unsqueeze(1)).sum() / (T * N)
        return lucid.grad(score, [x])[0] * T


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_a_value_or_a_call_decides_is_refused(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("refused"), found
    assert (case.match or "test_programs.py:") in found, found


@pytest.mark.parametrize("case", HONEST, ids=str)
def test_it_is_right_at_every_size_or_refused(case: Case) -> None:
    found = verdict(case)
    assert found.startswith(("right", "refused")), found


@pytest.mark.parametrize("case", EXPORTED, ids=str)
def test_it_is_exported_and_right_at_every_size(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("right"), found
