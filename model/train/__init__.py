"""Training with shift weights and stored activations, so that what is trained is what is exported.

``convert_module`` makes a network in training of a float module, ``convert_graph`` of a float
graph; ``fit`` trains either; ``ShiftModule.to_network`` exports.
"""

from .checkpoint import load_checkpoint, save_checkpoint
from .convert import convert_graph, convert_module
from .distill import Distillation
from .export import Agreement, agreement
from .fit import Recipe, fit, join, settle_batch_norm
from .graph_module import GraphModule
from .layers import ShiftConv2d, ShiftLinear
from .module import ShiftModule

__all__ = [
    "Agreement",
    "Distillation",
    "GraphModule",
    "Recipe",
    "ShiftConv2d",
    "ShiftLinear",
    "ShiftModule",
    "agreement",
    "convert_graph",
    "convert_module",
    "fit",
    "join",
    "load_checkpoint",
    "save_checkpoint",
    "settle_batch_norm",
]
