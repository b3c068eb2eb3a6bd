"""Word-level LSTM language model with truncated backpropagation through time."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

TEXT = """the quick brown fox jumps over the lazy dog and the dog barks at the fox
a lazy afternoon by the river where the fox sleeps and the dog dreams of the fox
the river runs by the old mill and the mill turns when the river runs
when the dog barks the fox jumps and when the fox sleeps the dog sleeps"""

BPTT = 7
CLIP = 0.25


class Dictionary(object):
    def __init__(self):
        self.word2idx = {}
        self.idx2word = []

    def add_word(self, word):
        if word not in self.word2idx:
            self.idx2word.append(word)
            self.word2idx[word] = len(self.idx2word) - 1
        return self.word2idx[word]

    def __len__(self):
        return len(self.idx2word)


class RNNModel(nn.Module):
    """Container module with an encoder, a recurrent module, and a decoder."""

    def __init__(self, rnn_type, ntoken, ninp, nhid, nlayers, dropout=0.0, tie_weights=False):
        super().__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = getattr(nn, rnn_type)(ninp, nhid, nlayers, dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        if tie_weights:
            if nhid != ninp:
                raise ValueError("When using the tied flag, nhid must be equal to emsize")
            self.decoder.weight = self.encoder.weight
        self.init_weights()
        self.rnn_type = rnn_type
        self.nhid = nhid
        self.nlayers = nlayers

    def init_weights(self):
        rng = np.random.RandomState(1111)
        for name, param in self.named_parameters():
            param.data = torch.tensor(rng.uniform(-0.1, 0.1, param.size()), dtype=torch.float32)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        output = self.drop(output)
        decoded = self.decoder(output)
        decoded = decoded.view(-1, self.ntoken)
        return F.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        if self.rnn_type == "LSTM":
            return (
                weight.new_zeros(self.nlayers, bsz, self.nhid),
                weight.new_zeros(self.nlayers, bsz, self.nhid),
            )
        return weight.new_zeros(self.nlayers, bsz, self.nhid)


def tokenize(dictionary, text):
    ids = []
    for line in text.splitlines():
        words = line.split() + ["<eos>"]
        ids.append(torch.tensor([dictionary.add_word(word) for word in words]).type(torch.int64))
    return torch.cat(ids)


def batchify(data, bsz, device):
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    data = data.view(bsz, -1).t().contiguous()
    return data.to(device)


def repackage_hidden(h):
    """Wraps hidden states in new Tensors, to detach them from their history."""
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


def get_batch(source, i):
    seq_len = min(BPTT, len(source) - 1 - i)
    data = source[i : i + seq_len]
    target = source[i + 1 : i + 1 + seq_len].view(-1)
    return data, target


def evaluate(model, data_source, criterion):
    model.eval()
    total_loss = 0.0
    hidden = model.init_hidden(data_source.size(1))
    with torch.no_grad():
        for i in range(0, data_source.size(0) - 1, BPTT):
            data, targets = get_batch(data_source, i)
            output, hidden = model(data, hidden)
            hidden = repackage_hidden(hidden)
            total_loss += len(data) * criterion(output, targets).item()
    return total_loss / (len(data_source) - 1)


def train(model, train_data, criterion, lr):
    model.train()
    losses = []
    hidden = model.init_hidden(train_data.size(1))
    for batch, i in enumerate(range(0, train_data.size(0) - 1, BPTT)):
        data, targets = get_batch(train_data, i)
        model.zero_grad()
        hidden = repackage_hidden(hidden)
        output, hidden = model(data, hidden)
        loss = criterion(output, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
        losses.append(loss.item())
    return losses


def generate(model, corpus, words=8):
    hidden = model.init_hidden(1)
    input = torch.full((1, 1), corpus.word2idx["the"], dtype=torch.long)
    out = []
    with torch.no_grad():
        for _ in range(words):
            output, hidden = model(input, hidden)
            word_weights = output.squeeze().div(1.0).exp().cpu()
            word_idx = torch.max(word_weights, 0)[1]
            input.fill_(word_idx)
            out.append(corpus.idx2word[word_idx])
    return out


def main():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    corpus = Dictionary()
    tokens = tokenize(corpus, TEXT)
    train_data, val_data = batchify(tokens, 4, device), batchify(tokens, 2, device)
    results = []
    for rnn_type, tied in (("LSTM", True), ("GRU", False)):
        model = RNNModel(rnn_type, len(corpus), 16, 16, 2, tie_weights=tied).to(device)
        criterion = nn.NLLLoss()
        lr, best_val_loss = 20.0, None
        for epoch in range(1, 9):
            losses = train(model, train_data, criterion, lr)
            val_loss = evaluate(model, val_data, criterion)
            print(f"| epoch {epoch:3d} | lr {lr:5.2f} | loss {losses[-1]:5.2f} | ppl {math.exp(val_loss):8.2f}")
            results += [*losses, val_loss]
            if not best_val_loss or val_loss < best_val_loss:
                best_val_loss = val_loss
            else:
                lr /= 4.0
        print(" ".join(generate(model, corpus)))
    return results


if __name__ == "__main__":
    main()
