"""Sentiment of short reviews: an embedding, a packed bidirectional LSTM and dropout."""

import re
from collections import Counter

import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

POSITIVE = ["great", "wonderful", "loved", "brilliant", "moving", "funny"]
NEGATIVE = ["boring", "awful", "hated", "terrible", "dull", "bad"]
FILLER = "the film was a really quite and its plot with actors who i it in my view".split()


class Config:
    embedding_dim = 16
    hidden_dim = 16
    n_layers = 2
    dropout = 0.0  # runs are compared number by number
    batch_size = 16
    epochs = 6
    lr = 3e-2


def make_reviews(n):
    rng = np.random.RandomState(3)
    reviews = []
    for _ in range(n):
        label = int(rng.rand() < 0.5)
        words = list(rng.choice(FILLER, rng.randint(3, 12)))
        for word in rng.choice(POSITIVE if label else NEGATIVE, rng.randint(1, 3)):
            words.insert(rng.randint(len(words) + 1), word)
        reviews.append((" ".join(words).capitalize() + ".", label))
    return reviews


def tokenize(text):
    return re.findall(r"[a-z']+", text.lower())


class ReviewDataset(Dataset):
    def __init__(self, reviews, vocab):
        self.reviews = reviews
        self.vocab = vocab

    def __len__(self):
        return len(self.reviews)

    def __getitem__(self, idx):
        text, label = self.reviews[idx]
        return torch.tensor([self.vocab.get(w, 1) for w in tokenize(text)], dtype=torch.long), label


class EpochSampler(Sampler):
    """A new order each epoch, drawn by NumPy."""

    def __init__(self, data_source, seed=0):
        self.data_source = data_source
        self.rng = np.random.RandomState(seed)

    def __iter__(self):
        return iter(self.rng.permutation(len(self.data_source)).tolist())

    def __len__(self):
        return len(self.data_source)


def collate_fn(batch):
    batch.sort(key=lambda item: len(item[0]), reverse=True)
    lengths = torch.tensor([len(text) for text, _ in batch])
    texts = nn.utils.rnn.pad_sequence([text for text, _ in batch], batch_first=True)
    labels = torch.tensor([label for _, label in batch], dtype=torch.float)
    return {"text": texts, "lengths": lengths, "label": labels}


class SentimentRNN(nn.Module):
    def __init__(self, vocab_size, config):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, config.embedding_dim, padding_idx=0)
        self.rnn = nn.LSTM(
            config.embedding_dim,
            config.hidden_dim,
            num_layers=config.n_layers,
            bidirectional=True,
            dropout=config.dropout,
            batch_first=True,
        )
        self.fc = nn.Linear(config.hidden_dim * 4, 1)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, text, lengths):
        embedded = self.dropout(self.embedding(text))
        packed = pack_padded_sequence(embedded, lengths, batch_first=True)
        assert isinstance(packed, PackedSequence)
        packed_output, (hidden, cell) = self.rnn(packed)
        output, output_lengths = pad_packed_sequence(packed_output, batch_first=True)
        last = torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)
        mask = (torch.arange(output.size(1))[None, :] < output_lengths[:, None]).unsqueeze(-1)
        mean = (output * mask).sum(1) / output_lengths.unsqueeze(1)
        return self.fc(self.dropout(torch.cat([last, mean], dim=-1))).squeeze(1)


def pretrained(model):
    """Weights from a file, as a run that goes on from another."""
    rng = np.random.RandomState(12)
    arrays = {}
    for name, tensor in model.state_dict().items():
        bound = 1 / np.sqrt(tensor.shape[-1])
        arrays[name] = rng.uniform(-bound, bound, tuple(tensor.shape)).astype(np.float32)
    arrays["embedding.weight"][0] = 0
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def binary_accuracy(preds, y):
    rounded_preds = torch.round(torch.sigmoid(preds))
    correct = (rounded_preds == y).float()
    return correct.sum() / len(correct)


def run_epoch(model, iterator, criterion, optimizer=None, scheduler=None):
    training = optimizer is not None
    model.train(training)
    epoch_loss = epoch_acc = 0
    with torch.set_grad_enabled(training):
        for batch in iterator:
            batch = {k: v.to(device) if k != "lengths" else v for k, v in batch.items()}
            predictions = model(batch["text"], batch["lengths"])
            loss = criterion(predictions, batch["label"])
            acc = binary_accuracy(predictions, batch["label"])
            if training:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
            epoch_loss += loss.item()
            epoch_acc += acc.item()
    return epoch_loss / len(iterator), epoch_acc / len(iterator)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main():
    config = Config()
    reviews = make_reviews(96)
    counter = Counter(w for text, _ in reviews for w in tokenize(text))
    vocab = {"<pad>": 0, "<unk>": 1}
    for word, count in sorted(counter.items()):
        if count > 1:
            vocab[word] = len(vocab)
    train_data, test_data = ReviewDataset(reviews[:80], vocab), ReviewDataset(reviews[80:], vocab)
    train_iter = DataLoader(train_data, config.batch_size, sampler=EpochSampler(train_data), collate_fn=collate_fn)
    test_iter = DataLoader(test_data, config.batch_size, collate_fn=collate_fn)

    model = SentimentRNN(len(vocab), config).to(device)
    missing, unexpected = model.load_state_dict(pretrained(model), strict=False)
    assert not missing and not unexpected
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=config.lr, betas=(0.9, 0.98))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config.lr, epochs=config.epochs, steps_per_epoch=len(train_iter)
    )
    criterion = nn.BCEWithLogitsLoss().to(device)
    losses = []
    for epoch in range(config.epochs):
        train_loss, train_acc = run_epoch(model, train_iter, criterion, optimizer, scheduler)
        test_loss, test_acc = run_epoch(model, test_iter, criterion)
        print(f"Epoch: {epoch + 1:02} | Train Loss: {train_loss:.3f} | Train Acc: {train_acc * 100:.2f}%")
        print(f"\t Test Loss: {test_loss:.3f} |  Test Acc: {test_acc * 100:.2f}%")
        losses += [train_loss, train_acc, test_loss, test_acc, optimizer.param_groups[0]["lr"]]
    with torch.no_grad():
        tokens = torch.LongTensor([[vocab.get(w, 1) for w in tokenize("A wonderful and funny film")]])
        score = torch.sigmoid(model(tokens, torch.LongTensor([tokens.size(1)])))
    print(f"score {score.item():.3f}")
    return losses + [score.item()]


if __name__ == "__main__":
    main()
