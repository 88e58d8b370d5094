"""The checker is checked: wrong rules are planted, and each must be found and named."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import GradcheckError, KinkError, Tensor, gradcheck, gradgradcheck
from minigrad.autograd.op import OPS, op
from minigrad.ops.elementwise import abs as mg_abs
from minigrad.ops.elementwise import cos, exp, maximum, mul, sin


@pytest.fixture
def plant():
    """Makes an op with a rule of the test's choosing, and takes it out of the table again."""
    planted = []

    def make(forward, **rules):
        new = op(samples=None)(forward)
        new.vjp(**rules)
        planted.append(forward.__name__)
        return new
    yield make
    for name in planted:
        del OPS[name]


def leaf(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).uniform(0.5, 1.5, shape), requires_grad=True)


def sine(x: Tensor) -> Tensor:
    return np.sin(x)


def product(a: Tensor, b: Tensor) -> Tensor:
    return a * b


def test_right_rules_pass(plant):
    right = plant(sine, x=lambda g, x: g * cos(x))
    assert gradcheck(right, leaf(3, 4))
    assert gradgradcheck(right, leaf(3, 4))


def test_a_factor_of_1_001_is_found_and_named(plant):
    wrong = plant(sine, x=lambda g, x: g * cos(x) * 1.001)
    with pytest.raises(GradcheckError, match=r"sine.*argument 'x'.*analytic .*numerical .*"
                                             r"ratio 1.001.*atol 1e-07, rtol 1e-05"):
        gradcheck(wrong, leaf(3, 4))
    assert not gradcheck(wrong, leaf(3, 4), raise_exception=False)


def test_a_wrong_element_is_named(plant):
    def spoil(g, x):
        mask = np.ones(x.shape)
        mask[1, 2] = 1.5
        return g * cos(x) * mask
    wrong = plant(sine, x=spoil)
    with pytest.raises(GradcheckError, match=r"Worst of 1 wrong entries of 144: "
                                             r"d output\[1, 2\] / d x\[1, 2\]"):
        gradcheck(wrong, leaf(3, 4))


def test_a_dropped_term_is_found(plant):
    def cube(x: Tensor) -> Tensor:
        return x * x * x + x
    with pytest.raises(GradcheckError, match="cube"):
        gradcheck(plant(cube, x=lambda g, x: g * (3.0 * x * x)), leaf(5))


def test_a_zero_rule_is_found(plant):
    with pytest.raises(GradcheckError, match=r"argument 'b'.*analytic 0,"):
        gradcheck(plant(product, a=lambda g, b: g * b, b=lambda g: g * 0.0),
                  [leaf(3), leaf(3, seed=1)])


def test_a_missing_rule_is_found(plant):
    with pytest.raises(GradcheckError, match=r"argument 'b'.*analytic 0,"):
        gradcheck(plant(product, a=lambda g, b: g * b), [leaf(3), leaf(3, seed=1)])


def test_swapped_arguments_are_found(plant):
    with pytest.raises(GradcheckError, match="argument 'a'"):
        gradcheck(plant(product, a=lambda g, a: g * a, b=lambda g, a: g * a),
                  [leaf(3), leaf(3, seed=1)])


def test_wrong_only_at_second_order(plant):
    # The value of the first derivative is right, but its graph is cut: it seems constant.
    wrong = plant(sine, x=lambda g, x: g * np.cos(getattr(x, "array", x)))
    assert gradcheck(wrong, leaf(3))
    with pytest.raises(GradcheckError, match=r"sine \(second order\).*argument 'x'"):
        gradgradcheck(wrong, leaf(3))


def test_wrong_sign_only_at_second_order(plant):
    def cosine(x: Tensor) -> Tensor:
        return np.cos(x)
    inner = plant(cosine, x=lambda g, x: g * sin(x))            # should be -sin
    wrong = plant(sine, x=lambda g, x: g * inner(x))
    assert gradcheck(wrong, leaf(3))
    with pytest.raises(GradcheckError, match="second order"):
        gradgradcheck(wrong, leaf(3))


def test_a_nan_gradient_fails(plant):
    with pytest.raises(GradcheckError, match="analytic nan"):
        gradcheck(plant(sine, x=lambda g, x: g * np.nan), leaf(3))


@pytest.mark.parametrize("x", [0.0, 3e-7, -3e-7])
def test_a_kink_is_reported_as_a_kink(x):
    point = Tensor(np.array([1.0, x, -1.0]), requires_grad=True)
    with pytest.raises(KinkError, match=r"abs: kink at argument 'input'\[1\]"):
        gradcheck(mg_abs, point)


def test_a_tie_of_two_arguments_is_a_kink():
    a, b = leaf(3), leaf(3)
    with pytest.raises(KinkError, match="maximum"):
        gradcheck(maximum, [a, b])


def test_strong_curvature_is_no_kink():
    assert gradcheck(lambda x: exp(x * 4.0), leaf(3))


def test_float32_is_refused_with_the_reason():
    with pytest.raises(TypeError, match="'input' is float32, want float64.*too few correct digits"):
        gradcheck(exp, Tensor([1.0], requires_grad=True))


def test_nothing_to_check_is_refused():
    with pytest.raises(ValueError, match="nothing to check"):
        gradcheck(exp, Tensor(np.ones(3)))


def test_a_random_function_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="two calls with equal inputs"):
        gradcheck(lambda x: x * Tensor(rng.random(3)), leaf(3))


def test_expanded_memory_is_refused():
    x = Tensor(np.ones(1)).detach()
    x.array = np.broadcast_to(x.array, (3,))
    with pytest.raises(ValueError, match="share memory"):
        gradcheck(exp, x.requires_grad_())


def test_constant_and_integer_outputs_and_inputs():
    def function(x, n, y):
        return x * n, Tensor(np.array([1, 2])), mg.Tensor(np.ones(2)), sin(y)
    assert gradcheck(function, [leaf(3), 2, leaf(2)])
    assert gradgradcheck(function, [leaf(3), 2, leaf(2)])


def test_an_output_that_hides_its_dependence_fails():
    with pytest.raises(GradcheckError, match="analytic 0"):
        gradcheck(lambda x: mul(x.detach(), x.detach()), leaf(3))


def test_zero_size():
    assert gradcheck(exp, leaf(0, 3))
    assert gradgradcheck(exp, leaf(0, 3))


def test_does_not_touch_grad():
    x = leaf(3)
    gradcheck(exp, x)
    gradgradcheck(exp, x)
    assert x.grad is None
