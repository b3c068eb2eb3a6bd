"""Refusals of the ops: each message says what was asked, the rule, and the values seen."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid.errors import AxisError, DtypeError, GradientError, RangeError, RuntimeUnavailableError, ShapeError
from lucid.nn import functional as F

X = lucid.ones(2, 3)
IDS = lucid.tensor([[0, 1, 2]])

REFUSED = [
    (lambda: X + lucid.ones(2), ShapeError, r"add: .*broadcast.*\(2,3\) \(2,\).*float32\[2, 3\], float32\[2\]"),
    (lambda: X + "1", DtypeError, r"add: expected Tensors, arrays or numbers; got str"),
    (lambda: lucid.tensor([2]) ** -1, ShapeError, r"pow: Integers to negative integer powers"),
    (lambda: X.reshape(4), ShapeError, r"reshape_to: cannot reshape array of size 6 into shape \(4,\)"),
    (lambda: X.sum(2), AxisError, r"sum: axis 2 is out of bounds.*float32\[2, 3\], dim=2"),
    (lambda: X.transpose(0, 2), AxisError, r"axis 2 is out of range for a tensor with 2 axes"),
    (lambda: X.permute(0, 0), ShapeError, r"permute: repeated axis.*dims=\(0, 0\)"),
    (lambda: X.flatten(1, 0), ShapeError, r"flatten: start_dim 1 comes after end_dim 0"),
    (lambda: X.expand(3), ShapeError, r"expand: 1 sizes for a tensor with 2 axes; got \(3,\) for \(2, 3\)"),
    (lambda: X.expand(-1, 2, 3), ShapeError, r"expand: -1 stands for an axis that the tensor does not have"),
    (lambda: lucid.cat([]), ShapeError, r"cat: expected at least one tensor; got none"),
    (lambda: lucid.cat([X, lucid.ones(2, 2)]), ShapeError, r"concat: .*must match.*got \(float32\[2, 3\]"),
    (lambda: lucid.stack([]), ShapeError, r"stack: expected at least one tensor"),
    (lambda: X.split([1, 1], 1), ShapeError, r"split_to: the sizes add up to 2, but axis 1 has 3"),
    (lambda: X.split(0), ShapeError, r"split: the size of a part must be positive; got 0"),
    (lambda: X.chunk(0), ShapeError, r"chunk: the number of parts must be positive; got 0"),
    (lambda: X.repeat(2), ShapeError, r"repeat: a count for each axis; got \(2,\) for shape \(2, 3\)"),
    (lambda: X.repeat(2, -1), ShapeError, r"repeat: counts must not be negative; got \(2, -1\)"),
    (lambda: X.roll((1, 2), 0), ShapeError, r"roll: as many shifts as dims; got shifts=\(1, 2\) and dims=0"),
    (lambda: F.pad(X, (1,)), ShapeError, r"pad: two amounts an axis.*got \(1,\) for shape \(2, 3\)"),
    (lambda: F.pad(X, (1, 1), "mirror"), ValueError, r"pad: mode must be 'constant'.*got 'mirror'"),
    (lambda: F.pad(X, (3, 0), "reflect"), ShapeError, r"pad: mode 'reflect' has at most 2 elements for axis 1"),
    (lambda: lucid.ones(2, 3, 4).t(), ShapeError, r"t: expected at most two axes; got shape \(2, 3, 4\)"),
    (lambda: X.movedim((0, 0), (0, 1)), ShapeError, r"movedim: an axis can be moved once.*got \(0, 0\), \(0, 1\)"),
    (lambda: X.movedim((0, 1), (1, -1)), ShapeError, r"movedim: an axis can be moved once.*got \(0, 1\), \(1, -1\)"),
    (lambda: X.movedim((0, 1), 0), AxisError, r"movedim: as many destinations as sources"),
    (lambda: X[5], AxisError, r"slice_at: index 5 is out of bounds for axis 0 with size 2"),
    (lambda: X[0, 0, 0], AxisError, r"too many indices"),
    (lambda: X["a"], AxisError, r"an index is made of integers, slices, None, ... and tensors; got str"),
    (lambda: X[lucid.ones(2)], DtypeError, r"must be of integers or bools; got float32"),
    (lambda: X[lucid.tensor([2])], AxisError, r"index_at: index 2 is out of bounds for axis 0"),
    (lambda: X[lucid.tensor([True])], AxisError, r"index_at: boolean index did not match"),
    (lambda: X.gather(0, lucid.tensor([0])), ShapeError, r"gather: index must have as many axes"),
    (lambda: X.gather(1, lucid.zeros(3, 1, dtype="int64")), ShapeError, r"gather: index must not be larger"),
    (lambda: X.gather(1, -IDS), AxisError, r"gather: indices must not be negative; got -2"),
    (lambda: X.gather(1, IDS + 3), AxisError, r"gather: indices must be from 0 to 2 along axis 1; got 5"),
    (lambda: X.gather(1, X), DtypeError, r"gather: index must be of integers; got float32"),
    (lambda: X.gather(2, IDS), AxisError, r"gather: axis 2 is out of range"),
    (lambda: X.scatter(1, IDS, lucid.ones(1, 1)), ShapeError, r"scatter: src must not be smaller than index"),
    (lambda: X.masked_fill(IDS, 0), DtypeError, r"masked_fill: the mask must be of bools; got int64"),
    (lambda: F.one_hot(IDS, 2), AxisError, r"one_hot: classes must be from 0 to 1; got 0 to 2"),
    (lambda: F.one_hot(X, 2), DtypeError, r"one_hot: expected integers; got float32"),
    (lambda: F.embedding(IDS, lucid.ones(2, 4)), AxisError, r"embedding: input must be from 0 to 1; got 0 to 2"),
    (lambda: F.embedding(-IDS, lucid.ones(9, 4)), AxisError, r"embedding: input must be from 0 to 8; got -2"),
    (lambda: F.embedding(IDS, lucid.ones(3, 4), 3), AxisError, r"padding_idx must name one of 3 rows; got 3"),
    (lambda: F.embedding(X, X), DtypeError, r"embedding: input must be of integers; got float32"),
    (
        lambda: F.binary_cross_entropy(2 * X, X),
        RangeError,
        r"input must be from 0 to 1; got .* to .*; of scores.*with_logits",
    ),
    (lambda: F.binary_cross_entropy(X * float("nan"), X), RangeError, r"from 0 to 1; got nan to nan"),
    (lambda: X @ X, ShapeError, r"matmul: the axes that are summed over .* 3 and 2; got .*float32\[2, 3\]"),
    (lambda: X @ 2, ShapeError, r"matmul: .*does not have enough dimensions.*2\)"),
    (lambda: lucid.bmm(X, X), ShapeError, r"bmm: expected shapes \(N, A, B\) and \(N, B, C\); got \(2, 3\)"),
    (lambda: lucid.mv(X, X), ShapeError, r"mv: expected tensors with 2 and 1 axes; got shapes \(2, 3\) and \(2, 3\)"),
    (lambda: F.linear(X, lucid.ones(4, 2), None), ShapeError, r"linear: .*float32\[2, 3\], float32\[4, 2\]"),
    (lambda: lucid.einsum("ij,jk", X), ShapeError, r"einsum: 'ij,jk' is for 2 operands; got 1"),
    (lambda: lucid.einsum("ijk", X), ShapeError, r"'ijk' in 'ijk' does not fit an operand of shape \(2, 3\)"),
    (lambda: lucid.einsum("ij,ij", X, X.t()), ShapeError, r"einsum: 'i' in 'ij,ij' has the sizes 2 and 3"),
    (lambda: lucid.einsum("i1", X), ShapeError, r"einsum: letters, '...', ',' and '->' make an equation"),
    (lambda: lucid.einsum("ij->k", X), ShapeError, r"the result of 'ij->k' must have letters of the"),
    (lambda: lucid.einsum("ij->ii", X), ShapeError, r"the result of 'ij->ii' must have letters of the"),
    (lambda: F.layer_norm(X, (2,)), ShapeError, r"layer_norm: input must end with the shape \(2,\); got \(2, 3\)"),
    (lambda: F.layer_norm(X, 3, X), ShapeError, r"layer_norm: weight must have the shape \(3,\)"),
    (lambda: F.glu(X), ShapeError, r"glu: axis -1 must have an even size; got shape \(2, 3\)"),
    (lambda: F.gelu(X, "sigmoid"), ValueError, r"gelu: approximate must be 'none' or 'tanh'; got 'sigmoid'"),
    (lambda: X.clamp(), ValueError, r"clamp: at least one of min and max must be given"),
    (lambda: X.norm("nuc"), ValueError, r"norm: p must be a number or 'fro'; got 'nuc'"),
    (lambda: X.topk(4), ShapeError, r"topk: k must be from 0 to 3, the size of axis -1; got 4"),
    (lambda: X.sort(2), AxisError, r"sort: axis 2 is out of range for a tensor with 2 axes"),
    (lambda: X.to("cuda"), RuntimeUnavailableError, "device 'cuda' was asked for, but tensors are in the CPU's memory"),
    (lambda: X.to("flaot"), DtypeError, r"to: expected a dtype, or the device 'cpu'; got 'flaot'"),
    (lambda: F.dropout(X, 1.5), ValueError, r"dropout: p must be in \[0, 1\]; got 1.5"),
    (lambda: F.mse_loss(X, lucid.ones(3)), ShapeError, r"mse_loss: input has shape \(2, 3\), but target has \(3,\)"),
    (lambda: F.l1_loss(X, X, "median"), ValueError, r"l1_loss: reduction must be 'none', 'mean' or 'sum'"),
    (lambda: F.huber_loss(X, X, delta=0), ValueError, r"huber_loss: delta must be positive; got 0"),
    (lambda: F.smooth_l1_loss(X, X, beta=-1), ValueError, r"beta must not be negative; got -1"),
    (lambda: F.nll_loss(X, IDS), ShapeError, r"target of an input of shape \(2, 3\) must have shape \(2,\)"),
    (lambda: F.nll_loss(X, lucid.ones(2)), DtypeError, r"class indices must be integers; got a target of float32"),
    (lambda: F.cross_entropy(X, [0, 3]), AxisError, r"cross_entropy: class indices must be from 0 to 2; got 0 to 3"),
    (lambda: F.cross_entropy(X, [0, 1], label_smoothing=2), ValueError, r"label_smoothing must be in \[0, 1\]; got 2"),
    (lambda: F.cross_entropy(X, X.t()), ShapeError, r"holds probabilities, .* \(2, 3\); .* target.long\(\)"),
    (lambda: F.scaled_dot_product_attention(X, X, X, X, is_causal=True), ValueError, r"attn_mask must be None"),
    (lambda: F.scaled_dot_product_attention(X, X.t(), X), ShapeError, r"query and key must have as many features"),
    (lambda: F.scaled_dot_product_attention(X, X, X, IDS), DtypeError, r"attn_mask must be of bools or.*int64"),
    (lambda: F.conv1d(X, X), ShapeError, r"conv1d: expected an input \(N, C, L\) or \(C, L\) and a weight"),
    (lambda: F.conv1d(X, lucid.ones(4, 3, 1)), ShapeError, r"weight \(4, 3, 1\) with groups=1 is for 3 channels"),
    (lambda: F.conv1d(X, lucid.ones(4, 2, 5)), ShapeError, r"the kernel reaches over 5 positions, but there are 3"),
    (lambda: F.conv1d(X, lucid.ones(4, 2, 1), X), ShapeError, r"conv1d: bias must have the shape \(4,\)"),
    (lambda: F.conv1d(X, lucid.ones(4, 2, 1), None, 2, "same"), ValueError, r"padding='same' is for stride 1; got 2"),
    (lambda: F.conv1d(X, lucid.ones(4, 2, 1), stride=0), ValueError, r"stride must be an int of at least 1; got 0"),
    (lambda: F.ctc_loss(lucid.ones(3, 1, 2), IDS[:, :1], [3], [1], blank=2), AxisError, r"must be one of 2 classes"),
    (lambda: F.ctc_loss(lucid.ones(3, 1, 2), IDS[:, :1], [3], [1]), AxisError, r"other than blank=0; got \[0\]"),
    (lambda: F.ctc_loss(lucid.ones(3, 1, 2), IDS[:, 1:2], [4], [1]), AxisError, r"must be from 1 to 3; got \[4\]"),
    (lambda: F.ctc_loss(lucid.ones(3), IDS, [3], [1]), ShapeError, r"must be numbers \(T, N, C\) or \(T, C\)"),
    (lambda: X[0].tril(), ShapeError, r"tril: expected at least two axes; got 1"),
    (lambda: X[0].triu(), ShapeError, r"triu: expected at least two axes; got 1"),
    (lambda: F.hardtanh(X, 1.0, -1.0), ShapeError, r"hardtanh: min_val must not be greater than max_val"),
    (lambda: lucid.linspace(0, 1, 2.0), DtypeError, r"linspace: steps must be an integer; got 2.0"),
    (lambda: lucid.multinomial(lucid.tensor([1, 2]), 1), DtypeError, r"multinomial: the weights must be float"),
    (lambda: lucid.multinomial(lucid.ones(3), 0), ShapeError, r"multinomial: expected at least one draw; got 0"),
    (lambda: lucid.arange(0, 3, 0), ShapeError, r"arange: step must not be 0"),
    (lambda: lucid.eye(-1), ShapeError, r"eye: the sizes must not be negative; got -1 and -1"),
    (lambda: lucid.eye(2, -1), ShapeError, r"eye: the sizes must not be negative; got 2 and -1"),
    (lambda: lucid.linspace(0, 1, -1), ShapeError, r"linspace: steps must not be negative; got -1"),
    (lambda: X.mean(dtype="int64"), DtypeError, r"mean: the dtype of a mean must be floating-point; got int64"),
    (lambda: F.nll_loss(X, [0, 1], X[0, :2]), ShapeError, r"nll_loss: weight must have the shape \(3,\).*got \(2,\)"),
    (lambda: F.nll_loss(X, [0, 1], X), ShapeError, r"nll_loss: weight must have the shape \(3,\).*got \(2, 3\)"),
    (lambda: F.cross_entropy(X, [0, 1], lucid.ones(4)), ShapeError, r"cross_entropy: weight must have the shape"),
    (lambda: F.cross_entropy(X, X, lucid.ones(1)), ShapeError, r"cross_entropy: weight must have the shape \(3,\)"),
    (lambda: F.cross_entropy(X.sum(), X.sum()), ShapeError, r"cross_entropy: input must have an axis of classes"),
    (lambda: F.glu(X.sum()), ShapeError, r"glu: a tensor without axes has no halves"),
    (lambda: X.sum().cumsum(1), AxisError, r"cumsum: axis 1 is out of bounds"),
    (lambda: X.sum().softmax(1), AxisError, r"softmax: axis 1 is out of bounds"),
    (lambda: X.sum().squeeze(1), AxisError, r"axis 1 is out of range for a tensor with 0 axes"),
    (lambda: X.sum().flip(1), AxisError, r"axis 1 is out of range for a tensor with 0 axes"),
    (lambda: X.sum().sort(1), AxisError, r"sort: axis 1 is out of range"),
    (lambda: X.sum().transpose(0, 1), AxisError, r"axis 1 is out of range for a tensor with 0 axes"),
    (lambda: lucid.full((2,), "a"), DtypeError, r"expected a number; got str"),
    (lambda: lucid.randint(3, 3, (2,)), ShapeError, r"randint: high must be greater than low; got low=3, high=3"),
    (lambda: lucid.multinomial(lucid.zeros(3), 1), ShapeError, r"multinomial: weights must be finite and not"),
    (lambda: lucid.multinomial(lucid.tensor([0.0, 1.0]), 2), ShapeError, r"2 draws without replacement, but a row has"),
    (lambda: lucid.softmax(X, axes=1), TypeError, r"softmax\(\) got an unexpected keyword argument 'axes'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_errors_are_those_that_numpy_and_pytorch_raise():
    for call, kinds in (
        (lambda: X @ X, (ValueError, RuntimeError)),
        (lambda: X[5], (IndexError,)),
        (lambda: X & X, (TypeError,)),
        (lambda: F.cross_entropy(X, [0, 3]), (IndexError,)),
    ):
        for kind in kinds:
            with pytest.raises(kind):
                call()


def test_what_has_no_gradient_stops_it():
    x = lucid.ones(3, requires_grad=True)
    assert not lucid.argmax(x).requires_grad
    assert not (x > 0).requires_grad
    assert not x.long().requires_grad
    with pytest.raises(GradientError, match="was not computed from any tensor that requires gradients"):
        (x > 0).float().sum().backward()


def test_arrays_of_the_caller_stay_as_they_are():
    array = np.arange(6.0).reshape(2, 3)
    kept = array.copy()
    for name in ("softmax", "log_softmax", "cumsum"):
        getattr(lucid.from_numpy(array), name)(1)
    F.layer_norm(lucid.from_numpy(array), (3,))
    lucid.from_numpy(array).scatter(0, lucid.tensor([[0, 1, 0]]), 7.0)
    np.testing.assert_array_equal(array, kept)
