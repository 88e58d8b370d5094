"""What minigrad must share with PyTorch, as a list of cases: `CASES`.

A case is a name, a function `run(t, F, ...)` and the recipes of its inputs.  `t` is torch or
minigrad, `F` its `nn.functional`; inputs are drawn from a random stream seeded by the name, so
only results are stored.  A case with `module=` gets a layer whose parameters are drawn likewise.
To add one: write it below, run `make_vectors.py`.

Sorted as the library is: element by element, powers, ties, types, reductions, shapes, indexing,
products, activations, convolution, pooling, recurrence, losses, modules.
Not in this file: how cases are run and compared (`harness.py`), optimisers (`test_parity.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from harness import Case, Input, uniform

CASES: list[Case] = []


def case(name: str, run: Callable[..., Any], *inputs: Input, **more: Any) -> None:
    """Add a case to the list."""
    CASES.append(Case(name, run, inputs, **more))


# ---------------------------------------------------------------------------------- inputs
def num(*shape: int, low: float = -1.5, high: float = 1.5, grad: bool = True) -> Input:
    """Uniform numbers in [low, high)."""
    return Input(lambda rng: uniform(rng, shape, low, high), grad=grad)


def pos(*shape: int) -> Input:
    """Positive numbers, away from 0."""
    return num(*shape, low=0.3, high=2.5)


def data(*shape: int, low: float = -1.5, high: float = 1.5) -> Input:
    """Numbers that ask for no gradient."""
    return num(*shape, low=low, high=high, grad=False)


def fixed(*values: Any, grad: bool = True) -> Input:
    """These very numbers."""
    return Input(lambda rng: np.array(values, np.float64), grad=grad)


def ties(*shape: int) -> Input:
    """Numbers out of -1, 0, 1, so that equal ones abound."""
    return Input(lambda rng: np.floor(rng.random_sample(shape) * 3) - 1)


def labels(*shape: int, below: int) -> Input:
    """Class numbers 0 ... below-1."""
    return Input(lambda rng: np.floor(rng.random_sample(shape) * below), "int64")


def ints(*values: Any) -> Input:
    """These very integers, as int64."""
    return Input(lambda rng: np.array(values), "int64")


def flags(*values: Any) -> Input:
    """These very truth values."""
    return Input(lambda rng: np.array(values), "bool")


def mask(*shape: int) -> Input:
    """Random truth values."""
    return Input(lambda rng: rng.random_sample(shape) < 0.5, "bool")


def scalar(value: Any, kind: str = "float") -> Input:
    """A 0-dimensional tensor."""
    return Input(lambda rng: np.array(value), kind)


# ---------------------------------------------------------------- unary functions
UNARY = {
    "exp": num(3, 4), "log": pos(3, 4), "log1p": num(3, 4, low=-0.7, high=2),
    "expm1": num(3, 4), "sqrt": pos(3, 4), "rsqrt": pos(3, 4), "sin": num(3, 4),
    "cos": num(3, 4), "tan": num(3, 4, low=-1.2, high=1.2),
    "asin": num(3, 4, low=-0.9, high=0.9), "acos": num(3, 4, low=-0.9, high=0.9),
    "atan": num(3, 4), "sinh": num(3, 4), "cosh": num(3, 4), "tanh": num(3, 4),
    "sigmoid": num(3, 4), "abs": num(3, 4), "sign": num(3, 4), "floor": num(3, 4, low=-4, high=4),
    "ceil": num(3, 4, low=-4, high=4), "round": num(3, 4, low=-4, high=4), "neg": num(3, 4),
    "reciprocal": pos(3, 4), "square": num(3, 4), "erf": num(3, 4), "exp2": num(3, 4),
    "log2": pos(3, 4), "log10": pos(3, 4), "asinh": num(3, 4), "acosh": num(3, 4, low=1.2, high=3),
    "atanh": num(3, 4, low=-0.8, high=0.8), "trunc": num(3, 4, low=-4, high=4),
    "relu": num(3, 4),
}  # fmt: skip
# What not every library has: those that minigrad lacks stand in test_parity.MAY_BE_ABSENT.
EXTRA_UNARY = {"exp2", "log2", "log10", "asinh", "acosh", "atanh", "trunc", "square"}


def _unary(name: str) -> Callable[..., Any]:
    return lambda t, F, x: (getattr(t, name)(x), getattr(x, name)())


for _name, _input in UNARY.items():
    case(f"unary {_name}", _unary(_name), _input, needs=_name if _name in EXTRA_UNARY else "")

case("unary 0-d", lambda t, F, x: (t.exp(x), t.tanh(x), -x, +x, abs(x)), scalar(-0.5))
case("unary empty", lambda t, F, x: t.exp(x), num(0, 3))
case("round half to even", lambda t, F, x: t.round(x), fixed(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5))
case("expm1 log1p tiny", lambda t, F, x: (t.expm1(x), t.log1p(x)), fixed(1e-10, -1e-10, 1e-5))
case("abs at 0", lambda t, F, x: abs(x), fixed(-1, 0, 2))
case("sign at 0", lambda t, F, x: t.sign(x), fixed(-3, 0, 2))
case("relu at 0", lambda t, F, x: (t.relu(x), F.relu(x)), fixed(-1, 0, 2))
case("sqrt at 0", lambda t, F, x: t.sqrt(x), fixed(0, 4))
case("rsqrt at 0", lambda t, F, x: t.rsqrt(x), fixed(0, 4))
case("log at 0", lambda t, F, x: t.log(x), fixed(0, 1))
case("reciprocal at 0", lambda t, F, x: 1 / x, fixed(0, 4))
case("log of a negative number", lambda t, F, x: t.log(x), fixed(-1, 1))
case("tanh sigmoid saturated", lambda t, F, x: (t.tanh(x), t.sigmoid(x)),
     fixed(-1e4, -90, -20, 0.5, 20, 90, 1e4))  # fmt: skip
case("nan passes", lambda t, F, x: (t.relu(x), t.tanh(x), x.clamp(min=0.0), x.sum()),
     fixed(np.nan, -1, 1))  # fmt: skip

# ---------------------------------------------------------------- arithmetic, broadcasting
BINARY = {
    "add": lambda t, F, a, b: a + b,
    "sub": lambda t, F, a, b: a - b,
    "mul": lambda t, F, a, b: a * b,
    "div": lambda t, F, a, b: a / b,
    "pow": lambda t, F, a, b: a**b,
    "maximum": lambda t, F, a, b: t.maximum(a, b),
    "minimum": lambda t, F, a, b: t.minimum(a, b),
}
SHAPES = [((3, 4), (3, 4)), ((3, 1, 4), (2, 1)), ((4,), (3, 4)), ((), (2, 3)), ((2, 3), ()),
          ((0, 3), (1, 3)), ((1, 1), (2, 2))]  # fmt: skip
for (_name, _run), (_a, _b) in product(BINARY.items(), SHAPES):
    case(f"binary {_name} {_a} {_b}", _run, pos(*_a), pos(*_b))
case("binary functions", lambda t, F, a, b: (t.add(a, b), t.sub(a, b), t.mul(a, b), t.div(a, b),
     t.pow(a, b), a.pow(b)), pos(2, 3), pos(3))  # fmt: skip
case("binary with itself", lambda t, F, x: (x * x, x / x, x - x, x + x), pos(2, 3))
case("scalar on the right", lambda t, F, x: (x + 2, x - 2.5, x * 3, x / 4), num(2, 3))
case("scalar on the left", lambda t, F, x: (2 + x, 2.5 - x, 3 * x, 4 / x), pos(2, 3))
case("div by 0", lambda t, F, a, b: a / b, fixed(1, -1, 0, 2), fixed(0, 0, 0, 4))
case("remainder", lambda t, F, a, b: (a % b, a % 2), fixed(5.5, -5.5, 7, -7),
     fixed(2, 2, -3, -3), needs="Tensor.__mod__")  # fmt: skip
case("floor division", lambda t, F, a, b: (a // b, a // 2), fixed(5.5, -5.5, 7, -7, grad=False),
     fixed(2, 2, -3, -3, grad=False), needs="Tensor.__floordiv__")  # fmt: skip
case("comparisons", lambda t, F, a, b: (a < b, a <= b, a == b, a != b, a > b, a >= b),
     ties(3, 4), ties(3, 1))  # fmt: skip
case("comparisons with a scalar", lambda t, F, a: (a < 0, a <= 0.0, a == 1, a != 0, a < 0, a <= 1),
     ties(3, 4))  # fmt: skip
case("bool operators", lambda t, F, a, b: (a & b, a | b, ~a), mask(3, 4), mask(3, 4),
     needs="Tensor.__and__")  # fmt: skip

# ---------------------------------------------------------------- powers
case("pow scalar exponents", lambda t, F, x: (x**2, x**3, x**0.5, x**-1, x**-0.5, x**1, x**1.5),
     pos(3, 4))  # fmt: skip
case("pow negative base", lambda t, F, x: (x**2, x**3, x**-1, x**-2, x**1),
     fixed(-2, -0.5, 0.7, 3))  # fmt: skip
case("pow at 0", lambda t, F, x: (x**2, x**1, x**3, x**0), fixed(-2, 0, 2))
case("pow 0.5 at 0", lambda t, F, x: x**0.5, fixed(0, 4))
case("pow scalar base", lambda t, F, x: (2**x, 2.5**x, 1**x), num(3, 4))
case("pow scalar base 0", lambda t, F, x: 0.0**x, fixed(0, 1, 2.5))
case("pow tensors base 0", lambda t, F, a, b: a**b, fixed(0, 0, 0, 2), fixed(0, 1, 2, 3))
case("pow tensors negative base", lambda t, F, a, b: a**b, fixed(-2, -1, -3),
     fixed(2, 3, -1, grad=False))  # fmt: skip
case("pow integers", lambda t, F, a: (a**2, a**3), ints(-2, 0, 3))

# ---------------------------------------------------------------- ties, clamps, choices
case("maximum ties", lambda t, F, a, b: t.maximum(a, b), ties(3, 4), ties(3, 4))
case("minimum ties", lambda t, F, a, b: t.minimum(a, b), ties(3, 4), ties(4))
case("maximum nan", lambda t, F, a, b: (t.maximum(a, b), t.minimum(a, b)),
     fixed(np.nan, 1, 2), fixed(0, np.nan, 3))  # fmt: skip
case("clamp at its bounds", lambda t, F, x: (x.clamp(-1, 1), t.clamp(x, min=0), x.clamp(max=0)),
     fixed(-2, -1, -0.5, 0, 0.5, 1, 2))  # fmt: skip
case("clamp crossed bounds", lambda t, F, x: x.clamp(2, -2), fixed(-3, 0, 3))
case("where", lambda t, F, c, a, b: (t.where(c, a, b), t.where(c, a, 0.0), t.where(c, 1.0, b)),
     mask(3, 4), num(3, 4), num(4))  # fmt: skip
case("where from a comparison", lambda t, F, a, b: t.where(a > b, a, b * 2), num(3, 4), num(3, 1))
case("where with an unsafe branch", lambda t, F, x: t.where(x > 0, t.log(x), x),
     fixed(-1, 0.5, 2))  # fmt: skip
case("masked_fill", lambda t, F, x, m: x.masked_fill(m, -2.0), num(3, 4), mask(3, 4),
     needs="Tensor.masked_fill")  # fmt: skip

# ---------------------------------------------------------------- dtypes: "run" = the case's own
case("dtype float tensor and scalars", lambda t, F, x: (x + 1, x * 2.5, x / 2, x**2, x + True),
     data(2))  # fmt: skip
case("dtype int tensor and scalars",
     lambda t, F, i: (i + 1, i * 2, i - 3, i + 1.5, i * 2.0, i / 2, i**2, i + True, i**0.5),
     ints(1, 2, 4))  # fmt: skip
case("dtype int and int", lambda t, F, i, j: (i + j, i * j, i - j, i / j), ints(1, 2), ints(3, 4))
case("dtype int and float", lambda t, F, i, x: (i + x, i * x, x - i, i / x, x**i),
     ints(1, 2), fixed(0.5, 2))  # fmt: skip
case("dtype bool", lambda t, F, b, i, x: (b + i, b * x, b * 2, b + 1.5, b + b, b * b),
     flags(True, False), ints(3, 4), fixed(0.5, 2, grad=False))  # fmt: skip
case("dtype bool reductions", lambda t, F, b: (b.sum(), b.sum(0), b.sum(dim=1, keepdim=True)),
     mask(3, 4))  # fmt: skip
case("dtype int reductions", lambda t, F, i: (i.sum(), i.sum(1), i.max(), i.argmax()),
     labels(3, 4, below=9))  # fmt: skip
case("dtype int unary",
     lambda t, F, i: (t.exp(i), t.sqrt(i), t.sigmoid(i), t.tanh(i), abs(i), -i, 1 / i),
     ints(1, 2, 3))  # fmt: skip
case("dtype 32 and 64",
     lambda t, F, x: ((x.to(t.float32) + x.to(t.float64)), (x.to(t.float64) * x.to(t.float32))),
     data(3))  # fmt: skip
case("dtype 0-d does not promote",
     lambda t, F, x, i: (x.to(t.float32) + t.tensor(2.0, dtype=t.float64),
                         t.tensor(2.0, dtype=t.float64) * x.to(t.float32),
                         i + t.tensor(1.5, dtype=t.float32), x.to(t.float32) + i.sum()),
     data(3), ints(1, 2, 3))  # fmt: skip
case("dtype cast and its gradient", lambda t, F, x: (x.to(t.float64) * 3, x.to(t.float32) * 2),
     num(3))  # fmt: skip
case("dtype casts", lambda t, F, x, i: (x.float(), x.double(), x.long(), i.float(), i.double(),
     (x > 0).float(), x.bool()), data(3, low=-3, high=3), ints(0, 2, 3))  # fmt: skip
case("dtype of creation",
     lambda t, F: (t.zeros(2), t.ones(2, 3), t.tensor([1, 2]), t.tensor([True]), t.tensor([1, 2.5]),
                   t.tensor(3), t.tensor(2.5), t.arange(5), t.arange(0, 2, 0.5), t.full((2,), 7),
                   t.full((2,), 7.0), t.full((2,), True), t.eye(2), t.linspace(0, 1, 5),
                   t.zeros(2, dtype=t.int64)))  # fmt: skip
case("dtype like", lambda t, F, x, i: (t.zeros_like(x), t.ones_like(i), t.full_like(x, 2.0),
     t.zeros_like(i, dtype=t.float32)), data(2, 3), ints(1, 2))  # fmt: skip
case("dtype cat and stack", lambda t, F, x, i: (t.cat([x, x]), t.stack([i, i]), t.cat([x, i])),
     data(2), ints(1, 2))  # fmt: skip
case("dtype where", lambda t, F, c, x, i: (t.where(c, x, i), t.where(c, x, 0), t.where(c, i, 0)),
     flags(True, False), data(2), ints(1, 2))  # fmt: skip
case("dtype of comparison and argmax", lambda t, F, x: (x > 0, x.argmax(), x.max(dim=0)),
     data(3, 2))  # fmt: skip

# ---------------------------------------------------------------- reductions
DIMS = [{}, {"dim": 0}, {"dim": -1}, {"dim": (0, 2)}, {"dim": 1, "keepdim": True},
        {"dim": (-1, 0), "keepdim": True}]  # fmt: skip


def _reduce(name: str, options: dict[str, Any]) -> Callable[..., Any]:
    return lambda t, F, x: (getattr(t, name)(x, **options), getattr(x, name)(**options))


for _name in ("sum", "mean", "var", "std"):
    for _options in DIMS:
        case(f"{_name} {_options}", _reduce(_name, _options), num(2, 3, 4))
for _options in DIMS[1:]:
    case(f"logsumexp {_options}", _reduce("logsumexp", _options), num(2, 3, 4))
    case(f"amax {_options}", _reduce("amax", _options), ties(2, 3, 4), needs="amax")
    case(f"amin {_options}", _reduce("amin", _options), ties(2, 3, 4), needs="amin")
for _name in ("var", "std"):
    for _options in (
        {"unbiased": False}, {"correction": 0}, {"correction": 1}, {"correction": 2},
        {"dim": 1, "unbiased": False}, {"dim": 1, "unbiased": True},
        {"dim": (0, 1), "correction": 0, "keepdim": True}, {"dim": -1, "correction": 2},
    ):  # fmt: skip
        case(f"{_name} {_options}", _reduce(_name, _options), num(3, 4, 3))
case("var positional", lambda t, F, x: (x.var(0), x.var(0, False), x.var(1, True, True)), num(3, 4))
case("var far from 0", lambda t, F, x: x.var(), data(50, low=1000, high=1001))
case("std of equal numbers", lambda t, F, x: x.std(), fixed(2, 2, 2))
for _name in ("max", "min"):
    case(f"{_name} of all", _reduce(_name, {}), num(3, 4))
    case(f"{_name} of all ties", _reduce(_name, {}), ties(3, 4))
    for _options in ({"dim": 0}, {"dim": -1}, {"dim": 1, "keepdim": True}):
        case(f"{_name} {_options}", _reduce(_name, _options), num(2, 4, 3))
        case(f"{_name} ties {_options}", _reduce(_name, _options), ties(2, 4, 3))
case("max fields", lambda t, F, x: (x.max(1).values, x.max(1).indices, x.min(0).values),
     num(3, 4))  # fmt: skip
case("max nan", lambda t, F, x: (x.max(), x.max(dim=1), x.argmax(dim=1)),
     Input(lambda rng: np.array([[1, np.nan, 2], [3, 1, 2]]), grad=False))  # fmt: skip
case("argmax", lambda t, F, x: (x.argmax(), x.argmax(0), x.argmax(dim=-1, keepdim=True),
     t.argmax(x, dim=1), x.argmin(), x.argmin(dim=1)), num(3, 4))  # fmt: skip
case("argmax ties", lambda t, F, x: (x.argmax(), x.argmax(0), x.argmin(), x.argmin(1)), ties(4, 5))
case("sum of a 0-d tensor", lambda t, F, x: (x.sum(), x.mean(), x.max(), x.sum(0)), scalar(1.5))
case("sum of nothing", lambda t, F, x: (x.sum(), x.sum(0), x.sum(1)), num(0, 3))
case("mean of nothing", lambda t, F, x: x.mean(1), num(2, 0))
case("logsumexp extreme", lambda t, F, x: t.logsumexp(x, dim=1),
     Input(lambda rng: np.array([[1e4, -1e4, 9000], [-9900, -1e4, -1e4]])))  # fmt: skip
case("logsumexp with -inf", lambda t, F, x: t.logsumexp(x, dim=0), fixed(-np.inf, 1, 2))
case("prod", lambda t, F, x: (x.prod(), x.prod(0), x.prod(dim=1, keepdim=True)), num(3, 4),
     needs="Tensor.prod")  # fmt: skip
case("prod with one 0", lambda t, F, x: (x.prod(), x.prod(0)), fixed(2, 0, 3), needs="Tensor.prod")
case("prod with two 0", lambda t, F, x: x.prod(), fixed(2, 0, 0), needs="Tensor.prod")
case("cumsum", lambda t, F, x: (x.cumsum(0), t.cumsum(x, dim=-1)), num(3, 4),
     needs="Tensor.cumsum")  # fmt: skip
case("cumprod", lambda t, F, x: x.cumprod(1), num(3, 4), needs="Tensor.cumprod")
case("any all", lambda t, F, m: (m.any(), m.all(), m.any(0), m.all(dim=1)), mask(3, 4),
     needs="Tensor.any")  # fmt: skip
case("norm", lambda t, F, x: (x.norm(), x.norm(dim=1)), num(3, 4), needs="Tensor.norm")

# ---------------------------------------------------------------- shapes
case("reshape", lambda t, F, x: (x.reshape(6, 4), x.reshape(-1), x.reshape((4, -1)),
     t.reshape(x, (2, 12))), num(2, 3, 4))  # fmt: skip
case("view", lambda t, F, x: (x.view(-1, 4), x.view(24), x.view((2, 12))), num(2, 3, 4))
case("reshape after transpose", lambda t, F, x: x.transpose(0, 2).reshape(4, 6), num(2, 3, 4))
case("flatten", lambda t, F, x: (x.flatten(), x.flatten(1), x.flatten(0, 1), x.flatten(-2),
     t.flatten(x, start_dim=1, end_dim=2)), num(2, 3, 2, 2))  # fmt: skip
case("flatten 0-d", lambda t, F, x: (x.flatten(), x.reshape(1, 1), x.reshape(-1)), scalar(2.0))
case("transpose", lambda t, F, x: (x.transpose(0, 1), x.transpose(-1, 0), t.transpose(x, 1, 2)),
     num(2, 3, 4))  # fmt: skip
case("T and mT", lambda t, F, x, y: (x.T, x.mT, y.mT), num(2, 3), num(2, 3, 4))
case("t()", lambda t, F, x: x.t(), num(2, 3), needs="Tensor.t")
case("permute", lambda t, F, x: (x.permute(2, 0, 1), x.permute((1, 2, 0)), x.permute(0, -1, 1),
     t.permute(x, (2, 1, 0))), num(2, 3, 4))  # fmt: skip
case("squeeze", lambda t, F, x: (x.squeeze(), x.squeeze(0), x.squeeze(1), x.squeeze(-1),
     t.squeeze(x, 2)), num(1, 3, 1, 2))  # fmt: skip
case("unsqueeze", lambda t, F, x: (x.unsqueeze(0), x.unsqueeze(1), x.unsqueeze(-1),
     t.unsqueeze(x, dim=-2)), num(2, 3))  # fmt: skip
case("expand", lambda t, F, x: (x.expand(3, 4), x.expand(2, 3, 4), x.expand(-1, 4),
     x.expand((5, 3, 1))), num(3, 1))  # fmt: skip
case("expand_as", lambda t, F, x, y: x.expand_as(y), num(3, 1), data(2, 3, 4),
     needs="Tensor.expand_as")  # fmt: skip
case("cat", lambda t, F, a, b: (t.cat([a, b]), t.cat((a, b, a), dim=0)), num(2, 3), num(1, 3))
case("cat last dim", lambda t, F, a, b: t.cat([a, b], dim=-1), num(2, 3), num(2, 2))
case("cat with an empty part", lambda t, F, a, b: t.cat([a, b]), num(2, 3), num(0, 3))
case("stack", lambda t, F, a, b: (t.stack([a, b]), t.stack([a, b], dim=1), t.stack((b, a), -1)),
     num(2, 3), num(2, 3))  # fmt: skip
case("stack with itself", lambda t, F, a: t.stack([a, a, a], dim=1), num(2, 3))
case("split by a size", lambda t, F, x: (x.split(2), t.split(x, 3), x.split(2, dim=1)), num(7, 4))
case("split by sizes", lambda t, F, x: (x.split([2, 5]), t.split(x, [1, 0, 3], dim=1)), num(7, 4))
case("split using one part", lambda t, F, x: x.split(2)[1], num(5, 2))
case("chunk", lambda t, F, x: (x.chunk(3), t.chunk(x, 2, dim=1)), num(7, 5), needs="Tensor.chunk")
case("unbind", lambda t, F, x: (x.unbind(), x.unbind(1)), num(3, 2), needs="Tensor.unbind")
case("iterate over a tensor", lambda t, F, x: [row * i for i, row in enumerate(x)], num(3, 2))
case("repeat", lambda t, F, x: (x.repeat(2, 3), x.repeat(2, 1, 2)), num(2, 3),
     needs="Tensor.repeat")  # fmt: skip
case("flip", lambda t, F, x: (x.flip(0), t.flip(x, (0, 1))), num(2, 3), needs="flip")
case("roll", lambda t, F, x: t.roll(x, 1, 0), num(4, 3), needs="roll")
case("tril triu", lambda t, F, x: (t.tril(x), t.triu(x, 1)), num(3, 4), needs="tril")
case("facts", lambda t, F, x: (x.shape, x.size(), x.size(0), x.size(-1), x.ndim, x.dim(),
     x.numel(), len(x), x.sum().item() != 0), num(2, 3, 4))  # fmt: skip
case("tolist and item", lambda t, F, i: (i.tolist(), i[1].item()), ints(4, 5, 6))
case("pad constant", lambda t, F, x: (F.pad(x, (1, 2)), F.pad(x, (0, 1, 2, 0)),
     F.pad(x, (1, 1), "constant", 2.5), F.pad(x, (1, 0, 0, 0, 0, 2), value=-1.0)),
     num(2, 3, 4))  # fmt: skip
case("pad negative crops", lambda t, F, x: (F.pad(x, (-1, 1)), F.pad(x, (-1, -2, 1, -1))),
     num(3, 4))  # fmt: skip
for _mode in ("reflect", "replicate", "circular"):
    _pad: Callable[..., Any] = lambda t, F, x, mode=_mode: (
        F.pad(x, (2, 1), mode=mode) if x.ndim < 4 else F.pad(x, (2, 1, 1, 2), mode=mode)
    )
    case(f"pad {_mode} 1 axis", _pad, num(2, 3, 4))
    case(f"pad {_mode} 2 axes", _pad, num(2, 1, 4, 4))

# ---------------------------------------------------------------- indexing, read
INDEX_X = num(4, 5, 3)
case("index integers", lambda t, F, x: (x[1], x[-1], x[0, -2], x[2, 1, 0], x[:, 1]), INDEX_X)
case("index slices", lambda t, F, x: (x[1:3], x[:, ::2], x[-2:], x[1:1], x[:, 1:10, :2]), INDEX_X)
case("index ellipsis and None", lambda t, F, x: (x[..., 0], x[None], x[:, None, 1], x[..., None],
     x[1, ..., 1:], x[...]), INDEX_X)  # fmt: skip
case("index list repeated", lambda t, F, x: (x[[0, 0, 2]], x[[-1, 3, 3, 0]]), INDEX_X)
case("index tensor repeated", lambda t, F, x, i: (x[i], x[:, i], x[..., i]), INDEX_X,
     ints(0, 2, 2, -1, 0))  # fmt: skip
case("index 2-D tensor", lambda t, F, x, i: (x[i], x[:, i]), INDEX_X, labels(2, 3, below=4))
case("index pairs repeated", lambda t, F, x, i, j: x[i, j], INDEX_X, ints(0, 1, 1, 0, 3),
     ints(2, 4, 4, 2, 0))  # fmt: skip
case("index pairs broadcast", lambda t, F, x, i, j: x[i[:, None], j], INDEX_X, ints(0, 2),
     ints(1, 3, 3))  # fmt: skip
case("index tensor then slice then tensor", lambda t, F, x, i, j: x[i, :, j], INDEX_X,
     ints(0, 1, 1), ints(2, 0, 0))  # fmt: skip
case("index slice and pairs", lambda t, F, x, i, j: x[1:3, i, j], INDEX_X, ints(0, 1, 1, 1),
     ints(2, 0, 0, 1))  # fmt: skip
case("index integer and tensor", lambda t, F, x, i: (x[1, i], x[:, 2, i], x[2, :, i]), INDEX_X,
     ints(0, 1, 1))  # fmt: skip
case("index tensor and None", lambda t, F, x, i: (x[i, None], x[None, i]), INDEX_X, ints(0, 1, 1))
case("index bool mask", lambda t, F, x, m: x[m], INDEX_X, mask(4, 5, 3))
case("index bool mask of leading axes", lambda t, F, x, m: x[m], INDEX_X, mask(4, 5))
case("index bool mask of an axis", lambda t, F, x, m: (x[:, m], x[1:3, m]), INDEX_X,
     flags(True, False, True, True, False))  # fmt: skip
case("index by a comparison", lambda t, F, x: x[x > 0.2], INDEX_X)
case("index nothing", lambda t, F, x, m: (x[m], x[2:2]), num(4, 2),
     flags(False, False, False, False))  # fmt: skip
case("index rows and their labels", lambda t, F, x, y: x[t.arange(6), y], num(6, 4),
     labels(6, below=4))  # fmt: skip
case("gather", lambda t, F, x, i: x.gather(1, i), num(3, 4), labels(3, 6, below=4),
     needs="Tensor.gather")  # fmt: skip
case("index_select", lambda t, F, x, i: t.index_select(x, 1, i), num(3, 4), ints(0, 2, 2),
     needs="index_select")  # fmt: skip


# ---------------------------------------------------------------- indexing, write
def write(name: str, index: Callable[..., Any], *inputs: Input) -> None:
    """`y = 2 x; y[index(inputs)] = 3 v; return y * y`, with gradients of x and v."""

    def run(t: Any, F: Any, x: Any, v: Any, *rest: Any) -> Any:
        y = x * 2
        y[index(*rest)] = v * 3
        return y * y

    case(f"write {name}", run, num(4, 5), *inputs)


write("row", lambda: 1, num(5))
write("element", lambda: (1, -1), scalar(0.5))
write("slice", lambda: (slice(None), slice(1, 4)), num(4, 3))
write("slice broadcast", lambda: (slice(None), slice(None, None, 2)), num(3))
write("ellipsis", lambda: (..., 2), num(4))
write("tensor", lambda i: i, num(2, 5), ints(0, 3))
write("tensor on axis 1", lambda i: (slice(None), i), num(4, 2), ints(4, 0))
write("pairs", lambda i, j: (i, j), num(3), ints(0, 1, 3), ints(2, 2, 4))
write("mask broadcast", lambda m: m, scalar(0.5), mask(4, 5))
write("mask of an axis", lambda m: m, num(2, 5), flags(True, False, False, True))


def _write_scalars(t: Any, F: Any, x: Any) -> Any:
    y = x * 1
    y[0] = 0
    y[:, 1] = 2.5
    y[1:3, 2] += 1.0
    y[3] *= 2
    return y


case("write scalars and update", _write_scalars, num(4, 5))

# ---------------------------------------------------------------- products
MATMUL = [((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
          ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((2, 1, 2, 3), (4, 3, 2)),
          ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((2, 0), (0, 3)), ((0, 3), (3, 2)),
          ((1, 2, 3), (5, 3, 1)), ((2, 5, 1, 3), (5, 3, 2))]  # fmt: skip
for _a, _b in MATMUL:
    case(f"matmul {_a} {_b}", lambda t, F, a, b: (a @ b, t.matmul(a, b)), num(*_a), num(*_b))
case("matmul with its transpose", lambda t, F, a: a @ a.T, num(3, 4))
case("matmul of integers", lambda t, F, a, b: a @ b, labels(2, 3, below=9), labels(3, 2, below=9))
case("mm bmm", lambda t, F, a, b: t.mm(a[0], b[0]) + t.bmm(a, b), num(2, 3, 4), num(2, 4, 3),
     needs="bmm")  # fmt: skip
for _shape in ((3,), (2, 3), (2, 4, 3), (0, 3)):
    case(f"linear {_shape}", lambda t, F, x, w, b: F.linear(x, w, b), num(*_shape), num(4, 3),
         num(4))  # fmt: skip
    case(f"linear {_shape} no bias", lambda t, F, x, w: F.linear(x, w), num(*_shape), num(4, 3))

# ---------------------------------------------------------------- activations, softmax
WIDE = num(3, 4, low=-3, high=3)
case("leaky_relu", lambda t, F, x: (F.leaky_relu(x), F.leaky_relu(x, 0.3)), WIDE,
     needs="nn.functional.leaky_relu")  # fmt: skip
case("elu", lambda t, F, x: (F.elu(x), F.elu(x, alpha=0.5)), WIDE, needs="nn.functional.elu")
case("gelu", lambda t, F, x: (F.gelu(x), F.gelu(x, approximate="tanh")), WIDE,
     needs="nn.functional.gelu")  # fmt: skip
case("silu", lambda t, F, x: F.silu(x), WIDE, needs="nn.functional.silu")
case("softplus", lambda t, F, x: (F.softplus(x), F.softplus(x, beta=2.0)),
     fixed(-1e4, -30, -1, 0, 1, 19.5, 30, 1e4), needs="nn.functional.softplus")  # fmt: skip
case("activations at 0", lambda t, F, x: (F.leaky_relu(x), F.elu(x)), fixed(0, -0.0, 1),
     needs="nn.functional.leaky_relu")  # fmt: skip
case("logsigmoid", lambda t, F, x: F.logsigmoid(x), fixed(-1e4, -30, -1, 0, 1, 30, 1e4),
     needs="nn.functional.logsigmoid")  # fmt: skip
EXTREME = Input(lambda rng: np.array([[1e4, -1e4, 0, 9999], [-1e4, -1e4, -1e4, -1e4]]))
for _name in ("softmax", "log_softmax"):
    for _dim in (0, 1, -1):
        case(f"{_name} {_dim}", lambda t, F, x, name=_name, dim=_dim: (
             getattr(F, name)(x, dim=dim), getattr(x, name)(dim), getattr(t, name)(x, dim)),
             num(2, 3, 4))  # fmt: skip
    case(f"{_name} extreme", lambda t, F, x, name=_name: getattr(F, name)(x, dim=1), EXTREME)
    case(f"{_name} 1-D", lambda t, F, x, name=_name: getattr(F, name)(x, dim=0), num(5))
case("softmax with -inf", lambda t, F, x: F.softmax(x, dim=0), fixed(-np.inf, 1, 2))
case("dropout off", lambda t, F, x: (F.dropout(x, 0.5, training=False), F.dropout(x, 0.0),
     F.dropout(x, 1.0)), num(3, 4))  # fmt: skip

# ---------------------------------------------------------------- convolution
CONV: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 6, 7), (4, 3, 3, 3), {}),
    ((2, 3, 7, 6), (4, 3, 3, 3), {"stride": 2}),
    ((1, 2, 7, 8), (3, 2, 3, 2), {"stride": (2, 3)}),
    ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": 1}),
    ((2, 2, 5, 4), (3, 2, 3, 2), {"padding": (2, 1)}),
    ((1, 2, 7, 7), (2, 2, 3, 3), {"dilation": 2}),
    ((1, 2, 8, 6), (2, 2, 3, 2), {"dilation": (3, 2), "padding": (1, 2), "stride": (2, 1)}),
    ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ((2, 3, 5, 5), (3, 1, 3, 3), {"groups": 3}),
    ((1, 3, 5, 5), (6, 1, 2, 3), {"groups": 3, "stride": 2, "padding": 1, "dilation": 2}),
    ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": "same"}),
    ((2, 2, 5, 6), (3, 2, 2, 4), {"padding": "same"}),
    ((1, 2, 6, 6), (2, 2, 4, 2), {"padding": "same", "dilation": (1, 3)}),
    ((1, 2, 6, 6), (2, 1, 2, 2), {"padding": "same", "groups": 2, "dilation": 2}),
    ((2, 3, 5, 6), (4, 3, 2, 3), {"padding": "valid", "stride": 2}),
    ((3, 6, 7), (4, 3, 3, 3), {"padding": 1, "stride": 2}),
    ((2, 5, 5), (2, 2, 2, 2), {"padding": "same"}),
    ((2, 3, 4, 4), (5, 3, 1, 1), {}),
    ((2, 3, 5, 5), (5, 3, 1, 1), {"stride": 2, "padding": 1}),
    ((1, 1, 9, 8), (2, 1, 2, 2), {"stride": 3}),
    ((1, 2, 3, 3), (2, 2, 3, 3), {}),
    ((1, 1, 2, 2), (1, 1, 3, 3), {"padding": 3}),
    ((0, 2, 4, 4), (3, 2, 3, 3), {}),
    ((2, 1, 28, 5), (3, 1, 5, 5), {"padding": 2}),
]
for _x, _w, _options in CONV:
    case(f"conv2d {_x} {_w} {_options}",
         lambda t, F, x, w, b, o=_options: F.conv2d(x, w, b, **o),
         num(*_x), num(*_w), num(_w[0]))  # fmt: skip
case("conv2d no bias", lambda t, F, x, w: F.conv2d(x, w), num(2, 3, 5, 5), num(4, 3, 3, 3))
case("conv2d of a transposed image", lambda t, F, x, w: F.conv2d(x.transpose(2, 3), w, padding=1),
     num(1, 2, 4, 6), num(3, 2, 3, 3))  # fmt: skip
case("conv2d frozen weight", lambda t, F, x, w: F.conv2d(x, w), num(1, 2, 5, 5), data(3, 2, 3, 3))
case("conv2d frozen image", lambda t, F, x, w: F.conv2d(x, w), data(1, 2, 5, 5), num(3, 2, 3, 3))
case("Conv2d", lambda t, F, m, x: m(x), num(2, 4, 6, 6),
     module=lambda t: t.nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2))  # fmt: skip
case("Conv2d same no bias", lambda t, F, m, x: m(x), num(2, 5, 6),
     module=lambda t: t.nn.Conv2d(2, 3, (2, 3), padding="same", bias=False))  # fmt: skip

# ---------------------------------------------------------------- pooling
MAX_POOL: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 6, 8), {"kernel_size": 2}),
    ((2, 2, 7, 5), {"kernel_size": 2}),
    ((1, 2, 6, 6), {"kernel_size": 2, "stride": 1}),
    ((1, 2, 7, 8), {"kernel_size": (3, 2), "stride": (2, 3)}),
    ((1, 2, 6, 6), {"kernel_size": 3, "padding": 1}),
    ((1, 2, 5, 6), {"kernel_size": 3, "stride": 2, "padding": (1, 0)}),
    ((1, 2, 7, 7), {"kernel_size": 2, "stride": 1, "dilation": 2}),
    ((1, 2, 8, 7), {"kernel_size": (2, 3), "stride": 2, "padding": 1, "dilation": (3, 2)}),
    ((1, 2, 7, 7), {"kernel_size": 2, "ceil_mode": True}),
    ((1, 1, 6, 7), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((1, 1, 5, 5), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 1, 4, 4), {"kernel_size": 2, "stride": 3, "ceil_mode": True}),
    ((2, 5, 6), {"kernel_size": 2}),
    ((1, 1, 3, 3), {"kernel_size": 3}),
]
for _x, _options in MAX_POOL:
    case(f"max_pool2d {_x} {_options}",
         lambda t, F, x, o=_options: (F.max_pool2d(x, **o),
                                      F.max_pool2d(x, return_indices=True, **o)),
         num(*_x, low=-3, high=-1))  # fmt: skip
    case(f"max_pool2d ties {_x} {_options}",
         lambda t, F, x, o=_options: F.max_pool2d(x, return_indices=True, **o),
         ties(*_x))  # fmt: skip
case("max_pool2d nan", lambda t, F, x: F.max_pool2d(x, 2, return_indices=True),
     Input(lambda rng: np.array([[[1, 2, np.nan, 0], [3, 0, 1, 2]]])))  # fmt: skip
case("max_pool2d -inf", lambda t, F, x: F.max_pool2d(x, 2, return_indices=True),
     Input(lambda rng: np.array([[[-np.inf, -np.inf, 1, 0],
                                  [-np.inf, -np.inf, 1, 2]]])))  # fmt: skip
case("MaxPool2d", lambda t, F, m, x: m(x), num(2, 2, 7, 7),
     module=lambda t: t.nn.MaxPool2d(3, stride=2, padding=1))  # fmt: skip
case("MaxPool2d default stride", lambda t, F, m, x: m(x), num(2, 2, 7, 7),
     module=lambda t: t.nn.MaxPool2d(kernel_size=3))  # fmt: skip
AVG_POOL: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 6, 8), {"kernel_size": 2}),
    ((1, 2, 7, 5), {"kernel_size": (3, 2), "stride": (2, 1)}),
    ((1, 2, 6, 6), {"kernel_size": 3, "padding": 1}),
    ((1, 2, 6, 6), {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
    ((1, 2, 7, 6), {"kernel_size": (3, 2), "stride": 2, "padding": (1, 0)}),
    ((1, 1, 7, 7), {"kernel_size": 2, "ceil_mode": True}),
    ((1, 1, 7, 6), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 1, 7, 6), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True,
                    "count_include_pad": False}),
    ((1, 1, 5, 5), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 1, 6, 6), {"kernel_size": 2, "divisor_override": 3}),
    ((1, 1, 6, 6), {"kernel_size": 3, "padding": 1, "ceil_mode": True, "stride": 2,
                    "divisor_override": 5}),
    ((2, 5, 6), {"kernel_size": 2}),
]  # fmt: skip
for _x, _options in AVG_POOL:
    case(f"avg_pool2d {_x} {_options}", lambda t, F, x, o=_options: F.avg_pool2d(x, **o), num(*_x))
case("AvgPool2d", lambda t, F, m, x: m(x), num(2, 2, 7, 7),
     module=lambda t: t.nn.AvgPool2d(3, 2, 1, count_include_pad=False))  # fmt: skip

# ---------------------------------------------------------------- recurrence
for _layers, _both, _first, _kind, _bias in product(
    (1, 2), (False, True), (False, True), ("tanh", "relu"), (True, False)
):
    if (_kind, _bias) == ("relu", False) and (_layers, _first) != (2, True):
        continue
    _options = {"num_layers": _layers, "bidirectional": _both, "batch_first": _first,
                "nonlinearity": _kind, "bias": _bias}  # fmt: skip
    case(f"RNN {_options}", lambda t, F, m, x, h: m(x, h),
         num(*((2, 4, 3) if _first else (4, 2, 3))), num(_layers * (1 + _both), 2, 3),
         module=lambda t, o=_options: t.nn.RNN(3, 3, **o))  # fmt: skip
for _layers, _both in product((1, 2), (False, True)):
    _options = {"num_layers": _layers, "bidirectional": _both}
    case(f"RNN no h0 {_options}", lambda t, F, m, x: m(x), num(3, 2, 3),
         module=lambda t, o=_options: t.nn.RNN(3, 2, **o))  # fmt: skip
    case(f"RNN unbatched {_options}", lambda t, F, m, x, h: m(x, h), num(4, 3),
         num(_layers * (1 + _both), 2),
         module=lambda t, o=_options: t.nn.RNN(3, 2, batch_first=True, **o))  # fmt: skip
case("RNN only the last state", lambda t, F, m, x: m(x)[1], num(4, 2, 3),
     module=lambda t: t.nn.RNN(3, 2))  # fmt: skip
case("RNN only one step", lambda t, F, m, x: m(x)[0][1], num(4, 2, 3),
     module=lambda t: t.nn.RNN(3, 2))  # fmt: skip
case("RNN of the article", lambda t, F, m, x: m(x)[0][:, -1, :], num(2, 5, 3),
     module=lambda t: t.nn.RNN(3, 4, batch_first=True))  # fmt: skip
case("RNN 1 step", lambda t, F, m, x, h: m(x, h), num(1, 2, 3), num(1, 2, 4),
     module=lambda t: t.nn.RNN(3, 4))  # fmt: skip
case("RNN frozen input", lambda t, F, m, x, h: m(x, h), data(3, 2, 3), data(1, 2, 4),
     module=lambda t: t.nn.RNN(3, 4))  # fmt: skip
for _kind, _bias in product(("tanh", "relu"), (True, False)):
    _options = {"nonlinearity": _kind, "bias": _bias}
    case(f"RNNCell {_options}", lambda t, F, m, x, h: m(x, h), num(2, 3), num(2, 4),
         module=lambda t, o=_options: t.nn.RNNCell(3, 4, **o))  # fmt: skip
case("RNNCell no state", lambda t, F, m, x: m(x), num(2, 3), module=lambda t: t.nn.RNNCell(3, 4))
case("RNNCell unbatched", lambda t, F, m, x, h: m(x, h), num(3), num(4),
     module=lambda t: t.nn.RNNCell(3, 4))  # fmt: skip
case("RNNCell over time", lambda t, F, m, x, h: m(x[1], m(x[0], h)), num(2, 2, 3), num(2, 4),
     module=lambda t: t.nn.RNNCell(3, 4))  # fmt: skip

# ---------------------------------------------------------------- losses
REDUCTIONS = ("none", "mean", "sum")
IGNORED = ints(0, 3, -100, 2, 3)
for _red in REDUCTIONS:
    for _smooth in (0.0, 0.2):
        _o: dict[str, Any] = {"reduction": _red, "label_smoothing": _smooth}
        case(f"cross_entropy {_o}", lambda t, F, x, y, o=_o: F.cross_entropy(x, y, **o),
             num(5, 4), labels(5, below=4))  # fmt: skip
        case(f"cross_entropy weight {_o}",
             lambda t, F, x, y, w, o=_o: F.cross_entropy(x, y, weight=w, **o),
             num(5, 4), labels(5, below=4), data(4, low=0.2, high=2))  # fmt: skip
        case(f"cross_entropy weight ignored {_o}",
             lambda t, F, x, y, w, o=_o: F.cross_entropy(x, y, weight=w, **o),
             num(5, 4), IGNORED, data(4, low=0.2, high=2))  # fmt: skip
        case(f"cross_entropy ignore_index {_o}",
             lambda t, F, x, y, o=_o: F.cross_entropy(x, y, ignore_index=1, **o),
             num(5, 4), ints(0, 1, 3, 1, 2))  # fmt: skip
        case(f"cross_entropy probabilities {_o}",
             lambda t, F, x, y, o=_o: F.cross_entropy(x, F.softmax(y, dim=1), **o),
             num(5, 4), data(5, 4))  # fmt: skip
        case(f"cross_entropy probabilities weight {_o}",
             lambda t, F, x, y, w, o=_o: F.cross_entropy(x, F.softmax(y, dim=1), weight=w, **o),
             num(5, 4), data(5, 4), data(4, low=0.2, high=2))  # fmt: skip
        case(f"cross_entropy N C d {_o}",
             lambda t, F, x, y, w, o=_o: F.cross_entropy(x, y, weight=w, ignore_index=2, **o),
             num(2, 4, 3), labels(2, 3, below=4), data(4, low=0.2, high=2))  # fmt: skip
        case(f"cross_entropy N C d1 d2 {_o}", lambda t, F, x, y, o=_o: F.cross_entropy(x, y, **o),
             num(2, 3, 2, 2), labels(2, 2, 2, below=3))  # fmt: skip
        case(f"cross_entropy probabilities N C d {_o}",
             lambda t, F, x, y, o=_o: F.cross_entropy(x, F.softmax(y, dim=1), **o),
             num(2, 4, 3), data(2, 4, 3))  # fmt: skip
    case(f"cross_entropy unbatched {_red}",
         lambda t, F, x, y, r=_red: F.cross_entropy(x, y, reduction=r), num(4),
         scalar(2, "int64"))  # fmt: skip
    case(f"cross_entropy extreme {_red}",
         lambda t, F, x, y, r=_red: F.cross_entropy(x, y, reduction=r), EXTREME,
         ints(1, 3))  # fmt: skip
    case(f"nll_loss {_red}", lambda t, F, x, y, r=_red: F.nll_loss(x, y, reduction=r),
         num(5, 4), labels(5, below=4))  # fmt: skip
    case(f"nll_loss weight ignored {_red}",
         lambda t, F, x, y, w, r=_red: F.nll_loss(x, y, weight=w, reduction=r),
         num(5, 4), IGNORED, data(4, low=0.2, high=2))  # fmt: skip
    case(f"nll_loss ignore_index {_red}",
         lambda t, F, x, y, r=_red: F.nll_loss(x, y, ignore_index=1, reduction=r),
         num(5, 4), ints(0, 1, 3, 1, 2))  # fmt: skip
    case(f"nll_loss N C d1 d2 {_red}",
         lambda t, F, x, y, w, r=_red: F.nll_loss(x, y, weight=w, ignore_index=0, reduction=r),
         num(2, 3, 2, 2), labels(2, 2, 2, below=3), data(3, low=0.2, high=2))  # fmt: skip
    case(f"nll_loss unbatched {_red}", lambda t, F, x, y, r=_red: F.nll_loss(x, y, reduction=r),
         num(4), scalar(2, "int64"))  # fmt: skip
    case(f"binary_cross_entropy {_red}",
         lambda t, F, x, y, r=_red: F.binary_cross_entropy(x, y, reduction=r),
         num(3, 4, low=0.05, high=0.95), data(3, 4, low=0, high=1))  # fmt: skip
    case(f"binary_cross_entropy weight {_red}",
         lambda t, F, x, y, w, r=_red: F.binary_cross_entropy(x, y, weight=w, reduction=r),
         num(3, 4, low=0.05, high=0.95), data(3, 4, low=0, high=1),
         data(4, low=0.2, high=2))  # fmt: skip
    case(f"binary_cross_entropy at 0 and 1 {_red}",
         lambda t, F, x, y, r=_red: F.binary_cross_entropy(x, y, reduction=r),
         fixed(0, 0, 1, 1, 0.5), fixed(0, 1, 0, 1, 1, grad=False))  # fmt: skip
    for _has_weight, _has_pos in product((False, True), (False, True)):
        case(f"binary_cross_entropy_with_logits {_red} weight={_has_weight} pos={_has_pos}",
             lambda t, F, x, y, w, p, r=_red, hw=_has_weight, hp=_has_pos:
             F.binary_cross_entropy_with_logits(x, y, weight=w if hw else None, reduction=r,
                                                pos_weight=p if hp else None),
             num(3, 4), data(3, 4, low=0, high=1), data(3, 1, low=0.2, high=2),
             data(4, low=0.2, high=3))  # fmt: skip
    case(f"binary_cross_entropy_with_logits extreme {_red}",
         lambda t, F, x, y, p, r=_red: (
             F.binary_cross_entropy_with_logits(x, y, reduction=r),
             F.binary_cross_entropy_with_logits(x, y, reduction=r, pos_weight=p)),
         fixed(-1e4, -1e4, 0, 1e4, 1e4, 50, -50), fixed(0, 1, 1, 0, 1, 0.5, 0.5, grad=False),
         data(7, low=0.2, high=2))  # fmt: skip
    case(f"mse_loss {_red}", lambda t, F, x, y, r=_red: F.mse_loss(x, y, reduction=r),
         num(3, 4), num(3, 4))  # fmt: skip
    case(f"l1_loss {_red}", lambda t, F, x, y, r=_red: F.l1_loss(x, y, reduction=r),
         num(3, 4), num(3, 4))  # fmt: skip
    case(f"l1_loss ties {_red}", lambda t, F, x, y, r=_red: F.l1_loss(x, y, reduction=r),
         ties(3, 4), ties(3, 4))  # fmt: skip
    case(f"smooth losses {_red}", lambda t, F, x, y, r=_red: (
         F.smooth_l1_loss(x, y, reduction=r, beta=0.5), F.huber_loss(x, y, reduction=r, delta=0.5)),
         num(3, 4), num(3, 4), needs="nn.functional.huber_loss")  # fmt: skip
case("losses as modules", lambda t, F, x, y, c: (
     t.nn.MSELoss()(x, y), t.nn.L1Loss()(x, y), t.nn.MSELoss(reduction="sum")(x, y),
     t.nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=1)(x, c),
     t.nn.NLLLoss(reduction="none")(x, c), t.nn.BCEWithLogitsLoss()(x, t.sigmoid(y)),
     t.nn.BCELoss(reduction="sum")(t.sigmoid(x), t.sigmoid(y.detach()))),
     num(3, 4), num(3, 4), labels(3, below=4))  # fmt: skip
case("losses as modules with weights", lambda t, F, x, y, c, w: (
     t.nn.CrossEntropyLoss(weight=w)(x, c), t.nn.NLLLoss(w)(x, c),
     t.nn.BCEWithLogitsLoss(weight=w, pos_weight=w)(x, y)),
     num(3, 4), data(3, 4, low=0, high=1), labels(3, below=4),
     data(4, low=0.2, high=2))  # fmt: skip


# ---------------------------------------------------------------- modules: names and order
def _mixed(t: Any) -> Any:
    nn = t.nn
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(8, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 3), nn.Sigmoid()),
                         nn.Dropout(0.0), nn.LogSoftmax(dim=1))  # fmt: skip


def _tree(t: Any) -> Any:
    nn = t.nn

    class Tree(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.late = nn.Linear(3, 3)
            self.scale = nn.Parameter(t.ones(3))
            self.layers = nn.ModuleList([nn.Linear(3, 3, bias=False) for _ in range(2)])
            self.heads = nn.ModuleDict({"b": nn.Linear(3, 1), "a": nn.Linear(3, 2)})
            self.rnn = nn.RNN(3, 3, num_layers=2, bidirectional=True)

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = t.tanh(layer(x)) * self.scale
            return self.heads["a"](x), self.heads["b"](self.late(x))

    return Tree()


def _names(t: Any, F: Any, m: Any, x: Any) -> Any:
    return (m(x), [n for n, _ in m.named_parameters()], [n for n, _ in m.named_modules()],
            [n for n, _ in m.named_children()], list(m.state_dict()),
            sum(p.numel() for p in m.parameters()), len(list(m.modules())))  # fmt: skip


case("Sequential", _names, num(2, 1, 6, 6), module=_mixed)
case("module tree", _names, num(2, 3), module=_tree)
case("Linear", lambda t, F, m, x: m(x), num(2, 4, 3), module=lambda t: t.nn.Linear(3, 5))
case("Linear no bias", lambda t, F, m, x: m(x), num(3),
     module=lambda t: t.nn.Linear(3, 5, bias=False))  # fmt: skip
case("Flatten", lambda t, F, x: (t.nn.Flatten()(x), t.nn.Flatten(0, 1)(x), t.nn.Flatten(2)(x)),
     num(2, 3, 2, 2))  # fmt: skip
case("Softmax modules", lambda t, F, x: (t.nn.Softmax(dim=1)(x), t.nn.LogSoftmax(dim=0)(x)),
     num(3, 4))  # fmt: skip
case("Dropout eval", lambda t, F, m, x: m.eval()(x), num(3, 4), module=lambda t: t.nn.Dropout(0.5))
