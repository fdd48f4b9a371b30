"""Codes and networks that can learn: what :func:`.tune.tune` trains.

Each computes what its frozen form does, bit for bit, and passes gradients on as if a code changed
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from ..graph import ConvNode
from ..train.method import straight_through
from .coded import CodedGraph, Lossy
from .frozen import FrozenPlanes
from .plain import nearest_starts
from .table import VALUES, TableCode, look_up
from .threshold import PlaneCode

Rounder = Callable[[str, torch.Tensor], torch.Tensor]  # a convolution's name, its weights


class SoftTable(torch.nn.Module):
    """A table code whose levels can learn.

    Parameters
    ----------
    code : TableCode
    encoder : bool
        Thresholds follow the levels; otherwise they stay.

    Attributes
    ----------
    levels : Parameter float (C, 2^k)
    """

    def __init__(self, code: TableCode, encoder: bool = True) -> None:
        super().__init__()
        self.code, self.encoder = code, encoder
        self.levels = torch.nn.Parameter(code.levels.float())
        self._start = code.thresholds

    def frozen(self) -> TableCode:
        """Return the code of the levels as they are now: what the forward pass computes."""
        levels = self.levels.detach().clamp(0, VALUES - 1).round().sort(1).values
        starts = self._start
        if self.encoder:
            starts = nearest_starts(levels).clamp(max=VALUES - 1).to(torch.uint8)
        return TableCode(self.code.bits, starts, levels.to(torch.uint8))

    def settle(self) -> None:
        """Sort the levels after a step, and move the thresholds."""
        with torch.no_grad():
            self.levels.copy_(self.levels.clamp(0, VALUES - 1).sort(1).values)
        self.code = self.frozen()

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        """Return what is read back of stored values, float (B, C, H, W), with gradients."""
        codes = look_up(self.code.codes, stored.detach().to(torch.uint8))
        channels, entries = self.levels.shape
        whole = straight_through(self.levels, self.levels.round())
        first = torch.arange(channels).view(1, -1, 1, 1) * entries
        read = whole.flatten()[codes.long() + first]
        return read + (stored - stored.detach())


class SoftPlanes(torch.nn.Module):
    """A plane code whose weights and thresholds can learn.

    Parameters
    ----------
    code : FrozenPlanes
    """

    def __init__(self, code: FrozenPlanes) -> None:
        super().__init__()
        self.code = PlaneCode.of(code)

    def frozen(self) -> FrozenPlanes:
        """Return the code as it is now: what the forward pass computes."""
        return self.code.frozen()

    def settle(self) -> None:
        """Do nothing: integers follow the latent weights by themselves."""

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        """Return what is read back of stored values, float (B, C, H, W), with gradients."""
        read = self.code(stored.detach())
        return read + (stored - stored.detach())


class SoftFixed(torch.nn.Module):
    """A code that does not learn, and lets the network around it do so.

    Parameters
    ----------
    code : callable
        Stored values uint8 to what is read back of them.
    """

    def __init__(self, code: Lossy) -> None:
        super().__init__()
        self.code = code

    def frozen(self) -> Lossy:
        """Return the code."""
        return self.code

    def settle(self) -> None:
        """Do nothing."""

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        """Return what is read back of stored values, float (B, C, H, W), with gradients."""
        return straight_through(stored, self.code(stored.detach().to(torch.uint8)).float())


def soft(code: Lossy, encoder: bool, planes: bool) -> SoftTable | SoftPlanes | SoftFixed:
    """Return what learns of a code: tables always, plane codes where ``planes``, others never."""
    if isinstance(code, TableCode):
        return SoftTable(code, encoder)
    return SoftPlanes(code) if planes and isinstance(code, FrozenPlanes) else SoftFixed(code)


class Trim(torch.nn.Module):
    """Learned changes of every convolution: of its bias, its channels' scales and its weights.

    Parameters
    ----------
    network : CodedGraph
    rounder : callable, optional
        Returns what is stored of the weights that learn; gradients pass it straight.
    """

    def __init__(self, network: CodedGraph, rounder: Rounder | None = None) -> None:
        super().__init__()
        nodes = [node for node in network.graph.nodes if isinstance(node, ConvNode)]
        self.steps = {node.name: 2.0 ** -network.frac_bits[node.output] for node in nodes}
        self.number = {node.name: i for i, node in enumerate(nodes)}
        self.rounder = rounder
        empty = [torch.zeros(len(node.bias)) for node in nodes]
        self.biases = torch.nn.ParameterList([e.clone() for e in empty])
        self.scales = torch.nn.ParameterList([e.clone() for e in empty])
        # in units of their root mean square, so that one rate suits all
        self.sizes = [node.weight.square().mean().sqrt() for node in nodes]
        self.weights = torch.nn.ParameterList([torch.zeros_like(node.weight) for node in nodes])

    def __call__(self, node: ConvNode) -> ConvNode:
        """Return a convolution with its changes."""
        at = self.number[node.name]
        scale = 1 + self.scales[at]
        weight = node.weight
        if self.weights[at].requires_grad:
            weight = weight + self.weights[at] * self.sizes[at]
            if self.rounder:
                weight = straight_through(weight, self.rounder(node.name, weight.detach()))
        return replace(
            node,
            weight=weight * scale.view(-1, 1, 1, 1),
            bias=node.bias * scale + self.biases[at] * self.steps[node.name],
        )
