"""matmul, linear, the activations and softmax: ranks, large products, edges, and what they refuse.

Values against references and derivatives of both orders are in test_ops.py, torch's numbers in
test_parity.py, the products' kernels in tests/kernels/matmul/.
"""
import math
import re
import warnings

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.autograd.engine import shares_memory

rng = np.random.default_rng(5)


def tensor(*shape, requires_grad=False, dtype=np.float64):
    return mg.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=requires_grad)


def raises(kind, *parts):
    """pytest.raises for a message that holds all the parts, in this order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(re.escape(p) for p in parts))


# --- products ------------------------------------------------------------------------------------

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
        with raises(ValueError, function.__name__, f"must have {good} dimension", "matmul"):
            function(x, mg.zeros(*[3] * bad))
    with raises(ValueError, "bmm: input has 2 matrices, mat2 3"):
        mg.bmm(mg.zeros(2, 3, 3), mg.zeros(3, 3, 3))


def test_linear_does_the_arithmetic():
    w = mg.zeros(10, 1568)
    with raises(ValueError, "in_features=1568", "got 1600", "set in_features=1600"):
        F.linear(mg.zeros(64, 1600), w)
    with raises(ValueError, "got 7", "32 x 7 x 7 = 1568", "x.flatten(1)"):
        F.linear(mg.zeros(64, 32, 7, 7), w)
    assert F.linear(mg.zeros(64, 32, 7, 7).flatten(1), w).shape == (64, 10)
    with raises(ValueError, "transposed", "weight.T"):
        F.linear(mg.zeros(4, 5), mg.zeros(5, 3))
    with raises(ValueError, "bias must have shape (10,)", "got (1,)"):
        F.linear(mg.zeros(4, 1568), w, mg.zeros(1))
    with raises(ValueError, "2 dimensions (out_features, in_features), got shape (3,)"):
        F.linear(mg.zeros(4, 3), mg.zeros(3))
    with raises(ValueError, "single number"):
        F.linear(mg.tensor(1.0), mg.zeros(3, 3))
    with raises(TypeError, "input float64, weight float32", "x.to(minigrad.float32)"):
        F.linear(mg.zeros(4, 1568, dtype=mg.float64), w)
    with raises(TypeError, "input int64"):
        F.linear(mg.zeros(4, 3, dtype=mg.int64), mg.zeros(2, 3, dtype=mg.int64))


# --- activations ---------------------------------------------------------------------------------

ACTIVATIONS = [F.relu, F.leaky_relu, F.hardtanh, F.relu6, F.tanh, F.sigmoid, F.logsigmoid,
               F.softplus, F.elu, F.silu, F.gelu, mg.erf, lambda x: F.gelu(x, approximate="tanh")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", ACTIVATIONS)
def test_extreme_numbers_give_no_nan_and_no_warning(function, dtype):
    x = mg.tensor(np.array([-1e4, -800, -90, -1e-30, 0, 1e-30, 90, 800, 1e4], dtype),
                  requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = function(x)
        g, = mg.grad(y.sum(), x, create_graph=True)
        h, = mg.grad(g.sum(), x) if g.requires_grad else (x,)    # relu's slope is constant
    assert y.dtype == g.dtype == dtype
    assert np.isfinite(y.array).all() and np.isfinite(g.array).all()
    assert np.isfinite(h.array).all()


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_nan_passes(function):
    assert np.isnan(function(mg.tensor([np.nan, 1.0])).array[0])


def test_slopes_at_the_kink_are_those_of_torch():
    for function, slope in ((F.relu, 0.0), (F.leaky_relu, 0.01), (F.elu, 1.0),
                            (lambda x: F.elu(x, 0.5), 0.5), (lambda x: F.relu6(x + 6.0), 0.0)):
        x = mg.tensor(0.0, requires_grad=True)
        function(x).backward()
        assert x.grad.item() == pytest.approx(slope, rel=1e-7)


def test_sigmoid_keeps_its_digits_on_both_sides():
    x = mg.tensor(np.array([-40.0, -700.0, 40.0]))
    np.testing.assert_allclose(F.sigmoid(x).array, [math.exp(-40), math.exp(-700), 1], rtol=1e-14)
    np.testing.assert_allclose(F.logsigmoid(-x).array, [-math.exp(-40), 0, -40], rtol=1e-14,
                               atol=1e-300)


def test_erf_is_that_of_the_c_library():
    x = np.linspace(-7, 7, 3001)
    want = [math.erf(v) for v in x]
    np.testing.assert_allclose(mg.erf(mg.tensor(x)).array, want, rtol=4e-16)
    single = mg.erf(mg.tensor(x.astype(np.float32)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.array, want, rtol=3e-7)
    assert mg.erf(mg.tensor(2)).item() == pytest.approx(math.erf(2), rel=1e-6)


def test_gelu_refuses():
    with raises(ValueError, "approximate must be 'none' or 'tanh', got 'fast'"):
        F.gelu(mg.zeros(2), approximate="fast")


# --- softmax -------------------------------------------------------------------------------------

@pytest.mark.parametrize("function", [F.softmax, F.log_softmax], ids=lambda f: f.__name__)
def test_softmax_wants_to_know_along_what(function):
    with raises(ValueError, function.__name__, "dim is required", "(4, 3)", "dim=-1", "dim=1"):
        function(mg.zeros(4, 3), None)
    with raises(ValueError, "say dim=0"):
        function(mg.zeros(4), None)
    with raises(ValueError, function.__name__, "dim is required", "(4, 3)"):
        function(mg.zeros(4, 3))
    with raises(ValueError, function.__name__, "dim=2 does not exist", "-2 to 1"):
        function(mg.zeros(4, 3), 2)
    with raises(TypeError, "want a floating tensor, got int64", "x.float()"):
        function(mg.zeros(4, 3, dtype=mg.int64), 1)


@pytest.mark.parametrize("dim", [0, 1, -1, (0, 2), (1, 2), (0, 1, 2)])
def test_the_softmax_family_agrees_with_itself(dim):
    x = tensor(2, 3, 4, requires_grad=True)
    p, log_p = F.softmax(x, dim), F.log_softmax(x, dim)
    np.testing.assert_allclose(p.array.sum(dim), 1.0, rtol=1e-14)
    np.testing.assert_allclose(np.log(p.array), log_p.array, rtol=1e-12, atol=1e-13)
    z = mg.logsumexp(x, dim, keepdim=True)
    np.testing.assert_allclose((x - z).array, log_p.array, rtol=1e-12, atol=1e-13)
    g, = mg.grad(mg.logsumexp(x, dim).sum(), x)
    np.testing.assert_allclose(g.array, p.array, rtol=1e-12)
    assert not shares_memory(p.array)


def test_logsumexp_of_everything_and_of_a_number():
    x = tensor(2, 3)
    np.testing.assert_allclose(mg.logsumexp(x, None).item(), np.log(np.exp(x.array).sum()))
    one = mg.tensor(2.5, requires_grad=True)
    y = mg.logsumexp(one, 0)
    y.backward()
    assert y.item() == 2.5 and one.grad.item() == 1.0 and F.softmax(one, 0).item() == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_10_000(dtype):
    x = mg.tensor(np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4 + 1]], dtype), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (F.softmax(x, 1), F.log_softmax(x, 1), mg.logsumexp(x, 1)):
            g, = mg.grad((y * y).sum(), x)
            assert np.isfinite(y.array).all() and np.isfinite(g.array).all()
    np.testing.assert_array_equal(F.softmax(x, 1).array[0], [1, 0, 0])
    np.testing.assert_array_equal(F.log_softmax(x, 1).array[0], [0, -2e4, -1e4])
