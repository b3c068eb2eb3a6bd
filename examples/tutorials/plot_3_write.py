"""
Generate text
=============

A small GRU learns to write from Python's own help texts, byte by byte. In seconds it learns words and spaces, not
sense; ``python -m models.characters`` trains for minutes, and compares itself with compressors.
"""

# %%
# The text is the help that every Python carries, as bytes. Its beginning is enough for today; the bytes after it are
# for the test.

import matplotlib.pyplot as plt
import numpy as np

import lucid
from lucid import nn
from lucid.nn.functional import cross_entropy
from models import characters

text = characters.load().training
training, test = text[:96_001], text[96_001:108_002]
print(bytes(training[3000:3200].astype(np.uint8)).decode())

# %%
# Given a byte and a state, the model scores the next byte. The state is an argument and a result, so that a text can be
# read in pieces.


class Writer(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 32)
        self.gru = nn.GRU(32, hidden)
        self.head = nn.Linear(hidden, 256)

    def forward(self, text: lucid.Tensor, h0: lucid.Tensor | None = None) -> tuple[lucid.Tensor, lucid.Tensor]:
        output, h_n = self.gru(self.embedding(text), h0)
        return self.head(output), h_n


def loss(
    model: Writer, text: lucid.Tensor, following: lucid.Tensor, h0: lucid.Tensor
) -> tuple[lucid.Tensor, dict[str, lucid.Tensor]]:
    scores, h_n = model(text, h0)
    return cross_entropy(scores.flatten(0, 1), following.flatten()), {"h_n": h_n}


# %%
# 32 streams of the text are read side by side, 50 bytes at a time. The state at the end of one piece is that at the
# start of the next.

lucid.manual_seed(0)
model = Writer(96)
optimizer = lucid.optim.Adam(model.parameters(), lr=1e-2)
step = lucid.compile(model, loss=loss, optimizer=optimizer, clip_grad_norm=1.0)
given = lucid.tensor(training[:-1].reshape(32, -1).T.copy())
following = lucid.tensor(training[1:].reshape(32, -1).T.copy())
bits = []
for _ in range(3):
    h = lucid.zeros(1, 32, 96)
    for start in range(0, len(given), 50):
        value, results = step(given[start : start + 50], following[start : start + 50], h)
        h = results["h_n"]
        bits.append(value.item() / np.log(2))

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.plot(bits, linewidth=1)
axes.set(xlabel="step", ylabel="bits per byte, in training", ylim=(0, 8))

# %%
# What it is worth on text that it has not seen, beside the frequencies of single bytes:

with lucid.no_grad():
    scores, _ = model(lucid.tensor(test[:-1, None]))
    tested = cross_entropy(scores.flatten(0, 1), lucid.tensor(test[1:])).item() / np.log(2)
frequencies = (np.bincount(training, minlength=256) + 1) / (len(training) + 256)
single = -np.log2(frequencies[test[1:]]).mean()
print(f"{tested:.2f} bits per byte; {single:.2f} by frequencies")

# %%
# Exported with its state, the model writes in onnxruntime. A stream keeps the state between calls; each byte is drawn
# from the scores, and is the next input.

example = lucid.randint(0, 256, (5, 2)), lucid.zeros(1, 2, 96)
exported = lucid.export.to_onnx(model, *example, output_names=["scores", "h_n"])
stream = lucid.runtime.Session(exported).stream(batch=1)
random = np.random.default_rng(0)
written = list(b"The ")
scores = stream(np.array(written)[:, None])["scores"]
for _ in range(300):
    # The largest score with Gumbel noise is a sample of the softmax.
    written.append(int(np.argmax(scores[-1, 0] / 0.6 + random.gumbel(size=256))))
    scores = stream(np.array([[written[-1]]]))["scores"]
print(bytes(written).decode(errors="replace"))
plt.show()
