"""An LSTM written by hand, with peepholes and layer normalization, on the adding problem."""

import math
from typing import List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Parameter, ParameterList
from torch.nn import functional as F
from torch.nn import init


class PeepholeLSTMCell(nn.Module):
    __constants__ = ["input_size", "hidden_size"]

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.weight_ih = Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = Parameter(torch.empty((4 * hidden_size, hidden_size)))
        self.peepholes = ParameterList([Parameter(torch.zeros(hidden_size)) for _ in range(3)])
        if bias:
            self.bias = Parameter(torch.Tensor(4 * hidden_size))
        else:
            self.register_parameter("bias", None)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        stdv = 1.0 / math.sqrt(self.hidden_size)
        rng = np.random.default_rng(self.input_size)
        for weight in self.parameters():
            with torch.no_grad():
                weight.uniform_(-stdv, stdv)
                weight.set_(torch.from_numpy(rng.uniform(-stdv, stdv, weight.shape).astype(np.float32)))
        init.zeros_(self.bias)
        self.bias.data[self.hidden_size : 2 * self.hidden_size] = 1.0
        init.eye_(self.weight_hh.data[: self.hidden_size])

    def forward(self, input: Tensor, state: Optional[Tuple[Tensor, Tensor]] = None) -> Tuple[Tensor, Tensor]:
        if state is None:
            zeros = torch.zeros(input.size(0), self.hidden_size, dtype=input.dtype, device=input.device)
            state = (zeros, zeros)
        hx, cx = state
        gates = F.linear(input, self.weight_ih, self.bias) + torch.mm(hx, self.weight_hh.t())
        ingate, forgetgate, cellgate, outgate = gates.chunk(4, 1)
        ingate = torch.sigmoid(ingate + self.peepholes[0] * cx)
        forgetgate = torch.sigmoid(forgetgate + self.peepholes[1] * cx)
        cellgate = torch.tanh(cellgate)
        cy = (forgetgate * cx) + (ingate * cellgate)
        outgate = torch.sigmoid(outgate + self.peepholes[2] * cy)
        hy = outgate * torch.tanh(cy)
        if self.training:
            self.steps += 1
        return hy, cy

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class CustomLSTM(nn.Module):
    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1):
        super().__init__()
        self.hidden_size = hidden_size
        self.cells = nn.ModuleList(
            [PeepholeLSTMCell(input_size if i == 0 else hidden_size, hidden_size) for i in range(num_layers)]
        )
        self.norms = nn.ModuleDict({f"norm{i}": nn.LayerNorm(hidden_size) for i in range(num_layers)})

    def forward(self, x: Tensor, lengths: Optional[Tensor] = None) -> Tuple[Tensor, List[Tuple[Tensor, Tensor]]]:
        batch, seq_len, _ = x.shape
        states: List[Optional[Tuple[Tensor, Tensor]]] = [None] * len(self.cells)
        out = x.new_zeros(batch, seq_len, self.hidden_size)
        for t in range(seq_len):
            h = x[:, t]
            for i, cell in enumerate(self.cells):
                h, c = cell(h, states[i])
                states[i] = (h, c)
                h = self.norms[f"norm{i}"](h)
            out[:, t] = h
        if lengths is not None:
            mask = torch.arange(seq_len, device=x.device).expand(batch, seq_len) >= lengths.unsqueeze(1)
            out[mask] = 0.0
        return out, states


class AddingModel(nn.Module):
    def __init__(self, hidden_size: int = 16):
        super().__init__()
        self.rnn = CustomLSTM(2, hidden_size, num_layers=2)
        self.scale = nn.Parameter(torch.ones(1))
        self.out = nn.Linear(hidden_size, 1)
        with torch.no_grad():
            self.out.weight[:] = torch.linspace(-0.3, 0.3, hidden_size)
            self.out.bias.fill_(0.5)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        out, states = self.rnn(x, lengths)
        idx = (lengths - 1).view(-1, 1, 1).expand(-1, 1, out.size(2))
        last = out.gather(1, idx).squeeze(1)
        return self.out(last * self.scale).squeeze(-1)


def adding_problem(rng, batch: int, seq_len: int):
    x = np.zeros((batch, seq_len, 2), dtype=np.float32)
    x[..., 0] = rng.random((batch, seq_len))
    lengths = rng.integers(seq_len // 2, seq_len + 1, batch)
    for row, n in zip(x, lengths):
        row[rng.choice(n, 2, replace=False), 1] = 1.0
    y = (x[..., 0] * x[..., 1]).sum(axis=1)
    return torch.from_numpy(x), torch.from_numpy(lengths), torch.from_numpy(y)


def main() -> List[float]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = np.random.default_rng(2024)
    model = AddingModel().to(device)
    print(model)
    for name, param in model.named_parameters():
        print(name, tuple(param.size()), param.requires_grad)
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    sched = torch.optim.lr_scheduler.MultiStepLR(opt, milestones=[15, 20], gamma=0.3)
    ema = {k: v.detach().clone() for k, v in model.named_parameters()}
    losses = []
    for step in range(25):
        x, lengths, y = adding_problem(rng, 16, 8)
        x, lengths, y = x.to(device), lengths.to(device), y.to(device)
        opt.zero_grad()
        pred = model(x, lengths)
        loss = F.mse_loss(pred, y)
        loss.backward()
        total_norm = torch.norm(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]))
        if total_norm > 1:
            for p in model.parameters():
                p.grad.mul_(1 / total_norm)
        opt.step()
        sched.step()
        with torch.no_grad():
            for k, v in model.named_parameters():
                ema[k].mul_(0.9).add_(v, alpha=0.1)
        losses.append(loss.item())
        if step % 5 == 4:
            print(f"step {step + 1} loss {loss.item():.4f} norm {total_norm:.3f}")
    model.load_state_dict(ema, strict=False)
    model.eval()
    with torch.no_grad():
        x, lengths, y = adding_problem(rng, 64, 8)
        rmse = F.mse_loss(model(x, lengths), y).sqrt()
    steps = sum(int(cell.steps) for cell in model.rnn.cells)
    print(f"EMA: {rmse:.4f} after {steps} steps of cells")
    return losses + [float(rmse), float(steps)]


if __name__ == "__main__":
    main()
