"""Random numbers: generators that can be seeded and stored, the functions that draw, and dropout.

Each thread has a default generator; `generator=` takes another. Equal seeds draw equal numbers on
every machine (PCG64), though not the numbers that torch draws. Drawing is not differentiable.
"""
from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.construct import to_array
from ..autograd.engine import Tensor, wrap
from ..foreign import got, named
from ..autograd.op import composite, op
from ..promotion import WIDE, as_own, dtype_named, refuse_unfit
from .inplace import copy_
from .creation import dtype_or_default, new_leaf, shape_of

# --- generators ----------------------------------------------------------------------------------


class Generator:
    """A source of random numbers with a state of its own.

    A new one is seeded from the operating system; manual_seed makes it repeat itself.
    """
    numpy: np.random.Generator

    def __init__(self, device: Any = "cpu") -> None:
        if str(device) != "cpu":
            raise ValueError(f"Generator: minigrad computes on the CPU only, got device {device!r}")
        self.seed()

    def manual_seed(self, seed: int) -> Generator:
        """Starts anew from a seed, any integer; returns the generator itself.

        Raises: TypeError if the seed is not an integer.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"manual_seed: the seed must be an integer, got {seed!r}")
        self._seed = int(seed)
        # NumPy takes no negative seeds; torch maps them to the upper half of 64 bits.
        self.numpy = np.random.Generator(np.random.PCG64(self._seed % 2 ** 64))
        return self

    def seed(self) -> int:
        """Starts anew from a seed that the operating system gives, and returns it."""
        entropy = np.random.SeedSequence().entropy
        self.manual_seed(int(entropy) % 2 ** 63)                 # type: ignore[arg-type]
        return self._seed

    def initial_seed(self) -> int:
        """The seed from which the generator last started."""
        return self._seed

    def get_state(self) -> dict:
        """The state as a dict of numbers and strings, which JSON and pickle can store."""
        return {"seed": self._seed, "numpy": copy.deepcopy(self.numpy.bit_generator.state)}

    def set_state(self, state: dict) -> None:
        """Goes on from a state that get_state returned.

        Raises: ValueError if it is no such state.
        """
        try:
            self.numpy.bit_generator.state = state["numpy"]
            self._seed = int(state["seed"])
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"set_state: want what get_state() returned, got "
                             f"{type(state).__name__} ({error!r})") from None

    def __deepcopy__(self, memo: dict) -> Generator:
        new = Generator()
        new.set_state(self.get_state())
        return new

    def __reduce__(self) -> Any:
        return _generator_from, (self.get_state(),)

    def __repr__(self) -> str:
        return f"Generator(initial_seed={self._seed})"


def _generator_from(state: dict) -> Generator:
    new = Generator()
    new.set_state(state)
    return new


class _Default(threading.local):
    """The default generator of the calling thread, made when the thread first draws."""

    generator: Generator | None = None


_default = _Default()


def default_generator() -> Generator:
    """The generator of the calling thread that draws where no generator is given."""
    if _default.generator is None:
        _default.generator = Generator()       # not earlier: to import numpy.random takes 8 ms
    return _default.generator


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator of the calling thread and returns it. Other threads keep theirs.

    Raises: TypeError if the seed is not an integer.
    """
    return default_generator().manual_seed(seed)


def initial_seed() -> int:
    """The seed from which the default generator of the calling thread last started."""
    return default_generator().initial_seed()


def get_rng_state() -> dict:
    """The state of the default generator of the calling thread, for set_rng_state."""
    return default_generator().get_state()


def set_rng_state(state: dict) -> None:
    """The default generator of the calling thread goes on from a state of get_rng_state.

    Raises: ValueError if it is no such state.
    """
    default_generator().set_state(state)


def _source(name: str, generator: Any) -> np.random.Generator:
    if generator is None:
        return default_generator().numpy
    if not isinstance(generator, Generator):
        raise TypeError(f"{name}: generator must be a minigrad.Generator, got "
                        f"{named(generator)}; write Generator().manual_seed(seed)")
    return generator.numpy


# --- drawing -------------------------------------------------------------------------------------

def _floats(draw: Callable, shape: tuple[int, ...], dtype: np.dtype) -> ndarray:
    """draw(size, dtype) in float32 or float64, the two that NumPy draws; other dtypes converted."""
    native = dtype if dtype in (np.float32, np.float64) else np.dtype(np.float32)
    return np.asarray(draw(shape, dtype=native)).astype(dtype, copy=False)


def _float_dtype(name: str, dtype: Any) -> np.dtype:
    found = dtype_or_default(name, dtype)
    if found.kind != "f":
        raise TypeError(f"{name}: want a floating dtype, got {found}; use randint for integers")
    return found


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """Uniform numbers, 0 <= x < 1: rand(2, 3) or rand((2, 3)).

    Raises: TypeError for an integer dtype; ValueError for a negative size.
    """
    draw = _source("rand", generator).random
    dtype = _float_dtype("rand", dtype)
    array = _floats(draw, shape_of("rand", size), dtype)
    if dtype in WIDE:                              # 0.9999 was rounded to 1
        array = np.minimum(array, np.nextafter(dtype.type(1), dtype.type(0)))
    return new_leaf("rand", array, device, requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
          requires_grad: bool = False) -> Tensor:
    """Normal numbers of mean 0 and variance 1: randn(2, 3) or randn((2, 3)).

    Raises: TypeError for an integer dtype; ValueError for a negative size.
    """
    draw = _source("randn", generator).standard_normal
    array = _floats(draw, shape_of("randn", size), _float_dtype("randn", dtype))
    return new_leaf("randn", array, device, requires_grad)


def randint(low: Any = 0, high: Any = None, size: Any = None, *, generator: Generator | None = None,
            dtype: Any = np.int64, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Integers, low <= x < high, all equally likely; low may be left out.

    randint(high, size) or randint(low, high, size), in order or by name.

    Raises: ValueError if there is no integer from low to high - 1; TypeError if size is missing.
    """
    if size is None:
        low, high, size = 0, low, high             # randint(high, size)
    elif high is None:
        low, high = 0, low                         # randint(high, size=size)
    if size is None or isinstance(size, int):
        raise TypeError(f"randint: size must be a tuple of integers, got {size!r}: write "
                        "randint(low, high, (n,))")
    if not low < high:
        raise ValueError(f"randint: want low < high, got {low} and {high}: there is no integer "
                         "between")
    dtype = dtype_named("randint", dtype)
    refuse_unfit("randint", dtype, int(low), int(high) - 1)
    array = _source("randint", generator).integers(low, high, shape_of("randint", (size,)))
    array = np.asarray(array).astype(dtype, copy=False)
    return new_leaf("randint", array, device, requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = np.int64,
             device: Any = None) -> Tensor:
    """The integers 0 .. n - 1 in random order.

    Raises: ValueError if n is negative.
    """
    if n < 0:
        raise ValueError(f"randperm: n must be 0 or more, got {n}")
    dtype = dtype_named("randperm", dtype)
    order = _source("randperm", generator).permutation(n).astype(dtype, copy=False)
    return new_leaf("randperm", order, device, False)


def rand_like(input: Tensor, *, generator: Generator | None = None, dtype: Any = None,
              requires_grad: bool = False) -> Tensor:
    """rand with the shape and, unless given, the dtype of input."""
    return rand(np.shape(input), generator=generator, dtype=input.dtype if dtype is None else dtype,
                requires_grad=requires_grad)


def randn_like(input: Tensor, *, generator: Generator | None = None, dtype: Any = None,
               requires_grad: bool = False) -> Tensor:
    """randn with the shape and, unless given, the dtype of input."""
    return randn(np.shape(input), generator=generator,
                 dtype=input.dtype if dtype is None else dtype, requires_grad=requires_grad)


def randint_like(input: Tensor, low: int, high: int | None = None, *,
                 generator: Generator | None = None, dtype: Any = None) -> Tensor:
    """randint(low, high), or randint(high), with the shape and, unless given, the dtype of
    input."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, np.shape(input), generator=generator,
                   dtype=input.dtype if dtype is None else dtype)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
           dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal numbers of this mean and standard deviation.

    mean, std: numbers (then with `size`), or tensors that broadcast: one number for each place.

    Raises: ValueError if a std is negative, or nothing gives a shape.
    """
    m, s = (v.array if isinstance(v, Tensor) else v for v in (mean, std))
    if np.size(s) and np.min(s) < 0:
        raise ValueError(f"normal: std must be 0 or more, got {np.min(s)}")
    if size is None and not isinstance(m, ndarray) and not isinstance(s, ndarray):
        raise ValueError("normal: mean and std are numbers, so size is needed: normal(0.0, 1.0, "
                         "(n,))")
    shape = np.broadcast_shapes(np.shape(m), np.shape(s)) if size is None \
        else shape_of("normal", (size,))
    if dtype is None:
        dtype = next((v.dtype for v in (m, s) if isinstance(v, ndarray) and v.dtype.kind == "f"),
                     None)
    dtype = _float_dtype("normal", dtype)
    array = _floats(_source("normal", generator).standard_normal, shape, dtype)
    return new_leaf("normal", (array * s + m).astype(dtype, copy=False), None, requires_grad)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that input holds, else 0, in the shape and dtype of input.

    Not differentiable: the result has no history.

    Raises: ValueError for a probability outside 0 .. 1; TypeError for an integer tensor.
    """
    p = input.array if isinstance(input, Tensor) else to_array(input)
    if p.dtype.kind != "f":
        raise TypeError(f"bernoulli: want floating probabilities, got {p.dtype}; to draw with one "
                        "p use x.bernoulli_(p)")
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(f"bernoulli: probabilities must be from 0 to 1, got values from {p.min()} "
                         f"to {p.max()}; for logits use x.sigmoid()")
    drawn = _floats(_source("bernoulli", generator).random, p.shape,
                    WIDE.get(p.dtype, p.dtype)) < p              # in float16 it may be 1
    return wrap(drawn.astype(p.dtype))


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *,
                generator: Generator | None = None) -> Tensor:
    """Indices drawn with the probabilities input[i] / sum(input); of each row if it is a matrix.

    input: weights >= 0, (n,) or (rows, n) -> (num_samples,) or (rows, num_samples) integers.
    replacement: whether an index may be drawn again.

    Raises: ValueError for negative or infinite weights, a row of zeros, or (without replacement)
    fewer weights > 0 than num_samples.
    """
    w = (input.array if isinstance(input, Tensor) else np.asarray(input)).astype(np.float64)
    if w.ndim not in (1, 2):
        raise ValueError(f"multinomial: want weights (n,) or (rows, n), got shape {w.shape}")
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError("multinomial: weights must be finite and 0 or more, got values from "
                         f"{w.min()} to {w.max()}; for logits use x.softmax(-1)")
    if num_samples < 1:
        raise ValueError(f"multinomial: num_samples must be positive, got {num_samples}")
    possible = int(np.count_nonzero(w, axis=-1).min(initial=w.shape[-1])) if w.size else 0
    if not possible or (not replacement and num_samples > possible):
        raise ValueError(f"multinomial: {num_samples} samples from {possible} weights that are not "
                         "0"
                         + ("" if replacement or not possible else "; pass replacement=True"))
    rng, rows = _source("multinomial", generator), w.reshape(-1, w.shape[-1])
    if replacement:
        ends = np.cumsum(rows, axis=1)
        u = rng.random((len(rows), num_samples)) * ends[:, -1:]
        drawn = np.stack([np.searchsorted(e, x, side="right") for e, x in zip(ends, u)])
        # Rounding may put u at the very end; the last index with a weight is meant.
        last = rows.shape[1] - 1 - np.argmax(rows[:, ::-1] > 0, axis=1)
        drawn = np.minimum(drawn, last[:, None])
    else:
        # Exponential races: the first k of arrival times E / w are k draws without replacement.
        with np.errstate(divide="ignore"):
            times = rng.standard_exponential(rows.shape) / rows
        times[rows == 0] = math.inf
        drawn = np.argsort(times, axis=1, kind="stable")[:, :num_samples]
    return wrap(drawn.astype(np.int64).reshape(*w.shape[:-1], num_samples))


# --- in place ------------------------------------------------------------------------------------

def _fill(name: str, self: Tensor, draw: Callable) -> Tensor:
    if self.array.dtype.kind != "f":
        raise TypeError(f"{name}: want a floating tensor, got {self.dtype}")
    return copy_(self, wrap(_floats(draw, self.shape, self.dtype)))


def uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *,
             generator: Generator | None = None, **bounds: float) -> Tensor:
    """Fills the tensor with uniform numbers, from <= x < to, and returns it.

    Raises: ValueError if from > to, or for a leaf that requires grad (use it under no_grad);
    TypeError for an integer tensor.
    """
    low = bounds.pop("from", from_)                # torch's name is a keyword: **{"from": -1}
    if bounds:
        raise TypeError(f"uniform_: unknown arguments {sorted(bounds)}")
    if low > to:
        raise ValueError(f"uniform_: want from <= to, got {low} and {to}")
    draw = _source("uniform_", generator).random
    span, low = float(to) - float(low), float(low)
    return _fill("uniform_", self, lambda shape, dtype: draw(shape, dtype=dtype) * span + low)


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
            ) -> Tensor:
    """Fills the tensor with normal numbers of this mean and standard deviation, and returns it.

    Raises: ValueError if std is negative, or for a leaf that requires grad (use it under no_grad);
    TypeError for an integer tensor.
    """
    if std < 0:
        raise ValueError(f"normal_: std must be 0 or more, got {std}")
    draw, mean, std = _source("normal_", generator).standard_normal, float(mean), float(std)
    return _fill("normal_", self, lambda shape, dtype: draw(shape, dtype=dtype) * std + mean)


def bernoulli_(self: Tensor, p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with 1 (probability p) and 0, and returns it.

    Raises: ValueError unless 0 <= p <= 1, or for a leaf that requires grad (use it under no_grad).
    """
    _check_p("bernoulli_", p)
    drawn = _source("bernoulli_", generator).random(self.shape, dtype=np.float32) < p
    return copy_(self, wrap(np.asarray(drawn).astype(self.dtype)))


# --- dropout -------------------------------------------------------------------------------------

def _check_p(name: str, p: float) -> None:
    if not isinstance(p, (int, float, np.number)):
        raise TypeError(f"{name}: p must be a number, got {type(p).__name__}")
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p is a probability, want 0 <= p <= 1, got {p}")


@op(samples=lambda r: [(r(3, 4), 1.25 * r.mask(3, 4)), (r(2, 3, 4), 2.0 * r.mask(2, 1, 4))],
    ref=np.multiply)
def scale_by(input: Tensor, factor: Any) -> Tensor:
    """input * factor, an array that is a constant: nothing of input is saved for the derivative."""
    return input * factor
scale_by.vjp(input=lambda g, factor: scale_by(g, factor))


@composite(samples=lambda r: [(r(3, 4), {"training": False}), (r(3, 4), 0.0), (r(3, 4), 1.0)],
           ref=lambda x, p=0.5, training=True: x * 0 if training and p == 1 else x)
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *,
            generator: Generator | None = None) -> Tensor:
    """In training, zero with probability p, else input / (1 - p), so that the mean stays; else
    input.

    p: 0 to 1; p = 1 gives zeros with zero gradient. inplace: as input.become(result), for torch's
    sake; it saves no memory here.

    Raises: ValueError unless 0 <= p <= 1; TypeError for an integer input.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014).
    """
    return _dropped("dropout", input, p, training, inplace, generator, np.shape(input))


@composite(samples=lambda r: [(r(2, 3, 4, 2), {"training": False}), (r(2, 3, 4), 0.0)],
           ref=lambda x, p=0.5, training=True: x)
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *,
              generator: Generator | None = None) -> Tensor:
    """dropout of whole channels: (N, C, H, W) or (N, C, L) lose all of [n, c] at once.

    Raises: as dropout; ValueError for fewer than 3 dimensions.
    """
    shape = np.shape(input)
    if len(shape) < 3:
        raise ValueError(f"dropout2d: want (N, C, H, W), got shape {shape}; use dropout for "
                         "elements")
    return _dropped("dropout2d", input, p, training, inplace, generator,
                    shape[:2] + (1,) * (len(shape) - 2))


def _dropped(name, input, p, training, inplace, generator, shape):
    _check_p(name, p)
    if not isinstance(input, (Tensor, np.ndarray)):
        raise TypeError(f"{name}: want a Tensor, got "
                        + got(input, "; make it one with minigrad.tensor(...)"))
    if isinstance(input, np.ndarray):
        input = as_own(name, input)
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: want a floating tensor, got {input.dtype}; convert it first: "
                        "x.float()")
    if not training or p == 0:
        return input
    # One pass makes the mask and another scales it to 0 or 1 / (1 - p): one multiplication remains.
    kept = _source(name, generator).random(shape, dtype=np.float32) >= p if p < 1 \
        else np.zeros(shape, bool)
    factor = np.multiply(kept, 1.0 / (1.0 - p) if p < 1 else 0.0,
                         dtype=WIDE.get(input.dtype, input.dtype))
    out = scale_by(input, factor)
    return input.become(out) if inplace and isinstance(input, Tensor) else out
