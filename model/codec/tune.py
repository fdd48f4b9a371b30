"""Tuning codes end to end: the network's own output says where a level should lie.

The uncoded network teaches the coded one: the divergence of their class probabilities on pictures
without labels is the loss. Levels learn by gradient, rounded to integers in the forward pass;
thresholds follow, halfway between the levels. Optionally every convolution's bias and the scale
of its output channels learn too; both end in the requantiser, the weights' codes stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from ..graph import ConvNode
from ..mixed import divergence
from .coded import CodedGraph
from .plain import nearest_starts
from .table import VALUES, TableCode, look_up

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class Tuning:
    """How to tune.

    Attributes
    ----------
    steps, batch : int
        Optimiser steps, and pictures in each.
    rate : float
        Of Adam on the levels, in stored units, falling to 0 as a cosine.
    network_rate : float
        Of Adam on biases (in stored units of their output) and, a hundredth of it, on the relative
        scales of output channels; 0 leaves the network as it is.
    every : int
        Steps between two looks at the held-out pictures; the best state is kept.
    encoder : bool
        Move the thresholds with the levels.
    seed : int
    """

    steps: int = 90
    batch: int = 12
    rate: float = 0.1
    network_rate: float = 0.02
    every: int = 15
    encoder: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.rate <= 0 or self.network_rate < 0:
            raise ValueError(
                f"rate must be positive and network_rate not negative, not {self.rate} and "
                f"{self.network_rate}"
            )


@dataclass(frozen=True, eq=False)
class Tuned:
    """What tuning gave.

    Attributes
    ----------
    codes : dict[str, TableCode]
    network : CodedGraph
        With the tuned biases and scales.
    history : list[tuple[int, float]]
        Steps done and held-out divergence in nats, the untuned state first.
    step : int
        Of the state that was kept, the one with the least held-out divergence.
    """

    codes: dict[str, TableCode]
    network: CodedGraph
    history: list[tuple[int, float]] = field(default_factory=list)
    step: int = 0


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
        whole = self.levels + (self.levels.round() - self.levels).detach()
        first = torch.arange(channels).view(1, -1, 1, 1) * entries
        read = whole.flatten()[codes.long() + first]
        return read + (stored - stored.detach())


class _Trim(torch.nn.Module):
    """Learned changes of every convolution's bias and of its channels' scales."""

    def __init__(self, network: CodedGraph) -> None:
        super().__init__()
        nodes = [node for node in network.graph.nodes if isinstance(node, ConvNode)]
        self.steps = {node.name: 2.0 ** -network.frac_bits[node.output] for node in nodes}
        self.number = {node.name: i for i, node in enumerate(nodes)}
        empty = [torch.zeros(len(node.bias)) for node in nodes]
        self.biases = torch.nn.ParameterList([e.clone() for e in empty])
        self.scales = torch.nn.ParameterList([e.clone() for e in empty])

    def __call__(self, node: ConvNode) -> ConvNode:
        """Return a convolution with its changes."""
        at = self.number[node.name]
        scale = 1 + self.scales[at]
        return replace(
            node,
            weight=node.weight * scale.view(-1, 1, 1, 1),
            bias=node.bias * scale + self.biases[at] * self.steps[node.name],
        )


def tune(
    network: CodedGraph,
    codes: Mapping[str, TableCode],
    pictures: torch.Tensor,
    held: torch.Tensor,
    recipe: Tuning | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Tune table codes, and with them the network, against the uncoded network's output.

    Parameters
    ----------
    network : CodedGraph
    codes : Mapping[str, TableCode]
        To begin with, by name of map.
    pictures, held : Tensor uint8 (B, C, H, W)
        Pictures to learn from, and others that decide which state is kept.
    recipe : Tuning, optional
    progress : callable, optional
        Called with the steps done and the latest held-out divergence.

    Raises
    ------
    ValueError
        If there are no codes, or fewer pictures than a batch.
    """
    recipe = recipe or Tuning()
    if not codes:
        raise ValueError("tuning needs at least one coded map")
    if len(pictures) < recipe.batch or not len(held):
        raise ValueError(
            f"tuning needs {recipe.batch} pictures or more and some held out, not "
            f"{len(pictures)} and {len(held)}"
        )
    generator = torch.Generator().manual_seed(recipe.seed)
    teacher, judge = network.scores(pictures, {}), network.scores(held, {})
    soft = {name: SoftTable(code, recipe.encoder) for name, code in codes.items()}
    trim = _Trim(network)
    groups = [{"params": [table.levels for table in soft.values()], "lr": recipe.rate}]
    if recipe.network_rate:
        groups += [
            {"params": list(trim.biases), "lr": recipe.network_rate},
            {"params": list(trim.scales), "lr": recipe.network_rate / 100},
        ]
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / recipe.steps)
    )

    def state() -> tuple[dict[str, TableCode], CodedGraph]:
        with torch.no_grad():
            nodes = [trim(n) if isinstance(n, ConvNode) else n for n in network.graph.nodes]
        changed = CodedGraph(replace(network.graph, nodes=nodes), network.frac_bits)
        return {name: table.frozen() for name, table in soft.items()}, changed

    def watch(name: str, stored: torch.Tensor) -> torch.Tensor:
        return soft[name](stored) if name in soft else stored

    best = Tuned(dict(codes), network)
    least = divergence(judge, network.scores(held, codes))
    history = [(0, least)]
    order = torch.empty(0, dtype=torch.int64)
    for step in range(1, recipe.steps + 1):
        if len(order) < recipe.batch:
            order = torch.randperm(len(pictures), generator=generator)
        chosen, order = order[: recipe.batch], order[recipe.batch :]
        change = trim if recipe.network_rate else None
        scores = network.run(network.inputs(pictures[chosen]), watch, change)
        wanted = teacher[chosen].log_softmax(1)
        loss = (wanted.exp() * (wanted - scores.log_softmax(1))).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        for table in soft.values():
            table.settle()
        if step % recipe.every == 0 or step == recipe.steps:
            found, changed = state()
            now = divergence(judge, changed.scores(held, found))
            history.append((step, now))
            if now < least:
                least, best = now, Tuned(found, changed, step=step)
        if progress:
            progress(step, history[-1][1])
    return replace(best, history=history)
