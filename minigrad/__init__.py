"""minigrad: reverse-mode automatic differentiation and neural networks on NumPy and Numba."""
