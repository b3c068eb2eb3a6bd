"""Properties that hold for all shapes, axes and indices; hypothesis searches for counterexamples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lucid
from lucid.autograd import grad
from lucid.export import to_onnx
from lucid.ops.reduce import sum_to
from tests.tiers import thinned

settings.register_profile("ops", deadline=None, max_examples=60)
settings.load_profile("ops")

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
FULL = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)


def counted(shape):
    """Returns an array of distinct numbers in order."""
    return np.arange(1.0, np.prod(shape, dtype=int) + 1).reshape(shape)


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_broadcasting_and_its_gradient(shapes):
    x, y = (counted(shape) for shape in shapes.input_shapes)
    a, b = lucid.tensor(x, requires_grad=True), lucid.tensor(y, requires_grad=True)
    product = a * b
    np.testing.assert_array_equal(product.detach().numpy(), x * y)
    ga, gb = grad(product.sum(), [a, b])
    np.testing.assert_allclose(ga.numpy(), sum_over(np.broadcast_to(y, product.shape), x.shape))
    np.testing.assert_allclose(gb.numpy(), sum_over(np.broadcast_to(x, product.shape), y.shape))


def sum_over(g, shape):
    """Sums over the broadcast axes, element by element."""
    out = np.zeros(shape)
    for place in np.ndindex(g.shape):
        inner = place[len(place) - len(shape) :]
        out[tuple(0 if n == 1 else i for i, n in zip(inner, shape, strict=True))] += g[place]
    return out


@given(hnp.mutually_broadcastable_shapes(num_shapes=1, max_dims=4, max_side=3))
def test_sum_to_is_the_transpose_of_broadcasting(shapes):
    (shape,) = shapes.input_shapes
    wide = (2, *(3 if n == 1 else n for n in shape))
    g = counted(wide)
    np.testing.assert_allclose(sum_to(lucid.tensor(g), shape=shape).numpy(), sum_over(g, shape))


@given(SHAPES, st.data())
@pytest.mark.parametrize("name", thinned(["sum", "mean", "prod", "amax", "amin", "any", "all", "logsumexp"], 3))
def test_reductions_over_any_axes(name, shape, data):
    x = counted(shape) / 10
    dims = data.draw(st.one_of(st.none(), st.sets(st.integers(-len(shape), len(shape) - 1)))) if shape else None
    if dims is not None:
        dims = tuple({d % len(shape): d for d in dims}.values())
    keepdim = data.draw(st.booleans())
    axes = dims or None
    reduced = np.prod([shape[d] for d in (range(len(shape)) if axes is None else axes)], dtype=int)
    tensor = lucid.tensor(x)
    if name in ("amax", "amin") and not reduced:
        with pytest.raises(ValueError, match=name):
            getattr(tensor, name)(dims, keepdim)
        return
    if name == "mean" and not reduced:
        wanted = np.full(x.sum(axes, keepdims=keepdim).shape, np.nan)
    elif name == "logsumexp":
        with np.errstate(divide="ignore"):
            wanted = np.log(np.exp(x).sum(axes, keepdims=keepdim))
    else:
        wanted = getattr(np, name)(x, axis=axes, keepdims=keepdim)
    found = getattr(tensor, name)(dims, keepdim)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted)


@given(SHAPES.filter(bool), st.data())
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cumsum"])
def test_along_any_axis(name, shape, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = counted(shape) / 10
    found = getattr(lucid.tensor(x), name)(dim).numpy()
    if name == "cumsum":
        wanted = x.cumsum(dim)
    else:
        wanted = np.exp(x) / np.exp(x).sum(dim, keepdims=True)
        wanted = np.log(wanted) if name == "log_softmax" else wanted
    np.testing.assert_allclose(found, wanted)


@given(SHAPES, st.data())
def test_reshape_to_any_factors(shape, data):
    x = counted(shape)
    sizes = data.draw(st.permutations(shape))
    merged = data.draw(st.integers(0, len(sizes)))
    target = [int(np.prod(sizes[:merged], dtype=int)), *sizes[merged:]]
    if target and 0 not in target and data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    np.testing.assert_array_equal(lucid.tensor(x).reshape(target).numpy(), x.reshape(target))


@given(SHAPES, st.data())
def test_permutations_and_their_gradients(shape, data):
    x = lucid.tensor(counted(shape), requires_grad=True)
    dims = tuple(data.draw(st.permutations(range(len(shape)))))
    y = x.permute(dims)
    np.testing.assert_array_equal(y.detach().numpy(), counted(shape).transpose(dims))
    (g,) = grad(y, x, lucid.tensor(counted(y.shape)))
    np.testing.assert_array_equal(g.numpy(), counted(y.shape).transpose(np.argsort(dims)))


@st.composite
def basic_indices(draw, shape):
    """Draws integers, slices with steps, None and `...`, as many as fit."""
    items = [
        draw(st.one_of(st.integers(-n, n - 1) if n else st.just(slice(None)), st.slices(n)))
        for n in shape[: draw(st.integers(0, len(shape)))]
    ]
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), Ellipsis)
        # An index after `...` belongs to a later axis, which may have another size.
        items = [i if not isinstance(i, int) or all(-n <= i < n for n in shape) else slice(None) for i in items]
    return tuple(items)


@given(FULL, st.data())
def test_basic_indexing_and_its_gradient(shape, data):
    index = data.draw(basic_indices(shape))
    x = counted(shape)
    tensor = lucid.tensor(x, requires_grad=True)
    found = tensor[index]
    np.testing.assert_array_equal(found.detach().numpy(), x[index])
    (g,) = grad(found, tensor, lucid.tensor(counted(found.shape)))
    wanted = np.zeros(shape)
    wanted[index] = counted(found.shape)
    np.testing.assert_array_equal(g.numpy(), wanted)


@st.composite
def advanced_indices(draw, shape):
    """Draws at least one array of integers or bools, among integers, slices and None."""
    common = draw(st.sampled_from([(), (2,), (3, 2), (1,)]))
    items = []
    axis = 0
    while axis < len(shape):
        n = shape[axis]
        kind = draw(st.sampled_from(["slice", "int", "array", "array", "mask"]))
        if kind == "mask" and not any(isinstance(i, (np.ndarray, int)) for i in items):
            width = draw(st.integers(1, len(shape) - axis))
            mask = draw(hnp.arrays(np.bool_, shape[axis : axis + width]))
            items.append(mask)
            common = (int(mask.sum()),)
            axis += width
            continue
        if kind == "array":
            part = draw(st.sampled_from([common, common[1:], tuple(1 for _ in common)])) if common else ()
            items.append(draw(hnp.arrays(np.int64, part, elements=st.integers(-n, n - 1))))
        elif kind == "int":
            items.append(draw(st.integers(-n, n - 1)))
        else:
            items.append(draw(st.slices(n)))
        axis += 1
    if not any(isinstance(i, np.ndarray) for i in items):
        items[0] = draw(hnp.arrays(np.int64, common, elements=st.integers(-shape[0], shape[0] - 1)))
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), draw(st.sampled_from([None, Ellipsis])))
    return tuple(items)


@given(FULL, st.data())
def test_indexing_with_tensors_and_its_gradient(shape, data):
    index = data.draw(advanced_indices(shape))
    x = counted(shape)
    tensor = lucid.tensor(x, requires_grad=True)
    mine = tuple(lucid.tensor(i) if isinstance(i, np.ndarray) else i for i in index)
    found = tensor[mine]
    np.testing.assert_array_equal(found.detach().numpy(), x[index])
    (g,) = grad(found, tensor, lucid.tensor(counted(found.shape)))
    wanted = np.zeros(shape)
    np.add.at(wanted, index, counted(found.shape))
    np.testing.assert_array_equal(g.numpy(), wanted)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(FULL, st.data())
def test_indexing_is_exported(shape, data):
    index = data.draw(st.one_of(basic_indices(shape), advanced_indices(shape)))
    constants = tuple(lucid.tensor(i) if isinstance(i, np.ndarray) else i for i in index)

    @lucid.enable_grad()
    def both(x):
        x.requires_grad_()
        y = x[constants]
        (g,) = grad(y, x, y.detach() + 1)
        return y.detach(), g

    if not counted(shape)[index].size:
        return  # onnxruntime does not support empty tensors in most of these operators
    to_onnx(both, lucid.tensor(counted(shape).astype(np.float32)), dynamic=None)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True), st.data())
def test_einsum_of_any_letters(letters, data):
    sizes = {"a": 2, "b": 3, "c": 4, "d": 1}
    terms = [
        "".join(data.draw(st.permutations(data.draw(st.lists(st.sampled_from(letters), min_size=1, max_size=3)))))
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    every = sorted(set("".join(terms)))
    result = "".join(data.draw(st.permutations(every))[: data.draw(st.integers(0, len(every)))])
    equation = f"{','.join(terms)}->{result}"
    operands = [counted(tuple(sizes[c] for c in term)) / 10 for term in terms]
    found = lucid.einsum(equation, *(lucid.tensor(x) for x in operands))
    np.testing.assert_allclose(found.numpy(), np.einsum(equation, *operands), rtol=1e-9)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4))
def test_windows_and_their_sum_are_transposes(length, size, stride, dilation, seed):
    from lucid.ops.conv import windows, windows_sum

    length += dilation * (size - 1)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1, 2, length))
    taps = windows(lucid.tensor(x), size=size, stride=stride, dilation=dilation)
    g = rng.standard_normal(taps.shape)
    back = windows_sum(lucid.tensor(g), size=size, stride=stride, dilation=dilation, length=length)
    np.testing.assert_allclose((taps.numpy() * g).sum(), (back.numpy() * x).sum())
