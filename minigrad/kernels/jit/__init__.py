"""How a plain function becomes machine code: `@jit` (kernel.py), device functions inside other
kernels (device.py), and where compiled kernels are kept (cache.py)."""
from .kernel import Kernel as Kernel, jit as jit, ready as ready
