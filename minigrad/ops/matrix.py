"""Parts of matrices: triangles and diagonals.

Not here: products of matrices (`linear.py`).
"""
from __future__ import annotations

import numpy as np

from ..autograd.engine import Tensor
from ..autograd.op import composite
from .dims import many_dims
from .indexing import getitem, getitem_grad
from .kinds import movement
from .shape import permute

# --- triangles -----------------------------------------------------------------------------------

def _matrices(r):
    return [(r(3, 4),), (r(2, 3, 3), 1), (r(3, 3), -1)]


def _matrix_door(name):
    def door(input, diagonal):
        if input.ndim < 2:
            raise ValueError(f"{name}: want a matrix (2 dimensions or more), got shape "
                             f"{input.shape}")
        return input, diagonal
    return door


@movement(samples=_matrices, ref=np.tril, door=_matrix_door("tril"))
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices (..., R, C), zeros above the given diagonal.

    Raises: ValueError for fewer than 2 dimensions.
    """
    return np.tril(input, diagonal)
tril.vjp(input=lambda g, diagonal: tril(g, diagonal))


@movement(samples=_matrices, ref=np.triu, door=_matrix_door("triu"))
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices (..., R, C), zeros below the given diagonal.

    Raises: ValueError for fewer than 2 dimensions.
    """
    return np.triu(input, diagonal)
triu.vjp(input=lambda g, diagonal: triu(g, diagonal))


# --- diagonals -----------------------------------------------------------------------------------

def _diagonal_places(rows, columns, offset):
    """Row and column indices of a diagonal of a matrix of this size."""
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = np.arange(n)
    return i - min(offset, 0), i + max(offset, 0)


def _diagonal_door(input, offset, dim1, dim2):
    if input.ndim < 2:
        raise ValueError(f"diagonal: want 2 dimensions or more, got shape {input.shape}")
    return input, offset, *(many_dims("diagonal", (dim1, dim2), input.ndim) or (0, 1))


@movement(samples=lambda r: [(r(3, 4),), (r(3, 4), 1), (r(2, 3, 4), -1, 0, 2)], ref=np.diagonal,
          door=_diagonal_door)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in two dimensions, as a new last dimension. A view.

    offset: > 0 above the main diagonal, < 0 below.

    Raises: ValueError if a dimension does not exist or both are the same.
    """
    matrices = input.transpose(*_last(input.ndim, dim1, dim2))
    i, j = _diagonal_places(*matrices.shape[-2:], offset)
    square = matrices[..., i[0]:i[-1] + 1, j[0]:j[-1] + 1] if i.size else matrices[..., :0, :0]
    return np.einsum("...ii->...i", square)        # np.diagonal's view is read-only


def _last(ndim, dim1, dim2):
    """The order of dimensions in which these two are the last."""
    return *(d for d in range(ndim) if d not in (dim1, dim2)), dim1, dim2


def _diagonal_rule(g, input_shape, offset, dim1, dim2):
    order = _last(len(input_shape), dim1, dim2)
    shape = tuple([input_shape[d] for d in order])
    back = getitem_grad(g, (Ellipsis, *_diagonal_places(*shape[-2:], offset)), shape)
    return permute(back, tuple(int(d) for d in np.argsort(order)))
diagonal.vjp(input=_diagonal_rule)


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
