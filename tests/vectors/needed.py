"""The library names that the vectors rely on, read off the source of the case files.

`python needed.py` prints them; `tests/test_parity.py` uses `has` to ask for one.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SPACES = {"t": "", "F": "nn.functional.", "nn": "nn.", "optim": "optim."}


def has(t: Any, dotted: str) -> bool:
    """Does `t` have `dotted`, for example "Tensor.cumsum" or "nn.functional.elu"?"""
    for part in dotted.split("."):
        if not hasattr(t, part):
            return False
        t = getattr(t, part)
    return True


def names() -> tuple[set[str], set[str]]:
    """(dotted names under the package, methods and attributes of tensors, modules, ...)."""
    public: set[str] = set()
    members: set[str] = set()
    for file in ("cases.py", "optimisers.py", "laws.py"):
        text = (HERE / file).read_text()
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Attribute):
                continue
            chain = [node.attr]
            inner = node.value
            while isinstance(inner, ast.Attribute):
                chain.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id in SPACES:
                public.add(SPACES[inner.id] + ".".join(reversed(chain)))
            elif not (isinstance(inner, ast.Name) and inner.id in {"np", "rng", "Path"}):
                members.add(node.attr)
        for needed in re.findall(r'needs="([\w.]+)"', text):
            public.add(needed)
    return {n for n in public if n not in {"nn", "optim", "nn.functional"}}, members


if __name__ == "__main__":
    public, members = names()
    print("\n".join(sorted(public)))
    print("members: " + ", ".join(sorted(members)))
