"""How an image is cut into Winograd's tiles, its kernel into patches, and when that is worth it.

Not here: the arithmetic (winograd.py), whose docstring explains tiles, patches and dilations.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ... import tuning
from ..simd.tile import tile_shape
from .geometry import Axis, blocks_of
from .winograd_transform import grid_lanes

SIDE = 2  # of a tile of outputs
ROW = SIDE + 2  # spots in a row of the bracket
SPOTS = ROW * ROW
TAPS = 3  # along an axis of the matrix G: a piece of a kernel has so many, or one less
SPREADS = 1, 2  # dilations along a row for which there are transforms


class Cut(NamedTuple):
    """An axis cut into tiles of 2 outputs, and its kernel into pieces of 2 or 3 taps.

    With a dilation d, output u and tap k meet in element u + k * d: d convolutions, one for each
    remainder of u. Their tiles take turns: tile i = (q, r) = divmod(i, d) has the outputs
    2 * d * q + r and d further, and reads 4 elements that are d apart from 2 * d * q + r + low on.
    The piece that begins with tap 2 * a reads what the tile i + a * d reads.
    """

    dilation: int
    tiles: int  # with outputs
    grid: int  # those and the ones that only the later pieces read
    pieces: tuple[int, ...]  # the taps of each

    @property
    def multiplications(self) -> int:
        """How many for the 2 outputs of a tile; the last spot of a piece of 2 taps is zero."""
        return sum(taps + 1 for taps in self.pieces)


@functools.lru_cache(maxsize=256)
def cut_of(axis: Axis) -> Cut:
    """How an axis that `fits` is cut."""
    shifts = axis.phases[0].shifts
    dilation = abs(shifts[1] - shifts[0])
    pieces = [SIDE] * (len(shifts) // SIDE)
    pieces[-1] += len(shifts) % SIDE
    turns = -(-axis.outputs // (SIDE * dilation))
    grid = (turns + len(pieces) - 1) * dilation
    return Cut(dilation, turns * dilation, grid, tuple(pieces))


@functools.lru_cache(maxsize=256)
def patches_of(ch: Cut, cw: Cut) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's patches, a piece by a piece, and how many tiles further each one reads.

    A row of the table: first row of taps, rows, first column, columns.
    """
    table = [
        (SIDE * a, tall, SIDE * b, wide)
        for a, tall in enumerate(ch.pieces) for b, wide in enumerate(cw.pieces)
    ]
    shifts = [
        a * ch.dilation * cw.grid + b * cw.dilation
        for a in range(len(ch.pieces)) for b in range(len(cw.pieces))
    ]
    return np.array(table, np.int64), np.array(shifts, np.int64)


def odd_lines(count: int) -> int:
    """count or a little more, an odd number of cache lines (of 16 float32): no two rows collide."""
    return (-(-count // 16) | 1) * 16


def block_of(batch: int, channels: int, ch: Cut, cw: Cut) -> int:
    """Tiles of an item: whole register tiles, few enough that v stays in the cache."""
    cols = tile_shape(np.float32).cols
    panels = -(-batch * ch.grid * cw.grid // cols)
    most = max(1, round(tuning.WINOGRAD_NUMBERS / (SPOTS * channels * cols)))
    return blocks_of(panels, min(most, max(1, panels // tuning.WINOGRAD_ITEMS))) * cols


def fits(axis: Axis) -> bool:
    """Whether outputs along this axis are neighbours, and reached by two taps or more."""
    return (axis.step, axis.out_step) == (1, 1) and len(axis.phases[0].shifts) >= 2


def why_not(groups: int, dtype: np.dtype, ah: Axis, aw: Axis) -> str | None:
    """Why `correlate` and winograd_grad_w.py cannot do this convolution; None if they can."""
    if dtype != np.float32:
        return f"{dtype}: the transforms are written for float32"
    if groups != 1:
        return f"{groups} groups"
    if not fits(ah) or not fits(aw):
        return "a stride, or a kernel of one row or column"
    if cut_of(aw).dilation not in SPREADS:
        return f"a dilation of {cut_of(aw).dilation} along a row"
    return None


def cheaper(
    batch: int, channels: int, features: int, ah: Axis, aw: Axis, gradient: bool = False
) -> bool:
    """Whether it takes less time than the direct way; gradient: that of the weights.

    In cycles, fitted to 144 convolutions of 2 to 1,200 MFLOP: the faster way is chosen but for a
    loss of 2 % on average. A core does `rate` multiply-adds a cycle, as its registers say.
    Transforms go by whole vectors, half empty in rows of 7 pixels, and the columns of the last
    register tiles are computed whether there is something in them or not.
    """
    rows, cols, lanes = tile_shape(np.float32)
    if lanes < 8:  # NEON has no masked loads: not measured there
        return False
    rate = 2 * lanes  # two units for fused multiply-adds
    ch, cw = cut_of(ah), cut_of(aw)
    taps = len(ah.phases[0].shifts) * len(aw.phases[0].shifts)
    patches, shifts = patches_of(ch, cw)
    each = ch.multiplications * cw.multiplications
    tiles, grid = batch * ch.tiles * cw.tiles, batch * ch.grid * cw.grid
    vectors = grid_lanes()
    read: float = batch * ch.grid * (-(-cw.grid // vectors) * vectors)
    written = batch * ch.tiles * (-(-cw.tiles // vectors) * vectors)
    pairs = channels * features * batch * ah.outputs * aw.outputs * taps
    if gradient:
        direct = 0.992 * pairs / rate * (-(-features // rows) * rows / features)
        products = tiles * channels * (-(-features // cols) * cols)
    else:
        direct = pairs / (rate * 15 / 16)
        products = (-(-grid // cols) * cols) * channels * features
        block = block_of(batch, channels, ch, cw)
        read *= (block + int(shifts[-1])) / block
    images = 6 * (channels * read + features * written)
    transforms = 10 * channels * features * len(patches) + images
    return direct > 1e5 and each / rate * products + transforms < tuning.WINOGRAD_GAIN * direct
