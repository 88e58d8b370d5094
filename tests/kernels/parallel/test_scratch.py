"""Places for threads: each kernel has one of its own for as long as it runs."""

import threading

import numpy as np
import pytest

from kernel_testing import PLAIN

from minigrad import tuning
from minigrad.kernels.jit import jit
from minigrad.kernels.parallel.scratch import arena_for, claim, claim_within, release
from minigrad.kernels.simd.flat import tail
from minigrad.kernels.parallel import parallel
from minigrad.kernels.parallel.threads import set_num_threads


@jit
def sums_by_way_of_an_arena(start, stop, values, out, arena, taken):
    """out[i] = the sum of row i, written to the arena and read: wrong if two share a place."""
    place = claim(taken)
    mine = tail(arena, place * arena.shape[1])
    for i in range(start, stop):
        for _ in range(20):
            for k in range(values.shape[1]):
                mine[k] = values[i, k]
            total = np.float32(0)
            for k in range(values.shape[1]):
                total += mine[k]
            out[i] += total
    release(taken, place)
    tail(arena, 0)


def total(repeats):
    """Whether rows of small integers, whose sums are exact, are added up without a mistake."""
    values = np.random.default_rng(0).integers(0, 9, (64, 100)).astype(np.float32)
    for _ in range(repeats):
        out = np.zeros(64, np.float32)
        parallel(sums_by_way_of_an_arena, 64, values, out, *arena_for(100))
        np.testing.assert_array_equal(out, 20 * values.sum(1))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_two_threads_share_a_place(count):
    set_num_threads(count)
    total(1 if PLAIN else 200)


def test_several_callers_at_once():
    set_num_threads(3)
    failures = []

    def call():
        try:
            total(1 if PLAIN else 100)
        except BaseException as error:
            failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


@pytest.mark.skipif(PLAIN, reason="one thread works at a time, always in place 0")
def test_who_finds_no_place_does_not_wait_for_ever():
    """A chunk that raised never left its place."""
    with pytest.raises(RuntimeError, match="no place is free"):
        claim_within(np.ones(3, np.int64), 100)


@pytest.mark.skipif(PLAIN, reason="one thread works at a time, always in place 0")
def test_more_threads_than_places_take_turns():
    values = np.random.default_rng(0).integers(0, 9, (64, 100)).astype(np.float32)
    for _ in range(100):
        set_num_threads(2)
        out, arena = np.zeros(64, np.float32), arena_for(100)
        set_num_threads(5)  # by another thread, say, before the kernel starts
        parallel(sums_by_way_of_an_arena, 64, values, out, *arena)
        np.testing.assert_array_equal(out, 20 * values.sum(1))


@pytest.mark.skipif(PLAIN, reason="one thread works at a time, always in place 0")
def test_a_place_is_free_again_once_it_is_left():
    @jit
    def claim_and_release(taken, result):
        result[0] = claim(taken)
        result[1] = claim(taken)
        release(taken, result[0])
        result[2] = claim(taken)

    taken, result = np.zeros(3, np.int64), np.full(3, -1)
    claim_and_release(taken, result)
    np.testing.assert_array_equal(result, [0, 1, 0])
    np.testing.assert_array_equal(taken, [1, 1, 0])


def test_a_room_is_kept_unless_it_is_large():
    set_num_threads(2)
    arena, taken = arena_for(1000)
    assert arena.shape == (2, 1008), "each place is a number of cache lines"
    assert arena.ctypes.data % 64 == arena.strides[0] % 64 == 0
    assert taken.shape == (2,)
    assert arena.dtype == np.float32
    taken[:] = 1  # a kernel that never came back
    again, taken = arena_for(500)
    assert again.shape == (2, 512)
    assert np.shares_memory(arena, again)
    assert not taken.any()
    large, _ = arena_for(tuning.ARENA_KEPT + 1)
    assert not np.shares_memory(large, arena_for(tuning.ARENA_KEPT + 1)[0])
