"""Sessions: values as in the eager model, and checks before onnxruntime gets an array."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnxruntime
import pytest

import lucid
from lucid import nn
from lucid.errors import DtypeError, LucidError, RuntimeUnavailableError, ShapeError
from lucid.runtime import Device, Session, find_device
from lucid.runtime.session.spec import evaluate

LOWERINGS = ("rnn", "scan")


def exported(lowering: Any = "auto", **options: Any) -> tuple[nn.RNN, Any]:
    rnn = nn.RNN(3, 4, **options).eval()
    layers = options.get("num_layers", 1)
    return rnn, lucid.export.to_onnx(rnn, lucid.randn(5, 2, 3), lucid.zeros(layers, 2, 4), lowering=lowering)


def eager(model: Any, *arrays: Any) -> list[Any]:
    with lucid.no_grad():
        return [y.numpy() for y in model(*(lucid.tensor(x) for x in arrays))]


def inputs(steps: int = 7, batch: int = 3, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((steps, batch, 3)).astype("f4"), rng.standard_normal((1, batch, 4)).astype("f4")


@pytest.fixture(scope="module")
def model() -> tuple[nn.RNN, Session]:
    rnn, model = exported()
    return rnn, Session(model)


# --- values


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("how", ["exported", "bytes", "path", "str"])
def test_values_are_those_of_the_eager_model(lowering: str, how: str, tmp_path: Any) -> None:
    rnn, model = exported(lowering, num_layers=2)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.serialize())
    session = Session({"exported": model, "bytes": model.serialize(), "path": path, "str": str(path)}[how])
    for steps, batch in ((5, 2), (1, 1), (9, 4), (5, 2), (5, 2), (9, 4)):
        x = np.random.default_rng(steps).standard_normal((steps, batch, 3)).astype("f4")
        h = np.random.default_rng(batch).standard_normal((2, batch, 4)).astype("f4")
        for result, expected in zip(session(x, h), eager(rnn, x, h), strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_inputs_by_position_by_name_as_tensors_and_lists(model: Any) -> None:
    _, session = model
    x, h = inputs()
    expected = session(x, h)
    for given in (
        session(x, h0=h),
        session(h0=h, x=x),
        session(lucid.tensor(x), lucid.tensor(h)),
        session(x.tolist(), h.tolist()),
        session(np.asfortranarray(x), h),
        session(x[:, ::-1][:, ::-1], h),
    ):
        for a, b in zip(given, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_list_of_whole_numbers_serves_a_model_of_real_ones(model: Any) -> None:
    _, session = model
    np.testing.assert_array_equal(
        session([[[1, 0, 2]]], [[[0, 0, 0, 0]]])[0],
        session(np.float32([[[1, 0, 2]]]), np.zeros((1, 1, 4), "f4"))[0],
    )


def test_outputs_by_name_by_place_and_unpacked(model: Any) -> None:
    import pickle

    _, session = model
    outputs = session(*inputs())
    output, h_n = outputs
    assert outputs["output"] is outputs[0] is output
    assert outputs["h_n"] is outputs[-1] is h_n
    assert dict(outputs.items()).keys() == dict(outputs).keys() == {"output", "h_n"}
    assert outputs[:1] == (output,)
    again = pickle.loads(pickle.dumps(outputs))
    np.testing.assert_array_equal(again["h_n"], h_n)
    with pytest.raises(KeyError, match="no output is named 'c_n'; there is output, h_n"):
        outputs["c_n"]


def test_results_are_never_overwritten(model: Any) -> None:
    rnn, session = model
    kept = []
    for seed in range(6):
        x, h = inputs(seed=seed)
        kept.append((x.copy(), h.copy(), session(x, h)))
        x[...] = h[...] = np.nan  # inputs are not kept either
    for x, h, results in kept:
        for result, expected in zip(results, eager(rnn, x, h), strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_outputs_without_axes_and_without_a_formula() -> None:
    session = Session(lucid.export.to_onnx(lambda x: (x.sum(), x.reshape(-1)), lucid.randn(3, 4)))
    for rows in (2, 2, 2, 5):
        x = np.random.default_rng(rows).standard_normal((rows, 4)).astype("f4")
        total, flat = session(x)
        assert isinstance(total, np.ndarray)
        assert total.shape == ()
        np.testing.assert_allclose(total, x.sum(), rtol=1e-5)
        np.testing.assert_array_equal(flat, x.ravel())


def test_an_output_whose_shape_depends_on_data() -> None:
    import onnx.helper as oh
    from onnx import TensorProto

    graph = oh.make_graph(
        [oh.make_node("NonZero", ["x"], ["places"])],
        "g",
        [oh.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [oh.make_tensor_value_info("places", TensorProto.INT64, [1, None])],
    )
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8)
    session = Session(model.SerializeToString())
    for x in ([0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]):
        np.testing.assert_array_equal(session(x)[0], np.nonzero(np.array(x)))


def test_integers_and_booleans() -> None:
    session = Session(
        lucid.export.to_onnx(lambda i, m: lucid.where(m, i + 1, i), lucid.tensor([1, 2]), lucid.tensor([True, False]))
    )
    for _ in range(3):
        np.testing.assert_array_equal(session([5, 6, 7], [True, False, True])[0], [6, 6, 8])


def test_packed_sequences() -> None:
    rnn = nn.RNN(3, 4).eval()
    packed = nn.utils.rnn.pack_padded_sequence(lucid.randn(5, 3, 3), [5, 2, 1])
    for lowering in LOWERINGS:
        session = Session(lucid.export.to_onnx(rnn, packed, lowering=lowering))
        x, lengths = np.random.default_rng(0).standard_normal((6, 2, 3)).astype("f4"), np.array([4, 6])
        with lucid.no_grad():
            expected = rnn(nn.utils.rnn.pack_padded_sequence(lucid.tensor(x), lengths, enforce_sorted=False))[1]
        for _ in range(3):
            np.testing.assert_allclose(session(x, lengths)[-1], expected.numpy(), rtol=1e-5, atol=1e-6)
        for wrong in ([0, 6], [4, 7], [-1, 2]):
            with pytest.raises(ShapeError, match=r"'\w*lengths' must hold lengths from 1 to 6; got"):
                session(x, wrong)


# --- checks


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((7, 3), (1, 3, 4)), r"input 'x' must have 3 axes, \(time, batch, 3\); got 2, shape \(7, 3\)"),
        (
            ((7, 3, 2), (1, 3, 4)),
            r"axis 2 of input 'x' must be 3; got 2, shape \(7, 3, 2\), expected \(time, batch, 3\)",
        ),
        (((7, 3, 3), (2, 3, 4)), r"axis 0 of input 'h0' must be 1; got 2"),
        (((7, 3, 3), (1, 2, 4)), r"axis 1 of input 'h0' is 2, but it is 'batch', and axis 1 of input 'x' is 3"),
        (((0, 3, 3), (1, 3, 4)), r"axis 0 of input 'x' is 0, but a recurrent layer runs over it: at least one step"),
    ],
)
def test_shapes_that_do_not_fit(model: Any, shapes: Any, message: str) -> None:
    _, session = model
    arrays = [np.zeros(shape, "f4") for shape in shapes]
    for _ in range(2):
        with pytest.raises(ShapeError, match=message):
            session(*arrays)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_no_steps_are_refused_and_no_rows_are_fine(lowering: str) -> None:
    rnn = nn.RNN(3, 4, batch_first=True).eval()
    session = Session(lucid.export.to_onnx(rnn, lucid.randn(2, 5, 3), lowering=lowering))
    for _ in range(3):
        assert session(np.zeros((0, 5, 3), "f4"))[0].shape == (0, 5, 4)
    with pytest.raises(ShapeError, match="axis 1 of input 'x' is 0"):
        session(np.zeros((2, 0, 3), "f4"))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((1, 1, 3)), DtypeError, "input 'x' is float64, but the model takes float32; convert it"),
        (np.zeros((1, 1, 3), "i8"), DtypeError, "input 'x' is int64, but the model takes float32"),
        ([[["a"]]], DtypeError, "input 'x' is a list of"),
        ([[[1.0], [1.0, 2.0]]], ShapeError, "input 'x' is a list whose rows differ in length"),
        (None, DtypeError, "input 'x' is object"),
    ],
)
def test_dtypes_that_do_not_fit(model: Any, x: Any, error: Any, message: str) -> None:
    _, session = model
    with pytest.raises(error, match=message):
        session(x, np.zeros((1, 1, 4), "f4"))


def test_a_list_of_real_numbers_is_no_list_of_ids() -> None:
    session = Session(lucid.export.to_onnx(lambda i: i + 1, lucid.tensor([1, 2])))
    with pytest.raises(DtypeError, match="a list of float64, but the model takes int64"):
        session([1.5])


def test_names_that_do_not_fit(model: Any) -> None:
    _, session = model
    x, h = inputs()
    with pytest.raises(TypeError, match=r"input 'x' is missing; the inputs are x: float32\(time, batch, 3\), h0: "):
        session(h0=h)
    with pytest.raises(TypeError, match="there is no input 'h'"):
        session(x, h=h)
    with pytest.raises(TypeError, match="input 'x' was given twice"):
        session(x, x=x)
    with pytest.raises(TypeError, match="3 inputs were given, but there are 2"):
        session(x, h, h)


def test_what_onnxruntime_refuses_is_an_error_of_lucid() -> None:
    session = Session(lucid.export.to_onnx(lambda t, i: t[i * 2], lucid.randn(5, 2), lucid.tensor([1, 2])))
    for _ in range(3):
        with pytest.raises(LucidError, match="onnxruntime failed on inputs of shapes"):
            session(np.zeros((5, 2), "f4"), [9])
    np.testing.assert_array_equal(session(np.ones((5, 2), "f4"), [1])[0], [[1, 1]])


def test_sizes_with_a_formula() -> None:
    assert evaluate("time*batch", {"time": 3, "batch": 4}) == 12
    assert evaluate("2*time*batch+1", {"time": 3, "batch": 4}) == 25
    assert evaluate("time-1", {"time": 3}) == 2
    assert evaluate("time", {}) is None
    assert evaluate(None, {}) is None
    assert evaluate("a-b", {"a-b": 7}) == 7


# --- several threads, warm-up, devices


def test_many_threads_at_once() -> None:
    rnn, model = exported("scan")
    session = Session(model, threads=1)
    given = [inputs(steps=1 + seed % 3, seed=seed) for seed in range(16)]
    expected = [eager(rnn, *arrays) for arrays in given]
    failures: list[str] = []
    start = threading.Barrier(8)

    def work(offset: int) -> None:
        start.wait()
        kept = []
        for i in range(150):
            number = (i * 7 + offset) % len(given)
            kept.append((number, session(*given[number])))
        for number, results in kept:
            for result, wanted in zip(results, expected[number], strict=True):
                if not np.allclose(result, wanted, rtol=1e-5, atol=1e-6):
                    failures.append(f"{offset}: {number}")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_buffers_are_kept_for_few_shapes() -> None:
    rnn, model = exported()
    session = Session(model)
    for _ in range(3):
        for steps in range(1, 30):
            x, h = inputs(steps)
            np.testing.assert_allclose(session(x, h)[0], eager(rnn, x, h)[0], rtol=1e-5, atol=1e-6)
    assert len(session._bindings) <= 8


def test_large_arrays_are_not_copied_into_buffers() -> None:
    rnn, model = exported()
    session = Session(model)
    few, many = inputs(3), inputs(3000)
    results = [[session(*given) for given in (few, many)] for _ in range(4)]
    kept = {shapes[0][0]: bindings for shapes, bindings in session._bindings.items()}
    assert kept[3]
    assert kept[3000] is None
    for pair in results:
        for given, result in zip((few, many), pair, strict=True):
            np.testing.assert_allclose(result[0], eager(rnn, *given)[0], rtol=1e-5, atol=1e-6)
    for result, later in zip(results[1], results[2], strict=True):
        assert not np.may_share_memory(result[0], later[0])
        result[0][...] = 0  # the caller owns the results
        assert later[0].any()
    with pytest.raises(ShapeError):
        session(many[0], many[1][:, :1])


def test_warmup(model: Any) -> None:
    _, session = model
    assert session.warmup(batch=2, time=4) is session
    assert len(session._bindings[(4, 2, 3), (1, 2, 4)]) == 1
    with pytest.raises(ValueError, match="there is no free axis length; there is time, batch"):
        session.warmup(length=3)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("gpu", "cuda:", "cpu:0", 3):
        with pytest.raises(ValueError, match="device must be 'cpu', 'cuda'"):
            find_device(wrong)  # type: ignore[arg-type]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert find_device("auto") == find_device("cpu") == Device("cpu")
    with pytest.raises(RuntimeUnavailableError, match=r"no CUDA: install it with `pip install 'lucid-onnx\[gpu\]'`"):
        find_device("cuda:1")
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    assert find_device("cuda:1") == Device("cuda", 1)
    assert find_device("auto") == Device("cuda", 0)
    assert str(find_device("cuda:1")) == "cuda:1"
    assert find_device("cuda:1").providers[0] == ("CUDAExecutionProvider", {"device_id": 1})


def test_a_device_that_onnxruntime_quietly_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime-gpu without CUDA's libraries lists CUDA, but runs on the CPU."""
    _, model = exported()
    load = onnxruntime.InferenceSession

    def on_the_cpu(source: Any, options: Any, providers: Any) -> Any:
        return load(source, options, providers=["CPUExecutionProvider"])

    def preload() -> None:
        print("Failed to load libcublas.so")

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", on_the_cpu)
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    with pytest.raises(
        RuntimeUnavailableError, match=r"CUDA provider did not start: .*\(Failed to load libcublas\.so\)"
    ):
        Session(model, "cuda")
    assert Session(model, "auto").device == Device("cpu")
    fast = lucid.compile(nn.RNN(3, 4).eval(), "auto")
    fast(lucid.randn(5, 2, 3))
    assert fast.device == Device("cpu")


def test_threads_must_be_a_number() -> None:
    _, model = exported()
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="threads must be a positive int or None"):
            Session(model, threads=wrong)  # type: ignore[arg-type]


def test_import_lucid_leaves_onnxruntime_alone() -> None:
    import subprocess
    import sys

    code = "import sys, lucid; assert not {'onnx', 'onnxruntime', 'click'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
