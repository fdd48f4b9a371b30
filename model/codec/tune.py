"""Tuning codes end to end: the network's own output says where a level should lie.

The uncoded network teaches the coded one: the divergence of their class probabilities on pictures
without labels is the loss. Levels learn by gradient, rounded to integers in the forward pass;
thresholds follow, halfway between the levels. Optionally every convolution's bias and the scale
of its output channels learn too; both end in the requantiser, the weights' codes stay as they are,
unless weights learn as well: as floats, or rounded in the forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import torch

from ..graph import ConvNode
from ..mixed import divergence
from .coded import CodedGraph, Lossy
from .soft import Rounder, SoftTable, Trim, soft

Progress = Callable[[int, float], None]
Code = TypeVar("Code", bound=Lossy)


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
        scales of output channels; 0 leaves them as they are.
    plane_rate : float
        Of Adam on a plane code's latent weights and thresholds; 0 leaves it as it is.
    weight_rate : float
        Of Adam on the convolutions' weights, in units of their root mean square; 0 leaves them.
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
    plane_rate: float = 0.0
    weight_rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.rate <= 0:
            raise ValueError(f"rate must be positive, not {self.rate}")
        for name in ("network_rate", "plane_rate", "weight_rate"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Tuned(Generic[Code]):
    """What tuning gave.

    Attributes
    ----------
    codes : dict[str, callable]
        Of the kinds that were given.
    network : CodedGraph
        With the tuned biases, scales and weights.
    history : list[tuple[int, float]]
        Steps done and held-out divergence in nats, the untuned state first.
    step : int
        Of the state that was kept, the one with the least held-out divergence.
    """

    codes: dict[str, Code]
    network: CodedGraph
    history: list[tuple[int, float]] = field(default_factory=list)
    step: int = 0


def tune(
    network: CodedGraph,
    codes: Mapping[str, Code],
    pictures: torch.Tensor,
    held: torch.Tensor,
    recipe: Tuning | None = None,
    progress: Progress | None = None,
    *,
    teacher: CodedGraph | None = None,
    rounder: Rounder | None = None,
) -> Tuned[Code]:
    """Tune codes, and with them the network, against the uncoded network's output.

    Parameters
    ----------
    network : CodedGraph
    codes : Mapping[str, callable]
        To begin with, by name of map. Tables learn; plane codes where there is a rate for them;
        any other code stays, and the network learns around it.
    pictures, held : Tensor uint8 (B, C, H, W)
        Pictures to learn from, and others that decide which state is kept.
    recipe : Tuning, optional
    progress : callable, optional
        Called with the steps done and the latest held-out divergence.
    teacher : CodedGraph, optional
        Whose output is wanted; the uncoded network's own by default.
    rounder : callable, optional
        What is stored of weights that learn, where the network's are rounded.

    Raises
    ------
    ValueError
        If there are no codes, fewer pictures than a batch, or nothing that learns.
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
    want, judge = ((teacher or network).scores(x, {}) for x in (pictures, held))
    learning = {
        name: soft(code, recipe.encoder, recipe.plane_rate > 0) for name, code in codes.items()
    }
    trim = Trim(network, rounder)
    groups = [
        {
            "params": list(code.parameters()),
            "lr": recipe.rate if isinstance(code, SoftTable) else recipe.plane_rate,
        }
        for code in learning.values()
    ]
    if recipe.network_rate:
        groups += [
            {"params": list(trim.biases), "lr": recipe.network_rate},
            {"params": list(trim.scales), "lr": recipe.network_rate / 100},
        ]
    trim.weights.requires_grad_(recipe.weight_rate > 0)
    if recipe.weight_rate:
        groups.append({"params": list(trim.weights), "lr": recipe.weight_rate})
    if not any(group["params"] for group in groups if group["lr"]):
        raise ValueError(
            "nothing would learn: codes other than tables need a plane_rate, network_rate or "
            "weight_rate above 0"
        )
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / recipe.steps)
    )

    def state() -> tuple[dict[str, Code], CodedGraph]:
        with torch.no_grad():
            nodes = [trim(n) if isinstance(n, ConvNode) else n for n in network.graph.nodes]
        changed = CodedGraph(replace(network.graph, nodes=nodes), network.frac_bits)
        return {name: code.frozen() for name, code in learning.items()}, changed  # type: ignore[misc]

    def watch(name: str, stored: torch.Tensor) -> torch.Tensor:
        return learning[name](stored) if name in learning else stored

    best = Tuned(dict(codes), network)
    least = divergence(judge, network.scores(held, codes))
    history = [(0, least)]
    order = torch.empty(0, dtype=torch.int64)
    for step in range(1, recipe.steps + 1):
        if len(order) < recipe.batch:
            order = torch.randperm(len(pictures), generator=generator)
        chosen, order = order[: recipe.batch], order[recipe.batch :]
        change = trim if recipe.network_rate or recipe.weight_rate else None
        scores = network.run(network.inputs(pictures[chosen]), watch, change)
        wanted = want[chosen].log_softmax(1)
        loss = (wanted.exp() * (wanted - scores.log_softmax(1))).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        for code in learning.values():
            code.settle()
        if step % recipe.every == 0 or step == recipe.steps:
            found, changed = state()
            now = divergence(judge, changed.scores(held, found))
            history.append((step, now))
            if now < least:
                least, best = now, Tuned(found, changed, step=step)
        if progress:
            progress(step, history[-1][1])
    return replace(best, history=history)
