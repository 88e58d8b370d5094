"""Losses as modules: options passed on, weights that are buffers."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.autograd.engine import Tensor
from minigrad.nn import functional as F


def rng():
    return np.random.default_rng(0)


def floats(*shape, dtype=np.float32):
    return Tensor(rng().standard_normal(shape).astype(dtype))


def test_losses_pass_their_options_on():
    x, y = floats(4, 3), Tensor(rng().random((4, 3)).astype(np.float32))
    c, w = Tensor([0, 2, 1, 1]), Tensor([0.5, 1.0, 2.0])
    p = y * 0.8 + 0.1
    pairs = [
        (nn.MSELoss(reduction="none")(x, y), F.mse_loss(x, y, reduction="none")),
        (nn.L1Loss(reduction="sum")(x, y), F.l1_loss(x, y, reduction="sum")),
        (nn.SmoothL1Loss(beta=0.3)(x, y), F.smooth_l1_loss(x, y, beta=0.3)),
        (nn.HuberLoss(delta=0.3)(x, y), F.huber_loss(x, y, delta=0.3)),
        (nn.CrossEntropyLoss(w, ignore_index=1, reduction="sum", label_smoothing=0.1)(x, c),
         F.cross_entropy(x, c, w, ignore_index=1, reduction="sum", label_smoothing=0.1)),
        (nn.NLLLoss(w, ignore_index=1, reduction="sum")(x, c),
         F.nll_loss(x, c, w, ignore_index=1, reduction="sum")),
        (nn.BCELoss(w, reduction="none")(p, y), F.binary_cross_entropy(p, y, w, reduction="none")),
        (nn.BCEWithLogitsLoss(w, reduction="sum", pos_weight=w)(x, y),
         F.binary_cross_entropy_with_logits(x, y, w, reduction="sum", pos_weight=w)),
    ]
    for got, want in pairs:
        np.testing.assert_array_equal(got.array, want.array)


def test_weights_of_losses_are_buffers():
    loss = nn.BCEWithLogitsLoss(pos_weight=mg.ones(2))
    assert list(loss.state_dict()) == ["pos_weight"] and not list(loss.parameters())
    with pytest.raises(TypeError):
        nn.MSELoss(False)                              # torch's old size_average: not by position
