"""A float graph as a module: the teacher of a network that is trained from a graph."""

from __future__ import annotations

import torch
from torch import nn

from ..graph import Graph


class GraphModule(nn.Module):
    """Scores of a graph for real inputs, without gradients.

    Parameters
    ----------
    graph : Graph
        Such as those of the zoo; to train one, see :func:`.convert.convert_graph`.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output, flattened (B, values), of x = (a - zero_point) 2^-frac_bits."""
        stored = x * 2.0**self.graph.frac_bits + self.graph.zero_point  # exact: both ways are
        return self.graph.run(stored)[self.graph.output].flatten(1)
