"""Encoder and decoder with attention, trained with teacher forcing to reverse and spell out digits."""

import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.nn.utils.rnn import pad_sequence

PAD_token = 0
SOS_token = 1
EOS_token = 2
VOCAB = 3 + 10
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class EncoderRNN(nn.Module):
    def __init__(self, input_size, hidden_size, dropout_p=0.0):
        super(EncoderRNN, self).__init__()
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(input_size, hidden_size, padding_idx=PAD_token)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, input):
        embedded = self.dropout(self.embedding(input))
        output, hidden = self.gru(embedded)
        return output, hidden


class BahdanauAttention(nn.Module):
    def __init__(self, hidden_size):
        super(BahdanauAttention, self).__init__()
        self.Wa = nn.Linear(hidden_size, hidden_size)
        self.Ua = nn.Linear(hidden_size, hidden_size)
        self.Va = nn.Linear(hidden_size, 1)

    def forward(self, query, keys, mask=None):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        if mask is not None:
            scores = scores.masked_fill(mask.unsqueeze(1) == 0, -1e10)
        weights = F.softmax(scores, dim=-1)
        context = torch.bmm(weights, keys)
        return context, weights


class AttnDecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size):
        super(AttnDecoderRNN, self).__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attention = BahdanauAttention(hidden_size)
        self.gru = nn.GRU(2 * hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, output_size)

    def forward(self, encoder_outputs, encoder_hidden, mask, max_length, target_tensor=None):
        batch_size = encoder_outputs.size(0)
        decoder_input = torch.empty(batch_size, 1, dtype=torch.long, device=device).fill_(SOS_token)
        decoder_hidden = encoder_hidden
        decoder_outputs = []
        attentions = []
        for i in range(max_length):
            output, decoder_hidden, attn = self.forward_step(decoder_input, decoder_hidden, encoder_outputs, mask)
            decoder_outputs.append(output)
            attentions.append(attn)
            if target_tensor is not None:
                decoder_input = target_tensor[:, i].unsqueeze(1)  # Teacher forcing
            else:
                _, topi = output.topk(1)
                decoder_input = topi.squeeze(-1).detach()
        decoder_outputs = torch.cat(decoder_outputs, dim=1)
        decoder_outputs = F.log_softmax(decoder_outputs, dim=-1)
        attentions = torch.cat(attentions, dim=1)
        return decoder_outputs, decoder_hidden, attentions

    def forward_step(self, input, hidden, encoder_outputs, mask):
        embedded = self.embedding(input)
        query = hidden.permute(1, 0, 2)
        context, attn_weights = self.attention(query, encoder_outputs, mask)
        input_gru = torch.cat((embedded, context), dim=2)
        output, hidden = self.gru(input_gru, hidden)
        output = self.out(output)
        return output, hidden, attn_weights


class WeightInit:
    """Orthogonal matrices by way of NumPy's QR, small numbers elsewhere."""

    def __init__(self, seed):
        self.rng = np.random.RandomState(seed)

    def __call__(self, m):
        if isinstance(m, (nn.Linear, nn.Embedding, nn.GRU)):
            for name, param in m.named_parameters(recurse=False):
                if "bias" in name:
                    nn.init.constant_(param, 0.01)
                else:
                    q, _ = np.linalg.qr(self.rng.randn(max(param.shape), min(param.shape)))
                    q = q if q.shape == param.shape else q.T
                    with torch.no_grad():
                        param.copy_(torch.tensor(q))


def make_pairs(n):
    rng = random.Random(5)
    pairs = []
    for _ in range(n):
        source = [rng.randrange(3, VOCAB) for _ in range(rng.randint(2, 6))]
        pairs.append((torch.tensor(source + [EOS_token]), torch.tensor(source[::-1] + [EOS_token])))
    return pairs


def batches(pairs, batch_size):
    for i in range(0, len(pairs), batch_size):
        source, target = zip(*pairs[i : i + batch_size])
        yield pad_sequence(source, batch_first=True), pad_sequence(target, batch_first=True, padding_value=PAD_token)


def train_epoch(pairs, encoder, decoder, encoder_optimizer, decoder_optimizer, criterion):
    total_loss, n = 0, 0
    for input_tensor, target_tensor in batches(pairs, 16):
        input_tensor, target_tensor = input_tensor.to(device), target_tensor.to(device)
        encoder_optimizer.zero_grad()
        decoder_optimizer.zero_grad()
        mask = input_tensor != PAD_token
        encoder_outputs, encoder_hidden = encoder(input_tensor)
        use_teacher_forcing = True if random.random() < 0.8 else False
        outputs, _, _ = decoder(
            encoder_outputs,
            encoder_hidden,
            mask,
            target_tensor.size(1),
            target_tensor if use_teacher_forcing else None,
        )
        loss = criterion(outputs.view(-1, outputs.size(-1)), target_tensor.view(-1))
        loss.backward()
        encoder_optimizer.step()
        decoder_optimizer.step()
        total_loss += loss.item()
        n += 1
    return total_loss / n


def evaluate(encoder, decoder, sentence):
    with torch.no_grad():
        encoder_outputs, encoder_hidden = encoder(sentence.unsqueeze(0))
        mask = torch.ones_like(sentence, dtype=torch.bool).unsqueeze(0)
        decoder_outputs, _, attn = decoder(encoder_outputs, encoder_hidden, mask, 8)
        _, topi = decoder_outputs.topk(1)
        decoded = []
        for idx in topi.squeeze():
            if idx.item() == EOS_token:
                break
            decoded.append(idx.item())
    return decoded, attn[0, : len(decoded)]


def main():
    random.seed(0)
    pairs = make_pairs(64)
    encoder = EncoderRNN(VOCAB, 24).to(device)
    decoder = AttnDecoderRNN(24, VOCAB).to(device)
    init = WeightInit(2)
    encoder.apply(init)
    decoder.apply(init)
    encoder_optimizer = optim.Adam(encoder.parameters(), lr=0.01)
    decoder_optimizer = optim.Adam(decoder.parameters(), lr=0.01)
    criterion = nn.NLLLoss(ignore_index=PAD_token)
    losses = []
    for epoch in range(1, 7):
        losses.append(train_epoch(pairs, encoder, decoder, encoder_optimizer, decoder_optimizer, criterion))
        print("epoch %d loss %.4f" % (epoch, losses[-1]))
    encoder.eval()
    decoder.eval()
    decoded, attn = evaluate(encoder, decoder, pairs[0][0])
    print(pairs[0][0].tolist(), "->", decoded, attn.argmax(dim=-1).tolist())
    return losses + decoded + attn.sum(dim=0).tolist()


if __name__ == "__main__":
    main()
