"""Indexing, reading and writing: NumPy's answers, exact gradients, errors that say what is wrong.

That each op equals its reference and has right derivatives is the business of test_ops.py; here is
what random indices, memory and shared places bring.
"""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, grad, no_grad


def leaf(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


# --- x[index] ------------------------------------------------------------------------------------

@st.composite
def indices(draw, shape):
    """An index of any kind that NumPy accepts for this shape."""
    parts, dim = [], 0
    while dim < len(shape):
        n = shape[dim]
        kind = draw(st.sampled_from(["int", "slice", "none", "array", "array2", "mask", "stop"]))
        if kind == "stop":
            break
        if kind == "none":
            parts.append(None)
            if len(parts) > 6:
                break
            continue
        if kind == "int":
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 1, n + 1)
            step = draw(st.sampled_from([None, 1, 2, -1, -2]))
            parts.append(slice(draw(bound), draw(bound), step))
        elif kind == "array":
            parts.append(np.array(draw(st.lists(st.integers(-n, n - 1), min_size=3, max_size=3))))
        elif kind == "array2":
            at = draw(st.lists(st.integers(0, n - 1), min_size=6, max_size=6))
            parts.append(np.array(at).reshape(2, 3))
        else:
            mask = np.zeros(n, bool)
            mask[:3] = True                        # three, so that it broadcasts with the arrays
            parts.append(mask)
        dim += 1
    if draw(st.booleans()):
        parts.append(Ellipsis)
    return tuple(parts)


def places(shape, index):
    """The flat place of each element of x[index]: NumPy's rules, but integers first, as torch."""
    numbers, rest, dim = np.arange(np.prod(shape)).reshape(shape), [], 0
    for part in index:
        if isinstance(part, int):
            numbers = np.take(numbers, part, axis=dim)
        else:
            rest.append(part)
            dim += part is not None
    return numbers[tuple(rest)]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_index_reads_its_places_and_adds_gradients_back(data):
    shape = (3, 4, 5)
    index = data.draw(indices(shape))
    x = leaf(*shape)
    at = places(shape, index)
    want = x.array.ravel()[at]
    y = x[tuple(Tensor(p) if isinstance(p, np.ndarray) else p for p in index)]
    np.testing.assert_array_equal(y.array, want)
    assert y.shape == want.shape
    if not y.array.size:
        return
    u = np.random.default_rng(1).standard_normal(y.shape)
    g, = grad(y, x, Tensor(u))
    expected = np.zeros(np.prod(shape))
    np.add.at(expected, at, u)
    np.testing.assert_allclose(g.array.ravel(), expected, rtol=1e-14, atol=1e-15)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_index_writes_its_places_and_gives_gradients_to_what_stays(data):
    shape = (3, 4, 5)
    index = data.draw(indices(shape))
    at = places(shape, index)
    base, place = leaf(*shape), at.shape
    value = leaf(*place, seed=1)
    x = base * 1.0
    x[index] = value
    want = base.array.copy()
    want.reshape(-1)[at.ravel()] = value.array.ravel()
    np.testing.assert_array_equal(x.array, want)
    u = np.random.default_rng(2).standard_normal(shape)
    gb, gv = grad(x, [base, value], Tensor(u))
    # Which value stayed at each place: numbers written the same way.
    stayed = np.full(shape, -1)
    numbers = np.arange(value.array.size).reshape(place)
    stayed.reshape(-1)[at.ravel()] = numbers.ravel()
    np.testing.assert_array_equal(gb.array, np.where(stayed < 0, u, 0.0))
    expected = np.zeros(value.array.size)
    expected[stayed[stayed >= 0]] = u[stayed >= 0]
    np.testing.assert_array_equal(gv.array, expected.reshape(place))


def test_basic_indices_are_views_and_tensors_are_copies():
    x = mg.zeros(3, 4)
    x[1][2] = 5.0
    assert x.array[1, 2] == 5
    x[0, 0].fill_(7.0)                             # also a view of one element
    assert x.array[0, 0] == 7
    x[[0, 1]].fill_(9.0)
    assert x.array.max() == 7


def test_repeated_rows_accumulate_as_an_embedding_needs():
    table = leaf(7, 3)
    at = np.random.default_rng(0).integers(-7, 7, (40, 5))
    g, = grad((table[Tensor(at)] * 2.0).sum(), table)
    counts = np.bincount(at.ravel() % 7, minlength=7)
    np.testing.assert_allclose(g.array, np.repeat(2.0 * counts[:, None], 3, 1))


def test_lists_ranges_masks_and_zero_dimensional_tensors_as_indices():
    x = mg.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(x[[2, 0]].array, x.array[[2, 0]])
    np.testing.assert_array_equal(x[range(2)].array, x.array[:2])
    np.testing.assert_array_equal(x[[True, False, True]].array, x.array[[True, False, True]])
    np.testing.assert_array_equal(x[mg.tensor(1)].array, x.array[1])
    np.testing.assert_array_equal(x[:, np.int64(1)].array, x.array[:, 1])
    np.testing.assert_array_equal(x[x > 5].array, x.array[x.array > 5])
    assert x[[]].shape == (0, 4)


@pytest.mark.parametrize("index, error, message", [
    (3, IndexError,
     r"getitem: index 3 is out of range for dimension 0 of size 3 \(valid: -3 to 2\)"),
    ((0, -5), IndexError, r"index -5 is out of range for dimension 1 of size 4"),
    ((slice(None), [0, 4]), IndexError, r"index 4 is out of range for dimension 1 of size 4"),
    ((Ellipsis, 4), IndexError, r"index 4 is out of range for dimension 1 of size 4"),
    ((0, 0, 0), IndexError, r"3 indices for a tensor of 2 dimensions \(shape \(3, 4\)\)"),
    ([True, False], IndexError, r"mask of shape \(2,\) does not fit dimension"),
    (([0, 1], [0, 1, 2]), IndexError, r"shapes \[\(2,\), \(3,\)\]"),
    (mg.tensor([0.0]), TypeError, r"integers or booleans, got a tensor of float32.*index.long\(\)"),
    (1.5, TypeError, r"an index must be an integer.*got float 1.5"),
    ("a", TypeError, r"got str 'a'"),
])
def test_wrong_indices(index, error, message):
    x = mg.zeros(3, 4)
    with pytest.raises(error, match=message):
        x[index]
    with pytest.raises(error, match=message.replace("getitem", "setitem")):
        x[index] = 1.0


@pytest.mark.parametrize("index, message", [
    (([0, 1], Ellipsis, [0, 4]), r"index 4 is out of range for dimension 2 of size 4"),
    ((None, [0, 1], Ellipsis, [0, -5]), r"index -5 is out of range for dimension 2 of size 4"),
    (([0, 1], Ellipsis, [True, False]),
     r"mask of shape \(2,\) does not fit dimension 2 of the tensor, of shape \(4,\)"),
    (np.ones((2, 2), bool), r"mask of shape \(2, 2\) does not fit dimensions 0 to 1 of"),
    (([], 3), r"index 3 is out of range for dimension 1 of size 3"),
    ((Ellipsis, 0, Ellipsis), r"single ellipsis"),
])
def test_wrong_indices_are_found_behind_an_ellipsis_and_beside_empty_ones(index, message):
    with pytest.raises(IndexError, match=message):
        mg.zeros(2, 3, 4)[index]
    with pytest.raises(IndexError, match=message):
        mg.zeros(2, 3, 4)[index] = 1.0


# --- x[index] = value ----------------------------------------------------------------------------

def test_writing_without_gradient_goes_into_the_memory():
    a = np.zeros((2, 3))
    x = mg.from_numpy(a)
    x[0] = mg.tensor([1.0, 2.0, 3.0])
    x[:, 1] = [8.0, 9.0]
    np.testing.assert_array_equal(a, [[1, 8, 3], [0, 9, 0]])
    w = leaf(3)
    with no_grad():
        w[0] = 5.0
    assert w.is_leaf and w.requires_grad and w.array[0] == 5


def test_writing_over_a_saved_value_is_noticed_with_its_line():
    x = leaf(3)
    y = mg.zeros(3, dtype="float64") + 2.0
    z = (x * y).sum()
    y[0] = 1.0
    with pytest.raises(RuntimeError, match=r"overwritten in place at .*test_indexing.py:\d+"):
        z.backward()


def test_filling_in_a_loop_copies_nothing_and_differentiates():
    h = leaf(4)
    out = mg.zeros(6, 4, dtype="float64")
    place = out.array.ctypes.data
    for t in range(6):
        out[t] = h * float(t)
        now = out.array.ctypes.data                # nothing may hold the array meanwhile
        assert now == place
    g, = grad((out * out).sum(), h)
    np.testing.assert_allclose(g.array, h.array * 2 * sum(t * t for t in range(6)))


@pytest.mark.parametrize("holder", ["detach", "view", "saved", "numpy", "memoryview", "graph"])
def test_what_others_hold_is_never_written(holder):
    """While anyone can see the memory, a recorded write works on a copy."""
    v, w = leaf(1), leaf(3, seed=1)
    x = mg.zeros(3, dtype="float64")
    if holder == "graph":
        x[1] = v[0]
    before = x.array.copy()
    held = {"detach": lambda: x.detach(), "view": lambda: x[:2], "saved": lambda: (w * x).sum(),
            "numpy": lambda: x.array, "memoryview": lambda: memoryview(x.array),
            "graph": lambda: (w * x).sum()}[holder]()
    x[0] = v[0]
    assert x.array[0] == v.array[0]
    if holder in ("saved", "graph"):
        g, = grad(held, w)
        np.testing.assert_array_equal(g.array, before)
    else:
        seen = np.asarray(held.array if isinstance(held, Tensor) else held)
        np.testing.assert_array_equal(seen, before[:len(seen)])


def test_writing_the_same_place_twice_gives_the_last_its_gradient():
    a, b = leaf(2), leaf(2, seed=1)
    x = mg.zeros(2, dtype="float64")
    x[0] = a[0]
    x[0] = b[0]
    ga, gb = grad(x.sum(), [a, b])
    np.testing.assert_array_equal(ga.array, [0, 0])
    np.testing.assert_array_equal(gb.array, [1, 0])


def test_masked_assignment_with_gradient():
    base = leaf(3, 4)
    x = base * 1.0
    x[x < 0] = 0.0
    g, = grad(x.sum(), base)
    np.testing.assert_array_equal(g.array, base.array > 0)


def test_where_a_gradient_would_be_lost_writing_is_refused():
    x, v = leaf(3), leaf(3, seed=1)
    with pytest.raises(ValueError, match="leaf that requires grad.*no_grad"):
        x[0] = 1.0
    y = mg.zeros(2, 3, dtype="float64")
    with pytest.raises(ValueError, match="is a view"):
        y.reshape(-1)[1] = v[1]
    n = mg.zeros(3, dtype="int64")
    with pytest.raises(TypeError, match=r"tensor of int64: its gradient would be lost"):
        n[0] = v[0]


def test_what_is_done_to_a_view_is_done_to_what_it_views():
    base, v = leaf(3, 4), leaf(4, seed=1)
    x = base * 1.0
    x[1] += v                                      # reads a view, changes it, writes it back
    x[0][1:][1] = v[3]                             # a view of a view of a view
    row = x[2]
    row *= 2.0                                     # a view with a name
    want = base.array.copy()
    want[1] += v.array
    want[0, 2] = v.array[3]
    want[2] *= 2.0
    np.testing.assert_array_equal(x.array, want)
    np.testing.assert_array_equal(row.array, want[2])
    u = np.random.default_rng(2).standard_normal((3, 4))
    gb, gv = grad((x * Tensor(u)).sum() + row.sum(), [base, v])
    expected = u.copy()
    expected[0, 2] = 0.0
    expected[2] = 2.0 * (u[2] + 1.0)
    np.testing.assert_allclose(gb.array, expected)
    np.testing.assert_allclose(gv.array, u[1] + [0, 0, 0, u[0, 2]])


def test_a_view_of_what_has_changed_since_is_refused():
    base = leaf(3, 4)
    x = base * 1.0
    old = x[0]
    x[1] = base[2]                                 # x has other memory now, old keeps the former
    with pytest.raises(ValueError, match="changed since"):
        old += 1.0


@pytest.mark.parametrize("recorded", [False, True])
def test_a_value_that_does_not_fit(recorded):
    x = mg.zeros(3, 4, dtype="float64")
    value = leaf(3) if recorded else mg.zeros(3)
    with pytest.raises(ValueError, match=r"setitem: a value of shape \(3,\) does not broadcast to "
                                         r"\(4,\), the shape of x\[index\]"):
        x[0] = value
    with pytest.raises(ValueError, match="read-only"):
        mg.zeros(1).expand(3)[0] = 1.0


def test_setitem_second_order_through_a_value():
    x = leaf(3)
    y = mg.zeros(3, dtype="float64")
    y[1:] = x[:2] ** 3
    g, = grad(y.sum(), x, create_graph=True)
    gg, = grad(g.sum(), x)
    np.testing.assert_allclose(gg.array, [*(6 * x.array[:2]), 0])


# --- along a dimension, masks, order -------------------------------------------------------------

def test_one_element_takes_a_value_that_has_ones_in_front():
    """x[0] of a vector is one element; NumPy takes a value of shape (1,) only where a dimension is
    left."""
    x = mg.tensor([1.0, 2.0])
    x[0] = mg.tensor([5.0])
    x[mg.tensor(1)] = np.array([[6.0]])
    assert x.tolist() == [5.0, 6.0]
    w, v = mg.ones(2, requires_grad=True), mg.tensor([[7.0]], requires_grad=True)
    y = w * 1
    y[-1] = v
    (y * mg.tensor([2.0, 3.0])).sum().backward()
    assert y.tolist() == [1.0, 7.0]
    assert v.grad.tolist() == [[3.0]] and w.grad.tolist() == [2.0, 0.0]
    with pytest.raises(ValueError, match="setitem: a value of shape .2,. does not broadcast"):
        x[0] = mg.tensor([1.0, 2.0])
    with pytest.raises(IndexError, match="setitem: index 5 is out of range"):
        x[5] = mg.tensor([1.0])


def test_a_mask_takes_values_with_ones_in_front():
    for value in (mg.ones(1, 1), mg.ones(1, 8), mg.ones(1, 1, 8)):
        x = mg.zeros(2, 4)
        x[x == 0] = value
        assert x.tolist() == np.ones((2, 4)).tolist()
    x = mg.zeros(2, 4)
    with pytest.raises(ValueError, match="^setitem: a value of shape .2, 4. does not broadcast"):
        x[x == 0] = mg.ones(2, 4)
