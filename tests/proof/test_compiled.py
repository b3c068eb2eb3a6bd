"""Compiled modules give the eager module's results and gradients at every size and value, or their calls raise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.nn.utils.rnn import pack_padded_sequence
from tests.proof.case import Case, Cases, compiled, rand
from tests.tiers import thinned

F = nn.functional
SIZES = (21, 31, 30, 2, 1)
PAIRS = ((3, 30), (8, 8), (31, 1))
TABLE = {5: 2.0, 30: 4.0}

RIGHT, HONEST, REFUSED = Cases(), Cases(), Cases()
BACKWARD, HONEST_BACKWARD, REFUSED_BACKWARD = Cases(), Cases(), Cases()
X = rand(5, 2, 3)
TIMES = [(rand(n, 2, 3),) for n in SIZES]
PLANES = [(rand(a, b, 3),) for a, b in PAIRS]

lucid.manual_seed(0)


def longest_first(n: Any) -> Any:
    return n if n <= 8 else longest_first(n // 2)


# --- a function of (time, batch, 3), beside a layer

FORMULAS: dict[str, Callable[[Any], Any]] = {
    "the first half": lambda x: x[: (x.shape[0] + 1) // 2],
    "a mean of weights": lambda x: x * (x.shape[0] * (x.shape[0] + 1) / 2) ** -0.5,
    "positions": lambda x: x + lucid.arange(x.shape[0]).float().reshape(-1, 1, 1) / x.shape[1],
    "padded to eights": lambda x: F.pad(x, (0, 0, 0, 0, 0, -x.shape[0] % 8)),
    "both sizes": lambda x: x * x.shape[0] - x.shape[1] / x.numel(),
    "joined with its end": lambda x: lucid.cat([x, x[x.shape[0] // 2 :]]),
    "zero for short ones": lambda x: x * (1 + x.shape[0] // 30),
    "a check that never fails": lambda x: x * 2 if x.shape[0] > 0 and x.shape[1] + 1 > x.shape[1] else x,
}

DECISIONS: dict[str, Callable[[Any], Any]] = {
    "beyond 20": lambda x: x * 2 if x.shape[0] > 20 else x,
    "at 30": lambda x: x * 2 if x.shape[0] == 30 else x,
    "odd": lambda x: x * 2 if x.shape[0] % 2 else x,
    "the last 16": lambda x: x[-16:] if x.shape[0] > 16 else x,
    "at most 16": lambda x: x[: min(x.shape[0], 16)],
    "padded to 16": lambda x: F.pad(x, (0, 0, 0, 0, 0, max(16 - x.shape[0], 0))),
    "a table": lambda x: x * TABLE.get(x.shape[0], 3.0),
    "text": lambda x: x * 2 if str(x.shape[0]) == "31" else x,
    "a loop": lambda x: lucid.cat([x[i : i + 8] * (i + 1) for i in range(0, x.shape[0], 8)]),
    "a recursion": lambda x: x * longest_first(x.shape[0]),
    "a root": lambda x: x * np.sqrt(x.shape[0]).item(),
    "the batch": lambda x: x - x.mean(1, keepdim=True) if x.shape[1] >= 30 else x,
    "a square plane": lambda x: x * 2 if x.shape[0] == x.shape[1] else x,
    "more steps than sequences": lambda x: x[x.shape[1] - 1 :] if x.shape[0] > x.shape[1] else x,
    "what is left of 20": lambda x: x * 2 if x[20:].shape[0] else x,
    "an error of lucid's": lambda x: x * 2 if fits(x) else x,
}


def fits(x: Any) -> bool:
    try:
        x[30]
    except IndexError:
        return False
    return True


class Model(nn.Module):
    """A function before a layer."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(3, 4), function

    def forward(self, x: Any) -> Any:
        y = self.linear(self.function(x))
        return y.tanh(), y.sum(0)


class Loss(nn.Module):
    """The mean of what a function makes of a layer's output."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(3, 3), function

    def forward(self, x: Any) -> Any:
        y = self.function(self.linear(x).tanh())
        return y.square().sum() / x.shape[0], y


for cases, table, module in (
    (RIGHT, FORMULAS, Model),
    (HONEST, DECISIONS, Model),
    (BACKWARD, FORMULAS, Loss),
    (HONEST_BACKWARD, DECISIONS, Loss),
):
    cases += [Case(module(f), (X,), (*TIMES, *PLANES), name=name) for name, f in table.items()]


@RIGHT.exported((X, np.array([5, 2])), (X, np.array([1, 1])), (rand(31, 2, 3), np.array([30, 31])))
class OfLengths(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4)

    def forward(self, x, lengths):
        last = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))[1][0]
        return last / x.shape[0], last.sum() / lengths.sum().float()


@RIGHT.exported((rand(5, 3), rand(7, 3)), *[(rand(a, 3), rand(b, 3)) for a, b in PAIRS])
def attention_over_another_length(x, y):
    return (x @ y.T * y.shape[0] ** -0.5).softmax(-1) @ y / x.shape[0]


@HONEST.honest((rand(5, 3), rand(7, 3)), *[(rand(a, 3), rand(b, 3)) for a, b in PAIRS])
def the_shorter_of_two(x, y):
    return x.sum(0) * 2 if x.shape[0] < y.shape[0] else y.sum(0)


@HONEST.honest((X,), (X * 2,), (-X,), (X * 100,))
class KeepsWhatItSaw(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = None

    def forward(self, x):
        before, self.seen = self.seen, x.shape[0]
        return x * 2 if before == 5 else x * 3


@HONEST.honest((X,), *TIMES, *PLANES)
class TableGrownOnDemand(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.linear = lucid.arange(8).float(), nn.Linear(3, 4)

    def forward(self, x):
        if x.shape[0] > self.table.shape[0]:
            self.table = lucid.arange(2 * x.shape[0]).float()
        return self.linear(x + self.table[: x.shape[0]].reshape(-1, 1, 1))


@REFUSED.refused((X,), (-np.abs(X),), (np.abs(X),))
def a_branch_on_a_value(x):
    return x * 2 if float(x.sum()) > 0 else x * 3


@REFUSED.refused((X, np.array([5, 4])), (X, np.array([2, 3])))
def cut_at_the_longest(x, lengths):
    return x[: int(lengths.max())] * 2


@REFUSED.refused((X, np.array(True)), (X, np.array(False)))
def a_flag(x, flag):
    return x * 2 if flag else x


@REFUSED_BACKWARD.refused((X, np.ones((5, 2), bool)), (X, rand(5, 2) > 0), (rand(9, 2, 3), rand(9, 2) > 0))
class LossOfAMask(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x, mask):
        return (self.linear(x).squeeze(-1) * mask.float()).sum() / float(mask.sum())


@REFUSED_BACKWARD.refused((X,), (X * 100,))
class LossThatIsClipped(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x):
        loss = self.linear(x).square().mean()
        return loss if loss.item() < 50 else loss * 0 + 50


@BACKWARD.exported(
    (rand(5, 2, 3), np.arange(10).reshape(5, 2) % 3, np.ones((5, 2), bool)),
    *[(rand(a, b, 3), np.arange(a * b).reshape(a, b) % 3, rand(a, b) > -1) for a, b in PAIRS],
)
class MaskedCrossEntropy(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 4), nn.Linear(4, 3)

    def forward(self, x, target, mask):
        T, N, _ = x.shape
        losses = F.cross_entropy(self.head(self.rnn(x)[0]).flatten(0, 1), target.reshape(T * N), reduction="none")
        weights = mask.float() * lucid.arange(1, T + 1).float().unsqueeze(1)
        return (losses.reshape(T, N) * weights).sum() / weights.sum() + losses.sum() / (T * N)


@BACKWARD.exported((rand(6, 3),), *[(rand(n, 3),) for n in SIZES])
class ContrastiveLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x):
        y = F.normalize(self.linear(x), dim=-1)
        return F.cross_entropy(y @ y.T * x.shape[0] ** 0.5, lucid.arange(x.shape[0]))


@pytest.mark.parametrize("case", thinned(RIGHT, 5, sample=3), ids=str)
def test_results_are_right_at_every_size(case: Case, quick_choices: None) -> None:
    found = compiled(case)
    assert found.startswith("right"), found


@pytest.mark.parametrize("case", thinned(HONEST, 8, sample=3), ids=str)
def test_results_are_right_or_the_call_raises(case: Case, quick_choices: None) -> None:
    found = compiled(case)
    assert found.startswith(("right", "refused")), found


@pytest.mark.parametrize("case", thinned(BACKWARD, 5, sample=3), ids=str)
def test_gradients_are_right_at_every_size(case: Case, quick_choices: None) -> None:
    found = compiled(case, backward=True)
    assert found.startswith("right"), found


@pytest.mark.parametrize("case", thinned(HONEST_BACKWARD, 9, sample=3), ids=str)
def test_gradients_are_right_or_the_call_raises(case: Case, quick_choices: None) -> None:
    found = compiled(case, backward=True)
    assert found.startswith(("right", "refused")), found


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_value_that_decides_makes_calls_fail_with_the_line(case: Case) -> None:
    found = compiled(case)
    assert found.startswith("refused"), found
    assert "test_compiled.py:" in found, found


@pytest.mark.parametrize("case", REFUSED_BACKWARD, ids=str)
def test_a_value_that_decides_a_loss_makes_calls_fail_with_the_line(case: Case) -> None:
    found = compiled(case, backward=True)
    assert found.startswith("refused"), found
    assert "test_compiled.py:" in found, found


@pytest.mark.parametrize(("name", "module"), thinned(product(("beyond 20", "odd", "the last 16"), (Model, Loss)), 5, 2))
def test_a_decision_by_a_size_is_no_reason_to_refuse(name: str, module: Any, quick_choices: None) -> None:
    case = Case(module(DECISIONS[name]), (X,), tuple(TIMES))
    found = compiled(case, backward=module is Loss)
    assert found.startswith("right"), found


@pytest.mark.parametrize(
    ("backward", "order"), thinned(product((False, True), ((5, 21, 1, 6), (1, 21, 5), (21, 1, 30))), 5, 2)
)
def test_a_size_that_the_module_rejects_raises_its_own_error(backward: bool, order: Any, quick_choices: None) -> None:
    def checked(x: Any) -> Any:
        if x.shape[0] < 2:
            raise ValueError("at least two steps")
        return x[1:] - x[:-1]

    model = Loss(checked) if backward else Model(checked).eval()
    fast: Any = lucid.compile_backward(model) if backward else lucid.compile(model)
    for n in order:
        x = lucid.tensor(rand(n, 2, 3))
        if n < 2:
            with pytest.raises(ValueError, match="at least two steps"):
                fast(x)
        else:
            found = fast(x)
            for one, other in zip(found, model(x), strict=True):
                np.testing.assert_allclose(one.numpy(), other.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_value_that_the_module_rejects_raises_or_is_refused() -> None:
    def checked(x: Any) -> Any:
        if float(x.abs().max()) > 1e3:
            raise ValueError("too large")
        return x * 2

    model = Model(checked).eval()
    fast = lucid.compile(model)
    for scale in (1.0, 3.0):
        x = lucid.tensor(X * scale)
        np.testing.assert_allclose(fast(x)[0].numpy(), model(x)[0].detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_limit_that_is_changed_between_calls_counts(quick_choices: None) -> None:
    class Limited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.limit = nn.Linear(3, 3), 20

        def forward(self, x: Any) -> Any:
            return self.linear(x) * (2 if x.shape[0] > self.limit else 3)

    model = Limited().eval()
    fast = lucid.compile(model)
    for limit in (20, 6, 40, 20):
        model.limit = limit
        for n in (5, 7, 30):
            x = lucid.tensor(rand(n, 3))
            with suppress(ExportError):
                found = fast(x).numpy()
                np.testing.assert_allclose(found, model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_parameter_that_decides_counts_when_it_has_changed() -> None:
    class ByItsParameter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(lucid.tensor(2.0))

        def forward(self, x: Any) -> Any:
            return (x * self.scale).sum() * (2.0 if float(self.scale) > 1 else 3.0)

    for compile in (lucid.compile, lucid.compile_backward):
        model = ByItsParameter().eval()
        fast, x = compile(model), lucid.tensor(X)
        for scale in (2.0, 0.5, 3.0):
            model.load_state_dict({"scale": lucid.tensor(scale)})
            with suppress(ExportError):
                np.testing.assert_allclose(fast(x).item(), model(x).item(), rtol=1e-4)


def test_a_recurrent_layer_after_a_decision(quick_choices: None) -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(3, 4)

        def forward(self, x: Any) -> Any:
            return self.rnn(x[-16:] if x.shape[0] > 16 else x)[0] / x.shape[0]

    model = Tagger().eval()
    fast = lucid.compile(model)
    for n in (5, 17, 16, 31):
        x = lucid.tensor(rand(n, 2, 3))
        np.testing.assert_allclose(fast(x).numpy(), model(x).detach().numpy(), rtol=1e-4, atol=1e-5)
