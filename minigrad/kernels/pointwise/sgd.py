"""The step of stochastic gradient descent on a large parameter, in one pass over memory.

Not here: the rule in words, and small parameters (`optim/sgd.py`).
"""
from __future__ import annotations

import numpy as np

from ... import tuning
from ..jit import jit, ready
from ..parallel import one_each, parallel


@jit
def sgd_range(start, stop, x, g, lr, decay, sign):
    """x[i] -= lr (sign g[i] + decay x[i]).

    Limit: bytes (x and g read, x written): 400,000 float32 numbers in the cache take 45 us on one
    core, as NumPy calls on parts of the arrays 140.
    """
    rate, pull, way = x.dtype.type(lr), x.dtype.type(decay), x.dtype.type(sign)
    value, slope = x[start:stop], g[start:stop]
    if decay == 0:
        for i in range(stop - start):
            value[i] -= (way * slope[i]) * rate
    else:
        for i in range(stop - start):
            value[i] -= (way * slope[i] + value[i] * pull) * rate


@jit
def momentum_range(start, stop, x, g, v, lr, decay, sign, momentum, share, nesterov):
    """d = sign g[i] + decay x[i];  v[i] = momentum v[i] + share d;  x[i] -= lr v[i].

    nesterov: x[i] -= lr (d + momentum v[i]) instead.
    """
    rate, pull, way = x.dtype.type(lr), x.dtype.type(decay), x.dtype.type(sign)
    keep, part = x.dtype.type(momentum), x.dtype.type(share)
    value, slope, moving = x[start:stop], g[start:stop], v[start:stop]
    for i in range(stop - start):
        d = way * slope[i]
        if decay != 0:
            d = d + value[i] * pull
        moved = moving[i] * keep + d * part
        moving[i] = moved
        value[i] -= (d + moved * keep if nesterov else moved) * rate


def sgd(x: np.ndarray, g: np.ndarray, v: np.ndarray | None, lr: float, decay: float, sign: float,
        momentum: float, share: float, nesterov: bool) -> None:
    """One step in place: x, and v unless it is None. All flat, C-contiguous, of one dtype.

    sign: 1, or -1 to climb instead of descending.
    """
    grain = one_each(x.size, tuning.SGD_GRAIN)
    if v is None:
        parallel(sgd_range, x.size, x, ready(g), lr, decay, sign, grain=grain)
    else:
        parallel(momentum_range, x.size, x, ready(g), v, lr, decay, sign, momentum, share, nesterov,
                 grain=grain)


def sgd_by_numpy(x: np.ndarray, g: np.ndarray, v: np.ndarray | None, lr: float, decay: float,
                 sign: float, momentum: float, share: float, nesterov: bool) -> None:
    """What `sgd` computes, by NumPy: its reference, and the way of small parameters.

    Python floats take the arrays' own dtype: float32 stays float32. float16 is computed in float32
    and rounded once, when it is stored.
    """
    if x.dtype == np.float16:
        wide = x.astype(np.float32)
        moving = None if v is None else v.astype(np.float32)
        sgd_by_numpy(wide, g.astype(np.float32), moving, lr, decay, sign, momentum, share,
                     nesterov)
        x[...] = wide
        if v is not None:
            v[...] = moving
        return
    d = g if sign == 1 else -g
    if decay:
        d = d + x * decay
    if v is not None:
        v *= momentum
        v += d if share == 1 else d * share
        d = d + v * momentum if nesterov else v
    x -= d * lr
