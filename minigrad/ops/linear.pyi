# Written by tests/typing/make_stubs.py from linear.py: run it again instead of editing this.
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor

def rows_of(x: Any) -> Any:
    """(..., N) -> (R, N): all leading dimensions as one (1 if there are none)."""

def product(a: Any, b: Any) -> Any:
    """a @ b for arrays or Tensors of two or more dimensions; large matrices by our own kernels."""

@overload
def matmul(input: Tensor, other: Tensor | ndarray) -> Tensor:
    """The matrix product, input @ other: y[..., n, m] = sum_k input[..., n, k] * other[..., k, m].

    input (..., N, K), other (..., K, M) -> (..., N, M); the leading (batch) dimensions broadcast.
    A 1-dimensional input is a row (K,), a 1-dimensional other a column (K,); their dimension is
    then missing from the result: (K,) @ (K,) is a single number.

    Different dtypes are promoted, as by x * y (torch refuses them).

    Raises: ValueError if the inner sizes differ or the batches do not broadcast.
    """
@overload
def matmul(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def matmul(input: ndarray, other: ndarray) -> ndarray: ...

MM: Any

BMM: Any

DOT: Any

OUTER: Any

@overload
def mm(input: Tensor, mat2: Tensor | ndarray) -> Tensor:
    """The product of two matrices: input (N, K), mat2 (K, M) -> (N, M).

    Raises: ValueError for other ranks or sizes.
    """
@overload
def mm(input: ndarray, mat2: Tensor) -> Tensor: ...
@overload
def mm(input: ndarray, mat2: ndarray) -> ndarray: ...

@overload
def bmm(input: Tensor, mat2: Tensor | ndarray) -> Tensor:
    """The products of two batches of matrices, without broadcasting:

    input (B, N, K), mat2 (B, K, M) -> (B, N, M)

    Raises: ValueError for other ranks or sizes.
    """
@overload
def bmm(input: ndarray, mat2: Tensor) -> Tensor: ...
@overload
def bmm(input: ndarray, mat2: ndarray) -> ndarray: ...

@overload
def dot(input: Tensor, tensor: Tensor | ndarray) -> Tensor:
    """The inner product of two vectors: input and tensor (K,) -> ().

    Raises: ValueError for other ranks or sizes.
    """
@overload
def dot(input: ndarray, tensor: Tensor) -> Tensor: ...
@overload
def dot(input: ndarray, tensor: ndarray) -> ndarray: ...

@overload
def outer(input: Tensor, vec2: Tensor | ndarray) -> Tensor:
    """The outer product of two vectors, y[n, m] = input[n] * vec2[m]:

    input (N,), vec2 (M,) -> (N, M)

    Raises: ValueError for other ranks.
    """
@overload
def outer(input: ndarray, vec2: Tensor) -> Tensor: ...
@overload
def outer(input: ndarray, vec2: ndarray) -> ndarray: ...

@overload
def linear(input: Tensor, weight: Tensor | ndarray, bias: Tensor | ndarray | None = None) -> Tensor:
    """y = input @ weight.T + bias, for each vector in the last dimension of the input.

    input (..., in_features), weight (out_features, in_features), bias (out_features,)
    -> (..., out_features). All are of one floating dtype.

    Raises: ValueError where the sizes do not fit; TypeError for different or integer dtypes.
    """
@overload
def linear(input: ndarray, weight: Tensor, bias: Tensor | ndarray | None = None) -> Tensor: ...
@overload
def linear(input: ndarray, weight: ndarray, bias: ndarray | None = None) -> ndarray: ...
