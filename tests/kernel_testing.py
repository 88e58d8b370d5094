"""What tests of kernels share."""
from __future__ import annotations

import numpy as np
from hypothesis import settings

from minigrad.kernels.jit.kernel import jit_disabled

PLAIN = jit_disabled()                # the plain run takes smaller samples: its loops are slow
DTYPES = [np.float32, np.float64]


def examples(compiled: int, plain: int) -> settings:
    """So many examples, the same ones in every run."""
    return settings(max_examples=plain if PLAIN else compiled, derandomize=True, deadline=None,
                    database=None)
