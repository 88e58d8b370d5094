"""How gradients are added: into memory that nobody else holds; dtypes, threads."""
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad
from minigrad.autograd import accumulate
from minigrad.autograd.op import OPS, op


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


def test_gradients_add_up_over_backward_calls_until_they_are_cleared():
    x = leaf(2.0)
    for _ in range(3):
        (x * x).backward()
    assert x.grad.tolist() == [12.0]
    x.grad = None
    (x * x).backward()
    assert x.grad.tolist() == [4.0]


def test_equal_gradients_do_not_share_memory():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).backward(np.ones(2))
    a.grad.array[0] = 99
    assert b.grad.tolist() == [1.0, 1.0]
    c = leaf(1.0, 2.0)
    seed = np.ones(2)
    (c + 0.0).backward(Tensor(seed))
    c.grad.array[0] = 99
    assert seed.tolist() == [1.0, 1.0]


def test_broadcast_gradients_are_summed_to_the_shape_and_dtype():
    x = Tensor(np.ones((3, 1), np.float32), requires_grad=True)
    y = Tensor(np.ones((2, 3, 4)), requires_grad=True)
    (x * y).backward(np.ones((2, 3, 4)))
    assert x.grad.shape == (3, 1) and x.grad.dtype == np.float32
    assert x.grad.tolist() == [[8.0]] * 3


N = accumulate.LARGE // 8                                # numbers of float64


@pytest.fixture
def sums(monkeypatch):
    """How many sums of gradients were written over one of the two."""
    calls, original = [], accumulate.add_into

    def counted(total, part):
        calls.append(total)
        original(total, part)
        calls[-1] = None                             # hold nothing
    monkeypatch.setattr(accumulate, "add_into", counted)
    return calls


def wide_leaf(seed=0):
    return Tensor(np.random.default_rng(seed).uniform(0.5, 1.5, N), requires_grad=True)


def test_large_gradients_are_added_in_place_and_right(sums):
    x = wide_leaf()
    g = Tensor(np.random.default_rng(1).standard_normal(N))
    before = g.numpy().copy()
    y = x * x * x + x * 2.0 + (x - 3.0)
    y.backward(g)
    a = x.detach().numpy()
    np.testing.assert_allclose(x.grad.numpy(), before * (3 * a * a + 3), rtol=1e-12)
    np.testing.assert_array_equal(g.numpy(), before)
    assert len(sums) == 4                            # five ways lead back to x


def test_a_small_gradient_is_added_out_of_place(sums):
    x = leaf(1.0, 2.0)
    (x * x * x).backward(mg.ones(2, dtype=mg.float64))
    assert x.grad.tolist() == [3.0, 12.0] and not sums


def test_what_others_hold_of_large_gradients_is_not_written_over():
    """The cotangent reaches x twice as itself; a hook keeps what it saw; a view is a view."""
    x = wide_leaf()
    seen = []
    a = x * 1.0
    a.register_hook(seen.append)
    g = Tensor(np.ones(N))
    y = (a + a) + a.reshape(2, -1).reshape(-1)
    y.backward(g)
    assert (g.numpy() == 1).all() and (x.grad.numpy() == 3).all() and (seen[0].numpy() == 3).all()
    x.grad = None
    y = x + x * 2.0
    y.backward(g)
    (kept,) = grad(x + x, x, g)
    assert (g.numpy() == 1).all() and (x.grad.numpy() == 3).all() and (kept.numpy() == 2).all()


def test_large_gradients_of_inner_tensors_and_a_second_walk(sums):
    x = wide_leaf()
    a = x * 2.0
    y = a * a * a
    g = Tensor(np.ones(N))
    first = grad(y, [a, x], g, retain_graph=True)
    copies = [t.numpy().copy() for t in first]
    second = grad(y, [a, x], g)
    for t, u, c in zip(first, second, copies):
        np.testing.assert_array_equal(t.numpy(), c)
        np.testing.assert_array_equal(u.numpy(), c)
    np.testing.assert_allclose(copies[0], 3 * a.detach().numpy() ** 2, rtol=1e-12)
    assert len(sums) == 4


def test_a_rule_may_return_what_it_saved(sums):
    """The value that was saved must survive: another backward reads it."""
    @op(samples=None, ref=None)
    def first_of(input: Tensor, other: Tensor) -> Tensor:
        return input + other
    try:
        first_of.vjp(input=lambda g, other: other, other=lambda g: g * 1.0)
        x, w = wide_leaf(), wide_leaf(1)
        want = 2 * w.detach().numpy()
        y = first_of(x, w) + first_of(x, w)
        for _ in range(2):
            (got,) = grad(y, x, Tensor(np.ones(N)), retain_graph=True)
            np.testing.assert_array_equal(got.numpy(), want)
        np.testing.assert_array_equal(w.detach().numpy(), want / 2)
        assert not sums
    finally:
        del OPS["first_of"]


def test_large_gradients_of_higher_order():
    x = wide_leaf()
    (g,) = grad((x * x * x).sum(), x, create_graph=True)
    (h,) = grad((g * g).sum(), x)                    # d/dx (3 x^2)^2 = 36 x^3
    np.testing.assert_allclose(h.numpy(), 36 * x.detach().numpy() ** 3, rtol=1e-12)


def test_threads_lose_no_gradient_of_a_shared_parameter():
    w = leaf(np.ones(50_000))                       # large: NumPy lets other threads run meanwhile

    def work():
        for _ in range(50):
            (w * 1.0).sum().backward()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert w.grad.numpy().min() == w.grad.numpy().max() == 200.0


def test_gradients_add_up_in_the_memory_of_the_first():
    """Whoever holds .grad, or has given it memory of his own, sees the sum, as in torch."""
    x = mg.ones(3, requires_grad=True)
    (x * 2.0).sum().backward()
    held = x.grad
    (x * 3.0).sum().backward()
    assert x.grad is held and held.tolist() == [5.0] * 3
    flat = mg.zeros(5)
    x.grad = flat[:3]
    (x * 4.0).sum().backward()
    assert flat.tolist() == [4.0, 4.0, 4.0, 0.0, 0.0]
    y = (x * x).sum()                              # not in place where a graph would notice
    y.backward(create_graph=True)
    before = x.grad
    (x * 1.0).sum().backward()
    assert before.tolist() == [6.0] * 3 and x.grad.tolist() == [7.0] * 3


def test_a_gradient_that_was_set_wrongly_is_refused_where_the_next_is_added():
    for wrong, text in ((mg.ones(2, 2), "shape .2, 2."), (mg.ones(1), "shape .1,."),
                        (np.ones(2), "ndarray")):
        x = mg.ones(2, requires_grad=True)
        x.grad = wrong
        with pytest.raises(TypeError, match=f"grad of a leaf was set to .*{text}.*want a Tensor"):
            (x * 2).sum().backward()


@pytest.mark.parametrize("through", ["a rule", "a joint rule", "a hook", "grad()"])
def test_a_gradient_that_nobody_else_holds_is_not_copied(through):
    """References are counted: one too many, and each gradient costs a copy."""
    made = []

    def fresh(g):
        part = g * 2.0
        made.append(part.__array_interface__["data"][0])
        return part

    def doubled(x: Tensor, w: Tensor) -> Tensor:
        return x * 2.0
    function = op(samples=None)(doubled)
    try:
        if through == "a joint rule":
            function.joint_vjp("x", "w")(lambda g: (fresh(g), None))
        else:
            function.vjp(x=fresh)
        x, w = wide_leaf(), wide_leaf(1)
        if through == "a hook":
            x.register_hook(lambda g: None)
        y = function(x, w)
        g = Tensor(np.ones(N))
        if through == "grad()":
            got, = grad(y, x, g)
        else:
            y.backward(g)
            got = x.grad
        assert got.array.__array_interface__["data"][0] == made[0]
        assert got.array.flags.writeable and got.tolist() == [2.0] * N
    finally:
        del OPS["doubled"]
