"""The error function of each element, which NumPy lacks.

Limit: the C library's erf, 5 to 20 ns a number on one core. Not here: gelu (ops/activation.py).
"""
import math

import numpy as np

from minigrad.kernels.jit import jit, ready
from minigrad.kernels.threads import parallel

_MIN_ITEMS = 4_000  # numbers worth a thread: about 30 us


@jit
def _erf_range(start, stop, x, y):
    for i in range(start, stop):
        y[i] = math.erf(x[i])


def erf(x: np.ndarray) -> np.ndarray:
    """erf(x) = 2/sqrt(pi) * integral of exp(-t^2) from 0 to x, for a flat x (n,) -> (n,)."""
    x = ready(x)
    y = np.empty_like(x)
    parallel(_erf_range, len(x), x, y, grain=_MIN_ITEMS)
    return y


def erf_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `erf`."""
    return np.array([math.erf(v) for v in x], x.dtype)
