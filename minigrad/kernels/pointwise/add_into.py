"""Sums of large gradients, in the memory of the first, on all threads.

Not here: other formulas, which make new arrays (loop.py).
"""
from __future__ import annotations

import numpy as np
from numpy import ndarray

from .loop import Loop

_sum = Loop(lambda total, part: total + part, "add_into")


def add_into(total: ndarray, part: ndarray) -> None:
    """total += part, for large arrays of one shape and dtype."""
    if not _sum.into(total, total, part):
        np.add(total, part, total)
