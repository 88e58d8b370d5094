"""Arithmetic of integers, and what elementwise operations refuse."""
import operator

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor


def in_place(function):
    def call(a, b):
        a = a.clone()
        before = a.tolist()
        try:
            return function(a, b)
        finally:
            assert a.tolist() == before            # an error leaves it alone
    return call


@pytest.mark.parametrize("divide", [
    operator.floordiv, operator.mod, mg.floor_divide, mg.remainder, np.floor_divide, np.remainder,
    in_place(operator.ifloordiv), in_place(operator.imod), in_place(Tensor.floor_divide_),
    in_place(Tensor.remainder_)])
@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_integer_division_by_zero_is_an_error(divide, dtype):
    a = mg.tensor([7, 8], dtype=dtype)
    for zero in (mg.tensor([1, 0], dtype=dtype), mg.tensor(0, dtype=dtype), 0, np.int64(0),
                 mg.tensor([False, True])):
        with pytest.raises(ZeroDivisionError, match=r"(floor_divide|remainder): integer division "
                                                    r"by zero: other is 0.*x.float"):
            divide(a, zero)


def test_integer_division():
    a, zero = mg.tensor([7, -7, 0]), mg.tensor([2, 0, 1])
    assert (a // 2).tolist() == [3, -4, 0] and (a % 2).tolist() == [1, 1, 0]
    with pytest.raises(ZeroDivisionError, match=r"other is 0 at index \[1\]"):
        a // zero
    with pytest.raises(ZeroDivisionError):
        7 // zero
    with pytest.raises(ZeroDivisionError):
        7 % mg.tensor(0)
    least = mg.tensor([-128, 127], dtype=mg.int8)                # wraps, as all integers do
    assert (least // -1).tolist() == [-128, -127] and (least % -1).tolist() == [0, 0]
    with pytest.raises(TypeError, match="floor_divide: not defined for two booleans"):
        mg.tensor([True]) // mg.tensor([True])
    with np.errstate(all="ignore"):                              # floats: IEEE
        x = mg.tensor([1.0, -1.0, 0.0])
        assert (x // 0.0).tolist()[:2] == [float("inf"), -float("inf")]
        assert np.isnan((x % 0.0).array).all()
        assert np.isnan((mg.tensor([3]) % 0.0).array).all()
        assert (x / 0).tolist()[:2] == [float("inf"), -float("inf")]
        assert (mg.tensor([3]) / mg.tensor([0])).item() == float("inf")


def test_integer_powers():
    assert (mg.tensor([True, False]) ** 3).dtype == np.int64
    assert (mg.tensor([2, 3]) ** mg.tensor([3, 0])).tolist() == [8, 1]
    for wrong in (lambda: mg.tensor([0]) ** -1, lambda: mg.tensor([2]) ** mg.tensor([-1]),
                  lambda: 2 ** mg.tensor([-1]), lambda: mg.tensor([2]).pow_(-1)):
        with pytest.raises(ValueError, match="pow: integers to negative integer powers.*x.float"):
            wrong()
    assert (mg.tensor([2]) ** -1.0).item() == 0.5
    with pytest.raises(TypeError, match="pow: not defined for two booleans"):
        mg.tensor([True]) ** mg.tensor([True])


def test_a_remainders_gradient_belongs_to_its_value():
    """1 % 0.1 is 0.1 - 1e-17: nine times 0.1 were taken away, though 1 / 0.1 rounds to 10."""
    b = mg.tensor([0.1], dtype=mg.float64, requires_grad=True)
    y = mg.tensor([1.0], dtype=mg.float64) % b
    assert mg.grad(y, b)[0].item() == -9.0 and y.item() < 0.1


def test_the_logarithm_of_a_number_has_all_its_digits():
    """d/dx 2 ** x under create_graph: log 2 was rounded to float32."""
    x = mg.tensor([1.5], dtype=mg.float64, requires_grad=True)
    for graph in (False, True):
        g, = mg.grad(2.0 ** x, x, create_graph=graph)
        assert g.item() == pytest.approx(np.log(2) * 2 ** 1.5, rel=1e-15)
    h, = mg.grad(g, x)
    assert h.item() == pytest.approx(np.log(2) ** 2 * 2 ** 1.5, rel=1e-15)


def test_bits_of_floats_are_refused_with_the_conversion():
    x = mg.ones(2)
    for call in (lambda: ~x, lambda: x & x, lambda: x | 1, lambda: 1 ^ x):
        with pytest.raises(TypeError, match="^bitwise_.*(want booleans|no bits).*float32"):
            call()
