"""Made-up programs of writes, views, reads and gradients, run by lucid and by PyTorch.

``python -m tests.tensor.writing_programs 5000`` compares that many of them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import lucid
from lucid.errors import GradientError
from lucid.tracer import trace
from lucid.tracer.subgraph import runner

SHAPES = ((3, 4), (4,), (2, 3, 2), (1, 4), (2, 2))

UNARY = ("tanh", "sigmoid", "exp", "neg", "abs", "square", "relu", "sin")
BINARY = ("add", "sub", "mul")
INPLACE = ("tanh_", "sigmoid_", "neg_", "square_", "relu_", "sin_", "zero_", "abs_")
INPLACE_BINARY = ("add_", "sub_", "mul_", "copy_")


KINDS = ("compute", "view", "write", "assign", "no_grad", "alias")
EVERYTHING = (0.3, 0.22, 0.18, 0.2, 0.05, 0.05)
RECORDED = (0.25, 0.25, 0.2, 0.3, 0.0, 0.0)


class Program:
    """One run of a made-up program in one library; the same seed makes the same program in both.

    Args:
        seed: of the program.
        library: lucid or torch.
        steps: how many statements it has.
        chances: of the kinds of statements.
    """

    def __init__(self, seed: int, library: Any, steps: int, chances: tuple[float, ...] = EVERYTHING) -> None:
        self.rng = np.random.default_rng(seed)
        self.chances = chances
        self.library = library
        self.steps = steps
        self.text: list[str] = []
        self.refused: list[int] = []
        self.tensors: list[Any] = []
        self.leaves: list[Any] = []

    def array(self, shape: tuple[int, ...]) -> Any:
        return self.library.tensor(self.rng.uniform(-1, 1, shape).round(2), dtype=self.library.float64)

    def run(self) -> tuple[list[Any], list[Any], str | None]:
        """Returns the elements of all tensors, the gradients of the leaves, and the error of the backward pass."""
        for shape in SHAPES[:2]:
            leaf = self.array(shape).requires_grad_()
            self.leaves.append(leaf)
            self.tensors.append(leaf)
        for shape in SHAPES:
            self.tensors.append(self.array(shape))
        for _ in range(self.steps):
            self.step()
        values = [x.detach().tolist() for x in self.tensors]
        loss = None
        for x in self.tensors:
            if x.requires_grad:
                term = (x * self.array(tuple(x.shape))).sum()
                loss = term if loss is None else loss + term
        try:
            if loss is not None:
                loss.backward()
        except RuntimeError as error:
            return values, [], str(error)
        return values, [None if x.grad is None else x.grad.tolist() for x in self.leaves], None

    def pick(self) -> Any:
        # The latest are the most interesting.
        span = len(self.tensors)
        back = int(self.rng.integers(0, span if self.rng.random() < 0.4 else min(span, 4)))
        i = span - 1 - back
        self.text.append(f"t{i}{list(self.tensors[i].shape)}")
        return self.tensors[i]

    def step(self) -> None:
        """Makes up a statement and runs it; one that is refused counts, too, and must be refused by both."""
        kind = str(self.rng.choice(KINDS, p=self.chances))
        self.text.append(f"\n{kind}:")
        seed = int(self.rng.integers(2**40))
        outer, self.rng = self.rng, np.random.default_rng(seed)
        try:
            getattr(self, kind)()
        except (RuntimeError, ValueError, IndexError) as error:
            self.text.append(f"refused, {type(error).__name__}: {str(error)[:70]}")
            self.refused.append(len(self.text))
        self.rng = outer

    def new(self, x: Any) -> None:
        self.text.append(f"-> t{len(self.tensors)}")
        self.tensors.append(x)

    def compute(self) -> None:
        x = self.pick()
        if self.rng.random() < 0.5:
            name = str(self.rng.choice(UNARY))
            self.text.append(name)
            self.new(getattr(x, name)())
        else:
            name = str(self.rng.choice(BINARY))
            self.text.append(name)
            self.new(getattr(x, name)(self.operand(x)))

    def operand(self, x: Any) -> Any:
        """Returns a tensor of the same shape, of a part of it, or a number."""
        r = self.rng.random()
        if r < 0.5:
            # PyTorch refuses to read memory that overlaps with what is written.
            y = self.pick()
            return y.clone() if tuple(y.shape) == tuple(x.shape) else y.sum()
        shape = tuple(x.shape)
        return (
            self.array(shape[int(self.rng.integers(0, len(shape) + 1)) :]) if r < 0.8 else round(self.rng.random(), 2)
        )

    def index(self, x: Any) -> Any:
        items: list[Any] = []
        for n in x.shape:
            r = self.rng.random()
            low = int(self.rng.integers(0, n))
            if r < 0.3:
                items.append(low - (n if self.rng.random() < 0.3 else 0))
            elif r < 0.6:
                items.append(slice(low, None if r < 0.4 else low + 2, 2 if r > 0.55 else None))
            elif r < 0.65:
                items += [None, slice(None)]
            else:
                items.append(slice(None))
            if self.rng.random() < 0.2:
                break
        if self.rng.random() < 0.1:
            items.insert(int(self.rng.integers(0, len(items) + 1)), ...)
        self.text.append(str(items))
        return tuple(items)

    def view(self) -> None:
        x = self.pick()
        name = str(self.rng.choice(["index", "index", "t", "reshape", "unsqueeze", "squeeze"]))
        self.text.append(name)
        if name == "index":
            self.new(x[self.index(x)])
        elif name == "t":
            self.new(x.transpose(0, -1))
        elif name == "reshape":
            self.new(x.reshape(-1) if self.rng.random() < 0.5 else x.reshape(2, -1))
        else:
            self.new(getattr(x, name)(0))

    def write(self) -> None:
        x = self.pick()
        if self.rng.random() < 0.4:
            name = str(self.rng.choice(INPLACE))
            self.text.append(name)
            getattr(x, name)()
        else:
            name = str(self.rng.choice(INPLACE_BINARY))
            self.text.append(name)
            y = self.operand(x)
            getattr(x, name)(self.library.tensor(y) if name == "copy_" and isinstance(y, float) else y)

    def assign(self) -> None:
        x = self.pick()
        r = self.rng.random()
        if r < 0.15:
            mask = self.rng.random(tuple(x.shape)) < 0.5
            x[self.library.tensor(mask)] = 0.5
        elif r < 0.3:
            places = self.library.tensor(self.rng.permutation(x.shape[0])[:2])
            self.text.append(f"at {places.tolist()}")
            x[places] = self.operand(x[places])
        elif r < 0.4:
            x.index_fill_(-1, self.library.tensor([0]), 0.25)
        elif r < 0.5:
            x.masked_fill_(self.library.tensor(self.rng.random(tuple(x.shape)) < 0.5), -0.5)
        elif r < 0.6:
            x[self.index(x)] += 0.5
        else:
            index = self.index(x)
            x[index] = self.operand(x[index])

    def no_grad(self) -> None:
        x = self.pick()
        with self.library.no_grad():
            if self.rng.random() < 0.5:
                x *= 0.5
            else:
                x[self.index(x)] = 0.125

    def alias(self) -> None:
        x = self.pick()
        r = self.rng.random()
        self.text.append(f"{r:.2f}")
        if r < 0.4:
            x.detach().mul_(0.5)
        elif r < 0.6:
            self.text.append("data")
            x.data[0] = 0.75
        elif r < 0.8:
            self.new(x.clone())
        else:
            self.new(x.detach())


def compared(seed: int, steps: int = 12) -> str:
    """Runs a program in both libraries; returns how it went.

    Raises:
        AssertionError: they differ; the message has the program.
    """
    import torch

    ours, theirs = Program(seed, lucid, steps), Program(seed, torch, steps)
    values, gradients, error = ours.run()
    expected, wanted, refused = theirs.run()
    text = "".join(f"{a}\n" for a in ("lucid:", " ".join(ours.text), "torch:", " ".join(theirs.text)))
    assert not set(ours.refused) - set(theirs.refused), f"seed {seed}: refused by lucid\n{text}"
    if ours.refused != theirs.refused:
        return "lenient"
    for i, (value, other) in enumerate(zip(values, expected, strict=True)):
        np.testing.assert_allclose(value, other, rtol=1e-9, atol=1e-12, err_msg=f"seed {seed}: t{i}\n{text}")
    flags = [x.requires_grad for x in ours.tensors], [x.requires_grad for x in theirs.tensors]
    assert flags[0] == flags[1], f"seed {seed}: requires_grad {flags}\n{text}"
    if error is not None:
        # PyTorch does not see writes through `data`.
        assert refused is not None or "data" in ours.text, f"seed {seed}: {error}\n{text}"
        return "refused"
    if refused is not None:
        return "more lenient"
    for g, other in zip(gradients, wanted, strict=True):
        assert (g is None) == (other is None), f"seed {seed}: a gradient is None\n{text}"
        if g is not None:
            np.testing.assert_allclose(g, other, rtol=1e-8, atol=1e-11, err_msg=f"seed {seed}: gradient\n{text}")
    return "equal"


def traced(seed: int, steps: int = 10) -> bool:
    """Runs a program on copies of inputs, with and without a trace; returns whether the trace accepted it.

    Raises:
        AssertionError: the graph gives other elements or gradients than the program.
    """
    inputs = [lucid.tensor(np.random.default_rng(seed).uniform(-1, 1, shape)) for shape in SHAPES]
    text: list[list[str]] = []

    def function(*given: Any) -> list[Any]:
        program = Program(seed, lucid, steps, RECORDED)
        leaves = [x.detach().requires_grad_() if i < 2 else x for i, x in enumerate(given)]
        program.tensors = [x.clone() for x in leaves]
        for _ in range(steps):
            program.step()
        text.append(program.text)
        loss = sum(((x * x).sum() for x in program.tensors), lucid.zeros(()))
        gradients = lucid.autograd.grad(loss, leaves[:2], allow_unused=True)
        return [x.detach() for x in program.tensors] + [g for g in gradients if g is not None]

    try:
        eager = function(*inputs)
    except GradientError:  # in a trace nothing is overwritten
        return False
    graph = trace(function, *inputs)
    refused = [[line for line in one if line.startswith("refused")] for one in text]
    if refused[0] != refused[1]:
        assert any("TraceError" in line for line in refused[1]), f"seed {seed}: {refused}\n{' '.join(text[1])}"
        return False
    others = [lucid.tensor(np.random.default_rng(seed + 1).uniform(-1, 1, x.shape)) for x in inputs]
    values = {**graph.inputs, **{f"constant_{i}": value for i, value in enumerate(graph.captured)}}
    everything = graph._replace(inputs=values, captured={})
    for arguments, expected in ((inputs, eager), (others, function(*others))):
        arrays = [x.numpy() for x in (*arguments, *graph.captured.values())]
        found = runner(everything)(arrays)
        for i, (x, y) in enumerate(zip(found, expected, strict=True)):
            np.testing.assert_allclose(
                x, y.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=f"seed {seed}: result {i}\n{' '.join(text[1])}"
            )
    return True


if __name__ == "__main__":
    found: dict[str, int] = {}
    wrong = 0
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1000):
        try:
            how = compared(seed)
        except AssertionError as error:
            how, wrong = "wrong", wrong + 1
            if wrong <= 3:
                print(error)
        found[how] = found.get(how, 0) + 1
        if "lenient" in how and "-v" in sys.argv:
            print(seed, how)
    print(found)
