"""Names of what belongs to other libraries, for errors: "got torch.Tensor", and how to convert it.

Not here: what is accepted (each function says it), NumPy's own arrays (they are everywhere).
"""
from __future__ import annotations

from typing import Any

# How a tensor of a library becomes an array, where np.asarray(x) is not the whole answer.
_ARRAYS = {
    "torch": "x.detach().cpu().numpy()",
    "tensorflow": "x.numpy()",
    "mygrad": "x.data",
    "cupy": "x.get()",
    "pandas": "x.to_numpy()",
    "tinygrad": "x.numpy()",
    "paddle": "x.numpy()",
}
_OTHERS = {"jax", "jaxlib", "keras", "mlx", "autograd"}          # np.asarray reads their arrays
_OWN = {"builtins", "numpy", "minigrad"}


def _library(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def named(x: Any) -> str:
    """The name of the type of x, with its library if it is another tensor library's."""
    cls = type(x)
    library = _library(cls)
    if library in _OWN or not (_is_array(cls) or library in _ARRAYS or library in _OTHERS):
        return cls.__name__
    return f"{library}.{cls.__name__}"


def _is_array(cls: type) -> bool:
    return hasattr(cls, "__array__") or hasattr(cls, "__dlpack__")


def got(x: Any, otherwise: str = "") -> str:
    """What was given, for the end of an error: its name and, if it is another library's tensor, how
    to convert it; for everything else the name and what is said in `otherwise`."""
    cls = type(x)
    if _library(cls) in _OWN or not _is_array(cls):
        return named(x) + otherwise
    array = _ARRAYS.get(_library(cls), "np.asarray(x)")
    return f"{named(x)}; convert it: minigrad.from_numpy({array})"
