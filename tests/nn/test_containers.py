"""ModuleList, ModuleDict and Sequential: contents, order and names."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn


def sizes(modules):
    return [module.out_features for module in modules]


def layers(*outputs):
    return [nn.Linear(1, n) for n in outputs]


def test_list():
    modules = nn.ModuleList(layers(1, 2))
    assert modules.append(nn.Linear(1, 3)) is modules
    assert modules.extend(iter(layers(4))) is modules
    assert sizes(modules) == [1, 2, 3, 4]
    modules.insert(1, nn.Linear(1, 5))
    assert sizes(modules) == [1, 5, 2, 3, 4]
    assert sizes([modules[0], modules[-1]]) == [1, 4]
    assert isinstance(modules[1:3], nn.ModuleList)
    assert sizes(modules[1:3]) == [5, 2]
    modules[-1] = nn.Linear(1, 6)
    assert modules.pop(0).out_features == 1
    del modules[0]
    assert sizes(modules) == [2, 3, 6]
    modules += layers(7)
    del modules[1:3]
    assert sizes(modules) == [2, 7]
    assert len(modules) == 2
    assert modules[1] in modules
    # The names are still 0, 1, ... after a removal.
    assert [name for name, _ in modules.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_list_extended_by_itself():
    modules = nn.ModuleList(layers(1, 2))
    modules.extend(modules)
    assert sizes(modules) == [1, 2, 1, 2]


def test_list_refuses():
    modules = nn.ModuleList(layers(1))
    for wrong in (lambda: modules.append(3), lambda: modules.insert(0, "x"), lambda: modules.__setitem__(0, None)):
        with pytest.raises(TypeError, match="is not a Module"):
            wrong()
    for wrong in (lambda: modules[1], lambda: modules.pop(4), lambda: modules.__setitem__(-2, nn.Identity())):
        with pytest.raises(IndexError):
            wrong()
    assert sizes(modules) == [1]
    with pytest.raises(NotImplementedError, match=r"ModuleList does not define forward\(\)"):
        modules(lucid.ones(1))


def test_dict():
    modules = nn.ModuleDict({"a": nn.Linear(1, 1)})
    modules["b"] = nn.Linear(1, 2)
    modules.update([("c", nn.Linear(1, 3)), ("a", nn.Linear(1, 4))])
    assert list(modules) == list(modules.keys()) == ["a", "b", "c"]
    assert sizes(modules.values()) == [4, 2, 3]
    assert {name: module.out_features for name, module in modules.items()} == {"a": 4, "b": 2, "c": 3}
    assert "b" in modules
    assert modules.pop("b").out_features == 2
    assert "b" not in modules
    del modules["a"]
    assert [name for name, _ in modules.named_parameters()] == ["c.weight", "c.bias"]
    modules.clear()
    assert len(modules) == 0


def test_dict_refuses():
    modules = nn.ModuleDict()
    with pytest.raises(TypeError, match="int is not a Module"):
        modules["a"] = 3
    with pytest.raises(KeyError, match="already has an attribute 'keys'"):
        modules["keys"] = nn.Identity()
    with pytest.raises(KeyError, match="must not be empty nor contain"):
        modules["a.b"] = nn.Identity()
    with pytest.raises(KeyError):
        modules["missing"]


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
        self.heads = nn.ModuleDict({"one": nn.Linear(2, 1), "two": nn.Linear(2, 2)})

    def forward(self, x):
        for layer in self.layers:
            x = lucid.tanh(layer(x))
        return tuple(head(x) for head in self.heads.values())


def test_models_of_them_can_be_exported():
    model = Branches()
    assert list(model.state_dict())[::2] == [
        "layers.0.weight",
        "layers.1.weight",
        "heads.one.weight",
        "heads.two.weight",
    ]
    exported = lucid.export.to_onnx(model, lucid.ones(3, 2))
    assert set(exported.axes[exported.input_names[0]]) == {0}
    model.load_state_dict({name: np.zeros(t.shape, np.float32) for name, t in model.state_dict().items()})
    assert model(lucid.ones(1, 2))[1].tolist() == [[0.0, 0.0]]


def test_a_sequential_changes_as_pytorchs_does(torch):
    def changed(nn, one):
        net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
        net.append(nn.Tanh()).extend([nn.Sigmoid(), nn.Dropout(0.0, inplace=True)])
        net.insert(1, nn.GLU())
        net[0] = one
        assert isinstance(net.pop(2), nn.ReLU)
        del net[2:4]
        return [(name, type(module).__name__) for name, module in net.named_children()]

    found = changed(nn, nn.Linear(2, 3))
    assert found == [("0", "Linear"), ("1", "GLU"), ("2", "Dropout")]
    # PyTorch renumbers the modules after a deleted slice, too.
    assert found == changed(torch.nn, torch.nn.Linear(2, 3))


def test_lists_add_up():
    first, second = nn.ModuleList([nn.Tanh()]), nn.ModuleList([nn.ReLU()])
    assert [type(module) for module in first + second] == [nn.Tanh, nn.ReLU]
    assert len(first) == 1


def test_parameter_list(torch):
    for library in (lucid, torch):
        scales = library.nn.ParameterList([library.ones(2), library.nn.Parameter(library.zeros(3))])
        assert scales.append(library.ones(1)) is scales
        assert scales.extend([library.ones(4)]) is scales
        scales += [library.ones(5)]
        scales[1] = library.ones(6)
        assert [tuple(p.shape) for p in scales] == [(2,), (6,), (1,), (4,), (5,)]
        assert list(scales.state_dict()) == ["0", "1", "2", "3", "4"]
        assert all(p.requires_grad and isinstance(p, library.nn.Parameter) for p in scales.parameters())
        assert len(scales[1:3]) == 2
        assert isinstance(scales[1:3], library.nn.ParameterList)
        assert scales[-1] is scales[4]
        with pytest.raises(IndexError):
            scales[5]
        with pytest.raises(TypeError):
            scales.extend(library.ones(3))


def test_parameter_dict(torch):
    for library in (lucid, torch):
        weights = library.nn.ParameterDict({"b": library.ones(2), "a": library.ones(3)})
        weights["c"] = library.ones(4)
        weights.update([("b", library.zeros(5)), ("d", library.ones(1))])
        assert list(weights) == list(weights.keys()) == ["a", "b", "c", "d"]
        assert [tuple(p.shape) for p in weights.values()] == [(3,), (5,), (4,), (1,)]
        assert list(weights.state_dict()) == [name for name, _ in weights.named_parameters()] == ["a", "b", "c", "d"]
        assert "c" in weights
        assert tuple(weights.pop("c").shape) == (4,)
        del weights["d"]
        assert len(weights) == 2
        assert weights.get("d") is None
        assert weights.get("a") is weights["a"]
        assert weights.b is weights["b"]
        weights.clear()
        assert dict(weights.items()) == {}
        with pytest.raises(KeyError):
            weights["x.y"] = library.ones(1)
        with pytest.raises(TypeError):
            weights[1] = library.ones(1)


def test_parameter_containers_hold_parameters_alone():
    with pytest.raises(TypeError, match="expected Parameters or Tensors; got str"):
        nn.ParameterList(["a"])
    assert repr(nn.ParameterList([lucid.ones(2)])) == "ParameterList(\n  (0): float32[2]\n)"
    assert repr(nn.ParameterDict()) == "ParameterDict()"
