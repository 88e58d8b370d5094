"""Tensors put together, taken apart, repeated and padded: cat, stack, split, repeat, pad.

Not here: another shape for the same elements (`shape.py`), choosing by index (`indexing.py`).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.engine import Tensor
from ..autograd.op import composite, op
from ..promotion import refuse_unfit
from .cast import clone
from .dims import along, as_shape, one_dim
from .kinds import movement
from .shape import expand, reshape, transpose, unsqueeze

# --- several tensors into one, one into several --------------------------------------------------

def _refuse_none(name, tensors):
    if not tensors:
        raise ValueError(f"{name}: want at least one tensor, got an empty sequence")


def _cat_door(tensors, dim):
    _refuse_none("cat", tensors)
    # torch joins an empty vector with anything: the usual start of a loop that collects.
    first = next((a for a in tensors if np.shape(a) != (0,)), tensors[0])
    shape = np.shape(first)
    if not shape:
        raise ValueError("cat: tensor 0 has no dimensions; use stack, which makes a new one")
    d = one_dim("cat", dim, len(shape))
    for i, a in enumerate(tensors):
        s = np.shape(a)
        if s != shape and s != (0,) and (len(s) != len(shape) or s[:d] != shape[:d]
                                         or s[d + 1:] != shape[d + 1:]):
            raise ValueError(f"cat: tensor {i} has shape {s}, an earlier one {shape}; they must "
                             f"agree in all dimensions but dim {d}"
                             + ("; use stack to join along a new dimension" if not s else ""))
    return tensors, d


def _cat_rule(g, tensors_shape, dim):
    before = (slice(None),) * dim
    parts, start = [], 0
    for shape in tensors_shape:
        stop = start + (shape[dim] if shape != (0,) else 0)
        part = g[(*before, slice(start, stop))]
        parts.append(part if part.shape == shape else reshape(part, shape))
        start = stop
    return parts


@op(samples=lambda r: [([r(2, 3), r(4, 3)],), ([r(2, 3), r(2, 1), r(2, 2)], -1), ((r(3),),)],
    ref=np.concatenate, door=_cat_door, moves=True)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along an existing dimension; a copy.

    Their shapes agree in all other dimensions; a tensor of shape (0,) adds nothing to any.

    Raises: ValueError if the shapes do not agree, dim does not exist, or there are no tensors.
    """
    shape = max((np.shape(a) for a in tensors), key=len)
    return np.concatenate([a for a in tensors if len(shape) == 1 or a.shape != (0,)], dim)
cat.vjp(tensors=_cat_rule)


@composite(samples=lambda r: [([r(2, 3), r(2, 1)], 1)], ref=np.concatenate)
def concat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The same as cat."""
    return cat(tensors, dim)


def _stack_door(tensors, dim):
    _refuse_none("stack", tensors)
    shape = np.shape(tensors[0])
    for i, a in enumerate(tensors):
        if np.shape(a) != shape:
            raise ValueError(f"stack: tensor {i} has shape {np.shape(a)}, tensor 0 {shape}; they "
                             "must be equal"
                             + ("; use cat to join along a dimension that they have"
                                if np.ndim(a) == len(shape) else ""))
    return tensors, one_dim("stack", dim, len(shape) + 1)


def _stack_rule(g, tensors_shape, dim):
    before = (slice(None),) * dim
    return [g[(*before, i)] for i in range(len(tensors_shape))]


@op(samples=lambda r: [([r(2, 3), r(2, 3)],), ([r(2, 3), r(2, 3), r(2, 3)], -1), ([r(3)], 1)],
    ref=np.stack, door=_stack_door, moves=True)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension; a copy.

    Raises: ValueError if the shapes differ, dim is outside -ndim - 1 .. ndim, or there are none.
    """
    return np.stack(tensors, dim)
stack.vjp(tensors=_stack_rule)


def _split_door(tensor, split_size_or_sections, dim):
    if not tensor.ndim:
        raise ValueError("split: a tensor without dimensions cannot be split")
    given, n = split_size_or_sections, tensor.shape[dim]
    if isinstance(given, (int, np.integer)):
        if given < 0 or (given == 0 and n):
            raise ValueError(f"split: the size of a part must be positive, got {given}")
        sizes = tuple([min(given, n - i) for i in range(0, n, given)]) if n else (0,)
    else:
        sizes = as_shape("split", given if isinstance(given, (list, tuple)) else [given])
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ValueError(f"split: dimension {dim} has size {n}, the sections "
                             f"{'+'.join(map(str, sizes))} = {sum(sizes)} do not add up to it")
    return tensor, sizes, dim


def _split_rule(g, tensor_shape, split_size_or_sections, dim):
    return cat(_every(g, [(*tensor_shape[:dim], n, *tensor_shape[dim + 1:])
                          for n in split_size_or_sections]), dim)


def _every(g, shapes):
    """The gradients of several results, with zeros for those that nobody used."""
    like = next(part for part in g if part is not None)
    return [np.zeros(shape, like.dtype) if part is None else part
            for part, shape in zip(g, shapes)]


def _split_ref(x, size, dim=0):
    ends = (np.cumsum(size)[:-1] if isinstance(size, (list, tuple))
            else range(size, x.shape[dim], size))
    return np.split(x, ends, dim)


@movement(samples=lambda r: [(r(5, 3), 2), (r(3, 5), [1, 4], -1), (r(4, 3), 4)], ref=_split_ref,
          dims={"dim": one_dim}, door=_split_door)
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
          ) -> tuple[Tensor, ...]:
    """Parts along a dimension, as views: of one size (the last may be smaller), or of those listed.

    Raises: ValueError if the sizes do not add up to the dimension's, or dim does not exist.
    """
    before, start, parts = (slice(None),) * dim, 0, []
    for n in split_size_or_sections:
        parts.append(tensor[(*before, slice(start, start + n))])
        start += n
    return tuple(parts)
split.vjp(tensor=_split_rule)


@composite(samples=lambda r: [(r(7, 2), 3), (r(2, 6), 2, 1)],
           ref=lambda x, n, dim=0: _split_ref(x, -(-x.shape[dim] // n), dim) if x.shape[dim]
           else [x] * n)
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts along a dimension, of equal size but for the last. Views.
    Of size 0: as many as were asked for.

    Raises: ValueError if chunks is not positive or dim does not exist.
    """
    if chunks < 1:
        raise ValueError(f"chunk: the number of chunks must be positive, got {chunks}")
    shape = np.shape(input)
    d = one_dim("chunk", dim, len(shape))
    if shape and not shape[d]:
        return split(input, [0] * chunks, d)
    return split(input, -(-shape[d] // chunks) if shape else 1, d)


def _unbind_door(input, dim):
    if not input.ndim:
        raise ValueError("unbind: a tensor without dimensions cannot be taken apart")
    return input, dim


@movement(samples=lambda r: [(r(3, 4),), (r(3, 2), -1)],
          ref=lambda x, dim=0: [np.take(x, i, dim) for i in range(x.shape[dim])],
          dims={"dim": one_dim}, door=_unbind_door)
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All slices along a dimension, which disappears. Views.

    To walk through a sequence, this is faster than x[0], x[1], ...: the derivative of each x[t] is
    as large as x, that of unbind is x once.

    Raises: ValueError if dim does not exist.
    """
    before = (slice(None),) * dim
    return tuple([input[(*before, i, ...)] for i in range(input.shape[dim])])
unbind.vjp(input=lambda g, input_shape, dim: stack(
    _every(g, [(*input_shape[:dim], *input_shape[dim + 1:])] * len(g)), dim))


@composite(samples=lambda r: [(r(5, 3), 0, 1, 3), (r(3, 5), 1, -3, 2)],
           ref=lambda x, dim, start, length: np.take(
               x, np.arange(start % x.shape[dim], start % x.shape[dim] + length), dim))
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` entries along a dimension from `start` (negative: from the end). A view.

    Raises: ValueError if the entries do not all exist.
    """
    shape = np.shape(input)
    d = one_dim("narrow", dim, len(shape))
    n = shape[d] if shape else 0
    first = start + n if start < 0 else start
    if length < 0 or not 0 <= first <= n - length:
        raise ValueError(f"narrow: dimension {dim} has size {n}, it does not hold {length} entries "
                         f"from {start} on")
    return input[along(d, slice(first, first + length))]


@composite(samples=lambda r: [(r(3, 4), 0, 1), (r(3, 4), 1, -1)],
           ref=lambda x, dim, index: np.take(x, index, dim))
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one index of a dimension, which disappears. A view.

    Raises: ValueError if dim, IndexError if index does not exist.
    """
    return input[along(one_dim("select", dim, np.ndim(input)), index)]


# --- repeating and padding -----------------------------------------------------------------------

@composite(samples=lambda r: [(r(2, 3), (2, 1)), (r(3), (2, 2)), (r(2, 3), (3, 1, 2))], ref=np.tile)
def repeat(input: Tensor, repeats: tuple[int, ...]) -> Tensor:
    """The whole tensor repeated along each dimension; extra counts add dimensions in front. A copy.

    The method also takes numbers: x.repeat(2, 1).

    Raises: ValueError for fewer counts than dimensions.
    """
    shape, counts = np.shape(input), as_shape("repeat", repeats)
    if len(counts) < len(shape) or min(counts, default=0) < 0:
        raise ValueError(f"repeat: a tensor of shape {shape} needs {len(shape)} counts of 0 or "
                         f"more, got {counts}")
    shape = (1,) * (len(counts) - len(shape)) + shape
    if all(c == 1 for c in counts):
        return clone(reshape(input, shape))
    spread = expand(reshape(input, tuple(m for n in shape for m in (1, n))),
                    tuple(m for c, n in zip(counts, shape) for m in (c, n)))
    result = reshape(spread, tuple(c * n for c, n in zip(counts, shape)))
    # x.repeat(2, 1) is still the expanded view: one row under two numbers.
    return _no_view(result)


def _no_view(result: Tensor) -> Tensor:
    """The result of an expand and a reshape as a copy, which it mostly is already."""
    array = result.array if isinstance(result, Tensor) else result
    return result if array.flags.writeable else clone(result)


@composite(samples=lambda r: [(r(2, 3), (2,)), (r(3), (2, 2))], ref=np.tile)
def tile(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """As repeat, but missing counts at the front are 1."""
    dims = as_shape("tile", dims)
    return repeat(input, (1,) * (np.ndim(input) - len(dims)) + dims)


@composite(samples=lambda r: [(r(2, 3), 2), (r(2, 3), 2, 1), (r(3, 2), np.array([2, 0, 1]), 0)],
           ref=np.repeat)
def repeat_interleave(input: Tensor, repeats: int | Any, dim: int | None = None) -> Tensor:
    """Each element (or slice along dim) repeated in place: [1, 2] -> [1, 1, 2, 2]. A copy.

    repeats: one count, or a count for each. Without dim the tensor is flattened first.

    Raises: ValueError if the counts do not fit the dimension.
    """
    if dim is None:
        input, dim = reshape(input, (-1,)), 0
    shape = np.shape(input)
    d = one_dim("repeat_interleave", dim, len(shape))
    if isinstance(repeats, (int, np.integer)):
        if repeats < 0:
            raise ValueError(f"repeat_interleave: repeats must be 0 or more, got {repeats}")
        if repeats == 1:
            return clone(input)
        spread = expand(unsqueeze(input, d + 1), (*shape[:d + 1], repeats, *shape[d + 1:]))
        return _no_view(reshape(spread, (*shape[:d], shape[d] * repeats, *shape[d + 1:])))
    counts = repeats.array if isinstance(repeats, Tensor) else np.asarray(repeats)
    if counts.dtype.kind not in "iu" or counts.shape not in ((shape[d],), (1,)):
        raise ValueError(f"repeat_interleave: dimension {dim} has size {shape[d]}, want as many "
                         f"integer repeats, got {counts.dtype} of shape {counts.shape}")
    return input[along(d, np.repeat(np.arange(shape[d]), counts))]


def _constant_pad_door(input, pad, value):
    for d, (n, a, b) in enumerate(zip(input.shape, pad[::2], pad[1::2])):
        if n + a + b < 0 or n + min(a, 0) < 0 or n + min(b, 0) < 0:
            raise ValueError(f"pad: dimension {d} has size {n}, padding it by {(a, b)} cuts more "
                             "than there is")
    refuse_unfit("pad", input.dtype, value)
    return input, pad, value


@movement(samples=lambda r: [(r(2, 3), (1, 2, 0, 1)), (r(2, 3), (1, 0, -1, 2), 1.5),
                             (r(3, 4), (-1, -1, 0, 0))],
          ref=lambda x, pad, value=0.0: _constant_pad_ref(x, pad, value), door=_constant_pad_door)
def constant_pad(input: Tensor, pad: tuple[int, ...], value: float = 0.0) -> Tensor:
    """`value` around the input, which is what `pad` does in its mode "constant".

    pad: (left, right) of each dimension, the first first; negative numbers cut. (So the derivative
    of padding by p is padding by -p.)
    """
    pairs = list(zip(pad[::2], pad[1::2]))
    out = np.full([n + a + b for n, (a, b) in zip(input.shape, pairs)], value, input.dtype)
    inner = tuple([slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(out.shape, pairs)])
    kept = tuple([slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(input.shape, pairs)])
    out[inner] = input[kept]
    return out
constant_pad.vjp(input=lambda g, pad: constant_pad(g, tuple([-p for p in pad])))


def _constant_pad_ref(x, pad, value):
    pairs = np.reshape(pad, (-1, 2))
    y = np.pad(x, np.maximum(pairs, 0), constant_values=value)
    return y[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(y.shape, pairs))]


_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad_ref(x, pad, mode="constant", value=None):
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2]))[::-1]
    if mode == "constant":
        return _constant_pad_ref(x, np.ravel(pairs), value or 0.0)
    return np.pad(x, pairs, mode=_PAD_MODES[mode])


@composite(samples=lambda r: [(r(2, 3), (1, 2)), (r(2, 3, 4), (1, 0, 2, 1), "constant", 0.5),
                              (r(2, 3, 4), (2, 1, 1, 2), "reflect"), (r(2, 3), (1, 3), "replicate"),
                              (r(2, 3, 4), (1, 2, 3, 0), "circular")], ref=_pad_ref,
           rounds=True)
def pad(input: Tensor, pad: tuple[int, ...], mode: str = "constant", value: float | None = None
        ) -> Tensor:
    """Elements added around the input.

    pad: (left, right) of the last dimension, then of the one before, and so on (torch's order):
        (left, right, top, bottom) for images. In mode "constant" negative numbers cut.
    mode: "constant" (`value`, default 0), "reflect" (cba|abcd|cba... without the edge repeated),
        "replicate" (aaa|abcd|ddd) or "circular" (bcd|abcd|abc).
    (..., H, W) -> (..., H + top + bottom, W + left + right). A copy.

    Raises: ValueError if pad is not pairs, has more pairs than the tensor dimensions, or is larger
        than the dimension allows (reflect: size - 1; circular: size).
    """
    shape = np.shape(input)
    given = as_shape("pad", pad)
    if len(given) % 2 or len(given) > 2 * len(shape):
        raise ValueError(f"pad: want (left, right) of the last dimension, then of the one before, "
                         f"at most {len(shape)} pairs for a tensor of shape {shape}; got {given}")
    pairs = [(0, 0)] * (len(shape) - len(given) // 2) + list(zip(given[::2], given[1::2]))[::-1]
    if mode == "constant":
        return constant_pad(input, tuple(p for pair in pairs for p in pair),
                            0.0 if value is None else value)
    if mode not in _PAD_MODES:
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got "
                         f"{mode!r}")
    if value not in (None, 0):
        raise ValueError(f"pad: value={value} has no meaning in mode '{mode}', only in 'constant'")
    for d, (n, (a, b)) in enumerate(zip(shape, pairs)):
        if not (a or b):
            continue
        most = {"reflect": n - 1, "circular": n, "replicate": max(a, b) if n else 0}[mode]
        if min(a, b) < 0 or max(a, b) > most:
            raise ValueError(f"pad: mode '{mode}' can add 0 to {max(most, 0)} elements to "
                             f"dimension {d} of size {n}, got {(a, b)}")
        at = np.pad(np.arange(n), (a, b), mode=_PAD_MODES[mode])     # type: ignore[call-overload]
        input = input[along(d, at)]
    return input


@composite(samples=lambda r: [(r(3), r(2)), (r(3), r(2), {"indexing": "xy"})],
           ref=lambda *xs, indexing="ij": np.meshgrid(*xs, indexing=indexing))
def meshgrid(*tensors: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid: result i holds tensor i along dimension i, repeated along the others.

    tensors: vectors (or numbers), (N0,), (N1,), ... -> each (N0, N1, ...). indexing: "ij" or "xy"
    (the first two dimensions exchanged). Read-only views.

    Raises: ValueError for anything but vectors, or another indexing.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    shapes = [np.shape(x) for x in tensors]
    if any(len(s) > 1 for s in shapes):
        raise ValueError(f"meshgrid: want vectors, got shapes {shapes}")
    n = len(tensors)
    full = tuple(s[0] if s else 1 for s in shapes)
    grids = [expand(reshape(x, (1,) * i + (-1,) + (1,) * (n - 1 - i)), full)
             for i, x in enumerate(tensors)]
    return tuple(transpose(x, 0, 1) if indexing == "xy" and n > 1 else x for x in grids)
