# Written by tests/typing/make_stubs.py from shape.py: run it again instead of editing this.
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor

@overload
def reshape(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The elements in row-major order under another shape. One size may be -1: the rest of them.

    The result shares memory where the strides allow it, else it is a copy: reshape always works.
    The method also takes sizes: x.reshape(2, -1).

    Raises: ValueError if the number of elements differs, or a -1 cannot be inferred.
    """
@overload
def reshape(input: ndarray, shape: tuple[int, ...]) -> ndarray: ...

@overload
def view(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same as reshape: where torch's view would refuse a non-contiguous tensor, a copy."""
@overload
def view(input: ndarray, shape: tuple[int, ...]) -> ndarray: ...

@overload
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim (included) as one.

    (N, C, H, W).flatten(1) -> (N, C*H*W). One dimension alone is the tensor itself, as in torch.

    Raises: ValueError if a dimension does not exist or start_dim comes after end_dim.
    """
@overload
def flatten(input: ndarray, start_dim: int = 0, end_dim: int = -1) -> ndarray: ...

@overload
def unflatten(input: Tensor, dim: int, sizes: tuple[int, ...]) -> Tensor:
    """One dimension as several, of these sizes (one may be -1).

    Raises: ValueError if dim does not exist or the sizes do not multiply to its size.
    """
@overload
def unflatten(input: ndarray, dim: int, sizes: tuple[int, ...]) -> ndarray: ...

@overload
def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Without the dimensions of size 1: all of them, or those named. Others stay as they are.

    Raises: ValueError if a dimension does not exist.
    """
@overload
def squeeze(input: ndarray, dim: int | tuple[int, ...] | None = None, *, axis: int | tuple[int, ...] | None = None) -> ndarray: ...

@overload
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 inserted before `dim` (-1: at the end).

    Raises: ValueError if dim is outside -ndim - 1 .. ndim.
    """
@overload
def unsqueeze(input: ndarray, dim: int) -> ndarray: ...

@overload
def expand(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Dimensions of size 1 repeated to the given sizes, new ones added in front; -1 keeps a size.

    The result is a read-only view: nothing is copied. The method also takes sizes: x.expand(3, -1).

    Raises: ValueError if a size other than 1 would have to change.
    """
@overload
def expand(input: ndarray, shape: tuple[int, ...]) -> ndarray: ...

@overload
def broadcast_to(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same as expand."""
@overload
def broadcast_to(input: ndarray, shape: tuple[int, ...]) -> ndarray: ...

@overload
def expand_as(input: Tensor, other: Tensor | ndarray) -> Tensor:
    """input expanded to the shape of other."""
@overload
def expand_as(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def expand_as(input: ndarray, other: ndarray) -> ndarray: ...

@overload
def reshape_as(input: Tensor, other: Tensor | ndarray) -> Tensor:
    """input in the shape of other."""
@overload
def reshape_as(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def reshape_as(input: ndarray, other: ndarray) -> ndarray: ...

def spread(g: Any, shape: Any, dim: Any, keepdim: Any) -> Any:
    """The gradient of a reduced result, repeated to the shape that was reduced."""

@overload
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """With two dimensions exchanged. A view.

    Raises: ValueError if one does not exist.
    """
@overload
def transpose(input: ndarray, dim0: int, dim1: int) -> ndarray: ...

@overload
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """The same as transpose(input, axis0, axis1)."""
@overload
def swapaxes(input: ndarray, axis0: int, axis1: int) -> ndarray: ...

@overload
def permute(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The dimensions in another order: result dimension i is dimension dims[i]. A view.

    The method also takes numbers: x.permute(0, 2, 1).

    Raises: ValueError unless dims names each dimension once.
    """
@overload
def permute(input: ndarray, dims: tuple[int, ...]) -> ndarray: ...

@overload
def movedim(input: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Tensor:
    """The source dimensions moved to the destinations, the others in their order around them.

    Raises: ValueError if one does not exist, comes twice, or the counts differ.
    """
@overload
def movedim(input: ndarray, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> ndarray: ...

@overload
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and numbers as they are.

    Raises: ValueError for more than 2 dimensions.
    """
@overload
def t(input: ndarray) -> ndarray: ...

@overload
def matrix_transpose(input: Tensor) -> Tensor:
    """x.mT: the last two dimensions exchanged.

    Raises: ValueError for fewer than 2 dimensions.
    """
@overload
def matrix_transpose(input: ndarray) -> ndarray: ...

@overload
def flip(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The order of elements reversed along the given dimensions. A copy.

    Raises: ValueError if a dimension does not exist or comes twice.
    """
@overload
def flip(input: ndarray, dims: tuple[int, ...]) -> ndarray: ...

@overload
def roll(input: Tensor, shifts: int | tuple[int, ...], dims: int | tuple[int, ...] | None = None) -> Tensor:
    """Elements moved by `shifts` places along dims; those pushed out come in at the other end.

    Without dims the tensor is rolled as if it were flattened. A copy.

    Raises: ValueError if a dimension does not exist or shifts and dims are not equally many.
    """
@overload
def roll(input: ndarray, shifts: int | tuple[int, ...], dims: int | tuple[int, ...] | None = None) -> ndarray: ...
