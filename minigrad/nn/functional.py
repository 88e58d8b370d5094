"""The operations where torch has them, `import minigrad.nn.functional as F`; defined in `ops/`."""
from typing import TYPE_CHECKING

from ..absent import shows as _shows
from ..ops.activation import elu as elu
from ..ops.activation import gelu as gelu
from ..ops.activation import hardtanh as hardtanh
from ..ops.activation import leaky_relu as leaky_relu
from ..ops.activation import log_softmax as log_softmax
from ..ops.activation import logsigmoid as logsigmoid
from ..ops.activation import relu as relu
from ..ops.activation import relu6 as relu6
from ..ops.activation import sigmoid as sigmoid
from ..ops.activation import silu as silu
from ..ops.activation import softmax as softmax
from ..ops.activation import softplus as softplus
from ..ops.activation import tanh as tanh
from ..ops.conv import conv2d as conv2d
from ..ops.conv import convolve2d as convolve2d
from ..ops.conv_pool import conv2d_relu_max_pool2d as conv2d_relu_max_pool2d
from ..ops.gather import one_hot as one_hot
from ..ops.linear import linear as linear
from ..ops.loss import binary_cross_entropy as binary_cross_entropy
from ..ops.loss import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from ..ops.loss import cross_entropy as cross_entropy
from ..ops.loss import huber_loss as huber_loss
from ..ops.loss import kl_div as kl_div
from ..ops.loss import l1_loss as l1_loss
from ..ops.loss import mse_loss as mse_loss
from ..ops.loss import nll_loss as nll_loss
from ..ops.loss import smooth_l1_loss as smooth_l1_loss
from ..ops.pool import avg_pool2d as avg_pool2d
from ..ops.pool import max_pool2d as max_pool2d
from ..ops.pool import relu_max_pool2d as relu_max_pool2d
from ..ops.random import dropout as dropout
from ..ops.random import dropout2d as dropout2d
from ..ops.rnn import rnn_cell as rnn_cell
from ..ops.rnn import rnn_layer as rnn_layer
from ..ops.join import pad as pad

if not TYPE_CHECKING:                              # who checks types is to see every misspelt name
    __all__, __dir__, __getattr__ = _shows(__name__)
