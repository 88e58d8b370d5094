"""Loops and NumPy functions over threads: the bits of NumPy at once, however they broadcast."""
import numpy as np
import pytest

from minigrad import set_num_threads
from minigrad.kernels.pointwise.elementwise import (
    PIECES, SHARED, _in_pieces, add_into, function, minus, over, spread, times,
)

N = SHARED + 24
UFUNCS = (np.add, np.subtract, np.multiply, np.true_divide)


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(len(shape)).uniform(0.5, 2, shape).astype(dtype)


def same(got, want):
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@pytest.fixture(params=[1, 3])
def threads(request, threads_as_before):
    set_num_threads(request.param)


OTHERS = {
    "equal": (N // 8, 8), "row": (8,), "one row": (1, 8), "column": (N // 8, 1), "number": (),
    "one": (1,), "higher": (1, N // 8, 8)}


@pytest.mark.parametrize("how", OTHERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_of_numpy(how, dtype, threads):
    x, other = numbers(N // 8, 8, dtype=dtype), numbers(*OTHERS[how], dtype=dtype)
    for ufunc in UFUNCS:
        same(spread(ufunc, x, other), ufunc(x, other))
        same(spread(ufunc, other, x), ufunc(other, x))


def test_one_number_repeated(threads):
    """The gradient of a sum or a mean."""
    x, g = numbers(N, 3), np.broadcast_to(np.float32(0.3), (N, 3))
    for ufunc in UFUNCS:
        same(spread(ufunc, x, g), ufunc(x, g))
        same(spread(ufunc, g, x), ufunc(g, x))
        same(spread(ufunc, g, g), ufunc(g, g))
        same(spread(ufunc, g, 2.0), ufunc(g, 2.0))
        same(spread(ufunc, x, g[:1]), ufunc(x, g[:1]))
        same(spread(ufunc, x, np.broadcast_to(g[0, 0], (2, N, 3))), ufunc(x, g[None].repeat(2, 0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [2.5, -3, 0.1, 1e300, 16777217, float("nan"), float("inf")])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")      # NumPy's: 1e300 is inf in float32
def test_numbers_on_either_side(number, dtype, threads):
    x = numbers(N + 5, dtype=dtype)
    for ufunc in UFUNCS:
        same(spread(ufunc, x, number), ufunc(x, number))
        same(spread(ufunc, number, x), ufunc(number, x))


def test_signs_of_zero_infinities_and_nan(threads):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38], np.float32)
    x, y = np.repeat(special, N // 8), np.tile(special, N // 8)
    with np.errstate(all="ignore"):
        for ufunc in UFUNCS:
            got, want = spread(ufunc, x, y), ufunc(x, y)
            same(got, want)
            finite = ~np.isnan(want)
            np.testing.assert_array_equal(np.signbit(got[finite]), np.signbit(want[finite]))
    finite = ~np.isnan(x)
    np.testing.assert_array_equal(np.signbit(minus(x)[finite]), ~np.signbit(x[finite]))


@pytest.mark.parametrize("n", [N, PIECES + 5])
def test_what_the_rules_say(n, threads):
    x = numbers(n)
    same(times(x, 2.0), x * 2.0)
    same(over(x, 3), x / 3)
    same(minus(x), -x)
    same(function(np.log, x), np.log(x))


@pytest.mark.parametrize("other", [
    numbers(N).astype(np.float64), np.arange(N), np.float64(2.0), numbers(N, 2)[:, 0], True,
    1 << 60])
def test_what_is_left_to_numpy_keeps_its_dtype(other):
    x = numbers(N)
    same(spread(np.add, x, other), np.add(x, other))
    same(spread(np.add, x[::2], 1.0), x[::2] + 1.0)
    same(spread(np.add, np.arange(N), 1.5), np.arange(N) + 1.5)


def test_shapes_that_do_not_broadcast_are_numpys_error():
    with pytest.raises(ValueError, match="broadcast"):
        spread(np.add, numbers(N), numbers(N - 1))


@pytest.mark.parametrize("how", OTHERS)
def test_pieces_in_every_way_to_broadcast(how, threads):
    k = PIECES // N
    x = numbers(N // 8, 8 * (k + 1))
    other = numbers(*(8 * (k + 1) if n == 8 else n for n in OTHERS[how]))
    same(_in_pieces(np.arctan2, x, other), np.arctan2(x, other))


def test_the_callers_errstate_holds_in_every_thread():
    zeros = np.zeros(PIECES, np.float32)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        function(np.log, zeros)
    with np.errstate(divide="ignore"):
        assert np.isinf(function(np.log, zeros)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_adding_into_an_array(dtype, threads):
    x, y = numbers(N, 3, dtype=dtype), numbers(N, 3, dtype=dtype)[::-1].copy()
    want = x + y
    turned = np.asfortranarray(x)
    add_into(x, y)
    same(x, want)
    add_into(turned, y)
    same(turned, want)
