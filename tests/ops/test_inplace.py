"""In-place methods: memory and graph, each the function of its name."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad, gradcheck, gradgradcheck, no_grad
from minigrad.ops import elementwise
from minigrad.ops.inplace import InPlaceMethods
from minigrad.ops.samples import Draw


def leaf(*size, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(size), requires_grad=True)


def test_in_place_without_gradient_writes_into_the_memory():
    x = mg.ones(2, 3)
    memory, row = x.array, x[0]
    x += 1
    x.mul_(3).sub_(mg.tensor([0.0, 1.0, 2.0])).add_(1.0, alpha=10).clamp_(max=15.5).sqrt_()
    x[1].zero_()
    x /= 2
    assert x.array is memory
    np.testing.assert_allclose(memory, [np.sqrt([15.5, 15, 14]) / 2, [0, 0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(row.array, memory[0])
    n = mg.arange(6)
    n %= 4
    n //= 2
    n |= 4
    np.testing.assert_array_equal(n.array, [4, 4, 5, 5, 4, 4])


def test_in_place_with_gradient_takes_the_place_in_the_graph():
    def f(x, y):
        z = x * 1.0
        z += y
        z *= z
        z.exp_().add_(x, alpha=2).addcmul_(x, y, value=0.5).masked_fill_(x > 1e9, 0.0)
        z **= 2
        return z
    xs = [Tensor(0.3 * leaf(3, seed=i).array, requires_grad=True) for i in range(2)]
    assert gradcheck(f, xs)
    assert gradgradcheck(f, xs)


def test_adding_to_a_part_without_a_gradient_writes_into_memory():
    y = mg.zeros(3, 4)
    memory = y.array
    y[1] += 2.0
    assert memory.sum() == 8


def test_leaves_are_written_under_no_grad_only():
    w = mg.ones(3, requires_grad=True)
    for write in (lambda: w.zero_(), lambda: w.fill_(1.0), lambda: w.copy_(mg.zeros(3)),
                  lambda: w.add_(1), lambda: w.__imul__(2)):
        with pytest.raises(ValueError, match="leaf that requires grad"):
            write()
    with no_grad():
        w.fill_(2.0).add_(1.0)
        assert (w.array == 3).all()
        w.copy_(mg.arange(3))
        w.zero_()
    assert w.requires_grad and w.is_leaf and not w.array.any()


def test_copy_in_the_graph():
    x, y = leaf(3), mg.zeros(2, 3)
    y.copy_(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.array, np.stack([x.array] * 2), rtol=1e-6)
    y += 1.0                                        # it owns its memory, so it may be changed again
    g, = grad(y.sum(), x)
    assert g.dtype == np.float64
    np.testing.assert_array_equal(g.array, [2, 2, 2])


@pytest.mark.parametrize("call, error, message", [
    (lambda x: x.add_(mg.zeros(2, 3)), ValueError, r"result has shape \(2, 3\)"),
    (lambda x: x.long().add_(0.5), TypeError, r"result of float.* does not fit a tensor of int64"),
    (lambda x: x.fill_(mg.zeros(2)), ValueError, r"fill_: want one number.*copy_"),
    (lambda x: x.copy_(mg.zeros(2)), ValueError, r"expand: dimension 0 of the tensor \(2,\)"),
])
def test_errors_in_place(call, error, message):
    with pytest.raises(error, match=message):
        call(mg.zeros(3))


def test_every_in_place_method_is_its_function():
    names = [n for n in vars(InPlaceMethods) if n.endswith("_") and not n.startswith("_")]
    assert len(names) > 30
    for name in names:
        function = getattr(elementwise, name[:-1], None)
        if function is None:
            continue
        sample = next(iter(function.op.samples(Draw(0))))
        args = [a for a in sample if not isinstance(a, dict)]
        if not isinstance(args[0], np.ndarray):
            continue
        x = Tensor(args[0])
        want = function(x, *args[1:])
        if want.shape == x.shape and np.can_cast(want.dtype, x.dtype, "same_kind"):
            got = getattr(x, name)(*args[1:])
            assert got is x
            np.testing.assert_array_equal(x.array, want.array)
