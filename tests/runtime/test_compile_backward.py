"""Compiled gradients: values as in the eager backward pass, whatever changes in the model between calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError, GradientError, LucidError, ShapeError
from lucid.runtime import compile_backward
from lucid.runtime.compiled import dispatch
from lucid.tracer import trace
from tests.tiers import thinned

pytestmark = pytest.mark.usefixtures("quick_choices")

T, N, I, H = 6, 3, 4, 5  # noqa: E741 - the letters of the field

each_layer = pytest.mark.parametrize("layer", thinned(["tanh", "relu", "lstm", "gru"], 2))


def recurrent(kind: str, *args: Any, **kwargs: Any) -> nn.Module:
    if kind in ("tanh", "relu"):
        return nn.RNN(*args, nonlinearity=kind, **kwargs)
    return {"lstm": nn.LSTM, "gru": nn.GRU}[kind](*args, **kwargs)


class Loss(nn.Module):
    """A recurrent layer, a head and a loss, with optional lengths."""

    def __init__(self, kind: str = "tanh", **kwargs: Any) -> None:
        super().__init__()
        self.rnn = recurrent(kind, I, H, **kwargs)
        self.head = nn.Linear(H, 2)
        self.scale = 1.0

    def forward(self, x: Any, y: Any, lengths: Any = None) -> Any:
        if lengths is not None:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
            output, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0])
        else:
            output, _ = self.rnn(x)
        logits = self.head(output[-1]) * self.scale
        return nn.functional.cross_entropy(logits, y), {"logits": logits}


def example(steps: int = T, batch: int = N) -> tuple[lucid.Tensor, lucid.Tensor]:
    return lucid.randn(steps, batch, I), lucid.tensor(np.arange(batch) % 2)


def gradients(model: nn.Module) -> list[Any]:
    return [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]


def eager(model: nn.Module, *args: Any) -> tuple[Any, list[Any]]:
    """Returns the outputs and the gradients of an eager call; leaves `.grad` as it was."""
    kept = [p.grad for p in model.parameters()]
    model.zero_grad()
    loss, rest = model(*args)
    loss.backward()
    found = gradients(model)
    for p, grad in zip(model.parameters(), kept, strict=True):
        p.grad = grad
    return (loss.detach().numpy(), rest["logits"].detach().numpy()), found


def assert_same(model: nn.Module, backward: Any, *args: Any) -> None:
    """Asserts that a compiled call gives the outputs and gradients of the eager call."""
    (loss, logits), wanted = eager(model, *args)
    model.zero_grad()
    result, rest = backward(*args)
    assert not result.requires_grad
    np.testing.assert_allclose(result.numpy(), loss, rtol=1e-5)
    np.testing.assert_allclose(rest["logits"].numpy(), logits, rtol=1e-5, atol=1e-6)
    for found, expected in zip(gradients(model), wanted, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@each_layer
@pytest.mark.parametrize("layers", thinned([1, 2], 2))
def test_gradients_are_those_of_the_eager_model(layer: str, layers: int) -> None:
    model = Loss(layer, num_layers=layers)
    backward = compile_backward(model)
    for steps, batch in ((T, N), (1, 1), (11, 2)):
        assert_same(model, backward, *example(steps, batch))


@pytest.mark.parametrize("lowering", thinned(["rnn", "scan"], 2))
@each_layer
def test_sequences_of_different_length(monkeypatch: pytest.MonkeyPatch, layer: str, lowering: str) -> None:
    """Padding, here NaN, reaches no gradient."""
    monkeypatch.setattr(dispatch.Candidate, "seconds", lambda self, *_: float(self.lowering != lowering))
    model = Loss(layer)
    backward = compile_backward(model)
    x, y = example()
    backward.tune(x, y, lucid.tensor([6, 2, 4]))
    for lengths in ([6, 2, 4], [1, 6, 1]):
        given = x.numpy().copy()
        for i, n in enumerate(lengths):
            given[n:, i] = np.nan
        assert_same(model, backward, lucid.tensor(given), y, lucid.tensor(lengths))
    assert set(backward.lowerings.values()) == {lowering}


@pytest.mark.parametrize("lowering", thinned(["scan", "rnn"], 2))
@each_layer
def test_each_candidate(monkeypatch: pytest.MonkeyPatch, layer: str, lowering: str) -> None:
    monkeypatch.setattr(dispatch.Candidate, "seconds", lambda self, *_: float(self.lowering != lowering))
    model = Loss(layer)
    backward = compile_backward(model)
    args = example(20)
    assert backward.tune(*args) is backward
    assert_same(model, backward, *args)
    assert set(backward.lowerings.values()) == {lowering}


@pytest.mark.parametrize(("threads", "parts", "batch"), [(None, 1, 1), (1, 1, 1), (None, 1, N), (1, 2, N)])
def test_threads(monkeypatch: pytest.MonkeyPatch, threads: int | None, parts: int, batch: int) -> None:
    """The fastest candidate is used, and slower candidates on one thread are dropped."""
    monkeypatch.setattr(dispatch, "_cores", lambda: 2)
    monkeypatch.setattr(
        dispatch.Candidate, "seconds", lambda self, *_: float((self.threads, self.parts) != (threads, parts))
    )
    model = Loss()
    backward = compile_backward(model)
    assert_same(model, backward.tune(*example(20, batch)), *example(20, batch))
    assert {(candidate.threads, candidate.parts) for candidate, _ in backward._cache.served.values()} == {
        (threads, parts)
    }
    (signature,) = backward._cache.signatures.values()
    assert [candidate.threads for candidate in signature._made].count(1) == (threads == 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "large", "made"),
    [(1, None, {(1, 1)}), (2, None, {(2, 1), (1, 1), (1, 2)}), (2, 1, {(2, 1), (1, 2)})],
    ids=["one thread", "two threads", "two threads, large inputs"],
)
def test_no_more_threads_than_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: int, large: int | None, made: set[tuple[int, int]]
) -> None:
    """`made` holds (threads per operator, parts). With two threads, large inputs are not tried whole on one."""
    if large is not None:
        monkeypatch.setattr(dispatch, "_LARGE", large)
    timed: set[tuple[int, int]] = set()
    monkeypatch.setattr(dispatch.Candidate, "seconds", lambda self, *_: timed.add((self.threads, self.parts)) or 1.0)
    model = Loss()
    args = example(20)
    assert_same(model, compile_backward(model, threads=asked).tune(*args), *args)
    assert timed == made


def test_a_training_run_is_the_eager_one() -> None:
    """Twenty steps of Adam from the same start: the compiled model sees every update without a new export."""
    models = [Loss("lstm") for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [lucid.optim.Adam(model.parameters(), lr=0.01) for model in models]
    backward = compile_backward(models[1])
    data = [example() for _ in range(5)]
    for i in range(20):
        x, y = data[i % 5]
        for optimizer in optimizers:
            optimizer.zero_grad()
        models[0](x, y)[0].backward()
        backward(x, y)
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=1e-3, atol=1e-5)


def test_gradients_add_up_and_stay() -> None:
    model = Loss()
    backward = compile_backward(model)
    args = example()
    backward(*args)
    first = [p.grad for p in model.parameters()]
    copies = gradients(model)
    backward(*args)
    for grad, copy, total in zip(first, copies, gradients(model), strict=True):
        assert grad is not None
        np.testing.assert_array_equal(grad.numpy(), copy)  # later calls do not overwrite earlier gradients
        np.testing.assert_allclose(total, 2 * copy, rtol=1e-6)


@each_layer
def test_a_gradient_that_arrives(layer: str) -> None:
    model = recurrent(layer, I, H)
    x, g = lucid.randn(T, N, I), lucid.randn(T, N, H)
    model(x)[0].backward(g)
    wanted = gradients(model)
    model.zero_grad()
    backward = compile_backward(model)
    output, _ = backward(x, gradient=g)
    np.testing.assert_allclose(output.numpy(), model(x)[0].detach().numpy(), rtol=1e-5, atol=1e-6)
    for found, expected in zip(gradients(model), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    before = gradients(model)
    with pytest.raises(GradientError, match="shape"):
        backward(x)
    with pytest.raises((GradientError, ShapeError), match="shape"):
        backward(x, gradient=lucid.randn(T, N, H + 1))
    for found, expected in zip(gradients(model), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_it_is_exported_again_when_the_model_changes_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    to_onnx = dispatch.export

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        return to_onnx(*args, **kwargs)

    monkeypatch.setattr(dispatch, "export", counted)
    model = Loss()
    backward = compile_backward(model)
    args = example(20)

    def exports() -> int:
        nonlocal count
        count = 0
        assert_same(model, backward, *args)
        return count

    backward.tune(*args)
    assert count == 2  # scan and rnn
    assert exports() == 0
    nn.init.normal_(model.head.weight)
    model.load_state_dict({k: v * 0.5 for k, v in model.state_dict().items()})
    assert exports() == 0  # parameters are read at each call
    model.head.weight._data = model.head.weight._data * 2
    assert exports() == 0
    model.scale = 2.0
    assert exports() == 1  # the fastest candidate is already known
    model.head.weight.requires_grad_(False)
    assert exports() == 1
    assert model.head.weight.grad is None
    nn.init.normal_(model.head.weight)
    assert exports() == 1  # the frozen weight is a constant in the export
    model.head.weight.requires_grad_(True)
    model.head.bias = None
    assert exports() == 1
    model.eval()
    assert exports() == 1


def test_a_weight_that_is_shared_gets_the_sum() -> None:
    class Tied(Loss):
        def __init__(self) -> None:
            super().__init__()
            self.again = nn.RNN(I, H)
            self.again.weight_hh_l0 = self.rnn.weight_hh_l0

        def forward(self, x: Any, y: Any, lengths: Any = None) -> Any:
            logits = self.head(self.rnn(x)[0][-1] + self.again(x)[0][-1])
            return nn.functional.cross_entropy(logits, y), {"logits": logits}

    model = Tied()
    assert_same(model, compile_backward(model), *example())


def test_parameters_that_nothing_reaches_have_no_gradient() -> None:
    model = Loss()
    model.unused = nn.Linear(2, 2)
    assert_same(model, compile_backward(model), *example())
    assert model.unused.weight.grad is None


def test_the_mode_is_kept_and_dropout_is_refused() -> None:
    model = Loss(num_layers=2, dropout=0.5)
    backward = compile_backward(model)
    with pytest.raises(ExportError, match="draws random numbers"):
        backward(*example())
    assert all(p.grad is None for p in model.parameters())
    assert model.training
    model.eval()
    assert_same(model, backward, *example())


def test_what_cannot_be_differentiated_is_refused() -> None:
    with pytest.raises(TypeError, match="compile_backward: expected a Module"):
        compile_backward(lambda x: x)  # type: ignore[arg-type]
    frozen = Loss()
    for p in frozen.parameters():
        p.requires_grad_(False)
    with pytest.raises(GradientError, match="no parameter of Loss requires gradients"):
        compile_backward(frozen)(*example())

    class Constant(Loss):
        def forward(self, x: Any, y: Any, lengths: Any = None) -> Any:
            return x.sum(), {"logits": self.head(x.mean((0, 1))[:1].expand(H))}

    with pytest.raises(GradientError, match="what Constant returns first was not computed from any parameter"):
        compile_backward(Constant())(*example())
    model = Loss()
    x, y = example()
    with pytest.raises(GradientError, match="compile_backward: an input requires gradients"):
        compile_backward(model)(x.requires_grad_(), y)
    backward = compile_backward(model)
    with pytest.raises(LucidError, match="inside of a trace"):
        trace(lambda x: backward(x, y)[0], x.detach())
    with pytest.raises(ShapeError, match="RNN: input has 2 features"):
        backward(lucid.randn(T, N, 2), y)
    with pytest.raises(GradientError, match="gradients are disabled here"), lucid.no_grad():
        backward(x.detach(), y)


def test_another_dtype() -> None:
    model = Loss("lstm").double()
    x, y = example()
    assert_same(model, compile_backward(model), x.to("float64"), y)
    assert model.head.weight.grad is not None
    assert model.head.weight.grad.dtype == np.float64


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, list[tuple[int, ...]]]]:
    """Records for each export whether it is verified, and the shapes of its inputs."""
    exports = []
    unwatched = dispatch.export

    def export(flat: Any, tensors: Any, **kwargs: Any) -> Any:
        exports.append((kwargs["verify"], [t.shape for t in tensors]))
        return unwatched(flat, tensors, **kwargs)

    monkeypatch.setattr(dispatch, "export", export)
    monkeypatch.setattr(dispatch, "_LARGE", 100)
    return exports


def test_large_inputs_are_exported_at_small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    exports = watched(monkeypatch)
    model = Loss()
    args = example(30, 8)
    assert_same(model, compile_backward(model).tune(*args), *args)
    assert len(exports) == 2
    assert all(export == (True, [(3, 4, I), (4,)]) for export in exports)


def test_where_the_guess_is_wrong_an_export_finds_the_free_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The features are the first axis, so the guessed small sizes are wrong."""
    exports = watched(monkeypatch)

    class FeaturesFirst(Loss):
        def forward(self, x: Any, y: Any) -> Any:
            return super().forward(x.permute(1, 2, 0), y)

    model = FeaturesFirst()
    x, y = example(30, 8)
    x = x.permute(2, 0, 1)
    assert_same(model, compile_backward(model).tune(x, y), x, y)
    assert exports[:2] == [(True, [(3, 4, 8), (5,)]), (False, [(I, 30, 8), (8,)])]
    assert exports[2:]
    assert all(export == (True, [(I, 3, 4), (4,)]) for export in exports[2:])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", thinned(["float32", "float64"], 2))
@pytest.mark.parametrize("given", thinned([True, False], 2))
def test_columns(monkeypatch: pytest.MonkeyPatch, given: bool, dtype: str) -> None:
    """A candidate for an LSTM if each part has enough sequences, with or without lengths."""
    monkeypatch.setattr(dispatch, "_cores", lambda: 2)
    monkeypatch.setattr(dispatch.Candidate, "seconds", lambda self, *_: float(self.lowering != "columns"))
    model = Loss("lstm", num_layers=2).to(dtype)
    backward = compile_backward(model)
    for batch, expected in ((32, {"columns"}), (3, {"columns", "scan"})):
        x, y = example(T, batch)
        x = x.to(dtype)
        lengths = [lucid.tensor(1 + np.arange(batch) * 5 % T)] * given
        if given:
            x = lucid.where(lucid.tensor(np.arange(T))[:, None, None] >= lengths[0][:, None], np.nan, x)
        assert_same(model, backward.tune(x, y, *lengths), x, y, *lengths)
        assert set(backward.lowerings.values()) == expected
    other = compile_backward(Loss("gru"))
    other.tune(*example(T, 32))
    assert set(other.lowerings.values()) == {"scan"}


def test_no_session_keeps_the_arrays_of_a_step() -> None:
    model = Loss()
    backward = compile_backward(model)
    assert_same(model, backward.tune(*example()), *example())
    (signature,) = backward._cache.signatures.values()
    for candidate in signature._made:
        options = candidate.session._session.get_session_options()
        assert not options.enable_cpu_mem_arena
        assert not options.enable_mem_pattern
    other = lucid.runtime.Session(lucid.export.to_onnx(nn.RNN(3, 4)))._session.get_session_options()
    assert other.enable_cpu_mem_arena
    assert other.enable_mem_pattern


def test_the_export_of_it(tmp_path: Any) -> None:
    """`to_onnx` exports a function that computes gradients, with the parameters as inputs."""
    model = Loss("gru")

    def step(x: Any, y: Any) -> Any:
        loss, _ = model(x, y)
        return loss, *lucid.autograd.grad(loss, list(model.parameters()))

    x, y = example()
    exported = lucid.export.to_onnx(step, x, y, trainable=True, path=tmp_path / "step.onnx")
    assert list(exported.parameters.values()) == list(model.parameters())
    assert exported.input_names == ["x", "y", *exported.parameters]
    nn.init.normal_(model.head.weight)  # differs from the weight at export
    session = lucid.runtime.Session(tmp_path / "step.onnx")
    results = session(x, y, *exported.parameters.values())
    for found, expected in zip(results[1:], eager(model, x, y)[1], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
