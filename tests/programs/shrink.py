"""Makes a failing program short: steps go, then inputs become simple; it must still fail alike."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .program import Program, Step


def shrink(program: Program, fails: Callable[[Program], bool], tries: int = 400) -> Program:
    """The shortest program found for which `fails` still says yes."""
    left = tries
    improved = True
    while improved and left > 0:
        improved = False
        for candidate in _shorter(program):
            left -= 1
            if left <= 0:
                break
            if fails(candidate):
                program, improved = candidate, True
                break
    return program


def _shorter(program: Program) -> Iterator[Program]:
    n = len(program.steps)
    for i in range(n - 1, 0, -1):                  # all of the end at once
        if i < n - 1:
            yield Program(program.steps[:i], program.name)
    for i in range(n - 1, -1, -1):
        shorter = program.without({i})
        if shorter.steps:
            yield shorter
    for i, step in enumerate(program.steps):
        for text in _simpler(step.text):
            yield Program((*program.steps[:i], Step(text, step.tag), *program.steps[i + 1:]),
                          program.name)


def _simpler(text: str) -> Iterator[str]:
    """The same line with one thing less."""
    for pattern, new in (
            (r", layout='\w+'", ""), (r", grad=True", ""), (r"\(v(\d+) \* 2\)", r"v\1"),
            (r"\(-v(\d+)\)", r"v\1"), (r"v(\d+)\.clone\(\)", r"v\1"),
            (r"\(v(\d+) \+ 0\.5\)", r"v\1"),
            (r", keepdim=True", ""), (r", lambda g: [^)]*\)?\)", ")"),
            (r"'(normal|positive|unit|special)', \d+", "'whole', 1"),
            (r", \w+=(True|False|None|\d+|'\w+')", ""),
            (r"^(v\d+) = .* \+ (\(.*)$", r"\1 = \2"), (r"^(v\d+ = .*?\)\.sum\(\)) \+ .*$", r"\1"),
            (r"\(v(\d+) \* make\(.*\)\)\.sum\(\)", r"v\1.sum()")):
        for match in re.finditer(pattern, text):
            shorter = text[:match.start()] + match.expand(new) + text[match.end():]
            if shorter != text and _is_code(shorter):
                yield shorter


def _is_code(text: str) -> bool:
    try:
        compile(text, "", "exec")
    except SyntaxError:
        return False
    return True
