"""Threads: how a range of independent items is shared out (threads.py), handed over in machine code
(dispatch.py, atomics.py), and where each thread keeps what it makes on the way (scratch.py)."""
from .threads import one_each as one_each, parallel as parallel
