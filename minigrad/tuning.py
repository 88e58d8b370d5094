"""Every limit of size in the package: what it decides, its unit, how it was measured.

A limit says from where one way is faster than another, on the machine where it was measured. None
changes a result by more than the last digits.

Not here: the ways themselves, which stand with their families in `kernels/`.
"""
from __future__ import annotations

# --- pointwise: from where a formula's loop beats NumPy's calls --------------------------------
# A loop costs 1.5 us a call (kernels/pointwise/loop.py), each of NumPy's calls 0.35 to 0.9 us. Time
# both: `python -m pytest tests/kernels/pointwise/test_loop.py -k crossing -s`.

#: Numbers. A formula of several NumPy calls: from 100 on the loop is faster; but it is compiled in
#: 15 ms, which programs on tiny arrays need not wait for.
LOOP_OF_MANY = 1 << 9
#: Numbers. One call that computes (exp, sqrt, where: NumPy 0.3 to 0.6 ns a number, a loop 0.1), or
#: two or three at the speed of memory.
LOOP_OF_FEW = 1 << 13
#: Numbers. tanh and log, which NumPy computes in vectors as wide as ours: only threads gain.
LOOP_OF_WIDE = 1 << 15
#: Numbers. One call at the speed of memory (+ - * /): from here threads gain, and results whose
#: memory was used before.
LOOP_OF_MEMORY = 1 << 16
#: Numbers. abs, maximum and comparisons, in which NumPy gets from one core what can be got.
LOOP_OF_THREADS = 1 << 18
#: Numbers in a row. Of shorter rows a loop is mostly beginning and end, and no faster than NumPy.
NARROW = 1 << 4
#: Numbers. One of NumPy's functions in pieces on all threads; a piece costs 20 to 50 us more.
PIECES = 1 << 20
