"""Recurrent layers: one step (RNNCell), and a whole sequence in layers, in both directions (RNN).

    h_t = f(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh),  f = tanh or relu

Not here: the loop over time and its derivative (`ops/rnn.py`).
"""
from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ..autograd.construct import to_array
from ..autograd.engine import Tensor, wrap
from ..autograd.options import Case
from ..foreign import got
from ..ops.cast import check_device, clone
from ..ops.random import dropout
from ..ops.rnn import NONLINEARITY, rnn_cell, rnn_layer
from ..ops.join import cat, stack
from ..ops.shape import squeeze, transpose, unsqueeze
from .init import uniform_
from .module import Module, Parameter, new_parameter, positive

def _check_nonlinearity(layer: str, nonlinearity: str) -> None:
    try:
        NONLINEARITY.check(Case(layer), "nonlinearity", nonlinearity)
    except ValueError as error:
        raise ValueError(f"{error}; for another one compose a cell of two Linear layers") from None


def _both_names(layer: str, hx: Any, h_0: Any) -> Any:
    """torch documents the first state as h_0 and calls it hx; both are understood."""
    if hx is not None and h_0 is not None:
        raise TypeError(f"{layer}: hx and h_0 are the same argument; give one of them")
    return h_0 if hx is None else hx


class RNNCell(Module):
    """One step: h' = f(x W_ih^T + b_ih + h W_hh^T + b_hh).

    x (N, input_size), h (N, hidden_size) -> h' (N, hidden_size); or all without N. h defaults to 0.

    weight_ih (hidden_size, input_size), weight_hh (hidden_size, hidden_size), bias_ih, bias_hh
    (hidden_size,) all start uniform in +-1/sqrt(hidden_size) (torch.nn.RNNCell).
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True,
                 nonlinearity: str = "tanh", device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        check_device("RNNCell", device)
        self.input_size, self.hidden_size = positive(
            "RNNCell", input_size=input_size, hidden_size=hidden_size)
        _check_nonlinearity("RNNCell", nonlinearity)
        self.nonlinearity = nonlinearity
        d = self.hidden_size
        self.weight_ih = new_parameter(d, self.input_size, dtype=dtype)
        self.weight_hh = new_parameter(d, d, dtype=dtype)
        self.bias_ih = new_parameter(d, dtype=dtype) if bias else None
        self.bias_hh = new_parameter(d, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all parameters anew."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            uniform_(p, -bound, bound)

    def forward(self, input: Tensor, hx: Tensor | None = None, *, h_0: Tensor | None = None
                ) -> Tensor:
        """The next state."""
        h = _both_names("RNNCell", hx, h_0)
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(f"RNNCell: input must be (N, {self.input_size}) or "
                             f"({self.input_size},), "
                             f"got {input.shape}" + _size_advice(input.shape, self.input_size))
        wanted = (*input.shape[:-1], self.hidden_size)
        if h is None:
            h = wrap(np.zeros(wanted, input.dtype))
        elif h.shape != wanted:
            raise ValueError(f"RNNCell: the state must be {wanted} for an input {input.shape}, got "
                             f"{h.shape}")
        return rnn_cell(input, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh,
                        self.nonlinearity)

    def extra_repr(self) -> str:
        """The sizes, and the options that are not default."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias_ih is None:
            text += ", bias=False"
        return text + (f", nonlinearity={self.nonlinearity}" if self.nonlinearity != "tanh" else "")


class RNN(Module):
    """The recurrence over a sequence, in num_layers layers, in one direction or both.

    input (T, N, input_size); (N, T, input_size) with batch_first; (T, input_size) without batch.
    hx, the first states: (num_layers * directions, N, hidden_size), default 0; batch_first does not
        move its axes, as in torch. Without batch: (num_layers * directions, hidden_size).
    Returns (output, h_n): output (T, N, directions * hidden_size), the states of the last layer,
        axes as in the input; h_n, the last states, axes as in hx. The gradient of h_n passes
        through output (hooks on that see it; in torch they do not).

    dropout: probability to drop, while training, what one layer hands to the next.
    Layer k has weight_ih_lk (hidden_size, input_size or directions * hidden_size), weight_hh_lk,
    bias_ih_lk, bias_hh_lk, and the same with _reverse for the way back; all start uniform in
    +-1/sqrt(hidden_size) (torch.nn.RNN).

    Raises: ValueError for shapes that do not fit, with the shape that would.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1,
                 nonlinearity: str = "tanh", bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        check_device("RNN", device)
        self.input_size, self.hidden_size, self.num_layers = positive(
            "RNN", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        _check_nonlinearity("RNN", nonlinearity)
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"RNN: dropout, the probability to drop, must be from 0 to 1, got "
                             f"{dropout!r}")
        if dropout and self.num_layers == 1:
            warnings.warn("RNN: dropout acts between layers, and there is only one; set "
                          "num_layers=2 or more, or put nn.Dropout after the RNN", stacklevel=2)
        self.nonlinearity, self.bias, self.batch_first = nonlinearity, bool(bias), bool(batch_first)
        self.dropout, self.bidirectional = float(dropout), bool(bidirectional)
        d, directions = self.hidden_size, 1 + self.bidirectional
        for layer in range(self.num_layers):
            for end in ("", "_reverse")[:directions]:
                inputs = self.input_size if layer == 0 else d * directions
                setattr(self, f"weight_ih_l{layer}{end}", new_parameter(d, inputs, dtype=dtype))
                setattr(self, f"weight_hh_l{layer}{end}", new_parameter(d, d, dtype=dtype))
                if bias:
                    setattr(self, f"bias_ih_l{layer}{end}", new_parameter(d, dtype=dtype))
                    setattr(self, f"bias_hh_l{layer}{end}", new_parameter(d, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all parameters anew."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            uniform_(p, -bound, bound)

    def forward(self, input: Tensor, hx: Tensor | None = None, *, h_0: Tensor | None = None
                ) -> tuple[Tensor, Tensor]:
        """(output, h_n), see the class."""
        hx = _both_names("RNN", hx, h_0)
        input, hx = (wrap(to_array(x)) if isinstance(x, np.ndarray) else x for x in (input, hx))
        self._check(input, hx)
        batched = input.ndim == 3
        x = input                                                # -> (T, N, input_size)
        if not batched:
            x, hx = unsqueeze(x, 1), None if hx is None else unsqueeze(hx, 1)
        elif self.batch_first:
            x = transpose(x, 0, 1)
        directions = 1 + self.bidirectional
        zeros = wrap(np.zeros((x.shape[1], self.hidden_size), x.dtype))
        last = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = dropout(x, self.dropout, self.training)
            outs = []
            for way in range(directions):
                h0 = zeros if hx is None else hx[layer * directions + way]
                out = rnn_layer(x, h0, *self._weights(layer, way), self.nonlinearity, bool(way))
                outs.append(out)
                last.append(out[0] if way else out[-1])      # (N, D): the way back ends at t = 0
            x = outs[0] if directions == 1 else cat(outs, dim=-1)
        # A copy: no view of output.
        h_n = unsqueeze(clone(last[0]), 0) if len(last) == 1 else stack(last)
        if not batched:
            return squeeze(x, 1), squeeze(h_n, 1)
        return transpose(x, 0, 1) if self.batch_first else x, h_n

    def _weights(self, layer: int, way: int) -> tuple[Parameter, Parameter, Any, Any]:
        """(w_ih, w_hh, b_ih, b_hh) of one layer in one direction."""
        end = f"l{layer}_reverse" if way else f"l{layer}"
        own = vars(self)
        return (own[f"weight_ih_{end}"], own[f"weight_hh_{end}"],
                own.get(f"bias_ih_{end}"), own.get(f"bias_hh_{end}"))

    def _check(self, input: Tensor, hx: Tensor | None) -> None:
        size = self.input_size
        if not isinstance(input, Tensor):
            advice = "; unpack the data set's pair first" if isinstance(input, tuple) else ""
            raise TypeError(f"RNN: input must be a Tensor, got {got(input, advice)}")
        if input.ndim not in (2, 3):
            axes = "N, T" if self.batch_first else "T, N"
            raise ValueError(f"RNN: input must be ({axes}, {size}) or, without batch, (T, {size}), "
                             f"got {input.shape}" + ("; add the last axis: x.unsqueeze(-1)"
                                                 if input.ndim == 1 and size == 1 else ""))
        if input.shape[-1] != size:
            advice = "; add it: x.unsqueeze(-1)" if size == 1 and input.ndim == 2 else \
                _size_advice(input.shape, size)
            raise ValueError(f"RNN: the last axis of the input must be input_size={size}, the "
                             f"input is {input.shape}{advice}")
        time = 1 if self.batch_first and input.ndim == 3 else 0
        if input.shape[time] == 0:
            raise ValueError(f"RNN: the input {input.shape} has no steps (axis {time}), want at "
                             "least one")
        if hx is None:
            return
        count = self.num_layers * (1 + self.bidirectional)
        wanted = (count, *((input.shape[1 - time],) if input.ndim == 3 else ()), self.hidden_size)
        if not isinstance(hx, Tensor):
            raise TypeError("RNN: the first state must be a Tensor, got " + got(
                hx, "; an RNN has no second state c_0, pass h_0 alone"
                if isinstance(hx, tuple) else ""))
        if hx.shape != wanted:
            names = "(num_layers * directions, N, hidden_size)" if input.ndim == 3 else \
                "(num_layers * directions, hidden_size)"
            advice = ""
            if self.batch_first and input.ndim == 3:
                advice = "; batch_first does not move the axes of h_0"
                if hx.ndim == 3 and (hx.shape[1], hx.shape[0], hx.shape[2]) == wanted:
                    advice += ": use h_0.transpose(0, 1)"
            elif hx.ndim == len(wanted) - 1 and (1, *hx.shape) == wanted:
                advice = "; add the first axis: h_0.unsqueeze(0)"
            raise ValueError(f"RNN: h_0 must be {names} = {wanted}, got {hx.shape}{advice}")

    def extra_repr(self) -> str:
        """The sizes, and the options that are not default."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.nonlinearity != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        for name, usual in (("bias", True), ("batch_first", False), ("dropout", 0.0),
                            ("bidirectional", False)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text


def _size_advice(shape: tuple[int, ...], size: int) -> str:
    """Where input_size may be hiding."""
    if size in shape[:-1]:
        at = shape.index(size)
        return f"; axis {at} has that size: x.transpose({at}, -1)"
    return f"; set input_size={shape[-1]}" if shape else ""
