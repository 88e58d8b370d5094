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
from .activation import relu, tanh
from .cast import convert_all
from .elementwise import where
from .linear import linear, product
from .reduce import sum
from .join import cat
from .shape import reshape

ACTIVATIONS = {"tanh": tanh, "relu": relu}


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


def _scan_door(v, d, w, reverse):
    if v.ndim != 3 or d.shape != v.shape or w.shape != v.shape[2:] * 2:
        raise ValueError(f"rnn_scan: want v (T, N, D), d of the same shape and w (D, D), got "
                         f"{v.shape}, {d.shape} and {w.shape}")
    if not v.dtype == d.dtype == w.dtype or v.dtype.kind != "f":
        raise TypeError(f"rnn_scan: want floating arrays of one dtype, got {v.dtype}, {d.dtype} "
                        f"and {w.dtype}")
    return v, d, w, bool(reverse)


@op(samples=_scan_samples, ref=_scan_ref, door=_scan_door)
def rnn_scan(v: Tensor, d: Tensor, w: Tensor, reverse: bool = False) -> Tensor:
    """The linear recurrence r_t = d_t * (v_t + r_{t-1} w), with r_{t+1} instead if reverse.

    v, d (T, N, D), w (D, D), of one floating dtype -> r (T, N, D). Before the first step r is 0.

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
    gw = product(_rows(before).mT, _rows(u)) if needs[2] else None
    return u, gd, gw


def _rows(x):
    """(T, N, D) -> (T*N, D)."""
    return reshape(x, (x.shape[0] * x.shape[1], x.shape[2]))


# --- the layer -----------------------------------------------------------------------------------

def _layer_door(input, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity, reverse):
    # Asked once, as what is wrong is the exception: 3 us less a call than one by one.
    dtype = input.dtype
    if not (nonlinearity in ACTIVATIONS and input.ndim == 3 and w_ih.ndim == 2 and dtype.kind == "f"
            and input.shape[0] and input.shape[2] == w_ih.shape[1]
            and w_hh.shape == (w_ih.shape[0],) * 2 and h0.shape == (input.shape[1], len(w_hh))
            and h0.dtype == w_ih.dtype == w_hh.dtype == dtype
            and (b_ih is None or (b_ih.shape == w_hh.shape[:1] and b_ih.dtype == dtype))
            and (b_hh is None or (b_hh.shape == w_hh.shape[:1] and b_hh.dtype == dtype))):
        _refuse_layer(input, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity)
    return input, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity, bool(reverse)


def _refuse_layer(input, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity):
    """Raises for what is wrong with the arguments of rnn_layer."""
    if nonlinearity not in ACTIVATIONS:
        raise ValueError(f"rnn_layer: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    x, h = np.shape(input), np.shape(h0)
    if len(x) != 3:
        raise ValueError(f"rnn_layer: want input (T, N, I), got {x}")
    d, i = np.shape(w_ih) if np.ndim(w_ih) == 2 else (None, None)
    if d is None or np.shape(w_hh) != (d, d):
        raise ValueError(f"rnn_layer: want w_ih (D, I) and w_hh (D, D), got {np.shape(w_ih)} and "
                         f"{np.shape(w_hh)}")
    if x[2] != i:
        raise ValueError(f"rnn_layer: w_ih {(d, i)} wants {i} features, input {x} has {x[2]} in "
                         "its last dimension")
    if h != (x[1], d):
        raise ValueError(f"rnn_layer: h0 must be (N, D) = {(x[1], d)}, got {h}")
    if x[0] == 0:
        raise ValueError(f"rnn_layer: a sequence needs at least one step, input {x} has T = 0")
    for name, b in (("b_ih", b_ih), ("b_hh", b_hh)):
        if b is not None and np.shape(b) != (d,):
            raise ValueError(f"rnn_layer: {name} must be (D,) = ({d},), got {np.shape(b)}")
    given = {a.dtype for a in (input, h0, w_ih, w_hh, b_ih, b_hh) if a is not None}
    if len(given) > 1 or input.dtype.kind != "f":
        raise TypeError(f"rnn_layer: want floating arrays of one dtype, got input {input.dtype}, "
                        f"h0 {h0.dtype}, weights {w_hh.dtype}; " + convert_all("input", w_hh.dtype))


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


@op(samples=_layer_samples, ref=_layer_ref, door=_layer_door)
def rnn_layer(input: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
              b_hh: Tensor | None = None, nonlinearity: str = "tanh", reverse: bool = False
              ) -> Tensor:
    """The states of one recurrent layer at all times:

        h_t = act(x_t w_ih^T + b_ih + h_{t-1} w_hh^T + b_hh)

    input (T, N, I), h0 (N, D), w_ih (D, I), w_hh (D, D), b_ih and b_hh (D,) -> (T, N, D).
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
    rows = _rows(r)
    end = -1 if reverse else 0                                   # where the state h0 came in
    before = _rows(_shift(out, reverse, h0)) if needs[3] else None
    bias = sum(rows, 0) if needs[4] or needs[5] else None
    return (product(r, w_ih) if needs[0] else None,              # (T, N, D) @ (D, I) -> (T, N, I)
            r[end] @ w_hh if needs[1] else None,                 # (N, D) @ (D, D) -> (N, D)
            product(rows.mT, _rows(input)) if needs[2] else None,  # (D, T*N) @ (T*N, I) -> (D, I)
            product(rows.mT, before) if needs[3] else None,      # (D, T*N) @ (T*N, D) -> (D, D)
            bias, bias)


# --- the cell ------------------------------------------------------------------------------------

def _cell_ref(x, h, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    return _layer_ref(x[None], h, w_ih, w_hh, b_ih, b_hh, nonlinearity)[0]


@composite(samples=lambda r: [(r(2, 4), r(2, 5), r(5, 4), r(5, 5), r(5), r(5)),
                              (r(2, 2), r(2, 3), r(3, 2), r(3, 3), None, None, "relu")],
           ref=_cell_ref, rounds=True)
def rnn_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
             b_hh: Tensor | None = None, nonlinearity: str = "tanh") -> Tensor:
    """One step of a recurrent layer: act(x w_ih^T + b_ih + h w_hh^T + b_hh).

    input (N, I), hx (N, D), w_ih (D, I), w_hh (D, D), b_ih and b_hh (D,) -> (N, D); also without N.

    Raises: ValueError for shapes that do not fit or another nonlinearity.
    """
    if nonlinearity not in ACTIVATIONS:
        raise ValueError(f"rnn_cell: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return ACTIVATIONS[nonlinearity](linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))
