"""Every op, row by row: values, first- and second-order gradients, export. Every op has a row."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import lucid
from lucid.autograd import grad, gradcheck, gradgradcheck
from lucid.export import to_onnx
from lucid.export.lowering import LOWERINGS
from lucid.methods import Methods
from lucid.tensor import Tensor
from lucid.tracer import trace
from lucid.tracer.op import FUNCTIONS, OPS, Op
from tests.ops.case import results, run, wrapped
from tests.ops.cases import CASES, ELSEWHERE, FIXED
from tests.tiers import in_tiers, sampled, thinned


def firsts(cases, every=1, sample=1):
    """Returns cases for `parametrize`: of every n ops the first case of one runs in the fast tier; others are slow.

    Of every `sample` cases the first stays in the slow tier; the others are exhaustive.
    """
    cases = list(cases)
    names = [case.name for case in cases]
    fast = {names.index(name) for name in list(dict.fromkeys(names))[::every]}
    tiers = ["" if i in fast else "exhaustive" if i % sample else "slow" for i in range(len(cases))]
    return in_tiers([(case,) for case in cases], tiers)


each_op = pytest.mark.parametrize("case", firsts(CASES), ids=str)
some_ops = pytest.mark.parametrize("case", firsts(CASES, 5), ids=str)


def expected(case, arrays):
    return [np.asarray(y) for y in results(case.ref(*arrays, **({} if case.call else case.attrs)))]


@each_op
def test_value(case):
    arrays = case.arrays()
    before = [np.array(x) if isinstance(x, np.ndarray) else x for x in arrays]
    found = run(case, wrapped(arrays))
    wanted = expected(case, arrays)
    assert len(found) == len(wanted)
    for y, reference in zip(found, wanted, strict=True):
        assert isinstance(y, Tensor)
        assert y.shape == reference.shape
        assert y.dtype == reference.dtype or case.call is not None
        np.testing.assert_allclose(y.numpy(), reference, rtol=case.rtol, atol=1e-13)
    for x, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, kept)


@some_ops
def test_float32_stays(case):
    arrays = case.arrays(np.float32)
    arrays = [x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in arrays]
    for y, exact in zip(run(case, wrapped(arrays)), expected(case, case.arrays()), strict=True):
        if y.is_floating_point() and any(case.differentiable()) and case.stays and "dtype" not in case.attrs:
            assert y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), exact, rtol=2e-4, atol=1e-5)


@some_ops
def test_layout_in_memory_makes_no_difference(case):
    arrays = case.arrays()
    strided = []
    for x in arrays:
        if isinstance(x, np.ndarray) and x.ndim:
            wide = np.zeros([2 * n for n in x.shape[::-1]], x.dtype).T[tuple(slice(None, None, 2) for _ in x.shape)]
            wide[...] = x
            wide.flags.writeable = False
            strided.append(lucid.from_numpy(wide))
        else:
            strided.append(wrapped([x])[0])
    for y, reference in zip(run(case, strided), expected(case, arrays), strict=True):
        np.testing.assert_allclose(y.numpy(), reference, rtol=case.rtol, atol=1e-13)


DERIVATIVES = [case for case in CASES if case.derivative and any(case.differentiable())]


def differentiable(case):
    """Returns a function of the differentiable inputs, and these inputs."""
    arrays = case.arrays()
    flags = case.differentiable()
    tensors = wrapped([np.array(x) if flag else x for x, flag in zip(arrays, flags, strict=True)], flags)

    def function(*leaves):
        given = iter(leaves)
        outputs = run(case, [next(given) if flag else x for x, flag in zip(tensors, flags, strict=True)])
        return tuple(y for y in outputs if y.is_floating_point() and y.requires_grad)

    return function, [x for x, flag in zip(tensors, flags, strict=True) if flag]


@pytest.mark.parametrize("case", firsts(DERIVATIVES), ids=str)
def test_gradient(case):
    function, leaves = differentiable(case)
    if not function(*leaves):
        assert OPS[case.name].no_gradient
        return
    assert gradcheck(function, leaves, atol=1e-7, rtol=1e-5)
    # What is not recorded is computed on arrays, by the same rules: see `lucid.tracer.pull`.
    rng = np.random.default_rng(0)
    outputs = function(*leaves)
    incoming = [lucid.from_numpy(rng.standard_normal(y.shape)).astype(y.dtype) for y in outputs]
    plain = grad(outputs, leaves, incoming, retain_graph=True, allow_unused=True)
    recorded = grad(outputs, leaves, incoming, create_graph=True, allow_unused=True)
    for one, other in zip(plain, recorded, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(one.numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", thinned(DERIVATIVES, 16, sample=5), ids=str)
def test_gradient_of_the_gradient(case):
    function, leaves = differentiable(case)
    if function(*leaves):
        assert gradgradcheck(function, leaves, atol=1e-6, rtol=1e-4)


def gradients_of(function):
    """Returns a function that computes gradients; the incoming gradients are the results themselves."""

    @lucid.enable_grad()
    def gradients(*tensors):
        leaves = [x.requires_grad_() for x in tensors if x.is_floating_point()]
        outputs = [y for y in results(function(*tensors)) if y.requires_grad]
        found = grad(outputs, leaves, [y.detach() for y in outputs], allow_unused=True) if outputs else ()
        return tuple(g for g in found if g is not None) or (tensors[0] + 1,)

    return gradients


@pytest.mark.parametrize("case", firsts([case for case in DERIVATIVES if case.stays], 8), ids=str)
def test_nothing_on_the_way_back_is_wider_than_float32(case):
    function, inputs = exportable(case)
    if not all(y.dtype == np.float32 for y in results(function(*inputs))):
        return
    for node in trace(gradients_of(function), *inputs).nodes:
        assert all(output.dtype != np.float64 for output in node.outputs), node


# --- export


def exportable(case, dtype=np.float32):
    """Returns a function of the tensors among the inputs, and these tensors."""
    arrays = case.arrays(dtype)
    arrays = [x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x for x in arrays]
    inputs = [lucid.tensor(x) for x in arrays if isinstance(x, np.ndarray)]

    def function(*tensors):
        given = iter(tensors)
        outputs = case.run(FUNCTIONS[case.name], *(next(given) if isinstance(x, np.ndarray) else x for x in arrays))
        return tuple(outputs) if isinstance(outputs, tuple) else outputs

    if inputs:
        return function, inputs
    return lambda x: (function(), x + 1), [lucid.ones(2)]


def axes(case):
    return "auto" if case.dynamic is True else case.dynamic or None


EXPORTED = [case for case in CASES if not case.no_export]


@pytest.mark.parametrize("case", firsts(EXPORTED, 3, sample=3), ids=str)
def test_export(case):
    function, inputs = exportable(case)
    exported = to_onnx(function, *inputs, dynamic=axes(case))
    if case.dynamic is True:
        assert any(exported.fixed.values()) == (str(case) in FIXED)


@pytest.mark.parametrize("case", thinned([case for case in EXPORTED if case.opset == 13], 20, sample=6), ids=str)
def test_export_to_the_oldest_opset(case):
    function, inputs = exportable(case)
    to_onnx(function, *inputs, opset=13, dynamic=None)


@pytest.mark.slow
@pytest.mark.parametrize("case", sampled(EXPORTED, 6), ids=str)
def test_export_float64(case):
    function, inputs = exportable(case, np.float64)
    to_onnx(function, *inputs, opset=max(case.opset, 18), dynamic=axes(case))


@pytest.mark.slow
@pytest.mark.parametrize("case", sampled([case for case in EXPORTED if case in DERIVATIVES], 5), ids=str)
def test_export_of_the_gradient(case):
    function, inputs = exportable(case)
    to_onnx(gradients_of(function), *inputs, dynamic=axes(case), rtol=1e-4, atol=1e-4)


# --- the table itself


def test_every_op_and_function_has_a_row():
    covered = {case.name for case in CASES} | ELSEWHERE.keys()
    shipped = {name for name, f in FUNCTIONS.items() if f.__module__.startswith("lucid.")}
    assert shipped - covered == set()
    assert covered - shipped == set()


# Other tests declare further ops.
SHIPPED = {name: op for name, op in OPS.items() if op.__module__.startswith("lucid.")}


def test_every_op_has_a_gradient_or_says_why_not():
    assert [name for name, op in SHIPPED.items() if (op.rule is None) == (op.no_gradient is None)] == []


def test_every_op_has_a_lowering_or_says_why_not():
    assert [name for name, op in SHIPPED.items() if (name not in LOWERINGS) == (op.no_export is None)] == []


def test_every_lowering_is_of_an_op_and_takes_what_it_takes():
    assert LOWERINGS.keys() - OPS.keys() == set()
    for name, lowering in LOWERINGS.items():
        if name not in SHIPPED:
            continue
        parameters = list(inspect.signature(lowering).parameters.values())[1:]
        inputs = len(OPS[name].inputs)
        if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
            inputs = sum(parameter.kind is not parameter.KEYWORD_ONLY for parameter in parameters)
            assert inputs <= len(OPS[name].inputs), name
        assert [parameter.name for parameter in parameters[inputs:]] == list(OPS[name].attributes), name


# The method takes separate arguments; the function takes one sequence.
SEPARATE = {"flip": "dims", "permute": "dims", "tile": "dims"}
# The tensor is not the function's first argument.
OTHER_PLACE = {"where"}


def methods():
    return {
        name: method
        for base in Methods.__mro__
        if base.__module__.startswith("lucid.methods")
        for name, method in vars(base).items()
        if inspect.isfunction(method) and name in FUNCTIONS.keys() - OTHER_PLACE
    }


def test_methods_take_what_their_functions_take():
    for name, method in methods().items():
        mine = list(inspect.signature(method).parameters.values())[1:]
        theirs = list(inspect.signature(FUNCTIONS[name]).parameters.values())[1:]
        if name in SEPARATE:
            assert [p.name for p in mine[1:]] == [p.name for p in theirs] == [SEPARATE[name]]
            continue
        # By NumPy's names, and by those of an op's other function, the function's signature does not show them.
        function = FUNCTIONS[name]
        hidden = {"axis", "keepdims", *((function.variant or ())[:1] if isinstance(function, Op) else ())}
        by_axis = "axis" in [p.name for p in mine]
        mine, theirs = (
            # Where `axis` may be given, `dim` need not be.
            [(p.name, None if by_axis and p.name == "dim" else p.default) for p in ps if p.name not in hidden]
            for ps in (mine, theirs)
        )
        assert mine == theirs, name


@pytest.mark.parametrize("case", firsts([case for case in CASES if hasattr(Tensor, case.name)], 4), ids=str)
def test_methods_give_what_their_functions_give(case):
    tensors = wrapped(case.arrays())
    # Tensor.size is PyTorch's: it returns the shape in Python numbers.
    if case.name in {*SEPARATE, *OTHER_PLACE, "size"} or not isinstance(tensors[0], Tensor):
        return
    found = results(case.run(lambda x, *args, **options: getattr(x, case.name)(*args, **options), *tensors))
    for y, reference in zip(found, run(case, tensors), strict=True):
        np.testing.assert_array_equal(y.numpy(), reference.numpy())


def test_methods_that_take_separate_arguments():
    x = lucid.tensor(np.arange(6).reshape(1, 2, 3))
    for y in (x.permute(2, 0, 1), x.permute((2, 0, 1))):
        np.testing.assert_array_equal(y.numpy(), x.numpy().transpose(2, 0, 1))
    for y in (x.flip(1, 2), x.flip((1, 2)), x.flip([1, 2])):
        np.testing.assert_array_equal(y.numpy(), x.numpy()[:, ::-1, ::-1])
    for y in (x.tile(2, 3), x.tile((2, 3))):
        np.testing.assert_array_equal(y.numpy(), np.tile(x.numpy(), (2, 3)))
    np.testing.assert_array_equal(x.mT.numpy(), x.numpy().swapaxes(1, 2))
    np.testing.assert_array_equal(x.where(x > 2, 0).numpy(), np.where(x.numpy() > 2, x.numpy(), 0))
    assert x.view(3, 2).shape == (3, 2)


def test_functions_of_one_tensor_are_methods_where_pytorch_has_them(torch):
    public = [name for name in lucid.ops.__all__ if name in FUNCTIONS and hasattr(torch.Tensor, name)]
    assert [name for name in public if not hasattr(Tensor, name)] == []


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64"])
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((100, 64), 0), ((10, 20, 64), (0, 1)), ((10, 20, 64), [0]), ((10, 20, 64), (0, 2)), ((5000,), 0), ((5000, 1), 0)],
    ids=str,
)
def test_sums_of_many(shape, dim, dtype, order):
    """Sums over the first axes of large arrays take another code path."""
    array = np.array(np.random.default_rng(0).integers(-8, 9, shape), dtype, order=order)
    expected = array.astype(np.float64).sum(tuple(dim) if isinstance(dim, list) else dim)
    x = lucid.tensor(array)
    found = [x.sum(dim)]
    if dim != (0, 2):
        found.append(lucid.ops.reduce.sum_to(x, shape=expected.shape))
    for total in found:
        assert total.shape == expected.shape
        assert total.dtype == dtype
        np.testing.assert_array_equal(total.numpy(), expected)


def test_sums_of_many_with_what_is_no_number():
    x = np.ones((100, 64), np.float32)
    x[3, 0], x[4, 1], x[5, 2:4], x[6, 3] = np.nan, np.inf, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(lucid.tensor(x).sum(0).numpy(), x.sum(0))
