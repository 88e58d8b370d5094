"""The walk through the graph: order, what is asked for, freeing, higher orders, depth."""
import gc
import threading
import weakref
from functools import partial, wraps

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad
from minigrad.autograd.engine import Node
from minigrad.autograd.op import OPS, op
from minigrad.ops.elementwise import exp, mul, sin


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


def test_only_leaves_get_grad():
    x = leaf(1.0)
    h = x * 2.0
    (h * 3.0).backward()
    assert h.grad is None and x.grad.tolist() == [6.0]


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


# --- bad input -----------------------------------------------------------------------------------

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


@pytest.mark.parametrize("n", [200_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("walk", ["backward", "drop"])
def test_a_chain_of_very_many_operations(walk, n):
    x = leaf(1.0)
    y = chain(n, x)
    if walk == "backward":
        y.backward()
        assert x.grad.tolist() == [n + 1]
    del y


def test_a_deep_chain_of_ops_that_save_is_freed_and_differentiated_twice():
    x = leaf(1.0)
    y = x * 1.0
    for _ in range(20_000):
        y = mul(y, x)
    g, = grad(y, x, create_graph=True)
    assert g.tolist() == [20_001.0]
    assert grad(g, x)[0].tolist() == [20_001.0 * 20_000.0]


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


def test_a_leaf_that_stopped_requiring_grad_gets_none():
    x = leaf(1.0, 2.0)
    y = (x * 2.0).sum()
    x.requires_grad = False
    y.backward()
    assert x.grad is None


def test_gradients_of_numbers_are_arrays_to_every_rule():
    x = leaf(0.5)
    (mg.softmax(x * 1.0, -1).exp() + mg.relu(x * 1.0)).backward()
    assert x.grad.item() == 1.0


def test_backward_of_one_tensor():
    x = leaf(1.0, 2.0)
    mg.backward(x * x, mg.ones(2, dtype=mg.float64))
    assert x.grad.tolist() == [2.0, 4.0]


def test_backward_wants_one_gradient_for_each_tensor_and_some_inputs():
    x = leaf(1.0, 2.0)
    for gradients in ([None], [None] * 3):
        with pytest.raises(ValueError, match=f"{len(gradients)} gradients for 2 tensors"):
            mg.backward([x.sum(), x.sum()], gradients)
    with pytest.raises(ValueError, match="inputs is empty"):
        x.sum().backward(inputs=[])
    x.sum().backward(inputs=x)
    assert x.grad.tolist() == [1.0, 1.0]


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
