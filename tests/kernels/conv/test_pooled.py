"""Convolution, relu and max pooling in one: equal to the three kernels one after the other."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import tuning
from minigrad.kernels import ways
from minigrad.kernels.conv import pooled as conv_pool
from minigrad.kernels.conv.pooled import (
    blocks_of_images, conv2d_relu_max_pool2d, conv2d_relu_max_pool2d_grad,
    conv2d_relu_max_pool2d_grad_reference, conv2d_relu_max_pool2d_reference,
)
from minigrad.kernels.conv.pooled_short import TOGETHER, short_plan
from minigrad.kernels.simd.tile import tile_shape

ROWS = tile_shape(np.float32).rows                 # features from which the short way is taken


def case(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, window=(2, 2), step=None,
         border=(0, 0), spread=(1, 1), cut=(0, 0), dtype="f4", seed=0):
    """(x, w, bias, conv, pool, g) for the kernels; cut: windows left out below and at the right."""
    rng = np.random.default_rng(seed)
    step = step or window
    conv_hw = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                    for n, p, d, k, s in zip(x[2:], padding, dilation, w[2:], stride))
    out_hw = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 - c
                   for n, p, d, k, s, c in zip(conv_hw, border, spread, window, step, cut))
    arrays = [rng.standard_normal(s).astype(dtype)
              for s in (x, w, w[:1], (x[0], w[0], *out_hw))]
    return (*arrays[:3], (conv_hw, stride, padding, dilation, groups),
            (window, step, border, spread, out_hw), arrays[3])


# (the case, whether the short way takes it)
CASES = {
    "the first layer of a network": (case((5, 1, 28, 28), (32, 1, 3, 3), padding=(1, 1)), True),
    "float64": (case((3, 1, 12, 10), (8, 1, 3, 3), padding=(1, 1), dtype="f8"), True),
    "colours": (case((3, 3, 20, 22), (16, 3, 3, 3), padding=(1, 1)), True),
    "odd sizes, features that fill no tile": (case((2, 2, 11, 13), (ROWS + 3, 2, 3, 2)), True),
    "a stride, lopsided": (case((2, 1, 23, 31), (9, 1, 5, 3), (2, 1), (2, 0)), True),
    "a dilation": (case((2, 2, 17, 19), (8, 2, 3, 3), dilation=(2, 3), padding=(2, 3)), True),
    "windows 3 x 1": (case((2, 1, 20, 9), (8, 1, 3, 3), window=(3, 1)), True),
    "windows apart": (case((2, 1, 21, 20), (8, 1, 3, 3), window=(2, 1), step=(3, 2)), True),
    "windows that leave a border": (case((2, 1, 21, 25), (8, 1, 2, 2), window=(4, 4)), True),
    "fewer windows than fit": (case((2, 1, 14, 14), (8, 1, 3, 3), cut=(2, 1)), True),
    "wide images": (case((1, 1, 9, 150), (8, 1, 3, 3), padding=(1, 1)), True),
    "images in several pieces": (case((2, 1, 16, 130), (64, 1, 3, 3), padding=(1, 1)), True),
    "one window": (case((3, 1, 4, 4), (8, 1, 3, 3)), True),
    "one pixel, many channels": (case((3, 40, 6, 6), (8, 40, 1, 1)), True),
    "a kernel of one row": (case((12, 2, 10, 10), (10, 2, 1, 4)), True),
    "few features": (case((2, 1, 12, 12), (ROWS - 1, 1, 3, 3)), False),
    "long sums": (case((2, 32, 14, 14), (64, 32, 3, 3), padding=(1, 1)), False),
    "groups": (case((2, 4, 12, 12), (8, 2, 3, 3), groups=2), False),
    "overlapping windows": (case((2, 1, 13, 13), (8, 1, 3, 3), window=(3, 3), step=(2, 2)), False),
    "windows that hang over": (case((2, 1, 13, 13), (8, 1, 3, 3), border=(1, 1)), False),
    "windows cut off": (case((2, 1, 13, 14), (8, 1, 3, 3), cut=(-1, 0)), False),
    "dilated windows": (case((2, 1, 13, 13), (8, 1, 3, 3), spread=(2, 2)), False),
    "windows of many cells": (case((2, 1, 40, 40), (8, 1, 3, 3), window=(6, 6)), False),
}
each_case = pytest.mark.parametrize("name", CASES)


def gradients(g, places, x, w, conv, pool, needs):
    return conv2d_relu_max_pool2d_grad(
        g, places, x if needs[1] else None, w if needs[0] else None, (x.shape, w.shape), conv, pool,
        needs)


def close(got, want):
    scale = np.abs(want).max() if want.size else 1.0
    np.testing.assert_allclose(got, want, rtol=0, atol=scale * 100 * np.finfo(want.dtype).eps)


@each_case
def test_it_is_the_composition(name):
    (x, w, b, conv, pool, g), short = CASES[name]
    assert (short_plan(x.shape, w.shape, x.dtype, conv, pool) is not None) == short
    for bias in (b, None):
        y, places = conv2d_relu_max_pool2d(x, w, bias, conv, pool)
        want, want_places = conv2d_relu_max_pool2d_reference(x, w, bias, conv, pool)
        assert y.dtype == want.dtype and places.dtype == want_places.dtype
        close(y, want)
        # Sums of another order may find another cell, where two are equal but for rounding.
        assert (places != want_places).mean() < 1e-3
    gx, gw, gb = gradients(g, places, x, w, conv, pool, (False, True, True))
    wants = conv2d_relu_max_pool2d_grad_reference(g, places, x, w, conv, pool)
    assert gx is None
    close(gw, wants[1])
    close(gb, wants[2])
    everything = gradients(g, places, x, w, conv, pool, (True, True, True))
    for got, want in zip(everything, wants):
        close(got, want)


def test_in_several_blocks_of_images(monkeypatch):
    x, w, b, conv, pool, g = case((7, 20, 9, 9), (12, 20, 3, 3), window=(3, 3), step=(2, 2))
    y, places = conv2d_relu_max_pool2d(x, w, b, conv, pool)
    want = gradients(g, places, x, w, conv, pool, (True, True, True))
    monkeypatch.setattr(tuning, "POOLED_BLOCK_BYTES", 3 * 12 * 7 * 7 * 4)
    monkeypatch.setattr(conv_pool, "blocks_of_images", blocks_of_images.__wrapped__)
    ways.forget()
    blocks = conv_pool.blocks_of_images(7, 12, (7, 7), 4)
    assert [(block.start, block.stop) for block in blocks] == [(0, 3), (3, 6), (6, 7)]
    close(conv2d_relu_max_pool2d(x, w, b, conv, pool)[0], y)
    for got, all_at_once in zip(
            gradients(g, places, x, w, conv, pool, (True, True, True)), want):
        close(got, all_at_once)
    ways.forget()


@pytest.mark.parametrize("name", ["the first layer of a network", "long sums"])
def test_no_images_and_only_what_is_needed(name):
    (x, w, b, conv, pool, g), _ = CASES[name]
    y, places = conv2d_relu_max_pool2d(x[:0], w, b, conv, pool)
    assert y.shape == (0, *g.shape[1:])
    gx, gw, gb = gradients(g[:0], places, x[:0], w, conv, pool, (True,) * 3)
    assert gx.shape == (0, *x.shape[1:])
    np.testing.assert_array_equal(gw, np.zeros_like(w))
    np.testing.assert_array_equal(gb, np.zeros_like(b))
    y, places = conv2d_relu_max_pool2d(x, w, b, conv, pool)
    wants = conv2d_relu_max_pool2d_grad_reference(g, places, x, w, conv, pool)
    for i in range(3):
        got = gradients(g, places, x, w, conv, pool, tuple(k == i for k in range(3)))
        close(got[i], wants[i])
        assert [part is not None for part in got] == [k == i for k in range(3)]


@pytest.mark.parametrize("name", ["the first layer of a network", "images in several pieces",
                                  "one image", "one window", "long sums"])
def test_the_same_bits_at_any_number_of_threads(name):
    if name == "one image":
        x, w, b, conv, pool, g = case((1, 1, 30, 30), (40, 1, 3, 3))
    else:
        (x, w, b, conv, pool, g), _ = CASES[name]
    seen = []
    for threads in (1, 2, 3):
        mg.set_num_threads(threads)
        y, places = conv2d_relu_max_pool2d(x, w, b, conv, pool)
        seen.append([y, places, *gradients(
            g, places, x, w, conv, pool, (False, True, True))[1:]])
    for others in seen[1:]:
        for a, b in zip(seen[0], others):
            np.testing.assert_array_equal(a, b)


def test_nan_stays_nan_and_infinity_does_not_spread_beyond_its_windows():
    x, w, b, conv, pool, g = case((2, 1, 12, 40), (8, 1, 3, 3))
    x[0, 0, 4, 5], x[1, 0, 0, 0], x[1, 0, 7, 33] = np.nan, np.inf, -np.inf
    y, places = conv2d_relu_max_pool2d(x, w, b, conv, pool)
    want, want_places = conv2d_relu_max_pool2d_reference(x, w, b, conv, pool)
    assert np.isnan(want).any() and np.isfinite(want).any()
    np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
    np.testing.assert_array_equal(places, want_places)
    x[...] = np.nan_to_num(x, posinf=0.0, neginf=0.0)
    x[1, 0, 0, 0] = np.inf                         # a corner meets the first tap alone
    gw = gradients(g, places, x, w, conv, pool, (False, True, True))[1]
    finite = np.isfinite(gw)
    assert finite.reshape(8, 9)[:, 1:].all() and not finite.reshape(8, 9)[:, 0].any()


def test_equal_numbers_the_first_wins_and_nothing_positive_is_found_nowhere():
    x, w, b, conv, pool, g = case((1, 1, 6, 6), (TOGETHER * 2, 1, 3, 3))
    y, places = conv2d_relu_max_pool2d(np.ones_like(x), np.abs(w), np.abs(b), conv, pool)
    assert (places == 0).all() and (y > 0).all()
    y, places = conv2d_relu_max_pool2d(np.ones_like(x), -np.abs(w), -np.abs(b), conv, pool)
    assert (places == 255).all() and (y == 0).all()
    _, gw, gb = gradients(g, places, x, w, conv, pool, (False, True, True))
    assert not gw.any() and not gb.any()
