"""Which dtype comes out of two: `FUNCTIONS` of two operands, of every dtype, with and without
dimensions, and of Python numbers. `make_vectors.py` records what torch says in dtype_table.json, as
one letter a case; `tests/test_promotion.py` asks minigrad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
LETTERS = dict(zip([*DTYPES, "error"], "?BbhilefdX"))
NUMBERS = {"True": True, "3": 3, "2.5": 2.5}

FUNCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda t, a, b: a + b,
    "sub": lambda t, a, b: a - b,
    "mul": lambda t, a, b: a * b,
    "div": lambda t, a, b: a / b,
    "floor_divide": lambda t, a, b: a // b,
    "remainder": lambda t, a, b: a % b,
    "pow": lambda t, a, b: a**b,
    "maximum": lambda t, a, b: t.maximum(a, b),
    "minimum": lambda t, a, b: t.minimum(a, b),
    "where": lambda t, a, b: t.where(t.tensor([True, False]), a, b),
    "atan2": lambda t, a, b: t.atan2(a, b),
    "eq": lambda t, a, b: a == b,
    "lt": lambda t, a, b: a < b,
    "logical_and": lambda t, a, b: t.logical_and(a, b),
    "bitwise_and": lambda t, a, b: a & b,
    "matmul": lambda t, a, b: a @ b,
    "mse_loss": lambda t, a, b: t.nn.functional.mse_loss(a, b),
    "cat": lambda t, a, b: t.cat([a, b]),
    "stack": lambda t, a, b: t.stack([a, b]),
    "add in place": lambda t, a, b: a.add_(b),
    "mul in place": lambda t, a, b: a.mul_(b),
    "div in place": lambda t, a, b: a.div_(b),
    "pow in place": lambda t, a, b: a.pow_(b),
    "copy in place": lambda t, a, b: a.copy_(b),
}


def operand(t: Any, kind: str, dtype: str) -> Any:
    """[1, 3] or 3 of this dtype; a Python number."""
    if kind == "number":
        return NUMBERS[dtype]
    return t.tensor([1, 3] if kind == "dims" else 3, dtype=getattr(t, dtype))


def cases() -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """((kind, dtype) of the first, of the second operand)."""
    tensors = [(kind, dtype) for kind in ("dims", "none") for dtype in DTYPES]
    numbers = [("number", name) for name in NUMBERS]
    for a in (*tensors, *numbers):
        for b in (*tensors, *numbers):
            if "number" not in (a[0], b[0]) or a[0] != b[0]:
                yield a, b


def outcome(t: Any, name: str, a: tuple[str, str], b: tuple[str, str]) -> tuple[str, Any]:
    """(the dtype that comes out, or "error"; the result, or the error)."""
    try:
        y = FUNCTIONS[name](t, operand(t, *a), operand(t, *b))
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        return "error", error
    return str(y.dtype).removeprefix("torch."), y


def table(t: Any) -> dict[str, str]:
    """For each function the letters of all cases."""
    return {name: "".join(LETTERS[outcome(t, name, a, b)[0]] for a, b in cases())
            for name in FUNCTIONS}  # fmt: skip
