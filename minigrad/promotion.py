"""Which dtypes there are, and which dtype comes out of several: torch's table, for NumPy's dtypes.

Three rules, each written here once:
- Arrays hold numbers of this machine: bool, integers, float16, float32, float64, in its own byte
  order. What is copied anyway is converted, what would share memory is refused (`refuse_foreign`).
  No kernel is ever given anything else: it would read the bytes as if they were its own.
- A result has the dtype of torch's table (`result_type`): bool < integers < floats; within a kind
  the tensors with dimensions decide, then those without, then Python numbers.
- float16 is a way to store numbers, not to compute with them: what is computed in (`WIDE`) is
  rounded to float16 once, at the end of an operation.

Not here: who asks these questions, when an operation is called (`autograd/agreement.py`).
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy import ndarray

BOOL, INT64 = np.dtype(np.bool_), np.dtype(np.int64)
FLOAT16, FLOAT32, FLOAT64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)

#: Every dtype that a Tensor may have: the object that NumPy itself uses for it. What was unpickled
#: has another object, equal but not identical, and would miss every quick question (`is FLOAT32`).
DTYPES = {dtype: dtype for dtype in map(np.dtype, (
    np.bool_, np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64,
    np.float16, np.float32, np.float64))}

#: Floats in which nothing is computed: the dtype that is computed in, in their place.
WIDE = {FLOAT16: FLOAT32}


# --- which dtypes there are ----------------------------------------------------------------------

def own_dtype(dtype: np.dtype) -> np.dtype | None:
    """The dtype of the same numbers that a Tensor may have: itself, or in this machine's byte
    order; None for what no tensor holds (complex numbers, long double, dates, objects, ...)."""
    found = DTYPES.get(dtype)
    if found is None and dtype.kind in "iufb":
        return DTYPES.get(dtype.newbyteorder("="))
    return found


def unknown_dtype(name: str, dtype: np.dtype, what: str = "an array") -> TypeError:
    """The error for a dtype that no tensor can have, with the conversion to write."""
    if dtype.char == "g":
        fix = ("; convert it with x.astype(np.float64), which rounds its numbers: long double is a "
               "different format on each machine")
    elif dtype.kind == "c":
        fix = "; pass the real and the imaginary part, x.real and x.imag, one by one"
    elif dtype.names is not None:
        fix = f"; pass its fields one by one, for example x[{dtype.names[0]!r}]"
    elif dtype.kind in "mM":
        fix = "; convert dates to numbers first, for example x.astype('datetime64[s]').astype(int)"
    elif dtype.kind == "O":
        fix = "; convert it first, for example x.astype(np.float32)"
    else:
        fix = ""
    return TypeError(f"{name}: want numbers, got {what} of dtype {dtype}{fix}")


def refuse_foreign(name: str, array: ndarray) -> None:
    """For what would share memory with a tensor: raises TypeError for another byte order."""
    dtype = own_dtype(array.dtype)
    if dtype is None:
        raise unknown_dtype(name, array.dtype)
    if dtype != array.dtype:
        raise TypeError(f"{name}: the array's numbers are in another byte order ({array.dtype!s}), "
                        f"so its memory cannot be shared; convert it, x.astype(np.{dtype}), or copy"
                        " it with minigrad.tensor(x)")


def as_own(name: str, array: ndarray) -> ndarray:
    """The array, converted if it is in another byte order. Raises TypeError if it has no numbers
    that a tensor may hold."""
    dtype = own_dtype(array.dtype)
    if dtype is None:
        raise unknown_dtype(name, array.dtype)
    return array if dtype == array.dtype else array.astype(dtype)


def dtype_named(name: str, dtype: Any) -> np.dtype:
    """The dtype that a user named: float32, "float32", np.float32, float, torch's names.

    Raises: TypeError if no tensor can have it.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{name}: want a dtype such as 'float32' or np.int64, got "
                        f"{dtype!r}") from None
    if found in DTYPES:
        return DTYPES[found]
    if found.char == "g":
        raise TypeError(f"{name}: long double is a different format on each machine, no tensor has "
                        "it; use float64")
    if own_dtype(found) is not None:
        raise TypeError(f"{name}: a tensor's numbers are in this machine's byte order, got {found};"
                        f" use {found.newbyteorder('=')}, and x.numpy().astype('{found.str}') to "
                        "write them for another machine")
    raise TypeError(f"{name}: want a dtype of real numbers or bool, got {found}")


def refuse_unfit(name: str, dtype: np.dtype, *numbers: Any) -> None:
    """Raises ValueError for a number that an integer dtype does not hold, cut towards zero: some
    of NumPy's functions would wrap it (300 becomes 44), others raise OverflowError. What else is
    among `numbers`, arrays say, is passed over."""
    if dtype.kind not in "iu":
        return
    limits = np.iinfo(dtype)
    for number in numbers:
        if number.__class__ is not int:            # mostly it is one
            if not isinstance(number, (int, float, np.integer, np.floating)):
                continue
            if not np.isfinite(number):
                raise ValueError(f"{name}: integers are finite, got {number} for {dtype}; use a "
                                 "floating dtype")
        if not limits.min <= int(number) <= limits.max:
            raise ValueError(f"{name}: {number} is no number of {dtype}, which holds "
                             f"{limits.min} to {limits.max}; use another dtype, for example "
                             "x.long()")


def refuse_unfit_data(name: str, dtype: np.dtype, array: ndarray) -> None:
    """The same for all numbers of an array."""
    if dtype.kind in "iu" and array.size and array.dtype.kind != "b":
        refuse_unfit(name, dtype, array.min(), array.max())


# --- which dtype comes out -----------------------------------------------------------------------

def promote_types(a: np.dtype, b: np.dtype) -> np.dtype:
    """The least dtype of the higher kind that holds both: of float16 and int64 it is float16.

    Raises: TypeError for uint64 with a signed integer, which no integer dtype holds. (torch refuses
    to mix uint16, uint32 and uint64 with any other integer.)
    """
    if a.kind == "f" and b.kind != "f":
        return a
    if b.kind == "f" and a.kind != "f":
        return b
    both = np.promote_types(a, b)
    if both.kind == "f" and a.kind != "f":
        raise TypeError(f"no integer dtype holds the numbers of both {a} and {b}; convert one of "
                        "them first, for example x.long()")
    return both


def _over(higher: np.dtype | None, lower: np.dtype | None) -> np.dtype | None:
    """What becomes of what decides (higher) beside what does only by its kind (lower)."""
    if higher is None or lower is None:
        return higher or lower
    if higher.kind == "f":
        return higher
    if higher.kind == "b" or lower.kind == "f":
        return promote_types(higher, lower)
    return higher


def result_type(values: Any, default: np.dtype) -> np.dtype | None:
    """torch.result_type of arrays and Python numbers; None if there is none.

    values: arrays, (dtype, has dimensions), or the classes of Python numbers. default: the dtype
    that Python floats become.
    """
    dims = zero = number = None
    for v in values:
        if v.__class__ is tuple:
            dtype, has_dims = v
            if has_dims:
                dims = dtype if dims is None else promote_types(dims, dtype)
            else:
                zero = dtype if zero is None else promote_types(zero, dtype)
        else:
            dtype = BOOL if v is bool else INT64 if v is int else default
            number = dtype if number is None else promote_types(number, dtype)
    return _over(dims, _over(zero, number))


class Casts(tuple):
    """What an operation must convert before it runs: ((dtype, has dimensions) -> dtype, result).

    result: the dtype of floating results, None as they come.
    """
    __slots__ = ()

    def __new__(cls, each: dict, result: np.dtype | None) -> Casts:
        """As a tuple, so that whoever gets it need not ask more than its class."""
        return super().__new__(cls, (each, result))


@functools.lru_cache(4096)
def plan(name: str, known: tuple, default: np.dtype, promote: bool | str, floating: bool,
         moves: bool) -> Casts | np.dtype | None:
    """What is to be done about the dtypes of one call: Casts, or the dtype that results shall have.

    known: (dtype, has dimensions) of each array that takes part, and the classes of Python numbers.
    For the rest: see op().
    """
    arrays = [v for v in known if v.__class__ is tuple]
    each: dict[tuple, np.dtype] = {}
    for kind in arrays:
        dtype = own_dtype(kind[0])
        if dtype is None:
            raise unknown_dtype(name, kind[0])
        if dtype != kind[0]:
            each[kind] = dtype
    if each:                                       # the next call sees what they are now
        return Casts(each, None)
    floats = [kind for kind in arrays if kind[0].kind == "f"]
    try:
        common = result_type(known, default) if promote or floating else None
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    if floating and common is not None:
        each = {kind: common if common.kind == "f" else default
                for kind in arrays if kind[0].kind != "f"}
        if each:
            return Casts(each, None)
    narrow = [dtype for dtype, _ in floats if dtype in WIDE]
    if promote:
        stored = common if common in WIDE else None
    else:
        stored = narrow[0] if narrow and len(narrow) == len(floats) else None
    if stored is not None and not moves:
        wide = WIDE[stored]
        each = {kind: wide for kind in floats
                if kind[0] in WIDE or promote_types(kind[0], wide) != wide}
        if each:
            return Casts(each, stored)
    if not promote or common is None:
        return common
    # A tensor without dimensions that has no say is brought to the dtype of the others.
    for kind in arrays:
        dtype, has_dims = kind
        if not has_dims and (dtype.kind == "f") == (common.kind == "f") \
                and promote_types(dtype, common) != common \
                and (dtype.kind == "f" or promote is True):
            each[kind] = common
    return Casts(each, None) if each else common


def fits(number: ndarray, dtype: np.dtype) -> bool:
    """Whether an integer without dimensions is one of the dtype."""
    return dtype.kind == "f" or bool(number.astype(dtype) == number)
