"""The gradient of a convolution's weights.

    gw[f, c, i, j] = sum over outputs p of g[f, p] * image[c, place of p + (i, j)]

is a product of matrices on the register tile (tile.py): its rows are channels of g, whose numbers
it takes one by one from where they lie; its columns must be neighbours, so x is turned, item by
item in the cache: for some channels c at a time

    turned[place, c] = image[c, place]

and columns (j, c) are neighbours as well, since place + j is the next one.

Which way is the fastest is decided by sizes (`_route`):
- depthwise, few channels of g a group: depthwise.py
- stride 1, many channels: winograd_grad_w.py
- few channels of x, whose rows (j, c) fill no vector, and 1x1 convolutions that can read x in place
  in whole cache lines: grad_w_dots.py. Its time by that of this file's way, two cores,
  float32: 1 to 32 channels at 28 pixels 0.37, 3 to 32 at 56 0.64, 8 to 64 at 28 0.81, 1x1 with 64
  channels at 28 0.91; but 3x3 with 16 channels at 56 1.28, 1x1 with 128 at 14 1.21 (rows of g begin
  beside the lines), stride 2 1.45
- all others: here.

Not here: adding up the parts (grad_w_parts.py), the other two passes (direct.py), checks.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from ..jit import jit, ready
from ..simd.flat import tail
from ..simd.masked import masked_lanes
from ..simd.strided import take
from ..simd.tile import long_tile, tile_shape
from ..simd.transpose import square_side, transpose
from ..parallel.scratch import enter, leave
from ..rowwise.sums import add_row_sums
from . import winograd, winograd_grad_w
from .depthwise import few_outputs, grad_w_depthwise
from .geometry import KINDS, PIECES, Axis, Pair, any_tile, blocks_of, forward_axis, zero_rows
from .grad_w_dots import plan_dots
from .grad_w_parts import PART_BYTES, Plan, cut, run

FIRST_LEVEL = 40_000  # bytes of turned x and of g that a row of tiles reads, of 48 KiB
LONG = len(KINDS)  # the number of one more kind of tile
TILES = (*KINDS, "long")
# What a multiply-add costs in narrow, wide, broad and long tiles: loads limit the first.
COSTS = 1.25, 1.02, 1.0, 1.0
DOTS = 1.3  # cost of a multiply-add in grad_w_dots.py


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
    room, taken
):
    """Tasks start .. stop - 1, a task being (piece, group, some channels of x).

    g (N, F, OH, OW), x (N, C, H, W), parts (pieces, G * panels, F / G, cols). ka, kb: where the
    numbers of position p begin in g and in the turned x; columns: where the panels of a task begin
    in the turned x. blocks = (images, rows, channels of a task, groups, channels side by side);
    tile_of = (rows, cols, kind, square_side); image: numbers of a turned image; ah and aw: see
    Axis.numbers. apart: whether to turn what is read alone (1x1). places: of the sums of a tile,
    and of some channels, in a place of the room. gb (pieces, F), float64 zeros: gets the sums of
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
    place = enter(taken)
    turned = tail(room, place * room.shape[1])
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
                    if kind == LONG:
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
    leave(taken, place)
    # Mentioned once more: views count no reference (flat.tail).
    tail(g, 0), tail(x, 0), tail(gb, 0), tail(parts, 0), tail(room, 0)


class _Tiles(NamedTuple):
    """The tiles that a way takes: their kind, how many channels of x lie side by side, the cost."""

    kind: int
    block: int
    cost: float  # of all multiply-adds, in those of a broad tile without waste


def _tiles(channels: int, features: int, dtype: np.dtype, neighbours: int) -> _Tiles:
    """The best tiles for `channels` and `features` a group; neighbours: taps j in a run."""
    lanes = square_side(dtype)
    fitting = [n * lanes for n in (1, 2, 3, 4) if channels % (n * lanes) == 0]
    found = []
    for block in fitting or [channels]:
        for kind, name in enumerate(TILES):
            rows, cols, _ = tile_shape(dtype, name)
            columns = channels // block * -(-block * neighbours // cols) * cols
            ratio = columns * -(-features // rows) * rows / (channels * neighbours * features)
            found.append(_Tiles(kind, block, COSTS[kind] * ratio))
    return min(found, key=lambda tiles: tiles.cost)


def _neighbours(aw: Axis) -> int:
    """How many taps of a row meet neighbouring places of x: all, or one if there is a dilation."""
    shifts = aw.phases[0].shifts
    return len(shifts) if len(shifts) == aw.reach + 1 else 1


def _plan(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis
) -> Plan:
    """The plan for `channels` of x and `features` of g a group."""
    neighbours = _neighbours(aw)
    kind, block, _ = _tiles(channels, features, dtype, neighbours)
    rows, cols, _ = tile_shape(dtype, TILES[kind])
    terms = FIRST_LEVEL // (dtype.itemsize * (rows + min(cols, block)))
    block_h = blocks_of(ah.outputs, terms // aw.outputs)
    block_n = 1
    if block_h == ah.outputs:  # small images share an item
        block_n = blocks_of(batch, min(terms // (ah.outputs * aw.outputs), -(-batch // PIECES)))
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


def is_dots(channels: int, features: int, dtype: np.dtype, ah: Axis, aw: Axis) -> bool:
    """Whether dot products along the positions are faster than tiles with turned images."""
    if not masked_lanes(dtype):
        return False
    if ah.reads_all and aw.reads_all and ah.size * aw.size * dtype.itemsize % 64 == 0:
        return True
    return _tiles(channels, features, dtype, _neighbours(aw)).cost > DOTS


class _Route(NamedTuple):
    """What the sizes decide. Remembered: to find it takes 140 us."""

    ah: Axis
    aw: Axis
    way: str  # "nothing to add", "depthwise", "winograd" or "plan"
    plan: Plan | None


@functools.lru_cache(maxsize=256)
def _route(
    g: tuple[int, ...], x: tuple[int, ...], groups: int, dtype: np.dtype, *geometry: int
) -> _Route:
    """The fastest way for g and x of these shapes; geometry: its pairs, one after another."""
    kh, kw, sh, sw, top, left, dh, dw = geometry
    batch, channels, features = x[0], x[1] // groups, g[1] // groups
    ah = forward_axis(x[2], kh, sh, top, dh, g[2])
    aw = forward_axis(x[3], kw, sw, left, dw, g[3])
    if 0 in g or channels * kh * kw == 0:
        return _Route(ah, aw, "nothing to add", None)
    if few_outputs(features, aw, dtype):
        return _Route(ah, aw, "depthwise", None)
    dots = is_dots(channels, features, dtype, ah, aw)
    plan = (plan_dots if dots else _plan)(batch, channels, features, groups, dtype, ah, aw)
    if winograd.possible(groups, dtype, ah, aw) and (
        winograd.cheaper(batch, channels, features, ah, aw, gradient=True)
    ):
        return _Route(ah, aw, "winograd", plan)
    return _Route(ah, aw, "plan", plan)


def conv2d_grad_w(
    g: np.ndarray,
    x: np.ndarray,
    khw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """gw[f,c,i,j] = sum_nuv g[n,f,u,v] * x[n, c, u*sh + i*dh - top, v*sw + j*dw - left].

    g (N, F, OH, OW), x (N, C, H, W), khw (KH, KW), padding (top, left) -> gw (F, C // groups, KH,
    KW). The zeros of the padding are multiplied: a g of inf makes NaN in the taps outside.
    """
    return _grad_w_and_sums(ready(g), ready(x), khw, stride, padding, dilation, groups, False)[0]


def conv2d_grad_w_and_bias(
    g: np.ndarray,
    x: np.ndarray,
    khw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(gw, gb): gw as `conv2d_grad_w`, and the bias's gradient gb[f] = sum_nuv g[n,f,u,v], (F,).

    Each item of g is added up while it is in a cache, where a pass of its own read it from memory.
    """
    gw, gb = _grad_w_and_sums(ready(g), ready(x), khw, stride, padding, dilation, groups, True)
    return gw, np.add.reduce(gb, axis=0).astype(g.dtype)  # (pieces, F) -> (F,)


_TERMS = 1 << 20  # numbers of a channel of g that are added in their own precision, in blocks


def blocks_of_batch(batch: int, plane: int) -> tuple[slice, ...]:
    """The images whose gradients are added up before float64 takes over: usually all of them."""
    size = batch if batch * plane <= _TERMS else max(8, _TERMS // plane)
    return tuple(slice(i, i + size) for i in range(0, batch, max(1, size))) or (slice(0),)


def _grad_w_and_sums(
    g: np.ndarray, x: np.ndarray, khw: Pair, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, bias: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """gw, and the pieces of gb in float64: (pieces, F), or (pieces, 0) without bias."""
    blocks = blocks_of_batch(len(g), g.shape[2] * g.shape[3])
    options = khw, stride, padding, dilation, groups, bias
    if len(blocks) == 1:
        return _grad_w_of_block(g, x, *options)
    found = [_grad_w_of_block(g[block], x[block], *options) for block in blocks]
    gw = np.zeros(found[0][0].shape)
    for part, _ in found:
        gw += part
    return gw.astype(g.dtype), np.concatenate([sums for _, sums in found])


def _grad_w_of_block(
    g: np.ndarray, x: np.ndarray, khw: Pair, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, bias: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The same for a block of images."""
    ah, aw, way, plan = _route(
        g.shape, x.shape, groups, g.dtype, *khw, *stride, *padding, *dilation
    )
    shape = g.shape[1], x.shape[1] // groups, *khw
    if way == "depthwise":
        gw, gb = grad_w_depthwise(g, x, *khw, ah, aw, groups, bias)
        return gw.reshape(shape), gb
    if way == "winograd":
        found = winograd_grad_w.grad_w(g, x, khw, ah, aw, PART_BYTES, bias)
        if found is not None:
            return found
    if plan is None:
        pixels = g.reshape(*g.shape[:2], g.shape[2] * g.shape[3]) if bias else g[:, :0, 0]
        return np.zeros(shape, g.dtype), pixels.sum(axis=2, dtype=np.float64)
    gw, gb = run(plan, g, x, math.prod(shape), bias)
    return gw.reshape(shape), gb


# --------------------------------------------------------------------------- plain twin


def tap_views(x, khw, out_hw, stride, padding, dilation):
    """For each tap (i, j): the view of a padded copy of x that it multiplies; and that copy."""
    (oh, ow), (sh, sw), (top, left), (dh, dw) = out_hw, stride, padding, dilation
    kh, kw = khw
    n, c, height, width = x.shape
    tall = max(top + height, (oh - 1) * sh + (kh - 1) * dh + 1)
    wide = max(left + width, (ow - 1) * sw + (kw - 1) * dw + 1)
    padded = np.zeros((n, c, tall, wide), x.dtype)
    padded[:, :, top : top + height, left : left + width] = x
    views = {}
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
            cols = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
            views[i, j] = padded[:, :, rows, cols]  # (N, C, OH, OW)
    return views, padded


def group_slices(groups, features, channels):
    """For each group: its slice of output channels and its slice of input channels."""
    f, c = features // groups, channels // groups
    return [(slice(k * f, k * f + f), slice(k * c, k * c + c)) for k in range(groups)]


def conv2d_grad_w_reference(g, x, khw, stride, padding, dilation, groups):
    """The plain twin of `conv2d_grad_w`: one number a tap and a pair of channels."""
    gw = np.zeros((g.shape[1], x.shape[1] // groups, *khw), g.dtype)
    views, _ = tap_views(x, khw, g.shape[2:], stride, padding, dilation)
    for (i, j), view in views.items():
        for fs, cs in group_slices(groups, g.shape[1], x.shape[1]):
            gw[fs, :, i, j] = np.einsum("nfhw,nchw->fc", g[:, fs], view[:, cs])
    return gw
