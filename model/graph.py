"""A float network as a list of nodes: what the quantiser reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .network import Padding, Pair, window_size
from .preprocess import Preprocess


@dataclass(frozen=True, eq=False)
class ConvNode:
    """Convolution with bias, then ReLU where ``relu``; batch norm is already folded in."""

    name: str
    input: str
    output: str
    weight: torch.Tensor  # (Cout, Cin, kh, kw)
    bias: torch.Tensor  # (Cout,)
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    relu: bool = True

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True)
class MaxPoolNode:
    """Maximum of each window; padding is explicit (ceil mode: more at the bottom and right)."""

    name: str
    input: str
    output: str
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True)
class ConcatNode:
    """Channels of several tensors one after another."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class GlobalAverageNode:
    """Mean over all pixels of each channel."""

    name: str
    input: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


Node = ConvNode | MaxPoolNode | ConcatNode | GlobalAverageNode
Edit = Callable[[str, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in the order of execution; the input is a picture's stored values, 0..255.

    Attributes
    ----------
    name, input, output : str
    shape : tuple[int, int, int]
        Channels, height and width of the input.
    nodes : list
    preprocess : Preprocess or None
    classes : tuple[str, ...]
        Class names, or none.
    """

    name: str
    input: str
    output: str
    shape: tuple[int, int, int]
    nodes: list[Node]
    preprocess: Preprocess | None = None
    classes: tuple[str, ...] = ()

    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """Return (channels, height, width) of every tensor."""
        found = {self.input: self.shape}
        for node in self.nodes:
            channels, height, width = found[node.inputs[0]]
            if isinstance(node, ConvNode):
                channels, kernel = node.weight.shape[0], (node.weight.shape[2:])
                size = window_size(
                    (height, width), (kernel[0], kernel[1]), node.stride, node.padding, (1, 1)
                )
            elif isinstance(node, MaxPoolNode):
                size = window_size((height, width), node.kernel, node.stride, node.padding, (1, 1))
            elif isinstance(node, ConcatNode):
                channels, size = sum(found[name][0] for name in node.inputs), (height, width)
            else:
                size = (1, 1)
            found[node.output] = (channels, size[0], size[1])
        return found

    @torch.no_grad()
    def run(self, x: torch.Tensor, edit: Edit | None = None) -> dict[str, torch.Tensor]:
        """Evaluate in floating point and return every tensor by name.

        Parameters
        ----------
        x : Tensor uint8 or float (B, C, H, W)
        edit : callable, optional
            ``edit(name, value)`` replaces each tensor by what it returns.
        """
        tensors = {self.input: x.float()}
        for node in self.nodes:
            parts = [tensors[name] for name in node.inputs]
            if isinstance(node, ConvNode):
                value = F.conv2d(_pad(parts[0], node.padding), node.weight, node.bias, node.stride)
                value = value.relu_() if node.relu else value
            elif isinstance(node, MaxPoolNode):
                padded = _pad(parts[0], node.padding, -torch.inf)
                value = F.max_pool2d(padded, node.kernel, node.stride)
            elif isinstance(node, ConcatNode):
                value = torch.cat(parts, 1)
            else:
                value = parts[0].mean((2, 3), keepdim=True)
            tensors[node.output] = edit(node.output, value) if edit else value
        return tensors


def _pad(x: torch.Tensor, padding: Padding, value: float = 0.0) -> torch.Tensor:
    top, left, bottom, right = padding
    return F.pad(x, (left, right, top, bottom), value=value) if any(padding) else x
