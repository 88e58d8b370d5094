"""What surrounds tests: no test leaves another number of threads behind."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from minigrad import get_num_threads, set_num_threads


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """A test may call `set_num_threads`: afterwards the number is what it was."""
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.fixture
def quiet() -> Iterator[None]:
    """For tests of kernels: plain loops and twins warn of overflow and NaN, compiled loops do not.

    In a file: `pytestmark = pytest.mark.usefixtures("quiet")`.
    """
    with np.errstate(all="ignore"):
        yield
