"""minigrad: reverse-mode automatic differentiation and neural networks on NumPy and Numba."""
from . import ops as ops
from .engine import Tensor as Tensor
from .engine import backward as backward
from .engine import grad as grad
from .gradcheck import GradcheckError as GradcheckError
from .gradcheck import KinkError as KinkError
from .gradcheck import gradcheck as gradcheck
from .gradcheck import gradgradcheck as gradgradcheck
from .modes import enable_grad as enable_grad
from .modes import no_grad as no_grad
