"""Words for several numbers at once, for rows too short or too crooked for the compiler's vectors.

A loop over a row of 28 numbers becomes, by LLVM's own choice, three vectors of 8 and four single
numbers, and a row of 7 no vector at all; the leftovers cost more than the vectors. With a mask a
row of 7 or 14 is one instruction like a row of 16. So a kernel may say itself, with these words:

    v = load(x, at, 0, n)        # the n numbers x[at], x[at + 1], ...; the other lanes are 0
    store(y, at, 0, n, v * 2.0)  # the n first lanes

Vectors add, multiply, compare (the result is a mask) and so on with the usual operators, beside
vectors or single numbers. Such a kernel is made with `@vector_jit`. Under NUMBA_DISABLE_JIT the
words run as they are written here, on small arrays.

Not here: what LLVM makes of each word (vector_llvm.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..jit import Kernel
from .math import exp as one_exp
from .registers import cpu_features


@functools.cache
def lanes_of(dtype: str) -> int:
    """How many numbers of this dtype a vector has: as many as fill a register of this CPU."""
    features = cpu_features()
    width = 64 if "avx512f" in features else 32 if "avx2" in features else 16
    return width // np.dtype(dtype).itemsize


class Word:
    """A function that runs as written without the JIT, and as one instruction or few with it.

    Its namesake in vector_llvm.py is what Numba compiles.
    """

    def __init__(self, plain: Callable[..., Any]) -> None:
        functools.update_wrapper(self, plain)
        self.plain = plain

    def __call__(self, *args: Any) -> Any:
        return self.plain(*args)


def vector_jit(plain: Callable[..., Any], inline: bool = False) -> Kernel:
    """`jit` for a kernel that uses the words of this file. inline: see jit."""

    def source() -> Callable[..., Any]:
        _teach_numba()
        return plain

    return Kernel(plain, compiled_as=source, inline=inline)


#: For a part of a kernel that is given arrays: a call counts references to them, in a word that all
#: threads write, 130 ns for a row of 10 numbers that itself takes 13. Inlined, the compiler leaves
#: that out, if the part cannot raise and has few branches (look for NRT_incref in inspect_llvm()).
vector_part = functools.partial(vector_jit, inline=True)


@functools.cache
def _teach_numba() -> None:
    """Lets Numba see in each Word its namesake in vector_llvm.py."""
    from numba.core.registry import cpu_target
    from numba.extending import typeof_impl

    from . import vector_llvm

    typing = cpu_target.typing_context

    @typeof_impl.register(Word)
    def typeof_word(word: Word, context: Any) -> Any:
        typing.refresh()
        return typing.resolve_value_type(getattr(vector_llvm, word.plain.__name__))


def _counter(dtype: Any) -> Any:
    return np.int32 if np.dtype(dtype).itemsize == 4 else np.int64


def _inside(x: np.ndarray, low: int, high: int) -> range:
    return range(max(low, 0), min(high, lanes_of(x.dtype.name)))


@Word
def lanes(like):
    """The number of lanes of a vector beside the array `like`."""
    return lanes_of(like.dtype.name)


@Word
def load(x, at, low, high):
    """x[at + lane] in lanes low .. high - 1, which may reach past both ends; 0 in the others."""
    v = np.zeros(lanes_of(x.dtype.name), x.dtype)
    for lane in _inside(x, low, high):
        v[lane] = x[at + lane]
    return v


@Word
def load_all(x, at):
    """x[at + lane] in all lanes."""
    return x[at : at + lanes_of(x.dtype.name)].copy()


@Word
def load_beside(x, at, high, rest):
    """x[at + lane] in lanes 0 .. high - 1; the number `rest` in the others."""
    v = np.full(lanes_of(x.dtype.name), rest, x.dtype)
    for lane in _inside(x, 0, high):
        v[lane] = x[at + lane]
    return v


@Word
def load_even(x, at, high):
    """x[at + 2 * lane] in lanes 0 .. high - 1; 0 in the others."""
    return load_apart.plain(x, at, 2, high)


@Word
def load_apart(x, at, step, high):
    """x[at + step * lane] in lanes 0 .. high - 1; 0 in the others."""
    v = np.zeros(lanes_of(x.dtype.name), x.dtype)
    for lane in _inside(x, 0, high):
        v[lane] = x[at + step * lane]
    return v


@Word
def load_counts(x, at, low, high, like):
    """`load` of small unsigned integers, made as wide as the floats of `like`, lane by lane."""
    v = np.zeros(lanes_of(like.dtype.name), _counter(like.dtype))
    for lane in _inside(like, low, high):
        v[lane] = x[at + lane]
    return v


@Word
def mark_dtype(like):
    """The dtype of integers as wide as the floats of `like`."""
    return np.dtype(_counter(like.dtype))


@Word
def load_marks(x, at, like):
    """`load_all` of integers as wide as the floats of `like`."""
    return x[at : at + lanes_of(like.dtype.name)].copy()


@Word
def evens(a, b):
    """a[0], a[2], ..., b[0], b[2], ..."""
    return np.concatenate([a, b])[::2]


@Word
def odds(a, b):
    """a[1], a[3], ..., b[1], b[3], ..."""
    return np.concatenate([a, b])[1::2]


@Word
def store(x, at, low, high, v):
    """x[at + lane] = v[lane] in lanes low .. high - 1; integers are cut to the width of x."""
    for lane in range(max(low, 0), min(high, len(v))):
        x[at + lane] = v[lane] if x.dtype.kind == "f" else v[lane].astype(x.dtype)


@Word
def store_all(x, at, v):
    """x[at + lane] = v[lane] in all lanes."""
    x[at : at + len(v)] = v


@Word
def store_pairs(x, at, low, high, even, odd):
    """x[at + 2 * lane] = even[lane], x[at + 2 * lane + 1] = odd[lane].

    Only the numbers low .. high - 1 of these 2 * lanes.
    """
    both = np.stack([even, odd], 1).reshape(-1)
    for i in range(max(low, 0), min(high, len(both))):
        x[at + i] = both[i]


@Word
def store_apart(x, at, step, low, high, v):
    """x[at + step * lane] = v[lane] in lanes low .. high - 1."""
    for lane in range(max(low, 0), min(high, len(v))):
        x[at + step * lane] = v[lane]


@Word
def spread(value, like):
    """The number in all lanes: a float of the dtype of `like`, an integer as wide as that."""
    floating = isinstance(value, (float, np.floating))
    dtype = like.dtype if floating else _counter(like.dtype)
    return np.full(lanes_of(like.dtype.name), value, dtype)


@Word
def choose(mask, a, b):
    """a where the mask is true, else b."""
    return np.where(mask, a, b)


@Word
def fused(a, b, c):
    """a * b + c, rounded once where the CPU can (here it is rounded twice)."""
    return a * b + c


@Word
def bits(v):
    """The bits of floats as integers."""
    return v.view(_counter(v.dtype))


@Word
def from_bits(v):
    """The floats that have these bits."""
    return v.view(np.float32 if v.dtype == np.int32 else np.float64)


@Word
def exp(v):
    """e**v, in the steps of math.py."""
    return np.array([one_exp(x) for x in v], v.dtype)


def _fold(v, combine):
    """Halves onto halves, the order of the compiled word."""
    while len(v) > 1:
        half = len(v) // 2
        v = combine(v[:half], v[half:])
    return v[0]


@Word
def total(v):
    """The sum of all lanes, halves onto halves."""
    return _fold(v, np.add)


@Word
def largest(v):
    """The largest lane, if none is NaN."""
    return _fold(v, lambda a, b: np.where(b > a, b, a))
