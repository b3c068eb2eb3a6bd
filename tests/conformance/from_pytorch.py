"""The page of PyTorch's public names: what is the same in lucid, what differs, and what is absent.

``python -m tests.conformance.from_pytorch`` writes docs/from_pytorch.md from the installed PyTorch and lucid. A test
checks that the page is up to date.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import types
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import lucid
from lucid.absent import EXPRESSIONS, MODULES, hint_for
from tests.conformance.scope import CALLS, DIFFERENCES, GROUPS, INTERNAL, group_of

torch = pytest.importorskip("torch")  # pytest imports every file, for its examples

__all__ = ["PAGE", "PLACES", "SECTIONS", "Section", "page", "public", "section"]

from tests.conformance.signatures import NOWHERE, differences, ours, theirs  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "from_pytorch.md"

PLACES = {
    "torch": "lucid",
    "torch.Tensor": "lucid.Tensor",
    "torch.nn": "lucid.nn",
    "torch.nn.functional": "lucid.nn.functional",
    "torch.nn.init": "lucid.nn.init",
    "torch.nn.utils": "lucid.nn.utils",
    "torch.nn.utils.rnn": "lucid.nn.utils.rnn",
    "torch.nn.utils.parametrizations": "lucid.nn.utils.parametrizations",
    "torch.optim": "lucid.optim",
    "torch.optim.lr_scheduler": "lucid.optim.lr_scheduler",
    "torch.utils.data": "lucid.data",
    "torch.distributions": "lucid.distributions",
    "torch.autograd": "lucid.autograd",
}
"""PyTorch's modules, and its class of tensors, and lucid's."""

SECTIONS = set(PLACES)
_BASES = (torch.nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.Tensor, dict, tuple)
_ABSENT = object()
_CODE = re.compile(r"\b(?:lucid|nn|optim|np|x|y|model|itertools)\.\w|\b__\w+__|\b(?:dtype=|forward\(|\.vjp)")

_HEAD = """# From PyTorch

lucid has PyTorch's names. In many programs the import lines change, and nothing else: `import lucid` for
`import torch`, and `lucid.` for `torch.`; `torch.utils.data` is `lucid.utils.data`, or `lucid.data`.

```pycon
>>> import lucid
>>> from lucid import nn
>>> from lucid.utils.data import DataLoader, TensorDataset
>>> x, y = lucid.randn(64, 10, 3), lucid.randint(0, 2, (64,))
>>> loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
>>> rnn, head = nn.GRU(3, 8, batch_first=True), nn.Linear(8, 2)
>>> optimizer = lucid.optim.AdamW([*rnn.parameters(), *head.parameters()], lr=1e-2)
>>> for inputs, targets in loader:
...     loss = nn.functional.cross_entropy(head(rnn(inputs)[1][-1]), targets)
...     optimizer.zero_grad()
...     loss.backward()
...     _ = nn.utils.clip_grad_norm_(rnn.parameters(), 1.0)
...     optimizer.step()

```

## Bring the weights along

`lucid.from_torch` makes lucid's module of a module of PyTorch's that consists of layers which lucid has, alone or in
`Sequential`, `ModuleList` and `ModuleDict`. Options, parameters, buffers, modes and `requires_grad` carry over, and
what is shared stays shared. Arrays are copied, and lucid itself never imports torch.

```python
import numpy as np
import torch

theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Dropout(0.1)).eval()
ours = lucid.from_torch(theirs)
x = torch.randn(2, 3)
assert np.allclose(ours(lucid.tensor(x.numpy())).detach().numpy(), theirs(x).detach().numpy(), atol=1e-6)
```

The code of a class of your own stays behind. Rewrite it with lucid's layers, under the same names, and move
the weights:

```python
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


class TorchTagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = torch.nn.LSTM(3, 8, batch_first=True), torch.nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


theirs = TorchTagger()
ours = lucid.from_torch(theirs, into=Tagger())
x = torch.randn(4, 6, 3)
assert np.allclose(ours(lucid.tensor(x.numpy())).detach().numpy(), theirs(x).detach().numpy(), atol=1e-6)

lucid.from_torch(theirs.state_dict(), into=ours)  # the same of a state dict, which has no modes
```

Names, shapes, dtypes, sharing and the options of layers of the same type must fit. If anything does not, the error
lists each difference, and nothing is changed. A layer that lucid does not have, an option of one, a hook, a
parametrization or a subclass is refused with its path and the reason; [`lucid.from_onnx`](importing.md) then reads what
`torch.onnx.export` writes, code included. bfloat16 becomes float32, with a warning.

Where PyTorch is installed, a file is converted by
`lucid.save(torch.load("run.pt", map_location="cpu"), "run.safetensors")`.
Elsewhere weights travel as arrays: `model.load_state_dict({{name: w.numpy() for name, w in weights.items()}})`.

## What behaves differently

- Training runs on the CPU, in NumPy or in onnxruntime; `.to("cuda")` is an error, and `lucid.cuda.is_available()` is
  False. Exported models run wherever onnxruntime does: `lucid.runtime.Session(path, device="cuda")`.
- A packed sequence stays padded, and packing needs no order. `pad_packed_sequence` returns the time axis of the packed
  tensor, not the longest length, so no shape depends on data.
- A shape is a tuple of ints, `lucid.Size`, and its slices are plain tuples; a dtype is NumPy's.
- A loader makes float32 of Python floats, where PyTorch makes float64.
- Dtypes promote as in PyTorch, not as in NumPy: an integer tensor divided, or multiplied by a Python float, is float32,
  which has 24 bits. So large integers lose digits; convert them with `x.double()` first.
- A write to a tensor may read the memory that it overwrites: `x[1:] = x[:-1]` shifts. Layers accept `inplace=True`, but
  return a new tensor. [A page](writing.md) says what a write does where.
- A loss of different shapes is an error, where PyTorch warns and broadcasts.
- A sum or product of finite numbers that overflows warns, as in NumPy.
- The same seed gives other random numbers than in PyTorch.
- A loader's workers are threads: samples need not be picklable, code in plain Python takes turns, and `worker_init_fn`
  that seeds `random` or NumPy seeds the whole program. What they draw with lucid's functions can be resumed, as the
  loader's position can.
- A file of `lucid.save` holds no code, so an object is saved by its `state_dict()`.
- A sequence has at least one time step, and a length of at least one: onnxruntime's operators disagree about zero.
- Anything that cannot be exported raises an error. There is no fallback that exports something else.

Tensors go by place: PyTorch's `input` and `other` have shorter names here. So do sizes that may stand one by one, as in
`x.reshape(2, 3)`. `device`, `dtype` and `requires_grad` go by name. These parameters may be missing anywhere:

{nowhere}

## Names

A name is *the same* if lucid takes all parameters that PyTorch {version} takes, by the same names, in the same order,
with the same defaults, but for those above; a class also has the same methods. [The tests](../tests/conformance)
compare values, gradients and errors in PyTorch's own samples. An absent name raises an error; if a row below says what
to write instead, so does the error.

{counts}

What is absent in groups. The sections only count these names:

{groups}
"""

_FOOT = """
Made by `python -m tests.conformance.from_pytorch`; a test makes it anew.
"""


class Section(NamedTuple):
    """What became of the names of one module of PyTorch's.

    Attributes:
        same: the names that are the same.
        different: by name, what differs.
        absent: by name, what to write instead.
        grouped: by the title of a group, its absent names.
        others: absent names of which nothing is said.
    """

    same: list[str]
    different: dict[str, str]
    absent: dict[str, str]
    grouped: dict[str, list[str]]
    others: list[str]

    @property
    def names(self) -> list[str]:
        """All of them."""
        grouped = [name for names in self.grouped.values() for name in names]
        return [*self.same, *self.different, *self.absent, *grouped, *self.others]


def public(place: str) -> list[str]:
    """Returns the public names of a module of PyTorch's, or of its class of tensors.

    A module that has no `__all__` also has what it imports from the standard library and for its own use.
    """
    owner = _find(place)
    # torch.onnx is among the names only once it was used.
    known = {*dir(owner), "onnx"} if place == "torch" else dir(owner)
    names = sorted(name for name in known if not name.startswith("_"))
    if place == "torch.Tensor":
        return names
    if place != "torch" and getattr(owner, "__all__", None):
        return sorted(name for name in owner.__all__ if not name.startswith("_"))
    return [name for name in names if _is_own(getattr(owner, name), place) or name in getattr(owner, "__all__", ())]


def _is_own(thing: Any, place: str) -> bool:
    if isinstance(thing, types.ModuleType):
        return place != "torch.nn.functional" and thing.__name__.startswith(f"{place}.")
    home = getattr(thing, "__module__", None) or type(thing).__module__
    if place == "torch.nn.functional":
        return callable(thing) and home in (place, "torch._C._nn", "torch", "builtins") and thing is not torch.Tensor
    if not callable(thing):
        return home.startswith("torch") or (isinstance(thing, (float, int)) and not isinstance(thing, bool))
    return home.split(".")[0] in ("torch", "builtins")


def _find(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(_find(module), name) if name == "Tensor" else importlib.import_module(path)


@functools.cache
def section(place: str) -> Section:
    """Sorts the public names of a module."""
    found = Section([], {}, {}, {}, [])
    for name in public(place):
        if f"{place}.{name}" in SECTIONS:
            continue
        thing, own = getattr(_find(place), name), _own(place, name)
        if own is not _ABSENT:
            phrases = _differences(place, name, thing, own)
            if phrases:
                found.different[name] = "; ".join(phrases)
            else:
                found.same.append(name)
        elif (hint := _hint(place, name, thing)) is not None:
            found.absent[name] = hint
        elif (group := group_of(name)) is not None:
            found.grouped.setdefault(group.title, []).append(name)
        else:
            found.others.append(name)
    return found


def _own(place: str, name: str) -> Any:
    """Returns what lucid has of a name."""
    owner = _find(PLACES[place])
    if place == "torch.Tensor":
        return inspect.getattr_static(owner, name, _ABSENT) if name in dir(owner) else _ABSENT
    reached = name in owner.__all__ or (place == "torch" and name in (*lucid._LAZY, "compile", *_SHORT))
    return getattr(owner, name) if reached else _ABSENT


_SHORT = ("half", "float", "double", "short", "int", "long", "bool")
"""Dtypes that lucid leaves out of its `__all__`."""


def _differences(place: str, name: str, thing: Any, own: Any) -> list[str]:
    path = f"{place}.{name}"
    phrases = []
    if path in DIFFERENCES:
        phrases.append(DIFFERENCES[path])
    if isinstance(thing, types.ModuleType) or not (callable(thing) and callable(own)) or path == "torch.compile":
        return phrases
    parameters, overloads = ours(own), theirs(thing, name, place)
    unlike = differences(overloads, parameters) if overloads and parameters is not None else ["?"]
    if path in CALLS and all(_agree(call) for call in CALLS[path]):
        unlike = [phrase for phrase in unlike if phrase.startswith("no `") and "*" not in phrase]
    assert "?" not in unlike, f"PyTorch says nowhere what {path} takes; add calls of it to CALLS in scope.py"
    if isinstance(thing, type) and getattr(own, "__module__", "").startswith("lucid") and not name.endswith("Tensor"):
        kinds = [kind for kind in _BASES if issubclass(thing, kind) and thing is not kind]
        inherited = {attribute for kind in kinds for attribute in dir(kind)}
        missing = [m for m in dir(thing) if not m.startswith("_") and m not in dir(own) and m not in inherited]
        missing = [m for m in missing if not INTERNAL.fullmatch(m) and not _is_attribute_of(own, m)]
        if missing:
            unlike.append(f"has no {_code(missing)}")
    return phrases + _joined(unlike)


def _is_attribute_of(kind: type, name: str) -> bool:
    """Returns whether instances have an attribute, as its annotation or the docstring says."""
    return any(name in getattr(base, "__annotations__", ()) for base in kind.__mro__) or f" {name}:" in (
        kind.__doc__ or ""
    )


def _joined(phrases: list[str]) -> list[str]:
    """Joins the names of missing parameters."""
    missing = [phrase.removeprefix("no ") for phrase in phrases if phrase.startswith("no `")]
    named = [phrase.removesuffix(" by name only") for phrase in phrases if phrase.endswith(" by name only")]
    rest = [p for p in phrases if not p.startswith("no `") and not p.endswith(" by name only")]
    return [
        *([f"no {', '.join(missing)}"] if missing else []),
        *([f"{', '.join(named)} by name only"] if named else []),
        *rest,
    ]


def _agree(call: str) -> bool:
    results = []
    for library in (torch, lucid):
        x = library.tensor([[1.0, 2.0], [3.0, 5.0]])
        result = eval(call, {"m": library, "x": x})
        results.append(np.asarray(result) if hasattr(result, "numpy") else result)
    a, b = results
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and bool(np.allclose(a, b))
    return bool(a == b)


def _hint(place: str, name: str, thing: Any) -> str | None:
    """Returns what lucid's error says of a name."""
    module = "lucid.tensor" if place == "torch.Tensor" else PLACES[place]
    if place == "torch.Tensor":
        try:
            getattr(lucid.ones(2, 2), name)
        except AttributeError as error:
            return str(error).partition(f"{name!r}: ")[2] or None
    listed = name in MODULES.get(module, ()) or name in EXPRESSIONS
    # A module has no function of its name in a neighbour.
    return hint_for(module, name) if listed or not isinstance(thing, types.ModuleType) else None


def page() -> str:
    """Returns the page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sections = {place: section(place) for place in PLACES}
    nowhere = "\n".join(f"- {_code(names.split(', '))}: {what}." for names, what in NOWHERE.items())
    rows = [("module", "same", "different", "absent"), ("---",) * 4]
    for place, found in sections.items():
        absent = len(found.names) - len(found.same) - len(found.different)
        rows.append((f"[`{place}`](#{_anchor(place)})", str(len(found.same)), str(len(found.different)), str(absent)))
    totals = [sum(int(row[i]) for row in rows[2:]) for i in (1, 2, 3)]
    rows.append(("all", *map(str, totals)))
    grouped: dict[str, list[str]] = {group.title: [] for group in GROUPS}
    for found in sections.values():
        for title, names in found.grouped.items():
            grouped[title] += [name for name in names if name not in grouped[title]]
    lines = [
        f"- **{group.title}** ({len(names)}: {_code(names[:3])}{' …' if len(names) > 3 else ''}): {group.instead}."
        for group in GROUPS
        if (names := grouped[group.title])
    ]
    version = torch.__version__.partition("+")[0].rpartition(".")[0]
    head = _HEAD.format(nowhere=nowhere, version=version, counts=_table(rows), groups="\n".join(lines))
    hints = {place: sections["torch"].absent if place == "torch.Tensor" else {} for place in sections}
    return "\n".join([head, *(_written(place, found, hints[place]) for place, found in sections.items())]) + _FOOT


def _anchor(place: str) -> str:
    return re.sub(r"[^a-z_]", "", place.lower())


def _written(place: str, found: Section, other: dict[str, str]) -> str:
    """Returns the part of the page about a module; `other` has the hints that another part has."""
    parts = [f"## `{place}`", f"Here `{PLACES[place]}`."]
    if found.same:
        parts.append(f"**Same:** {_code(found.same)}.")
    if found.different:
        alike: dict[str, list[str]] = {}
        for name, text in found.different.items():
            alike.setdefault(text, []).append(name)
        rows = [("different", "in lucid"), ("---",) * 2]
        parts.append(_table(rows + [(_code(names), _escaped(text)) for text, names in alike.items()]))
    if found.absent:
        own = {name: hint for name, hint in found.absent.items() if other.get(name) != hint}
        rows = [("absent", "instead"), ("---",) * 2, *_rows(own)]
        if shared := [name for name in found.absent if name not in own]:
            rows.append((_code(shared), "as the functions of `torch`"))
        parts.append(_table(rows))
    if found.others:
        parts.append(f"**Absent**, to be composed of ops or [declared](custom_ops.md): {_code(found.others)}.")
    if found.grouped:
        counts = [f"{title} ({len(names)})" for title, names in found.grouped.items()]
        parts.append(f"**Absent by group:** {'; '.join(counts)}.")
    return "\n\n".join(parts) + "\n"


def _rows(absent: dict[str, str]) -> list[tuple[str, str]]:
    """Returns a row for each hint, with the names that share it."""
    names: dict[str, list[str]] = {}
    for name, hint in absent.items():
        plain = name.removesuffix("_")
        shared = re.sub(rf"(?<=[.(]){plain}(_?)\(\.\.\.\)", r"{}\1(...)", hint)
        if plain != name and plain in EXPRESSIONS and hint == f"write x.copy_({EXPRESSIONS[plain]})":
            shared = "write x.copy_(...) of what stands for the name without the underscore"
        names.setdefault(shared, []).append(name)
    rows = []
    for hint, group in names.items():
        text = hint.replace("{}", group[0].removesuffix("_"))
        rows.append((_code(group), _instead(text) + (", and so on" if "{}" in hint and len(group) > 1 else "")))
    return rows


def _instead(hint: str) -> str:
    """Returns a hint as Markdown."""
    plain = hint.removeprefix("write ")
    if plain != hint and not re.search(r" (or|and) ", plain):
        try:
            ast.parse(plain)
        except SyntaxError:
            pass
        else:
            return _escaped(f"`{plain}`")
    parts, place = [], 0
    while (match := _CODE.search(hint, place)) is not None:
        end = _end_of_code(hint, match.start())
        parts += [hint[place : match.start()], f"`{hint[match.start() : end]}`"]
        place = end
    return _escaped("".join([*parts, hint[place:]]))


def _end_of_code(text: str, start: int) -> int:
    """Returns where an expression ends, such as ``lucid.tensor(f(x)).sum()``."""
    depth = 0
    for end in range(start, len(text)):
        depth += text[end] in "(["
        depth -= text[end] in ")]"
        if depth < 0 or (not depth and text[end] in " ,;:"):
            break
    else:
        end = len(text)
    return end - (text[end - 1] == ".")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _table(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _code(names: list[str]) -> str:
    return " ".join(f"`{name}`" for name in names) if len(names) > 6 else ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
