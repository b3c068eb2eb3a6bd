"""Forecasts a time series from sliding windows with an LSTM, with checkpoints, early stopping and a resumed run."""

import copy
import os
import tempfile

import numpy as np
import torch
from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, Dataset

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WINDOW, HORIZON, BATCH = 24, 4, 16


class WindowDataset(Dataset):
    def __init__(self, series, window, horizon):
        self.series = torch.FloatTensor(series)
        self.window = window
        self.horizon = horizon

    def __len__(self):
        return len(self.series) - self.window - self.horizon + 1

    def __getitem__(self, index):
        x = self.series[index : index + self.window].unsqueeze(-1)
        y = self.series[index + self.window : index + self.window + self.horizon]
        return x, y


class Scaler:
    def fit(self, x):
        self.mean, self.std = x.mean(), x.std()
        return self

    def transform(self, x):
        return (x - self.mean) / self.std

    def inverse_transform(self, x):
        return x * self.std + self.mean


class Forecaster(nn.Module):
    def __init__(self, hidden_size=20, num_layers=2, horizon=HORIZON):
        super().__init__()
        self.lstm = nn.LSTM(input_size=1, hidden_size=hidden_size, num_layers=num_layers, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden_size, 16), nn.ReLU(inplace=True), nn.Linear(16, horizon))

    def forward(self, x):
        h_0 = torch.zeros(self.lstm.num_layers, x.size(0), self.lstm.hidden_size, device=x.device)
        c_0 = torch.zeros(self.lstm.num_layers, x.size(0), self.lstm.hidden_size, device=x.device)
        out, (h_n, c_n) = self.lstm(x, (h_0.detach(), c_0.detach()))
        return self.head(out[:, -1, :])


def weights_of(model, seed):
    rng = np.random.default_rng(seed)
    state = model.state_dict()
    return {k: torch.as_tensor(rng.normal(0, 0.2, tuple(v.shape)), dtype=v.dtype) for k, v in state.items()}


def train_one_epoch(model, loader, criterion, optimizer):
    model.train()
    running_loss, seen = 0.0, 0
    for X_batch, y_batch in loader:
        X_batch, y_batch = X_batch.to(DEVICE, non_blocking=True), y_batch.to(DEVICE, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(model(X_batch), y_batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        running_loss += loss.item() * X_batch.size(0)
        seen += X_batch.shape[0]
    return running_loss / seen


@torch.no_grad()
def predict(model, loader):
    model.eval()
    predictions, truth = [], []
    for X_batch, y_batch in loader:
        predictions.append(model(X_batch.to(DEVICE)).cpu())
        truth.append(y_batch)
    return torch.cat(predictions), torch.cat(truth)


def save_checkpoint(path, epoch, model, optimizer, scheduler, history):
    torch.save(
        {
            "epoch": epoch,
            "model_state_dict": model.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "scheduler_state_dict": scheduler.state_dict(),
            "history": history,
        },
        path,
    )


def main():
    t = np.arange(220)
    series = 10 + 0.02 * t + 3 * np.sin(2 * np.pi * t / 24) + np.random.RandomState(0).normal(0, 0.2, t.size)
    scaler = Scaler().fit(series[:160])
    scaled = scaler.transform(series)
    train_set = WindowDataset(scaled[:160], WINDOW, HORIZON)
    val_set = WindowDataset(scaled[160 - WINDOW :], WINDOW, HORIZON)
    train_loader = DataLoader(train_set, batch_size=BATCH, shuffle=False, num_workers=0, drop_last=True)
    val_loader = DataLoader(val_set, batch_size=BATCH, shuffle=False, pin_memory=torch.cuda.is_available())

    model = Forecaster().to(DEVICE)
    model.load_state_dict(weights_of(model, seed=3))
    print(model)
    print(f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,} parameters")
    criterion = nn.MSELoss()
    optimizer = Adam(model.parameters(), lr=5e-3, weight_decay=1e-5)
    scheduler = StepLR(optimizer, step_size=2, gamma=0.5)
    history = {"train_loss": [], "val_loss": []}
    best, best_state = float("inf"), None

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "checkpoint.pth")
        for epoch in range(4):
            train_loss = train_one_epoch(model, train_loader, criterion, optimizer)
            val_loss = criterion(*predict(model, val_loader)).item()
            scheduler.step()
            history["train_loss"].append(train_loss)
            history["val_loss"].append(val_loss)
            print(f"Epoch {epoch + 1}: train {train_loss:.4f} val {val_loss:.4f} lr {scheduler.get_last_lr()[0]:.5f}")
            if val_loss < best:
                best, best_state = val_loss, copy.deepcopy(model.state_dict())
            save_checkpoint(path, epoch, model, optimizer, scheduler, history)

        # Resume in fresh objects, as after a restart.
        checkpoint = torch.load(path, map_location=DEVICE)
    resumed = Forecaster().to(DEVICE)
    resumed.load_state_dict(checkpoint["model_state_dict"])
    optimizer = Adam(resumed.parameters(), lr=5e-3, weight_decay=1e-5)
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    start, history = checkpoint["epoch"] + 1, checkpoint["history"]
    plateau = ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=0)
    for epoch in range(start, start + 2):
        train_loss = train_one_epoch(resumed, train_loader, criterion, optimizer)
        val_loss = criterion(*predict(resumed, val_loader)).item()
        plateau.step(val_loss)
        history["train_loss"].append(train_loss)
        history["val_loss"].append(val_loss)
        print(f"Epoch {epoch + 1}: {train_loss:.4f} {val_loss:.4f} {optimizer.param_groups[0]['lr']:.5f}")

    model.load_state_dict(best_state)
    forecast, truth = predict(model, val_loader)
    forecast = scaler.inverse_transform(forecast.numpy())
    mae = np.abs(forecast - scaler.inverse_transform(truth.numpy())).mean()
    print(f"MAE {mae:.3f}")
    return history["train_loss"] + history["val_loss"] + [float(mae), optimizer.param_groups[0]["lr"]]


if __name__ == "__main__":
    main()
