"""Two autoencoders of signals: an LSTM that finds anomalies, and a convolutional one that removes noise."""

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

SEQ_LEN, N_FEATURES = 20, 1


class Encoder(nn.Module):
    def __init__(self, seq_len, n_features, embedding_dim=8):
        super(Encoder, self).__init__()
        self.seq_len, self.n_features = seq_len, n_features
        self.embedding_dim, self.hidden_dim = embedding_dim, 2 * embedding_dim
        self.rnn1 = nn.LSTM(input_size=n_features, hidden_size=self.hidden_dim, num_layers=1, batch_first=True)
        self.rnn2 = nn.LSTM(input_size=self.hidden_dim, hidden_size=embedding_dim, num_layers=1, batch_first=True)

    def forward(self, x):
        x, (_, _) = self.rnn1(x)
        x, (hidden_n, _) = self.rnn2(x)
        return hidden_n.squeeze(0)


class Decoder(nn.Module):
    def __init__(self, seq_len, input_dim=8, n_features=1):
        super(Decoder, self).__init__()
        self.seq_len, self.input_dim = seq_len, input_dim
        self.hidden_dim, self.n_features = 2 * input_dim, n_features
        self.rnn1 = nn.LSTM(input_size=input_dim, hidden_size=input_dim, num_layers=1, batch_first=True)
        self.rnn2 = nn.LSTM(input_size=input_dim, hidden_size=self.hidden_dim, num_layers=1, batch_first=True)
        self.output_layer = nn.Linear(self.hidden_dim, n_features)

    def forward(self, x):
        x = x.repeat(1, self.seq_len).view(-1, self.seq_len, self.input_dim)
        x, _ = self.rnn1(x)
        x, (hidden_n, cell_n) = self.rnn2(x)
        return self.output_layer(x)


class RecurrentAutoencoder(nn.Module):
    def __init__(self, seq_len, n_features, embedding_dim=8):
        super(RecurrentAutoencoder, self).__init__()
        self.encoder = Encoder(seq_len, n_features, embedding_dim)
        self.decoder = Decoder(seq_len, embedding_dim, n_features)

    def forward(self, x):
        return self.decoder(self.encoder(x))


class ConvAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv1d(1, 8, kernel_size=5, stride=2, padding=2, bias=False),
            nn.BatchNorm1d(8),
            nn.LeakyReLU(0.1),
            nn.Conv1d(8, 4, 3, padding="same"),
            nn.MaxPool1d(2),
        )
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv1d(4, 8, 3, padding=1),
            nn.ELU(),
            nn.Upsample(scale_factor=2, mode="linear", align_corners=False),
            nn.Conv1d(8, 1, 5, padding=2),
        )

    def forward(self, x):
        x = x.permute(0, 2, 1)
        z = self.encoder(x)
        return self.decoder(z).permute(0, 2, 1), z.flatten(1)


def seeded_init(module):
    for i, p in enumerate(module.parameters()):
        if p.dim() > 1:
            n = p.numel()
            values = torch.fmod(torch.arange(1, n + 1, dtype=torch.float64) * (0.618034 + i), 1.0) - 0.5
            p.data = (values * 2 / p.shape[-1] ** 0.5).float().reshape(p.shape)
        elif "weight" in dict(module.named_parameters()):
            p.data.zero_()
    for name, p in module.named_parameters():
        if "bias" in name:
            p.data = torch.zeros_like(p.data)


def make_signals(n, rng):
    t = np.linspace(0, 2 * np.pi, SEQ_LEN)
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    return np.sin(t[None] + phase)[..., None].astype(np.float32)


def train(model, train_loader, val_set, n_epochs, noise=None):
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=n_epochs)
    criterion = nn.L1Loss(reduction="sum").to(device)
    history = dict(train=[], val=[])
    for epoch in range(1, n_epochs + 1):
        model = model.train()
        train_losses = []
        for (seq_true,) in train_loader:
            optimizer.zero_grad()
            seq_true = seq_true.to(device)
            seq_in = (
                seq_true if noise is None else seq_true + torch.as_tensor(noise.normal(0, 0.1, seq_true.shape)).float()
            )
            seq_pred = model(seq_in)
            if isinstance(seq_pred, tuple):
                seq_pred, code = seq_pred
                loss = criterion(seq_pred, seq_true) + 1e-3 * code.pow(2).sum()
            else:
                loss = criterion(seq_pred, seq_true)
            loss.backward()
            optimizer.step()
            train_losses.append(loss.item() / seq_true.size(0))
        scheduler.step()
        model = model.eval()
        with torch.inference_mode():
            val_losses = []
            for (seq_true,) in val_set:
                seq_pred = model(seq_true[None])
                seq_pred = seq_pred[0] if isinstance(seq_pred, tuple) else seq_pred
                val_losses.append(criterion(seq_pred.squeeze(0), seq_true).item())
        history["train"].append(np.mean(train_losses))
        history["val"].append(np.mean(val_losses))
        print(f"Epoch {epoch}: train loss {history['train'][-1]:.4f} val loss {history['val'][-1]:.4f}")
    return model, history


def main():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = np.random.default_rng(11)
    dataset = TensorDataset(torch.from_numpy(make_signals(56, rng)))
    train_set = torch.utils.data.Subset(dataset, range(48))
    val_set = torch.utils.data.Subset(dataset, range(48, 56))
    loader = DataLoader(train_set, batch_size=8)

    model = RecurrentAutoencoder(SEQ_LEN, N_FEATURES, 8).to(device)
    seeded_init(model)
    model, history = train(model, loader, val_set, n_epochs=4)

    denoiser = ConvAutoencoder().to(device)
    seeded_init(denoiser)
    denoiser, history2 = train(denoiser, loader, val_set, n_epochs=4, noise=np.random.default_rng(1))

    # Anomalies are what the model rebuilds badly.
    spikes = torch.from_numpy(make_signals(4, rng))
    spikes[:, ::5] += 2.0
    with torch.no_grad():
        errors = (model(spikes) - spikes).abs().sum(dim=(1, 2))
        limit = np.max(history["val"])
        anomalies = torch.where(errors > limit, torch.ones_like(errors), torch.zeros_like(errors)).sum().item()
    print(f"{anomalies:.0f} of {len(spikes)} are anomalies")
    losses = history["train"] + history["val"] + history2["train"] + history2["val"]
    running = denoiser.encoder[1].running_mean.tolist()
    return [float(x) for x in losses] + errors.tolist() + running + [anomalies]


if __name__ == "__main__":
    main()
