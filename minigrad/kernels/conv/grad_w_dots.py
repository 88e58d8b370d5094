"""The gradient of a convolution's weights as dot products along the positions of the outputs.

    gw[f, (c, i, j)] = sum over outputs p of g[f, p] * shifted[c, i, j][p]

g lies in memory with its positions side by side, and is read in place. So is x, if each output
reads the pixel of its own place (1x1); else x is copied once for each column j of the kernel,
shifted by it, with rows as long as those of g and every stride-th pixel only: then row i of the
kernel is nothing but a later beginning, i rows further. Nothing is turned.

Not here: the products (dot_tile.py), when this is the faster way (grad_w.py), adding up the
parts (grad_w_parts.py).
"""

from __future__ import annotations

import numpy as np

from ... import tuning
from ..jit import jit
from ..simd.dot_tile import dot_shape, dots_of_rows
from ..simd.flat import tail
from ..simd.strided import take
from ..simd.transpose import square_side
from ..parallel.scratch import claim, release
from ..rowwise.sums import add_row_sums
from .geometry import Axis, blocks_of, zero_rows
from .grad_w_parts import Plan, cut


@jit
def copy_shifted(x, first, channels, top, step_h, step_w, copies, wide, plane, out):
    """The shifted copies of some channels of an image, which begin at x[first] (x seen as flat).

    Each copy is (first row, rows, first column that exists, their number, column of x that it is,
    where the copy begins in out); top: what to add to the first row. wide: numbers in a row of a
    copy, plane: of all copies of a channel. Zeros for rows outside of x; columns outside are not
    written. Limit: bytes.
    """
    height, width = x.shape[2], x.shape[3]
    for e in range(copies.shape[0]):
        row, rows, v, count, column, at = (
            top + copies[e, 0], copies[e, 1], copies[e, 2], copies[e, 3], copies[e, 4],
            copies[e, 5],
        )
        begin = min(rows, (step_h - 1 - row) // step_h) if row < 0 else 0
        end = max(begin, min(rows, (height - 1 - row) // step_h + 1))
        zero_rows(tail(out, at), 0, channels, plane, 0, begin * wide)
        zero_rows(tail(out, at), 0, channels, plane, end * wide, (rows - end) * wide)
        if end == begin or count == 0:
            continue
        source = first + (row + begin * step_h) * width + column
        for c in range(channels):
            take(
                tail(x, source + c * height * width), step_h * width, step_w,
                tail(out, at + c * plane + begin * wide + v), wide, end - begin, count,
            )
    tail(x, 0), tail(out, 0)  # mentioned once more: views count no reference (flat.tail)


@jit
def grad_w_dots_range(
    start, stop, g, x, parts, gb, columns, edge, copies, blocks, sizes, steps, low_h, arena, taken
):
    """Tasks start .. stop - 1, a task being (piece, group, block of g's channels).

    g (N, F, OH, OW), x (N, C, H, W), parts (pieces, G * panels, taps, cols). columns: where the
    numbers of a tap begin, in the copies of an image or, if there are no copies, in x; as many
    as parts has taps, the last repeated. edge: where the rows of the last tile begin in g, the last
    repeated. blocks = (images, rows, channels of g of a task, groups); sizes = (rows, cols of the
    dot tile, numbers in all copies of a channel). gb (pieces, F), float64 zeros: gets the sums
    of g, unless it is empty.

    Limit: memory, as few channels of x meet each number of g: the CNN's first layer, 64 images of
    28 x 28 to 32 channels, reads 6.4 MB and takes 0.36 ms on two cores; elsewhere the dot tile.
    """
    block_n, block_h, block_f, groups = blocks
    rows, cols, plane = sizes
    step_h, step_w = steps
    batch, channels, features = x.shape[0], x.shape[1] // groups, g.shape[1] // groups
    count_h, count_w = g.shape[2], g.shape[3]
    panels, taps, width = parts.shape[1] // groups, parts.shape[2], parts.shape[3]
    pieces_f = (features + block_f - 1) // block_f
    pieces_h = (count_h + block_h - 1) // block_h
    items = (batch + block_n - 1) // block_n * pieces_h
    pixels, g_plane = x.shape[2] * x.shape[3], count_h * count_w
    in_place = copies.shape[0] == 0
    x_image, g_image = x.shape[1] * pixels, g.shape[1] * g_plane
    image = x_image if in_place else channels * plane
    place = claim(taken)
    packed = tail(arena, place * arena.shape[1])
    if not in_place:
        zero_rows(packed, 0, 1, 0, 0, block_n * image)
    inner = np.arange(rows) * g_plane
    for task in range(start, stop):
        first_f = task % pieces_f * block_f
        last_f = min(features, first_f + block_f)
        group = task // pieces_f % groups
        piece = task // pieces_f // groups
        for q in range(first_f // width, (last_f + width - 1) // width):
            parts[piece, group * panels + q] = 0
        for item in range(
            piece * items // parts.shape[0], (piece + 1) * items // parts.shape[0]
        ):
            first_h = item % pieces_h * block_h
            first_n = item // pieces_h * block_n
            images = min(block_n, batch - first_n)
            length = min(block_h, count_h - first_h) * count_w
            first = (first_n * x.shape[1] + group * channels) * pixels
            b = tail(x, first + first_h * count_w) if in_place else tail(packed, 0)
            for i in range(0 if in_place else images):
                copy_shifted(
                    x, first + i * x_image, channels, first_h * step_h + low_h, step_h, step_w,
                    copies, count_w, plane, tail(packed, i * image),
                )
            for f in range(first_f, last_f, rows):
                at_f = first_n * g.shape[1] + group * features + f
                a = tail(g, at_f * g_plane + first_h * count_w)
                row = tail(inner if f + rows <= features else edge, 0)
                panel = (piece * groups + group) * panels + f // width
                for t in range(0, taps, cols):
                    dots_of_rows(
                        a, row, b, tail(columns, t), images, (g_image, image), length,
                        tail(parts, (panel * taps + t) * width + f % width), width,
                    )
                for i in range(images if gb.size > 0 else 0):  # now that they are in a cache
                    add_row_sums(
                        tail(a, i * g_image), g_plane, min(rows, features - f), length,
                        tail(gb, piece * g.shape[1] + group * features + f),
                    )
    release(taken, place)
    # Mentioned once more: views count no reference (flat.tail).
    tail(g, 0), tail(x, 0), tail(gb, 0), tail(parts, 0), tail(arena, 0), tail(columns, 0)
    tail(edge, 0), tail(inner, 0)


def _copies(channels: int, block_h: int, ah: Axis, aw: Axis) -> tuple[np.ndarray, np.ndarray, int]:
    """(columns, copies, plane) of grad_w_dots_range, for items of block_h rows."""
    if ah.reads_all and aw.reads_all:
        return np.arange(channels) * (ah.size * aw.size), np.empty((0, 6), np.int64), 0
    copies, begins, plane = [], {}, 0
    for j in aw.phases[0].shifts:
        first = min(aw.outputs, max(0, -(j // aw.step)))  # the first v with v * step + j >= 0
        last = max(first, min(aw.outputs, (aw.size - 1 - j) // aw.step + 1))
        for remainder in range(ah.step):
            used = [i for i in ah.phases[0].shifts if (i - ah.low) % ah.step == remainder]
            if used:
                tall = block_h + (used[-1] - used[0]) // ah.step
                copies.append((used[0] - ah.low, tall, first, last - first,
                               first * aw.step + j, plane))
                for i in used:
                    begins[i, j] = plane + (i - used[0]) // ah.step * aw.outputs
                plane += tall * aw.outputs
    plane = -(-plane // 16) * 16  # whole cache lines
    columns = [
        c * plane + begins[i, j]
        for c in range(channels) for i in ah.phases[0].shifts for j in aw.phases[0].shifts
    ]
    return np.array(columns), np.array(copies, np.int64), plane


def plan_dots(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis
) -> Plan:
    """The plan for `channels` of x and `features` of g a group."""
    rows, cols, _ = dot_shape(dtype)
    block_h = blocks_of(ah.outputs, tuning.GRAD_W_DOT_POSITIONS // aw.outputs)
    block_n = 1
    if block_h == ah.outputs:  # the lanes of small images are added up together
        most = tuning.GRAD_W_DOT_POSITIONS // (ah.outputs * aw.outputs)
        block_n = blocks_of(batch, min(most, -(-batch // tuning.CONV_PIECES)))
    columns, copies, plane = _copies(channels, block_h, ah, aw)
    count = columns.size
    taps = -(-count // cols) * cols
    columns = np.pad(columns, (0, taps - count), "edge").astype(np.int64)
    width = max(rows, square_side(dtype))
    panels = -(-features // width)
    items = -(-batch // block_n) * -(-ah.outputs // block_h)
    positions = batch * ah.outputs * aw.outputs
    size = groups * panels * taps * width * dtype.itemsize
    pieces = cut(items, positions, features, groups, width, size)
    tasks = pieces.tasks(features, groups)
    edge = np.minimum(np.arange(rows), (features - 1) % rows) * (ah.outputs * aw.outputs)
    f = np.arange(panels * width)
    places = np.where(f < features, f * count, -1) + np.zeros((groups, 1), np.int64)
    places[:, :features] += np.arange(groups)[:, None] * (features * count)
    geometry = (
        columns, edge, copies, (block_n, block_h, pieces.block, groups), (rows, cols, plane),
        (ah.step, aw.step), ah.low,
    )
    return Plan(
        grad_w_dots_range, tasks, 2 * positions * taps * groups * panels * width / tasks,
        (pieces.pieces, groups * panels, taps, width), geometry,
        block_n * channels * plane + 16, count, places.reshape(-1, width), 1,
    )
