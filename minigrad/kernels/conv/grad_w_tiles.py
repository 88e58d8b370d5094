"""The gradient of a convolution's weights on the register tile, for any stride and dilation.

    gw[f, c, i, j] = sum over outputs p of g[f, p] * image[c, place of p + (i, j)]

is a product of matrices on the register tile (tile.py): its rows are channels of g, whose numbers
it takes one by one from where they lie; its columns must be neighbours, so x is turned, item by
item in the cache: for some channels c at a time

    turned[place, c] = image[c, place]

and columns (j, c) are neighbours as well, since place + j is the next one.

Not here: when this is the way (grad_w.py), adding up the parts (grad_w_parts.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ... import tuning
from ..jit import jit
from ..simd.flat import tail
from ..simd.strided import take
from ..simd.tile import broad_tile, long_tile, tile_shape
from ..simd.transpose import square_side, transpose
from ..parallel.scratch import claim, release
from ..rowwise.sums import add_row_sums
from .geometry import KINDS, Axis, any_tile, blocks_of, zero_rows
from .grad_w_parts import Plan, cut

BROAD = len(KINDS)  # the number of the first kind of tile that any_tile has not
TILES = (*KINDS, "broad", "long")
# What a multiply-add costs in narrow, wide, broad and long tiles: loads limit the first.
COSTS = 1.25, 1.02, 1.0, 1.0


@jit
def turn_padded(x, n, first_c, channels, block, first_h, first_w, cells_h, cells_w, side, out):
    """out (channels / block, cells_h, cells_w, block) = channels of x[n], some side by side.

    The cells are rows first_h ... and columns first_w ... of x, zeros outside. out is flat and was
    zeros when it was made: cells that lie left or right of x are not written. side: square_side.
    Limit: shuffles, 0.36 cycles a number, and twice that if x is not in a cache.
    """
    height, width = x.shape[2], x.shape[3]
    begin = min(max(-first_w, 0), cells_w)
    count = max(min(width - first_w, cells_w) - begin, 0)
    top = min(max(-first_h, 0), cells_h)  # rows above x
    tall = max(min(height - first_h, cells_h) - top, 0)
    plane, row = height * width, cells_w * block
    first = (n * x.shape[1] + first_c) * plane + (first_h + top) * width + first_w + begin
    for c in range(0, channels, block):
        to = tail(out, c * cells_h * cells_w)
        zero_rows(to, 0, 1, 0, 0, top * row)
        zero_rows(to, 0, 1, 0, (top + tall) * row, (cells_h - top - tall) * row)
        if tall * count == 0:
            continue
        runs, length = (1, tall * width) if count == width == cells_w else (tall, count)
        for h in range(runs):
            transpose(
                tail(x, first + c * plane + h * width), plane, block, length, side,
                tail(to, (top + h) * row + begin * block), block,
            )
    tail(x, 0), tail(out, 0)  # mentioned once more: views count no reference (flat.tail)


@jit
def turn_apart(x, n, first_c, channels, block, first_h, steps, rows, columns, side, some, out):
    """out (channels / block, rows, columns, block) = x[n, ., first_h::step_h, ::step_w] turned.

    For 1x1 with a stride: what no output reads is not turned. some: room for a block of channels.
    """
    plane, length = x.shape[2] * x.shape[3], rows * columns
    for c in range(0, channels, block):
        for k in range(block):
            at = (n * x.shape[1] + first_c + c + k) * plane + first_h * x.shape[3]
            take(
                tail(x, at), steps[0] * x.shape[3], steps[1], tail(some, k * length), columns,
                rows, columns,
            )
        transpose(some, length, block, length, side, tail(out, c * length), block)
    tail(x, 0), tail(some, 0), tail(out, 0)  # see turn_padded


@jit
def grad_w_range(
    start, stop, g, x, parts, gb, ka, kb, columns, blocks, tile_of, image, ah, aw, apart, places,
    arena, taken
):
    """Tasks start .. stop - 1, a task being (piece, group, some channels of x).

    g (N, F, OH, OW), x (N, C, H, W), parts (pieces, G * panels, F / G, cols). ka, kb: where the
    numbers of position p begin in g and in the turned x; columns: where the panels of a task begin
    in the turned x. blocks = (images, rows, channels of a task, groups, channels side by side);
    tile_of = (rows, cols, kind, square_side); image: numbers of a turned image; ah and aw: see
    Axis.numbers. apart: whether to turn what is read alone (1x1). places: of the sums of a tile,
    and of some channels, in a place of the arena. gb (pieces, F), float64 zeros: gets the sums of
    g, unless it is empty.

    Limit: the tile. Measured on two cores, float32, where bare loops of tiles do 310 GFLOP/s: 3x3
    with stride 2, 64 to 128 channels at 28 pixels: 228; 16 to 16 channels at 56: 216; 1x1, 128
    channels at 14: 184. Reading x and g from memory and turning x is the rest: 1x1 has only 128
    multiply-adds for each number that it reads.
    """
    block_n, block_h, block_c, groups, block = blocks
    rows, cols, kind, side = tile_of
    low_h, step_h, reach_h, count_h = ah
    low_w, step_w, reach_w, count_w = aw
    batch, channels, features = x.shape[0], x.shape[1] // groups, g.shape[1] // groups
    panels = parts.shape[1] // groups
    pieces_c = (channels + block_c - 1) // block_c
    pieces_h = (count_h + block_h - 1) // block_h
    items = (batch + block_n - 1) // block_n * pieces_h
    cells_h, cells_w = (block_h - 1) * step_h + reach_h + 1, (count_w - 1) * step_w + reach_w + 1
    g_plane = count_h * count_w
    place = claim(taken)
    turned = tail(arena, place * arena.shape[1])
    part, some = tail(turned, places[0]), tail(turned, places[1])
    if not apart:
        zero_rows(turned, 0, 1, 0, 0, block_n * image)
    zeros = np.zeros(cols, g.dtype)
    row = np.empty(rows, np.int64)
    for task in range(start, stop):
        first_c = task % pieces_c * block_c
        some_c = min(block_c, channels - first_c)
        group = task // pieces_c % groups
        piece = task // pieces_c // groups
        first_panel = group * panels + task % pieces_c * columns.size
        last_panel = first_panel + columns.size * some_c // block_c
        parts[piece, first_panel:last_panel] = 0
        for item in range(
            piece * items // parts.shape[0], (piece + 1) * items // parts.shape[0]
        ):
            first_h = item % pieces_h * block_h
            first_n = item // pieces_h * block_n
            images = min(block_n, batch - first_n)
            tall = min(block_h, count_h - first_h)
            length = tall * count_w
            for i in range(images):
                to, c = tail(turned, i * image), group * channels + first_c
                if apart:
                    turn_apart(
                        x, first_n + i, c, some_c, block, first_h * step_h, (step_h, step_w),
                        tall, count_w, side, some, to,
                    )
                else:
                    turn_padded(
                        x, first_n + i, c, some_c, block, first_h * step_h + low_h, low_w,
                        cells_h, cells_w, side, to,
                    )
            first = (first_n * g.shape[1] + group * features) * g_plane + first_h * count_w
            for q in range(last_panel - first_panel):
                b = tail(turned, columns[q])
                for f in range(0, features, rows):
                    some_f = min(rows, features - f)
                    for r in range(rows):
                        row[r] = min(r, some_f - 1) * g_plane
                    a = tail(g, first + f * g_plane)
                    if kind == BROAD:
                        broad_tile(a, row, ka, b, kb, images * length, zeros, 0, part, cols)
                    elif kind > BROAD:
                        long_tile(a, row, ka, b, kb, images * length, zeros, 0, part, cols)
                    else:
                        any_tile(kind, a, row, ka, b, kb, images * length, zeros, 0, part, cols)
                    # Added here and not in the tile: short chains of sums stay exact.
                    panel = piece * parts.shape[1] + first_panel + q
                    total = tail(parts, (panel * features + f) * cols)
                    for e in range(some_f * cols):
                        total[e] += part[e]
            if gb.size > 0 and first_c == 0:  # now that these numbers are in a cache
                for i in range(images):
                    add_row_sums(
                        tail(g, first + i * g.shape[1] * g_plane), g_plane, features, length,
                        tail(gb, piece * g.shape[1] + group * features),
                    )
    release(taken, place)
    # Mentioned once more: views count no reference (flat.tail).
    tail(g, 0), tail(x, 0), tail(gb, 0), tail(parts, 0), tail(arena, 0)


class Tiles(NamedTuple):
    """The tiles that a way takes: their kind, how many channels of x lie side by side, the cost."""

    kind: int
    block: int
    cost: float  # of all multiply-adds, in those of a broad tile without waste


def tiles_for(channels: int, features: int, dtype: np.dtype, neighbours: int) -> Tiles:
    """The best tiles for `channels` and `features` a group; neighbours: taps j in a run."""
    lanes = square_side(dtype)
    fitting = [n * lanes for n in (1, 2, 3, 4) if channels % (n * lanes) == 0]
    found = []
    for block in fitting or [channels]:
        for kind, name in enumerate(TILES):
            rows, cols, _ = tile_shape(dtype, name)
            columns = channels // block * -(-block * neighbours // cols) * cols
            ratio = columns * -(-features // rows) * rows / (channels * neighbours * features)
            found.append(Tiles(kind, block, COSTS[kind] * ratio))
    return min(found, key=lambda tiles: tiles.cost)


def neighbours_of(aw: Axis) -> int:
    """How many taps of a row meet neighbouring places of x: all, or one if there is a dilation."""
    shifts = aw.phases[0].shifts
    return len(shifts) if len(shifts) == aw.reach + 1 else 1


def plan_tiles(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis
) -> Plan:
    """The plan for `channels` of x and `features` of g a group."""
    neighbours = neighbours_of(aw)
    kind, block, _ = tiles_for(channels, features, dtype, neighbours)
    rows, cols, _ = tile_shape(dtype, TILES[kind])
    terms = tuning.GRAD_W_BYTES // (dtype.itemsize * (rows + min(cols, block)))
    block_h = blocks_of(ah.outputs, terms // aw.outputs)
    block_n = 1
    if block_h == ah.outputs:  # small images share an item
        most = terms // (ah.outputs * aw.outputs)
        block_n = blocks_of(batch, min(most, -(-batch // tuning.CONV_PIECES)))
    apart = (ah.step > 1 or aw.step > 1) and all(
        a.reach == a.low == 0 and (a.outputs - 1) * a.step < a.size for a in (ah, aw)
    )
    step_h, step_w = (1, 1) if apart else (ah.step, aw.step)
    line = aw.outputs if apart else aw.cells(aw.outputs)
    plane = line * (block_h if apart else ah.cells(block_h))
    taps_h = [i - ah.low for i in ah.phases[0].shifts]
    runs = [j - aw.low for j in aw.phases[0].shifts][::neighbours]  # where runs of taps begin
    run = block * neighbours
    each = len(taps_h) * len(runs) * -(-run // cols)  # panels of a block of channels

    items = -(-batch // block_n) * -(-ah.outputs // block_h)
    panels = channels // block * each
    g_plane = ah.outputs * aw.outputs
    size = groups * features * panels * cols * dtype.itemsize
    pieces = cut(items, batch * g_plane, channels, groups, block, size)
    tasks = pieces.tasks(channels, groups)
    image = plane * pieces.block

    n, u, v = np.ix_(range(block_n), range(block_h), range(aw.outputs))
    ka = n * (groups * features * g_plane) + u * aw.outputs + v
    kb = n * image + (u * (step_h * line) + v * step_w) * block
    # A panel is (block of channels, i, run of taps j, some columns); a column is (j, channel).
    begin, i, j, first = np.ix_(range(0, pieces.block, block), taps_h, runs, range(0, run, cols))
    columns = begin * plane + (i * line + j) * block + first
    begin, i, j, e = np.ix_(
        range(0, channels, block), range(len(taps_h)), range(len(runs)),
        range(-(-run // cols) * cols),
    )
    kw = len(runs) * neighbours
    count = channels * len(taps_h) * kw
    places = ((begin + e % block) * len(taps_h) + i) * kw + j * neighbours + e // block
    places = np.where(e < run, places, -1).reshape(-1, cols)
    group = np.arange(groups)[:, None, None] * (features * count)
    places = np.where(places < 0, -1, places + group).reshape(-1, cols)

    # The turned images, the sums of a tile, some channels, each from the begin of a line on; the
    # last panel is read beyond the images.
    part_at = -(-(block_n * image + cols) // 16) * 16
    some_at = part_at + -(-rows * cols // 16) * 16
    geometry = (
        *(table.astype(np.int64).ravel() for table in (ka, kb, columns)),
        (block_n, block_h, pieces.block, groups, block), (rows, cols, kind, square_side(dtype)),
        image, ah.numbers, aw.numbers, apart, (part_at, some_at),
    )
    return Plan(
        grad_w_range, tasks, 2 * batch * g_plane * panels * cols * groups * features / tasks,
        (pieces.pieces, groups * panels, features, cols), geometry,
        some_at + plane * block * apart, features, places, count,
    )
