"""All parameters of a model as one vector, and back: for methods that see a model as one point."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...autograd.engine import Tensor
from ...foreign import got
from ...ops.join import cat
from ...ops.shape import reshape
from ...autograd.writes import record_write


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The parameters, flattened, one after the other; differentiable. ValueError for none."""
    parts = [reshape(p, (-1,)) for p in parameters]
    if not parts:
        raise ValueError("parameters_to_vector: got no parameters")
    return cat(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies the parts of a vector into the parameters, in place: undoes parameters_to_vector.

    Raises: TypeError if vec is no Tensor; ValueError if its length is not that of all parameters.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: vec must be a Tensor, got {got(vec)}")
    targets = list(parameters)
    wanted = sum(p.numel() for p in targets)
    if vec.shape != (wanted,):
        raise ValueError(f"vector_to_parameters: the parameters have {wanted} elements, want a "
                         f"vector ({wanted},), got {vec.shape}")
    start = 0
    for p in targets:
        part = vec.array[start:start + p.numel()].reshape(p.shape)
        np.copyto(p.array, part, casting="same_kind")
        start += p.numel()
    if targets:
        record_write(*(p.array for p in targets))
