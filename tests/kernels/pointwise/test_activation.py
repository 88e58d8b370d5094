"""The loops of the bends and their gradients against their twins, at any number of threads."""
import math

import numpy as np
import pytest

from minigrad import set_num_threads
from minigrad.kernels.pointwise import activation
from minigrad.kernels.simd import math as scalar
from minigrad.kernels.pointwise.activation import GRAIN
from minigrad.kernels.jit import jit

# Name, how many arrays, further options.
LOOPS = [("relu", 1, ()), ("relu_grad", 2, ()), ("leaky_relu", 2, (0.3,)), ("exp_of", 1, ()),
         ("erf_of", 1, ()), ("tanh_of", 1, ()), ("tanh_grad", 2, ()), ("sigmoid", 1, ()),
         ("sigmoid_grad", 2, ()),
         ("silu", 1, ()), ("silu_grad", 2, ()), ("softplus", 1, (2.0, 5.0)),
         ("softplus", 1, (-1.0, math.inf)), ("softplus_grad", 2, (2.0, 5.0)), ("elu", 1, (0.7,)),
         ("elu_grad", 3, (0.7,)), ("gelu", 1, ()), ("gelu_grad", 2, ()), ("gelu_tanh", 1, ()),
         ("gelu_tanh_grad", 2, ())]
EXACT = {"relu", "relu_grad", "leaky_relu", "tanh_grad", "sigmoid_grad", "elu_grad"}
SPECIAL = [0.0, -0.0, 1e-40, -1e-40, 30.0, -30.0, 700.0, -700.0, np.inf, np.nan]


def close(got, want, dtype, exact):
    assert got.dtype == dtype and got.shape == want.shape
    if exact:
        np.testing.assert_array_equal(got, want)
    else:
        tolerance = 2e-5 if dtype == np.float32 else 1e-13
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, count, options", LOOPS)
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (67, 3)])
def test_a_loop_equals_its_twin(dtype, name, count, options, shape):
    rng = np.random.default_rng(0)
    arrays = [(4 * rng.standard_normal(shape)).astype(dtype) for _ in range(count)]
    if arrays[0].size > 20:
        arrays[-1].flat[:len(SPECIAL)] = SPECIAL
        arrays[0].flat[12] = np.nan
    copies = [a.copy() for a in arrays]
    got = getattr(activation, name)(*arrays, *options)
    want = getattr(activation, f"{name}_reference")(*copies, *options)
    close(got, want, dtype, name in EXACT)
    for a, b in zip(arrays, copies):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name, count, options", LOOPS)
def test_the_same_bits_at_any_number_of_threads(name, count, options):
    # The cuts depend on the threads: a number may be one of a vector here and a single one there.
    rng = np.random.default_rng(0)
    arrays = list(rng.standard_normal((count, 2, 3 * GRAIN + 7), np.float32))
    results = []
    for threads in (1, 3, 5):
        set_num_threads(threads)
        results.append(getattr(activation, name)(*arrays, *options))
    for result in results[1:]:
        np.testing.assert_array_equal(results[0], result)
    assert len(np.unique(results[0][:, -9:])) > 4          # the last chunk was written


@jit
def apply_expm1(x, y):
    for i in range(len(x)):
        y[i] = scalar.expm1(x[i])


@jit
def apply_log1p(x, y):
    for i in range(len(x)):
        y[i] = scalar.log1p(x[i])


@jit
def apply_exp(x, y):
    for i in range(len(x)):
        y[i] = scalar.exp(x[i])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype, wide", [(np.float32, np.float64), (np.float64, np.longdouble)])
@pytest.mark.parametrize("loop, exact, ranges", [
    (apply_exp, np.exp, [(-1, 1), (-87, 88.7), (-104.5, -86), (85, 89)]),
    (apply_expm1, np.expm1, [(-1e-2, 1e-2), (-1, 1), (-60, 0), (0, 88.7)]),
    (apply_log1p, np.log1p, [(0, 1e-3), (0, 1)])])
def test_scalar_functions_to_three_units_in_the_last_place(dtype, wide, loop, exact, ranges):
    rng = np.random.default_rng(0)
    for low, high in ranges:
        x = rng.uniform(low, high, 2000).astype(dtype)
        y = np.empty_like(x)
        loop(x, y)
        want = exact(x.astype(wide))
        with np.errstate(all="ignore"):
            rounded = want.astype(dtype)
        finite = np.isfinite(rounded)
        np.testing.assert_array_equal(np.isfinite(y), finite)
        unit = np.spacing(np.abs(rounded[finite])).astype(wide)
        assert np.max(np.abs(y[finite].astype(wide) - want[finite]) / unit) < 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_exp_and_expm1(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, 1e4, -1e4], dtype)
    y = np.empty_like(x)
    with np.errstate(all="ignore"):
        apply_exp(x, y)
        np.testing.assert_array_equal(y, [np.nan, np.inf, 0, 1, np.inf, 0])
        apply_expm1(x, y)
        np.testing.assert_array_equal(y, [np.nan, np.inf, -1, 0, np.inf, -1])


def test_erf_in_single_precision():
    x = np.concatenate([np.linspace(-5, 5, 4001), [1e-30, -1e-40, np.inf, -np.inf]])
    x = x.astype(np.float32)
    want = np.array([math.erf(v) for v in x.tolist()])
    got = activation.erf_of(x)
    assert np.max(np.abs(got - want) / np.spacing(np.abs(want).astype(np.float32))) < 4
    assert np.isnan(activation.erf_of(np.array([np.nan], np.float32)))[0]
    assert np.signbit(activation.erf_of(np.array([-0.0], np.float32)))[0]
