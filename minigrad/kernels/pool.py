"""Maximum and average over windows of an image, and the gradients of both.

Each kernel walks planes: one image of one channel, H x W numbers that fit a cache. A window starts
at u * stride - padding and takes every dilation-th cell; cells outside of the image are left out.

A maximum remembers *where* it was found: its place in the window, i * KW + j, in one byte (two
for windows of 255 cells and more). So its gradient only sends numbers back to those places
(`max_pool2d_grad`), and the gradient of that picks numbers up from there (`max_pool2d_pick`).
torch's flat indices h * W + w are made of the places if somebody asks. The average is linear, and
`avg_pool2d_grad` is its transpose.

All of them go along rows, a vector of outputs at once (vector.py): windows of a row start `stride`
apart, so with stride 1 a cell of all windows is a vector as it lies in memory, with stride 2 every
other number of two vectors. Gradients gather rather than scatter: the columns of one phase, w =
sw * m + r - pw, hear from window m - q through cell j = r + sw * q; so each number of gx is
written once, its sum has a fixed order, and nothing is filled with zeros first.

Not here: checking shapes and choosing output sizes, ceil_mode included (`ops/pool.py`).
"""

from __future__ import annotations

import numpy as np

from ..memory import empty
from .jit import jit, ready
from .threads import parallel
from .vector import (
    choose,
    evens,
    lanes,
    load,
    load_all,
    load_apart,
    load_beside,
    load_counts,
    load_even,
    load_marks,
    mark_dtype,
    odds,
    spread,
    store,
    store_all,
    store_apart,
    store_pairs,
    vector_jit,
)

Pair = tuple[int, int]

# Numbers read or compared that are worth a thread: about 30 us at a quarter of a nanosecond each.
GRAIN_CELLS = 120_000
ROW_CELLS = 40  # what a row costs besides, about 10 ns, in such numbers


def _grain(cells: int) -> int:
    """The least number of planes worth a chunk, when a plane costs `cells` numbers."""
    return max(1, GRAIN_CELLS // max(cells, 1))


def _flat(x: np.ndarray) -> np.ndarray:
    """All numbers in one row, ready for a kernel."""
    return ready(x).reshape(-1)


def _pair(options: Pair) -> Pair:
    return int(options[0]), int(options[1])


def _place_dtype(kernel: Pair) -> np.dtype:
    """The narrowest integer for a place in the window; its largest value means: nowhere."""
    cells = kernel[0] * kernel[1]
    for dtype in (np.uint8, np.uint16):
        if cells <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.int32)


def _nowhere(places: np.ndarray) -> int:
    return int(np.iinfo(places.dtype).max)


# --------------------------------------------------------------------------- maximum


@jit
def _offsets(kernel, dilation, width):
    """How far each place of a window lies behind its first cell, in an image W wide."""
    offsets = np.empty(kernel[0] * kernel[1], np.int64)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            offsets[i * kernel[1] + j] = i * dilation[0] * width + j * dilation[1]
    return offsets


@jit
def _cells_inside(out, kernel, stride, padding, dilation, size):
    """For each window of an axis: its cells begin .. end - 1 lie inside the image."""
    begins = np.empty(out, np.int64)
    ends = np.empty(out, np.int64)
    for u in range(out):
        first = u * stride - padding
        begin = 0
        while begin < kernel and first + begin * dilation < 0:
            begin += 1
        end = kernel
        while end > begin and first + (end - 1) * dilation >= size:
            end -= 1
        begins[u] = begin
        ends[u] = end
    return begins, ends


@vector_jit
def _max_pool_plane(
    source, base, pitch, y, places, out, out_hw, kernel, stride, padding, offsets, inside, first,
    nowhere, relu
):
    """One plane, whose cell (h, w) is source[base + h * pitch + w]; y and places begin at `out`."""
    rows, columns = out_hw
    size = lanes(source)
    begins, ends = inside
    pairs = kernel[1] == 2 and stride[1] == 2 and offsets[1] == 1
    for u in range(rows):
        begin = begins[u] * kernel[1]
        end = ends[u] * kernel[1]
        row = base + (u * stride[0] - padding[0]) * pitch
        for v in range(0, columns, size):
            n = min(size, columns - v)
            best = spread(-np.inf, source)
            place = load_counts(first, v, 0, n, source)
            if begin > 0:
                place = choose(place == nowhere, place, place + begin)
            if begin == end:  # dilated past a small image
                place = spread(nowhere, source)
            at = row + v * stride[1]
            if pairs:  # two cells out of the same two vectors
                for c in range(begin, end, 2):
                    low = load(source, at + offsets[c], 0, 2 * n)
                    high = load(source, at + offsets[c] + size, 0, 2 * n - size)
                    value = evens(low, high)
                    take = (value > best) | (value != value)
                    best = choose(take, value, best)
                    place = choose(take, spread(c, source), place)
                    value = odds(low, high)
                    take = (value > best) | (value != value)
                    best = choose(take, value, best)
                    place = choose(take, spread(c + 1, source), place)
            else:
                for c in range(begin, end):
                    if stride[1] == 1:
                        value = load(source, at + offsets[c], 0, n)
                    elif stride[1] == 2:
                        value = load_even(source, at + offsets[c], n)
                    else:
                        value = load_apart(source, at + offsets[c], stride[1], n)
                    # value != value is NaN: it replaces, and no number replaces it.
                    take = (value > best) | (value != value)
                    best = choose(take, value, best)
                    place = choose(take, spread(c, source), place)
            if relu:
                dead = best <= 0.0
                best = choose(dead, spread(0.0, source), best)
                place = choose(dead, spread(nowhere, source), place)
            store(y, out + u * columns + v, 0, n, best)
            store(places, out + u * columns + v, 0, n, place)


@vector_jit
def max_pool_range(
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, nowhere, relu
):
    """Planes start .. stop - 1 of a maximum. x, y, places: flat (P * H * W), (P * OH * OW) twice.

    Limit: bytes where windows do not overlap: 2x2 on 64x64x28x28 (float32) moved 29 GB/s on two
    cores, of 42 that a copy reached; 21 on one, 12 ns a row. Else KH * KW times a load and four
    instructions (two comparisons, since NaN wins, and two choices) for a vector of outputs: 26 ns
    for a row of 14 outputs of 3x3 windows, which is 9 instructions a cell.
    """
    height, width = hw
    columns = out_hw[1]
    size = lanes(x)
    top = (kernel[1] - 1) * dilation[1]  # the last cell of a window, from its first
    pitch = max(padding[1] + width, (columns - 1) * stride[1] + top + 1)
    crooked = pitch > width  # windows that hang over at the left or the right
    # Then rows get -inf around them: it is never greater than anything, so it is never taken.
    framed = np.full(height * pitch if crooked else 0, -np.inf, x.dtype)
    # The first cell of each window that is inside: the place where all cells are -inf.
    first = np.zeros(columns, places.dtype)
    if crooked:
        begins, ends = _cells_inside(columns, kernel[1], stride[1], padding[1], dilation[1], width)
        for v in range(columns):
            first[v] = begins[v] if begins[v] < ends[v] else nowhere
    inside = _cells_inside(out_hw[0], kernel[0], stride[0], padding[0], dilation[0], height)
    offsets = _offsets(kernel, dilation, pitch)
    for p in range(start, stop):
        base = p * height * width
        out = p * out_hw[0] * columns
        if crooked:
            for h in range(height):
                for w in range(0, width, size):
                    n = width - w
                    row = load(x, base + h * width + w, 0, n)
                    store(framed, h * pitch + padding[1] + w, 0, n, row)
            _max_pool_plane(framed, 0, pitch, y, places, out, out_hw, kernel, stride, padding,
                            offsets, inside, first, nowhere, relu)
        else:
            _max_pool_plane(x, base, pitch, y, places, out, out_hw, kernel, stride, padding,
                            offsets, inside, first, nowhere, relu)


def max_pool2d_places(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    out_hw: Pair,
    relu: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """y[n,c,u,v] = max of x[n, c, u*sh - ph + i*dh, v*sw - pw + j*dw] over i < KH, j < KW.

    x (N, C, H, W) -> y (N, C, OH, OW) and the place i * KW + j of each maximum, (N, C, OH, OW) of
    unsigned bytes (for windows of 255 cells and more uint16, of 65535 int32).
    Of equal values the first wins. A NaN wins over all numbers, the last NaN over the others.
    Cells outside of the image are never chosen. Where a dilated window has no cell inside, as
    the rows -1 and 1 of an image with one row, y is -inf (as in torch) and the place is the largest
    integer of its dtype, which stands for nowhere.

    relu: y = max(0, that) in the same pass; the place is nowhere where that was not positive (NaN
    stays). `max_pool2d_grad` then is the gradient of both.
    """
    batch, channels, height, width = x.shape
    planes = batch * channels
    y = empty((batch, channels, *out_hw), x.dtype)
    places = empty(y.shape, _place_dtype(kernel))
    if y.size:
        cells = max(height * width, out_hw[0] * out_hw[1] * kernel[0] * kernel[1])
        cells += ROW_CELLS * out_hw[0]
        rule = (_pair(kernel), _pair(stride), _pair(padding), _pair(dilation))
        parallel(max_pool_range, planes, _flat(x), y.reshape(-1), places.reshape(-1),
                 (height, width), _pair(out_hw), *rule, _nowhere(places), bool(relu),
                 grain=_grain(cells))
    return y, places


@jit
def _heard_from(hw, out_hw, kernel, stride, padding, dilation, pitch, back):
    """What each phase of each row of the image hears, as lists one behind the other.

    List h * sw + r begins at begins[h * sw + r]. An entry says: column sw * m + r - pw adds what
    lies m numbers behind `source` in a framed plane of g, where the place is `place`. The windows
    come in the order of the outputs.
    """
    height = hw[0]
    step = stride[1]
    begins = np.zeros(height * step + 1, np.int64)
    sources = np.empty(out_hw[0] * kernel[0] * kernel[1], np.int64)
    wanted = np.empty(sources.size, np.int64)
    count = 0
    u_begin = 0
    for h in range(height):
        top = padding[0] + h
        while u_begin < out_hw[0] and u_begin * stride[0] + (kernel[0] - 1) * dilation[0] < top:
            u_begin += 1
        for r in range(step):
            for u in range(u_begin, out_hw[0]):
                i = top - u * stride[0]
                if i < 0:
                    break
                if i % dilation[0] == 0:
                    for j in range(kernel[1] - 1, -1, -1):
                        if j * dilation[1] % step == r:
                            sources[count] = u * pitch + back - j * dilation[1] // step
                            wanted[count] = i // dilation[0] * kernel[1] + j
                            count += 1
            begins[h * step + r + 1] = count
    return begins, sources, wanted


@vector_jit
def max_pool_grad_range(
    start, stop, g, places, gx, hw, out_hw, kernel, stride, padding, dilation, nowhere
):
    """Planes start .. stop - 1 of the gradient of a maximum. g, places, gx: flat.

    Limit: bytes where windows do not overlap; else for each cell of the window a comparison and an
    addition, both with an operand in memory, for a vector of columns. 10 ns for a row of 28 columns
    with 2x2 windows, 13 with 3x3 and stride 2, 32 with 3x3 and stride 1; on two cores 23 GB/s for
    2x2 on 64x64x28x28, and as much again that is read only to be overwritten.
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    step = stride[1]
    # g and the places in a frame that hits nothing, so that no load needs a mask.
    back = (kernel[1] - 1) * dilation[1] // step
    pitch = back + max(columns, (width + padding[1] + step - 1) // step) + size
    framed = np.zeros(rows * pitch + size, g.dtype)
    marks = np.full(framed.size, nowhere, mark_dtype(g))
    begins, sources, wanted = _heard_from(
        hw, out_hw, kernel, stride, padding, dilation, pitch, back
    )
    m_begin = padding[1] // step
    m_end = (width + padding[1] + step - 1) // step
    for p in range(start, stop):
        for u in range(rows):
            source = (p * rows + u) * columns
            for v in range(0, columns, size):
                n = columns - v
                store_all(framed, u * pitch + back + v, load(g, source + v, 0, n))
                mark = load_counts(places, source + v, 0, n, g)
                store(marks, u * pitch + back + v, 0, n, mark)
        for h in range(height):
            row = (p * height + h) * width - padding[1]
            for m in range(m_begin, m_end, size):
                low = padding[1] - step * m
                high = width + low
                even = spread(0.0, g)
                for r in range(step):
                    total = spread(0.0, g)
                    for e in range(begins[h * step + r], begins[h * step + r + 1]):
                        at = sources[e] + m
                        hit = load_marks(marks, at, g) == wanted[e]
                        total = choose(hit, total + load_all(framed, at), total)
                    if step == 1:
                        store(gx, row + m, low, high, total)
                    elif step == 2:
                        if r == 1:
                            store_pairs(gx, row + 2 * m, low, high, even, total)
                        even = total
                    else:
                        # Lane k is column step * (m + k) + r - pw of the image.
                        begin = (low - r + step - 1) // step if low > r else 0
                        end = (high - r + step - 1) // step if high > r else 0
                        store_apart(gx, row + step * m + r, step, begin, end, total)


def max_pool2d_grad(
    g: np.ndarray,
    places: np.ndarray,
    hw: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> np.ndarray:
    """gx[n, c, h, w] = sum of g[n,c,u,v] over the windows whose maximum was found at (h, w).

    g, places (N, C, OH, OW) as `max_pool2d_places` gave them, hw (H, W) -> gx (N, C, H, W). The sum
    goes in the order of the outputs. A place of nowhere receives nothing.
    """
    batch, channels, rows, columns = g.shape
    gx = empty((batch, channels, *hw), g.dtype)
    if gx.size:
        overlap = -(-kernel[0] // stride[0]) * -(-kernel[1] // stride[1])
        rule = (_pair(kernel), _pair(stride), _pair(padding), _pair(dilation))
        parallel(max_pool_grad_range, batch * channels, _flat(g), _flat(places), gx.reshape(-1),
                 _pair(hw), (rows, columns), *rule, _nowhere(places),
                 grain=_grain(hw[0] * (hw[1] * overlap + ROW_CELLS)))
    return gx


@jit
def max_pool_pick_range(
    start, stop, x, places, y, hw, out_hw, kernel, stride, padding, dilation, nowhere
):
    """Planes start .. stop - 1 of `max_pool2d_pick`. Limit: one number after the other."""
    height, width = hw
    offsets = _offsets(kernel, dilation, width)
    for p in range(start, stop):
        for u in range(out_hw[0]):
            row = (p * out_hw[0] + u) * out_hw[1]
            for v in range(out_hw[1]):
                place = places[row + v]
                if place == nowhere:
                    y[row + v] = 0
                else:
                    at = (u * stride[0] - padding[0]) * width + v * stride[1] - padding[1]
                    y[row + v] = x[p * height * width + at + offsets[place]]


def max_pool2d_pick(
    x: np.ndarray, places: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> np.ndarray:
    """y[n,c,u,v] = x at the place of each maximum, 0 for nowhere: the transpose of the gradient.

    x (N, C, H, W), places (N, C, OH, OW) -> (N, C, OH, OW).
    """
    batch, channels, rows, columns = places.shape
    y = np.empty(places.shape, x.dtype)
    if y.size:
        rule = (_pair(kernel), _pair(stride), _pair(padding), _pair(dilation))
        parallel(max_pool_pick_range, batch * channels, _flat(x), _flat(places), y.reshape(-1),
                 x.shape[2:], (rows, columns), *rule, _nowhere(places),
                 grain=_grain(4 * rows * columns))
    return y


@jit
def max_pool_indices_range(
    start, stop, places, indices, hw, out_hw, kernel, stride, padding, dilation, nowhere
):
    """Planes start .. stop - 1 of `max_pool2d_indices`. Limit: bytes, 9 for an output."""
    width = hw[1]
    offsets = _offsets(kernel, dilation, width)
    for p in range(start, stop):
        for u in range(out_hw[0]):
            row = (p * out_hw[0] + u) * out_hw[1]
            for v in range(out_hw[1]):
                place = places[row + v]
                at = (u * stride[0] - padding[0]) * width + v * stride[1] - padding[1]
                indices[row + v] = -1 if place == nowhere else at + offsets[place]


def max_pool2d_indices(
    places: np.ndarray, hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> np.ndarray:
    """torch's indices: h * W + w of each maximum in its plane, int64, -1 for nowhere.

    places (N, C, OH, OW), hw (H, W) -> (N, C, OH, OW).
    """
    batch, channels, rows, columns = places.shape
    indices = np.empty(places.shape, np.int64)
    if indices.size:
        rule = (_pair(kernel), _pair(stride), _pair(padding), _pair(dilation))
        parallel(max_pool_indices_range, batch * channels, _flat(places), indices.reshape(-1),
                 _pair(hw), (rows, columns), *rule, _nowhere(places),
                 grain=_grain(4 * rows * columns))
    return indices


def max_pool2d(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    out_hw: Pair,
) -> tuple[np.ndarray, np.ndarray]:
    """`max_pool2d_places` with torch's indices: y and h * W + w of each maximum, int64."""
    y, places = max_pool2d_places(x, kernel, stride, padding, dilation, out_hw)
    return y, max_pool2d_indices(places, x.shape[2:], kernel, stride, padding, dilation)


@jit
def scatter_range(start, stop, g, indices, gx):
    """gx[p, indices[p, o]] += g[p, o] for planes start .. stop - 1. gx (P, H * W), g (P, L).

    Limit: bytes (gx written, g and indices read); the plane stays in the first-level cache
    between its zeroing and its sums. 27 GB/s on 64x64x28x28, two thirds of torch's time.
    """
    for p in range(start, stop):
        target = gx[p]
        for i in range(target.size):
            target[i] = 0
        source = g[p]
        places = indices[p]
        for o in range(source.size):
            at = places[o]
            if at >= 0:
                target[np.uint64(at)] += source[o]  # unsigned: no test for a negative index


def max_pool2d_scatter(g: np.ndarray, indices: np.ndarray, hw: Pair) -> np.ndarray:
    """gx[n, c, indices[n,c,u,v]] += g[n,c,u,v]: the gradient of `max_pool2d`.

    g, indices (N, C, OH, OW), hw (H, W) -> gx (N, C, H, W). Where windows overlap their gradients
    are added, in the order of the outputs. An index of -1 receives nothing.
    """
    batch, channels = g.shape[:2]
    planes, length = batch * channels, g.shape[2] * g.shape[3]
    size = hw[0] * hw[1]
    gx = np.empty((planes, size), g.dtype)
    flat_g = ready(g).reshape(planes, length)
    flat_i = ready(indices).reshape(planes, length)
    parallel(scatter_range, planes, flat_g, flat_i, gx, grain=_grain(size + 2 * length))
    return gx.reshape(batch, channels, *hw)


@jit
def gather_range(start, stop, x, indices, y):
    """y[p, o] = x[p, indices[p, o]] for planes start .. stop - 1. x (P, H * W), y (P, L).

    Limit: bytes (indices and x read, y written).
    """
    for p in range(start, stop):
        source = x[p]
        places = indices[p]
        target = y[p]
        for o in range(target.size):
            at = places[o]
            if at >= 0:
                target[o] = source[np.uint64(at)]
            else:
                target[o] = 0


def max_pool2d_gather(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """y[n,c,u,v] = x[n, c, indices[n,c,u,v]], the transpose of the scatter (0 for an index of -1).

    x (N, C, H, W), indices (N, C, OH, OW) -> (N, C, OH, OW).
    """
    planes, length = x.shape[0] * x.shape[1], indices.shape[2] * indices.shape[3]
    flat_x = ready(x).reshape(planes, x.shape[2] * x.shape[3])
    flat_i = ready(indices).reshape(planes, length)
    y = np.empty((planes, length), x.dtype)
    parallel(gather_range, planes, flat_x, flat_i, y, grain=_grain(2 * length))
    return y.reshape(indices.shape)


# --------------------------------------------------------------------------- average


@vector_jit
def avg_pool_range(start, stop, x, y, by, times, hw, out_hw, kernel, stride, padding):
    """Planes start .. stop - 1 of an average. x, y: flat; by: the divisors of a plane, flat.

    Sums are separable: first down the KH rows into one row with zeros around it, then along that.
    times: `by` holds factors, not divisors.

    Limit: bytes where windows do not overlap; else KH + KW loads and additions, and a division,
    for a vector of outputs.
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(x)
    reach = (columns + size) * stride[1] + kernel[1] + size
    sums = np.zeros(max(padding[1] + width, reach) + size, x.dtype)
    pairs = kernel[1] == 2 and stride[1] == 2 and padding[1] == 0 and 2 * columns <= width
    for p in range(start, stop):
        for u in range(rows):
            h_begin = max(u * stride[0] - padding[0], 0)
            h_end = min(u * stride[0] - padding[0] + kernel[0], height)
            if pairs:  # no way through memory: neighbours out of the same two vectors
                for v in range(0, columns, size):
                    n = columns - v
                    low = spread(0.0, x)
                    high = spread(0.0, x)
                    for h in range(h_begin, h_end):
                        at = (p * height + h) * width + 2 * v
                        low = low + load(x, at, 0, 2 * n)
                        high = high + load(x, at + size, 0, 2 * n - size)
                    total = evens(low, high) + odds(low, high)
                    share = load(by, u * columns + v, 0, n)
                    total = total * share if times else total / share
                    store(y, (p * rows + u) * columns + v, 0, n, total)
                continue
            for w in range(0, width, size):
                n = width - w
                total = spread(0.0, x)
                for h in range(h_begin, h_end):
                    total = total + load(x, (p * height + h) * width + w, 0, n)
                store_all(sums, padding[1] + w, total)
            for v in range(0, columns, size):
                total = spread(0.0, x)
                for j in range(kernel[1]):
                    at = v * stride[1] + j
                    if stride[1] == 1:
                        total = total + load_all(sums, at)
                    elif stride[1] == 2:
                        total = total + load_even(sums, at, size)
                    else:
                        total = total + load_apart(sums, at, stride[1], size)
                n = columns - v
                share = load(by, u * columns + v, 0, n)
                total = total * share if times else total / share
                store(y, (p * rows + u) * columns + v, 0, n, total)


@vector_jit
def avg_pool_grad_range(start, stop, g, gx, by, times, hw, out_hw, kernel, stride, padding):
    """Planes start .. stop - 1 of the gradient of an average. g, gx: flat; by as above.

    The transpose, step by step: first the sum of the windows that hold a row, as one row with zeros
    around it; then each column's sum of that.

    Limit: bytes where windows do not overlap; else about KH / sh + KW loads and additions for a
    vector of outputs.
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    step = stride[1]
    pairs = kernel[1] == 2 and step == 2 and padding[1] == 0 and 2 * columns <= width
    if pairs and kernel[0] == stride[0] and padding[0] == 0 and kernel[0] * rows <= height:
        for p in range(start, stop):  # windows side by side: a share is written, nothing added
            for u in range(rows):
                for v in range(0, (width + 1) // 2, size):
                    n = columns - v
                    value = load(g, (p * rows + u) * columns + v, 0, n)
                    share = load_beside(by, u * columns + v, n, 1.0)
                    value = value * share if times else value / share
                    # The lanes past the last window are 0, and so is a column that is left over.
                    high = width - 2 * v
                    for h in range(kernel[0] * u, kernel[0] * u + kernel[0]):
                        row = (p * height + h) * width
                        store_pairs(gx, row + 2 * v, 0, high, value, value)
            gx[(p * height + kernel[0] * rows) * width : (p + 1) * height * width] = 0
        return
    back = (kernel[1] - 1) // step  # how many windows before its own a column still belongs to
    shares = np.empty(rows * columns, g.dtype)
    reach = (width + padding[1]) // step + back
    sums = np.zeros(max(columns + back, reach) + 3 * size, g.dtype)
    for p in range(start, stop):
        for o in range(0, shares.size, size):
            n = shares.size - o
            value = load(g, p * shares.size + o, 0, n)
            share = load(by, o, 0, n)
            value = value * share if times else value / share
            store(shares, o, 0, n, value)
        u_begin = 0
        u_end = 0
        fresh = False  # whether `sums` are those of u_begin .. u_end - 1
        for h in range(height):
            while u_end < rows and u_end * stride[0] - padding[0] <= h:
                u_end += 1
                fresh = False
            while u_begin < u_end and u_begin * stride[0] - padding[0] + kernel[0] <= h:
                u_begin += 1
                fresh = False
            if not fresh:
                for v in range(0, columns, size):
                    n = columns - v
                    total = spread(0.0, g)
                    for u in range(u_begin, u_end):
                        total = total + load(shares, u * columns + v, 0, n)
                    store_all(sums, back + v, total)
                fresh = True
            row = (p * height + h) * width - padding[1]
            for m in range(padding[1] // step, (width + padding[1] + step - 1) // step, size):
                low = max(0, padding[1] - step * m)
                high = width + padding[1] - step * m
                even = spread(0.0, g)
                for r in range(step):
                    total = spread(0.0, g)
                    # Cells j = r + step * q of windows m - q: from the left to the right.
                    for q in range((kernel[1] - 1 - r) // step if r < kernel[1] else -1, -1, -1):
                        total = total + load_all(sums, back + m - q)
                    if step == 1:
                        store(gx, row + m, low, high, total)
                    elif step == 2:
                        if r == 1:
                            store_pairs(gx, row + 2 * m, low, high, even, total)
                        even = total
                    else:
                        begin = (low - r + step - 1) // step if low > r else 0
                        end = (high - r + step - 1) // step if high > r else 0
                        store_apart(gx, row + step * m + r, step, begin, end, total)


def _counts(size: int, kernel: int, stride: int, padding: int, out: int) -> list[np.ndarray]:
    """For each window of an axis: its cells with padding, and those on the image.

    torch's rule: the window is first cut at size + padding (it hangs over only in ceil_mode), which
    gives the count; then at the image.
    """
    begin = np.arange(out) * stride - padding
    end = np.minimum(begin + kernel, size + padding)
    return [end - begin, np.minimum(end, size) - np.maximum(begin, 0)]


def _divisors(
    dtype: np.dtype,
    hw: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    out_hw: Pair,
    include_pad: bool,
    override: int,
) -> tuple[np.ndarray, bool]:
    """What the sum of each window is divided by, (OH * OW,); or what it is multiplied with.

    A factor where that is exact (powers of two): a division is several times slower.
    """
    if override:
        by = np.full(out_hw, override, dtype)
    elif include_pad and all(
        (out - 1) * s - p + k <= n + p
        for n, k, s, p, out in zip(hw, kernel, stride, padding, out_hw)
    ):
        by = np.full(out_hw, kernel[0] * kernel[1], dtype)
    else:
        which = 0 if include_pad else 1
        down, along = (
            _counts(*axis)[which] for axis in zip(hw, kernel, stride, padding, out_hw)
        )
        by = np.multiply.outer(down, along).astype(dtype)
    by = by.reshape(-1)
    times = bool((np.frexp(by)[0] == 0.5).all())
    return (1 / by if times else by), times


def avg_pool2d(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    out_hw: Pair,
    count_include_pad: bool = True,
    divisor_override: int = 0,
) -> np.ndarray:
    """y[n,c,u,v] = sum of x[n, c, u*sh - ph + i, v*sw - pw + j] over the window, / divisor.

    x (N, C, H, W) -> y (N, C, OH, OW). The divisor is divisor_override if not 0; else the cells of
    the window inside the padded image (count_include_pad) or inside the image itself.
    """
    batch, channels, height, width = x.shape
    y = empty((batch, channels, *out_hw), x.dtype)
    if y.size:
        shape = (_pair(kernel), _pair(stride), _pair(padding))
        hw, out_hw = (height, width), _pair(out_hw)
        by = _divisors(x.dtype, hw, *shape, out_hw, count_include_pad, divisor_override)
        cells = height * width * -(-kernel[0] // stride[0]) + y[0, 0].size * kernel[1]
        cells += ROW_CELLS * out_hw[0]
        parallel(avg_pool_range, batch * channels, _flat(x), y.reshape(-1), *by, hw, out_hw,
                 *shape, grain=_grain(cells))
    return y


def avg_pool2d_grad(
    g: np.ndarray,
    hw: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool = True,
    divisor_override: int = 0,
) -> np.ndarray:
    """gx[n,c,h,w] = sum of g[n,c,u,v] / divisor over the windows (u, v) that hold cell (h, w).

    g (N, C, OH, OW), hw (H, W) -> gx (N, C, H, W): the transpose of `avg_pool2d`.
    """
    batch, channels, rows, columns = g.shape
    gx = empty((batch, channels, *hw), g.dtype)
    if gx.size:
        shape = (_pair(kernel), _pair(stride), _pair(padding))
        hw, out_hw = _pair(hw), (rows, columns)
        by = _divisors(g.dtype, hw, *shape, out_hw, count_include_pad, divisor_override)
        cells = hw[0] * hw[1] * -(-kernel[1] // stride[1]) + 2 * rows * columns
        cells += ROW_CELLS * hw[0]
        parallel(avg_pool_grad_range, batch * channels, _flat(g), gx.reshape(-1), *by, hw, out_hw,
                 *shape, grain=_grain(cells))
    return gx


# --------------------------------------------------------------------------- plain twins


def max_pool2d_reference(x, kernel, stride, padding, dilation, out_hw):
    """The plain twin of `max_pool2d`: every cell of every window, in Python."""
    y = np.empty((*x.shape[:2], *out_hw), x.dtype)
    indices = np.empty(y.shape, np.int64)
    height, width = x.shape[2:]
    for n, c, u, v in np.ndindex(y.shape):
        best, at = None, -1  # -1: no cell inside
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                h = u * stride[0] - padding[0] + i * dilation[0]
                w = v * stride[1] - padding[1] + j * dilation[1]
                if 0 <= h < height and 0 <= w < width:
                    value = x[n, c, h, w]
                    if best is None or value > best or np.isnan(value):
                        best, at = value, h * width + w
        y[n, c, u, v], indices[n, c, u, v] = -np.inf if best is None else best, at
    return y, indices


def max_pool2d_scatter_reference(g, indices, hw):
    """The plain twin of `max_pool2d_scatter`."""
    gx = np.zeros((*g.shape[:2], *hw), g.dtype)
    for n, c, u, v in np.ndindex(g.shape):
        if indices[n, c, u, v] >= 0:
            h, w = divmod(indices[n, c, u, v], hw[1])
            gx[n, c, h, w] += g[n, c, u, v]
    return gx


def max_pool2d_gather_reference(x, indices):
    """The plain twin of `max_pool2d_gather`."""
    y = np.empty(indices.shape, x.dtype)
    for n, c, u, v in np.ndindex(y.shape):
        at = indices[n, c, u, v]
        y[n, c, u, v] = x[n, c].ravel()[at] if at >= 0 else 0
    return y


def _windows(hw, kernel, stride, padding, out_hw, count_include_pad, divisor_override):
    """For each output (u, v): the slices of its cells inside the image, and its divisor."""
    for u, v in np.ndindex(*out_hw):
        cells, padded = [], 1
        for axis, at in enumerate((u, v)):
            begin = at * stride[axis] - padding[axis]
            end = min(begin + kernel[axis], hw[axis] + padding[axis])
            padded *= end - begin
            cells.append(slice(max(begin, 0), min(end, hw[axis])))
        inside = (cells[0].stop - cells[0].start) * (cells[1].stop - cells[1].start)
        yield (u, v), tuple(cells), divisor_override or (padded if count_include_pad else inside)


def avg_pool2d_reference(
    x, kernel, stride, padding, out_hw, count_include_pad=True, divisor_override=0
):
    """The plain twin of `avg_pool2d`."""
    y = np.empty((*x.shape[:2], *out_hw), x.dtype)
    rule = (count_include_pad, divisor_override)
    for (u, v), (hs, ws), by in _windows(x.shape[2:], kernel, stride, padding, out_hw, *rule):
        y[:, :, u, v] = x[:, :, hs, ws].sum((2, 3)) / by
    return y


def avg_pool2d_grad_reference(
    g, hw, kernel, stride, padding, count_include_pad=True, divisor_override=0
):
    """The plain twin of `avg_pool2d_grad`."""
    gx = np.zeros((*g.shape[:2], *hw), g.dtype)
    rule = (count_include_pad, divisor_override)
    for (u, v), (hs, ws), by in _windows(hw, kernel, stride, padding, g.shape[2:], *rule):
        gx[:, :, hs, ws] += (g[:, :, u, v] / by)[:, :, None, None]
    return gx
