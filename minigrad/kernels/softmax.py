"""Softmax, its logarithm, logsumexp and cross-entropy over the rows of a matrix.

Every function sees x as (R, K): R independent rows of K numbers. All of them subtract the largest
number of a row before exp, so that no finite input overflows: with m = max_k x_k,

    log sum_k exp(x_k) = m + log sum_k exp(x_k - m)

Limit: exp, about 0.4 ns a number in float32 and 0.95 in float64 on one core (math.py); `softmax`
took 0.55 and 1.4 with the maximum, the sum and the last product, since each is a pass of its own
over a row that lies in the first-level cache. The gradient of softmax has no exp: 12 bytes a
float32 element, 0.25 ns in cache, then memory. Rows of fewer than about 32 numbers run at half
that speed or less: the vector loop is over before it begins, and each row pays one logarithm.
A layout with 8 or 16 rows side by side in a vector would cure that.

Not here: which axis is meant, reductions over the rows, checks of labels (the public ops do that).
"""
import numpy as np

from minigrad.kernels.jit import jit, ready
from minigrad.kernels.math import exp, from_order_key, order_key
from minigrad.kernels.threads import parallel

_SUM = {"contract", "reassoc", "nsz"}  # "reassoc": a sum may use the lanes of a vector
_BLOCK = 512  # numbers summed in the array's own precision before float64 takes over
_MIN_ITEMS = 40_000  # elements worth a thread: about 30 us


@jit
def _row_max(x):
    """max_k x_k, or -inf if there is none. It may overlook NaN: exp(x - m) will not."""
    top = order_key(x.dtype.type(-np.inf))
    for k in range(x.shape[0]):
        top = max(top, order_key(x[k]))
    return from_order_key(top)


@jit(fastmath=_SUM)
def _block_sum(x):
    s = x.dtype.type(0)
    for k in range(x.shape[0]):
        s += x[k]
    return s


@jit(fastmath=_SUM)
def _block_dot(x, y):
    s = x.dtype.type(0)
    for k in range(x.shape[0]):
        s += x[k] * y[k]
    return s


@jit
def _row_sum(x):
    """sum_k x_k in float64: a float32 row of 50,000 numbers loses nothing to its length."""
    total = np.float64(0)
    for k in range(0, x.shape[0], _BLOCK):
        total += _block_sum(x[k : k + _BLOCK])
    return total


@jit
def _row_dot(x, y):
    total = np.float64(0)
    for k in range(0, x.shape[0], _BLOCK):
        total += _block_dot(x[k : k + _BLOCK], y[k : k + _BLOCK])
    return total


@jit
def _exp_shifted(x, shift, y):
    for k in range(x.shape[0]):
        y[k] = exp(x[k] - shift)


@jit(fastmath=_SUM)
def _block_sum_exp(x, shift):
    s = x.dtype.type(0)
    for k in range(x.shape[0]):
        s += exp(x[k] - shift)
    return s


@jit
def _row_log_sum_exp(x, shift):
    """log sum_k exp(x_k - shift), in float64."""
    total = np.float64(0)
    for k in range(0, x.shape[0], _BLOCK):
        total += _block_sum_exp(x[k : k + _BLOCK], shift)
    return np.log(total)


@jit
def _softmax_range(start, stop, x, y):
    for i in range(start, stop):
        row = y[i]
        _exp_shifted(x[i], _row_max(x[i]), row)
        scale = x.dtype.type(np.divide(1.0, _row_sum(row)))
        for k in range(row.shape[0]):
            row[k] *= scale


@jit
def _log_softmax_range(start, stop, x, y):
    for i in range(start, stop):
        row = x[i]
        to = y[i]
        m = _row_max(row)
        # Two subtractions: m + log(sum) would lose the small term beside a logit of 10,000.
        log_sum = x.dtype.type(_row_log_sum_exp(row, m))
        for k in range(row.shape[0]):
            to[k] = (row[k] - m) - log_sum


@jit
def _logsumexp_range(start, stop, x, y):
    for i in range(start, stop):
        m = _row_max(x[i])
        # An infinite maximum is not subtracted (inf - inf): the sum is then 0 or inf by itself.
        shift = m if abs(m) < np.inf else x.dtype.type(0)
        y[i] = shift + _row_log_sum_exp(x[i], shift)


@jit
def _softmax_grad_range(start, stop, g, y, gx):
    for i in range(start, stop):
        grow = g[i]
        yrow = y[i]
        to = gx[i]
        mean = g.dtype.type(_row_dot(grow, yrow))
        for k in range(to.shape[0]):
            to[k] = yrow[k] * (grow[k] - mean)


@jit
def _log_softmax_grad_range(start, stop, g, y, gx):
    for i in range(start, stop):
        grow = g[i]
        yrow = y[i]
        to = gx[i]
        total = g.dtype.type(_row_sum(grow))
        for k in range(to.shape[0]):
            to[k] = grow[k] - exp(yrow[k]) * total


@jit(fastmath=_SUM)
def _block_weighted_gap(x, weight, m):
    s = x.dtype.type(0)
    for k in range(x.shape[0]):
        s += weight[k] * (m - x[k])
    return s


@jit
def _row_weighted_gap(x, weight, m):
    """sum_k w_k (m - x_k), in float64."""
    total = np.float64(0)
    for k in range(0, x.shape[0], _BLOCK):
        part = slice(k, k + _BLOCK)
        total += _block_weighted_gap(x[part], weight[part], m)
    return total


@jit
def _cross_entropy_range(
    start, stop, x, target, weight, weight_sum, ignore_index, smoothing, loss, log_z
):
    classes = x.shape[1]
    for i in range(start, stop):
        row = x[i]
        t = target[i]
        m = _row_max(row)
        log_sum = _row_log_sum_exp(row, m)
        log_z[i] = m + log_sum
        if t == ignore_index:
            loss[i] = 0
            continue
        value = (1.0 - smoothing) * weight[t] * ((np.float64(m) - row[t]) + log_sum)
        if smoothing != 0.0:  # else 0 * inf where a class that is not the target has -inf
            gap = _row_weighted_gap(row, weight, m) + weight_sum * log_sum
            value += np.divide(smoothing, classes) * gap
        loss[i] = value


@jit
def _cross_entropy_grad_range(
    start, stop, g, x, log_z, target, weight, weight_sum, ignore_index, smoothing, gx
):
    classes = x.shape[1]
    for i in range(start, stop):
        row = x[i]
        to = gx[i]
        t = target[i]
        if t == ignore_index:
            to[:] = 0
            continue
        # d loss / d x_j = a w_t (p_j - [j = t]) + b (W p_j - w_j), a = 1 - ls, b = ls / K
        high = x.dtype.type(log_z[i])
        low = x.dtype.type(log_z[i] - high)
        hit = g[i] * (1.0 - smoothing) * weight[t]
        spread = g[i] * np.divide(smoothing, classes)
        scale = x.dtype.type(hit + spread * weight_sum)
        for k in range(classes):
            to[k] = scale * exp((row[k] - high) - low)
        to[t] -= x.dtype.type(hit)
        if smoothing != 0.0:
            back = x.dtype.type(spread)
            for k in range(classes):
                to[k] -= back * weight[k]


def _grain(columns: int) -> int:
    return -(-_MIN_ITEMS // max(1, columns))


def softmax(x: np.ndarray) -> np.ndarray:
    """y_k = exp(x_k) / sum_j exp(x_j) in each row: x (R, K) -> (R, K).

    A row with NaN or +inf, or with nothing but -inf, becomes NaN, as in torch.
    """
    x = ready(x)
    y = np.empty_like(x)
    parallel(_softmax_range, len(x), x, y, grain=_grain(x.shape[1]))
    return y


def log_softmax(x: np.ndarray) -> np.ndarray:
    """y_k = x_k - log sum_j exp(x_j) in each row: x (R, K) -> (R, K). NaN as in `softmax`."""
    x = ready(x)
    y = np.empty_like(x)
    parallel(_log_softmax_range, len(x), x, y, grain=_grain(x.shape[1]))
    return y


def logsumexp(x: np.ndarray) -> np.ndarray:
    """log sum_k exp(x_k) of each row: x (R, K) -> (R,). -inf for a row of -inf, or an empty one."""
    x = ready(x)
    y = np.empty(len(x), x.dtype)
    parallel(_logsumexp_range, len(x), x, y, grain=_grain(x.shape[1]))
    return y


def softmax_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gx_k = y_k (g_k - sum_j g_j y_j), with y = softmax(x): g (R, K), y (R, K) -> (R, K)."""
    g = ready(g)
    y = ready(y)
    gx = np.empty_like(y)
    parallel(_softmax_grad_range, len(y), g, y, gx, grain=_grain(y.shape[1]))
    return gx


def log_softmax_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gx_k = g_k - exp(y_k) sum_j g_j, with y = log_softmax(x): g (R, K), y (R, K) -> (R, K)."""
    g = ready(g)
    y = ready(y)
    gx = np.empty_like(y)
    parallel(_log_softmax_grad_range, len(y), g, y, gx, grain=_grain(y.shape[1]))
    return gx


def cross_entropy(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each row against its class t, and log Z = log sum_k exp(x_k) for the gradient.

    loss = (1 - ls) w_t (log Z - x_t) + ls/K sum_k w_k (log Z - x_k), or 0 where t == ignore_index.

    x (R, K), target (R,) int64, weight (K,) or None for ones -> loss (R,) in x's dtype, log Z (R,)
    always in float64: beside logits of 10,000 a float32 log Z would be wrong by 0.0005, and every
    probability with it. The caller divides by the sum of w_t if it wants torch's mean.
    """
    x = ready(x)
    target = ready(target)
    weight = np.ones(x.shape[1], x.dtype) if weight is None else ready(weight)
    loss = np.empty(len(x), x.dtype)
    log_z = np.empty(len(x))
    weight_sum = float(weight.sum(dtype=np.float64))
    options = (weight_sum, int(ignore_index), float(label_smoothing))
    grain = _grain(x.shape[1])
    parallel(
        _cross_entropy_range, len(x), x, target, weight, *options, loss, log_z, grain=grain
    )
    return loss, log_z


def cross_entropy_grad(
    g: np.ndarray,
    x: np.ndarray,
    log_z: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """gx_j = g ((1 - ls) w_t (p_j - [j = t]) + ls/K (W p_j - w_j)), p = exp(x - log Z), W = sum w.

    g (R,), x (R, K), log_z (R,), the rest as for `cross_entropy` -> (R, K); 0 in ignored rows.
    """
    x = ready(x)
    g = ready(g)
    log_z = ready(log_z.astype(np.float64, copy=False))
    target = ready(target)
    weight = np.ones(x.shape[1], x.dtype) if weight is None else ready(weight)
    gx = np.empty_like(x)
    weight_sum = float(weight.sum(dtype=np.float64))
    options = (weight_sum, int(ignore_index), float(label_smoothing))
    grain = _grain(x.shape[1])
    parallel(
        _cross_entropy_grad_range, len(x), g, x, log_z, target, weight, *options, gx, grain=grain
    )
    return gx


def softmax_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `softmax`."""
    e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=1, keepdims=True)


def log_softmax_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `log_softmax`."""
    shifted = x - x.max(axis=1, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def logsumexp_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `logsumexp`: log(e^a + e^b) folded over the row."""
    return np.logaddexp.reduce(x, axis=1, initial=-np.inf).astype(x.dtype, copy=False)


def softmax_grad_reference(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The plain twin of `softmax_grad`: the product with each row's Jacobian, written out."""
    gx = np.empty_like(y)
    for i in range(len(y)):
        jacobian = np.diag(y[i]) - np.outer(y[i], y[i])  # (K, K)
        gx[i] = jacobian @ g[i]
    return gx


def log_softmax_grad_reference(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The plain twin of `log_softmax_grad`: the product with each row's Jacobian, written out."""
    gx = np.empty_like(y)
    for i in range(len(y)):
        jacobian = np.eye(y.shape[1]) - np.exp(y[i])  # d y_a / d x_b = [a = b] - p_b
        gx[i] = g[i] @ jacobian
    return gx


def cross_entropy_reference(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The plain twin of `cross_entropy`: a smoothed one-hot target against log_softmax."""
    rows, classes = x.shape
    log_p = log_softmax_reference(x)
    loss = np.zeros(rows, x.dtype)
    for i in range(rows):
        if target[i] == ignore_index:
            continue
        q = np.full(classes, label_smoothing / classes)
        q[target[i]] += 1 - label_smoothing
        counted = q > 0
        loss[i] = -(q * weight * log_p[i])[counted].sum()
    return loss, logsumexp_reference(x.astype(np.float64))


def cross_entropy_grad_reference(
    g: np.ndarray,
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """The plain twin of `cross_entropy_grad`: back through log_softmax by its own gradient."""
    rows, classes = x.shape
    g_log_p = np.zeros((rows, classes))
    for i in range(rows):
        if target[i] == ignore_index:
            continue
        q = np.full(classes, label_smoothing / classes)
        q[target[i]] += 1 - label_smoothing
        g_log_p[i] = -g[i] * q * weight
    gx = log_softmax_grad_reference(g_log_p, log_softmax_reference(x.astype(np.float64)))
    gx[target == ignore_index] = 0  # even where the logits are NaN
    return gx.astype(x.dtype)
