"""Files: saved values load bit for bit, and partial or damaged files are refused."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import lucid
from lucid.errors import DtypeError, FileError, RuntimeUnavailableError
from lucid.files import atomic_write
from lucid.io import load, read, save, write

PATHS = {**os.environ, "PYTHONPATH": str(Path(lucid.__file__).parents[1])}
DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


def entries(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# --- round trips


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4)])
def test_every_dtype_and_shape(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = (np.random.default_rng(0).integers(0, 2**8, shape) * 1.25).astype(dtype)
    save({"x": array, "y": lucid.tensor(array)}, tmp_path / "a")
    for tensor in load(tmp_path / "a").values():
        assert isinstance(tensor, lucid.Tensor)
        assert (tensor.dtype, tensor.shape) == (np.dtype(dtype), shape)
        assert tensor.numpy().tobytes() == array.tobytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: name != "__metadata__"),
        arrays.arrays(st.sampled_from([np.float32, np.float64, np.int64, np.bool_]), arrays.array_shapes(min_dims=0)),
    )
)
def test_any_names_and_values(tmp_path: Path, state: dict[str, np.ndarray]) -> None:
    save(state, tmp_path / "a")
    loaded = load(tmp_path / "a")
    assert loaded.keys() == state.keys()
    for name, array in state.items():
        assert loaded[name].numpy().tobytes() == array.tobytes()
        assert loaded[name].dtype == array.dtype


def test_a_module(tmp_path: Path) -> None:
    first, second = lucid.nn.RNN(2, 3, num_layers=2), lucid.nn.RNN(2, 3, num_layers=2)
    save(first.state_dict(), tmp_path / "a")
    second.load_state_dict(load(tmp_path / "a"))
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def test_a_parameter_saves_its_values_and_not_its_gradients(tmp_path: Path) -> None:
    w = lucid.nn.Parameter(lucid.tensor([1.0, 2.0]))
    save({"w": w}, tmp_path / "a")
    loaded = load(tmp_path / "a")["w"]
    assert (loaded.tolist(), loaded.requires_grad) == ([1.0, 2.0], False)


def test_views_and_shared_memory(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    state = {
        "base": base,
        "again": base,
        "transposed": base.T,
        "slice": base[:, ::-2, 1:3],
        "fortran": np.asfortranarray(base[0]),
        "broadcast": np.broadcast_to(np.float32(7), (2, 2)),
        "swapped": base.astype(">f4"),
    }
    save(state, tmp_path / "a")
    loaded = load(tmp_path / "a")
    for name, array in state.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array)
        assert loaded[name].dtype == np.float32
        loaded[name].numpy()[...] = -1  # loaded arrays share no memory
    assert base.sum() == 276


def test_metadata(tmp_path: Path) -> None:
    save({"x": np.ones(1)}, tmp_path / "a", metadata={"made by": "a test", "ü": "\n"})
    assert read(tmp_path / "a")[1] == {"made by": "a test", "ü": "\n"}
    save({"x": np.ones(1)}, tmp_path / "a")
    assert read(tmp_path / "a")[1] == {}


def test_nothing_at_all(tmp_path: Path) -> None:
    save({}, tmp_path / "a")
    assert load(tmp_path / "a") == {}


def test_pytorch_reads_what_is_saved_and_the_other_way_round(tmp_path: Path, torch: Any) -> None:
    from safetensors.torch import load_file, save_file

    ours = {dtype: (np.arange(6).reshape(2, 3) % 2).astype(dtype) for dtype in DTYPES}
    save(ours, tmp_path / "a")
    for name, tensor in load_file(tmp_path / "a").items():
        np.testing.assert_array_equal(tensor.numpy(), ours[name], strict=True)
    x = torch.tensor([[1.0, -2.5], [3e38, 1e-40]])
    theirs = {"f": x, "h": x.half(), "b": x.bfloat16(), "i": torch.arange(3), "flag": torch.tensor(True)}
    save_file(theirs, tmp_path / "b")
    for name, tensor in load(tmp_path / "b").items():
        expected = theirs[name].float() if name == "b" else theirs[name]
        np.testing.assert_array_equal(tensor.numpy(), expected.numpy(), strict=True)
    save_file({"tiny": x.to(torch.float8_e4m3fn)}, tmp_path / "c")
    with pytest.raises(DtypeError, match="load: 'tiny' has dtype F8_E4M3, which NumPy lacks"):
        load(tmp_path / "c")


# --- nested values, file objects, and PyTorch's files

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    arrays.arrays(st.sampled_from([np.float32, np.int64, np.bool_]), arrays.array_shapes(min_dims=0)),
    arrays.arrays(np.float32, arrays.array_shapes(min_dims=0)).map(lucid.tensor),
    st.sampled_from([lucid.float32, lucid.bool_]),
)
KEYS = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.integers(), st.none())
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(KEYS, inner),
        st.dictionaries(KEYS, inner).map(OrderedDict),
    ),
)


def same(a: Any, b: Any) -> bool:
    """Returns whether two nested values are equal, types and bits included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, lucid.Tensor):
        return same(a.numpy(), b.numpy())
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return repr(a) == repr(b)


def with_tensors(value: Any) -> Any:
    """Returns a dict of tensors alone with its arrays as tensors; anything else as it is."""
    if isinstance(value, dict) and all(
        type(k) is str and isinstance(v, (np.ndarray, lucid.Tensor)) for k, v in value.items()
    ):
        return type(value)((k, lucid.as_tensor(v)) for k, v in value.items())
    return value


@settings(deadline=None)
@given(NESTED)
def test_any_nesting_comes_back(value: Any) -> None:
    buffer = io.BytesIO()
    save(value, buffer)
    buffer.seek(0)
    assert same(load(buffer), with_tensors(value))


def test_the_checkpoint_of_a_program(tmp_path: Path) -> None:
    model = lucid.nn.LSTM(2, 3)
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.01)
    model(lucid.randn(4, 2))[0].sum().backward()
    optimizer.step()
    state = {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "losses": [0.5, 0.25]}
    save(state, tmp_path / "checkpoint.pt")
    loaded = load(tmp_path / "checkpoint.pt", map_location="cpu", weights_only=True)
    other = lucid.nn.LSTM(2, 3)
    theirs = lucid.optim.Adam(other.parameters(), lr=0.5)
    assert repr(other.load_state_dict(loaded["model"])) == "<All keys matched successfully>"
    theirs.load_state_dict(loaded["optimizer"])
    assert same(theirs.state_dict(), optimizer.state_dict())
    assert same(other.state_dict(), model.state_dict())
    assert (loaded["epoch"], loaded["losses"]) == (3, [0.5, 0.25])
    assert type(loaded["model"]) is OrderedDict


def test_names_in_the_file_are_places_in_the_structure(tmp_path: Path) -> None:
    x = np.ones(1)
    save({"model": {"w": x}, "model.w": x, "list": [x, (x,)], "__metadata__": {"": x}}, tmp_path / "a")
    assert set(read(tmp_path / "a")[0]) == {"model.w", "model.w_", "list.0", "list.1.0", "__metadata__."}
    save([{"__metadata__": 1}, x], tmp_path / "a")
    assert list(read(tmp_path / "a")[0]) == ["1"]
    save(x, tmp_path / "a")
    assert list(read(tmp_path / "a")[0]) == ["value"]


def test_file_objects(tmp_path: Path) -> None:
    with open(tmp_path / "a", "wb") as file:
        save({"x": lucid.ones(2)}, file, metadata={"by": "me"})
    with open(tmp_path / "a", "rb") as file:
        assert load(file)["x"].tolist() == [1, 1]
    assert read(tmp_path / "a")[1] == {"by": "me"}
    with open(tmp_path / "b", "w") as file, pytest.raises(TypeError, match="open it for bytes, with mode 'wb'"):
        save({}, file)  # type: ignore[arg-type]
    with open(tmp_path / "b") as file, pytest.raises(TypeError, match="open it for bytes, with mode 'rb'"):
        load(file)  # type: ignore[arg-type]
    with pytest.raises(FileError, match="the buffer is truncated or not a safetensors file"):
        load(io.BytesIO(b"nothing"))


def test_where_tensors_are_loaded(tmp_path: Path) -> None:
    save({"x": lucid.ones(2)}, tmp_path / "a")
    for place in (None, "cpu", lucid.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage):
        assert load(tmp_path / "a", place)["x"].tolist() == [1, 1]
    for place in ("cuda", lucid.device("cuda:1"), {"cuda:0": "cuda:1"}):
        with pytest.raises(RuntimeUnavailableError, match="tensors are in the CPU's memory"):
            load(tmp_path / "a", map_location=place)


def test_a_structure_that_fits_no_tensors(tmp_path: Path) -> None:
    for structure in ("{", '{"tensor": "y"}', '{"set": []}', '{"dict": [[{}, 1]]}', "[" * 100000, '{"dtype": "x"}'):
        write({"x": np.ones(1)}, tmp_path / "a", {"lucid.structure": structure})
        with pytest.raises(FileError, match="a is damaged: its structure does not fit its tensors"):
            load(tmp_path / "a")
    with pytest.raises(ValueError, match=r"lucid's own metadata is stored as 'lucid\.structure'"):
        save({}, tmp_path / "a", metadata={"lucid.structure": "1"})


@pytest.mark.parametrize("zipped", [True, False])
def test_the_line_that_converts_pytorchs_file(zipped: bool, tmp_path: Path, torch: Any) -> None:
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    parts = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "low": torch.ones(2).bfloat16(),
    }
    parts["leaf"] = torch.ones(1, requires_grad=True)
    path = tmp_path / "run.pt"
    torch.save(parts, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FileError, match=r"run\.pt was written by torch\.save, .* this line converts it: ") as caught:
        load(path)
    exec(str(caught.value).partition("converts it: ")[2], {})
    loaded = load(tmp_path / "run.safetensors")
    ours = lucid.nn.Linear(2, 3)
    ours.load_state_dict(loaded["model"])
    np.testing.assert_array_equal(ours.weight.detach().numpy(), model.weight.detach().numpy())
    momentum = loaded["optimizer"]["state"][0]["momentum_buffer"]
    np.testing.assert_array_equal(momentum.numpy(), optimizer.state_dict()["state"][0]["momentum_buffer"].numpy())
    assert (loaded["epoch"], loaded["low"].tolist(), loaded["leaf"].tolist()) == (3, [1, 1], [1])


# --- refusals


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (object(), TypeError, "save: it is object; a file holds numbers, strings, tensors"),
        ({"parts": [1, {2}]}, TypeError, "save: parts.1 is set; a file holds"),
        ({"model": lucid.nn.Linear(1, 1)}, TypeError, r"model is Linear; .*; save what its state_dict\(\) returns"),
        ({"x": 1j}, TypeError, "x is complex; a file holds"),
        ({(1, 2): 3}, TypeError, r"it has the key \(1, 2\); keys must be strings or numbers"),
        ({"a": {"c": np.ones(1, complex)}}, DtypeError, "'a.c' has dtype complex128"),
        ({"c": np.ones(1, complex)}, DtypeError, "'c' has dtype complex128; a file holds floats up to 64 bits"),
        ({"o": np.array([{}])}, DtypeError, "'o' has dtype object"),
        ({"s": np.array(["a"])}, DtypeError, "'s' has dtype <U1"),
        ({"__metadata__": np.ones(1)}, ValueError, "the format keeps the name '__metadata__' for itself"),
    ],
)
def test_what_cannot_be_saved_leaves_no_file(state: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        save(state, tmp_path / "a")
    assert entries(tmp_path) == []


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}])
def test_metadata_that_is_no_string(metadata: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="metadata must be strings by strings; got"):
        save({}, tmp_path / "a", metadata=metadata)
    assert entries(tmp_path) == []


def test_a_file_cut_off_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save({"x": np.arange(5.0), "y": np.ones((2, 2), np.float16)}, path, metadata={"k": "v"})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match="a is truncated or not a safetensors file: "):
            load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(FileError, match="truncated or not a safetensors file"):
        load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"hello, world; this is no tensor at all",
        b"\x80\x04\x95pickle",
        b"\xff" * 100,
        (10).to_bytes(8, "little") + b"not json!!",
        (2).to_bytes(8, "little") + b"[]",
        (60).to_bytes(8, "little") + b'{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}'.ljust(60) + b"1234",
        (60).to_bytes(8, "little") + b'{"x":{"dtype":"Q32","shape":[1],"data_offsets":[0,4]}}'.ljust(60) + b"1234",
    ],
)
def test_a_file_that_is_something_else(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FileError, match="a is truncated or not a safetensors file: "):
        load(tmp_path / "a")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(tmp_path: Path, content: bytes, framed: bool) -> None:
    if framed:
        content = len(content).to_bytes(8, "little") + content
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FileError):
        load(tmp_path / "a")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"the folder does not exist: .*none"):
        save({}, tmp_path / "none" / "a")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        save({}, tmp_path)
    assert entries(tmp_path) == []


# --- atomic writes


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with atomic_write(path) as file:
        file.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    with atomic_write(str(path)) as file:
        file.write(b"2nd")
        assert path.read_bytes() == b"first"
    assert path.read_bytes() == b"2nd"
    assert entries(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"half of the n")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert entries(tmp_path) == ["a"]


def test_a_disk_that_fails_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    save({"x": np.zeros(3)}, path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save({"x": np.ones(3)}, path)
    assert load(path)["x"].tolist() == [0, 0, 0]
    assert entries(tmp_path) == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_permissions_are_those_of_the_old_file_or_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    save({}, tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "a").chmod(0o640)
    save({}, tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows links need a privilege")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "latest"
    link.symlink_to(tmp_path / "real" / "a")
    save({"x": np.ones(1)}, link)
    assert link.is_symlink()
    assert load(tmp_path / "real" / "a")["x"].tolist() == [1.0]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks to tell by")
def test_what_a_killed_process_left_goes_away_and_what_is_being_written_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    program = (
        "import os, sys\nfrom lucid.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n    file.flush()\n    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], env=PATHS, check=False)
    assert killed.returncode == -9
    assert len(entries(tmp_path)) == 1
    with atomic_write(path) as outer:
        assert len(entries(tmp_path)) == 1
        with atomic_write(path) as inner:
            inner.write(b"inner")
            assert len(entries(tmp_path)) == 2
        assert path.read_bytes() == b"inner"
        outer.write(b"outer")
    assert path.read_bytes() == b"outer"
    assert entries(tmp_path) == ["a"]


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save({"x": np.full(10_000, 0)}, path)
    stop = threading.Event()
    seen: list[set[int]] = []

    def look() -> None:
        while not stop.is_set():
            seen.append(set(load(path)["x"].tolist()))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(1, 60):
        save({"x": np.full(10_000, i)}, path)
    stop.set()
    for thread in threads:
        thread.join()
    assert seen
    assert all(len(values) == 1 for values in seen)


def test_importing_lucid_imports_no_safetensors() -> None:
    program = (
        "import sys, lucid, lucid.io, lucid.checkpoint, lucid.data, lucid.optim\n"
        "assert not {'safetensors', 'onnx', 'onnxruntime', 'tqdm'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], env=PATHS, check=True)
