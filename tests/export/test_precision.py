"""float32, float16 and int8: what is converted, how large the error is, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError, VerificationError
from lucid.export import Exported, to_onnx, verify
from lucid.export.lowering.opset import newest_opset
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from tests.tiers import thinned


class Net(nn.Module):
    """An embedding table, recurrent layers on packed sequences, and a linear layer."""

    def __init__(self, layer: type[nn.RNNBase] = nn.RNN, **options: Any) -> None:
        super().__init__()
        self.table = nn.Parameter(lucid.randn(300, 64))
        self.rnn = layer(64, 256, 2, **options)
        self.linear = nn.Linear(256, 64)

    def forward(self, ids: lucid.Tensor, lengths: lucid.Tensor, h0: lucid.Tensor) -> tuple[lucid.Tensor, lucid.Tensor]:
        packed = pack_padded_sequence(self.table[ids], lengths, enforce_sorted=False)
        output, h_n = self.rnn(packed, h0)
        return self.linear(pad_packed_sequence(output)[0]), h_n


def example(steps: int = 7, batch: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "ids": rng.integers(0, 300, (steps, batch)),
        "lengths": np.append(rng.integers(1, steps + 1, batch - 1), steps),
        "h0": rng.standard_normal((2, batch, 256)).astype(np.float32),
    }


def tensors(arrays: dict[str, np.ndarray]) -> list[lucid.Tensor]:
    return [lucid.tensor(array) for array in arrays.values()]


def run(exported: Exported, *arrays: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(exported.input_names, arrays, strict=True)))


def operators(exported: Exported) -> Counter[str]:
    """Counts all operators, including those in subgraphs."""
    return Counter(node.op_type for graph in exported.model.graphs() for node in graph)


def dtypes(exported: Exported) -> set[str]:
    """Returns the dtypes of all values, including those in subgraphs."""
    values = [v for graph in exported.model.graphs() for v in (*graph.inputs, *graph.initializers.values())]
    values += [v for graph in exported.model.graphs() for node in graph for v in node.outputs]
    return {v.dtype.name for v in values if v.dtype is not None}


# --- values


@pytest.mark.parametrize("nonlinearity", thinned(["tanh", "relu"], 2))
@pytest.mark.parametrize("lowering", thinned(["scan", "rnn", "unrolled"], 3, sample=2))
@pytest.mark.parametrize(
    ("precision", "bound", "share"), [("float32", 1e-5, 1.01), ("float16", 3e-3, 0.65), ("int8", 1e-1, 0.98)]
)
def test_values(precision: Any, bound: float, share: float, lowering: Any, nonlinearity: str) -> None:
    net = Net(nonlinearity=nonlinearity)
    given = example()
    exported = to_onnx(net, *tensors(given), precision=precision, lowering=lowering)
    report = exported.report
    assert report is not None
    assert report.precision == exported.precision == precision
    assert report.bytes is not None
    if (precision, lowering, nonlinearity) == ("int8", "rnn", "relu"):
        share = 0.99  # the nodes of the fallback Scan do not shrink
    assert report.bytes[1] < share * report.bytes[0]
    assert report.difference < bound
    sizes = [(7, 4)] if lowering == "unrolled" else [(7, 4), (1, 2), (30, 9)]
    for seed, (steps, batch) in enumerate(sizes):
        arrays = example(steps, batch, seed)
        for result, reference in zip(run(exported, *arrays.values()), net(*tensors(arrays)), strict=True):
            assert result.dtype == np.float32
            assert result.shape == reference.shape
            off = np.abs(result - reference.detach().numpy()).max()
            assert off < bound
            assert precision == "float32" or off > 0


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize(("precision", "bound"), [("float16", 2e-3), ("int8", 5e-2)])
def test_gated_layers(layer: Callable[..., nn.Module], precision: Any, bound: float) -> None:
    net = layer(64, 128, 2)
    x = lucid.randn(6, 3, 64)
    exported = to_onnx(net, x, precision=precision)
    assert exported.report is not None
    assert exported.report.difference < bound
    assert ("MatMulInteger" in operators(exported)) == (precision == "int8")


# --- what is converted


@pytest.mark.parametrize("lowering", ["rnn", "unrolled", "scan"])
def test_float16_reaches_everything(lowering: Any) -> None:
    exported = to_onnx(Net(), *tensors(example()), precision="float16", float32_io=False, lowering=lowering)
    assert "FLOAT" not in dtypes(exported)
    assert "FLOAT16" in dtypes(exported)
    given = example()
    given["h0"] = given["h0"].astype(np.float16)
    assert [result.dtype for result in run(exported, *given.values())] == [np.float16, np.float16]
    casts = operators(exported)["Cast"]
    assert casts == (lowering == "rnn")  # casts the lengths to int32
    exported = to_onnx(Net(), *tensors(example()), precision="float16", lowering=lowering)
    assert operators(exported)["Cast"] == casts + 3
    assert exported.input_names == ["ids", "lengths", "h0"]
    assert exported.output_names == ["output_0", "output_1"]


@pytest.mark.slow
def test_int8_reaches_products_and_tables_but_not_the_rnn_operator() -> None:
    counts = {
        lowering: operators(to_onnx(Net(), *tensors(example()), precision="int8", lowering=lowering))
        for lowering in ("auto", "scan", "unrolled", "rnn")
    }
    # Two for each recurrent layer (the inputs of all steps, and the state in the body), one for the linear layer.
    assert counts["scan"]["MatMulInteger"] == 5
    assert counts["scan"]["MatMul"] == counts["scan"]["Gemm"] == 0
    assert counts["auto"] == counts["scan"]
    assert counts["unrolled"]["MatMulInteger"] == 2 + 2 * 7 + 1
    assert counts["rnn"]["MatMulInteger"] == 1
    assert counts["rnn"]["RNN"] == 2
    for lowering in ("scan", "rnn"):
        exported = to_onnx(Net(), *tensors(example()), precision="int8", lowering=lowering)
        table = next(node for node in exported.model.graph if node.op_type == "Gather").inputs[0]
        assert table is not None
        assert table.dtype in (ir.DataType.INT8, ir.DataType.UINT8)


def test_int8_keeps_the_time_axis_of_relu_free() -> None:
    net = nn.RNN(4, 8, nonlinearity="relu")
    assert to_onnx(net, lucid.randn(5, 2, 4), precision="int8").axes == {"x": {0: "time", 1: "batch"}}
    assert to_onnx(net, lucid.randn(5, 2, 4), precision="float16").axes == {"x": {1: "batch"}}
    # Without an example, float32 would have to be unrolled over an unknown number of steps.
    assert to_onnx(net, precision="int8").report is not None


@pytest.mark.parametrize("precision", thinned(["float32", "float16", "int8"], 3, sample=2))
@pytest.mark.parametrize("opset", thinned([18, 13, newest_opset()], 3))
def test_opsets(precision: Any, opset: int) -> None:
    for lowering in ("scan", "unrolled"):
        exported = to_onnx(Net(), *tensors(example()), precision=precision, opset=opset, lowering=lowering)
        assert exported.model.opset_imports[""] == exported.proto.opset_import[0].version == opset


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-5), ("float16", 2e-3), ("int8", 5e-2)])
def test_float64_becomes_narrower_too(precision: Any, bound: float) -> None:
    net = nn.RNN(4, 8, dtype=np.float64)
    x = lucid.randn(5, 2, 4, dtype=np.float64)
    exported = to_onnx(net, x, precision=precision)
    assert exported.report is not None
    assert 0 < exported.report.difference < bound
    assert "DOUBLE" not in dtypes(exported)
    assert [value.dtype for value in exported.model.graph.inputs] == [ir.DataType.FLOAT]
    assert run(exported, x.numpy().astype(np.float32))[0].dtype == np.float32
    assert "DOUBLE" in dtypes(to_onnx(net, x))


def test_operators_without_float16_get_casts() -> None:
    def weighted(x: lucid.Tensor) -> lucid.Tensor:
        # Range does not support float16. Its output feeds a product and is an output of the model.
        weights = lucid.arange(x.shape[0], dtype=np.float32)
        return (x * lucid.unsqueeze(weights, 1)).tanh(), weights

    x = lucid.randn(4, 3)
    for float32_io in (True, False):
        exported = to_onnx(weighted, x, precision="float16", float32_io=float32_io)
        results = run(exported, x.numpy().astype(np.float32 if float32_io else np.float16))
        assert results[1].dtype == (np.float32 if float32_io else np.float16)
        np.testing.assert_array_equal(results[1], np.arange(4))
        np.testing.assert_allclose(results[0], np.tanh(x.numpy() * np.arange(4)[:, None]), atol=2e-3)


def test_integers_booleans_and_casts_stay_what_they_are() -> None:
    def mixed(x: lucid.Tensor) -> tuple[lucid.Tensor, ...]:
        return (
            (x * 3).astype(np.int64),
            x > 0.5,
            (x > 0.5).astype(np.float32) * x,
            x.astype(np.int32).astype(np.float32),
        )

    x = lucid.tensor(np.array([-2.25, 0.5, 1.0, 7.75], np.float32))
    exported = to_onnx(mixed, x, precision="float16", dynamic=None)
    for result, reference in zip(run(exported, x.numpy()), mixed(x), strict=True):
        np.testing.assert_array_equal(result, reference.numpy())
        assert result.dtype == reference.dtype


def test_an_input_that_is_an_output_and_one_that_nothing_uses() -> None:
    x, y = lucid.randn(3), lucid.randn(2)
    exported = to_onnx(lambda x, y: (x, x + 1), x, y, precision="float16")
    assert exported.input_names == ["x", "y"]
    results = run(exported, x.numpy(), y.numpy())
    np.testing.assert_allclose(results[0], x.numpy(), rtol=1e-3)
    np.testing.assert_allclose(results[1], x.numpy() + 1, rtol=2e-3)


@pytest.mark.slow
def test_the_model_itself_is_left_as_it_is() -> None:
    net = Net()
    before = {name: array.numpy().copy() for name, array in net.state_dict().items()}
    plain = to_onnx(net, *tensors(example()), lowering="scan").serialize()
    for precision in ("float16", "int8"):
        to_onnx(net, *tensors(example()), precision=precision)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array.numpy(), before[name])
    assert to_onnx(net, *tensors(example()), lowering="scan").serialize() == plain


# --- int8: rows, sizes and times


class Packed(nn.Module):
    """A recurrent layer over sequences of different length, and a linear layer."""

    def __init__(self, layer: type[nn.RNNBase]) -> None:
        super().__init__()
        self.layer, self.linear = layer(128, 128), nn.Linear(128, 128)

    def forward(self, x: lucid.Tensor, lengths: lucid.Tensor) -> tuple[lucid.Tensor, ...]:
        output, last = self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return self.linear(pad_packed_sequence(output)[0]), *(last if isinstance(last, tuple) else (last,))


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("lowering", thinned(["auto", "unrolled"], 2))
def test_int8_rows_do_not_depend_on_padding_or_neighbours(layer: type[nn.RNNBase], lowering: Any) -> None:
    lengths = np.array([3, 7, 5])
    x = np.random.default_rng(0).standard_normal((7, 3, 128)).astype(np.float32)
    net = Packed(layer)
    exported = to_onnx(net, lucid.tensor(x), lucid.tensor(lengths), precision="int8", lowering=lowering)
    assert operators(exported)["MatMulInteger"] >= 3
    clean = run(exported, x, lengths)
    for result, reference in zip(clean, net(lucid.tensor(x), lucid.tensor(lengths)), strict=True):
        np.testing.assert_allclose(result, reference.detach().numpy(), atol=3e-2)
    for filling in (np.nan, np.inf, 1e3, 0):
        padded = x.copy()
        for row, n in enumerate(lengths):
            padded[n:, row] = filling
        for result, reference in zip(run(exported, padded, lengths), clean, strict=True):
            np.testing.assert_array_equal(result, reference)
    loud = x.copy()
    loud[:, 1] *= 1e4
    for result, reference in zip(run(exported, loud, lengths), clean, strict=True):
        np.testing.assert_array_equal(result[:, [0, 2]], reference[:, [0, 2]])
    loud[2, 1, 0] = np.nan
    output, last, *_ = run(exported, loud, lengths)
    assert np.isfinite(output[:2]).all()
    assert np.isnan(output[2:, 1]).all()
    assert np.isnan(last[:, 1]).all()
    np.testing.assert_array_equal(output[:, [0, 2]], clean[0][:, [0, 2]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_int8_does_not_make_numbers_of_nan(value: float) -> None:
    linear = nn.Linear(128, 128)
    exported = to_onnx(linear, lucid.randn(4, 128), precision="int8")
    x = np.random.default_rng(0).standard_normal((4, 128)).astype(np.float32)
    expected = run(exported, x)[0]
    for place in (0, 77, 127):
        hostile = x.copy()
        hostile[2, place] = value
        found = run(exported, hostile)[0]
        assert np.isnan(found[2]).all()
        np.testing.assert_array_equal(found[[0, 1, 3]], expected[[0, 1, 3]])
    np.testing.assert_allclose(run(exported, x * 0)[0], np.broadcast_to(linear.bias.detach().numpy(), (4, 128)))
    for scale in (1e-20, 1e20):
        found = run(exported, x * np.float32(scale))[0]
        np.testing.assert_allclose(found, linear(lucid.tensor(x * scale)).detach().numpy(), atol=max(scale, 1) * 0.1)


def test_int8_tables_and_weights_that_are_used_twice() -> None:
    table = nn.Parameter(lucid.randn(200, 96))

    def function(ids: lucid.Tensor) -> tuple[lucid.Tensor, ...]:
        rows = table[ids]
        return rows, rows @ table.t(), rows @ table.t() * 2

    ids = np.array([[5, 199], [0, 5]])
    exported = to_onnx(function, lucid.tensor(ids), precision="int8")
    for result, reference in zip(run(exported, ids), function(lucid.tensor(ids)), strict=True):
        expected = reference.detach().numpy()
        np.testing.assert_allclose(result, expected, atol=np.abs(expected).max() * 3e-2)
    assert {value.dtype for value in exported.model.graph.initializers.values() if value.const_value.size > 1000} == {
        ir.DataType.INT8
    }


def test_small_weights_stay_float32_and_their_layers_operators() -> None:
    gru, net = nn.GRU(32, 32), nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 1024))
    exported = to_onnx(lambda x: net(gru(x)[0]), lucid.randn(5, 2, 32), precision="int8")
    assert operators(exported)["MatMulInteger"] == operators(exported)["GRU"] == 1
    assert exported.report is not None
    kept = [name for name in exported.report.kept if "weight" in name]
    assert len(kept) == len(exported.report.kept) == 3
    assert f"float32 still, as they are small or have no int8 form: {kept[0]}, " in str(exported)
    exported = to_onnx(nn.GRU(32, 32), lucid.randn(5, 2, 32), precision="int8")
    assert operators(exported)["GRU"] == 1
    assert operators(exported)["MatMulInteger"] == 0
    plain = to_onnx(nn.GRU(32, 32), lucid.randn(5, 2, 32), precision="float32")
    assert operators(exported) == operators(plain)


def test_int8_is_timed_against_float32() -> None:
    exported = to_onnx(nn.LSTM(64, 128), lucid.randn(5, 2, 64), precision="int8")
    assert exported.report is not None
    assert exported.report.seconds is not None
    before, after = exported.report.seconds
    assert 0 < before < 1
    assert 0 < after < 1
    assert f"int8: {after * 1e3:.3g} ms a call, from {before * 1e3:.3g} ms in float32" in str(exported)
    # A measurement is not part of the file, which is the same each time.
    assert "seconds" not in exported.metadata["lucid.verification"]
    assert json.loads(exported.metadata["lucid.verification"])["kept"] == []
    for other in ("float16", "float32"):
        report = to_onnx(nn.Linear(4, 4), lucid.randn(2, 4), precision=other).report
        assert report is not None
        assert report.seconds is None


def test_a_step_that_reads_a_tensor_from_outside_is_quantized() -> None:
    inner, outer = nn.Linear(128, 128), nn.Linear(128, 128)

    def function(x: lucid.Tensor, context: lucid.Tensor, h: lucid.Tensor) -> Any:
        read = outer(context).tanh()

        def step(state: lucid.Tensor, x: lucid.Tensor) -> Any:
            state = (inner(state) * 0.5 + x * 0.1 + read + outer(read)).tanh()
            return state, state

        return nn.scan(step, x, h)

    given = [lucid.randn(6, 2, 128), lucid.randn(2, 128), lucid.zeros(2, 128)]
    exported = to_onnx(function, *given, precision="int8")
    assert operators(exported)["MatMulInteger"] == 3
    onnx.checker.check_model(exported.proto, full_check=True)
    expected = [tensor.detach().numpy() for tensor in function(*given)]
    for result, reference in zip(run(exported, *(tensor.numpy() for tensor in given)), expected, strict=True):
        np.testing.assert_allclose(result, reference, atol=3e-2)


# --- the report and the file


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_the_report_and_the_file_say_what_was_measured(precision: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    exported = to_onnx(Net(), *tensors(example()), precision=precision, path=path)
    report = json.loads(exported.metadata["lucid.verification"])
    assert exported.report is not None
    assert report["precision"] == precision
    assert report["bytes"] == list(exported.report.bytes or ())
    assert report["difference"] == exported.report.difference > 1e-5
    assert f"{precision}: {report['bytes'][1]:,} bytes, from {report['bytes'][0]:,}" in str(exported)
    found = verify(path)
    assert found.report == report
    assert onnx.load(path).producer_name == "lucid"
    assert set(found.metadata) == set()
    share, (relative, absolute) = {"float16": 5e-3, "int8": 5e-2}[precision], report["tolerances"]["output_1"]
    assert relative == share
    assert share * 0.5 < absolute <= share * 3  # relative to the largest state: below 1 for tanh, above for h0


def test_tolerances_may_be_given() -> None:
    net, x = nn.RNN(4, 128), lucid.randn(5, 2, 4)
    for precision in ("float16", "int8"):
        with pytest.raises(VerificationError, match=r"beyond rtol=0, atol=1e-06"):
            to_onnx(net, x, precision=precision, rtol=0, atol=1e-6)
        to_onnx(net, x, precision=precision, rtol=0, atol=1)


def test_without_verification() -> None:
    exported = to_onnx(nn.RNN(4, 8), lucid.randn(5, 2, 4), precision="int8", verify=False)
    assert exported.report is None
    assert exported.precision == "int8"


# --- refusals


def test_refusals() -> None:
    x = lucid.randn(5, 2, 4)
    with pytest.raises(ValueError, match="precision must be None, 'float32', 'float16' or 'int8'; got 'half'"):
        to_onnx(nn.RNN(4, 8), x, precision="half")  # type: ignore[arg-type]
    net = nn.Linear(4, 8)
    net.weight.detach()._data[1, 1] = 70_000
    with pytest.raises(ExportError, match=r"weight.* holds 70000, beyond the greatest float16, 65504"):
        to_onnx(net, x, precision="float16")
    with pytest.raises(ExportError, match="is 1e-10, which becomes zero in float16"):
        to_onnx(lambda x: x / (x.abs() + 1e-10), x, precision="float16")
    with pytest.raises(ExportError, match="nothing to quantize"):
        to_onnx(lambda x: x + 1, x, precision="int8")
    with pytest.raises(ExportError, match=r"nothing to quantize.*'scan' or 'unrolled'"):
        to_onnx(nn.RNN(4, 128), x, precision="int8", lowering="rnn")


def test_infinity_and_nan_are_kept() -> None:
    masked = lucid.tensor(np.array([0, -np.inf, np.nan, 1e-10], np.float32))
    x = lucid.tensor(np.array([1, 2, 3, 4], np.float32))
    exported = to_onnx(lambda x: x + masked, x, precision="float16", dynamic=None)
    np.testing.assert_array_equal(run(exported, x.numpy())[0], [1, -np.inf, np.nan, 4])
