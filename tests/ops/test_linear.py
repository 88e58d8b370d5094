"""matmul and linear: ranks, large products, edges, and what they refuse.

Values against references and derivatives of both orders are in test_ops.py, torch's numbers in
test_parity.py, the products' kernels in tests/kernels/matmul/.
"""
import re

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.autograd.accumulate import shares_memory

rng = np.random.default_rng(5)


def tensor(*shape, requires_grad=False, dtype=np.float64):
    return mg.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=requires_grad)


def raises(kind, *parts):
    """pytest.raises for a message that holds all the parts, in this order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(re.escape(p) for p in parts))


# Sizes on both sides of every decision of kernels/matmul/: NumPy, few rows, tiles.
SIZES = [(4, 1, 1), (1, 700, 90), (3, 700, 90), (64, 300, 70), (200, 3, 200), (90, 257, 2)]


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("m, k, n", SIZES)
@pytest.mark.parametrize("lead", [(), (2,)])
def test_linear_and_its_gradients_at_all_sizes(m, k, n, lead, dtype, rtol):
    x, w, b = (tensor(*s, requires_grad=True, dtype=dtype) for s in ((*lead, m, k), (n, k), (n,)))
    y = F.linear(x, w, b)
    assert not shares_memory(y.array)              # so that it can be changed in place
    g = tensor(*y.shape, dtype=dtype)
    gx, gw, gb = mg.grad(y, (x, w, b), g)
    x2, w2, b2, g2 = (t.array.astype(np.float64) for t in (x, w, b, g))
    flat = g2.reshape(-1, n)
    for got, want in ((y, x2 @ w2.T + b2), (gx, g2 @ w2), (gw, flat.T @ x2.reshape(-1, k)),
                      (gb, flat.sum(0))):
        assert got.dtype == dtype
        np.testing.assert_allclose(got.array, want, rtol=0, atol=rtol * np.abs(want).max())


@pytest.mark.parametrize("m, k, n", SIZES)
def test_matmul_of_any_memory_order(m, k, n):
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    want = np.einsum("mk,kn->mn", a, b)
    for left in (a, np.asfortranarray(a), np.repeat(a, 2, 1)[:, ::2]):
        for right in (b, np.asfortranarray(b), b[::-1][::-1]):
            np.testing.assert_allclose(mg.matmul(left, right), want, rtol=1e-10, atol=1e-11)


def test_a_batch_times_one_matrix_is_one_product():
    a, b = tensor(3, 40, 60, requires_grad=True), tensor(60, 50, requires_grad=True)
    y = a @ b
    g = tensor(3, 40, 50)
    ga, gb = mg.grad(y, (a, b), g)
    np.testing.assert_allclose(y.array, np.matmul(a.array, b.array), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(ga.array, np.einsum("bnm,km->bnk", g.array, b.array), rtol=1e-10,
                               atol=1e-11)
    np.testing.assert_allclose(gb.array, np.einsum("bnk,bnm->km", a.array, g.array), rtol=1e-10,
                               atol=1e-11)


def test_matmul_says_which_sizes_differ():
    with raises(ValueError, "(2, 3) @ (4, 3)", "last dimension of input (3)",
                "second-last dimension of other (4)", "other.mT, of shape (3, 4), would fit"):
        mg.zeros(2, 3) @ mg.zeros(4, 3)
    with raises(ValueError, "input.mT, of shape (2, 3), would fit"):
        mg.zeros(3, 2) @ mg.zeros(3, 5)
    with raises(ValueError, "only dimension of other (4)"):
        mg.zeros(2, 3) @ mg.zeros(4)
    with raises(ValueError, "batch dimensions (2,)", "(3,)", "do not broadcast"):
        mg.zeros(2, 4, 5) @ mg.zeros(3, 5, 4)
    with raises(ValueError, "other is a single number", "x * y"):
        mg.matmul(mg.zeros(2, 3), mg.tensor(2.0))


def test_large_products_that_do_not_fit_are_refused_too():
    """They would go to a kernel, which checks nothing."""
    with raises(ValueError, "last dimension of input (200)", "(300)"):
        mg.zeros(100, 200) @ mg.zeros(300, 100)


def test_large_products_of_integers_and_mixed_dtypes():
    a, b = rng.integers(9, size=(60, 50)), rng.integers(9, size=(50, 40))
    product = mg.matmul(mg.tensor(a), mg.tensor(b))
    assert product.dtype == np.int64
    np.testing.assert_array_equal(product.array, a @ b)
    mixed = mg.matmul(mg.tensor(a.astype(np.float32)), mg.tensor(b.astype(np.float64)))
    assert mixed.dtype == np.float64
    np.testing.assert_array_equal(mixed.array, a @ b)


def test_products_of_fixed_ranks():
    for function, good, bad in ((mg.mm, 2, 3), (mg.bmm, 3, 2), (mg.dot, 1, 2), (mg.outer, 1, 2)):
        x = tensor(*[3] * good)
        assert function(x, x).ndim == {mg.mm: 2, mg.bmm: 3, mg.dot: 0, mg.outer: 2}[function]
        with raises(ValueError, function.__name__, "want ", "matmul takes any ranks"):
            function(x, mg.zeros(*[3] * bad))
    with raises(ValueError, "bmm: input (2, 3, 3) is (B, N, K), so B = 2; mat2 (3, 3, 3)",
                "so B = 3", "matmul"):
        mg.bmm(mg.zeros(2, 3, 3), mg.zeros(3, 3, 3))


def test_linear_does_the_arithmetic():
    w = mg.zeros(10, 1568)
    with raises(ValueError, "so in_features = 1600; weight",
                "so in_features = 1568: set in_features=1600"):
        F.linear(mg.zeros(64, 1600), w)
    with raises(ValueError, "in_features = 7", "32 x 7 x 7 = 1568", "x.flatten(1)"):
        F.linear(mg.zeros(64, 32, 7, 7), w)
    assert F.linear(mg.zeros(64, 32, 7, 7).flatten(1), w).shape == (64, 10)
    with raises(ValueError, "transposed", "weight.T"):
        F.linear(mg.zeros(4, 5), mg.zeros(5, 3))
    with raises(ValueError, "bias (1,) is (out_features,), so out_features = 1; want bias (10,)"):
        F.linear(mg.zeros(4, 1568), w, mg.zeros(1))
    with raises(ValueError, "want weight (out_features, in_features), got (3,)"):
        F.linear(mg.zeros(4, 3), mg.zeros(3))
    with raises(ValueError, "single number"):
        F.linear(mg.tensor(1.0), mg.zeros(3, 3))
    with raises(TypeError, "input float64, weight float32", "input.to(minigrad.float32)"):
        F.linear(mg.zeros(4, 1568, dtype=mg.float64), w)
    with raises(TypeError, "input int64"):
        F.linear(mg.zeros(4, 3, dtype=mg.int64), mg.zeros(2, 3, dtype=mg.int64))
