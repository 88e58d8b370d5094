"""Elements chosen by a tensor of indices or a mask: gather, scatter, index_select, masked_fill.

Not here: x[index] (`indexing.py`), the order of elements (`order.py`).
"""
from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor, wrap
from ..foreign import got
from ..autograd.arguments import refuse_other
from ..autograd.op import composite, op
from ..promotion import refuse_unfit
from ..long_sums import add_at
from .cast import to
from .dims import along, one_dim
from .elementwise import where
from .indexing import getitem, getitem_grad, put_back_ref
from .indices import last_writers, normal_index
from .kinds import movement
from .shape import expand, reshape

# --- along one dimension: an index for every place -----------------------------------------------

def _check_along(name, shape, dim, index):
    """Raises unless index is an integer array that fits `shape` beside dim, and there its size.

    A tensor without dimensions is here as good as one of one element.
    """
    if not isinstance(index, ndarray) or index.dtype.kind not in "iu":
        kind = index.dtype if isinstance(index, ndarray) else got(index)
        raise TypeError(f"{name}: index must be an integer tensor, got {kind}"
                        + ("; convert it first: index.long()" if kind != "bool" else ""))
    if max(index.ndim, 1) != max(len(shape), 1):
        raise ValueError(f"{name}: index has {index.ndim} dimensions (shape {index.shape}), "
                         f"the tensor {len(shape)} (shape {shape}); they must be equally many"
                         + (f": index.unsqueeze({dim})" if index.ndim == len(shape) - 1 else ""))
    for d, (n, m) in enumerate(zip(index.shape, shape)):
        if n > m and d != dim:
            raise ValueError(f"{name}: index has size {n} in dimension {d}, the tensor only {m} "
                             f"(shapes {index.shape} and {shape})")
    if index.size:
        low, high, size = int(index.min()), int(index.max()), shape[dim] if shape else 1
        if low < 0 or high >= size:
            raise IndexError(f"{name}: index {low if low < 0 else high} is out of range for "
                             f"dimension {dim} of size {size} (valid: 0 to {size - 1})")


def _places(dim, index):
    """The index tuple that means `index` along dim and every place along the others."""
    if not index.ndim:
        return (index.reshape(1),)
    grid = [np.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - d))
            for d, n in enumerate(index.shape)]
    grid[dim:dim + 1] = [index]
    return tuple(grid)


def _with_dims(x):
    """The array, or its one element as a vector: what _places is an index of."""
    return x if x.ndim else x.reshape(1)


def _gather_door(input, dim, index):
    _check_along("gather", input.shape, dim, index)
    return input, dim, index


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


@movement(samples=_gather_samples, ref=_gather_ref, dims={"dim": one_dim}, door=_gather_door,
          apart=("index",))
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """result[i][j] = input[i][index[i][j]] for dim 1, and so on: an index for every place.

    index: integers, as many dimensions as input, not larger than it except along dim.
    The result has the shape of index.

    Raises: IndexError for an index outside 0 .. size - 1; TypeError if index is not of integers;
    ValueError if the shapes do not fit or dim does not exist.
    """
    return _with_dims(input)[_places(dim, index)].reshape(index.shape)
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
    ref=lambda g, dim, index, shape: _scatter_ref(np.zeros(shape), dim, index, g, True),
    apart=("index",))
def gather_grad(g: Tensor, dim: int, index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with g added at the gathered places: the derivative of gather.

    g: as index -> shape. Where an index repeats, its gradients add up.
    """
    out = np.zeros(shape, g.dtype)
    lines, place = _with_dims(out), _places(dim, index)
    if not index.ndim or index.shape[dim] == 1:    # one index in each line: none can repeat
        lines[place] = g
    elif index.size:
        flat = np.ravel_multi_index(np.broadcast_arrays(*place), lines.shape)
        add_at(out, flat.ravel(), g.ravel())
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
    if len(other) != len(shape):
        raise ValueError(f"take_along_dim: input has {len(shape)} dimensions (shape {shape}), "
                         f"indices {len(other)} (shape {other}); they must be equally many")
    if shape:
        common = np.broadcast_shapes((*shape[:d], 1, *shape[d + 1:]),
                                     (*other[:d], 1, *other[d + 1:]))
        input = expand(input, (*common[:d], shape[d], *common[d + 1:]))
        indices = expand(indices, (*common[:d], other[d], *common[d + 1:]))
    return gather(input, d, indices)


@composite(samples=lambda r: [(r(3, 4), 0, r.integers(3, 5)), (r(3, 4), -1, np.array([2, 0]))],
           ref=lambda x, dim, index: np.take(x, index, dim))
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of a dimension at the given indices (a vector of integers), as a copy.

    Raises: IndexError for an index out of range; TypeError for a non-integer index; ValueError if
    dim does not exist or index is no vector.
    """
    refuse_other("index_select", input=input, index=index)
    d = one_dim("index_select", dim, np.ndim(input))
    if np.ndim(index) > 1:
        raise ValueError(f"index_select: index must be a vector, got shape {np.shape(index)}; "
                         "write x[index] for an index of any shape")
    if index.dtype.kind not in "iu":
        raise TypeError(f"index_select: index must be an integer tensor, got {index.dtype}")
    if not np.ndim(input):                                 # one element, of no dimensions
        if prod(np.shape(index)) != 1:
            raise ValueError(f"index_select: a tensor without dimensions has one slice, got "
                             f"{prod(np.shape(index))} indices")
        return reshape(gather(input, 0, reshape(index, ())), ())
    at = index.array if isinstance(index, Tensor) else np.asarray(index)
    return getitem(input, along(d, at.reshape(-1)))


def _scatter_door(input, dim, index, src):
    _check_along("scatter", input.shape, dim, index)
    if isinstance(src, ndarray) and src.ndim and src.shape != index.shape:
        raise ValueError(f"scatter: src has shape {src.shape}, index {index.shape}; they must be "
                         "equal (or src a number)")
    number = isinstance(src, (int, float))
    if input.dtype.kind != "f" and np.result_type(src).kind == "f":
        raise TypeError(f"scatter: a src of {'floats' if number else src.dtype} does not fit a "
                        f"tensor of {input.dtype}; convert one of them, for example x.float()")
    refuse_unfit("scatter", input.dtype, src if number or src.ndim else src.item())
    return input, dim, index, src


def _scatter_rule(g, dim, index, input_shape):
    last = last_writers(input_shape or (1,), _places(dim, index)).reshape(index.shape)
    return where(last, gather(g, dim, index), 0.0)


@movement(samples=lambda r: [(r(3, 4), 1, np.array([[0, 2], [1, 1], [3, 0]]), r(3, 2)),
                             (r(3, 4), 0, r.integers(3, 5, 4), r(5, 4)),
                             (r(3, 4), 0, r.integers(3, 1, 4), 1.5)],
          ref=lambda *args: _scatter_ref(*args, add=False), dims={"dim": one_dim},
          door=_scatter_door, apart=("index",))
def scatter(input: Tensor, dim: int, index: Tensor, src: Tensor | float) -> Tensor:
    """A copy of input with result[i][index[i][j]] = src[i][j] for dim 1, and so on.

    Where an index repeats, the last stays, and it alone gets a gradient.
    src: of the shape of index, or a number.

    Raises: IndexError for an index outside 0 .. size - 1; TypeError if index is not of integers;
    ValueError if the shapes do not fit or dim does not exist.
    """
    out = np.array(input)
    _with_dims(out)[_places(dim, index)] = np.asarray(src, order="C")
    return out
scatter.vjp(input=lambda g, dim, index: scatter(g, dim, index, 0.0), src=_scatter_rule)


@composite(samples=lambda r: [(r(3, 4), 1, r.integers(4, 3, 2), r(3, 2)),
                              (r(3, 4), 0, r.integers(3, 5, 4), r(5, 4))],
           ref=lambda *args: _scatter_ref(*args, add=True), rounds=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """input with src added at result[i][index[i][j]] for dim 1, and so on; repeated indices add up.

    Raises: as scatter.
    """
    shape, at = np.shape(input), index.array if isinstance(index, Tensor) else index
    d = one_dim("scatter_add", dim, len(shape))
    _check_along("scatter_add", shape, d, at)
    if np.shape(src) != np.shape(at):
        raise ValueError(f"scatter_add: src has shape {np.shape(src)}, index {np.shape(at)}; they "
                         "must be equal")
    return input + gather_grad(src, d, at, shape)


@composite(samples=lambda r: [(r(3, 4), 0, r.integers(3, 5), r(5, 4)),
                              (r(3, 4), 1, np.array([3, 0]), r(3, 2), {"alpha": 2.0})],
           ref=lambda x, dim, i, s, alpha=1.0: x + alpha * put_back_ref(
               s, along(dim, i), x.shape), rounds=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *,
              alpha: float = 1.0) -> Tensor:
    """input with alpha times the slices of source added at the given indices of a dimension.

    Raises: ValueError unless source is as input, with one slice for each index; else as getitem.
    """
    shape = np.shape(input)
    d = one_dim("index_add", dim, len(shape))
    if not shape:                                          # one element, of no dimensions
        if np.shape(source) != () or prod(np.shape(index)) != 1:
            raise ValueError(f"index_add: source has shape {np.shape(source)}, index "
                             f"{np.shape(index)}; want a number and its index")
        return reshape(index_add(reshape(input, (1,)), 0, reshape(index, (-1,)),
                                 reshape(source, (1,)), alpha=alpha), ())
    at = normal_index(along(d, index), len(shape))
    want = (*shape[:d], np.size(at[d]), *shape[d + 1:])
    if np.shape(source) != want:
        raise ValueError(f"index_add: source has shape {np.shape(source)}, want {want}: as the "
                         f"input, with one slice of dim {dim} for each of {want[d]} indices")
    getitem(input.array if isinstance(input, Tensor) else input, at)          # refuses a bad index
    added = getitem_grad(source, at, shape)
    return input + (added if alpha == 1.0 else added * alpha)


# --- masks ---------------------------------------------------------------------------------------

def _check_mask(name, mask):
    refuse_other(name, mask=mask)
    if mask.dtype.kind != "b":
        raise TypeError(f"{name}: mask must be of booleans, got {mask.dtype}; write mask.bool() or "
                        "a comparison such as mask != 0")


@composite(samples=lambda r: [(r(3, 4), r.mask(3, 4), 1.5), (r(3, 4), r.mask(4), -2.0),
                              (r(3, 4), r.mask(3, 1), r())],
           ref=lambda x, mask, value: np.where(mask, value, x))
def masked_fill(input: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """input with `value` where mask is true, in the dtype of input; mask broadcasts to input.

    Raises: TypeError unless mask is of booleans, or for a value that input's dtype does not hold;
    ValueError if mask does not broadcast to input.
    """
    _check_mask("masked_fill", mask)
    kind, given = input.dtype.kind, getattr(value, "dtype", None)
    if kind == "b" and given is None:
        value = bool(value)
    elif kind != "f" and (given.kind == "f" if given is not None else isinstance(value, float)):
        if given is not None or not value.is_integer():
            raise TypeError(f"masked_fill: a tensor of {input.dtype} does not hold "
                            f"{value if given is None else f'values of {given}'}; convert one of "
                            "them first: x.float(), or value.long()")
        value = int(value)
    out = where(mask, value, input)
    if out.dtype != input.dtype:
        out = to(out, input.dtype)
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
    return getitem(expand(input, shape), normal_index(expand(mask, shape), len(shape)))


@composite(samples=lambda r: [(r.mask(3, 4),), (r.integers(2, 5), True)],
           ref=lambda x, as_tuple=False: np.nonzero(x) if as_tuple else np.argwhere(x))
def nonzero(input: Tensor, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero: (how many, ndim) integers, in row-major order.

    as_tuple: a vector for each dimension instead: x[nonzero(x, as_tuple=True)] selects them.
    """
    array = input.array if isinstance(input, Tensor) else input
    dress: Callable[[ndarray], Any] = wrap if isinstance(input, Tensor) else np.asarray
    if as_tuple:
        return tuple(map(dress, np.nonzero(np.atleast_1d(array))))
    return dress(np.argwhere(array))


def _one_hot_door(tensor, num_classes):
    if tensor.dtype.kind not in "iu":
        raise TypeError(f"one_hot: want integer class indices, got {tensor.dtype}; convert them: "
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


@movement(samples=lambda r: [(r.integers(4, 5),), (r.integers(4, 2, 3), 5)],
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
