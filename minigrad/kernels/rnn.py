"""One RNN layer over time: the recurrence itself, and the linear scan that is its derivative.

Arrays are time-major: (T, N, D). The input part of the layer, x @ w_ih.T + biases, is one large
product outside of this file; here is only what must go step by step. Batch rows never meet, so each
thread takes its rows through all time steps and no barrier is needed.

Limit: multiply-adds, 2 T N D^2 operations. For 8 rows and more with D = 128 to 512 one core did 60
to 85 GFLOP/s in float32 (30 to 40 in float64), of about 95 that 256-bit vectors allow and 190 that
512-bit ones would: the compiler prefers 256 bits, and the sums live in the first-level cache and
not in registers. One batch row alone gets 40: each number of w is read for one multiplication, so
the speed is that of the second-level cache. The tanh costs a tenth of the time at D = 128.

Not here: the products that need no order in time (gradients of the weights and of the input), GRU,
LSTM, several layers or directions.
"""
import numpy as np

from minigrad.kernels.jit import jit, ready
from minigrad.kernels.math import tanh
from minigrad.kernels.threads import parallel

_CONTRACT = {"contract"}
_ROWS = 16  # batch rows that share one reading of w: see _add_products
_MIN_WORK = 800_000  # multiplications worth a thread: about 30 us


@jit(fastmath=_CONTRACT)
def _add_products(total, r, w):
    """total += r @ w for a few rows: total (M, D), r (M, D), w (D, D)."""
    rows, depth = r.shape
    # Eight rows of w at a time: one load and store of `total` pays for eight multiply-adds, and
    # the eight rows (4 KB at D = 128) stay in the first-level cache while M rows use them.
    full = depth - depth % 8
    for k in range(0, full, 8):
        w0 = w[k]
        w1 = w[k + 1]
        w2 = w[k + 2]
        w3 = w[k + 3]
        w4 = w[k + 4]
        w5 = w[k + 5]
        w6 = w[k + 6]
        w7 = w[k + 7]
        for m in range(rows):
            s = r[m, k : k + 8]
            s0 = s[0]
            s1 = s[1]
            s2 = s[2]
            s3 = s[3]
            s4 = s[4]
            s5 = s[5]
            s6 = s[6]
            s7 = s[7]
            a = total[m]
            for j in range(a.shape[0]):
                a[j] = (
                    a[j] + s0 * w0[j] + s1 * w1[j] + s2 * w2[j] + s3 * w3[j]
                    + s4 * w4[j] + s5 * w5[j] + s6 * w6[j] + s7 * w7[j]
                )  # fmt: skip
    for k in range(full, depth):
        w0 = w[k]
        for m in range(rows):
            s0 = r[m, k]
            a = total[m]
            for j in range(a.shape[0]):
                a[j] += s0 * w0[j]


@jit
def _tanh_row(a, tiny, zero):
    for j in range(a.shape[0]):
        v = tanh(a[j])
        a[j] = zero if abs(v) < tiny else v


@jit
def _relu_row(a, tiny, zero):
    for j in range(a.shape[0]):
        v = a[j]
        a[j] = zero if v < tiny else v  # NaN is not below: it stays


@jit
def _scale_row(a, d, tiny, zero):
    for j in range(a.shape[0]):
        v = d[j] * a[j]
        a[j] = zero if abs(v) < tiny else v


@jit
def _rnn_range(start, stop, z, h0, wt, relu, tiny, zero, out):
    for first in range(start, stop, _ROWS):
        last = min(first + _ROWS, stop)
        before = h0[first:last]
        for t in range(z.shape[0]):
            now = out[t, first:last]
            now[:] = z[t, first:last]
            _add_products(now, before, wt)  # (M, D) @ (D, D) -> (M, D)
            for m in range(last - first):
                if relu:
                    _relu_row(now[m], tiny, zero)
                else:
                    _tanh_row(now[m], tiny, zero)
            before = now


@jit
def _scan_range(start, stop, v, d, w, reverse, tiny, zero, r):
    steps = v.shape[0]
    for first in range(start, stop, _ROWS):
        last = min(first + _ROWS, stop)
        before = r[0, first:last]
        for i in range(steps):
            t = steps - 1 - i if reverse else i
            now = r[t, first:last]
            now[:] = v[t, first:last]
            if i > 0:
                _add_products(now, before, w)  # (M, D) @ (D, D) -> (M, D)
            for m in range(last - first):
                _scale_row(now[m], d[t, first + m], tiny, zero)
            before = now


def _grain(steps: int, batch: int, width: int) -> int:
    """Batch rows worth a chunk: enough work, and 8 rows if there are 16, to share w among them."""
    rows = -(-_MIN_WORK // max(1, steps * width * width))
    return max(rows, min(8, batch // 2))


def rnn(z: np.ndarray, h0: np.ndarray, w: np.ndarray, relu: bool) -> np.ndarray:
    """h_t = act(z_t + h_{t-1} @ w.T) for t = 0 .. T-1, from h_{-1} = h0; act is tanh or relu.

    z (T, N, D), h0 (N, D), w (D, D), all of one dtype -> out (T, N, D).

    States smaller than the smallest normal float are set to 0: an unforced state that decays would
    otherwise fill with subnormals, on which the CPU is several times slower. NaN and inf pass.
    """
    z = ready(z)
    h0 = ready(h0)
    wt = ready(w.T)
    out = np.empty_like(z)
    steps, batch, width = z.shape
    tiny = np.finfo(z.dtype).smallest_normal
    zero = z.dtype.type(0)
    grain = _grain(steps, batch, width)
    parallel(_rnn_range, batch, z, h0, wt, bool(relu), tiny, zero, out, grain=grain)
    return out


def rnn_scan(v: np.ndarray, d: np.ndarray, w: np.ndarray, reverse: bool) -> np.ndarray:
    """r_t = d_t * (v_t + r_before @ w), r_before = r_{t-1}, or r_{t+1} if reverse; 0 at the start.

    v (T, N, D), d (T, N, D), w (D, D), all of one dtype -> r (T, N, D).

    Backpropagation through time is this with reverse=True, v the gradient of the outputs and d the
    derivative of the activation: r is then the gradient of z. As a linear map of v its adjoint is
    the same scan with w transposed and time reversed, so derivatives of every order are scans:

        u = rnn_scan(g, d, w.T, not reverse)        g the gradient of r, u that of v
        gd_t = (g_t + u_after @ w.T) * (v_t + r_before @ w)
        gw = sum_t r_before.T @ u_t

    |r| below the smallest normal float becomes 0: gradients that vanish through time turn into
    subnormals, on which the CPU is about six times slower. NaN and inf pass.
    """
    v = ready(v)
    d = ready(d)
    w = ready(w)
    r = np.empty_like(v)
    steps, batch, width = v.shape
    tiny = np.finfo(v.dtype).smallest_normal
    zero = v.dtype.type(0)
    if steps == 0:
        return r
    grain = _grain(steps, batch, width)
    parallel(_scan_range, batch, v, d, w, bool(reverse), tiny, zero, r, grain=grain)
    return r


def rnn_reference(z: np.ndarray, h0: np.ndarray, w: np.ndarray, relu: bool) -> np.ndarray:
    """The plain twin of `rnn`."""
    out = np.empty_like(z)
    h = h0
    for t in range(len(z)):
        a = z[t] + h @ w.T  # (N, D) @ (D, D) -> (N, D)
        h = np.maximum(a, 0) if relu else np.tanh(a)
        out[t] = h
    return out


def rnn_scan_reference(v: np.ndarray, d: np.ndarray, w: np.ndarray, reverse: bool) -> np.ndarray:
    """The plain twin of `rnn_scan`."""
    r = np.empty_like(v)
    before = np.zeros_like(w, shape=v.shape[1:])
    for t in reversed(range(len(v))) if reverse else range(len(v)):
        before = d[t] * (v[t] + before @ w)  # (N, D) @ (D, D) -> (N, D)
        r[t] = before
    return r
