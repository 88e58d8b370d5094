"""The table of operations: whatever is declared by @op or @composite, by its name.

Tests, gradient checks, stubs and the documentation all draw on it. Not here: what an entry is
(`op.py`).
"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .op import Composite, Op

OPS: dict[str, Op | Composite] = {}
