"""A whole network in codes of one size, fitted to unlabelled pictures."""

from __future__ import annotations

import torch

from ..agreement import has_classes
from ..graph import Graph
from ..network import Network
from .coded import CodedGraph
from .levels import best_tables
from .options import profiles
from .parts import whole_maps
from .place import code_network, groups_of


def code_whole(graph: Graph, network: Network, pictures: torch.Tensor, bits: int) -> Network:
    """Return the network with a learned table for every map that may be coded.

    Parameters
    ----------
    graph : Graph
    network : Network
        What the graph became; its scales are those the tables are fitted at.
    pictures : Tensor uint8 (B, C, H, W)
        Unlabelled, some dozens or more.
    bits : int
        Of every code, 1..7.

    Raises
    ------
    ValueError
        If the network has no scores of classes, or bits is out of range.
    """
    if not has_classes(graph):
        raise ValueError(f"codes are fitted to scores of classes, which {graph.name} has not")
    groups = groups_of(network, whole_maps(graph))
    names = [name for group in groups for name in group]
    frac_bits = {name: info.frac_bits for name, info in network.tensors.items()}
    known = profiles(CodedGraph(graph, frac_bits), pictures, names)
    codes = {name: best_tables(known[name].weights, [bits])[bits] for name in names}
    return code_network(network, codes)
