"""From a float graph to an integer network: calibrated scales, quantised weights, no retraining."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch

from .codebook import Codebook, Scale
from .fixed import Requantiser, fit_slope
from .graph import (
    AddNode,
    AveragePoolNode,
    ConcatNode,
    ConvNode,
    GlobalAverageNode,
    Graph,
    MaxPoolNode,
    Node,
    UpsampleNode,
)
from .network import (
    ADD_SHIFT_MAX,
    Add,
    AveragePool,
    Concat,
    Conv,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    TensorInfo,
    Upsample,
)
from .rounding.rounded import Rounded

SAMPLES = 200_000  # values kept per tensor and batch of calibration pictures
HEADROOM = 1.25  # the output's range over its largest calibration value


def calibrate(graph: Graph, batches: Iterable[torch.Tensor], bits: int = 8) -> dict[str, int]:
    """Choose each tensor's scale 2^-f, the f with the least squared rounding and clipping error.

    Tensors that a concatenation, a max pool or upsampling ties together share one f. The
    network's outputs are the exception: their largest values decide, so the f is the finest one
    that clips none. Where two addends would be more than ADD_SHIFT_MAX bits apart, the finer one
    becomes coarser.

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
        f by tensor name; the input's is the graph's.

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
    for name in (graph.input, *kept):
        members.setdefault(owner[name], []).append(name)
    chosen: dict[str, int] = {}
    for names in members.values():
        if graph.input in names:
            chosen |= dict.fromkeys(names, graph.frac_bits)
            continue
        values = torch.cat([part for name in names for part in kept[name]]).double()
        low, high = (0, (1 << bits) - 1)
        if not signed.isdisjoint(names):
            low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        ends = not set(graph.outputs).isdisjoint(names)
        choose = _unclipped_frac_bits if ends else _best_frac_bits
        chosen |= dict.fromkeys(names, choose(values, low, high))
    _bring_addends_together(graph, chosen, [members[owner[name]] for name in owner])
    return chosen


def _bring_addends_together(graph: Graph, chosen: dict[str, int], groups: list[list[str]]) -> None:
    """Lower f, with that of tied tensors, where an addend is too fine for the other."""
    tied = {name: names for names in groups for name in names}
    moved = True
    while moved:  # every step lowers an f that stays above another: it ends
        moved = False
        for node in graph.nodes:
            if not isinstance(node, AddNode):
                continue
            coarse, fine = sorted(node.inputs, key=chosen.__getitem__)
            limit = chosen[coarse] + ADD_SHIFT_MAX
            if chosen[fine] > limit and graph.input not in tied[fine]:
                chosen.update(dict.fromkeys(tied[fine], limit))
                moved = True


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
    """Return the tensors that may be negative, and those that share a scale with such a one.

    Negative values come from a signed input and from convolutions and sums without plain ReLU.
    """
    signed = {graph.input} if graph.zero_point else set()
    owner = _groups(graph)
    count = -1
    while len(signed) > count:
        count = len(signed)
        for node in graph.nodes:
            if isinstance(node, ConvNode | AddNode):
                negative = not node.relu or node.leak != 0.0
            else:
                negative = not signed.isdisjoint(node.inputs)
            if negative:
                signed.add(node.output)
        roots = {owner[name] for name in signed}
        signed |= {name for name, root in owner.items() if root in roots}
    return signed


def _groups(graph: Graph) -> dict[str, str]:
    """Return for each tensor the representative of those that must share its scale."""
    owner = {name: name for name in (graph.input, *(node.output for node in graph.nodes))}

    def root(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    for node in graph.nodes:
        if isinstance(node, ConcatNode | MaxPoolNode | UpsampleNode):
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
    rounded: Mapping[str, Rounded] | None = None,
) -> Network:
    """Build the integer network: shift weights, folded biases, requantisers.

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
    rounded : mapping of str to Rounded, optional
        Weights and biases of convolutions by name, from :mod:`.rounding` or training; those of
        the other convolutions are quantised greedily with ``terms``, ``bits`` and ``scale``.

    Raises
    ------
    ValueError
        If N, B or A is out of range, a tensor has no scale, the scales of two addends are too
        far apart, or ``rounded`` names no convolution.
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
    given = dict(rounded or {})
    unknown = given.keys() - {node.name for node in graph.nodes if isinstance(node, ConvNode)}
    if unknown:
        raise ValueError(f"the graph has no convolution {min(unknown)!r}, which was rounded")
    for node in graph.nodes:
        if isinstance(node, ConvNode) and node.name not in given:
            given[node.name] = Rounded(book.quantize(node.weight, scale), node.bias.double())
    layers = [_layer(node, tensors, given) for node in graph.nodes]
    return Network(
        name=graph.name,
        input=graph.input,
        output=graph.output,
        tensors=tensors,
        layers=layers,
        preprocess=graph.preprocess,
        classes=graph.classes,
        extra_outputs=graph.extra_outputs,
    )


def _layer(node: Node, tensors: dict[str, TensorInfo], rounded: Mapping[str, Rounded]) -> Layer:
    """Return a node's integer layer; the scales of its tensors are known."""
    first, out = tensors[node.inputs[0]], tensors[node.output]
    step = 2.0 ** (out.frac_bits - first.frac_bits)  # stored output units per input unit
    zero = float(out.zero_point)
    if isinstance(node, ConvNode):
        weights, bias = rounded[node.name].weights, rounded[node.name].bias
        per_unit = weights.scale.numpy() * 2.0**-weights.codebook.fraction_bits * step
        offset = bias.numpy() * 2.0**out.frac_bits + zero
        return Conv(
            node.name,
            node.input,
            node.output,
            (node.weight.shape[2], node.weight.shape[3]),
            node.stride,
            node.padding,
            weights,
            _requantiser(node, per_unit, offset, out),
            node.dilation,
            node.groups,
        )
    if isinstance(node, AddNode):
        bits = [tensors[name].frac_bits for name in node.inputs]
        shifts = (max(bits) - bits[0], max(bits) - bits[1])
        if max(shifts) > ADD_SHIFT_MAX:
            raise ValueError(
                f"layer {node.name!r}: the scales of {node.inputs[0]!r} and {node.inputs[1]!r} "
                f"are {max(shifts)} bits apart; at most {ADD_SHIFT_MAX}"
            )
        per_unit = np.full(out.channels, 2.0 ** (out.frac_bits - max(bits)))
        rq = _requantiser(node, per_unit, np.full(out.channels, zero), out)
        return Add(node.name, node.inputs, node.output, shifts, rq)
    if isinstance(node, MaxPoolNode):
        return MaxPool(
            node.name, node.input, node.output, node.kernel, node.stride, node.padding
        )  # fmt: skip
    if isinstance(node, ConcatNode):
        return Concat(node.name, node.inputs, node.output)
    if isinstance(node, UpsampleNode):
        return Upsample(node.name, node.input, node.output)
    pool = isinstance(node, AveragePoolNode)
    area = node.kernel[0] * node.kernel[1] if pool else first.height * first.width
    rq = Requantiser.from_real(np.full(first.channels, step / area), np.array(zero), 0, out.top)
    if isinstance(node, GlobalAverageNode):
        return GlobalAveragePool(node.name, node.input, node.output, rq)
    return AveragePool(
        node.name, node.input, node.output, node.kernel, node.stride, node.padding, rq
    )  # fmt: skip


def _requantiser(
    node: ConvNode | AddNode, scale: np.ndarray, offset: np.ndarray, out: TensorInfo
) -> Requantiser:
    """Return the requantiser of a node with an activation."""
    lo, hi = 0, out.top
    slope: tuple[tuple[int, int], ...] = ()
    if node.relu and node.leak:
        slope = fit_slope(node.leak)
    elif node.relu:
        lo = out.zero_point
    if node.ceiling is not None:
        peak = out.zero_point + round(node.ceiling * 2.0**out.frac_bits)
        hi = max(lo, min(hi, peak))
    zero = out.zero_point if slope else 0
    return Requantiser.from_real(scale, offset, lo, hi, slope, zero)


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
