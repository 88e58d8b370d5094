"""Loops over numbers: the compiled inner loops of minigrad, and nothing that knows a Tensor.

Each folder imports only those before it: `jit` (machine code of a plain function), `simd` (vectors
and register tiles), `parallel` (threads), then the families `pointwise`, `rowwise`, `matmul`,
`pool`, `recurrent` and `conv`: serial range kernels, a thin host function that allocates and
splits, and a reference that is slow and evidently right. Importing this package does not import
Numba. `README.md` says how to add a kernel and debug it.
"""
