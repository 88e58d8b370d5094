# Written by tests/typing/make_stubs.py from rnn.py: run it again instead of editing this.
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor
from .activation import tanh

ACTIVATIONS: Any

NONLINEARITY: Any

@overload
def rnn_scan(v: Tensor, d: Tensor | ndarray, w: Tensor | ndarray, reverse: bool = False) -> Tensor:
    """The linear recurrence r_t = d_t * (v_t + r_{t-1} w), with r_{t+1} instead if reverse.

    v and d (T, N, D), w (D, D) -> (T, N, D), of one floating dtype. Before the first step r is 0.

    With r~ the step before r and u the recurrence run the other way on the gradient g with w^T,
        u_t = d_t * s_t,  s_t = g_t + u_{t+1} w^T:   gv = u,  gd_t = s_t * (v_t + r~_t w),
        gw = sum_t r~_t^T u_t.
    """
@overload
def rnn_scan(v: ndarray, d: Tensor, w: Tensor | ndarray, reverse: bool = False) -> Tensor: ...
@overload
def rnn_scan(v: ndarray, d: ndarray, w: Tensor, reverse: bool = False) -> Tensor: ...
@overload
def rnn_scan(v: ndarray, d: ndarray, w: ndarray, reverse: bool = False) -> ndarray: ...

@overload
def rnn_layer(input: Tensor, h0: Tensor | ndarray, w_ih: Tensor | ndarray, w_hh: Tensor | ndarray, b_ih: Tensor | ndarray | None = None, b_hh: Tensor | ndarray | None = None, nonlinearity: str = 'tanh', reverse: bool = False) -> Tensor:
    """The states of one recurrent layer at all times:

        h_t = act(x_t w_ih^T + b_ih + h_{t-1} w_hh^T + b_hh)

    input (T, N, I), h0 (N, D), w_ih (D, I), w_hh (D, D), b_ih and b_hh (D,) -> (T, N, D)

    reverse: from the last step to the first; the states stay in the order of the input.

    The last state is out[-1], or out[0] if reverse.

    Raises: ValueError for shapes that do not fit, an empty sequence or another nonlinearity;
        TypeError for mixed dtypes.
    """
@overload
def rnn_layer(input: ndarray, h0: Tensor, w_ih: Tensor | ndarray, w_hh: Tensor | ndarray, b_ih: Tensor | ndarray | None = None, b_hh: Tensor | ndarray | None = None, nonlinearity: str = 'tanh', reverse: bool = False) -> Tensor: ...
@overload
def rnn_layer(input: ndarray, h0: ndarray, w_ih: Tensor, w_hh: Tensor | ndarray, b_ih: Tensor | ndarray | None = None, b_hh: Tensor | ndarray | None = None, nonlinearity: str = 'tanh', reverse: bool = False) -> Tensor: ...
@overload
def rnn_layer(input: ndarray, h0: ndarray, w_ih: ndarray, w_hh: Tensor, b_ih: Tensor | ndarray | None = None, b_hh: Tensor | ndarray | None = None, nonlinearity: str = 'tanh', reverse: bool = False) -> Tensor: ...
@overload
def rnn_layer(input: ndarray, h0: ndarray, w_ih: ndarray, w_hh: ndarray, b_ih: ndarray | None = None, b_hh: ndarray | None = None, nonlinearity: str = 'tanh', reverse: bool = False) -> ndarray: ...

CELL: Any

@overload
def rnn_cell(input: Tensor, hx: Tensor | ndarray, w_ih: Tensor | ndarray, w_hh: Tensor | ndarray, b_ih: Tensor | ndarray | None = None, b_hh: Tensor | ndarray | None = None, nonlinearity: str = 'tanh') -> Tensor:
    """One step of a recurrent layer: act(x w_ih^T + b_ih + h w_hh^T + b_hh).

    input (N, I) or (I,), hx (N, D) or (D,), w_ih (D, I), w_hh (D, D), b_ih and b_hh (D,) -> (N, D)
    or (D,)

    Raises: ValueError for shapes that do not fit or another nonlinearity; TypeError for mixed
        dtypes.
    """
@overload
def rnn_cell(input: ndarray, hx: Tensor, w_ih: Tensor | ndarray, w_hh: Tensor | ndarray, b_ih: Tensor | ndarray | None = None, b_hh: Tensor | ndarray | None = None, nonlinearity: str = 'tanh') -> Tensor: ...
@overload
def rnn_cell(input: ndarray, hx: ndarray, w_ih: Tensor, w_hh: Tensor | ndarray, b_ih: Tensor | ndarray | None = None, b_hh: Tensor | ndarray | None = None, nonlinearity: str = 'tanh') -> Tensor: ...
@overload
def rnn_cell(input: ndarray, hx: ndarray, w_ih: ndarray, w_hh: Tensor, b_ih: Tensor | ndarray | None = None, b_hh: Tensor | ndarray | None = None, nonlinearity: str = 'tanh') -> Tensor: ...
@overload
def rnn_cell(input: ndarray, hx: ndarray, w_ih: ndarray, w_hh: ndarray, b_ih: ndarray | None = None, b_hh: ndarray | None = None, nonlinearity: str = 'tanh') -> ndarray: ...
