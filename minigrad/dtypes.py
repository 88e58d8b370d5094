"""Torch's names for the kinds of numbers (NumPy dtypes) and for the one device, the CPU."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np

float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int16 = short = np.dtype(np.int16)
int32 = int = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
bool = np.dtype(np.bool_)


def device(name: str = "cpu") -> str:
    """The device of that name, which must be "cpu".

    Raises: ValueError for any other.
    """
    if str(name) not in ("cpu", "cpu:0"):
        raise ValueError(f"device: minigrad computes on the CPU only, got {name!r}; use \"cpu\"")
    return "cpu"


# So that `"cuda" if torch.cuda.is_available() else "cpu"` chooses the CPU.
cuda = SimpleNamespace(is_available=lambda: False, device_count=lambda: 0)
