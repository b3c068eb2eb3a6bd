"""
Classify sequences
==================

Nine speakers say two vowels. Each utterance is a sequence of 7 to 29 frames with 12 numbers each. Which speaker was it?
A recurrent layer reads the frames, and its last state decides.
"""

# %%
# The data are split as published: 270 utterances to train on, 370 to test on. Every fifth utterance of the training
# part is set aside for validation, so that nothing is chosen by the test part. The arrays are padded at the end, and
# come with the lengths.

import matplotlib.pyplot as plt
import numpy as np

import lucid
from lucid import nn
from lucid.data import DataLoader, TensorDataset
from lucid.nn.functional import cross_entropy
from lucid.nn.utils.rnn import pack_padded_sequence
from models import vowels

utterances, test = vowels.load()
training, validation = utterances.split()
print(training.frames.shape, training.lengths[:5], training.speakers[:5])

# %%
# The model is written as in PyTorch. It standardizes the frames by those of the training part. ``pack_padded_sequence``
# tells the layer where each sequence ends.


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        frames = training.frames[np.arange(training.frames.shape[1]) < training.lengths[:, None]]
        self.register_buffer("mean", lucid.tensor(frames.mean(0)))
        self.register_buffer("std", lucid.tensor(frames.std(0)))
        self.rnn = nn.RNN(12, 48, batch_first=True)
        self.head = nn.Linear(48, 9)

    def forward(self, frames: lucid.Tensor, lengths: lucid.Tensor) -> lucid.Tensor:
        standardized = (frames - self.mean) / self.std
        packed = pack_padded_sequence(standardized, lengths, batch_first=True, enforce_sorted=False)
        scores: lucid.Tensor = self.head(self.rnn(packed)[1][-1])
        return scores


lucid.manual_seed(0)
model = Classifier()

# %%
# The loop, too. After each epoch it looks at the validation part.

loader = DataLoader(TensorDataset(*training), batch_size=32, shuffle=True)
optimizer = lucid.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
losses, accuracies = [], []
for _ in range(40):
    for frames, lengths, speakers in loader:
        loss = cross_entropy(model.train()(frames, lengths), speakers, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    losses.append(loss.item())
    with lucid.no_grad():
        scores = model.eval()(lucid.tensor(validation.frames), lucid.tensor(validation.lengths)).numpy()
    accuracies.append(float((scores.argmax(1) == validation.speakers).mean()))

figure = lucid.plot.history({"loss": {"last batch": losses}, "accuracy": {"validation": accuracies}})

# %%
# Now export. The number of utterances and their length are to be free. lucid proves that they are, and compares the
# file with the model in onnxruntime at several sizes before you get it.

exported = lucid.export.to_onnx(
    model,
    validation.frames[:4],
    validation.lengths[:4],
    path="vowels.onnx",
    output_names=["scores"],
    dynamic={"frames": {0: "batch", 1: "time"}, "lengths": {0: "batch"}},
)
print(exported)

# %%
# The file answers for the test part, which nothing has seen so far. Here the padding is filled with NaN: it does not
# matter what it holds.

session = lucid.runtime.Session("vowels.onnx")
spoiled = test.spoiled(steps=5)
answers = session(spoiled.frames, spoiled.lengths)["scores"].argmax(1)
accuracy = float((answers == test.speakers).mean())
print(f"{accuracy:.1%} of the answers are right")

counts = np.zeros((9, 9), int)
np.add.at(counts, (test.speakers, answers), 1)
figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
axes.imshow(counts / counts.sum(1, keepdims=True), cmap="Blues")
for i, j in zip(*counts.nonzero(), strict=True):
    axes.text(j, i, str(counts[i, j]), ha="center", va="center", color="white" if i == j else "tab:red")
axes.set(xlabel="answered speaker", ylabel="true speaker", xticks=range(9), yticks=range(9))
plt.show()
