"""Part-of-speech tagger: a bidirectional LSTM over packed sequences."""

from collections import defaultdict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

PAD_TAG = -100
SENTENCES = [
    ("The dog ate the apple", "DET NN V DET NN"),
    ("Everybody read that book", "NN V DET NN"),
    ("She quickly ran home", "PRP ADV V NN"),
    ("The old man slowly opened the heavy door", "DET ADJ NN ADV V DET ADJ NN"),
    ("Dogs bark", "NN V"),
    ("He never read the old book", "PRP ADV V DET ADJ NN"),
    ("The heavy apple fell", "DET ADJ NN V"),
    ("She opened that door quickly", "PRP V DET NN ADV"),
    ("Everybody slowly ate", "NN ADV V"),
    ("The man ran", "DET NN V"),
    ("He saw the dog and she saw the man", "PRP V DET NN CC PRP V DET NN"),
    ("Apples fell slowly and dogs ran", "NN V ADV CC NN V"),
]


def build_vocab(sequences, specials):
    vocab = {token: i for i, token in enumerate(specials)}
    for sequence in sequences:
        for token in sequence:
            vocab.setdefault(token, len(vocab))
    return vocab


class Collate:
    def __init__(self, word_to_ix, tag_to_ix):
        self.word_to_ix = word_to_ix
        self.tag_to_ix = tag_to_ix

    def __call__(self, batch):
        words = [torch.tensor([self.word_to_ix.get(w.lower(), 1) for w in sentence]) for sentence, _ in batch]
        tags = [torch.LongTensor([self.tag_to_ix[t] for t in tags]) for _, tags in batch]
        lengths = torch.tensor([len(w) for w in words])
        return (
            pad_sequence(words, batch_first=True, padding_value=0),
            pad_sequence(tags, batch_first=True, padding_value=PAD_TAG),
            lengths,
        )


class BiLSTMTagger(nn.Module):
    def __init__(self, embeddings, hidden_dim, tagset_size, num_layers=2, dropout=0.0):
        super().__init__()
        self.word_embeddings = nn.Embedding.from_pretrained(embeddings, freeze=False, padding_idx=0)
        self.lstm = nn.LSTM(
            embeddings.shape[1],
            hidden_dim // 2,
            num_layers=num_layers,
            bidirectional=True,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0,
        )
        self.norm = nn.LayerNorm(hidden_dim)
        self.hidden2tag = nn.Linear(hidden_dim, tagset_size)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        for i, (name, p) in enumerate(self.lstm.named_parameters()):
            if "weight" in name:
                p.copy_(torch.sin(torch.arange(p.numel(), dtype=torch.float32) * 1.7 + i).view_as(p) * 0.3)
            elif "bias_ih" in name:
                p.zero_()
                n = p.size(0)
                p[n // 4 : n // 2].fill_(1.0)  # forget gate
            else:
                nn.init.zeros_(p)
        w = self.hidden2tag.weight
        w.copy_(torch.linspace(-0.5, 0.5, w.numel()).cos().reshape(w.shape))
        self.hidden2tag.bias.zero_()

    def forward(self, sentences, lengths):
        embeds = self.word_embeddings(sentences)
        packed = pack_padded_sequence(embeds, lengths.cpu(), batch_first=True, enforce_sorted=False)
        packed_out, (h_n, c_n) = self.lstm(packed)
        lstm_out, _ = pad_packed_sequence(packed_out, batch_first=True, total_length=sentences.size(1))
        sentence = torch.cat((h_n[-2], h_n[-1]), dim=1)
        return self.hidden2tag(self.norm(lstm_out + 0.1 * sentence[:, None, :]))


def accuracy(logits, tags):
    mask = tags != PAD_TAG
    predicted = logits.argmax(-1)
    return (predicted[mask] == tags[mask]).float().mean().item()


def main():
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    data = [(sentence.split(), tags.split()) for sentence, tags in SENTENCES]
    word_to_ix = build_vocab([[w.lower() for w in s] for s, _ in data], ["<pad>", "<unk>"])
    tag_to_ix = build_vocab([tags for _, tags in data], [])
    ix_to_tag = {v: k for k, v in tag_to_ix.items()}

    vectors = torch.from_numpy(np.random.RandomState(7).randn(len(word_to_ix), 12).astype("float32"))
    vectors[0] = 0
    model = BiLSTMTagger(vectors, 16, len(tag_to_ix)).to(device)
    criterion = nn.CrossEntropyLoss(ignore_index=PAD_TAG)
    decay, no_decay = [], []
    for name, p in model.named_parameters():
        (no_decay if name.endswith("bias") or "norm" in name else decay).append(p)
    optimizer = optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": no_decay, "weight_decay": 0.0}], lr=2e-2
    )
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda step: min(1.0, (step + 1) / 6))
    loader = DataLoader(data, batch_size=5, shuffle=False, collate_fn=Collate(word_to_ix, tag_to_ix), num_workers=2)

    losses = []
    for epoch in range(6):
        model.train()
        epoch_loss = 0.0
        for sentences, tags, lengths in loader:
            sentences, tags = sentences.to(device), tags.to(device)
            optimizer.zero_grad()
            logits = model(sentences, lengths)
            loss = criterion(logits.transpose(1, 2), tags)
            loss.backward()
            grad_norm = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            scheduler.step()
            epoch_loss += loss.item()
            losses += [loss.item(), float(grad_norm)]
        print(f"epoch {epoch}: {epoch_loss / len(loader):.4f}, lr {scheduler.get_last_lr()[0]:.4f}")

    model.eval()
    counts = defaultdict(int)
    with torch.no_grad():
        for sentences, tags, lengths in loader:
            logits = model(sentences, lengths)
            losses.append(accuracy(logits, tags))
            probs = F.softmax(logits, dim=-1)
            confidence, predicted = probs.max(dim=-1)
            for row, n, conf in zip(predicted, lengths, confidence):
                for tag in row[:n].tolist():
                    counts[ix_to_tag[tag]] += 1
                losses.append(conf[:n].min().item())
    print(dict(counts))
    return losses + [counts[tag] for tag in sorted(tag_to_ix)]


if __name__ == "__main__":
    main()
