"""The article's three programs, with only their imports changed, against PyTorch's losses."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

VECTORS = Path(__file__).resolve().parent / "vectors"
sys.path.insert(0, str(VECTORS))

import article_runs  # noqa: E402
from harness import default_dtype, load_namespace  # noqa: E402

NAMESPACE = os.environ.get("PARITY_NAMESPACE", "minigrad")
LIMIT = {"float64": 1e-8, "float32": 1e-4}

# SHA-256 of each program as the article prints it, without its import lines.
BODIES = {
    "linear_regression": "2386fdba7088f30f3dc4e354a8d59d9c48ef1c3dad8a28ab33686593d1a1a25f",
    "cnn": "7e7dbfa98add2c5eb984bf7ea2244581ec6561d02b7dc37370bde05823bf120d",
    "rnn": "5e315f99940a9db0dba42be9f70d89da96fbfe1685c57de6564a244d4ae47130",
}


@pytest.fixture(scope="module")
def t() -> Any:
    """The library under test."""
    return load_namespace(NAMESPACE)


@pytest.mark.parametrize("program", article_runs.PROGRAMS)
def test_only_the_imports_differ(program: str) -> None:
    lines = article_runs.source(program).splitlines(keepends=True)
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert imports == [
        "import minigrad as torch\n",
        "import minigrad.nn as nn\n",
        "import minigrad.nn.functional as F\n",
        "import minigrad.optim as optim\n",
    ]
    body = "".join(line for line in lines if line not in imports)
    assert hashlib.sha256(body.encode()).hexdigest() == BODIES[program]


@pytest.mark.parametrize("dtype", article_runs.DTYPES)
@pytest.mark.parametrize("program", article_runs.PROGRAMS)
def test_losses_follow_torch(t: Any, program: str, dtype: str) -> None:
    with np.load(VECTORS / "article.npz") as stored:
        want = stored[f"{program} {dtype}"]
    got = article_runs.losses(program, t, dtype)
    assert want.shape == got.shape == (article_runs.STEPS,)
    assert want[-10:].mean() < 0.9 * want[:10].mean(), "the vectors themselves must learn"
    apart = np.abs(got - want) / np.abs(want)
    worst, first = int(apart.argmax()), int((apart > LIMIT[dtype]).argmax())
    assert apart[worst] <= LIMIT[dtype], (
        f"step {worst}: {got[worst]:.12g}, torch's {want[worst]:.12g}, "
        f"{apart[worst]:.2e} apart; first step beyond the limit: {first}"
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_linear_regression_predicts_2_4_6_8(t: Any, seed: int) -> None:
    """The program as it stands, from its own random weights, with its own 1,000 steps.

    Its slow direction shrinks by (1 - 0.01 * 0.30) a step, to 5 % after 1,000: hence the 0.2.
    """
    with default_dtype(t, "float32"):
        t.manual_seed(seed)
        _, printed = article_runs.run_source("linear_regression", t.__name__, "float32")
    numbers = [float(x) for x in re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?", printed)]
    np.testing.assert_allclose(numbers, [2, 4, 6, 8], atol=0.2)
