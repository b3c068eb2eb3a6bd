"""Made-up programs as a search: `python -m tests.proof.made_up_programs --minutes 10 --seed 0`.

Each program must be exported rightly or refused, and so must its compiled module. One that is not is printed with its
seed, after statements that do not matter have been left out.
"""

from __future__ import annotations

import argparse
import collections
import re
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lucid
from lucid.errors import ExportError, LucidError, ShapeError, VerificationError
from lucid.export import to_onnx
from lucid.runtime import Session
from lucid.tracer.tree import flatten
from tests.proof.case import Case, compiled
from tests.proof.maker import Program, made_up

__all__ = ["compiled_verdict", "seeded", "verdict"]

Array = np.ndarray[Any, Any]

_SIZES = (*range(1, 41), 64, 100, 257)
_MOST_ELEMENTS = 300_000


def seeded(seed: int) -> Program:
    """Returns the program of a seed."""
    rng = np.random.default_rng(seed)
    return made_up(lambda n: int(rng.integers(n)), 3 + seed % 6)


def probes(program: Program, count: int, seed: int = 0) -> Iterator[list[Array]]:
    """Yields arguments of other sizes, with other values; some with axes of different sizes that shared one."""
    rng = np.random.default_rng(seed)
    mentioned = {int(n) + step for n in re.findall(r"\b\d+\b", program.text) for step in (-1, 0, 1)}
    choices = [*_SIZES, *sorted(n for n in mentioned if 0 < n < 300) * 3]
    yield program.arrays(program.sizes, seed + 1, -3.0)
    for i in range(count):
        sizes = {name: int(rng.choice(choices)) for name in program.sizes}
        if rng.random() < 0.1:
            sizes = dict.fromkeys(sizes, int(rng.choice(choices)))
        for name in sizes:
            if rng.random() < 0.3:
                sizes[name] = program.sizes[name]
        arrays = program.arrays(sizes, i, float(rng.choice([0.1, 1.0, 10.0])))
        if rng.random() < 0.15:
            arrays = [
                spec.array({n: int(rng.choice([1, m])) for n, m in sizes.items()}, rng) for spec in program.inputs
            ]
        if sum(array.size for array in arrays) < _MOST_ELEMENTS // 4:
            yield arrays


def verdict(program: Program, count: int = 16, verify: bool = True) -> str:
    """Returns "right", "refused", or what is wrong with the export of a program.

    Without `verify`, the proof has no help from the comparison with the eager function.
    """
    if eager(program, program.arrays(program.sizes)) is None:
        return "fails: the example"
    try:
        session = Session(made := to_onnx(program.function, *program.arrays(program.sizes), verify=verify))
    except VerificationError as error:
        return f"refused by the comparison: {error}"
    except ExportError as error:
        return f"refused: {error}"
    except LucidError as error:
        return f"refused with a {type(error).__name__}: {error}"
    except Exception as error:  # no other error may leave the export
        return f"raised: {type(error).__name__}: {error}"
    for arrays in probes(program, count):
        wanted = eager(program, arrays)
        if wanted is None:
            continue
        where = f"at {[array.shape for array in arrays]}, axes {made.axes}"
        try:
            got = [np.asarray(array) for array in session(*arrays)]
        except ShapeError:  # an axis is fixed
            continue
        except Exception as error:  # whatever the runtime raises
            return f"fails: {type(error).__name__}: {error} {where}"
        for i, (one, other) in enumerate(zip(got, wanted, strict=True)):
            if (what := difference(one, other)) is not None:
                return f"wrong: result {i} {what} {where}"
    return f"right, axes {made.axes}" if any(made.axes.values()) else "right, nothing is free"


def proved(program: Program) -> str:
    """Returns the verdict without the comparison."""
    return verdict(program, verify=False)


def compiled_verdict(program: Program, count: int = 4) -> str:
    """Returns "right", "refused", or what is wrong with the compiled program."""
    example, *others = (tuple(a) for a in [program.arrays(program.sizes), *probes(program, count)])
    return compiled(Case(program.function, example, tuple(others)))


def eager(program: Program, arrays: list[Array]) -> list[Array] | None:
    """Returns the results; None if the program fails, or they are too large."""
    try:
        with np.errstate(all="ignore"):
            results = program.function(*[lucid.tensor(np.array(array)) for array in arrays])
    except Exception:  # a made-up program may raise anything
        return None
    found = [leaf.detach().numpy() for leaf in flatten(results, lambda x: isinstance(x, lucid.Tensor))[0]]
    return None if sum(array.size for array in found) > 10 * _MOST_ELEMENTS else found


def difference(one: Array, other: Array) -> str | None:
    """Returns how two arrays differ; None if they do not, apart from what is not finite in the eager one."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"is {one.dtype}{list(one.shape)}, not {other.dtype}{list(other.shape)}"
    known = np.isfinite(other) if other.dtype.kind == "f" else np.ones(other.shape, bool)
    largest = float(np.abs(other[known].astype(np.float64)).max(initial=1.0))
    if np.allclose(one[known], other[known], 2e-3, 3e-4 * largest):
        return None
    return "has other values"


def smaller(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Returns a program that still fails, without the statements that it does so without."""
    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(program.body) - 1)):
            body = [*program.body[:i], *program.body[i + 1 :]]
            attempt = Program(program.inputs, program.sizes, body)
            if fails(attempt):
                program, changed = attempt, True
        *rest, last = program.body
        for name in last.removeprefix("return ").split(", "):
            if last != f"return {name}":
                attempt = Program(program.inputs, program.sizes, [*rest, f"return {name}"])
                if fails(attempt):
                    program, changed = attempt, True
                    break
    return program


def main() -> None:
    """Makes programs up until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--compile", type=int, default=7, help="every which program is compiled as well; 0 for none")
    parser.add_argument("--unverified", action="store_true", help="export with verify=False")
    parser.add_argument("--one", action="store_true", help="only this seed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    end = time.monotonic() + 60 * options.minutes
    counts: collections.Counter[str] = collections.Counter()
    seed = options.seed
    while time.monotonic() < end:
        program = seeded(seed)
        checks = [proved if options.unverified else verdict]
        if options.compile and seed % options.compile == 0:
            checks.append(compiled_verdict)
        for check in checks:
            found = check(program)
            kind = f"{check.__name__}: {found.partition(':')[0].partition(', axes')[0].partition(' at ')[0]}"
            counts[kind] += 1
            if options.one:
                print(program, found, sep="\n")
            elif found.startswith(("wrong", "raised", "fails")) and not found.startswith("fails: the example"):
                small = smaller(program, lambda p, check=check, found=found: check(p)[:6] == found[:6])
                print(f"--- seed {seed}, {check.__name__}: {check(small)}\n{small}", flush=True)
        seed += 1
        if options.one:
            break
    print(f"seeds {options.seed} to {seed - 1}: {dict(counts)}")


if __name__ == "__main__":
    main()
