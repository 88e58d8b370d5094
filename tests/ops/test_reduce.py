"""Reductions beyond their samples: dtypes, ties, zeros, digits, words of errors."""
import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad, gradcheck, gradgradcheck
from minigrad.ops import vector_norm


def leaf(*size, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(size), requires_grad=True)


def test_dtypes_of_sums():
    assert mg.ones(3, dtype="uint8").sum().dtype == np.int64
    assert (mg.ones(3) > 0).sum().dtype == np.int64
    assert mg.ones(3, dtype="float16").sum().dtype == np.float16
    x = mg.ones(3, requires_grad=True)
    y = x.sum(dtype="float64")
    assert y.dtype == np.float64
    assert grad(y, x)[0].dtype == np.float32
    assert mg.arange(3).mean(dtype="float32").item() == 1.0
    assert mg.arange(4).sum(dim=()).shape == ()


def test_ties_share_the_gradient_of_all_and_the_first_gets_that_of_a_dimension():
    x = Tensor([[1.0, 3.0, 3.0], [3.0, 0.0, 2.0]], requires_grad=True)
    for f in (lambda x: x.max(), lambda x: x.amax(), lambda x: -(-x).min(), lambda x: -(-x).amin()):
        np.testing.assert_allclose(grad(f(x), x)[0].array, [[0, 1 / 3, 1 / 3], [1 / 3, 0, 0]])
    np.testing.assert_allclose(grad(x.amax(1).sum(), x)[0].array, [[0, 0.5, 0.5], [1, 0, 0]])
    values, indices = x.max(1)
    np.testing.assert_array_equal(indices.array, [1, 0])
    np.testing.assert_array_equal(grad(values.sum(), x)[0].array, [[0, 1, 0], [1, 0, 0]])
    best = x.max(dim=1, keepdim=True)
    assert best.values.shape == best.indices.shape == (2, 1)
    np.testing.assert_array_equal(x.max(mg.tensor(2.5)).array, np.maximum(x.array, 2.5))


def test_not_a_number_is_the_extreme_and_gets_its_gradient():
    x = Tensor([1.0, math.nan, 2.0], requires_grad=True)
    y = x.max()
    assert math.isnan(y.item())
    np.testing.assert_array_equal(grad(y, x)[0].array, [0, 1, 0])
    assert x.argmax().item() == 1


@pytest.mark.parametrize("zeros", [[], [1], [1, 3]])
def test_prod_has_the_right_derivatives_at_zeros(zeros):
    x = leaf(5)
    x.array[zeros] = 0.0
    assert gradcheck(lambda x: x.prod(), [x])
    assert gradgradcheck(lambda x: x.prod(), [x])
    assert gradgradcheck(lambda x: grad(x.prod(), x, create_graph=True)[0], [x])    # the third


@pytest.mark.parametrize("f", [lambda x: x.norm(), lambda x: x.norm(3),
                               lambda x: x.norm(1, 0).sum(), lambda x: x.std(),
                               lambda x: x.std(0).sum()])
def test_gradients_are_zero_where_norm_or_deviation_is(f):
    x = mg.zeros(3, 2, requires_grad=True)
    np.testing.assert_array_equal(grad(f(x), x)[0].array, np.zeros((3, 2)))


def test_var_takes_all_its_spellings():
    x = leaf(3, 4)
    for y, ddof, axis in ((x.var(), 1, None), (x.var(0), 1, 0), (x.var(False), 0, None),
                          (x.var(1, False), 0, 1), (x.var(unbiased=False), 0, None),
                          (x.var(1, correction=2), 2, 1), (x.var(dim=(0, 1)), 1, None)):
        np.testing.assert_allclose(y.array, x.array.var(axis, ddof=ddof))


def test_a_long_float32_mean_is_exact_enough():
    x = mg.full((1_000_000,), 0.1)
    assert abs(x.mean().item() - 0.1) < 1e-7


@pytest.mark.parametrize("call, error, message", [
    (lambda x: x.sum(3), ValueError,
     r"sum: dim=3 does not exist: the tensor has 3 dimensions, so dim "
                                     r"must be from -3 to 2"),
    (lambda x: x.sum((0, -3)), ValueError, r"dim=\(0, -3\) names a dimension twice"),
    (lambda x: x.sum("a"), TypeError, r"sum: dim must be an integer, got 'a'"),
    (lambda x: x.long().mean(), TypeError,
     r"mean: want a floating tensor, got int64.*x.float\(\).mean"),
    (lambda x: x.long().var(), TypeError, r"var: want a floating tensor"),
    (lambda x: x[:1].var(0), ValueError,
     r"var: 1 elements less correction 1 leave 0 degrees of freedom.*correction=0"),
    (lambda x: x[:0].max(), ValueError, r"amax: a tensor of shape \(0, 3, 4\) has no elements"),
    (lambda x: x[:0].argmax(0), ValueError, r"argmax: .* no elements along dim \(0,\)"),
    (lambda x: x.max((0, 1)), ValueError, r"max: want one dim, got \(0, 1\).*use amax"),
    (lambda x: x.min(keepdim=True), ValueError, r"min: keepdim=True needs a dim.*amin"),
    (lambda x: x.norm(-1), ValueError, r"norm: p must be .* got -1"),
    (lambda x: x.norm("nuc"), ValueError, r"got 'nuc'"),
    (lambda x: x.long().norm(), TypeError, r"norm: want a floating input, got int64"),
    (lambda x: vector_norm.vector_norm(x, math.inf), ValueError, r"0 < ord < inf.*use norm"),
    (lambda x: x.cumsum(4), ValueError, r"cumsum: dim=4 does not exist"),
    (lambda x: x.prod(4), ValueError, r"prod: dim=4 does not exist"),
])
def test_errors_of_reductions(call, error, message):
    with pytest.raises(error, match=message):
        call(mg.zeros(2, 3, 4))


@pytest.mark.parametrize("shape, dim", [((100_000, 2), 0), ((2, 100_000), 1), ((40_007,), None),
                                        ((3, 20_000, 2), 1), ((300, 3, 300), (0, 2)),
                                        ((50, 60, 70), (1, 2)), ((50, 60, 70), (0, 1))])
def test_sums_in_float32_lose_no_digits(shape, dim):
    a = np.full(shape, 0.1, np.float32)
    for x in (Tensor(a), Tensor(np.asfortranarray(a))):
        for keepdim in (False, True):
            want = a.astype(np.float64)
            np.testing.assert_allclose(x.sum(dim, keepdim).numpy(),
                                       want.sum(dim, keepdims=keepdim), rtol=3e-6)
            np.testing.assert_allclose(x.mean(dim, keepdim).numpy(),
                                       want.mean(dim, keepdims=keepdim), rtol=3e-6)
        assert float(x.var(dim).max()) < 1e-9


def test_a_mean_in_float16_does_not_overflow():
    assert mg.full((5000,), 100.0, dtype="float16").mean().item() == 100.0


def test_allclose_and_equal_are_bools():
    x = mg.tensor([1.0, 2.0])
    assert mg.allclose(x, x + 1e-7) is True and mg.equal(x, x + 0.5) is False
    assert mg.equal(x, mg.tensor([1.0, 2.0])) and not mg.equal(x, mg.tensor([[1.0, 2.0]]))
