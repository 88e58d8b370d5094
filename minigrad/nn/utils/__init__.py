"""torch.nn.utils: what is done to the parameters of a whole model. torch's path and names."""
from typing import TYPE_CHECKING

from ...absent import shows as _shows
from .clip_grad import clip_grad_norm_ as clip_grad_norm_
from .clip_grad import clip_grad_value_ as clip_grad_value_
from .clip_grad import get_total_norm as get_total_norm
from .convert_parameters import parameters_to_vector as parameters_to_vector
from .convert_parameters import vector_to_parameters as vector_to_parameters

if not TYPE_CHECKING:                              # who checks types is to see every misspelt name
    __all__, __dir__, __getattr__ = _shows(__name__)
