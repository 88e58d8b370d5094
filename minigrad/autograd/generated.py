"""From text to functions: generated functions are written when they are first called.

All of them, some 140, at import took 25 ms. A debugger that steps into an operation is led neither
through what writes it nor through the lines of the public function that only unwrap and wrap: it is
shown the first line, the call of the forward, and the forward.

Not here: the text (`codegen.py`).
"""
from __future__ import annotations

import linecache
import os
import re
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any

from .writes import PACKAGE

# What stands in for a function until it is called. Meanwhile a debugger that steps through the
# program is switched off: it is shown this first line, and next the function that was asked for.

def first_call(*args: Any, **options: Any) -> Any:    # it is written now: step on
    getframe().f_trace_lines = False               # type: ignore[name-defined]  # noqa: F821
    tracer = gettrace()                            # type: ignore[name-defined]  # noqa: F821
    settrace(None)                                 # type: ignore[name-defined]  # noqa: F821
    try:
        OP.write()                                 # type: ignore[name-defined]  # noqa: F821
    finally:
        settrace(tracer)                           # type: ignore[name-defined]  # noqa: F821
    return OP.public(*args, **options)             # type: ignore[name-defined]  # noqa: F821


def unwritten(stub: CodeType, scope: dict[str, Any], name: str) -> Any:
    """A function that is written at its first call. stub: FIRST_CALL or FIRST_PULL; its globals are
    `scope`, whose OP writes."""
    return FunctionType(stub, scope, name)


def write(function: Any, name: str, lines: Iterable[str], defaults: tuple = (),
          words: dict[str, Any] | None = None) -> str:
    """Gives a function the code of these lines, and its defaults. Returns the text.

    name: what its file is called; a debugger and tracebacks show the text.
    """
    text = "\n".join(lines) + "\n"
    filename = f"{PACKAGE}ops{os.sep}<{name}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    made: dict[str, Any] = {}
    exec(compile(text, filename, "exec"), {}, made)
    (result,) = made.values()
    function.__defaults__, function.__kwdefaults__ = defaults, words
    function.__code__ = _without_small_steps(result.__code__, text.splitlines())
    return text


# Lines on which something may happen that a user asks about.
_STEPS = re.compile(r"\b(def|return|raise|FORWARD|DOOR|EXPLAIN|operand|admit|agree|redo|finish"
                    r"|many|unwrap_sequence|by_numpy_names)\b")


def _without_small_steps(code: CodeType, text: list[str]) -> CodeType:
    """The code with the instructions of all lines that only unwrap and wrap counted to the line of
    the forward's call: a debugger steps to it, and from it into the forward, at once."""
    forward = next((i for i, line in enumerate(text, 1) if "FORWARD(" in line), None)
    if forward is None:                            # a pullback
        return code
    return _with_lines(code, lambda n: n if n and _STEPS.search(text[n - 1]) else forward)


def _with_lines(code: CodeType, shown: Callable[[int | None], int | None]) -> CodeType:
    """The code with its instructions counted to other lines, or to none: for a debugger to stop at
    fewer of them."""
    lines = [shown(n) for start, end, n in code.co_lines() for _ in range(start, end, 2)]
    new = code.replace(co_linetable=_line_table(lines, code.co_firstlineno))
    same = lines == [n for start, end, n in new.co_lines() for _ in range(start, end, 2)]
    return new if same else code                   # a Python that keeps lines in another form


def _line_table(lines: list[int | None], first: int) -> bytes:
    """CPython's table of the lines of instructions, one for each two bytes of code: entries of one
    line for up to eight instructions (Objects/locations.md in CPython's sources)."""
    table, at, i = bytearray(), first, 0
    while i < len(lines):
        line, length = lines[i], 1
        while length < 8 and i + length < len(lines) and lines[i + length] == line:
            length += 1
        if line is None:
            table.append(0x80 | 15 << 3 | length - 1)
        else:
            table.append(0x80 | 13 << 3 | length - 1)            # then the step from the last line
            step = (line - at) << 1 if line >= at else (at - line) << 1 | 1
            while step >= 64:
                table.append(0x40 | step & 63)
                step >>= 6
            table.append(step)
            at = line
        i += length
    return bytes(table)


def _stub(function: Any) -> CodeType:
    """Without a line for its first statement, which is to come before a debugger's first stop."""
    code = function.__code__
    first = code.co_firstlineno
    return _with_lines(code, lambda n: None if n == first + 1 else n)


FIRST_CALL = _stub(first_call)
# The same for a pullback, whose globals are those of the public function: two names are others.
_OF_PULLBACKS = {"write": "write_pullback", "public": "pull"}
FIRST_PULL = FIRST_CALL.replace(
    co_name="first_pull", co_names=tuple(_OF_PULLBACKS.get(n, n) for n in FIRST_CALL.co_names))
