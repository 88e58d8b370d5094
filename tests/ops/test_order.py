"""Sorting and the largest k: stable, nan last."""
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor


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


def test_sort_is_stable_in_both_directions_and_puts_nan_last():
    x = mg.tensor([1.0, 0.0, 1.0, float("nan"), 0.0])
    values, at = x.sort()
    np.testing.assert_array_equal(at.array, [1, 4, 0, 2, 3])
    np.testing.assert_array_equal(x.sort(descending=True).indices.array, [3, 0, 2, 1, 4])
    np.testing.assert_array_equal(values.array, x.array[at.array])


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("n, k", [(5, 2), (100, 3), (100, 1), (64, 64), (4, 0)])
def test_topk_equals_sorting(n, k, largest):
    x = Tensor(np.random.default_rng(0).standard_normal((3, n)))
    values, at = x.topk(k, largest=largest)
    want = np.sort(x.array, 1)[:, ::-1 if largest else 1][:, :k]
    np.testing.assert_array_equal(values.array, want)
    np.testing.assert_array_equal(np.take_along_axis(x.array, at.array, 1), want)
