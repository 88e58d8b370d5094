# Written by tests/typing/make_stubs.py from activation.py: run it again instead of editing this.
from numpy import ndarray
from typing import overload
from ..autograd.engine import Tensor

@overload
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), elementwise. The gradient at 0 is 0; NaN stays NaN, and passes g on."""
@overload
def relu(input: ndarray, inplace: bool = False) -> ndarray: ...

@overload
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, else negative_slope * input. At 0 the slope is negative_slope."""
@overload
def leaky_relu(input: ndarray, negative_slope: float = 0.01, inplace: bool = False) -> ndarray: ...

@overload
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """input cut off below min_val and above max_val. At and beyond these the gradient is 0."""
@overload
def hardtanh(input: ndarray, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> ndarray: ...

@overload
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6), elementwise. The gradient at 0 and at 6 is 0."""
@overload
def relu6(input: ndarray, inplace: bool = False) -> ndarray: ...

@overload
def tanh(input: Tensor) -> Tensor:
    """(e^x - e^-x) / (e^x + e^-x), elementwise, between -1 and 1. The derivative is 1 - tanh^2."""
@overload
def tanh(input: ndarray) -> ndarray: ...

@overload
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-x), elementwise, between 0 and 1. The derivative is s (1 - s)."""
@overload
def sigmoid(input: ndarray) -> ndarray: ...

@overload
def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e^-x)) = min(x, 0) - log(1 + e^-|x|), elementwise; never overflows."""
@overload
def logsigmoid(input: ndarray) -> ndarray: ...

@overload
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta, elementwise: a smooth relu; x itself where beta x > threshold."""
@overload
def softplus(input: ndarray, beta: float = 1.0, threshold: float = 20.0) -> ndarray: ...

@overload
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha (e^x - 1). At 0 the slope is alpha."""
@overload
def elu(input: ndarray, alpha: float = 1.0, inplace: bool = False) -> ndarray: ...

@overload
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x / (1 + e^-x) = x sigmoid(x), elementwise (also called swish)."""
@overload
def silu(input: ndarray, inplace: bool = False) -> ndarray: ...

@overload
def erf(input: Tensor) -> Tensor:
    """The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, elementwise."""
@overload
def erf(input: ndarray) -> ndarray: ...

@overload
def gelu(input: Tensor, approximate: str = 'none') -> Tensor:
    """x Phi(x), elementwise, Phi the normal distribution function: (1 + erf(x / sqrt 2)) / 2.

    approximate="tanh": Phi by (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. Source:
    Hendrycks and Gimpel 2016, arXiv:1606.08415.

    Raises: ValueError for another `approximate`.
    """
@overload
def gelu(input: ndarray, approximate: str = 'none') -> ndarray: ...

def which_dim(name: str, shape: tuple[int, ...] | None=None) -> ValueError:
    """The error of a softmax, function, method or layer, that was not told its dimension."""

@overload
def softmax(input: Tensor, dim: int | tuple[int, ...] | None = None, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """e^x_k / sum_j e^x_j along `dim`: positive numbers that sum to 1. Safe for logits of any size.

    input (d1, ...) -> (d1, ...)
    dim: the dimension of the classes; -1 or 1 for (N, C). A tuple: all of these together. It has
    no default, since a wrong guess gives a plausible result.

    Raises: ValueError without `dim` or if there is no such dimension; TypeError for integers.
    """
@overload
def softmax(input: ndarray, dim: int | tuple[int, ...] | None = None, *, axis: int | tuple[int, ...] | None = None) -> ndarray: ...

@overload
def softmax_grad(g: Tensor, y: Tensor | ndarray, dim: int) -> Tensor:
    """The gradient of x from g, the gradient of y = softmax(x, dim): y (g - sum_j g_j y_j)."""
@overload
def softmax_grad(g: ndarray, y: Tensor, dim: int) -> Tensor: ...
@overload
def softmax_grad(g: ndarray, y: ndarray, dim: int) -> ndarray: ...

@overload
def log_softmax(input: Tensor, dim: int | tuple[int, ...] | None = None, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """x_k - log sum_j e^x_j along `dim`: the logarithm of softmax, without its overflow to log 0.

    input (d1, ...) -> (d1, ...)
    dim: as for softmax.

    Raises: ValueError without `dim` or if there is no such dimension; TypeError for integers.
    """
@overload
def log_softmax(input: ndarray, dim: int | tuple[int, ...] | None = None, *, axis: int | tuple[int, ...] | None = None) -> ndarray: ...

@overload
def log_softmax_grad(g: Tensor, y: Tensor | ndarray, dim: int) -> Tensor:
    """The gradient of x from g, the gradient of y = log_softmax(x, dim): g - e^y sum_j g_j."""
@overload
def log_softmax_grad(g: ndarray, y: Tensor, dim: int) -> Tensor: ...
@overload
def log_softmax_grad(g: ndarray, y: ndarray, dim: int) -> ndarray: ...

@overload
def logsumexp(input: Tensor, dim: int | tuple[int, ...] | None, keepdim: bool = False, *, keepdims: bool | None = None) -> Tensor:
    """log sum_j e^x_j along `dim` (one, several, or None: all), a smooth maximum. Never overflows.

    input (d1, ...). keepdim: keep the reduced dimensions, with size 1.

    Raises: ValueError if there is no such dimension; TypeError for a dim that is no integer.
    """
@overload
def logsumexp(input: ndarray, dim: int | tuple[int, ...] | None, keepdim: bool = False, *, keepdims: bool | None = None) -> ndarray: ...
