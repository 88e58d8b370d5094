"""No warning comes from inside a derivative: a user can do nothing about 0 * inf beside a where()
that drops it. (pytest makes errors of warnings.) What the forward makes of a user's own numbers is
shown as NumPy shows it.
"""
import warnings

import numpy as np
import pytest

import minigrad as mg
from op_testing import as_tensors, draw, each_op, is_float, mapped, outputs

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-320, 1e-45, 1e-20, 1.0, -1.0, 0.5, 2.0, 88.9,
           -800.0, 1e20, 3e38, -1e300]


@each_op
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_rules_of_both_orders_warn_of_nothing(entry, dtype):
    rng = np.random.default_rng(0)

    def special(x, numbers=SPECIAL):
        if not is_float(x):
            return x
        with np.errstate(all="ignore"):
            return np.asarray(rng.choice(numbers, x.shape)).astype(dtype)
    inside = lambda x: special(x, [0.0, 1e-45, 0.5, 1.0])        # for probabilities
    samples = list(draw(entry))
    run, differentiable = 0, False
    for change, (args, options) in [(c, s) for c in (special, special, inside) for s in samples]:
        differentiable |= bool(outputs(entry.public(*as_tensors(entry, args)[0], **options)))
        args = mapped(args, change)
        try:
            with np.errstate(all="ignore"):
                tensors, leaves = as_tensors(entry, args)
                ys = outputs(entry.public(*tensors, **options))
        except (ValueError, TypeError):            # a probability of 2, say
            continue
        if not ys:
            continue
        with np.errstate(all="ignore"):
            gs = [mg.tensor(special(y.array)) for y in ys]
        found = mg.grad(ys, leaves, gs, create_graph=True, allow_unused=True)
        found = [g for g in found if g is not None and g.requires_grad]
        if found and entry.order >= 2:
            mg.grad(found, leaves, [mg.ones_like(g) for g in found], allow_unused=True)
        run += 1
    assert run or not differentiable


@pytest.mark.parametrize("function, at, want", [
    (lambda x: x ** 0, 0.0, 0.0),
    (lambda x: x ** 0.0, np.inf, 0.0),
    (lambda x: x ** mg.zeros(1), 0.0, 0.0),
    (lambda x: x ** 1, 0.0, 1.0),
    (lambda x: x ** 2, 0.0, 0.0),
    (lambda x: x.sqrt(), 0.0, np.inf),
    (lambda x: 0.0 ** x, 0.5, 0.0),
    (lambda x: x.std(correction=0), 3.0, 0.0),
    (lambda x: x.prod(), 0.0, 1.0),
    (lambda x: x.norm(), 0.0, 0.0),
    (lambda x: mg.maximum(x, mg.zeros(1)), 0.0, 0.5),
    (lambda x: x.log(), 0.0, np.inf),
    (lambda x: x.reciprocal(), 0.0, -np.inf),
    (lambda x: x / x.detach(), 4.0, 0.25),
    (lambda x: x.tanh(), 1e30, 0.0),
    (lambda x: x.sigmoid(), -1e30, 0.0),
])
def test_the_derivative_at_a_special_value(function, at, want):
    x = mg.tensor([at], requires_grad=True)
    with np.errstate(all="ignore"):
        y = function(x).sum()
    for graph in (False, True):
        g, = mg.grad(y, x, create_graph=graph, retain_graph=True)
        assert g.item() == want


def test_forwards_warn_where_numpy_does_and_hooks_are_the_users():
    x = mg.tensor([0.0, 1.0], requires_grad=True)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        y = 1.0 / x
    y.register_hook(lambda g: g / np.zeros(2, np.float32))
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        y.sum().backward(retain_graph=True)

    def quiet(g):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return g * 1.0
    z = mg.tensor([0.0], requires_grad=True)
    w = z ** 0
    w.register_hook(quiet)
    before = np.geterr()
    with np.errstate(all="raise"):                 # who looks for the place of his own NaN
        w.sum().backward()
        with pytest.raises(FloatingPointError):
            z.detach() / 0.0
    assert z.grad.item() == 0.0 and np.geterr() == before
