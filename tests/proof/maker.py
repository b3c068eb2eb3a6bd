"""Makes up small programs: statements that run at the example's sizes, and mostly at others."""

from __future__ import annotations

import functools
import linecache
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

import lucid
from lucid import nn

__all__ = ["Draw", "Program", "Spec", "made_up"]

Array = np.ndarray[Any, Any]
Draw = Callable[[int], int]
"""Where choices come from, random numbers or hypothesis: a number below another; the smaller, the simpler."""

_MOST_ELEMENTS = 200_000

_SIZES = (
    ("{n} // {k}", "{n} + {k}", "({n} - {k})", "{n} * {k}", "({n} + {m})", "({n} - {m})", "{n} * {m}"),
    ("{n} % {k}", "-(-{n} // {k})", "(-{n}) % {k}", "math.ceil({n} / {k})", "{n} - {n} % {k}", "{n} * ({n} + 1) // 2"),
    ("({n} + {k}) // 2 * 2", "divmod({n}, {k})[0]", "divmod({n}, {k})[1]", "sum([{n}, {m}, 1])", "math.prod([{n}, 2])"),
    ("max({n}, {k})", "min({n}, {k})", "min({n}, {m})", "max({n}, {m})", "abs({n} - {m})", "sorted([{n}, {c}])[0]"),
    ("int({n} / 2)", "round({n} / 4)", "[{k}, 2, 1][{n} % 3]", "len(range(0, {n}, {k}))", "math.isqrt({n} * {n})"),
)

_CONDITIONS = (
    ("{n} > {c}", "{n} < {c}", "{n} >= {c}", "{n} <= {c}", "{n} == {c}", "{n} != {c}"),
    ("{n} % {k} == 1", "{n} // {k}", "3 < {n} < {c}", "not {n} > {c}", "{n} > {c} and {m} > 2", "{n} > 0"),
    (
        "{n} == {m}",
        "{n} > {m} + {k}",
        "{n} in ({c}, 31)",
        "{n} in {{{c}, 8}}",
        "str({n}) == '31'",
        "{a}.shape == {b}.shape",
    ),
)

_READS = (
    ("float({a}.sum()) > {r}", "{a}.mean() > {r}", "{a}.abs().max().item() > 3", "bool(({a} > {r}).any())"),
    ("({a} > {r}).all()", "({a}.detach().numpy() > {r}).any()", "int({i}.max()) > 2", "bool({t}.any())"),
)

_NUMBERS_READ = (
    "float({a}.mean())",
    "int({a}.abs().max())",
    "int({i}.max())",
    "float({t}.sum())",
    "({a} > 0).nonzero().shape[0]",
)

_EXPRESSIONS = (
    ("{a} + {b}", "{a} * {b}", "{a} - {b}", "{a} / ({b}.abs() + 1)", "lucid.maximum({a}, {b})"),
    ("{a}.tanh()", "{a}.sigmoid() - 0.5", "{a}.relu() + 1", "({a} * 3).sin()"),
    ("{a} * ({n})", "{a} / ({n} + 1)", "{a} - ({n})", "{a} * ({n}) ** -0.5", "({n}) * {a}", "{a} / ({n})"),
    ("{a}[: {n}]", "{a}[{n} :]", "{a}[{n} : {m}]", "{a}[-({n}) :]", "{a}[: -({n})]", "{a}[:: {k}]", "{a}[::-1]"),
    ("{a}[..., : {n}]", "{a}[:, {n} :]", "{a}[{n}]", "{a}[-1]", "{a}[: {n}] * 2 + {a}[-({n}) :]"),
    ("{a}.sum({d})", "{a}.mean({d}, keepdim=True)", "{a}.softmax({d})", "{a}.amax({d})", "{a}.sum() / {a}.numel()"),
    ("{a}.cumsum({d}).tanh()", "{a}.flip({d})", "{a}.roll({k}, {d})", "{a}.transpose(0, {e})", "{a}.unsqueeze({d})"),
    ("{a}.reshape(-1)", "{a}.reshape({n}, -1)", "{a}.reshape(-1, 3)", "{a}.flatten(0, 1)", "{a}.squeeze()"),
    ("{a}.unsqueeze(0).expand({n}, *{a}.shape)", "{a}.repeat_interleave({k}, {d})", "{f}.repeat({k}, 1)"),
    ("F.pad({a}, (0, 0, {n}, {k}))", "F.pad({a}, ({n}, 0))", "F.pad({a}, (0, 0, 0, -len({a}) % 4))"),
    ("F.pad({f}, (0, 0, 0, -len({f}) % 4)).reshape(-1, 4, {f}.shape[1])", "{f}[: len({f}) // 2 * 2].reshape(2, -1, 3)"),
    ("lucid.cat([{a}, {b}], {d})", "lucid.cat([{a}, {a}[: {n}]])", "lucid.stack([{a}, {b}])"),
    ("lucid.cat([{a}, lucid.zeros({n}, *{a}.shape[1:])])", "lucid.ones({n}, 3) + {f}"),
    ("lucid.full(({n},), {m}).float() + {a}.sum()", "lucid.full(({n}, {m}), {k}).float() * {a}.mean()"),
    ("lucid.arange({n}).float() + {a}.sum()", "{a} + lucid.arange(len({a})).float().reshape(-1, *[1] * {e})"),
    ("{f} @ {f}.T", "{a} @ W", "{f}.T @ {f} / {n}", "lucid.tril({f} @ {f}.T, {d})", "lucid.eye({n}, {m}) @ {f}"),
    ("rnn({g})[0]", "gru({g}.flip(0))[1]", "rnn({g})[0][-1]", "rnn({f}.unsqueeze(1))[0].squeeze(1)"),
    ("{a}.split({k})[0]", "{a}.split({k})[-1]", "{a}.chunk({k})[-1]", "{a}.unbind(0)[0]", "{a}.sort({d}).values"),
    ("{a}.topk({k}, {d}).values", "{a}.topk({n}, {d}).values", "lucid.where({a} > 0.37, {a}, {b})"),
    ("{a}.masked_fill(lucid.arange({a}.shape[{e}]) < {n}, {k})", "lucid.where({a} < {n}, {a}, {m})"),
    ("lucid.where(lucid.arange(len({f})).unsqueeze(1) % 2 == 0, {f}, {n})", "{f}[lucid.arange(len({f})) // {k}]"),
    ("{a}[lucid.arange({n}) % len({a})]", "{a}[(lucid.arange(len({a})) * 2) % len({a})]", "emb(lucid.arange({n}) % 6)"),
    ("{a}.gather(0, lucid.zeros({n}, *{a}.shape[1:]).long())", "{a} * {i}.float().reshape(-1, *[1] * {e})"),
    ("emb({i})", "{i}.float() / ({n} + 1)", "F.one_hot({i}, 6).float()", "{i} * ({n}) % 7", "{t}.float() * {a}.mean()"),
)  # fmt: skip

_STATEMENTS = (
    *["{v} = {x}"] * 20,
    *["if {q}:\n    {v} = {x}\nelse:\n    {v} = {a} * 2"] * 7,
    "if {q}:\n    {v} = {x}\nelse:\n    {v} = {y}",
    "{v} = {a}\nfor i in range(min({n}, 6)):\n    {v} = ({v} * 0.5 + i).tanh()",
    "{v} = lucid.cat([{a}[i : i + {k}] * (i + 1) for i in range(0, len({a}), {k})])",
    "m, {v} = {n}, {a}\nwhile m > {c}:\n    m, {v} = m // 2, {v} * 0.5 + 1",
    "{v} = {a} * {{{k}: 2.0, {c}: 3.0}}.get({n}, 1.5)",
    "if {n} not in CACHE:\n    CACHE[{n}] = lucid.arange({n}).float()\n{v} = {a}.sum() + CACHE[{n}]",
    "if {q}:\n    raise ValueError(f'sizes {{{n}}}')\n{v} = {x}",
    "try:\n    {v} = {a}[{c}]\nexcept IndexError:\n    {v} = {a}[0] * 2",
    "if {p}:\n    {v} = {x}\nelse:\n    {v} = {a} * 2",
    "{v} = {a} * {u}",
    "str(float({a}.sum()))\n{v} = {x}",
    "print(end=f'{{{n}}} {{{a}.shape}}'[:0])\n{v} = {x}",
    "if float({a}.abs().max()) > 1e6 or {n} > 5000:\n    raise ValueError('large')\n{v} = {x}",
)


@dataclass(frozen=True)
class Spec:
    """An input of a program: its name, its kind, and its axes: names of sizes, or numbers."""

    name: str
    kind: str
    axes: tuple[str | int, ...]

    def array(self, sizes: dict[str, int], rng: np.random.Generator, scale: float = 1.0) -> Array:
        """Returns made-up elements."""
        shape = tuple(sizes[axis] if isinstance(axis, str) else axis for axis in self.axes)
        if self.kind == "ids":
            return rng.integers(0, 6, shape)
        if self.kind == "mask":
            return rng.random(shape) < 0.5
        return (rng.standard_normal(shape) * scale).astype(np.float32)


class Program:
    """A program as text, and the function that it defines.

    Attributes:
        inputs: what it takes.
        sizes: the size of each named axis in the example.
        body: its statements, without indentation.
        function: the function.
    """

    def __init__(self, inputs: Sequence[Spec], sizes: dict[str, int], body: Sequence[str]) -> None:
        self.inputs, self.sizes, self.body = tuple(inputs), sizes, tuple(body)
        lines = [line for statement in self.body for line in statement.splitlines()]
        self.text = "\n    ".join([f"def program({', '.join(spec.name for spec in inputs)}):", *lines]) + "\n"
        # An entry without a time stays in the cache, so that errors and inspection find the lines.
        path = f"/made_up/program_{zlib.crc32(self.text.encode()):08x}.py"
        linecache.cache[path] = (len(self.text), None, self.text.splitlines(keepends=True), path)
        space = _space()
        exec(compile(self.text, path, "exec"), space)
        self.function: Callable[..., Any] = space["program"]

    def arrays(self, sizes: dict[str, int], seed: int = 0, scale: float = 1.0) -> list[Array]:
        """Returns arguments of these sizes."""
        rng = np.random.default_rng(seed)
        return [spec.array(sizes, rng, scale) for spec in self.inputs]

    def __str__(self) -> str:
        kinds = ", ".join(f"{spec.name}: {spec.kind}{list(spec.axes)}" for spec in self.inputs)
        return f"# {kinds}; the example has {self.sizes}\n{self.text}"


def _space() -> dict[str, Any]:
    """Returns the names that every program can use, and a cache of its own."""
    return {**_shared(), "CACHE": {}}


@functools.cache
def _shared() -> dict[str, Any]:
    lucid.manual_seed(0)
    modules = {"lucid": lucid, "nn": nn, "F": nn.functional, "math": math, "np": np}
    layers = {"rnn": nn.RNN(3, 3), "gru": nn.GRU(3, 3), "emb": nn.Embedding(6, 3)}
    weight = lucid.tensor(np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32))
    return {**modules, **layers, "W": weight, "CONFIG": SimpleNamespace(limit=17, low=0.37), "LIMITS": [9, 21]}


def made_up(draw: Draw, statements: int = 7) -> Program:
    """Returns a program of at most so many statements, which runs on its example."""
    return _Maker(draw).program(statements)


class _Maker:
    """Writes a program statement by statement, and runs each at once, at several sizes."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        sizes = {"T": 3 + draw(5), "N": 2 + draw(4), "S": 3 + draw(5)}
        first = self.pick(("T", 3), ("T", "N", 3), ("T", "N"), ("N", "T", 3))
        second = self.pick(None, ("S", 3), ("T", 3), ("T", "N", 3), ("S", "N", 3), ("N", "S"))
        kind = self.pick(None, None, "ids", "mask", "lengths")
        self.inputs = [Spec("x", "float", first)]
        if second:
            self.inputs.append(Spec("y", "float", second))
        if kind:
            axes = self.pick(("T",), ("N",), ("T", "N"))
            self.inputs.append(Spec(kind, "mask" if kind == "mask" else "ids", axes))
        used = {axis for spec in self.inputs for axis in spec.axes}
        self.sizes = {name: n for name, n in sizes.items() if name in used}
        # At the first sizes every statement must run, at the others most must.
        others = ({"T": 11, "N": 6, "S": 4}, {"T": 4, "N": 1, "S": 9}, {"T": 37, "N": 8, "S": 23})
        self.spaces: list[dict[str, Any] | None] = []
        for i, chosen in enumerate((sizes, *others)):
            rng = np.random.default_rng(i)
            given = {spec.name: lucid.tensor(spec.array(chosen, rng)) for spec in self.inputs}
            self.spaces.append({**_space(), **given})
        self.names = [spec.name for spec in self.inputs]
        self.body: list[str] = []
        for name in self.sizes:
            spec = next(spec for spec in self.inputs if name in spec.axes)
            axis = spec.axes.index(name)
            self.accept(f"{name} = {spec.name}.shape[{axis}]" if axis or self.draw(4) else f"{name} = len({spec.name})")

    def program(self, statements: int) -> Program:
        """Returns the program."""
        made = 0
        for _ in range(4 * statements):
            name = f"v{made}"
            if self.accept(self.filled(self.pick(*_STATEMENTS), v=name)):
                made += 1
                if self.tensor_at(name) is not None:
                    self.names.append(name)
                if made == statements:
                    break
        kept = self.names[-1 - self.draw(3) :]
        return Program(self.inputs, self.sizes, [*self.body, f"return {', '.join(kept)}"])

    def accept(self, statement: str) -> bool:
        """Runs a statement everywhere; keeps it if it runs at the example's sizes, and at enough others."""
        trials: list[dict[str, Any] | None] = []
        for space in self.spaces:
            trial = None if space is None else dict(space)
            if trial is not None:
                try:
                    with np.errstate(all="ignore"):
                        exec(statement, trial)
                    if not _small(trial):
                        trial = None
                except Exception:  # whatever the statement raises
                    trial = None
            trials.append(trial)
        lost = sum(new is None and old is not None for new, old in zip(trials, self.spaces, strict=True))
        if trials[0] is None or lost > (self.draw(8) == 7):
            return False
        self.spaces = trials
        self.body.append(statement)
        return True

    def tensor_at(self, name: str) -> Any:
        found = self.spaces[0].get(name) if self.spaces[0] else None
        return found if isinstance(found, lucid.Tensor) else None

    def pick(self, *things: Any) -> Any:
        return things[self.draw(len(things))]

    def filled(self, template: str, depth: int = 1, **parts: str) -> str:
        """Returns a template with its letters replaced by what they stand for."""
        return template.format_map(_Parts(self, depth, parts))

    def tensor(self, kind: str = "f", rank: int | None = None) -> str:
        """Returns the name of a tensor of a kind, if there is one, and mostly a late one."""
        tensors = [(name, self.tensor_at(name)) for name in self.names]
        found = [name for name, t in tensors if t.dtype.kind == kind and rank in (None, t.ndim)]
        return found[-1 - min(self.draw(len(found)), self.draw(len(found)))] if found else self.names[0]

    def size(self, depth: int) -> str:
        """Returns an expression of sizes."""
        if depth and self.draw(3):
            return self.filled(self.pick(*self.pick(*_SIZES)), depth - 1)
        own, name = self.pick(*self.sizes), self.pick(*self.names)
        if not (rank := self.tensor_at(name).ndim):
            return own
        return self.pick(own, own, own, own, f"{name}.shape[{self.draw(rank)}]", f"len({name})", f"{name}.numel()")

    def limit(self) -> str:
        """Returns a number to compare sizes with: mostly a constant in the code, else one that is kept elsewhere."""
        n = self.pick(2, 5, 8, 10, 13, 20, 21, 30, 33, 40, 60, 100)
        return self.pick(str(n), str(n), str(n), f"{n - 1} + 1", f"int('{n}')", "CONFIG.limit", "LIMITS[1]")


class _Parts(dict[str, str]):
    """What the letters of a template stand for; the same letter for the same, drawn when it first occurs."""

    def __init__(self, maker: _Maker, depth: int, parts: dict[str, str]) -> None:
        super().__init__(parts)
        self._maker, self._depth = maker, depth

    def __missing__(self, letter: str) -> str:
        maker = self._maker
        if letter in "de":  # an axis of a, its last axis
            last = max(maker.tensor_at(self["a"]).ndim - 1, 0) if "a" in self else 1
            found = str(last if letter == "e" else maker.draw(last + 1))
        elif letter in "nm":
            found = maker.size(self._depth)
        elif letter == "k":
            n = maker.pick(2, 3, 1, 4, 5, 7, 8)
            found = maker.pick(str(n), str(n), str(n), str(n), f"len({'a' * n!r})", "LIMITS[0]")
        elif letter == "c":
            found = maker.limit()
        elif letter == "r":
            found = maker.pick("0", "0.37", "1.5", "-2", "CONFIG.low", "100")
        elif letter in "qpxy":
            groups = {"q": _CONDITIONS, "p": _READS}.get(letter, _EXPRESSIONS)
            found = maker.filled(maker.pick(*maker.pick(*groups)), self._depth)
        elif letter == "u":
            found = maker.filled(maker.pick(*_NUMBERS_READ))
        else:
            kind, rank = {"f": ("f", 2), "g": ("f", 3), "i": ("i", None), "t": ("b", None)}.get(letter, ("f", None))
            found = maker.tensor(kind, rank)
        self[letter] = found
        return found


def _small(space: dict[str, Any]) -> bool:
    """Returns whether all tensors and numbers have a tolerable size."""
    for thing in space.values():
        if isinstance(thing, lucid.Tensor):
            array = thing.detach().numpy()
            if array.size > _MOST_ELEMENTS or not np.abs(array).max(initial=0) < 1e6:
                return False
        elif type(thing) in (int, float) and abs(thing) > 1e5:
            return False
    return True
