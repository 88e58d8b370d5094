# Written by tests/typing/make_stubs.py from join.py: run it again instead of editing this.
from collections.abc import Sequence
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor

@overload
def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors one after the other along an existing dimension; a copy.

    Their shapes agree in all other dimensions; a tensor of shape (0,) adds nothing to any.

    Raises: ValueError if the shapes do not agree, dim does not exist, or there are no tensors.
    """
@overload
def cat(tensors: Sequence[ndarray], dim: int = 0, *, axis: int | None = None) -> ndarray: ...

@overload
def concat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The same as cat."""
@overload
def concat(tensors: Sequence[ndarray], dim: int = 0, *, axis: int | None = None) -> ndarray: ...

@overload
def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Tensors of one shape side by side along a new dimension; a copy.

    Raises: ValueError if the shapes differ, dim is outside -ndim - 1 .. ndim, or there are none.
    """
@overload
def stack(tensors: Sequence[ndarray], dim: int = 0, *, axis: int | None = None) -> ndarray: ...

@overload
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0, *, axis: int | None = None) -> tuple[Tensor, ...]:
    """Parts along a dimension, as views: of one size (the last may be smaller), or of those listed.

    Raises: ValueError if the sizes do not add up to the dimension's, or dim does not exist.
    """
@overload
def split(tensor: ndarray, split_size_or_sections: int | Sequence[int], dim: int = 0, *, axis: int | None = None) -> tuple[ndarray, ...]: ...

@overload
def chunk(input: Tensor, chunks: int, dim: int = 0, *, axis: int | None = None) -> tuple[Tensor, ...]:
    """At most `chunks` parts along a dimension, of equal size but for the last. Views.
    Of size 0: as many as were asked for.

    Raises: ValueError if chunks is not positive or dim does not exist.
    """
@overload
def chunk(input: ndarray, chunks: int, dim: int = 0, *, axis: int | None = None) -> tuple[ndarray, ...]: ...

@overload
def unbind(input: Tensor, dim: int = 0, *, axis: int | None = None) -> tuple[Tensor, ...]:
    """All slices along a dimension, which disappears. Views.

    To walk through a sequence, this is faster than x[0], x[1], ...: the derivative of each x[t] is
    as large as x, that of unbind is x once.

    Raises: ValueError if dim does not exist.
    """
@overload
def unbind(input: ndarray, dim: int = 0, *, axis: int | None = None) -> tuple[ndarray, ...]: ...

@overload
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` entries along a dimension from `start` (negative: from the end). A view.

    Raises: ValueError if the entries do not all exist.
    """
@overload
def narrow(input: ndarray, dim: int, start: int, length: int) -> ndarray: ...

@overload
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one index of a dimension, which disappears. A view.

    Raises: ValueError if dim, IndexError if index does not exist.
    """
@overload
def select(input: ndarray, dim: int, index: int) -> ndarray: ...

@overload
def repeat(input: Tensor, repeats: tuple[int, ...]) -> Tensor:
    """The whole tensor repeated along each dimension; extra counts add dimensions in front. A copy.

    The method also takes numbers: x.repeat(2, 1).

    Raises: ValueError for fewer counts than dimensions.
    """
@overload
def repeat(input: ndarray, repeats: tuple[int, ...]) -> ndarray: ...

@overload
def tile(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """As repeat, but missing counts at the front are 1."""
@overload
def tile(input: ndarray, dims: tuple[int, ...]) -> ndarray: ...

@overload
def repeat_interleave(input: Tensor, repeats: int | Any, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """Each element (or slice along dim) repeated in place: [1, 2] -> [1, 1, 2, 2]. A copy.

    repeats: one count, or a count for each. Without dim the tensor is flattened first.

    Raises: ValueError if the counts do not fit the dimension.
    """
@overload
def repeat_interleave(input: ndarray, repeats: int | Any, dim: int | None = None, *, axis: int | None = None) -> ndarray: ...

@overload
def constant_pad(input: Tensor, pad: tuple[int, ...], value: float = 0.0) -> Tensor:
    """`value` around the input, which is what `pad` does in its mode "constant".

    pad: (left, right) of each dimension, the first first; negative numbers cut. (So the derivative
    of padding by p is padding by -p.)
    """
@overload
def constant_pad(input: ndarray, pad: tuple[int, ...], value: float = 0.0) -> ndarray: ...

@overload
def pad(input: Tensor, pad: tuple[int, ...], mode: str = 'constant', value: float | None = None) -> Tensor:
    """Elements added around the input.

    pad: (left, right) of the last dimension, then of the one before, and so on (torch's order):
        (left, right, top, bottom) for images. In mode "constant" negative numbers cut.
    mode: "constant" (`value`, default 0), "reflect" (cba|abcd|cba... without the edge repeated),
        "replicate" (aaa|abcd|ddd) or "circular" (bcd|abcd|abc).
    (..., H, W) -> (..., H + top + bottom, W + left + right). A copy.

    Raises: ValueError if pad is not pairs, has more pairs than the tensor dimensions, or is larger
        than the dimension allows (reflect: size - 1; circular: size).
    """
@overload
def pad(input: ndarray, pad: tuple[int, ...], mode: str = 'constant', value: float | None = None) -> ndarray: ...

@overload
def meshgrid(*tensors: Tensor, indexing: str = 'ij') -> tuple[Tensor, ...]:
    """Coordinates of a grid: result i holds tensor i along dimension i, repeated along the others.

    tensors: vectors (or numbers), (N0,), (N1,), ... -> each (N0, N1, ...). indexing: "ij" or "xy"
    (the first two dimensions exchanged). Read-only views.

    Raises: ValueError for anything but vectors, or another indexing.
    """
@overload
def meshgrid(*tensors: ndarray, indexing: str = 'ij') -> tuple[ndarray, ...]: ...
