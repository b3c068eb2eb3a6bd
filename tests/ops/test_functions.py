"""What the table of ops does not show: other names of arguments, errors, NaN, empty tensors, PyTorch as the oracle."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid.errors import AxisError, DtypeError, RangeError, ShapeError

X = lucid.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
IDS = lucid.tensor([1, 0])


# --- NumPy's names

ALONG = {
    "sum": {},
    "mean": {},
    "prod": {},
    "amax": {},
    "amin": {},
    "argmax": {},
    "argmin": {},
    "any": {},
    "all": {},
    "logsumexp": {},
    "max": {},
    "min": {},
    "var": {},
    "std": {},
    "median": {},
    "quantile": {"q": 0.5},
}


@pytest.mark.parametrize("name", ALONG)
def test_axis_and_keepdims_of_reductions(name):
    for function in (getattr(lucid, name), lambda x, **named: getattr(x, name)(**named)):
        found = function(X, axis=1, keepdims=True, **ALONG[name])
        wanted = function(X, dim=1, keepdim=True, **ALONG[name])
        for y, reference in zip(*[z if isinstance(z, tuple) else (z,) for z in (found, wanted)], strict=True):
            assert y.shape == (2, 1)
            np.testing.assert_array_equal(y.numpy(), reference.numpy())


BY_AXIS = {
    "cumsum": {},
    "cumprod": {},
    "cummax": {},
    "softmax": {},
    "log_softmax": {},
    "sort": {},
    "argsort": {},
    "topk": {"k": 2},
    "unbind": {},
    "chunk": {"chunks": 2},
    "unsqueeze": {},
    "squeeze": {},
    "count_nonzero": {},
    "diff": {},
    "narrow": {"start": 0, "length": 1},
    "select": {"index": 0},
    "unflatten": {"sizes": (1, -1)},
    "index_select": {"index": IDS},
    "index_fill": {"index": IDS, "value": 0},
    "gather": {"index": lucid.tensor([[0], [1]])},
    "repeat_interleave": {"repeats": 2},
    "take_along_dim": {"indices": lucid.tensor([[0], [1]])},
}


@pytest.mark.parametrize("name", BY_AXIS)
def test_axis_of_functions(name):
    for function in (getattr(lucid, name, None), lambda x, **named: getattr(x, name)(**named)):
        if function is None:
            continue
        found, wanted = (function(X, **{key: 1}, **BY_AXIS[name]) for key in ("axis", "dim"))
        for y, reference in zip(*[z if isinstance(z, tuple) else (z,) for z in (found, wanted)], strict=True):
            np.testing.assert_array_equal(y.numpy(), reference.numpy())


def test_axis_of_joins():
    assert lucid.cat([X, X], axis=1).shape == (2, 6)
    assert lucid.concat([X, X], axis=1).shape == (2, 6)
    assert lucid.stack([X, X], axis=-1).shape == (2, 3, 2)


def test_a_missing_axis():
    with pytest.raises(TypeError, match=r"softmax\(\) missing 1 required argument: 'dim'"):
        lucid.softmax(X)
    with pytest.raises(TypeError, match="dim"):
        X.softmax()


def test_arguments_by_name():
    np.testing.assert_array_equal(X.flip(dims=(0,)).numpy(), X.flip(0).numpy())
    assert X.permute(dims=(1, 0)).shape == X.tile(dims=(1, 1)).shape[::-1] == (3, 2)


# --- errors


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: X.narrow(1, 2, 2), ShapeError, r"narrow: axis 1 has 3 slices; got start=2, length=2"),
        (lambda: X.select(1, 3), AxisError, r"out of bounds"),
        (lambda: X.unfold(1, 4, 1), ShapeError, r"unfold: windows of 0 to 3 elements fit.*size=4, step=1"),
        (lambda: X.median(2), AxisError, r"axis 2 is out of range"),
        (lambda: lucid.zeros(2, 0).median(1), AxisError, r"median: there are no elements along axis 1"),
        (lambda: X.quantile(1.5), RangeError, r"quantile: q must be from 0 to 1; got 1.5"),
        (lambda: X.quantile(lucid.ones(1, 1)), ShapeError, r"q must be a number or a vector"),
        (lambda: IDS.quantile(0.5), DtypeError, r"quantile: input must be floating-point.*int64"),
        (lambda: X.quantile(0.5, interpolation="cubic"), ValueError, r"interpolation must be 'linear'.*'cubic'"),
        (lambda: lucid.bincount(lucid.tensor([-1])), RangeError, r"bincount: expected a vector of integers from 0 on"),
        (lambda: lucid.bincount(X), RangeError, r"bincount: .*float32"),
        (lambda: lucid.tensor(1.0).diff(), ShapeError, r"diff: a tensor without axes"),
        (lambda: X.diff(-1), ShapeError, r"diff: n must not be negative; got -1"),
        (lambda: X.equal(IDS), DtypeError, r"equal: expected tensors of one dtype; got float32 and int64"),
        (lambda: X.isclose(X.double()), DtypeError, r"isclose: expected tensors of one dtype"),
        (lambda: lucid.meshgrid(X), ShapeError, r"meshgrid: expected vectors; got shapes \[\(2, 3\)\]"),
        (lambda: lucid.meshgrid(IDS, indexing="x"), ValueError, r"indexing must be 'ij' or 'xy'; got 'x'"),
        (lambda: lucid.meshgrid(IDS, X[0]), DtypeError, r"meshgrid: expected one dtype; got int64, float32"),
        (lambda: lucid.normal(0.0, -1.0, (2,)), RangeError, r"normal: std must not be negative; got -1"),
        (lambda: lucid.normal(0.0, 1.0), TypeError, r"normal: size must be given"),
        (lambda: lucid.searchsorted(X, IDS), ShapeError, r"searchsorted: the axes before the last"),
        (lambda: lucid.searchsorted(IDS, 1, right=True, side="left"), ValueError, r"contradicts right=True"),
        (lambda: X.index_add(0, IDS, X.double()), DtypeError, r"index_add: source must have the dtype.*float64"),
        (lambda: X.index_add(0, IDS + 1, X), AxisError, r"index_add: indices must be from -2 to 1; got 1 to 2|0 to 2"),
        (lambda: X.index_add(0, IDS, X[:1]), ShapeError, r"source must have the shape \(2, 3\); got \(1, 3\)"),
        (lambda: X.index_fill(0, X[0], 1), ShapeError, r"index_fill: index must be one row of integers"),
        (lambda: X.index_fill(0, IDS, X[0]), ShapeError, r"value must be a number, or a tensor without axes"),
        (lambda: X.take_along_dim(IDS, 1), ShapeError, r"take_along_dim: as many axes"),
        (lambda: X.scatter(1, IDS), TypeError, r"scatter: either src or value must be given"),
        (lambda: X.scatter(1, IDS[None], X, reduce="mean"), ValueError, r"reduce must be 'add' or 'multiply'"),
        (
            lambda: X.scatter_add(1, lucid.tensor([[3]]), X),
            AxisError,
            r"must be from 0 to 2 along axis 1; got 3",
        ),
        (lambda: X.repeat_interleave(X), ShapeError, r"repeat_interleave: repeats must be integers in a row"),
        (lambda: X.repeat_interleave(-1), ShapeError, r"repeats must not be negative; got -1"),
        (lambda: X.diagonal(0, 1, -1), AxisError, r"diagonal: dim1 and dim2 must be two axes"),
        (lambda: lucid.ones(1, 1, 1).diag(), ShapeError, r"diag: expected a vector or a matrix"),
        (lambda: X[0].trace(), ShapeError, r"trace: expected a matrix"),
        (lambda: lucid.tensordot(X, X, 3), ShapeError, r"tensordot: dims must be from 0 to 2; got 3"),
        (lambda: lucid.tensordot(X, X, ([0], [0, 1])), ShapeError, r"tensordot: as many axes of x as of y"),
        (lambda: IDS.add(IDS, alpha=0.5), DtypeError, r"alpha must be an integer for integers; got 0.5"),
        (lambda: IDS.fmod(0), ZeroDivisionError, "fmod: an integer cannot be divided by 0"),
    ],
)
def test_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


# --- special elements


def test_equal_and_allclose():
    assert X.equal(X.clone())
    assert not X.equal(X + 1)
    assert not lucid.equal(X, X[0])
    assert not lucid.equal(lucid.tensor([float("nan")]), lucid.tensor([float("nan")]))
    assert X.allclose(X + 1e-7)


def test_a_nan_is_the_median_and_the_quantile():
    x = lucid.tensor([[1.0, float("nan"), 0.0], [3.0, 1.0, 2.0]])
    values, places = x.median(1)
    np.testing.assert_array_equal(values.numpy(), [np.nan, 2])
    assert places.tolist() == [1, 2]
    assert np.isnan(x.median().item())
    np.testing.assert_array_equal(x.quantile(0.5, 1).numpy(), [np.nan, 2])


def test_quantiles_between_infinities():
    x = lucid.tensor([1.0, float("inf"), float("inf")])
    assert x.quantile(lucid.tensor([0.0, 0.75])).tolist() == [1.0, float("inf")]


def test_the_median_of_all_shares_its_gradient():
    x = lucid.tensor([1.0, 2.0, 2.0, 3.0], requires_grad=True)
    x.median().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5, 0]


def test_normal_takes_tensors():
    mean = lucid.tensor([0.0, 100.0], requires_grad=True)
    lucid.manual_seed(0)
    drawn = lucid.normal(mean, lucid.tensor([[1.0], [2.0]]))
    assert drawn.shape == (2, 2)
    assert not drawn.requires_grad
    assert abs(drawn.numpy() - [0, 100]).max() < 10
    assert lucid.normal(lucid.zeros(3, dtype="float64"), 2.0).dtype == np.float64
    many = lucid.normal(3.0, 0.5, (20000,)).numpy()
    assert (abs(many.mean() - 3), abs(many.std() - 0.5)) < (0.02, 0.02)


@pytest.mark.parametrize("name", ["cumprod", "cummax", "unique", "unique_consecutive", "flip", "diff", "isin", "ravel"])
def test_no_elements(name, torch):
    options = {"cumprod": (0,), "cummax": (0,), "flip": ((0,),), "isin": (X,)}.get(name, ())
    theirs = {"isin": (torch.tensor(X.numpy()),)}.get(name, options)
    found, wanted = getattr(lucid, name)(lucid.zeros(0), *options), getattr(torch, name)(torch.zeros(0), *theirs)
    for y, reference in zip(*[z if isinstance(z, tuple) else (z,) for z in (found, wanted)], strict=True):
        assert y.shape == tuple(reference.shape)


def test_special_elements_as_in_pytorch(torch):
    nan, inf = float("nan"), float("inf")
    x = np.array([1.0, nan, inf, -inf, 0.0, -0.0, nan, 3.0])
    for call in (
        lambda m, x: m.cummax(x, 0),
        lambda m, x: m.cumprod(x, 0),
        lambda m, x: m.diff(x),
        lambda m, x: m.unique(x[4:6]),
        lambda m, x: m.unique_consecutive(x[1:3], return_counts=True),
        lambda m, x: m.count_nonzero(x),
        lambda m, x: m.frac(x[:1]),
        lambda m, x: m.fmod(x, 2.0),
        lambda m, x: m.hypot(x, x),
        lambda m, x: m.atan2(x, m.flip(x, (0,))),
        lambda m, x: m.isclose(x, m.flip(x, (0,)), equal_nan=True),
        lambda m, x: m.median(x[2:6], 0),
        lambda m, x: m.isin(x, x),
        lambda m, x: m.where(x),
        lambda m, x: m.nonzero(m.tensor(2.0), as_tuple=True),
        lambda m, x: m.quantile(x[4:], 0.3),
        lambda m, x: m.trace(m.outer(x[4:6], x[4:6])),
    ):
        with np.errstate(all="ignore"):
            found, wanted = call(lucid, lucid.tensor(x)), call(torch, torch.tensor(x))
        for y, reference in zip(*[z if isinstance(z, tuple) else (z,) for z in (found, wanted)], strict=True):
            np.testing.assert_allclose(y.numpy(), reference.numpy(), rtol=1e-12)
            assert str(reference.dtype) == f"torch.{y.dtype}"


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32", "float64"])
def test_dtypes_as_in_pytorch(dtype, torch):
    x = np.array([1, 0, 1, 1] if dtype == "bool" else [3, 1, 2, 2]).astype(dtype)
    for call in (
        lambda m, x: m.cumprod(x, 0),
        lambda m, x: m.diff(x),
        lambda m, x: m.count_nonzero(x),
        lambda m, x: m.unique(x),
        lambda m, x: m.median(x),
        lambda m, x: m.diag(x),
        lambda m, x: m.trace(m.diag(x)),
        lambda m, x: m.bincount(x),
        lambda m, x: m.searchsorted(m.sort(x).values, x),
        lambda m, x: m.index_fill(x, 0, m.tensor([0]), 1),
        lambda m, x: m.index_add(x, 0, m.tensor([0, 0]), x[:2]),
        lambda m, x: m.tan(x),
        lambda m, x: m.atan2(x, x),
        lambda m, x: m.fmod(x, 2),
        lambda m, x: m.log10(x),
        lambda m, x: m.isclose(x, x),
        lambda m, x: m.repeat_interleave(x, m.tensor([1, 0, 2, 1])),
        lambda m, x: m.add(x, x, alpha=2),
        lambda m, x: m.scatter(x, 0, m.tensor([0]), 1, reduce="add"),
    ):
        try:
            wanted = call(torch, torch.tensor(x))
        except (RuntimeError, NotImplementedError, ValueError):
            continue
        found = call(lucid, lucid.tensor(x))
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6)
        assert str(wanted.dtype) == f"torch.{found.dtype}"
