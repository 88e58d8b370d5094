"""How tensors are made of data, copied and stored: what a user gives becomes an array of numbers.

Not here: functions that make tensors (`ops/creation.py`), what dtypes there are (`promotion.py`).
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy import ndarray

from ..face import ArrayFace
from ..foreign import named
from ..modes import settings
from ..promotion import (
    dtype_named, own_dtype, refuse_foreign, refuse_unfit_data, unknown_dtype,
)

if TYPE_CHECKING:
    from .engine import Tensor


def to_array(data: Any, dtype: Any = None, copy: bool = False) -> ndarray:
    """An array of numbers from what a user may give: numbers, nested lists, arrays, Tensors.

    Another byte order is converted (which is a copy). Raises: TypeError for what is no number.
    """
    has_dtype = isinstance(data, (ndarray, np.generic, ArrayFace))
    if isinstance(data, ArrayFace):
        array = data.array
    elif isinstance(data, (list, tuple)) and any(isinstance(d, ArrayFace) for d in data):
        array = np.array([to_array(d) for d in data])
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ValueError(f"tensor: the nested sequences have different lengths ({error})"
                             ) from None
    native = own_dtype(array.dtype)
    if native is None:
        raise unknown_dtype("tensor", array.dtype, named(data))
    if native is not array.dtype and native == array.dtype:      # an equal one, unpickled
        array = array.view(native)
    if dtype is not None:
        dtype = dtype_named("tensor", dtype)
        if not has_dtype or isinstance(data, np.generic):
            refuse_unfit_data("tensor", dtype, array)
    elif native.kind == "f" and not has_dtype:
        dtype = settings.default_dtype
    elif native != array.dtype:
        dtype = native
    if dtype is not None:
        return np.array(array, dtype=dtype, copy=True if copy else None)
    return array.copy() if copy else array


class Data:
    """What `Tensor` inherits of this file: its data, its name, copy.deepcopy and pickle."""
    __slots__ = ()

    @property
    def name(self) -> str | None:
        """What messages call this tensor: the name that it was given, x.name = "w", else None (but
        nn.Parameter knows its path in the model). It stays with this object, copies have none."""
        return getattr(self, "label", None)

    @name.setter
    def name(self, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name: want a string or None, got {type(name).__name__}")
        cast("Tensor", self).label = name

    @property
    def data(self) -> Tensor:
        """The detached tensor (same memory), as in torch; the NumPy array itself is `numpy()`."""
        return cast("Tensor", self).detach()

    @data.setter
    def data(self, value: Any) -> None:
        if isinstance(value, ndarray):             # its memory is shared
            refuse_foreign("data", value)
        self.replace_array(to_array(value))

    def replace_array(self, array: ndarray) -> None:
        """Gives a leaf another array, of any shape or dtype; its hooks stay."""
        x = cast("Tensor", self)
        x.array = array
        old: Any = x.node
        if old is not None and x.grad_fn is None:  # a Leaf, which knows the old shape and dtype
            x.node = None
            if old.hooks:
                x.node = type(old)(x)
                x.node.hooks = old.hooks

    def __deepcopy__(self, memo: dict) -> Tensor:
        x = cast("Tensor", self)
        if x.grad_fn is not None:
            raise ValueError("deepcopy: only leaves can be copied with their place in the graph; "
                             "use x.detach().clone() for the numbers, x.clone() inside the graph")
        new = _bare(type(x), x.array.copy(), x._requires_grad)
        memo[id(x)] = new
        if x.grad is not None:
            new.grad = x.grad.detach()
            new.grad.array = x.grad.array.copy()
        return new

    def __reduce__(self) -> Any:
        x = cast("Tensor", self)
        if x.grad_fn is not None:
            raise ValueError("pickle: this tensor has a history, which cannot be stored; "
                             "use x.detach()")
        return _unpickle, (type(x), x.array, x._requires_grad)


def _bare(cls: type[Tensor], array: ndarray, requires_grad: bool) -> Tensor:
    new = object.__new__(cls)
    new.array, new.node, new.grad, new._requires_grad = array, None, None, requires_grad
    return new


def _unpickle(cls: type[Tensor], array: ndarray, requires_grad: bool) -> Tensor:
    return _bare(cls, to_array(array), requires_grad)            # perhaps of another byte order
