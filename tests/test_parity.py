"""minigrad against PyTorch's stored results: values, gradients, dtypes, steps, laws.

The vectors were made by `vectors/make_vectors.py`; no torch is needed here.  To run the very same
tests under torch itself (does the harness ask for the right thing?):
`PARITY_NAMESPACE=torch python -m pytest tests/test_parity.py`.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

VECTORS = Path(__file__).resolve().parent / "vectors"
sys.path.insert(0, str(VECTORS))

import laws  # noqa: E402
import needed  # noqa: E402
import optimisers  # noqa: E402
from cases import CASES, UNARY  # noqa: E402
from harness import Case, Vectors, disagreement, load_namespace, run_case  # noqa: E402

NAMESPACE = os.environ.get("PARITY_NAMESPACE", "minigrad")
DTYPES = ("float64", "float32")

# Names that torch has and that the library may lack. Their cases run as soon as it has them,
# without an edit here. Any other name that is missing is a failure: no case is lost in silence.
MAY_BE_ABSENT = frozenset({"Tensor.cumprod"})
LIBRARY = load_namespace(NAMESPACE)
ABSENT = frozenset(name for name in MAY_BE_ABSENT if not needed.has(LIBRARY, name))
PRESENT_CASES = [c for c in CASES if c.needs not in ABSENT]


@pytest.fixture(scope="module")
def t() -> Any:
    """The library under test."""
    return LIBRARY


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """torch's results."""
    return Vectors()


def test_every_case_has_its_vectors(vectors: Vectors) -> None:
    assert [c.name for c in CASES] == list(vectors.results)


def test_every_case_of_a_name_that_exists_runs() -> None:
    left_out = {c.needs for c in CASES} - {c.needs for c in PRESENT_CASES}
    assert left_out == ABSENT, f"no case needs {sorted(ABSENT - left_out)}"
    assert not any(needed.has(LIBRARY, name) for name in left_out)


def test_names_that_the_cases_use_exist(t: Any) -> None:
    public, _ = needed.names()
    public |= {n for name in UNARY for n in (name, f"Tensor.{name}")}
    missing = sorted(
        name
        for name in public
        if not needed.has(t, name) and not {name, name.removeprefix("Tensor.")} & ABSENT
    )
    assert not missing


# NumPy warns at log(0), where torch is silent; compared here is what comes out.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", PRESENT_CASES, ids=lambda c: c.name)
def test_parity(t: Any, vectors: Vectors, case: Case, dtype: str) -> None:
    want = vectors.results[case.name]
    got = run_case(case, t, dtype)
    assert json.loads(json.dumps(got.facts)) == want.facts
    assert [str(a.dtype) for a in got.outputs] == vectors.dtypes(case.name, dtype)
    for name, gradient in got.grads.items():
        assert str(gradient.dtype) == dtype, f"gradient of {name} has dtype {gradient.dtype}"
    assert got.grads.keys() == want.grads.keys()
    for (label, a), (_, b) in zip(got.arrays(), want.arrays(), strict=True):
        assert a.shape == b.shape, f"{label}: shape {a.shape}, torch's {b.shape}"
        # A case may cast to float32 itself: then only float32's digits can be asked for.
        rounded = "float32" if a.dtype == np.float32 else dtype
        share = disagreement(a, b, rounded)
        assert share <= 1, f"{label} is {share:.3g} times the tolerance off:\n{a}\ntorch's\n{b}"


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-10), ("float32", 2e-5)])
def test_a_small_error_is_noticed(dtype: str, error: float) -> None:
    """The comparison above must see one wrong digit, a lost nan and a wrong shape."""
    right = np.array([[0.5, -2.0], [1.5, 0.25]])
    wrong = right.copy()
    wrong[0, 1] *= 1 + error
    lost = np.array([[0.5, np.nan], [1.5, 0.25]])
    assert disagreement(right.copy(), right, dtype) == 0
    assert disagreement(wrong, right, dtype) > 1
    assert disagreement(right, lost, dtype) == disagreement(lost, right, dtype) == math.inf
    assert disagreement(right[None], right, dtype) == math.inf
    assert disagreement(np.array([1, 2]), np.array([1, 3]), dtype) == math.inf


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(optimisers.SGD_RUNS))
def test_sgd_steps(t: Any, name: str, dtype: str) -> None:
    with np.load(VECTORS / "optim.npz") as stored:
        want = stored[f"sgd {name} {dtype}"]
    got = optimisers.run_sgd(name, t, dtype)
    assert got.dtype == want.dtype
    if optimisers.is_exact(name):
        np.testing.assert_array_equal(got, want)
    else:  # each of the 20 steps may round once more or less than a fused multiply-add
        slack = 20 * float(np.finfo(want.dtype).eps)
        np.testing.assert_allclose(got, want, rtol=slack, atol=slack)


@pytest.mark.parametrize("name", list(optimisers.SCHEDULES))
def test_schedules(t: Any, name: str) -> None:
    with np.load(VECTORS / "optim.npz") as stored:
        want = stored[f"schedule {name}"]
    np.testing.assert_allclose(optimisers.run_schedule(name, t), want, rtol=1e-12, atol=1e-16)


# ---------------------------------------------------------------- initialisation laws
LAWS = json.loads((VECTORS / "laws.json").read_text())


def assert_follows(sample: Any, law: list[Any], label: str) -> None:
    """Do the numbers of `sample` follow torch's law ["uniform_", low, high] or ["normal_", m, s]?

    Mean and spread may be 4.5 standard errors off; the distance between the empirical and the
    exact distribution (Kolmogorov-Smirnov) exceeds 2.2 / sqrt(n) for one true sample in 8,000.
    Seeds are fixed, so the verdict never changes.
    """
    numbers = np.sort(np.asarray(sample.detach().numpy(), np.float64).ravel())
    n = numbers.size
    assert n >= 40, "too few numbers for a verdict"
    kind, first, second = law
    if kind == "uniform_":
        slack = 1e-6 * (second - first)
        assert numbers[0] >= first - slack, f"{label}: {numbers[0]} is below {first}"
        assert numbers[-1] <= second + slack, f"{label}: {numbers[-1]} is above {second}"
        exact = np.clip((numbers - first) / (second - first), 0, 1)
        mean, spread, excess = (first + second) / 2, (second - first) / math.sqrt(12), 0.8
    else:
        mean, spread, excess = first, second, 2.0  # excess: the law's kurtosis minus 1
        scaled = (numbers - first) / (second * math.sqrt(2))
        exact = np.array([0.5 * (1 + math.erf(z)) for z in scaled])
    off = abs(numbers.mean() - mean) * math.sqrt(n) / spread
    assert off < 4.5, f"{label}: mean {numbers.mean():.4g}, torch's {mean:.4g}"
    off = abs(numbers.std() / spread - 1) / math.sqrt(excess / (4 * n))
    assert off < 4.5, f"{label}: spread {numbers.std():.4g}, torch's {spread:.4g}"
    steps = np.arange(n + 1) / n
    distance = max(np.abs(exact - steps[:-1]).max(), np.abs(exact - steps[1:]).max())
    assert distance < 2.2 / math.sqrt(n), f"{label}: not {law}; {n} numbers, {distance:.3g} apart"


@pytest.mark.parametrize("name", list(laws.LAYERS))
def test_layer_laws(t: Any, name: str) -> None:
    t.manual_seed(20)
    layer = laws.LAYERS[name](t)
    want = LAWS["layers"][name]
    parameters = dict(layer.named_parameters())
    assert list(parameters) == list(want)
    for key, parameter in parameters.items():
        assert_follows(parameter, want[key], f"{name}.{key}")


@pytest.mark.parametrize(
    ("function", "shape", "options"), laws.INITS, ids=[laws.init_name(*i) for i in laws.INITS]
)
def test_init_laws(t: Any, function: str, shape: tuple[int, ...], options: Any) -> None:
    t.manual_seed(21)
    drawn = laws.draw_init(t, function, shape, options)
    assert tuple(drawn.shape) == shape
    assert_follows(drawn, LAWS["inits"][laws.init_name(function, shape, options)], function)


@pytest.mark.parametrize(("function", "options"), laws.CONSTANTS)
def test_init_constants(t: Any, function: str, options: dict[str, Any]) -> None:
    filled = laws.draw_init(t, function, (3, 4), options).numpy()
    value = {"zeros_": 0.0, "ones_": 1.0}.get(function, options.get("val"))
    np.testing.assert_array_equal(filled, np.full((3, 4), value, np.float32))


def test_gains(t: Any) -> None:
    got = [laws.gain(t, *args) for args in laws.GAINS]
    np.testing.assert_allclose(got, LAWS["gains"], rtol=1e-14)


def test_a_wrong_law_is_noticed(t: Any) -> None:
    """The check above must fail for a bound or a spread that is 10 % off."""
    t.manual_seed(22)
    flat = laws.draw_init(t, "uniform_", (60, 70), {"a": -1.0, "b": 1.0})
    bell = laws.draw_init(t, "normal_", (60, 70), {})
    for sample, law in (
        (flat, ["uniform_", -1.1, 1.1]), (flat, ["uniform_", -0.9, 0.9]),
        (bell, ["normal_", 0.0, 1.1]), (bell, ["normal_", 0.1, 1.0]),
        (flat, ["normal_", 0.0, 3**-0.5]),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            assert_follows(sample, law, "planted")
