"""The recurrent layer over time, fused into one operation, and the cell that it is made of.

One layer in one direction:         h_t = act(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)
Backpropagation through time:       r_t = d_t * (g_t + W_hh^T r_{t+1}),  d_t = act'(.) from h_t
r_t is the gradient of the sum inside act. It obeys a linear recurrence backwards in time,
`rnn_scan`; every other gradient is a product of r with what was multiplied. The derivative of a
linear recurrence is the same recurrence run the other way, so `rnn_scan` differentiates into
itself, and the fused layer has derivatives of every order. Where nothing is recorded one kernel
computes all gradients at once; under create_graph the same formulas run as operations.

Not here: the loops over time (`kernels/recurrent/`), layers and directions (`nn/rnn.py`).
"""
from __future__ import annotations

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor
from ..kernels.recurrent import rnn as kernel
from ..autograd.op import composite, op
from ..autograd.options import choice, flag
from ..autograd.signature import Signature
from .activation import relu, tanh
from .elementwise import where
from .linear import linear, product, rows_of
from .reduce import sum
from .join import cat
from .shape import reshape

ACTIVATIONS = {"tanh": tanh, "relu": relu}
NONLINEARITY = choice("tanh", "relu")


# --- the linear recurrence -----------------------------------------------------------------------

def _shift(r, reverse, first=None):
    """(T, N, D): r_{t-1} at each t (r_{t+1} if reverse), `first` or zeros before the first step."""
    if first is None:
        first = r[:1] * 0.0
    else:
        first = reshape(first, (1, *first.shape))
    return cat((r[1:], first), 0) if reverse else cat((first, r[:-1]), 0)


def _scan_samples(r):
    return [(r(3, 2, 4), r(3, 2, 4), r(4, 4)), (r(4, 1, 2), r(4, 1, 2), r(2, 2), True)]


def _scan_ref(v, d, w, reverse=False):
    out, last = np.zeros(v.shape), np.zeros(v.shape[1:])
    for t in range(len(v))[::-1 if reverse else 1]:
        last = out[t] = d[t] * (v[t] + last @ w)
    return out


@op(samples=_scan_samples, ref=_scan_ref, takes=Signature(
    "v, d (T, N, D); w (D, D) -> (T, N, D)", "floating", {"reverse": flag()}))
def rnn_scan(v: Tensor, d: Tensor, w: Tensor, reverse: bool = False) -> Tensor:
    """The linear recurrence r_t = d_t * (v_t + r_{t-1} w), with r_{t+1} instead if reverse.

    v and d (T, N, D), w (D, D) -> (T, N, D), of one floating dtype. Before the first step r is 0.

    With r~ the step before r and u the recurrence run the other way on the gradient g with w^T,
        u_t = d_t * s_t,  s_t = g_t + u_{t+1} w^T:   gv = u,  gd_t = s_t * (v_t + r~_t w),
        gw = sum_t r~_t^T u_t.
    """
    return kernel.rnn_scan(v, d, w, reverse)


@rnn_scan.joint_vjp("v", "d", "w")
def _scan_rule(g, v, d, w, out, reverse, needs):
    u = rnn_scan(g, d, w.mT, not reverse)
    before = _shift(out, reverse)
    gd = (g + product(_shift(u, not reverse), w.mT)) * (v + product(before, w)) \
        if needs[1] else None
    # (D, T*N) @ (T*N, D) -> (D, D)
    gw = product(rows_of(before).mT, rows_of(u)) if needs[2] else None
    return u, gd, gw


# --- the layer -----------------------------------------------------------------------------------

def _layer_samples(r):
    return [(r(3, 2, 4), r(2, 5), r(5, 4), r(5, 5) * 0.5, r(5), r(5)),
            (r(4, 1, 2), r(1, 3), r(3, 2), r(3, 3) * 0.5, None, None, "tanh", True),
            (r(3, 2, 2), r(2, 3), r(3, 2), r(3, 3) * 0.5, r(3), r(3), "relu")]


def _layer_ref(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh", reverse=False):
    act = np.tanh if nonlinearity == "tanh" else lambda z: np.maximum(z, 0)
    out, h = np.zeros((*x.shape[:2], w_hh.shape[0])), h0
    for t in range(len(x))[::-1 if reverse else 1]:
        z = x[t] @ w_ih.T + h @ w_hh.T
        h = out[t] = act(z + (0.0 if b_ih is None else b_ih) + (0.0 if b_hh is None else b_hh))
    return out


@op(samples=_layer_samples, ref=_layer_ref, takes=Signature(
    "input (T>0, N, I); h0 (N, D); w_ih (D, I); w_hh (D, D); b_ih, b_hh (D,)? -> (T, N, D)",
    "floating", {"nonlinearity": NONLINEARITY, "reverse": flag()},
    advice={"T>0": lambda case: "a sequence needs at least one step"}))
def rnn_layer(input: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
              b_hh: Tensor | None = None, nonlinearity: str = "tanh", reverse: bool = False
              ) -> Tensor:
    """The states of one recurrent layer at all times:

        h_t = act(x_t w_ih^T + b_ih + h_{t-1} w_hh^T + b_hh)

    input (T, N, I), h0 (N, D), w_ih (D, I), w_hh (D, D), b_ih and b_hh (D,) -> (T, N, D)

    reverse: from the last step to the first; the states stay in the order of the input.

    The last state is out[-1], or out[0] if reverse.

    Raises: ValueError for shapes that do not fit, an empty sequence or another nonlinearity;
        TypeError for mixed dtypes.
    """
    bias = b_ih if b_hh is None else b_hh if b_ih is None else b_ih + b_hh
    return kernel.rnn(input, h0, w_ih, w_hh, bias, nonlinearity == "relu", reverse)


@rnn_layer.joint_vjp("input", "h0", "w_ih", "w_hh", "b_ih", "b_hh")
def _layer_rule(g, out, input, h0, w_ih, w_hh, nonlinearity, reverse, needs):
    if g.__class__ is ndarray:                                   # nothing is recorded: all at once
        gx, gh, gw_ih, gw_hh, bias = kernel.rnn_grad(
            g, out, input, h0, w_ih, w_hh, nonlinearity == "relu", reverse,
            kernel.Needs(*needs[:4], needs[4] or needs[5]))
        return gx, gh, gw_ih, gw_hh, bias, bias
    d = 1.0 - out * out if nonlinearity == "tanh" else \
        where(out <= 0, 0.0, np.ones((), out.dtype))             # NaN is not <= 0: it passes g on
    r = rnn_scan(g, d, w_hh, not reverse)                        # (T, N, D), through time
    rows = rows_of(r)
    end = -1 if reverse else 0                                   # where the state h0 came in
    before = rows_of(_shift(out, reverse, h0)) if needs[3] else None
    bias = sum(rows, 0) if needs[4] or needs[5] else None
    return (product(r, w_ih) if needs[0] else None,              # (T, N, D) @ (D, I) -> (T, N, I)
            r[end] @ w_hh if needs[1] else None,                 # (N, D) @ (D, D) -> (N, D)
            product(rows.mT, rows_of(input)) if needs[2] else None,  # (D, T*N) @ (T*N, I) -> (D, I)
            product(rows.mT, before) if needs[3] else None,      # (D, T*N) @ (T*N, D) -> (D, D)
            bias, bias)


# --- the cell ------------------------------------------------------------------------------------

def _cell_ref(x, h, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    return _layer_ref(x[None], h, w_ih, w_hh, b_ih, b_hh, nonlinearity)[0]


CELL = Signature(
    "input (N?, I); hx (N?, D); w_ih (D, I); w_hh (D, D); b_ih, b_hh (D,)? -> (N?, D)",
    "floating", {"nonlinearity": NONLINEARITY})


@composite(samples=lambda r: [(r(2, 4), r(2, 5), r(5, 4), r(5, 5), r(5), r(5)),
                              (r(2, 2), r(2, 3), r(3, 2), r(3, 3), None, None, "relu")],
           ref=_cell_ref, takes=CELL, rounds=True)
def rnn_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
             b_hh: Tensor | None = None, nonlinearity: str = "tanh") -> Tensor:
    """One step of a recurrent layer: act(x w_ih^T + b_ih + h w_hh^T + b_hh).

    input (N, I) or (I,), hx (N, D) or (D,), w_ih (D, I), w_hh (D, D), b_ih and b_hh (D,) -> (N, D)
    or (D,)

    Raises: ValueError for shapes that do not fit or another nonlinearity; TypeError for mixed
        dtypes.
    """
    try:
        x, h, act = linear(input, w_ih, b_ih), linear(hx, w_hh, b_hh), ACTIVATIONS[nonlinearity]
    except (KeyError, TypeError, ValueError):
        CELL.check(input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)        # in the cell's own words
        raise
    if not x.shape == h.shape == hx.shape:         # they might broadcast; what else linear asks
        CELL.check(input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)
    return act(x + h)
