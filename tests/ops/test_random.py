"""Random numbers: repeatable, stored, separate from thread to thread, with the laws they
promise."""
import copy
import json
import pickle
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad, no_grad
from minigrad.ops import random as r

DRAWS = {
    "rand": lambda **o: r.rand(50, **o), "randn": lambda **o: r.randn(50, **o),
    "randint": lambda **o: r.randint(0, 1000, (50,), **o),
    "randperm": lambda **o: r.randperm(50, **o),
    "normal": lambda **o: r.normal(1.0, 2.0, (50,), **o),
    "rand_like": lambda **o: r.rand_like(mg.zeros(50), **o),
    "randn_like": lambda **o: r.randn_like(mg.zeros(50), **o),
    "randint_like": lambda **o: r.randint_like(mg.zeros(50), 1000, **o),
    "bernoulli": lambda **o: r.bernoulli(mg.full((50,), 0.5), **o),
    "multinomial": lambda **o: r.multinomial(mg.ones(90), 50, **o),
    "uniform_": lambda **o: mg.zeros(50).uniform_(-1, 1, **o),
    "normal_": lambda **o: mg.zeros(50).normal_(0, 1, **o),
    "bernoulli_": lambda **o: mg.zeros(50).bernoulli_(0.5, **o),
    "dropout": lambda **o: r.dropout(mg.ones(50), 0.5, **o),
    "dropout2d": lambda **o: r.dropout2d(mg.ones(5, 10, 2), 0.5, **o),
}
each_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@each_draw
def test_equal_seeds_draw_equal_numbers(draw):
    mg.manual_seed(3)
    a, b = draw().array, draw().array
    mg.manual_seed(3)
    np.testing.assert_array_equal(draw().array, a)
    assert (a != b).any()
    g = r.Generator().manual_seed(3)
    mg.manual_seed(4)
    np.testing.assert_array_equal(draw(generator=g).array, a)    # not from the default generator
    after = r.rand(3).array
    mg.manual_seed(4)
    np.testing.assert_array_equal(r.rand(3).array, after)
    with pytest.raises(TypeError, match="generator must be a minigrad.Generator, got int"):
        draw(generator=7)


def test_the_numbers_stay_the_same_from_version_to_version():
    """A stored model is trained again from its seed: what a seed draws is a promise."""
    g = r.Generator().manual_seed(0)
    want = np.random.Generator(np.random.PCG64(0))
    np.testing.assert_array_equal(r.rand(4, generator=g).array, want.random(4, np.float32))
    np.testing.assert_array_equal(r.randn(4, generator=g, dtype="float64").array,
                                  want.standard_normal(4))
    np.testing.assert_array_equal(r.randperm(9, generator=g).array, want.permutation(9))


@pytest.mark.parametrize("store", [lambda s: s, lambda s: json.loads(json.dumps(s)),
                                   lambda s: pickle.loads(pickle.dumps(s))])
def test_state_can_be_stored(store):
    mg.manual_seed(1)
    r.rand(7)
    state = store(mg.get_rng_state())
    a = r.randn(5).array
    mg.manual_seed(2)
    mg.set_rng_state(state)
    np.testing.assert_array_equal(r.randn(5).array, a)
    assert mg.initial_seed() == 1
    with pytest.raises(ValueError, match="want what get_state"):
        mg.set_rng_state({"numpy": 1})


def test_generators_copy_and_pickle():
    g = r.Generator().manual_seed(5)
    r.rand(3, generator=g)
    for twin in (copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
        state = g.get_state()
        np.testing.assert_array_equal(r.rand(3, generator=twin).array, r.rand(3, generator=g).array)
        g.set_state(state)
    assert r.Generator().initial_seed() != r.Generator().initial_seed()
    assert r.Generator().manual_seed(-1).initial_seed() == -1
    with pytest.raises(TypeError, match="seed must be an integer, got 1.5"):
        mg.manual_seed(1.5)


def test_each_thread_has_its_own_generator():
    mg.manual_seed(1)
    a = r.rand(4).array
    mg.manual_seed(1)
    seen = {}

    def work():
        seen["unseeded"] = r.rand(4).array
        mg.manual_seed(1)
        seen["seeded"] = r.rand(4).array
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(r.rand(4).array, a)
    np.testing.assert_array_equal(seen["seeded"], a)
    assert (seen["unseeded"] != a).any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_laws_and_dtypes(dtype):
    g = r.Generator().manual_seed(0)
    n = 20_000                                      # five standard errors of each figure
    u = r.rand(n, generator=g, dtype=dtype)
    assert u.dtype == dtype and u.array.min() >= 0 and u.array.max() <= 1
    assert abs(u.array.astype(float).mean() - 0.5) < 5 * (1 / 12 / n) ** 0.5
    z = r.normal(2.0, 3.0, (n,), generator=g, dtype=dtype).array.astype(float)
    assert abs(z.mean() - 2) < 5 * 3 / n ** 0.5 and abs(z.std() - 3) < 5 * 3 / (2 * n) ** 0.5
    x = mg.zeros(n, dtype=dtype).uniform_(-2, 4, generator=g).array.astype(float)
    assert x.min() >= -2 and x.max() <= 4 and abs(x.mean() - 1) < 5 * (36 / 12 / n) ** 0.5
    y = mg.zeros(n, dtype=dtype).normal_(-1, 0.5, generator=g)
    assert y.dtype == dtype and abs(y.array.astype(float).mean() + 1) < 5 * 0.5 / n ** 0.5
    p = r.bernoulli(mg.full((n,), 0.25, dtype=dtype), generator=g)
    assert p.dtype == dtype and abs(p.array.astype(float).mean() - 0.25) < 5 * (0.1875 / n) ** 0.5


def test_integers():
    g = r.Generator().manual_seed(0)
    x = r.randint(-2, 3, (5000,), generator=g)
    np.testing.assert_array_equal(np.unique(x.array), [-2, -1, 0, 1, 2])
    assert x.dtype == np.int64
    assert r.randint(4, (2, 3), generator=g).shape == (2, 3)
    np.testing.assert_array_equal(np.sort(r.randperm(100, generator=g).array), np.arange(100))
    assert r.randperm(0).shape == (0,)


def test_normal_with_a_mean_and_a_deviation_for_each_place():
    mean, std = mg.tensor([0.0, 100.0]), mg.tensor([[1.0], [0.0]])
    x = r.normal(mean, std, generator=r.Generator().manual_seed(0))
    assert x.shape == (2, 2) and x.dtype == np.float32
    np.testing.assert_array_equal(x.array[1], [0, 100])


@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial_follows_the_weights(replacement):
    g = r.Generator().manual_seed(0)
    w = mg.tensor([1.0, 0.0, 3.0, 0.0])
    k = 5 if replacement else 2
    first = r.multinomial(w.expand(20_000, 4), k, replacement, generator=g)
    counts = np.bincount(first.array[:, 0], minlength=4) / 20_000
    np.testing.assert_allclose(counts, [0.25, 0, 0.75, 0], atol=5 * (0.1875 / 20_000) ** 0.5)
    assert set(np.unique(first.array)) == {0, 2}
    if not replacement:
        assert (first.array[:, 0] != first.array[:, 1]).all()
    assert r.multinomial(w, 2, replacement).shape == (2,)


@pytest.mark.parametrize("call, error, message", [
    (lambda: r.rand(2, dtype="int64"), TypeError,
     "rand: want a floating dtype, got int64; use randint"),
    (lambda: r.randn(-1), ValueError, "randn: sizes must be 0 or more"),
    (lambda: r.randint(3, 3, (2,)), ValueError, "want low < high, got 3 and 3"),
    (lambda: r.randint(3), TypeError, "size must be a tuple"),
    (lambda: r.randint(0, 3, 2), TypeError, "size must be a tuple of integers, got 2"),
    (lambda: r.randperm(-1), ValueError, "n must be 0 or more"),
    (lambda: r.normal(0.0, 1.0), ValueError, "size is needed"),
    (lambda: r.normal(0.0, -1.0, (2,)), ValueError, "std must be 0 or more, got -1"),
    (lambda: r.bernoulli(mg.tensor([1.5])), ValueError, "from 0 to 1.*sigmoid"),
    (lambda: r.bernoulli(mg.tensor([1])), TypeError, "floating probabilities, got int64"),
    (lambda: r.multinomial(mg.tensor([-1.0, 2.0]), 1), ValueError, "0 or more, got values from -1"),
    (lambda: r.multinomial(mg.zeros(3), 1, True), ValueError, "from 0 weights that are not 0"),
    (lambda: r.multinomial(mg.ones(3), 4), ValueError, "4 samples from 3 .*replacement=True"),
    (lambda: mg.zeros(2).uniform_(1, 0), ValueError, "want from <= to, got 1 and 0"),
    (lambda: mg.zeros(2).normal_(0, -1), ValueError, "std must be 0 or more"),
    (lambda: mg.zeros(2).bernoulli_(2), ValueError, "0 <= p <= 1, got 2"),
    (lambda: mg.arange(2).normal_(), TypeError, "want a floating tensor, got int64"),
    (lambda: mg.zeros(2, requires_grad=True).normal_(), ValueError, "leaf that requires grad"),
    (lambda: r.dropout(mg.zeros(2), 1.5), ValueError, "dropout: p is a probability.*got 1.5"),
    (lambda: r.dropout(mg.arange(2)), TypeError, "floating tensor, got int64.*x.float()"),
    (lambda: r.dropout2d(mg.zeros(2, 2)), ValueError, r"want \(N, C, H, W\), got shape \(2, 2\)"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_drawing_in_place_is_a_write():
    w = mg.zeros(3, requires_grad=True)
    with no_grad():
        assert w.normal_() is w
    assert w.requires_grad and w.array.any()
    x = mg.ones(3, requires_grad=True)
    y = mg.ones(3) * 2.0
    z = (x * y).sum()
    y.uniform_()
    with pytest.raises(RuntimeError, match="overwritten"):
        z.backward()
    h = x * 2.0
    h.normal_()                                     # as in torch: the old numbers get 0, not None
    assert h.requires_grad and grad(h.sum(), x)[0].tolist() == [0.0, 0.0, 0.0]
    assert mg.zeros(9).uniform_(**{"from": 3.0, "to": 4.0}).array.min() >= 3


# --- dropout -------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_in_training(p, dtype):
    g = r.Generator().manual_seed(0)
    x = Tensor(np.random.default_rng(0).uniform(1, 2, 20_000), dtype=dtype, requires_grad=True)
    y = r.dropout(x, p, generator=g)
    kept = y.array != 0
    assert y.dtype == dtype
    assert abs(kept.mean() - (1 - p)) < 5 * (p * (1 - p) / kept.size) ** 0.5
    np.testing.assert_allclose(y.array, np.where(kept, x.array / (1 - p), 0), rtol=1e-6)
    u = Tensor(np.random.default_rng(1).standard_normal(kept.size), dtype=dtype)
    gx, = grad(y, x, u)
    assert gx.dtype == dtype
    np.testing.assert_allclose(gx.array, np.where(kept, u.array / (1 - p), 0), rtol=1e-6)


def test_dropout_second_order():
    x = mg.rand(50, requires_grad=True, dtype="float64")
    y = r.dropout(x, 0.5, generator=r.Generator().manual_seed(0)) ** 3
    kept = y.array != 0
    g, = grad(y.sum(), x, create_graph=True)
    gg, = grad(g.sum(), x)
    np.testing.assert_allclose(gg.array, np.where(kept, 8 * 6 * x.array, 0))
    assert kept.any() and not kept.all()


def test_dropout_at_its_ends():
    x = mg.rand(9, requires_grad=True)
    assert r.dropout(x, 0.7, training=False) is x
    y = r.dropout(x, 1.0)
    g, = grad(y.sum(), x)
    assert not y.array.any() and not g.array.any()


def test_dropout2d_drops_whole_channels():
    y = r.dropout2d(mg.ones(20, 30, 4, 5), 0.5, generator=r.Generator().manual_seed(0)).array
    assert (y == y[:, :, :1, :1]).all()
    assert set(np.unique(y)) == {0.0, 2.0}


def test_dropout_in_place():
    x = mg.ones(50)
    assert r.dropout(x, 0.5, inplace=True) is x and set(np.unique(x.array)) == {0.0, 2.0}


@pytest.mark.parametrize("input, p, match", [([1.0, 2.0], 0.5, "dropout: want a Tensor, got list"),
                                             (mg.ones(2), "a", "dropout: p must be a number")])
def test_dropout_refuses_what_it_cannot_use(input, p, match):
    with pytest.raises(TypeError, match=match):
        mg.nn.functional.dropout(input, p)


def test_randint_by_name():
    for x in (mg.randint(5, (40,)), mg.randint(5, size=(40,)), mg.randint(high=5, size=(40,)),
              mg.randint(0, 5, (40,)), mg.randint(low=0, high=5, size=(40,))):
        assert x.shape == (40,) and int(x.min()) >= 0 and int(x.max()) < 5
