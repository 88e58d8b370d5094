"""What the kinds promise: every pointwise operation and rule has its loops, of every order."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from minigrad.autograd.op import OPS, Op
from minigrad.kernels.jit.kernel import jit_disabled
from minigrad.kernels.pointwise.loop import Loop
from minigrad.ops import elementwise
from minigrad.ops.kinds import in_one_pass, pointwise
from minigrad.ops.samples import Draw
from minigrad.tuning import LOOP_OF_THREADS

needs_jit = pytest.mark.skipif(jit_disabled(), reason="without the JIT there are no loops")
POINTWISE = [op for op in OPS.values() if isinstance(op, Op) and isinstance(op.large, Loop)]
SMOOTH = ["tanh", "sigmoid", "silu", "gelu", "softplus", "elu", "logsigmoid", "leaky_relu", "relu"]


def loops_of(op):
    rules = op.by_argument.values()
    return [op.large, *(r.__globals__["LOOP"] for r in rules if "LOOP" in r.__globals__)]


def large(sample, dtype):
    """The sample's arrays many times over, if they have one shape; else None."""
    arrays = [a for a in sample if isinstance(a, np.ndarray)]
    if not arrays or len({a.shape for a in arrays}) > 1 or not arrays[0].ndim:
        return None
    times = -(-LOOP_OF_THREADS // len(arrays[0]))

    def many(a):
        if not isinstance(a, np.ndarray):
            return a
        a = np.concatenate([a] * times)
        return Tensor(a.astype(dtype), requires_grad=True) if a.dtype.kind == "f" else Tensor(a)
    return [many(a) for a in sample]


@needs_jit
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("op", POINTWISE, ids=lambda op: op.name)
def test_every_formula_and_every_rule_has_loops(op):
    """A formula with a word that no loop knows would be NumPy's, silently and slowly."""
    loops, used = loops_of(op), 0
    for loop in loops:
        loop.made.clear()
    for dtype in (np.float32, np.float64):
        more = [(Draw(0)(3, 4), Draw(1)(3, 4))] if op.promote == "operands" else []
        for sample in [*op.samples(Draw(0)), *more]:
            options = {}
            if isinstance(sample[-1], dict):
                *sample, options = sample
            args = large(sample, dtype)
            floats = [t for t in args or () if isinstance(t, Tensor) and t.dtype == dtype]
            if not floats:
                continue
            y = op.public(*args, **options)
            used += 1
            if y.requires_grad:
                mg.grad(y, floats, Tensor(np.linspace(1, 2, y.array.size, dtype=dtype)
                                          .reshape(y.shape)), allow_unused=True, retain_graph=True)
                y.sum().backward()                 # one number repeated
            for loop in loops:
                assert loop.doubles is False or None not in loop.made.values(), loop
    assert used and loops[0].made


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SMOOTH)
def test_large_and_small_arrays_agree_in_every_order(name, dtype):
    function = OPS[name].public
    x = np.linspace(-4, 4, 1600).astype(dtype)     # 0 is not among them
    u = np.linspace(0.5, 1.5, 1600).astype(dtype)

    def derivatives(x, u):
        t, w = Tensor(x, requires_grad=True), Tensor(u, requires_grad=True)
        y = function(t)
        found, g = [y.array], w
        for _ in range(3):
            if not y.requires_grad:
                break
            y, = mg.grad(y, t, g, create_graph=True, allow_unused=True)
            if y is None:
                break
            found.append(y.array)
        return found
    whole = derivatives(x, u)
    parts = [derivatives(x[i:i + 10], u[i:i + 10]) for i in range(0, 1600, 10)]
    assert len(whole) > (3 if name in SMOOTH[:7] else 1)
    for order, got in enumerate(whole):
        want = np.concatenate([part[order] for part in parts])
        # What cancels near a zero has the digits of what it is made of.
        np.testing.assert_allclose(got, want, rtol=2e-4 if dtype == np.float32 else 1e-10,
                                   atol=(3e-5 if dtype == np.float32 else 1e-12) * 10 ** order)


def derivative(function, order, x):
    """Of this order, at the points x, by grad()."""
    t = Tensor(x, requires_grad=True)
    y = function(t)
    for _ in range(order):
        y, = mg.grad(y.sum(), t, create_graph=True)
    return y.array


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "gelu", "softplus", "logsigmoid"])
def test_derivatives_of_higher_order_against_finite_differences(name):
    x, h, function = np.linspace(-1.3, 1.4, 5), 1e-5, OPS[name].public
    for order in (2, 3, 4):
        up, down = (derivative(function, order - 1, x + s * h) for s in (1, -1))
        np.testing.assert_allclose(derivative(function, order, x), (up - down) / (2 * h),
                                   rtol=1e-6, atol=1e-8)


def test_a_wrong_rule_shows_in_the_second_derivative(monkeypatch):
    """Slopes go through the rules of the operations: a planted error is not hidden."""
    x = np.linspace(-1, 1, 5)
    sigmoid, name = OPS["sigmoid"], "input"
    right = derivative(mg.nn.functional.silu, 2, x)
    recorded = OPS["silu"].by_argument["input"].__globals__["RECORDED"]
    monkeypatch.setattr(recorded, "made", {})
    monkeypatch.setitem(sigmoid.by_argument, name, lambda g, out: g * out)
    assert np.abs(derivative(mg.nn.functional.silu, 2, x) - right).max() > 0.01


def test_a_rule_is_one_node_under_create_graph():
    x = Tensor(np.linspace(-1, 1, 5), requires_grad=True)
    g, = mg.grad(mg.tanh(x).sum(), x, create_graph=True)
    assert g.grad_fn.name == "tanh_grad" and "tanh_grad" not in OPS
    g, = mg.grad(mg.relu(x).sum(), x, create_graph=True)
    assert g.grad_fn is None or len(g.grad_fn.inputs) == 1       # not of the result


@needs_jit
def test_another_slope_compiles_nothing():
    x, op = Tensor(np.linspace(-1, 1, 2000), requires_grad=True), OPS["leaky_relu"]
    for loop in loops_of(op):
        loop.made.clear()
    for slope in (0.1, 0.2, 0.3):
        mg.nn.functional.leaky_relu(x, slope).sum().backward()
    assert [len(loop.made) for loop in loops_of(op)] == [1, 1]


def test_a_rule_keeps_its_name_and_asks_for_the_same():
    rule = in_one_pass(lambda g, out, slope: g * out * slope, "mine.input", 4)
    assert rule.__code__.co_varnames[:3] == ("g", "out", "slope")
    x = np.arange(3.0)
    np.testing.assert_array_equal(rule(x, x, 2.0), x * x * 2.0)
    np.testing.assert_array_equal(rule(np.arange(9.0), np.arange(9.0), 2.0),
                                  np.arange(9.0) ** 2 * 2)


def test_a_new_operation_is_a_formula_and_a_rule():
    @pointwise(samples=None, ref=None)
    def softsign(input: Tensor) -> Tensor:
        """x / (1 + |x|)."""
        return input / (np.abs(input) + 1.0)
    softsign.vjp(input=lambda g, input: g / (elementwise.abs(input) + 1.0) ** 2)
    try:
        for n in (7, 3000):
            x = Tensor(np.linspace(-2, 3, n), requires_grad=True)
            y = softsign(x)
            np.testing.assert_allclose(y.array, x.array / (1 + np.abs(x.array)), rtol=1e-15)
            g, = mg.grad(y.sum(), x)
            np.testing.assert_allclose(g.array, (1 + np.abs(x.array)) ** -2, rtol=1e-14)
    finally:
        del OPS["softsign"]
