# Written by tests/typing/make_stubs.py from loss.py: run it again instead of editing this.
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor

from .class_loss import cross_entropy as cross_entropy
from .class_loss import nll_loss as nll_loss

def mean_of(total: Any, n: Any) -> Any: ...

FLOATS: Any

@overload
def mse_loss(input: Tensor, target: Tensor | ndarray, reduction: str = 'mean') -> Tensor:
    """(input - target)^2, and the mean or the sum of all of them.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none".

    Raises: ValueError for different shapes (they are not broadcast) or an unknown reduction.
    """
@overload
def mse_loss(input: ndarray, target: Tensor, reduction: str = 'mean') -> Tensor: ...
@overload
def mse_loss(input: ndarray, target: ndarray, reduction: str = 'mean') -> ndarray: ...

@overload
def l1_loss(input: Tensor, target: Tensor | ndarray, reduction: str = 'mean') -> Tensor:
    """|input - target|, and the mean or the sum of all of them. The gradient at 0 is 0.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none".

    Raises: ValueError for different shapes (they are not broadcast) or an unknown reduction.
    """
@overload
def l1_loss(input: ndarray, target: Tensor, reduction: str = 'mean') -> Tensor: ...
@overload
def l1_loss(input: ndarray, target: ndarray, reduction: str = 'mean') -> ndarray: ...

HUBER: Any

@overload
def huber_loss(input: Tensor, target: Tensor | ndarray, reduction: str = 'mean', delta: float = 1.0) -> Tensor:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = input - target; then reduced.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none".

    Raises: ValueError for different shapes, an unknown reduction or delta <= 0; TypeError for a
        delta that is no number.
    """
@overload
def huber_loss(input: ndarray, target: Tensor, reduction: str = 'mean', delta: float = 1.0) -> Tensor: ...
@overload
def huber_loss(input: ndarray, target: ndarray, reduction: str = 'mean', delta: float = 1.0) -> ndarray: ...

SMOOTH_L1: Any

@overload
def smooth_l1_loss(input: Tensor, target: Tensor | ndarray, reduction: str = 'mean', beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, d = input - target; then reduced.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none". beta=0 is
    l1_loss.

    Raises: ValueError for different shapes, an unknown reduction or a negative beta; TypeError for
        a beta that is no number.
    """
@overload
def smooth_l1_loss(input: ndarray, target: Tensor, reduction: str = 'mean', beta: float = 1.0) -> Tensor: ...
@overload
def smooth_l1_loss(input: ndarray, target: ndarray, reduction: str = 'mean', beta: float = 1.0) -> ndarray: ...

@overload
def binary_cross_entropy_terms(input: Tensor, target: Tensor | ndarray) -> Tensor:
    """-(y log x + (1 - y) log(1 - x)), elementwise; the logarithms are not let below -100."""
@overload
def binary_cross_entropy_terms(input: ndarray, target: Tensor) -> Tensor: ...
@overload
def binary_cross_entropy_terms(input: ndarray, target: ndarray) -> ndarray: ...

BCE: Any

@overload
def binary_cross_entropy(input: Tensor, target: Tensor | ndarray, weight: Tensor | ndarray | None = None, reduction: str = 'mean') -> Tensor:
    """-w (y log x + (1 - y) log(1 - x)) for probabilities x = input of the class y = target.

    input and target (d1, ...), weight (d1, ...) -> () or (d1, ...), the latter for reduction
    "none". Input and target are from 0 to 1, weight broadcasts to them. The logarithms are cut off
    at -100, so that a certain wrong answer costs 100 and not infinity (as in torch).

    Raises: ValueError for numbers outside of 0 .. 1, different shapes or an unknown reduction.
    """
@overload
def binary_cross_entropy(input: ndarray, target: Tensor, weight: Tensor | ndarray | None = None, reduction: str = 'mean') -> Tensor: ...
@overload
def binary_cross_entropy(input: ndarray, target: ndarray, weight: ndarray | None = None, reduction: str = 'mean') -> ndarray: ...

@overload
def binary_cross_entropy_with_logits(input: Tensor, target: Tensor | ndarray, weight: Tensor | ndarray | None = None, reduction: str = 'mean', pos_weight: Tensor | ndarray | None = None) -> Tensor:
    """-w (p y log s + (1 - y) log(1 - s)) with s = sigmoid(input): for logits of any size.

    input and target (d1, ...), weight and pos_weight (d1, ...) -> () or (d1, ...), the latter for
    reduction "none". target is from 0 to 1; weight w and pos_weight p broadcast to it; pos_weight
    > 1 makes missed positives dearer. More exact than sigmoid with binary_cross_entropy.
    An infinite logit costs 0 if it is right (in torch NaN), else infinity; its gradient is finite.

    Since log s = x + log(1 - s), this is w ((1 - y) x - (1 + (p - 1) y) log s): no logarithm of a
    number that was rounded to 0.

    Raises: ValueError for targets outside of 0 .. 1, different shapes or an unknown reduction.
    """
@overload
def binary_cross_entropy_with_logits(input: ndarray, target: Tensor, weight: Tensor | ndarray | None = None, reduction: str = 'mean', pos_weight: Tensor | ndarray | None = None) -> Tensor: ...
@overload
def binary_cross_entropy_with_logits(input: ndarray, target: ndarray, weight: ndarray | None = None, reduction: str = 'mean', pos_weight: ndarray | None = None) -> ndarray: ...

KL: Any

@overload
def kl_div(input: Tensor, target: Tensor | ndarray, reduction: str = 'mean', log_target: bool = False) -> Tensor:
    """t (log t - input), elementwise, then reduced: input is log p, target t are probabilities.

    input and target (d1, ...) -> () or (d1, ...), the latter for reduction "none".

    reduction: as for the others, or "batchmean": the sum divided by the first dimension, which is
    the divergence of distributions. log_target: the target holds log t.

    Raises: ValueError for different shapes, a target below 0 (unless log_target) or an unknown
    reduction.
    """
@overload
def kl_div(input: ndarray, target: Tensor, reduction: str = 'mean', log_target: bool = False) -> Tensor: ...
@overload
def kl_div(input: ndarray, target: ndarray, reduction: str = 'mean', log_target: bool = False) -> ndarray: ...
