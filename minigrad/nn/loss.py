"""Losses as objects: they hold options and apply the function of `ops/loss.py`.

Every loss takes reduction="mean" (default), "sum" or "none": one number, or one loss for each
element (for each label, in CrossEntropyLoss and NLLLoss). Options are given by name, as torch's
documentation does: torch's own positions still hold two arguments that it gave up years ago.
"""
from __future__ import annotations

from ..autograd.engine import Tensor
from ..autograd.options import Case
from ..ops import loss as ops
from ..ops.class_loss import REDUCTION, SMOOTHING
from .module import Module


class _Loss(Module):
    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = REDUCTION.check(Case(type(self).__name__), "reduction", reduction)


class MSELoss(_Loss):
    """(input - target)^2, reduced. Any shape, the same for both: nothing is broadcast in silence.

    Raises: ValueError for an unknown reduction, or shapes that differ, with the reshape that helps.
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The squared error."""
        return ops.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|input - target|, reduced. Any shape, the same for both.

    Raises: as MSELoss.
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The absolute error."""
        return ops.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta/2; reduced.

    Any shape, the same for both. Raises: as MSELoss; ValueError for a negative beta, when called.
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The absolute error with a round bottom."""
        return ops.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """d^2 / 2 where d = |input - target| < delta, else delta * (d - delta/2); reduced.

    Any shape, the same for both. Raises: as MSELoss; ValueError unless delta > 0, when called.
    """

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The squared error with straight sides."""
        return ops.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_Loss):
    """-log softmax(input)[target]: for logits (N, C), (C,) or (N, C, ...) and classes.

    target: integer class numbers (N,), () or (N, ...) in 0 ... C-1, or probabilities of input's
        shape.
    weight (C,): how much each class counts; "mean" divides by the sum of the labels' weights.
    ignore_index: labels with this value do not count.
    label_smoothing: this share of the target is spread over all classes.

    Raises: ValueError for a label that does not exist, shapes that do not fit or options out of
        range; TypeError for a dtype that is neither labels nor probabilities.
    """
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(reduction)
        SMOOTHING.check(Case("CrossEntropyLoss"), "label_smoothing", label_smoothing)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The cross-entropy of logits and classes."""
        return ops.cross_entropy(input, target, weight=self.weight, ignore_index=self.ignore_index,
                                 reduction=self.reduction, label_smoothing=self.label_smoothing)


class NLLLoss(_Loss):
    """-input[target]: for the logarithms of probabilities that LogSoftmax gives, and class numbers.

    input (N, C), (C,) or (N, C, ...); target (N,), () or (N, ...), integers.
    weight (C,): how much each class counts; "mean" divides by the sum of the labels' weights.
    ignore_index: labels with this value do not count.

    Raises: as CrossEntropyLoss.
    """
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The negative log-likelihood of classes."""
        return ops.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index,
                            reduction=self.reduction)


class BCELoss(_Loss):
    """-(t log p + (1 - t) log(1 - p)), p = input; logarithms end at -100, as in torch.

    Any shape, the same for both. weight: how much each element counts, broadcast. Prefer
    BCEWithLogitsLoss: it is exact.

    Raises: ValueError for shapes that differ, or numbers that are not from 0 to 1.
    """
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The cross-entropy of probabilities and targets from 0 to 1."""
        return ops.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """BCELoss()(sigmoid(input), target), exact at any logit.

    Any shape, the same for both. weight: how much each element counts. pos_weight: how much a
    positive target counts. Both broadcast.

    Raises: ValueError for shapes that differ, or targets that are not from 0 to 1.
    """
    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean",
                 pos_weight: Tensor | None = None) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The cross-entropy of logits and targets from 0 to 1."""
        return ops.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight)
