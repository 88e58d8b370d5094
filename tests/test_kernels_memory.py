"""What is freed is used again: page faults are counted, in processes of their own."""
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library manages memory in its own way")

COUNT = """
import resource
import numpy as np
import minigrad
x = np.ones(1 << 18, np.float32)                    # 1 MB, 256 pages
def step():
    kept = [x + 1.0 for _ in range(8)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment):
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    kept = {k: v for k, v in os.environ.items() if k not in names}
    out = subprocess.run([sys.executable, "-c", COUNT], env={**kept, **environment},
                         capture_output=True, text=True, check=True)
    return int(out.stdout)


def test_freed_arrays_of_a_megabyte_cost_no_new_pages():
    assert faults() < 20 * 256


def test_glibcs_own_variables_have_the_last_word():
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 20 * 256
