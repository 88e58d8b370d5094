"""Draws inputs for the `samples` beside every op: random, but never near a kink by accident.

A sample is a tuple of positional arguments; a dict at its end holds options. Floats are float64.
"""
from __future__ import annotations

import numpy as np
from numpy import ndarray


class Draw:
    """A source of sample arrays; equal seeds draw equal samples. A call draws normal numbers."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> ndarray:
        """Standard normal numbers."""
        return self.rng.standard_normal(shape)

    def between(self, low: float, high: float, *shape: int) -> ndarray:
        """Uniform numbers: for functions that are defined, or well-behaved, on an interval only."""
        return self.rng.uniform(low, high, shape)

    def apart(self, *shape: int, gap: float = 0.1) -> ndarray:
        """Numbers of both signs that differ from zero and from each other by at least `gap` / 2:
        for functions with kinks at zero or where elements are equal (relu, max, sort)."""
        n = int(np.prod(shape))
        steps = self.rng.permutation(n) - n // 2 + 0.5
        return (gap * (steps + self.rng.uniform(-0.2, 0.2, n))).reshape(shape)

    def integers(self, high: int, *shape: int) -> ndarray:
        """Integers from 0 to high - 1."""
        return self.rng.integers(high, size=shape)

    def mask(self, *shape: int) -> ndarray:
        """Booleans, of both kinds where there are at least two."""
        flat = self.rng.random(int(np.prod(shape))) < 0.5
        if flat.size > 1:
            flat[:2] = True, False
        return flat.reshape(shape)

    def probabilities(self, *shape: int) -> ndarray:
        """Positive numbers that sum to 1 along the last dimension."""
        p = self.rng.uniform(0.2, 1.0, shape)
        return p / p.sum(-1, keepdims=True)
