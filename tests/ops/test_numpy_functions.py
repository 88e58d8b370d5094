"""NumPy's names and functions on Tensors, and torch's names of sizes; missing arguments."""
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
import minigrad.nn.functional as F
from minigrad.face import FUNCTIONS, numpys_name
from minigrad.autograd.arguments import NUMPY_NAMES
from minigrad.autograd.op import OPS

RENAMED = sorted(name for name, op in OPS.items() if {*NUMPY_NAMES} & {*op.parameters}
                 and op.samples is not None)


def arrays_of(result):
    if isinstance(result, (tuple, list)):
        return [a for part in result for a in arrays_of(part)]
    return [np.asarray(result)]


# axis and keepdims
@pytest.mark.parametrize("name", RENAMED)
def test_axis_and_keepdims_are_dim_and_keepdim_in_every_function_that_has_them(name):
    from minigrad.ops.samples import Draw
    op = OPS[name]
    tried = 0
    for sample in op.samples(Draw(5)):
        options = dict(sample[-1]) if isinstance(sample[-1], dict) else {}
        bound = inspect.signature(op.public).bind(
            *(sample[:-1] if isinstance(sample[-1], dict) else sample), **options).arguments
        renamed = {NUMPY_NAMES.get(k, k): v for k, v in bound.items() if v is not None}
        if renamed.keys() == bound.keys():
            continue
        tried += 1
        pairs = arrays_of(op.public(**bound)), arrays_of(op.public(**renamed))
        for a, b in zip(*pairs, strict=True):
            np.testing.assert_array_equal(a, b)
    assert tried, "no sample names dim or keepdim"


def test_methods_take_them_and_gradients_flow():
    x = mg.randn(3, 4, requires_grad=True)
    x.sum(axis=0, keepdims=True).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((3, 4)))
    assert x.mean(axis=-1).shape == (3,) and x.softmax(axis=1).shape == (3, 4)
    assert x.max(axis=1).indices.shape == (3,) and x.norm(axis=0, keepdims=True).shape == (1, 4)
    assert x.unsqueeze(axis=0).shape == (1, 3, 4) and x.sum(axis=None).shape == ()
    assert mg.cat([x, x], axis=1).shape == (3, 8)


@pytest.mark.parametrize("wrong", [
    lambda x: x.sum(0, axis=1), lambda x: x.sum(dim=0, axis=0), lambda x: x.sort(-1, axis=0),
    lambda x: mg.cat([x, x], 0, 1), lambda x: x.sum(0, True, 1), lambda x: x.argsort(-1, axis=-1),
])
def test_both_names_of_one_option_are_refused(wrong):
    with pytest.raises(TypeError, match="got both dim=.* and axis=.*, two names of one option"):
        wrong(mg.ones(2, 3))


def test_signatures_say_torchs_names_only():
    assert "axis" not in str(inspect.signature(mg.sum)) + str(inspect.signature(mg.max))


# what was left out
@pytest.mark.parametrize("call", [
    lambda x: x.softmax(), lambda x: F.softmax(x), lambda x: mg.softmax(x), lambda x: nn.Softmax(),
    lambda x: F.softmax(x, dim=None), lambda x: x.log_softmax(), lambda x: F.log_softmax(x),
    lambda x: nn.LogSoftmax(), lambda x: nn.Softmax(dim=None), lambda x: x.softmax(axis=None),
])
def test_a_softmax_without_dim_says_the_same_everywhere(call):
    with pytest.raises(ValueError, match=r"^\w+: dim is required, along which the (\(2, 3\) )?"
                       r"numbers are to sum to 1; say dim=-1 for each row, dim=1 for the classes"):
        call(mg.ones(2, 3))


@pytest.mark.parametrize("call, name", [
    (lambda x: x.logsumexp(), "logsumexp"), (lambda x: x.cumsum(), "cumsum"),
    (lambda x: x.unsqueeze(), "unsqueeze"), (lambda x: mg.gather(x), "gather"),
    (lambda x: x.select(), "select"),
])
def test_a_dimension_that_was_left_out_is_explained(call, name):
    message = re.escape(f"{name}() missing required argument 'dim', the dimension to work along")
    with pytest.raises(TypeError, match=message):
        call(mg.ones(2, 3))
    with pytest.raises(TypeError, match=r"gather\(\) missing required argument 'index'$"):
        mg.gather(mg.ones(2), 0)


# NumPy's functions
A = np.array([[0.5, -2.0, 0.25], [3.0, 1.0, -0.75]])
I = np.array([[0, 2], [1, 0]])
CALLS = [
    lambda n, x: np.sum(x), lambda n, x: np.sum(x, 0),
    lambda n, x: np.sum(x, axis=1, keepdims=True),
    lambda n, x: np.mean(x), lambda n, x: np.mean(x, axis=(0, 1)), lambda n, x: np.prod(x, axis=0),
    lambda n, x: np.std(x), lambda n, x: np.var(x, axis=0, ddof=1), lambda n, x: np.max(x, axis=0),
    lambda n, x: np.min(x), lambda n, x: np.amin(x, 0),
    lambda n, x: np.amax(x, 1, keepdims=True), lambda n, x: np.cumsum(x),
    lambda n, x: np.cumsum(x, axis=1), lambda n, x: np.linalg.norm(x, axis=1),
    lambda n, x: np.linalg.norm(x), lambda n, x: np.reshape(x, (3, 2)), lambda n, x: np.ravel(x),
    lambda n, x: np.transpose(x), lambda n, x: np.transpose(x, (1, 0)),
    lambda n, x: np.expand_dims(x, (0, -1)), lambda n, x: np.squeeze(np.expand_dims(x, 1), axis=1),
    lambda n, x: np.swapaxes(x, 0, 1), lambda n, x: np.moveaxis(x, 0, -1),
    lambda n, x: np.broadcast_to(x, (2, 2, 3)), lambda n, x: np.broadcast_to(x, shape=(2, 2, 3)),
    lambda n, x: np.flip(x), lambda n, x: np.flip(x, 1),
    lambda n, x: np.roll(x, 1, axis=1), lambda n, x: np.roll(x, 1), lambda n, x: np.tile(x, 2),
    lambda n, x: np.repeat(x, 2), lambda n, x: np.repeat(x, 2, axis=0),
    lambda n, x: np.concatenate([x, x], axis=1), lambda n, x: np.concatenate((x, A), axis=None),
    lambda n, x: np.stack([x, A], axis=1), lambda n, x: np.copy(x),
    lambda n, x: np.where(A > 0, x, 0.0), lambda n, x: np.where(A > 0, 1.0, x),
    lambda n, x: np.clip(x, -1, 1), lambda n, x: np.clip(x, None, A * 0.5),
    lambda n, x: np.sort(x), lambda n, x: np.sort(x, axis=None), lambda n, x: np.sort(x, axis=0),
    lambda n, x: np.take_along_axis(x, n(I), axis=1), lambda n, x: np.dot(x, A.T),
    lambda n, x: np.dot(x, np.array([1.0, 2.0, 3.0])), lambda n, x: np.outer(x, A[0]),
    lambda n, x: np.trace(x), lambda n, x: np.diag(x), lambda n, x: np.tril(x),
    lambda n, x: np.triu(x, 1), lambda n, x: np.exp(x), lambda n, x: np.matmul(x, A.T),
]


@pytest.mark.parametrize("i", range(len(CALLS)))
def test_numpys_functions_have_its_meaning_and_are_recorded(i):
    x = mg.tensor(A, requires_grad=True)
    result = CALLS[i](mg.tensor, x)
    assert isinstance(result, mg.Tensor) and result.grad_fn is not None
    want = CALLS[i](np.asarray, A)
    np.testing.assert_allclose(result.detach().numpy(), want, rtol=1e-12)
    assert result.shape == np.shape(want) and result.dtype == np.asarray(want).dtype
    result.sum().backward()
    assert x.grad.shape == A.shape


@pytest.mark.parametrize("call", [
    lambda x: np.argmax(x), lambda x: np.argmin(x, axis=1), lambda x: np.argsort(x),
    lambda x: np.argsort(x, axis=None), lambda x: np.any(x > 1, axis=0), lambda x: np.all(x > -3),
    lambda x: np.round(x), lambda x: np.around(x, 1), lambda x: np.zeros_like(x),
    lambda x: np.ones_like(x), lambda x: np.full_like(x, 2.5), lambda x: np.where(x > 0),
    lambda x: np.shape(x), lambda x: np.ndim(x), lambda x: np.size(x), lambda x: np.size(x, 0),
    lambda x: np.median(x), lambda x: np.allclose(x, A), lambda x: np.array_equal(x, A),
    lambda x: np.result_type(x), lambda x: np.vstack([x, x]), lambda x: np.percentile(x, 30),
    lambda x: np.empty_like(x) * 0 + 1,
])
def test_numpys_other_functions_give_what_they_give_for_arrays(call):
    result, want = call(mg.tensor(A)), call(A)
    assert np.shape(result) == np.shape(want)
    np.testing.assert_array_equal(np.asarray(result) if np.ndim(want) else result, want)


def test_every_function_of_the_table_is_tried():
    here = Path(__file__).read_text(encoding="utf-8")
    for function in FUNCTIONS:
        name = numpys_name(function)
        assert f"{name}(" in here, name


@pytest.mark.parametrize("call, error, said", [
    (lambda x: np.percentile(x, 3), ValueError, "np.percentile would lose its history"),
    (lambda x: np.vstack([np.ones((1, 3)), x]), ValueError, "np.vstack: this tensor requires grad"),
    (lambda x: np.linalg.det(x @ x.T), ValueError, "np.linalg.det: this tensor requires grad"),
    (lambda x: np.copyto(x, 1), TypeError, "np.copyto: NumPy may not write into a Tensor"),
    (lambda x: np.put(x.detach(), 0, 1), TypeError, "may not write into a Tensor"),
    (lambda x: np.cumprod(A, out=x), TypeError, "may not write into a Tensor"),
    (lambda x: np.sum(x, out=np.zeros(())), TypeError, "np.sum: .* without out="),
    (lambda x: np.mean(x, where=A > 0), TypeError, "np.mean: .* without where="),
    (lambda x: np.std(x, dtype=float), TypeError, "^np.std: .* without dtype="),
    (lambda x: np.reshape(x, 6, order="F"), ValueError, "row-major"),
    (lambda x: np.squeeze(x, axis=0), ValueError, "only a size of 1"),
    (lambda x: np.linalg.norm(x, "nuc"), ValueError, "norms of matrices"),
])
def test_no_gradient_is_lost_and_nothing_is_written_in_silence(call, error, said):
    x = mg.tensor(A, requires_grad=True)
    with pytest.raises(error, match=said):
        call(x)
    np.testing.assert_array_equal(x.detach().numpy(), A)


def test_no_axis_at_all_is_not_taken_for_every_axis():
    x = mg.ones(2, 3)
    for function in (np.sum, np.mean, np.prod, np.std, np.var, np.max, np.min):
        with pytest.raises(ValueError, match="axis=.. leaves every element to itself"):
            function(x, axis=())
    assert np.all(x, axis=()).shape == (2, 3)


def test_ufuncs_that_are_no_operation_take_arrays_unless_a_gradient_would_be_lost() -> None:
    x = mg.tensor([0.5, 1.5, -2.5])
    a = x.numpy()
    for of_x, of_a in [(np.rint(x), np.rint(a)), (np.fmod(x, 2), np.fmod(a, 2)),
                       (np.hypot(a, x), np.hypot(a, a)), (np.add.reduce(x), np.add.reduce(a)),
                       (np.multiply.outer(x, x), np.multiply.outer(a, a)),
                       (np.exp(x, where=x > 0, out=np.zeros(3, np.float32)),
                        np.exp(a, where=a > 0, out=np.zeros(3, np.float32)))]:
        assert not isinstance(of_x, mg.Tensor)
        np.testing.assert_array_equal(of_x, of_a)
    total = np.ones(3, np.float32)
    total += x
    np.testing.assert_array_equal(total, 1 + a)
    x.requires_grad = True
    with pytest.raises(ValueError, match="np.rint: this tensor requires grad"):
        np.rint(x)
    with pytest.raises(ValueError, match="np.add.reduce: this tensor requires grad"):
        np.add.reduce(x)
    with pytest.raises(ValueError, match="np.add: this tensor requires grad"):
        total += x
    with pytest.raises(TypeError, match="np.add: NumPy may not write into a Tensor"):
        np.add(a, 1, out=x)


# torch's names of sizes, and options that are not there
@pytest.mark.parametrize(("name", "keyword", "value"), [
    ("reshape", "shape", (3, 2)), ("view", "size", (6,)), ("expand", "size", (2, 2, 3)),
    ("permute", "dims", (1, 0)), ("flip", "dims", (0,)), ("flip", "dims", ()),
    ("repeat", "repeats", (2, 1)), ("tile", "dims", (2,))])
def test_sizes_may_be_given_by_torchs_name_of_them(name, keyword, value):
    x = mg.arange(6.0).reshape(2, 3)
    method = getattr(x, name)
    np.testing.assert_array_equal(method(**{keyword: value}).numpy(), method(value).numpy())
    with pytest.raises(TypeError, match=rf"^{name}: got both \(1,\) and {keyword}=.*; say one"):
        method(1, **{keyword: value})
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'foo'"):
        method(foo=1)


@pytest.mark.parametrize(("call", "option"), [
    (lambda x: np.argsort(x, kind="stable"), "kind"), (lambda x: np.ravel(x, order="F"), "order"),
    (lambda x: np.trace(x, offset=1), "offset")])
def test_an_option_of_numpys_function_that_is_not_there_is_named(call, option):
    with pytest.raises(TypeError, match=rf"^np\.\w+: a Tensor is computed without {option}="):
        call(mg.ones(2, 2))


def test_ufuncs_that_are_operations_under_another_name_are_recorded():
    x = mg.tensor([0.5, -2.0], requires_grad=True)
    assert np.reciprocal(x).grad_fn.name == "reciprocal" and np.fabs(x).grad_fn.name == "abs"
    assert np.positive(x) is x
