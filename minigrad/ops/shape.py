"""Functions that rearrange elements and compute nothing: reshape, permute, cat, split, pad, casts.

Most results are views of the same memory, as in NumPy and torch; the docstring says where not.
The derivative of a rearrangement is the reverse one, so that most rules are the op itself, turned
around. Not here: choosing elements by index (`indexing.py`).
"""
from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from ..engine import Tensor
from ..op import Op, composite, op

# --- dimensions, as users give them --------------------------------------------------------------


def one_dim(name: str, dim: Any, ndim: int, what: str = "dim") -> int:
    """The dimension counted from 0. A 0-dimensional tensor has, as in torch, a dimension 0 or -1.

    Raises: TypeError if it is not an integer; ValueError outside -ndim .. ndim - 1.
    """
    n = ndim or 1
    try:
        d = operator.index(dim)
    except TypeError:
        raise TypeError(f"{name}: {what} must be an integer, got {dim!r}") from None
    if not -n <= d < n:
        raise ValueError(f"{name}: {what}={d} does not exist: the tensor has {ndim} dimensions, so "
                         f"{what} must be from {-n} to {n - 1}")
    return d + n if d < 0 else d


def many_dims(name: str, dim: Any, ndim: int, what: str = "dim") -> tuple[int, ...] | None:
    """The dimensions counted from 0, as a tuple; None for all (None or an empty sequence).

    Raises: ValueError if one does not exist or comes twice; TypeError if one is not an integer.
    """
    if dim is None:
        return None
    if dim.__class__ is int:
        return (one_dim(name, dim, ndim, what),) if ndim or dim not in (0, -1) else ()
    given = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    dims = tuple([one_dim(name, d, ndim, what) for d in given])
    if len(set(dims)) < len(dims):
        raise ValueError(f"{name}: {what}={given} names a dimension twice (the tensor has {ndim} "
                         "dimensions)")
    return (dims or None) if ndim else ()


def _sizes(name: str, sizes: Any) -> tuple[int, ...]:
    """A shape that a user gave: an integer, or a sequence of them."""
    if sizes.__class__ is tuple:
        return sizes
    try:
        if isinstance(sizes, (list, ndarray)):
            return tuple([operator.index(n) for n in sizes])
        return (operator.index(sizes),)
    except TypeError:
        raise TypeError(f"{name}: want a shape, a tuple of integers, got {sizes!r}") from None


def _product(sizes: Sequence[int]) -> str:
    """'2*3 = 6'; '5' for one size, '1' for none."""
    if len(sizes) < 2:
        return str(math.prod(sizes))
    return f"{'*'.join(map(str, sizes))} = {math.prod(sizes)}"


# --- one shape for another -----------------------------------------------------------------------

def _reshape_door(input, shape):
    shape = _sizes("reshape", shape)
    if shape and min(shape) < -1:                  # NumPy takes any negative size for -1
        raise ValueError(f"reshape: sizes must be -1 or more, got {shape}")
    return input, shape


def _reshape_error(op: Op, error: Exception, input: Any, shape: Any) -> Exception:
    old, n = np.shape(input), np.size(input)
    new = [int(s) for s in shape]
    holes = new.count(-1)
    if holes > 1:
        return ValueError(f"reshape: {tuple(new)} has {holes} sizes of -1, only one can be "
                          f"inferred from the {n} elements of {old}")
    known = [s for s in new if s != -1]
    have = f"the tensor {old} has {_product(old)} elements"
    if holes:
        if not math.prod(known):
            return ValueError(f"reshape: {have}; the -1 in {tuple(new)} cannot be inferred beside "
                              "a size of 0: write it as a number")
        return ValueError(f"reshape: {have}, which is not divisible by {_product(known)} for the "
                          f"-1 in {tuple(new)}")
    fix = ""
    if new and new[0] > 0 and n % new[0] == 0:
        fix = (f"; with {new[0]} rows it fits ({new[0]}, -1), that is ({new[0]}, {n // new[0]})")
    return ValueError(f"reshape: {have}, the shape {tuple(new)} wants {_product(new)}{fix}")


@op(samples=lambda r: [(r(2, 3, 4), (4, 6)), (r(2, 3, 4), (-1,)), (r(2, 3), (3, -1, 1)), (r(3), 3)],
    ref=np.reshape, door=_reshape_door, explain=_reshape_error)
def reshape(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The elements in row-major order under another shape. One size may be -1: the rest of them.

    The result shares memory where the strides allow it, else it is a copy: reshape always works.
    The method also takes sizes: x.reshape(2, -1).

    Raises: ValueError if the number of elements differs, or a -1 cannot be inferred.
    """
    if input.__class__ is not ndarray:
        input = np.asarray(input)
    return input.reshape(shape)
reshape.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@composite(samples=lambda r: [(r(2, 3, 4), (4, 6)), (r(2, 3), -1)], ref=np.reshape)
def view(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same as reshape. (torch's view refuses some non-contiguous tensors; this one copies
    them.)"""
    return reshape(input, shape)


@composite(samples=lambda r: [(r(2, 3, 4),), (r(2, 3, 4), 1), (r(2, 3, 4), {"end_dim": -2})],
           ref=lambda x, start_dim=0, end_dim=-1: x.reshape(
               *x.shape[:start_dim], math.prod(x.shape[start_dim:x.ndim + end_dim + 1]),
               *x.shape[x.ndim + end_dim + 1:]))
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim (included) as one.

    (N, C, H, W).flatten(1) -> (N, C*H*W).

    Raises: ValueError if a dimension does not exist or start_dim comes after end_dim.
    """
    shape = np.shape(input)
    first = one_dim("flatten", start_dim, len(shape), "start_dim")
    last = one_dim("flatten", end_dim, len(shape), "end_dim")
    if first > last:
        raise ValueError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim} in a "
                         f"tensor of shape {shape}")
    return reshape(input, (*shape[:first], math.prod(shape[first:last + 1]), *shape[last + 1:]))


@composite(samples=lambda r: [(r(2, 6), 1, (2, 3)), (r(6, 2), 0, (-1, 2))],
           ref=lambda x, dim, sizes: x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1:]))
def unflatten(input: Tensor, dim: int, sizes: tuple[int, ...]) -> Tensor:
    """One dimension as several, of these sizes (one may be -1).

    Raises: ValueError if dim does not exist or the sizes do not multiply to its size.
    """
    shape = np.shape(input)
    d = one_dim("unflatten", dim, len(shape))
    sizes = _sizes("unflatten", sizes)
    known = math.prod(s for s in sizes if s != -1)
    if sizes.count(-1) > 1 or (shape[d] % known if -1 in sizes and known else known != shape[d]):
        raise ValueError(f"unflatten: dimension {dim} has size {shape[d]}, the sizes {sizes} make "
                         f"{_product([s for s in sizes if s != -1])}")
    if -1 in sizes:
        sizes = tuple(shape[d] // known if s == -1 else s for s in sizes)
    return reshape(input, (*shape[:d], *sizes, *shape[d + 1:]))


def _squeeze_door(input, dim):
    shape = np.shape(input)
    dims = many_dims("squeeze", dim, len(shape))
    chosen = range(len(shape)) if dim is None else dims or ()
    return input, tuple([d for d in chosen if shape[d] == 1])


@op(samples=lambda r: [(r(1, 3, 1),), (r(1, 3, 1), 0), (r(1, 3, 1), (0, -1)), (r(1, 3), 1)],
    ref=lambda x, dim=None: np.squeeze(x, None if dim is None else tuple(
        d for d in np.atleast_1d(dim) if x.shape[d] == 1)), door=_squeeze_door)
def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Without the dimensions of size 1: all of them, or those named. Others stay as they are.

    Raises: ValueError if a dimension does not exist.
    """
    return np.squeeze(input, dim)
squeeze.vjp(input=lambda g, input_shape: reshape(g, input_shape))


def _unsqueeze_door(input, dim):
    return input, one_dim("unsqueeze", dim, np.ndim(input) + 1)


@op(samples=lambda r: [(r(3, 4), 0), (r(3, 4), -1), (r(3, 4), 1)], ref=np.expand_dims,
    door=_unsqueeze_door)
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 inserted before `dim` (-1: at the end).

    Raises: ValueError if dim is outside -ndim - 1 .. ndim.
    """
    return np.asarray(input)[(slice(None),) * dim + (None,)]
unsqueeze.vjp(input=lambda g, input_shape: reshape(g, input_shape))


def _expand_door(input, shape):
    old, new = np.shape(input), _sizes("expand", shape)
    lead = len(new) - len(old)
    if lead < 0:
        raise ValueError(f"expand: the tensor {old} has {len(old)} dimensions, the shape {new} "
                         f"only {len(new)}: it can add dimensions in front, not remove any")
    if -1 in new:
        if -1 in new[:lead]:
            raise ValueError(f"expand: -1 in {new} stands for a dimension that the tensor {old} "
                             "does not have; write its size as a number")
        new = tuple([old[i - lead] if n == -1 else n for i, n in enumerate(new)])
    return input, new


def _expand_error(op: Op, error: Exception, input: Any, shape: Any) -> Exception:
    old = np.shape(input)
    lead = len(shape) - len(old)
    wrong = next((i for i, n in enumerate(old) if n not in (1, shape[lead + i])), None)
    if wrong is None:
        return ValueError(f"expand: {shape} is not a shape: {error}")
    return ValueError(f"expand: dimension {wrong} of the tensor {old} has size {old[wrong]}, it "
                      f"cannot become {shape[lead + wrong]} of {shape}: only a size of 1 can "
                      "be repeated")


@op(samples=lambda r: [(r(3, 1), (3, 4)), (r(1, 4), (2, 3, 4)), (r(3, 1), (2, -1, 5))],
    ref=lambda x, s: np.broadcast_to(x, [x.shape[i - len(s)] if n == -1 else n
                                         for i, n in enumerate(s)]),
    door=_expand_door, explain=_expand_error)
def expand(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Dimensions of size 1 repeated to the given sizes, new ones added in front; -1 keeps a size.

    The result is a read-only view: nothing is copied. The method also takes sizes: x.expand(3, -1).

    Raises: ValueError if a size other than 1 would have to change.
    """
    return np.broadcast_to(input, shape)
expand.vjp(input=lambda g: g)                      # the engine sums over what was repeated


@composite(samples=lambda r: [(r(3, 1), (3, 4)), (r(4), (2, 3, 4))], ref=np.broadcast_to)
def broadcast_to(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same as expand."""
    return expand(input, shape)


@composite(samples=lambda r: [(r(3, 1), r(2, 3, 4))],
           ref=lambda x, o: np.broadcast_to(x, o.shape) + 0 * o)
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """input expanded to the shape of other."""
    return expand(input, np.shape(other))


# --- the order of dimensions ---------------------------------------------------------------------

def _transpose_door(input, dim0, dim1):
    n = np.ndim(input)
    return input, one_dim("transpose", dim0, n, "dim0"), one_dim("transpose", dim1, n, "dim1")


@op(samples=lambda r: [(r(3, 4), 0, 1), (r(2, 3, 4), -1, 0)], ref=np.swapaxes, door=_transpose_door)
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """With two dimensions exchanged. A view.

    Raises: ValueError if one does not exist.
    """
    return input.swapaxes(dim0, dim1) if input.ndim else input
transpose.vjp(input=lambda g, dim0, dim1: transpose(g, dim0, dim1))


@composite(samples=lambda r: [(r(2, 3, 4), -1, 0)], ref=np.swapaxes)
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """The same as transpose(input, axis0, axis1)."""
    return transpose(input, axis0, axis1)


def _permute_door(input, dims):
    n = np.ndim(input)
    given = _sizes("permute", dims)
    order = tuple([one_dim("permute", d, n) for d in given])
    if len(order) != n or len(set(order)) < n:
        raise ValueError(f"permute: a tensor of shape {np.shape(input)} needs each of its {n} "
                         f"dimensions once, got {given}")
    return input, order


@op(samples=lambda r: [(r(2, 3, 4), (2, 0, 1)), (r(2, 3, 4), (0, -1, 1)), (r(3, 4), (1, 0))],
    ref=np.transpose, door=_permute_door)
def permute(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The dimensions in another order: result dimension i is dimension dims[i]. A view.

    The method also takes numbers: x.permute(0, 2, 1).

    Raises: ValueError unless dims names each dimension once.
    """
    return input.transpose(dims)
permute.vjp(input=lambda g, dims: permute(g, tuple([dims.index(i) for i in range(len(dims))])))


@composite(samples=lambda r: [(r(2, 3, 4), 0, 2), (r(2, 3, 4), (0, 1), (-1, 0))], ref=np.moveaxis)
def movedim(input: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...]
            ) -> Tensor:
    """The source dimensions moved to the destinations, the others in their order around them.

    Raises: ValueError if one does not exist, comes twice, or the counts differ.
    """
    n = np.ndim(input)
    old = many_dims("movedim", source, n, "source") or ()
    new = many_dims("movedim", destination, n, "destination") or ()
    if len(old) != len(new):
        raise ValueError(f"movedim: source {source} and destination {destination} must name "
                         "equally many dimensions")
    order = [d for d in range(n) if d not in old]
    for to_dim, from_dim in sorted(zip(new, old)):
        order.insert(to_dim, from_dim)
    return permute(input, tuple(order))


@composite(samples=lambda r: [(r(3, 4),), (r(3),)], ref=np.transpose)
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and numbers as they are.

    Raises: ValueError for more than 2 dimensions.
    """
    n = np.ndim(input)
    if n > 2:
        raise ValueError(f"t: want at most 2 dimensions, got shape {np.shape(input)}; use x.mT for "
                         "matrices in the last two dimensions or x.transpose(dim0, dim1)")
    return transpose(input, 0, 1) if n == 2 else input


@composite(samples=lambda r: [(r(2, 3, 4),)], ref=lambda x: np.swapaxes(x, -1, -2))
def matrix_transpose(input: Tensor) -> Tensor:
    """x.mT: the last two dimensions exchanged.

    Raises: ValueError for fewer than 2 dimensions.
    """
    if np.ndim(input) < 2:
        raise ValueError(f"mT: want 2 dimensions or more, got shape {np.shape(input)}")
    return transpose(input, -2, -1)


def _dims_door(name):
    def door(input, dims):
        return input, many_dims(name, dims, np.ndim(input), "dims")
    return door


@op(samples=lambda r: [(r(3, 4), (0,)), (r(2, 3, 4), (0, -1)), (r(4), 0)], ref=np.flip,
    door=_dims_door("flip"))
def flip(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The order of elements reversed along the given dimensions. (A view; torch copies.)

    Raises: ValueError if a dimension does not exist or comes twice.
    """
    return np.flip(input, dims)
flip.vjp(input=lambda g, dims: flip(g, dims))


def _roll_door(input, shifts, dims):
    single = isinstance(shifts, (int, np.integer))
    shifts = (int(shifts),) if single else tuple(shifts)
    if dims is None:
        if len(shifts) != 1:
            raise ValueError(f"roll: {len(shifts)} shifts {shifts} need equally many dims, got "
                             "none")
        return input, shifts[0], None
    given = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(shifts) != len(given):
        raise ValueError(f"roll: shifts {shifts} and dims {given} must be equally many")
    return input, shifts, tuple([one_dim("roll", d, np.ndim(input), "dims") for d in given])


@op(samples=lambda r: [(r(3, 4), 1), (r(3, 4), 2, 1), (r(3, 4), (1, -1), (0, 1))], ref=np.roll,
    door=_roll_door)
def roll(input: Tensor, shifts: int | tuple[int, ...],
         dims: int | tuple[int, ...] | None = None) -> Tensor:
    """Elements moved by `shifts` places along dims; those pushed out come in at the other end.

    Without dims the tensor is rolled as if flattened. A copy.

    Raises: ValueError if a dimension does not exist or shifts and dims are not equally many.
    """
    return np.roll(input, shifts, dims)
roll.vjp(input=lambda g, shifts, dims: roll(
    g, -shifts if isinstance(shifts, int) else tuple([-s for s in shifts]), dims))


# --- several tensors into one, one into several ---------------------------------------------------

def _sequence(name, tensors):
    if not tensors:
        raise ValueError(f"{name}: want at least one tensor, got an empty sequence")


def _cat_door(tensors, dim):
    _sequence("cat", tensors)
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
    ref=np.concatenate, door=_cat_door)
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
    _sequence("stack", tensors)
    shape = np.shape(tensors[0])
    for i, a in enumerate(tensors):
        if np.shape(a) != shape:
            raise ValueError(f"stack: tensor {i} has shape {np.shape(a)}, tensor 0 {shape}; they "
                             "must be equal" + ("; use cat to join along a dimension that they have"
                                           if np.ndim(a) == len(shape) else ""))
    return tensors, one_dim("stack", dim, len(shape) + 1)


def _stack_rule(g, tensors_shape, dim):
    before = (slice(None),) * dim
    return [g[(*before, i)] for i in range(len(tensors_shape))]


@op(samples=lambda r: [([r(2, 3), r(2, 3)],), ([r(2, 3), r(2, 3), r(2, 3)], -1), ([r(3)], 1)],
    ref=np.stack, door=_stack_door)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension; a copy.

    Raises: ValueError if the shapes differ, dim is outside -ndim - 1 .. ndim, or there are none.
    """
    return np.stack(tensors, dim)
stack.vjp(tensors=_stack_rule)


def _split_door(tensor, split_size_or_sections, dim):
    shape = np.shape(tensor)
    if not shape:
        raise ValueError("split: a tensor without dimensions cannot be split")
    d, given = one_dim("split", dim, len(shape)), split_size_or_sections
    n = shape[d]
    if isinstance(given, (int, np.integer)):
        if given < 0 or (given == 0 and n):
            raise ValueError(f"split: the size of a part must be positive, got {given}")
        sizes = tuple([min(given, n - i) for i in range(0, n, given)]) if n else (0,)
    else:
        sizes = _sizes("split", given if isinstance(given, (list, tuple)) else [given])
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ValueError(f"split: dimension {dim} has size {n}, the sections "
                             f"{'+'.join(map(str, sizes))} = {sum(sizes)} do not add up to it")
    return tensor, sizes, d


def _split_rule(g, tensor_shape, split_size_or_sections, dim):
    like = next(part for part in g if part is not None)
    parts = [np.zeros((*tensor_shape[:dim], n, *tensor_shape[dim + 1:]), like.dtype)
             if part is None else part for n, part in zip(split_size_or_sections, g)]
    return cat(parts, dim)


def _split_ref(x, size, dim=0):
    ends = (np.cumsum(size)[:-1] if isinstance(size, (list, tuple))
            else range(size, x.shape[dim], size))
    return np.split(x, ends, dim)


@op(samples=lambda r: [(r(5, 3), 2), (r(3, 5), [1, 4], -1), (r(4, 3), 4)], ref=_split_ref,
    door=_split_door)
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
          ) -> tuple[Tensor, ...]:
    """Parts along a dimension: of one size (the last may be smaller), or of the sizes listed.
    Views.

    Raises: ValueError if the sizes do not add up to the dimension's, or dim does not exist.
    """
    before, start, parts = (slice(None),) * dim, 0, []
    for n in split_size_or_sections:
        parts.append(tensor[(*before, slice(start, start + n))])
        start += n
    return tuple(parts)
split.vjp(tensor=_split_rule)


@composite(samples=lambda r: [(r(7, 2), 3), (r(2, 6), 2, 1)],
           ref=lambda x, n, dim=0: _split_ref(x, -(-x.shape[dim] // n) or 1, dim))
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts along a dimension, of equal size but for the last. Views.

    Raises: ValueError if chunks is not positive or dim does not exist.
    """
    if chunks < 1:
        raise ValueError(f"chunk: the number of chunks must be positive, got {chunks}")
    shape = np.shape(input)
    d = one_dim("chunk", dim, len(shape))
    return split(input, -(-shape[d] // chunks) if shape else 1, d)


def _unbind_door(input, dim):
    if not np.ndim(input):
        raise ValueError("unbind: a tensor without dimensions cannot be taken apart")
    return input, one_dim("unbind", dim, np.ndim(input))


def _unbind_rule(g, dim):
    like = next(part for part in g if part is not None)
    zero = np.zeros(like.shape, like.dtype)
    return stack([zero if part is None else part for part in g], dim)


@op(samples=lambda r: [(r(3, 4),), (r(3, 2), -1)],
    ref=lambda x, dim=0: [np.take(x, i, dim) for i in range(x.shape[dim])], door=_unbind_door)
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All slices along a dimension, which disappears. Views.

    To walk through a sequence, this is faster than x[0], x[1], ...: the derivative of each x[t] is
    as large as x, that of unbind is x once.

    Raises: ValueError if dim does not exist.
    """
    before = (slice(None),) * dim
    return tuple([input[(*before, i, ...)] for i in range(input.shape[dim])])
unbind.vjp(input=_unbind_rule)


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
    return input[(*(slice(None),) * d, slice(first, first + length))]


@composite(samples=lambda r: [(r(3, 4), 0, 1), (r(3, 4), 1, -1)],
           ref=lambda x, dim, index: np.take(x, index, dim))
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one index of a dimension, which disappears. A view.

    Raises: ValueError if dim, IndexError if index does not exist.
    """
    d = one_dim("select", dim, np.ndim(input))
    return input[(*(slice(None),) * d, index)]


# --- repeating and padding -----------------------------------------------------------------------

@composite(samples=lambda r: [(r(2, 3), (2, 1)), (r(3), (2, 2)), (r(2, 3), (3, 1, 2))], ref=np.tile)
def repeat(input: Tensor, repeats: tuple[int, ...]) -> Tensor:
    """The whole tensor repeated along each dimension; extra counts add dimensions in front. A copy.

    The method also takes numbers: x.repeat(2, 1).

    Raises: ValueError for fewer counts than dimensions.
    """
    shape, counts = np.shape(input), _sizes("repeat", repeats)
    if len(counts) < len(shape) or min(counts, default=0) < 0:
        raise ValueError(f"repeat: a tensor of shape {shape} needs {len(shape)} counts of 0 or "
                         f"more, got {counts}")
    shape = (1,) * (len(counts) - len(shape)) + shape
    if all(c == 1 for c in counts):
        return clone(reshape(input, shape))
    spread = expand(reshape(input, tuple(m for n in shape for m in (1, n))),
                    tuple(m for c, n in zip(counts, shape) for m in (c, n)))
    return reshape(spread, tuple(c * n for c, n in zip(counts, shape)))


@composite(samples=lambda r: [(r(2, 3), (2,)), (r(3), (2, 2))], ref=np.tile)
def tile(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """As repeat, but missing counts at the front are 1."""
    dims = _sizes("tile", dims)
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
        return reshape(spread, (*shape[:d], shape[d] * repeats, *shape[d + 1:]))
    counts = repeats.array if isinstance(repeats, Tensor) else np.asarray(repeats)
    if counts.dtype.kind not in "iu" or counts.shape not in ((shape[d],), (1,)):
        raise ValueError(f"repeat_interleave: dimension {dim} has size {shape[d]}, want as many "
                         f"integer repeats, got {counts.dtype} of shape {counts.shape}")
    return input[(*(slice(None),) * d, np.repeat(np.arange(shape[d]), counts))]


def _constant_pad_door(input, pad, value):
    for d, (n, a, b) in enumerate(zip(input.shape, pad[::2], pad[1::2])):
        if n + a + b < 0 or n + min(a, 0) < 0 or n + min(b, 0) < 0:
            raise ValueError(f"pad: dimension {d} has size {n}, padding it by {(a, b)} cuts more "
                             "than there is")
    return input, pad, value


@op(samples=lambda r: [(r(2, 3), (1, 2, 0, 1)), (r(2, 3), (1, 0, -1, 2), 1.5),
                       (r(3, 4), (-1, -1, 0, 0))],
    ref=lambda x, pad, value=0.0: _constant_pad_ref(x, pad, value), door=_constant_pad_door)
def constant_pad(input: Tensor, pad: tuple[int, ...], value: float = 0.0) -> Tensor:
    """`value` around the input: pad = (left, right) of each dimension, the first first; negative
    cuts.

    What `pad` does in its mode "constant". (The derivative of padding by p is padding by -p.)
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
                              (r(2, 3, 4), (1, 2, 3, 0), "circular")], ref=_pad_ref)
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
    given = _sizes("pad", pad)
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
        input = input[(*(slice(None),) * d, at)]
    return input


# --- triangles -----------------------------------------------------------------------------------

def _matrix_door(name):
    def door(input, diagonal):
        if np.ndim(input) < 2:
            raise ValueError(f"{name}: want a matrix (2 dimensions or more), got shape "
                             f"{np.shape(input)}")
        return input, diagonal
    return door


@op(samples=lambda r: [(r(3, 4),), (r(2, 3, 3), 1), (r(3, 3), -1)], ref=np.tril,
    door=_matrix_door("tril"))
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices (..., R, C), zeros above the given diagonal.

    Raises: ValueError for fewer than 2 dimensions.
    """
    return np.tril(input, diagonal)
tril.vjp(input=lambda g, diagonal: tril(g, diagonal))


@op(samples=lambda r: [(r(3, 4),), (r(2, 3, 3), 1), (r(3, 3), -1)], ref=np.triu,
    door=_matrix_door("triu"))
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices (..., R, C), zeros below the given diagonal.

    Raises: ValueError for fewer than 2 dimensions.
    """
    return np.triu(input, diagonal)
triu.vjp(input=lambda g, diagonal: triu(g, diagonal))


# --- copies and dtypes ---------------------------------------------------------------------------

@op(samples=lambda r: [(r(3, 4),)], ref=np.copy)
def clone(input: Tensor) -> Tensor:
    """A copy with memory of its own; gradients pass through it."""
    return np.array(input)
clone.vjp(input=lambda g: g)


@composite(samples=lambda r: [(r(3, 4),), (r(3, 4).T,)], ref=np.ascontiguousarray)
def contiguous(input: Tensor) -> Tensor:
    """The tensor itself if its elements lie in memory in row-major order, else a copy that does."""
    array = input.array if isinstance(input, Tensor) else input
    if array.flags.c_contiguous:
        return input
    return _row_major(input)


@op(samples=lambda r: [(r(3, 4).T,)], ref=np.ascontiguousarray)
def _row_major(input: Tensor) -> Tensor:
    """A row-major copy."""
    return np.array(input, order="C")
_row_major.vjp(input=lambda g: g)


def as_dtype(name: str, dtype: Any) -> np.dtype:
    """The NumPy dtype that a user named: float32, "float32", np.float32, float, torch's names.

    Raises: TypeError if it is no dtype of numbers.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{name}: want a dtype such as 'float32' or np.int64, got "
                        f"{dtype!r}") from None
    if found.kind not in "fiub":
        raise TypeError(f"{name}: want a dtype of real numbers or bool, got {found}")
    return found


@op(samples=lambda r: [(r(3, 4), np.dtype(np.float64)), (r.integers(9, 3), np.dtype(np.float64))],
    ref=lambda x, dtype: x.astype(dtype), promote=False)
def cast_float(input: Tensor, dtype: np.dtype) -> Tensor:
    """The elements in a floating dtype; `to` calls it. The gradient comes back in input's dtype."""
    return np.array(input, dtype)
cast_float.vjp(input=lambda g: g)                  # the engine brings it to the dtype of input


@op(samples=lambda r: [(r(3, 4) * 3, np.dtype(np.int64)), (r.integers(2, 3), np.dtype(np.bool_))],
    ref=lambda x, dtype: x.astype(dtype), promote=False)
def cast_discrete(input: Tensor, dtype: np.dtype) -> Tensor:
    """The elements as integers (towards zero) or booleans; `to` calls it. The gradient ends
    here."""
    return np.array(input).astype(dtype)


def _check_device(name: str, device: Any) -> None:
    """Raises ValueError unless the device is the CPU."""
    if device is not None and str(device) not in ("cpu", "cpu:0"):
        raise ValueError(f"{name}: minigrad computes on the CPU only, device must be 'cpu', got "
                         f"{device!r}")


@composite(samples=lambda r: [(r(3, 4), np.float64), (r(3, 4) * 3, np.int64), (r(3), "cpu"),
                              (r(3), {"dtype": np.float64, "copy": True})],
           ref=lambda x, dtype=None, copy=False: x if dtype in (None, "cpu") else x.astype(dtype))
def to(input: Tensor, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False,
       non_blocking: bool = False) -> Tensor:
    """The tensor in another dtype; itself if it has that dtype already (unless copy).

    x.to(dtype), x.to("cpu"), x.to("cpu", dtype) or x.to(other_tensor). Floats to integers are cut
    towards zero, and the gradient ends there; between floats the gradient passes.

    Raises: TypeError if dtype is none; ValueError for a device other than "cpu".
    """
    for arg in args:
        if isinstance(arg, (Tensor, ndarray)):
            dtype = arg.dtype
        elif isinstance(arg, bool):
            copy = copy or arg
        elif isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta"):
            device = arg
        elif arg is not None:
            dtype = arg
    if device is not None:
        _check_device("to", device)
    if dtype is None or dtype == input.dtype:
        return clone(input) if copy else input
    if dtype.__class__ is not np.dtype or dtype.kind not in "fiub":
        dtype = as_dtype("to", dtype)
        if dtype == input.dtype:
            return clone(input) if copy else input
    return cast_float(input, dtype) if dtype.kind == "f" else cast_discrete(input, dtype)


@composite(samples=lambda r: [(r(3), r(2))], ref=lambda x, o: x + 0 * o.sum())
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the dtype of other."""
    return to(input, other.dtype)


@composite(samples=lambda r: [(r(4), r(2, 2))], ref=lambda x, o: x.reshape(o.shape) + 0 * o)
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the shape of other."""
    return reshape(input, np.shape(other))


@composite(samples=lambda r: [(r(3), r(2)), (r(3), r(2), {"indexing": "xy"})],
           ref=lambda *xs, indexing="ij": np.meshgrid(*xs, indexing=indexing))
def meshgrid(*tensors: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid: result i holds tensor i along dimension i, repeated along the others.

    tensors: vectors, (N0,), (N1,), ... -> each (N0, N1, ...). indexing: "ij" or "xy" (the first two
    dimensions exchanged). Read-only views.

    Raises: ValueError for anything but vectors, or another indexing.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    shapes = [np.shape(x) for x in tensors]
    if any(len(s) != 1 for s in shapes):
        raise ValueError(f"meshgrid: want vectors, got shapes {shapes}")
    n = len(tensors)
    full = tuple(s[0] for s in shapes)
    grids = [expand(reshape(x, (1,) * i + (-1,) + (1,) * (n - 1 - i)), full)
             for i, x in enumerate(tensors)]
    return tuple(transpose(x, 0, 1) if indexing == "xy" and n > 1 else x for x in grids)
