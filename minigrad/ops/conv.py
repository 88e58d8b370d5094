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

import functools

import numpy as np

from ..autograd.engine import Tensor
from ..kernels.conv import conv2d as kernel
from ..autograd.op import composite, op
from ..autograd.options import Case, Option, choice, divides, sizes
from ..autograd.signature import Signature
from .reduce import sum
from .shape import flip
from .windows import WINDOW, Padding, Pair, Sides, count, counted

# --- what it takes -------------------------------------------------------------------------------

def _where_channels_are(case: Case) -> str:
    """The likely fix where input and weight have other channels: they are last, or missing."""
    x, w = case.shapes["input"] or (), case.shapes["weight"] or ()
    wanted = w[1] * case.options["groups"]
    if x[-1] == wanted:
        order = "0, 3, 1, 2" if len(x) == 4 else "2, 0, 1"
        return (f"the last dimension is {wanted}: if the channels are there, use "
                f"input.permute({order})")
    if len(x) == 3 and wanted == 1:
        return "for a batch of grey images add the channel: input.unsqueeze(1)"
    return ""


def check_windows(case: Case) -> Pair:
    """(OH, OW), or the error."""
    size, options = case.sizes, case.options
    return counted(case, (size["H"], size["W"]), (size["KH"], size["KW"]), options["stride"],
                   options["padding"], options["dilation"])


def _of_conv2d(case: Case) -> None:
    check_windows(case)


def _of_its_gradients(case: Case) -> None:
    """Refuses a gradient g that is not of the size of conv2d's result."""
    groups, hw = case.options["groups"], check_windows(case)
    if case.sizes.get("C", 0) % groups:
        case.refuse(f"groups must divide the {case.sizes['C']} input channels, got {groups}")
    if hw != (case.sizes["OH"], case.sizes["OW"]):
        case.refuse(f"g {case.shapes['g']} has (OH, OW) = {(case.sizes['OH'], case.sizes['OW'])}, "
                    f"but conv2d of an image {(case.sizes['H'], case.sizes['W'])} with a kernel "
                    f"{(case.sizes['KH'], case.sizes['KW'])}, stride {case.options['stride']}, "
                    f"padding {case.options['padding']} and dilation {case.options['dilation']} "
                    f"gives {hw}")


OPTIONS: dict[str, Option] = {"stride": WINDOW, "dilation": WINDOW, "padding": Padding(),
                              "groups": divides("F", "output channels")}


@functools.lru_cache(maxsize=512)                  # 0.15 us instead of 0.35
def conv_hw(x: tuple, w: tuple, stride: Pair, sides: Sides, dilation: Pair) -> Pair:
    """(OH, OW) of a convolution that was checked."""
    return (count(x[-2], w[2], stride[0], sides[0] + sides[2], dilation[0]),
            count(x[-1], w[3], stride[1], sides[1] + sides[3], dilation[1]))


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


def _normal(w, stride=1, padding=0, dilation=1, groups=1):
    """The options of conv2d in their normal form."""
    stride, dilation, padding, groups = CONV.settle(
        "conv2d", dict(zip(("F", "C", "KH", "KW"), w.shape)), stride=stride, dilation=dilation,
        padding=padding, groups=groups)
    return stride, padding, dilation, groups


def _conv2d_ref(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """One number of the output at a time, as the formula says."""
    stride, (top, left, bottom, right), dilation, groups = _normal(
        w, stride, padding, dilation, groups)
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


CONV = Signature(
    "input (N?, C, H, W); weight (F, C/groups, KH>0, KW>0); bias (F,)? -> (N?, F, OH, OW)",
    "floating", OPTIONS, then=_of_conv2d, advice={"C": _where_channels_are})


@op(samples=_conv_samples, ref=_conv2d_ref, takes=CONV)
def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Pair = 1,
           padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1) -> Tensor:
    """Cross-correlation of images with kernels, what deep learning calls convolution:

        y[n, f, u, v] = bias[f] + sum_cij x[n, c, u*sh + i*dh - ph, v*sw + j*dw - pw] w[f, c, i, j]

    input (N, C, H, W) or (C, H, W), weight (F, C/groups, KH, KW), bias (F,) -> (N, F, OH, OW) or
    (F, OH, OW) with OH = (H + 2*ph - dh*(KH - 1) - 1) // sh + 1, OW likewise.

    stride, dilation: integers or pairs (rows, columns).
    padding: zeros around the image: an integer, a pair, 'valid' (none) or 'same' (output as large
        as input; stride 1 only; an odd total is one larger at the bottom and right).
    groups: input and output channels in so many groups that do not see each other.

    Raises: ValueError for shapes that do not fit, with the arithmetic; TypeError for mixed dtypes.
    """
    x, added = _batched(input)
    out_hw = conv_hw(x.shape, weight.shape, stride, padding, dilation)
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
        named = rest.pop() if rest and isinstance(rest[-1], dict) else {}
        options = stride, sides, dilation, _ = _normal(
            w, **dict(zip(("stride", "padding", "dilation"), rest[1:])), **named)
        g = r(*x.shape[:-3], w.shape[0], *conv_hw(x.shape, w.shape, stride, sides, dilation))
        yield (g, w, x.shape[-2:], *options) if which == "x" else (g, x, w.shape[2:], *options)


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


@op(samples=lambda r: [*_grad_samples(r, "x")], ref=_grad_ref("x"), takes=Signature(
    "g (N?, F, OH, OW); weight (F, C/groups, KH>0, KW>0) -> (N?, C, H, W)", "floating",
    {"hw": sizes("H", "W"), **OPTIONS}, then=_of_its_gradients))
def conv2d_grad_x(g: Tensor, weight: Tensor, hw: Pair, stride: Pair, padding: Sides, dilation: Pair,
                  groups: int) -> Tensor:
    """The gradient of conv2d for its input, also called transposed convolution.

    g (N, F, OH, OW) or (F, OH, OW), weight (F, C/groups, KH, KW) -> (N, C, H, W) or (C, H, W).
    hw: (H, W), which g does not say. The other options are those of conv2d.
    """
    g, added = _batched(g)
    gx = kernel.conv2d_grad_x(g, weight, hw, stride, padding[:2], dilation, groups)
    return _unbatched(gx, added)
conv2d_grad_x.vjp(
    g=lambda u, weight, stride, padding, dilation, groups:
        conv2d(u, weight, None, stride, padding, dilation, groups),
    weight=lambda u, g, weight_shape, stride, padding, dilation, groups:
        conv2d_grad_w(g, u, weight_shape[2:], stride, padding, dilation, groups))


@op(samples=lambda r: [*_grad_samples(r, "w")], ref=_grad_ref("w"), takes=Signature(
    "g (N?, F, OH, OW); input (N?, C, H, W) -> (F, C/groups, KH, KW)", "floating",
    {"khw": sizes("KH", "KW", least=1), **OPTIONS}, then=_of_its_gradients))
def conv2d_grad_w(g: Tensor, input: Tensor, khw: Pair, stride: Pair, padding: Sides, dilation: Pair,
                  groups: int) -> Tensor:
    """The gradient of conv2d for its weight.

    g (N, F, OH, OW) or (F, OH, OW), input (N, C, H, W) or (C, H, W) -> (F, C/groups, KH, KW).
    khw: (KH, KW), which g does not say. The other options are those of conv2d.
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


CONVOLVE = Signature(
    "input (N?, C, H, W); weight (F, C, KH>0, KW>0); bias (F,)? -> (N?, F, OH, OW)",
    options={"mode": choice("full", "same", "valid")})


@composite(samples=lambda r: [(r(2, 2, 4, 3), r(3, 2, 2, 3), r(3)),
                              (r(1, 2, 4, 4), r(2, 2, 3, 2), None, "same"),
                              (r(1, 2, 4, 4), r(2, 2, 3, 2), None, "valid")], ref=_convolve2d_ref,
           takes=CONVOLVE)
def convolve2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, mode: str = "full"
               ) -> Tensor:
    """The convolution of mathematics, with the kernel flipped, summed over input channels:

        y[n, f, k, l] = bias[f] + sum_cij x[n, c, i, j] w[f, c, k - i, l - j]

    input (N, C, H, W) or (C, H, W), weight (F, C, KH, KW), bias (F,) -> (N, F, OH, OW) or
    (F, OH, OW), by mode:
    'full' (every k, l with a term, OH = H + KH - 1), 'same' (the middle of it, OH = H) or 'valid'
    (where the kernel lies wholly on the image, OH = H - KH + 1), as SciPy's convolve2d. It equals
    conv2d with a flipped kernel and padding KH - 1.

    Raises: ValueError for another mode and for shapes that do not fit.
    """
    CONVOLVE.check(input, weight, bias, mode)
    kh, kw = np.shape(weight)[2:]
    # Rows that are cut from the full result before its first: none, the first half, all but one.
    sides = {"full": (kh - 1, kw - 1, kh - 1, kw - 1),
             "same": (kh // 2, kw // 2, (kh - 1) // 2, (kw - 1) // 2),
             "valid": (0, 0, 0, 0)}[mode]
    return conv2d(input, flip(weight, (2, 3)), bias, 1, sides)
