"""Memory that is used again: never by two at once, never kept for nothing."""
import copy
import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import memory
from minigrad.autograd.accumulate import shares_memory

FLOAT = np.dtype(np.float32)
LARGE = memory.LEAST // 4                          # numbers


def address(array):
    return array.__array_interface__["data"][0]


def kept():
    """The sizes of the free blocks, in bytes."""
    return [block.size for shelf in memory._shelves.values() for block in shelf.free]


@pytest.fixture(autouse=True)
def nothing_kept():
    mg.empty_cache()
    yield
    mg.empty_cache()


@pytest.mark.parametrize("shape", [(), (0, 5), (3, 4), (LARGE - 1,)])
def test_small_results_are_numpys(shape):
    a = memory.empty(shape, FLOAT)
    assert a.shape == shape and a.dtype == FLOAT and a.base is None


@pytest.mark.parametrize("size", [3, LARGE])
def test_no_result_is_made_in_another_byte_order(size):
    """Kernels would write into it as if it were in their own."""
    with pytest.raises(TypeError, match="a kernel was given an array in another byte order"):
        memory.empty((size,), FLOAT.newbyteorder("S"))


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1", "f2"])
def test_large_results_are_arrays_like_all_others(dtype):
    a = memory.empty((3, 4 * LARGE), np.dtype(dtype))
    assert a.shape == (3, 4 * LARGE) and a.dtype == np.dtype(dtype)
    assert a.flags.c_contiguous and a.flags.writeable and a.flags.aligned
    assert address(a) % memory.LINE == 0
    a[:] = 7
    assert (a == 7).all() and not shares_memory(a)


def test_a_freed_block_is_used_again():
    a = memory.empty((LARGE,), FLOAT)
    where = address(a)
    del a
    b = memory.empty((LARGE // 2, 2), FLOAT)
    assert address(b) == where
    c = memory.empty((LARGE,), FLOAT)              # b has the block
    assert address(c) != where


def test_the_last_view_frees_it():
    a = memory.empty((4, LARGE), FLOAT)
    view = a[1:].T[::2]
    where = address(a)
    view[:] = 5
    del a
    assert address(memory.empty((4, LARGE), FLOAT)) != where
    assert (view == 5).all()
    free = len(kept())
    del view
    assert len(kept()) == free + 1
    assert address(memory.empty((4, LARGE), FLOAT)) == where
    mg.empty_cache()


@pytest.mark.parametrize("look", [
    lambda base: base[:], lambda base: base[:10], lambda base: base.view(), copy.copy, repr,
])
def test_who_looks_at_the_block_itself_frees_nothing(look):
    """A view or a copy of a Block is of its class, but not what was lent."""
    a = memory.empty((LARGE,), FLOAT)
    look(a.base)
    assert kept() == []
    assert not np.shares_memory(a, memory.empty((LARGE,), FLOAT))


def test_views_of_it_are_seen_as_views():
    a = memory.empty((LARGE,), FLOAT)
    view = a[:5]
    assert shares_memory(view)
    del a
    assert not shares_memory(view)


def test_a_much_larger_block_is_not_wasted_on_a_small_result():
    a = memory.empty((4 * LARGE,), FLOAT)
    where = address(a)
    del a
    b = memory.empty((LARGE,), FLOAT)
    assert not where <= address(b) < where + 16 * LARGE


def test_results_of_nearly_one_size_share_blocks():
    a = memory.empty((LARGE + 1000,), FLOAT)
    where = address(a)
    del a
    assert address(memory.empty((LARGE + 500,), FLOAT)) == where


def test_of_equal_blocks_the_one_freed_last_is_taken():
    first, second = memory.empty((LARGE,), FLOAT), memory.empty((LARGE,), FLOAT)
    wanted = address(first)
    del second, first
    assert address(memory.empty((LARGE,), FLOAT)) == wanted


def test_what_nobody_takes_is_given_back():
    a = memory.empty((9 * LARGE,), FLOAT)
    del a
    for _ in range(2 * memory.PATIENCE):
        memory.empty((LARGE,), FLOAT)
    assert kept() == [4 * LARGE]


def test_empty_cache_gives_all_back():
    a = memory.empty((LARGE,), FLOAT)
    del a
    assert kept() == [4 * LARGE]
    mg.empty_cache()
    assert kept() == []


def test_without_memory_the_free_blocks_are_given_back_first(monkeypatch):
    a = memory.empty((LARGE,), FLOAT)
    del a
    real, asked = np.empty, []

    def full(shape, dtype):
        asked.append(len(kept()))
        if len(asked) == 1:
            raise MemoryError
        return real(shape, dtype)
    monkeypatch.setattr(memory.np, "empty", full)
    assert memory.empty((8 * LARGE,), FLOAT).size == 8 * LARGE
    assert asked == [1, 0]


def test_threads_never_get_the_same_block():
    wrong = []

    def work(number):
        for k in range(50):
            mine = memory.empty((LARGE + 64 * k,), FLOAT)
            mine[:] = number
            if not (mine == number).all():
                wrong.append(number)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_gradients_of_a_second_step_do_not_change_those_of_the_first():
    x = mg.randn(8, 16, 32, 32, requires_grad=True)
    F.max_pool2d(F.relu(x), 2).sum().backward()
    first, numbers = x.grad, x.grad.numpy().copy()
    for _ in range(3):
        x.grad = None
        F.max_pool2d(F.relu(x * -1.0), 2).sum().backward()
    assert (first.numpy() == numbers).all()


def test_an_overwritten_result_is_still_noticed():
    x = mg.randn(LARGE, requires_grad=True)
    y = mg.tanh(x)
    with mg.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match="overwritten|changed"):
        y.sum().backward()


# --- malloc's own memory: page faults are counted, in processes of their own ---------------------

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc",
                           reason="another C library manages memory in its own way")
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


@glibc
def test_freed_arrays_of_a_megabyte_cost_no_new_pages():
    assert faults() < 20 * 256


@glibc
def test_glibcs_own_variables_have_the_last_word():
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 20 * 256
