"""Which maps of a network cross memory, and can be stored in a code."""

from __future__ import annotations

from collections.abc import Mapping

from ..graph import ConcatNode, Graph, MaxPoolNode


def stored_maps(graph: Graph) -> list[str]:
    """Return the tensors that are written to memory and read back, in order.

    A map that only max pooling reads counts as stored after its pooling, since a table code
    commutes with maxima; the parts of a concatenation count as the concatenation. The input and
    the network's outputs are not among them: the host writes and reads them.
    """
    readers: dict[str, list[object]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    found = []
    for node in graph.nodes:
        name = node.output
        reading = readers.get(name, [])
        if name in graph.outputs or not reading:
            continue
        if all(isinstance(reader, MaxPoolNode | ConcatNode) for reader in reading):
            continue
        found.append(name)
    return found


def values_of(graph: Graph, names: list[str]) -> dict[str, int]:
    """Return how many values each tensor has, per picture."""
    shapes = graph.shapes()
    return {name: shapes[name][0] * shapes[name][1] * shapes[name][2] for name in names}


def mean_bits(values: Mapping[str, int], bits: Mapping[str, float]) -> float:
    """Return the bits per value of several maps together; 8 where ``bits`` lacks one."""
    total = sum(values.values())
    return sum(count * bits.get(name, 8.0) for name, count in values.items()) / total
