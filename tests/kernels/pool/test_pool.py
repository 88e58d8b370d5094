"""The pooling kernels against their references, as adjoints of each other, and over threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_testing import (
    DTYPES, PLAIN, examples, gather_reference, max_pool2d_with_indices_reference, scatter_reference,
)

from minigrad import tuning
from minigrad.kernels.pool import (
    cells as pool_cells, maximum as pool_max, maximum_grad as pool_grad,
)
from minigrad.kernels.pool.average import (
    avg_pool2d, avg_pool2d_grad, avg_pool2d_grad_reference, avg_pool2d_reference,
)
from minigrad.kernels.pool.maximum import max_pool2d_places
from minigrad.kernels.pool.maximum_grad import (
    max_pool2d_grad, max_pool2d_indices, max_pool2d_pick,
)
from minigrad.kernels.parallel.threads import set_num_threads

pytestmark = pytest.mark.usefixtures("quiet")
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}
deterministic = examples(100, plain=25)


def max_pool2d(x, *options):
    """The maxima and torch's indices of them."""
    y, places = max_pool2d_places(x, *options)
    return y, max_pool2d_indices(places, x.shape[2:], *options[:4])


def output_size(size, kernel, stride, padding, dilation, ceil_mode):
    """torch's rule: in ceil_mode a window may hang over the end, but not start in the padding."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    out = -(-span // stride) + 1
    return out - 1 if (out - 1) * stride >= size + padding else out


@st.composite
def cases(draw, dilated=True):
    """(shape of x, kernel, stride, padding, dilation, out_hw); now and then the usual windows."""
    batch, channels = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    ceil_mode = draw(st.booleans())
    usual = draw(st.sampled_from([0, 0, 2, 3]))  # 2x2 and 3x3 with stride 2 have code of their own
    if usual:
        hw = draw(st.tuples(st.integers(usual, 11), st.integers(usual, 21)))
        pad = draw(st.integers(0, 1))
        out_hw = tuple(output_size(size, usual, 2, pad, 1, ceil_mode) for size in hw)
        return (batch, channels, *hw), (usual, usual), (2, 2), (pad, pad), (1, 1), out_hw
    axes = []
    for _ in range(2):
        kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        dilation = draw(st.integers(1, 3)) if dilated else 1
        padding = draw(st.integers(0, kernel // 2))
        least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
        size = draw(st.integers(least, least + 9))
        out = output_size(size, kernel, stride, padding, dilation, ceil_mode)
        axes.append((size, kernel, stride, padding, dilation, out))
    hw, kernel, stride, padding, dilation, out_hw = zip(*axes)
    return (batch, channels, *hw), kernel, stride, padding, dilation, out_hw


def numbers(shape, dtype, kind="normal"):
    rng = np.random.default_rng([len(kind), *shape])
    if kind == "ties":
        return rng.integers(-1, 2, shape).astype(dtype)
    x = rng.standard_normal(shape).astype(dtype)
    if kind == "nan":
        x[rng.random(shape) < 0.2] = np.nan
        x[rng.random(shape) < 0.2] = -np.inf
        x[rng.random(shape) < 0.1] = np.inf
    return x


def assert_close(got, want, dtype, scale=1.0):
    assert got.dtype == dtype
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * scale)


# --------------------------------------------------------------------------- maximum


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["normal", "ties", "nan"])
@deterministic
@given(case=cases())
def test_max_pool_equals_its_reference(case, kind, dtype):
    shape, *options = case
    x = numbers(shape, dtype, kind)
    before = x.copy()
    y, indices = max_pool2d(x, *options)
    want, want_indices = max_pool2d_with_indices_reference(x, *options)
    assert y.dtype == dtype
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(indices, want_indices)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deterministic, max_examples=15 if PLAIN else 60)
@given(case=cases())
def test_gradient_and_pick_go_where_the_indices_say(case, dtype):
    shape, *options = case
    x = numbers(shape, dtype)
    y, indices = max_pool2d(x, *options)
    g = numbers(y.shape, dtype, "g")
    hw = shape[2:]
    places = max_pool2d_places(x, *options)[1]
    gx = max_pool2d_grad(g, places, hw, *options[:4])
    assert_close(gx, scatter_reference(g, indices, hw), dtype, scale=16)
    back = max_pool2d_pick(x, places, *options[:4])
    np.testing.assert_array_equal(back, gather_reference(x, indices))
    np.testing.assert_array_equal(back[indices >= 0], y[indices >= 0])
    # Adjoint: <pick(x), g> = <x, grad(g)>.
    inner = np.sum(back.astype(np.float64) * g)
    bound = 1e3 * TOLERANCE[dtype] * (1 + np.linalg.norm(x) * np.linalg.norm(g))
    assert abs(inner - np.sum(x.astype(np.float64) * gx)) <= bound


WINDOWS = {"2x2": ((2, 2), (2, 2)), "any": ((2, 2), (1, 2))}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel, stride", WINDOWS.values(), ids=WINDOWS)
def test_ties_and_nan_as_in_torch(kernel, stride, dtype):
    """Written out: the first of equal values, a NaN over all numbers, the last of several NaN."""
    nan, inf = np.nan, np.inf
    windows = [  # cells in their order, and which one is chosen
        ([1, 1, 1, 1], 0),
        ([0, 2, 2, 2], 1),
        ([0, 1, 2, 2], 2),
        ([0, 0, 0, 3], 3),
        ([-inf, -inf, -inf, -inf], 0),
        ([inf, inf, nan, inf], 2),
        ([nan, 5, 5, 5], 0),
        ([nan, 5, nan, 5], 2),
        ([5, nan, 5, nan], 3),
        ([-0.0, 0.0, 0.0, 0.0], 0),
    ]
    cells = np.array([w for w, _ in windows], dtype).reshape(-1, 2, 2)
    x = cells.swapaxes(0, 1).reshape(1, 1, 2, -1)  # side by side
    width = x.shape[3]
    y, indices = max_pool2d(x, kernel, stride, (0, 0), (1, 1), (1, len(windows)))
    for v, (window, chosen) in enumerate(windows):
        assert indices[0, 0, 0, v] == chosen // 2 * width + 2 * v + chosen % 2, window
        np.testing.assert_array_equal(y[0, 0, 0, v], dtype(window[chosen]))


def test_a_dilated_window_without_a_cell_inside():
    """Rows -1 and 1 of an image with one row: -inf as in torch, and no gradient for anyone."""
    x = np.ones((1, 1, 1, 3))
    y, indices = max_pool2d(x, (2, 1), (1, 1), (1, 0), (2, 1), (1, 3))
    np.testing.assert_array_equal(y, np.full((1, 1, 1, 3), -np.inf))
    np.testing.assert_array_equal(indices, np.full((1, 1, 1, 3), -1))
    options = (2, 1), (1, 1), (1, 0), (2, 1)
    places = max_pool2d_places(x, *options, (1, 3))[1]
    np.testing.assert_array_equal(
        max_pool2d_grad(np.ones_like(y), places, (1, 3), *options), 0 * x)
    np.testing.assert_array_equal(max_pool2d_pick(x, places, *options), 0 * x)


# --------------------------------------------------------------------------- average

RULES = [(True, 0), (False, 0), (True, 3), (False, 7)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
@settings(deterministic, max_examples=15 if PLAIN else 60)
@given(case=cases(dilated=False))
def test_avg_pool_equals_its_reference(case, rule, dtype):
    shape, kernel, stride, padding, _, out_hw = case
    x, g = numbers(shape, dtype), numbers((*shape[:2], *out_hw), dtype, "g")
    options = (kernel, stride, padding)
    y = avg_pool2d(x, *options, out_hw, *rule)
    want = avg_pool2d_reference(x.astype(np.float64), *options, out_hw, *rule)
    assert_close(y, want, dtype, scale=16)
    gx = avg_pool2d_grad(g, shape[2:], *options, *rule)
    want = avg_pool2d_grad_reference(g.astype(np.float64), shape[2:], *options, *rule)
    assert_close(gx, want, dtype, scale=16)
    # Adjoint: <pool(x), g> = <x, grad(g)>.
    inner = np.sum(y.astype(np.float64) * g)
    bound = 1e2 * TOLERANCE[dtype] * (1 + np.linalg.norm(x) * np.linalg.norm(g))
    assert abs(inner - np.sum(x.astype(np.float64) * gx)) <= bound


def test_avg_pool_counts_as_torch_does():
    """Written out: x 1 2 3 4, windows of 3 from -1 with stride 2, the third hangs over (ceil)."""
    x = np.arange(1.0, 5).reshape(1, 1, 1, 4)
    options = ((1, 3), (1, 2), (0, 1), (1, 3))
    # Cells 1 2 | 2 3 4 | 4 and one of padding: 4 + 1 of padding is where the last one is cut.
    y = avg_pool2d(x, *options, True, 0)
    np.testing.assert_allclose(y.ravel(), [3 / 3, 9 / 3, 4 / 2])
    y = avg_pool2d(x, *options, False, 0)
    np.testing.assert_allclose(y.ravel(), [3 / 2, 9 / 3, 4 / 1])
    y = avg_pool2d(x, *options, True, 6)
    np.testing.assert_allclose(y.ravel(), [3 / 6, 9 / 6, 4 / 6])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel, stride", WINDOWS.values(), ids=WINDOWS)
def test_avg_pool_passes_nan_and_inf_on(kernel, stride, dtype):
    x = np.ones((1, 1, 2, 6), dtype)
    x[0, 0, 1, 1], x[0, 0, 0, 2] = np.nan, np.inf
    y = avg_pool2d(x, kernel, stride, (0, 0), (1, 3))
    np.testing.assert_array_equal(y.ravel(), [np.nan, np.inf, 1])
    g = np.array([np.nan, 1, np.inf], dtype).reshape(1, 1, 1, 3)
    gx = avg_pool2d_grad(g, (2, 6), kernel, stride, (0, 0))
    row = [np.nan, np.nan, 0.25, 0.25, np.inf, np.inf]
    np.testing.assert_array_equal(gx, np.array([[[row, row]]]))


@pytest.mark.parametrize(
    "window", [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1), (5, 3, 0)]
)
def test_images_of_several_strips_and_vectors(window):
    """40 x 37: more rows than a strip has, more columns than a vector; ReLU's zeros make ties."""
    kernel, stride, padding = ((n, n) for n in window)
    size = (40, 37)
    out_hw = tuple((n + 2 * window[2] - window[0]) // window[1] + 1 for n in size)
    x = np.maximum(numbers((1, 2, *size), np.float32), 0)
    g = numbers((1, 2, *out_hw), np.float32, "g")
    options = (kernel, stride, padding)
    y, indices = max_pool2d(x, *options, (1, 1), out_hw)
    want, want_indices = max_pool2d_with_indices_reference(x, *options, (1, 1), out_hw)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(indices, want_indices)
    places = max_pool2d_places(x, *options, (1, 1), out_hw)[1]
    np.testing.assert_array_equal(
        max_pool2d_grad(g, places, size, *options, (1, 1)),
        scatter_reference(g, indices, size),
    )
    for rule in RULES:
        want = avg_pool2d_reference(x.astype(np.float64), *options, out_hw, *rule)
        assert_close(avg_pool2d(x, *options, out_hw, *rule), want, np.float32, scale=16)
        want = avg_pool2d_grad_reference(g.astype(np.float64), size, *options, *rule)
        assert_close(avg_pool2d_grad(g, size, *options, *rule), want, np.float32, scale=16)


# --------------------------------------------------------------------------- all


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "kernel, stride, out_hw",
    [((2, 2), (2, 2), (3, 4)), ((3, 3), (2, 2), (2, 3)), ((3, 2), (1, 3), (4, 3))],
)
def test_same_bits_at_any_number_of_threads(kernel, stride, out_hw, dtype, monkeypatch):
    x = numbers((3, 4, 6, 8), dtype)
    g = numbers((3, 4, *out_hw), dtype, "g")

    def run():
        rule = (kernel, stride, (0, 0), (1, 1))
        y, places = max_pool2d_places(x, *rule, out_hw)
        indices = max_pool2d(x, *rule, out_hw)[1]
        return [
            y,
            places,
            indices,
            max_pool2d_grad(g, places, (6, 8), *rule),
            max_pool2d_pick(x, places, *rule),
            avg_pool2d(x, kernel, stride, (0, 0), out_hw),
            avg_pool2d_grad(g, (6, 8), kernel, stride, (0, 0)),
        ]

    whole = run()  # so little work that each is one chunk
    monkeypatch.setattr(tuning, "POOL_GRAIN", 1)  # from here on a chunk for each thread
    parallel, chunks = pool_max.parallel, []

    def counted(kernel, n, *args, grain=1):
        chunks.append(n // grain)
        parallel(kernel, n, *args, grain=grain)

    for file in (pool_max, pool_grad, pool_cells):
        monkeypatch.setattr(file, "parallel", counted)
    for n in (1, 2, 3):
        set_num_threads(n)
        for a, b in zip(run(), whole):
            np.testing.assert_array_equal(a, b)
    assert chunks == [1] * 7 + [2] * 7 + [3] * 7


def test_inputs_need_not_be_contiguous_or_writable():
    x = numbers((2, 3, 6, 8), np.float64)
    odd = np.asfortranarray(x)
    odd.flags.writeable = False
    window, out = ((2, 2), (2, 2), (0, 0)), ((1, 1), (3, 4))
    for a, b in zip(max_pool2d(x, *window, *out), max_pool2d(odd, *window, *out)):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(avg_pool2d(x, *window, (3, 4)), avg_pool2d(odd, *window, (3, 4)))
    g, crooked = x[:, :, :3, :4].copy(), odd[:, :, :3, :4]
    np.testing.assert_array_equal(
        avg_pool2d_grad(g, (6, 8), *window), avg_pool2d_grad(crooked, (6, 8), *window)
    )
    options = *window, (1, 1)
    places = max_pool2d_places(x, *options, (3, 4))[1]
    np.testing.assert_array_equal(
        max_pool2d_grad(g, places, (6, 8), *options),
        max_pool2d_grad(crooked, np.asfortranarray(places), (6, 8), *options),
    )
    np.testing.assert_array_equal(
        max_pool2d_pick(x, places, *options),
        max_pool2d_pick(odd, np.asfortranarray(places), *options),
    )
