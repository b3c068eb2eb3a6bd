"""Weight normalization: PyTorch's parameters and gradients, in both of its forms, and what is exported."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.export import to_onnx
from lucid.nn.utils import parametrizations, remove_weight_norm, weight_norm
from lucid.runtime import Session

FORMS = {"older": weight_norm, "newer": parametrizations.weight_norm}
X = np.random.default_rng(0).normal(size=(3, 2, 7))


def layer(form, dim=0):
    lucid.manual_seed(0)
    return FORMS[form](nn.Conv1d(2, 4, 3, dtype="float64"), dim=dim)


@pytest.mark.parametrize("form", FORMS)
def test_the_weight_stays_and_follows_its_parameters(form):
    plain = nn.Conv1d(2, 4, 3)
    weight = plain.weight.detach().numpy().copy()
    normed = FORMS[form](plain)
    assert normed is plain
    np.testing.assert_allclose(normed.weight.detach().numpy(), weight, rtol=1e-6)
    length = next(p for name, p in normed.named_parameters() if name.endswith(("_g", "original0")))
    nn.init.constant_(length, 2.0)
    np.testing.assert_allclose(np.sqrt((normed.weight.detach().numpy() ** 2).sum((1, 2))), 2, rtol=1e-6)
    assert "weight" not in dict(normed.named_parameters())
    with pytest.raises(AttributeError, match="'weight' is computed at each access"):
        normed.weight = lucid.ones(4, 2, 3)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dim", [0, 1, None, -1])
def test_like_pytorch(form, dim, torch):
    ours = layer(form, dim)
    utils = torch.nn.utils
    make = utils.weight_norm if form == "older" else utils.parametrizations.weight_norm
    theirs = make(torch.nn.Conv1d(2, 4, 3, dtype=torch.float64), dim=dim)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
    found = ours(lucid.tensor(X))
    wanted = theirs(torch.tensor(X))
    np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-10)
    found.square().sum().backward()
    wanted.square().sum().backward()
    for (name, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        assert p.shape == tuple(q.shape)
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_copies_and_exports(form):
    normed = layer(form).float()
    x = X.astype(np.float32)
    wanted = normed(lucid.tensor(x)).detach().numpy()
    for twin in (copy.deepcopy(normed), pickle.loads(pickle.dumps(normed))):
        for p in normed.parameters():
            nn.init.constant_(p, 1.0)
        np.testing.assert_array_equal(twin(lucid.tensor(x)).detach().numpy(), wanted)
        normed.load_state_dict(twin.state_dict())
    np.testing.assert_allclose(Session(to_onnx(normed, lucid.tensor(x)))(x)[0], wanted, rtol=1e-5, atol=1e-6)
    compiled = lucid.compile(normed.eval())
    np.testing.assert_allclose(compiled(lucid.tensor(x)).numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_it_can_be_removed():
    normed = layer("older")
    weight = normed.weight.detach().numpy()
    assert remove_weight_norm(normed) is normed
    assert sorted(dict(normed.named_parameters())) == ["bias", "weight"]
    np.testing.assert_array_equal(normed.weight.detach().numpy(), weight)
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found in Conv1d"):
        remove_weight_norm(normed)


def test_what_has_no_weight_is_refused():
    with pytest.raises(ValueError, match="Tanh has no parameter 'weight'"):
        weight_norm(nn.Tanh())
    with pytest.raises(ValueError, match="Conv1d has no parameter 'weight'"):
        weight_norm(layer("older"))
    with pytest.raises(TypeError, match=r"normalize the weights of a cell.*got LSTM"):
        weight_norm(nn.LSTM(2, 3), "weight_hh_l0")
