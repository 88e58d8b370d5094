"""The laws from which parameters are drawn before training, filled in place: `xavier_uniform_(w)`.

fan_in is the number of inputs that are summed for one output, fan_out the reverse: for a weight
(F, C, KH, KW), C*KH*KW and F*KH*KW. Names and laws are torch's; the numbers drawn are not. Not
here: which law a layer uses, see its reset_parameters.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..absent import shows as _shows
from ..autograd.engine import Tensor
from ..foreign import got, named
from ..ops.random import Generator, default_generator
from ..autograd.writes import record_write

T = TypeVar("T", bound=Tensor)


def _write(name: str, tensor: T, values: Any) -> T:
    """Puts the values into the tensor's memory, unrecorded, and counts the write."""
    _check(name, tensor)
    np.copyto(tensor.array, values, casting="same_kind")
    record_write(tensor.array)
    return tensor


def _check(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: want a Tensor to fill, got {got(tensor)}")
    if tensor.array.dtype.kind != "f":
        raise TypeError(f"{name}: want a floating tensor, got {tensor.dtype}")
    if tensor.grad_fn is not None:
        raise ValueError(f"{name}: this tensor is the result of an operation; fill the leaf from "
                         "which it was computed")


def _draw(name: str, tensor: Tensor, generator: Generator | None, kind: str) -> Any:
    """Standard uniform or normal numbers in the shape and dtype of the tensor."""
    _check(name, tensor)
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"{name}: generator must be a minigrad.Generator, got "
                        f"{named(generator)}")
    source = (default_generator() if generator is None else generator).numpy
    native = tensor.dtype if tensor.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    draw = source.random if kind == "uniform" else source.standard_normal
    return np.asarray(draw(tensor.shape, dtype=native))


# --- constants -----------------------------------------------------------------------------------

def constant_(tensor: T, val: float) -> T:
    """Every element becomes val."""
    return _write("constant_", tensor, np.asarray(val, tensor.dtype))


def zeros_(tensor: T) -> T:
    """Every element becomes 0."""
    return _write("zeros_", tensor, 0.0)


def ones_(tensor: T) -> T:
    """Every element becomes 1."""
    return _write("ones_", tensor, 1.0)


def eye_(tensor: T) -> T:
    """1 on the diagonal, 0 elsewhere: a linear layer that passes its input on. Raises ValueError
    unless the tensor has two dimensions."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: want two dimensions, got shape {tensor.shape}")
    return _write("eye_", tensor, np.eye(*tensor.shape, dtype=tensor.dtype))


# --- plain laws ----------------------------------------------------------------------------------

def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> T:
    """Uniform numbers, a <= x < b. Raises ValueError if a > b."""
    if a > b:
        raise ValueError(f"uniform_: want a <= b, got a={a}, b={b}")
    values = _draw("uniform_", tensor, generator, "uniform")
    return _write("uniform_", tensor, values * (float(b) - float(a)) + float(a))


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
            ) -> T:
    """Normal numbers of this mean and standard deviation. Raises ValueError if std is negative."""
    if std < 0:
        raise ValueError(f"normal_: std must be 0 or more, got {std}")
    values = _draw("normal_", tensor, generator, "normal")
    return _write("normal_", tensor, values * float(std) + float(mean))


def trunc_normal_(tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: Generator | None = None) -> T:
    """Normal numbers under the condition a <= x <= b.

    Raises: ValueError unless a < b and std > 0.
    """
    if not a < b or not std > 0:
        raise ValueError(f"trunc_normal_: want a < b and std > 0, got a={a}, b={b}, std={std}")
    name, mean, std = "trunc_normal_", float(mean), float(std)
    low_erf, high_erf = (math.erf((x - mean) / (std * math.sqrt(2))) for x in (a, b))
    inside = (high_erf - low_erf) / 2                  # the probability of [a, b]
    x = _draw(name, tensor, generator, "normal") * std + mean
    # Draw again what falls outside. Where [a, b] is in a tail that would take for ever: there, draw
    # uniformly and keep x with probability density(x) / (largest density in [a, b]).
    tail = inside <= 0.3
    low, high = x.dtype.type(a), x.dtype.type(b)
    peak = min(max(mean, a), b)
    missing = np.ones(x.shape, bool) if tail else (x < low) | (x > high)
    while missing.any():
        if tail:
            new = _draw(name, tensor, generator, "uniform") * (float(b) - float(a)) + float(a)
            log_density = ((peak - mean) / std) ** 2 / 2 - ((new - mean) / std) ** 2 / 2
            good = 1.0 - _draw(name, tensor, generator, "uniform") <= np.exp(log_density)
        else:
            new = _draw(name, tensor, generator, "normal") * std + mean
            good = (new >= low) & (new <= high)
        taken = missing & good
        x[taken] = new[taken]
        missing &= ~good
    return _write(name, tensor, np.clip(x, low, high))


def orthogonal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """A random matrix with orthonormal rows or columns, whichever are fewer, times gain; uniform
    over all such matrices. Further dimensions count as columns: (F, C, KH, KW) is (F, C*KH*KW).

    Saxe, McClelland, Ganguli 2013, arXiv:1312.6120; the signs make it uniform: Mezzadri 2007,
    arXiv:math-ph/0609050. Raises ValueError for fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: want at least two dimensions, got shape {tensor.shape}")
    if tensor.array.size == 0:
        return tensor
    rows = tensor.shape[0]
    flat = _draw("orthogonal_", tensor, generator, "normal").reshape(rows, -1)
    q, r = np.linalg.qr(flat.T if rows < flat.shape[1] else flat)
    q = q * np.sign(np.diagonal(r))
    q = q.T if rows < flat.shape[1] else q
    return _write("orthogonal_", tensor, (q * float(gain)).reshape(tensor.shape))


# --- laws that keep the variance from layer to layer ---------------------------------------------

def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor for the standard deviation that makes up for a nonlinearity, torch's table:
    linear, conv and sigmoid 1; tanh 5/3; relu sqrt(2); leaky_relu sqrt(2 / (1 + param^2)), param
    0.01 by default; selu 3/4.

    Raises: ValueError for another name or a param that is no number.
    """
    linear = ["linear", "sigmoid", *(f"conv{t}{d}d" for t in ("", "_transpose") for d in (1, 2, 3))]
    gains = {**dict.fromkeys(linear, 1.0), "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: the slope of leaky_relu must be a number, got "
                             f"{param!r}")
        return math.sqrt(2.0 / (1 + slope ** 2))
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known: "
                         f"{', '.join([*gains, 'leaky_relu'])}")
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...). Raises ValueError if it has under 2
    dimensions."""
    if tensor.ndim < 2:
        raise ValueError(f"init: fan_in and fan_out need a weight of two or more dimensions (out, "
                         f"in, ...), got shape {tensor.shape}; for a bias use zeros_ or uniform_")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out)). Glorot, Bengio 2010 (AISTATS), eq. 16."""
    bound = gain * math.sqrt(6.0 / _some(sum(fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)). Glorot, Bengio 2010 (AISTATS)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / _some(sum(fans(tensor)))), generator)


def kaiming_uniform_(tensor: T, a: float = 0.0, mode: str = "fan_in",
                     nonlinearity: str = "leaky_relu", generator: Generator | None = None) -> T:
    """U(-b, b), b = calculate_gain(nonlinearity, a) * sqrt(3 / fan).

    a: the slope of leaky_relu. mode: "fan_in" keeps the variance of the forward pass, "fan_out"
    that of the gradients. He, Zhang, Ren, Sun 2015, arXiv:1502.01852.
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: T, a: float = 0.0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu", generator: Generator | None = None) -> T:
    """N(0, std^2), std = calculate_gain(nonlinearity, a) / sqrt(fan); see kaiming_uniform_."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(_some(fan))


def _some(fan: int) -> int:
    return max(fan, 1)                                 # an empty weight draws no numbers


def fan_in_uniform_(weight: Tensor, bias: Tensor | None = None) -> None:
    """What Linear and Conv2d start from: weight and bias ~ U(-b, b), b = 1/sqrt(fan_in).

    torch writes it as kaiming_uniform_(weight, a=sqrt(5)), whose gain sqrt(2 / (1 + 5)) = sqrt(1/3)
    cancels the sqrt(3) of the uniform law (torch.nn.Linear.reset_parameters).
    """
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1.0 / math.sqrt(_some(fans(weight)[0]))
        uniform_(bias, -bound, bound)


if not TYPE_CHECKING:                              # who checks types is to see every misspelt name
    __all__, __dir__, __getattr__ = _shows(__name__, own=True)
