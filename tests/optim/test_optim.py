"""Optimizers, compared with their equations in float64 and with PyTorch; updates of tensors and of arrays."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.errors import GradientError, ShapeError, StateDictError, TraceError
from lucid.tracer import trace

# Every option of every optimizer, alone and in combinations that interact.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "betas": (0.5, 0.8), "eps": 1e-3}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0, "maximize": True}),
    ("RMSprop", {"lr": 0.02}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.8, "eps": 1e-3}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.5}),
    ("RMSprop", {"lr": 0.02, "centered": True, "alpha": 0.9}),
    ("RMSprop", {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.5, "centered": True, "maximize": True}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "betas": (0.5, 0.8), "eps": 1e-3, "momentum_decay": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("NAdam", {"lr": 0.05, "momentum_decay": 0}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.05, "betas": (0.9, 0.6)}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("Adamax", {"lr": 0.05}),
    ("Adamax", {"lr": 0.05, "betas": (0.5, 0.8), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]
every_option = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)

START = np.random.default_rng(0).standard_normal((3, 4))
NOISE = np.random.default_rng(1).standard_normal((50, 3, 4))


def gradient(p: np.ndarray, step: int) -> np.ndarray:
    """Returns the gradient of a bowl with ripples, plus noise."""
    return (p + np.sin(3 * p) + 0.5 * NOISE[step]).astype(p.dtype)


def make(name: str, params: Any, **options: Any) -> optim.Optimizer:
    return getattr(optim, name)(params, **options)


def run(optimizer: optim.Optimizer, p: lucid.Tensor, steps: range) -> list[np.ndarray]:
    path = []
    for step in steps:
        p.grad = lucid.tensor(gradient(p.detach().numpy(), step))
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return path


def parameter(dtype: Any = np.float32) -> lucid.Tensor:
    return lucid.tensor(START.astype(dtype), requires_grad=True)


# --- values


def reference(name: str, steps: int, **o: Any) -> np.ndarray:
    """The equations of the papers in float64, without lucid."""
    p = START.copy()
    m, v, a, s, top = (np.zeros_like(p) for _ in range(5))
    s += o.get("initial_accumulator_value", 0)
    b: Any = None
    product = 1.0
    for t in range(1, steps + 1):
        g = gradient(p, t - 1) * (-1 if o.get("maximize") else 1)
        decay = o.get("weight_decay", 0.01 if name == "AdamW" else 0)
        if name == "AdamW" or o.get("decoupled_weight_decay"):
            p = p - o["lr"] * decay * p
        else:
            g = g + decay * p
        if name == "SGD":
            mu = o.get("momentum", 0)
            b = g if b is None else mu * b + (1 - o.get("dampening", 0)) * g
            p = p - o["lr"] * (g + mu * b if o.get("nesterov") else b)
        elif name in ("Adam", "AdamW"):
            b1, b2 = o.get("betas", (0.9, 0.999))
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            top = np.maximum(top, v)
            second = (top if o.get("amsgrad") else v) / (1 - b2**t)
            p = p - o["lr"] * m / (1 - b1**t) / (np.sqrt(second) + o.get("eps", 1e-8))
        elif name in ("NAdam", "RAdam"):
            b1, b2 = o.get("betas", (0.9, 0.999))
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            if name == "NAdam":
                psi = o.get("momentum_decay", 4e-3)
                mu, following = (b1 * (1 - 0.96 ** (i * psi) / 2) for i in (t, t + 1))
                product *= mu
                n = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
                p = p - o["lr"] * n / (np.sqrt(v / (1 - b2**t)) + o.get("eps", 1e-8))
                continue
            longest = 2 / (1 - b2) - 1
            rho = longest - 2 * t * b2**t / (1 - b2**t)
            factor: Any = 1.0
            if rho > 5:
                r = np.sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
                factor = r * np.sqrt(1 - b2**t) / (np.sqrt(v) + o.get("eps", 1e-8))
            p = p - o["lr"] * m / (1 - b1**t) * factor
        elif name == "Adamax":
            b1, b2 = o.get("betas", (0.9, 0.999))
            m, v = b1 * m + (1 - b1) * g, np.maximum(b2 * v, np.abs(g) + o.get("eps", 1e-8))
            p = p - o["lr"] / (1 - b1**t) * m / v
        elif name == "RMSprop":
            alpha = o.get("alpha", 0.99)
            v, a = alpha * v + (1 - alpha) * g**2, alpha * a + (1 - alpha) * g
            scaled = g / (np.sqrt(v - (a**2 if o.get("centered") else 0)) + o.get("eps", 1e-8))
            b = scaled if b is None else o.get("momentum", 0) * b + scaled
            p = p - o["lr"] * b
        else:
            s = s + g**2
            p = p - o["lr"] / (1 + (t - 1) * o.get("lr_decay", 0)) * g / (np.sqrt(s) + o.get("eps", 1e-10))
    return p


@every_option
def test_float64_follows_the_equations(name: str, options: dict[str, Any]) -> None:
    p = parameter(np.float64)
    path = run(make(name, [p], **options), p, range(50))
    np.testing.assert_allclose(path[-1], reference(name, 50, **options), rtol=1e-9, atol=1e-11)


@every_option
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_path_is_that_of_pytorch(name: str, options: dict[str, Any], dtype: Any, torch: Any) -> None:
    p = parameter(dtype)
    path = run(make(name, [p], **options), p, range(50))
    q = torch.tensor(START.astype(dtype), requires_grad=True)
    theirs = getattr(torch.optim, name)([q], **options)
    for step in range(50):
        q.grad = torch.tensor(gradient(q.detach().numpy(), step))
        theirs.step()
        np.testing.assert_allclose(path[step], q.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad"])
def test_defaults_are_those_of_pytorch(name: str, torch: Any) -> None:
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    ours = make(name, [lucid.zeros(1)]).defaults
    assert ours == {key: theirs[key] for key in ours}


def test_sgd_by_hand() -> None:
    w = lucid.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5, momentum=0.5)
    for expected in ([0.5, -1.0], [0.0, 0.0], [-0.25, 0.5]):
        optimizer.zero_grad()
        (w * w * 0.5).sum().backward()
        optimizer.step()
        assert w.detach().tolist() == expected


# --- updates of tensors and of arrays


def as_tensors(state: dict[str, Any]) -> dict[str, lucid.Tensor]:
    return {k: v if isinstance(v, lucid.Tensor) else lucid.tensor(np.float64(v)) for k, v in state.items()}


@every_option
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_update_of_tensors_is_that_of_arrays(name: str, options: dict[str, Any], dtype: Any) -> None:
    p = parameter(dtype)
    optimizer = make(name, [p], **options)
    run(optimizer, p, range(3))
    settings = optimizer.options(optimizer.param_groups[0])
    state = as_tensors(optimizer.prepare(p, settings))
    g = lucid.tensor(gradient(p.detach().numpy(), 3))
    updated, new = optimizer.update(p.detach(), g, state, **settings)
    assert updated.dtype == dtype
    before = updated.numpy().copy()
    kept = {k: v.numpy().copy() for k, v in new.items()}
    run(optimizer, p, range(3, 4))
    # Powers of a number and of an array may differ by one unit in the last place of float64.
    np.testing.assert_allclose(before, p.detach().numpy(), rtol=0 if dtype == np.float32 else 1e-15, atol=0)
    assert kept.keys() == optimizer.state.get(p, {}).keys()
    for key, value in optimizer.state.get(p, {}).items():
        np.testing.assert_array_equal(kept[key], value if isinstance(value, float) else value.numpy())


@every_option
def test_update_can_be_traced_with_its_state_as_inputs(name: str, options: dict[str, Any]) -> None:
    p = parameter()
    optimizer = make(name, [p], **options)
    settings = optimizer.options(optimizer.param_groups[0])
    state = as_tensors(optimizer.prepare(p, settings))
    lr = lucid.tensor(np.float64(settings.pop("lr")))
    graph = trace(
        lambda p, g, state, lr: optimizer.update(p, g, state, lr=lr, **settings),
        p.detach(),
        lucid.ones(3, 4),
        state,
        lr,
    )
    assert not graph.reads
    assert not graph.captured
    assert next(iter(graph.outputs.values())).dtype == np.float32
    assert len(graph.outputs) == 1 + len(state)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a_large_parameter_goes_block_by_block_to_the_same_result(name: str) -> None:
    rng = np.random.default_rng(3)
    start = rng.standard_normal((3, 70_001)).astype(np.float32)
    p = lucid.tensor(start, requires_grad=True)
    optimizer = make(name, [p], lr=0.1, **({"momentum": 0.9} if name == "SGD" else {}))
    expected, state, settings = start, None, optimizer.options(optimizer.param_groups[0])
    for _ in range(3):
        g = rng.standard_normal(start.T.shape).astype(np.float32).T
        p.grad = lucid.from_numpy(g)
        if state is None:
            state = {
                k: v if isinstance(v, float) else v.numpy().copy() for k, v in optimizer.prepare(p, settings).items()
            }
        expected, state = optimizer.update(expected, g, state, **settings)
        optimizer.step()
        np.testing.assert_array_equal(p.detach().numpy(), expected)
    assert optimizer.state[p].get("step", 3) == 3


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_parameters_updated_together_go_where_each_goes_alone(name: str) -> None:
    rng = np.random.default_rng(4)
    shapes: list[tuple[int, ...]] = [(), (0,), (3,), (4, 5), (1024,), (1025,), *[(2, 3)] * 20]
    starts = [np.asarray(rng.standard_normal(shape), np.float32) for shape in shapes]
    starts += [starts[3].T.copy().T, starts[3].astype(np.float64)]
    options = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {"lr": 0.1}
    together, alone = ([lucid.tensor(start, requires_grad=True) for start in starts] for _ in range(2))
    optimizer = make(name, together, **options)
    singles = [make(name, [p], **options) for p in alone]
    for step in range(4):
        for i, (p, q) in enumerate(zip(together, alone, strict=True)):
            # One parameter has no gradient at first, so its step count differs; one has a gradient of another dtype.
            g = rng.standard_normal(p.shape).astype(np.float64 if i == 2 else p.dtype)
            p.grad = q.grad = None if i == 4 and not step else lucid.tensor(g)
        kept = [optimizer.state[p] for p in together] if step > 1 else []
        optimizer.step()
        assert all(optimizer.state[p] is state for p, state in zip(together, kept, strict=False))
        for single in singles:
            single.step()
    for p, q, single in zip(together, alone, singles, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
        for slot, entry in optimizer.state[p].items():
            np.testing.assert_array_equal(np.asarray(entry), np.asarray(single.state[q][slot]))


@pytest.mark.parametrize("size", [3, 5000])
def test_parameters_that_change_their_dtype_go_on_from_their_states(size: int) -> None:
    together, alone = ([nn.Linear(size, 1, dtype="float32") for _ in range(2)] for _ in range(2))
    for a, b in zip(together, alone, strict=True):
        b.load_state_dict(a.state_dict())
    optimizers = [optim.Adam([p for m in together for p in m.parameters()], lr=0.1)]
    optimizers += [optim.Adam([p], lr=0.1) for m in alone for p in m.parameters()]
    for step in range(4):
        for m in (*together, *alone):
            m.to("float64" if step >= 2 else "float32")
            for i, p in enumerate(m.parameters()):
                p.grad = lucid.full(p.shape, 0.5 + step + i, dtype=p.dtype)
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(together, alone, strict=True):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert p.dtype == np.float64
            np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def test_parameters_updated_together_can_be_copied_loaded_and_left_out() -> None:
    def gradients(params: list[lucid.Tensor], *wanted: int) -> None:
        for i, p in enumerate(params):
            p.grad = lucid.full(p.shape, i + 1.0) if i in wanted else None

    params = [lucid.zeros(2, requires_grad=True) for _ in range(3)]
    optimizer = optim.Adam(params, lr=0.1)
    gradients(params, 0, 1, 2)
    optimizer.step()
    for changed in ("copied", "pickled", "loaded"):
        if changed == "loaded":
            others = [p.detach().clone().requires_grad_() for p in params]
            another = optim.Adam(others, lr=0.1)
            another.load_state_dict(optimizer.state_dict())
        else:
            both = {"copied": copy.deepcopy, "pickled": lambda x: pickle.loads(pickle.dumps(x))}[changed]
            others, another = both((params, optimizer))
        for wanted in ((0, 1, 2), (0, 2), (1, 2), (0, 1, 2)):
            gradients(params, *wanted)
            gradients(others, *wanted)
            optimizer.step()
            another.step()
        for p, q in zip(params, others, strict=True):
            np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
            assert not np.shares_memory(optimizer.state[p]["exp_avg"].numpy(), another.state[q]["exp_avg"].numpy())


# --- effects of a step


def test_step_changes_the_array_in_place() -> None:
    array = np.ones(3, np.float32)
    w = lucid.nn.Parameter(array)
    optimizer = optim.Adam([w], lr=0.1)
    w.grad = lucid.ones(3)
    optimizer.step()
    np.testing.assert_allclose(array, 0.9, rtol=1e-6)


@pytest.mark.parametrize("array", [np.ones((4, 3), np.float32).T, np.float32(1) * np.ones(()), np.ones((2, 0))])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_any_layout_of_a_parameter(array: np.ndarray, name: str) -> None:
    array = np.array(array, order="K")
    w = lucid.nn.Parameter(array)
    w.grad = lucid.tensor(np.full(array.shape, 2, array.dtype))
    optimizer = make(name, [w], lr=0.25)
    optimizer.step()
    step = {"SGD": 0.5, "Adam": 0.25, "RMSprop": 2.5, "Adagrad": 0.25}[name]
    np.testing.assert_allclose(array, np.full(array.shape, 1 - step), rtol=1e-5)


def test_a_transposed_parameter_larger_than_a_block() -> None:
    array = np.zeros((300, 400), np.float32).T
    w = lucid.nn.Parameter(array)
    w.grad = lucid.tensor(np.arange(120_000, dtype=np.float32).reshape(400, 300))
    optim.SGD([w], lr=1.0).step()
    np.testing.assert_array_equal(array, -np.arange(120_000).reshape(400, 300))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_dtype_stays(dtype: Any, name: str) -> None:
    w = lucid.tensor(np.ones(2, dtype), requires_grad=True)
    optimizer = make(name, [w], lr=0.25, **({"momentum": 0.9} if name == "SGD" else {}))
    w.grad = lucid.tensor(np.full(2, 2, dtype))
    optimizer.step()
    assert w.dtype == dtype
    assert {v.dtype for k, v in optimizer.state[w].items() if k != "step"} == {np.dtype(dtype)}
    step = {"SGD": 0.5, "Adam": 0.25, "AdamW": 0.2525, "RMSprop": 2.5, "Adagrad": 0.25}[name]
    np.testing.assert_allclose(w.detach().numpy(), 1 - step, rtol=1e-2 if dtype == np.float16 else 1e-6)


def test_numbers_from_numpy_do_not_raise_the_precision() -> None:
    paths = []
    for number in (float, np.float64):
        p = parameter()
        options = {"lr": number(0.1), "eps": number(1e-8), "weight_decay": number(0.1)}
        paths.append(run(optim.Adam([p], **options), p, range(5))[-1])
    np.testing.assert_array_equal(*paths)


def test_a_parameter_without_gradient_is_left_alone() -> None:
    used, unused = lucid.ones(2, requires_grad=True), lucid.ones(2, requires_grad=True)
    optimizer = optim.Adam([used, unused], lr=0.1, weight_decay=0.5)
    used.sum().backward()
    optimizer.step()
    assert unused.detach().tolist() == [1.0, 1.0]
    assert list(optimizer.state_dict()["state"]) == [0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_gradients_that_are_no_numbers_go_on(bad: float, name: str) -> None:
    w = lucid.ones(2, requires_grad=True)
    optimizer = make(name, [w], lr=0.5)
    w.grad = lucid.tensor([bad, 0.0])
    optimizer.step()
    first, second = w.detach().tolist()
    assert not np.isfinite(first)
    assert second == 1.0


def test_a_backward_that_comes_too_late_is_refused() -> None:
    w = lucid.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    w.grad = lucid.ones(2)
    optimizer.step()
    with pytest.raises(GradientError, match="overwritten"):
        loss.backward()


def test_closure() -> None:
    w = lucid.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def closure() -> lucid.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with lucid.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert w.item() == 1.0
    assert optimizer.step() is None


def test_zero_grad() -> None:
    w, unused = lucid.ones(2, requires_grad=True), lucid.ones(2, requires_grad=True)
    optimizer = optim.SGD([w, unused])
    w.sum().backward()
    before = w.grad
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is not None
    assert w.grad.tolist() == [0.0, 0.0]
    assert before is not None
    assert before.tolist() == [1.0, 1.0]
    assert unused.grad is None
    optimizer.zero_grad()
    assert w.grad is None


def test_a_gradient_of_another_shape_is_refused_before_anything_changes() -> None:
    first, second = lucid.ones(2, requires_grad=True), lucid.ones(3, requires_grad=True)
    optimizer = optim.SGD([first, second], lr=0.1)
    first.grad, second.grad = lucid.ones(2), lucid.ones(1)
    with pytest.raises(ShapeError, match=r"gradient has shape \(1,\), but its parameter has \(3,\)"):
        optimizer.step()
    assert first.detach().tolist() == [1.0, 1.0]


def test_a_step_inside_a_trace_is_refused() -> None:
    w = lucid.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def training_step(x: lucid.Tensor) -> lucid.Tensor:
        (w * x).sum().backward()
        optimizer.step()
        return x

    with pytest.raises(TraceError, match=r"SGD\.step: parameters cannot be changed inside a trace"):
        trace(training_step, lucid.ones(2))


# --- groups


def test_groups_have_options_of_their_own() -> None:
    a, b, c = (lucid.ones(1, requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.25)
    optimizer.add_param_group({"params": (p for p in [c]), "lr": 1.0, "weight_decay": 1.0, "name": "head"})
    for p in (a, b, c):
        p.grad = lucid.ones(1)
    optimizer.step()
    assert [p.item() for p in (a, b, c)] == [0.75, 0.5, -1.0]
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1, 1]
    assert optimizer.param_groups[2]["name"] == "head"
    assert "lr=0.5" in repr(optimizer)
    assert "(2): 1 parameters" in repr(optimizer)


def test_momentum_can_begin_later() -> None:
    w = lucid.zeros(1, requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0)
    w.grad = lucid.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step()
    optimizer.step()
    assert w.item() == -1 - 1 - 1.5


A = lucid.zeros(2, requires_grad=True)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (A, TypeError, "params must be an iterable of Tensors or of dicts; got Tensor"),
        ({"params": [A]}, TypeError, "params must be an iterable of Tensors or of dicts; got dict"),
        (nn.Linear(2, 2), TypeError, r"got Linear; write model.parameters\(\)"),
        ([], ValueError, "SGD: got an empty parameter list"),
        ([np.zeros(2)], TypeError, "SGD can only optimize Tensors; one of the params is ndarray"),
        ([A * 2], ValueError, r"computed from others; got one of shape \(2,\)"),
        ([A, A], ValueError, r"may be given only once; the one of shape \(2,\) comes again"),
        ([{"params": [A]}, {"params": [A]}], ValueError, "may be given only once"),
        ([{"params": {A}}], TypeError, "got a set, pass a list"),
        ([{"params": []}], ValueError, "a parameter group is empty"),
        ([{"lr": 1.0}], ValueError, "a parameter group needs the key 'params'; got 'lr'"),
        ([{"params": [A]}, A], TypeError, "a parameter group must be a dict; got Tensor"),
        ([{"params": [A], "lr": -1.0}], ValueError, "lr must be at least 0, and finite; got -1.0"),
    ],
)
def test_bad_parameters(params: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        optim.SGD(params, lr=0.1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -1}, "lr must be at least 0, and finite; got -1"),
        ("SGD", {"lr": float("nan")}, "lr must be at least 0, and finite; got nan"),
        ("SGD", {"lr": float("inf")}, "lr must be at least 0, and finite; got inf"),
        ("SGD", {"momentum": -0.1}, "momentum must be at least 0, and finite; got -0.1"),
        ("SGD", {"nesterov": True}, "nesterov needs momentum, and no dampening; got momentum 0 and dampening 0"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs momentum, and no dampening"),
        ("Adam", {"betas": (1.0, 0.9)}, r"betas\[0\] must be in \[0, 1\); got 1.0"),
        ("Adam", {"betas": (0.9, -0.1)}, r"betas\[1\] must be in \[0, 1\); got -0.1"),
        ("Adam", {"betas": (0.9,)}, r"betas must be two numbers; got \(0.9,\)"),
        ("AdamW", {"eps": -1e-8}, "eps must be at least 0"),
        ("RMSprop", {"alpha": -1}, "alpha must be at least 0"),
        ("Adagrad", {"lr_decay": -1}, "lr_decay must be at least 0"),
        ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value must be at least 0"),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(name, [lucid.zeros(1)], **options)


@pytest.mark.parametrize("lr", ["0.1", True, None])
def test_options_of_another_type(lr: Any) -> None:
    with pytest.raises(TypeError, match="lr must be a number; got"):
        optim.Adam([lucid.zeros(1)], lr=lr)


def test_a_new_kind_of_optimizer_needs_its_update_alone() -> None:
    class Sign(optim.Optimizer):
        @staticmethod
        def update(p: Any, g: Any, state: Any, *, lr: float) -> Any:
            return p - lr * np.sign(g), {}

    w = lucid.zeros(2, requires_grad=True)
    w.grad = lucid.tensor([3.0, -2.0])
    Sign([w], {"lr": 0.5}).step()
    assert w.detach().tolist() == [-0.5, 0.5]
    with pytest.raises(NotImplementedError, match="an optimizer defines update"):
        optim.Optimizer([w], {}).step()


# --- state


@every_option
def test_a_loaded_optimizer_goes_on_bit_for_bit(name: str, options: dict[str, Any]) -> None:
    p = parameter()
    optimizer = make(name, [p], **options)
    whole = run(optimizer, p, range(10))
    q = parameter()
    first = make(name, [q], **options)
    run(first, q, range(6))
    second = make(name, [q])
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(run(second, q, range(6, 10)), whole[6:])


# No dampening: it depends on the number of steps, which PyTorch's SGD does not store.
@pytest.mark.parametrize(("name", "options"), [case for case in CASES if "dampening" not in case[1]])
def test_a_state_dict_of_pytorch_can_be_loaded(name: str, options: dict[str, Any], torch: Any) -> None:
    q = torch.tensor(START.astype(np.float32), requires_grad=True)
    theirs = getattr(torch.optim, name)([q], **options)
    for step in range(5):
        q.grad = torch.tensor(gradient(q.detach().numpy(), step))
        theirs.step()
    p = lucid.tensor(q.detach().numpy().copy(), requires_grad=True)
    ours = make(name, [p])
    ours.load_state_dict(theirs.state_dict())
    path = run(ours, p, range(5, 20))
    for step in range(5, 20):
        q.grad = torch.tensor(gradient(q.detach().numpy(), step))
        theirs.step()
    np.testing.assert_allclose(path[-1], q.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_state_dict_is_laid_out_as_pytorchs() -> None:
    a, b = lucid.ones(2, requires_grad=True), lucid.ones(3, requires_grad=True)
    optimizer = optim.Adam([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.25)
    b.sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert [group["lr"] for group in state["param_groups"]] == [0.25, 0.5]
    assert state["state"].keys() == {1}
    assert state["state"][1]["step"] == 1.0
    np.testing.assert_allclose(state["state"][1]["exp_avg"].numpy(), [0.1, 0.1, 0.1], rtol=1e-6)
    np.testing.assert_allclose(state["state"][1]["exp_avg_sq"].numpy(), [0.001, 0.001, 0.001], rtol=1e-4)


def test_loading_copies_and_casts() -> None:
    w = lucid.tensor(np.ones(2, np.float32), requires_grad=True)
    optimizer = optim.SGD([w], momentum=0.5)
    buffer = np.array([1.0, 2.0])
    optimizer.load_state_dict(
        {"state": {7: {"momentum_buffer": buffer}}, "param_groups": [group(optimizer, params=[7])]}
    )
    buffer[:] = 0
    kept = optimizer.state[w]["momentum_buffer"]
    assert kept.dtype == np.float32
    assert kept.tolist() == [1.0, 2.0]


def group(optimizer: optim.Optimizer, **changes: Any) -> dict[str, Any]:
    return {**optimizer.state_dict()["param_groups"][0], **changes}


def test_loading_what_does_not_fit_changes_nothing() -> None:
    w, v = lucid.ones(2, requires_grad=True), lucid.ones(3, requires_grad=True)
    optimizer = optim.Adam([w, v], lr=0.125)
    w.sum().backward()
    optimizer.step()
    before = repr(optimizer.state_dict())
    own = optimizer.state_dict()
    good = own["state"][0]
    lacking = {k: v for k, v in group(optimizer).items() if k != "eps"}
    for bad, message in [
        ({"state": {}}, "expected the keys 'state' and 'param_groups'; got 'state'"),
        ({**own, "param_groups": []}, r"Adam: groups of \[\] parameters, not \[2\]"),
        ({**own, "param_groups": [group(optimizer, params=[0])]}, r"groups of \[1\] parameters, not \[2\]"),
        ({**own, "param_groups": [lacking]}, "group 0 lacks eps"),
        ({**own, "state": {0: {"step": 1.0}}}, "parameter 0 lacks exp_avg, exp_avg_sq"),
        ({**own, "state": {0: {**good, "velocity": 1}}}, "parameter 0 has an unexpected velocity"),
        ({**own, "state": {1: good}}, r"parameter 1: exp_avg should have shape \(3,\), got float32\[2\]"),
        ({**own, "state": {0: {**good, "exp_avg": "x"}}}, r"parameter 0: exp_avg should have shape \(2,\), got"),
        ({**own, "state": {0: {**good, "step": np.ones(2)}}}, r"step should have shape \(\), got float64\[2\]"),
        ({**own, "state": {5: good}}, "parameter 5 is in no group"),
    ]:
        with pytest.raises(StateDictError, match=message):
            optimizer.load_state_dict(bad)
        assert repr(optimizer.state_dict()) == before
    with pytest.raises(ValueError, match="lr must be at least 0"):
        optimizer.load_state_dict({**own, "param_groups": [group(optimizer, lr=-1.0)]})
    with pytest.raises(TypeError, match="expected a mapping with 'state' and 'param_groups'; got list"):
        optimizer.load_state_dict([])  # type: ignore[arg-type]
    assert repr(optimizer.state_dict()) == before


def test_training_a_recurrent_layer_lowers_the_loss() -> None:
    rnn, head = lucid.nn.RNN(2, 8), lucid.nn.Linear(8, 1)
    optimizer = optim.Adam([*rnn.parameters(), *head.parameters()], lr=0.02)
    x = lucid.randn(6, 16, 2)
    y = x.sum((0, 2)).unsqueeze(1).tanh()
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = ((head(rnn(x)[0][-1]) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


# --- names


def run_with_names(library: Any) -> Any:
    """Optimizers of named parameters; the same program for lucid and PyTorch."""
    model = library.nn.Linear(3, 2)
    optimizer = library.optim.SGD(model.named_parameters(), lr=0.1, momentum=0.5)
    model(library.ones(2, 3)).sum().backward()
    optimizer.step()
    saved = optimizer.state_dict()
    other = library.optim.SGD([{"params": list(model.named_parameters()), "lr": 0.2}], momentum=0.5)
    other.add_param_group({"params": [("extra", library.ones(1, requires_grad=True))]})
    plain = library.optim.SGD(model.parameters(), lr=0.3)
    plain.load_state_dict(saved)
    return [
        optimizer.param_groups[0]["param_names"],
        saved["param_groups"][0]["param_names"],
        [group["param_names"] for group in other.param_groups],
        [group["lr"] for group in other.param_groups],
        plain.param_groups[0]["param_names"],
        plain.param_groups[0]["lr"],
        sorted(saved["state"]),
    ]


def test_parameters_may_have_names() -> None:
    found = run_with_names(lucid)
    assert found == [
        ["weight", "bias"],
        ["weight", "bias"],
        [["weight", "bias"], ["extra"]],
        [0.2, 1e-3],
        ["weight", "bias"],
        0.1,
        [0, 1],
    ]
    assert "param_names" not in repr(optim.SGD(nn.Linear(1, 1).named_parameters()))


def test_names_are_those_of_pytorch(torch: Any) -> None:
    assert run_with_names(lucid) == run_with_names(torch)


def test_names_are_given_to_all_or_none() -> None:
    named, plain = ("a", lucid.ones(1)), lucid.ones(1)
    with pytest.raises(ValueError, match="either all parameters come with a name, or none"):
        optim.SGD([named, plain])
    for first, second in ((named, plain), (plain, named)):
        optimizer = optim.SGD([first])
        with pytest.raises(ValueError, match="SGD: either all groups have names of parameters, or none"):
            optimizer.add_param_group({"params": [second]})
