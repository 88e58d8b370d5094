"""Activations and the softmax family: extreme numbers, kinks, digits, what they refuse.

Values against references and derivatives of both orders are in test_ops.py, torch's numbers in
test_parity.py.
"""
import math
import re
import warnings

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
    with raises(TypeError, "want a floating input, got int64", "input.float()"):
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
