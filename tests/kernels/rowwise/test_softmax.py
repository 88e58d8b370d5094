"""The softmax and cross-entropy kernels against their references; the accuracy of exp."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_testing import DTYPES, PLAIN, examples

from minigrad import tuning
from minigrad.kernels.rowwise import softmax_rows
from minigrad.kernels.simd.math import exp, from_order_key, order_key
from minigrad.kernels.rowwise.softmax import (
    cross_entropy, cross_entropy_grad, cross_entropy_grad_reference, cross_entropy_reference,
    log_softmax, log_softmax_grad, log_softmax_grad_reference, log_softmax_reference, logsumexp,
    logsumexp_reference, softmax, softmax_grad, softmax_grad_reference, softmax_reference,
)
from minigrad.kernels.parallel.threads import set_num_threads

pytestmark = pytest.mark.usefixtures("quiet")
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
deterministic = examples(60, plain=20)
SHAPES = st.tuples(st.integers(0, 7), st.integers(0, 20 if PLAIN else 70))
SCALES = st.sampled_from([0.1, 3.0, 100.0, 1e4])


def draw(shape, dtype, scale=3.0, seed=0):
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * scale).astype(dtype)


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def assert_close(got, want, dtype, scale=1.0):
    assert got.dtype == dtype
    assert got.shape == want.shape
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", DTYPES)
@deterministic
@given(shape=SHAPES, scale=SCALES)
def test_forward_equals_the_references(shape, scale, dtype):
    x = draw(shape, dtype, scale)
    true = x.astype(np.float64)
    assert_close(softmax(x), softmax_reference(true), dtype)
    assert_close(log_softmax(x), log_softmax_reference(true), dtype)
    assert_close(logsumexp(x), logsumexp_reference(true), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@deterministic
@given(shape=SHAPES, scale=SCALES)
def test_gradients_equal_the_references(shape, scale, dtype):
    x = draw(shape, dtype, scale)
    g = draw(shape, dtype, 1.0, seed=1)
    y = softmax(x)
    assert_close(softmax_grad(g, y), softmax_grad_reference(*wide(g, y)), dtype)
    log_y = log_softmax(x)
    want = log_softmax_grad_reference(*wide(g, log_y))
    assert_close(log_softmax_grad(g, log_y), want, dtype, scale=1 + np.abs(g).sum())


@pytest.mark.parametrize("dtype", DTYPES)
@deterministic
@given(
    shape=st.tuples(st.integers(0, 7), st.integers(1, 20 if PLAIN else 70)),
    scale=SCALES,
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    ignore_index=st.sampled_from([-100, 0, 2]),
    weighted=st.booleans(),
)
def test_cross_entropy_equals_the_reference(shape, scale, smoothing, ignore_index, weighted, dtype):
    rows, classes = shape
    rng = np.random.default_rng([7, *shape])
    x = draw(shape, dtype, scale)
    target = rng.integers(0, classes, rows)
    target[rng.random(rows) < 0.2] = ignore_index
    target[(target < 0) & (target != ignore_index)] = 0
    if ignore_index >= classes:
        target[target == ignore_index] = 0
    weight = rng.uniform(0, 2, classes).astype(dtype) if weighted else None
    true_weight = np.ones(classes) if weight is None else weight.astype(np.float64)
    g = rng.standard_normal(rows).astype(dtype)
    true = x.astype(np.float64)
    options = (ignore_index, smoothing)

    loss, log_z = cross_entropy(x, target, weight, *options)
    want, want_log_z = cross_entropy_reference(true, target, true_weight, *options)
    # The smoothed loss adds K gaps of about `scale`, each rounded.
    assert_close(loss, want, dtype, scale=1 + smoothing * scale)
    assert log_z.dtype == np.float64
    np.testing.assert_allclose(log_z, want_log_z, rtol=TOLERANCE[dtype])

    gx = cross_entropy_grad(g, x, log_z, target, weight, *options)
    want_gx = cross_entropy_grad_reference(g, true, target, true_weight, *options)
    # log Z itself is rounded: at 10,000 that is 1e-12 of every probability in float64.
    assert_close(gx, want_gx, dtype, scale=2 + np.finfo(np.float64).eps * scale / 1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_longer_than_a_block_of_the_sum(dtype):
    """Sums go in blocks of 512: lengths at and around the seams."""
    for columns in (511, 512, 513, 1100):
        x = draw((2, columns), dtype)
        g = draw((2, columns), dtype, 1.0, seed=1)
        y, log_y = softmax(x), log_softmax(x)
        assert_close(y, softmax_reference(x.astype(np.float64)), dtype)
        assert_close(log_y, log_softmax_reference(x.astype(np.float64)), dtype)
        assert_close(logsumexp(x), logsumexp_reference(x.astype(np.float64)), dtype)
        assert_close(softmax_grad(g, y), softmax_grad_reference(*wide(g, y)), dtype)
        want = log_softmax_grad_reference(*wide(g, log_y))
        assert_close(log_softmax_grad(g, log_y), want, dtype, scale=1 + np.abs(want).max())
        target = np.array([0, columns - 1])
        options = (np.ones(columns), -100, 0.3)
        loss, _ = cross_entropy(x, target, None, *options[1:])
        want, _ = cross_entropy_reference(x.astype(np.float64), target, *options)
        assert_close(loss, want, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_of_ten_thousand(dtype):
    x = np.array([[1e4, 1e4 - 1, -1e4], [-1e4, -1e4, -1e4], [0, 1e4, -1e4]], dtype)
    true = x.astype(np.float64)
    assert_close(softmax(x), softmax_reference(true), dtype)
    assert_close(log_softmax(x), log_softmax_reference(true), dtype)
    assert_close(logsumexp(x), logsumexp_reference(true), dtype)
    target = np.array([1, 2, 0])
    loss, log_z = cross_entropy(x, target)
    assert_close(loss, np.array([np.log1p(np.e), np.log(3), 1e4]), dtype)
    p = softmax_reference(true)
    p[np.arange(3), target] -= 1
    gx = cross_entropy_grad(np.ones(3, dtype), x, log_z, target)
    # A float32 log Z near 10,000 is a multiple of 0.001: every probability would be that far off.
    np.testing.assert_allclose(gx, p, rtol=4e-12 if dtype == np.float64 else 2e-6, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_logits_and_nan(dtype):
    inf, nan = np.inf, np.nan
    masked = np.array([[-inf, 0, -inf, 0]], dtype)
    np.testing.assert_array_equal(softmax(masked), np.array([[0, 0.5, 0, 0.5]], dtype))
    assert_close(log_softmax(masked), np.log(np.array([[0, 0.5, 0, 0.5]])), dtype)
    assert_close(logsumexp(masked), np.log(np.array([2.0])), dtype)

    nothing = np.full((1, 3), -inf, dtype)
    assert np.isnan(softmax(nothing)).all()
    assert np.isnan(log_softmax(nothing)).all()
    assert logsumexp(nothing)[0] == -inf
    assert logsumexp(np.empty((1, 0), dtype))[0] == -inf

    assert logsumexp(np.array([[0, inf, 1]], dtype))[0] == inf
    assert np.isnan(softmax(np.array([[0, inf, 1]], dtype))).all()

    for bad in (nan, -nan):  # NaN of either sign, first, in the middle, last, beside inf
        for row in ([bad, 0, 1], [0, bad, 1], [0, 1, bad], [inf, bad, 0], [-inf, bad, -inf]):
            x = np.array([row, [0, 1, 2]], dtype)
            for f in (softmax, log_softmax, logsumexp):
                y = f(x)
                assert np.isnan(y[0]).all(), (f.__name__, row)
                assert np.isfinite(y[1]).all()
            loss, log_z = cross_entropy(x, np.array([0, 0]))
            assert np.isnan(loss[0])
            assert np.isfinite(loss[1])
            gx = cross_entropy_grad(np.ones(2, dtype), x, log_z, np.array([0, 0]))
            assert np.isnan(gx[0]).all()
            assert np.isfinite(gx[1]).all()
    g = np.array([[0, nan, 0]], dtype)
    assert np.isnan(softmax_grad(g, softmax(np.zeros((1, 3), dtype)))).all()
    assert np.isnan(log_softmax_grad(g, log_softmax(np.zeros((1, 3), dtype)))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_beside_masked_classes_and_ignored_rows(dtype):
    x = np.array([[0, -np.inf, 1], [np.nan, 0, 0], [0, -np.inf, 1]], dtype)
    target = np.array([2, 9, 1])
    loss, log_z = cross_entropy(x, target, ignore_index=9)
    assert_close(loss[:1], np.log1p(np.exp([-1.0])), dtype)
    assert loss[1] == 0  # ignored, whatever is in it
    assert loss[2] == np.inf  # an impossible class
    gx = cross_entropy_grad(np.ones(3, dtype), x, log_z, target, ignore_index=9)
    p = 1 / (1 + np.e)
    assert_close(gx[:1], np.array([[p, 0, -p]]), dtype)
    assert (gx[1] == 0).all()
    assert gx[2, 1] == -1


def central(f, x, direction, step=1e-6):
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


def test_gradients_are_the_derivatives():
    x = draw((5, 6), np.float64, 2.0)
    rng = np.random.default_rng(3)
    g, tangent = rng.standard_normal((2, 5, 6))
    target = np.array([0, 5, 3, 1, 2])
    weight = rng.uniform(0.5, 2, 6)
    row = rng.standard_normal(5)
    options = (target, weight, 3, 0.2)
    log_z = cross_entropy(x, *options)[1]
    cases = {
        "softmax": (lambda a: (g * softmax(a)).sum(), softmax_grad(g, softmax(x))),
        "log_softmax": (
            lambda a: (g * log_softmax(a)).sum(),
            log_softmax_grad(g, log_softmax(x)),
        ),
        "cross_entropy": (
            lambda a: (row * cross_entropy(a, *options)[0]).sum(),
            cross_entropy_grad(row, x, log_z, *options),
        ),
    }
    for name, (f, gx) in cases.items():
        expected = central(f, x, tangent)
        assert abs(expected) > 1e-2, name
        assert (gx * tangent).sum() == pytest.approx(expected, rel=1e-7), name


def everything(x, g, target, weight):
    y, log_y = softmax(x), log_softmax(x)
    loss, log_z = cross_entropy(x, target, weight, -100, 0.1)
    return [
        y,
        log_y,
        logsumexp(x),
        softmax_grad(g, y),
        log_softmax_grad(g, log_y),
        loss,
        log_z,
        cross_entropy_grad(g[:, 0], x, log_z, target, weight, -100, 0.1),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_at_any_number_of_threads(dtype, monkeypatch):
    x, g = draw((37, 13), dtype), draw((37, 13), dtype, seed=1)
    target = np.arange(37) % 13
    weight = np.linspace(0.5, 2, 13).astype(dtype)
    monkeypatch.setattr(tuning, "SOFTMAX_GRAIN", 10**9)
    whole = everything(x, g, target, weight)
    monkeypatch.setattr(tuning, "SOFTMAX_GRAIN", 50)  # 9 chunks
    for threads in (1, 2, 3):
        set_num_threads(threads)
        for a, b in zip(whole, everything(x, g, target, weight), strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_memory_order_is_taken_and_no_input_is_changed(dtype):
    x, g = draw((5, 6), dtype), draw((5, 6), dtype, seed=1)
    target = np.array([0, 5, 3, 1, 2])
    weight = np.linspace(0.5, 2, 6).astype(dtype)
    want = everything(x, g, target, weight)
    inputs = [np.asfortranarray(x), np.asfortranarray(g)]
    inputs += [np.repeat(a, 2)[::2] for a in (target, weight)]
    for a in inputs:
        assert not a.flags.c_contiguous
        a.flags.writeable = False
    copies = [a.copy() for a in inputs]
    for a, b in zip(want, everything(*inputs), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(a, copy)


def exp_of(x):
    """exp through the loop that softmax uses, so that it is the vector code that is tested."""
    y = np.empty_like(x)
    softmax_rows._exp_shifted(x, x.dtype.type(0), y)
    return y


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_within_one_and_a_half_units_in_the_last_place(dtype):
    count = 300 if PLAIN else 100_000
    rng = np.random.default_rng(5)
    limits = np.finfo(dtype)
    bottom = float(np.log(limits.smallest_subnormal.astype(np.longdouble)))
    normal = float(np.log(limits.smallest_normal.astype(np.longdouble)))
    top = float(np.log(limits.max.astype(np.longdouble))) - 1e-4
    ranges = [(-1e-3, 1e-3), (-0.5, 0.5), (-20, 20), (normal, top), (bottom, normal)]
    x = np.concatenate([rng.uniform(a, b, count) for a, b in ranges]).astype(dtype)
    true = np.exp(x.astype(np.longdouble))
    unit = np.spacing(true.astype(dtype)).astype(np.longdouble)
    # Where long double is float64, the reference itself is off by up to 0.7.
    slack = 0.7 if np.finfo(np.longdouble).eps == limits.eps else 0
    error = np.abs(exp_of(x).astype(np.longdouble) - true) / unit
    assert error.max() <= 1.5 + slack


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_at_the_ends_of_the_line(dtype):
    limits = np.finfo(dtype)
    over, under = (88.73, -103.98) if dtype == np.float32 else (709.79, -745.14)
    x = [0, -0.0, limits.smallest_subnormal, over, limits.max, np.inf, under, -limits.max, -np.inf]
    want = [1, 1, 1, np.inf, np.inf, np.inf, 0, 0, 0]
    x, want = np.array(x, dtype), np.array(want, dtype)
    np.testing.assert_array_equal(exp_of(x), want)
    last = np.array([88.72 if dtype == np.float32 else 709.78], dtype)
    assert np.isfinite(exp_of(last)).all()
    first = np.array([-103.9 if dtype == np.float32 else -745.1], dtype)
    assert exp_of(first)[0] == limits.smallest_subnormal
    assert np.isnan(exp_of(np.array([np.nan, -np.nan], dtype))).all()
    for value, result in zip(x, want, strict=True):
        assert exp(value) == result  # and one number at a time
    assert np.isnan(exp(dtype(np.nan)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_order_keys_sort_as_the_floats_do(dtype):
    limits = np.finfo(dtype)
    x = np.array([0, limits.smallest_subnormal, limits.smallest_normal, 1, 1.5, limits.max, np.inf])
    x = np.concatenate([-x[:0:-1], x]).astype(dtype)
    keys = [int(order_key(v)) for v in x]
    assert keys == sorted(set(keys))
    integer = np.int32 if dtype == np.float32 else np.int64
    back = [from_order_key(integer(k)) for k in keys]
    np.testing.assert_array_equal(np.array(back, dtype), x)
    assert order_key(dtype(-0.0)) < order_key(dtype(0.0))
    for columns in (1, 2, 9, 40):
        row = draw((1, columns), dtype, 100.0)[0] - dtype(500)
        assert softmax_rows._row_max(row, 0, columns) == row.max()
