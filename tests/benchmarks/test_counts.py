"""Counts that determine speed and are the same on every machine: calls, nodes, arrays, modules. Nothing is timed."""

from __future__ import annotations

import contextlib
import dis
import gc
import json
import os
import platform
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.tracer import trace, walk
from tests.tiers import thinned

ROOT = Path(__file__).resolve().parents[2]
OPS = str(ROOT / "lucid" / "ops")

LAYERS: dict[str, Callable[..., nn.Module]] = {
    "tanh": nn.RNN,
    "relu": lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"),
    "lstm": lambda *sizes: nn.LSTM(*sizes),
    "gru": lambda *sizes: nn.GRU(*sizes),
}

# NumPy calls, including operators, for one more time step. If a change lowers a count, lower its limit here. If steps
# are processed in blocks, the count is fractional.
FORWARD = {"tanh": 3, "relu": 3, "lstm": 11, "gru": 12}
BACKWARD = {"tanh": 3, "relu": 3, "lstm": 7, "gru": 5}

# The growth of peak memory for one more time step, in arrays of the size of one step's states.
ARRAYS_FORWARD = {"tanh": 1, "relu": 1, "lstm": 6, "gru": 5}
ARRAYS_BOTH_WAYS = {"tanh": 2, "relu": 2, "lstm": 11, "gru": 11}

# 4 KiB pages that a training step of an LSTM may request from the system. Its arrays span about 1200 pages.
PAGES = 50

# Packages that `import lucid` must not load, and how many modules other than its own it may load after NumPy. Some
# versions of NumPy do not load `importlib`.
HEAVY = {"onnx", "onnx_ir", "onnxruntime", "matplotlib", "tqdm", "safetensors", "torch", "jax", "scipy"}
MODULES_BESIDE_LUCID = 4

# Parts of lucid that load at first use, and how many of its modules `import lucid` may load, at about 0.2 ms each.
LATER = {"accelerator", "backends", "checkpoint", "cli", "cuda", "data", "distributions", "export", "files", "io", "nn"}
LATER |= {"optim", "runtime", "structure", "threads", "utils"}
MODULES_OF_LUCID = 103

CALLS = {"CALL", "CALL_FUNCTION", "CALL_METHOD", "CALL_KW", "CALL_FUNCTION_KW", "CALL_FUNCTION_EX"}


@contextlib.contextmanager
def counted(where: str = OPS) -> Iterator[list[int]]:
    """Counts the calls and arithmetic operators in files whose paths start with `where`; yields the count in a list.

    Profilers do not see calls of ufuncs, which are not built-in functions, so this traces every instruction.
    """
    count = [0]
    instructions: dict[CodeType, frozenset[int]] = {}

    def each(frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode" and frame.f_lasti in instructions[frame.f_code]:
            count[0] += 1
        return each

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(where):
            return None
        if code not in instructions:
            instructions[code] = frozenset(i.offset for i in dis.get_instructions(code) if is_work(i))
        frame.f_trace_opcodes = True
        return each

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield count
    finally:
        sys.settrace(before)


def is_work(instruction: dis.Instruction) -> bool:
    """Returns whether an instruction is a call, or an operator that may be NumPy's."""
    name = instruction.opname
    if name in CALLS:
        return True
    if name in ("BINARY_SUBSCR", "BINARY_SLICE") or "[" in instruction.argrepr:  # a view
        return False
    return name.startswith(("BINARY_", "INPLACE_", "UNARY_"))


def step(kind: str, steps: int, batch: int = 2, hidden: int = 3) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Returns the forward and the backward pass of one layer over this many time steps."""
    if kind in ("lstm", "gru") and not hasattr(nn, kind.upper()):
        pytest.skip(f"there is no nn.{kind.upper()}")
    model = LAYERS[kind](2, hidden)
    x = lucid.randn(steps, batch, 2)
    g = lucid.randn(steps, batch, hidden)
    return lambda: model(x)[0], lambda output: output.backward(g)


@pytest.mark.parametrize("kind", thinned(LAYERS, 2, sample=3))
def test_numpy_calls_a_time_step(kind: str) -> None:
    few, many = 900, 1500  # long enough that both take the same path outside the loops
    made = {}
    for steps in (few, many):
        forward, backward = step(kind, steps)
        with counted() as ahead:
            output = forward()
        with counted() as back:
            backward(output)
        made[steps] = (ahead[0], back[0])
    for way, allowed, (short, long) in zip(
        ("forward", "backward"), (FORWARD[kind], BACKWARD[kind]), zip(made[few], made[many], strict=True), strict=True
    ):
        calls = (long - short) / (many - few)
        assert 1 <= calls <= allowed, f"{kind}, {way}: {calls:.2f} calls a time step, of {allowed} allowed"


def test_what_is_counted() -> None:
    """Checks the counter on this Python: each iteration has one call, one operator, and a view that does not count."""
    namespace: dict[str, Any] = {"np": np, "range": range}
    source = "def loop(a, n):\n    for i in range(n):\n        b = a[0]\n        np.tanh(b, out=b)\n        b += b\n"
    exec(compile(source, "made up", "exec"), namespace)
    counts = []
    for n in (10, 20):
        with counted("made up") as count:
            namespace["loop"](np.ones((1, 2)), n)
        counts.append(count[0])
    assert counts[1] - counts[0] == 20


@pytest.mark.parametrize("kind", LAYERS)
def test_nodes_recorded_for_a_training_step(kind: str) -> None:
    forward, _ = step(kind, 5)
    loss = (forward() * 2.0).sum()
    assert len(walk([loss._value])) == 3  # the layer, the product and the sum
    with lucid.no_grad():
        assert forward()._value is None


@pytest.mark.parametrize("kind", LAYERS)
def test_the_graph_of_a_layer_does_not_grow_with_time(kind: str) -> None:
    sizes = set()
    for steps in (2, 50):
        forward, _ = step(kind, steps)
        model_and_gradients = trace(lambda forward=forward: forward())
        sizes.add(len(model_and_gradients.nodes))
    assert sizes == {1}


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [False, True], ids=["forward", "both ways"])
@pytest.mark.parametrize("kind", thinned(LAYERS, 4))
def test_arrays_a_time_step(kind: str, recorded: bool) -> None:
    """Only arrays with a time axis grow with time, and their number has a limit."""
    growth = (peak(kind, 12, recorded) - peak(kind, 8, recorded)) / 4
    allowed = (ARRAYS_BOTH_WAYS if recorded else ARRAYS_FORWARD)[kind]
    assert growth <= allowed + 0.05, f"{kind}: a step adds {growth:.2f} arrays of a state's size, of {allowed} allowed"


def peak(kind: str, steps: int, recorded: bool) -> float:
    """Returns the peak memory of a forward pass, or of both passes, in units of one step's states."""
    batch, hidden = 64, 256
    forward, backward = step(kind, steps, batch, hidden)

    def run() -> None:
        with contextlib.nullcontext() if recorded else lucid.no_grad():
            output = forward()
            if recorded:
                backward(output)

    run()
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / (batch * hidden * 4)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_a_simple_layer_needs_its_output_and_one_buffer(nonlinearity: str) -> None:
    """The peak of a forward pass: the output, the product of one step, a copy of the weights, and a small rest."""
    steps, weights = 10, 256 / 64
    # The last state is copied after the loop; relu may take one more buffer; half a state is left for the rest.
    assert peak(nonlinearity, steps, recorded=False) <= steps + 1 + weights + 2.5


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what another malloc keeps is not lucid's to say")
@pytest.mark.parametrize(
    "sizes", thinned([(50, 32, 28, 64), (18, 256, 32, 512)], 2), ids=lambda sizes: "x".join(map(str, sizes))
)
def test_a_training_step_takes_no_new_pages(sizes: tuple[int, ...]) -> None:
    largest = 4 * sizes[0] * sizes[1] * 4 * sizes[3]
    if largest > int(printed("import lucid.malloc; print(lucid.malloc.keep_pages())")):
        pytest.skip("an older glibc gives blocks of more than 32 MiB back in any case")
    assert new_pages(sizes) <= PAGES


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what another malloc keeps is not lucid's to say")
def test_what_the_user_says_about_malloc_stands() -> None:
    sizes = (50, 32, 28, 64)
    assert new_pages(sizes, MALLOC_MMAP_THRESHOLD_="131072") > PAGES
    assert new_pages(sizes, GLIBC_TUNABLES="glibc.malloc.mmap_threshold=131072") > PAGES


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what another malloc keeps is not lucid's to say")
def test_freed_memory_is_kept_from_the_first_backward_pass_on_unless_the_program_says_otherwise() -> None:
    sizes = (50, 32, 28, 64)
    assert new_pages(sizes, first="lucid.set_keep_freed_memory(False)") > PAGES
    assert new_pages(sizes, first="lucid.set_keep_freed_memory(False), lucid.set_keep_freed_memory(True)") <= PAGES


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what another malloc keeps is not lucid's to say")
def test_import_and_a_forward_pass_leave_malloc_as_it_is() -> None:
    source = """
import lucid, resource
import numpy as np
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(40 * 2**20, np.int8)  # more than glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
loss = lucid.nn.RNN(2, 3)(lucid.ones(4, 1, 2))[0].sum()
before = pages()
loss.backward()
pages()
print(before, pages(), lucid.malloc.keep_pages())
"""
    before, after, largest = map(int, printed(source).split())
    assert before >= 10  # 20 if they are huge
    assert after < 10 or largest < 40 * 2**20


def new_pages(sizes: tuple[int, ...], first: str = "", **settings: str) -> float:
    """Returns how many pages a training step of an LSTM (T, N, I, H) requests from the system, after warm-up."""
    source = f"""
import lucid, resource
from lucid import nn
{first}
steps, batch, features, hidden = {sizes}
model, x = nn.LSTM(features, hidden), lucid.randn(steps, batch, features)
g = lucid.randn(steps, batch, hidden)
def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        model.zero_grad()
        model(x)[0].backward(g)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(3)
print(faults(4) / 4)
"""
    return float(printed(source, **settings))


def printed(source: str, **settings: str) -> str:
    """Returns what a program prints in a new process: the state of malloc depends on earlier allocations."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))} | settings
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_brings_in_numpy_and_nothing_heavy() -> None:
    source = (
        "import json, numpy, sys; a = set(sys.modules); import lucid; print(json.dumps(sorted(set(sys.modules) - a)))"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    new = json.loads(done.stdout)
    assert not HEAVY & {name.split(".")[0] for name in new}
    beside = [name for name in new if name.split(".")[0] != "lucid"]
    assert len(beside) <= MODULES_BESIDE_LUCID, ", ".join(beside)
    own = [name for name in new if name not in beside]
    assert not LATER & {name.split(".")[1] for name in own if "." in name}
    assert len(own) <= MODULES_OF_LUCID, ", ".join(own)
