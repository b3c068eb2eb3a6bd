"""Modules: contents, assignment, modes, state and repr."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import LucidError, RuntimeUnavailableError, StateDictError


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(lucid.tensor([2.0]))
        self.register_buffer("count", lucid.tensor(3))
        self.register_buffer("absent", None)
        self.register_parameter("missing", None)
        self.inner = nn.Linear(2, 1)
        self.name = "block"

    def forward(self, x):
        return self.inner(x) * self.scale


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.second = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))


# --- contents


def test_names():
    model = Model()
    assert [name for name, _ in model.named_parameters()] == [
        "first.scale",
        "first.inner.weight",
        "first.inner.bias",
        "second.0.weight",
        "second.0.bias",
    ]
    assert [name for name, _ in model.named_buffers()] == ["first.count"]
    assert [name for name, _ in model.named_modules()] == ["", "first", "first.inner", "second", "second.0", "second.1"]
    assert [name for name, _ in model.named_modules("m")][:2] == ["m", "m.first"]
    assert [name for name, _ in model.named_children()] == ["first", "second"]
    assert [name for name, _ in model.first.named_parameters(recurse=False)] == ["scale"]
    assert next(name for name, _ in model.first.named_parameters(prefix="p")) == "p.scale"
    assert list(model.state_dict()) == [
        "first.scale",
        "first.count",
        "first.inner.weight",
        "first.inner.bias",
        "second.0.weight",
        "second.0.bias",
    ]
    assert model.first.missing is None
    assert model.first.absent is None
    assert {"scale", "count", "inner", "forward"} <= set(dir(model.first))


def test_shared_modules_and_parameters_count_once():
    linear = nn.Linear(2, 2)
    model = nn.Sequential(linear, nn.Sequential(linear), nn.Linear(2, 2))
    model[2].weight = linear.weight
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert len(list(model.modules())) == 4
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.0.weight", "1.0.bias", "2.weight", "2.bias"]
    x = lucid.tensor([[1.0, 2.0]])
    model(x).sum().backward()
    w, b = linear.weight.detach().numpy().astype(np.float64), linear.bias.detach().numpy().astype(np.float64)
    h0 = x.numpy().astype(np.float64)
    h1 = h0 @ w.T + b
    h2 = h1 @ w.T + b
    g = np.ones((1, 2))
    expected = g.T @ h2 + (g @ w).T @ h1 + (g @ w @ w).T @ h0
    np.testing.assert_allclose(linear.weight.grad.numpy(), expected, rtol=1e-5)
    fresh = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2))
    fresh.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(fresh(x).detach().numpy(), model(x).detach().numpy())
    twin = copy.deepcopy(model)
    assert twin[0] is twin[1][0]
    assert twin[2].weight is twin[0].weight
    assert twin[0].weight is not linear.weight


def test_a_module_that_contains_itself():
    model = Block()
    model.again = model
    assert len(list(model.modules())) == 2
    assert len(list(model.parameters())) == 3
    assert not model.eval().training


@pytest.mark.slow
def test_walks_leave_no_cycles_behind():
    model = Model()
    gc.collect()
    gc.disable()
    try:
        list(model.named_parameters())
        model.train()
        model.state_dict()
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- assignment


def test_a_replaced_parameter_keeps_its_place():
    linear = nn.Linear(2, 2)
    linear.weight = nn.Parameter(lucid.zeros(2, 2))
    assert list(linear.state_dict()) == ["weight", "bias"]
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    setattr(model, "0", nn.Linear(2, 2))
    assert [name for name, _ in model.named_children()] == ["0", "1"]


def test_a_name_moves_from_kind_to_kind():
    module = nn.Module()
    for value, tables in (
        (lucid.zeros(1), (0, 0, 0)),
        (nn.Parameter(lucid.zeros(1)), (1, 0, 0)),
        (nn.Parameter(lucid.zeros(1)), (1, 0, 0)),
        (nn.Linear(1, 1), (0, 0, 1)),
        (nn.Parameter(lucid.zeros(1)), (1, 0, 0)),
    ):
        if isinstance(value, nn.Module):
            with pytest.raises(TypeError, match="cannot assign Linear as parameter 'thing'"):
                module.thing = value
            del module.thing
        module.thing = value
        assert module.thing is value
        assert (len(module._parameters), len(module._buffers), len(module._modules)) == tables
        assert ("thing" in module.__dict__) == (tables == (0, 0, 0))


def test_assignments_of_another_kind():
    block = Block()
    with pytest.raises(TypeError, match="cannot assign Tensor as parameter 'scale'"):
        block.scale = lucid.zeros(1)
    with pytest.raises(TypeError, match="cannot assign int as buffer 'count'"):
        block.count = 3
    with pytest.raises(TypeError, match="cannot assign str as child module 'inner'"):
        block.inner = "linear"
    assert block.scale.tolist() == [2]
    block.scale = block.count = block.inner = None
    assert (block.scale, block.count, block.inner) == (None, None, None)
    assert list(block.state_dict()) == []
    block.scale = nn.Parameter(lucid.zeros(1))
    block.count = lucid.zeros(1)
    assert list(block.state_dict()) == ["scale", "count"]


def test_registration_errors():
    block = Block()
    with pytest.raises(KeyError, match=r"must not be empty nor contain '\.'"):
        block.register_buffer("a.b", None)
    with pytest.raises(KeyError, match="must not be empty"):
        block.register_parameter("", None)
    for taken in ("name", "forward", "inner", "count", "training"):
        with pytest.raises(KeyError, match=f"already has an attribute '{taken}'"):
            block.register_parameter(taken, None)
    with pytest.raises(KeyError, match="'scale'"):
        block.add_module("scale", nn.Linear(1, 1))
    with pytest.raises(TypeError, match="string"):
        block.add_module(3, None)
    with pytest.raises(TypeError, match="cannot register Tensor as parameter"):
        block.register_parameter("p", lucid.zeros(1))
    with pytest.raises(TypeError, match="cannot register int as buffer"):
        block.register_buffer("b", 3)
    with pytest.raises(TypeError, match="int is not a Module"):
        block.add_module("m", 3)


def test_init_not_called():
    class Forgetful(nn.Module):
        def __init__(self, add):
            add(self)

    for add in (
        lambda m: setattr(m, "weight", nn.Parameter(lucid.zeros(1))),
        lambda m: setattr(m, "layer", nn.Linear(1, 1)),
        lambda m: m.register_buffer("b", lucid.zeros(1)),
        lambda m: m.register_parameter("p", None),
        lambda m: m.add_module("m", None),
    ):
        with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) in Forgetful.__init__ before"):
            Forgetful(add)
    forgetful = Forgetful(lambda m: setattr(m, "size", 3))
    assert forgetful.size == 3
    del forgetful.size
    with pytest.raises(AttributeError):
        del forgetful.size


def test_deletion():
    block = Block()
    del block.scale, block.count, block.inner, block.name
    for name in ("scale", "count", "inner", "name"):
        with pytest.raises(AttributeError, match=name):
            getattr(block, name)
        with pytest.raises(AttributeError, match=name):
            delattr(block, name)
    assert list(block.state_dict()) == []


def test_forward_is_needed():
    with pytest.raises(NotImplementedError, match=r"Module does not define forward\(\)"):
        nn.Module()(3)


# --- modes and conversions


def test_train_and_eval():
    model = Model()
    assert model.training
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model.second.train()
    assert (model.training, model.second[1].training) == (False, True)
    with pytest.raises(ValueError, match="bool"):
        model.train("yes")


def test_conversions():
    model = Model()
    x = lucid.ones(4, 2)
    before = model.first(x).detach().numpy()
    model.first(x).sum().backward()
    assert model.double() is model
    assert model.first.scale.dtype == model.first.scale.grad.dtype == "float64"
    assert model.first.count.dtype == "int64"
    np.testing.assert_allclose(model.first(x.double()).detach().numpy(), before, rtol=1e-6)
    model.zero_grad()
    model.first(x.double()).sum().backward()
    assert model.first.scale.grad.dtype == "float64"
    assert model.float().first.scale.dtype == "float32"
    assert model.to("float16").first.scale.dtype == "float16"
    with pytest.raises(TypeError, match="floating-point"):
        model.to("int64")


def test_a_graph_from_before_a_conversion():
    linear = nn.Linear(2, 1)
    y = linear(lucid.ones(2, requires_grad=True)).sum()
    linear.double()
    with pytest.raises(RuntimeError, match="overwritten"):
        y.backward()
    assert linear.weight.grad is None


def test_zero_grad_and_requires_grad():
    model = Model()
    model.first(lucid.ones(2)).sum().backward()
    model.zero_grad(set_to_none=False)
    assert model.first.scale.grad.tolist() == [0]
    assert model.second[0].weight.grad is None
    model.zero_grad()
    assert model.first.scale.grad is None
    assert model.requires_grad_(False) is model
    assert not model.first(lucid.ones(2)).requires_grad
    model.first.scale.requires_grad = True
    assert model.first(lucid.ones(2)).requires_grad


def test_apply_goes_from_the_inside_out():
    order = []
    Model().apply(lambda m: order.append(type(m).__name__))
    assert order == ["Linear", "Block", "Linear", "Dropout", "Sequential", "Model"]


# --- state


def test_state_dict_shares_memory_and_takes_no_gradient():
    linear = nn.Linear(2, 1)
    state = linear.state_dict(prefix="layer.")
    assert list(state) == ["layer.weight", "layer.bias"]
    assert np.shares_memory(state["layer.weight"]._data, linear.weight._data)
    assert not state["layer.weight"].requires_grad


def test_loading_keeps_tensors_and_converts():
    linear = nn.Linear(2, 1)
    weight = linear.weight
    result = linear.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": lucid.tensor([3.0])})
    assert result == ([], [])
    assert linear.weight is weight
    assert weight.dtype == "float32"
    assert linear(lucid.ones(2)).tolist() == [6]


def test_loading_after_a_forward_pass_makes_its_graph_stale():
    linear = nn.Linear(2, 1)
    y = linear(lucid.ones(2, requires_grad=True)).sum()
    linear.load_state_dict(nn.Linear(2, 1).state_dict())
    with pytest.raises(RuntimeError, match="overwritten"):
        y.backward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("inner.bias"), 'Missing key\\(s\\) in state_dict: "inner.bias".'),
        (lambda s: s.update(extra=1), 'Unexpected key\\(s\\) in state_dict: "extra".'),
        (
            lambda s: s.update({"inner.weight": np.zeros((2, 1))}),
            r"inner.weight: copying a param with shape \(2, 1\) .* current model is \(1, 2\)",
        ),
        (
            lambda s: s.update({"inner.weight": np.zeros((1, 2), int)}),
            "inner.weight: expected float32, got int64",
        ),
        (lambda s: s.update({"inner.weight": np.zeros((1, 2), complex)}), "got complex128"),
        (lambda s: s.update({"inner.weight": np.array([["a", "b"]])}), "expected float32"),
        (lambda s: s.update(count=np.array(1.5)), "count: expected int64, got float64"),
        (lambda s: s.update(flag=np.array(2)), "flag: expected bool, got int64"),
        (lambda s: s.update(scale=None), "scale"),
    ],
)
def test_what_does_not_fit_changes_nothing(change, message):
    block = Block()
    block.register_buffer("flag", lucid.tensor(True))
    before = {name: tensor.numpy().copy() for name, tensor in block.state_dict().items()}
    other = Block()
    other.register_buffer("flag", lucid.tensor(False))
    state = {name: tensor.numpy() + 1 if name != "flag" else tensor for name, tensor in other.state_dict().items()}
    change(state)
    with pytest.raises(StateDictError, match=message) as caught:
        block.load_state_dict(state)
    assert isinstance(caught.value, RuntimeError)
    assert "Error(s) in loading state_dict for Block:" in str(caught.value)
    for name, tensor in block.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_several_problems_are_told_at_once():
    with pytest.raises(
        StateDictError, match=r'Missing .*"bias"\.\n\tUnexpected .*"other"\.\n\tsize mismatch for weight'
    ):
        nn.Linear(2, 1).load_state_dict({"weight": np.zeros(3), "other": 1})
    with pytest.raises(TypeError, match="mapping"):
        nn.Linear(2, 1).load_state_dict([1])


def test_not_strict():
    linear = nn.Linear(2, 1)
    assert linear.load_state_dict({"weight": np.ones((1, 2)), "other": 1}, strict=False) == (["bias"], ["other"])
    assert linear.weight.tolist() == [[1, 1]]
    with pytest.raises(LucidError, match="shape"):
        linear.load_state_dict({"weight": np.ones(1)}, strict=False)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_train_alone(duplicate):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    x = lucid.ones(1, 2)
    model(x).sum().backward()
    twin = duplicate(model)
    model.zero_grad()
    twin.zero_grad()
    nn.init.zeros_(twin[1].weight)
    twin(x).sum().backward()
    assert model[0].weight.grad is None
    assert twin[0].weight.grad.tolist() == np.zeros((3, 2)).tolist()
    assert twin[1].weight.grad is not None
    assert model[1].weight.abs().sum().item() > 0


# --- containers and repr


def test_sequential():
    model = nn.Sequential({"a": nn.Linear(2, 3), "b": nn.Linear(3, 1)})
    assert model.a is model[0]
    assert model[-1] is model.b
    assert len(model) == 2
    assert [type(m).__name__ for m in model] == ["Linear", "Linear"]
    assert list(model[1:].state_dict()) == ["b.weight", "b.bias"]
    assert model[:1][0] is model.a
    with pytest.raises(IndexError):
        model[2]
    with pytest.raises(TypeError, match="function is not a Module"):
        nn.Sequential(lambda x: x)
    assert nn.Sequential()(3) == 3


def test_repr_is_pytorchs(torch):
    pairs = [
        (
            library.Sequential(
                library.Linear(2, 3), library.Sequential(library.Dropout(0.1), library.Linear(3, 1, bias=False))
            )
        )
        for library in (nn, torch.nn)
    ]
    ours, theirs = map(repr, pairs)
    assert ours == theirs.replace(", inplace=False", "")
    assert repr(nn.Sequential()) == repr(torch.nn.Sequential())


def test_attributes_like_pytorch(torch):
    """The same program gives the same names, order and error types in lucid and PyTorch."""

    def observed(library):
        found = []
        zeros = library.zeros
        module = library.nn.Module()
        actions = (
            lambda: setattr(module, "a", library.nn.Parameter(zeros(2))),
            lambda: setattr(module, "b", library.nn.Linear(1, 1)),
            lambda: module.register_buffer("c", zeros(1)),
            lambda: setattr(module, "a", zeros(2)),
            lambda: setattr(module, "a", library.nn.Parameter(zeros(3))),
            lambda: setattr(module, "a", None),
            lambda: setattr(module, "b", 3),
            lambda: module.register_parameter("b", None),
            lambda: module.register_buffer("training", None),
            lambda: module.register_buffer("x.y", None),
            lambda: module.add_module("a", None),
            lambda: setattr(module, "c", library.nn.Parameter(zeros(1))),
            lambda: setattr(module, "c", library.nn.Linear(1, 1)),
            lambda: delattr(module, "b"),
            lambda: delattr(module, "nothing"),
            lambda: module.nothing,
            lambda: module.load_state_dict({}),
            lambda: module.load_state_dict({"c.weight": zeros(1, 1), "c.bias": zeros(2)}),
            lambda: module.train(1),
        )
        for action in actions:
            try:
                action()
                found.append(None)
            except Exception as error:
                kinds = (AttributeError, KeyError, TypeError, ValueError, RuntimeError)
                found.append([kind.__name__ for kind in kinds if isinstance(error, kind)])
            found.append(list(module.state_dict()))
        return found

    assert observed(lucid) == observed(torch)


def test_buffers_that_are_not_persistent_are_no_state():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", lucid.arange(3.0), persistent=False)
            self.register_buffer("count", lucid.ones(1))

    model = nn.Sequential(Positions())
    assert list(model.state_dict()) == ["0.count"]
    assert [name for name, _ in model.named_buffers()] == ["0.table", "0.count"]
    model.load_state_dict({"0.count": lucid.zeros(1)})
    assert model[0].count.tolist() == [0]
    with pytest.raises(RuntimeError, match=r'Unexpected .*"0\.table"'):
        model.load_state_dict({"0.count": lucid.zeros(1), "0.table": lucid.zeros(3)})
    copied = copy.deepcopy(model)
    assert list(copied.state_dict()) == ["0.count"]
    model[0].register_buffer("table", model[0].table)
    assert list(model.state_dict()) == ["0.table", "0.count"]
    assert list(copied.state_dict()) == ["0.count"]


def test_conversions_by_name():
    model = nn.Linear(2, 3)
    assert model.to("cpu") is model
    assert model.half().weight.dtype == lucid.float16
    assert model.float().weight.dtype == lucid.float32


def test_to_takes_devices_and_dtypes_as_pytorch_does(torch):
    for arguments in ((), ("cpu",), ("cpu", "float64"), ("float64", True)):
        given = [getattr(torch, x) if x == "float64" else x for x in arguments]
        ours, theirs = nn.Linear(2, 3).to(*arguments), torch.nn.Linear(2, 3).to(*given)
        assert f"torch.{ours.weight.dtype}" == str(theirs.weight.dtype)
    model = nn.Linear(2, 3)
    assert model.to(lucid.device("cpu"), non_blocking=True) is model.cpu() is model
    assert model.to(device="cpu", dtype=lucid.float64).bias.dtype == lucid.float64
    assert model.to(lucid.ones(1)).bias.dtype == lucid.float32
    for move in (lambda: model.cuda(), lambda: model.to("cuda:0"), lambda: model.to(lucid.device("mps"), "float64")):
        with pytest.raises(RuntimeUnavailableError, match="training runs on the CPU, exported and compiled models on"):
            move()
    assert model.weight.dtype == lucid.float32


def test_state_dicts_are_ordered_and_print_as_pytorchs_do(torch):
    def printed(nn, tensor):
        linear = nn.Linear(1, 1, bias=False)
        linear.load_state_dict({"weight": tensor([[0.1234]])})
        state = linear.state_dict(prefix="head.")
        results = [linear.load_state_dict(linear.state_dict()), linear.load_state_dict({"x": 1}, strict=False)]
        kept = linear.state_dict(keep_vars=True)["weight"] is linear.weight
        given = {"old": 1}
        added = linear.state_dict(destination=given) is given
        return [type(state).__name__, repr(state), *map(repr, results), kept, added, list(given)]

    assert printed(nn, lucid.tensor) == printed(torch.nn, torch.tensor)


def test_what_does_not_fit_is_told_in_pytorchs_words(torch):
    def told(nn, zeros):
        with pytest.raises(RuntimeError) as caught:
            nn.Linear(2, 2).load_state_dict({"weight": zeros(3), "x": zeros(1)})
        return str(caught.value).replace("torch.Size([3])", "(3,)").replace("torch.Size([2, 2])", "(2, 2)")

    lines = [line.rstrip() for line in told(torch.nn, torch.zeros).splitlines()]
    assert told(nn, lucid.zeros).splitlines() == lines


def layers():
    """Returns the layers that have parameters, each with arguments."""
    sizes = {
        **dict.fromkeys((nn.MultiheadAttention, nn.TransformerEncoderLayer), (4, 2)),
        **dict.fromkeys((nn.Conv1d, nn.Conv2d), (2, 3, 3)),
        nn.LayerNorm: (3,),
        nn.GroupNorm: (2, 4),
    }
    for name in nn.__all__:
        layer = getattr(nn, name)
        if isinstance(layer, type) and "dtype" in inspect.signature(layer).parameters and not name.endswith("Base"):
            yield pytest.param(layer, sizes.get(layer, (2, 3)), id=name)


@pytest.mark.parametrize(("layer", "sizes"), list(layers()))
def test_layers_accept_a_device_and_a_dtype(layer, sizes):
    made = layer(*sizes, device="cpu", dtype=lucid.float64)
    assert {parameter.dtype for parameter in made.parameters()} == {np.dtype("float64")}
    layer(*sizes, device=lucid.device("cpu"))
    with pytest.raises(RuntimeUnavailableError, match="device 'cuda' was asked for"):
        layer(*sizes, device="cuda")


def test_found_by_path():
    model = nn.Sequential(nn.ModuleDict({"a": nn.Linear(2, 3)}))
    assert model.get_submodule("0.a") is model[0]["a"]
    assert model.get_submodule("") is model
    assert model.get_parameter("0.a.weight") is model[0]["a"].weight
    for wrong in (lambda: model.get_submodule("0.b"), lambda: model.get_submodule("0.a.weight")):
        with pytest.raises(AttributeError):
            wrong()
    with pytest.raises(AttributeError, match=r"'0\.a' is no parameter but a Linear"):
        model.get_parameter("0.a")
    loaded = model.load_state_dict({"other": 1}, strict=False)
    assert loaded.missing_keys == ["0.a.weight", "0.a.bias"]
    assert loaded.unexpected_keys == ["other"]
