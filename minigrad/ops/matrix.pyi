# Written by tests/typing/make_stubs.py from matrix.py: run it again instead of editing this.
from numpy import ndarray
from typing import overload
from ..autograd.engine import Tensor

@overload
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices (..., R, C), zeros above the given diagonal.

    Raises: ValueError for fewer than 2 dimensions.
    """
@overload
def tril(input: ndarray, diagonal: int = 0) -> ndarray: ...

@overload
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices (..., R, C), zeros below the given diagonal.

    Raises: ValueError for fewer than 2 dimensions.
    """
@overload
def triu(input: ndarray, diagonal: int = 0) -> ndarray: ...

@overload
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in two dimensions, as a new last dimension. A view.

    offset: > 0 above the main diagonal, < 0 below.

    Raises: ValueError if a dimension does not exist or both are the same.
    """
@overload
def diagonal(input: ndarray, offset: int = 0, dim1: int = 0, dim2: int = 1) -> ndarray: ...

@overload
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a square matrix of zeros; of a matrix, its diagonal as a vector.

    Raises: ValueError unless 1 or 2 dimensions.
    """
@overload
def diag(input: ndarray, diagonal: int = 0) -> ndarray: ...

@overload
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    Raises: ValueError unless 2 dimensions.
    """
@overload
def trace(input: ndarray) -> ndarray: ...
