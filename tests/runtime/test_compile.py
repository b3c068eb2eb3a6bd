"""Compiled models: values as in the eager model, whatever changes in it between calls."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError, GradientError, LucidError, ShapeError
from lucid.runtime import compile
from lucid.runtime.compiled import dispatch
from tests.tiers import thinned

pytestmark = pytest.mark.usefixtures("quick_choices")


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(3, 4, num_layers=2, dropout=0.5)
        self.head = nn.Linear(4, 2)
        self.scale = 1.0

    def forward(self, x: Any, h0: Any = None, *, flip: bool = False) -> Any:
        output, h_n = self.rnn(x, h0)
        logits = self.head(output) * self.scale
        return {"logits": -logits if flip else logits, "state": (h_n, None), "steps": 3}


def arrays(tree: Any) -> Any:
    """Returns the tree with arrays in place of Tensors."""
    if isinstance(tree, lucid.Tensor):
        return tree.detach().numpy()
    if isinstance(tree, dict):
        return {k: arrays(v) for k, v in tree.items()}
    return tuple(map(arrays, tree)) if isinstance(tree, tuple) else tree


def assert_same(result: Any, expected: Any) -> None:
    assert type(result) is type(expected)
    if isinstance(expected, dict):
        assert list(result) == list(expected)
        result, expected = tuple(result.values()), tuple(expected.values())
    if isinstance(expected, tuple):
        assert len(result) == len(expected)
        for a, b in zip(result, expected, strict=True):
            assert_same(a, b)
    elif isinstance(expected, lucid.Tensor):
        assert result.dtype == expected.dtype
        assert not result.requires_grad
        np.testing.assert_allclose(result.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    else:
        assert result == expected


def test_it_returns_what_the_model_returns() -> None:
    model = Classifier().eval()
    fast = compile(model)
    for steps, batch in ((5, 2), (1, 1), (13, 4), (5, 2), (40, 3)):
        x, h0 = lucid.randn(steps, batch, 3), lucid.randn(2, batch, 4)
        assert_same(fast(x), model(x))
        assert_same(fast(x, h0), model(x, h0))
        assert_same(fast(x, h0=h0), model(x, h0=h0))
        assert_same(fast(x, flip=True), model(x, flip=True))
    assert_same(fast(lucid.randn(5, 3) * 0), model(lucid.zeros(5, 3)))


def test_packed_sequences() -> None:
    rnn = nn.RNN(3, 4).eval()
    fast = compile(rnn)
    for lengths in ([5, 2, 1], [7, 7], [1]):
        packed = nn.utils.rnn.pack_padded_sequence(lucid.randn(max(lengths), len(lengths), 3), lengths)
        (output, h_n), (expected, expected_h) = fast(packed), rnn(packed)
        assert isinstance(output, nn.utils.rnn.PackedSequence)
        np.testing.assert_allclose(output.data.numpy(), expected.data.detach().numpy(), rtol=1e-5, atol=1e-6)
        assert_same(h_n, expected_h)


def test_which_tensor_is_which_follows_from_position_or_name() -> None:
    class Difference(nn.Module):
        def forward(self, a: Any, b: Any, *, c: Any = None) -> Any:
            return a - 2 * b if c is None else a - 2 * b + 4 * c

    a, b, c = (lucid.tensor([value]) for value in (1.0, 10.0, 100.0))
    fast = compile(Difference().eval())
    for _ in range(2):  # exported, then looked up
        assert fast(a, b).tolist() == fast(a, b=b).tolist() == fast(b=b, a=a).tolist() == [-19]
        assert fast(b, a).tolist() == fast(b=a, a=b).tolist() == [8]
        assert fast(a, b, c=c).tolist() == fast(c=c, a=a, b=b).tolist() == [381]
        assert fast(a, c=b, b=c).tolist() == [-159]


@pytest.mark.slow
def test_it_is_exported_again_when_the_model_changes() -> None:
    model = Classifier().eval()
    fast = compile(model)
    x = lucid.randn(5, 2, 3)

    def changed() -> None:
        before = arrays(fast(x))["logits"]
        yield_before.append(before)
        assert_same(fast(x), model(x))
        assert not any(np.array_equal(before, earlier) for earlier in yield_before[:-1])

    yield_before: list[Any] = []
    changed()
    nn.init.normal_(model.head.weight)
    changed()
    model.head.bias = nn.Parameter(lucid.ones(2))
    changed()
    model.load_state_dict({name: tensor * 0.5 for name, tensor in model.state_dict().items()})
    changed()
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
    model(x)["logits"].sum().backward()
    optimizer.step()
    changed()
    model.head = nn.Linear(4, 2).eval()
    changed()
    model.scale = 2.0
    changed()
    model.head._parameters["weight"] = nn.Parameter(lucid.full((2, 4), 0.5))
    changed()
    model.head.__dict__["_parameters"] = {"weight": nn.Parameter(lucid.full((2, 4), 0.25)), "bias": model.head.bias}
    changed()
    model.head.bias = None
    changed()
    model.double()
    x = x.to("float64")
    assert_same(fast(x), model(x))


def test_nothing_is_exported_twice_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    from lucid.runtime.compiled import dispatch

    count = 0
    to_onnx = dispatch.export

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        return to_onnx(*args, **kwargs)

    monkeypatch.setattr(dispatch, "export", counted)
    model = Classifier().eval()
    fast = compile(model)
    fast.tune(lucid.randn(20, 2, 3))
    assert count == 2  # rnn and scan
    for steps in range(17, 33):
        fast(lucid.randn(steps, 2, 3))
    assert count == 2
    nn.init.normal_(model.head.weight)
    fast(lucid.randn(20, 2, 3))
    assert count == 3  # the fastest candidate is already known


def test_the_model_is_left_as_it_was() -> None:
    model = Classifier().eval()
    x = lucid.randn(5, 2, 3)
    model(x)
    last = model.__dict__["_last_call"]
    lucid.manual_seed(5)
    compile(model)(lucid.randn(9, 1, 3))
    lucid.manual_seed(5)
    lucid.randn(9, 1, 3)
    after = lucid.randn(3)
    lucid.manual_seed(5)
    compile(model)(lucid.randn(9, 1, 3))
    np.testing.assert_array_equal(after.numpy(), lucid.randn(3).numpy())
    assert model.__dict__["_last_call"] is last
    assert all(p.grad is None for p in model.parameters())


def test_training_mode_is_refused() -> None:
    model = Classifier()
    fast = compile(model)
    with pytest.raises(LucidError, match=r"Classifier is in training mode; call eval\(\) on the model first"):
        fast(lucid.randn(5, 2, 3))
    model.eval()
    fast(lucid.randn(5, 2, 3))
    model.rnn.train()
    with pytest.raises(LucidError, match="a RNN in Classifier is in training mode"):
        fast(lucid.randn(5, 2, 3))


def test_errors_are_those_of_the_model() -> None:
    rnn = nn.RNN(3, 4).eval()
    fast = compile(rnn)
    for _ in range(2):
        with pytest.raises(ShapeError, match="RNN: input has 2 features in its last axis, but input_size is 3"):
            fast(lucid.randn(5, 2, 2))
        with pytest.raises(ShapeError, match="input has no time steps"):
            fast(lucid.zeros(0, 2, 3))
        fast(lucid.randn(5, 2, 3))
    with pytest.raises(TypeError, match="compile: there is no Tensor among the arguments"):
        fast()
    with pytest.raises(TypeError, match="arguments and results must be Tensors, nested in tuples, lists or dicts"):
        fast(np.zeros((5, 2, 3), "f4"))
    with pytest.raises(TypeError, match="expected a Module, whose parameters can be watched"):
        compile(lambda x: x)  # type: ignore[arg-type]


def test_what_cannot_be_exported_is_refused() -> None:
    class Leaking(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * float(x.sum())

    with pytest.raises(ExportError):
        compile(Leaking().eval())(lucid.randn(5))


def test_gradients_of_inputs_are_refused() -> None:
    fast = compile(nn.RNN(3, 4).eval())
    x = lucid.randn(5, 2, 3, requires_grad=True)
    with pytest.raises(GradientError, match="an input requires gradients, which onnxruntime does not record"):
        fast(x)
    with lucid.no_grad():
        fast(x)
    fast(x.detach())


def test_constants_of_equal_value_and_other_type_are_told_apart() -> None:
    class Divide(nn.Module):
        def forward(self, x: Any, by: Any) -> Any:
            return (x * by, isinstance(by, bool))

    model = Divide().eval()
    fast = compile(model)
    x = lucid.ones(3)
    for by in (1, True, 1.0, 2):
        assert_same(fast(x, by), model(x, by))


@pytest.mark.slow
def test_fixed_axes_are_exported_for_each_shape_up_to_a_limit() -> None:
    class Mirror(nn.Module):
        def forward(self, x: Any) -> Any:
            total = x[0]
            for row in range(1, x.shape[0]):
                total = total * 0.5 + x[row]
            return total

    model = Mirror().eval()
    fast = compile(model)
    for rows in (3, 2, 5, 3):
        x = lucid.randn(rows, 4)
        assert_same(fast(x), model(x))
    for rows in range(2, 10):
        fast(lucid.ones(rows, 4))
    with pytest.raises(ExportError, match=r"8 exports of Mirror .* axis 0 of x: "):
        fast(lucid.ones(10, 4))


def test_a_result_that_depends_on_shapes_and_is_no_tensor_is_refused() -> None:
    class Steps(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2, x.shape[0]

    with pytest.raises(ExportError, match="Steps returns something beside Tensors that depends on the shapes"):
        compile(Steps().eval())(lucid.randn(5, 2))


def test_a_result_that_nests_otherwise_at_other_shapes_is_refused() -> None:
    class Twice(nn.Module):
        def forward(self, x: Any) -> Any:
            results = (x * 2, x * 3)
            return results if x.shape[0] < 100 else list(results)

    fast = lucid.compile(Twice().eval())
    for steps in (5, 300):
        with pytest.raises(ExportError, match="Twice returns something beside Tensors that depends on the shapes"):
            fast(lucid.randn(steps, 3))


@pytest.mark.parametrize("first", thinned([400, 20], 2))
@pytest.mark.parametrize("large", thinned([True, False], 2))
def test_a_branch_on_a_size_is_right_on_both_sides(monkeypatch: pytest.MonkeyPatch, first: int, large: bool) -> None:
    """The axis is fixed, so each size has an export of its own."""
    if large:
        monkeypatch.setattr(dispatch, "_LARGE", 100)

    class Branching(Classifier):
        def forward(self, x: Any) -> Any:
            return super().forward(x * 2 if x.shape[0] > 300 else x)

    model = Branching().eval()
    fast = compile(model)
    for steps in (first, 400, 30, 1, 301, 300):
        x = lucid.randn(steps, 2, 3)
        np.testing.assert_allclose(fast(x)["logits"].numpy(), arrays(model(x))["logits"], rtol=1e-5, atol=1e-6)


def test_relu_keeps_nan() -> None:
    rnn = nn.RNN(3, 4, nonlinearity="relu").eval()
    fast = compile(rnn)
    x = lucid.tensor(np.full((20, 2, 3), np.nan, "f4"))
    assert np.isnan(fast(x)[0].numpy()).all()


def test_arrays_in_foreign_byte_order_are_refused() -> None:
    fast = compile(nn.RNN(3, 4).eval())
    with pytest.raises(LucidError):
        fast(lucid.from_numpy(np.ones((5, 2, 3), ">f4")))


@pytest.mark.slow
def test_it_can_be_part_of_an_export() -> None:
    model = Classifier().eval()
    fast = compile(model)
    x = lucid.randn(5, 2, 3)
    fast(x)
    session = lucid.runtime.Session(lucid.export.to_onnx(lambda x: fast(x)["logits"], x))
    np.testing.assert_allclose(session(x)[0], arrays(model(x))["logits"], rtol=1e-5, atol=1e-6)


def test_it_stands_in_for_the_model() -> None:
    model = Classifier()
    fast = compile(model)
    assert fast.state_dict().keys() == model.state_dict().keys()
    fast.eval()
    assert not model.training
    assert "Classifier" in repr(fast)
    assert not hasattr(fast, "nothing")


def test_many_threads_at_once() -> None:
    model = Classifier().eval()
    fast = compile(model, threads=1)
    given = [lucid.randn(1 + k, 2, 3) for k in range(6)]
    with lucid.no_grad():
        expected = [arrays(model(x))["logits"] for x in given]
    failures: list[int] = []

    def work(offset: int) -> None:
        for i in range(40):
            k = (i + offset) % len(given)
            if not np.allclose(fast(given[k])["logits"].numpy(), expected[k], rtol=1e-5, atol=1e-6):
                failures.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


FACTOR = 1.0


def test_what_a_forward_names_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = lucid.tensor([1.0, 2.0])

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return (self.head(x) * weight).square().mean() * FACTOR

    model, x = Weighted().eval(), lucid.randn(4, 3)
    compiled, backward = lucid.compile(model), lucid.compile_backward(model)
    step = lucid.compile(model, loss=lambda model, x: model(x), optimizer=lucid.optim.SGD(model.parameters(), lr=0.0))

    def assert_all_agree() -> None:
        expected = model(x).item()
        np.testing.assert_allclose([f(x).item() for f in (compiled, backward, step)], [expected] * 3, rtol=1e-6)

    assert_all_agree()
    weight.mul_(2)
    assert_all_agree()
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert_all_agree()
    weight = lucid.tensor([5.0, 1.0])
    assert_all_agree()
