"""Rounding every weight to the nearest level, under the scale with the least error."""

from __future__ import annotations

import torch

from ..rounded import Rounded
from .levels import per_channel
from .problem import Problem

STEPS = 40  # scales tried
LOWEST = -1.5  # log2 of the smallest over the largest |w|
HIGHEST = 0.5


def search_scale(problem: Problem, before: Rounded | None = None) -> Rounded:
    """Choose the scale whose nearest levels have the least squared weight error; keep the bias.

    The errors are weighted with each input's second moment about zero, so that they stand for
    errors of the output with inputs taken as independent. One scale per output channel, or, with
    scale "layer", the one that is best for all.
    """
    weight, node = problem.weight, problem.node
    moments, levels = problem.moments, problem.levels
    power = moments.second.diagonal(dim1=1, dim2=2) + moments.mean.square()
    base = per_channel(weight.abs().amax(2).flatten(), problem.scale).reshape(weight.shape[:2])
    best = torch.full(weight.shape[:2], torch.inf, dtype=torch.float64)
    scale, index = base, levels.nearest(weight / base[:, :, None])
    for step in range(STEPS):
        tried = base * 2.0 ** (LOWEST + (HIGHEST - LOWEST) * step / (STEPS - 1))
        near = levels.nearest(weight / tried[:, :, None])
        error = (levels.values[near] * tried[:, :, None] - weight).square()
        cost = (error * power[:, None]).sum(2)
        if problem.scale == "layer":
            cost = cost.sum().expand_as(cost)
        better = cost < best
        best = torch.where(better, cost, best)
        scale = torch.where(better, tried, scale)
        index = torch.where(better[:, :, None], near, index)
    return problem.rounded(index, scale, node.bias.double())
