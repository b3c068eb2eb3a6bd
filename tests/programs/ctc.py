"""Recognition of text lines: a convolutional front end, a bidirectional GRU and the CTC loss."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.utils.data import DataLoader, Dataset

CHARS = "-abcdef"  # "-" is the blank
HEIGHT = 8


class LineDataset(Dataset):
    """Each letter is a pattern of HEIGHT pixels, drawn for a few columns, with noise."""

    def __init__(self, n, seed=0):
        rng = np.random.RandomState(seed)
        glyphs = (np.random.RandomState(42).rand(len(CHARS), HEIGHT, 6) > 0.5).astype(np.float32)
        self.samples = []
        for _ in range(n):
            label = rng.randint(1, len(CHARS), size=rng.randint(2, 5))
            image = np.concatenate([glyphs[c] for c in label], axis=1)
            image = image + rng.normal(0, 0.1, image.shape)
            self.samples.append((torch.from_numpy(image).float().unsqueeze(0), torch.from_numpy(label).long()))

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, idx):
        return self.samples[idx]


def collate(batch):
    images, labels = zip(*batch)
    widths = torch.tensor([image.shape[-1] for image in images], dtype=torch.int32)
    padded = torch.zeros(len(images), 1, HEIGHT, int(widths.max()))
    for i, image in enumerate(images):
        padded[i, :, :, : image.size(2)] = image
    target_lengths = torch.tensor([label.numel() for label in labels], dtype=torch.int32)
    return padded, torch.cat(labels), widths, target_lengths


class CRNN(nn.Module):
    def __init__(self, n_classes, hidden=16):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(6, 8, (3, 3), padding=(1, 1)),
            nn.ReLU(True),
            nn.MaxPool2d((2, 1), (2, 1)),
        )
        self.proj = nn.Linear(8 * (HEIGHT // 4), hidden)
        self.rnn = nn.GRU(hidden, hidden, num_layers=2, bidirectional=True)
        self.fc = nn.Linear(hidden * 2, n_classes)

    def forward(self, x):
        features = self.cnn(x)
        b, c, h, w = features.size()
        features = features.reshape(b, c * h, w).permute(2, 0, 1)  # [w, b, c*h]
        features = F.gelu(self.proj(features))
        self.rnn.flatten_parameters()
        recurrent, _ = self.rnn(features)
        T, b, h = recurrent.size()
        output = self.fc(recurrent.contiguous().view(T * b, h))
        return output.view(T, b, -1)


def decode(log_probs, lengths):
    """Greedy: the best class per frame, without repetitions and blanks."""
    best = log_probs.argmax(2).transpose(0, 1).cpu().numpy()
    texts = []
    for row, n in zip(best, lengths.tolist()):
        chars = [CHARS[c] for i, c in enumerate(row[:n]) if c != 0 and (i == 0 or c != row[i - 1])]
        texts.append("".join(chars))
    return texts


def edit_distance(a, b):
    d = np.arange(len(b) + 1)
    for i, x in enumerate(a, 1):
        previous, d[0] = d[0], i
        for j, y in enumerate(b, 1):
            previous, d[j] = d[j], min(d[j] + 1, d[j - 1] + 1, previous + (x != y))
    return int(d[-1])


def main():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = DataLoader(LineDataset(32), batch_size=8, shuffle=False, collate_fn=collate)
    model = CRNN(len(CHARS)).to(device)
    flat = parameters_to_vector(model.parameters())
    draws = np.random.default_rng(8).normal(0.0, 0.25, flat.numel())
    vector_to_parameters(torch.tensor(draws, dtype=torch.float32, device=device), model.parameters())

    criterion = nn.CTCLoss(blank=0, zero_infinity=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
    losses = []
    for epoch in range(10):
        model.train()
        total = 0.0
        for images, targets, widths, target_lengths in loader:
            images = images.to(device)
            logits = model(images)
            log_probs = logits.log_softmax(2)
            input_lengths = torch.div(widths, 2, rounding_mode="floor").clamp(max=log_probs.size(0))
            loss = criterion(log_probs, targets, input_lengths, target_lengths)
            if torch.isnan(loss) or torch.isinf(loss):
                continue
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
            losses.append(loss.item())
        scheduler.step()
        print(f"[{epoch + 1}] loss {total / len(loader):.4f} lr {optimizer.param_groups[0]['lr']:.5f}")

    model.eval()
    wrong = length = 0
    with torch.no_grad():
        for images, targets, widths, target_lengths in loader:
            log_probs = F.log_softmax(model(images.to(device)), dim=2)
            references = torch.split(targets, target_lengths.tolist())
            for text, reference in zip(decode(log_probs, widths // 2), references):
                truth = "".join(CHARS[i] for i in reference)
                wrong += edit_distance(text, truth)
                length += len(truth)
            losses.append(log_probs.exp()[..., 0].mean().item())
    print(f"character error rate {wrong / length:.3f}")
    return losses + [wrong / length]


if __name__ == "__main__":
    main()
