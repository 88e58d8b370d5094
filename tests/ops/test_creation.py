"""Making Tensors from numbers: dtypes as torch chooses them, shared memory where promised,
errors."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from minigrad.modes import settings
from minigrad.ops import creation as c

F32, F64, I64, BOOL = map(np.dtype, ("float32", "float64", "int64", "bool"))


@pytest.mark.parametrize("make, dtype, values", [
    (lambda: c.tensor(1.5), F32, 1.5),
    (lambda: c.tensor([1, 2]), I64, [1, 2]),
    (lambda: c.tensor([True, False]), BOOL, [True, False]),
    (lambda: c.tensor([[1.0, 2], [3, 4]]), F32, [[1, 2], [3, 4]]),
    (lambda: c.tensor(np.array([1.0])), F64, [1]),
    (lambda: c.tensor([c.tensor(1.0), c.tensor(2.0)]), F32, [1, 2]),
    (lambda: c.tensor([1, 2], dtype="float64"), F64, [1, 2]),
    (lambda: c.zeros(2, 3), F32, np.zeros((2, 3))),
    (lambda: c.zeros((2, 3), dtype=int), I64, np.zeros((2, 3))),
    (lambda: c.zeros([2]), F32, [0, 0]),
    (lambda: c.zeros(()), F32, 0),
    (lambda: c.zeros(), F32, 0),
    (lambda: c.ones(2), F32, [1, 1]),
    (lambda: c.full((2,), 3), I64, [3, 3]),
    (lambda: c.full((2,), 3.0), F32, [3, 3]),
    (lambda: c.full((2,), True), BOOL, [True, True]),
    (lambda: c.full(2, c.tensor(2.5)), F32, [2.5, 2.5]),
    (lambda: c.arange(4), I64, [0, 1, 2, 3]),
    (lambda: c.arange(1, 8, 3), I64, [1, 4, 7]),
    (lambda: c.arange(3, 0, -1), I64, [3, 2, 1]),
    (lambda: c.arange(3.0), F32, [0, 1, 2]),
    (lambda: c.arange(0, 1, 0.25), F32, [0, 0.25, 0.5, 0.75]),
    (lambda: c.arange(2, 2), I64, []),
    (lambda: c.arange(3, dtype="float64"), F64, [0, 1, 2]),
    (lambda: c.linspace(0, 1, 5), F32, [0, 0.25, 0.5, 0.75, 1]),
    (lambda: c.linspace(3, 3, 1), F32, [3]),
    (lambda: c.eye(2), F32, [[1, 0], [0, 1]]),
    (lambda: c.eye(2, 3), F32, [[1, 0, 0], [0, 1, 0]]),
    (lambda: c.zeros_like(c.arange(2)), I64, [0, 0]),
    (lambda: c.ones_like(c.zeros(2, dtype=F64)), F64, [1, 1]),
    (lambda: c.full_like(c.zeros(2), 7), F32, [7, 7]),
    (lambda: c.ones_like(c.arange(2), dtype=F32, requires_grad=True), F32, [1, 1]),
])
def test_values_and_dtypes(make, dtype, values):
    t = make()
    assert isinstance(t, Tensor) and t.dtype == dtype
    np.testing.assert_array_equal(t.array, values)
    assert t.shape == np.shape(values)
    assert t.is_leaf


@pytest.mark.parametrize("make", [
    lambda **o: c.tensor([1.0], **o), lambda **o: c.zeros(2, **o), lambda **o: c.ones(2, **o),
    lambda **o: c.empty(2, **o), lambda **o: c.full((2,), 1.0, **o), lambda **o: c.eye(2, **o),
    lambda **o: c.arange(2.0, **o), lambda **o: c.linspace(0, 1, 3, **o),
    lambda **o: c.zeros_like(c.ones(2), **o), lambda **o: c.empty_like(c.ones(2), **o),
    lambda **o: c.full_like(c.ones(2), 3, **o)])
def test_options_that_all_take(make):
    assert make(requires_grad=True).requires_grad and not make().requires_grad
    assert make(device="cpu").device == "cpu"
    with pytest.raises(ValueError, match="CPU only, device must be 'cpu', got 'cuda'"):
        make(device="cuda")
    with pytest.raises(TypeError, match="only floating tensors have gradients"):
        make(dtype="int64", requires_grad=True)
    with pytest.raises(TypeError, match="want a dtype"):
        make(dtype="complex64")
    # What is made owns its memory, so that writing in place with a gradient is allowed.
    assert make().array.base is None


def test_memory_is_shared_or_copied_as_promised():
    a = np.zeros(3)
    for t in (c.from_numpy(a), c.as_tensor(a)):
        assert np.shares_memory(t.array, a)
    assert not np.shares_memory(c.tensor(a).array, a)
    assert not np.shares_memory(c.as_tensor(a, dtype="float32").array, a)
    x = c.tensor([1.0], requires_grad=True)
    assert c.as_tensor(x) is x
    assert c.as_tensor(x, dtype=F64).requires_grad           # a conversion in the graph
    assert not c.tensor(x).requires_grad


def test_the_default_dtype():
    before = settings.default_dtype
    try:
        mg.set_default_dtype(np.float64)
        assert c.zeros(1).dtype == c.tensor(1.0).dtype == c.arange(1.0).dtype == F64
        assert c.full((1,), 1.0).dtype == F64
    finally:
        settings.default_dtype = before


def test_arange_does_not_drift():
    x = c.arange(0, 100, 0.1, dtype=F64).array
    assert len(x) == 1000
    np.testing.assert_allclose(x, np.arange(1000) / 10, rtol=1e-14)


@pytest.mark.parametrize("call, error, message", [
    (lambda: c.tensor([[1, 2], [3]]), ValueError, "different lengths"),
    (lambda: c.tensor("text"), TypeError, "want numbers, got str"),
    (lambda: c.tensor([1j]), TypeError, "want numbers"),
    (lambda: c.zeros(2, -1), ValueError, r"zeros: sizes must be 0 or more, got \(2, -1\)"),
    (lambda: c.zeros(2.5), TypeError, "zeros: want a shape"),
    (lambda: c.full((2,), [1, 2]), TypeError, "full: fill_value must be a number, got list"),
    (lambda: c.arange(0, 5, 0), ValueError, "step must not be 0"),
    (lambda: c.arange(5, 0), ValueError, "from 5 to 0 a step of 1 leads away; use step=-1"),
    (lambda: c.arange(float("inf")), ValueError, "finite"),
    (lambda: c.linspace(0, 1, -1), ValueError, "steps must be 0 or more"),
    (lambda: c.from_numpy([1, 2]), TypeError, "want a NumPy array, got list"),
    (lambda: c.from_numpy(np.array(["a"])), TypeError, "want numbers"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
