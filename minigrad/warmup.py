"""Compiles ahead what the first steps of a model would otherwise wait for.

    python -m minigrad warmup          or, in a program:  minigrad.warmup.warmup()

Which kernels for which types? No list could stay complete. So this runs what users run, forward and
backward: every operation on its samples (small, and long where it works element by element, since
short arrays may be left to NumPy), then the layers at the sizes of real models. Whatever kernels
that reaches lie in the cache afterwards.

Not here: how a kernel is compiled (kernels/jit/kernel.py) and kept (kernels/jit/cache.py).
"""
from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import nn
from .autograd.engine import Tensor, backward
from .kernels.jit.kernel import events
from .kernels.parallel.threads import compiling_ahead
from .modes import no_grad
from .autograd.op import OPS, Op
from .ops.random import get_rng_state, set_rng_state
from .ops.samples import Draw
from .optim import SGD

_LONG = 1 << 18      # elements: from here on all have a loop (tuning.LOOP_OF_THREADS)

Step = tuple[str, Callable[[], None]]


class Report(NamedTuple):
    """What a warmup did: kernels compiled, kernels found in the cache, seconds."""
    compiled: int
    found: int
    seconds: float


def warmup(dtypes: Iterable[Any] = (np.float32,),
           progress: Callable[[list[Step]], Iterable[Step]] = iter) -> Report:
    """Compiles the kernels that common models need, or finds them compiled.

    dtypes: for which numbers, np.float32 and/or np.float64 (default float32 alone).
    progress: wraps the list of (name, function) that is worked off, as tqdm does.

    The random numbers of the calling thread stay as they were.
    """
    before, start, state = events.copy(), time.perf_counter(), get_rng_state()
    try:
        for _, run in progress([step for dtype in dtypes for step in _steps(np.dtype(dtype))]):
            with np.errstate(all="ignore"), compiling_ahead():
                run()
    finally:
        set_rng_state(state)
    return Report(events["compiled"] - before["compiled"], events["loaded"] - before["loaded"],
                  time.perf_counter() - start)


def _steps(dtype: np.dtype) -> Iterator[Step]:
    for entry in list(OPS.values()):
        if entry.samples is not None:
            yield entry.name, functools.partial(_run_samples, entry, dtype)
    for name, layer, shapes in _layers():
        yield name, functools.partial(_run_layer, layer, shapes, dtype)
    for options in ({}, {"momentum": 0.9}, {"weight_decay": 0.1},
                    {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}):
        yield f"SGD {options or ''}", functools.partial(_run_sgd, options, dtype)


# Every operation, on the samples that stand beside it.

def _run_samples(entry: Any, dtype: np.dtype) -> None:
    for sample in entry.samples(Draw(0)):
        args, options = list(sample), {}
        if args and isinstance(args[-1], dict):
            options = args.pop()
        y = _differentiate(entry.public, _as_tensors(entry, args, dtype), options)
        arrays = [a for a in args if isinstance(a, np.ndarray) and a.ndim]
        if len({a.shape for a in arrays}) == 1 and arrays[0].size > 0 and (
                isinstance(y, Tensor) and y.shape in (arrays[0].shape, ())):
            times = -(-_LONG // arrays[0].size)
            longer = [np.concatenate([a] * times) if isinstance(a, np.ndarray) and a.ndim else a
                      for a in args]
            # Not if an option speaks of the old shape: a reshape, a pad, a square matrix.
            with contextlib.suppress(ValueError, TypeError, IndexError, RuntimeError):
                _differentiate(entry.public, _as_tensors(entry, longer, dtype), options)


def _as_tensors(entry: Any, args: list, dtype: np.dtype) -> list:
    """The arguments with a Tensor for each array that is meant to be one."""
    meant = entry.tensors if isinstance(entry, Op) else [
        p.name for p in entry.parameters.values() if "Tensor" in str(p.annotation)]

    def tensor(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        floating = x.dtype.kind == "f"
        return Tensor(x.astype(dtype) if floating else x, requires_grad=floating)
    made = []
    for name, a in zip(entry.parameters, args):
        if name in meant:
            a = type(a)(map(tensor, a)) if isinstance(a, (list, tuple)) else tensor(a)
        made.append(a)
    return made + args[len(made):]


def _differentiate(function: Callable, args: list, options: dict) -> Any:
    """Runs a function and the rules of all its arguments, with gradients that are arrays and with
    one number repeated, as a sum's is; returns the result."""
    out = function(*args, **options)
    several = out if isinstance(out, (tuple, list)) else [out]
    found = [y for y in several if isinstance(y, Tensor) and y.requires_grad]
    if found:
        backward(found, [np.ones(y.shape, y.dtype) for y in found], retain_graph=True)
        sums = [y.sum() for y in found]
        sum(sums[1:], sums[0]).backward()
    return out


# Layers and small models, at sizes where the kernels take over from NumPy.

def _layers() -> Iterator[tuple[str, nn.Module, Sequence[tuple[int, ...]]]]:
    """Names, layers and the shapes of the inputs that each shall see."""
    for inputs, outputs in ((784, 256), (1568, 128), (512, 10), (2048, 1), (1, 2048)):
        rows = [(n, inputs) for n in (1, 2, 6, 16, 64, 512)]
        yield f"Linear({inputs}, {outputs})", nn.Linear(inputs, outputs), rows
    yield "Linear without bias", nn.Linear(784, 256, bias=False), [(64, 784)]

    options: Any
    for c, f, size, options in (
            (1, 32, 28, dict(kernel_size=3, padding=1)), (1, 6, 28, dict(kernel_size=5)),
            (3, 64, 32, dict(kernel_size=7, stride=2, padding=3)),
            (32, 64, 14, dict(kernel_size=3, padding=1)), (64, 64, 28, dict(kernel_size=3)),
            (16, 32, 28, dict(kernel_size=5, padding=2)), (64, 32, 14, dict(kernel_size=1)),
            (32, 64, 28, dict(kernel_size=3, stride=2, padding=1)),
            (32, 64, 28, dict(kernel_size=1, stride=2)),
            (16, 16, 28, dict(kernel_size=3, dilation=2)), (64, 1, 14, dict(kernel_size=3)),
            (32, 32, 28, dict(kernel_size=3, padding=1, groups=32)),
            (32, 64, 28, dict(kernel_size=3, stride=2, groups=32)),
            (32, 32, 14, dict(kernel_size=3, padding=1, groups=4)),
            (16, 32, 28, dict(kernel_size=3, padding=1, bias=False))):
        about = "".join(f", {k}={v}" for k, v in options.items())
        layer = nn.Conv2d(c, f, **options)
        yield f"Conv2d({c}, {f}{about})", layer, [(n, c, size, size) for n in (1, 16)]

    for pool in (nn.MaxPool2d(2), nn.MaxPool2d(3, 2), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2),
                 nn.AvgPool2d(3, 2, 1)):
        yield type(pool).__name__, pool, [(4, 16, 28, 28)]

    for activation in (nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.GELU(), nn.SiLU(), nn.Softplus(),
                       nn.Softmax(-1), nn.LogSoftmax(-1)):
        shapes = [(2, 3), (64, 10), (512, 512), (4, 8, 64, 64)]
        yield type(activation).__name__, activation, shapes

    for kind in ("tanh", "relu"):
        for size, hidden in ((1, 32), (100, 128)):
            rnn = nn.RNN(size, hidden, nonlinearity=kind, batch_first=True)
            yield f"RNN, {kind}", rnn, [(n, t, size) for n, t in ((1, 1), (1, 32), (32, 32))]

    yield "layer norm, written out", _LayerNorm(1024), [(4, 1024), (256, 1024)]

    cnn = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))
    yield "a convolutional network", _Classifier(cnn), [(n, 1, 28, 28) for n in (1, 8, 64)]
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    yield "a network of linear layers", _Classifier(mlp), [(n, 784) for n in (1, 8, 64)]


def _run_sgd(options: dict[str, Any], dtype: np.dtype) -> None:
    w = nn.Parameter(Tensor(np.zeros(_LONG, dtype)))
    optimizer = SGD([w], lr=0.1, **options)
    for _ in range(2):           # the first step of momentum differs from the others
        w.grad = Tensor(np.ones(_LONG, dtype))
        optimizer.step()


class _Classifier(nn.Module):
    """A network and the loss that such networks learn from."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        scores = self.network(x)
        return nn.functional.cross_entropy(scores, Tensor(np.arange(len(x)) % scores.shape[1]))


class _LayerNorm(nn.Module):
    """A matrix beside a row and beside a column: the arithmetic that broadcasts in most models, for
    which there are loops apart (samples are lengthened only where all arrays have one shape)."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(Tensor(np.ones(columns)))
        self.bias = nn.Parameter(Tensor(np.zeros(columns)))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        return centred / (variance + 1e-5).sqrt() * self.weight + self.bias


def _run_layer(layer: nn.Module, shapes: Sequence[tuple[int, ...]], dtype: np.dtype) -> None:
    layer.to(dtype)
    for shape in shapes:
        x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
        with no_grad():
            layer(Tensor(x))
        # A first layer's input needs no gradient, that of the others does: both are common.
        for requires_grad in (False, True):
            _differentiate(layer, [Tensor(x, requires_grad=requires_grad)], {})
