"""Devices other than the CPU: names, what is missing, and, where a provider is installed, eager lucid's numbers."""

from __future__ import annotations

import copy
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

import lucid
from lucid import nn
from lucid.cli import main
from lucid.errors import FileError, LucidError, RuntimeUnavailableError
from lucid.export import to_onnx
from lucid.export.exported import Exported
from lucid.runtime import Device, Session, find_device
from lucid.runtime.session import buffer as buffers
from lucid.runtime.session import plugin as plugins
from lucid.runtime.session.buffer import Binding, Buffer
from lucid.runtime.session.device import holds_memory
from lucid.runtime.session.plugin import installed

CARRIED = {
    name.removesuffix("ExecutionProvider").lower()
    for name in onnxruntime.get_available_providers()
    if name not in ("CPUExecutionProvider", "CUDAExecutionProvider", "AzureExecutionProvider")
}


def usable() -> list[str]:
    """Returns the devices of the providers that are installed here and have a device to run on."""
    found = []
    for kind in sorted({*installed(), *CARRIED}):
        try:
            Session(to_onnx(nn.Linear(2, 3), lucid.randn(4, 2)), kind)
        except RuntimeUnavailableError:
            continue
        found.append(kind)
    return found


USABLE = usable()
on_each = pytest.mark.parametrize(
    "device",
    USABLE or [pytest.param("", marks=pytest.mark.skip(reason="no execution provider with a device is installed"))],
)


def opened(exported: Exported, device: str) -> Session | None:
    """Opens a session; None if the provider runs no node of the model and the session is refused.

    Some builds that carry a provider inside have no recurrent operators, and leave what is around them on the CPU, too.
    """
    try:
        return Session(exported, device)
    except RuntimeUnavailableError as error:
        if device not in CARRIED or "runs no node of this model" not in str(error):
            raise
        return None


class Pretended:
    """A stand-in for onnxruntime's registry of plugins, since none with several devices can be had everywhere."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.registered: list[tuple[str, str]] = []
        self.count = count
        package = SimpleNamespace(
            get_library_path=lambda: "pretended.so", get_ep_name=lambda: "PretendedExecutionProvider"
        )
        monkeypatch.setitem(sys.modules, "onnxruntime_ep_pretended", package)
        monkeypatch.setattr(onnxruntime, "register_execution_provider_library", self._register, raising=False)
        monkeypatch.setattr(onnxruntime, "get_ep_devices", self._devices, raising=False)
        plugins._register.cache_clear()

    def _register(self, name: str, path: str) -> None:
        self.registered.append((name, path))

    def _devices(self) -> list[Any]:
        names = ["CPUExecutionProvider"]
        if self.registered:
            names += ["PretendedExecutionProvider"] * self.count
        found = [SimpleNamespace(ep_name=name, device=SimpleNamespace(metadata={})) for name in names]
        virtual = SimpleNamespace(metadata={"is_virtual": "1"})
        return [*found, SimpleNamespace(ep_name="PretendedExecutionProvider", device=virtual)]


@pytest.mark.parametrize(
    "name", ["gpu", "gpu:1", "webgpu:", "webgpu:x", "WebGPU", "web gpu", "os.path", "", ":1", "cpu:0"]
)
def test_a_name_of_no_device_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="'webgpu' or another provider of an installed package onnxruntime-ep-…"):
        find_device(name)


@pytest.mark.parametrize("kind", ["webgpu", "openvino", "mlx"])
def test_what_is_not_installed_is_named(kind: str) -> None:
    if kind in installed() or kind in CARRIED:
        pytest.skip(f"{kind} is installed")
    match = rf"has no {kind}: install it with `pip install onnxruntime-ep-{kind}`, .* or use device='cpu'"
    for ask in (find_device, lambda name: lucid.compile(nn.Linear(2, 3), name)):
        with pytest.raises(RuntimeUnavailableError, match=match):
            ask(kind)
    with pytest.raises(RuntimeUnavailableError, match=match):
        Session(to_onnx(nn.Linear(2, 3), lucid.randn(4, 2)), Device(kind))


def test_the_devices_of_a_plugin_are_counted_and_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pretended = Pretended(monkeypatch, 2)
    assert find_device("pretended") == Device("pretended")
    assert find_device("pretended:1") == Device("pretended", 1)
    assert str(find_device("pretended:1")) == "pretended:1"
    assert repr(find_device("pretended:1")) == "Device(kind='pretended', number=1)"
    assert find_device("pretended").providers is None
    assert pretended.registered == [("onnxruntime-ep-pretended", "pretended.so")]
    with pytest.raises(RuntimeUnavailableError, match="there is only 'pretended', 'pretended:1'"):
        find_device("pretended:2")


def test_a_plugin_without_a_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    Pretended(monkeypatch, 0)
    for _ in range(2):
        with pytest.raises(RuntimeUnavailableError, match="onnxruntime-ep-pretended is installed, but finds no device"):
            find_device("pretended")


def test_an_onnxruntime_without_plugins_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    Pretended(monkeypatch, 1)
    monkeypatch.delattr(onnxruntime, "register_execution_provider_library")
    with pytest.raises(
        RuntimeUnavailableError, match=r"cannot load it: it takes 1\.23 or later, `pip install --upgrade"
    ):
        find_device("pretended")


def package(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a package that can be imported."""
    (folder / f"onnxruntime_ep_{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.skipif(not hasattr(onnxruntime, "get_ep_devices"), reason="this onnxruntime has no plugins")
def test_a_broken_plugin_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.so").write_bytes(b"no library")
    text = f"def get_ep_name(): return 'X'\ndef get_library_path(): return {str(tmp_path / 'broken.so')!r}\n"
    package(tmp_path, "broken", text, monkeypatch)
    package(tmp_path, "silent", "", monkeypatch)
    package(tmp_path, "needy", "import no_such_module\n", monkeypatch)
    assert {"broken", "silent", "needy"} <= set(installed())
    with pytest.raises(
        RuntimeUnavailableError, match=r"onnxruntime-ep-broken is installed, but onnxruntime .* does not load it"
    ):
        find_device("broken")
    with pytest.raises(RuntimeUnavailableError, match="onnxruntime-ep-silent does not name its provider"):
        find_device("silent")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        find_device("needy")
    with pytest.raises(ValueError, match=r"onnxruntime-ep-… \(.*broken.*\), or 'auto'; got 'gpu'"):
        find_device("gpu")


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="this build does not carry Azure"
)
def test_a_provider_that_runs_nothing_is_refused() -> None:
    """onnxruntime's own build carries a provider that takes no node of such a model: all would run on the CPU."""
    assert find_device("azure").providers == ["AzureExecutionProvider", "CPUExecutionProvider"]
    with pytest.raises(RuntimeUnavailableError, match="there is only 'azure'"):
        find_device("azure:1")
    model = to_onnx(nn.RNN(3, 4), lucid.randn(5, 2, 3))
    for load in (
        lambda: Session(model, "azure"),
        lambda: lucid.compile(nn.RNN(3, 4).eval(), "azure")(lucid.randn(5, 2, 3)),
        lambda: Session(model, Device("azure")),
    ):
        with pytest.raises(RuntimeUnavailableError, match="runs no node of this model on AzureExecutionProvider"):
            load()


@pytest.mark.parametrize("bound", [False, True], ids=["without a binding", "bound anew"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_buffers_of_the_cpu_serve_a_device_without_memory(
    bound: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that really runs on the CPU is called as one on a device is."""
    rnn, x, h = getattr(nn, kind)(3, 4), lucid.randn(9, 2, 3), lucid.zeros(1, 2, 4)
    session = Session(to_onnx(rnn, x, (h, h * 1.0) if kind == "LSTM" else h))
    session.device = Device("azure")
    assert not holds_memory(session.device)
    monkeypatch.setattr(buffers, "holds_memory", lambda device: bound)
    monkeypatch.setattr(buffers, "_taken", lambda session: {})
    stream = session.stream(batch=2)
    pieces = [stream(part)["output"] for part in (x[:3], x[3:4], x[4:5], x[5:6], x[6:])]
    np.testing.assert_allclose(np.concatenate(pieces), rnn(x)[0].detach().numpy(), atol=2e-6)
    states = [h.numpy()] * (2 if kind == "LSTM" else 1)
    for _ in range(3):
        part = lucid.randn(2, 2, 3)
        np.testing.assert_allclose(session(part, *states)[0], rnn(part)[0].detach().numpy(), atol=2e-6)
    unknown = Binding(session._session, session.device, {}, {"output": None}, _all_buffers(session, x.numpy(), states))
    np.testing.assert_allclose(unknown([])[0], rnn(x)[0].detach().numpy(), atol=2e-6)  # type: ignore[index]


def _all_buffers(session: Session, *arrays: Any) -> dict[str, Buffer]:
    """Returns a buffer for each input, with these elements."""
    first, states = arrays
    found = {}
    for name, array in zip(session.input_names, (first, *states), strict=True):
        found[name] = Buffer(Device("cpu"), array.shape, array.dtype)
        found[name].put(array)
    return found


def test_the_command_line_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    to_onnx(nn.Linear(2, 3), lucid.randn(4, 2)).save(path)
    done = CliRunner().invoke(main, ["bench", str(path), "--device", "gpu"])
    assert done.exit_code == 2
    assert "or another provider of an installed package" in " ".join(done.stderr.split())
    if "mlx" not in {*installed(), *CARRIED}:
        done = CliRunner().invoke(main, ["bench", str(path), "--device", "mlx"])
        assert done.exit_code == 1
        assert "pip install onnxruntime-ep-mlx" in done.stderr


@on_each
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("lowering", ["rnn", "scan", "unrolled"])
def test_a_device_computes_what_eager_lucid_does(device: str, kind: str, lowering: Any) -> None:
    rnn = getattr(nn, kind)(3, 4)
    x = lucid.randn(5, 2, 3)
    session = opened(to_onnx(rnn, x, lowering=lowering), device)
    if session is None:
        assert lowering == "rnn"
        return
    assert str(session).startswith(f"Session on {device}: ")
    for batch in (2, 2, 2, 6):  # the second call makes buffers, the third uses them again
        x = lucid.randn(5, batch, 3)
        output = session(x)[0]
        np.testing.assert_allclose(output, rnn(x)[0].detach().numpy(), atol=2e-6)


@on_each
def test_a_device_refuses_a_broken_file_as_the_cpu_does(device: str) -> None:
    with pytest.raises(FileError):
        Session(b"no model", device)


@on_each
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_stream_goes_on_on_a_device(device: str, kind: str) -> None:
    rnn = getattr(nn, kind)(3, 4)
    x, h = lucid.randn(9, 2, 3), lucid.zeros(1, 2, 4)
    state: Any = (h, h * 1.0) if kind == "LSTM" else h
    session = opened(to_onnx(rnn, x, state), device)
    if session is None:
        return
    stream = session.stream(batch=2)
    pieces = [stream(part)["output"] for part in (x[:3], x[3:4], x[4:5], x[5:6], x[6:])]
    output, last = rnn(x)
    np.testing.assert_allclose(np.concatenate(pieces), output.detach().numpy(), atol=2e-6)
    last = last[0] if kind == "LSTM" else last
    first = next(iter(stream.state.values()))
    np.testing.assert_allclose(first, last.detach().numpy(), atol=2e-6)
    on_device = [buffer.array is None for buffers in stream._states.values() for buffer in buffers]
    assert set(on_device) == {holds_memory(Device(device))}
    stream.state = {name: np.zeros_like(array) for name, array in stream.state.items()}
    np.testing.assert_allclose(stream(x[:3])["output"], output[:3].detach().numpy(), atol=2e-6)
    stream.reset(rows=[1])
    assert all(not array[:, 1].any() and array[:, 0].any() for array in stream.state.values())


@on_each
def test_compiled_modules_and_steps_run_on_a_device(device: str) -> None:
    if device in CARRIED:
        for kind in (nn.RNN, nn.LSTM):  # WebGPU runs neither's operator, OpenVINO not that of an LSTM
            fast, x = lucid.compile(kind(3, 4).eval(), device), lucid.randn(5, 2, 3)
            try:
                np.testing.assert_allclose(fast(x)[0].numpy(), fast.model(x)[0].detach().numpy(), atol=2e-6)
            except RuntimeUnavailableError as error:
                if "runs no node of this model" not in str(error):
                    raise
        return
    lucid.manual_seed(0)
    rnn, x = nn.RNN(3, 4), lucid.randn(5, 2, 3)
    fast = lucid.compile(rnn.eval(), device)
    with lucid.no_grad():
        np.testing.assert_allclose(fast(x)[0].numpy(), rnn(x)[0].numpy(), atol=2e-6)
    assert str(fast.device) == device

    def loss(model: nn.Module, x: lucid.Tensor) -> lucid.Tensor:
        return (model(x)[0] ** 2).mean()

    twin = nn.RNN(3, 4)
    twin.load_state_dict(rnn.state_dict())
    optimizer = lucid.optim.SGD(rnn.parameters(), lr=0.5)
    step = lucid.compile(rnn, device, loss=loss, optimizer=optimizer).tune(x)
    eager = lucid.optim.SGD(twin.parameters(), lr=0.5)
    for _ in range(3):
        step(x)
        eager.zero_grad()
        loss(twin, x).backward()
        eager.step()
    # The parameters are on the device, if it has memory, until somebody reads them.
    assert {p._is_away() for p in rnn.parameters()} == {holds_memory(find_device(device))}
    for mine, other in zip(rnn.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), atol=1e-5)


@on_each
def test_a_session_on_a_device_is_copied_and_called_from_threads(device: str) -> None:
    rnn, x = nn.RNN(3, 4), lucid.randn(5, 2, 3)
    session = copy.copy(Session(to_onnx(rnn, x, lowering="scan"), device))
    assert str(session.device) == device
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.extend(session(x)[0] for _ in range(5))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 15
    for result in results:
        np.testing.assert_allclose(result, rnn(x)[0].detach().numpy(), atol=2e-6)


@on_each
def test_lengths_and_outputs_of_unknown_shape_on_a_device(device: str) -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 4)

        def forward(self, x: Any, lengths: Any) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
            return nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0])[0]

    model, x, lengths = Packed(), lucid.randn(5, 2, 3), lucid.tensor([5, 3])
    session = Session(to_onnx(model, x, lengths, lowering="scan"), device)
    for _ in range(3):
        np.testing.assert_allclose(session(x, lengths)[0], model(x, lengths).detach().numpy(), atol=2e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@on_each
def test_a_session_on_a_device_does_not_survive_a_fork(device: str) -> None:
    session = Session(to_onnx(nn.Linear(2, 3), lucid.randn(4, 2)), device)
    child = os.fork()
    if child == 0:
        try:
            session(lucid.randn(4, 2))
        except LucidError as error:
            os._exit(0 if "does not survive a fork" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
