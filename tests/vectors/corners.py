"""Where functions are most often wrong: at infinities and zeros, without dimensions, with `()`.

`CASES` is a list of (name, function of (t, F, *inputs), inputs): t is torch or minigrad, F its
`nn.functional`. `run` gives what torch and minigrad must agree on: dtypes, shapes and values of the
results, their gradients and second derivatives, or that the call is refused. torch's answers are in
`corners.json` (made by `make_vectors.py`), `test_corners.py` compares.

In pooling, only sizes and values at small grids; other parity cases are in `cases.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

INF, NAN = math.inf, math.nan
CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}


def case(name: str, function: Callable[..., Any], *inputs: Any) -> None:
    """Adds a case; inputs are nested lists of numbers or arrays (then of their dtype)."""
    assert name not in CASES, name
    CASES[name] = function, inputs


def many(x: Any, function: Callable[[Any], Any]) -> Any:
    """function(x), computed among so many other numbers that loops for large arrays do it."""
    return function(x.repeat(3000)).reshape(3000, -1)[2999]


# ---------------------------------------------------------------------------------- special points
POINTS = [0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, 30.0, -30.0, 800.0, -800.0, INF, -INF, NAN]
UNARY = [
    "abs", "neg", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt",
    "square", "reciprocal", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh",
    "acosh", "atanh", "sign", "floor", "ceil", "trunc", "round", "frac", "relu", "tanh",
    "sigmoid", "erf"
]
for _name in UNARY:
    case(f"{_name} of points", lambda t, F, x, n=_name: getattr(t, n)(x), POINTS)
for _name in ["silu", "gelu", "elu", "leaky_relu", "hardtanh", "relu6", "logsigmoid", "softplus"]:
    case(f"{_name} of points", lambda t, F, x, n=_name: getattr(F, n)(x), POINTS)
    case(f"{_name} of many points", lambda t, F, x, n=_name: many(x, getattr(F, n)), POINTS)
for _name in ["exp", "log", "sqrt", "relu", "tanh", "sigmoid", "erf", "abs"]:
    case(f"{_name} of many points", lambda t, F, x, n=_name: many(x, getattr(t, n)), POINTS)
case("gelu tanh of points", lambda t, F, x: F.gelu(x, approximate="tanh"), POINTS)
case("gelu tanh of many points",
     lambda t, F, x: many(x, lambda x: F.gelu(x, approximate="tanh")), POINTS)
case("softplus beta of points", lambda t, F, x: F.softplus(x, 2.0, 5.0), POINTS)
case("elu alpha of points", lambda t, F, x: F.elu(x, 0.5), POINTS)
case("clamp of points", lambda t, F, x: x.clamp(-1.0, 2.0), POINTS)
case("clamp below of points", lambda t, F, x: x.clamp(min=0.5), POINTS)
case("clamp above of points", lambda t, F, x: x.clamp(max=0.5), POINTS)
case("hardtanh bounds of points", lambda t, F, x: F.hardtanh(x, -1.0, 2.0), POINTS)
case("log of a relu", lambda t, F, x: t.log(t.relu(x)), [0.0, 1.0])
case("where, the inactive branch", lambda t, F, x: t.where(x > 0, x.sqrt(), x * 0.0), [4.0, 1.0])
case("sqrt at ends", lambda t, F, x: t.sqrt(x), [0.0, 4.0, INF])

FEW = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, INF, -INF, NAN]
_A, _B = (np.array(v) for v in zip(*itertools.product(FEW, FEW)))
for _name in ["add", "sub", "mul", "div", "maximum", "minimum", "atan2", "pow"]:
    case(f"{_name} of pairs", lambda t, F, x, y, n=_name: getattr(t, n)(x, y), _A, _B)
for _p in (0, 1, 2, 3, 4, 0.5, -1, -2, 1.5, -0.5, 2.0, 0.0, INF, -INF):
    case(f"pow {_p!r} of points", lambda t, F, x, p=_p: x**p, FEW)
for _p in (0.0, 1.0, 2.0, 0.5):
    case(f"{_p!r} pow points", lambda t, F, x, p=_p: p**x, FEW)
_T = np.array([0.0, 1.0, -1.0, 0.0, INF, -INF, NAN, 5.0, 2.0, INF])
_X = np.array([0.0, 0.0, 1.0, INF, 1.0, 1.0, 1.0, NAN, 1.0, INF])
for _r in ("none", "sum", "mean"):
    for _name in ["mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"]:
        case(f"{_name} {_r} of points",
             lambda t, F, x, y, n=_name, r=_r: getattr(F, n)(x, y, reduction=r), _X, _T)
    case(f"huber_loss delta {_r}",
         lambda t, F, x, y, r=_r: F.huber_loss(x, y, reduction=r, delta=0.5), _X, _T)
    case(f"smooth_l1_loss beta {_r}",
         lambda t, F, x, y, r=_r: F.smooth_l1_loss(x, y, reduction=r, beta=0.5), _X, _T)
    _L = np.array([INF, -INF, INF, -INF, 0.0, 50.0, -50.0, 800.0, -800.0, 1.0, INF, -INF])
    _Y = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.5])
    case(f"bce logits {_r}",
         lambda t, F, x, y, r=_r: F.binary_cross_entropy_with_logits(x, y, reduction=r), _L, _Y)
    for _i, (_l, _y) in enumerate(zip(_L, _Y)):
        case(f"bce logits {_r} {_i}",
             lambda t, F, x, y, r=_r: F.binary_cross_entropy_with_logits(x, y, reduction=r),
             [_l], [_y])
        case(f"bce logits pos_weight {_r} {_i}",
             lambda t, F, x, y, r=_r: F.binary_cross_entropy_with_logits(
                 x, y, pos_weight=t.full((1,), 2.0, dtype=t.float64), reduction=r), [_l], [_y])
        case(f"bce logits weight {_r} {_i}",
             lambda t, F, x, y, r=_r: F.binary_cross_entropy_with_logits(
                 x, y, t.full((1,), 2.0, dtype=t.float64), reduction=r), [_l], [_y])
    _P = np.array([0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 1.0, 1e-30])
    _Q = np.array([0.0, 1.0, 1.0, 0.0, 0.5, 0.5, 0.5, 1.0])
    case(f"bce {_r}",
         lambda t, F, x, y, r=_r: F.binary_cross_entropy(x, y, reduction=r), _P, _Q)
    case(f"kl_div {_r}", lambda t, F, x, y, r=_r: F.kl_div(x, y, reduction=r),
         [-1.0, -INF, 0.0, -2.0], [0.0, 0.0, 1.0, 0.5])
    case(f"kl_div log target {_r}",
         lambda t, F, x, y, r=_r: F.kl_div(x, y, reduction=r, log_target=True),
         [-1.0, -1.0, 0.0], [-INF, 0.0, -2.0])
for _n, _rows in {
    "inf": [[INF, 1.0, 0.0]], "two inf": [[INF, INF, 0.0]], "-inf": [[-INF, 1.0, 0.0]],
    "only -inf": [[-INF, -INF, -INF]], "nan": [[NAN, 1.0, 0.0]], "far": [[1000.0, -1000.0, 0.0]],
}.items():
    for _d in (0, 1):
        _v = np.array(_rows) if _d else np.array(_rows).T
        for _name in ["softmax", "log_softmax", "logsumexp"]:
            case(f"{_name} of {_n} along {_d}",
                 lambda t, F, x, n=_name, d=_d: getattr(t, n)(x, d), _v)
    for _label in (0, 1):
        case(f"cross_entropy of {_n} label {_label}",
             lambda t, F, x, k=_label: F.cross_entropy(x, t.tensor([k])), _rows)
        case(f"cross_entropy in columns of {_n} label {_label}",
             lambda t, F, x, k=_label: F.cross_entropy(x, t.tensor([[k, k]])),
             np.array(_rows)[..., None].repeat(2, -1))
case("cross_entropy of probabilities, -inf", lambda t, F, x, y: F.cross_entropy(x, y),
     [[-INF, 1.0, 2.0]], [[0.0, 0.5, 0.5]])
for _p in (0, 0.5, 1, 1.5, 2, 2.5, 3, INF, -INF, -1, -2):
    for _i, _v in enumerate(([0.0, 0.0], [0.0, 2.0], [3.0, 0.0], [INF, 1.0], [-INF, 1.0],
                             [INF, INF], [-3.0, 3.0], [NAN, 1.0], [])):
        case(f"norm {_p!r} {_i}", lambda t, F, x, p=_p: x.norm(p), np.array(_v, np.float64))
    case(f"norm {_p!r} along 1", lambda t, F, x, p=_p: x.norm(p, 1), [[0.0, 0.0], [3.0, 4.0]])
    case(f"norm {_p!r} of float32", lambda t, F, x, p=_p: x.norm(p),
         np.array([3.0, 0.0, 4.0], np.float32))
for _n, _v in {"constant": [2.0, 2.0, 2.0], "inf": [INF, 1.0, 2.0], "nan": [NAN, 1.0],
               "one": [3.0]}.items():
    case(f"var of {_n}", lambda t, F, x: x.var(correction=0), _v)
    case(f"std of {_n}", lambda t, F, x: x.std(correction=0), _v)
    case(f"mean of {_n}", lambda t, F, x: x.mean(), _v)
    for _name in ["sum", "prod", "amax", "amin", "max", "min"]:
        case(f"{_name} of {_n}", lambda t, F, x, n=_name: getattr(x, n)(), _v)
    case(f"max along 0 of {_n}", lambda t, F, x: tuple(x.max(0)), _v)
    case(f"sort of {_n}", lambda t, F, x: tuple(x.sort()), _v)
for _i, _v in enumerate(([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, INF], [0.0, NAN], [0.0])):
    case(f"prod {_i}", lambda t, F, x: x.prod(), _v)
    case(f"prod along 0 {_i}", lambda t, F, x: x.prod(0), _v)
case("amax of ties", lambda t, F, x: x.amax(), [1.0, 3.0, 3.0])
case("amax of two inf", lambda t, F, x: x.amax(0), [INF, INF, 1.0])
case("cumsum of inf", lambda t, F, x: x.cumsum(0), [1.0, INF, 2.0, -INF, 3.0])
for _d in ("uint8", "int8", "int16", "int32", "int64", "bool"):
    for _name in ("sum", "prod", "cumsum"):
        case(f"{_name} of {_d}",
             lambda t, F, x, n=_name: getattr(x, n)(0), np.array([1, 1, 1, 0, 1]).astype(_d))
        case(f"{_name} of {_d} as float32",
             lambda t, F, x, n=_name: getattr(x, n)(0, dtype=t.float32),
             np.array([1, 1, 1]).astype(_d))

# ---------------------------------------------------------------------------------- no dimensions
M, Z = [[1.0, 2.0, 4.0], [3.0, 0.0, -1.0]], np.array(3.0)
ALONE = [(), (1,), (1, 3)]
for _at, _v in {"matrix": np.array(M), "number": Z, "(1, 3)": np.array(M[:1]),
                "(0, 3)": np.zeros((0, 3))}.items():
    for _name in [
        "sum", "mean", "amax", "amin", "var", "std", "norm", "any", "all", "logsumexp", "squeeze"
    ]:
        _f = {"norm": lambda t, x, **k: x.norm(2, **k)}.get(
            _name, lambda t, x, n=_name, **k: getattr(x, n)(**k))
        case(f"{_name} (), {_at}", lambda t, F, x, f=_f: f(t, x, dim=()), _v)
        if _name != "squeeze":
            case(f"{_name} () keepdim, {_at}",
                 lambda t, F, x, f=_f: f(t, x, dim=(), keepdim=True), _v)
    for _name, _f in {
        "flip": lambda t, x: x.flip(()), "roll": lambda t, x: x.roll((), ()),
        "roll by one": lambda t, x: x.roll(1, ()), "permute": lambda t, x: x.permute(()),
        "movedim": lambda t, x: x.movedim((), ()), "repeat": lambda t, x: x.repeat(()),
        "tile": lambda t, x: x.tile(()), "expand": lambda t, x: x.expand(()),
        "reshape": lambda t, x: x.reshape(()), "softmax": lambda t, x: x.softmax(()),
        "index": lambda t, x: x[()], "pad": lambda t, x: t.nn.functional.pad(x, ()),
        "prod": lambda t, x: x.prod(()), "argmax": lambda t, x: x.argmax(()),
        "max": lambda t, x: x.max(()), "split": lambda t, x: x.split([]),
    }.items():
        case(f"{_name} (), {_at}", lambda t, F, x, f=_f: f(t, x), _v)

# ---------------------------------------------------------------------------------- 0-dimensional
_I = lambda *values: np.array(values if len(values) != 1 else values[0])
ZERO_D: dict[str, Callable[..., Any]] = {
    "topk": lambda t, F, x: tuple(x.topk(1)),
    "topk 0": lambda t, F, x: tuple(x.topk(0)),
    "topk 2": lambda t, F, x: tuple(x.topk(2)),
    "sort": lambda t, F, x: tuple(x.sort()), "sort 0": lambda t, F, x: tuple(x.sort(0)),
    "argsort": lambda t, F, x: x.argsort(),
    "max 0": lambda t, F, x: tuple(x.max(0)), "min -1": lambda t, F, x: tuple(x.min(-1)),
    "max 0 keepdim": lambda t, F, x: tuple(x.max(0, keepdim=True)),
    "max 1": lambda t, F, x: tuple(x.max(1)),
    "amax 0": lambda t, F, x: x.amax(0), "amin -1": lambda t, F, x: x.amin(-1),
    "argmax 0": lambda t, F, x: x.argmax(0), "argmin": lambda t, F, x: x.argmin(),
    "argmax 0 keepdim": lambda t, F, x: x.argmax(0, keepdim=True),
    "sum 0": lambda t, F, x: x.sum(0), "sum 0 keepdim": lambda t, F, x: x.sum(0, keepdim=True),
    "sum 1": lambda t, F, x: x.sum(1), "mean -1": lambda t, F, x: x.mean(-1),
    "var 0": lambda t, F, x: x.var(0, correction=0),
    "std 0": lambda t, F, x: x.std(0, correction=0),
    "norm 0": lambda t, F, x: x.norm(2, 0), "norm 1 0": lambda t, F, x: x.norm(1, 0),
    "prod 0": lambda t, F, x: x.prod(0), "prod": lambda t, F, x: x.prod(),
    "cumsum 0": lambda t, F, x: x.cumsum(0), "cumsum 1": lambda t, F, x: x.cumsum(1),
    "any 0": lambda t, F, x: x.any(0), "all -1": lambda t, F, x: x.all(-1),
    "logsumexp 0": lambda t, F, x: x.logsumexp(0),
    "logsumexp 0 keepdim": lambda t, F, x: x.logsumexp(0, keepdim=True),
    "softmax 0": lambda t, F, x: x.softmax(0), "log_softmax -1": lambda t, F, x: x.log_softmax(-1),
    "softmax 1": lambda t, F, x: x.softmax(1),
    "flip 0": lambda t, F, x: x.flip(0), "flip (0,)": lambda t, F, x: x.flip((0,)),
    "roll 1": lambda t, F, x: x.roll(1), "roll 1 0": lambda t, F, x: x.roll(1, 0),
    "unbind": lambda t, F, x: x.unbind(), "split": lambda t, F, x: x.split(1),
    "chunk": lambda t, F, x: x.chunk(1), "narrow": lambda t, F, x: x.narrow(0, 0, 1),
    "select": lambda t, F, x: x.select(0, 0), "cat": lambda t, F, x: t.cat([x, x]),
    "cat with a vector": lambda t, F, x: t.cat([x, t.tensor([1.0], dtype=t.float64)]),
    "stack": lambda t, F, x: t.stack([x, x]), "diag": lambda t, F, x: t.diag(x),
    "diagonal": lambda t, F, x: x.diagonal(), "trace": lambda t, F, x: x.trace(),
    "tril": lambda t, F, x: x.tril(), "triu": lambda t, F, x: x.triu(),
    "squeeze": lambda t, F, x: x.squeeze(), "squeeze 0": lambda t, F, x: x.squeeze(0),
    "squeeze 1": lambda t, F, x: x.squeeze(1),
    "unsqueeze 0": lambda t, F, x: x.unsqueeze(0), "unsqueeze -1": lambda t, F, x: x.unsqueeze(-1),
    "unsqueeze 1": lambda t, F, x: x.unsqueeze(1),
    "repeat 3": lambda t, F, x: x.repeat(3), "tile 2 2": lambda t, F, x: x.tile(2, 2),
    "expand 3": lambda t, F, x: x.expand(3), "expand 2 3": lambda t, F, x: x.expand(2, 3),
    "expand -1": lambda t, F, x: x.expand(-1),
    "repeat_interleave": lambda t, F, x: x.repeat_interleave(3),
    "repeat_interleave 0": lambda t, F, x: x.repeat_interleave(3, 0),
    "flatten": lambda t, F, x: x.flatten(), "reshape -1": lambda t, F, x: x.reshape(-1),
    "unflatten": lambda t, F, x: x.unflatten(0, (1, 1)),
    "transpose 0 0": lambda t, F, x: x.transpose(0, 0),
    "transpose 0 -1": lambda t, F, x: x.transpose(0, -1),
    "transpose 0 1": lambda t, F, x: x.transpose(0, 1),
    "t": lambda t, F, x: x.t(), "T": lambda t, F, x: x.permute(()),
    "mT": lambda t, F, x: x.mT, "movedim 0 0": lambda t, F, x: x.movedim(0, 0),
    "masked_select": lambda t, F, x: x.masked_select(t.tensor(True)),
    "masked_select none": lambda t, F, x: x.masked_select(t.tensor(False)),
    "masked_select vector": lambda t, F, x: x.masked_select(t.tensor([True, False, True])),
    "masked_fill": lambda t, F, x: x.masked_fill(t.tensor(True), 5.0),
    "nonzero": lambda t, F, x: t.nonzero(x),
    "nonzero tuple": lambda t, F, x: t.nonzero(x, as_tuple=True),
    "index True": lambda t, F, x: x[True], "index None": lambda t, F, x: x[None],
    "index ...": lambda t, F, x: x[...], "index 0": lambda t, F, x: x[0],
    "index False": lambda t, F, x: x[t.tensor(False)],
    "dot": lambda t, F, x: x.dot(x), "matmul": lambda t, F, x: x @ x,
    "outer": lambda t, F, x: t.outer(x, x),
    "linear": lambda t, F, x: F.linear(x, x), "dropout": lambda t, F, x: F.dropout(x, 0.0),
    "relu": lambda t, F, x: F.relu(x), "gelu": lambda t, F, x: F.gelu(x),
    "mse_loss": lambda t, F, x: F.mse_loss(x, x * 2),
    "l1_loss": lambda t, F, x: F.l1_loss(x, x + 1),
    "huber_loss": lambda t, F, x: F.huber_loss(x, x + 0.5, reduction="none"),
    "bce logits": lambda t, F, x: F.binary_cross_entropy_with_logits(x, x * 0),
    "kl_div": lambda t, F, x: F.kl_div(x, x, reduction="batchmean"),
    "cross_entropy": lambda t, F, x: F.cross_entropy(x, t.tensor(0)),
    "meshgrid": lambda t, F, x: t.meshgrid(x, x, indexing="ij"),
    "meshgrid with a vector": lambda t, F, x: t.meshgrid(
        x, t.tensor([1.0, 2.0], dtype=t.float64), indexing="ij"),
    "meshgrid xy": lambda t, F, x: t.meshgrid(
        x, t.tensor([1.0, 2.0], dtype=t.float64), indexing="xy"),
    "where": lambda t, F, x: t.where(t.tensor(True), x, x * 2),
    "einsum-like sum": lambda t, F, x: (x * x).sum(),
    "pad": lambda t, F, x: F.pad(x, (1, 1)),
}
for _index in ((), (1,), (2,), (0,), (1, 1)):
    for _name in ("index_select", "gather", "take_along_dim", "scatter", "scatter_add",
                  "index_add", "scatter number", "take_along_dim flat"):
        def _choose(t: Any, F: Any, x: Any, s: Any = _index, n: str = _name) -> Any:
            at = t.zeros(s, dtype=t.int64)
            source = t.ones(s, dtype=t.float64)
            if n in ("index_select", "gather"):
                return getattr(x, n)(0, at)
            if n == "take_along_dim":
                return x.take_along_dim(at, 0)
            if n == "take_along_dim flat":
                return x.take_along_dim(at)
            if n == "scatter number":
                return x.scatter(0, at, 5.0)
            return getattr(x, n)(0, at, source)
        ZERO_D[f"{_name} {_index}"] = _choose
for _name, _f in ZERO_D.items():
    case(f"0-d {_name}", _f, Z)
    if _name.split()[0] in ("topk", "sort", "index_select", "gather", "scatter", "scatter_add",
                            "index_add", "take_along_dim", "cumsum", "softmax", "max"):
        case(f"vector {_name}", _f, np.array([3.0, 1.0]))
case("one_hot of a number", lambda t, F, x: F.one_hot(x, 4), np.array(2))
case("bincount-like eq", lambda t, F, x: (x == 2).sum(), np.array(2))
case("cross_entropy (C,), ()", lambda t, F, x: F.cross_entropy(x, t.tensor(1)), [1.0, 2.0, 0.5])
case("cross_entropy (C,), (1,)", lambda t, F, x: F.cross_entropy(x, t.tensor([1])), [1.0, 2.0])
case("nll_loss (C,), ()", lambda t, F, x: F.nll_loss(x, t.tensor(1)), [-1.0, -2.0, -0.5])
case("cross_entropy (C,), (C,)", lambda t, F, x, y: F.cross_entropy(x, y), [1.0, 2.0], [0.3, 0.7])

# ---------------------------------------------------------------------------------- indices
def _random_index(rng: np.random.RandomState, shape: tuple[int, ...]) -> list[Any]:
    """Integers, slices, None, ..., index arrays (with and without dimensions), lists and masks."""
    draw = lambda n: int(rng.random_sample() * n)
    broadcast = [(), (2,), (3,), (2, 3), (1,), (0,), (1, 3)][draw(7)]
    parts: list[Any] = []
    d, seen = 0, False
    while d < len(shape) or rng.random_sample() < 0.2:
        chance, left = rng.random_sample(), len(shape) - d
        if chance < 0.1:
            parts.append(None)
        elif chance < 0.3 and not seen:
            seen = True
            parts.append(...)
            d += draw(left + 1) * draw(2)
        elif chance < 0.33:
            parts.append([True, False, np.array(True)][draw(3)])
        elif left and chance < 0.5:
            first, last = sorted((draw(shape[d] + 1), draw(shape[d] + 2)))
            parts.append(slice(first or None, last, 1 + draw(2)))
            d += 1
        elif left and chance < 0.6:
            parts.append([draw(shape[d]), draw(shape[d]) - shape[d]][draw(2)])
            d += 1
        elif left and chance < 0.9:
            own = broadcast[draw(len(broadcast)) if broadcast and rng.random_sample() < 0.3 else 0:]
            at = np.floor(rng.random_sample(own) * shape[d] * 2).astype(np.int64) - shape[d]
            parts.append(at.tolist() if at.ndim and at.size and draw(4) == 0 else at)
            d += 1
        elif left:
            k = 1 + draw(min(left, 3))
            parts.append(rng.random_sample(shape[d:d + k]) < 0.5)
            d += k
    return parts


def _crowded_index(rng: np.random.RandomState, shape: tuple[int, ...]) -> list[Any]:
    """Each dimension named, mostly by index arrays; and an Ellipsis with nothing left to say."""
    broadcast = [(2,), (3,), (2, 3)][int(rng.random_sample() * 3)]
    parts: list[Any] = []
    once = rng.random_sample() < 0.5  # so that it can be said which value is written where
    for n in shape:
        chance = rng.random_sample()
        parts.append(slice(None) if chance < 0.35 else int(rng.random_sample() * n)
                     if chance < 0.45 else np.argsort(rng.random_sample(n))[:2] if once
                     else np.floor(rng.random_sample(broadcast) * n).astype(int))
    parts.insert(int(rng.random_sample() * (len(parts) + 1)), ...)
    if rng.random_sample() < 0.25:
        parts.insert(int(rng.random_sample() * (len(parts) + 1)), None)
    return parts


def _index_cases() -> None:
    rng = np.random.RandomState(12)
    for i in range(400):
        shape = tuple(1 + int(n) for n in rng.random_sample(int(rng.random_sample() * 5)) * 4)
        parts = _random_index(rng, shape)
        if i >= 250:
            shape = tuple(2 + int(n) for n in rng.random_sample(3 + i % 2) * 3)
            parts = _crowded_index(rng, shape)
        x = np.arange(math.prod(shape), dtype=np.float64).reshape(shape) + 1

        def at(t: Any, parts: Any = parts) -> Any:
            return tuple(t.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)

        try:
            places = np.arange(math.prod(shape)).reshape(shape)[tuple(parts)].ravel()
        except IndexError:
            places = np.zeros(2)
        again = len(np.unique(places)) < len(places)  # then torch does not say which value stays

        def write(t: Any, F: Any, x: Any, at: Any = at, again: bool = again) -> Any:
            y = x * 1.0
            there = tuple(y[at(t)].shape)
            y[at(t)] = 5.0 if again else -t.tensor(
                np.arange(math.prod(there), dtype=np.float64).reshape(there))
            return y * y

        def add(t: Any, F: Any, x: Any, at: Any = at) -> Any:
            with t.no_grad():
                x[at(t)] += 10.0
            return x * 1.0
        case(f"read {i}", lambda t, F, x, at=at: x[at(t)] ** 2, x)
        case(f"write {i}", write, x)
        if i % 4 == 0:
            case(f"add in place {i}", add, x)
_index_cases()

# ---------------------------------------------------------------------------------- pooling
def _blind(n: int, k: int, s: int, p: int, d: int, ceil: bool) -> bool:
    """Whether a window sees no cell of an axis: torch then names one that does not exist, and its
    gradient writes there."""
    out = (n + 2 * p - d * (k - 1) - 1 + (s - 1) * ceil) // s + 1
    out -= ceil and (out - 1) * s >= n + p
    return any(all(not 0 <= u * s - p + i * d < n for i in range(k)) for u in range(out))


def _pool_cases() -> None:
    rng = np.random.RandomState(5)
    sizes = [(1, 1), (2, 3), (3, 2), (4, 4), (5, 3), (1, 6)]
    options = list(itertools.product((1, 2, 3, 4, (2, 3)), (None, 1, 2, 3), (0, 1), (1, 2),
                                     (False, True)))
    for i, (k, s, p, d, ceil) in enumerate(options):
        for j, hw in enumerate(sizes):
            if (i + j) % 3:  # every third: all options with all sizes, but not with each other
                continue
            kernels = (k, k) if isinstance(k, int) else k
            if any(_blind(n, w, s or w, p, d, ceil) for n, w in zip(hw, kernels)):
                continue
            x = rng.permutation(hw[0] * hw[1]).astype(np.float64).reshape(1, *hw)
            name = f"{hw} kernel {k} stride {s} padding {p} dilation {d} ceil {ceil}"
            case(f"max_pool2d {name}", lambda t, F, x, o=(k, s, p, d, ceil): F.max_pool2d(
                x, o[0], o[1], o[2], o[3], ceil_mode=o[4]), x)
            case(f"max_pool2d indices {name}", lambda t, F, x, o=(k, s, p, d, ceil): F.max_pool2d(
                x, o[0], o[1], o[2], o[3], ceil_mode=o[4], return_indices=True), x)
            include, divisor = (i + j) // 3 % 2 == 0, (None, 5)[(i + j) // 6 % 2]
            case(f"avg_pool2d {name}", lambda t, F, x, o=(k, s, p, ceil, include, divisor):
                 F.avg_pool2d(x, *o), x)
_pool_cases()


# ---------------------------------------------------------------------------------- running them
def _flat(value: Any) -> list[Any]:
    return [v for part in value for v in _flat(part)] if isinstance(value, (tuple, list)) else \
        [value]


def _record(x: Any) -> Any:
    if x is None:
        return None
    if not hasattr(x, "detach"):
        return repr(x)
    a = np.asarray(x.detach().numpy())
    return [str(a.dtype), list(a.shape), a.reshape(-1).tolist()]


def run(name: str, t: Any) -> dict[str, Any]:
    """{"refused": True}, or what came out: "out", "grad", "second", each of dtype, shape, values.

    grad: of the sum of all floating results; second: of the sum of all those gradients.
    """
    function, inputs = CASES[name]
    grad = t.grad if hasattr(t, "grad") and not hasattr(t, "autograd_mode") else t.autograd.grad
    tensors = []
    for value in inputs:
        a = np.array(value)
        x = t.tensor(a)
        if a.dtype.kind == "f":
            x.requires_grad_()
        tensors.append(x)
    try:
        outs = _flat(function(t, t.nn.functional, *tensors))
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError):
        return {"refused": True}
    result: dict[str, Any] = {"out": [_record(y) for y in outs]}
    leaves = [x for x in tensors if x.requires_grad]
    roots = [y for y in outs if hasattr(y, "requires_grad") and y.requires_grad]
    if leaves and roots:
        try:
            first = _derivative(t, grad, roots, leaves, True)
        except RuntimeError:  # torch accepts a label of shape (1,) for (C,), but only forwards
            return {"refused": True}
        result["grad"] = [_record(g) for g in first]
        roots = [g for g in first if g is not None and g.requires_grad]
        if roots:
            try:
                second = _derivative(t, grad, roots, leaves, False)
                result["second"] = [_record(g) for g in second]
            except (RuntimeError, NotImplementedError):
                pass
    return result


def _derivative(t: Any, grad: Any, roots: list[Any], leaves: list[Any], again: bool) -> Any:
    ones = [t.ones(tuple(y.shape), dtype=y.dtype) for y in roots]
    return grad(roots, leaves, ones, create_graph=again, allow_unused=True)
