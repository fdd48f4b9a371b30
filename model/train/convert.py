"""From a float network to one in training: shift weights in, stored grids between the layers."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ..graph import (
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
from ..preprocess import Preprocess
from .layers import ShiftConv2d, ShiftLinear
from .method import Method, WeightScale
from .module import Conversion, ShiftModule, Source
from .reader import FloatConv
from .steps import (
    AddStep,
    AverageStep,
    ConcatStep,
    ConvStep,
    MaxPoolStep,
    Step,
    UpsampleStep,
)
from .trace import read_steps


def convert_module(
    model: nn.Module,
    shape: tuple[int, int, int],
    *,
    method: Method = "shiftcnn",
    terms: int = 1,
    bits: int = 4,
    scale: WeightScale = "layer",
    act_bits: int = 8,
    frac_bits: int = 0,
    zero_point: int = 0,
    name: str = "network",
    preprocess: Preprocess | None = None,
    classes: tuple[str, ...] = (),
) -> ShiftModule:
    """Return a copy of a float module whose weights and activations are the hardware's.

    Every convolution and linear layer becomes :class:`ShiftConv2d` or :class:`ShiftLinear`, with
    the batch norm and ReLU behind it. Where the hardware requantises (after those, after sums
    and average pools, on the input) values are put on the stored grid once
    :meth:`ShiftModule.calibrate` has chosen its scale.

    Parameters
    ----------
    model : nn.Module
        With the weights to start from; it is not changed.
    shape : tuple
        Channels, height, width of the input.
    method, terms, bits, scale
        As of :func:`.layers.shift_parameter`.
    act_bits : int
        A, bits of a stored activation, 2..8.
    frac_bits, zero_point : int
        The module's input is (a - zero_point) 2^-frac_bits of the stored pixel a, 0..255;
        zero_point is 0 or 128.
    name, preprocess, classes
        Of the network that is exported.

    Raises
    ------
    ValueError
        If the module cannot be traced, has a layer the engine does not have (the message names
        it), or a number is out of its range.
    """
    conversion = Conversion(method, terms, bits, scale, act_bits)
    steps, outputs, flat = read_steps(copy.deepcopy(model), shape)
    source = Source(name, shape, frac_bits, zero_point, preprocess, classes)
    return _assemble(steps, outputs, source, conversion, flat)


def convert_graph(
    graph: Graph,
    *,
    method: Method = "shiftcnn",
    terms: int = 1,
    bits: int = 4,
    scale: WeightScale = "layer",
    act_bits: int = 8,
) -> ShiftModule:
    """Return a network in training that starts at a float graph, such as those of the zoo.

    Parameters
    ----------
    graph : Graph
        Batch norm is folded in already, so it is trained as part of the weights.
    method, terms, bits, scale, act_bits
        As of :func:`convert_module`.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    conversion = Conversion(method, terms, bits, scale, act_bits)
    renamed = {graph.input: ShiftModule.input}
    steps: list[Step | FloatConv] = []
    for node in graph.nodes:
        inputs = tuple(renamed[name] for name in node.inputs)
        steps.append(_step(node, inputs))
        renamed[node.output] = node.name
    source = Source(
        graph.name, graph.shape, graph.frac_bits, graph.zero_point, graph.preprocess, graph.classes
    )
    outputs = tuple(renamed[name] for name in graph.outputs)
    flat = all(graph.shapes()[name][1:] == (1, 1) for name in graph.outputs)
    return _assemble(steps, outputs, source, conversion, flat)


def _assemble(
    steps: list[Step | FloatConv],
    outputs: tuple[str, ...],
    source: Source,
    conversion: Conversion,
    flat: bool,
) -> ShiftModule:
    made = [_shift(step, conversion) if isinstance(step, FloatConv) else step for step in steps]
    return ShiftModule(made, outputs, source, conversion, flat)


def _shift(step: FloatConv, to: Conversion) -> ConvStep:
    """Return the step of a float layer, its weights now sums of powers of two."""
    layer: ShiftConv2d | ShiftLinear
    try:
        kind = ShiftConv2d if isinstance(step.layer, nn.Conv2d) else ShiftLinear
        layer = kind.from_float(
            step.layer,  # type: ignore[arg-type]
            method=to.method,
            terms=to.terms,
            bits=to.bits,
            scale=to.scale,
        )
    except ValueError as error:
        raise ValueError(f"layer {step.name!r}: {error}") from None
    made = ConvStep(step.name, step.source, layer, step.padding, step.size)
    made.norm, made.relu, made.ceiling, made.leak = step.norm, step.relu, step.ceiling, step.leak
    return made


def _step(node: Node, inputs: tuple[str, ...]) -> Step | FloatConv:
    if isinstance(node, ConvNode):
        cout, cin, kh, kw = node.weight.shape
        layer = nn.Conv2d(
            cin * node.groups, cout, (kh, kw), node.stride, 0, node.dilation, node.groups
        )
        with torch.no_grad():
            layer.weight.copy_(node.weight)
            assert layer.bias is not None
            layer.bias.copy_(node.bias)
        made = FloatConv(node.name, inputs[0], layer, node.padding)
        made.relu, made.ceiling, made.leak = node.relu, node.ceiling, node.leak
        return made
    if isinstance(node, AddNode):
        return AddStep(node.name, inputs, node.relu, node.ceiling, node.leak)
    if isinstance(node, MaxPoolNode):
        return MaxPoolStep(node.name, inputs[0], node.kernel, node.stride, node.padding)
    if isinstance(node, AveragePoolNode):
        if any(node.left_out):
            raise ValueError(
                f"layer {node.name!r}: means that leave padding out are not trained; use "
                "count_include_pad=True and ceil_mode=False"
            )
        return AverageStep(node.name, inputs[0], node.kernel, node.stride, node.padding)
    if isinstance(node, GlobalAverageNode):
        return AverageStep(node.name, inputs[0])
    if isinstance(node, ConcatNode):
        return ConcatStep(node.name, inputs)
    assert isinstance(node, UpsampleNode)
    return UpsampleStep(node.name, inputs)
