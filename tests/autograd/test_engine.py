"""The graph: order, accumulation, freeing, hooks, higher orders, overwritten values, depth."""
import copy
import gc
import pickle
import sys
import threading
import weakref
from functools import partial, wraps

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, enable_grad, grad, no_grad
from minigrad.autograd import accumulate
from minigrad.autograd.engine import Node
from minigrad.autograd.op import OPS, op
from minigrad.ops.elementwise import add, exp, mul, sin


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


# --- values and accumulation ---------------------------------------------------------------------

def test_a_reused_value_gets_both_gradients_before_it_hands_them_on():
    x = leaf(3.0)
    a = x * 1.0
    y = a * (a * 2.0)
    y.backward()
    assert x.grad.tolist() == [12.0]


def test_diamonds_cost_linear_time():
    """2 ** 60 paths: only a walk that visits each node once ever ends."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.tolist() == [1.0]


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


def test_only_leaves_get_grad():
    x = leaf(1.0)
    h = x * 2.0
    (h * 3.0).backward()
    assert h.grad is None and x.grad.tolist() == [6.0]


def test_retain_grad():
    x = leaf(1.0)
    h = x * 2.0
    h.retain_grad()
    (h * 3.0).backward()
    assert h.grad.tolist() == [3.0]


# --- grad mode -----------------------------------------------------------------------------------

def test_no_grad_records_nothing_and_enable_grad_records_inside():
    x = leaf(1.0)
    with no_grad():
        assert not (x * 2.0).requires_grad
        with enable_grad():
            assert (x * 2.0).requires_grad
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()


def test_grad_mode_is_restored_after_an_exception_and_works_as_decorator():
    @no_grad()
    def with_call(x):
        return x * 2.0

    @no_grad
    def without_call(x):
        return x * 2.0
    x = leaf(1.0)
    assert not with_call(x).requires_grad and not without_call(x).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert mg.is_grad_enabled()


def test_set_grad_enabled_as_call_and_as_context():
    with mg.set_grad_enabled(False):
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()
    mg.set_grad_enabled(False)
    try:
        assert not mg.is_grad_enabled()
    finally:
        mg.set_grad_enabled(True)


def test_grad_mode_belongs_to_the_thread():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(mg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_threads_train_at_the_same_time():
    def work(k, out):
        x = leaf(float(k))
        for _ in range(200):
            y = x
            for _ in range(10):
                y = y * 1.0 + x
            x.grad = None
            y.backward()
        out[k] = x.grad.tolist()
    out = {}
    threads = [threading.Thread(target=work, args=(k, out)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert out == {k: [11.0] for k in range(4)}


# --- grad() and higher orders --------------------------------------------------------------------

def test_grad_touches_no_grad_attribute_and_runs_only_what_is_needed():
    calls = []

    def watched(x: Tensor, w: Tensor) -> Tensor:
        return x * w
    function = op(samples=None)(watched)
    function.vjp(x=lambda g, w: calls.append("x") or g * w,
                 w=lambda g, x: calls.append("w") or g * x)
    try:
        x, w = leaf(2.0), leaf(3.0)
        assert grad(function(x, w), w)[0].tolist() == [2.0]
        assert calls == ["w"] and x.grad is None and w.grad is None
        calls.clear()
        function(x.detach(), w).backward()
        assert calls == ["w"]
    finally:
        del OPS["watched"]


def test_grad_of_an_inner_tensor():
    x = leaf(2.0)
    h = x * x
    y = h * h
    gh, gx = grad(y, [h, x])
    assert gh.tolist() == [8.0] and gx.tolist() == [32.0]


def test_grad_of_an_unused_input():
    x, z = leaf(1.0), leaf(1.0)
    with pytest.raises(ValueError, match="do not depend on input 1.*allow_unused"):
        grad(x * 2.0, [x, z], retain_graph=True)
    assert grad(x * 2.0, [x, z], allow_unused=True)[1] is None


def test_backward_into_chosen_leaves():
    x, w = leaf(2.0), leaf(3.0)
    (x * w).backward(inputs=[w])
    assert x.grad is None and w.grad.tolist() == [2.0]
    with pytest.raises(ValueError, match="must be leaves"):
        h = x * w
        (h * w).backward(inputs=[h])


def test_fourth_derivative():
    x = leaf(0.7)
    y = sin(x)
    for k in range(1, 5):
        y, = grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(np.sin(0.7 + k * np.pi / 2), rel=1e-12)


def test_backward_with_create_graph_gives_grads_with_a_history():
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    assert x.grad.requires_grad
    assert grad(x.grad, x)[0].tolist() == [18.0]


def test_hessian_vector_product_of_a_network():
    rng = np.random.default_rng(0)
    w = Tensor(rng.standard_normal((4, 4)), requires_grad=True)
    v = Tensor(rng.standard_normal((4, 4)))
    f = lambda w: (mg.tanh(w @ w) * w).sum()
    g, = grad(f(w), w, create_graph=True)
    hv, = grad((g * v).sum(), w)
    e = 1e-6
    up, down = (grad(f(u), u)[0].numpy() for s in (e, -e)
                for u in [Tensor(w.detach().numpy() + s * v.numpy(), requires_grad=True)])
    np.testing.assert_allclose(hv.numpy(), (up - down) / (2 * e), rtol=1e-6, atol=1e-8)


# --- freeing -------------------------------------------------------------------------------------

def test_second_backward_names_the_op_and_the_way_out():
    x = leaf(1.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"'mul' \(.*test_engine.py:\d+ in .*retain_graph=True"):
        y.backward()


def test_retain_graph_allows_a_second_backward():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]


def test_a_shared_part_that_saved_nothing_may_be_used_twice_as_in_torch():
    x = leaf(3.0)
    h = x + 1.0
    (h * 2.0).backward()
    (h * 5.0).backward()
    assert x.grad.tolist() == [7.0]


def test_saved_values_are_freed_during_backward():
    x = Tensor(np.ones(10), requires_grad=True)
    h = exp(x)
    kept = weakref.ref(h.array)
    y = h * h
    del h
    assert kept() is not None
    y.backward(np.ones(10))
    assert kept() is None


def test_nothing_is_saved_that_no_rule_asked_for():
    x = Tensor(np.ones(10), requires_grad=True)
    h = x * 2.0
    kept = weakref.ref(h.array)
    y = h + 1.0
    del h
    assert kept() is None and y.requires_grad


def step():
    """A training step that touches most of the engine."""
    x, w = Tensor(np.ones((4, 3)), requires_grad=True), Tensor(np.ones((3, 2)), requires_grad=True)
    h = mg.tanh(x @ w)
    h.register_hook(lambda g: g * 2.0)
    h.retain_grad()
    (h[0] * h[1] + h.max(0)[0]).sum().backward(create_graph=True)
    g, = grad((x.grad * x.grad).sum(), w, create_graph=True)
    (g * g).sum().backward()
    lost = exp(x)                                   # a graph that nobody walks
    del lost
    with pytest.raises(RuntimeError):
        y = exp(x)
        y.backward(np.ones(y.shape))
        y.backward(np.ones(y.shape))


def test_nothing_of_ours_is_left_to_the_cyclic_collector():
    step()
    gc.collect()
    gc.disable()
    try:
        before = {id(o) for o in gc.get_objects() if isinstance(o, (Tensor, Node))}
        step()
        left = [o for o in gc.get_objects()
                if isinstance(o, (Tensor, Node)) and id(o) not in before]
        assert not left, left[:5]
    finally:
        gc.enable()


# --- hooks ---------------------------------------------------------------------------------------

def test_hooks_see_complete_gradients_and_may_change_them():
    x = leaf(1.0)
    h = x * 2.0
    seen = []
    h.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10.0)
    (h * 3.0 + h * 4.0).backward()
    assert seen == [[7.0]] and x.grad.tolist() == [140.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (x * 1.0).backward()
    assert x.grad.tolist() == [1.0]


def test_a_hook_must_keep_the_shape_and_needs_a_gradient():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"hook: .*\(2,\).*\(\)"):
        (x * 1.0).backward(np.ones(2))
    with pytest.raises(ValueError, match="does not require"):
        Tensor([1.0]).register_hook(print)


def test_a_hook_computes_under_the_users_own_numpy_settings_and_may_change_them():
    x = leaf(0.0)
    y = x * 1.0
    seen = []

    def hook(g):
        seen.append(np.geterr()["divide"])
        np.seterr(divide="ignore")
    y.register_hook(hook)
    x.register_hook(lambda g: seen.append(np.geterr()["divide"]))
    with np.errstate(divide="raise"):
        (y * 1.0).backward()
        assert seen == ["raise", "ignore"] and np.geterr()["divide"] == "ignore"


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


# --- overwritten values --------------------------------------------------------------------------

def test_an_overwritten_value_is_reported_with_both_lines():
    w = leaf(1.0, 2.0)
    y = w * w                                       # saves w
    with no_grad():
        w += 1.0                                    # writes into it
    line = sys._getframe().f_lineno
    with pytest.raises(RuntimeError) as error:
        y.backward(np.ones(2))
    message = str(error.value)
    assert "'mul'" in message and "overwritten in place" in message
    assert f"test_engine.py:{line - 3}" in message and f"test_engine.py:{line - 1}" in message


def test_an_overwritten_leaf_is_called_by_its_name():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    a.name, b.name = "data", "weights"
    y = (a * 2.0) * b
    with no_grad():
        b += 1.0
    with pytest.raises(RuntimeError, match=r"saved other \(leaf 'weights'\), of shape \(2,\)"):
        y.backward(np.ones(2))
    y = b * a.unsqueeze(0)
    with no_grad():
        a += 1.0
    with pytest.raises(RuntimeError, match=r"saved other, of shape \(1, 2\)"):    # a view of it
        y.backward(np.ones((1, 2)))


def test_a_write_through_a_view_counts():
    w = leaf(1.0, 2.0, 3.0)
    y = exp(w)
    out = y.detach()
    out[1:] = 0.0
    with pytest.raises(RuntimeError, match="'exp'.*saved out"):
        y.backward(np.ones(3))


def test_a_write_after_backward_or_of_something_else_is_fine():
    w, other = leaf(1.0, 2.0), leaf(1.0, 2.0)
    y = w * w
    with no_grad():
        other += 1.0
    y.backward(np.ones(2))
    with no_grad():
        w -= 0.1
    (w * w).backward(np.ones(2))


def test_an_unneeded_value_may_be_overwritten():
    x = leaf(1.0, 2.0)
    buffer = Tensor(np.zeros(2))
    y = x + buffer                                  # add saves nothing
    buffer += 1.0
    y.backward(np.ones(2))


# --- large gradients, which are added over one another -------------------------------------------

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


# --- in place, with a graph ----------------------------------------------------------------------

def test_in_place_on_a_recorded_tensor_is_differentiated():
    x = leaf(2.0)
    y = x * 3.0
    y *= y
    y.backward()
    assert x.grad.tolist() == [36.0]


def test_in_place_on_a_leaf_that_requires_grad_is_refused():
    x = leaf(2.0)
    with pytest.raises(ValueError, match="leaf that requires grad.*no_grad"):
        x += 1.0


def test_in_place_into_a_view_with_a_graph_is_refused():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    v = y.reshape(2, 1)
    with pytest.raises(ValueError, match="view"):
        v *= 2.0


def test_in_place_must_keep_shape_and_dtype():
    x = Tensor(np.zeros(2))
    with pytest.raises(ValueError, match=r"in place: .*\(3, 2\)"):
        x += np.ones((3, 2))
    n = Tensor(np.array([1, 2]))
    with pytest.raises(TypeError, match="float.*does not fit a tensor of int64"):
        n += 0.5


# --- bad input -----------------------------------------------------------------------------------

def test_refusals():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\).*loss.mean"):
        (x * 1.0).backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\), the tensor \(2,\)"):
        (x * 1.0).backward(np.ones(3))
    with pytest.raises(ValueError, match="nothing to differentiate"):
        Tensor([1.0]).backward()
    with pytest.raises(TypeError, match="only floating tensors have gradients.*int64"):
        Tensor([1, 2], requires_grad=True)
    with pytest.raises(ValueError, match=r"detach\(\)"):
        (x * 1.0).requires_grad = False
    with pytest.raises(ValueError, match=r"x.detach\(\).numpy\(\)"):
        x.numpy()
    with pytest.raises(ValueError, match=r"one element, this one has shape \(2,\)"):
        x.item()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    with pytest.raises(TypeError, match="'other' must be a Tensor.*got list.*minigrad.tensor"):
        add(x, [1.0])
    with pytest.raises(TypeError, match="got str"):
        x * "a"
    with pytest.raises(ValueError, match=r"mul: input \(2,\) and other \(3,\) do not broadcast"):
        x * np.ones(3)
    with pytest.raises(ValueError, match="different lengths"):
        Tensor([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError, match="want numbers"):
        Tensor("abc")
    with pytest.raises(ValueError, match="input 0 does not require grad"):
        grad(x * 1.0, Tensor([1.0]))


def test_a_rule_with_an_unknown_name_is_an_error_at_import():
    def broken(x: Tensor) -> Tensor:
        return x
    try:
        function = op(samples=None)(broken)
        for reads in ({"typo": ("x",)}, {"x": ("typo",)}, {"x": ("x", "y")}):
            with pytest.raises(TypeError, match="joint_vjp: reads says that"):
                function.joint_vjp("x", reads=reads)(lambda g, x: (g,))
        function.joint_vjp("x", reads={"x": ("x",)})(lambda g, x: (g,))
        with pytest.raises(TypeError, match="unknown.*'typo'.*known names"):
            function.vjp(x=lambda g, typo: g)
        for rule in (lambda g, *, typo: g, partial(lambda g, typo: g), wraps(lambda g, typo: g)(
                lambda *args: args)):
            with pytest.raises(TypeError, match="unknown.*'typo'.*known names"):
                function.vjp(x=rule)
        with pytest.raises(TypeError, match="'y' is not a tensor argument"):
            function.vjp(y=lambda g: g)
    finally:
        del OPS["broken"]


# --- several results -----------------------------------------------------------------------------

@pytest.fixture
def sin_cos():
    def both(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return np.sin(x), np.cos(x), np.arange(x.size)
    function = op(samples=None)(both)

    def rule(g, out):
        s, c, _ = out
        gs, gc, gi = g
        assert gi is None
        first = 0.0 if gs is None else gs * c
        return first if gc is None else first - gc * s
    function.vjp(x=rule)
    yield function
    del OPS["both"]


def test_several_results(sin_cos):
    x = leaf(0.3, 0.4)
    s, c, i = sin_cos(x)
    assert i.dtype.kind == "i" and not i.requires_grad
    gx, = grad(s, x, np.ones(2), retain_graph=True)
    np.testing.assert_allclose(gx.numpy(), c.detach().numpy())
    (s * s * c).backward(np.ones(2))
    a = x.detach().numpy()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.sin(a) * np.cos(a) ** 2 - np.sin(a) ** 3)
    mg.gradcheck(sin_cos, leaf(0.3, 0.4))
    mg.gradgradcheck(sin_cos, leaf(0.3, 0.4))


# --- depth ---------------------------------------------------------------------------------------

def chain(n, x):
    y = x * 1.0
    for _ in range(n):
        y = y + x
    return y


@pytest.mark.parametrize("walk", ["backward", "drop"])
def test_a_chain_of_a_million_operations(walk):
    x = leaf(1.0)
    y = chain(1_000_000, x)
    if walk == "backward":
        y.backward()
        assert x.grad.tolist() == [1_000_001.0]
    del y


def test_a_deep_chain_of_ops_that_save_is_freed_and_differentiated_twice():
    x = leaf(1.0)
    y = x * 1.0
    for _ in range(20_000):
        y = mul(y, x)
    g, = grad(y, x, create_graph=True)
    assert g.tolist() == [20_001.0]
    assert grad(g, x)[0].tolist() == [20_001.0 * 20_000.0]


# --- Tensor itself -------------------------------------------------------------------------------

def test_numpy_works_both_ways():
    x = leaf(1.0, 2.0)
    assert isinstance(np.array([1.0, 2.0]) * x, Tensor)
    assert np.exp(x).requires_grad
    assert isinstance(2.0 - x, Tensor) and isinstance(np.float64(2.0) * x, Tensor)
    assert np.asarray(x.detach()).tolist() == [1.0, 2.0]
    assert np.asarray(Tensor([1.0]), dtype=np.float64).dtype == np.float64


def test_dtypes_follow_torch():
    f = Tensor([1.0, 2.0])
    n = Tensor([1, 2])
    assert f.dtype == np.float32 and n.dtype == np.int64
    assert (f * 2.5).dtype == (f * n).dtype == (n * 2.5).dtype == (n / n).dtype == np.float32
    assert (f * np.float64(2.5)).dtype == np.float32
    assert (f * Tensor(np.ones(2))).dtype == np.float64
    assert (n * 2).dtype == np.int64 and exp(n).dtype == np.float32
    assert Tensor(np.ones(2)).dtype == np.float64


def test_default_dtype():
    before = mg.get_default_dtype()
    try:
        mg.set_default_dtype(np.float64)
        assert Tensor([1.0]).dtype == np.float64
        with pytest.raises(TypeError, match="int64"):
            mg.set_default_dtype(np.int64)
    finally:
        mg.set_default_dtype(before)


def test_data_and_detach_share_memory():
    x = leaf(1.0, 2.0)
    x.data[0] = 5.0
    x.detach()[1] = 6.0
    assert x.tolist() == [5.0, 6.0] and not x.data.requires_grad
    x.data = np.array([1.0, 2.0, 3.0])
    (x * x).backward(np.ones(3))
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_copies():
    x = leaf(1.0, 2.0)
    x.grad = Tensor([0.5, 0.5])
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y is not x and y.tolist() == [1.0, 2.0] and y.requires_grad
        y.data[0] = 9.0
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="only leaves"):
        copy.deepcopy(x * 1.0)
    with pytest.raises(ValueError, match="history"):
        pickle.dumps(x * 1.0)


def test_protocols():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2 and [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert float(Tensor(2.5)) == 2.5 and int(Tensor(2)) == 2 and [5, 6, 7][Tensor(1)] == 6
    assert f"{Tensor(0.12345):.3f}" == "0.123"
    assert x.size() == (2, 2) and x.size(1) == 2 and x.dim() == 2 and x.numel() == 4
    assert len({x, x}) == 1
    with pytest.raises(TypeError, match="0-dimensional"):
        len(Tensor(1.0))


def test_repr():
    assert repr(Tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(leaf(1.0)) == "tensor([1.], dtype=float64, requires_grad=True)"
    assert "grad_fn=<mul>" in repr(leaf(1.0) * 2.0)


def test_node_tells_where_it_was_made():
    y = leaf(1.0) * 2.0
    assert f"test_engine.py:{sys._getframe().f_lineno - 1}" in repr(y.grad_fn)


def test_signature_and_documentation_are_the_forwards():
    import inspect
    head = "(input: 'Tensor | float', other: 'Tensor | float')"
    assert str(inspect.signature(mul)).startswith(head)
    assert mul.__doc__.startswith("input * other")
    assert "def mul(input, other):" in mul.op.source


def test_time_is_linear_in_depth():
    """Not a timing: counts the clock's ticks, one a node."""
    x = leaf(1.0)
    y = chain(1000, x)
    assert y.grad_fn.birth - x.node.birth == 1001


def test_hooks_of_a_leaf_survive_another_array():
    x = leaf(1.0)
    x.register_hook(lambda g: g * 10.0)
    x.data = np.array([1.0, 2.0])
    x.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0]


def test_gradients_without_dimensions_pass_every_rule():
    x = leaf(0.5)
    y = mg.relu(x.sum() * 2.0)                      # NumPy makes scalars, not arrays, of these
    g, = grad(y * y, x, create_graph=True)
    assert grad((g * g).sum(), x)[0].tolist() == [128.0 * 0.5]


# --- found by comparing random programs with torch's ---------------------------------------------

def test_a_target_of_grad_is_not_differentiated_itself():
    x = leaf(1.0, 2.0)
    y = x.exp()
    y.sum().backward()                              # frees y's node, which grad() need not run
    assert grad((y * 3.0).sum(), y)[0].tolist() == [3.0, 3.0]
    z = x.exp()
    grad((z * z).sum(), z)                          # must not free what z saved
    z.sum().backward()
    assert x.grad is not None


def test_a_freed_graph_is_named_rather_than_called_unused():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    grad(y, x)
    for again in (lambda: grad(y, x), lambda: grad(y, x, allow_unused=True),
                  lambda: y.backward(inputs=[x])):
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            again()


def test_a_path_that_was_freed_is_not_left_out_in_silence():
    """grad() once added up what came by the other paths."""
    x = leaf(1.0, 2.0)
    h = x * 3.0
    y = (h * h).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="'mul' .* retain_graph=True"):
        grad(h.sum() + y, h)
    with pytest.raises(RuntimeError, match="'mul' .* retain_graph=True"):
        (h.sum() + y).backward()
    g, none = grad((h.detach() * x).sum() + y.detach(), [x, h], allow_unused=True)
    assert g.tolist() == [3.0, 6.0] and none is None
    fake = (x * 2.0).exp()                          # a generator and its judge
    fake.sum().backward()
    w = leaf(2.0, 3.0)
    assert grad((fake * w).sum(), w)[0].tolist() == fake.tolist()


def test_retain_grad_twice_after_hooks_and_through_in_place():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda g: g * 10.0)
    y.sum().backward()
    assert y.grad.tolist() == [10.0, 10.0]          # what the other hooks made of it, once
    y.grad.zero_()                                  # memory of its own
    z = x * 2.0
    z.retain_grad()
    z *= 3.0
    z.sum().backward()
    assert z.grad.tolist() == [1.0, 1.0] and x.grad.tolist() == [26.0, 26.0]


def test_a_leaf_that_stopped_requiring_grad_gets_none():
    x = leaf(1.0, 2.0)
    y = (x * 2.0).sum()
    x.requires_grad = False
    y.backward()
    assert x.grad is None


def test_set_grad_enabled_as_decorator_leaves_the_mode_alone():
    @mg.set_grad_enabled(False)
    def f():
        return mg.is_grad_enabled()
    assert mg.is_grad_enabled() and not f() and mg.is_grad_enabled()


def test_a_decorated_function_restores_the_mode_of_each_thread():
    inside, other_inside, left = threading.Event(), threading.Event(), threading.Event()
    after = {}

    @mg.no_grad()
    def meet(mine, theirs):
        mine.set()
        assert theirs.wait(10)

    def recording():
        meet(inside, other_inside)
        after["recording"] = mg.is_grad_enabled()
        left.set()

    def not_recording():
        assert inside.wait(10)
        with mg.no_grad():
            meet(other_inside, left)
            after["not recording"] = mg.is_grad_enabled()
    threads = [threading.Thread(target=t) for t in (recording, not_recording)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert after == {"recording": True, "not recording": False}


def test_a_decorated_generator_is_in_the_mode_at_each_step_only():
    @mg.no_grad()
    def steps(n):
        for _ in range(n):
            yield mg.is_grad_enabled()
    seen = [(mode, mg.is_grad_enabled()) for mode in steps(2)]
    assert seen == [(False, True)] * 2 and mg.is_grad_enabled()


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


@pytest.mark.parametrize("write", [lambda x: x.add_(1.0), lambda x: x.zero_(),
                                   lambda x: x.copy_(mg.ones(3))])
def test_read_only_memory_is_refused_by_name(write):
    with pytest.raises(ValueError, match="read-only.*clone"):
        write(mg.zeros(3).expand(2, 3))


def test_bytes_are_computed_in_the_default_dtype():
    for x in (mg.tensor([1, 2, 20], dtype=mg.uint8), mg.tensor([True, True])):
        for function in (mg.sqrt, mg.log1p, mg.exp, mg.rsqrt, mg.sin):
            y = function(x)
            assert y.dtype == np.float32
            assert y.tolist() == function(x.float()).tolist()


def test_a_number_outside_an_integer_dtype_is_refused():
    with pytest.raises(ValueError, match="sub: .*300.*x.long()"):
        mg.ones(2, dtype=mg.uint8) - 300


def test_gradients_of_numbers_are_arrays_to_every_rule():
    x = leaf(0.5)
    (mg.softmax(x * 1.0, -1).exp() + mg.relu(x * 1.0)).backward()
    assert x.grad.item() == 1.0


def test_backward_of_one_tensor():
    x = leaf(1.0, 2.0)
    mg.backward(x * x, mg.ones(2, dtype=mg.float64))
    assert x.grad.tolist() == [2.0, 4.0]


def test_what_no_rule_that_runs_needs_may_be_overwritten():
    w, buffer = leaf(2.0, 3.0), Tensor(np.array([5.0, 7.0]))
    y = (w * buffer).sum()                          # saves w too, but for the gradient of buffer
    with no_grad():
        w += 1.0
    y.backward()
    assert w.grad.tolist() == [5.0, 7.0]
    y = (w * buffer).sum()
    buffer += 1.0
    with pytest.raises(RuntimeError, match="saved other"):
        y.backward()


def test_arrays_that_are_no_numbers_are_refused_by_name():
    with pytest.raises(TypeError, match="^add: "):
        mg.ones(2) + np.array(["a", "b"])


def test_a_hook_keeps_the_dtype_and_each_handle_removes_its_own_registration():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.float())
    with pytest.raises(ValueError, match="float64.*returned float32"):
        x.sum().backward()
    x, calls = leaf(1.0, 2.0), []
    hook = lambda g: calls.append(1)
    first, _ = x.register_hook(hook), x.register_hook(hook)
    first.remove()
    first.remove()
    x.sum().backward()
    assert calls == [1]


def test_backward_wants_one_gradient_for_each_tensor_and_some_inputs():
    x = leaf(1.0, 2.0)
    for gradients in ([None], [None] * 3):
        with pytest.raises(ValueError, match=f"{len(gradients)} gradients for 2 tensors"):
            mg.backward([x.sum(), x.sum()], gradients)
    with pytest.raises(ValueError, match="inputs is empty"):
        x.sum().backward(inputs=[])
    x.sum().backward(inputs=x)
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_leaf_of_another_shape_than_when_it_was_used_is_refused():
    x = leaf(1.0, 2.0)
    y = (x * 2.0).sum()
    x.data = np.ones(3)
    with pytest.raises(RuntimeError, match=r"had shape \(2,\).*\(3,\) now"):
        y.backward()


def test_bitwise_operators_say_what_does_not_broadcast():
    with pytest.raises(ValueError, match="bitwise_and: .*dimension -1 is 3 against 4"):
        mg.ones(2, 3, dtype=mg.bool) & mg.ones(4, dtype=mg.bool)


def test_what_is_no_number_is_not_equal():
    x = leaf(1.0)
    assert (x == None) is False and (x != "a") is True           # noqa: E711
    assert x not in [None, "a"] and (x == 1.0).tolist() == [True]


def test_sizes_instead_of_data():
    with pytest.raises(TypeError, match=r"Tensor: want data, got sizes.*empty\(2, 3\)"):
        Tensor(2, 3)


# --- in place, by an option or a whole write -----------------------------------------------------

F = mg.nn.functional
INPLACE = {
    "relu": (F.relu, mg.nn.ReLU(inplace=True)), "elu": (F.elu, mg.nn.ELU(inplace=True)),
    "leaky_relu": (F.leaky_relu, mg.nn.LeakyReLU(inplace=True)),
    "silu": (F.silu, mg.nn.SiLU(inplace=True)), "hardtanh": (F.hardtanh, None),
    "relu6": (F.relu6, None),
}


@pytest.mark.parametrize("name", INPLACE)
def test_an_activation_in_place_changes_its_input(name):
    function, layer = INPLACE[name]
    for apply in (lambda x: function(x, inplace=True), layer or partial(function, inplace=True)):
        data = np.array([-1.0, 0.5, 2.0, 9.0])
        want = function(Tensor(data)).tolist()
        x = Tensor(data)
        view = x[1:]
        assert apply(x) is x and x.tolist() == want and view.tolist() == want[1:]
        x = leaf(*data)
        with pytest.raises(ValueError, match="in place: this is a leaf"):
            apply(x)
        y = x * 1.0
        assert apply(y) is y and y.tolist() == want
        assert grad(y.sum(), x)[0].tolist() == grad(function(x).sum(), x)[0].tolist()


def test_an_activation_in_place_on_a_row_reaches_the_whole():
    x = leaf(-1.0, 2.0)
    y = x * 1.0
    F.relu(y[0], inplace=True)
    assert y.tolist() == [0.0, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]
    array = np.array([-1.0, 2.0])
    assert F.relu(array, inplace=True) is array and array.tolist() == [0.0, 2.0]


def test_a_large_relu_in_place_does_not_wait():
    x = mg.ones(1, 2, 64, 64) * -1.0
    y = F.relu(x, inplace=True)
    assert y is x and x.abs().sum().item() == 0.0


WHOLE_WRITES = {
    "zero_": lambda y: y.zero_(), "fill_": lambda y: y.fill_(3), "copy_": lambda y: y.copy_(
        Tensor([7.0, 8.0])), "copy_ one": lambda y: y.copy_(Tensor(7.0)),
    "fill_ tensor": lambda y: y.fill_(Tensor(7.0)), "uniform_": lambda y: y.uniform_(),
    "normal_": lambda y: y.normal_(), "bernoulli_": lambda y: y.bernoulli_(),
}


@pytest.mark.parametrize("name", WHOLE_WRITES)
def test_what_is_overwritten_as_a_whole_gets_a_gradient_of_0(name):
    """As in torch; None would be left out by an optimiser, with its momentum and decay."""
    x = leaf(1.0, 2.0)
    y = x * 3.0
    assert WHOLE_WRITES[name](y) is y and y.requires_grad
    (y * y).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="in place: this is a leaf"):
        WHOLE_WRITES[name](x)


def test_copy_passes_the_gradient_to_its_source():
    x, source = leaf(1.0, 2.0), leaf(5.0)
    y = x * 3.0
    y.copy_(source)
    (y * Tensor([1.0, 10.0])).sum().backward()
    assert source.grad.tolist() == [11.0] and x.grad.tolist() == [0.0, 0.0]


def test_nodes_that_saved_no_numbers_can_be_walked_again():
    """Two losses may share x[0], a reshape, a sum: torch frees saved tensors, not shapes."""
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    shared = x[0].reshape(2, 1).expand(2, 3).permute(1, 0)
    for _ in range(2):
        shared.sum().backward()
    assert x.grad.tolist() == [[6.0, 6.0], [0.0, 0.0]]
    kept = x * x
    kept.sum().backward()
    with pytest.raises(RuntimeError, match="'mul' .* retain_graph=True"):
        kept.sum().backward()


def test_flatten_of_one_dimension_is_the_tensor_itself():
    x = leaf(1.0, 2.0)
    assert x.flatten() is x and x.reshape(1, 2).flatten(1).shape == (1, 2)
    assert Tensor(3.0).flatten().shape == (1,)
    with pytest.raises(TypeError, match="flatten: argument 'input' must be a Tensor"):
        mg.flatten([1.0])


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


def test_a_gradient_that_was_saved_and_then_added_to_is_noticed():
    x, w = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)
    (x * 2.0).sum().backward()
    y = (w * x.grad).sum()
    (x * 3.0).sum().backward()
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()


def test_a_gradient_that_was_set_wrongly_is_refused_where_the_next_is_added():
    for wrong, text in ((mg.ones(2, 2), "shape .2, 2."), (mg.ones(1), "shape .1,."),
                        (np.ones(2), "ndarray")):
        x = mg.ones(2, requires_grad=True)
        x.grad = wrong
        with pytest.raises(TypeError, match=f"grad of a leaf was set to .*{text}.*want a Tensor"):
            (x * 2).sum().backward()
