# Written by tests/typing/make_stubs.py from class_loss.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor
from .reduce import mean

REDUCTION: Any

def raw(x: Any) -> Any:
    """The array of a Tensor, or the array itself."""

def reduced(loss: Any, reduction: Any) -> Any:
    """The losses of the elements, their sum or their mean."""

def scaled(g: Any, factor: Any) -> Any:
    """g * factor.

    One number stays an array of no dimensions: to multiply with it takes half the time of a Python
    float, and NumPy's own product would have to be made an array again.
    """

LOGITS: str

LABELS: str

def first_place(name: str, mask: ndarray) -> tuple[tuple, str]:
    """Where a mask is true first: the index, and the element in words, target[1, 2]."""

SMOOTHING: Any

@overload
def cross_entropy_labels(input: Tensor, target: Tensor | ndarray, weight: np.ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> Tensor:
    """cross_entropy for a target of class numbers: softmax, logarithm and choice in one pass.

    input (N, C, d1, ...) or (C,), target (N, d1, ...) or (), weight (C,) -> () or (N, d1, ...), the
    latter for reduction "none". The rest as for cross_entropy.
    """
@overload
def cross_entropy_labels(input: ndarray, target: Tensor, weight: np.ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> Tensor: ...
@overload
def cross_entropy_labels(input: ndarray, target: ndarray, weight: np.ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> ndarray: ...

@overload
def cross_entropy_grad(g: Tensor, input: Tensor | ndarray, target: Tensor | ndarray, weight: np.ndarray | None = None, ignore_index: int = -100, label_smoothing: float = 0.0, log_z: np.ndarray | None = None) -> Tensor:
    """The gradient of the logits, g ((sum_k q_k w_k) p_j - q_j w_j), p = softmax(input).

    q is the one-hot target, smoothed; 0 where target is ignore_index. g: the gradient of each loss,
    in the shape of the target, or one number for all. log_z: log sum_k e^x_k of each row in float64
    if it is known already.
    """
@overload
def cross_entropy_grad(g: ndarray, input: Tensor, target: Tensor | ndarray, weight: np.ndarray | None = None, ignore_index: int = -100, label_smoothing: float = 0.0, log_z: np.ndarray | None = None) -> Tensor: ...
@overload
def cross_entropy_grad(g: ndarray, input: ndarray, target: Tensor, weight: np.ndarray | None = None, ignore_index: int = -100, label_smoothing: float = 0.0, log_z: np.ndarray | None = None) -> Tensor: ...
@overload
def cross_entropy_grad(g: ndarray, input: ndarray, target: ndarray, weight: np.ndarray | None = None, ignore_index: int = -100, label_smoothing: float = 0.0, log_z: np.ndarray | None = None) -> ndarray: ...

@overload
def cross_entropy(input: Tensor, target: Tensor | ndarray, weight: Tensor | ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> Tensor:
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
@overload
def cross_entropy(input: ndarray, target: Tensor, weight: Tensor | ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> Tensor: ...
@overload
def cross_entropy(input: ndarray, target: ndarray, weight: ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> ndarray: ...

@overload
def choose_class(input: Tensor, target: Tensor | ndarray) -> Tensor:
    """y[n, ...] = input[n, target[n, ...], ...], target holding class numbers.

    input (N, C, d1, ...) or (C,), target (N, d1, ...) or () -> (N, d1, ...) or ()
    """
@overload
def choose_class(input: ndarray, target: Tensor) -> Tensor: ...
@overload
def choose_class(input: ndarray, target: ndarray) -> ndarray: ...

@overload
def spread_class(g: Tensor, target: Tensor | ndarray, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape`, but g[n, ...] at [n, target[n, ...], ...]: the gradient of choose_class.

    g and target (N, d1, ...) or (), shape (N, C, d1, ...) or (C,), which is that of the result.
    """
@overload
def spread_class(g: ndarray, target: Tensor, shape: tuple[int, ...]) -> Tensor: ...
@overload
def spread_class(g: ndarray, target: ndarray, shape: tuple[int, ...]) -> ndarray: ...

NLL: Any

@overload
def nll_loss(input: Tensor, target: Tensor | ndarray, weight: Tensor | ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean') -> Tensor:
    """-w_t input[n, t] for the label t = target[n]: cross-entropy of logarithms of probabilities.

    input (N, C, d1, ...) or (C,), target (N, d1, ...) or (), weight (C,) -> () or (N, d1, ...)

    input: the result of log_softmax. The rest as for cross_entropy, with class numbers only.

    Raises: ValueError for a label that does not exist, shapes that do not fit, an unknown
    reduction; TypeError for a target that does not hold integers.
    """
@overload
def nll_loss(input: ndarray, target: Tensor, weight: Tensor | ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean') -> Tensor: ...
@overload
def nll_loss(input: ndarray, target: ndarray, weight: ndarray | None = None, ignore_index: int = -100, reduction: str = 'mean') -> ndarray: ...
