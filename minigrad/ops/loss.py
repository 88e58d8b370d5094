"""How wrong a prediction is, as one number: squared and absolute errors, binary cross-entropy.

All take reduction="mean" (the default), "sum" or "none" (one loss for each element). Shapes are
never broadcast: (N, 1) against (N,) would silently compare each with each.
Not here: the losses of C classes; they are in `class_loss.py` and passed on from here.
"""
from __future__ import annotations

from math import inf, prod

import numpy as np
from numpy import ndarray

from ..advice import advise
from ..autograd.engine import Tensor
from ..kernels.rowwise import binary_cross_entropy as kernel
from ..autograd.op import composite, op
from ..autograd.options import Case, Option, choice, flag, number
from ..autograd.signature import Signature
from .activation import logsigmoid, sigmoid
from .class_loss import REDUCTION, first_place, raw, reduced, scaled
from .class_loss import cross_entropy as cross_entropy
from .class_loss import nll_loss as nll_loss
from .elementwise import abs as absolute
from .elementwise import exp, log, maximum, sign, where
from .reduce import sum


def _shape_fix(case: Case) -> str:
    """The reshape that lines up two shapes which differ, or what broadcasting would do."""
    a, b = case.shapes["input"] or (), case.shapes["target"] or ()
    if prod(a) == prod(b):
        return f"both have {prod(a)} elements, so target.reshape{a} lines them up"
    try:
        both = np.broadcast_shapes(a, b)
    except ValueError:
        return f"input has {prod(a)} elements, target {prod(b)}"
    longer = "target" if prod(b) < prod(a) else "input"
    return (f"broadcasting would compare {both} = {prod(both)} pairs; if that is meant, write "
            f"{longer}.expand{both}")


def _pair(more: str = "", **options: Option) -> Signature:
    """The declaration of a loss that compares two tensors of one shape, element by element."""
    return Signature(f"input, target (*d){more} -> () | (*d)",
                     options={"reduction": REDUCTION, **options}, advice={"target": _shape_fix})


def _reference(elements):
    """The reference of a loss from the loss of each element, written with NumPy."""
    def reference(input, target, reduction="mean", **options):
        loss = elements(input, target, **options)
        return loss if reduction == "none" else loss.sum() if reduction == "sum" else \
            loss.sum() / loss.size if loss.size else np.nan
    return reference


def _pairs(r):
    return [(r(3, 4), r(3, 4)), (r(3, 4), r(3, 4), "sum"), (r(5), r(5), "none"), (r(1), r(1))]


def _apart_pairs(r):
    a, b, c, d = r.apart(4, 3, 2)
    return [(a, b), (a, c, "sum"), (a, d, "none")]


def mean_of(total, n):
    return total / n if n else np.nan                      # as NumPy, but without its warning


def _share(g, input, reduction, factor=1.0):
    """g * factor, divided by the number of elements if the loss is their mean."""
    return scaled(g, factor / max(prod(input.shape), 1) if reduction == "mean" else factor)


FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


# --- errors of numbers ---------------------------------------------------------------------------

@op(samples=_pairs, ref=_reference(lambda x, t: (x - t) ** 2), takes=_pair())
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)^2, and the mean or the sum of all of them.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none".

    Raises: ValueError for different shapes (they are not broadcast) or an unknown reduction.
    """
    d = input - target
    if reduction == "none":
        return d * d
    d = d.reshape(-1)
    # A dot product is the fastest sum of few squares; np.sum adds pairwise, which many need.
    total = np.dot(d, d) if 0 < d.size < 4096 else (d * d).sum()
    return total if reduction == "sum" else mean_of(total, input.size)


@mse_loss.joint_vjp("input", "target")
def _mse_rule(g, input, target, reduction, needs):
    gx = (input - target) * _share(g, input, reduction, 2.0)
    return gx, -gx if needs[1] else None


@op(samples=_apart_pairs, ref=_reference(lambda x, t: np.abs(x - t)), takes=_pair())
def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target|, and the mean or the sum of all of them. The gradient at 0 is 0.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none".

    Raises: ValueError for different shapes (they are not broadcast) or an unknown reduction.
    """
    d = np.abs(input - target)
    if reduction == "none":
        return d
    return d.sum() if reduction == "sum" else mean_of(d.sum(), d.size)


@l1_loss.joint_vjp("input", "target")
def _l1_rule(g, input, target, reduction, needs):
    gx = sign(input - target) * _share(g, input, reduction)
    return gx, -gx if needs[1] else None


def _huber(d, delta):
    a = np.abs(d)
    return np.where(a <= delta, 0.5 * d * d, delta * (a - 0.5 * delta))


HUBER = _pair(delta=number(above=0))


@composite(samples=lambda r: [*_pairs(r), (r(3, 4), r(3, 4), "mean", 0.5)],
           ref=lambda x, t, reduction="mean", delta=1.0:
               _reference(lambda x, t: _huber(x - t, delta))(x, t, reduction),
           takes=HUBER, rounds=True)
def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean",
               delta: float = 1.0) -> Tensor:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = input - target; then reduced.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none".

    Raises: ValueError for different shapes, an unknown reduction or delta <= 0; TypeError for a
        delta that is no number.
    """
    HUBER.check(input, target, reduction, delta)
    d = input - target
    if delta == inf:                                       # no residual is beyond
        return reduced(d * d * 0.5, reduction)
    a = absolute(d)
    inside = a <= delta
    near = where(inside, d, 0.0)                           # else the slope of inf * inf beside it
    return reduced(where(inside, near * near * 0.5, (a - 0.5 * delta) * delta), reduction)


SMOOTH_L1 = _pair(beta=number(0))


@composite(samples=lambda r: [*_pairs(r), (r(3, 4), r(3, 4), "mean", 0.5)],
           ref=lambda x, t, reduction="mean", beta=1.0:
               _reference(lambda x, t: _huber(x - t, beta) / beta)(x, t, reduction),
           takes=SMOOTH_L1, rounds=True)
def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean",
                   beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, d = input - target; then reduced.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none". beta=0 is
    l1_loss.

    Raises: ValueError for different shapes, an unknown reduction or a negative beta; TypeError for
        a beta that is no number.
    """
    SMOOTH_L1.check(input, target, reduction, beta)
    if beta == 0:
        return l1_loss(input, target, reduction)
    d = input - target
    a = absolute(d)
    inside = a < beta
    near = where(inside, d, 0.0)                           # else the slope of inf * inf beside it
    return reduced(where(inside, near * near * (0.5 / beta), a - 0.5 * beta), reduction)


# --- two classes: binary cross-entropy -----------------------------------------------------------

def _check_range(name, what, x, fix, swapped=None):
    """swapped: says whether the arguments look swapped, asked only before an error."""
    # The places of the extremes cost 0.2 us each, x.min() 0.7. A NaN, which is let through, counts
    # as an extreme and may hide another number: then all are compared.
    if not x.size or (x.item(x.argmin()) >= 0 and x.item(x.argmax()) <= 1):
        return
    bad = (x < 0) | (x > 1)
    if bad.any():
        at, place = first_place(what, bad)
        if swapped is not None and _are_labels(swapped) and not _are_labels(np.abs(x)):
            fix = f"input and target look swapped: input holds only 0 and 1. Write {_CALL[name]}"
        raise ValueError(f"{name}: {what} must be between 0 and 1, got {x[at]:.6g} at {place}; "
                         f"{fix}")


_CALL = {"binary_cross_entropy": "binary_cross_entropy(probabilities, labels)",
         "binary_cross_entropy_with_logits": "binary_cross_entropy_with_logits(logits, labels)",
         "kl_div": "kl_div(log_probabilities, probabilities)"}


def _are_labels(x):
    """Whether all are exactly 0 or 1."""
    return bool(x.size and ((x == 0) | (x == 1)).all())


def _advise_if_swapped(name, input):
    """Where only the target needs a gradient: are the labels in the place of the prediction?"""
    if _are_labels(input):
        advise(f"{name}: input and target look swapped: only the target needs a gradient, and "
               f"input holds only 0 and 1. Write {_CALL[name]}")


def _refuse_labels(name, input, target):
    """Raises TypeError for labels, which are integers, where the prediction belongs, and floats
    where they belong."""
    if input.dtype.kind in "iub" and target.dtype.kind == "f":
        raise TypeError(f"{name}: input and target look swapped: input holds {input.dtype}, target "
                        f"{target.dtype}; write {_CALL[name]}; or convert input with x.float()")


_TINY = float(np.float32(1e-12))                           # least x (1 - x), torch's very number
_TARGET_FIX = "for labels -1 and 1 use (target + 1) / 2"
_NO_LOGITS = "for logits use binary_cross_entropy_with_logits, or apply sigmoid first"


@op(samples=lambda r: [(r.between(0.1, 0.9, 3, 4), r.between(0.1, 0.9, 3, 4))],
    ref=lambda x, y: -(y * np.log(x) + (1 - y) * np.log(1 - x)))
def binary_cross_entropy_terms(input: Tensor, target: Tensor) -> Tensor:
    """-(y log x + (1 - y) log(1 - x)), elementwise; the logarithms are not let below -100."""
    with np.errstate(divide="ignore"):
        log_x, log_rest = np.log(input), np.log1p(-input)
    return -(target * np.maximum(log_x, -100.0) + (1.0 - target) * np.maximum(log_rest, -100.0))
binary_cross_entropy_terms.vjp(
    input=lambda g, input, target: g * ((input - target) / maximum(input * (1.0 - input), _TINY)),
    target=lambda g, input: g * (_safe_log(1.0 - input) - _safe_log(input)))


def _safe_log(x):
    """max(log x, -100), without the infinite slope at 0."""
    inside = x > 3.7835e-44                                # e^-100
    return where(inside, log(where(inside, x, 1.0)), -100.0)


def _bce_samples(r):
    p = lambda *shape: r.between(0.1, 0.9, *shape)
    return [(p(3, 4), p(3, 4)), (p(3, 4), p(3, 4), {"reduction": "sum"}),
            (p(5), p(5), p(5), "none"), (p(3, 4), p(3, 4), p(4))]


def _bce_ref(x, y, weight=None, reduction="mean"):
    loss = -(y * np.log(x) + (1 - y) * np.log(1 - x)) * (1.0 if weight is None else weight)
    return _reference(lambda x, y: loss)(x, y, reduction)


BCE = _pair("; weight (~*d)?")


@composite(samples=_bce_samples, ref=_bce_ref, takes=BCE, rounds=True)
def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None,
                         reduction: str = "mean") -> Tensor:
    """-w (y log x + (1 - y) log(1 - x)) for probabilities x = input of the class y = target.

    input and target (d1, ...), weight (d1, ...) -> () or (d1, ...), the latter for reduction
    "none". Input and target are from 0 to 1, weight broadcasts to them. The logarithms are cut off
    at -100, so that a certain wrong answer costs 100 and not infinity (as in torch).

    Raises: ValueError for numbers outside of 0 .. 1, different shapes or an unknown reduction.
    """
    name = "binary_cross_entropy"
    BCE.check(input, target, weight, reduction)
    _refuse_labels(name, raw(input), raw(target))
    _check_range(name, "input", raw(input), _NO_LOGITS)
    _check_range(name, "target", raw(target), _TARGET_FIX, raw(input))
    if getattr(target, "_requires_grad", False) and not getattr(input, "_requires_grad", False):
        _advise_if_swapped(name, raw(input))
    loss = binary_cross_entropy_terms(input, target)
    return reduced(loss if weight is None else loss * weight, reduction)


def _logits_ref(x, y, pos_weight=None):
    w = 1.0 if pos_weight is None else pos_weight
    return y * w * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)


def _by_loop(input, target):
    """Whether one pass can take these arrays, see kernels/rowwise/binary_cross_entropy.py."""
    return input.__class__ is target.__class__ is ndarray and input.dtype == target.dtype \
        and input.dtype in FLOATS


def _logits_samples(r):
    p = lambda *shape: r.between(0.1, 0.9, *shape)
    return [(r(3, 4), p(3, 4)), (r(3, 4), p(3, 4), {"reduction": "sum"}),
            (r(5), p(5), p(5), "none"), (r(3, 4), p(3, 4), p(4), "mean", p(4)),
            (np.array([1e4, -1e4, -1e4]), np.array([0.2, 0.3, 0.4]))]


def _logits_loss_ref(x, y, weight=None, reduction="mean", pos_weight=None):
    loss = _logits_ref(x, y, pos_weight) * (1.0 if weight is None else weight)
    return _reference(lambda x, y: loss)(x, y, reduction)


@op(samples=_logits_samples, ref=_logits_loss_ref,
    takes=_pair("; weight, pos_weight (~*d)?"))
def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     reduction: str = "mean",
                                     pos_weight: Tensor | None = None) -> Tensor:
    """-w (p y log s + (1 - y) log(1 - s)) with s = sigmoid(input): for logits of any size.

    input and target (d1, ...), weight and pos_weight (d1, ...) -> () or (d1, ...), the latter for
    reduction "none". target is from 0 to 1; weight w and pos_weight p broadcast to it; pos_weight
    > 1 makes missed positives dearer. More exact than sigmoid with binary_cross_entropy.
    An infinite logit costs 0 if it is right (in torch NaN), else infinity; its gradient is finite.

    Since log s = x + log(1 - s), this is w ((1 - y) x - (1 + (p - 1) y) log s): no logarithm of a
    number that was rounded to 0.

    Raises: ValueError for targets outside of 0 .. 1, different shapes or an unknown reduction.
    """
    name = "binary_cross_entropy_with_logits"
    if weight is None and pos_weight is None and reduction != "none" and _by_loop(input, target):
        total, inside = kernel.logits_loss(input, target)
        if not inside:
            _check_range(name, "target", target, _TARGET_FIX, input)
        return np.array(total if reduction == "sum" else mean_of(total, input.size), input.dtype)
    _refuse_labels(name, input, target)
    _check_range(name, "target", target, _TARGET_FIX, input)
    x, finite = input, None
    if x.size and not (x.item(x.argmin()) > -inf and x.item(x.argmax()) < inf):      # or NaN
        finite = np.isfinite(input)
        x = np.where(finite, input, 0.0).astype(input.dtype)
    log_s = logsigmoid(x)
    if pos_weight is None:
        loss = x - x * target - log_s
    else:
        loss = (1.0 - target) * x - (1.0 + (pos_weight - 1.0) * target) * log_s
    if finite is not None:                                 # inf costs nothing if it is right
        wrong = np.where(input > 0, 1.0 - target, target if pos_weight is None
                         else target * pos_weight)
        endless = np.where(wrong == 0, 0.0, np.inf * np.where(wrong == 0, 1.0, wrong))
        loss = np.where(finite, loss, np.where(input != input, input, endless)).astype(loss.dtype)
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    total = loss.sum()
    return total if reduction == "sum" else mean_of(total, loss.size)


_INPUT_ALONE = (True, False, False, False)


@binary_cross_entropy_with_logits.joint_vjp("input", "target", "weight", "pos_weight")
def _logits_rule(g, input, target, weight, pos_weight, reduction, needs):
    """With a = 1 + (p - 1) y: d/dx = (1 - y) - a (1 - s), d/dy = -x - (p - 1) log s, ..."""
    gx = gy = gw = gp = None
    if needs[0] and g.__class__ is ndarray and g.ndim == 0 and pos_weight is None \
            and weight is None and _by_loop(input, target):
        share = max(input.size, 1) if reduction == "mean" else 1
        gx = kernel.logits_loss_grad(input, target, g.item() / share)
        if needs == _INPUT_ALONE:                                # as in training
            return gx, None, None, None
    g = _share(g, input, reduction)
    of_each = g if weight is None else g * weight
    if gx is not None or not needs[0]:
        pass
    elif pos_weight is None:
        gx = (sigmoid(input) - target) * of_each
    else:
        gx = ((1.0 - target) - ((pos_weight - 1.0) * target + 1.0) * sigmoid(-input)) * of_each
    if needs[1]:
        if not needs[0]:
            _advise_if_swapped("binary_cross_entropy_with_logits", raw(input))
        slope = input if pos_weight is None else input + (pos_weight - 1.0) * logsigmoid(input)
        gy = -(slope * of_each)
    if needs[2]:
        gw = g * binary_cross_entropy_with_logits(input, target, None, "none", pos_weight)
    if needs[3]:
        gp = -(target * logsigmoid(input) * of_each)
    return gx, gy, gw, gp


# --- distributions -------------------------------------------------------------------------------

def _kl_ref(x, t, reduction="mean", log_target=False):
    loss = np.exp(t) * (t - x) if log_target else t * (np.log(t) - x)
    return loss.sum() / (len(loss) or np.nan) if reduction == "batchmean" else \
        _reference(lambda x, t: loss)(x, t, reduction)


def _refuse_negative(input, target):
    bad = target < 0
    if bad.any():
        at, place = first_place("target", bad)
        swapped = (input >= 0).all() and (input <= 1).all()
        raise ValueError(
            f"kl_div: target must hold probabilities, got {target[at]:.6g} at {place}; " + (
                f"input and target look swapped: write {_CALL['kl_div']}" if swapped else
                "if these are logarithms of probabilities, pass log_target=True"))


KL = _pair(reduction=choice("batchmean", "mean", "sum", "none"), log_target=flag())


@composite(samples=lambda r: [
        (np.log(r.probabilities(3, 4)), r.probabilities(3, 4)),
        (np.log(r.probabilities(3, 4)), r.probabilities(3, 4), "batchmean"),
        (np.log(r.probabilities(3, 4)), np.log(r.probabilities(3, 4)), "sum", True)], ref=_kl_ref,
    takes=KL, rounds=True)
def kl_div(input: Tensor, target: Tensor, reduction: str = "mean",
           log_target: bool = False) -> Tensor:
    """t (log t - input), elementwise, then reduced: input is log p, target t are probabilities.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none".

    reduction: as for the others, or "batchmean": the sum divided by the first dimension, which is
    the divergence of distributions. log_target: the target holds log t.

    Raises: ValueError for different shapes, a target below 0 (unless log_target) or an unknown
    reduction.
    """
    KL.check(input, target, reduction, log_target)
    if not log_target:
        _refuse_negative(raw(input), raw(target))
    if log_target:
        loss = exp(target) * (target - input)
    else:                                                  # 0 log 0 = 0
        loss = target * (log(where(target > 0, target, 1.0)) - input)
    if reduction == "batchmean":
        return sum(loss) / ((np.shape(input)[0] or np.nan) if np.ndim(input) else 1)
    return reduced(loss, reduction)
