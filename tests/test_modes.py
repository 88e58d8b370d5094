"""Grad mode and default dtype: inside, outside, after exceptions, in threads, as decorators."""
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, enable_grad, no_grad


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


def test_no_grad_records_nothing_and_enable_grad_records_inside():
    x = leaf(1.0)
    with no_grad():
        assert not (x * 2.0).requires_grad
        with enable_grad():
            assert (x * 2.0).requires_grad
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()


def test_grad_mode_is_restored_after_an_exception_and_works_as_decorator():
    @no_grad()
    def with_call(x):
        return x * 2.0

    @no_grad
    def without_call(x):
        return x * 2.0
    x = leaf(1.0)
    assert not with_call(x).requires_grad and not without_call(x).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert mg.is_grad_enabled()


def test_set_grad_enabled_as_call_and_as_context():
    with mg.set_grad_enabled(False):
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()
    mg.set_grad_enabled(False)
    try:
        assert not mg.is_grad_enabled()
    finally:
        mg.set_grad_enabled(True)


def test_grad_mode_belongs_to_the_thread():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(mg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_default_dtype():
    before = mg.get_default_dtype()
    try:
        mg.set_default_dtype(np.float64)
        assert Tensor([1.0]).dtype == np.float64
        with pytest.raises(TypeError, match="int64"):
            mg.set_default_dtype(np.int64)
    finally:
        mg.set_default_dtype(before)


def test_set_grad_enabled_as_decorator_leaves_the_mode_alone():
    @mg.set_grad_enabled(False)
    def f():
        return mg.is_grad_enabled()
    assert mg.is_grad_enabled() and not f() and mg.is_grad_enabled()


def test_a_decorated_function_restores_the_mode_of_each_thread():
    inside, other_inside, left = threading.Event(), threading.Event(), threading.Event()
    after = {}

    @mg.no_grad()
    def meet(mine, theirs):
        mine.set()
        assert theirs.wait(10)

    def recording():
        meet(inside, other_inside)
        after["recording"] = mg.is_grad_enabled()
        left.set()

    def not_recording():
        assert inside.wait(10)
        with mg.no_grad():
            meet(other_inside, left)
            after["not recording"] = mg.is_grad_enabled()
    threads = [threading.Thread(target=t) for t in (recording, not_recording)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert after == {"recording": True, "not recording": False}


def test_a_decorated_generator_is_in_the_mode_at_each_step_only():
    @mg.no_grad()
    def steps(n):
        for _ in range(n):
            yield mg.is_grad_enabled()
    seen = [(mode, mg.is_grad_enabled()) for mode in steps(2)]
    assert seen == [(False, True)] * 2 and mg.is_grad_enabled()
