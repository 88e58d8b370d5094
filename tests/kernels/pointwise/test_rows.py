"""Formulas over rows as loops: the numbers of float64, wherever a row stands, on any number of
threads; norms and losses as formulas, to prove that they fit."""
import numpy as np
import pytest

from minigrad import set_num_threads, tuning
from minigrad.kernels.jit.kernel import jit_disabled
from minigrad.kernels.pointwise import machine_code
from minigrad.kernels.pointwise.loop import NO_ARRAYS, NO_NUMBERS, run
from minigrad.kernels.pointwise.row_loop import RowLoop
from minigrad.kernels.rowwise import softmax_rows

needs_jit = pytest.mark.skipif(jit_disabled(), reason="without the JIT there are no loops")
DTYPES = [np.float32, np.float64]
LANES = machine_code.register_bytes() // 4
#: Below one vector of either dtype, one, some, and more than a block of a sum.
COLUMNS = [1, 2, LANES // 2 - 1, LANES // 2, LANES // 2 + 1, LANES - 1, LANES, LANES + 1, 37,
           2 * LANES, 100, 32 * LANES, 32 * LANES + 1, 1500]
ROWS = [1, 2, 3, 4, 5, 9]


def top(x):
    return x.max(-1, keepdims=True, initial=-np.inf)


def softmax(x):
    e = np.exp(x - top(x))
    return e * (1.0 / e.sum(-1, keepdims=True))


def softmax_grad(g, y):
    return y * (g - (g * y).sum(-1, keepdims=True))


def log_softmax(x):
    d = x - top(x)
    return d - np.log(np.exp(d).sum(-1, keepdims=True))


def log_softmax_grad(g, y):
    return g - np.exp(y) * g.sum(-1, keepdims=True)


def logsumexp(x):
    m = top(x)
    return m + np.log(np.exp(x - m).sum(-1, keepdims=True))


def layer_norm(x, weight, bias, eps):
    """Two passes before the last: the variance is that of differences from the mean."""
    d = x - x.mean(-1, keepdims=True)
    return d * (1.0 / np.sqrt((d * d).mean(-1, keepdims=True) + eps)) * weight + bias


def layer_norm_grad(g, x, weight, eps):
    d = x - x.mean(-1, keepdims=True)
    scale = 1.0 / np.sqrt((d * d).mean(-1, keepdims=True) + eps)
    h = d * scale
    u = g * weight
    return scale * (u - u.mean(-1, keepdims=True) - h * (u * h).mean(-1, keepdims=True))


def cross_entropy(x, target, ignore_index):
    """Integers (R, 1) name one element of each row."""
    own = np.take_along_axis(x, np.maximum(target, 0), -1)
    return np.where(target == ignore_index, 0.0, logsumexp(x) - own)


def distance(x, y):
    """Of two arrays, with no dear word."""
    d = x - y
    return np.sqrt((d * d).sum(-1, keepdims=True))


def span(x):
    return (x - x.min(-1, keepdims=True)) / (np.max(x, -1, keepdims=True)
                                              - np.min(x, -1, keepdims=True) + 1.0)


def scaled(x, each):
    """A number for each row beside those that are made."""
    return x * each + np.abs(x).mean(-1, keepdims=True) * each


def dear_twice(x):
    """Two dear things in two passes, of which one is kept, and a word that NumPy lacks."""
    a, b = np.tanh(x), np.exp(-np.abs(x))
    return a * b.sum(-1, keepdims=True) - b * a.max(-1, keepdims=True)


#: name -> (formula, what makes its arguments of rng, R, K).
FORMULAS = {
    "softmax": (softmax, lambda r, n, k: (3 * r(n, k),)),
    "softmax_grad": (softmax_grad, lambda r, n, k: (r(n, k), softmax(r(n, k)))),
    "log_softmax": (log_softmax, lambda r, n, k: (3 * r(n, k),)),
    "log_softmax_grad": (log_softmax_grad, lambda r, n, k: (r(n, k), log_softmax(r(n, k)))),
    "logsumexp": (logsumexp, lambda r, n, k: (3 * r(n, k),)),
    "layer_norm": (layer_norm, lambda r, n, k: (3 * r(n, k) + 5, r(k), r(k), 1e-5)),
    "layer_norm_grad": (layer_norm_grad, lambda r, n, k: (r(n, k), 2 * r(n, k), r(k), 1e-1)),
    "distance": (distance, lambda r, n, k: (r(n, k), r(n, k))),
    "span": (span, lambda r, n, k: (r(n, k),)),
    "scaled": (scaled, lambda r, n, k: (r(n, k), r(n, 1))),
    "dear twice": (dear_twice, lambda r, n, k: (r(n, k),)),
}


def draw(name, rows, columns, dtype):
    rng = np.random.default_rng([rows, columns])
    return [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in FORMULAS[name][1](
        lambda *shape: rng.standard_normal(shape), rows, columns)]


def exactly(formula, *args):
    """In float64, or what is longer."""
    wide = np.longdouble if any(getattr(a, "dtype", None) == np.float64 for a in args) \
        else np.float64
    return formula(*[a.astype(wide) if getattr(a, "dtype", None) in (np.float32, np.float64)
                     else a for a in args])


def close(got, want, dtype, ulps=60):
    """Within some units of the last place of the largest number."""
    assert got.dtype == dtype and got.shape == want.shape
    error = np.abs(got - want).max(initial=0)
    assert error <= ulps * np.finfo(dtype).eps * max(1e-3, np.abs(want).max(initial=0)), error


def has_loop(loop):
    return bool(loop.made) and all(made is not None for made in loop.made.values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_loop_computes_the_formula(name, dtype):
    loop = RowLoop(FORMULAS[name][0], name)
    for columns in COLUMNS:
        for rows in ROWS:
            args = draw(name, rows, columns, dtype)
            before = [np.copy(a) for a in args]
            close(loop(*args), exactly(loop.plain, *args), dtype)
            for a, b in zip(args, before):
                np.testing.assert_array_equal(a, b)
    assert has_loop(loop) or jit_disabled()


@needs_jit
@pytest.mark.parametrize("register", [16, 32])
@pytest.mark.parametrize("name", FORMULAS)
def test_registers_of_other_machines(name, register, monkeypatch):
    monkeypatch.setattr(machine_code, "register_bytes", lambda: register)
    for dtype in DTYPES:
        loop = RowLoop(FORMULAS[name][0], name)
        for columns in (1, 2, 3, register // 4, register // 4 + 1, 70, 600):
            args = draw(name, 5, columns, dtype)
            close(loop(*args), exactly(loop.plain, *args), dtype)
        assert has_loop(loop)


@needs_jit
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_row_has_the_same_bits_wherever_it_stands(name, dtype):
    """Alone, in fours or pairs, as the odd one at the end of a thread's part."""
    loop, other = RowLoop(FORMULAS[name][0], name), RowLoop(FORMULAS[name][0], name)
    for columns in (5, LANES + 3, 700):
        args = draw(name, 7, columns, dtype)
        together = loop(*args)
        for i in range(7):
            one = [a[i:i + 1] if isinstance(a, np.ndarray) and a.ndim == 2 else a for a in args]
            np.testing.assert_array_equal(other(*one), together[i:i + 1])
            np.testing.assert_array_equal(loop(*[
                a[i:] if isinstance(a, np.ndarray) and a.ndim == 2 else a for a in args]),
                together[i:])


@needs_jit
@pytest.mark.parametrize("name", ["softmax", "logsumexp", "dear twice", "softmax_grad"])
def test_nothing_else_is_written(name):
    """Of a range of rows only theirs, and nothing around the result."""
    for columns in (3, LANES, LANES + 1, 100):
        args = draw(name, 12, columns, np.float32)
        loop = RowLoop(FORMULAS[name][0], name)
        want = loop(*args)
        made, = loop.made.values()
        around = np.full(want.size + 200, 7, np.float32)
        inside = around[100:-100].reshape(want.shape)
        for start, stop in [(0, 0), (2, 3), (3, 8), (1, 12)]:
            around[:] = 7
            run.run(start, stop, made.code, columns, 0, id(inside), *map(id, args),
                    *NO_ARRAYS[len(args):], *NO_NUMBERS)
            np.testing.assert_array_equal(inside[start:stop], want[start:stop])
            inside[start:stop] = 7
            assert (around == 7).all()


@pytest.mark.parametrize("columns", [10, 100])
def test_threads_change_no_bit(columns):
    rows = 10 * tuning.SOFTMAX_GRAIN // columns + 3
    x = draw("softmax", rows, columns, np.float32)[0]
    found = []
    for threads in (1, 2, 3):
        set_num_threads(threads)
        found.append([softmax_rows.softmax(x), softmax_rows.logsumexp(x)])
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_array_equal(a, b)
    close(found[0][0], exactly(softmax, x), np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 5, LANES, LANES + 3, 3 * LANES, 700])
def test_nan_and_infinity(columns, dtype):
    """Wherever they are in the row, and the rows beside it are untouched."""
    loops = {f: RowLoop(f, f.__name__) for f in (softmax, log_softmax, logsumexp, span)}
    for value in (np.nan, -np.nan, np.inf, -np.inf):
        for at in {0, columns // 2, columns - 1}:
            x = draw("softmax", 6, columns, dtype)[0]
            plain = {f: loop(x) for f, loop in loops.items()}
            x[2, at] = value
            for formula, loop in loops.items():
                got = loop(x)
                with np.errstate(all="ignore"):
                    want = exactly(formula, x)
                np.testing.assert_array_equal(np.isnan(got), np.isnan(want), formula.__name__)
                np.testing.assert_array_equal(np.delete(got, 2, 0), np.delete(plain[formula], 2, 0))
                if not np.isnan(want[2]).any():
                    np.testing.assert_allclose(got[2], want[2], rtol=1e-5, atol=1e-6)
    x[:] = -np.inf
    assert np.isnan(loops[softmax](x)).all()
    assert (softmax_rows.logsumexp(x) == -np.inf).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing(dtype):
    for loop in (softmax_rows.softmax, softmax_rows.log_softmax):
        for shape in [(0, 5), (0, 0), (3, 0), (0, 100)]:
            got = loop(np.empty(shape, dtype))
            assert got.shape == shape and got.dtype == dtype
    sums = RowLoop(lambda x: x.sum(-1, keepdims=True), "sums")
    np.testing.assert_array_equal(sums(np.empty((5, 0), dtype)), np.zeros((5, 1)))
    np.testing.assert_array_equal(softmax_rows.logsumexp(np.empty((5, 0), dtype)),
                                  np.full(5, -np.inf))


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_that_lie_otherwise(dtype):
    x = draw("softmax", 9, 40, dtype)[0]
    want = softmax_rows.softmax(x)
    swapped = x.astype(x.dtype.newbyteorder())
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], swapped):
        other.flags.writeable = False
        close(softmax_rows.softmax(other).astype(dtype), want, dtype)
    bytes_ = np.zeros(x.nbytes + 1, np.uint8)
    crooked = bytes_[1:].view(dtype).reshape(x.shape)
    crooked[:] = x
    np.testing.assert_array_equal(softmax_rows.softmax(crooked), want)
    g = np.broadcast_to(x[:1], x.shape)
    np.testing.assert_array_equal(softmax_rows.softmax_grad(g, want),
                                  softmax_rows.softmax_grad(g.copy(), want))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [3, LANES + 2, 400])
def test_a_loss_with_labels(columns, dtype):
    loss = RowLoop(cross_entropy, "cross_entropy")
    for rows in ROWS:
        x = draw("softmax", rows, columns, dtype)[0]
        target = np.random.default_rng(rows).integers(0, columns, (rows, 1))
        target[0] = -100
        got = loss(x, target, -100)
        assert got.shape == (rows, 1) and got[0] == 0
        close(got, exactly(cross_entropy, x, target, -100), dtype)
    assert has_loop(loss) or jit_disabled()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_of_a_norm_is_its_derivative(dtype):
    """That formulas say what they mean, by differences in float64."""
    x, g, weight = (draw("layer_norm_grad", 3, 20, np.float64)[i] for i in (1, 0, 2))
    numbers = np.empty_like(x)
    for at in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[at] += 1e-5
        low[at] -= 1e-5
        numbers[at] = ((layer_norm(high, weight, 0, 1e-2) - layer_norm(low, weight, 0, 1e-2))
                       * g).sum() / 2e-5
    grad = RowLoop(layer_norm_grad, "layer_norm_grad")
    got = grad(*[a.astype(dtype) for a in (g, x, weight)], 1e-2)
    np.testing.assert_allclose(got, numbers, rtol=1e-5, atol=1e-5)


@needs_jit
def test_long_sums_keep_their_digits():
    x = np.random.default_rng(3).random((3, 200_000), np.float32)
    sums = RowLoop(lambda x: x.sum(-1, keepdims=True), "sums")
    true = x.sum(-1, keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(sums(x), true, rtol=3e-7)
    ones = np.ones((1, 1 << 25), np.float32)            # beyond 2^24 float32 cannot count
    assert sums(ones) == 1 << 25


@needs_jit
def test_logarithms_of_numbers_of_rows():
    """In float64, whatever the rows are of: within one unit and a half of the last place."""
    log = RowLoop(lambda x: np.log(x.sum(-1, keepdims=True)), "log")
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.uniform(0.5, 2, 20_000), 10.0 ** rng.uniform(-307, 307, 20_000),
                        1 + 1e-9 * rng.standard_normal(1000), [5e-324, 1e-310]])[:, None]
    got, want = log(x), np.log(x.astype(np.longdouble))
    assert has_loop(log)
    error = np.abs(got - want) / np.spacing(np.abs(want).astype(np.float64))
    assert error.max() <= 1.5 + (0.5 if np.finfo(np.longdouble).eps > 1e-17 else 0)
    ends = np.array([[0.0], [-0.0], [np.inf], [np.nan], [-1.0], [-np.inf], [1.0]])
    np.testing.assert_array_equal(log(ends), [[-np.inf], [-np.inf], [np.inf], [np.nan], [np.nan],
                                              [np.nan], [0.0]])


@needs_jit
@pytest.mark.parametrize("formula", [
    lambda x: x - x.sum(0, keepdims=True),              # along the other dimension
    lambda x: x - np.cumsum(x, -1),                     # a word that loops lack
    lambda x: x if x[0, 0] > 0 else -x,                 # a branch
    lambda x: x > x.max(-1, keepdims=True) - 1,         # a result of another dtype
    lambda x: x.max(-1, keepdims=True, initial=5.0),    # another start
    lambda x: np.take_along_axis(np.exp(x), np.argmax(x, -1, keepdims=True), -1),
    lambda x: x.sum(-1, keepdims=True) / x.shape[-1],   # the code is made for any
    lambda x: x * (x > 0).sum(-1, keepdims=True),       # of comparisons: integers
    lambda x: x * np.ones(6, np.float32),               # another array
])
def test_what_has_no_loop_is_numpys(formula):
    loop, x = RowLoop(formula, "none"), draw("softmax", 4, 6, np.float32)[0]
    np.testing.assert_array_equal(loop(x), formula(x))
    assert list(loop.made.values()) == [None]


@needs_jit
def test_dtypes_that_have_no_loop_are_numpys():
    x = np.arange(12).reshape(3, 4)
    sums = RowLoop(lambda x: x.sum(-1, keepdims=True), "sums")
    for other in (x, x.astype(np.float16), x.astype(np.complex64), x > 3):
        got = sums(other)
        np.testing.assert_array_equal(got, other.sum(-1, keepdims=True))
        assert got.dtype == other.sum(-1, keepdims=True).dtype
    places = np.arange(3)[:, None]
    for formula in (lambda x, i: x * i, lambda x, i: x.sum(-1, keepdims=True) + i):
        beside = RowLoop(formula, "integers")           # float64 to NumPy
        got, want = (f(x.astype(np.float32), places) for f in (beside, formula))
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype and list(beside.made.values()) == [None]
    mixed = RowLoop(distance, "distance")
    assert mixed(x.astype(np.float32), x.astype(np.float64)).dtype == np.float64


def test_without_a_loop_it_is_the_formula(monkeypatch):
    from minigrad.kernels.pointwise import row_loop

    monkeypatch.setattr(row_loop, "works", lambda: False)
    loop, x = RowLoop(softmax, "softmax"), draw("softmax", 5, 7, np.float32)[0]
    np.testing.assert_array_equal(loop(x), softmax(x))
    assert "softmax" in repr(loop)
