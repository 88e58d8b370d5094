"""Denormal numbers are kept, or flushed to 0 in every thread that computes."""
import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels.parallel import denormals
from minigrad.tuning import LOOP_OF_MEMORY


def kept():
    """How many of many denormal products survive: by our loops over all threads, and by NumPy."""
    tiny = mg.full((4 * LOOP_OF_MEMORY,), 1.5e-38)
    few = tiny.numpy()[:9] * np.float32(0.5)
    return np.count_nonzero((tiny * 0.5).numpy()), np.count_nonzero(few)


@pytest.fixture
def as_before():
    yield
    mg.set_flush_denormal(False)


def test_denormals_are_kept_unless_they_are_to_be_flushed(as_before):
    before = mg.get_num_threads()
    assert kept() == (4 * LOOP_OF_MEMORY, 9)
    if not mg.set_flush_denormal(True):
        pytest.skip("this machine or mode has no such switch")
    assert kept() == (0, 0)
    x = mg.full((4 * LOOP_OF_MEMORY,), 1e-39)                # as an operand, too
    assert (x * 1e10).numpy().max() == 0
    assert (mg.ones(4 * LOOP_OF_MEMORY) * 1e-37).numpy().min() > 0       # what is normal stays
    assert mg.get_num_threads() == before
    assert mg.set_flush_denormal(False)
    assert kept() == (4 * LOOP_OF_MEMORY, 9)


def test_a_machine_without_the_switch_says_so(monkeypatch):
    monkeypatch.setattr(denormals, "_X86", False)
    monkeypatch.setattr(denormals, "_ARM", False)
    assert mg.set_flush_denormal(True) is False
    assert kept() == (4 * LOOP_OF_MEMORY, 9)
