"""A fingerprint of what minigrad computes: the results of 3,000 calls, hashed, and how far those
that have changed are from the truth.

    python -m tests.fingerprint                      a hash of this checkout's results
    python -m tests.fingerprint --out FILE           and of each call, in a file
    python -m tests.fingerprint --against FILE       compared with such a file
    python -m tests.fingerprint --against REVISION   compared with another revision (git)
    -k TEXT                                          only the calls whose name contains TEXT

Who changes how something is computed runs the one with REVISION: each result whose bits differ is
listed with its largest and its mean error before and after, in units of the last place, against the
same call in more digits. The exit code is 1 if one of them is farther from the truth than before,
or if that cannot be told.

The calls: every operation's samples as they stand in the table (small), drawn larger so that the
compiled loops run, and over the whole range of numbers for functions of single elements; shapes for
which the kernels have ways of their own; the layers; the optimisers; the article's programs for
some steps. Values, first and some second gradients, in float32 and float64. Only public names and
the table of operations are used, so that it runs with older revisions, too: the samples of both
are computed by both.

Not here: whether the results are right (`tests/ops/`, `tests/vectors/`), and how long they take
(`benchmarks/`).
"""
from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

HERE = Path(__file__).resolve().parent
THREADS = 2
LARGE = 200_000                # numbers in the largest array of a call drawn large
RAGGED = 131_101               # a prime: no vector, no chunk, no row comes out even
DTYPES = {"f32": np.float32, "f64": np.float64}

# Kernels behind an operation: they trust the places that they are given, which others would leave.
TRUSTING = {"max_pool2d_grad", "max_pool2d_pick"}

# Functions of rows that stand among those of single elements: an error there is a row's.
OF_ROWS = {"softmax", "log_softmax", "logsumexp", "softmin"}


# --- the operations and their samples ------------------------------------------------------------

def table() -> dict[str, Any]:
    """The table of operations, wherever the revision keeps it."""
    importlib.import_module("minigrad")
    for module in ("minigrad.autograd.op", "minigrad.op", "minigrad.autograd"):
        with contextlib.suppress(ImportError):
            found = getattr(importlib.import_module(module), "OPS", None)
            if found:
                return found
    raise SystemExit("fingerprint: found no table of operations (OPS)")


def small_samples() -> dict[str, list[tuple]]:
    """The arguments of every operation as its table draws them, from one seed."""
    draw = importlib.import_module("minigrad.ops.samples").Draw
    samples = {name: [tuple(s) for s in entry.samples(draw(0))]
               for name, entry in table().items() if entry.samples is not None}
    pickle.dumps(samples)                          # what cannot be passed on cannot be compared
    return samples


def public(name: str) -> Callable:
    """An operation by its name: from the table, or else as users call it."""
    import minigrad as mg
    if name in table():
        return table()[name].public
    for home in (mg, mg.nn.functional, mg.Tensor):
        if hasattr(home, name):
            return getattr(home, name)
    raise LookupError(name)


def each_array(args: Any, change: Callable[[ndarray], Any]) -> Any:
    """The arguments with `change` applied to each array, also inside lists, tuples and options."""
    if isinstance(args, ndarray):
        return change(args)
    if isinstance(args, (list, tuple)):
        return type(args)(each_array(x, change) for x in args)
    if isinstance(args, dict):
        return {k: each_array(x, change) for k, x in args.items()}
    return args


def enlarged(name: str, args: tuple, options: dict, seed: int) -> tuple | None:
    """The same arguments with every dimension (but those of size 1) multiplied by one factor, so
    that what fitted still fits: numbers between two of one sign, labels as they were. The factor is
    the largest that leaves arguments and results below LARGE numbers each."""
    arrays: list[ndarray] = []
    each_array(args, arrays.append)
    found = results(Call(name, lambda double: run_op(name, args, options, np.float64, double)))
    if isinstance(found, str) or not arrays or name in TRUSTING:
        return None
    factor = min((int((LARGE / x.size) ** (1 / sum(n > 1 for n in x.shape)))
                  for x in (*arrays, *found.values()) if x.size > 1), default=1)
    if factor < 2:
        return None
    rng = np.random.default_rng(seed)

    def grow(x: ndarray) -> ndarray:
        shape = tuple(n * factor if n > 1 else n for n in x.shape)
        if not x.size:
            return np.zeros(shape, x.dtype)
        a = rng.choice(x.ravel(), shape)
        if x.dtype.kind != "f" or not np.isfinite(x).all():
            return a.astype(x.dtype)
        b, t = rng.choice(x.ravel(), shape), rng.random(shape)
        return np.where(np.sign(a) == np.sign(b), a + t * (b - a), a).astype(x.dtype)
    return each_array(args, grow)


def whole_range(n: int, dtype: type, seed: int) -> ndarray:
    """Numbers of every size and sign, with zeros, subnormals, infinity and nan among them."""
    rng, limits = np.random.default_rng(seed), np.finfo(dtype)
    x = np.concatenate([
        rng.uniform(-1, 1, n // 4), rng.uniform(-12, 12, n // 4), rng.uniform(-120, 120, n // 4),
        rng.choice([-1, 1], n) * np.exp2(rng.uniform(limits.minexp, limits.maxexp - 1, n)),
    ])[:n].astype(dtype)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, limits.tiny, -limits.tiny / 4, limits.max,
                        -limits.max, 1, -1, 0.5, 1 + limits.eps, 1 - limits.epsneg, 20, -20, 88.5,
                        -104, 709.5, -745], dtype)
    x[rng.choice(n, len(special), replace=False)] = special
    return x


# Functions of one number in the words of mpmath (m), which has as many digits as it is asked for:
# the truth of what is computed in float64, its gradients too.
FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    **{name: (lambda m, x, n=name: getattr(m, n)(x)) for name in (
        "exp", "expm1", "log", "log10", "log1p", "sqrt", "sin", "cos", "tan", "asin", "acos",
        "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf")},
    "exp2": lambda m, x: m.mpf(2) ** x,
    "log2": lambda m, x: m.log(x, 2),
    "rsqrt": lambda m, x: 1 / m.sqrt(x),
    "reciprocal": lambda m, x: 1 / x,
    "square": lambda m, x: x * x,
    "sigmoid": lambda m, x: 1 / (1 + m.exp(-x)),
    "logsigmoid": lambda m, x: -m.log1p(m.exp(-x)),
    "softplus": lambda m, x: x if x > 20 else m.log1p(m.exp(x)),
    "elu": lambda m, x: x if x > 0 else m.expm1(x),
    "silu": lambda m, x: x / (1 + m.exp(-x)),
    "gelu": lambda m, x: x * m.ncdf(x),
}


def formula_errors(name: str, label: str, x: ndarray, arrays: list[ndarray]
                   ) -> list[tuple[int, float, float]] | None:
    """The errors of some arrays of one result of a function of one number, where they differ (at up
    to 2,000 places), or None if there is no truth: no formula, no mpmath, or not a number there."""
    if name not in FORMULAS or not label.startswith(("value", "gradient")):
        return None
    try:
        from mpmath import mp as m
    except ImportError:
        return None
    x, (a, b) = x.ravel(), (y.ravel() for y in arrays)
    at = np.flatnonzero((a != b) & ~((a != a) & (b != b)))
    at = at[:: 1 + len(at) // 2000]
    u = cotangents(name, x.dtype, [x.shape])[0] if label != "value 0" else None
    truth = np.zeros(len(at), np.longdouble)
    with m.workdps(60):
        for i, k in enumerate(at):
            z = m.mpf(float(x[k]))
            try:
                if u is None:
                    y = FORMULAS[name](m, z)
                else:
                    step = abs(z) * m.mpf(10) ** -25 if z else m.mpf(10) ** -400
                    y = m.mpf(float(u[k])) / (2 * step) * (
                        FORMULAS[name](m, z + step) - FORMULAS[name](m, z - step))
                high = float(y.real if hasattr(y, "real") else y)
                truth[i] = np.longdouble(high) + np.longdouble(float(y - m.mpf(high)))
            except (ValueError, ZeroDivisionError, OverflowError, TypeError):
                return None
    return [errors(y[at], truth, True) for y in (a, b)]


# --- one call ------------------------------------------------------------------------------------

class Call:
    """A call by its name: what it returns, as arrays with a label each. `digits` asks for the same
    call with the same numbers, computed in float64 (the truth of a float32 call)."""

    def __init__(self, name: str, run: Callable[[bool], dict[str, ndarray]], *,
                 elementwise: bool = False, exact: Callable | None = None,
                 x: ndarray | None = None) -> None:
        self.name, self.run, self.elementwise, self.exact = name, run, elementwise, exact
        self.x = x                                 # the one argument of a function of one number


def reference_of(entry: Any, args: tuple, options: dict) -> Callable[[], list[ndarray]] | None:
    """The operation's obvious version in long double, for the truth of float64 values."""
    if entry is None or entry.ref is None:
        return None
    wide = np.longdouble
    return lambda: [np.asarray(y) for y in leaves_of(entry.ref(
        *each_array(args, lambda x: x.astype(wide) if x.dtype.kind == "f" else x),
        **each_array(options, lambda x: x)))]


def leaves_of(y: Any) -> Iterator[Any]:
    if isinstance(y, (tuple, list)):
        for item in y:
            yield from leaves_of(item)
    else:
        yield y


def cotangents(name: str, dtype: Any, shapes: list[tuple[int, ...]]) -> list[ndarray]:
    """What the results' gradients are, the same in both precisions."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return [rng.uniform(-1, 1, shape).astype(np.float32).astype(dtype) for shape in shapes]


def run_op(name: str, args: tuple, options: dict, dtype: type, double: bool, *,
           second: bool = False) -> dict[str, ndarray]:
    """Value, first gradients and (of few numbers) second ones of an operation."""
    import minigrad as mg
    function = public(name)
    final = np.float64 if double else dtype
    entry = table().get(name)
    names = list(entry.parameters) if entry is not None else []
    hints = {n: str(p.annotation) for n, p in entry.parameters.items()} if entry is not None else {}
    leaves: list[Any] = []

    def tensor(x: ndarray) -> Any:
        floating = x.dtype.kind == "f"
        t = mg.Tensor(x.astype(dtype).astype(final) if floating else x.copy(),
                      requires_grad=floating)
        if floating:
            leaves.append(t)
        return t

    def given(i: int, a: Any) -> Any:
        hint = hints.get(names[min(i, len(names) - 1)], "Tensor") if names else "Tensor"
        if isinstance(a, type) and issubclass(a, np.floating):
            return a
        return each_array(a, tensor if "Tensor" in hint else lambda x: x.astype(final)
                          if x.dtype.kind == "f" else x.copy())
    passed = [given(i, a) for i, a in enumerate(args)]
    mg.manual_seed(0)
    y = function(*passed, **options)
    found = {f"value {i}": np.asarray(getattr(t, "array", t))
             for i, t in enumerate(leaves_of(y))}
    ys = [t for t in leaves_of(y) if isinstance(t, mg.Tensor) and t.requires_grad]
    if not ys:
        return found
    rng = np.random.default_rng(zlib.crc32(name.encode()) + 1)
    us = [mg.Tensor(u) for u in cotangents(name, ys[0].dtype, [t.shape for t in ys])]
    gs = mg.grad(ys, leaves, us, allow_unused=True, create_graph=second)
    found |= {f"gradient {i}": g.detach().numpy().copy() for i, g in enumerate(gs) if g is not None}
    again = [g for g in gs if g is not None and g.requires_grad]
    if second and again:
        vs = [mg.Tensor(rng.uniform(-1, 1, g.shape).astype(np.float32).astype(g.dtype))
              for g in again]
        found |= {f"second gradient {i}": g.numpy().copy() for i, g in enumerate(
            mg.grad(again, leaves, vs, allow_unused=True)) if g is not None}
    return found


def calls_of_ops(samples: dict[str, list[list[tuple]]]) -> Iterator[Call]:
    ops = table()
    for name, variants in samples.items():
        entry = ops.get(name)
        home = getattr(getattr(entry, "forward", None) or getattr(entry, "public", None),
                       "__module__", "")
        elementwise = home.rsplit(".", 1)[-1] in ("elementwise", "activation") \
            and name not in OF_ROWS
        for i, sample in enumerate(s for variant in variants for s in variant):
            options = sample[-1] if sample and isinstance(sample[-1], dict) else {}
            args = sample[:-1] if options else sample
            seed = zlib.crc32(f"{name} {i}".encode())
            large = enlarged(name, args, options, seed)
            for size, arguments in (("small", args), ("large", large)):
                if arguments is None:
                    continue
                for short, dtype in DTYPES.items():
                    yield Call(f"op {name} {size} {i} {short}",
                               lambda double, n=name, a=arguments, o=options, d=dtype, s=size:
                               run_op(n, a, o, d, double, second=s == "small"),
                               elementwise=elementwise,
                               exact=reference_of(entry, arguments, options)
                               if dtype is np.float64 else None,
                               x=arguments[0] if len(args) == 1 and not options else None)
            only = len(args) == 1 and not options and isinstance(args[0], ndarray) \
                and args[0].dtype.kind == "f"
            if elementwise and only and i == 0:
                for size in (67, RAGGED):
                    for short, dtype in DTYPES.items():
                        x = (whole_range(size, dtype, seed).astype(np.float64),)
                        yield Call(f"op {name} whole range of {size} {short}",
                                   lambda double, n=name, a=x, d=dtype: run_op(n, a, {}, d, double),
                                   elementwise=True, exact=reference_of(entry, x, {})
                                   if dtype is np.float64 else None, x=x[0])


# --- shapes for which the kernels have ways of their own -----------------------------------------

def calls_of_shapes() -> Iterator[Call]:
    """(operation, shapes of its tensors, options): the sizes decide which kernel runs."""
    listed: list[tuple[str, tuple, dict]] = []
    for n, c, h, f, k, options in [
            (4, 1, 28, 32, 3, dict(padding=1)), (4, 32, 14, 64, 3, dict(padding=1)),
            (2, 64, 8, 64, 3, dict(padding=1)), (2, 3, 33, 7, 3, {}),
            (2, 8, 17, 8, 5, dict(padding=2)),
            (2, 6, 19, 9, 3, dict(stride=2, padding=1)), (2, 16, 16, 16, 1, {}),
            (2, 64, 32, 64, 1, {}), (2, 4, 20, 6, 3, dict(dilation=2)),
            (2, 8, 16, 16, 3, dict(groups=4, padding=1)), (1, 1, 5, 2, 5, {}),
            (1, 48, 40, 24, 3, dict(padding=1)), (3, 2, 9, 3, 7, dict(padding=3)),
            (32, 1, 28, 32, 3, dict(padding=1))]:
        groups = options.get("groups", 1)
        listed.append(("conv2d", ((n, c, h, h), (f, c // groups, k, k), (f,)), options))
    for n, c, h, k in [(2, 16, 16, 3), (1, 8, 31, 5), (2, 33, 12, 3)]:
        listed.append(("conv2d", ((n, c, h, h), (c, 1, k, k), (c,)),
                       dict(groups=c, padding=k // 2)))
    for n, c, h, options in [(4, 32, 28, dict(kernel_size=2)), (2, 5, 19, dict(kernel_size=3)),
                             (2, 8, 30, dict(kernel_size=3, stride=2)),
                             (2, 8, 30, dict(kernel_size=3, stride=2, padding=1)),
                             (2, 4, 16, dict(kernel_size=2, stride=1)),
                             (1, 3, 64, dict(kernel_size=5, stride=3)),
                             (16, 32, 28, dict(kernel_size=2))]:
        listed.append(("max_pool2d", ((n, c, h, h),), options))
        listed.append(("avg_pool2d", ((n, c, h, h),), options))
    for rows, inner, columns in [(1, 784, 10), (64, 784, 256), (7, 31, 13), (128, 128, 128),
                                 (256, 64, 10), (1000, 3, 5)]:
        listed.append(("linear", ((rows, inner), (columns, inner), (columns,)), {}))
        listed.append(("matmul", ((rows, inner), (inner, columns)), {}))
    listed += [("matmul", ((8, 33, 17), (8, 17, 9)), {}), ("matmul", ((300,), (300,)), {}),
               ("matmul", ((200, 300), (300,)), {}), ("matmul", ((16, 64, 64), (64, 64)), {})]
    for shape in [(RAGGED,), (500, 333), (31, 7, 601)]:
        for dim in (None, *range(-len(shape), 0)):
            at = {} if dim is None else dict(dim=dim)
            for name in ("sum", "mean", "var", "std", "prod", "amax", "amin", "logsumexp", "norm"):
                if name == "logsumexp" and dim is None:
                    continue
                listed.append((name, (shape,), at))
            if dim is not None:
                listed += [(name, (shape,), at)
                           for name in ("softmax", "log_softmax", "cumsum", "sort", "argmax")]
    for shape in [(64, 10), (1000, 257), (4, 30, 11, 5)]:
        listed.append(("cross_entropy", (shape, "labels"), {}))
        listed.append(("cross_entropy", (shape, "labels"),
                       dict(label_smoothing=0.1, reduction="sum")))
        listed.append(("nll_loss", (shape, "labels"), {}))
    for shape in [(300,), (RAGGED,), (700, 300)]:
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
            listed.append((name, (shape, shape), {}))
        listed.append(("binary_cross_entropy_with_logits", (shape, "probabilities"), {}))
        listed += [(name, (shape, shape), {}) for name in ("add", "sub", "mul", "div", "maximum",
                                                           "minimum", "atan2")]
        listed += [(name, (shape, ()), {}) for name in ("add", "sub", "mul", "div")]
    for name in ("add", "mul", "div", "maximum"):
        listed += [(name, ((500, 333), (333,)), {}), (name, ((500, 1), (1, 333)), {})]

    for i, (name, shapes, options) in enumerate(listed):
        rng = np.random.default_rng(i)
        args: list[Any] = []
        for shape in shapes:
            first = shapes[0]
            if shape == "labels":
                args.append(rng.integers(first[1], size=(first[0], *first[2:])))
            elif shape == "probabilities":
                args.append(rng.uniform(0, 1, first))
            else:
                scale = 1.0 if len(shape) < 2 or name in ("add", "sub", "mul", "div") \
                    or len(args) == 0 else int(np.prod(shape[1:])) ** -0.5
                x = rng.standard_normal(shape) * scale
                args.append(1 + 0.01 * x if name == "prod" else x)
        text = " ".join("x".join(map(str, s)) if isinstance(s, tuple) else s for s in shapes)
        text += "".join(f" {k}={v}" for k, v in options.items())
        elementwise = name in ("add", "sub", "mul", "div", "maximum", "minimum", "atan2")
        for short, dtype in DTYPES.items():
            yield Call(f"shape {name} {text} {short}",
                       lambda double, n=name, a=tuple(args), o=options, d=dtype:
                       run_op(n, a, o, d, double), elementwise=elementwise,
                       exact=reference_of(table().get(name), tuple(args), options)
                       if dtype is np.float64 else None)


# --- layers, optimisers, programs ----------------------------------------------------------------

def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: type, final: type) -> ndarray:
    """Numbers that `dtype` holds, as `final`."""
    return rng.uniform(-1, 1, shape).astype(dtype).astype(final)


@contextlib.contextmanager
def default(dtype: type) -> Iterator[Any]:
    import minigrad as mg
    before = mg.get_default_dtype()
    mg.set_default_dtype(mg.float64 if dtype is np.float64 else mg.float32)
    try:
        yield mg
    finally:
        mg.set_default_dtype(before)


def filled(model: Any, rng: np.random.Generator, dtype: type, final: type) -> None:
    """Parameters drawn here, so that they are the same in both precisions."""
    import minigrad as mg
    model.load_state_dict({
        k: mg.tensor(numbers(rng, tuple(v.shape), dtype, final)
                     * np.asarray(0.5 ** (len(v.shape) > 1) * max(1, int(np.prod(v.shape[1:])))
                                  ** -0.5, final)) for k, v in model.state_dict().items()})


LAYERS: dict[str, tuple[Callable, list[tuple[int, ...]]]] = {
    "Linear": (lambda nn: nn.Linear(17, 9), [(5, 17), (3, 4, 17)]),
    "Conv2d": (lambda nn: nn.Conv2d(3, 8, 3, stride=2, padding=1), [(2, 3, 15, 15)]),
    "Conv2d, reflect": (lambda nn: nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"),
                        [(2, 2, 9, 9)]),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(3, 2, 1), [(2, 3, 15, 15)]),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(2), [(2, 3, 15, 15)]),
    "RNN": (lambda nn: nn.RNN(6, 12, batch_first=True), [(1, 7, 6), (32, 20, 6), (33, 5, 6)]),
    "RNN, relu, 2 layers, both ways": (
        lambda nn: nn.RNN(6, 12, num_layers=2, nonlinearity="relu", bidirectional=True),
        [(7, 3, 6), (40, 32, 6)]),
    "RNN, wide": (lambda nn: nn.RNN(100, 128, batch_first=True), [(32, 32, 100)]),
    "RNNCell": (lambda nn: nn.RNNCell(6, 12), [(5, 6)]),
    "ReLU after Conv2d, pooled": (lambda nn: nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)), [(1, 1, 28, 28),
                                                                     (20, 1, 28, 28)]),
    "Conv2d of 32 channels, pooled": (lambda nn: nn.Sequential(
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)), [(8, 32, 14, 14)]),
    **{name: (lambda nn, n=name: getattr(nn, n)(), [(7, 5), (300, 500)]) for name in (
        "ELU", "GELU", "LeakyReLU", "LogSigmoid", "ReLU", "Sigmoid", "SiLU", "Softplus", "Tanh")},
    "Softmax": (lambda nn: nn.Softmax(1), [(7, 5), (300, 500)]),
    "Dropout": (lambda nn: nn.Dropout(0.3), [(7, 5), (300, 500)]),
    "Sequential": (lambda nn: nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(),
                                            nn.Linear(256, 10)), [(64, 28, 28)]),
}


def run_layer(name: str, shape: tuple[int, ...], dtype: type, double: bool) -> dict[str, ndarray]:
    final = np.float64 if double else dtype
    with default(final) as mg:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        model = LAYERS[name][0](mg.nn)
        filled(model, rng, dtype, final)
        x = mg.tensor(2 * numbers(rng, shape, dtype, final), requires_grad=True)
        mg.manual_seed(0)
        ys = list(leaves_of(model(x)))
        us = [mg.tensor(numbers(rng, tuple(y.shape), dtype, final)) for y in ys]
        mg.autograd.backward(ys, us)
        return {**{f"value {i}": y.detach().numpy().copy() for i, y in enumerate(ys)},
                "gradient x": x.grad.numpy().copy(),
                **{f"gradient {k}": p.grad.numpy().copy() for k, p in model.named_parameters()}}


SGD: list[dict[str, Any]] = [
    dict(lr=0.1), dict(lr=0.1, momentum=0.9), dict(lr=0.1, momentum=0.9, nesterov=True),
    dict(lr=0.05, momentum=0.5, dampening=0.3), dict(lr=0.1, weight_decay=0.01, maximize=True),
    dict(lr=0.1, momentum=0.9, weight_decay=0.01)]


def run_steps(options: dict[str, Any], size: int, dtype: type, double: bool) -> dict[str, ndarray]:
    """Five steps of SGD with a schedule and clipped gradients."""
    final = np.float64 if double else dtype
    with default(final) as mg:
        rng = np.random.default_rng(size)
        parameters = [mg.nn.Parameter(mg.tensor(numbers(rng, s, dtype, final)))
                      for s in ((size,), (3, 7))]
        optimizer = mg.optim.SGD(parameters, **options)
        schedule = mg.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        norms = []
        for _ in range(5):
            for p in parameters:
                p.grad = mg.tensor(numbers(rng, tuple(p.shape), dtype, final))
            norms.append(mg.nn.utils.clip_grad_norm_(parameters, 3.0))
            optimizer.step()
            schedule.step()
        return {**{f"value of parameter {i}": p.detach().numpy().copy()
                   for i, p in enumerate(parameters)},
                "norms": np.array([float(x) for x in norms])}


def run_program(program: str, dtype: type, double: bool) -> dict[str, ndarray]:
    """Some steps of a program of the article."""
    final = np.float64 if double else dtype
    sys.path.insert(0, str(HERE / "vectors"))
    import article_runs
    steps, article_runs.STEPS = article_runs.STEPS, 20
    try:
        import minigrad as mg
        mg.manual_seed(0)
        drawn = article_runs.weights
        article_runs.weights = lambda p, shapes, d: {
            k: x.astype(dtype).astype(final) for k, x in drawn(p, shapes, d).items()}
        try:
            return {"losses": article_runs.losses(program, mg, np.dtype(final).name)}
        finally:
            article_runs.weights = drawn
    finally:
        article_runs.STEPS = steps
        sys.path.remove(str(HERE / "vectors"))


def calls_of_models() -> Iterator[Call]:
    for short, dtype in DTYPES.items():
        for name, (_, shapes) in LAYERS.items():
            for shape in shapes:
                yield Call(f"layer {name} of {'x'.join(map(str, shape))} {short}",
                           lambda double, n=name, s=shape, d=dtype: run_layer(n, s, d, double))
        for options in SGD:
            for size in (5, 300_007):
                text = ", ".join(f"{k}={v}" for k, v in options.items())
                yield Call(f"SGD of {size} numbers, {text} {short}",
                           lambda double, o=options, s=size, d=dtype: run_steps(o, s, d, double))
        for program in ("linear_regression", "cnn", "rnn"):
            yield Call(f"program {program} {short}",
                       lambda double, p=program, d=dtype: run_program(p, d, double))


# --- in each checkout ----------------------------------------------------------------------------

def results(call: Call, double: bool = False) -> dict[str, ndarray] | str:
    """What a call returns, or the error that it raises, as text."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return call.run(double)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def hashed(found: dict[str, ndarray] | str) -> dict[str, str]:
    """A hash of dtype, shape and bits for each result; nans count as one."""
    if isinstance(found, str):
        return {"refused": found}
    hashes = {}
    for label, x in found.items():
        x = np.array(x, order="C", copy=True)
        if x.dtype.kind == "f":
            x[np.isnan(x)] = np.nan
        text = f"{x.dtype.str} {x.shape} ".encode()
        hashes[label] = hashlib.blake2b(text + x.tobytes(), digest_size=8).hexdigest()
    return hashes


def worker(task: str, given: str, out: str) -> None:
    """Runs in the checkout that PYTHONPATH names. samples: draws. hash: hashes every call.
    keep: the arrays of some calls, and those of the truth."""
    import minigrad as mg
    mg.set_num_threads(THREADS)
    if task == "samples":
        Path(out).write_bytes(pickle.dumps(small_samples()))
        return
    samples, wanted = pickle.loads(Path(given).read_bytes())
    chosen = (c for source in (calls_of_ops(samples), calls_of_shapes(), calls_of_models())
              for c in source)
    if task == "hash":
        found = {c.name: hashed(results(c)) for c in chosen if wanted in c.name}
        Path(out).write_text(json.dumps(found, indent=0))
        return
    kept = {}
    for call in chosen:
        if call.name not in wanted:
            continue
        truth: Any = None
        if call.name.endswith("f32"):
            truth = results(call, double=True)
        elif call.exact is not None:
            try:
                with np.errstate(all="ignore"):
                    values = call.exact()
                truth = {f"value {i}": y for i, y in enumerate(values)}
            except Exception as error:                 # a reference that cannot: say so below
                truth = f"the reference: {type(error).__name__}: {error}"
        kept[call.name] = results(call), truth, call.elementwise, call.x
    Path(out).write_bytes(pickle.dumps(kept))


def run(task: str, tree: Path, folder: Path, given: Any = None) -> Any:
    """`worker` in a process of its own, with the minigrad of `tree`."""
    source, out = folder / "given", folder / "out"
    source.write_bytes(pickle.dumps(given))
    environment = dict(os.environ, PYTHONPATH=str(tree), MINIGRAD_QUIET="1")
    for name in ("MINIGRAD_NUM_THREADS", "OMP_NUM_THREADS"):
        environment.pop(name, None)
    subprocess.run([sys.executable, str(HERE / "fingerprint.py"), "--worker", task, str(source),
                    str(out)], env=environment, cwd=folder, check=True)
    return json.loads(out.read_text()) if task == "hash" else pickle.loads(out.read_bytes())


# --- comparing -----------------------------------------------------------------------------------

def errors(got: ndarray, truth: ndarray, elementwise: bool) -> tuple[int, float, float]:
    """How many numbers are infinite or nan where the truth is not, or the other way; of the others
    the largest and the mean error in units of the last place of got's dtype: of each element for
    functions of single elements, else (sums cancel) of what is typical for the result."""
    if got.shape != truth.shape:
        return max(1, got.size), np.inf, np.inf
    if got.dtype.kind != "f":
        return int((got != truth).sum()), 0.0, 0.0
    limits, wide = np.finfo(got.dtype), truth.astype(np.longdouble)
    with np.errstate(all="ignore"):
        rounded = wide.astype(got.dtype)               # what overflows is infinity there
    finite = np.isfinite(rounded) & np.isfinite(got)
    wrong = int((~finite & (got != rounded) & ~(np.isnan(got) & np.isnan(rounded))).sum())
    got, wide = got[finite].astype(np.longdouble), wide[finite]
    if not got.size:
        return wrong, 0.0, 0.0
    scale = np.abs(wide)
    if not elementwise:
        scale = np.maximum(scale, np.sqrt(np.mean(scale * scale)))
    _, exponent = np.frexp(np.maximum(scale, limits.tiny))
    ulps = np.abs(got - wide) / np.ldexp(np.longdouble(limits.eps), exponent - 1)
    return wrong, float(ulps.max()), float(ulps.mean())


def compared(name: str, before: tuple, after: tuple, label: str) -> tuple[str, str]:
    """(verdict, line) for one result of one call: verdicts are ok, worse, unknown."""
    (old, truth, elementwise, x), (new, truth_after, _, _) = before, after
    if isinstance(old, str) and isinstance(new, str):
        return "ok", f"another message: {old}\n{'':8}now: {new}"
    if isinstance(old, str):
        return "ok", f"was refused, is computed now ({old})"
    if isinstance(new, str) and new == f"LookupError: {name.split()[1]}":
        return "ok", "the operation is gone"
    if isinstance(new, str):
        return "worse", f"is refused now: {new}"
    if label not in old or label not in new:
        return "unknown", "is there only " + ("before" if label in old else "now")
    a, b = old[label], new[label]
    if a.dtype != b.dtype or a.shape != b.shape:
        return "worse", f"was {a.dtype} {a.shape}, is {b.dtype} {b.shape}"
    if not isinstance(truth, dict) or label not in truth:
        truth = truth_after
    _, apart, _ = errors(b, a, elementwise)
    differ = f"{((a != b) & ~((a != a) & (b != b))).sum()} of {a.size} differ"
    if a.dtype == np.float64 and x is not None:
        found = formula_errors(name.split()[1], label, x, [a, b])
        if found:
            return judged(differ, *found)
    if not isinstance(truth, dict) or label not in truth:
        why = f" ({truth})" if isinstance(truth, str) else ""
        return "unknown", f"{differ}, by up to {apart:.3g} ulp; nothing tells which is nearer{why}"
    return judged(differ, *(errors(y, truth[label], elementwise) for y in (a, b)))


def judged(differ: str, before: tuple[int, float, float], after: tuple[int, float, float]
           ) -> tuple[str, str]:
    """The verdict on the errors before and after. Half a unit is what rounding costs."""
    (wrong, most, mean), (wrong_now, most_now, mean_now) = before, after
    worse = wrong_now > wrong or (most_now > most and (most_now > 0.5 or mean_now > mean))
    text = f"{differ}; largest error {most:.4g} -> {most_now:.4g} ulp, mean {mean:.4g} -> " \
           f"{mean_now:.4g}"
    if wrong or wrong_now:
        text += f", wrongly infinite, nan or finite {wrong} -> {wrong_now}"
    return "worse" if worse else "ok", text


def against_revision(revision: str, wanted: str, folder: Path) -> tuple[dict, int]:
    """Runs both checkouts. Returns this one's hashes and the exit code."""
    repository = HERE.parent
    other = folder / "other"
    git = ["git", "-C", str(repository), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(other), revision], check=True)
    try:
        drawn = [run("samples", tree, folder) for tree in (other, repository)]
        union = {name: [samples[name] for samples in drawn if name in samples]
                 for name in {**drawn[0], **drawn[1]}}
        for variants in union.values():
            if len(variants) == 2 and pickle.dumps(variants[0]) == pickle.dumps(variants[1]):
                del variants[1]
        old, new = (run("hash", tree, folder, (union, wanted)) for tree in (other, repository))
        apart = {name for name in old.keys() & new.keys() if old[name] != new[name]}
        keep = (sorted(apart),)
        kept = [run("keep", tree, folder, (union, set(*keep))) for tree in (other, repository)] \
            if apart else [{}, {}]
    finally:
        subprocess.run([*git, "remove", "--force", str(other)], check=True)
    counts = {"ok": 0, "worse": 0, "unknown": 0}
    for name in (n for n in old if n in apart):
        labels = [x for x in {**old[name], **new[name]} if old[name].get(x) != new[name].get(x)]
        for label in ["refused"] if "refused" in labels else labels:
            verdict, line = compared(name, kept[0][name], kept[1][name], label)
            counts[verdict] += 1
            print(f"{verdict:8}{name}, {label}: {line}")
    for title, one, two in (("only before", old, new), ("only now", new, old)):
        for name in one:
            if name not in two:
                print(f"{title}: {name}")
    same = sum(old[n] == new[n] for n in old.keys() & new.keys())
    print(f"{same} calls have the bits of {revision}; in {len(apart)} others {counts['ok']} "
          f"results are no farther from the truth, {counts['worse']} are farther, "
          f"{counts['unknown']} cannot be judged")
    return new, int(counts["worse"] + counts["unknown"] > 0 or old.keys() > new.keys())


def against_file(file: Path, found: dict) -> int:
    """Compares with stored hashes, which cannot say which is nearer to the truth."""
    stored = json.loads(file.read_text())["calls"]
    apart = [n for n in stored if n in found and stored[n] != found[n]]
    for name in apart:
        labels = [x for x, h in stored[name].items() if h != found[name].get(x)]
        print(f"differs: {name}: {', '.join(labels)}")
    for name in stored.keys() - found.keys():
        print(f"only before: {name}")
    print(f"{len(found.keys() & stored.keys()) - len(apart)} calls have the stored bits, "
          f"{len(apart)} differ; --against REVISION says how far they are from the truth")
    return int(bool(apart or stored.keys() - found.keys()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fingerprint",
                                     description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all hashes to a file")
    parser.add_argument("--against", metavar="FILE_OR_REVISION", help="compare with these results")
    parser.add_argument("-k", default="", metavar="TEXT", help="only calls with TEXT in their name")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker)
        return 0
    file = Path(options.against) if options.against else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if file is not None and not file.is_file():
            found, code = against_revision(options.against, options.k, folder)
        else:
            drawn = {n: [s] for n, s in run("samples", HERE.parent, folder).items()}
            found, code = run("hash", HERE.parent, folder, (drawn, options.k)), 0
            if file is not None:
                code = against_file(file, found)
    text = json.dumps(found, indent=0, sort_keys=True)
    print(f"{len(found)} calls at {THREADS} threads: {hashlib.sha256(text.encode()).hexdigest()}")
    if options.out:
        options.out.write_text(json.dumps({"threads": THREADS, "calls": found}, indent=0) + "\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
