"""Bare NumPy: three controls, and the least that 200 tiny operations cost.

A control does the same kind of work as the programs that it stands beside (Python calls, matrix
products, streaming through memory) and never changes. Measured in every round, it says how steady
the machine was just then (quiet.py).
"""
from __future__ import annotations

import numpy as np

from ..programs import Run, alternate, draw, near_one


def control_calls() -> Run:
    """100 calls of NumPy on 3x4 arrays."""
    x = np.full((3, 4), 1.001, np.float32)
    return lambda: alternate(x, 50)


def control_gemm() -> Run:
    """A product of 384x384 matrices by NumPy's BLAS."""
    a = np.random.default_rng(0).standard_normal((384, 384), np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)


def control_stream() -> Run:
    """Twice through arrays of 16 MB: out = a * b; out = out + b."""
    a = np.ones(4 << 20, np.float32)
    b, out = a.copy(), np.empty_like(a)

    def run() -> np.ndarray:
        np.multiply(a, b, out=out)
        return np.add(out, b, out=out)
    return run


def tiny_ops(pairs: int = 100) -> Run:
    """The arithmetic of programs.tiny_ops in bare calls: an engine cannot cost less."""
    x, seed = near_one(), draw(3, 4, seed=7)

    def run() -> tuple[np.ndarray, np.ndarray]:
        values, y = [], x
        for _ in range(pairs):
            values.append(y)
            y = y * x
            y = y - x
        g, total = seed, np.zeros_like(x)
        for value in reversed(values):
            total = total + -g
            total = total + g * value
            g = g * x
        return y, total + g
    return run


PROGRAMS = {f.__name__: f for f in (control_calls, control_gemm, control_stream, tiny_ops)}
