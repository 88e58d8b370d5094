"""Where the memory of results comes from: what a program frees, it gets again.

Every operation returns a new array. glibc asks the system for memory above a threshold and gives
it back when it is freed, so that an array of 1 MB is 256 new pages each time, which the system has
to clear and map: 0.4 ms, where a product takes 0.02. Nothing of that is NumPy's or ours to choose,
but glibc learns. Whenever it frees a block that it had mapped, of at most 32 MB, it takes blocks of
that size from its own heap from now on, and leaves the heap alone until twice as much lies free at
its end. So a program that has freed one array of 32 MB runs at full speed, and one whose arrays
have 1 MB each does not: it is an accident of its history. Importing minigrad ends it, by freeing
such a block, of which no page was ever touched.

    a training step of           faults, ms before       after
    the CNN at batch 256             1,680     30.2          0    24.8
    the RNN at 128 x 128             1,000     12.4          0     9.9
    gelu written out, 256 x 1024       480      1.5          0    0.85
    softmax of 256 x 1000              230     0.53          0    0.14

What it costs: up to 64 MB that a program has used and freed may stay with the process instead of
going back at once, as in any program that has freed a large array. Arrays above 32 MB are returned
to the system as before. The peak of the CNN was no higher: 222 MB for the whole process
instead of 231.

Whoever has set glibc's own variables (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_, or their
GLIBC_TUNABLES) has switched the learning off, and with it this: MALLOC_TRIM_THRESHOLD_=131072 is
glibc's first state for good. Other systems' C libraries have other rules; there it does nothing.

Why not a pool of our own: arrays would have to be views of its blocks, and a view is what tells the
engine that somebody else may hold the memory; and NumPy's own results would not come from it.
"""

import numpy as np

_LARGEST = 32 << 20  # bytes: DEFAULT_MMAP_THRESHOLD_MAX of glibc on 64-bit systems
_HEADER = 1 << 13  # what glibc adds must still fit


def keep_freed_memory() -> None:
    """Lets glibc learn that large blocks come and go; takes some 10 us, and no memory."""
    np.empty(_LARGEST - _HEADER, np.uint8)  # freed at once
