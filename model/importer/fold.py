"""Exact rewriting of convolutions: an affine map before or after, an activation after."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..graph import AddNode, ConvNode, Node
from .ops import Activation


def scale_outputs(node: ConvNode, scale: torch.Tensor, shift: torch.Tensor) -> ConvNode:
    """Return the convolution with each output channel times ``scale`` plus ``shift``."""
    count = node.weight.shape[0]
    scale, shift = scale.double().expand(count), shift.double().expand(count)
    return replace(
        node,
        weight=node.weight.double() * scale.view(-1, 1, 1, 1),
        bias=node.bias.double() * scale + shift,
    )


def scale_inputs(node: ConvNode, scale: torch.Tensor, shift: torch.Tensor) -> ConvNode:
    """Return the convolution of ``scale x + shift`` as one of x.

    Exact without padding, or where ``shift`` is 0.
    """
    outputs, per_group = node.weight.shape[:2]
    inputs = per_group * node.groups

    def per_output(values: torch.Tensor) -> torch.Tensor:
        """Return (Cout, Cin / groups, 1, 1): what each output channel's inputs get."""
        rows = values.double().expand(inputs).reshape(node.groups, 1, per_group)
        rows = rows.expand(node.groups, outputs // node.groups, per_group)
        return rows.reshape(outputs, per_group, 1, 1)

    weight = node.weight.double()
    return replace(
        node,
        weight=weight * per_output(scale),
        bias=node.bias.double() + (weight * per_output(shift)).sum((1, 2, 3)),
    )


def activation_of(node: ConvNode | AddNode) -> Activation:
    """Return a node's activation."""
    return Activation(node.relu, node.leak, node.ceiling)


def activate(node: ConvNode | AddNode, activation: Activation) -> ConvNode | AddNode:
    """Return the node with one more activation behind its own."""
    both = activation_of(node).then(activation)
    return replace(node, relu=both.relu, leak=both.leak, ceiling=both.ceiling)


def depthwise(
    name: str,
    source: str,
    channels: int,
    *,
    scale: torch.Tensor | None = None,
    shift: torch.Tensor | None = None,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    activation: Activation | None = None,
) -> ConvNode:
    """Return a 1x1 depthwise convolution that only scales, shifts, pads and activates."""
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    weight = (one if scale is None else scale.double()).expand(channels).reshape(-1, 1, 1, 1)
    bias = (zero if shift is None else shift.double()).expand(channels)
    chosen = activation or Activation(False)
    return ConvNode(
        name, source, name, weight, bias, (1, 1), padding, chosen.relu,
        groups=channels, ceiling=chosen.ceiling, leak=chosen.leak,
    )  # fmt: skip


def to_float(node: Node) -> Node:
    """Return a convolution with float32 weights and biases; other nodes as they are."""
    if not isinstance(node, ConvNode):
        return node
    weight, bias = (part.float().contiguous() for part in (node.weight, node.bias))
    return replace(node, weight=weight, bias=bias)
