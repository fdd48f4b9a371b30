"""The network that a code is made for: float weights, stored activations, some maps coded.

Everything that judges or trains a code runs this network, so that what it loses is the code's
alone. Tensors are real numbers on the grids of their stored values; rounding to a grid passes
gradients straight through where nothing is clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch

from ..graph import ConvNode, Graph, apply_node
from ..quantize import signed_tensors
from .table import look_up

Lossy = Callable[[torch.Tensor], torch.Tensor]  # stored uint8 (B, C, H, W) to what is read back
Watch = Callable[[str, torch.Tensor], torch.Tensor]
BATCH = 12


class CodedGraph:
    """A float graph with 8-bit stored activations.

    Parameters
    ----------
    graph : Graph
    frac_bits : Mapping[str, int]
        f of every tensor, from calibration.
    rounds : bool
        Store whole numbers; otherwise values are only clipped, so that the scores are a smooth
        function of every map.

    Attributes
    ----------
    graph : Graph
    zero : dict[str, int]
        Zero point of every tensor.
    """

    def __init__(self, graph: Graph, frac_bits: Mapping[str, int], rounds: bool = True) -> None:
        self.graph, self.frac_bits, self.rounds = graph, dict(frac_bits), rounds
        signed = signed_tensors(graph)
        names = (graph.input, *(node.output for node in graph.nodes))
        self.zero = {name: 128 if name in signed else 0 for name in names}
        self._last_use = {name: node.output for node in graph.nodes for name in node.inputs}
        # float convolutions of several pictures are twice as fast with channels innermost
        self._nodes = [
            replace(n, weight=n.weight.contiguous(memory_format=torch.channels_last))
            if isinstance(n, ConvNode)
            else n
            for n in graph.nodes
        ]

    def stored(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Return a tensor's stored values, float, with gradients that pass rounding straight."""
        scaled = value * 2.0 ** self.frac_bits[name] + self.zero[name]
        clipped = scaled.clamp(0, 255)
        if not self.rounds:
            return clipped
        if not scaled.requires_grad:
            return clipped.add_(0.5).floor_()
        return clipped + ((clipped + 0.5).floor() - clipped).detach()

    def real(self, name: str, stored: torch.Tensor) -> torch.Tensor:
        """Return the numbers that stored values stand for."""
        return (stored - self.zero[name]) * 2.0 ** -self.frac_bits[name]

    def inputs(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the tensors known before the first node, from stored pictures."""
        real = (x.float() - self.graph.zero_point) * 2.0**-self.graph.frac_bits
        return {self.graph.input: real.contiguous(memory_format=torch.channels_last)}

    def run(
        self,
        tensors: dict[str, torch.Tensor],
        watch: Watch,
        change: Callable[[ConvNode], ConvNode] | None = None,
    ) -> torch.Tensor:
        """Return the scores (B, classes) from tensors known so far; those come out changed.

        Parameters
        ----------
        tensors : dict[str, Tensor]
            Real values by name; nodes whose output is among them are not run.
        watch : callable
            ``watch(name, stored)`` returns what is read back of a tensor's stored values, both
            float and integral.
        change : callable, optional
            Returns what runs in the place of a convolution.
        """
        wanted = self._wanted(tensors)
        for node in self._nodes:
            if node.output in wanted:
                at = change(node) if change and isinstance(node, ConvNode) else node
                value = apply_node(at, [tensors[name] for name in node.inputs])
                value = watch(node.output, self.stored(node.output, value))
                tensors[node.output] = self.real(node.output, value)
            for name in node.inputs:
                if self._last_use[name] == node.output:
                    tensors.pop(name, None)
        return tensors[self.graph.output].flatten(1)

    def drawn(self, scores: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the log probability of an output drawn at random as the scores say, summed."""
        drawn = torch.multinomial(scores.softmax(1).detach(), 1, generator=generator)
        return scores.log_softmax(1).gather(1, drawn).sum()

    def _wanted(self, known: Mapping[str, torch.Tensor]) -> set[str]:
        """Return the outputs of the nodes that have to run."""
        wanted: set[str] = set()
        open_names = list(self.graph.outputs)
        by_output = {node.output: node for node in self.graph.nodes}
        while open_names:
            name = open_names.pop()
            if name in known or name in wanted:
                continue
            wanted.add(name)
            open_names.extend(by_output[name].inputs)
        return wanted

    @torch.no_grad()
    def scores(
        self,
        x: torch.Tensor,
        codes: Mapping[str, Lossy],
        change: Callable[[ConvNode], ConvNode] | None = None,
        look: Callable[[str, torch.Tensor], None] | None = None,
    ) -> torch.Tensor:
        """Return the scores (B, classes) of stored pictures uint8, some maps coded.

        Parameters
        ----------
        x : Tensor uint8 (B, C, H, W)
        codes : Mapping[str, callable]
            For each coded map, stored values uint8 to what is read back of them.
        look : callable, optional
            Called with each tensor's name and its stored values uint8, before coding.
        """

        def watch(name: str, stored: torch.Tensor) -> torch.Tensor:
            if name not in codes and not look:
                return stored
            whole = stored.to(torch.uint8)
            if look:
                look(name, whole)
            return codes[name](whole).float() if name in codes else stored

        parts = [self.run(self.inputs(part), watch, change) for part in x.split(BATCH)]
        return torch.cat(parts)

    @torch.no_grad()
    def scores_after(
        self, x: torch.Tensor, kept: Mapping[str, torch.Tensor], codes: Mapping[str, Lossy]
    ) -> torch.Tensor:
        """Return the scores of one batch with some maps coded; only what is behind the first runs.

        Parameters
        ----------
        x : Tensor uint8 (B, C, H, W)
        kept : Mapping[str, Tensor uint8]
            Stored values of every tensor of the batch without codes, as ``look`` of
            :meth:`scores` is told them.
        codes : Mapping[str, callable]
            As in :meth:`scores`, not empty.
        """
        order = [node.output for node in self.graph.nodes]
        first = min(order.index(name) for name in codes)
        later = {name for node in self.graph.nodes[first + 1 :] for name in node.inputs}
        known = self.inputs(x)
        for name in order[: first + 1]:
            if name in later or name in self.graph.outputs:
                whole = codes[name](kept[name]) if name in codes else kept[name]
                real = self.real(name, whole.float())
                known[name] = real.contiguous(memory_format=torch.channels_last)

        def watch(name: str, stored: torch.Tensor) -> torch.Tensor:
            return codes[name](stored.round().to(torch.uint8)).float() if name in codes else stored

        return self.run(known, watch)


@torch.no_grad()
def histograms(
    network: CodedGraph, batches: Iterable[torch.Tensor], names: Iterable[str]
) -> dict[str, torch.Tensor]:
    """Return how often each channel of each map has each value, float64 (C, 256)."""
    shapes = network.graph.shapes()
    counts = {name: torch.zeros(shapes[name][0] * 256, dtype=torch.int64) for name in names}

    def look(name: str, stored: torch.Tensor) -> None:
        if name in counts:
            channels = stored.shape[1]
            first = torch.arange(channels, dtype=torch.int32).view(1, -1, 1, 1) * 256
            counts[name] += torch.bincount(
                (stored.int() + first).flatten(), minlength=len(counts[name])
            )

    for batch in batches:
        network.scores(batch, {}, look=look)
    return {name: count.view(-1, 256).double() for name, count in counts.items()}


def fisher_weights(
    network: CodedGraph,
    batches: Iterable[torch.Tensor],
    names: Iterable[str],
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Return how much a squared error in each value of each channel matters, (C, 256).

    The expected squared gradient of the log probability of a class drawn from the network's own
    output, in squared stored units: half its weighted squared error is the second-order estimate
    of the divergence that a code causes (the diagonal of the Fisher information), summed over all
    values and pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = network.graph.shapes()
    sums = {name: torch.zeros(shapes[name][0] * 256, dtype=torch.float64) for name in names}
    for batch in batches:
        kept: dict[str, torch.Tensor] = {}

        def watch(
            name: str, stored: torch.Tensor, kept: dict[str, torch.Tensor] = kept
        ) -> torch.Tensor:
            if name not in sums:
                return stored
            kept[name] = stored if stored.requires_grad else stored.requires_grad_()
            return kept[name]

        with torch.enable_grad():
            scores = network.run(network.inputs(batch), watch)
            chosen = network.drawn(scores, generator)
            grads = torch.autograd.grad(chosen, list(kept.values()))
        for (name, stored), grad in zip(kept.items(), grads, strict=True):
            channels = stored.shape[1]
            first = torch.arange(channels, dtype=torch.int32).view(1, -1, 1, 1) * 256
            index = (stored.detach().int() + first).flatten().long()
            sums[name].scatter_add_(0, index, grad.square().double().flatten())
    return {name: total.view(-1, 256) for name, total in sums.items()}


__all__ = ["BATCH", "CodedGraph", "Lossy", "fisher_weights", "histograms", "look_up"]
