"""Dropout as a layer. Not here: drawing the mask and its derivative (`ops/random.py`)."""
from __future__ import annotations

from ..autograd.engine import Tensor
from ..ops.random import dropout
from .module import Module


class Dropout(Module):
    """While training, each element becomes 0 with probability p, the others are divided by 1 - p,
    so that the mean stays; after eval() everything passes unchanged.

    Srivastava et al. 2014, JMLR 15. Raises: ValueError unless 0 <= p <= 1.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
            percent = isinstance(p, (int, float)) and 1 < p <= 100
            raise ValueError(f"Dropout: p, the probability to drop, must be from 0 to 1, got {p!r}"
                             + (f"; {p} % is p={p / 100:g}" if percent else ""))
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned while training."""
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"
