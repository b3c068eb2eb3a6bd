"""docs/from_pytorch.md is up to date with PyTorch and lucid, and says what is true of both."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import lucid
from lucid.absent import MODULES

torch = pytest.importorskip("torch")

from tests.conformance import from_pytorch, scope  # noqa: E402
from tests.conformance.signatures import differences, ours, theirs  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # PyTorch deprecates some of what is looked at
    pytest.mark.skipif(not torch.__version__.startswith("2.13."), reason="the page is about PyTorch 2.13"),
]


def test_the_page_is_what_the_command_makes():
    written = from_pytorch.PAGE.read_text(encoding="utf-8").splitlines()
    made = from_pytorch.page().splitlines()
    changed = sorted(set(made) ^ set(written))
    assert written == made, (
        f"docs/from_pytorch.md is stale: run `python -m tests.conformance.from_pytorch`; lines that differ: {changed}"
    )


@pytest.mark.parametrize("place", from_pytorch.PLACES)
def test_every_public_name_is_somewhere_once(place):
    names = [name for name in from_pytorch.public(place) if f"{place}.{name}" not in from_pytorch.SECTIONS]
    assert sorted(from_pytorch.section(place).names) == sorted(names)


@pytest.mark.parametrize("module", [m for m in MODULES if m not in ("lucid.utils",)])
def test_every_hint_is_on_the_page(module):
    place = {ours: theirs for theirs, ours in from_pytorch.PLACES.items()}[module]
    found = from_pytorch.section(place)
    for name, hint in MODULES[module].items():
        assert found.absent.get(name) == hint or name == "tensorboard" or name not in found.names


def test_what_is_said_by_hand_is_of_names_that_both_have():
    for path in (*scope.DIFFERENCES, *scope.CALLS):
        place, _, name = path.rpartition(".")
        assert name in from_pytorch.public(place), path
        assert name in [*from_pytorch.section(place).same, *from_pytorch.section(place).different], path


def test_groups_are_of_names_that_lucid_has_not():
    titles = [group.title for group in scope.GROUPS]
    assert len(set(titles)) == len(titles)
    assert all(scope.group_of(name) is None for name in ("sum", "matmul", "Linear", "softmax", "DataLoader"))


def f(input: Any, dim: Any, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> None:
    """A function as PyTorch's."""


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (lambda x, /, dim, keepdim=False, dtype=None: 0, []),
        (lambda x, dim, keepdim=False, *, dtype=None, more=1: 0, []),
        (lambda x, dim, *, keepdim=False, dtype=None: 0, ["`keepdim` by name only"]),
        (lambda x, dim, keepdim=True, dtype=None: 0, ["`keepdim=True` by default, not `False`"]),
        (lambda x, dim, keepdim, dtype=None: 0, ["`keepdim` is required"]),
        (lambda x, axis, keepdim=False, dtype=None: 0, ["`dim` is called `axis`"]),
        (lambda x, dim, dtype=None: 0, ["no `keepdim`"]),
        (lambda x, dim, keepdim=False: 0, ["no `dtype`"]),
        (lambda x, dim, keepdim=False, dtype=None, *, more: 0, ["`more` is required"]),
    ],
)
def test_differences_of_signatures(own, expected):
    assert differences(theirs(f, "f", "torch"), ours(own) or []) == expected


def test_signatures_of_functions_in_c_are_those_of_the_stubs():
    overloads = theirs(torch.sum, "sum", "torch")
    assert [[p.name for p in one] for one in overloads][:2] == [
        ["input", "dtype"],
        ["input", "dim", "keepdim", "dtype", "out"],
    ]
    assert [p.name for p in theirs(torch.Tensor.add_, "add_", "torch.Tensor")[0]] == ["other", "alpha"]
    (lstm,) = theirs(torch.nn.LSTM, "LSTM", "torch.nn")
    assert [p.name for p in lstm][:3] == ["input_size", "hidden_size", "num_layers"]
    assert lstm[2].default == 1
    assert lstm[0].default is inspect.Parameter.empty


def test_an_op_takes_what_its_generated_function_takes():
    assert [p.name for p in ours(lucid.add) or []] == ["x", "y", "alpha"]
    assert {"dim", "axis"} <= {p.name for p in ours(lucid.sum) or []}
