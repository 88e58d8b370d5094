"""How the gradient of a convolution's weights is cut up, and how its parts are added up.

Images are shared out in a fixed number of pieces, each with sums of its own, which are added up in
their order afterwards: the same bits at any number of threads.

Not here: how a piece is computed (grad_w_tiles.py, grad_w_dots.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import Kernel, jit
from ..simd.flat import tail
from ..parallel import parallel
from ..parallel.scratch import arena_for
from .geometry import blocks_of, per_chunk


@jit
def add_parts_range(start, stop, parts, rows, block, places, step, gw):
    """Items start .. stop - 1 of gw (flat) = the pieces' sums, in their order, put in their places.

    parts (pieces, panels, rows or more, cols): the first piece is overwritten. Column e of row r of
    panel q belongs to gw[places[q, e] + r * step], or nowhere if places[q, e] is negative. An item
    is (panel, block of rows). Limit: bytes.
    """
    pieces, panels, cols = parts.shape[0], parts.shape[1], parts.shape[3]
    blocks = (rows + block - 1) // block
    for item in range(start, stop):
        q, r = item // blocks, item % blocks * block
        size = min(block, rows - r)
        total = tail(parts, (q * parts.shape[2] + r) * cols)
        for piece in range(1, pieces):
            more = tail(parts, ((piece * panels + q) * parts.shape[2] + r) * cols)
            for e in range(size * cols):
                total[e] += more[e]
        for k in range(size):
            row, to = tail(total, k * cols), tail(gw, (r + k) * step)
            for e in range(cols):
                place = places[q, e]
                if place >= 0:
                    to[place] = row[e]
    # Mentioned once more: views count no reference (flat.tail).
    tail(parts, 0), tail(gw, 0)


class Pieces(NamedTuple):
    """pieces of the images, and channels of a task (the last of a group may have less)."""

    pieces: int
    block: int

    def tasks(self, channels: int, groups: int) -> int:
        """How many (piece, group, block of channels) there are."""
        return self.pieces * groups * -(-channels // self.block)


def cut(
    items: int, positions: int, channels: int, groups: int, panel: int, part_bytes: int
) -> Pieces:
    """items: of images, which are not cut; positions: of all images; channels: of a group, which
    are cut into whole panels of `panel`; part_bytes: of the sums of a piece.
    """
    pieces = max(1, min(
        items, -(-tuning.CONV_PIECES // groups), positions // tuning.GRAD_W_SHARE,
        tuning.GRAD_W_PART_BYTES // max(1, part_bytes),
    ))
    panels = -(-channels // panel)
    if 2 * pieces * groups >= tuning.CONV_PIECES:
        return Pieces(pieces, panels * panel)
    return Pieces(pieces, panel * blocks_of(panels, panels * pieces * groups // tuning.CONV_PIECES))


class Plan(NamedTuple):
    """Which kernel makes the parts, and of what; it depends on sizes alone."""

    kernel: Kernel
    tasks: int
    flops: float  # of a task
    parts: tuple[int, int, int, int]
    geometry: tuple[Any, ...]  # the arguments of the kernel after `gb`
    scratch: int  # numbers of scratch for a thread
    rows: int  # of the parts that are used
    places: np.ndarray  # see add_parts_range
    step: int


def run(
    plan: Plan, g: np.ndarray, x: np.ndarray, size: int, bias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """gw, `size` numbers, and the pieces of gb in float64: (pieces, F), or (pieces, 0) without."""
    parts = empty(plan.parts, g.dtype)
    pieces, panels, _, cols = plan.parts
    gb = np.zeros((pieces, g.shape[1] if bias else 0))
    parallel(
        plan.kernel, plan.tasks, g, x, parts, gb, *plan.geometry,
        *arena_for(plan.scratch, g.dtype), grain=per_chunk(plan.flops),
    )
    gw = empty((size,), g.dtype)
    block = max(1, tuning.GRAD_W_ADDED // cols)
    items = panels * -(-plan.rows // block)
    grain = max(1, tuning.GRAD_W_ADD_GRAIN // (min(block, plan.rows) * cols * (pieces + 4)))
    parallel(
        add_parts_range, items, parts, plan.rows, block, plan.places, plan.step, gw, grain=grain
    )
    return gw, gb
