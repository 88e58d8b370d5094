"""Losses of predictions among C classes: cross-entropy from logits, and negative log-likelihood.

Logits are (N, C), (C,) or (N, C, d1, ...): the classes are dimension 1, as in torch. Every label is
checked: one that does not exist is an error, whatever it would have read.
Not here: the loops over classes (`kernels/rowwise/`), softmax (`activation.py`), two classes with
one logit (binary cross-entropy, `loss.py`).
"""
from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor
from ..kernels.rowwise import softmax as rows
from ..autograd.op import composite, op
from ..autograd.options import Case, Option, choice, integer, number
from ..autograd.signature import Signature
from .activation import log_softmax, softmax, softmax_grad
from .dims import as_shape
from .elementwise import where
from .reduce import mean, sum

REDUCTION = choice("mean", "sum", "none")


def raw(x):
    """The array of a Tensor, or the array itself."""
    return x.array if isinstance(x, Tensor) else np.asarray(x)


def reduced(loss, reduction):
    """The losses of the elements, their sum or their mean."""
    return loss if reduction == "none" else sum(loss) if reduction == "sum" else mean(loss)


def scaled(g, factor):
    """g * factor.

    One number stays an array of no dimensions: to multiply with it takes half the time of a Python
    float, and NumPy's own product would have to be made an array again.
    """
    if g.__class__ is ndarray and g.ndim == 0:
        return np.array(g.item() * factor, g.dtype)
    return g if factor == 1.0 else g * factor


# --- classes: which dimension, which label -------------------------------------------------------

LOGITS = "input (N, C>0, *d) | (C>0,)"             # the classes are dimension 1
LABELS = f"{LOGITS}; target (N, *d) | ()"


def _class_dim(x) -> int:
    return 1 if x.ndim > 1 else 0


def _label_shape(shape):
    """(N, C, d1, ...) -> (N, d1, ...); (C,) -> ()."""
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


def _no_classes(case: Case) -> str:
    """What (4, 0) lacks."""
    x = case.shapes["input"] or ()
    return f"it has no classes, dimension {min(len(x) - 1, 1)} is 0"


def _labels(case: Case) -> str:
    """The likely fix for a target that does not hold one class number for each prediction."""
    if case.dtypes["target"].kind not in "iu":
        swapped = _look_swapped(case)
        return f"{swapped}{case.op}(scores, class_numbers)" if swapped else \
            "want class numbers: convert it with target.long()"
    x, t = case.shapes["input"] or (), case.shapes["target"] or ()
    want = _label_shape(x)
    if t == x:
        return ("it has the shape of the input, so it seems to be one-hot: target.argmax("
                f"{min(len(x) - 1, 1)}) gives class numbers")
    if prod(t) == prod(want):
        return f"it has the right number of elements: target.reshape({want})"
    if len(x) > 2 and t == x[:-1]:
        return ("the classes must be dimension 1, here they seem to be the last: "
                f"input.reshape(-1, {x[-1]}) with target.reshape(-1)")
    return f"{prod(want)} labels are wanted, {prod(t)} were given"


def _logits(case: Case) -> str:
    """The likely fix for logits that are integers."""
    if case.shapes["input"] == ():
        return "C classes are wanted"
    swapped = _look_swapped(case)
    return f"{swapped}{case.op}(scores, class_numbers)" if swapped else \
        "logits are float32 or float64: convert it with x.float()"


def _of_labels(shapes: str, dtypes: str, options: dict[str, Option] | None = None) -> Signature:
    """The declaration of what takes scores and class numbers."""
    return Signature(shapes, dtypes, options, advice={
        "input": _logits, "target": _labels, "N": _labels, "d": _labels, "C>0": _no_classes})


def _refuse_unknown_labels(name, shape, target, ignore_index):
    """Raises ValueError for a label that is neither from 0 to C - 1 nor ignore_index."""
    classes = shape[min(len(shape) - 1, 1)]
    # The places of the extremes cost 0.4 us, target.min() and max() 3.
    if not target.size or (target.item(target.argmin()) >= 0
                           and target.item(target.argmax()) < classes):
        return
    bad = ((target < 0) | (target >= classes)) & (target != ignore_index)
    if bad.any():
        at, place = first_place("target", bad)
        counted = target[target != ignore_index]
        hint = "they seem to count from 1: target - 1" \
            if counted.min() == 1 and counted.max() == classes else \
            f"to leave elements out, give them the label ignore_index={ignore_index}"
        raise ValueError(f"{name}: label {target[at]} at {place} does not exist: input {shape} has "
                         f"{classes} classes, so labels are 0 to {classes - 1}; {hint}")


def _whole(target):
    """The labels as int64."""
    return target.astype(np.int64, copy=False)


def first_place(name: str, mask: ndarray) -> tuple[tuple, str]:
    """Where a mask is true first: the index, and the element in words, target[1, 2]."""
    at = np.unravel_index(int(mask.argmax()), mask.shape)
    return at, f"{name}[{', '.join(map(str, at))}]" if at else name


def _look_swapped(case: Case) -> str:
    """What to say of class numbers or labels, which are integers, where the prediction belongs, and
    a prediction where they belong; else nothing."""
    x, t = case.dtypes.get("input"), case.dtypes["target"]
    return "input and target look swapped: write " \
        if x is not None and x.kind in "iub" and t.kind == "f" else ""


def _refuse_swapped_probabilities(name, x, target, d):
    """Scores as target, some below 0, and one-hot rows or probabilities as input."""
    if target.size and target.item(target.argmin()) < 0 and x.min() >= 0 \
            and np.allclose(x.sum(d), 1.0, atol=1e-4):
        at, place = first_place("target", target == target.min())
        raise ValueError(f"{name}: input and target look swapped: input holds probabilities, "
                         f"target {target[at]:.6g} at {place}; write {name}(scores, probabilities)")


def _class_weights(name, input, weight):
    """The weights of the classes as an array of the input's dtype, or None."""
    if weight is None:
        return None
    if isinstance(weight, Tensor) and weight.requires_grad:
        raise ValueError(f"{name}: weight requires grad, but no gradient of class weights is "
                         "computed; pass weight.detach()")
    return raw(weight).astype(input.dtype, copy=False)


def _per_class(weight, ndim):
    """(C,) -> (C, 1, ...), which broadcasts along the dimension of the classes."""
    return weight.reshape((-1, *[1] * (ndim - 2)))


# --- cross-entropy -------------------------------------------------------------------------------

def _ce_samples(r):
    w = r.between(0.3, 2, 4)
    ignored = np.array([1, -100, 3])
    return [
        (r(3, 4), r.integers(4, 3)), (r(4), np.array(2)), (r(2, 3, 2), r.integers(3, 2, 2)),
        (r(3, 4), r.integers(4, 3), {"reduction": "sum", "label_smoothing": 0.2}),
        (r(3, 4), ignored, {"reduction": "none", "weight": w}),
        (r(3, 4), ignored, {"weight": w, "label_smoothing": 0.3}),
        (r(3, 4), np.array([1, 0, 1]), {"ignore_index": 1, "reduction": "mean"}),
        (r(2, 4, 2), r.integers(4, 2, 2), {"weight": w, "reduction": "none",
                                           "label_smoothing": 0.1}),
        (np.array([[1e4, -1e4, 0.0, 5.0], [1e4, 1e4 - 1, -1e4, 0.5]]), np.array([2, 1])),
    ]


def _ce_ref(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Label by label: -sum_k q_k w_k log p_k, q the smoothed one-hot target."""
    d = 1 if x.ndim > 1 else 0
    classes = x.shape[d]
    w = np.ones(classes) if weight is None else weight
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for at in np.ndindex(*target.shape):
        if target[at] != ignore_index:
            row = x[(*at[:d], slice(None), *at[d:])]
            log_p = row - row.max() - np.log(np.exp(row - row.max()).sum())
            q = np.full(classes, label_smoothing / classes)
            q[target[at]] += 1 - label_smoothing
            losses[at], weights[at] = -(q * w * log_p).sum(), w[target[at]]
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else \
        losses.sum() / weights.sum() if weights.sum() else np.nan


def _ce_door(input, target, weight, ignore_index, reduction, label_smoothing):
    name = "cross_entropy"
    _refuse_unknown_labels(name, input.shape, target, ignore_index)
    return (input, _whole(target), _class_weights(name, input, weight), ignore_index, reduction,
            label_smoothing)


def _for_kernels(x):
    """The kernels for x and x as they see it: rows (R, C); (N, C, L) where classes lie L apart."""
    classes = x.shape[_class_dim(x)]
    if x.ndim > 2 and prod(x.shape[2:]) > 1:
        return rows, x.reshape((len(x), classes, prod(x.shape[2:])))
    return rows, x.reshape((x.size // classes, classes))


SMOOTHING = number(0, 1)
_CE_OPTIONS: dict[str, Option] = {"ignore_index": integer(), "reduction": REDUCTION,
                                  "label_smoothing": SMOOTHING}
_BY_LABELS = _of_labels(f"{LABELS}; weight (C,)? -> () | (N, *d)",
                        "input floating; target integer", _CE_OPTIONS).of("cross_entropy")


@op(samples=_ce_samples, ref=_ce_ref, takes=_BY_LABELS, door=_ce_door, apart=("target",))
def cross_entropy_labels(input: Tensor, target: Tensor, weight: np.ndarray | None = None,
                         ignore_index: int = -100, reduction: str = "mean",
                         label_smoothing: float = 0.0) -> Tensor:
    """cross_entropy for a target of class numbers: softmax, logarithm and choice in one pass.

    input (N, C, d1, ...) or (C,), target (N, d1, ...) or (), weight (C,) -> () or (N, d1, ...), the
    latter for reduction "none". The rest as for cross_entropy.
    """
    t = target.reshape(-1)
    kernel, x = _for_kernels(input)
    loss, log_z = kernel.cross_entropy(x, t, weight, ignore_index, label_smoothing)
    if reduction == "none":
        return loss.reshape(target.shape), (log_z, 1.0)
    if reduction == "sum":
        return loss.sum(), (log_z, 1.0)
    counted = t != ignore_index
    total = float(np.count_nonzero(counted)) if weight is None else float(weight[t[counted]].sum())
    # With no label left the mean is 0 / 0, as in torch; the gradient is 0.
    loss = np.add.reduce(loss) / total if total else np.nan
    return loss, (log_z, 1.0 / total if total else 0.0)
# aux = (log Z of each row, the share of a row in the mean). log Z is a function of the input, but
# only a shortcut here: the rules of the gradient are those of a function of the input itself.
cross_entropy_labels.vjp(
    input=lambda g, input, target, weight, ignore_index, label_smoothing, aux: cross_entropy_grad(
        scaled(g, aux[1]), input, target, weight, ignore_index, label_smoothing, aux[0]))


def _ce_grad_ref(g, x, target, weight=None, ignore_index=-100, label_smoothing=0.0, log_z=None):
    d = 1 if x.ndim > 1 else 0
    classes = x.shape[d]
    w = np.ones(classes) if weight is None else weight
    gx, g = np.zeros_like(x), np.broadcast_to(g, target.shape)
    for at in np.ndindex(*target.shape):
        if target[at] != ignore_index:
            row = (*at[:d], slice(None), *at[d:])
            p = np.exp(x[row] - x[row].max())
            q = np.full(classes, label_smoothing / classes)
            q[target[at]] += 1 - label_smoothing
            gx[row] = g[at] * ((q * w).sum() * p / p.sum() - q * w)
    return gx


_OF_GRAD = _of_labels(f"{LABELS}; weight (C,)?", "input floating; target integer"
                      ).of("cross_entropy_grad")


def _ce_grad_door(g, input, target, weight, ignore_index, label_smoothing, log_z):
    name = "cross_entropy_grad"
    if log_z is None:                                      # else our own rule calls: all checked
        _OF_GRAD.check(input, target, weight)
        if np.ndim(g) and g.shape != target.shape:
            raise ValueError(f"{name}: g must be one number or have the shape of the target, "
                             f"{target.shape}, got {g.shape}")
        _refuse_unknown_labels(name, input.shape, target, ignore_index)
        target, weight = _whole(target), _class_weights(name, input, weight)
    return g, input, target, weight, ignore_index, label_smoothing, log_z


@op(samples=lambda r: [
        (r(3), r(3, 4), r.integers(4, 3)), (np.array(0.7), r(3, 4), r.integers(4, 3)),
        (np.array(0.7), r(4), np.array(1)), (r(2, 2), r(2, 3, 2), r.integers(3, 2, 2)),
        (r(3), r(3, 4), np.array([2, -100, 0]),
         {"weight": r.between(0.3, 2, 4), "label_smoothing": 0.2}),
        (np.array(-1.3), r(3, 4), np.array([2, 1, 0]), {"ignore_index": 1})], ref=_ce_grad_ref,
    door=_ce_grad_door, apart=("target",))
def cross_entropy_grad(g: Tensor, input: Tensor, target: Tensor, weight: np.ndarray | None = None,
                       ignore_index: int = -100, label_smoothing: float = 0.0,
                       log_z: np.ndarray | None = None) -> Tensor:
    """The gradient of the logits, g ((sum_k q_k w_k) p_j - q_j w_j), p = softmax(input).

    q is the one-hot target, smoothed; 0 where target is ignore_index. g: the gradient of each loss,
    in the shape of the target, or one number for all. log_z: log sum_k e^x_k of each row in float64
    if it is known already.
    """
    kernel, x = _for_kernels(input)
    t = target.reshape(-1)
    if log_z is None:
        _, log_z = kernel.cross_entropy(x.astype(np.float64, copy=False), t,
                                        ignore_index=ignore_index)
    each = np.empty(t.shape, x.dtype)
    each[:] = g if g.ndim == 0 else g.reshape(-1)
    gx = kernel.cross_entropy_grad(each, x, log_z, t, weight, ignore_index, label_smoothing)
    return gx.reshape(input.shape)


@cross_entropy_grad.joint_vjp("g", "input")
def _cross_entropy_grad_rule(u, g, input, target, weight, ignore_index, label_smoothing, needs):
    """The result is g (a p - b): a and b are constants, and p has the derivative of softmax."""
    d = 1 if input.ndim > 1 else 0
    gg = gx = None
    if needs[0]:
        ones = np.ones(raw(target).shape, input.dtype)
        gg = sum(u * cross_entropy_grad(ones, input, target, weight, ignore_index,
                                        label_smoothing), d)
    if needs[1]:
        a = _class_totals(input.shape[d], raw(target), weight, ignore_index, label_smoothing)
        ga = g * a.astype(input.dtype)
        shape = (*ga.shape[:d], 1, *ga.shape[d:])         # (N, 1, d1, ...)
        gx = softmax_grad(u * ga.reshape(shape), softmax(input, d), d)
    return gg, gx


def _class_totals(classes, target, weight, ignore_index, label_smoothing):
    """sum_k q_k w_k for each label: (1 - ls) w_t + ls / C sum_k w_k; 0 for ignored ones."""
    w = np.ones(classes) if weight is None else weight
    counted = target != ignore_index
    own = w[np.where(counted, target, 0)]
    spread = label_smoothing / classes * w.sum()
    return np.where(counted, (1.0 - label_smoothing) * own + spread, 0.0)


def _ce_any_samples(r):
    w = r.between(0.3, 2, 4)
    soft = lambda *shape: np.moveaxis(r.probabilities(*shape), -1, 1)
    return [*_ce_samples(r)[:2], (r(3, 4), r.probabilities(3, 4)),
            (r(3, 4), r.probabilities(3, 4), {"weight": w, "reduction": "none"}),
            (r(4), r.probabilities(4), {"label_smoothing": 0.2}),
            (r(2, 4, 2), soft(2, 2, 4), {"weight": w, "label_smoothing": 0.2}),
            (r(2, 4, 2), soft(2, 2, 4), {"reduction": "sum"})]


def _ce_any_ref(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    if target.dtype.kind != "f":
        return _ce_ref(x, target, weight, ignore_index, reduction, label_smoothing)
    d = 1 if x.ndim > 1 else 0
    q = (1 - label_smoothing) * target + label_smoothing / x.shape[d]
    w = 1.0 if weight is None else weight.reshape((-1, *[1] * (x.ndim - 2)))
    log_p = x - np.logaddexp.reduce(x, d, keepdims=True)
    loss = -(q * w * log_p).sum(d)
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else \
        loss.sum() / loss.size if loss.size else np.nan


def _or_labels(case: Case) -> str:
    """What a target of floats means, and what to do if it holds class numbers."""
    x = case.shapes["input"] or ()
    return (f"a target of {case.dtypes['target']} means probabilities; if it holds class numbers "
            f"convert it, target.long(), of shape {_label_shape(x)}")


_BY_PROBABILITIES = Signature(
    f"{LOGITS}; target (N, C, *d) | (C,); weight (C,)? -> () | (N, *d)", "input floating; "
    "target floating", _CE_OPTIONS, name="cross_entropy", advice={
        "input": _logits, "target": _or_labels, "N": _or_labels, "C": _or_labels, "d": _or_labels,
        "C>0": _no_classes})


@composite(samples=_ce_any_samples, ref=_ce_any_ref, takes=_BY_PROBABILITIES, rounds=True,
           apart=("weight",))
def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None,
                  ignore_index: int = -100, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """-sum_k q_k w_k log p_k with p = softmax(input): how much the target surprises the prediction.

    input (N, C, d1, ...) or (C,), target (N, d1, ...) or (), weight (C,) -> () or (N, d1, ...) for
    class numbers, and for probabilities
    input (N, C, d1, ...) or (C,), target (N, C, d1, ...) or (C,), weight (C,) -> () or (N, d1, ...)

    input: logits (any numbers, no softmax before) of C classes, which are dimension 1.
    target: class numbers 0 .. C - 1, integers; q is then 1 for the class and 0 for the others. Or
        probabilities q: floats in the shape of the input.
    weight: one weight w_k for each class; it gets no gradient.
    ignore_index: labels with this value count for nothing.
    label_smoothing: q becomes (1 - ls) q + ls / C, from 0 to 1.
    reduction: "mean" (for class numbers divided by the sum of the labels' weights, for
        probabilities by the number of losses, as in torch), "sum", or "none": one loss a label.

    Raises: ValueError for a label that does not exist, shapes that do not fit, an unknown
    reduction; TypeError for a dtype that is neither labels nor probabilities.
    """
    t = raw(target)
    if t.dtype.kind != "f":
        if t.dtype.kind == "b":
            raise TypeError("cross_entropy: target is bool; for class numbers write target.long(), "
                            "for one logit and two classes binary_cross_entropy_with_logits")
        return cross_entropy_labels(input, target, weight, ignore_index, reduction, label_smoothing)
    _BY_PROBABILITIES.check(input, target, weight, ignore_index, reduction, label_smoothing)
    x = raw(input)
    d = _class_dim(x)
    _refuse_swapped_probabilities("cross_entropy", x, t, d)
    weight = _class_weights("cross_entropy", x, weight)
    q = target
    if label_smoothing:
        q = q * (1.0 - label_smoothing) + label_smoothing / x.shape[d]
    if weight is not None:
        q = q * _per_class(weight, x.ndim)
    return reduced(-sum(q * log_softmax(input, d), d), reduction)


# --- negative log-likelihood: a choice by labels -------------------------------------------------

def _choose_door(input, target):
    _refuse_unknown_labels("choose_class", input.shape, target, None)
    return input, _whole(target)


def _choose_ref(x, target):
    d = 1 if x.ndim > 1 else 0
    return np.take_along_axis(x, np.expand_dims(target, d), d).squeeze(d)


@op(samples=lambda r: [(r(3, 4), r.integers(4, 3)), (r(4), np.array(2)),
                       (r(2, 3, 2), r.integers(3, 2, 2))], ref=_choose_ref,
    takes=_of_labels(f"{LABELS} -> (N, *d) | ()", "target integer"), door=_choose_door,
    promote=False, moves=True, apart=("target",))
def choose_class(input: Tensor, target: Tensor) -> Tensor:
    """y[n, ...] = input[n, target[n, ...], ...], target holding class numbers.

    input (N, C, d1, ...) or (C,), target (N, d1, ...) or () -> (N, d1, ...) or ()
    """
    return _choose_ref(input, target)
choose_class.vjp(input=lambda g, target, input_shape: spread_class(g, target, input_shape))


def _spread_ref(g, target, shape):
    g = np.asarray(g)                                      # products of 0-d arrays are scalars
    d = 1 if len(shape) > 1 else 0
    out = np.zeros(shape, g.dtype)
    np.put_along_axis(out, np.expand_dims(target, d), np.expand_dims(g, d), d)
    return out


def _spread_door(g, target, shape):
    shape = as_shape("spread_class", shape)
    if not shape or g.shape != _label_shape(shape) or not shape[min(len(shape) - 1, 1)]:
        raise ValueError(f"spread_class: g {g.shape} is (N, d1, ...), so shape must be (N, C, d1, "
                         f"...) with at least one class, got {shape}")
    _refuse_unknown_labels("spread_class", shape, target, None)
    return g, _whole(target), shape


@op(samples=lambda r: [(r(3), r.integers(4, 3), (3, 4)), (np.array(0.4), np.array(2), (4,)),
                       (r(2, 2), r.integers(3, 2, 2), (2, 3, 2))], ref=_spread_ref,
    takes=Signature("g, target (N, *d) | ()", "target integer"), door=_spread_door,
    promote=False, moves=True, apart=("target",))
def spread_class(g: Tensor, target: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape`, but g[n, ...] at [n, target[n, ...], ...]: the gradient of choose_class.

    g and target (N, d1, ...) or (), shape (N, C, d1, ...) or (C,), which is that of the result.
    """
    return _spread_ref(g, target, shape)
spread_class.vjp(g=lambda u, target: choose_class(u, target))


def _nll_ref(x, target, weight=None, ignore_index=-100, reduction="mean"):
    d = 1 if x.ndim > 1 else 0
    w = np.ones(x.shape[d]) if weight is None else weight
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for at in np.ndindex(*target.shape):
        if target[at] != ignore_index:
            losses[at] = -w[target[at]] * x[(*at[:d], target[at], *at[d:])]
            weights[at] = w[target[at]]
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else \
        losses.sum() / weights.sum() if weights.sum() else np.nan


def _nll_samples(r):
    w = r.between(0.3, 2, 4)
    ignored = np.array([1, -100, 3])
    return [(r(3, 4), r.integers(4, 3)), (r(4), np.array(2)), (r(3, 4), ignored, {"weight": w}),
            (r(3, 4), ignored, {"weight": w, "reduction": "none"}),
            (r(2, 4, 2), r.integers(4, 2, 2), {"ignore_index": 1, "reduction": "sum"})]


NLL = _of_labels(f"{LABELS}; weight (C,)? -> () | (N, *d)", "input floating; target integer",
                 {"ignore_index": integer(), "reduction": REDUCTION})


@composite(samples=_nll_samples, ref=_nll_ref, takes=NLL, rounds=True,
           apart=("weight",))
def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
             ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """-w_t input[n, t] for the label t = target[n]: cross-entropy of logarithms of probabilities.

    input (N, C, d1, ...) or (C,), target (N, d1, ...) or (), weight (C,) -> () or (N, d1, ...)

    input: the result of log_softmax. The rest as for cross_entropy, with class numbers only.

    Raises: ValueError for a label that does not exist, shapes that do not fit, an unknown
    reduction; TypeError for a target that does not hold integers.
    """
    x = raw(input)
    NLL.check(input, target, weight, ignore_index, reduction)
    t = _whole(raw(target))
    _refuse_unknown_labels("nll_loss", x.shape, t, ignore_index)
    weight = _class_weights("nll_loss", x, weight)
    counted = t != ignore_index
    safe = np.where(counted, t, 0)
    w = counted.astype(x.dtype) if weight is None else np.where(counted, weight[safe], 0)
    # where, not a product with 0: an ignored row may hold -inf.
    loss = where(counted, -(choose_class(input, safe) * w), 0.0)
    if reduction != "mean":
        return reduced(loss, reduction)
    total = float(w.sum())
    return sum(loss) / (total or np.nan)
