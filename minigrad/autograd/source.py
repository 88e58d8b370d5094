"""The text of a function as it was written, a lambda among the rules of an op, too.

Not here: the text of what is generated (`codegen.py`).
"""
from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Callable
from types import FunctionType


def written_source(function: Callable) -> str:
    """The text of a function without its decorators, or of a lambda: from `lambda` to its end.

    "" where there is none: functions of C, text that was executed and is gone.
    """
    function = inspect.unwrap(getattr(function, "plain", function))  # a rule that may be a loop
    if not isinstance(function, FunctionType):
        return ""
    code = function.__code__
    text = "".join(linecache.getlines(code.co_filename))
    if not text:
        return ""
    found = [node for node in ast.walk(ast.parse(text))
             if isinstance(node, ast.Lambda if code.co_name == "<lambda>" else ast.FunctionDef)
             and _first_line(node) == code.co_firstlineno]
    if len(found) > 1:                             # several lambdas on one line
        found = [node for node in found if isinstance(node, ast.Lambda) and _is_body(node, code)]
    if not found:
        return ""
    first, *rest = (ast.get_source_segment(text, found[0]) or "").splitlines(True)
    if isinstance(found[0], ast.Lambda):           # in the middle of a line
        return first + textwrap.indent(textwrap.dedent("".join(rest)), "    ")
    return textwrap.dedent(" " * found[0].col_offset + first + "".join(rest))


def _first_line(node: ast.AST) -> int:
    decorators = getattr(node, "decorator_list", ())
    return min([node.lineno, *[d.lineno for d in decorators]])   # type: ignore[attr-defined]


def _is_body(node: ast.Lambda, code: object) -> bool:
    """Whether this lambda's expression is what the code computes: both end at one place."""
    ends = {(line, column) for _, line, _, column in code.co_positions()     # type: ignore
            if line is not None and column is not None}
    return (node.body.end_lineno, node.body.end_col_offset) in ends
