"""The convolution kernels against their references, as an adjoint trio, and over threads."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_testing import DTYPES, PLAIN, examples

from minigrad import tuning
from minigrad.kernels import ways
from minigrad.kernels.conv import (
    depthwise as depthwise, flat as conv_flat, grad_w_parts as grad_w_parts, tiles as conv_tiles,
)
from minigrad.kernels.conv import stencil as stencil_module
from minigrad.kernels.conv.conv2d import (
    conv2d, conv2d_grad_w, conv2d_grad_w_and_bias, conv2d_grad_w_reference, conv2d_grad_x,
    conv2d_grad_x_reference, conv2d_reference,
)
from minigrad.kernels.simd.dot_tile import dot_shape, dots_of_rows
from minigrad.kernels.simd.masked import masked_lanes
from minigrad.kernels.simd.strided import put, take
from minigrad.kernels.conv.stencil import ROWS, stencil_lanes
from minigrad.kernels.parallel.threads import set_num_threads

pytestmark = pytest.mark.usefixtures("quiet")
# Relative to the same sum over absolute values: what rounding may do to sums of some 500 terms.
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}
deterministic = examples(100, plain=12)


def out_size(size, kernel, stride, padding, dilation):
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


@st.composite
def cases(draw):
    """A legal case: (N, C, F, (H, W), (KH, KW), (OH, OW), stride, padding, dilation, groups).

    Padding at the end of each axis differs from the padding at its beginning, as for 'same'.
    """
    small, tiny = (5, 2) if PLAIN else (14, 3)
    groups = draw(st.integers(1, 3))
    channels, features = (groups * draw(st.integers(1, small // 2)) for _ in "CF")
    axes = []
    for _ in range(2):
        kernel, stride, dilation = (draw(st.integers(1, top)) for top in (4, 3, 3))
        begin, end = draw(st.integers(0, tiny)), draw(st.integers(0, tiny))
        least = max(1, dilation * (kernel - 1) + 1 - begin - end)
        size = draw(st.integers(least, least + small))
        out = out_size(size, kernel, stride, begin + end, dilation)
        axes.append((size, kernel, out, stride, begin, dilation))
    hw, khw, out_hw, stride, padding, dilation = zip(*axes)
    batch = draw(st.integers(0, 3))
    return batch, channels, features, hw, khw, out_hw, stride, padding, dilation, groups


def make(case, dtype, seed=0):
    """x, w, bias and g of a case, and the options in the order of the three functions."""
    batch, channels, features, hw, khw, out_hw, *options, groups = case
    rng = np.random.default_rng([seed, batch, channels, features, *hw, *khw])
    x = rng.standard_normal((batch, channels, *hw)).astype(dtype)
    w = rng.standard_normal((features, channels // groups, *khw)).astype(dtype)
    bias = rng.standard_normal(features).astype(dtype)
    g = rng.standard_normal((batch, features, *out_hw)).astype(dtype)
    return x, w, bias, g, (*options, groups)


def assert_sum(got, reference, dtype, arrays, *rest):
    """got equals reference(*arrays, *rest), up to rounding of the terms."""
    wide = [None if a is None else a.astype(np.float64) for a in arrays]
    want = reference(*wide, *rest)
    assert got.dtype == dtype
    assert got.shape == want.shape
    sizes = [None if a is None else abs(a) for a in wide]
    slack = TOLERANCE[dtype] * (1 + reference(*sizes, *rest))
    wrong = ~(abs(got - want) <= slack)
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size} wrong, first at {np.argwhere(wrong)[0]}"


def check(case, dtype):
    """The three kernels, on one case."""
    x, w, bias, g, options = make(case, dtype)
    hw, khw, out_hw = x.shape[2:], w.shape[2:], g.shape[2:]
    before = [a.copy() for a in (x, w, bias, g)]
    for b in (bias, None):
        y = conv2d(x, w, b, out_hw, *options)
        assert_sum(y, conv2d_reference, dtype, (x, w, b), out_hw, *options)
    gx = conv2d_grad_x(g, w, hw, *options)
    assert_sum(gx, conv2d_grad_x_reference, dtype, (g, w), hw, *options)
    gw = conv2d_grad_w(g, x, khw, *options)
    assert_sum(gw, conv2d_grad_w_reference, dtype, (g, x), khw, *options)
    again, gb = conv2d_grad_w_and_bias(g, x, khw, *options)
    np.testing.assert_array_equal(again, gw)
    assert_sum(gb, lambda g: g.sum((0, 2, 3)), dtype, (g,))
    for a, b in zip((x, w, bias, g), before):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@deterministic
@given(case=cases())
def test_kernels_equal_their_references(case, dtype):
    check(case, dtype)


def full(batch, channels, features, size, kernel, stride=1, padding=0, dilation=1, groups=1):
    """A square case in short."""
    out = out_size(size, kernel, stride, 2 * padding, dilation)
    pairs = [(v, v) for v in (size, kernel, out, stride, padding, dilation)]
    return (batch, channels, features, *pairs, groups)


EDGES = {
    "no image": full(0, 3, 4, 5, 3),
    "one output": full(2, 3, 4, 5, 5),
    "kernel beyond the image": full(2, 3, 4, 2, 5, padding=2),
    "padding beyond the kernel": full(2, 3, 4, 3, 2, padding=3),
    "stride beyond the kernel": full(2, 3, 4, 9, 2, stride=4),
    "stride leaves a rest": full(1, 2, 3, 8, 3, stride=3),
    "patches": full(2, 3, 4, 24, 2, stride=2),
    "depthwise": full(2, 6, 6, 7, 3, padding=1, groups=6),
    "depthwise, two of each": full(2, 3, 6, 7, 3, padding=1, groups=3),
    "one row": (2, 3, 4, (1, 9), (1, 3), (1, 7), (1, 1), (0, 0), (1, 1), 1),
    "same, even": (2, 3, 4, (6, 6), (2, 4), (6, 6), (1, 1), (0, 1), (1, 1), 1),
}
# Sizes at which the passes are cut: many images to a row, several rows of blocks, several
# panels of channels; images read in place, and such whose channels fall into one cache set.
LARGE = {
    "article, first layer": full(5, 1, 32, 28, 3, padding=1),
    "article, second layer": full(5, 32, 64, 14, 3, padding=1),
    "blocks of rows": full(2, 3, 5, 90, 3, padding=1),
    "blocks of rows and images": full(20, 3, 9, 7, 3, padding=1),
    "wide rows": (1, 2, 9, (2, 3000), (2, 5), (1, 2996), (1, 1), (0, 0), (1, 1), 1),
    "strides on the tile": full(2, 16, 20, 15, 3, stride=2, padding=1),
    "dilation on the tile": full(2, 30, 9, 12, 3, padding=2, dilation=2),
    "groups on the tile": full(2, 60, 20, 9, 3, padding=1, groups=2),
    "1x1": full(2, 50, 17, 9, 1),
    "1x1, stride": full(2, 50, 17, 9, 1, stride=2),
    "1x1, cut rows": full(1, 9, 17, 33, 1),
    "1x1, channels a page apart": full(2, 9, 17, 32, 1),
    "1x1, padding": full(2, 9, 17, 9, 1, padding=1),
    "1x1, tiny images": full(3, 20, 17, 3, 1),
    "1x1, less than a long tile": full(3, 20, 17, 6, 1),
    "1x1, a short tile at the end": full(3, 20, 17, 14, 1),
    "1x1, stride, groups": full(2, 18, 34, 21, 1, stride=2, groups=2),
    "1x1, whole lines": full(2, 19, 35, 8, 1),
    "1x1, images share an item": full(17, 32, 33, 4, 1),
    "channels in blocks": full(3, 32, 20, 15, 3, stride=2, padding=1),
    "channels in blocks, groups, 1x1": full(3, 64, 20, 15, 1, stride=2, groups=2),
    "features that fill no tile": full(2, 16, 9, 40, 3, padding=1, stride=3),
    "many channels, one image": full(1, 70, 90, 3, 3, padding=1),
    "many channels to one": full(2, 40, 1, 20, 3, padding=1),
    "few channels to many": full(2, 3, 34, 33, 3, padding=1),
    "few channels to many, stride": full(2, 3, 34, 33, 5, stride=2, padding=2),
    "few channels to many, dilation, groups": full(2, 4, 68, 33, 3, dilation=2, groups=2),
    "few channels": full(2, 3, 5, 40, 5, stride=2, padding=2),
    "depthwise, wide": full(2, 4, 4, 35, 3, padding=1, groups=4),
    "depthwise, cut rows": full(1, 1, 1, 90, 5, padding=2),
    "depthwise, stride": full(2, 4, 4, 35, 3, stride=2, padding=1, groups=4),
    "depthwise, long stride": full(2, 4, 4, 35, 3, stride=3, groups=4),
    "depthwise, dilation": full(2, 4, 4, 35, 3, padding=2, dilation=2, groups=4),
    "depthwise, 7 x 7": full(1, 4, 8, 21, 7, padding=3, groups=4),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EDGES)
def test_edges(name, dtype):
    check(EDGES[name], dtype)


@pytest.mark.skipif(PLAIN, reason="minutes of plain Python; the same loops run in test_edges")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LARGE)
def test_large(name, dtype):
    check(LARGE[name], dtype)


@contextlib.contextmanager
def all_go(way):
    """All shapes that can take this way, whichever would be the fastest for them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("conv2d", "conv2d_grad_x", "conv2d_grad_w"):
            family = ways.FAMILIES[name]
            first = [w._replace(better=lambda p: True) for w in family.ways if w.name == way]
            rest = [w for w in family.ways if w.name in ("zeros", "tiles", "reference")]
            patch.setattr(family, "ways", (rest[0], *first, *rest[1:]))
        ways.forget()
        yield
    ways.forget()


WAYS = ["tiles", "flat", "depthwise", "dots", "winograd"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@settings(deterministic, max_examples=6 if PLAIN else 60)
@given(case=cases())
def test_every_way_does_every_shape(case, dtype, way):
    with all_go(way):
        check(case, dtype)


@pytest.mark.skipif(PLAIN, reason="minutes of plain Python; the same loops run in test_edges")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LARGE)
def test_every_way_does_large_shapes(name, way):
    with all_go(way):
        check(LARGE[name], np.float32)


@settings(deterministic, max_examples=10 if PLAIN else 60)
@given(case=cases())
def test_the_trio_is_adjoint(case):
    """<conv(x, w), g> = <x, grad_x(g, w)> = <w, grad_w(g, x)>: no reference is asked."""
    x, w, _, g, options = make(case, np.float64, seed=1)
    inner = np.sum(conv2d(x, w, None, g.shape[2:], *options) * g)
    # Relative to the norms, not to the sum, in which terms may cancel.
    scale = 1e-12 * (1 + np.linalg.norm(x) * np.linalg.norm(w) * np.linalg.norm(g))
    assert abs(inner - np.sum(x * conv2d_grad_x(g, w, x.shape[2:], *options))) <= scale
    assert abs(inner - np.sum(w * conv2d_grad_w(g, x, w.shape[2:], *options))) <= scale


@pytest.mark.parametrize("way", [*WAYS, "the fastest"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@settings(deterministic, max_examples=3 if PLAIN else 20)
@given(case=cases(), where=st.integers(0, 10**6))
def test_nan_and_inf_go_where_mathematics_sends_them(case, where, dtype, bad, way):
    with contextlib.nullcontext() if way == "the fastest" else all_go(way):
        check_places(case, where, dtype, bad)


def check_places(case, where, dtype, bad):
    """One number of each input in turn is bad: results are where those of the references are."""
    x, w, bias, g, options = make(case, dtype)
    if x.size == 0:
        return
    hw, khw, out_hw = x.shape[2:], w.shape[2:], g.shape[2:]
    x.reshape(-1)[where % x.size] = bad
    y = conv2d(x, w, bias, out_hw, *options)
    same_places(y, conv2d_reference(x, w, bias, out_hw, *options))
    gw = conv2d_grad_w(g, x, khw, *options)
    same_places(gw, conv2d_grad_w_reference(g, x, khw, *options))
    g.reshape(-1)[where % g.size] = bad
    gx = conv2d_grad_x(g, w, hw, *options)
    same_places(gx, conv2d_grad_x_reference(g, w, hw, *options))
    x, w, _, g, _ = make(case, dtype)
    g.reshape(-1)[where % g.size] = bad
    gw, gb = conv2d_grad_w_and_bias(g, x, khw, *options)
    same_places(gw, conv2d_grad_w_reference(g, x, khw, *options))
    same_places(gb, g.sum((0, 2, 3)))
    w.reshape(-1)[where % w.size] = bad
    y = conv2d(x, w, bias, out_hw, *options)
    same_places(y, conv2d_reference(x, w, bias, out_hw, *options))


def same_places(got, want):
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isposinf(got), np.isposinf(want))
    np.testing.assert_array_equal(np.isneginf(got), np.isneginf(want))


THREADED = {
    "tile": full(9, 12, 20, 6, 3, padding=1),
    "strides": full(9, 2, 9, 7, 3, stride=2, padding=1),
    "flat": full(4, 5, 9, 12, 3, padding=1),
    "in place": full(9, 5, 9, 12, 1),
    "depthwise": full(3, 4, 4, 6, 3, padding=1, groups=4),
    "x turned in blocks": full(4, 16, 9, 4, 3, padding=1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", THREADED)
def test_same_bits_at_any_number_of_threads(name, dtype, monkeypatch):
    x, w, bias, g, options = make(THREADED[name], dtype)

    def run():
        return [
            conv2d(x, w, bias, g.shape[2:], *options),
            conv2d_grad_x(g, w, x.shape[2:], *options),
            *conv2d_grad_w_and_bias(g, x, w.shape[2:], *options),
        ]

    chunks = []
    cut = False

    def in_one_or_all_pieces(kernel, n, *args, grain=1, parallel=conv_tiles.parallel):
        chunks.append(n if cut else 1)
        parallel(kernel, n, *args, grain=1 if cut else n + 1)

    for module in (conv_tiles, conv_flat, depthwise, grad_w_parts):
        monkeypatch.setattr(module, "parallel", in_one_or_all_pieces)
    monkeypatch.setattr(tuning, "GRAD_W_SHARE", 1)  # even these few positions are cut
    ways.forget()
    whole = run()
    cut = True
    for n in (1, 2, 3):
        set_num_threads(n)
        for a, b in zip(run(), whole):
            np.testing.assert_array_equal(a, b)
    ways.forget()
    assert sum(count > 1 for count in chunks) >= 3 * 3  # three passes did split, each time


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1, 2, 3])
def test_rows_with_a_step(step, dtype):
    for count in range(70):
        rows = count % 4
        pitch, other = step * count + 3, count + 2
        source = np.arange(1, 1 + 4 * pitch, dtype=dtype)
        some = np.s_[:rows, : step * count : step] if count else np.s_[:0, :0]
        out = np.full(4 * other, -1, dtype)
        want = out.copy().reshape(4, other)
        want[:rows, :count] = source.reshape(4, pitch)[some] if count else -1
        take.run(source, pitch, step, out, other, rows, count)
        np.testing.assert_array_equal(out, want.ravel())
        packed = np.arange(1, 1 + 4 * other, dtype=dtype)
        spread = np.full(4 * pitch, -1, dtype)
        want = spread.copy().reshape(4, pitch)
        want[some] = packed.reshape(4, other)[:rows, :count] if count else -1
        put.run(packed, other, spread, pitch, step, rows, count)
        np.testing.assert_array_equal(spread, want.ravel())


def _stencil_arguments(r, dtype, step_h, step_w, tap_rows):
    """Random (x, size, origin, step_h, reach, taps, table), counts, and the number of weights."""
    size = tuple(int(n) for n in r.integers(1, 30, 2))
    x = r.standard_normal(3 * size[0] * size[1]).astype(dtype)
    taps = int(r.integers(1, 5))
    table = np.stack([
        r.integers(0, 3, taps) * size[0] * size[1], r.integers(0, 4, taps), r.integers(0, 4, taps)
    ], axis=1).astype(np.int64)
    origin = tuple(int(n) for n in r.integers(-5, 25, 2))
    counts = int(r.integers(1, ROWS + 1)), int(r.integers(1, stencil_lanes(dtype) + 1))
    reach = int(table[:, 1].max())
    return (x, size, origin, step_h, reach, taps, table.ravel()), counts, taps * tap_rows


STENCILS = {
    "stencil_of_three": (1, 1, 3),
    "stencil": (2, 1, 1),
    "stencil_reading_second": (2, 2, 1),
    "stencil_writing_second": (1, 1, 1),
}
DOTS = {"dots_of_three": (1, 1, 3), "dots": (3, 1, 1), "dots_reading_second": (2, 2, 1)}


@pytest.mark.skipif(not stencil_lanes(np.float64), reason="no masked loads on this machine")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STENCILS)
def test_stencils_equal_their_plain_loops(name, dtype):
    kernel = getattr(stencil_module, name)
    for seed in range(5 if PLAIN else 100):
        r = np.random.default_rng(seed)
        image, counts, weights = _stencil_arguments(r, dtype, *STENCILS[name])
        w = r.standard_normal(weights).astype(dtype)
        start = r.standard_normal(ROWS * 40).astype(dtype)
        got = r.standard_normal(ROWS * 50).astype(dtype)
        want = got.copy()
        kernel.run(*image, w, start, 40, got, 50, counts)
        kernel.plain(*image, w, start, 40, want, 50, counts)
        np.testing.assert_allclose(got, want, rtol=0, atol=50 * np.finfo(dtype).eps)


@pytest.mark.skipif(not stencil_lanes(np.float64), reason="no masked loads on this machine")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DOTS)
def test_dots_equal_their_plain_loops(name, dtype):
    kernel = getattr(stencil_module, name)
    for seed in range(5 if PLAIN else 100):
        r = np.random.default_rng(seed)
        image, counts, sums = _stencil_arguments(r, dtype, *DOTS[name])
        g = r.standard_normal(ROWS * 40).astype(dtype)
        got = r.standard_normal(sums * stencil_lanes(dtype)).astype(dtype)
        want = got.copy()
        kernel.run(*image, g, 40, got, counts)
        kernel.plain(*image, g, 40, want, counts)
        np.testing.assert_allclose(got, want, rtol=0, atol=50 * np.finfo(dtype).eps)


@pytest.mark.skipif(not masked_lanes(np.float64), reason="no masked loads on this machine")
@pytest.mark.parametrize("dtype", DTYPES)
def test_dots_of_rows_equal_their_plain_loops(dtype):
    rows, cols, _ = dot_shape(dtype)
    for seed in range(5 if PLAIN else 100):
        r = np.random.default_rng(seed)
        images, count = int(r.integers(1, 4)), int(r.integers(1, 70))
        pitches = 500, 300
        a, b = (r.standard_normal(2000).astype(dtype) for _ in "ab")
        row, col = r.integers(0, 400, rows), r.integers(0, 200, cols)
        got = r.standard_normal(cols * 20).astype(dtype)
        want = got.copy()
        # What lies behind the last number of an image must not be looked at.
        for array, begins, pitch in ((a, row, pitches[0]), (b, col, pitches[1])):
            used = begins[:, None, None] + np.arange(images)[:, None] * pitch + np.arange(count)
            hidden = np.ones(array.size, bool)
            hidden[used] = False
            array[hidden] = np.nan
        dots_of_rows.run(a, row, b, col, images, pitches, count, got, 20)
        dots_of_rows.plain(a, row, b, col, images, pitches, count, want, 20)
        np.testing.assert_allclose(got, want, rtol=0, atol=200 * np.finfo(dtype).eps)


def test_inputs_need_not_be_contiguous_or_writable():
    x, w, bias, g, options = make(full(2, 3, 4, 6, 3, stride=2, padding=1), np.float64)

    def odd(a):
        """The same numbers, in another order in memory and read-only."""
        b = np.asfortranarray(a)
        b.flags.writeable = False
        return b

    for straight, crooked in (
        (conv2d(x, w, bias, g.shape[2:], *options),
         conv2d(odd(x), odd(w), odd(bias), g.shape[2:], *options)),
        (conv2d_grad_x(g, w, x.shape[2:], *options),
         conv2d_grad_x(odd(g), odd(w), x.shape[2:], *options)),
        (conv2d_grad_w(g, x, w.shape[2:], *options),
         conv2d_grad_w(odd(g), odd(x), w.shape[2:], *options)),
    ):
        np.testing.assert_array_equal(straight, crooked)
