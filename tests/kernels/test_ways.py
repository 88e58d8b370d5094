"""The ways of every family: each against the reference on what it can do; which one is taken, and
how one is forced."""
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from kernel_testing import DTYPES, PLAIN
from minigrad import debug
from minigrad.kernels import ways
from minigrad.kernels.ways import FAMILIES, Family, Way, forced

pytestmark = pytest.mark.usefixtures("quiet")

ONE, TWO, NONE = (1, 1), (2, 2), (0, 0)


def conv(x, w, stride=ONE, padding=NONE, dilation=ONE, groups=1):
    """The shapes of x and w, groups, the size of y, stride, padding, dilation."""
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(
        x[2:], w[2:], stride, padding, dilation))
    return x, w, groups, out, stride, padding, dilation


CONVOLUTIONS = [
    conv((2, 3, 7, 6), (4, 3, 3, 3), padding=ONE),
    conv((1, 4, 9, 8), (6, 2, 2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
    conv((3, 5, 6, 7), (5, 1, 3, 3), stride=TWO, padding=ONE, groups=5),
    conv((2, 5, 8, 8), (9, 5, 1, 1)),
    conv((2, 3, 9, 9), (2, 3, 1, 1), stride=(3, 3)),
    conv((0, 3, 5, 5), (2, 3, 3, 3)),
    conv((5, 16, 28, 28), (32, 16, 3, 3), padding=ONE),
    conv((3, 64, 14, 14), (64, 64, 3, 3), padding=ONE),
    conv((2, 33, 20, 17), (35, 33, 5, 4), padding=TWO),
    conv((4, 40, 13, 16), (48, 40, 1, 1)),
    conv((2, 24, 21, 20), (24, 1, 3, 3), stride=TWO, padding=ONE, groups=24),
    conv((12, 8, 15, 15), (20, 8, 3, 3), stride=TWO, padding=ONE),
    conv((3, 12, 30, 30), (16, 12, 3, 3), padding=TWO, dilation=TWO),
    conv((3, 1, 28, 28), (32, 1, 3, 3), padding=ONE),
]
POOLS = [
    ((2, 3, 8, 9), TWO, TWO, NONE, ONE), ((1, 2, 9, 8), (3, 3), TWO, ONE, ONE),
    ((1, 2, 7, 7), (3, 2), (2, 1), (1, 0), ONE), ((2, 1, 12, 11), (2, 3), (3, 3), NONE, ONE),
    ((1, 2, 13, 12), (3, 3), ONE, ONE, TWO), ((0, 2, 6, 6), TWO, TWO, NONE, ONE),
    ((4, 9, 33, 35), (3, 3), TWO, ONE, ONE), ((4, 9, 40, 36), TWO, TWO, NONE, ONE),
]


def pooled_size(x, kernel, stride, padding, dilation):
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(
        x[2:], kernel, stride, padding, dilation))


def problems(name, dtype):
    """Sizes that a family is asked about, on both sides of its decisions."""
    if name.startswith("linear"):
        products = [(1, 1, 1), (3, 5, 4), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 97, 101),
                    (8, 131, 70), (70, 131, 8), (65, 33, 70), (601, 1, 550), (130, 513, 100),
                    (3, 9000, 5), (40, 70, 3), (12, 40_000, 2), (2, 700, 1500)]
        return [(*p, bias, dtype) for p in products for bias in (
            (True, False) if name != "linear_grad_x" else (False,))]
    if name in ("conv2d", "conv2d_grad_x", "conv2d_grad_w"):
        found = []
        for x, w, groups, out, *pairs in CONVOLUTIONS:
            y, flat = (x[0], w[0], *out), tuple(itertools.chain(*pairs))
            if name == "conv2d":
                found.append((x, w, groups, dtype, *out, *flat))
            elif name == "conv2d_grad_x":
                found.append((y, w, groups, dtype, *x[2:], *flat))
            else:
                found += [(y, x, groups, dtype, bias, *w[2:], *flat) for bias in (True, False)]
        return found
    if name.startswith("conv2d_relu"):
        found = []
        for x, w, groups, out, *pairs in CONVOLUTIONS:
            for pool in [(TWO, TWO, NONE, ONE), ((3, 3), TWO, ONE, ONE)]:
                hw = pooled_size((0, 0, *out), *pool)
                if min(hw) > 0 and x[0]:
                    sizes = x, w, dtype, (out, *pairs, groups), (*pool, hw)
                    found += [sizes] if "grad" not in name else [
                        (*sizes, needs) for needs in [(True, True, True), (False, True, True),
                                                      (False, True, False), (True, False, True)]]
        return found
    if name == "max_pool2d":
        return [(x, dtype, *rest, pooled_size(x, *rest), relu)
                for x, *rest in POOLS for relu in (False, True)]
    if name == "max_pool2d_grad":
        return [((*x[:2], *pooled_size(x, *rest)), dtype, x[2:], *rest) for x, *rest in POOLS]
    if name.startswith("avg_pool2d"):
        return [(x, (*x[:2], *pooled_size(x, *rest, ONE)), dtype, *rest, include, override)
                for x, *rest, dilation in POOLS if dilation == ONE
                for include, override in [(True, 0), (False, 0), (True, 5)]]
    if name.startswith("rnn"):
        shapes = [(3, 2, 4, 5), (1, 1, 1, 1), (0, 2, 3, 4), (3, 0, 2, 4), (30, 1, 20, 70),
                  (9, 6, 5, 33), (7, 40, 33, 66)]
        return [(*shape, dtype, relu and dtype == np.float64, reverse)
                for shape in shapes if shape[0] or name == "rnn_scan"
                for relu in (False, True) for reverse in (False, True)]
    if name == "logsumexp":
        return [(s, dtype) for s in [(3, 5), (1, 1), (0, 4), (40, 1000), (300, 17)]]
    if "softmax" in name or "cross_entropy" in name:
        return [(s, dtype) for s in [(3, 5), (1, 1), (0, 4), (2, 3, 7), (40, 300), (3, 70, 33),
                                     (2, 1, 50), (2, 1100, 20), (5, 6, 1)]]
    raise AssertionError(f"a new family: say in problems() what sizes {name} is tried on")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, way", [
    (family.name, way.name) for family in FAMILIES.values() for way in family.ways[:-1]])
def test_every_way_equals_the_reference(name, way, dtype):
    family, done = FAMILIES[name], 0
    way, = [w for w in family.ways if w.name == way]
    for sizes in problems(name, np.dtype(dtype)):
        problem = family.problem(*sizes)
        if way.can(problem) is not None or (PLAIN and family.flops(problem) > 3e4):
            continue
        arrays = family.draw(np.random.default_rng(7), *sizes)
        with debug.check(), forced(**{name: way.name}):
            family.way(*sizes)(*arrays)
        done += 1
    possible = way.name != "winograd" or (dtype == np.float32 and not PLAIN)
    assert done or not possible or (PLAIN and name == "linear_grad_w"), "it was tried on nothing"


@pytest.mark.parametrize("name", FAMILIES)
def test_some_size_takes_every_way(name):
    """Each way is the best for something; what none chooses is dead code."""
    family = FAMILIES[name]
    taken = {family.choose(family.problem(*sizes)).way.name
             for dtype in DTYPES for sizes in problems(name, np.dtype(dtype))}
    expected = {way.name for way in family.ways[:-1]}
    if PLAIN and name.startswith("linear"):
        expected = {"numpy"}                       # BLAS beats any loop of Python's
    assert taken == expected


def test_what_is_decided_is_remembered():
    family = FAMILIES["linear"]
    sizes = 3, 5, 4, True, np.dtype(np.float32)
    assert family.way(*sizes) is family.way(*sizes)
    before = family.way(*sizes)
    with forced(linear="reference"):
        assert family.way(*sizes) is not before


def test_forcing():
    x, w = mg.randn(3, 5), mg.randn(4, 5)
    usual = mg.nn.functional.linear(x, w).numpy()
    with forced(linear="reference"):
        plain = mg.nn.functional.linear(mg.randn(300, 70), mg.randn(60, 70))
        assert ways.forced_way("linear") == "reference"
        with forced(linear="tiles"):
            assert ways.forced_way("linear") == "tiles"
        assert ways.forced_way("linear") == "reference"
    assert ways.forced_way("linear") is None
    assert plain.shape == (300, 60)
    np.testing.assert_array_equal(mg.nn.functional.linear(x, w).numpy(), usual)


@pytest.mark.parametrize("given, words", [
    ({"linaer": "tiles"}, ["no family", "'linaer'", "linear"]),
    ({"linear": "tyles"}, ["linear has no way 'tyles'", "numpy, dots", "reference"]),
])
def test_forcing_what_does_not_exist(given, words):
    with pytest.raises(ValueError) as error, forced(**given):
        pass
    assert all(word in str(error.value) for word in words)


def test_forcing_what_cannot():
    x, w = mg.randn(1, 4, 8, 8), mg.randn(4, 2, 3, 3)
    with forced(conv2d="winograd"), pytest.raises(ValueError) as error:
        mg.nn.functional.conv2d(x, w, groups=2)
    assert all(word in str(error.value) for word in [
        "conv2d", "'winograd' is forced", "(1, 4, 8, 8)", "2 groups"])


def run(code, **variables):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                          text=True, env={**os.environ, "MINIGRAD_QUIET": "1", **variables})


def test_forcing_by_the_environment():
    code = ("import minigrad as mg; from minigrad.kernels.ways import FAMILIES; import numpy as np;"
            "mg.nn.functional.linear(mg.randn(3, 9000), mg.randn(2, 9000));"
            "f = FAMILIES['linear'];"
            "print(f.choose(f.problem(9, 9, 9, True, np.dtype('f4'))).way.name)")
    assert run(code, MINIGRAD_WAY="linear=reference, rnn=tiles").stdout == "reference\n"
    for text, word in [("linear", "want family=way"), ("liner=tiles", "no family"),
                       ("linear=tile", "no way 'tile'")]:
        out = run(code, MINIGRAD_WAY=text)
        assert out.returncode and word in out.stderr


def toy(name, declines):
    """A family of one's own: doubles numbers, in a way that distrusts 13."""
    def lucky(problem, x):
        return None if declines and 13 in x else 2 * x

    return Family(name, lambda n: n, [
        Way("even", lambda p, x: x + x, can=lambda n: "it is odd" if n % 2 else None,
            better=lambda n: n > 4),
        Way("lucky", lucky, declines=declines, plan=lambda n: n * 10),
        Way("reference", lambda p, x: x * 2),
    ], draw=lambda rng, n: (rng.random(n),), flops=float, bytes=float, ulps=lambda n: 1.0)


@pytest.fixture
def family(request):
    made = toy(request.node.name, declines=True)
    yield made
    del FAMILIES[made.name]


def test_the_first_that_can_and_is_better(family):
    assert family.choose(6).way.name == "even"
    choice = family.choose(7)
    assert choice.way.name == "lucky" and choice.passed == (("even", "cannot: it is odd"),)
    assert family.choose(2).passed == (("even", "slower here"),)


def test_one_that_declines_is_followed_by_the_next(family):
    x = np.array([1.0, 13.0, 3.0])
    np.testing.assert_array_equal(family.way(3)(x), 2 * x)
    seen = []
    with ways.watched(lambda f, problem, choice, run: seen.append(choice.way.name) or run):
        family.way(3)(x)
    assert seen == ["lucky"]
