"""minigrad: reverse-mode automatic differentiation and neural networks on NumPy and Numba.

The public names, which are torch's: `import minigrad as torch` is meant to work.
"""
from math import e as e, inf as inf, nan as nan, pi as pi
from typing import TYPE_CHECKING

from . import (
    autograd as autograd, data as data, debug as debug, nn as nn, ops as ops, optim as optim,
)
from .absent import shows as _shows
from .advice import TrainingWarning as TrainingWarning
from .autograd.engine import backward as backward, grad as grad, Tensor as Tensor
from .modes import (
    enable_grad as enable_grad, get_default_dtype as get_default_dtype,
    inference_mode as inference_mode, is_grad_enabled as is_grad_enabled, no_grad as no_grad,
    set_default_dtype as set_default_dtype, set_grad_enabled as set_grad_enabled,
)
from .gradcheck import (
    gradcheck as gradcheck, GradcheckError as GradcheckError, gradgradcheck as gradgradcheck,
    KinkError as KinkError,
)
from .dtypes import (
    bool as bool, cuda as cuda, device as device, double as double, float as float,
    float16 as float16, float32 as float32, float64 as float64, half as half, int as int,
    int16 as int16, int32 as int32, int64 as int64, int8 as int8, long as long, short as short,
    uint8 as uint8,
)
from .kernels.parallel.denormals import set_flush_denormal as set_flush_denormal
from .kernels.parallel.threads import (
    get_num_threads as get_num_threads, set_num_threads as set_num_threads,
)
from .memory import empty_cache as empty_cache
from .ops.creation import (
    arange as arange, as_tensor as as_tensor, empty as empty, empty_like as empty_like,
    eye as eye, from_numpy as from_numpy, full as full, full_like as full_like,
    linspace as linspace, ones as ones, ones_like as ones_like, tensor as tensor, zeros as zeros,
    zeros_like as zeros_like,
)
from .ops.random import (
    bernoulli as bernoulli, default_generator as default_generator, dropout as dropout,
    Generator as Generator, get_rng_state as get_rng_state, initial_seed as initial_seed,
    manual_seed as manual_seed, multinomial as multinomial, normal as normal, rand as rand,
    rand_like as rand_like, randint as randint, randint_like as randint_like, randn as randn,
    randn_like as randn_like, randperm as randperm, set_rng_state as set_rng_state,
)
from .ops.elementwise import (
    abs as abs, acos as acos, acosh as acosh, add as add, asin as asin, asinh as asinh,
    atan as atan, atan2 as atan2, atanh as atanh, bitwise_and as bitwise_and,
    bitwise_not as bitwise_not, bitwise_or as bitwise_or, bitwise_xor as bitwise_xor,
    ceil as ceil, clamp as clamp, cos as cos, cosh as cosh, div as div, eq as eq, exp as exp,
    exp2 as exp2, expm1 as expm1, floor as floor, floor_divide as floor_divide, frac as frac,
    ge as ge, gt as gt, isfinite as isfinite, isinf as isinf, isnan as isnan, le as le,
    log as log, log10 as log10, log1p as log1p, log2 as log2, logical_and as logical_and,
    logical_not as logical_not, logical_or as logical_or, logical_xor as logical_xor, lt as lt,
    maximum as maximum, minimum as minimum, mul as mul, ne as ne, neg as neg, pow as pow,
    reciprocal as reciprocal, remainder as remainder, round as round, rsqrt as rsqrt,
    sign as sign, sin as sin, sinh as sinh, sqrt as sqrt, square as square, sub as sub,
    tan as tan, trunc as trunc, where as where,
)
from .ops.order import (
    amax as amax, amin as amin, argmax as argmax, argmin as argmin, max as max, min as min,
)
from .ops.reduce import (
    all as all, allclose as allclose, any as any, cumsum as cumsum, equal as equal, mean as mean,
    prod as prod, std as std, sum as sum, var as var,
)
from .ops.cast import clone as clone
from .ops.join import (
    cat as cat, chunk as chunk, concat as concat, meshgrid as meshgrid, narrow as narrow,
    repeat_interleave as repeat_interleave, select as select, split as split, stack as stack,
    tile as tile, unbind as unbind,
)
from .ops.matrix import tril as tril, triu as triu
from .ops.shape import (
    broadcast_to as broadcast_to, flatten as flatten, flip as flip, movedim as movedim,
    permute as permute, reshape as reshape, roll as roll, squeeze as squeeze,
    swapaxes as swapaxes, t as t, transpose as transpose, unflatten as unflatten,
    unsqueeze as unsqueeze,
)
from .ops.gather import (
    gather as gather, index_add as index_add, index_select as index_select,
    masked_fill as masked_fill, masked_select as masked_select, nonzero as nonzero,
    scatter as scatter, scatter_add as scatter_add, take_along_dim as take_along_dim,
)
from .ops.matrix import diag as diag, diagonal as diagonal, trace as trace
from .ops.order import argsort as argsort, sort as sort, topk as topk
from .ops.vector_norm import norm as norm
from .ops.linear import bmm as bmm, dot as dot, matmul as matmul, mm as mm, outer as outer
from .ops.activation import (
    erf as erf, log_softmax as log_softmax, logsumexp as logsumexp, relu as relu,
    sigmoid as sigmoid, softmax as softmax, tanh as tanh,
)
from .ops.conv import conv2d as conv2d, convolve2d as convolve2d

# The second names that torch has for some of them.
absolute, clip, concatenate, divide, moveaxis, multiply, negative, subtract = (
    abs, clamp, concat, div, movedim, mul, neg, sub)

__version__ = "0.2.0"

if not TYPE_CHECKING:                              # who checks types is to see every misspelt name
    __all__, __dir__, __getattr__ = _shows(
        __name__, modules=("autograd", "data", "debug", "nn", "optim"))
