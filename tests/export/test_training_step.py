"""A training step as an ONNX file takes the same steps as eager training."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import lucid
from examples.train_anywhere.batches import write_binary, write_json
from lucid import nn, optim
from lucid.errors import ExportError, StateDictError, VerificationError
from lucid.export import to_onnx, training_step, verify
from lucid.export.lowering.registry import LOWERINGS
from lucid.export.training.portable import with_short_concats
from tests.tiers import thinned

F = nn.functional
ROOT = Path(__file__).resolve().parents[2]
Loss = Any


class Classifier(nn.Module):
    """A recurrent layer and a linear one on its last output."""

    def __init__(self, rnn: nn.Module, size: int) -> None:
        super().__init__()
        self.rnn, self.head = rnn, nn.Linear(size, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0][-1])


def loss(model: Any, x: Any, y: Any) -> Any:
    return F.cross_entropy(model(x), y)


def batch(step: int, steps: int | None = None, size: int | None = None) -> tuple[Any, Any]:
    """Returns sequences and their classes, of another length and number in each step."""
    rng = np.random.default_rng(step)
    steps, size = 3 + step if steps is None else steps, 2 + step % 3 if size is None else size
    x = rng.standard_normal((steps, size, 2)).astype(np.float32)
    return lucid.tensor(x), lucid.tensor(rng.integers(0, 3, size))


def eager(
    model: Any, optimizer: Any, loss: Loss, *args: Any, norm: float | None = None, value: float | None = None
) -> float:
    optimizer.zero_grad()
    result = loss(model, *args)
    result = result[0] if isinstance(result, tuple) else result
    result.backward()
    if norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), norm)
    if value is not None:
        nn.utils.clip_grad_value_(model.parameters(), value)
    optimizer.step()
    return float(result.item())


def assert_portable(model: Any) -> None:
    """Asserts that a model has no float64, no product with a vector and no long Concat, in its subgraphs either."""
    proto = onnx.shape_inference.infer_shapes(model if isinstance(model, onnx.ModelProto) else model.proto)
    ranks: dict[str, int] = {}
    pending, nodes = [proto.graph], []
    while pending:
        graph = pending.pop()
        for tensor in graph.initializer:
            assert tensor.data_type != onnx.TensorProto.DOUBLE, tensor.name
            ranks[tensor.name] = len(tensor.dims)
        for value in (*graph.input, *graph.output, *graph.value_info):
            assert value.type.tensor_type.elem_type != onnx.TensorProto.DOUBLE, value.name
            ranks[value.name] = len(value.type.tensor_type.shape.dim)
        nodes += graph.node
        pending += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    for node in nodes:
        for attribute in node.attribute:
            assert attribute.t.data_type != onnx.TensorProto.DOUBLE, node.name
            assert not (node.op_type == "Cast" and attribute.i == onnx.TensorProto.DOUBLE), node.name
        if node.op_type in ("MatMul", "Gemm"):
            assert all(ranks[name] >= 2 for name in node.input[:2]), node.name
        assert node.op_type != "Concat" or len(node.input) <= 7, node.name


def assert_states(state: dict[str, Any], expected: dict[str, Any], rtol: float = 1e-4, atol: float = 2e-6) -> None:
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(state[name], array, rtol=rtol, atol=atol, err_msg=name)


LAYERS: dict[str, Any] = {
    "RNN": lambda: (nn.RNN(2, 5), 5),
    "RNN-relu": lambda: (nn.RNN(2, 5, nonlinearity="relu"), 5),
    "LSTM": lambda: (nn.LSTM(2, 5), 5),
    "GRU": lambda: (nn.GRU(2, 5, num_layers=2), 5),
    "bidirectional": lambda: (nn.LSTM(2, 5, bidirectional=True), 10),
    "projection": lambda: (nn.LSTM(2, 5, proj_size=3), 3),
}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Adam": ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    "SGD": ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    "RAdam": ("RAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    "AdamW": ("AdamW", {}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}),
    "plain": ("SGD", {}),
    "RMSprop": ("RMSprop", {"momentum": 0.5, "centered": True, "eps": 1e-3}),
    "NAdam": ("NAdam", {"weight_decay": 0.1}),
    "Adamax": ("Adamax", {}),
    "Adagrad": ("Adagrad", {"lr_decay": 0.2, "initial_accumulator_value": 0.5}),
}
PAIRS = [(layer, name) for name in OPTIMIZERS for layer in LAYERS]


@pytest.mark.parametrize(("layer", "name"), thinned(PAIRS, 13, 2, sample=3))
def test_each_layer_with_each_optimizer(layer: str, name: str) -> None:
    lucid.manual_seed(0)
    model = Classifier(*LAYERS[layer]())
    kind, options = OPTIMIZERS[name]
    optimizer = getattr(optim, kind)(model.parameters(), lr=0.01, **options)
    step = training_step(model, loss, optimizer, *batch(0), clip_grad_norm=0.5, verify=False)
    assert_portable(step.exported)
    state = step.start
    for number in range(8):
        # The schedule is the driver's: it feeds its own rate.
        optimizer.param_groups[0]["lr"] = rate = 0.01 / (1 + number)
        state, value, metrics = step({**state, "lr": rate}, *batch(number))
        expected = eager(model, optimizer, loss, *batch(number), norm=0.5)
        assert math.isclose(value, expected, rel_tol=1e-5)
        assert metrics.keys() == {"grad_norm"}
    assert_states(state, step.state_of(model, optimizer))


def test_it_is_compared_at_other_sizes_before_it_is_returned() -> None:
    model = Classifier(nn.GRU(2, 4), 4)
    step = training_step(model, loss, optim.Adam(model.parameters()), *batch(0, 3, 2))
    assert step.report is not None
    sizes = [check.sizes for check in step.report.checks if check.difference is not None]
    assert {"time": 3, "batch": 2} in sizes
    assert {"time": 1, "batch": 1} in sizes
    assert len(sizes) >= 4
    assert step.exported.axes == {"x": {0: "time", 1: "batch"}, "y": {0: "batch"}}


def test_a_file_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOWERINGS, "tanh", lambda b, x: b.op("Mul", b.op("Tanh", x), np.array(1.01, np.float32)))
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(VerificationError, match="'loss' differs at x_dim_0=4, in step 1"):
        training_step(model, lambda model, x: model(x).tanh().mean(), optimizer, lucid.ones(4, 2))


# --- models


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Embedding(7, 4), nn.LayerNorm(4)
        self.rnn, self.head = nn.GRU(4, 4, batch_first=True), nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Any) -> Any:
        return self.head(self.norm(self.rnn(self.embedding(tokens))[0]))


class Convolution(nn.Module):
    def __init__(self, momentum: float | None) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4, momentum=momentum)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.conv(x.permute(1, 2, 0))).relu().mean(-1))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project, self.attention = nn.Linear(2, 4), nn.MultiheadAttention(4, 2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        x = self.project(x)
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(0))


class Scanned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.over, self.head = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        def step(now: Any, h: Any) -> Any:
            h = (self.into(now) + self.over(h)).tanh()
            return h, h

        _, last = nn.scan(step, x, lucid.zeros(x.shape[1], 4))
        return self.head(last)


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(2, 4), nn.Linear(4, 3)

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return self.head(self.rnn(packed)[1][0][-1])


def of_tokens(model: Any, tokens: Any) -> Any:
    return F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:])


def of_shifted(model: Any, tokens: Any) -> Any:
    """Of one token nothing remains: the loss is NaN, in both."""
    return F.cross_entropy(model(tokens)[:, :-1].reshape(-1, 7), tokens[:, 1:].reshape(-1))


def of_lengths(model: Any, x: Any, lengths: Any, y: Any) -> Any:
    return F.cross_entropy(model(x, lengths), y)


def of_labels(model: Any, x: Any, targets: Any, steps: Any, lengths: Any) -> Any:
    return F.ctc_loss(F.log_softmax(model.head(model.rnn(x)[0]), -1), targets, steps, lengths)


def tokens(step: int) -> tuple[Any]:
    return (lucid.tensor(np.random.default_rng(step).integers(0, 7, (2 + step, 4 + step))),)


def with_lengths(step: int) -> tuple[Any, ...]:
    x, y = batch(step, 5, 4)
    return x, lucid.tensor(np.random.default_rng(step).integers(1, 6, 4)), y


def with_labels(step: int) -> tuple[Any, ...]:
    x, _ = batch(step, 8 + step, 2)
    return x, lucid.tensor([[1, 2], [2, 1]]), lucid.tensor([8 + step, 7]), lucid.tensor([2, 1])


MODELS: dict[str, tuple[Any, Loss, Any]] = {
    "language": (Language, of_tokens, tokens),
    "batch_norm": (lambda: Convolution(0.1), loss, batch),
    "packed": (Packed, of_lengths, with_lengths),
    "scan": (Scanned, loss, batch),
    "attention": (Attention, loss, batch),
    "batch_norm_mean": (lambda: Convolution(None), loss, batch),
    "shifted": (Language, of_shifted, tokens),
    "ctc": (lambda: Classifier(nn.RNN(2, 4), 4), of_labels, with_labels),
}


@pytest.mark.parametrize("name", thinned(MODELS, 3))
def test_each_model(name: str) -> None:
    lucid.manual_seed(0)
    make, its_loss, batches = MODELS[name]
    model = make()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    step = training_step(model, its_loss, optimizer, *batches(0))
    assert_portable(step.exported)
    state = step.start
    for number in range(5):
        state, value, _ = step(state, *batches(number))
        assert math.isclose(value, eager(model, optimizer, its_loss, *batches(number)), rel_tol=1e-4)
    assert_states(state, step.state_of(model, optimizer), rtol=1e-3, atol=1e-5)


def test_running_statistics_are_state_and_other_buffers_constants() -> None:
    model = Convolution(0.1)
    model.register_buffer("scale", lucid.tensor(2.0))
    step = training_step(
        model,
        lambda model, x, y: model.scale * loss(model, x, y),
        optim.SGD(model.parameters(), lr=0.1),
        *batch(0),
        verify=False,
    )
    assert {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"} < step.start.keys()
    assert "scale" not in step.start
    state, _, _ = step(step.start, *batch(0))
    assert state["norm.num_batches_tracked"] == 1
    assert state["norm.num_batches_tracked"].dtype == np.int64
    assert model.norm.running_mean.tolist() == [0.0] * 4, "the model itself is as before"
    model.eval()
    assert (
        "norm.running_mean"
        not in training_step(model, loss, optim.SGD(model.parameters(), lr=0.1), *batch(0), verify=False).start
    )


LOSSES: dict[str, tuple[str, Any]] = {
    "GaussianNLLLoss": ("numbers", lambda of, out, y: of(out, y, y * y + 0.1)),
    "BCELoss": ("shares", lambda of, out, y: of(out.sigmoid(), y)),
    "BCEWithLogitsLoss": ("shares", lambda of, out, y: of(out, y)),
    "CosineEmbeddingLoss": ("numbers", lambda of, out, y: of(out, y, lucid.ones_like(out[:, 0]))),
    "CrossEntropyLoss": ("classes", lambda of, out, y: of(out, y)),
    "HingeEmbeddingLoss": ("signs", lambda of, out, y: of(out, y)),
    "HuberLoss": ("numbers", lambda of, out, y: of(out, y)),
    "KLDivLoss": ("shares", lambda of, out, y: of(out.log_softmax(-1), y)),
    "L1Loss": ("numbers", lambda of, out, y: of(out, y)),
    "MSELoss": ("numbers", lambda of, out, y: of(out, y)),
    "MarginRankingLoss": ("signs", lambda of, out, y: of(out, out.flip(-1), y)),
    "NLLLoss": ("classes", lambda of, out, y: of(out.log_softmax(-1), y)),
    "PoissonNLLLoss": ("shares", lambda of, out, y: of(out, y)),
    "QuantileLoss": ("numbers", lambda of, out, y: of(out, y)),
    "SmoothL1Loss": ("numbers", lambda of, out, y: of(out, y)),
    "SoftMarginLoss": ("signs", lambda of, out, y: of(out, y)),
    "TripletMarginLoss": ("numbers", lambda of, out, y: of(out, y, y.flip(0))),
}


def test_every_loss_has_a_row() -> None:
    assert {*LOSSES, "CTCLoss"} == {name for name in nn.__all__ if name.endswith("Loss")}


@pytest.mark.parametrize("name", thinned(LOSSES, 9, sample=2))
def test_each_loss(name: str) -> None:
    lucid.manual_seed(0)
    (kind, call), criterion, model = LOSSES[name], getattr(nn, name)(), nn.Linear(2, 3)

    def given(size: int) -> tuple[Any, Any]:
        rng = np.random.default_rng(size)
        targets = {
            "numbers": rng.standard_normal((size, 3)).astype(np.float32),
            "shares": rng.random((size, 3)).astype(np.float32),
            "signs": np.sign(rng.standard_normal((size, 3))).astype(np.float32),
            "classes": rng.integers(0, 3, size),
        }
        return lucid.tensor(rng.standard_normal((size, 2)).astype(np.float32)), lucid.tensor(targets[kind])

    def of(model: Any, x: Any, y: Any) -> Any:
        return call(criterion, model(x), y)

    optimizer = optim.SGD(model.parameters(), lr=0.1)
    step = training_step(model, of, optimizer, *given(4), verify=False)
    assert_portable(step.exported)
    state = step.start
    for size in (4, 7):
        state, value, _ = step(state, *given(size))
        assert math.isclose(value, eager(model, optimizer, of, *given(size)), rel_tol=1e-5)
    assert_states(state, step.state_of(model, optimizer))


# --- the contract


def test_shared_and_frozen_parameters_and_groups() -> None:
    lucid.manual_seed(0)
    model = Language()
    model.norm.requires_grad_(False)
    optimizer = optim.Adam(
        [{"params": model.embedding.parameters(), "lr": 0.1}, {"params": model.rnn.parameters(), "weight_decay": 0.1}]
    )
    step = training_step(model, of_tokens, optimizer, *tokens(0), clip_grad_value=0.01)
    keys = {"embedding.weight", *(f"rnn.{name}" for name, _ in model.rnn.named_parameters())}
    assert {name for name, entry in step.contract["state"].items() if entry["kind"] == "parameter"} == keys
    assert {"lr.0", "lr.1", "betas.0", "betas.1", "weight_decay.1", "step"} < step.start.keys()
    assert not {"head.weight", "norm.weight", "weight_decay.0", "lr"} & step.start.keys()
    state = step.start
    for number in range(3):
        state, value, metrics = step(state, *tokens(number))
        assert math.isclose(value, eager(model, optimizer, of_tokens, *tokens(number), value=0.01), rel_tol=1e-5)
        assert metrics == {}
    assert_states(state, step.state_of(model, optimizer))


def test_schedules_of_momentum_and_decay_rates_are_fed_as_state() -> None:
    lucid.manual_seed(0)
    for make, name in ((lambda p: optim.Adam(p, lr=0.01), "betas"), (lambda p: optim.SGD(p, 0.1, 0.9), "momentum")):
        model = Classifier(nn.RNN(2, 4), 4)
        optimizer = make(model.parameters())
        step = training_step(model, loss, optimizer, *batch(0), verify=False)
        scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
        state = step.start
        for number in range(6):
            group = optimizer.param_groups[0]
            state = {**state, "lr": group["lr"], name: group[name]}
            state, value, _ = step(state, *batch(number))
            assert math.isclose(value, eager(model, optimizer, loss, *batch(number)), rel_tol=1e-5)
            assert_states(state, step.state_of(model, optimizer), atol=1e-5)
            scheduler.step()


def test_bias_correction_keeps_its_digits_over_many_steps() -> None:
    lucid.manual_seed(0)
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    of = lambda model, x: (model(x) ** 2).mean()  # noqa: E731
    x = lucid.randn(4, 2)
    step = training_step(model, of, optimizer, x, verify=False)
    eager(model, optimizer, of, x)
    for count in (3, 999, 20_000):
        for kept in optimizer.state.values():
            kept["step"] = float(count)
        before = step.state_of(model, optimizer)
        state, _, _ = step(before, x)
        eager(model, optimizer, of, x)
        after = step.state_of(model, optimizer)
        moved = after["weight"] - before["weight"]
        # A parameter near one has a last digit of 6e-8, and moves by 1e-2 at most.
        np.testing.assert_allclose(state["weight"] - before["weight"], moved, rtol=1e-5, atol=1.5e-7)
        assert state["step"] == count + 1


def test_metrics_files_and_metadata(tmp_path: Path) -> None:
    def with_metrics(model: Any, x: Any, y: Any) -> Any:
        logits = model(x)
        return F.cross_entropy(logits, y), {"accuracy": (logits.argmax(-1) == y).float().mean()}

    model = Convolution(0.1)
    optimizer = optim.AdamW(model.parameters())
    path = tmp_path / "vowels.train.onnx"
    step = training_step(model, with_metrics, optimizer, *batch(0), path=path, clip_grad_norm=1.0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vowels.init.onnx", "vowels.onnx", "vowels.train.onnx"]
    file = onnx.load(path)
    names = {value.name for value in file.graph.output}
    assert names == {"loss", "accuracy", "grad_norm", *(f"next.{name}" for name in step.start)}
    assert {value.name for value in file.graph.input} == {"x", "y", *step.start}
    contract = json.loads(next(p.value for p in file.metadata_props if p.key == "lucid.train"))
    assert contract == step.contract
    assert contract["batch"] == ["x", "y"]
    assert contract["outputs"] == ["loss", "accuracy", "grad_norm"]
    assert verify(path).axes == step.exported.axes
    for name in ("vowels.init.onnx", "vowels.train.onnx", "vowels.onnx"):
        assert_portable(onnx.load(tmp_path / name))
    ort = pytest.importorskip("onnxruntime")
    init = ort.InferenceSession(str(tmp_path / "vowels.init.onnx"))
    assert not init.get_inputs()
    start = dict(zip([o.name for o in init.get_outputs()], init.run(None, {}), strict=True))
    assert_states(start, step.start, rtol=0, atol=0)
    # The model for inference takes a state as it is, apart from what it does not need.
    state, _, metrics = step(start, *batch(0))
    assert metrics.keys() == {"accuracy", "grad_norm"}
    inference = ort.InferenceSession(str(tmp_path / "vowels.onnx"))
    feed = {i.name: state[i.name] for i in inference.get_inputs() if i.name in state}
    assert feed.keys() == {*dict(model.named_parameters()), "norm.running_mean", "norm.running_var"}
    (logits,) = inference.run(None, {**feed, "x": batch(1)[0].numpy()})
    step.load_into(model, optimizer, state)
    model.eval()
    np.testing.assert_allclose(logits, model(batch(1)[0]).detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_state_moves_to_eager_training_and_back(tmp_path: Path) -> None:
    lucid.manual_seed(0)
    model = Classifier(nn.GRU(2, 4), 4)
    optimizer = optim.NAdam(model.parameters(), lr=0.01)
    step = training_step(model, loss, optimizer, *batch(0), verify=False)
    whole = step.start
    for number in range(6):
        whole, _, _ = step(whole, *batch(number))
    # Two steps of the file, a checkpoint, two eager steps of another model, and two more of the file.
    state = step.start
    for number in range(2):
        state, _, _ = step(state, *batch(number))
    lucid.save(state, tmp_path / "state.safetensors")
    other = Classifier(nn.GRU(2, 4), 4)
    others = optim.NAdam(other.parameters(), lr=0.01)
    step.load_into(other, others, lucid.load(tmp_path / "state.safetensors"))
    assert others.param_groups[0]["lr"] == 0.01, "an option that rounds to the value in the state keeps its number"
    for number in range(2, 4):
        eager(other, others, loss, *batch(number))
    state = step.state_of(other, others)
    assert state["step"] == 4
    for number in range(4, 6):
        state, _, _ = step(state, *batch(number))
    assert_states(state, whole)
    # A file alone goes on bit by bit.
    resumed = step.start
    for number in range(6):
        resumed = dict(resumed) if number != 3 else {k: v.numpy() for k, v in _reloaded(resumed, tmp_path).items()}
        resumed, _, _ = step(resumed, *batch(number))
    assert_states(resumed, whole, rtol=0, atol=0)


def _reloaded(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    lucid.save(state, folder / "again.safetensors")
    return lucid.load(folder / "again.safetensors")


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters())
    of = lambda model, x: (model(x) ** 2).mean()  # noqa: E731
    step = training_step(model, of, optimizer, lucid.ones(4, 2), verify=False)
    before = model.weight.tolist()
    wrong = {**step.start, "weight": np.zeros((3, 3), np.float32), "other": np.zeros(1)}
    del wrong["lr"]
    with pytest.raises(StateDictError, match=r"lacks 'lr'.*unexpected 'other'.*'weight' should be float32\[1, 2\]"):
        step.load_into(model, optimizer, wrong)
    assert model.weight.tolist() == before
    assert not optimizer.state
    with pytest.raises(StateDictError, match="the optimizer does not fit"):
        step.load_into(model, optim.SGD(model.parameters(), lr=0.1), step.start)
    with pytest.raises(StateDictError, match="it has no weight, bias"):
        step.state_of(nn.RNN(2, 3), optimizer)


# --- what is refused


def test_endings_and_options_are_checked(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    of = lambda model, x: model(x).mean()  # noqa: E731
    for name in ("vowels.onnx", "vowels", "vowels.train"):
        with pytest.raises(ValueError, match=r"write '.*vowels\.train\.onnx'"):
            training_step(model, of, optimizer, lucid.ones(4, 2), path=tmp_path / name)
    with pytest.raises(FileNotFoundError):
        training_step(model, of, optimizer, lucid.ones(4, 2), path=tmp_path / "no" / "a.train.onnx")
    with pytest.raises(ValueError, match="clip_grad_norm must be positive"):
        training_step(model, of, optimizer, lucid.ones(4, 2), clip_grad_norm=-1.0)
    with pytest.raises(ValueError, match="lowering must be one of"):
        training_step(model, of, optimizer, lucid.ones(4, 2), lowering="fast")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a Module"):
        training_step(of, of, optimizer, lucid.ones(4, 2))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


class Named(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.add_module(name, nn.Linear(2, 1))

    def forward(self, x: Any) -> Any:
        return next(iter(self._modules.values()))(x)


@pytest.mark.parametrize("name", thinned(["next", "lr", "loss", "seed", "step", "grad_norm"], 6))
def test_names_of_the_files_own_are_refused(name: str) -> None:
    model = Named(name)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(
        ExportError, match=f"'{name}.weight' in the model's parameters and buffers begins with '{name}'"
    ):
        training_step(model, lambda model, x: model(x).mean(), optimizer, lucid.ones(4, 2))


def test_other_collisions_are_refused() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with pytest.raises(ExportError, match="'lr' in the batch"):
        training_step(model, lambda model, lr: model(lr).mean(), optimizer, lucid.ones(4, 2))
    with pytest.raises(ExportError, match="'weight' stands in the model's parameters and buffers and in the batch"):
        training_step(model, lambda model, weight: model(weight).mean(), optimizer, lucid.ones(4, 2))
    with pytest.raises(ExportError, match="'momentum' stands in the optimizer's state and in the batch"):
        training_step(model, lambda model, momentum: model(momentum).mean(), optimizer, lucid.ones(4, 2))
    with pytest.raises(ExportError, match="'x' stands in the batch and in the metrics"):
        training_step(model, lambda model, x: (model(x).mean(), {"x": x.sum()}), optimizer, lucid.ones(4, 2))


def test_what_cannot_be_a_step_is_refused() -> None:
    model, x = nn.Linear(2, 1), lucid.ones(4, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ExportError, match="must return a tensor without axes"):
        training_step(model, lambda model, x: model(x), optimizer, x)
    with pytest.raises(ExportError, match="no parameter of the optimizer has a gradient"):
        training_step(model, lambda _, x: model(x).mean(), optimizer, x)
    other = nn.Linear(2, 1)
    with pytest.raises(ExportError, match=r"shape \(1, 2\) in group 0 of the optimizer is none of the model's"):
        training_step(model, lambda model, x: model(x).mean(), optim.SGD(other.parameters(), lr=0.1), x)
    wide = nn.Linear(2, 1).double()
    with pytest.raises(ExportError, match="'weight' is float64, but a training step computes in float32"):
        training_step(wide, lambda model, x: model(x).mean(), optim.SGD(wide.parameters(), lr=0.1), x.double())
    with pytest.raises(ExportError, match="'x' is float64"):
        training_step(model, lambda model, x: model(x.float()).mean(), optimizer, x.double())
    with pytest.raises(ExportError, match="draws random numbers"):
        training_step(model, lambda model, x: F.dropout(model(x), 0.5).mean(), optimizer, x)


def test_a_batch_of_arrays() -> None:
    model = Classifier(nn.GRU(2, 4), 4)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    arrays = tuple(x.numpy() for x in batch(0))
    step = training_step(model, loss, optimizer, *arrays)
    of_arrays, value, _ = step(step.start, *arrays)
    of_tensors, expected, _ = step(step.start, *batch(0))
    assert value == expected
    assert_states(of_arrays, of_tensors, rtol=0, atol=0)


def test_parameters_updated_a_different_number_of_times_are_refused() -> None:
    model = Classifier(nn.RNN(2, 4), 4)
    optimizer = optim.Adam(model.parameters())
    model.head.requires_grad_(False)
    eager(model, optimizer, loss, *batch(0))
    model.head.requires_grad_(True)
    with pytest.raises(ExportError, match="must have been updated as often"):
        training_step(model, loss, optimizer, *batch(0))


@pytest.mark.parametrize("opset", thinned([13, 22], 1))
def test_a_product_with_a_vector_gets_an_axis(opset: int) -> None:
    class Vectors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(lucid.randn(3, 2))
            self.left, self.right = nn.Parameter(lucid.randn(3)), nn.Parameter(lucid.randn(2))

        def forward(self, x: Any) -> Any:
            return x @ self.matrix @ self.right + self.left @ self.matrix @ self.right + self.right @ self.right

    lucid.manual_seed(0)
    model = Vectors()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    step = training_step(model, lambda model, x: (model(x) ** 2).mean(), optimizer, lucid.randn(4, 3), opset=opset)
    assert_portable(step.exported)
    assert step.inference is not None
    assert_portable(step.inference)


class Sign(optim.Optimizer):
    """An optimizer of the user's own, with an option that a schedule may change."""

    def __init__(self, params: Any, lr: float = 0.01, betas: Any = (0.9, 0.99), weight_decay: float = 0.1) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @staticmethod
    def slots(options: Any) -> dict[str, float]:
        return {"average": 0.0, "step": 0.0}

    @staticmethod
    def update(p: Any, g: Any, state: Any, *, lr: Any, betas: Any, weight_decay: Any) -> Any:
        first, second = betas
        mixed, step = first * state["average"] + (1 - first) * g, state["step"] + 1
        if weight_decay:
            p = p * (1 - lr * weight_decay)
        moved = mixed / (mixed * mixed + 1e-4) ** 0.5 * (1 - second**step)
        return p - lr * moved, {"average": second * state["average"] + (1 - second) * g, "step": step}


class Centred(nn.Module):
    """A layer with buffers that it computes anew in training."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.register_buffer("mean", lucid.zeros(1))
        self.register_buffer("calls", lucid.tensor(0))

    def forward(self, x: Any) -> Any:
        out = self.linear(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * out.detach().mean(0)
            self.calls += 1
        return out - self.mean


def test_an_optimizer_and_buffers_of_the_users_own() -> None:
    lucid.manual_seed(0)
    model, x = Centred(), lucid.randn(4, 2)
    optimizer = Sign(model.parameters())
    of = lambda model, x: (model(x) ** 2).mean()  # noqa: E731
    step = training_step(model, of, optimizer, x)
    assert step.inference is not None
    assert step.inference.input_names == ["x", "linear.weight", "linear.bias", "mean"]
    state = step.start
    for _ in range(3):
        state, value, _ = step(state, x)
        assert math.isclose(value, eager(model, optimizer, of, x), rel_tol=1e-5)
    assert state["calls"] == 3
    assert_states(state, step.state_of(model, optimizer))


def test_training_leaves_everything_as_it_was() -> None:
    model = Convolution(0.1)
    optimizer = optim.Adam(model.parameters())
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    training_step(model, loss, optimizer, *batch(0))
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    assert not optimizer.state
    assert model.training
    assert all(p.grad is None for p in model.parameters())


# --- clipping in a trace


@pytest.mark.parametrize("kind", thinned([2.0, 1.0, 3.0, math.inf, -math.inf, 0.0], 6))
def test_clipping_can_be_exported(kind: float) -> None:
    model = nn.Linear(2, 3)

    def gradients(x: Any) -> Any:
        (10 * model(x) ** 2).sum().backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0, kind)
        nn.utils.clip_grad_value_(model.parameters(), 0.2)
        found = [p.grad for p in model.parameters()]
        model.zero_grad()
        return norm, *found

    exported = to_onnx(gradients, lucid.randn(4, 2), trainable=True)
    assert "DOUBLE" not in str(exported)
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(exported.serialize())
    x = lucid.randn(5, 2)
    feed = {name: tensor.detach().numpy() for name, tensor in exported.parameters.items()}
    for found, expected in zip(session.run(None, {"x": x.numpy(), **feed}), gradients(x), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


# --- anywhere


@pytest.mark.parametrize("count", [7, 8, 50])
def test_a_long_concat_is_made_of_short_ones(count: int) -> None:
    ort = pytest.importorskip("onnxruntime")
    names = [f"x{i}" for i in range(count)]
    inputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, None]) for name in names]
    outputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, None]) for name in ("y", "z")]
    nodes = [onnx.helper.make_node("Concat", names, ["y"], axis=1), onnx.helper.make_node("Neg", ["y"], ["z"])]
    graph = onnx.helper.make_graph(nodes, "long", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    short = ir.to_proto(with_short_concats(ir.from_proto(model)))
    assert_portable(short)
    assert [value.name for value in short.graph.output] == ["y", "z"]
    feed = {name: np.full((2, 1 + i % 3), i, np.float32) for i, name in enumerate(names)}
    for each in (model, short):
        y, z = ort.InferenceSession(each.SerializeToString()).run(None, feed)
        np.testing.assert_array_equal(y, np.concatenate(list(feed.values()), 1))
        np.testing.assert_array_equal(z, -y)


DRIVERS = ROOT / "examples" / "train_anywhere"


def test_the_driver_trains_without_lucid(tmp_path: Path) -> None:
    lucid.manual_seed(0)
    model = Classifier(nn.LSTM(2, 5), 5)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    training_step(model, loss, optimizer, *batch(0), path=tmp_path / "a.train.onnx", clip_grad_norm=1.0, verify=False)
    paths = []
    for number in range(4):
        x, y = batch(number)
        paths.append(str(tmp_path / f"{number}.npz"))
        np.savez(paths[-1], x=x.numpy(), y=y.numpy())
    driver = DRIVERS / "drive.py"
    assert len(driver.read_text().splitlines()) < 60
    # A finder that refuses lucid stands before all others.
    code = (
        "import sys, runpy\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *_):\n"
        "        assert not name.startswith('lucid'), name\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    state = str(tmp_path / "state.npz")
    command = [sys.executable, "-c", code, str(driver), str(tmp_path / "a.train.onnx"), *paths, "--state", state]
    lines: list[str] = []
    for epochs in ("2", "1"):
        run = subprocess.run([*command, "--epochs", epochs], capture_output=True, text=True, cwd=tmp_path)
        assert not run.returncode, run.stderr
        lines += run.stdout.splitlines()
    for line in lines:
        expected = np.mean([eager(model, optimizer, loss, *batch(n), norm=1.0) for n in range(4)])
        assert math.isclose(float(line.split()[3]), expected, rel_tol=1e-4)
    assert len(lines) == 3


def named(step: Any, batches: Any) -> list[dict[str, Any]]:
    """Returns four batches as the drivers take them."""
    return [
        {key: x.numpy() for key, x in zip(step.contract["batch"], batches(number), strict=True)} for number in range(4)
    ]


def assert_drives(folder: Path, words: Callable[[Path, Any], list[str]]) -> None:
    """Asserts that a driver's losses are those of eager training, for three steps.

    Args:
        folder: where files are written.
        words: writes the batches, and returns the command that trains on them in two epochs, given the file of a step.
    """
    for name in ("language", "batch_norm", "packed"):
        lucid.manual_seed(0)
        make, its_loss, batches = MODELS[name]
        model = make()
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        path = folder / f"{name}.train.onnx"
        step = training_step(model, its_loss, optimizer, *batches(0), path=path, clip_grad_norm=1.0, verify=False)
        run = subprocess.run(words(path, named(step, batches)), capture_output=True, text=True, cwd=folder)
        assert not run.returncode, run.stdout + run.stderr
        for line in run.stdout.splitlines():
            expected = np.mean([eager(model, optimizer, its_loss, *batches(n), norm=1.0) for n in range(4)])
            assert math.isclose(float(line.split()[3]), expected, rel_tol=1e-4)
        assert len(run.stdout.splitlines()) == 2


@pytest.mark.slow
def test_the_driver_for_onnxruntime_web(tmp_path: Path) -> None:
    """It runs where ``make node`` or ``npm ci`` in examples ran."""
    node, installed = shutil.which("node"), DRIVERS.parent / "node_modules" / "onnxruntime-web"
    if node is None or not installed.exists():
        pytest.skip("there is no node, or no onnxruntime-web: see `make node`")
    driver = DRIVERS / "drive.mjs"
    assert sum(len(path.read_text().splitlines()) for path in (driver, DRIVERS / "step.mjs")) < 60

    def words(path: Path, given: Any) -> list[str]:
        write_json(tmp_path / "batches.json", given)
        return [node, str(driver), str(path), str(tmp_path / "batches.json"), "2"]

    assert_drives(tmp_path, words)


@pytest.mark.slow
def test_the_driver_in_c(tmp_path: Path) -> None:
    """It runs where there is a compiler, and ``make headers`` ran."""
    ort = pytest.importorskip("onnxruntime")
    compiler, headers = shutil.which("cc"), DRIVERS / "include"
    library = next(Path(ort.__file__).parent.glob("capi/libonnxruntime.so.*"), None)
    driver = DRIVERS / "drive.c"
    assert len(driver.read_text().splitlines()) < 60
    if compiler is None or library is None or not (headers / "onnxruntime_c_api.h").exists():
        pytest.skip("there is no compiler, or no header of onnxruntime: see `make headers`")
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)
    program = [compiler, "-Wall", "-Werror", f"-I{headers}", str(driver), str(library), "-Wl,-rpath,$ORIGIN"]
    subprocess.run([*program, "-o", str(tmp_path / "drive")], check=True)

    def words(path: Path, given: Any) -> list[str]:
        write_binary(tmp_path / "batches.bin", given)
        init = str(path).replace(".train.", ".init.")
        return [str(tmp_path / "drive"), str(path), init, str(tmp_path / "batches.bin"), "2"]

    assert_drives(tmp_path, words)


def test_a_parameter_without_a_gradient_at_some_sizes_is_refused() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            return (self.one(x) + self.other(x)).mean() if x.shape[0] > 1 else self.one(x).mean()

    model = Sometimes()
    # Where the number of rows decides, it is fixed at that of the example.
    step = training_step(model, lambda model, x: model(x), optim.SGD(model.parameters(), lr=0.1), lucid.ones(4, 2))
    assert step.exported.axes == {}
    assert "compares it with 1" in step.exported.fixed["x"][0]
    with pytest.raises(ExportError, match="cannot be dynamic"):
        training_step(
            model,
            lambda model, x: model(x),
            optim.SGD(model.parameters(), lr=0.1),
            lucid.ones(4, 2),
            dynamic={"x": {0: "batch"}},
        )
