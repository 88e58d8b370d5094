"""What surrounds tests: in which order files run, and that no test leaves another number of threads
behind."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minigrad import get_num_threads, set_num_threads

NEEDS_KERNELS = {"test_article.py", "test_corners.py", "test_float16.py", "test_fusion.py",
                 "test_memory.py", "test_parity.py", "test_programs.py", "test_sums.py",
                 "test_unfit_arrays.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With an empty cache the two workers shall not compile the same kernels at the same time. So
    one begins with the warmup, which compiles half of them all, and the other with what needs
    hardly any; the kernels' own tests come when they are there. Else the files with the most tests
    come first, so that no long one is left to one worker at the end."""
    home, tests = Path(__file__).parent, Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int, str]:
        path = item.path.relative_to(home)
        needs = path.parts[0] in ("kernels", "ops") or path.name in NEEDS_KERNELS
        first = 0 if path.name == "test_warmup.py" else 2 if needs else 1
        return first, -tests[item.path], str(path)
    items.sort(key=place)


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """A test may call `set_num_threads`: afterwards the number is what it was."""
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.fixture
def quiet() -> Iterator[None]:
    """For tests of kernels: plain loops and NumPy warn of overflow and NaN, compiled loops do not.

    In a file: `pytestmark = pytest.mark.usefixtures("quiet")`.
    """
    with np.errstate(all="ignore"):
        yield
