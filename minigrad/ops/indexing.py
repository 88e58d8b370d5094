"""Functions that choose elements by index, and their derivatives, which put gradients back in
place.

getitem and getitem_grad are each other's derivative, as are gather and gather_grad: reading x[i]
sends the gradient back by adding into zeros at i, where a repeated index gets several. Indices
themselves have no gradient. Not here: views along whole dimensions, such as split and unbind
(`shape.py`).
"""
from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from ..engine import Tensor, refuse_leaf_write, shares_memory, to_array, wrap
from ..modes import settings
from ..op import composite, op
from ..writes import record_write
from .elementwise import where
from .reduce import Extremes
from .shape import expand, many_dims, one_dim, permute, reshape

BASIC = frozenset((int, slice, type(None), type(Ellipsis)))


# --- x[index] ------------------------------------------------------------------------------------

def normal_index(index: Any) -> Any:
    """An index with every Tensor, list or range in it as an array. A tuple if any array is in
    it."""
    if index.__class__ in BASIC:
        return index
    if index.__class__ is tuple:
        for part in index:
            if part.__class__ not in BASIC:
                return tuple([_index_part(p) for p in index])
        return index
    part = _index_part(index)
    return (part,) if part.__class__ is ndarray else part


def _index_part(part):
    if part.__class__ in BASIC:
        return part
    if isinstance(part, slice):
        return part
    if isinstance(part, (bool, np.bool_)):
        return np.asarray(part)
    if isinstance(part, Tensor):
        part = part.array
    elif isinstance(part, (list, tuple, range)):
        part = to_array(list(part)) if len(part) else np.zeros(0, np.int64)
    if isinstance(part, ndarray):
        if part.dtype.kind not in "iub":
            raise TypeError(f"getitem: indices must be integers or booleans, got a tensor of "
                            f"{part.dtype}; convert it first: index.long()")
        if not part.ndim and part.dtype.kind != "b":
            return int(part)
        return np.asarray(part, order="C")
    try:
        return operator.index(part)
    except TypeError:
        raise TypeError(f"getitem: an index must be an integer, a slice, None, ..., or a tensor or "
                        f"list of integers or booleans, got {type(part).__name__} "
                        f"{part!r}") from None


def _index_error(name, error, shape, index):
    """The IndexError that says which index does not fit which dimension."""
    parts = index if isinstance(index, tuple) else (index,)
    is_mask = lambda p: isinstance(p, ndarray) and p.dtype.kind == "b"
    takes = [p.ndim if is_mask(p) else 0 if p is None or p is Ellipsis else 1 for p in parts]
    used = math.fsum(takes)
    if used > len(shape):
        return IndexError(f"{name}: {int(used)} indices for a tensor of {len(shape)} dimensions "
                          f"(shape {shape})")
    dim = 0
    for part, n in zip(parts, takes):
        if part is Ellipsis:
            dim = len(shape) - int(math.fsum(takes[parts.index(Ellipsis) + 1:])) \
                if not any(isinstance(p, ndarray) for p in parts[:1]) else dim
        elif is_mask(part):
            if part.shape != shape[dim:dim + n]:
                return IndexError(f"{name}: a mask of shape {part.shape} does not fit dimensions "
                                  f"{dim} to {dim + n - 1} of the tensor, of shape "
                                  f"{shape[dim:dim + n]}")
        elif part is not None and not isinstance(part, slice):
            low, high = (part, part) if isinstance(part, int) else \
                (int(part.min(initial=0)), int(part.max(initial=0)))
            wrong = low if low < -shape[dim] else high
            if not -shape[dim] <= wrong < shape[dim]:
                valid = f"valid: {-shape[dim]} to {shape[dim] - 1}" if shape[dim] else "it is empty"
                return IndexError(f"{name}: index {wrong} is out of range for dimension {dim} of "
                                  f"size {shape[dim]} ({valid})")
        dim += n
    arrays = [p.shape for p in parts if isinstance(p, ndarray)]
    return IndexError(f"{name}: {error} (tensor of shape {shape}, index tensors of "
                      f"shapes {arrays})")


def _getitem_samples(r):
    i, j = r.integers(3, 5), r.integers(4, 5)
    mask = r.mask(3, 4)
    return [(r(3, 4), 1), (r(3, 4), (slice(None), slice(None, None, 2))), (r(3, 4), (2, -1)),
            (r(3, 4), (None, Ellipsis, 0)), (r(3, 4), slice(None, None, -1)),
            (r(3, 4), (i,)), (r(3, 4), (slice(None), j)), (r(3, 4), (i, j)), (r(3, 4), (mask,)),
            (r(2, 3, 4), (slice(None), i, j)), (r(3, 2, 4), (i, slice(None), j)),
            (r(3, 4), (r.integers(3, 2, 2),)), (r(3, 4), (r.mask(3), slice(1, 3))),
            (r(3, 2, 4), (i, None, 1)), (r(3, 2, 4), (1, slice(None), j)),
            (r(5, 2), (np.array([3, 0, 4]),)), (r(3, 4), (np.array([0, -1, 2]), 1))]


@op(samples=_getitem_samples, ref=lambda x, index: x[index],
    door=lambda input, index: (input, normal_index(index)))
def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index], with all that NumPy knows: integers, slices (also with negative steps), None,
    ...,
    and integer or boolean tensors, arrays or lists, in any mixture.

    Integers and slices give a view, tensors and lists a copy.

    Raises: IndexError that says which index is out of range for which dimension, or which mask does
    not fit; TypeError for floats as indices.
    """
    try:
        out = input[index]
        if out.__class__ is not ndarray and index.__class__ is not tuple:
            return input[index, ...]               # a view of one element, not a copy of its value
        return out if out.__class__ is ndarray else input[(*index, ...)]
    except IndexError as error:
        raise _index_error("getitem", error, input.shape, index) from None
getitem.vjp(input=lambda g, index, input_shape: getitem_grad(g, index, input_shape))


def _put_back_samples(r):
    return [(x[index], index, x.shape) for x, index in _getitem_samples(r)]


def _put_back_ref(g, index, shape):
    out = np.zeros(shape)
    np.add.at(out, index, g)
    return out


@op(samples=_put_back_samples, ref=_put_back_ref)
def getitem_grad(g: Tensor, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with g added at [index]: the derivative of x[index].

    g: as x[index] -> shape. Where an index repeats, its gradients add up.
    """
    g = np.asarray(g)
    out = np.zeros(shape, g.dtype)
    arrays = [p for p in index if p.__class__ is ndarray] if index.__class__ is tuple else ()
    try:
        if all(p.dtype.kind == "b" for p in arrays):
            out[index] = g                         # no element is named twice
        else:
            _add_at(out, index, arrays, g)
    except (ValueError, IndexError) as error:
        raise ValueError(f"getitem_grad: g of shape {g.shape} is not as zeros({shape})[index]: "
                         f"{error}"
                         ) from None
    return out
getitem_grad.vjp(g=lambda g, index: getitem(g, index))


def _add_at(out, index, arrays, g):
    """out[index] += g where indices may repeat. np.add.at is 10 times slower on whole rows."""
    at = next(i for i, p in enumerate(index) if p.__class__ is ndarray)
    if len(arrays) == 1 and all(isinstance(p, slice) and p == slice(None) for p in index[:at]) \
            and at == len(index) - 1:
        # One index tensor along dimension `at`: sort it, and add up the runs of equal indices.
        i = arrays[0].ravel()
        i = np.where(i < 0, i + out.shape[at], i)
        order = np.argsort(i, kind="stable")
        i = i[order]
        first = np.flatnonzero(np.r_[True, i[1:] != i[:-1]]) if i.size else i
        lead = (slice(None),) * at
        rows = g.reshape(*out.shape[:at], i.size, *out.shape[at + 1:])
        if first.size == i.size:
            out[(*lead, i)] = rows[(*lead, order)]
        else:
            out[(*lead, i[first])] = np.add.reduceat(rows[(*lead, order)], first, axis=at)
        return
    positions = np.arange(out.size).reshape(out.shape)[index]
    np.add.at(out.reshape(-1), positions.ravel(), np.broadcast_to(g, positions.shape).ravel())


# --- x[index] = value ----------------------------------------------------------------------------

def _setitem_samples(r):
    i = np.array([2, 0, 2])
    return [(r(3, 4), 1, r(4)), (r(3, 4), (slice(None), slice(1, 3)), r(3, 1)),
            (r(3, 4), (1, 2), r()), (r(3, 4), (i,), r(3, 4)),
            (r(3, 4), (i, np.array([1, 1, 1])), r(3)),
            (r(3, 4), (r.mask(3, 4),), 2.5), (r(3, 4), slice(0, 2), r(1, 1, 4))]


def _setitem_ref(x, index, value):
    x = x.copy()
    x[index] = value
    return x


@op(samples=_setitem_samples, ref=_setitem_ref,
    door=lambda input, index, value, overwrite: (input, normal_index(index), value, overwrite))
def setitem(input: Tensor, index: Any, value: Tensor | float, overwrite: bool = False) -> Tensor:
    """A copy of input in which [index] is `value`, broadcast to it: x[index] = value, as a
    function.

    Where an index repeats, the last value stays, and it alone gets a gradient.
    overwrite: write into input itself; only for Tensor.__setitem__, which knows when nobody sees
    it.

    Raises: IndexError as getitem; ValueError if value does not broadcast to input[index].
    """
    out = input if overwrite else np.array(input)
    write_at(out, index, value)
    return out
setitem.vjp(input=lambda g, index: setitem(g, index, 0.0),
            value=lambda g, index, input_shape, value_shape: _setitem_value(g, index, input_shape,
                                                                          value_shape))


def write_at(array: ndarray, index: Any, value: Any) -> None:
    """array[index] = value, with errors that say what does not fit."""
    if isinstance(value, ndarray) and index.__class__ is tuple:
        # NumPy writes in the order of memory, and where an index repeats the last must stay.
        value = np.asarray(value, order="C")
    try:
        array[index] = value
    except IndexError as error:
        raise _index_error("setitem", error, array.shape, index) from None
    except ValueError as error:
        if not array.flags.writeable:
            raise ValueError("setitem: this tensor is read-only memory (an expanded view, or made "
                             "from a read-only array); write into x.clone()") from None
        try:
            place = array[index].shape
        except IndexError as wrong:
            raise _index_error("setitem", wrong, array.shape, index) from None
        raise ValueError(f"setitem: a value of shape {np.shape(value)} does not broadcast to "
                         f"{place}, the shape of x[index] (x has shape {array.shape}): "
                         f"{error}") from None


def _setitem_value(g, index, shape, value_shape):
    part = getitem(g, index)
    if index.__class__ is tuple and any(p.__class__ is ndarray and p.dtype.kind != "b"
                                               for p in index):
        part = where(_last_writers(shape, index), part, 0.0)
    extra = len(value_shape) - part.ndim           # NumPy lets a value have ones in front
    return reshape(part, (1,) * extra + part.shape) if extra > 0 else part


def _last_writers(shape, index):
    """For each element of x[index], whether it is the last that an assignment writes to its
    place."""
    places = np.zeros(shape, np.intp)
    numbers = np.arange(places[index].size).reshape(places[index].shape)
    places[index] = numbers
    return places[index] == numbers


class _Probe:
    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array = np.zeros(2)


# What sys.getrefcount(x.array) says if nobody else holds the array: asked, as it depends on the
# version of Python. Who saved it, or views it, or shares it (detach), holds it.
_probe = _Probe()                                  # kept, so that it is one holder, as a tensor is
_ALONE = sys.getrefcount(_probe.array)


def integers_first(index: tuple) -> tuple[tuple, tuple] | None:
    """A mixed index as two steps, if NumPy's own order of the result would not be torch's.

    x[2, :, i] with a tensor i: NumPy takes 2 for an index tensor too, finds the two apart, and puts
    their dimension in front; torch takes integers first, as x[2, :][:, i]. None if it is the same.
    """
    taken = [k for k, p in enumerate(index) if p.__class__ is int or p.__class__ is ndarray]
    together = not taken or taken[-1] - taken[0] == len(taken) - 1
    if together or not any(index[k].__class__ is int for k in taken):
        return None
    first: list[Any] = []
    for p in index:
        first += [slice(None)] * (p.ndim if p.dtype.kind == "b" else 1) \
            if p.__class__ is ndarray else [p]
    then = [p if p.__class__ is ndarray or p is Ellipsis else slice(None)
            for p in index if p.__class__ is not int]
    return tuple(first), tuple(then)


def tensor_getitem(self: Tensor, index: Any) -> Tensor:
    """x[index]; see getitem. Integers beside index tensors are taken first, as in torch."""
    index = normal_index(index)
    basic = index.__class__ in BASIC
    if not basic:
        basic = all([p.__class__ is not ndarray for p in index])
        steps = None if basic else integers_first(index)
        if steps is not None:
            return getitem(getitem(self, steps[0]), steps[1])
    result = getitem(self, index)
    if basic:
        result.origin = self, index                # a view: what is done to it is done to self
    return result


def tensor_setitem(self: Tensor, index: Any, value: Any) -> None:
    """x[index] = value.

    If no gradient is involved, the numbers are written into x's memory (and seen by its views).
    Else x becomes the result of `setitem`: its gradient is 0 where it was overwritten, and value
    gets the gradient of its place. Nothing is copied while nobody else holds x's memory, so that
    filling out[t] = h_t in a loop is linear in time; stack(list_of_h) is faster still, backward
    too.

    Raises: ValueError where a gradient would be lost: x is a leaf that requires grad, or a view of
    another kind than y[index]; IndexError, TypeError and ValueError as setitem.
    """
    if isinstance(value, (list, tuple)):
        value = to_array(value)
    index = normal_index(index)
    steps = integers_first(index) if index.__class__ is tuple else None
    if steps is not None:
        tensor_setitem(tensor_getitem(self, steps[0]), steps[1], value)
        return
    if settings.grad_enabled and (self._requires_grad
                                  or (isinstance(value, Tensor) and value._requires_grad)):
        if self.array.dtype.kind != "f":
            raise TypeError(f"setitem: a value that requires grad cannot be put into a tensor of "
                            f"{self.dtype}: its gradient would be lost; use value.detach()")
        if hasattr(self, "origin") or shares_memory(self.array):
            self.become(setitem(self, index, value))
            return
        refuse_leaf_write(self)
        result = setitem(self, index, value, sys.getrefcount(self.array) == _ALONE)
        self.array, self.node, self._requires_grad = result.array, result.node, True
        return
    write_at(self.array, index, value.array if isinstance(value, Tensor) else value)
    record_write(self.array)


# --- along one dimension: an index for every place -----------------------------------------------

def _check_along(name, shape, dim, index, index_shape, size):
    """Raises unless index is an integer array that fits `shape` beside dim, within 0 .. size -
    1."""
    if not isinstance(index, ndarray) or index.dtype.kind not in "iu":
        kind = index.dtype if isinstance(index, ndarray) else type(index).__name__
        raise TypeError(f"{name}: index must be an integer tensor, got {kind}"
                        + ("; convert it first: index.long()" if kind != "bool" else ""))
    if len(index_shape) != len(shape):
        raise ValueError(f"{name}: index has {len(index_shape)} dimensions (shape {index_shape}), "
                         f"the tensor {len(shape)} (shape {shape}); they must be equally many"
                         + (f": index.unsqueeze({dim})" if len(index_shape) == len(shape) - 1
                            else ""))
    for d, (n, m) in enumerate(zip(index_shape, shape)):
        if n > m and d != dim:
            raise ValueError(f"{name}: index has size {n} in dimension {d}, the tensor only {m} "
                             f"(shapes {index_shape} and {shape})")
    if index.size:
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= size:
            raise IndexError(f"{name}: index {low if low < 0 else high} is out of range for "
                             f"dimension {dim} of size {size} (valid: 0 to {size - 1})")


def _along(shape, dim, index):
    """The index tuple that means `index` along dim and every place along the others."""
    grid = [np.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - d))
            for d, n in enumerate(index.shape)]
    grid[dim:dim + 1] = [index]
    return tuple(grid)


def _gather_door(input, dim, index):
    shape = np.shape(input)
    d = one_dim("gather", dim, len(shape))
    _check_along("gather", shape, d, index, np.shape(index), shape[d] if shape else 1)
    return input, d, index


def _gather_samples(r):
    return [(r(3, 4), 1, r.integers(4, 3, 2)), (r(3, 4), 0, r.integers(3, 5, 4)),
            (r(2, 3, 4), 2, r.integers(4, 2, 2, 1))]


def _gather_ref(x, dim, index):
    out = np.empty(index.shape, x.dtype)
    for place in np.ndindex(*index.shape):
        source = list(place)
        source[dim] = index[place]
        out[place] = x[tuple(source)]
    return out


@op(samples=_gather_samples, ref=_gather_ref, door=_gather_door)
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """result[i][j] = input[i][index[i][j]] for dim 1, and so on: an index for every place.

    index: integers, as many dimensions as input, not larger than it except along dim; the result
    has its shape.

    Raises: IndexError for an index outside 0 .. size - 1; TypeError if index is not of integers;
    ValueError if the shapes do not fit or dim does not exist.
    """
    return input[_along(input.shape, dim, index)] if np.ndim(input) else np.array(input)
gather.vjp(input=lambda g, dim, index, input_shape: gather_grad(g, dim, index, input_shape))


def _scatter_ref(out, dim, index, src, add):
    out = out.copy()
    for place in np.ndindex(*index.shape):
        target = list(place)
        target[dim] = index[place]
        value = src[place] if isinstance(src, ndarray) else src
        out[tuple(target)] = value + (out[tuple(target)] if add else 0.0)
    return out


@op(samples=lambda r: [(r(*i.shape), dim, i, x.shape) for x, dim, i in _gather_samples(r)],
    ref=lambda g, dim, index, shape: _scatter_ref(np.zeros(shape), dim, index, g, True))
def gather_grad(g: Tensor, dim: int, index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with g added at the gathered places: the derivative of gather.

    g: as index -> shape. Where an index repeats, its gradients add up.
    """
    out = np.zeros(shape, g.dtype)
    if not shape:
        return out + g
    place = _along(shape, dim, index)
    if index.shape[dim] == 1:
        out[place] = g                             # one index in each line: none can repeat
        return out
    flat = np.ravel_multi_index(np.broadcast_arrays(*place), shape) if np.size(index) \
        else index
    np.add.at(out.reshape(-1), flat.ravel(), g.ravel())
    return out
gather_grad.vjp(g=lambda g, dim, index: gather(g, dim, index))


@composite(samples=lambda r: [(r(3, 4), r.integers(4, 3, 2), 1), (r(3, 4), r.integers(12, 5)),
                              (r(3, 4), r.integers(3, 1, 4), 0), (r(3, 4), r.integers(4, 1, 2), 1)],
           ref=lambda x, i, dim=None: np.take_along_axis(x, i, dim))
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """gather with broadcasting between input and indices; without dim, of the flattened input.

    Raises: as gather.
    """
    if dim is None:
        return gather(reshape(input, (-1,)), 0, reshape(indices, (-1,)))
    shape, other = np.shape(input), np.shape(indices)
    d = one_dim("take_along_dim", dim, len(shape))
    if len(other) == len(shape):
        common = np.broadcast_shapes((*shape[:d], 1, *shape[d + 1:]),
                                     (*other[:d], 1, *other[d + 1:]))
        input = expand(input, (*common[:d], shape[d], *common[d + 1:]))
        indices = expand(indices, (*common[:d], other[d], *common[d + 1:]))
    return gather(input, d, indices)


@composite(samples=lambda r: [(r(3, 4), 0, r.integers(3, 5)), (r(3, 4), -1, np.array([2, 0]))],
           ref=lambda x, dim, index: np.take(x, index, dim))
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of a dimension at the given indices (a vector of integers), in their order. A
    copy.

    Raises: IndexError for an index out of range; TypeError for a non-integer index; ValueError if
    dim does not exist or index is no vector.
    """
    d = one_dim("index_select", dim, np.ndim(input))
    if np.ndim(index) > 1:
        raise ValueError(f"index_select: index must be a vector, got shape {np.shape(index)}; "
                         "write x[index] for an index of any shape")
    if index.dtype.kind not in "iu":
        raise TypeError(f"index_select: index must be an integer tensor, got {index.dtype}")
    return getitem(input, (*(slice(None),) * d, reshape(index, (-1,))))


def _scatter_door(input, dim, index, src):
    shape = np.shape(input)
    d = one_dim("scatter", dim, len(shape))
    # Beside dim the index must not exceed the input, as for gather: both name places of the input.
    _check_along("scatter", shape, d, index, np.shape(index), shape[d] if shape else 1)
    if isinstance(src, ndarray) and src.ndim and src.shape != index.shape:
        raise ValueError(f"scatter: src has shape {src.shape}, index {index.shape}; they must be "
                         "equal (or src a number)")
    return input, d, index, src


def _scatter_rule(g, dim, index, input_shape):
    part = gather(g, dim, index)
    return where(_last_writers(input_shape, _along(input_shape, dim, index)), part, 0.0)


@op(samples=lambda r: [(r(3, 4), 1, np.array([[0, 2], [1, 1], [3, 0]]), r(3, 2)),
                       (r(3, 4), 0, r.integers(3, 5, 4), r(5, 4)),
                       (r(3, 4), 0, r.integers(3, 1, 4), 1.5)],
    ref=lambda *args: _scatter_ref(*args, add=False), door=_scatter_door)
def scatter(input: Tensor, dim: int, index: Tensor, src: Tensor | float) -> Tensor:
    """A copy of input with result[i][index[i][j]] = src[i][j] for dim 1, and so on.

    Where an index repeats, the last stays, and it alone gets a gradient. src: as index, or a
    number.

    Raises: IndexError for an index outside 0 .. size - 1; TypeError if index is not of integers;
    ValueError if the shapes do not fit or dim does not exist.
    """
    out = np.array(input)
    out[_along(input.shape, dim, index)] = np.asarray(src, order="C")
    return out
scatter.vjp(input=lambda g, dim, index: scatter(g, dim, index, 0.0), src=_scatter_rule)


@composite(samples=lambda r: [(r(3, 4), 1, r.integers(4, 3, 2), r(3, 2)),
                              (r(3, 4), 0, r.integers(3, 5, 4), r(5, 4))],
           ref=lambda *args: _scatter_ref(*args, add=True))
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """input with src added at result[i][index[i][j]] for dim 1, and so on; repeated indices add up.

    Raises: as scatter.
    """
    shape, at = np.shape(input), index.array if isinstance(index, Tensor) else index
    d = one_dim("scatter_add", dim, len(shape))
    _check_along("scatter_add", shape, d, at, np.shape(at), shape[d] if shape else 1)
    if np.shape(src) != np.shape(at):
        raise ValueError(f"scatter_add: src has shape {np.shape(src)}, index {np.shape(at)}; they "
                         "must be equal")
    return input + gather_grad(src, d, at, shape)


@composite(samples=lambda r: [(r(3, 4), 0, r.integers(3, 5), r(5, 4)),
                              (r(3, 4), 1, np.array([3, 0]), r(3, 2), {"alpha": 2.0})],
           ref=lambda x, dim, i, s, alpha=1.0: x + alpha * _put_back_ref(
               s, (slice(None),) * dim + (i,), x.shape))
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *,
              alpha: float = 1.0) -> Tensor:
    """input with alpha times the slices of source added at the given indices of a dimension.

    Raises: ValueError if source is not as input with as many slices as indices; as getitem
    otherwise.
    """
    shape = np.shape(input)
    d = one_dim("index_add", dim, len(shape))
    at = normal_index((*(slice(None),) * d, index))
    want = (*shape[:d], np.size(at[d]), *shape[d + 1:])
    if np.shape(source) != want:
        raise ValueError(f"index_add: source has shape {np.shape(source)}, want {want}: as the "
                         f"input, with one slice of dim {dim} for each of {want[d]} indices")
    getitem(input.array if isinstance(input, Tensor) else input, at)          # refuses a bad index
    added = getitem_grad(source, at, shape)
    return input + (added if alpha == 1.0 else added * alpha)


# --- masks ---------------------------------------------------------------------------------------

def _check_mask(name, mask):
    if mask.dtype.kind != "b":
        raise TypeError(f"{name}: mask must be of booleans, got {mask.dtype}; write mask.bool() or "
                        "a comparison such as mask != 0")


@composite(samples=lambda r: [(r(3, 4), r.mask(3, 4), 1.5), (r(3, 4), r.mask(4), -2.0),
                              (r(3, 4), r.mask(3, 1), r())],
           ref=lambda x, mask, value: np.where(mask, value, x))
def masked_fill(input: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """input with `value` where mask is true; mask broadcasts to input.

    Raises: TypeError unless mask is of booleans; ValueError if it does not broadcast to input.
    """
    _check_mask("masked_fill", mask)
    out = where(mask, value, input)
    if out.shape != np.shape(input):
        raise ValueError(f"masked_fill: mask {np.shape(mask)} does not broadcast to the input "
                         f"{np.shape(input)}")
    return out


@composite(samples=lambda r: [(r(3, 4), r.mask(3, 4)), (r(3, 4), r.mask(4))],
           ref=lambda x, mask: x[np.broadcast_to(mask, x.shape)])
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where mask is true, as a vector; input and mask broadcast.

    Raises: TypeError unless mask is of booleans; ValueError if the shapes do not broadcast.
    """
    _check_mask("masked_select", mask)
    try:
        shape = np.broadcast_shapes(np.shape(input), np.shape(mask))
    except ValueError:
        raise ValueError(f"masked_select: input {np.shape(input)} and mask {np.shape(mask)} do not "
                         "broadcast") from None
    return getitem(expand(input, shape), expand(mask, shape))


@composite(samples=lambda r: [(r.mask(3, 4),), (r.integers(2, 5), True)],
           ref=lambda x, as_tuple=False: np.nonzero(x) if as_tuple else np.argwhere(x))
def nonzero(input: Tensor, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero: (how many, ndim) integers, in row-major order.

    as_tuple: a vector for each dimension instead, so that x[nonzero(x, as_tuple=True)] selects
    them.
    """
    array = input.array if isinstance(input, Tensor) else input
    dress: Callable[[ndarray], Any] = wrap if isinstance(input, Tensor) else np.asarray
    if as_tuple:
        return tuple(map(dress, np.nonzero(array)))
    return dress(np.argwhere(array))


def _one_hot_door(tensor, num_classes):
    if not isinstance(tensor, ndarray) or tensor.dtype.kind not in "iu":
        raise TypeError(f"one_hot: want integer class indices, got "
                        f"{getattr(tensor, 'dtype', type(tensor).__name__)}; convert them: "
                        "x.long()")
    if num_classes == -1:
        if not tensor.size:
            raise ValueError("one_hot: an empty tensor does not show how many classes there are; "
                             "pass num_classes")
        num_classes = int(tensor.max()) + 1
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes must be positive (or -1: as many as occur), got "
                         f"{num_classes}")
    if tensor.size and not 0 <= tensor.min() <= tensor.max() < num_classes:
        wrong = int(tensor.min()) if tensor.min() < 0 else int(tensor.max())
        raise ValueError(f"one_hot: class {wrong} is out of range for num_classes={num_classes} "
                         f"(valid: 0 to {num_classes - 1})")
    return tensor, num_classes


@op(samples=lambda r: [(r.integers(4, 5),), (r.integers(4, 2, 3), 5)],
    ref=lambda x, n=-1: np.eye(x.max() + 1 if n == -1 else n, dtype=np.int64)[x],
    door=_one_hot_door)
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """(...) class indices -> (..., num_classes) integers: 1 at the class, 0 elsewhere.

    num_classes: -1 for the largest index plus 1.

    Raises: TypeError unless integers; ValueError for a class out of range.
    """
    out = np.zeros((*tensor.shape, num_classes), np.int64)
    np.put_along_axis(out, tensor[..., None].astype(np.intp), 1, -1)
    return out


# --- order ---------------------------------------------------------------------------------------

def _argsort_door(input, dim, descending, stable):
    return input, one_dim("argsort", dim, np.ndim(input)), descending, stable


def _argsort_ref(x, dim=-1, descending=False):
    return np.argsort(-x if descending else x, dim)


@op(samples=lambda r: [(r.apart(3, 4),), (r.apart(3, 4), 0, True)], ref=_argsort_ref,
    door=_argsort_door)
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort the input along dim. Equal elements keep their order (always stable);
    what is not a number counts as the largest.

    Raises: ValueError if dim does not exist.
    """
    if not np.ndim(input):
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(input, axis=dim, kind="stable")
    # Sorted from behind, so that equal ones keep their order.
    last = input.shape[dim] - 1
    return last - np.flip(np.argsort(np.flip(input, dim), axis=dim, kind="stable"), dim)


@composite(samples=lambda r: [(r.apart(3, 4),), (r.apart(3, 4), 0, True)],
           ref=lambda x, dim=-1, d=False: (
               np.take_along_axis(x, _argsort_ref(x, dim, d), dim), _argsort_ref(x, dim, d)))
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Extremes:
    """(values, indices) sorted along dim; the gradient of a value goes to the element it came from.

    Equal elements keep their order; what is not a number counts as the largest.

    Raises: ValueError if dim does not exist.
    """
    indices = argsort(input, dim, descending)
    return Extremes(gather(input, dim, indices), indices)


def _topk_ref(x, k, dim=-1, largest=True):
    i = np.take(np.argsort(-x if largest else x, dim), np.arange(k), dim)
    return np.take_along_axis(x, i, dim), i


@composite(samples=lambda r: [(r.apart(3, 5), 2), (r.apart(5, 3), 3, 0, False),
                              (r.apart(2, 40), 3)],
           ref=_topk_ref)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True,
         sorted: bool = True) -> Extremes:
    """(values, indices) of the k largest (or smallest) elements along dim, best first.

    Raises: ValueError if there are fewer than k elements, or dim does not exist.
    """
    array = input.array if isinstance(input, Tensor) else input
    d = one_dim("topk", dim, array.ndim)
    n = array.shape[d] if array.ndim else 1
    if not 0 <= k <= n:
        raise ValueError(f"topk: k={k} of {n} elements along dim {dim} (shape {array.shape}); want "
                         f"0 <= k <= {n}")
    if not array.ndim:
        return Extremes(reshape(input, (1,))[:k], argsort(input))
    lead = (slice(None),) * d
    if 0 < k < n // 8:                             # choosing first is linear, sorting n log n
        chosen = (np.argpartition(array, n - k, d)[(*lead, slice(n - k, n))] if largest
                  else np.argpartition(array, k - 1, d)[(*lead, slice(0, k))])
        chosen = np.sort(chosen, d)
        order = argsort(np.take_along_axis(array, chosen, d), d, largest)
        at = np.take_along_axis(chosen, order, d)
    else:
        at = argsort(array, d, largest)[(*lead, slice(0, k))]
    indices = wrap(at) if isinstance(input, Tensor) else at
    return Extremes(gather(input, d, indices), indices)


# --- diagonals -----------------------------------------------------------------------------------

def _diagonal_places(rows, columns, offset):
    """Row and column indices of a diagonal of a matrix of this size."""
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = np.arange(n)
    return i - min(offset, 0), i + max(offset, 0)


@composite(samples=lambda r: [(r(3, 4),), (r(3, 4), 1), (r(2, 3, 4), -1, 0, 2)], ref=np.diagonal)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in two dimensions, as a new last dimension. A copy (torch: a
    view).

    offset: > 0 above the main diagonal, < 0 below.

    Raises: ValueError if a dimension does not exist or both are the same.
    """
    shape = np.shape(input)
    if len(shape) < 2:
        raise ValueError(f"diagonal: want 2 dimensions or more, got shape {shape}")
    a, b = many_dims("diagonal", (dim1, dim2), len(shape)) or (0, 1)
    rest = [d for d in range(len(shape)) if d not in (a, b)]
    i, j = _diagonal_places(shape[a], shape[b], offset)
    return getitem(permute(input, (*rest, a, b)), (Ellipsis, i, j))


@composite(samples=lambda r: [(r(3),), (r(3), -1), (r(3, 4), 1)], ref=np.diag)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a square matrix of zeros; of a matrix, its diagonal as a vector.

    Raises: ValueError unless 1 or 2 dimensions.
    """
    shape = np.shape(input)
    if len(shape) == 1:
        n = shape[0] + abs(diagonal)
        return getitem_grad(input, _diagonal_places(n, n, diagonal), (n, n))
    if len(shape) == 2:
        return getitem(input, _diagonal_places(*shape, diagonal))
    raise ValueError(f"diag: want a vector or a matrix, got shape {shape}; see diagonal")


@composite(samples=lambda r: [(r(3, 3),), (r(3, 4),)], ref=np.trace)
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    Raises: ValueError unless 2 dimensions.
    """
    if np.ndim(input) != 2:
        raise ValueError(f"trace: want a matrix, got shape {np.shape(input)}")
    return diag(input).sum()
