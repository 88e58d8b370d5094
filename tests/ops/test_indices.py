"""What an index means: one normal form, what is in it, which element is where."""
import numpy as np
import pytest

from minigrad import tensor
from minigrad.ops.indices import (
    dims_taken, integers_first, is_basic, last_writers, may_repeat, normal_index, places_of,
)
from minigrad.ops.indexing import getitem, getitem_grad

I, J = np.array([2, 0, 2]), np.array([[1, 0, 1], [0, 1, 0]])
MASK = np.array([[True, False, True, True], [False, True, False, False], [True] * 4])


def same(a, b):
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("given, ndim, normal", [
    (1, 2, 1), (slice(1, 3), 2, slice(1, 3)), (None, 2, None), (..., 2, ...),
    ((0, slice(None), None), 2, (0, slice(None), None)),
    (np.int64(1), 2, 1), (tensor(1), 2, 1), (np.array(2), 2, 2),
    ([0, 2], 2, (np.array([0, 2]),)), (range(2), 2, (np.array([0, 1]),)),
    ([], 2, (np.zeros(0, np.int64),)), (tensor(I), 2, (I,)),
    ((slice(None), tensor(I)), 2, (slice(None), I)),
    (True, 2, (np.array(True),)), (tensor(MASK), 2, (MASK,)),
    ((tensor(I), ..., I), 2, (I, I)),                       # an Ellipsis of no dimensions
    ((tensor(I), ..., I), 3, (I, ..., I)),
    ((I, ...), 1, (I, ...)),                                # at the end it keeps nothing apart
])
def test_the_normal_form(given, ndim, normal):
    got = normal_index(given, ndim)
    assert same(got, normal)
    assert same(normal_index(got, ndim), normal), "what is normal stays as it is"
    assert is_basic(got) == (not any(
        isinstance(p, np.ndarray) for p in (got if isinstance(got, tuple) else (got,))))


@pytest.mark.parametrize("part, n", [(1, 1), (slice(2), 1), (None, 0), (..., 0), (J, 1), (MASK, 2),
                                     (np.array(True), 0)])
def test_dims_taken(part, n):
    assert dims_taken(part) == n


@pytest.mark.parametrize("index, repeats", [
    (1, False), ((1, None, ...), False), ((MASK,), False), ((I,), True), ((MASK[0], I), True),
    ((0, slice(None), I), True)])
def test_only_integer_arrays_name_an_element_twice(index, repeats):
    assert may_repeat(index) is repeats


@pytest.mark.parametrize("index", [tensor(I), [0, 0], (slice(None), tensor(I)), (0, [1, 1])])
def test_a_gradient_of_what_is_not_normal_is_refused_rather_than_wrong(index):
    """[0, 0] names an element twice: out[index] = g would keep one of the two gradients."""
    with pytest.raises(TypeError, match="no part of a normal index"):
        getitem_grad(np.ones(3), index, (3, 3))
    x = tensor(np.ones((3, 3)), requires_grad=True)
    with pytest.raises(TypeError, match="no part of a normal index"):
        getitem(x, index).sum().backward()


@pytest.mark.parametrize("index, steps", [
    (0, None), ((0, 1), None), ((I, I), None), ((0, I), None), ((slice(None), 1, I), None),
    ((I, slice(None), I), None),                            # no integer: NumPy's order is torch's
    ((0, slice(None), I), ((0, slice(None), slice(None)), (slice(None), I))),
    ((I, None, 1), ((slice(None), None, 1), (I, slice(None)))),
    ((1, ..., MASK), ((1, ..., slice(None), slice(None)), (..., MASK))),
])
def test_integers_come_first_where_numpys_order_would_differ(index, steps):
    got = integers_first(index)
    assert (got is None) == (steps is None)
    if steps is not None:
        assert same(got, steps)
        x = np.arange(3 ** 4 * 4).reshape(3, 3, 3, 3, 4)
        assert np.array_equal(x[got[0]][got[1]], tensor(x)[index].numpy())


@pytest.mark.parametrize("index", [1, (slice(None), 2), (I,), (I, np.array([1, 1, 1])), (MASK,),
                                   (slice(None, None, -1), I), (..., None, 0)])
def test_places_and_the_last_who_writes_there(index):
    shape = (3, 4)
    x = np.random.default_rng(0).standard_normal(shape)
    places = places_of(shape, index)
    assert np.array_equal(x.reshape(-1)[places], x[index])
    flat = places.ravel().tolist()
    last = [p not in flat[k + 1:] for k, p in enumerate(flat)]
    assert last_writers(shape, index).ravel().tolist() == last
