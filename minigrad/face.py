"""The face that a Tensor shows as an array of numbers: shape, dtype, NumPy, Python's own protocols.

Not here: anything that has to do with gradients (`engine.py`) or computes (`ops/`).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy import ndarray

from .modes import settings

if TYPE_CHECKING:
    from .autograd.engine import Tensor

UFUNCS: dict[np.ufunc, Callable] = {}              # which op stands for a NumPy function: see op.py
#: The same for NumPy's other functions, with NumPy's arguments: ops/numpy_functions.py.
FUNCTIONS: dict[Callable, Callable] = {
    # (Not a.array: a result that waits, see fusion.py, knows its shape before its numbers.)
    np.shape: attrgetter("shape"), np.ndim: lambda a: len(a.shape),
    np.size: lambda a, axis=None: math.prod(a.shape) if axis is None else a.shape[axis],
}


class ArrayFace:
    """What a Tensor has in common with an array. `Tensor` inherits it."""
    __slots__ = ()
    array: ndarray                                 # what Tensor provides
    grad_fn: Any
    _requires_grad: bool

    # shape and kind

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype:
        """The NumPy dtype of the elements."""
        return self.array.dtype

    @property
    def device(self) -> str:
        """Always "cpu": minigrad computes on the processor only."""
        return "cpu"

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.array.nbytes

    @overload
    def size(self, dim: None = None) -> tuple[int, ...]: ...

    @overload
    def size(self, dim: int) -> int: ...

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension. Raises: IndexError if there is no such one."""
        if dim is None:
            return self.array.shape
        try:
            return self.array.shape[dim]
        except IndexError:
            n = self.array.ndim
            valid = f"valid: {-n} to {n - 1}" if n else "a single number has none"
            raise IndexError(f"size: dimension {dim} is out of range, the tensor of shape "
                             f"{self.array.shape} has {n} dimensions ({valid})") from None

    def dim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    def element_size(self) -> int:
        """Bytes an element."""
        return self.array.itemsize

    def is_floating_point(self) -> bool:
        """Whether the elements are floats, so that a gradient makes sense."""
        return self.array.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in row-major order without gaps."""
        return self.array.flags.c_contiguous

    @overload
    def stride(self, dim: None = None) -> tuple[int, ...]: ...

    @overload
    def stride(self, dim: int) -> int: ...

    def stride(self, dim: int | None = None) -> Any:
        """Elements (not bytes) from one entry to the next along each dimension, or along one."""
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        return strides if dim is None else strides[dim]

    # to Python and NumPy, and back

    def numpy(self) -> ndarray:
        """The NumPy array itself (shared memory). Raises ValueError if the tensor requires grad."""
        if self._requires_grad:
            raise ValueError("numpy: this tensor requires grad, and what NumPy does to it would be "
                             "lost to the graph; use x.detach().numpy()")
        return self.array

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self.array.size != 1:
            raise ValueError(f"item: want a tensor with one element, this one has shape "
                             f"{self.shape} = {self.array.size} elements; reduce it first (sum, "
                             f"mean) or use tolist()")
        return self.array.item()

    def tolist(self) -> Any:
        """The elements as nested Python lists."""
        return self.array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray:
        array = self.numpy()
        if dtype is not None and dtype != array.dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's functions on tensors: np.exp(t), array * t. Those that are ops are recorded.
        Others, such as np.rint(t) or np.add.reduce(t), get arrays and return them, unless a
        gradient would be lost."""
        function = UFUNCS.get(ufunc)
        if method == "__call__" and not options and function is not None:
            return function(*inputs)
        out = options.get("out", ())
        if any(hasattr(x, "__array_ufunc__") and not isinstance(x, (ArrayFace, ndarray))
               for x in (*inputs, *out)):
            return NotImplemented                  # a third library's turn
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if any(isinstance(x, ArrayFace) for x in out):
            raise _may_not_write(name)
        return getattr(ufunc, method)(*_as_arrays(inputs, name), **_as_arrays(options, name))

    def __array_function__(self, function: Callable, types: Any, args: Any, options: Any) -> Any:
        """NumPy's other functions: np.mean(t), np.concatenate([t, t]). Those in FUNCTIONS are
        recorded. Others get arrays and return them, unless a gradient would be lost."""
        ours = FUNCTIONS.get(function)
        if ours is not None:
            if not options:
                return ours(*args)
            for option in options.keys() & {"out", "where", "initial"}:
                if options.pop(option) is not None:
                    raise TypeError(f"{numpys_name(function)}: a Tensor is computed without "
                                    f"{option}=; leave it out, or give NumPy x.detach().numpy()")
            try:
                return ours(*args, **options)
            except TypeError as error:
                _, unknown, option = str(error).partition("() got an unexpected keyword argument ")
                if not unknown or error.__traceback__.tb_next is not None:   # type: ignore
                    raise
                raise TypeError(f"np.{function.__name__}: a Tensor is computed without "
                                f"{option[1:-1]}=; leave it out, or give NumPy x.detach().numpy()"
                                ) from None
        if not all(issubclass(t, (ArrayFace, ndarray)) for t in types):
            return NotImplemented
        name = numpys_name(function)
        if function in _WRITERS or isinstance(options.get("out"), ArrayFace):
            raise _may_not_write(name)
        name = "" if function in _LOOKS else name
        return function(*_as_arrays(args, name), **_as_arrays(options, name))

    def __len__(self) -> int:
        if not self.array.ndim:
            raise TypeError("len: a 0-dimensional tensor has no length")
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        rows = self.unbind() if len(self) else ()                # type: ignore[attr-defined]
        return iter(rows)                          # one node for all rows, not one each

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ValueError(f"bool: the truth of a tensor of shape {self.shape} is ambiguous; "
                             f"use .any(), .all() or .item()")
        return bool(self.array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iub":
            raise TypeError(f"index: want an integer tensor, got {self.dtype}")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        body = np.array2string(self.array, separator=", ", prefix="tensor(", threshold=1000,
                               precision=4)
        extra = "" if self.dtype in (settings.default_dtype, np.int64, np.bool_) \
            else f", dtype={self.dtype}"
        if self.grad_fn is not None:
            extra += f", grad_fn=<{self.grad_fn.name}>"
        elif self._requires_grad:
            extra += ", requires_grad=True"
        return f"tensor({body}{extra})"


_WRITERS = {np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}
_LOOKS = {np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj, np.shares_memory,
          np.may_share_memory, np.array_equal, np.array_equiv, np.allclose}


def numpys_name(function: Callable) -> str:
    """np.linalg.norm, as it is written."""
    return f"{function.__module__.replace('numpy', 'np')}.{function.__name__}"


def _may_not_write(name: str) -> TypeError:
    return TypeError(f"{name}: NumPy may not write into a Tensor, backward() would not know of it; "
                     "write x[...] = values, or into x.detach().numpy()")


def _as_arrays(x: Any, name: str) -> Any:
    """A NumPy function's arguments, arrays in place of Tensors. No name: no gradient is lost."""
    if isinstance(x, ArrayFace):
        if x._requires_grad and name:
            raise ValueError(f"{name}: this tensor requires grad, and {name} would lose its "
                             "history; use minigrad's own functions, or give it x.detach()")
        return x.array
    if isinstance(x, dict):
        return {k: _as_arrays(v, name) for k, v in x.items()}
    return type(x)([_as_arrays(v, name) for v in x]) if type(x) in (list, tuple) else x
