"""What the vector unit of this machine has: its instructions, and how many registers how wide.

Asked once, by whoever lays out vectors: the register tiles (tile.py, dot_tile.py), the vector words
(vector.py), the loops of formulas (pointwise/machine_code.py). NUMBA_CPU_FEATURES and
NUMBA_CPU_NAME, which Numba compiles for, are heeded.

Not here: the shapes of tiles (tile.py).
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Registers(NamedTuple):
    """What the vector unit of a CPU has: `bytes` a register, and how many vectors of C to keep."""

    bytes: int
    rows: int
    vectors: int


def cpu_features() -> frozenset[str]:
    """What the machine code may use: the host's features, unless Numba was told otherwise."""
    told = os.environ.get("NUMBA_CPU_FEATURES")
    if told is None:
        if os.environ.get("NUMBA_CPU_NAME"):
            return frozenset()  # code for some other CPU: plain loops are always right
        try:
            import llvmlite.binding as llvm  # type: ignore[import-untyped]

            told = llvm.get_host_cpu_features().flatten()
        except (ImportError, RuntimeError):
            return frozenset()
    return frozenset(f[1:] for f in told.split(",") if f.startswith("+"))


def registers(features: frozenset[str]) -> Registers | None:
    """The largest tile of 8 rows or less that leaves room for the vectors of B and one of A."""
    if "avx512f" in features:  # 32 registers: 8 x 2 sums + 2 + 1; more would hold, see tile.py
        return Registers(64, 8, 2)
    if {"avx2", "fma"} <= features:  # 16 registers: 6 x 2 sums + 2 + 1
        return Registers(32, 6, 2)
    if "neon" in features:  # 32 registers: 8 x 2 sums + 2 + 1
        return Registers(16, 8, 2)
    return None  # without a fused multiply-add LLVM would call a function for each: plain loops
