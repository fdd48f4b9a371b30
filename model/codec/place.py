"""Codes of maps become codes of a network's tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..coded import codable, with_codes
from ..network import Concat, MaxPool, Network
from .table import TableCode


def code_network(network: Network, codes: Mapping[str, TableCode]) -> Network:
    """Return the network with coded maps; what max pooling reads before is coded alike.

    A map in front of max pooling goes to memory too. Codes commute with maxima, so it takes the
    code itself, and the map behind, of which only levels are left, a code that keeps every level:
    together they change nothing that the code alone would not.

    Raises
    ------
    ValueError
        As :func:`..coded.with_codes`.
    """
    found = dict(codes)
    for layer in reversed(network.layers):
        if not isinstance(layer, MaxPool) or layer.output not in found:
            continue
        readers = [other for other in network.layers if layer.input in other.inputs]
        if readers == [layer] and layer.input != network.input and layer.input not in found:
            code = found[layer.output]
            found[layer.input] = code
            found[layer.output] = TableCode(
                code.bits, code.levels[:, 1:].contiguous(), code.levels
            )  # fmt: skip
    return with_codes(network, found)


def groups_of(network: Network, names: Sequence[str]) -> list[list[str]]:
    """Return groups of maps of which all must have as many bits; the others cannot be coded.

    Parameters
    ----------
    network : Network
    names : sequence of str
        As :func:`.maps.stored_maps` calls them: a concatenation stands for its parts.
    """
    parts = {layer.output: layer.inputs[0] for layer in network.layers if isinstance(layer, Concat)}
    found: list[list[str]] = []
    for group in codable(network):
        members = []
        for name in names:
            part = name
            while part in parts:
                part = parts[part]
            if part in group:
                members.append(name)
        if members:
            found.append(members)
    return found
