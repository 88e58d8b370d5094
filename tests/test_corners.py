"""minigrad against PyTorch where functions are most often wrong: at infinities and zeros, with an
empty tuple of dimensions, without dimensions, and in pooling where windows hang over the image.

torch's answers are stored (`vectors/corners.json`, made from `vectors/corners.py`): values, dtypes,
shapes, gradients, second derivatives, or that torch refuses. The deliberate differences stand in
`DIFFERENCES`, each with its reason; one that is none any more fails.
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional
from minigrad import nn, tensor

VECTORS = Path(__file__).resolve().parent / "vectors"
sys.path.insert(0, str(VECTORS))

import corners  # noqa: E402

TORCH = json.loads((VECTORS / "corners.json").read_text())

# pattern: (what we may be, why). "number": a number where torch has NaN. "nan": NaN where torch has
# a number. "other": torch's answer is not wanted; tests below say what is.
DIFFERENCES = {
    r"(abs|sign) of (many )?points|elu( alpha)? of points|l1_loss .*|norm (1|inf|-inf) 7": (
        "nan", "a slope at NaN: NaN is never swallowed (torch's elu: in long vectors neither)"),
    r"(hardtanh( bounds)?|relu6) of points": (
        "other", "at NaN torch's slope is 1 in short vectors and 0 in long ones; ours is 0"),
    r"atan2 of pairs|pow .*|0\.0 pow points|prod.*|am(ax|in) of nan": (
        "number", "a finite derivative, from the definition, where torch multiplies 0 by inf"),
    r"norm (0\.5|1\.5|2|2\.5) .*": (
        "number", "at an element of 0 all derivatives that we define are 0"),
    r"logsumexp of (inf|two inf|only -inf) along .": (
        "number", "infinite elements share the gradient evenly; where all are -inf there is none"),
    r"bce logits .*": (
        "number", "an infinite logit costs 0 if it is right, else infinity"),
    r"kl_div (none|sum|mean)": ("number", "0 log 0 is 0, and so is its slope"),
    r"bce (none|sum|mean)": (
        "other", "logarithms are cut off at -100 in gradients, too, so that none is infinite"),
    r"norm -[12] .*": ("other", "negative p is refused: such norms are none"),
    r"(var|std) \(\).*": (
        "other", "torch divides by 0 in the gradient; no degrees of freedom are refused"),
    r"logsumexp \(\), .*": ("other", "torch takes all dimensions with keepdim, refuses without"),
    r"softmax \(\), number": ("other", "a tuple of dimensions is minigrad's own"),
    r"0-d topk 0": ("other", "none of one element is an empty tensor; torch gives the element"),
    r"0-d mT": ("other", "torch warns, we refuse"),
    r"0-d take_along_dim \(\)": ("other", "torch refuses what it takes in gather"),
}


def difference(name: str) -> str | None:
    """What of torch's answer is deliberately not ours."""
    for pattern, (kind, _) in DIFFERENCES.items():
        if re.fullmatch(pattern, name):
            return kind
    return None


def disagreements(want: dict[str, Any], got: dict[str, Any], kind: str | None) -> list[str]:
    """What is not as torch says, but for what `kind` allows."""
    if "refused" in want or "refused" in got:
        return [] if want == got else [f"refused: torch {'refused' in want}, here not so"]
    found = []
    for part in ("out", "grad", "second"):
        # Where torch has zeros we may have no connection at all, and the other way round.
        ours, theirs = got.get(part, []), want.get(part, [])
        n = max(len(ours), len(theirs))
        for i, (a, b) in enumerate(zip(ours + [None] * (n - len(ours)),
                                       theirs + [None] * (n - len(theirs)))):
            if not same(a, b, kind):
                found.append(f"{part} {i}: {a}\ntorch's: {b}")
    return found


def same(a: Any, b: Any, kind: str | None) -> bool:
    """Whether a record, [dtype, shape, values], is torch's."""
    if a is None or b is None:
        return all(v == 0 for v in (a or b or [None, None, []])[2])
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    if a[:2] != b[:2]:
        return False
    x, y = np.array(a[2], np.float64), np.array(b[2], np.float64)
    close = np.isclose(x, y, rtol=3e-5 if a[0] == "float32" else 1e-9, atol=1e-12, equal_nan=True)
    if kind == "number":
        close |= np.isnan(y)
    if kind == "nan":
        close |= np.isnan(x)
    return bool(close.all())


def test_every_case_has_its_answer():
    assert list(TORCH) == list(corners.CASES)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("name", corners.CASES)
def test_as_torch(name):
    kind = difference(name)
    if kind == "other":
        return
    wrong = disagreements(TORCH[name], corners.run(name, minigrad), kind)
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("pattern", DIFFERENCES)
def test_differences_are_differences(pattern):
    names = [n for n in corners.CASES if re.fullmatch(pattern, n)]
    assert any(disagreements(TORCH[n], corners.run(n, minigrad), None) for n in names), \
        "this is as in torch: strike it"


def test_a_wrong_number_is_noticed():
    want = {"out": [["float64", [2], [1.0, math.nan]]], "grad": [["float64", [2], [0.0, 1.0]]]}
    assert not disagreements(want, want, None)
    for part, wrong in [("out", ["float64", [2], [1.0, 2.0]]),
                        ("out", ["float32", [2], [1.0, math.nan]]),
                        ("out", ["float64", [2, 1], [1.0, math.nan]]),
                        ("grad", ["float64", [2], [0.0, 1.00001]]), ("grad", None)]:
        assert disagreements(want, {**want, part: [wrong]}, None)
    assert disagreements(want, {"refused": True}, None)


# ------------------------------------------------------------------------- what ours is, instead

def test_certain_logits_cost_nothing_or_infinity_whatever_the_reduction():
    """It was NaN with reduction="none" and inf with the others, or the other way round."""
    x = np.array([math.inf, -math.inf, math.inf, -math.inf, 0.0])
    y = np.array([1.0, 0.0, 0.0, 1.0, 0.5])
    want = [0.0, 0.0, math.inf, math.inf, math.log(2)]
    for dtype in (np.float32, np.float64):
        for weight in (None, np.ones(1, dtype)):
            for pos_weight in (None, np.ones(1, dtype)):
                for i in range(5):
                    for reduction in ("none", "sum", "mean"):
                        loss = nn.functional.binary_cross_entropy_with_logits(
                            x[i:i + 1].astype(dtype), y[i:i + 1].astype(dtype), weight, reduction,
                            pos_weight)
                        np.testing.assert_allclose(loss, [want[i]] if reduction == "none"
                                                   else want[i], rtol=1e-6)


def test_binary_cross_entropy_is_cut_off_in_its_gradients_too():
    x = tensor([0.0, 1.0], dtype=minigrad.float64, requires_grad=True)
    y = tensor([1.0, 0.0], dtype=minigrad.float64, requires_grad=True)
    loss = nn.functional.binary_cross_entropy(x, y, reduction="sum")
    assert loss.item() == 200.0
    gx, gy = minigrad.grad(loss, [x, y])
    assert np.isfinite(gx.numpy()).all()
    np.testing.assert_array_equal(gy, [100.0, -100.0])


def test_elements_that_are_infinite_share_the_slope_of_logsumexp():
    for row, want in [([math.inf, 1.0], [1, 0]), ([math.inf, math.inf, 0.0], [0.5, 0.5, 0]),
                      ([-math.inf, -math.inf], [0, 0])]:
        x = tensor(row, requires_grad=True)
        np.testing.assert_array_equal(minigrad.grad(x.logsumexp(0), x)[0], want)


def test_no_warning_comes_from_inside_a_rule():
    """Warnings are errors here: x ** 0 at 0 gave one from a branch that nobody sees."""
    zero = lambda: tensor([0.0, 2.0], dtype=minigrad.float64, requires_grad=True)
    for function in (lambda x: x ** 0, lambda x: x ** 0.0, lambda x: x ** tensor([0.0, 0.0]),
                     lambda x: x ** tensor([0, 0]), lambda x: 0.0 ** x, lambda x: 0 ** x,
                     lambda x: x.norm(0.5), lambda x: x.norm(0), lambda x: x.norm(1.5),
                     lambda x: (x * 0).norm(3), lambda x: minigrad.atan2(x, x * 0.0),
                     lambda x: (x * 0).std(correction=0), lambda x: x.prod(),
                     lambda x: nn.functional.kl_div(x, x)):
        x = zero()
        y = function(x).sum()
        if not y.requires_grad:                            # a count of elements has no slope
            continue
        g, = minigrad.grad(y, x, create_graph=True)
        h = minigrad.grad(g.sum(), x, allow_unused=True) if g.requires_grad else (None,)
        assert np.isfinite(y.item()) and np.isfinite(g.detach().numpy()).all()
        assert h[0] is None or np.isfinite(h[0].numpy()).all()


def test_the_slope_of_a_power_has_all_digits():
    """log 2 came in float32 for a float64 exponent."""
    x = tensor([1.0], dtype=minigrad.float64, requires_grad=True)
    assert minigrad.grad(2.0 ** x, x)[0].item() == 2 * math.log(2)


def test_windows_that_see_no_cell():
    """torch names a cell that does not exist, and its gradient writes there."""
    x = tensor(np.ones((1, 1, 1)), requires_grad=True)
    y, at = nn.functional.max_pool2d(x, 2, 2, 1, 2, True, return_indices=True)
    assert y.item() == -math.inf and at.item() == -1
    assert minigrad.grad(y, x)[0].item() == 0.0
    assert nn.functional.max_pool2d(x, 2, 2, 1, 2, True).item() == -math.inf


def test_what_has_no_dimensions_is_refused_with_the_reason():
    x = tensor(np.ones((2, 3)))
    for call, word in [(lambda: x.softmax(()), "no dimension"), (lambda: x.roll((), ()), "shift"),
                       (lambda: tensor(1.0).index_select(0, tensor([0, 0])), "one slice"),
                       (lambda: tensor(1.0).index_add(0, tensor([0]), tensor([1.0])), "number"),
                       (lambda: tensor(1.0).take_along_dim(tensor([0]), 0), "equally many"),
                       (lambda: tensor(1.0).norm(-1), "p must be")]:
        with pytest.raises(ValueError, match=word):
            call()


# --- what a second review found ------------------------------------------------------------------

@pytest.mark.parametrize("lead", [(1,), (1, 1)])
@pytest.mark.parametrize("shape", [(), (1,), (8,)])
def test_a_value_may_have_ones_in_front_of_what_a_mask_selects(lead: tuple[int, ...],
                                                               shape: tuple[int, ...]) -> None:
    x = minigrad.zeros(2, 4)
    values = np.arange(1, 1 + math.prod(shape), dtype=np.float32)
    x[x == 0] = tensor(values.reshape(*lead, *shape))
    assert x.tolist() == np.broadcast_to(values.reshape(shape), (8,)).reshape(2, 4).tolist()


def test_a_value_that_does_not_fit_what_a_mask_selects_is_refused() -> None:
    x = minigrad.zeros(2, 4)
    with pytest.raises(ValueError, match=r"setitem: a value of shape \(2, 4\) does not broadcast"):
        x[x == 0] = minigrad.ones(2, 4)
    assert not x.any()


def test_the_gradient_of_a_value_with_ones_in_front_of_a_mask() -> None:
    x, v = minigrad.zeros(3), minigrad.ones(1, 2, requires_grad=True)
    x[tensor([True, False, True])] = v
    (x * tensor([1.0, 2.0, 3.0])).sum().backward()
    assert v.grad is not None and v.grad.tolist() == [[1.0, 3.0]]


@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("shape", [(0, 0), (0, 2), (2, 0), (3, 0, 0)])
def test_the_diagonal_of_an_empty_matrix(shape: tuple[int, ...], offset: int) -> None:
    x = minigrad.zeros(shape, requires_grad=True)
    y = x.diagonal(offset, -2, -1)
    assert y.shape == (*shape[:-2], 0)
    y.sum().backward()
    assert x.grad is not None and x.grad.shape == shape


@pytest.mark.parametrize("rows, columns", [(1, 0), (0, 1), (0, 0)])
def test_long_products_of_batches_without_rows_or_columns(rows: int, columns: int) -> None:
    n = 1 << 14
    y = minigrad.bmm(minigrad.ones(2, rows, n), minigrad.ones(2, n, columns))
    assert y.shape == (2, rows, columns)


def test_a_power_of_booleans_is_int64() -> None:
    y = tensor([True, False]) ** 2
    assert y.dtype == np.int64 and y.tolist() == [1, 0]
    assert (tensor([True, False]) ** 0).tolist() == [1, 1]
    assert (tensor(True) ** 2).dtype == np.int64


def test_chunks_of_an_empty_dimension_are_as_many_as_asked_for() -> None:
    assert [part.shape for part in minigrad.zeros(3, 0).chunk(2, 1)] == [(3, 0), (3, 0)]


def test_unflatten_cannot_infer_a_size_beside_a_zero() -> None:
    with pytest.raises(ValueError, match="unflatten: the -1"):
        minigrad.zeros(0).unflatten(0, (0, -1))


def test_floats_have_no_bits_to_flip() -> None:
    with pytest.raises(TypeError, match="bitwise_not: floats have no bits"):
        ~minigrad.ones(2)
