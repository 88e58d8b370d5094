"""gather, scatter and masks beyond their samples: what they refuse, what stays finite."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import grad
from minigrad.ops import gather, matrix


@pytest.mark.parametrize("call, error, message", [
    (lambda x: x.gather(1, mg.tensor([[0, 4]])), IndexError,
     r"gather: index 4 is out of range for dimension 1 of size 4 \(valid: 0 to 3\)"),
    (lambda x: x.gather(1, mg.tensor([[0, -1]])), IndexError, r"index -1 is out of range"),
    (lambda x: x.gather(1, mg.tensor([0, 1])), ValueError, r"1 dimensions.*index.unsqueeze\(1\)"),
    (lambda x: x.gather(1, mg.zeros(3, 1)), TypeError, r"integer tensor, got float32.*index.long"),
    (lambda x: x.gather(1, mg.zeros(5, 1, dtype="int64")), ValueError, r"size 5 in dimension 0"),
    (lambda x: x.gather(2, mg.zeros(3, 1, dtype="int64")), ValueError, r"dim=2 does not exist"),
    (lambda x: x.scatter(1, mg.zeros(3, 1, dtype="int64"), mg.zeros(3, 2)), ValueError,
     r"scatter: src has shape \(3, 2\), index \(3, 1\)"),
    (lambda x: x.scatter_add(0, mg.tensor([[3]]), mg.zeros(1, 1)), IndexError,
     r"scatter_add: index 3 is out of range for dimension 0"),
    (lambda x: x.index_select(0, mg.tensor([3])), IndexError, r"index 3 is out of range"),
    (lambda x: x.index_select(0, mg.tensor([0.0])), TypeError, r"index_select: .*float32"),
    (lambda x: x.index_add(0, mg.tensor([0]), mg.zeros(2, 4)), ValueError, r"want \(1, 4\)"),
    (lambda x: x.masked_fill(mg.tensor([0, 1, 0, 1]), 1.0), TypeError, r"mask.bool\(\)"),
    (lambda x: x.masked_fill(mg.ones(2, 3, 4) > 0, 1.0), ValueError,
     r"does not broadcast to the input"),
    (lambda x: x.topk(5), ValueError, r"topk: k=5 of 4 elements along dim -1"),
    (lambda x: gather.one_hot(mg.tensor([0, 3]), 3), ValueError,
     r"class 3 is out of range for num_classes=3 \(valid: 0 to 2\)"),
    (lambda x: gather.one_hot(x), TypeError, r"one_hot: want integer class indices, got float32"),
    (lambda x: matrix.diag(mg.zeros(1, 1, 1)), ValueError, r"vector or a matrix"),
    (lambda x: x.diagonal(dim1=1), ValueError, r"names a dimension twice"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(mg.zeros(3, 4))


def test_nonzero():
    x = mg.tensor([[0, 1], [2, 0]])
    np.testing.assert_array_equal(x.nonzero().array, [[0, 1], [1, 0]])
    rows, columns = x.nonzero(as_tuple=True)
    np.testing.assert_array_equal(x[rows, columns].array, [1, 2])


def test_masked_fill_with_infinity_keeps_dtype_and_gradient_finite():
    x = mg.randn(3, 3, requires_grad=True)
    y = x.masked_fill(mg.ones(3, 3).triu(1).bool(), -np.inf)
    assert y.dtype == np.float32 and np.isneginf(y.array[0, 1])
    g, = grad(y, x, mg.ones(3, 3))
    np.testing.assert_array_equal(g.array, np.tril(np.ones((3, 3))))


@pytest.mark.parametrize("index", [[[1, 1], [0, 2]], [[3], [3]], [[1, 0, 1, 1], [2, 2, 2, 2]]])
def test_an_index_that_comes_again_in_a_line_gets_all_its_gradients(index):
    x = mg.Tensor(np.ones((2, 4)), requires_grad=True)
    g, = grad(x.gather(1, mg.tensor(index)).sum(), x)
    np.testing.assert_array_equal(g.array, [np.bincount(line, minlength=4) for line in index])
