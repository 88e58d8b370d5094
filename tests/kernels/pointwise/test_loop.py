"""Formulas as loops: what NumPy computes, however the arrays lie, on any number of threads."""
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from minigrad import set_num_threads
from minigrad.kernels.jit.kernel import jit_disabled
from minigrad.kernels.pointwise import loop as loops
from minigrad.kernels.pointwise.add_into import add_into
from minigrad.kernels.pointwise.loop import GRAIN, Loop
from minigrad.kernels.pointwise.machine_code import register_bytes
from minigrad.kernels.pointwise.emit import TOGETHER
from minigrad.tuning import LOOP_OF_MEMORY, PIECES

needs_jit = pytest.mark.skipif(jit_disabled(), reason="without the JIT there are no loops")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")        # NumPy's, of 1 / 0

# Whole vectors, and tails of every length up to two of them, in both dtypes.
LANES = TOGETHER * register_bytes() // 4
SIZES = [0, 1, 2, 3, 7, LANES - 1, LANES, LANES + 1, 2 * LANES - 1, 2 * LANES, 1000]
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -1e-40, 3e38, 5e-324]

#: Whose result has NumPy's bits: name -> (formula, how many arrays).
EXACT = {
    "sum": (lambda a, b: a + b, 2), "difference": (lambda a, b: a - b, 2),
    "product": (lambda a, b: a * b, 2), "quotient": (lambda a, b: a / b, 2),
    "opposite": (lambda a: -a, 1), "numbers": (lambda a: 1.0 - a * 0.1 + 3, 1),
    "root": (lambda a: np.sqrt(np.abs(a)), 1), "larger": (np.maximum, 2),
    "smaller": (np.minimum, 2),
    "positive": (lambda a: np.maximum(a, 0), 1), "cut off": (lambda a: np.clip(a, -0.5, 2), 1),
    "choice": (lambda a, b: np.where(a > b, a, 0.5), 2), "sign": (np.sign, 1),
    "steps": (lambda a: np.floor(a) + np.ceil(a) - np.trunc(a), 1), "square": (np.square, 1),
    "whether": (lambda a, b: (a < b) | (a == 1) & ~(b != b), 2),
    "kind": (lambda a: np.isnan(a) | np.isinf(a), 1), "finite": (np.isfinite, 1),
    "both": (lambda a, b: np.logical_and(a, b) ^ (a >= 0), 2),
    "mask": (lambda a, b: a * (b > 0), 2), "power": (lambda a: a ** 2, 1),
    "three": (lambda a, b, c: a * b + c, 3), "inverse": (np.reciprocal, 1),
}


def numbers(n, count, dtype, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [(3 * rng.standard_normal(n)).astype(dtype) for _ in range(count)]
    if n >= 20:
        for a in arrays:
            a[rng.integers(0, n, len(SPECIAL))] = SPECIAL
    return arrays


def same(got, want):
    """Equal to the bit: also signs of zeros, and NaN where there is one."""
    want = np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_array_equal(got, want)
    if got.dtype.kind == "f":
        number = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(want)[number])


def made(loop):
    """Whether the loop was compiled, and is no silent NumPy."""
    return jit_disabled() or all(m is not None for m in loop.made.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_the_bits_of_numpy(name, dtype):
    formula, count = EXACT[name]
    loop = Loop(formula, name)
    for n in SIZES:
        arrays = numbers(n, count, dtype)
        before = [a.copy() for a in arrays]
        same(loop(*arrays), formula(*before))
        for a, b in zip(arrays, before):
            np.testing.assert_array_equal(a, b)
    assert made(loop)


@needs_jit
def test_a_planted_wrong_word_is_caught(monkeypatch):
    """The comparison above would notice: a word that forgets NaN, one that rounds once."""
    for word, wrong in (("maximum", lambda a, b: loops.write and _where(a > b, a, b)),
                        ("multiply", lambda a, b: a.make(f"fadd {a}, {b.name}"))):
        monkeypatch.setitem(_words(), word, wrong)
        a, b = numbers(1000, 2, np.float32)
        formula = getattr(np, word)
        with pytest.raises(AssertionError):
            same(Loop(formula, "planted")(a, b), formula(a, b))
        monkeypatch.undo()


def _words():
    from minigrad.kernels.pointwise.words import WORDS
    return WORDS


def _where(*args):
    return _words()["where"](*args)


@pytest.mark.parametrize("formula", [np.add, np.multiply, lambda a, b: np.sqrt(np.abs(a)) / b])
@pytest.mark.parametrize("size", [300, 7 * GRAIN // 8 + 3])
def test_the_same_bits_at_any_number_of_threads(formula, size, threads_as_before):
    a, b = numbers(8 * size, 2, np.float32)
    row, column = numbers(size, 1, np.float32)[0], numbers(8, 1, np.float32)[0].reshape(8, 1)
    results = []
    for threads in (1, 2, 3, 5):
        set_num_threads(threads)
        loop = Loop(formula, "threads")
        results.append([loop(a, b), *(loop(a.reshape(8, size), x) for x in (row, column))])
    for other in results[1:]:
        for x, y in zip(results[0], other):
            same(y, x)
    for got, other in zip(results[0], (b, row, column)):
        same(got, formula(a.reshape(got.shape), other))


# result's shape, shapes of the others: over rows, over columns, channels, both, neither
SHAPES = [((5, 7), (7,)), ((5, 7), (1, 7)), ((5, 7), (5, 1)), ((2, 3, 4, 5), (3, 1, 1)),
          ((2, 3, 4, 5), (1, 3, 1, 1)), ((2, 3, 4, 5), (2, 3, 1, 1)), ((2, 3, 4, 5), (4, 5)),
          ((2, 3, 4, 5), (2, 1, 1, 1)), ((4, 100), (100,)), ((4, 100), (4, 1)), ((3, 1), (1, 4)),
          ((2, 3, 4), (2, 1, 4)), ((1, 6), (6,)), ((6, 1), (6, 1)), ((3, 4), ()), ((3, 4), (1, 1)),
          ((3, 4), (2, 3, 4)), ((0, 4), (4,)), ((4, 0), (4, 1)), ((2, 3, 1, 5), (3, 1, 1))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("own, other", SHAPES)
def test_arrays_that_are_broadcast(own, other, dtype):
    x, y = (np.random.default_rng(i).standard_normal(s).astype(dtype)
            for i, s in enumerate((own, other)))
    for formula in (np.subtract, lambda a, b: np.maximum(a, b) * 2.0):
        loop = Loop(formula, "broadcast")
        same(loop(x, y), formula(x, y))
        same(loop(y, x), formula(y, x))


@needs_jit
@pytest.mark.parametrize("own, other", [((5, 7), (7,)), ((5, 7), (5, 1)), ((2, 3, 4, 5), (3, 1, 1)),
                                        ((2, 3, 4, 5), (1, 3, 1, 1)), ((3, 4), ())])
def test_rows_columns_and_channels_have_loops(own, other):
    loop = Loop(np.subtract, "broadcast")
    loop(np.ones(own), np.ones(other))
    assert made(loop)


def test_three_arrays_that_are_broadcast_together():
    x, scale, shift = np.ones((4, 6, 10)), np.arange(6.0).reshape(6, 1), np.arange(6.0)[:, None]
    loop = Loop(lambda x, a, b: x * a + b, "norm")
    same(loop(x, scale, shift), x * scale + shift)
    same(loop(x, np.arange(10.0), shift), x * np.arange(10.0) + shift)
    first = np.arange(4.0).reshape(4, 1, 1)
    same(loop(x, first, shift), x * first + shift)


@pytest.mark.parametrize("several", [False, True])
def test_strided_unaligned_and_read_only_arrays(several):
    base = np.random.default_rng(0).standard_normal((40, 60)).astype(np.float32)
    frozen = base.copy()
    frozen.setflags(write=False)
    raw = np.zeros(base.nbytes + 1, np.uint8)
    shifted = raw[1:].view(np.float32).reshape(base.shape)
    shifted[...] = base
    repeated = np.broadcast_to(np.float32(0.3), base.shape)
    loop = Loop(lambda a, b: a * b - 1.0, "strides", several)
    for a in (base.T, base[::2], base[:, ::-1], frozen, shifted, np.asfortranarray(base)):
        for b in (a, a.copy(), a.sum(0), np.broadcast_to(np.float32(0.3), a.shape)):
            same(loop(a, b), a * b - 1.0)
            same(loop(b, a), b * a - 1.0)
    same(loop(repeated, repeated), repeated * repeated - 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_are_passed_and_not_part_of_the_code(dtype):
    x = numbers(1000, 1, dtype)[0]
    loop = Loop(lambda x, slope: np.where(x > 0, x, x * slope), "slope")
    for slope in (0.1, -3, 2.5, 1e300, np.nan, np.inf):
        same(loop(x, slope), np.where(x > 0, x, x * slope))
    assert len(loop.made) == 1 and made(loop)
    same(loop(x, np.asarray(0.7, dtype)), np.where(x > 0, x, x * np.asarray(0.7, dtype)))
    same(loop(x, 1 << 60), np.where(x > 0, x, x * (1 << 60)))              # NumPy's own rounding
    same(Loop(lambda x, a: x * (a * 3.0 - 1.0), "arithmetic")(x, 0.1), x * (0.1 * 3.0 - 1.0))


@pytest.mark.parametrize("args", [
    (np.arange(1000), 2.0), (np.ones(1000, np.float32), np.ones(1000)), (np.ones(1000, bool), 2.0),
    (np.ones(1000), True), (np.ones(1000, np.int32), np.ones(1000, np.float32)),
    (np.ones(1000, "<f4"), np.ones(1000, ">f4")), (np.ones(1000, np.float16), 2.0),
    (np.ones(1000, np.float32), np.float64(0.1)), (np.ones(1000, np.float32), np.float32(0.1)),
    (2.0, 3.0), (np.ones(1000, np.float32), 2 + 1j)])
def test_what_has_no_loop_is_numpys(args):
    formula = lambda a, b: a * b
    same(np.asarray(Loop(formula, "numpys", several=False)(*args)), formula(*args))


@pytest.mark.parametrize("formula", [
    np.sin, lambda a: a % 2.0, lambda a: a if a[0] > 0 else -a, lambda a: a.sum(), np.cumsum,
    lambda a: 1.0 if a.ndim else a, lambda a: a.astype(np.int64)])
def test_a_formula_with_other_words_is_numpys(formula):
    x = np.linspace(1, 5, 1000)
    loop = Loop(formula, "words")
    same(np.asarray(loop(x)), formula(x))
    assert jit_disabled() or list(loop.made.values()) == [None]


def test_shapes_that_do_not_broadcast_are_numpys_error():
    with pytest.raises(ValueError, match="broadcast"):
        Loop(np.add, "shapes")(np.ones(4), np.ones(3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_adding_into_an_array(dtype):
    n = LOOP_OF_MEMORY + 24
    x, y = (np.random.default_rng(i).standard_normal((n, 3)).astype(dtype) for i in range(2))
    y = y[::-1].copy()
    want = x + y
    turned = np.asfortranarray(x)
    row = np.broadcast_to(y[0], y.shape)
    for total, part, result in ((x.copy(), y, want), (turned, y, want), (x.copy(), row, x + row)):
        assert add_into(total, part) is None
        same(total, result)
    twice = x.copy()
    add_into(twice, twice)
    same(twice, x + x)


def test_a_result_may_be_one_of_the_arrays():
    for n in (LANES + 3, 3 * GRAIN + 1):
        x, y = numbers(n, 2, np.float32)
        want = x * 0.5 + y
        assert Loop(lambda a, b: a * 0.5 + b, "into").into(y, x, y) != jit_disabled()
        if not jit_disabled():
            same(y, want)


def test_numpys_functions_in_pieces():
    x = np.random.default_rng(0).uniform(1, 2, PIECES + 5)
    loop = Loop(lambda x, y: np.arctan2(x, y), "pieces")
    turned = x[::-1].copy()
    same(loop(x, turned), np.arctan2(x, turned))
    same(loop(x, 2.0), np.arctan2(x, 2.0))
    same(loop(x, x[:1]), np.arctan2(x, x[:1]))
    zeros = np.zeros(PIECES)
    log = Loop(np.log, "log", doubles=False)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        log(zeros)
    with np.errstate(divide="ignore"):
        assert np.isinf(log(zeros)).all()


@needs_jit
def test_without_the_machinery_everything_is_numpys(monkeypatch):
    monkeypatch.setattr(loops, "works", lambda: False)
    x = numbers(1000, 1, np.float32)[0]
    loop = Loop(lambda x: np.exp(x) * 2.0, "none")
    same(loop(x), np.exp(x) * 2.0)
    assert list(loop.made.values()) == [None]


@needs_jit
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_after_a_fork():
    code = ("import os, numpy as np\n"
            "from minigrad.kernels.pointwise.loop import Loop\n"
            "x = np.ones(200_000, np.float32)\n"
            "loop = Loop(lambda x: x * 2.0, 'fork')\n"
            "loop(x)\n"
            "child = os.fork()\n"
            "ok = (loop(x) == 2).all() and (Loop(lambda x: x - 3.0, 'new')(x) == -2).all()\n"
            "if child == 0: os._exit(0 if ok else 1)\n"
            "assert ok and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@needs_jit
def test_crossing():
    """Prints (with -s) from where loops beat NumPy's calls, the source of tuning.py."""
    def best(f, *args):
        times = []
        for _ in range(30):
            start = time.perf_counter()
            f(*args)
            times.append(time.perf_counter() - start)
        return 1e6 * min(times)
    for name, formula in {"+": lambda a: a + a, "sqrt": np.sqrt, "exp": np.exp,
                          "four calls": lambda a: np.exp(-a) * 2.0 + 1.0}.items():
        loop = Loop(formula, "crossing")
        for n in [1 << k for k in range(8, 18)]:
            x = np.linspace(0.1, 2, n, dtype=np.float32)
            loop(x)
            numpys, ours = best(formula, x), best(loop, x)
            print(f"{name:10s} {n:7d} numbers: NumPy {numpys:7.2f} us, a loop {ours:7.2f}")
        assert made(loop)
    assert ours < 1.5 * numpys                     # of four calls on 131,072 numbers
