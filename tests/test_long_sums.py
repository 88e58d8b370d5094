"""Sums of very many numbers keep their digits wherever they arise: forwards and in gradients.

Added one after the other in float32, a million times 0.1 is 100,958. Every sum over many rows of
the library is tried with equal numbers, which are the worst: each rounding errs in one direction.
"""
from __future__ import annotations

import numpy as np
import pytest

from kernel_testing import PLAIN

import minigrad
import minigrad.nn.functional as F
from minigrad import nn, tensor
from minigrad.long_sums import add_at, add_rows, add_slices_at, total

S = 60 if PLAIN else 1                             # the plain run takes smaller samples
N = 300_000 // S
TENTH = np.float32(0.1)
T = float(TENTH)


def off(got, want):
    """The largest relative error."""
    got = np.asarray(got.detach().numpy() if isinstance(got, minigrad.Tensor) else got, np.float64)
    return float(np.max(np.abs(got - want) / np.abs(want)))


SOME = 10 if PLAIN else 1                          # loops that are not compiled have no lanes


def full(*shape, dtype=np.float32):
    return tensor(np.full(shape, dtype(0.1)))


def leaf(*shape, dtype=np.float32):
    return tensor(np.zeros(shape, dtype), requires_grad=True)


# ---------------------------------------------------------------------------------- the mechanism

LAYOUTS = {
    "C": lambda shape, v: np.full(shape, v),
    "Fortran": lambda shape, v: np.full(shape[::-1], v).T,
    "every second": lambda shape, v: np.full((*shape[:-1], 2 * shape[-1]), v)[..., ::2],
    "cut": lambda shape, v: np.full((*shape[:-1], shape[-1] + 1), v)[..., 1:],
    "backwards": lambda shape, v: np.full(shape, v)[::-1],
    "one number": lambda shape, v: np.broadcast_to(v, shape),
    "last first": lambda shape, v: np.moveaxis(np.full((shape[-1], *shape[:-1]), v), 0, -1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 7e-7), (np.float64, 3e-15),
                                             (np.float16, 6e-4)])
@pytest.mark.parametrize(("shape", "dims"), [
    ((N, 2), (0,)), ((N, 1), (0,)), ((3, N // 3, 2), (1,)), ((N // 6, 2, 3), (0, 2)),
    ((700, 600), (0,)), ((2, N // 6, 3), (0, 1)), ((N,), (0,)), ((2, 100_003), (1,)),
    ((1031, 17), (0,)), ((3, 5001, 4), (1, 2))])
def test_total_keeps_its_digits(shape, dims, dtype, most, layout):
    value = dtype(0.1) if dtype != np.float16 else dtype(0.01)
    x = LAYOUTS[layout](shape, value)
    y = total(x, dims)
    want = float(value) * np.prod([shape[d] for d in dims], dtype=float)
    assert y.dtype == dtype and y.shape == tuple(
        n for d, n in enumerate(shape) if d not in dims)
    assert off(y, want) < most


def test_total_of_random_numbers_in_any_order_of_memory():
    rng = np.random.default_rng(3)
    for shape in [(5000, 7), (3, 1200, 5), (2, 3, 4, 700), (1, 5000, 1, 2), (0, 3), (4097,)]:
        x = rng.normal(size=shape)
        for order in (range(len(shape)), [*range(len(shape))][::-1], np.roll(range(len(shape)), 1)):
            order = list(order)
            y = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
            for bits in range(1 << len(shape)):
                dims = [d for d in range(len(shape)) if bits >> d & 1]
                np.testing.assert_allclose(total(y, dims), x.sum(axis=tuple(dims)), rtol=1e-10,
                                           atol=1e-11)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i8"])
@pytest.mark.parametrize(("size", "n"), [(5, 3), (5, 20_000), (200_000, 6000), (7, 0)])
def test_sums_at_places_that_come_again(size, n, dtype):
    rng = np.random.default_rng(8)
    places, values = rng.integers(0, size, n), (9 * rng.random(n)).astype(dtype)
    if dtype == "f2" and size == 5:
        values = values / np.float16(4000)
    out = np.zeros(size, dtype)
    add_at(out, places, values)
    want = np.bincount(places, values.astype("f8"), size)
    most = {"f2": 1e-3 if n > 4000 else 1e-2, "f4": 3e-7, "f8": 1e-14, "i8": 0}[dtype]
    np.testing.assert_allclose(out, want, rtol=most)


@pytest.mark.parametrize("places", [[], [3], [0, 2, 1], [1, -2, 1, 1, 0, -4, 3], [2] * 50])
@pytest.mark.parametrize("d", [0, 1, 2])
def test_slices_added_at_places_that_come_again(places, d):
    shape = [4, 4, 4]
    out, places = np.zeros(shape), np.array(places, np.int64)
    shape[d] = len(places)
    values, want = np.random.default_rng(9).standard_normal(shape), np.zeros(out.shape)
    for k, place in enumerate(places):
        want[(slice(None),) * d + (place,)] += values[(slice(None),) * d + (k,)]
    add_slices_at(out, d, places, values)
    np.testing.assert_allclose(out, want, rtol=1e-13, atol=1e-14)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # inf - inf
def test_total_says_what_is_no_number():
    x = np.full((3000, 4), TENTH)
    x[1000, 1], x[2000, 2], x[5, 3] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(total(x, (0,))[1:], [np.nan, np.inf, -np.inf])
    assert np.isnan(total(np.array([[np.inf], [-np.inf]] * 3000), (0,))[0])


def test_few_rows_keep_numpys_own_bits():
    """A bias of a batch: what was right before is the same to the last bit."""
    x = np.random.default_rng(4).normal(size=(256, 300)).astype(np.float32)
    np.testing.assert_array_equal(total(x, (0,)), np.add.reduce(x))
    np.testing.assert_array_equal(add_rows(x, 0), np.add.reduce(x))


# ---------------------------------------------------------------------------------- every place

def the_sum_that_broadcasting_undoes(shape, of):
    b = leaf(*of)
    y = b + minigrad.zeros(*shape)
    return minigrad.grad(y, b, full(*shape))[0], np.prod(shape) / max(1, np.prod(of)) * T


@pytest.mark.parametrize(("shape", "of"), [
    ((N, 2), (2,)), ((N, 2), (1, 2)), ((N // 6, 2, 3), (2, 1)), ((2, N // 2), (2, 1)), ((N,), ()),
    ((2, N // 6, 3), (3,)), ((N // 2, 2), ())])
def test_gradients_of_what_was_broadcast(shape, of):
    assert off(*the_sum_that_broadcasting_undoes(shape, of)) < 1e-6


@pytest.mark.parametrize("outs", [1, 2, 3, 5, 8, 40])
@pytest.mark.parametrize("ins", [1, 2, 9])
def test_gradients_of_a_linear_layer(ins, outs):
    w, b = leaf(outs, ins), leaf(outs)
    y = F.linear(full(N, ins), w, b)
    gw, gb = minigrad.grad(y, [w, b], full(N, outs))
    assert off(gb, N * T) < 1e-6
    assert off(gw, N * T * T) < 5e-6 * SOME                       # 1e-2 before; in torch 1e-2


def test_a_million_rows_of_a_bias():
    layer = nn.Linear(2, 2)
    x = tensor(np.zeros((1_000_000, 2), np.float32))
    layer(x).backward(full(1_000_000, 2))
    assert off(layer.bias.grad, 1e6 * T) < 1e-6


def _products():
    for m in (1, 2, 5, 20):
        for n in (1, 3, 8):
            yield f"{m} {n}", full(m, N) @ full(N, n)
            yield f"{m} {n} turned", full(m, N) @ full(n, N).T
    yield "dot", full(N).dot(full(N))
    yield "row", full(N) @ full(N, 3)
    yield "column", full(3, N) @ full(N)
    yield "row and batch", full(N) @ full(2, N, 3)
    yield "batch", full(2, 3, N) @ full(2, N, 2)
    yield "batches that broadcast", full(2, 1, 3, N) @ full(4, N, 2)
    yield "bias", F.linear(full(9, N), full(10, N), minigrad.zeros(10))


def test_products():
    for name, y in _products():
        assert off(y, N * T * T) < 5e-6 * SOME, name
    v, w = leaf(3), leaf(3)
    assert off(minigrad.grad(full(N, 3) @ v, v, full(N))[0], N * T * T) < 5e-6 * SOME
    assert off(minigrad.grad(w @ full(3, N), w, full(N))[0], N * T * T) < 5e-6 * SOME


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reductions_and_losses(layout):
    x = tensor(LAYOUTS[layout]((N // 2, 2), TENTH))
    zero, n = minigrad.zeros(N // 2, 2), N // 2
    for name, y, want in [
            ("sum", x.sum(), 2 * n * T), ("sum 0", x.sum(0), n * T), ("mean 0", x.mean(0), T),
            ("norm 0", x.norm(2, 0), n ** 0.5 * T), ("norm 1", x.norm(1, 0), n * T),
            ("norm 3", x.norm(3, 0), (n * T ** 3) ** (1 / 3)),
            ("norm", x.norm(), (2 * n) ** 0.5 * T),
            ("mse", F.mse_loss(x, zero), T * T), ("l1", F.l1_loss(x, zero), T),
            ("huber", F.huber_loss(x, zero), T * T / 2),
            ("bce", F.binary_cross_entropy_with_logits(x, x), np.log1p(np.exp(T)) - T * T),
            ("bce weight", F.binary_cross_entropy_with_logits(x, x, minigrad.ones(1)),
             np.log1p(np.exp(T)) - T * T),
            ("cumsum", x.cumsum(0)[n - 1], n * T), ("logsumexp", x.logsumexp(0), T + np.log(n))]:
        assert off(y, want) < 1e-6 * SOME, name
    varied = np.linspace(-1, 1, n, dtype=np.float32)[:, None] * np.ones(2, np.float32)
    v = tensor(np.asfortranarray(varied) if layout == "Fortran" else varied)
    assert off(v.var(0), varied.astype(float).var(0, ddof=1)) < 1e-6
    assert off(v.std(), varied.astype(float).std(ddof=1)) < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_a_dtype_that_is_asked_for_costs_no_digits(dtype):
    """Column sums of ones in float16 stood still at 2,048, and means of 1,000 were inf."""
    ones = tensor(np.ones((5000, 3), dtype))
    assert ones.sum(0, dtype=minigrad.float16).tolist() == [5000.0] * 3
    assert ones.sum(0, True, dtype=minigrad.float16).tolist() == [[5000.0] * 3]
    thousands = ones * 1000
    assert thousands.mean(0, dtype=minigrad.float16).tolist() == [1000.0] * 3
    assert thousands.mean(dtype=minigrad.float16).item() == 1000.0
    numbers = np.full((N, 2), 0.1) if dtype == np.float64 else np.full((N, 2), 33, np.int32)
    y = tensor(numbers).sum(0, dtype=minigrad.float32)
    assert y.dtype == np.float32 and off(y, float(numbers[0, 0]) * N) < 1e-6
    factors = tensor(np.array([[300.0], [300.0], [2.0 ** -10], [0.25]]))
    assert factors.prod(0, dtype=minigrad.float16).tolist() == [21.96875]
    x = tensor(np.ones((5000, 3), np.float32), requires_grad=True)
    y = x.sum(0, dtype=minigrad.float16)
    g, = minigrad.grad(y, x, minigrad.ones_like(y))
    assert y.dtype == np.float16 and g.dtype == np.float32 and (g == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_gradients_to_one_place(dtype):
    places, most = tensor(np.zeros(N, np.int64)), 1e-6 if dtype == np.float32 else 1e-12
    g, two = full(N, dtype=dtype), full(N, 2, dtype=dtype)
    zero = minigrad.zeros(3, dtype=dtype)
    want = N * float(dtype(0.1))
    z, zz = leaf(3, dtype=dtype), leaf(3, 3, dtype=dtype)
    for name, y in [
            ("getitem", minigrad.grad(z[places], z, g)[0][0]),
            ("rows", minigrad.grad(zz[places], zz, full(N, 3, dtype=dtype))[0][0]),
            ("two indices", minigrad.grad(zz[places, places], zz, g)[0][0, 0]),
            ("part of rows", minigrad.grad(zz[places, :2], zz, two)[0][0, :2]),
            ("gather", minigrad.grad(z.gather(0, places), z, g)[0][0]),
            ("take_along_dim", minigrad.grad(z.take_along_dim(places), z, g)[0][0]),
            ("index_select", minigrad.grad(z.index_select(0, places), z, g)[0][0]),
            ("scatter_add", zero.scatter_add(0, places, g)[0]),
            ("index_add", zero.index_add(0, places, g)[0]),
            ("repeat", minigrad.grad(z.repeat(N), z, full(3 * N, dtype=dtype))[0]),
            ("repeat_interleave", minigrad.grad(z.repeat_interleave(N), z,
                                                full(3 * N, dtype=dtype))[0])]:
        assert off(y, want) < most, name


def test_scattered_numbers_in_a_large_array():
    """Most places get nothing: what is used is found first."""
    rng = np.random.default_rng(5)
    places = rng.integers(0, 50, 6000) * 2000
    values = rng.normal(size=6000)
    x = leaf(100_000, dtype=np.float64)
    want = np.zeros(100_000)
    np.add.at(want, places, values)
    g = minigrad.grad(x.gather(0, tensor(places)), x, tensor(values))[0]
    np.testing.assert_allclose(g, want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("steps", "batch", "ins", "width"), [
    (1, 60_000 // S, 2, 2), (3000 // S, 20, 2, 3), (60_000 // S, 1, 1, 1), (50, 960 // S, 8, 16)])
def test_gradients_of_a_recurrent_layer(steps, batch, ins, width):
    layer = nn.RNN(ins, width, nonlinearity="relu")
    for p in layer.parameters():
        p.data.fill_(0.0)
    layer.bias_ih_l0.data.fill_(1.0)
    y, _ = layer(full(steps, batch, ins))
    y.backward(full(steps, batch, width))
    rows = steps * batch
    assert off(layer.weight_ih_l0.grad, rows * T * T) < 5e-6 * SOME
    assert off(layer.bias_ih_l0.grad, rows * T) < 5e-6 * SOME
    if steps > 1:
        assert off(layer.weight_hh_l0.grad, (rows - batch) * T) < 5e-6 * SOME


@pytest.mark.parametrize(("images", "weights", "options"), [
    ((1, 1, 500, 600 // S), (2, 1, 1, 1), {}), ((1, 2, 500, 600 // S), (2, 1, 1, 1), {"groups": 2}),
    ((30_000 // S, 2, 3, 3), (2, 2, 3, 3), {}), ((8, 16, 128, 240 // S), (16, 16, 1, 1), {}),
    ((3000 // S, 1, 12, 12), (8, 1, 12, 12), {}),
    ((16, 4, 128, 240 // S), (8, 4, 2, 2), {"stride": 2})])
def test_gradients_of_a_convolution(images, weights, options):
    w, b = leaf(*weights), leaf(weights[0])
    y = F.conv2d(full(*images), w, b, **options)
    gw, gb = minigrad.grad(y, [w, b], full(*y.shape))
    rows = y.numel() // y.shape[1]
    assert off(gb, rows * T) < 1e-6 * SOME
    assert off(gw, rows * T * T) < 5e-6 * SOME


@pytest.mark.parametrize(("images", "weights"), [((3000 // S, 1, 28, 28), (8, 1, 3, 3)),
                                                 ((400 // S, 16, 56, 56), (16, 16, 3, 3))])
def test_gradients_of_a_convolution_with_relu_and_pooling(images, weights):
    x, w, b = full(*images), leaf(*weights), leaf(weights[0])
    w.data.fill_(0.1)
    y = F.max_pool2d(F.relu(F.conv2d(x, w, b)), 2)
    gw, gb = minigrad.grad(y, [w, b], full(*y.shape))
    rows = y.numel() // y.shape[1]
    assert off(gb, rows * T) < 1e-6 * SOME
    assert off(gw, rows * T * T) < 5e-6 * SOME


def test_softmax_over_many_rows():
    """All but one are e times smaller: the sum of 300,000 exponentials is in each result."""
    x = np.full((N, 2), -1, np.float32)
    x[0] = 0
    whole = 1 + (N - 1) / np.e
    for y in (tensor(x).softmax(0), tensor(np.ascontiguousarray(x.T)).softmax(1).T):
        assert off(y[0], 1 / whole) < 2e-6
    g = minigrad.grad((z := tensor(x, requires_grad=True)).log_softmax(0), z, full(N, 2))[0]
    assert off(g[0], T - N * T / whole) < 2e-6


@pytest.mark.parametrize(("shape", "dim"), [((N,), 0), ((40, 3000), 1), ((3000, 40), 0),
                                            ((3, 2000, 2), 1), ((2, 3), 0), ((5, 0, 2), 1)])
def test_running_sums_are_those_of_float64(shape, dim):
    x = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    want = np.cumsum(x, dim, np.float64).astype(np.float32)
    np.testing.assert_array_equal(tensor(x).cumsum(dim), want)
    t = tensor(x, requires_grad=True)
    g = np.flip(np.cumsum(np.flip(x, dim), dim, np.float64).astype(np.float32), dim)
    np.testing.assert_array_equal(minigrad.grad(t.cumsum(dim), t, tensor(x))[0], g)
    np.testing.assert_array_equal(tensor(x[::-1]).cumsum(0), np.cumsum(x[::-1], 0, np.float64
                                                                       ).astype(np.float32))


def test_a_running_sum_does_not_stand_still():
    n = 5000 if PLAIN else 16_777_300
    assert minigrad.ones(n).cumsum(0)[-1].item() == n
    assert tensor(np.full(5000, 1, np.float16)).cumsum(0)[-1].item() == 5000


def test_the_same_bits_at_any_number_of_threads():
    from minigrad.kernels.parallel.threads import set_num_threads, get_num_threads
    x = tensor(np.random.default_rng(7).normal(size=(50_000, 3)).astype(np.float32))
    w, before, found = leaf(2, 3), get_num_threads(), []
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            gw = minigrad.grad(F.linear(x, w), w, x[:, :2])[0]
            found.append([x.sum(0), x.T @ x, x.cumsum(0), x.reshape(-1).dot(x.reshape(-1)), gw])
    finally:
        set_num_threads(before)
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape, dims", [((1, 5000), (0,)), ((5000, 1), (1,)), ((1, 600, 10), (0,)),
                                         ((600, 1, 10), (1,)), ((1, 1, 5000), (0, 1)),
                                         ((1, 3), (0,))])
def test_the_sum_of_one_row_is_no_view_of_it(shape, dims, dtype) -> None:
    x = minigrad.ones(shape, dtype=dtype)
    for y in (x.sum(dims), x.permute(tuple(range(x.ndim))[::-1]).sum([-1 - d for d in dims])):
        assert not np.shares_memory(x.numpy(), y.numpy())
        y.add_(1)
    assert (x == 1).all()
