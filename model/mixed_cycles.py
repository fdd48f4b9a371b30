"""What each N costs a layer in cycles, from the cycle model, and N under a budget of cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..hw.config import EngineConfig
from .codebook import Codebook
from .compile import compile_network
from .cycles import predict_cycles
from .graph import ConvNode, Graph
from .mixed import HIGH, LOW, Mix, Sensitivity, mix_curve, pick_mix
from .network import Network
from .quantize import quantize
from .rounded import Rounded


def layer_cycles(
    graph: Graph, frac_bits: dict[str, int], config: EngineConfig, bits: int = 4
) -> dict[str, tuple[int, int]]:
    """Return each convolution's cycles with the lower and the higher N.

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
    return {name: (low[name], high[name]) for name in names}


def network_cycles(network: Network, config: EngineConfig) -> int:
    """Return the cycles of one picture on an engine, as the cycle model predicts them."""
    return predict_cycles(compile_network(network, config), config).cycles


def mixed_network(
    graph: Graph, frac_bits: dict[str, int], terms: Mapping[str, int], bits: int = 4
) -> Network:
    """Return a network with an N for each convolution, rounded greedily."""
    rounded = {
        node.name: Rounded(
            Codebook(terms[node.name], bits).quantize(node.weight), node.bias.double()
        )
        for node in graph.nodes
        if isinstance(node, ConvNode)
    }
    return quantize(graph, frac_bits, bits=bits, rounded=rounded)


def mixed_cycles(
    graph: Graph,
    frac_bits: dict[str, int],
    terms: Mapping[str, int],
    config: EngineConfig,
    bits: int = 4,
) -> int:
    """Return the cycles of one picture with an N for each convolution, however rounded."""
    return network_cycles(mixed_network(graph, frac_bits, terms, bits), config)


def choose_by_cycles(
    sensitivities: Sequence[Sensitivity],
    budget: float,
    graph: Graph,
    frac_bits: dict[str, int],
    config: EngineConfig,
    bits: int = 4,
) -> tuple[Mix, list[Mix]]:
    """Return the mix whose network keeps a budget of cycles, and the curve it lies on.

    Layers overlap, so a network's cycles are not the sum of its layers' and every step is
    predicted for the whole network. The costs of the mixes are the sums nevertheless.

    Parameters
    ----------
    sensitivities : sequence of Sensitivity
    budget : float
        Cycles of one picture, at least those with the lower N everywhere.
    graph, frac_bits, config, bits
        As in :func:`layer_cycles`.
    """
    cycles = layer_cycles(graph, frac_bits, config, bits)

    def keeps(terms: Mapping[str, int]) -> bool:
        return mixed_cycles(graph, frac_bits, terms, config, bits) <= budget

    return pick_mix(sensitivities, keeps, cycles), mix_curve(sensitivities, cycles)


def _by_layer(network: Network, config: EngineConfig) -> Mapping[str, int]:
    prediction = predict_cycles(compile_network(network, config), config)
    return {layer.name: layer.counters["busy"] for layer in prediction.layers}
