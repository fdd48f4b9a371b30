"""Codes in a NanoDet detector, judged by the objects that it finds."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..graph import ConvNode
from ..zoo.detect import BINS
from .coded import CodedGraph, Watch


class CodedDetector(CodedGraph):
    """A detector with 8-bit stored activations, some maps coded; its scores are all heads' numbers.

    Heads have as many channels as there are classes, before the sigmoid, and then BINS for each
    side's distance, before the softmax.
    """

    def run(
        self,
        tensors: dict[str, torch.Tensor],
        watch: Watch,
        change: Callable[[ConvNode], ConvNode] | None = None,
    ) -> torch.Tensor:
        """Return all heads (B, numbers), one behind another; otherwise as of any network."""
        super().run(tensors, watch, change)
        return torch.cat([tensors[name].flatten(1) for name in self.graph.outputs], 1)

    def heads(self, scores: torch.Tensor) -> list[torch.Tensor]:
        """Return the heads (B, C, side, side) that scores consist of."""
        shapes = [self.graph.shapes()[name] for name in self.graph.outputs]
        sizes = [shape[0] * shape[1] * shape[2] for shape in shapes]
        parts = scores.split(sizes, 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def drawn(self, scores: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the log probability of classes and distances drawn at random, summed.

        Every class at every place is there or not by itself; a distance counts as much as the
        likeliest class at its place, since boxes without an object are of no use.
        """
        total = scores.new_zeros(())
        for head in self.heads(scores):
            classes, sides = head[:, : -4 * BINS], head[:, -4 * BINS :]
            sure = classes.detach().sigmoid()
            there = torch.rand(sure.shape, generator=generator) < sure
            total = total - F.binary_cross_entropy_with_logits(
                classes, there.to(classes), reduction="sum"
            )
            logs = sides.unflatten(1, (4, BINS)).movedim(2, -1).log_softmax(-1)
            flat = logs.detach().exp().flatten(0, -2)
            bins = torch.multinomial(flat, 1, generator=generator).view(*logs.shape[:-1], 1)
            counts = sure.amax(1, keepdim=True)
            total = total + (logs.gather(-1, bins).squeeze(-1) * counts).sum()
        return total
