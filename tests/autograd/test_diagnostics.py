"""Values that were overwritten and graphs that were freed are named, with both lines."""
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad, no_grad
from minigrad.ops.elementwise import exp


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


def test_second_backward_names_the_op_and_the_way_out():
    x = leaf(1.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError,
                       match=r"'mul' \(.*test_diagnostics.py:\d+ in .*retain_graph=True"):
        y.backward()


def test_an_overwritten_value_is_reported_with_both_lines():
    w = leaf(1.0, 2.0)
    y = w * w                                       # saves w
    with no_grad():
        w += 1.0                                    # writes into it
    line = sys._getframe().f_lineno
    with pytest.raises(RuntimeError) as error:
        y.backward(np.ones(2))
    message = str(error.value)
    assert "'mul'" in message and "overwritten in place" in message
    for at in (line - 3, line - 1):
        assert f"test_diagnostics.py:{at}" in message


def test_an_overwritten_leaf_is_called_by_its_name():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    a.name, b.name = "data", "weights"
    y = (a * 2.0) * b
    with no_grad():
        b += 1.0
    with pytest.raises(RuntimeError, match=r"saved other \(leaf 'weights'\), of shape \(2,\)"):
        y.backward(np.ones(2))
    y = b * a.unsqueeze(0)
    with no_grad():
        a += 1.0
    with pytest.raises(RuntimeError, match=r"saved other, of shape \(1, 2\)"):    # a view of it
        y.backward(np.ones((1, 2)))


def test_a_write_through_a_view_counts():
    w = leaf(1.0, 2.0, 3.0)
    y = exp(w)
    out = y.detach()
    out[1:] = 0.0
    with pytest.raises(RuntimeError, match="'exp'.*saved out"):
        y.backward(np.ones(3))


def test_a_write_after_backward_or_of_something_else_is_fine():
    w, other = leaf(1.0, 2.0), leaf(1.0, 2.0)
    y = w * w
    with no_grad():
        other += 1.0
    y.backward(np.ones(2))
    with no_grad():
        w -= 0.1
    (w * w).backward(np.ones(2))


def test_an_unneeded_value_may_be_overwritten():
    x = leaf(1.0, 2.0)
    buffer = Tensor(np.zeros(2))
    y = x + buffer                                  # add saves nothing
    buffer += 1.0
    y.backward(np.ones(2))


def test_node_tells_where_it_was_made():
    y = leaf(1.0) * 2.0
    assert f"test_diagnostics.py:{sys._getframe().f_lineno - 1}" in repr(y.grad_fn)


def test_a_freed_graph_is_named_rather_than_called_unused():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    grad(y, x)
    for again in (lambda: grad(y, x), lambda: grad(y, x, allow_unused=True),
                  lambda: y.backward(inputs=[x])):
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            again()


def test_a_path_that_was_freed_is_not_left_out_in_silence():
    """grad() once added up what came by the other paths."""
    x = leaf(1.0, 2.0)
    h = x * 3.0
    y = (h * h).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="'mul' .* retain_graph=True"):
        grad(h.sum() + y, h)
    with pytest.raises(RuntimeError, match="'mul' .* retain_graph=True"):
        (h.sum() + y).backward()
    g, none = grad((h.detach() * x).sum() + y.detach(), [x, h], allow_unused=True)
    assert g.tolist() == [3.0, 6.0] and none is None
    fake = (x * 2.0).exp()                          # a generator and its judge
    fake.sum().backward()
    w = leaf(2.0, 3.0)
    assert grad((fake * w).sum(), w)[0].tolist() == fake.tolist()


def test_what_no_rule_that_runs_needs_may_be_overwritten():
    w, buffer = leaf(2.0, 3.0), Tensor(np.array([5.0, 7.0]))
    y = (w * buffer).sum()                          # saves w too, but for the gradient of buffer
    with no_grad():
        w += 1.0
    y.backward()
    assert w.grad.tolist() == [5.0, 7.0]
    y = (w * buffer).sum()
    buffer += 1.0
    with pytest.raises(RuntimeError, match="saved other"):
        y.backward()


def test_a_leaf_of_another_shape_than_when_it_was_used_is_refused():
    x = leaf(1.0, 2.0)
    y = (x * 2.0).sum()
    x.data = np.ones(3)
    with pytest.raises(RuntimeError, match=r"had shape \(2,\).*\(3,\) now"):
        y.backward()


def test_a_gradient_that_was_saved_and_then_added_to_is_noticed():
    x, w = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)
    (x * 2.0).sum().backward()
    y = (w * x.grad).sum()
    (x * 3.0).sum().backward()
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()
