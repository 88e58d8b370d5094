"""Optimisers: they change parameters by their gradients. Start with `sgd.py`."""
from typing import TYPE_CHECKING

from ..absent import shows as _shows
from . import lr_scheduler as lr_scheduler
from .optimizer import Optimizer as Optimizer
from .sgd import SGD as SGD

if not TYPE_CHECKING:                              # who checks types is to see every misspelt name
    __all__, __dir__, __getattr__ = _shows(__name__, modules=("lr_scheduler",))
