"""Functions that give the elements another shape or order of dimensions, and compute nothing.

Most results are views of the same memory, as in NumPy and torch; the docstring says where not.
The derivative of a rearrangement is the reverse one, so that most rules are the op itself, turned
around. Not here: joining and splitting (`join.py`), dtypes (`cast.py`), x[index] (`indexing.py`).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.engine import Tensor
from ..autograd.arguments import refuse_other
from ..autograd.op import Op, composite
from .dims import as_shape, chosen_dims, many_dims, new_dim, one_dim, spelt_product
from .kinds import movement

# --- one shape for another -----------------------------------------------------------------------

def _reshape_door(input, shape):
    shape = as_shape("reshape", shape)
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
    have = f"the tensor {old} has {spelt_product(old)} elements"
    if holes:
        if not math.prod(known):
            return ValueError(f"reshape: {have}; the -1 in {tuple(new)} cannot be inferred beside "
                              "a size of 0: write it as a number")
        return ValueError(f"reshape: {have}, not divisible by {spelt_product(known)} for the "
                          f"-1 in {tuple(new)}")
    fix = ""
    if new and new[0] > 0 and n % new[0] == 0:
        fix = (f"; with {new[0]} rows it fits ({new[0]}, -1), that is ({new[0]}, {n // new[0]})")
    return ValueError(f"reshape: {have}, the shape {tuple(new)} wants {spelt_product(new)}{fix}")


@movement(samples=lambda r: [(r(2, 3, 4), (4, 6)), (r(2, 3, 4), (-1,)), (r(2, 3), (3, -1, 1)),
                             (r(3), 3)],
          ref=np.reshape, door=_reshape_door, explain=_reshape_error)
def reshape(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The elements in row-major order under another shape. One size may be -1: the rest of them.

    The result shares memory where the strides allow it, else it is a copy: reshape always works.
    The method also takes sizes: x.reshape(2, -1).

    Raises: ValueError if the number of elements differs, or a -1 cannot be inferred.
    """
    return input.reshape(shape)
reshape.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@composite(samples=lambda r: [(r(2, 3, 4), (4, 6)), (r(2, 3), -1)], ref=np.reshape)
def view(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same as reshape: where torch's view would refuse a non-contiguous tensor, a copy."""
    return reshape(input, shape)


@composite(samples=lambda r: [(r(2, 3, 4),), (r(2, 3, 4), 1), (r(2, 3, 4), {"end_dim": -2})],
           ref=lambda x, start_dim=0, end_dim=-1: x.reshape(
               *x.shape[:start_dim], math.prod(x.shape[start_dim:x.ndim + end_dim + 1]),
               *x.shape[x.ndim + end_dim + 1:]))
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim (included) as one.

    (N, C, H, W).flatten(1) -> (N, C*H*W). One dimension alone is the tensor itself, as in torch.

    Raises: ValueError if a dimension does not exist or start_dim comes after end_dim.
    """
    shape = np.shape(input)
    first = one_dim("flatten", start_dim, len(shape), "start_dim")
    last = one_dim("flatten", end_dim, len(shape), "end_dim")
    if first > last:
        raise ValueError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim} in a "
                         f"tensor of shape {shape}")
    if first == last and shape:
        refuse_other("flatten", input=input)
        return input
    return reshape(input, (*shape[:first], math.prod(shape[first:last + 1]), *shape[last + 1:]))


@composite(samples=lambda r: [(r(2, 6), 1, (2, 3)), (r(6, 2), 0, (-1, 2))],
           ref=lambda x, dim, sizes: x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1:]))
def unflatten(input: Tensor, dim: int, sizes: tuple[int, ...]) -> Tensor:
    """One dimension as several, of these sizes (one may be -1).

    Raises: ValueError if dim does not exist or the sizes do not multiply to its size.
    """
    shape = np.shape(input)
    if not shape:
        raise ValueError("unflatten: a tensor without dimensions has none to unflatten; use "
                         "reshape")
    d = one_dim("unflatten", dim, len(shape))
    sizes = as_shape("unflatten", sizes)
    known = math.prod(s for s in sizes if s != -1)
    if -1 in sizes and not known:
        raise ValueError(f"unflatten: the -1 in {sizes} cannot be inferred beside a size of 0: "
                         "write it as a number")
    if sizes.count(-1) > 1 or (shape[d] % known if -1 in sizes else known != shape[d]):
        raise ValueError(f"unflatten: dimension {dim} has size {shape[d]}, the sizes {sizes} make "
                         f"{spelt_product([s for s in sizes if s != -1])}")
    if -1 in sizes:
        sizes = tuple(shape[d] // known if s == -1 else s for s in sizes)
    return reshape(input, (*shape[:d], *sizes, *shape[d + 1:]))


@movement(samples=lambda r: [(r(1, 3, 1),), (r(1, 3, 1), 0), (r(1, 3, 1), (0, -1)), (r(1, 3), 1)],
          ref=lambda x, dim=None: np.squeeze(x, None if dim is None else tuple(
              d for d in np.atleast_1d(dim) if x.shape[d] == 1)), dims={"dim": chosen_dims})
def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Without the dimensions of size 1: all of them, or those named. Others stay as they are.

    Raises: ValueError if a dimension does not exist.
    """
    dims = range(input.ndim) if dim is None else dim
    return input.squeeze(tuple([d for d in dims if input.shape[d] == 1]))
squeeze.vjp(input=lambda g, input_shape: reshape(g, input_shape))


@movement(samples=lambda r: [(r(3, 4), 0), (r(3, 4), -1), (r(3, 4), 1)], ref=np.expand_dims,
          dims={"dim": new_dim})
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 inserted before `dim` (-1: at the end).

    Raises: ValueError if dim is outside -ndim - 1 .. ndim.
    """
    return input[(slice(None),) * dim + (None,)]
unsqueeze.vjp(input=lambda g, input_shape: reshape(g, input_shape))


def _expand_door(input, shape):
    old, new = np.shape(input), as_shape("expand", shape)
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


@movement(samples=lambda r: [(r(3, 1), (3, 4)), (r(1, 4), (2, 3, 4)), (r(3, 1), (2, -1, 5))],
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


@composite(samples=lambda r: [(r(4), r(2, 2))], ref=lambda x, o: x.reshape(o.shape) + 0 * o)
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the shape of other."""
    return reshape(input, np.shape(other))


def spread(g, shape, dim, keepdim):
    """The gradient of a reduced result, repeated to the shape that was reduced."""
    if dim is not None and not keepdim:
        g = reshape(g, tuple([1 if i in dim else n for i, n in enumerate(shape)]))
    return expand(g, shape)


# --- the order of dimensions ---------------------------------------------------------------------

@movement(samples=lambda r: [(r(3, 4), 0, 1), (r(2, 3, 4), -1, 0)], ref=np.swapaxes,
          dims={"dim0": one_dim, "dim1": one_dim})
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
    n = input.ndim
    given = as_shape("permute", dims)
    order = tuple([one_dim("permute", d, n) for d in given])
    if len(order) != n or len(set(order)) < n:
        raise ValueError(f"permute: a tensor of shape {input.shape} needs each of its {n} "
                         f"dimensions once, got {given}")
    return input, order


@movement(samples=lambda r: [(r(2, 3, 4), (2, 0, 1)), (r(2, 3, 4), (0, -1, 1)), (r(3, 4), (1, 0))],
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


@movement(samples=lambda r: [(r(3, 4), (0,)), (r(2, 3, 4), (0, -1)), (r(4), 0)], ref=np.flip,
          dims={"dims": chosen_dims})
def flip(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The order of elements reversed along the given dimensions. A copy.

    Raises: ValueError if a dimension does not exist or comes twice.
    """
    return np.flip(input, dims).copy()
flip.vjp(input=lambda g, dims: flip(g, dims))


def _roll_door(input, shifts, dims):
    single = isinstance(shifts, (int, np.integer))
    shifts = (int(shifts),) if single else tuple(shifts)
    if dims is None or (len(shifts) == 1 and isinstance(dims, (tuple, list)) and not dims):
        if len(shifts) != 1:
            raise ValueError(f"roll: {len(shifts)} shifts {shifts} need equally many dims, got "
                             "none")
        return input, shifts[0], None
    if not shifts:
        raise ValueError("roll: want at least one shift, got ()")
    if not np.ndim(input):
        raise ValueError(f"roll: a tensor without dimensions has none to roll along, got "
                         f"dims={dims}; leave dims out")
    given = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(shifts) != len(given):
        raise ValueError(f"roll: shifts {shifts} and dims {given} must be equally many")
    return input, shifts, tuple([one_dim("roll", d, np.ndim(input), "dims") for d in given])


@movement(samples=lambda r: [(r(3, 4), 1), (r(3, 4), 2, 1), (r(3, 4), (1, -1), (0, 1))],
          ref=np.roll, door=_roll_door)
def roll(input: Tensor, shifts: int | tuple[int, ...],
         dims: int | tuple[int, ...] | None = None) -> Tensor:
    """Elements moved by `shifts` places along dims; those pushed out come in at the other end.

    Without dims the tensor is rolled as if it were flattened. A copy.

    Raises: ValueError if a dimension does not exist or shifts and dims are not equally many.
    """
    return np.roll(input, shifts, dims)
roll.vjp(input=lambda g, shifts, dims: roll(
    g, -shifts if isinstance(shifts, int) else tuple([-s for s in shifts]), dims))
