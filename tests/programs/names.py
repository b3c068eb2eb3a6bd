"""Character-level RNN that tells the language of a surname, then another that writes surnames."""

import math
import random
import string
import time

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

NAMES = {
    "English": ["Smith", "Taylor", "Wright", "Walker", "Turner", "Baker", "Cooper", "Ward"],
    "Italian": ["Rossi", "Ferrari", "Bianchi", "Romano", "Ricci", "Marino", "Greco", "Conti"],
    "Japanese": ["Sato", "Suzuki", "Takahashi", "Tanaka", "Watanabe", "Yamamoto", "Kobayashi", "Saito"],
}
all_letters = string.ascii_letters + " .,;'-"
n_letters = len(all_letters) + 1  # plus the end of a name
all_categories = list(NAMES.keys())
n_categories = len(all_categories)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def letter_to_index(letter):
    return all_letters.find(letter)


def line_to_tensor(line):
    tensor = torch.zeros(len(line), 1, n_letters)
    for li, letter in enumerate(line):
        tensor[li][0][letter_to_index(letter)] = 1
    return tensor


class Classifier(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(Classifier, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = torch.tanh(self.i2h(combined))
        output = self.softmax(self.h2o(hidden))
        return output, hidden

    def init_hidden(self):
        return torch.zeros(1, self.hidden_size, device=device)


class Writer(nn.Module):
    def __init__(self, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(n_categories + n_letters + hidden_size, hidden_size)
        self.i2o = nn.Linear(n_categories + n_letters + hidden_size, n_letters)
        self.o2o = nn.Linear(hidden_size + n_letters, n_letters)
        self.dropout = nn.Dropout(0.1)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, category, input, hidden):
        input_combined = torch.cat((category, input, hidden), 1)
        hidden = self.i2h(input_combined)
        output = self.i2o(input_combined)
        output = self.o2o(torch.cat((hidden, output), 1))
        return self.softmax(self.dropout(output)), hidden


def draw_weights(model, rng):
    for p in model.parameters():
        p.data.copy_(torch.from_numpy(rng.uniform(-0.15, 0.15, tuple(p.shape)).astype(np.float32)))


def category_from_output(output):
    top_n, top_i = output.topk(1)
    category_i = top_i[0].item()
    return all_categories[category_i], category_i


def random_example():
    category = random.choice(all_categories)
    line = random.choice(NAMES[category])
    return category, line, torch.tensor([all_categories.index(category)], dtype=torch.long), line_to_tensor(line)


def classify(rng, n_iters=120, learning_rate=0.05):
    rnn = Classifier(n_letters, 32, n_categories).to(device)
    draw_weights(rnn, rng)
    criterion = nn.NLLLoss()
    losses, current, correct = [], 0.0, 0
    for it in range(1, n_iters + 1):
        category, line, category_tensor, line_tensor = random_example()
        hidden = rnn.init_hidden()
        rnn.zero_grad()
        for i in range(line_tensor.size()[0]):
            output, hidden = rnn(line_tensor[i].to(device), hidden)
        loss = criterion(output, category_tensor.to(device))
        loss.backward()
        for p in rnn.parameters():
            p.data.add_(p.grad.data, alpha=-learning_rate)
        current += loss.item()
        correct += category_from_output(output)[0] == category
        if it % 20 == 0:
            print(f"{it:4d} loss {current / 20:.4f} accuracy {correct / it:.2f}")
            losses.append(current / 20)
            current = 0
    confusion = torch.zeros(n_categories, n_categories)
    with torch.no_grad():
        for i, category in enumerate(all_categories):
            for line in NAMES[category]:
                hidden = rnn.init_hidden()
                for letter in line_to_tensor(line):
                    output, hidden = rnn(letter, hidden)
                confusion[i][category_from_output(output)[1]] += 1
    for i in range(n_categories):
        confusion[i] = confusion[i] / confusion[i].sum()
    print(confusion)
    return losses + confusion.diagonal().tolist()


def write(rng, n_iters=40):
    rnn = Writer(32).to(device)
    draw_weights(rnn, rng)
    rnn.eval()  # without dropout, so that runs can be compared
    criterion = nn.NLLLoss()
    optimizer = optim.SGD(rnn.parameters(), lr=0.01, momentum=0.9)
    start, losses = time.time(), []
    for it in range(n_iters):
        category, line, _, line_tensor = random_example()
        category_tensor = torch.zeros(1, n_categories)
        category_tensor[0][all_categories.index(category)] = 1
        target = torch.LongTensor([letter_to_index(c) for c in line[1:]] + [n_letters - 1])
        target.unsqueeze_(-1)
        hidden = torch.zeros(1, rnn.hidden_size)
        optimizer.zero_grad()
        loss = torch.Tensor([0])
        for i in range(line_tensor.size(0)):
            output, hidden = rnn(category_tensor, line_tensor[i], hidden)
            loss += criterion(output, target[i])
        loss.backward()
        optimizer.step()
        losses.append(loss.item() / line_tensor.size(0))
    minutes, seconds = divmod(time.time() - start, 60)
    print(f"{math.floor(minutes)}m {seconds:.0f}s, loss {losses[-1]:.4f}")
    with torch.no_grad():
        hidden, input, name = torch.zeros(1, rnn.hidden_size), line_to_tensor("S"), "S"
        for _ in range(10):
            output, hidden = rnn(category_tensor, input[0], hidden)
            topv, topi = output.topk(1)
            topi = topi[0][0]
            if topi == n_letters - 1:
                break
            name += all_letters[topi]
            input = line_to_tensor(all_letters[topi])
    print(name)
    return [*losses, topv.item(), len(name)]


def main():
    random.seed(1)
    rng = np.random.default_rng(0)
    return classify(rng) + write(rng)


if __name__ == "__main__":
    main()
