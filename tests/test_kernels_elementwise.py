"""NumPy functions over threads: the same bits as NumPy at once, in every way to broadcast."""
import numpy as np
import pytest

from minigrad import get_num_threads, set_num_threads
from minigrad.kernels.elementwise import GRAIN, function, over, spread, times

N = 4 * GRAIN + 8


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(len(shape)).uniform(0.5, 2, shape).astype(dtype)


OTHERS = {
    "equal": (N // 8, 8), "row": (8,), "one row": (1, 8), "column": (N // 8, 1), "number": (),
    "one": (1,), "higher": (1, N // 8, 8)}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("how", OTHERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_of_numpy(how, dtype, threads):
    x, other = numbers(N // 8, 8, dtype=dtype), numbers(*OTHERS[how], dtype=dtype)
    before = get_num_threads()
    try:
        set_num_threads(threads)
        for ufunc in (np.multiply, np.true_divide, np.subtract):
            got, want = spread(ufunc, x, other), ufunc(x, other)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(times(x, 2.0), x * 2.0)
        np.testing.assert_array_equal(over(x, 3), x / 3)
        np.testing.assert_array_equal(function(np.log, x), np.log(x))
    finally:
        set_num_threads(before)


@pytest.mark.parametrize("other", [
    numbers(N).astype(np.float64), np.arange(N), np.float64(2.0), numbers(N, 2)[:, 0]])
def test_what_is_left_to_numpy_keeps_its_dtype(other):
    x = numbers(N)
    got, want = spread(np.add, x, other), np.add(x, other)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(spread(np.add, x[::2], 1.0), x[::2] + 1.0)


def test_shapes_that_do_not_broadcast_are_numpys_error():
    with pytest.raises(ValueError, match="broadcast"):
        spread(np.add, numbers(N), numbers(N - 1))


def test_the_callers_errstate_holds_in_every_thread():
    x, zeros = numbers(N), np.zeros(N, np.float32)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        spread(np.true_divide, x, zeros)
    with np.errstate(divide="ignore"):
        assert np.isinf(spread(np.true_divide, x, zeros)).all()
