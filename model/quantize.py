"""From a float graph to an integer network: calibrated scales, quantised weights, no retraining."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from .calibrate import calibrate, signed_tensors
from .codebook import Book, Codebook, Scale
from .fixed import Requantiser, fit_slope
from .graph import (
    AddNode,
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
from .rounded import Rounded

__all__ = ["activations_only", "calibrate", "conv_layer", "quantize", "signed_tensors"]


def quantize(
    graph: Graph,
    frac_bits: dict[str, int],
    *,
    terms: int = 2,
    bits: int = 4,
    scale: Scale = "layer",
    act_bits: int = 8,
    rounded: Mapping[str, Rounded] | None = None,
    book: Book | None = None,
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
    book : Book, optional
        Codebook in place of that of ``terms`` and ``bits``: an `IntegerBook`.

    Raises
    ------
    ValueError
        If N, B or A is out of range, a tensor has no scale, the scales of two addends are too
        far apart, or ``rounded`` names no convolution.
    """
    book = book or Codebook(terms, bits)
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
        return conv_layer(node, tensors, rounded[node.name])
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

    def mean_of(count: int) -> Requantiser:
        per_unit = np.full(first.channels, step / count)
        return Requantiser.from_real(per_unit, np.array(zero), 0, out.top)

    if isinstance(node, GlobalAverageNode):
        rq = mean_of(first.height * first.width)
        return GlobalAveragePool(node.name, node.input, node.output, rq)
    whole = node.kernel[0] * node.kernel[1]
    counts = node.counts((first.height, first.width)).distinct
    edges = tuple((count, mean_of(count)) for count in counts if count != whole)
    return AveragePool(
        node.name, node.input, node.output, node.kernel, node.stride, node.padding,
        mean_of(whole), node.left_out, edges,
    )  # fmt: skip


def conv_layer(node: ConvNode, tensors: Mapping[str, TensorInfo], rounded: Rounded) -> Conv:
    """Return the integer layer of a convolution whose weights and bias are known."""
    first, out = tensors[node.input], tensors[node.output]
    weights, bias = rounded.weights, rounded.bias
    per_unit = weights.scale.numpy() * 2.0 ** (
        out.frac_bits - first.frac_bits - weights.codebook.fraction_bits
    )
    offset = bias.numpy() * 2.0**out.frac_bits + float(out.zero_point)
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
