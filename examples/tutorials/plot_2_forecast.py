"""
Forecast a series
=================

The demand for electricity in England and Wales, each half-hour for twelve weeks. From two weeks a GRU forecasts the
next day, as a median with an interval.
"""

# %%
# The last two weeks are the test part. The model learns from the ten weeks before, and never sees the rest. What it
# forecasts is the change against the same half-hour a week ago, which is what people know without a model.

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import lucid
from lucid import nn
from models import electricity

DAY, WEEK = 48, 336
demand = electricity.load().astype(np.float32)
split = len(demand) - 2 * WEEK
windows = sliding_window_view(demand, 2 * WEEK + DAY)  # two weeks, and the day after
training, test = windows[: split - 2 * WEEK - DAY + 1], windows[split - 2 * WEEK :]
print(f"{len(training)} windows to train on, {len(test)} to test on")

# %%
# Logarithms make a change a percentage. All of it, scaling included, is part of the model, so the file takes megawatts
# and gives megawatts.

QUANTILES = (0.1, 0.5, 0.9)
SCALE = float(np.log(demand[WEEK:split] / demand[: split - WEEK]).std())


class Forecaster(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 24)
        self.head = nn.Linear(24 + DAY, 3 * DAY)

    def forward(self, demand: lucid.Tensor) -> lucid.Tensor:
        """Returns quantiles (3, 48, N) of the next day's demand, given two weeks (672, N)."""
        changes = (demand[WEEK:] / demand[:WEEK]).log() / SCALE
        state = self.gru(changes[-2 * DAY :].unsqueeze(2))[1][0]
        known = lucid.cat([state, changes[-DAY:].movedim(0, 1)], 1)
        forecast: lucid.Tensor = self.head(known).unflatten(1, (3, DAY)).movedim(0, 2)
        return demand[WEEK : WEEK + DAY] * (SCALE * forecast).exp()


# %%
# A quantile is learnt by the pinball loss, ``QuantileLoss``. ``lucid.compile`` makes a training step that runs in
# onnxruntime: forward, loss, gradients, clipping and update as one graph.


def loss(model: nn.Module, given: lucid.Tensor, day: lucid.Tensor) -> lucid.Tensor:
    before = given[WEEK : WEEK + DAY]
    forecast, change = (model(given) / before).log() / SCALE, (day / before).log() / SCALE
    return nn.QuantileLoss(QUANTILES)(forecast.movedim(0, 2), change)


lucid.manual_seed(0)
random = np.random.default_rng(0)
model = Forecaster()
optimizer = lucid.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
scheduler = lucid.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=250)
step = lucid.compile(model, loss=loss, optimizer=optimizer, clip_grad_norm=1.0)
losses = []
for _ in range(250):
    batch = lucid.tensor(training[random.integers(0, len(training), 64)].T.copy())
    losses.append(step(batch[: 2 * WEEK], batch[2 * WEEK :]).item())
    scheduler.step()
figure = lucid.plot.history(losses, xlabel="step")

# %%
# The exported model forecasts from every half-hour of the test part at once. The measure is the mean absolute
# percentage error; beside it stands that of last week's demand.

example = lucid.tensor(training[:2, : 2 * WEEK].T.copy())
exported = lucid.export.to_onnx(model.eval(), example, output_names=["quantiles"], dynamic={"demand": {1: "batch"}})
low, median, high = lucid.runtime.Session(exported)(test[:, : 2 * WEEK].T)["quantiles"]
days, week_before = test[:, 2 * WEEK :].T, test[:, WEEK : WEEK + DAY].T
error, naive = (float(100 * np.abs(x / days - 1).mean()) for x in (median, week_before))
print(f"error {error:.2f} %, of last week's demand {naive:.2f} %")
print(f"the 80 % intervals hold {((low <= days) & (days <= high)).mean():.0%} of the test part")

# %%
# Three days of the test part, from one forecast at each midnight:

hours = np.arange(3 * DAY) / 2
shown = (x[:, ::DAY][:, 3:6].T.ravel() / 1000 for x in (low, median, high, days, week_before))
bottom, middle, top, truth, before = shown
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
axes.fill_between(hours, bottom, top, alpha=0.25, linewidth=0, label="80 % interval")
axes.plot(hours, middle, label="forecast at midnight")
axes.plot(hours, truth, color="black", linewidth=1, label="demand")
axes.plot(hours, before, color="0.7", linewidth=1, label="a week before")
axes.set(xlabel="hours", ylabel="demand, GW", xlim=(0, 72), ylim=(20, 42), xticks=range(0, 73, 12))
axes.legend(ncols=2, loc="upper center")
plt.show()
