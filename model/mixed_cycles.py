"""What each N costs a layer in cycles, from the cycle model."""

from __future__ import annotations

from collections.abc import Mapping

from ..hw.config import EngineConfig
from .compile import compile_network
from .cycles import predict_cycles
from .graph import Graph
from .mixed import HIGH, LOW
from .network import Network
from .quantize import quantize


def layer_cycles(
    graph: Graph, frac_bits: dict[str, int], config: EngineConfig, bits: int = 4
) -> tuple[dict[str, tuple[int, int]], int]:
    """Return each convolution's cycles with the lower and the higher N, and those of all else.

    Parameters
    ----------
    graph : Graph
    frac_bits : dict[str, int]
    config : EngineConfig
    bits : int
        B; how weights are rounded makes no difference to the cycles.

    Raises
    ------
    ValueError
        If the engine cannot run the network.
    """
    found: list[Mapping[str, int]] = []
    for terms in (LOW, HIGH):
        network = quantize(graph, frac_bits, terms=terms, bits=bits)
        found.append(_by_layer(network, config))
        names = [layer.name for layer in network.convolutions()]
    low, high = found
    cycles = {name: (low[name], high[name]) for name in names}
    return cycles, sum(count for name, count in low.items() if name not in cycles)


def network_cycles(network: Network, config: EngineConfig) -> int:
    """Return the cycles of one picture on an engine, as the cycle model predicts them."""
    return predict_cycles(compile_network(network, config), config).cycles


def _by_layer(network: Network, config: EngineConfig) -> Mapping[str, int]:
    prediction = predict_cycles(compile_network(network, config), config)
    return {layer.name: layer.counters["busy"] for layer in prediction.layers}
