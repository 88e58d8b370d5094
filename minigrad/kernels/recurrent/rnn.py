"""One RNN layer, its gradients, and the linear scan that is its derivative.

    rnn          h_t = act(W_ih x_t + b + W_hh h_{t-1})
    rnn_grad     the gradients for x, h_0, W_ih, W_hh, b
    rnn_scan     r_t = d_t * (v_t + r_{t-1} W)

Arrays are (T, N, D), in either order of memory: time first, or batch first, as torch's batch_first
gives it. The result takes the order of x, so that nothing is ever transposed.

Not here: the loops (loops.py), several layers or directions (nn/rnn.py), GRU, LSTM.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import ready
from ..simd.transpose import square_side
from ..parallel import parallel
from ..matmul.linear import linear_grad_x
from ..ways import Family, Way, long_sum
from .loops import (
    GIVEN, RELU, TANH, Plan, add_up_range, backward_range, forward_range, pack, plan_of,
)


class Problem(NamedTuple):
    """A layer on x (steps, batch, inputs) with states of `width` numbers."""

    steps: int
    batch: int
    inputs: int
    width: int
    dtype: np.dtype = np.dtype(np.float32)
    relu: bool = False
    reverse: bool = False

    @property
    def size(self) -> int:
        """Numbers of all states."""
        return self.steps * self.batch * self.width

    def plan(self, few: bool | None = None) -> Plan:
        """How the work is cut, by the faster way or with rows one by one (few) or not."""
        return plan_of(*self[:5], few)

    @property
    def flops(self) -> float:
        """Forwards; backwards it is twice as much."""
        return 2.0 * self.steps * self.batch * self.width * (self.width + self.inputs)

    @property
    def bytes(self) -> float:
        """x and the states, and the weights once."""
        numbers = self.steps * self.batch * (self.inputs + self.width)
        return float(numbers + self.width * (self.inputs + self.width)) * self.dtype.itemsize


Planned = tuple[Problem, "Plan | None"]


def _ways(run: Callable[..., Any], reference: Callable[..., Any]) -> list[Way]:
    """The ways of the three functions, which differ in the tile under them."""
    def planned(few: bool) -> Callable[[Problem], Planned]:
        return lambda p: (p, p.plan(few) if p.size else None)

    return [
        Way("rows", run, plan=planned(True), better=lambda p: p.size > 0 and p.plan().few,
            about="few rows go through time together: one by one, each on a wide tile"),
        Way("tiles", run, plan=planned(False), about="rows fill register tiles"),
        Way("reference", reference),
    ]  # fmt: skip


def _largest(p: Problem, found: Any, *arrays: Any) -> Any:
    """Errors go on from step to step, and from each number of a state to all of the next."""
    if isinstance(found, tuple):
        return tuple(None if y is None else _largest(p, y) for y in found)
    return np.broadcast_to(np.abs(found).max(initial=1e-30), found.shape)


def _ulps(p: Problem) -> float:
    return max(1, p.steps) * long_sum(p.steps * p.batch + p.inputs + p.width)


@functools.cache
def _tiny(dtype: np.dtype) -> np.generic:
    """What is smaller becomes 0, so that its product with a weight is no subnormal number."""
    limits = np.finfo(dtype)
    return limits.smallest_normal / limits.eps


def _flat(x: np.ndarray) -> tuple[np.ndarray, int, int]:
    """x (T, N, D) as one row of numbers, and how far apart steps and batch rows are in it."""
    steps, batch, width = x.shape
    if x.flags.c_contiguous:
        return ready(x).reshape(-1), batch * width, width
    turned = x.swapaxes(0, 1)
    if turned.flags.c_contiguous:
        return ready(turned).reshape(-1), width, steps * width
    return ready(x).reshape(-1), batch * width, width


def _like(steps: int, batch: int, width: int, like: np.ndarray) -> np.ndarray:
    """An empty (steps, batch, width) array with steps and batch in memory as in `like`."""
    if like.flags.c_contiguous or not like.swapaxes(0, 1).flags.c_contiguous:
        return empty((steps, batch, width), like.dtype)
    return empty((batch, steps, width), like.dtype).swapaxes(0, 1)


def _packed(w: np.ndarray, k_first: bool, cols: int) -> np.ndarray:
    """The panels of B = w if k_first, else w.T, padded with zeros to whole panels."""
    depth, length = w.shape if k_first else w.shape[::-1]
    out = np.empty(-(-length // cols) * cols * depth, w.dtype)
    side = square_side(w.dtype)
    pack(ready(w).reshape(-1), k_first, depth, length, cols, side, out)
    return out


# ------------------------------------------------------------------------------------ forwards


def _run_forward(
    planned: Planned, x: np.ndarray, h0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray,
    bias: np.ndarray | None,
) -> np.ndarray:
    (steps, batch, inputs, width, dtype, relu, reverse), plan = planned
    out = _like(steps, batch, width, x)
    if plan is None:
        return out
    start = np.zeros(-(-width // plan.cols) * plan.cols, dtype)
    if bias is not None:
        start[:width] = bias
    parallel(
        forward_range,
        plan.chunks,
        *plan,
        steps,
        batch,
        inputs,
        width,
        bool(reverse),
        bool(relu),
        *_flat(x),
        ready(h0).reshape(-1),
        _packed(w_ih, False, plan.cols),
        _packed(w_hh, False, plan.few_cols if plan.few else plan.cols),
        start,
        _tiny(dtype),
        dtype.type(0),
        *_flat(out),
    )
    return out


def _draw(rng: Any, *sizes: Any) -> tuple:
    p = Problem(*sizes)
    scale = 1 / max(1, 2 * np.sqrt(p.width))
    shapes = ((p.steps, p.batch, p.inputs), (p.batch, p.width), (p.width, p.inputs),
              (p.width, p.width), (p.width,))
    x, h0, *weights = (rng.standard_normal(shape) for shape in shapes)
    return tuple(a.astype(p.dtype) for a in (x, h0, *(w * scale for w in weights)))


RNN = Family("rnn", Problem, _ways(
    _run_forward, lambda p, x, h0, w_ih, w_hh, bias: rnn_reference(
        x, h0, w_ih, w_hh, bias, p.relu, p.reverse)),
    draw=_draw, flops=lambda p: p.flops, bytes=lambda p: p.bytes, ulps=_ulps, magnitude=_largest)


def rnn(
    x: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    bias: np.ndarray | None,
    relu: bool,
    reverse: bool = False,
) -> np.ndarray:
    """h_t = act(x_t @ w_ih.T + bias + h_{t-1} @ w_hh.T) for all t; act is tanh or relu.

    x (T, N, I), h0 (N, D), w_ih (D, I), w_hh (D, D), bias (D,), all of one dtype -> (T, N, D), in
    the order of memory of x. reverse: from t = T-1 down to 0, with h_{t+1} for h_{t-1}.

    States smaller than the smallest normal float / eps (1e-31 in float32) are set to 0, so that no
    product is subnormal. NaN and inf pass.
    """
    steps, batch, inputs = x.shape
    if inputs == 0:  # nothing comes in: as if one 0 did
        x, w_ih = np.zeros((steps, batch, 1), x.dtype), np.zeros((len(w_hh), 1), x.dtype)
    way = RNN.way(*x.shape, len(w_hh), x.dtype, bool(relu), bool(reverse))
    return way(x, h0, w_ih, w_hh, bias)


# ----------------------------------------------------------------------------------- backwards


def _run_backward(
    plan: Plan,
    g: np.ndarray,
    h: np.ndarray,
    act: int,
    w_hh: np.ndarray,
    reverse: bool,
    x: np.ndarray,
    w_ih: np.ndarray,
    h0: np.ndarray,
    gx: np.ndarray | None,
    r: tuple[np.ndarray, int, int] | None,
    need_i: bool,
    need_h: bool,
) -> tuple[np.ndarray, int, int]:
    """Runs the backward kernel: the sums of each chunk, and the two sizes of a panel of them."""
    steps, batch, width = g.shape
    inputs = x.shape[2]
    dtype = g.dtype
    tall = -(-width // plan.height) * plan.height
    panels = -(-inputs // plan.cols) + -(-width // plan.cols)
    sums = np.empty((plan.chunks, panels * tall * plan.cols + width + 32), dtype)
    nothing = np.empty(0, dtype), 0, 0
    parallel(
        backward_range,
        plan.chunks,
        *plan,
        steps,
        batch,
        inputs,
        width,
        bool(reverse),
        act,
        *_flat(g),
        *_flat(h),
        ready(h0).reshape(-1),
        *_flat(x),
        nothing[0] if gx is None else _packed(w_ih, True, plan.cols),
        _packed(w_hh, True, plan.few_cols if plan.few else plan.cols),
        _tiny(dtype),
        dtype.type(0),
        dtype.type(1),
        gx is not None,
        *(nothing if gx is None else _flat(gx)),
        r is not None,
        *(r or nothing),
        need_i,
        need_h,
        sums,
    )
    return sums, tall, plan.cols


class Needs(NamedTuple):
    """Which gradients somebody asks for."""

    x: bool
    h0: bool
    w_ih: bool
    w_hh: bool
    bias: bool


def _run_gradient(
    planned: Planned, g: np.ndarray, out: np.ndarray, x: np.ndarray, h0: np.ndarray,
    w_ih: np.ndarray, w_hh: np.ndarray, needs: Needs,
) -> tuple[np.ndarray | None, ...]:
    (steps, batch, inputs, width, dtype, relu, reverse), plan = planned
    if plan is None:  # no rows, or no states
        shapes = (x.shape, h0.shape, w_ih.shape, w_hh.shape, (width,))
        return tuple(np.zeros(s, dtype) if n else None for s, n in zip(shapes, needs))
    gx = _like(steps, batch, inputs, x) if needs.x else None
    # The kernel writes r of every step over that of the step before: what stays is that at h0.
    end = np.empty((batch, width), dtype) if needs.h0 else None
    sums, tall, cols = _run_backward(
        plan, g, out, RELU if relu else TANH, w_hh, reverse, x, w_ih, h0, gx,
        None if end is None else (end.reshape(-1), 0, width), needs.w_ih, needs.w_hh,
    )  # fmt: skip
    first = 0
    weights: list[np.ndarray | None] = []
    for length, needed in ((inputs, needs.w_ih), (width, needs.w_hh)):
        panels = -(-length // cols)
        gw = np.empty((width, length), dtype) if needed else None
        if needed:
            grain = -(-tuning.RNN_ADD_GRAIN // (tall * cols * len(sums)))
            parallel(add_up_range, panels, sums, first, tall, cols, gw, grain=grain)
        weights.append(gw)
        first += panels * tall * cols
    return (
        gx,
        None if end is None else linear_grad_x(end, w_hh),  # (N, D) @ (D, D) -> (N, D)
        weights[0],
        weights[1],
        sums[:, first : first + width].sum(0) if needs.bias else None,
    )


def _draw_gradient(rng: Any, *sizes: Any) -> tuple:
    p = Problem(*sizes)
    x, h0, w_ih, w_hh, bias = _draw(rng, *sizes)
    out = rnn_reference(x, h0, w_ih, w_hh, bias, p.relu, p.reverse)
    g = rng.standard_normal(out.shape).astype(p.dtype)
    return g, out, x, h0, w_ih, w_hh, Needs(True, True, True, True, True)


def _gradient_by_reference(
    p: Problem, g: np.ndarray, out: np.ndarray, x: np.ndarray, h0: np.ndarray, w_ih: np.ndarray,
    w_hh: np.ndarray, needs: Needs,
) -> tuple[np.ndarray | None, ...]:
    found = rnn_grad_reference(g, out, x, h0, w_ih, w_hh, p.relu, p.reverse)
    return tuple(a if needed else None for a, needed in zip(found, needs))


RNN_GRAD = Family("rnn_grad", Problem, _ways(_run_gradient, _gradient_by_reference),
                  draw=_draw_gradient, flops=lambda p: 2 * p.flops, bytes=lambda p: 2 * p.bytes,
                  ulps=_ulps, magnitude=_largest)


def rnn_grad(
    g: np.ndarray,
    out: np.ndarray,
    x: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    relu: bool,
    reverse: bool,
    needs: Needs,
) -> tuple[np.ndarray | None, ...]:
    """The gradients of `rnn`, whose result is out, for x, h0, w_ih, w_hh, bias: those in needs.

    g, the gradient of out, (T, N, D); the others as in `rnn`, all of one dtype.

    Gradients that are smaller than the smallest normal float / eps become 0 on their way through
    time. NaN and inf pass.
    """
    way = RNN_GRAD.way(*x.shape, len(w_hh), x.dtype, bool(relu), bool(reverse))
    return way(g, out, x, h0, w_ih, w_hh, needs)


# ------------------------------------------------------------------------------------- the scan


def _run_scan(planned: Planned, v: np.ndarray, d: np.ndarray, w: np.ndarray) -> np.ndarray:
    p, plan = planned
    r = _like(p.steps, p.batch, p.width, v)
    if plan is not None:
        nothing = v[:, :, :0]  # there is no input, and no weight whose gradient is asked for
        _run_backward(plan, v, d, GIVEN, w, not p.reverse, nothing, w, v[0], None, _flat(r), False,
                      False)  # fmt: skip
    return r


def _draw_scan(rng: Any, *sizes: Any) -> tuple:
    p = Problem(*sizes)
    v, d = (rng.standard_normal((p.steps, p.batch, p.width)) for _ in "vd")
    w = rng.standard_normal((p.width, p.width)) / max(1, 2 * np.sqrt(p.width))
    return v.astype(p.dtype), np.tanh(d).astype(p.dtype), w.astype(p.dtype)


RNN_SCAN = Family("rnn_scan", Problem, _ways(
    _run_scan, lambda p, v, d, w: rnn_scan_reference(v, d, w, p.reverse)),
    draw=_draw_scan, flops=lambda p: p.flops, bytes=lambda p: 3 * p.bytes, ulps=_ulps,
    magnitude=_largest)


def rnn_scan(v: np.ndarray, d: np.ndarray, w: np.ndarray, reverse: bool) -> np.ndarray:
    """r_t = d_t * (v_t + r_before @ w), r_before = r_{t-1}, or r_{t+1} if reverse; 0 at the start.

    v (T, N, D), d (T, N, D), w (D, D), all of one dtype -> r (T, N, D).

    Backpropagation through time is this with reverse=True, v the gradient of the outputs and d the
    derivative of the activation: r is then the gradient of the sums inside the activation. As a
    linear map of v its adjoint is the same scan with w transposed and time reversed, so derivatives
    of every order are scans:

        u = rnn_scan(g, d, w.T, not reverse)        g the gradient of r, u that of v
        gd_t = (g_t + u_after @ w.T) * (v_t + r_before @ w)
        gw = sum_t r_before.T @ u_t

    |r| below the smallest normal float / eps becomes 0. NaN and inf pass.
    """
    steps, batch, width = v.shape
    return RNN_SCAN.way(steps, batch, 0, width, v.dtype, False, bool(reverse))(v, d, w)


# --------------------------------------------------------------------------------- references


def rnn_reference(
    x: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    bias: np.ndarray | None,
    relu: bool,
    reverse: bool = False,
) -> np.ndarray:
    """What `rnn` computes, step by step."""
    out = empty((*x.shape[:2], len(w_hh)), x.dtype)
    h = h0
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        a = x[t] @ w_ih.T + h @ w_hh.T  # (N, I) @ (I, D) + (N, D) @ (D, D) -> (N, D)
        a = a if bias is None else a + bias
        h = np.maximum(a, 0) if relu else np.tanh(a)
        out[t] = h
    return out


def rnn_scan_reference(v: np.ndarray, d: np.ndarray, w: np.ndarray, reverse: bool) -> np.ndarray:
    """What `rnn_scan` computes, step by step."""
    r = np.empty_like(v)
    before = np.zeros_like(w, shape=v.shape[1:])
    for t in reversed(range(len(v))) if reverse else range(len(v)):
        before = d[t] * (v[t] + before @ w)  # (N, D) @ (D, D) -> (N, D)
        r[t] = before
    return r


def rnn_grad_reference(
    g: np.ndarray,
    out: np.ndarray,
    x: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    relu: bool,
    reverse: bool,
) -> tuple[np.ndarray, ...]:
    """What `rnn_grad` computes: all five gradients."""
    d = np.where(out <= 0, 0, 1).astype(out.dtype) if relu else 1 - out * out
    r = rnn_scan_reference(g, d, w_hh, not reverse)
    end = -1 if reverse else 0  # where h0 came in
    before = [*out[1:], h0] if reverse else [h0, *out[:-1]]
    gw_ih, gw_hh = np.zeros_like(w_ih), np.zeros_like(w_hh)
    for t in range(len(x)):
        gw_ih += r[t].T @ x[t]  # (D, N) @ (N, I) -> (D, I)
        gw_hh += r[t].T @ before[t]  # (D, N) @ (N, D) -> (D, D)
    return r @ w_ih, r[end] @ w_hh, gw_ih, gw_hh, r.sum((0, 1))
