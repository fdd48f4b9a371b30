"""A float network as a list of nodes: what the quantiser reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from .means import Counts, counts_of
from .network import OneInput, Padding, Pair, window_size
from .preprocess import Preprocess


@dataclass(frozen=True, eq=False)
class ConvNode(OneInput):
    """Convolution with bias, then an activation; batch norm is already folded in.

    ``relu`` gives ReLU; with ``ceiling`` what is above it is cut off (6 for ReLU6); with ``leak``
    values below 0 are multiplied by it (leaky ReLU).
    """

    name: str
    input: str
    output: str
    weight: torch.Tensor  # (Cout, Cin / groups, kh, kw)
    bias: torch.Tensor  # (Cout,)
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    relu: bool = True
    dilation: Pair = (1, 1)
    groups: int = 1
    ceiling: float | None = None
    leak: float = 0.0


@dataclass(frozen=True)
class MaxPoolNode(OneInput):
    """Maximum of each window; padding is explicit (ceil mode: more at the bottom and right)."""

    name: str
    input: str
    output: str
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class ConcatNode:
    """Channels of several tensors one after another."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class GlobalAverageNode(OneInput):
    """Mean over all pixels of each channel."""

    name: str
    input: str
    output: str


@dataclass(frozen=True)
class AveragePoolNode(OneInput):
    """Mean of each window; padding counts as zeros, but for its outermost ``left_out``."""

    name: str
    input: str
    output: str
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)
    left_out: Padding = (0, 0, 0, 0)

    def counts(self, size: Pair) -> Counts:
        """Return how many values each window counts on a map of ``size``."""
        return counts_of(size, self.kernel, self.stride, self.padding, self.left_out)


@dataclass(frozen=True)
class AddNode:
    """Sum of two tensors of one shape, then an activation as in :class:`ConvNode`."""

    name: str
    inputs: tuple[str, str]
    output: str
    relu: bool = False
    ceiling: float | None = None
    leak: float = 0.0


@dataclass(frozen=True)
class UpsampleNode(OneInput):
    """Every pixel becomes a square of 2 x 2 equal ones."""

    name: str
    input: str
    output: str


Node = (
    ConvNode
    | MaxPoolNode
    | AveragePoolNode
    | GlobalAverageNode
    | AddNode
    | ConcatNode
    | UpsampleNode
)
Edit = Callable[[str, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in the order of execution; the input is a picture's stored values, 0..255.

    A stored input value a stands for (a - zero_point) 2^-frac_bits.

    Attributes
    ----------
    name, input, output : str
    shape : tuple[int, int, int]
        Channels, height and width of the input.
    nodes : list
    preprocess : Preprocess or None
    classes : tuple[str, ...]
        Class names, or none.
    frac_bits : int
    zero_point : int
        Of the input: 0, or 128 where pixels stand for signed numbers.
    extra_outputs : tuple[str, ...]
        Further results, for a network with several heads.
    known_frac_bits : Mapping[str, int]
        f of tensors that quantisers in the imported model had; calibration gives the others.
    notes : tuple[str, ...]
        What importing the model did that its owner should know.
    """

    name: str
    input: str
    output: str
    shape: tuple[int, int, int]
    nodes: list[Node]
    preprocess: Preprocess | None = None
    classes: tuple[str, ...] = ()
    frac_bits: int = 0
    zero_point: int = 0
    extra_outputs: tuple[str, ...] = ()
    known_frac_bits: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all result tensors, ``output`` first."""
        return (self.output, *self.extra_outputs)

    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """Return (channels, height, width) of every tensor."""
        found = {self.input: self.shape}
        for node in self.nodes:
            channels, height, width = found[node.inputs[0]]
            if isinstance(node, ConvNode):
                channels, kernel = node.weight.shape[0], (node.weight.shape[2:])
                size = window_size(
                    (height, width),
                    (kernel[0], kernel[1]),
                    node.stride,
                    node.padding,
                    node.dilation,
                )
            elif isinstance(node, MaxPoolNode | AveragePoolNode):
                size = window_size((height, width), node.kernel, node.stride, node.padding, (1, 1))
            elif isinstance(node, ConcatNode):
                channels, size = sum(found[name][0] for name in node.inputs), (height, width)
            elif isinstance(node, AddNode):
                size = (height, width)
            elif isinstance(node, UpsampleNode):
                size = (2 * height, 2 * width)
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
        tensors = {self.input: (x.float() - self.zero_point) * 2.0**-self.frac_bits}
        for node in self.nodes:
            parts = [tensors[name] for name in node.inputs]
            value = apply_node(node, parts)
            tensors[node.output] = edit(node.output, value) if edit else value
        return tensors


def apply_node(node: Node, parts: list[torch.Tensor]) -> torch.Tensor:
    """Return a node's output in floating point from its inputs."""
    if isinstance(node, ConvNode):
        padded = pad(parts[0], node.padding)
        value = F.conv2d(
            padded, node.weight, node.bias, node.stride, 0, node.dilation, node.groups
        )  # fmt: skip
        return activate(node, value)
    if isinstance(node, AddNode):
        return activate(node, parts[0] + parts[1])
    if isinstance(node, MaxPoolNode):
        return F.max_pool2d(pad(parts[0], node.padding, -torch.inf), node.kernel, node.stride)
    if isinstance(node, AveragePoolNode):
        value = F.avg_pool2d(pad(parts[0], node.padding), node.kernel, node.stride)
        if not any(node.left_out):
            return value
        counts = node.counts((parts[0].shape[2], parts[0].shape[3]))
        counted = torch.tensor(counts.rows)[:, None] * torch.tensor(counts.columns)
        return value * (node.kernel[0] * node.kernel[1] / counted).to(value)
    if isinstance(node, UpsampleNode):
        return F.interpolate(parts[0], scale_factor=2, mode="nearest")
    if isinstance(node, ConcatNode):
        return torch.cat(parts, 1)
    return parts[0].mean((2, 3), keepdim=True)


def activate(node: ConvNode | AddNode, value: torch.Tensor) -> torch.Tensor:
    """Return a node's activation of a fresh tensor, which may be overwritten."""
    if node.relu:
        value = F.leaky_relu_(value, node.leak) if node.leak else value.relu_()
    if node.ceiling is None:
        return value
    # what the ReLU returned is needed for its gradient
    return value.clamp(max=node.ceiling) if value.requires_grad else value.clamp_(max=node.ceiling)


def fold_batch_norm(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    epsilon: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight (Cout, ...) and bias of a convolution with its batch norm folded in."""
    gain = gamma.double() / (variance.double() + epsilon).sqrt()
    before = mean.double() if bias is None else mean.double() - bias.double()
    scaled = weight.double() * gain.view(-1, *(1,) * (weight.ndim - 1))
    return scaled.float(), (beta.double() - before * gain).float()


def pad(x: torch.Tensor, padding: Padding, value: float = 0.0) -> torch.Tensor:
    """Return x (B, C, H, W) with ``value`` around it: top, left, bottom, right."""
    top, left, bottom, right = padding
    return F.pad(x, (left, right, top, bottom), value=value) if any(padding) else x
