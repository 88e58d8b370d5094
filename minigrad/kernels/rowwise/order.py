"""The order of the elements along one dimension: all of it, or the few that come first.

By NumPy's sorts: nothing here is compiled. Equal elements keep their order, and what is not a
number counts as the largest.

Not here: a single extreme (NumPy's max and argmax, which ops/order.py calls).
"""

from __future__ import annotations

import numpy as np

from ... import tuning


def argsort(x: np.ndarray, d: int, descending: bool = False) -> np.ndarray:
    """(..., D, ...) -> (..., D, ...) the indices along d that sort x."""
    if not descending:
        return np.argsort(x, axis=d, kind="stable")
    # Sorted from behind, so that equal ones keep their order.
    last = x.shape[d] - 1
    return last - np.flip(np.argsort(np.flip(x, d), axis=d, kind="stable"), d)


def argtopk(x: np.ndarray, k: int, d: int, largest: bool = True) -> np.ndarray:
    """(..., D, ...) -> (..., K, ...) the indices along d of the k largest, or smallest, best first.

    0 <= k <= D.
    """
    n = x.shape[d]
    lead = (slice(None),) * d
    if not 0 < k < n // tuning.CHOOSE_PART:
        return argsort(x, d, largest)[(*lead, slice(0, k))]
    split, part = (n - k, slice(n - k, n)) if largest else (k - 1, slice(0, k))
    chosen = np.sort(np.argpartition(x, split, d)[(*lead, part)], d)
    order = argsort(np.take_along_axis(x, chosen, d), d, largest)
    return np.take_along_axis(chosen, order, d)
