"""Devices: harmless for the CPU, and one clear error for any other."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import RangeError, RuntimeUnavailableError
from lucid.nn.utils.rnn import pack_sequence

ROOT = Path(__file__).resolve().parents[2]
X = lucid.tensor([[1.0, 2.0]])


def described(library: Any) -> list[Any]:
    """What a program may ask of devices, and its answers."""
    device = library.device
    several = [device("cpu"), device("cpu:0"), device("cpu", 0), device("cuda:1"), device(device("mps"))]
    return [
        [(str(d), repr(d), d.type, d.index) for d in several],
        [[a == b for a in several] for b in several],
        device("cpu") == "cpu",
        len(set(several)),
        library.cuda.is_available(),
        library.cuda.device_count(),
        library.accelerator.is_available(),
        library.accelerator.current_accelerator(),
        library.backends.mps.is_available(),
        repr(library.get_default_device()),
        repr(library.zeros(2).device),
        library.zeros(2).is_cuda,
        library.zeros(2).get_device(),
        [f(1) for f in (library.cuda.manual_seed, library.cuda.manual_seed_all)],
        [library.cuda.empty_cache(), library.set_default_device("cpu")],
    ]


def test_devices_answer_as_pytorchs(torch: Any) -> None:
    assert described(lucid) == described(torch)


def test_a_device_is_a_value() -> None:
    device = lucid.device("cuda", 1)
    assert copy.deepcopy(device) == pickle.loads(pickle.dumps(device)) == device
    with pytest.raises(AttributeError, match=r"a device is not changed; write lucid.device\('cpu'\)"):
        device.type = "cpu"
    for wrong in ("gpu", "", "cuda:x", 0, None):
        with pytest.raises(RuntimeUnavailableError, match=f"expected 'cpu', or one of .*; got {wrong!r}"):
            lucid.device(wrong)  # type: ignore[arg-type]


CONSTRUCTORS: dict[str, tuple[Any, ...]] = {
    "arange": (3,),
    "as_tensor": ([1.0],),
    "empty": (2,),
    "empty_like": (X,),
    "eye": (2,),
    "full": ((2,), 3.0),
    "full_like": (X, 3.0),
    "linspace": (0, 1, 3),
    "logspace": (0, 1, 3),
    "ones": (2,),
    "ones_like": (X,),
    "rand": (2,),
    "rand_like": (X,),
    "normal": (0.0, 1.0, (2,)),
    "randint": (3, (2,)),
    "randn": (2,),
    "randn_like": (X,),
    "randperm": (3,),
    "tensor": ([1.0],),
    "zeros": (2,),
    "zeros_like": (X,),
}


def test_all_constructors_are_tried() -> None:
    functions = {name: getattr(lucid, name) for name in lucid.__all__}
    having = {n for n, f in functions.items() if inspect.isfunction(f) and "device" in inspect.signature(f).parameters}
    assert having - {"compile", "compile_backward", "set_default_device"} == set(CONSTRUCTORS)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors(name: str) -> None:
    make, arguments = getattr(lucid, name), CONSTRUCTORS[name]
    lucid.manual_seed(0)
    plain = make(*arguments)
    for device in ("cpu", lucid.device("cpu"), X.device, None):
        lucid.manual_seed(0)
        made = make(*arguments, device=device)
        np.testing.assert_array_equal(made.numpy(), plain.numpy(), strict=True)
    with pytest.raises(
        RuntimeUnavailableError, match="training runs on the CPU, exported and compiled models on a GPU"
    ):
        make(*arguments, device="cuda")


def test_tensors() -> None:
    assert X.to("cpu") is X.to(lucid.device("cpu:0")) is X.to(X.device) is X.cpu() is X.pin_memory() is X
    assert X.to(device="cpu", dtype=lucid.float64).dtype == X.to("cpu", lucid.float64, True).dtype == lucid.float64
    assert X.new_zeros(2, device="cpu").tolist() == [0, 0] != X.new_ones(2, device=X.device).tolist()
    assert X.new_full((1,), 3, device="cpu").tolist() == [3]
    moves = [X.cuda, lambda: X.to("cuda:0"), lambda: X.to(lucid.device("xpu")), lambda: X.new_zeros(1, device="cuda")]
    for move in (
        *moves,
        lambda: X.to("mps", lucid.float64),
        lucid.cuda.current_device,
        lambda: X.new_ones(1, device=0),
    ):
        with pytest.raises(RuntimeUnavailableError, match=r"lucid\.compile"):
            move()


def test_packed_sequences() -> None:
    packed = pack_sequence([lucid.ones(3), lucid.ones(2)])
    assert packed.to("cpu", lucid.float64).data.tolist() == [1] * 5
    assert (packed.to(lucid.float64).data.dtype, packed.cpu(), packed.device) == (lucid.float64, packed, X.device)
    with pytest.raises(RuntimeUnavailableError, match="asked for"):
        packed.cuda()


def test_a_compiled_model_takes_a_device() -> None:
    model = nn.Linear(2, 1).eval()
    x = lucid.randn(3, 2)
    compiled = lucid.compile(model, lucid.device("cpu", 0))
    np.testing.assert_allclose(compiled(x).numpy(), model(x).detach().numpy(), atol=1e-6)


def test_settings_of_backends_are_accepted() -> None:
    lucid.backends.cudnn.deterministic, lucid.backends.cudnn.benchmark = True, False
    lucid.backends.cuda.matmul.allow_tf32 = False
    lucid.use_deterministic_algorithms(True)
    assert not lucid.backends.cudnn.is_available()


def test_threads_of_matrix_products() -> None:
    """In a process of its own, since the number holds for all of it."""
    code = (
        "import lucid, os, numpy as np\n"
        "lucid.set_num_threads(1)\n"
        "a = np.ones((512, 512), np.float32)\n"
        "a @ a\n"
        "print(lucid.get_num_threads())\n"
        "lucid.set_num_threads(2)\n"
        "print(lucid.get_num_threads())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.split() == ["1", "2"]
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(RangeError, match=f"expected a positive integer; got {wrong}"):
            lucid.set_num_threads(wrong)  # type: ignore[arg-type]
