"""Convolution of images: conv2d and its two gradients, a trio that differentiates into itself.

What deep learning calls convolution is cross-correlation: the kernel is laid on the image as it is,
    conv2d      y[k, l] = sum_ij x[k + i, l + j] w[i, j] + b
The convolution of mathematics, and of the article that this project follows, flips it:
    convolve2d  y[k, l] = sum_ij x[i, j] w[k - i, l - j] + b
A learnt kernel makes no difference; a given one does. Both are here.

conv2d is linear in x and in w, so each of the three functions is the derivative of the other two:
with u of the shape of a gradient, <conv2d(x, w), g> = <x, conv2d_grad_x(g, w)> =
<w, conv2d_grad_w(g, x)>. Not here: the loops (`kernels/conv/`), layers (`nn/conv.py`).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.engine import Tensor
from ..kernels.conv import conv2d as kernel
from ..autograd.op import composite, op
from .cast import convert_all
from .dims import remembered
from .reduce import sum
from .shape import flip

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]                  # padding at the top, left, bottom, right


# --- the door ------------------------------------------------------------------------------------

def pair(name: str, option: str, value: Any, least: int) -> Pair:
    """(rows, columns) from one integer or a pair of them, each at least `least`."""
    try:
        both = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
        h, w = (int(v) for v in both if v == int(v))
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {option} must be an integer or a pair (rows, columns), got "
                         f"{value!r}") from None
    if min(h, w) < least:
        raise ValueError(f"{name}: {option} must be at least {least}, got {value!r}")
    return h, w


def _sides(padding: Any, khw: Pair, stride: Pair, dilation: Pair) -> Sides:
    """Padding as (top, left, bottom, right). 'same' puts an odd one at the bottom and right."""
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0, 0, 0
        if padding != "same":
            raise ValueError(f"conv2d: padding must be numbers, 'same' or 'valid', got {padding!r}")
        if stride != (1, 1):
            raise ValueError(f"conv2d: padding='same' wants stride 1, got {stride}: with a stride "
                             "the output cannot have the size of the input; give numbers")
        total = [d * (k - 1) for d, k in zip(dilation, khw)]
        return total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2
    if isinstance(padding, tuple) and len(padding) == 4:       # normalised already, by convolve2d
        for side in padding:
            pair("conv2d", "padding", side, 0)
        return padding
    h, w = pair("conv2d", "padding", padding, 0)
    return h, w, h, w


def _door(input, weight, bias, stride, padding, dilation, groups):
    b, dtype_b = (None, None) if bias is None else (bias.shape, bias.dtype)
    options = _options(input.shape, weight.shape, b, input.dtype, weight.dtype, dtype_b, stride,
                       padding, dilation, groups)
    return input, weight, bias, *options


@remembered
def _options(x, w, b, dtype, dtype_w, dtype_b, stride, padding, dilation, groups):
    """(stride, sides, dilation, groups) for such shapes and dtypes, or the reason against it."""
    if len(x) not in (3, 4) or len(w) != 4:
        raise ValueError(f"conv2d: want input (N, C, H, W) or (C, H, W) and weight (F, C/groups, "
                         f"KH, KW), got {x} and {w}")
    pair("conv2d", "the size of the kernel", w[2:], 1)
    stride = pair("conv2d", "stride", stride, 1)
    dilation = pair("conv2d", "dilation", dilation, 1)
    sides = _sides(padding, w[2:], stride, dilation)
    if not isinstance(groups, (int, np.integer)) or groups < 1 or w[0] % groups:
        raise ValueError(f"conv2d: groups must be a positive integer that divides the {w[0]} "
                         f"output channels, got {groups}")
    channels, wanted = x[-3], w[1] * groups
    if channels != wanted:
        fix = ""
        if x[-1] == wanted:
            order = "0, 3, 1, 2" if len(x) == 4 else "2, 0, 1"
            fix = (f"; the last dimension is {wanted}: if the channels are there, use "
                   f"input.permute({order})")
        elif len(x) == 3 and wanted == 1:
            fix = "; for a batch of grey images add the channel: input.unsqueeze(1)"
        raise ValueError(
            f"conv2d: weight {w} with groups={groups} wants {w[1]}*{groups} = {wanted} input "
            f"channels, input {x} has {channels} (dimensions are {'N, ' * (len(x) == 4)}C, H, W)"
            f"{fix}")
    if b is not None and b != (w[0],):
        raise ValueError(f"conv2d: bias must have shape ({w[0]},), one number for each of the "
                         f"{w[0]} output channels, got {b}")
    dtypes = {"input": dtype, "weight": dtype_w}
    if b is not None:
        dtypes["bias"] = dtype_b
    if len(set(dtypes.values())) > 1 or dtype.kind != "f":
        given = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise TypeError(f"conv2d: want floating arrays of one dtype, got {given}; "
                        + convert_all("input", dtype_w))
    _out_hw(x, w, stride, sides, dilation)
    return stride, sides, dilation, int(groups)


@remembered
def _out_hw(x, w, stride, sides, dilation) -> Pair:
    """(OH, OW), or the reason why there is none."""
    out = []
    for axis, n, k, before, after in (("height", x[-2], w[2], sides[0], sides[2]),
                                      ("width", x[-1], w[3], sides[1], sides[3])):
        s, d = (stride[0], dilation[0]) if axis == "height" else (stride[1], dilation[1])
        reach = d * (k - 1) + 1
        if n + before + after < reach:
            raise ValueError(
                f"conv2d: the kernel is larger than the image: {axis} {n} + padding {before} + "
                f"{after} = {n + before + after}, but a kernel of {k} with dilation {d} covers "
                f"{d}*({k}-1)+1 = {reach}; use padding={-(-(reach - n) // 2)} or a smaller kernel")
        out.append((n + before + after - reach) // s + 1)
    return out[0], out[1]


def _batched(x):
    """(x with a batch, whether one was added)."""
    return (x[None], True) if x.ndim == 3 else (x, False)


def _unbatched(y, added):
    """y without the batch that was added."""
    return y[0] if added else y


# --- conv2d and its gradients --------------------------------------------------------------------

def _conv_samples(r):
    return [(r(2, 3, 5, 4), r(4, 3, 3, 2), r(4)),
            (r(2, 2, 6, 5), r(3, 2, 3, 3), None, 2, 1),
            (r(1, 2, 6, 7), r(3, 2, 2, 3), r(3), (2, 1), (1, 2), (1, 2)),
            (r(2, 4, 4, 4), r(6, 2, 2, 2), None, {"groups": 2}),
            (r(1, 3, 4, 5), r(3, 1, 2, 4), r(3), {"padding": "same", "groups": 3}),
            (r(2, 5, 4), r(3, 2, 2, 2), r(3), {"padding": "valid"})]


def _conv2d_ref(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """One number of the output at a time, as the formula says."""
    stride, dilation = pair("", "", stride, 1), pair("", "", dilation, 1)
    top, left, bottom, right = _sides(padding, w.shape[2:], stride, dilation)
    batch, _ = _batched(x)
    p = np.pad(batch, ((0, 0), (0, 0), (top, bottom), (left, right)))
    per_in, per_out = w.shape[1], w.shape[0] // groups
    oh, ow = ((n - d * (k - 1) - 1) // s + 1
              for n, k, s, d in zip(p.shape[2:], w.shape[2:], stride, dilation))
    y = np.zeros((len(p), w.shape[0], oh, ow))
    for n, f, u, v in np.ndindex(y.shape):
        c = f // per_out * per_in
        window = p[n, c:c + per_in, u * stride[0]:, v * stride[1]:]
        window = window[:, ::dilation[0], ::dilation[1]][:, :w.shape[2], :w.shape[3]]
        y[n, f, u, v] = (window * w[f]).sum() + (0.0 if b is None else b[f])
    return y[0] if x.ndim == 3 else y


@op(samples=_conv_samples, ref=_conv2d_ref, door=_door)
def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Pair = 1,
           padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1) -> Tensor:
    """Cross-correlation of images with kernels, what deep learning calls convolution:

        y[n, f, u, v] = bias[f] + sum_cij x[n, c, u*sh + i*dh - ph, v*sw + j*dw - pw] w[f, c, i, j]

    input (N, C, H, W) or (C, H, W), weight (F, C/groups, KH, KW), bias (F,)
    -> (N, F, OH, OW) or (F, OH, OW) with OH = (H + 2*ph - dh*(KH - 1) - 1) // sh + 1, OW likewise.

    stride, dilation: integers or pairs (rows, columns).
    padding: zeros around the image: an integer, a pair, 'valid' (none) or 'same' (output as large
        as input; stride 1 only; an odd total is one larger at the bottom and right).
    groups: input and output channels in so many groups that do not see each other.

    Raises: ValueError for shapes that do not fit, with the arithmetic; TypeError for mixed dtypes.
    """
    x, added = _batched(input)
    out_hw = _out_hw(x.shape, weight.shape, stride, padding, dilation)
    y = kernel.conv2d(x, weight, bias, out_hw, stride, padding[:2], dilation, groups)
    return _unbatched(y, added)
conv2d.vjp(
    input=lambda g, weight, input_shape, stride, padding, dilation, groups:
        conv2d_grad_x(g, weight, input_shape[-2:], stride, padding, dilation, groups))


def bias_gradient(g):
    """The sum over images, rows and columns: (N, F, OH, OW) or (F, OH, OW) -> (F,)."""
    return sum(g, (0, 2, 3) if g.ndim == 4 else (1, 2))


@conv2d.joint_vjp("weight", "bias", reads={"weight": ("input",), "bias": ()})
def _weight_and_bias(g, input, weight_shape, stride, padding, dilation, groups, needs):
    khw = weight_shape[2:]
    if needs[1] and needs[2] and isinstance(g, np.ndarray):    # one pass over g, not two
        return kernel.conv2d_grad_w_and_bias(_batched(g)[0], _batched(input)[0], khw, stride,
                                             padding[:2], dilation, groups)
    gw = conv2d_grad_w(g, input, khw, stride, padding, dilation, groups) if needs[1] else None
    gb = bias_gradient(g) if needs[2] else None
    return gw, gb


def _grad_samples(r, which):
    for x, w, *rest in _conv_samples(r)[:-1]:      # the last has no batch: conv2d's own samples do
        options = rest.pop() if rest and isinstance(rest[-1], dict) else {}
        stride, padding, dilation = (*rest[1:], *(1, 0, 1)[max(len(rest) - 1, 0):])
        stride, dilation = pair("", "", stride, 1), pair("", "", dilation, 1)
        sides = _sides(options.get("padding", padding), w.shape[2:], stride, dilation)
        out_hw = _out_hw(x.shape, w.shape, stride, sides, dilation)
        g = r(*x.shape[:-3], w.shape[0], *out_hw)
        geometry = (stride, sides, dilation, options.get("groups", 1))
        yield (g, w, x.shape[-2:], *geometry) if which == "x" else (g, x, w.shape[2:], *geometry)


def _grad_ref(which):
    """The gradient of a linear function, one entry at a time: the answers to unit inputs."""
    def ref(g, other, hw, stride, padding, dilation, groups):
        if which == "x":
            shape = (*g.shape[:-3], other.shape[1] * groups, *hw)
        else:
            shape = (g.shape[-3], other.shape[-3] // groups, *hw)
        out = np.zeros(shape)
        for at in np.ndindex(shape):
            unit = np.zeros(shape)
            unit[at] = 1.0
            x, w = (unit, other) if which == "x" else (other, unit)
            out[at] = (_conv2d_ref(x, w, None, stride, padding, dilation, groups) * g).sum()
        return out
    return ref


@remembered
def _check_trio(name, x, w, g, dtype, other, stride, padding, dilation, groups):
    """Raises unless x, w and g are the shapes of an input, a weight and an output of conv2d."""
    fits = (len(x) == len(g) in (3, 4) and len(w) == 4 and x[:-3] == g[:-3] and g[-3] == w[0]
            and x[-3] == w[1] * groups and w[0] % groups == 0
            and g[-2:] == _out_hw(x, w, stride, padding, dilation))
    if not fits:
        raise ValueError(f"{name}: no conv2d with stride {stride}, padding {padding}, dilation "
                         f"{dilation} and groups {groups} takes {x} with a weight {w} to {g}")
    if dtype != other or dtype.kind != "f":
        raise TypeError(f"{name}: want floating arrays of one dtype, got {dtype} and {other}")


def _grad_x_door(g, weight, hw, *geometry):
    w, gs = weight.shape, g.shape
    channels = w[1] * geometry[-1] if len(w) == 4 else -1
    _check_trio("conv2d_grad_x", (*gs[:-3], channels, *hw), w, gs, g.dtype, weight.dtype, *geometry)
    return g, weight, hw, *geometry


def _grad_w_door(g, input, khw, *geometry):
    x, gs = input.shape, g.shape
    w = (gs[-3], x[-3] // geometry[-1], *khw) if min(len(x), len(gs)) > 2 else ()
    _check_trio("conv2d_grad_w", x, w, gs, g.dtype, input.dtype, *geometry)
    return g, input, khw, *geometry


@op(samples=lambda r: [*_grad_samples(r, "x")], ref=_grad_ref("x"), door=_grad_x_door)
def conv2d_grad_x(g: Tensor, weight: Tensor, hw: Pair, stride: Pair, padding: Sides, dilation: Pair,
                  groups: int) -> Tensor:
    """The gradient of conv2d for its input, also called transposed convolution.

    g (N, F, OH, OW), weight (F, C/groups, KH, KW), hw (H, W) -> (N, C, H, W). The options are those
    of conv2d, normalised: pairs, and padding (top, left, bottom, right).
    """
    g, added = _batched(g)
    gx = kernel.conv2d_grad_x(g, weight, hw, stride, padding[:2], dilation, groups)
    return _unbatched(gx, added)
conv2d_grad_x.vjp(
    g=lambda u, weight, stride, padding, dilation, groups:
        conv2d(u, weight, None, stride, padding, dilation, groups),
    weight=lambda u, g, weight_shape, stride, padding, dilation, groups:
        conv2d_grad_w(g, u, weight_shape[2:], stride, padding, dilation, groups))


@op(samples=lambda r: [*_grad_samples(r, "w")], ref=_grad_ref("w"), door=_grad_w_door)
def conv2d_grad_w(g: Tensor, input: Tensor, khw: Pair, stride: Pair, padding: Sides, dilation: Pair,
                  groups: int) -> Tensor:
    """The gradient of conv2d for its weight.

    g (N, F, OH, OW), input (N, C, H, W), khw (KH, KW) -> (F, C/groups, KH, KW). The options are
    those of conv2d, normalised: pairs, and padding (top, left, bottom, right).
    """
    return kernel.conv2d_grad_w(_batched(g)[0], _batched(input)[0], khw, stride, padding[:2],
                                dilation, groups)
conv2d_grad_w.vjp(
    g=lambda u, input, stride, padding, dilation, groups:
        conv2d(input, u, None, stride, padding, dilation, groups),
    input=lambda u, g, input_shape, stride, padding, dilation, groups:
        conv2d_grad_x(g, u, input_shape[-2:], stride, padding, dilation, groups))


# --- the convolution of mathematics --------------------------------------------------------------

def _convolve2d_ref(x, w, b=None, mode="full"):
    """The article's formula, term by term."""
    n, _, h, wd = x.shape
    f, _, kh, kw = w.shape
    y = np.zeros((n, f, h + kh - 1, wd + kw - 1))
    for k, l, i, j in np.ndindex(h + kh - 1, wd + kw - 1, h, wd):
        if 0 <= k - i < kh and 0 <= l - j < kw:
            y[:, :, k, l] += x[:, :, i, j] @ w[:, :, k - i, l - j].T     # (N, C) @ (C, F)
    y += 0.0 if b is None else b[:, None, None]
    first, size = {"full": ((0, 0), (h + kh - 1, wd + kw - 1)),
                   "same": (((kh - 1) // 2, (kw - 1) // 2), (h, wd)),
                   "valid": ((kh - 1, kw - 1), (h - kh + 1, wd - kw + 1))}[mode]
    return y[:, :, first[0]:first[0] + size[0], first[1]:first[1] + size[1]]


@composite(samples=lambda r: [(r(2, 2, 4, 3), r(3, 2, 2, 3), r(3)),
                              (r(1, 2, 4, 4), r(2, 2, 3, 2), None, "same"),
                              (r(1, 2, 4, 4), r(2, 2, 3, 2), None, "valid")], ref=_convolve2d_ref)
def convolve2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, mode: str = "full"
               ) -> Tensor:
    """The convolution of mathematics, with the kernel flipped, summed over input channels:

        y[n, f, k, l] = bias[f] + sum_cij x[n, c, i, j] w[f, c, k - i, l - j]

    input (N, C, H, W), weight (F, C, KH, KW), bias (F,) -> (N, F, OH, OW), by mode:
    'full' (every k, l with a term, OH = H + KH - 1), 'same' (the middle of it, OH = H) or 'valid'
    (where the kernel lies wholly on the image, OH = H - KH + 1), as SciPy's convolve2d. It equals
    conv2d with a flipped kernel and padding KH - 1.

    Raises: ValueError for another mode and for shapes that do not fit.
    """
    if np.ndim(weight) != 4:
        raise ValueError(f"convolve2d: weight must be (F, C, KH, KW), got shape {np.shape(weight)}")
    kh, kw = np.shape(weight)[2:]
    # Rows that are cut from the full result before its first: none, the first half, all but one.
    sides = {"full": (kh - 1, kw - 1, kh - 1, kw - 1),
             "same": (kh // 2, kw // 2, (kh - 1) // 2, (kw - 1) // 2),
             "valid": (0, 0, 0, 0)}.get(mode)
    if sides is None:
        raise ValueError(f"convolve2d: mode must be 'full', 'same' or 'valid', got {mode!r}")
    return conv2d(input, flip(weight, (2, 3)), bias, 1, sides)
