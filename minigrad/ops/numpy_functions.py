"""What NumPy's own functions do with Tensors: np.mean(x, axis=0), np.concatenate([x, y]).

Each entry takes NumPy's arguments in NumPy's order and meaning and calls our operations, which are
recorded. What is not in the table gets arrays instead, see `ArrayFace.__array_function__`. Not
here: NumPy's ufuncs, such as np.exp (an op names its ufunc as its `ref`).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.engine import Tensor
from ..face import FUNCTIONS, UFUNCS, numpys_name
from . import cast, creation, elementwise as e, gather, join, linear, matrix, order, reduce, shape
from .dims import chosen_dims
from .shape import broadcast_to, reshape
from .vector_norm import norm


def _some(axis: Any, function: Any) -> Any:
    """The axis, unless it is () and the function, as torch's, takes all where NumPy takes none."""
    if isinstance(axis, tuple) and not axis and function.op.dims["dim"] is not chosen_dims:
        raise ValueError("axis=() leaves every element to itself; leave axis out to take them all")
    return axis


def _reduction(function: Callable) -> Callable:
    """NumPy's (a, axis, dtype, out, keepdims) for sum, mean, prod."""
    def of(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Tensor:
        return function(a, _some(axis, function), keepdims, dtype=dtype)
    return of


def _spread(function: Callable) -> Callable:
    """NumPy's std and var, which divide by n where ours divide by n - 1."""
    def of(a: Any, axis: Any = None, *, ddof: float = 0, correction: float | None = None,
           keepdims: bool = False) -> Tensor:
        return function(a, _some(axis, function), keepdim=keepdims,
                        correction=ddof if correction is None else correction)
    return of


def _extreme(function: Callable) -> Callable:
    """NumPy's (a, axis, out, keepdims), for max, argmax and all."""
    def of(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        return function(a, _some(axis, function), keepdims)
    return of


def _flattened(function: Callable) -> Callable:
    """A function along an axis for which None means the flattened tensor."""
    def of(a: Any, axis: int | None = None, **options: Any) -> Tensor:
        return function(reshape(a, (-1,)), 0, **options) if axis is None \
            else function(a, axis, **options)
    return of


def _reshape(a: Any, shape_: Any = None, order: str = "C", *, shape: Any = None) -> Tensor:
    if order != "C":
        raise ValueError(f"np.reshape: a Tensor has row-major order, got order={order!r}; permute "
                         "the dimensions first")
    return reshape(a, shape_ if shape is None else shape)


def _transpose(a: Any, axes: Any = None) -> Tensor:
    return shape.permute(a, tuple(range(a.ndim))[::-1] if axes is None else axes)


def _expand_dims(a: Any, axis: Any) -> Tensor:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    n = a.ndim + len(axes)
    for d in sorted(d + n if d < 0 else d for d in axes):
        a = shape.unsqueeze(a, d)
    return a


def _squeeze(a: Any, axis: Any = None) -> Tensor:
    axes = () if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    for d in axes:
        if a.shape[d] != 1:
            raise ValueError(f"np.squeeze: dimension {d} of shape {a.shape} has size {a.shape[d]}, "
                             "only a size of 1 can go")
    return shape.squeeze(a, axis)


def _concatenate(arrays: Any, axis: int | None = 0) -> Tensor:
    if axis is None:
        return join.cat([reshape(_tensor(a), (-1,)) for a in arrays])
    return join.cat([_tensor(a) for a in arrays], axis)


def _tensor(x: Any) -> Any:
    return x if isinstance(x, (Tensor, np.ndarray)) else np.asarray(x)


def _where(condition: Any, *choices: Any) -> Any:
    if not choices:                                # the indices, a tuple of arrays
        return np.where(condition.detach().numpy())
    x, y = (c if isinstance(c, (Tensor, float, int)) else np.asarray(c) for c in choices)
    return e.where(_tensor(condition), x, y)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
          ) -> Tensor:
    low, high = a_min if min is None else min, a_max if max is None else max
    if all(b is None or isinstance(b, (int, float, np.number)) for b in (low, high)):
        return e.clamp(a, low, high)
    a = a if low is None else e.maximum(a, low)
    return a if high is None else e.minimum(a, high)


def _flip(m: Any, axis: Any = None) -> Tensor:
    return shape.flip(m, tuple(range(m.ndim)) if axis is None else axis)


def _dot(a: Any, b: Any) -> Tensor:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return e.mul(a, b)
    if np.ndim(b) > 2:
        raise ValueError(f"np.dot: of {np.shape(a)} and {np.shape(b)} NumPy takes the last and the "
                         "second last dimension; say which product you want with matmul")
    return linear.matmul(a, b)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    if ord is not None and ((axis is None and x.ndim > 1) or isinstance(axis, tuple)):
        raise ValueError(f"np.linalg.norm: norms of matrices (ord={ord!r}) are no operation here; "
                         "minigrad.norm(x, p, dim) has those of vectors")
    return norm(x, 2 if ord is None else ord, axis, keepdims)


def _like(function: Callable) -> Callable:
    def of(a: Any, dtype: Any = None) -> Tensor:
        return function(a, dtype=dtype)
    return of


_OURS: dict[Callable, Callable] = {
    np.sum: _reduction(reduce.sum), np.mean: _reduction(reduce.mean),
    np.prod: _reduction(reduce.prod), np.std: _spread(reduce.std), np.var: _spread(reduce.var),
    np.max: _extreme(order.amax), np.min: _extreme(order.amin), np.all: _extreme(reduce.all),
    np.any: _extreme(reduce.any), np.argmax: _extreme(order.argmax),
    np.argmin: _extreme(order.argmin), np.cumsum: _flattened(reduce.cumsum),
    np.linalg.norm: _norm, np.amax: _extreme(order.amax), np.amin: _extreme(order.amin),

    np.reshape: _reshape, np.ravel: lambda a: reshape(a, (-1,)), np.transpose: _transpose,
    np.squeeze: _squeeze, np.expand_dims: _expand_dims,
    np.swapaxes: lambda a, axis1, axis2: shape.transpose(a, axis1, axis2),
    np.moveaxis: lambda a, source, destination: shape.movedim(a, source, destination),
    np.broadcast_to: lambda array, shape: broadcast_to(array, shape),
    np.flip: _flip, np.roll: lambda a, shift, axis=None: shape.roll(a, shift, axis),
    np.tile: lambda A, reps: join.tile(A, reps),
    np.repeat: lambda a, repeats, axis=None: join.repeat_interleave(a, repeats, axis),
    np.concatenate: _concatenate,
    np.stack: lambda arrays, axis=0: join.stack([_tensor(a) for a in arrays], axis),
    np.copy: lambda a: cast.clone(a),

    np.where: _where, np.clip: _clip, np.round: lambda a, decimals=0: e.round(a, decimals=decimals),
    np.around: lambda a, decimals=0: e.round(a, decimals=decimals),
    np.sort: lambda a, axis=-1: _flattened(order.sort)(a, axis).values,
    np.argsort: lambda a, axis=-1: _flattened(order.argsort)(a, axis),
    np.take_along_axis: lambda arr, indices, axis=-1: gather.take_along_dim(arr, indices, axis),

    np.dot: _dot,
    np.outer: lambda a, b: linear.outer(reshape(_tensor(a), (-1,)),
                                        reshape(_tensor(b), (-1,))),
    np.trace: lambda a: matrix.trace(a), np.diag: lambda v, k=0: matrix.diag(v, k),
    np.tril: lambda m, k=0: matrix.tril(m, k), np.triu: lambda m, k=0: matrix.triu(m, k),
    np.zeros_like: _like(creation.zeros_like), np.ones_like: _like(creation.ones_like),
    np.empty_like: _like(creation.empty_like),
    np.full_like: lambda a, fill_value, dtype=None: creation.full_like(a, fill_value, dtype=dtype),
}
for _numpys, _function in _OURS.items():           # "np.std() got an unexpected keyword argument"
    _function.__qualname__ = numpys_name(_numpys)
FUNCTIONS.update(_OURS)
# Those whose reference is another function of NumPy's: op.py enters the others.
UFUNCS.update({np.reciprocal: e.reciprocal, np.fabs: e.abs, np.positive: lambda x: x})
