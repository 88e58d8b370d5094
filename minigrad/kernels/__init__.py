"""Loops over numbers: the compiled inner loops of minigrad, and nothing that knows a Tensor.

`jit.py` says how a loop is compiled, `part.py` what a loop inside another one is spared, `cache.py`
where both are kept, `threads.py` how work is split over cores; `tile.py` holds the register tile
that matrix products are built on. Every other file is one family: serial range kernels, a thin host
function that allocates and splits, and a plain twin that is slow and evidently right.
Importing this package does not import Numba. `README.md` says how to add a kernel and debug it.
"""
