# Written by tests/typing/make_stubs.py from random.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor

class Generator:
    """A source of random numbers with a state of its own.

    A new one is seeded from the operating system; manual_seed makes it repeat itself.
    """
    numpy: np.random.Generator
    def __init__(self, device: Any='cpu') -> None: ...
    def manual_seed(self, seed: int) -> Generator:
        """Starts anew from a seed, any integer; returns the generator itself.

        Raises: TypeError if the seed is not an integer.
        """
    def seed(self) -> int:
        """Starts anew from a seed that the operating system gives, and returns it."""
    def initial_seed(self) -> int:
        """The seed from which the generator last started."""
    def get_state(self) -> dict:
        """The state as a dict of numbers and strings, which JSON and pickle can store."""
    def set_state(self, state: dict) -> None:
        """Goes on from a state that get_state returned.

        Raises: ValueError if it is no such state.
        """
    def __deepcopy__(self, memo: dict) -> Generator: ...
    def __reduce__(self) -> Any: ...
    def __repr__(self) -> str: ...

def default_generator() -> Generator:
    """The generator of the calling thread that draws where no generator is given."""

def manual_seed(seed: int) -> Generator:
    """Seeds the default generator of the calling thread and returns it. Other threads keep theirs.

    Raises: TypeError if the seed is not an integer.
    """

def initial_seed() -> int:
    """The seed from which the default generator of the calling thread last started."""

def get_rng_state() -> dict:
    """The state of the default generator of the calling thread, for set_rng_state."""

def set_rng_state(state: dict) -> None:
    """The default generator of the calling thread goes on from a state of get_rng_state.

    Raises: ValueError if it is no such state.
    """

def rand(*size: Any, generator: Generator | None=None, dtype: Any=None, device: Any=None, requires_grad: bool=False) -> Tensor:
    """Uniform numbers, 0 <= x < 1: rand(2, 3) or rand((2, 3)).

    Raises: TypeError for an integer dtype; ValueError for a negative size.
    """

def randn(*size: Any, generator: Generator | None=None, dtype: Any=None, device: Any=None, requires_grad: bool=False) -> Tensor:
    """Normal numbers of mean 0 and variance 1: randn(2, 3) or randn((2, 3)).

    Raises: TypeError for an integer dtype; ValueError for a negative size.
    """

def randint(low: Any=0, high: Any=None, size: Any=None, *, generator: Generator | None=None, dtype: Any=..., device: Any=None, requires_grad: bool=False) -> Tensor:
    """Integers, low <= x < high, all equally likely; low may be left out.

    randint(high, size) or randint(low, high, size), in order or by name.

    Raises: ValueError if there is no integer from low to high - 1; TypeError if size is missing.
    """

def randperm(n: int, *, generator: Generator | None=None, dtype: Any=..., device: Any=None) -> Tensor:
    """The integers 0 .. n - 1 in random order.

    Raises: ValueError if n is negative.
    """

def rand_like(input: Tensor, *, generator: Generator | None=None, dtype: Any=None, requires_grad: bool=False) -> Tensor:
    """rand with the shape and, unless given, the dtype of input."""

def randn_like(input: Tensor, *, generator: Generator | None=None, dtype: Any=None, requires_grad: bool=False) -> Tensor:
    """randn with the shape and, unless given, the dtype of input."""

def randint_like(input: Tensor, low: int, high: int | None=None, *, generator: Generator | None=None, dtype: Any=None) -> Tensor:
    """randint(low, high), or randint(high), with the shape and, unless given, the dtype of
    input.
    """

def normal(mean: Any=0.0, std: Any=1.0, size: Any=None, *, generator: Generator | None=None, dtype: Any=None, requires_grad: bool=False) -> Tensor:
    """Normal numbers of this mean and standard deviation.

    mean, std: numbers (then with `size`), or tensors that broadcast: one number for each place.

    Raises: ValueError if a std is negative, or nothing gives a shape.
    """

def bernoulli(input: Tensor, *, generator: Generator | None=None) -> Tensor:
    """1 with the probability that input holds, else 0, in the shape and dtype of input.

    Not differentiable: the result has no history.

    Raises: ValueError for a probability outside 0 .. 1; TypeError for an integer tensor.
    """

def multinomial(input: Tensor, num_samples: int, replacement: bool=False, *, generator: Generator | None=None) -> Tensor:
    """Indices drawn with the probabilities input[i] / sum(input); of each row if it is a matrix.

    input: weights >= 0, (n,) or (rows, n) -> (num_samples,) or (rows, num_samples) integers.
    replacement: whether an index may be drawn again.

    Raises: ValueError for negative or infinite weights, a row of zeros, or (without replacement)
    fewer weights > 0 than num_samples.
    """

def uniform_(self: Tensor, from_: float=0.0, to: float=1.0, *, generator: Generator | None=None, **bounds: float) -> Tensor:
    """Fills the tensor with uniform numbers, from <= x < to, and returns it.

    Raises: ValueError if from > to, or for a leaf that requires grad (use it under no_grad);
    TypeError for an integer tensor.
    """

def normal_(self: Tensor, mean: float=0.0, std: float=1.0, *, generator: Generator | None=None) -> Tensor:
    """Fills the tensor with normal numbers of this mean and standard deviation, and returns it.

    Raises: ValueError if std is negative, or for a leaf that requires grad (use it under no_grad);
    TypeError for an integer tensor.
    """

def bernoulli_(self: Tensor, p: float=0.5, *, generator: Generator | None=None) -> Tensor:
    """Fills the tensor with 1 (probability p) and 0, and returns it.

    Raises: ValueError unless 0 <= p <= 1, or for a leaf that requires grad (use it under no_grad).
    """

@overload
def scale_by(input: Tensor, factor: Any) -> Tensor:
    """input * factor, an array that is a constant: nothing of input is saved for the derivative."""
@overload
def scale_by(input: ndarray, factor: Any) -> ndarray: ...

@overload
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None) -> Tensor:
    """In training, zero with probability p, else input / (1 - p), so that the mean stays; else
    input.

    p: 0 to 1; p = 1 gives zeros with zero gradient. inplace: as input.become(result), for torch's
    sake; it saves no memory here.

    Raises: ValueError unless 0 <= p <= 1; TypeError for an integer input.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014).
    """
@overload
def dropout(input: ndarray, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None) -> ndarray: ...

@overload
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None) -> Tensor:
    """dropout of whole channels: (N, C, H, W) or (N, C, L) lose all of [n, c] at once.

    Raises: as dropout; ValueError for fewer than 3 dimensions.
    """
@overload
def dropout2d(input: ndarray, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None) -> ndarray: ...
