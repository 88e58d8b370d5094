"""Softmax and cross-entropy over a middle dimension against the references, which see rows."""

import numpy as np
import pytest

from kernel_testing import DTYPES, PLAIN

from minigrad import set_num_threads
from minigrad.kernels.rowwise import softmax as rows
from minigrad.kernels.rowwise import softmax_columns as columns
from minigrad.kernels.simd.math import log_from_one

pytestmark = pytest.mark.usefixtures("quiet")
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
# One position, less and more than a vector, than an item of work; more classes than a block.
SHAPES = [(0, 3, 2), (2, 3, 0), (2, 1, 1), (1, 3, 5), (3, 4, 16), (2, 5, 70), (1, 70, 3)]


def draw(shape, dtype, scale=3.0, seed=0):
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * scale).astype(dtype)


def as_rows(x):
    return np.moveaxis(x, 1, -1).reshape((x.shape[0] * x.shape[2], x.shape[1])).astype(np.float64)


def assert_close(got, want, dtype, scale=1.0):
    assert got.dtype == dtype
    got = as_rows(got) if got.ndim == 3 else got
    np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.1, 3.0, 1e4])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_its_gradient(name, scale, shape, dtype):
    x, g = draw(shape, dtype, scale), draw(shape, dtype, 1.0, seed=1)
    before = x.copy()
    y = getattr(columns, name)(x)
    assert y.shape == shape
    assert_close(y, getattr(rows, f"{name}_reference")(as_rows(x)), dtype)
    gx = getattr(columns, f"{name}_grad")(g, y)
    want = getattr(rows, f"{name}_grad_reference")(as_rows(g), as_rows(y))
    assert_close(gx, want, dtype, scale=1 + np.abs(g).sum())
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore_index", [-100, 0])
def test_cross_entropy_and_its_gradient(ignore_index, weighted, smoothing, shape, dtype):
    rng = np.random.default_rng(3)
    x, count = draw(shape, dtype), shape[0] * shape[2]
    target = rng.integers(0, shape[1], count)
    target[rng.random(count) < 0.2] = ignore_index
    weight = rng.uniform(0, 2, shape[1]).astype(dtype) if weighted else None
    true_weight = np.ones(shape[1]) if weight is None else weight.astype(np.float64)
    g = rng.standard_normal(count).astype(dtype)
    options = (ignore_index, smoothing)

    loss, log_z = columns.cross_entropy(x, target, weight, *options)
    want, want_log_z = rows.cross_entropy_reference(as_rows(x), target, true_weight, *options)
    assert_close(loss, want, dtype, scale=1 + 10 * smoothing)
    assert log_z.dtype == np.float64
    np.testing.assert_allclose(log_z, want_log_z, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])

    gx = columns.cross_entropy_grad(g, x, log_z, target, weight, *options)
    want = rows.cross_entropy_grad_reference(g, as_rows(x), target, true_weight, *options)
    assert_close(gx, want, dtype, scale=3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite(dtype):
    x = draw((1, 3, 40), dtype)
    x[0, 1, 0], x[0, 2, 1], x[0, :, 2], x[0, 0, 3] = np.nan, np.inf, -np.inf, -np.inf
    target = np.full(40, 1)
    for name in ("softmax", "log_softmax"):
        y = getattr(columns, name)(x)
        assert np.isnan(y[0, :, :3]).all()
        assert_close(y[..., 3:], getattr(rows, f"{name}_reference")(as_rows(x[..., 3:])), dtype)
    target[:3] = -100                                      # what is ignored costs nothing
    loss, log_z = columns.cross_entropy(x, target)
    assert np.isfinite(loss).all()
    gx = columns.cross_entropy_grad(np.ones(40, dtype), x, log_z, target)
    assert np.isfinite(gx).all()
    assert not gx[0, :, :3].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_classes_keep_the_digits(dtype):
    x = np.full((1, 300 if PLAIN else 100_000, 2), 0.1, dtype)
    got = columns.softmax(x)
    np.testing.assert_allclose(got, 1 / x.shape[1], rtol=5e-6 if dtype == np.float32 else 1e-12)


def test_the_same_bits_at_any_number_of_threads():
    x, g = draw((2, 5, 4000), np.float32), draw((2, 5, 4000), np.float32, seed=1)
    target = np.random.default_rng(0).integers(0, 5, 8000)
    results = []
    for threads in (1, 3):
        set_num_threads(threads)
        y = columns.softmax(x)
        loss, log_z = columns.cross_entropy(x, target)
        results.append([y, columns.log_softmax(x), columns.softmax_grad(g, y), loss, log_z,
                        columns.log_softmax_grad(g, y),
                        columns.cross_entropy_grad(g[0, 0].repeat(2), x, log_z, target)])
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype, wide", [(np.float32, np.float64), (np.float64, np.longdouble)])
def test_logarithms_of_sums(dtype, wide):
    x = np.concatenate([np.linspace(1, 4, 500), np.geomspace(1, 1e6, 500)]).astype(dtype)
    want = np.log(x.astype(wide))
    got = np.array([log_from_one(v) for v in x], dtype)
    unit = np.spacing(np.abs(want).astype(dtype)).astype(wide)
    assert np.max(np.abs(got.astype(wide) - want) / unit) < 3
    assert np.isnan(log_from_one(dtype(np.nan)))
