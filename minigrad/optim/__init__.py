"""Optimisers: they change parameters by their gradients. Start with `sgd.py`."""
from . import lr_scheduler as lr_scheduler
from .optimizer import Optimizer as Optimizer
from .sgd import SGD as SGD
