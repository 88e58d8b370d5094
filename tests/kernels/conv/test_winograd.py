"""Winograd's convolution against the references of the direct one, and where it is used."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_testing import PLAIN, examples

from minigrad.kernels import ways
from minigrad.kernels.conv import winograd, winograd_cut, winograd_grad_w
from minigrad.kernels.conv.conv2d import (
    conv2d, conv2d_grad_w, conv2d_grad_w_reference, conv2d_grad_x, conv2d_grad_x_reference,
    conv2d_reference,
)
from minigrad.kernels.conv.geometry import backward_axis, forward_axis
from minigrad.kernels.jit import jit
from minigrad.kernels.conv.winograd_transform import (
    grid_lanes, sandwich, sandwich_of_image, sandwich_to_image,
)
from minigrad.kernels.parallel.threads import set_num_threads

pytestmark = pytest.mark.usefixtures("quiet")
TOLERANCE = 3e-6  # relative to the same sum over absolute values
deterministic = examples(60, plain=12)


@contextlib.contextmanager
def always():
    """Every convolution that can be done in this way is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd_cut, "cheaper", lambda *sizes, gradient=False: True)
        ways.forget()
        yield
    ways.forget()


THREE, ONE = (3, 3), (1, 1)


def make(batch, channels, features, hw, begin, end, khw=THREE, dilation=ONE):
    """x, w, bias, g and the options of a convolution with this padding and stride 1."""
    rng = np.random.default_rng([batch, channels, features, *hw, *begin, *end, *khw, *dilation])
    out_hw = [
        size + b + e - (k - 1) * d for size, b, e, k, d in zip(hw, begin, end, khw, dilation)
    ]
    shapes = (
        (batch, channels, *hw), (features, channels, *khw), features, (batch, features, *out_hw)
    )
    x, w, bias, g = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return x, w, bias, g, ((1, 1), begin, dilation, 1)


def passes(x, w, bias, g, options):
    """y, gx, gw through Winograd's tiles, by the functions that the dispatch calls."""
    _, begin, dilation, _ = options
    sizes = list(zip(x.shape[2:], w.shape[2:], begin, dilation, g.shape[2:]))
    axes = [forward_axis(size, k, 1, pad, d, count) for size, k, pad, d, count in sizes]
    back = [backward_axis(size, k, 1, pad, d, count) for size, k, pad, d, count in sizes]
    assert winograd_cut.why_not(1, x.dtype, *axes) is None
    assert winograd_cut.why_not(1, x.dtype, *back) is None
    y, gx = np.empty_like(g), np.empty_like(x)
    assert winograd.correlate(x, w, False, bias, *axes, y)
    assert winograd.correlate(g, w, True, None, *back, gx)
    found = winograd_grad_w.grad_w(g, x, w.shape[2:], *axes, 1 << 25, True)
    assert found is not None
    gw, gb = found
    exact = g.sum((0, 2, 3), np.float64)
    np.testing.assert_allclose(gb.sum(0), exact, rtol=0, atol=1e-6 * abs(g).sum())
    return y, gx, gw


def assert_sum(got, reference, arrays, *rest):
    wide = [None if a is None else a.astype(np.float64) for a in arrays]
    want = reference(*wide, *rest)
    assert got.dtype == np.float32
    assert got.shape == want.shape
    # An error is relative to the largest terms of a tile, so to the sum that is largest nearby.
    sizes = reference(*[None if a is None else abs(a) for a in wide], *rest)
    wrong = ~(abs(got - want) <= TOLERANCE * (1 + sizes.max()))
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size} wrong, first at {np.argwhere(wrong)[0]}"


def check(*sizes):
    x, w, bias, g, options = make(*sizes)
    before = [a.copy() for a in (x, w, bias, g)]
    y, gx, gw = passes(x, w, bias, g, options)
    assert_sum(y, conv2d_reference, (x, w, bias), g.shape[2:], *options)
    assert_sum(gx, conv2d_grad_x_reference, (g, w), x.shape[2:], *options)
    assert_sum(gw, conv2d_grad_w_reference, (g, x), w.shape[2:], *options)
    for a, b in zip((x, w, bias, g), before):
        np.testing.assert_array_equal(a, b)


@st.composite
def sizes(draw):
    small = 3 if PLAIN else 37
    khw = draw(st.integers(2, 7)), draw(st.integers(2, 7))
    dilation = draw(st.integers(1, 5)), draw(st.sampled_from(winograd_cut.SPREADS))
    begin = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    end = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    least = [max(1, (k - 1) * d + 1 - b - e) for k, d, b, e in zip(khw, dilation, begin, end)]
    hw = [n + draw(st.integers(0, 5 if PLAIN else 19)) for n in least]
    channels, features = draw(st.integers(1, small)), draw(st.integers(1, small))
    batch = draw(st.integers(1, 1 if PLAIN else 3))
    return batch, channels, features, tuple(hw), begin, end, khw, dilation


@deterministic
@given(case=sizes())
def test_all_passes_equal_the_references(case):
    check(*case)


LARGE = {
    "many items, odd": (3, 40, 33, (41, 39), ONE, ONE),
    "several panels of channels": (2, 70, 90, (14, 14), ONE, ONE),
    "several pieces": (9, 17, 20, (20, 20), (0, 2), (1, 0)),
    "rows of many tiles": (1, 16, 16, (3, 1500), ONE, ONE),
    "deep": (1, 600, 40, (6, 6), ONE, ONE),
    "tiles half outside": (40, 20, 20, (3, 3), ONE, ONE),
    "large kernel": (2, 40, 24, (30, 33), (3, 2), (4, 3), (7, 6)),
    "long kernel": (1, 16, 33, (9, 70), (1, 7), (1, 7), (2, 15)),
    "many items, spread": (3, 40, 33, (41, 39), (2, 2), (2, 2), (3, 3), (2, 2)),
    "large kernel, spread": (5, 30, 20, (31, 35), (6, 4), (5, 4), (5, 5), (3, 2)),
    "items without outputs": (4, 128, 8, (2, 30), (40, 9), (30, 9), (5, 7), (17, 2)),
}


@pytest.mark.skipif(PLAIN, reason="minutes of plain Python; the same loops run in smaller cases")
@pytest.mark.parametrize("name", LARGE)
def test_sizes_that_are_cut(name):
    check(*LARGE[name])


def test_matrices_make_a_correlation():
    """In one dimension: A^T ((G w) * (B^T d)) = the correlation of d with w, for any d and w."""
    b_t, g, a_t = (np.array(m, np.float64) for m in (winograd.B_T, winograd.G, winograd.A_T))
    rng = np.random.default_rng(2)
    for _ in range(5):
        d, w = rng.standard_normal(4), rng.standard_normal(3)
        np.testing.assert_allclose(a_t @ ((g @ w) * (b_t @ d)), np.correlate(d, w), atol=1e-13)
        np.testing.assert_allclose(g @ w[::-1], (g @ w)[winograd.FLIPPED], atol=1e-15)


@pytest.mark.skipif(PLAIN, reason="sums short enough for plain Python have no error to compare")
@pytest.mark.parametrize("khw", [THREE, (5, 5), (4, 7)])
def test_as_accurate_as_the_direct_sum(khw):
    """gw has sums as long as the direct ones (over positions), and pays for its transforms."""
    x, w, _, g, options = make(4, 64, 16, (8, 8), ONE, ONE, khw)
    wide = [a.astype(np.float64) for a in (x, w, g)]
    exact = (
        conv2d_reference(wide[0], wide[1], None, g.shape[2:], *options),
        conv2d_grad_x_reference(wide[2], wide[1], x.shape[2:], *options),
        conv2d_grad_w_reference(wide[2], wide[0], w.shape[2:], *options),
    )
    with ways.forced(conv2d="tiles", conv2d_grad_x="tiles", conv2d_grad_w="tiles"):
        direct = (
            conv2d(x, w, None, g.shape[2:], *options),
            conv2d_grad_x(g, w, x.shape[2:], *options),
            conv2d_grad_w(g, x, w.shape[2:], *options),
        )
    ours = passes(x, w, None, g, options)
    limits = {"y": 1.2, "gx": 1.5, "gw": 2.5}
    for (name, limit), here, there, want in zip(limits.items(), ours, direct, exact):
        assert not np.array_equal(here, there), "both are the same code"
        ratio = np.sqrt(np.mean((here - want) ** 2) / np.mean((there - want) ** 2))
        assert ratio < limit, f"{name}: {ratio:.2f} times the error of the direct sum"


# ------------------------------------------------------------------ numbers that are not finite


def same_places(got, want):
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isposinf(got), np.isposinf(want))
    np.testing.assert_array_equal(np.isneginf(got), np.isneginf(want))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
@settings(deterministic, max_examples=4 if PLAIN else 25)
@given(where=st.integers(0, 10**6), case=sizes())
def test_what_is_not_finite_goes_where_the_direct_way_sends_it(case, where, bad):
    """To where the direct way does, that is; test_conv.py compares that with the references.

    3e38 is finite, and so are its products with weights below 1, but the transforms overflow.
    """
    x, w, bias, g, options = make(*case)
    w = np.clip(w, -0.9, 0.9)

    def three():
        return (
            conv2d(x, w, bias, g.shape[2:], *options),
            conv2d_grad_x(g, w, x.shape[2:], *options),
            conv2d_grad_w(g, x, w.shape[2:], *options),
        )

    for target in (x, w, g):
        place = where % target.size
        before = target.flat[place]
        target.flat[place] = bad
        want = three()
        with always():
            got = three()
        for ours, direct in zip(got, want):
            same_places(ours, direct)
        target.flat[place] = before


def test_a_result_that_is_not_finite_is_reported():
    x, w, bias, g, _ = make(2, 5, 6, (9, 7), ONE, ONE)
    axes = [forward_axis(s, 3, 1, 1, 1, s) for s in (9, 7)]
    out = np.empty_like(g)
    assert winograd.correlate(x, w, False, bias, *axes, out)
    bias[3] = np.nan
    assert not winograd.correlate(x, w, False, bias, *axes, out)
    bias[3] = 0
    x[1, 4, 8, 6] = np.inf  # the last corner, which two tiles of each axis do not fill
    assert not winograd.correlate(x, w, False, bias, *axes, out)
    assert winograd_grad_w.grad_w(g, x, THREE, *axes, 1 << 25, False) is None


def test_nothing_is_left_over_from_numbers_that_were_not_finite():
    """Threads keep their room: the next call must not see what is in it."""
    x, w, bias, g, options = make(2, 9, 10, (9, 7), ONE, ONE)
    want = passes(x, w, bias, g, options)
    bad = np.full_like(x, np.nan)
    with always():
        assert np.isnan(conv2d(bad, w, bias, (9, 7), *options)).all()
        assert np.isnan(conv2d_grad_w(np.full_like(g, np.inf), bad, (3, 3), *options)).all()
    for got, before in zip(passes(x, w, bias, g, options), want):
        np.testing.assert_array_equal(got, before)


# ------------------------------------------------------------------ where it is used


@pytest.mark.skipif(PLAIN, reason="seconds of plain Python")
@pytest.mark.parametrize(("khw", "dilation"), [(THREE, ONE), ((5, 4), (3, 2))])
def test_same_bits_at_any_number_of_threads(khw, dilation):
    arrays = make(6, 48, 40, (23, 23), ONE, ONE, khw, dilation)
    runs = []
    for threads in (1, 2, 5):
        set_num_threads(threads)
        runs.append(passes(*arrays))
    for run in runs[1:]:
        for got, want in zip(run, runs[0]):
            np.testing.assert_array_equal(got, want)


@pytest.mark.skipif(PLAIN, reason="seconds of plain Python")
@pytest.mark.skipif(winograd.tile_shape(np.float32).lanes < 8, reason="not used on this CPU")
def test_large_convolutions_are_done_this_way(monkeypatch):
    x, w, bias, g, options = make(8, 64, 64, (28, 28), ONE, ONE)
    used = []

    def spy(module, name):
        inner = getattr(module, name)

        def outer(*args):
            used.append(name)
            return inner(*args)

        monkeypatch.setattr(module, name, outer)

    spy(winograd, "correlate")
    spy(winograd_grad_w, "grad_w")
    y = conv2d(x, w, bias, (28, 28), *options)
    gx = conv2d_grad_x(g, w, (28, 28), *options)
    gw = conv2d_grad_w(g, x, (3, 3), *options)
    assert used == ["correlate", "correlate", "grad_w"]
    for got, want in zip((y, gx, gw), passes(x, w, bias, g, options)):
        np.testing.assert_array_equal(got, want)
    used.clear()
    conv2d(x.astype(np.float64), w.astype(np.float64), None, (28, 28), *options)
    conv2d(x[:1, :2], w[:, :2], None, (28, 28), *options)
    assert not used


OPTIONS = "stride", "dilation", "taps"


@pytest.mark.parametrize(
    "what",
    [
        {"groups": 2},
        {"dtype": np.dtype(np.float64)},
        {"stride": 2},
        {"dilation": 3},
        {"taps": 1},
    ],
)
def test_impossible(what):
    stride, dilation, taps = (what.get(k, 3 if k == "taps" else 1) for k in OPTIONS)
    good = forward_axis(12, 3, 1, 1, 1, 12)
    other = forward_axis(12, taps, stride, 1, dilation, 5)
    dtype = what.get("dtype", np.dtype(np.float32))
    assert winograd_cut.why_not(1, np.dtype(np.float32), good, good) is None
    assert winograd_cut.why_not(what.get("groups", 1), dtype, good, other)
    if "dilation" not in what:  # rows may be any distance apart
        assert winograd_cut.why_not(what.get("groups", 1), dtype, other, good)


def test_small_ones_stay_direct():
    axis = forward_axis(14, 3, 1, 1, 1, 14)
    assert not winograd_cut.cheaper(1, 8, 8, axis, axis)
    tiny = forward_axis(3, 3, 1, 1, 1, 3)
    assert not winograd_cut.cheaper(64, 64, 64, tiny, tiny)  # tiles of 2 x 2 waste nearly half


# ------------------------------------------------------------------ sandwiches


# Winograd's own and some that share nothing with them: no signs that cancel, no symmetry.
WIDE = ((1, 2, 0, -3, 0.5), (0, -1, 4, 0, 2), (0, 1, 4, 0, 2))


def run(kernel, *args):
    """A kernel that is always inlined, from Python."""
    names = ", ".join(f"a{i}" for i in range(len(args)))
    scope = {"kernel": kernel, "__name__": __name__}
    exec(f"def outer({names}): kernel({names})", scope)
    jit(scope["outer"])(*args)


def grids(size, seed):
    """Some grids of size x size entries: entry (i, j) begins at (i * size + j) * 20."""
    return np.random.default_rng(seed).standard_normal((size, size, 20)).astype(np.float32)


@pytest.mark.parametrize(
    "matrix", [winograd.G, tuple(zip(*winograd.A_T)), tuple(zip(*winograd.G)), WIDE]
)
def test_sandwich(matrix):
    m, lanes = np.array(matrix), grid_lanes()
    rows, size = m.shape
    source, pitch = grids(size, 1), 30
    out = np.zeros(rows * rows * pitch, np.float32)
    run(sandwich(matrix), source.reshape(-1), size * 20, 20, out, rows * pitch, pitch)
    want = np.einsum("ia,jb,abl->ijl", m, m, source[:, :, :lanes])
    np.testing.assert_allclose(out.reshape(rows, rows, pitch)[:, :, :lanes], want, atol=1e-4)
    assert not out.reshape(rows, rows, pitch)[:, :, lanes:].any()


@pytest.mark.parametrize("spread", [1, 2, 4])
@pytest.mark.parametrize("matrix", [winograd.A_T, WIDE[:2]])
def test_sandwich_to_an_image(matrix, spread):
    m, lanes = np.array(matrix), grid_lanes()
    rows, size = m.shape
    width, plus = rows * lanes, np.float32(0.5)
    source, pitch = grids(size, 2), 50
    want = np.einsum("ia,jb,abl->ilj", m, m, source[:, :, :lanes]) + plus  # (rows, lanes, 2)
    turns = want.reshape(rows, lanes // spread, spread, rows)  # `spread` grids take turns
    want = turns.transpose(0, 1, 3, 2).reshape(rows, width)
    kernel = sandwich_to_image(matrix, spread)
    for counts in ((2, width), (1, width), (2, width - 1), (5, 3), (2, 1), (2, width + 7)):
        out, odd = np.full((rows, pitch), 7, np.float32), np.zeros(width, np.float32)
        flat, row = source.reshape(-1), size * 20
        run(kernel, flat, row, 20, plus, out.reshape(-1), pitch, counts, odd)
        kept = np.zeros_like(out, bool)
        kept[: counts[0], : min(width, counts[1])] = True
        expected = np.pad(want, ((0, 0), (0, pitch - width)))[kept]
        np.testing.assert_allclose(out[kept], expected, atol=1e-4)
        assert (out[~kept] == 7).all()
        assert not odd.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sandwich_notices_results_that_are_not_finite(bad):
    lanes = grid_lanes()
    source, out = grids(4, 3), np.zeros((2, 40), np.float32)
    source[3, 3, lanes - 1] = bad  # of the last grid, of which it reaches the last number alone
    kernel, plus = sandwich_to_image(winograd.A_T), np.float32(0)
    for columns in (2 * lanes - 1, 2 * lanes):
        odd = np.zeros(2 * lanes, np.float32)
        run(kernel, source.reshape(-1), 80, 20, plus, out.reshape(-1), 40, (2, columns), odd)
        assert np.isnan(odd).any() == (columns == 2 * lanes)


@pytest.mark.parametrize("down", [1, 3])
@pytest.mark.parametrize("spread", [1, 2, 4])
@pytest.mark.parametrize(("matrix", "side"), [(winograd.B_T, 2), (WIDE, 2), (WIDE, 3)])
def test_sandwich_of_an_image(matrix, side, spread, down):
    m, lanes = np.array(matrix), grid_lanes()
    rows, n = m.shape
    rng = np.random.default_rng(side)
    image = rng.standard_normal((7, 11)).astype(np.float32)
    around = n * max(spread, down)
    padded = np.zeros((7 + 3 * around, 11 + 3 * around + side * lanes), np.float32)
    padded[around : around + 7, around : around + 11] = image
    kernel = sandwich_of_image(matrix, side, spread)
    blank = np.zeros((side * lanes + n) * spread, np.float32)
    for top, left in ((0, 0), (-1, -1), (5, 3), (-n, 2), (7, 0), (1, -n)):
        out = np.zeros(rows * rows * 20, np.float32)
        run(kernel, image.reshape(-1), blank, (7, 11), (top, left), down, out, rows * 20, 20)
        for lane in range(lanes):
            turn, place = divmod(lane, spread)
            at = around + left + turn * side * spread + place
            window = padded[around + top :: down, at::spread][:n, :n]
            window = np.pad(window, ((0, n - window.shape[0]), (0, n - window.shape[1])))
            want = m @ window @ m.T
            np.testing.assert_allclose(out.reshape(rows, rows, 20)[:, :, lane], want, atol=1e-4)
