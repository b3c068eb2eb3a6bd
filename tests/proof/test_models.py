"""Whole models that compute with lucid alone, whatever their sizes: exported with those axes free, and right."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from tests.proof.case import Case, Cases, rand, verdict
from tests.tiers import thinned

F = nn.functional
PAIRS = ((1, 1), (2, 7), (7, 2), (8, 8), (13, 3), (3, 13), (20, 21), (21, 20), (31, 9), (64, 2), (129, 1), (1, 65))
ROWS = (1, 2, 3, 7, 8, 13, 16, 21, 32, 33, 64, 100)
RNG = np.random.default_rng(5)
lucid.manual_seed(0)

EXPORTED = Cases()
exported = EXPORTED.exported


def planes(features: int) -> list[tuple[Any, ...]]:
    """Returns an example of shape (5, 2, features), and more of other sizes."""
    return [(rand(a, b, features),) for a, b in ((5, 2), *PAIRS)]


def rows(features: int) -> list[tuple[Any, ...]]:
    return [(rand(n, features),) for n in (5, *ROWS)]


def ids(*shape: int, of: int = 6) -> np.ndarray[Any, Any]:
    return RNG.integers(0, of, shape)


BOTH = {"x": (0, 1)}
batches = functools.partial(exported, *planes(8), free=BOTH)  # (batch, time, 8)
sequences = functools.partial(exported, *planes(3), free=BOTH)  # (time, batch, 3)

# --- attention


@batches()
class CausalAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.project, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        N, T, H = x.shape
        q, k, v = (t.reshape(N, T, 2, H // 2).transpose(1, 2) for t in self.project(x).chunk(3, -1))
        future = lucid.triu(lucid.ones(T, T), 1) > 0
        weights = (q @ k.mT / math.sqrt(4)).masked_fill(future, -np.inf).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(N, T, H))


@exported(
    (rand(2, 5, 8), np.ones((2, 5), bool)),
    *[(rand(a, b, 8), np.arange(b) < 1 + ids(a, 1, of=b)) for a, b in PAIRS],
    free={"x": (0, 1), "seen": (0, 1)},
)
class MaskedAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x, seen):
        T = x.shape[1]
        bias = lucid.triu(lucid.full((T, T), -np.inf), 1)
        far = (lucid.arange(T).unsqueeze(1) - lucid.arange(T)) > T // 2
        output, weights = self.attention(x, x, x, attn_mask=bias.masked_fill(far, -2.0))
        return output * seen.unsqueeze(-1), weights * T


@exported((rand(4, 8), rand(6, 8)), *[(rand(a, 8), rand(b, 8)) for a, b in PAIRS], free={"query": (0,), "memory": (0,)})
def attention_over_another_length(query, memory):
    S = memory.shape[0]
    weights = (query @ memory.T * S**-0.5).softmax(-1)
    return weights @ memory + memory.sum(0) / S, (weights * weights.log()).sum(-1) * (1 / S)


@batches()
class RelativePositions(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Embedding(9, 1)

    def forward(self, x):
        at = lucid.arange(x.shape[1])
        apart = (at.unsqueeze(0) - at.unsqueeze(1)).clamp(-4, 4) + 4
        return (x @ x.mT + self.bias(apart).squeeze(-1)).softmax(-1) @ x


@batches()
def linear_slopes_and_rotations(x):
    T, half = x.shape[1], x.shape[2] // 2
    slopes = (lucid.arange(T) - (T - 1)).float() / 8
    angles = lucid.arange(T).float().unsqueeze(1) / 10.0 ** lucid.arange(half).float()
    left, right = x[..., :half], x[..., half:]
    turned = [left * angles.cos() - right * angles.sin(), left * angles.sin() + right * angles.cos()]
    return (lucid.cat(turned, -1) @ x.mT + slopes).softmax(-1) @ x


@exported(
    (rand(2, 1, 8), rand(2, 4, 8)),
    *[(rand(a, 1, 8), rand(a, b, 8)) for a, b in PAIRS],
    free={"new": (0,), "past": (0, 1)},
)
class WithKeysKept(nn.Module):
    def __init__(self):
        super().__init__()
        self.position = nn.Embedding(400, 8)

    def forward(self, new, past):
        P = past.shape[1]
        keys = lucid.cat([past, new + self.position.weight[P]], 1)
        return (new @ keys.mT / keys.shape[1]).softmax(-1) @ keys, keys[:, -P:]


@batches()
def attention_within_windows(x):
    N, T, H = x.shape
    size = 4
    chunks = F.pad(x, (0, 0, 0, -T % size)).reshape(N, -(-T // size), size, H)
    mixed = (chunks @ chunks.mT).softmax(-1) @ chunks
    return mixed.reshape(N, chunks.shape[1] * size, H)[:, :T] * 1.0


# --- recurrent


@sequences()
class InChunks(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4)

    def forward(self, x):
        T, N, H = x.shape
        chunks = F.pad(x, (0, 0, 0, 0, 0, -T % 8)).reshape(-1, 8, N, H).transpose(0, 1)
        output, last = self.rnn(chunks.reshape(8, -1, H))
        output = output.reshape(8, (T + 7) // 8, N, 4).transpose(0, 1).reshape(-1, N, 4)
        return output[:T] * 1.0, last.reshape(-1, N, 4).sum(0) / ((T + 7) // 8)


@sequences()
class BothWaysByFlip(nn.Module):
    def __init__(self):
        super().__init__()
        self.there, self.back, self.norm = nn.LSTM(3, 4), nn.RNN(3, 4), nn.LayerNorm(8)

    def forward(self, x):
        T, N, _ = x.shape
        there = self.there(x, (lucid.zeros(1, N, 4), lucid.ones(1, N, 4)))[0]
        both = self.norm(lucid.cat([there, self.back(x.flip(0))[0].flip(0)], -1))
        return both, both[T // 2] + both[-1] / T


@exported(
    (rand(5, 2, 3), np.array([5, 2])),
    *[(rand(a, b, 3), 1 + ids(b, of=a)) for a, b in PAIRS],
    free={"x": (0, 1), "lengths": (0,)},
)
class MeanOfPacked(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4)

    def forward(self, x, lengths):
        packed, _ = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
        output, counts = pad_packed_sequence(packed)
        inside = lucid.arange(x.shape[0]).unsqueeze(1) < lengths
        return (output * inside.unsqueeze(-1)).sum(0) / counts.unsqueeze(1).float(), inside.float().sum() / x.numel()


@exported(
    (rand(6, 2, 3), rand(4, 2, 3)),
    *[(rand(a, c, 3), rand(b, c, 3)) for (a, b), c in zip(PAIRS, (1, 2, 3, 8) * 3, strict=True)],
    free={"source": (0, 1), "target": (0, 1)},
)
class SequenceToSequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder, self.head = nn.GRU(3, 4), nn.GRU(3, 4), nn.Linear(8, 3)
        self.start = nn.Parameter(lucid.ones(3))

    def forward(self, source, target):
        T, N, H = target.shape
        memory, state = self.encoder(source)
        shifted = lucid.cat([self.start.expand(1, N, H), target[: T - 1]])
        output, _ = self.decoder(shifted, state)
        scores = lucid.einsum("tnh,snh->nts", output, memory) / source.shape[0]
        context = lucid.einsum("nts,snh->tnh", scores.softmax(-1), memory)
        return self.head(lucid.cat([output, context], -1)), (target - shifted).square().sum() / (T * N * H)


@sequences()
class ScannedByAStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.transitions, self.cell = nn.Parameter(lucid.tensor(rand(3, 3))), nn.LSTMCell(3, 4)

    def forward(self, x):
        T, N, H = x.shape

        def step(emission, scores):
            scores = lucid.logsumexp(scores.unsqueeze(-1) + self.transitions, 1) + emission
            return scores, scores

        scores, last = nn.scan(step, x, lucid.zeros(N, H))
        return scores.amax(-1), lucid.logsumexp(last, -1) / T, nn.scan(self.cell, x[: (T + 1) // 2])[0]


# --- convolutions, windows, resampling


@exported(*[(rand(a, 3, b),) for a, b in ((2, 9), *PAIRS)], free={"x": (0, 2)})
class CausalConvolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(3, 6, 3, dilation=2**i) for i in range(3))
        self.norm = nn.LayerNorm(3)

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            y = F.glu(layer(F.pad(x, (2 * 2**i, 0))), 1)
            x = x + self.norm(y.transpose(1, 2)).transpose(1, 2)
        return x, x.sum(-1) / x.shape[-1]


@exported(*[(rand(a, 3, b),) for a, b in ((2, 9), *PAIRS)], free={"x": (0, 2)})
class DownAndUp(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv1d(3, 4, 4, stride=2, padding=2), nn.Conv1d(4, 3, 3, padding=1)

    def forward(self, x):
        T = x.shape[-1]
        return x + self.up(self.down(x).relu().repeat_interleave(2, -1))[..., :T]


@exported(
    *[(rand(c, a, b),) for (a, b), c in zip(((9, 6), *PAIRS), (2, 1, 3) * 5, strict=False)], free={"x": (0, 1, 2)}
)
class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(16, 16)

    def forward(self, x):
        N, H, W = x.shape
        h, w = (H + 3) // 4, (W + 3) // 4
        tiles = F.pad(x, (0, -W % 4, 0, -H % 4)).reshape(N, h, 4, w, 4).permute(0, 1, 3, 2, 4).reshape(N, h * w, 16)
        tiles = self.mix(tiles - tiles.sum(1, keepdim=True) / (h * w))
        return tiles.reshape(N, h, w, 4, 4).permute(0, 1, 3, 2, 4).reshape(N, 4 * h, 4 * w)[:, :H, :W] * 1.0


@exported(*rows(3), free={"x": (0,)})
def frames_and_their_sum(x):
    T = x.shape[0]
    frames = 1 + (T - 4) // 2
    at = lucid.arange(frames).unsqueeze(1) * 2 + lucid.arange(4)
    cut = x[at] * lucid.tensor([0.25, 0.75, 0.75, 0.25]).unsqueeze(1)
    return lucid.zeros(T, 3).scatter_add(0, at.reshape(-1, 1).expand(-1, 3), cut.reshape(-1, 3)), cut.sum(0)


@exported(*rows(3), free={"x": (0,)})
def moving_average_by_sums(x):
    total = F.pad(x.cumsum(0), (0, 0, 1, 0))
    means = x.cumsum(0) / lucid.arange(1, x.shape[0] + 1).float().unsqueeze(1)
    return (total[3:] - total[:-3]) / 3, means, means - x.sum(0) / x.shape[0]


@exported(*rows(3), free={"x": (0,)})
def resampled_to_sixteen(x):
    T = x.shape[0]
    at = lucid.arange(16).float() * ((T - 1) / 15)
    low = at.floor().long().clamp(0, T - 1)
    high = (low + 1).clamp(max=T - 1)
    return x[low] + (x[high] - x[low]) * (at - low.float()).unsqueeze(1)


@exported(*rows(3), free={"x": (0,)})
def fourier_transform(x):
    T = x.shape[0]
    at = lucid.arange(T)
    angles = (at.unsqueeze(1) * at % T).float() * (2 * math.pi / T)
    return angles.cos() @ x / T**0.5, angles[: T // 2 + 1].sin() @ x / T


@exported(*rows(3), free={"x": (0,)})
def discounted_mean(x):
    T = x.shape[0]
    weights = 0.9 ** lucid.arange(T - 1, -1, -1).float()
    return (x * weights.unsqueeze(1)).sum(0) * (0.1 / (1 - 0.9**T)), (x - x.mean(0)) / (x.std(0) + x.shape[0])


# --- tokens


@exported((ids(2, 5),), *[(ids(a, b),) for a, b in PAIRS], free={"tokens": (0, 1)})
class TokensWithPositions(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.position, self.head = nn.Embedding(6, 4), nn.Embedding(200, 4), nn.Linear(4, 6)

    def forward(self, tokens):
        N, T = tokens.shape
        x = self.token(tokens) + self.position(lucid.arange(T)) + self.position.weight[T : 2 * T].flip(0)
        logits = self.head(x.tanh())
        loss = F.cross_entropy(logits[:, :-1].reshape(N * (T - 1), 6), tokens[:, 1:].reshape(-1), reduction="sum")
        return logits, loss / (N * T)


@exported(
    (rand(7, 2, 4), ids(2, 3, of=3) + 1),
    *[(rand(2 * b + a, a, 4), ids(a, b, of=3) + 1) for a, b in PAIRS[:8]],
    free={"logits": (0, 1), "targets": (0, 1)},
)
def connectionist_loss(logits, targets):
    T, N, _ = logits.shape
    S = targets.shape[1]
    best = logits.argmax(-1)
    kept = (best != 0) & (best != F.pad(best, (0, 0, 1, 0), value=-1)[:T])
    lengths = lucid.full((N,), T), lucid.full((N,), S)
    return F.ctc_loss(logits.log_softmax(-1), targets, *lengths, reduction="sum") / (N * S), kept.float().sum(0) / T


@exported((rand(2, 6),), *[(rand(n, 6),) for n in ROWS], free={"logits": (0,)})
class BeamOfThree(nn.Module):
    def __init__(self):
        super().__init__()
        self.bigram = nn.Embedding(6, 6)

    def forward(self, logits):
        N, V = logits.shape
        scores, tokens = logits.log_softmax(-1).topk(3)
        for _ in range(2):
            joint = (scores.unsqueeze(-1) + self.bigram(tokens).log_softmax(-1)).reshape(N, 3 * V)
            scores, chosen = joint.topk(3)
            tokens = chosen % V
        return scores / N, tokens, chosen // V


@exported(*rows(4), free={"x": (0,)})
class GreedyWithAMask(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.cell, self.head = nn.Embedding(6, 4), nn.GRUCell(4, 4), nn.Linear(4, 6)

    def forward(self, x):
        done, tokens = lucid.zeros(x.shape[0]).bool(), []
        for _ in range(5):
            token = self.head(x).argmax(-1).masked_fill(done, 0)
            done = done | (token == 0)
            x = self.cell(self.embedding(token), x)
            tokens.append(token)
        return lucid.stack(tokens, 1), done.float().sum() / x.shape[0]


@exported((rand(2, 6),), *[(rand(n, 6),) for n in ROWS], free={"logits": (0,)})
def the_most_probable_tokens(logits):
    order = logits.sort(-1, descending=True)
    before = order.values.softmax(-1).cumsum(-1) - order.values.softmax(-1)
    kept = order.values.masked_fill(before > 0.8, -np.inf).softmax(-1)
    return lucid.zeros_like(logits).scatter(1, order.indices, kept)


# --- losses and graphs


@exported(
    (rand(5, 2, 4), ids(5, 2, of=4), np.ones((5, 2), bool)),
    *[(rand(a, b, 4), ids(a, b, of=4), ids(a, b, of=3) > 0) for a, b in PAIRS],
    free={"logits": (0, 1), "target": (0, 1), "mask": (0, 1)},
)
def masked_and_smoothed_losses(logits, target, mask):
    T, N, C = logits.shape
    flat = F.cross_entropy(logits.flatten(0, 1), target.reshape(-1), reduction="none", label_smoothing=0.1)
    weights = mask.float() * lucid.arange(1, T + 1).float().unsqueeze(1) / (T * (T + 1) / 2)
    loss = flat.reshape(T, N) * weights
    return (
        loss.sum() / mask.float().sum().clamp(min=1),
        loss.sum() / N,
        F.one_hot(target, C).float().sum((0, 1)) / (T * N),
    )


@exported(*rows(3), free={"x": (0,)})
def contrastive_loss(x):
    N = x.shape[0]
    logits = F.normalize(x, dim=-1) @ F.normalize(x, dim=-1).T * 4.0
    apart = logits.masked_fill(lucid.eye(N).bool(), 0.0).triu().sum() / (N * (N - 1) / 2 + 1)
    return F.cross_entropy(logits, lucid.arange(N)), apart, logits.argmax(1)


@exported((rand(4, 3), rand(4, 4)), *[(rand(n, 3), rand(n, n)) for n in ROWS], free={"nodes": (0,), "edges": (0, 1)})
class GraphLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(3, 3)

    def forward(self, nodes, edges):
        N = nodes.shape[0]
        joined = (edges > 0).float() + lucid.eye(N)
        scale = joined.sum(1) ** -0.5
        return (joined * scale.unsqueeze(1) * scale) @ self.mix(nodes), joined.sum() / N**2


@pytest.mark.parametrize("case", thinned(EXPORTED, 2), ids=str)
def test_it_is_exported_and_right_at_every_size(case: Case) -> None:
    found = verdict(case)
    assert found.startswith("right"), found
