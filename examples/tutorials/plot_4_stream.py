"""
Run as a stream
===============

A microphone, a sensor or a market never hands over a whole sequence. A stream takes what has come, in pieces of any
size, and keeps the state between them. lucid proves at export that pieces give what the whole gives.
"""

# %%
# The task is to forecast the next half-hour of the demand for electricity from all that came before. The last two weeks
# are for the test.

import matplotlib.pyplot as plt
import numpy as np

import lucid
from lucid import nn
from models import electricity

demand = (electricity.load() / 1000).astype(np.float32)  # gigawatts
split = len(demand) - 2 * 336


class NextValue(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(1, 24), nn.Linear(24, 1)

    def forward(self, demand: lucid.Tensor, h0: lucid.Tensor | None = None) -> tuple[lucid.Tensor, lucid.Tensor]:
        """Returns the forecast at each step, (T, N, 1), and the state after the last, (1, N, 24)."""
        output, h_n = self.gru((demand - 30) / 5, h0)
        return demand + self.head(output), h_n


# %%
# Twelve pieces of the training part, side by side, are enough to learn from.

lucid.manual_seed(0)
model = NextValue()
pieces = lucid.tensor(demand[: split // 12 * 12].reshape(12, -1, 1).swapaxes(0, 1).copy())
optimizer = lucid.optim.Adam(model.parameters(), lr=1e-2)
losses = []
for _ in range(150):
    loss = nn.functional.mse_loss(model(pieces[:-1])[0][24:], pieces[25:])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    losses.append(loss.item())
figure = lucid.plot.history(losses, xlabel="step", log=True)

# %%
# An example with a state makes the state an input of the file, which says which output continues it.

exported = lucid.export.to_onnx(
    model, pieces[:5, :2], lucid.zeros(1, 2, 24), path="next.onnx", output_names=["forecast", "h_n"]
)
session = lucid.runtime.Session("next.onnx")
print(session.interface.states)

# %%
# Pieces of any size, even of one step, give what the whole sequence gives.

known = demand[:, None, None]
whole = session(known)["forecast"]
stream = session.stream(batch=1)
random, parts, start = np.random.default_rng(0), [], 0
while start < len(known):
    size = int(random.integers(1, 100))
    parts.append(stream(known[start : start + size])["forecast"])
    start += size
difference = float(np.abs(np.concatenate(parts) - whole).max())
print(f"{len(parts)} pieces; greatest difference from the whole: {difference:.1e} GW")

# %%
# In the test part, half-hour by half-hour:

forecast, truth, last = whole[split:-1, 0, 0], demand[split + 1 :], demand[split:-1]
error, naive = (float(100 * np.abs(x / truth - 1).mean()) for x in (forecast, last))
print(f"error {error:.2f} %, of the last value {naive:.2f} %")

hours = np.arange(96) / 2
figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
axes.plot(hours, truth[:96], color="black", linewidth=1, label="demand")
axes.plot(hours, forecast[:96], linestyle="--", label="forecast half an hour before")
axes.set(xlabel="hours", ylabel="demand, GW", xlim=(0, 48), xticks=range(0, 49, 6))
axes.legend()

# %%
# A model that mixes steps, such as one that subtracts the mean over time, has no such pieces. The file can be written,
# but a stream of it is refused, with the op and the line:


def centred(demand: lucid.Tensor, h0: lucid.Tensor) -> tuple[lucid.Tensor, lucid.Tensor]:
    forecast, h_n = model(demand - demand.mean(0), h0)
    return forecast, h_n


try:
    lucid.runtime.Session(lucid.export.to_onnx(centred, pieces[:5, :2], lucid.zeros(1, 2, 24))).stream(batch=1)
except lucid.errors.LucidError as refused:
    said = str(refused)
    print(said)

plt.show()
