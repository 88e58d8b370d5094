"""The elementary functions in loops: how far from the truth, and what they do at their ends."""
import math

import numpy as np
import pytest

from minigrad.kernels.jit import jit
from minigrad.kernels.jit.kernel import jit_disabled
from minigrad.kernels.pointwise import words
from minigrad.kernels.pointwise.loop import Loop
from minigrad.kernels.simd import math as scalar

needs_jit = pytest.mark.skipif(jit_disabled(), reason="without the JIT there are no loops")
pytestmark = [needs_jit, pytest.mark.filterwarnings("ignore::RuntimeWarning")]


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


# word, truth, ranges; the largest errors are listed in simd/math.py
WORDS = [
    (np.exp, np.exp, [(-1, 1), (-87, 88.7), (-104.5, -86), (85, 89)]),
    (np.expm1, np.expm1, [(-1e-2, 1e-2), (-1, 1), (-60, 0), (0, 88.7)]),
    (np.tanh, np.tanh, [(-1e-2, 1e-2), (-1, 1), (-12, 12)]),
    (np.log1p, np.log1p, [(0, 1e-3), (-1e-3, 0), (-1, 0), (0, 1), (1, 1e3), (1e20, 3e38)]),
    (np.log, np.log, [(0, 1e-3), (0.5, 2), (0.99, 1.01), (1, 1e30), (1e-42, 1e-38)]),
    (words.log1p_exp, lambda x: np.log1p(np.exp(-np.abs(x))), [(-1, 1), (-87, 88)]),
    (words.sigmoid, sigmoid, [(-1, 1), (-87, 88)])]


def distance(got, want, dtype):
    """The largest distance in units in the last place."""
    rounded = want.astype(dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    unit = np.spacing(np.abs(rounded[finite])).astype(want.dtype)
    return np.max(np.abs(got[finite].astype(want.dtype) - want[finite]) / unit, initial=0)


@pytest.mark.parametrize("dtype, wide", [(np.float32, np.float64), (np.float64, np.longdouble)])
@pytest.mark.parametrize("word, truth, ranges", WORDS)
def test_to_three_units_in_the_last_place(word, truth, ranges, dtype, wide):
    loop = Loop(word, "word")
    if wide is np.longdouble and np.finfo(wide).eps == np.finfo(np.float64).eps:
        pytest.skip("no wider numbers here to compare with")
    for low, high in ranges:
        x = np.random.default_rng(0).uniform(low, high, 4000).astype(dtype)
        assert distance(loop(x), truth(x.astype(wide)), dtype) < 3
    made = next(iter(loop.made.values()))
    assert (made is None) == (word is np.log and dtype == np.float64)      # NumPy's is closer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", [np.exp, np.expm1, np.tanh, np.log, np.log1p, np.sqrt])
def test_ends(word, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e4, -1e4, -1.0, 1.0, tiny, -tiny,
                  np.finfo(dtype).max, np.finfo(dtype).tiny, -2.0], dtype)
    got, want = Loop(word, "ends")(x), word(x)
    np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps, atol=0)
    special = (want == 0) | np.isinf(want)
    np.testing.assert_array_equal(np.signbit(got)[special], np.signbit(want)[special])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_error_function(dtype):
    x = np.concatenate([np.linspace(-6, 6, 4001), [1e-30, -1e-40, np.inf, -np.inf]]).astype(dtype)
    loop = Loop(words.erf, "erf")
    want = np.array([math.erf(v) for v in x.tolist()])
    assert distance(loop(x), want, dtype) < (4 if dtype == np.float32 else 1e-9)
    assert np.isnan(loop(np.array([np.nan], dtype)))[0]
    assert np.signbit(loop(np.array([-0.0], dtype)))[0]
    np.testing.assert_array_equal(words.erf(x), want.astype(dtype))


NAMES = ["exp", "expm1", "tanh", "log1p_all", "sigmoid", "log", "erf", "log1p_exp"]


@pytest.mark.parametrize("name", NAMES)
def test_numba_and_loops_read_the_same_text(name):
    """One statement of a function serves both: what they make of it agrees to the last digit."""
    one = getattr(scalar, f"_{name}_32")

    @jit
    def by_numba(x, y):
        for i in range(len(x)):
            y[i] = one(x[i])
    x = np.random.default_rng(0).uniform(0.01, 3, 1000).astype(np.float32)
    y = np.empty_like(x)
    by_numba(x, y)
    function = getattr(words, name, None) or getattr(np, name.removesuffix("_all"))
    got = Loop(function, "both")(x)
    assert np.max(np.abs(got - y) / np.spacing(np.abs(y))) <= 1            # of a fused product
    plain = np.array([one.plain(v) for v in x[:20]], np.float32)           # the text as Python
    assert np.max(np.abs(got[:20] - plain) / np.spacing(np.abs(plain))) <= 3


def test_a_formula_of_functions_is_one_pass():
    """The text has one loop over whole vectors, with as many loads as there are arrays."""
    from minigrad.kernels.pointwise.emit import Operand, write
    f32 = np.dtype(np.float32)
    text = write(lambda g, x: g * (words.erf(x * 0.7) + x * np.exp(x * x * -0.5)),
                 [Operand("all", f32), Operand("all", f32)], 32).module
    assert text.count(" load <") == 2 and text.count("  store <") == 1
    assert text.count("llvm.masked.load") == 2 + 1 and "fast" not in text and "@exp" not in text


def test_lanes_do_not_branch():
    with pytest.raises(TypeError, match="branches"):
        bool(words.Lanes(words.Code(4), "%x", np.dtype(np.float32)))
