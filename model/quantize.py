"""From a float graph to an integer network: calibrated scales, quantised weights, no retraining."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch

from .codebook import Codebook, Scale
from .fixed import Requantiser
from .graph import ConcatNode, ConvNode, Graph, MaxPoolNode
from .network import Concat, Conv, GlobalAveragePool, Layer, MaxPool, Network, TensorInfo

SAMPLES = 200_000  # values kept per tensor and batch of calibration pictures
HEADROOM = 1.25  # the output's range over its largest calibration value


def calibrate(graph: Graph, batches: Iterable[torch.Tensor], bits: int = 8) -> dict[str, int]:
    """Choose each tensor's scale 2^-f, the f with the least squared rounding and clipping error.

    Tensors that a concatenation or a max pool ties together share one f. The network's output is
    the exception: its largest values decide, so its f is the finest one that clips none.

    Parameters
    ----------
    graph : Graph
    batches : iterable of Tensor uint8 (B, C, H, W)
        Calibration pictures, already preprocessed; none of the pictures to be judged on.
    bits : int
        A, bits of a stored activation, 2..8.

    Returns
    -------
    dict[str, int]
        f by tensor name; the input's is 0, pixels as they are stored.

    Raises
    ------
    ValueError
        If there are no calibration pictures.
    """
    kept: dict[str, list[torch.Tensor]] = {node.output: [] for node in graph.nodes}
    for batch in batches:
        tensors = graph.run(batch)
        for name, samples in kept.items():
            values = tensors[name].flatten()
            samples.append(values[:: max(1, values.numel() // SAMPLES)].clone())
    if not kept or not all(kept.values()):
        raise ValueError("calibration needs at least one picture")
    signed = signed_tensors(graph)
    owner = _groups(graph)
    members: dict[str, list[str]] = {}
    for name in kept:
        members.setdefault(owner[name], []).append(name)
    chosen: dict[str, int] = {graph.input: 0}
    for names in members.values():
        values = torch.cat([part for name in names for part in kept[name]]).double()
        low, high = (0, (1 << bits) - 1)
        if not signed.isdisjoint(names):
            low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        choose = _unclipped_frac_bits if graph.output in names else _best_frac_bits
        chosen |= dict.fromkeys(names, choose(values, low, high))
    return chosen


def _unclipped_frac_bits(values: torch.Tensor, low: int, high: int) -> int:
    """Return the finest f that leaves all values headroom below the clamp."""
    peak = max(float(values.max()) / high, float(values.min()) / low if low else 0.0)
    return math.floor(-math.log2(peak * HEADROOM)) if peak > 0 else 0


def _best_frac_bits(values: torch.Tensor, low: int, high: int) -> int:
    """Return the f whose grid low..high has the least squared error on the values."""
    peak = float(values.abs().max())
    if peak == 0.0:
        return 0
    widest = math.floor(math.log2(high / peak))  # nothing is clipped
    errors = {}
    for f in range(widest - 1, widest + 5):
        grid = (values * 2.0**f).round().clamp(low, high) * 2.0**-f
        errors[f] = float((grid - values).square().mean())
    return min(errors, key=errors.__getitem__)


def signed_tensors(graph: Graph) -> set[str]:
    """Return the tensors that may be negative: behind a convolution without ReLU."""
    signed: set[str] = set()
    for node in graph.nodes:
        negative = (
            not node.relu if isinstance(node, ConvNode) else not signed.isdisjoint(node.inputs)
        )
        if negative:
            signed.add(node.output)
    return signed


def _groups(graph: Graph) -> dict[str, str]:
    """Return for each tensor the representative of those that must share its scale."""
    owner = {name: name for name in (graph.input, *(node.output for node in graph.nodes))}

    def root(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    for node in graph.nodes:
        if isinstance(node, ConcatNode | MaxPoolNode):
            for name in node.inputs:
                owner[root(name)] = root(node.output)
    return {name: root(name) for name in owner}


def quantize(
    graph: Graph,
    frac_bits: dict[str, int],
    *,
    terms: int = 2,
    bits: int = 4,
    scale: Scale = "layer",
    act_bits: int = 8,
) -> Network:
    """Build the integer network: greedy shift weights, folded biases, requantisers.

    Parameters
    ----------
    graph : Graph
    frac_bits : dict[str, int]
        From :func:`calibrate`, with the same number of activation bits.
    terms, bits : int
        N and B of the weights' codebooks.
    scale : "layer" | "channel"
        One weight scale per layer, as in the ShiftCNN paper, or per output channel.
    act_bits : int
        A, bits of a stored activation, 2..8; the input keeps its 8 bits.

    Raises
    ------
    ValueError
        If N, B or A is out of range, or a tensor has no scale.
    """
    book = Codebook(terms, bits)
    signed = signed_tensors(graph)
    tensors: dict[str, TensorInfo] = {}
    for name, (channels, height, width) in graph.shapes().items():
        if name not in frac_bits:
            raise ValueError(f"tensor {name!r} has no calibrated scale")
        width_bits = 8 if name == graph.input else act_bits
        zero = 1 << (width_bits - 1) if name in signed else 0
        tensors[name] = TensorInfo(name, channels, height, width, frac_bits[name], zero, width_bits)
    layers: list[Layer] = []
    for node in graph.nodes:
        first, out = tensors[node.inputs[0]], tensors[node.output]
        step = 2.0 ** (out.frac_bits - first.frac_bits)  # stored output units per input unit
        if isinstance(node, ConvNode):
            weights = book.quantize(node.weight, scale)
            per_unit = weights.scale.numpy() * 2.0**-book.fraction_bits * step
            offset = node.bias.double().numpy() * 2.0**out.frac_bits + out.zero_point
            lo = out.zero_point if node.relu else 0
            layers.append(
                Conv(
                    node.name,
                    node.input,
                    node.output,
                    (node.weight.shape[2], node.weight.shape[3]),
                    node.stride,
                    node.padding,
                    weights,
                    Requantiser.from_real(per_unit, offset, lo, out.top),
                )
            )
        elif isinstance(node, MaxPoolNode):
            layers.append(
                MaxPool(node.name, node.input, node.output, node.kernel, node.stride, node.padding)
            )
        elif isinstance(node, ConcatNode):
            layers.append(Concat(node.name, node.inputs, node.output))
        else:
            mean = np.full(first.channels, step / (first.height * first.width))
            rq = Requantiser.from_real(mean, np.array(float(out.zero_point)), 0, out.top)
            layers.append(GlobalAveragePool(node.name, node.input, node.output, rq))
    return Network(
        name=graph.name,
        input=graph.input,
        output=graph.output,
        tensors=tensors,
        layers=layers,
        preprocess=graph.preprocess,
        classes=graph.classes,
    )


def activations_only(
    graph: Graph, frac_bits: dict[str, int], x: torch.Tensor, bits: int = 8
) -> torch.Tensor:
    """Return the output (B, C, H, W) with float weights and activations on their grids."""
    signed = signed_tensors(graph)

    def on_grid(name: str, value: torch.Tensor) -> torch.Tensor:
        step = 2.0 ** frac_bits[name]
        zero = 1 << (bits - 1) if name in signed else 0
        stored = (value * step + (zero + 0.5)).floor_()
        return (stored.clamp_(0, (1 << bits) - 1) - zero) / step

    return graph.run(x, on_grid)[graph.output]
