"""Pooling: the maximum or the average of each window of an image.

The maximum is differentiated by where it was found: the forward keeps the place of each maximum in
its window, one byte; the gradient is sent there, and the gradient of that picked up from there.
Not here: the loops (`kernels/pool/`), layers (`nn/pool.py`).
"""
from __future__ import annotations

import numpy as np

from ..autograd.engine import Tensor
from ..autograd.fusion import behind
from ..autograd.op import composite, op
from ..autograd.options import Case, Option, flag, is_integer, pair, sizes
from ..autograd.signature import Advice, Signature
from ..kernels.pool import average as pool_avg, maximum as pool_max, maximum_grad as pool_grad
from .windows import WINDOW, HalfPadding, Pair, count, counted

# --- what it takes -------------------------------------------------------------------------------

WINDOWS: dict[str, Option] = {"kernel_size": WINDOW, "stride": pair(1, like="kernel_size"),
                              "padding": HalfPadding("kernel_size")}


def _out_hw(case: Case) -> tuple[Pair]:
    """(OH, OW), or the error."""
    options, dilation = case.options, case.options.get("dilation", (1, 1))
    return (counted(case, (case.sizes["H"], case.sizes["W"]), options["kernel_size"],
                    options["stride"], options["padding"] * 2, dilation, options["ceil_mode"],
                    "window"),)


def _maximum() -> Signature:
    """check(input, kernel_size, stride, padding, dilation, ceil_mode) -> these options, out_hw."""
    return Signature("input (N?, C, H, W) -> (N?, C, OH, OW)", "floating",
                     {**WINDOWS, "dilation": WINDOW, "ceil_mode": flag()}, then=_out_hw)


class _Divisor(Option):
    """What sums are divided by in place of the window's size, or None."""
    exact = True
    wants = "None or an integer other than 0"
    wrong = (0, 1.5, "2", True)

    def check(self, case: Case, name: str, value: object) -> int:
        """The integer, or 0 for None."""
        if value is not None and not is_integer(value):
            case.refuse(f"{name} must be an integer or None, got {value!r}", TypeError)
        if value is not None and not value:
            case.refuse(f"{name} must not be 0, got {value!r}")
        return int(value or 0)                     # type: ignore[call-overload]


MAX_POOL = _maximum()
RELU_MAX_POOL = _maximum()
AVG_POOL = Signature(
    "input (N?, C, H, W) -> (N?, C, OH, OW)", "floating",
    {**WINDOWS, "ceil_mode": flag(), "count_include_pad": flag(), "divisor_override": _Divisor()},
    then=_out_hw)


def _fit_the_image(case: Case) -> None:
    """Refuses places that are not those of windows on an image of this size."""
    options = case.options
    for i, (n, out) in enumerate((("H", "OH"), ("W", "OW"))):
        k, s, p, d = (options[o][i] for o in ("kernel_size", "stride", "padding", "dilation"))
        fit = [count(case.sizes[n], k, s, 2 * p, d, ceil, p) for ceil in (False, True)]
        if case.sizes[out] not in fit:
            case.refuse(f"{n} = {case.sizes[n]} with a window of {k}, stride {s}, padding {p} and "
                        f"dilation {d} gives {out} = {fit[0]}, or {fit[1]} with ceil_mode; places "
                        f"{case.shapes['places']} has {out} = {case.sizes[out]}")


def _kept(what: str) -> dict[str, Advice]:
    """What to say wherever these do not fit: they are not made by hand."""
    text = f"want the {what} that max_pool2d gave, integers in the shape of its result"
    return dict.fromkeys((what, "N", "C", "OH", "OW"), lambda case: text)


def _as_batch(x):
    return x if x.ndim == 4 else x[None]


# --- maximum -------------------------------------------------------------------------------------

def _max_ref(x, *options):
    return _max_windows(x, *_normal(x, *options))


def _normal(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The options of max_pool2d_windows."""
    *pairs, _, out_hw = MAX_POOL.check(x, kernel_size, stride, padding, dilation, ceil_mode)
    return *pairs, out_hw


def _max_windows(x, k, s, p, d, out_hw):
    """Each window cut out of an image with -inf around it."""
    oh, ow = out_hw
    big = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(p[0], p[0] + k[0] * d[0] + s[0]),
                                               (p[1], p[1] + k[1] * d[1] + s[1])],
                 constant_values=-np.inf)
    y, at = np.empty((*x.shape[:-2], oh, ow)), np.empty((*x.shape[:-2], oh, ow), np.int64)
    places = np.full(big.shape[-2:], -1)
    places[p[0]:p[0] + x.shape[-2], p[1]:p[1] + x.shape[-1]] = np.arange(
        x.shape[-2] * x.shape[-1]).reshape(x.shape[-2:])
    for u, v in np.ndindex(oh, ow):
        cut = (..., slice(u * s[0], u * s[0] + d[0] * k[0], d[0]),
               slice(v * s[1], v * s[1] + d[1] * k[1], d[1]))
        window = big[cut].reshape(*x.shape[:-2], k[0] * k[1])
        y[..., u, v] = window.max(-1)
        at[..., u, v] = places[cut].ravel()[window.argmax(-1)]
    return y, at


def _max_samples(r):
    return [(r.apart(2, 2, 4, 6), 2), (r.apart(1, 2, 7, 6), 3, 2, 1),
            (r.apart(1, 2, 7, 8), (2, 3), (2, 1), (1, 0), (2, 1)),
            (r.apart(2, 5, 6), 2, None, 0, 1, True)]


@composite(samples=_max_samples, ref=lambda *args: _max_ref(*args)[0], takes=MAX_POOL)
def max_pool2d(input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None,
               padding: int | Pair = 0, dilation: int | Pair = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Tensor:
    """The maximum of each window:

        y[n, c, u, v] = max_ij x[n, c, u*sh - ph + i*dh, v*sw - pw + j*dw],  i < KH, j < KW

    input (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW) with
    OH = (H + 2*ph - dh*(KH - 1) - 1) // sh + 1 (rounded up with ceil_mode), OW likewise.

    stride: default kernel_size, so that windows touch and do not overlap.
    padding: at most half of the window; it never wins. NaN always wins.
    return_indices: also the index h*W + w of each maximum. Of equal elements the first wins and
        gets the gradient.

    Raises: ValueError for a window larger than the image or padding over half of it; TypeError for
        an input that is not floating.
    """
    kernel_size, stride, padding, dilation, _, out_hw = MAX_POOL.check(
        input, kernel_size, stride, padding, dilation, ceil_mode)
    options = kernel_size, stride, padding, dilation, out_hw
    if return_indices:
        return max_pool2d_with_indices(input, *options)          # type: ignore[return-value]
    fused = behind(input, "relu", relu_max_pool2d_windows, max_pool2d_windows, *options)
    return max_pool2d_windows(input, *options) if fused is None else fused


@composite(samples=lambda r: [*_max_samples(r), (r.apart(2, 1, 5, 5) - 0.9, 3, 1, 1)],
           ref=lambda x, *args: _max_ref(np.maximum(x, 0.0), *args)[0], takes=RELU_MAX_POOL)
def relu_max_pool2d(input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None,
                    padding: int | Pair = 0, dilation: int | Pair = 1, ceil_mode: bool = False
                    ) -> Tensor:
    """max_pool2d(relu(input), ...) in one pass: values and gradients of any order are the same.

        y[n, c, u, v] = max(0, max_ij x[n, c, u*sh - ph + i*dh, v*sw - pw + j*dw])

    input (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW).

    minigrad's own, torch has no such function. It neither writes nor reads the image between the
    two operations, nor its gradient. Arguments and errors as for max_pool2d.

    A window without a positive element gives 0 and has no gradient; NaN stays NaN, as in relu.
    """
    kernel_size, stride, padding, dilation, _, out_hw = RELU_MAX_POOL.check(
        input, kernel_size, stride, padding, dilation, ceil_mode)
    return relu_max_pool2d_windows(input, kernel_size, stride, padding, dilation, out_hw)


def _windows_samples(r):
    return [(x, *_normal(x, *options)) for x, *options in _max_samples(r)]


def _places(input, relu, *options):
    """The kernel's (maxima, places), for images with or without N."""
    y, places = pool_max.max_pool2d_places(_as_batch(input), *options, relu)
    return (y, places) if input.ndim == 4 else (y[0], places[0])


@op(samples=_windows_samples, ref=lambda *args: _max_windows(*args)[0])
def max_pool2d_windows(input: Tensor, kernel_size: Pair, stride: Pair, padding: Pair,
                       dilation: Pair, out_hw: Pair) -> Tensor:
    """max_pool2d behind its door: all options given as pairs."""
    return _places(input, False, kernel_size, stride, padding, dilation, out_hw)
max_pool2d_windows.vjp(
    input=lambda g, aux, input_shape, kernel_size, stride, padding, dilation:
        max_pool2d_grad(g, aux, input_shape[-2:], kernel_size, stride, padding, dilation))


@op(samples=_windows_samples, ref=lambda x, *args: _max_windows(np.maximum(x, 0.0), *args)[0])
def relu_max_pool2d_windows(input: Tensor, kernel_size: Pair, stride: Pair, padding: Pair,
                            dilation: Pair, out_hw: Pair) -> Tensor:
    """relu_max_pool2d behind its door: all options given as pairs."""
    return _places(input, True, kernel_size, stride, padding, dilation, out_hw)
# The same rule: where relu blocks the gradient, the place says so.
relu_max_pool2d_windows.vjp(
    input=lambda g, aux, input_shape, kernel_size, stride, padding, dilation:
        max_pool2d_grad(g, aux, input_shape[-2:], kernel_size, stride, padding, dilation))


def _place_samples(r):
    two, one, none = (2, 2), (1, 1), (0, 0)
    places = np.array([[[0, 3], [255, 2]], [[1, 0], [2, 3]]], np.uint8)[None]
    nine = np.array([[[8, 7, 4], [5, 255, 0]]], np.uint8)        # 3 x 3 windows that overlap
    return [(r(1, 2, 2, 2), places, (5, 4), two, two, none, one),
            (r(2, 2, 2), places[0], (3, 3), two, one, none, one),
            (r(1, 2, 3), nine, (3, 5), (3, 3), (2, 2), one, one)]


def _places_ref(g, places, hw, k, s, p, d):
    """[(a place of g, the same of the image)], for each maximum that was found on the image."""
    for at in np.ndindex(g.shape):
        if places[at] != np.iinfo(places.dtype).max:
            i, j = divmod(int(places[at]), k[1])
            yield at, (*at[:-2], at[-2] * s[0] - p[0] + i * d[0], at[-1] * s[1] - p[1] + j * d[1])


def _max_grad_ref(g, places, hw, *options):
    out = np.zeros((*g.shape[:-2], *hw))
    for at, cell in _places_ref(g, places, hw, *options):
        out[cell] += g[at]
    return out


def _pick_ref(x, places, *options):
    out = np.zeros(places.shape)
    for at, cell in _places_ref(out, places, x.shape[-2:], *options):
        out[at] = x[cell]
    return out


_PLACED: dict[str, Option] = {**WINDOWS, "dilation": WINDOW}


@op(samples=_place_samples, ref=_max_grad_ref, takes=Signature(
    "g, places (N?, C, OH, OW) -> (N?, C, H, W)", "g floating; places integer",
    {"hw": sizes("H", "W"), **_PLACED}, then=_fit_the_image, advice=_kept("places")))
def max_pool2d_grad(g: Tensor, places: np.ndarray, hw: Pair, kernel_size: Pair, stride: Pair,
                    padding: Pair, dilation: Pair) -> Tensor:
    """The gradient of max_pool2d: each number of g added where its maximum was found.

    g and places (N, C, OH, OW) or (C, OH, OW) -> (N, C, H, W) or (C, H, W), hw being (H, W).
    places: i * KW + j of each maximum in its window, as the kernel gave them (their range is
    trusted); the largest integer of their dtype: nowhere.
    """
    gx = pool_grad.max_pool2d_grad(_as_batch(g), _as_batch(places), hw, kernel_size, stride,
                                   padding, dilation)
    return gx if g.ndim == 4 else gx[0]
max_pool2d_grad.vjp(g=lambda u, places, kernel_size, stride, padding, dilation:
                    max_pool2d_pick(u, places, kernel_size, stride, padding, dilation))


@op(samples=lambda r: [(r(*g.shape[:-2], *hw), places, *options)
                       for g, places, hw, *options in _place_samples(r)],
    ref=_pick_ref, takes=Signature(
        "input (N?, C, H, W); places (N?, C, OH, OW) -> (N?, C, OH, OW)",
        "input floating; places integer", _PLACED, then=_fit_the_image,
        advice=_kept("places")))
def max_pool2d_pick(input: Tensor, places: np.ndarray, kernel_size: Pair, stride: Pair,
                    padding: Pair, dilation: Pair) -> Tensor:
    """The elements of each image at the given places: the transpose of max_pool2d_grad.

    input (N, C, H, W) or (C, H, W), places (N, C, OH, OW) or (C, OH, OW) -> (N, C, OH, OW) or
    (C, OH, OW), 0 for nowhere.
    """
    y = pool_grad.max_pool2d_pick(_as_batch(input), _as_batch(places), kernel_size, stride, padding,
                                  dilation)
    return y if input.ndim == 4 else y[0]
max_pool2d_pick.vjp(input=lambda g, input_shape, places, kernel_size, stride, padding, dilation:
                    max_pool2d_grad(g, places, input_shape[-2:], kernel_size, stride, padding,
                                    dilation))


# --- maximum with torch's indices ----------------------------------------------------------------

@op(samples=_windows_samples, ref=lambda *args: _max_windows(*args))
def max_pool2d_with_indices(input: Tensor, kernel_size: Pair, stride: Pair, padding: Pair,
                            dilation: Pair, out_hw: Pair) -> tuple[Tensor, Tensor]:
    """max_pool2d behind its door: (the maxima, their indices), all options given as pairs."""
    y, places = _places(input, False, kernel_size, stride, padding, dilation, out_hw)
    indices = pool_grad.max_pool2d_indices(places, input.shape[-2:], kernel_size, stride, padding,
                                           dilation)
    return (y, indices), places
max_pool2d_with_indices.vjp(
    input=lambda g, aux, input_shape, kernel_size, stride, padding, dilation:
        max_pool2d_grad(g[0], aux, input_shape[-2:], kernel_size, stride, padding, dilation))


# --- average -------------------------------------------------------------------------------------

def _avg_ref(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
             divisor_override=None):
    k, s, p, *_, out_hw = AVG_POOL.check(x, kernel_size, stride, padding, ceil_mode,
                                         count_include_pad, divisor_override)
    return _avg_windows(x, k, s, p, out_hw, count_include_pad, divisor_override)


def _avg_windows(x, k, s, p, out_hw, include, divisor):
    """Each window cut at the padded image, summed, divided."""
    y = np.zeros((*x.shape[:-2], *out_hw))
    for u, v in np.ndindex(*out_hw):
        rows, columns, count = _window(u, v, x.shape[-2:], k, s, p, include, divisor)
        y[..., u, v] = x[..., rows, columns].sum((-1, -2)) / count
    return y


def _avg_windows_grad(g, hw, k, s, p, include, divisor):
    """Each number of g shared out to its window."""
    out = np.zeros((*g.shape[:-2], *hw))
    for u, v in np.ndindex(g.shape[-2:]):
        rows, columns, count = _window(u, v, hw, k, s, p, include, divisor)
        out[..., rows, columns] += (g[..., u, v] / count)[..., None, None]
    return out


def _window(u, v, hw, k, s, p, include, divisor):
    """Rows and columns of window (u, v) on the image, and what its sum is divided by."""
    (top, left), (bottom, right) = zip(*(
        (i * step - before, min(i * step - before + size, n + before))
        for i, n, size, step, before in zip((u, v), hw, k, s, p)))
    padded = (bottom - top) * (right - left)
    rows, columns = slice(max(top, 0), min(bottom, hw[0])), slice(max(left, 0), min(right, hw[1]))
    cells = (rows.stop - rows.start) * (columns.stop - columns.start)
    return rows, columns, divisor or (padded if include else cells)


@composite(samples=lambda r: [(r(2, 2, 4, 6), 2), (r(1, 2, 7, 6), 3, 2, 1),
                              (r(1, 2, 7, 6), (3, 2), (2, 1), (1, 1), True, False),
                              (r(2, 5, 5), 2, 2, 0, True, True, 3)], ref=_avg_ref,
           takes=AVG_POOL)
def avg_pool2d(input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None,
               padding: int | Pair = 0, ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Tensor:
    """The average of each window:

        y[n, c, u, v] = 1 / (KH * KW) sum_ij x[n, c, u*sh - ph + i, v*sw - pw + j]

    input (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW), sizes as for max_pool2d.

    stride: default kernel_size. count_include_pad: divide by the window's size with its padding,
    else by the number of its elements on the image. divisor_override: divide by this instead.

    Raises: ValueError as max_pool2d, and for a divisor of 0; TypeError for an integer input.
    """
    kernel_size, stride, padding, _, include, divisor, out_hw = AVG_POOL.check(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return avg_pool2d_windows(input, kernel_size, stride, padding, out_hw, include, divisor)


_AVG_OPTIONS = [((3, 2), (2, 1), (1, 1), (4, 7), False, 0),
                ((2, 2), (2, 2), (0, 0), (3, 3), True, 0),
                ((3, 3), (2, 2), (1, 1), (4, 3), True, 5)]


@op(samples=lambda r: [(r(1, 2, 7, 6), *options) for options in _AVG_OPTIONS], ref=_avg_windows)
def avg_pool2d_windows(input: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, out_hw: Pair,
                       count_include_pad: bool, divisor_override: int) -> Tensor:
    """avg_pool2d behind its door: all options as pairs, divisor_override 0 for none."""
    y = pool_avg.avg_pool2d(_as_batch(input), kernel_size, stride, padding, out_hw,
                            count_include_pad, divisor_override)
    return y if input.ndim == 4 else y[0]
avg_pool2d_windows.vjp(
    input=lambda g, input_shape, kernel_size, stride, padding, count_include_pad, divisor_override:
        avg_pool2d_grad(g, input_shape[-2:], kernel_size, stride, padding, count_include_pad,
                        divisor_override))


@op(samples=lambda r: [(r(1, 2, *out_hw), (7, 6), k, s, p, include, divisor)
                       for k, s, p, out_hw, include, divisor in _AVG_OPTIONS],
    ref=_avg_windows_grad)
def avg_pool2d_grad(g: Tensor, hw: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                    count_include_pad: bool, divisor_override: int) -> Tensor:
    """The gradient of avg_pool2d: each number of g shared out to its window.

    g (N, C, OH, OW), hw (H, W) -> (N, C, H, W); also without N. divisor_override 0: none.
    """
    gx = pool_avg.avg_pool2d_grad(_as_batch(g), hw, kernel_size, stride, padding,
                                  count_include_pad, divisor_override)
    return gx if g.ndim == 4 else gx[0]
avg_pool2d_grad.vjp(
    g=lambda u, g_shape, kernel_size, stride, padding, count_include_pad, divisor_override:
        avg_pool2d_windows(u, kernel_size, stride, padding, g_shape[-2:], count_include_pad,
                           divisor_override))
