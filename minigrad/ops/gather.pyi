# Written by tests/typing/make_stubs.py from gather.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import Literal, overload
from ..autograd.engine import Tensor

@overload
def gather(input: Tensor, dim: int, index: Tensor | ndarray) -> Tensor:
    """result[i][j] = input[i][index[i][j]] for dim 1, and so on: an index for every place.

    index: integers, as many dimensions as input, not larger than it except along dim.
    The result has the shape of index.

    Raises: IndexError for an index outside 0 .. size - 1; TypeError if index is not of integers;
    ValueError if the shapes do not fit or dim does not exist.
    """
@overload
def gather(input: ndarray, dim: int, index: Tensor) -> Tensor: ...
@overload
def gather(input: ndarray, dim: int, index: ndarray) -> ndarray: ...

@overload
def gather_grad(g: Tensor, dim: int, index: Tensor | ndarray, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with g added at the gathered places: the derivative of gather.

    g: as index -> shape. Where an index repeats, its gradients add up.
    """
@overload
def gather_grad(g: ndarray, dim: int, index: Tensor, shape: tuple[int, ...]) -> Tensor: ...
@overload
def gather_grad(g: ndarray, dim: int, index: ndarray, shape: tuple[int, ...]) -> ndarray: ...

@overload
def take_along_dim(input: Tensor, indices: Tensor | ndarray, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """gather with broadcasting between input and indices; without dim, of the flattened input.

    Raises: as gather.
    """
@overload
def take_along_dim(input: ndarray, indices: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor: ...
@overload
def take_along_dim(input: ndarray, indices: ndarray, dim: int | None = None, *, axis: int | None = None) -> ndarray: ...

@overload
def index_select(input: Tensor, dim: int, index: Tensor | ndarray) -> Tensor:
    """The slices of a dimension at the given indices (a vector of integers), as a copy.

    Raises: IndexError for an index out of range; TypeError for a non-integer index; ValueError if
    dim does not exist or index is no vector.
    """
@overload
def index_select(input: ndarray, dim: int, index: Tensor) -> Tensor: ...
@overload
def index_select(input: ndarray, dim: int, index: ndarray) -> ndarray: ...

@overload
def scatter(input: Tensor, dim: int, index: Tensor | ndarray, src: Tensor | ndarray | float | np.number) -> Tensor:
    """A copy of input with result[i][index[i][j]] = src[i][j] for dim 1, and so on.

    Where an index repeats, the last stays, and it alone gets a gradient.
    src: of the shape of index, or a number.

    Raises: IndexError for an index outside 0 .. size - 1; TypeError if index is not of integers;
    ValueError if the shapes do not fit or dim does not exist.
    """
@overload
def scatter(input: ndarray, dim: int, index: Tensor, src: Tensor | ndarray | float | np.number) -> Tensor: ...
@overload
def scatter(input: ndarray, dim: int, index: ndarray, src: Tensor) -> Tensor: ...
@overload
def scatter(input: ndarray, dim: int, index: ndarray, src: ndarray | float | np.number) -> ndarray: ...

@overload
def scatter_add(input: Tensor, dim: int, index: Tensor | ndarray, src: Tensor | ndarray) -> Tensor:
    """input with src added at result[i][index[i][j]] for dim 1, and so on; repeated indices add up.

    Raises: as scatter.
    """
@overload
def scatter_add(input: ndarray, dim: int, index: Tensor, src: Tensor | ndarray) -> Tensor: ...
@overload
def scatter_add(input: ndarray, dim: int, index: ndarray, src: Tensor) -> Tensor: ...
@overload
def scatter_add(input: ndarray, dim: int, index: ndarray, src: ndarray) -> ndarray: ...

@overload
def index_add(input: Tensor, dim: int, index: Tensor | ndarray, source: Tensor | ndarray, *, alpha: float = 1.0) -> Tensor:
    """input with alpha times the slices of source added at the given indices of a dimension.

    Raises: ValueError unless source is as input, with one slice for each index; else as getitem.
    """
@overload
def index_add(input: ndarray, dim: int, index: Tensor, source: Tensor | ndarray, *, alpha: float = 1.0) -> Tensor: ...
@overload
def index_add(input: ndarray, dim: int, index: ndarray, source: Tensor, *, alpha: float = 1.0) -> Tensor: ...
@overload
def index_add(input: ndarray, dim: int, index: ndarray, source: ndarray, *, alpha: float = 1.0) -> ndarray: ...

@overload
def masked_fill(input: Tensor, mask: Tensor | ndarray, value: Tensor | ndarray | float | np.number) -> Tensor:
    """input with `value` where mask is true, in the dtype of input; mask broadcasts to input.

    Raises: TypeError unless mask is of booleans, or for a value that input's dtype does not hold;
    ValueError if mask does not broadcast to input.
    """
@overload
def masked_fill(input: ndarray, mask: Tensor, value: Tensor | ndarray | float | np.number) -> Tensor: ...
@overload
def masked_fill(input: ndarray, mask: ndarray, value: Tensor) -> Tensor: ...
@overload
def masked_fill(input: ndarray, mask: ndarray, value: ndarray | float | np.number) -> ndarray: ...

@overload
def masked_select(input: Tensor, mask: Tensor | ndarray) -> Tensor:
    """The elements where mask is true, as a vector; input and mask broadcast.

    Raises: TypeError unless mask is of booleans; ValueError if the shapes do not broadcast.
    """
@overload
def masked_select(input: ndarray, mask: Tensor) -> Tensor: ...
@overload
def masked_select(input: ndarray, mask: ndarray) -> ndarray: ...

@overload
def nonzero(input: Tensor, as_tuple: Literal[False] = False) -> Tensor:
    """The indices of the elements that are not zero: (how many, ndim) integers, in row-major order.

    as_tuple: a vector for each dimension instead: x[nonzero(x, as_tuple=True)] selects them.
    """
@overload
def nonzero(input: Tensor, as_tuple: Literal[True]) -> tuple[Tensor, ...]: ...

@overload
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """(...) class indices -> (..., num_classes) integers: 1 at the class, 0 elsewhere.

    num_classes: -1 for the largest index plus 1.

    Raises: TypeError unless integers; ValueError for a class out of range.
    """
@overload
def one_hot(tensor: ndarray, num_classes: int = -1) -> ndarray: ...
