"""Rounding in which each weight makes up for the errors of those rounded before it.

Per output channel it minimises (w' - s q)^T H (w' - s q) over codes q and the real scale s, with
H the input's second moments (the layer-wise objective of Frantar et al., "GPTQ", arXiv
2210.17323, section 3) on the power-of-two codebook: a pass that feeds errors forward (algorithm 1
there), from several scales, then exact cyclic coordinate descent and the best scale in turns.
"""

from __future__ import annotations

import torch

from ..rounded import Rounded
from .levels import Levels, per_channel
from .problem import Problem

STARTS = (0.2, -0.1, -0.4, -0.7)  # log2 of the scales tried first, over the largest |w|
FIRST_ROUNDS = 1  # of scale and coordinate descent, after which the best start is kept
ROUNDS = 12  # of it, at most
STILL = 5e-4  # share of the weights whose change in a round is not worth another
BLOCK = 64  # columns whose effect on the others is applied at once


def compensate(problem: Problem, before: Rounded | None = None) -> Rounded:
    """Round one convolution with compensation; the bias keeps the mean output.

    Parameters
    ----------
    problem : Problem
    before : Rounded, optional
        Not used: it starts from the float weights.
    """
    h, target = problem.damped()
    peak = target.abs().amax(2)
    groups, outs, size = target.shape
    base = per_channel(peak.flatten(), problem.scale)
    starts = torch.stack([base * 2.0**power for power in STARTS], 1)
    scale = starts.reshape(groups, outs * len(STARTS))
    repeated = target.repeat_interleave(len(STARTS), 1)
    price = problem.price * (target.square() * h.diagonal(dim1=1, dim2=2)[:, None]).mean()
    many = _Search(problem.levels, h, repeated, float(price))
    index = many.feed_forward(scale)
    together = len(STARTS) if problem.scale == "layer" else 0
    index, scale = many.descend(index, scale, FIRST_ROUNDS, together)
    cost = many.cost(index, scale).reshape(groups, outs, len(STARTS))
    if problem.scale == "layer":
        best = cost.sum((0, 1)).argmin().expand(groups, outs)
    else:
        best = cost.argmin(2)
    index = index.reshape(groups, outs, len(STARTS), size)
    index = index.gather(2, best[:, :, None, None].expand(-1, -1, 1, size))[:, :, 0]
    scale = scale.reshape(groups, outs, len(STARTS)).gather(2, best[:, :, None])[:, :, 0]
    one = _Search(problem.levels, h, target, float(price))
    index, scale = one.descend(index.contiguous(), scale, ROUNDS, min(together, 1))
    zero = torch.zeros(outs * groups, dtype=torch.float64)
    rounded = problem.rounded(index, scale, zero)
    return Rounded(rounded.weights, problem.compensated_bias(rounded.weights))


class _Search:
    """Codes of all channels at once: indices (groups, O, n) into the levels, scales (groups, O)."""

    def __init__(self, levels: Levels, h: torch.Tensor, target: torch.Tensor, price: float) -> None:
        self.levels, self.h, self.target, self.price = levels, h, target, price
        self.diagonal = h.diagonal(dim1=1, dim2=2)

    def choose(
        self, wanted: torch.Tensor, scale: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """Return the best level for each wanted value (groups, O), all else fixed."""
        if not self.price:
            return self.levels.nearest(wanted)
        curve = (scale.square() * weight[:, None])[:, :, None]
        cost = curve * (wanted[:, :, None] - self.levels.values).square()
        return (cost + self.price * self.levels.terms).argmin(2)

    def cost(self, index: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return each channel's objective, (groups, O)."""
        error = self.target - scale[:, :, None] * self.levels.values[index]
        cost = ((error @ self.h) * error).sum(2)
        return cost + self.price * self.levels.terms[index].sum(2) if self.price else cost

    def feed_forward(self, scale: torch.Tensor) -> torch.Tensor:
        """Round column after column, by falling diagonal, the error going to those that follow."""
        order = self.diagonal.argsort(dim=1, descending=True)
        size = order.shape[1]
        across = order[:, None, :].expand_as(self.target)
        h = self.h.gather(1, order[:, :, None].expand_as(self.h))
        h = h.gather(2, order[:, None, :].expand_as(h))
        # the upper Cholesky factor of H^-1: its row j says how column j's error is made up for
        factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
        left = self.target.gather(2, across).clone()
        index = torch.empty_like(across)
        for begin in range(0, size, BLOCK):
            end = min(begin + BLOCK, size)
            errors = torch.empty_like(left[:, :, begin:end])
            for j in range(begin, end):
                row = factor[:, j, j:end]
                corner = row[:, :1]
                picked = self.choose(left[:, :, j] / scale, scale, corner.squeeze(1) ** -2)
                index[:, :, j] = picked
                error = (left[:, :, j] - scale * self.levels.values[picked]) / corner
                left[:, :, j:end] -= error[:, :, None] * row[:, None]
                errors[:, :, j - begin] = error
            left[:, :, end:] -= errors @ factor[:, begin:end, end:]
        return torch.empty_like(index).scatter_(2, across, index)

    def descend(
        self, index: torch.Tensor, scale: torch.Tensor, rounds: int, together: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Alternate the best scale and exact coordinate descent until little moves.

        With ``together`` starts per channel, all channels of one start share one scale.
        """
        size = index.shape[2]
        for _ in range(rounds):
            scale = self.best_scale(index, scale, together)
            value = self.levels.values[index]
            slope = (self.target - scale[:, :, None] * value) @ self.h
            moved = 0
            for begin in range(0, size, BLOCK):
                end = min(begin + BLOCK, size)
                inner, before = slope[:, :, begin:end].clone(), value[:, :, begin:end].clone()
                for j in range(begin, end):
                    diagonal = self.diagonal[:, j]
                    old = value[:, :, j]
                    wanted = old + inner[:, :, j - begin] / (scale * diagonal[:, None])
                    picked = self.choose(wanted, scale, diagonal)
                    index[:, :, j] = picked
                    new = self.levels.values[picked]
                    step = (scale * (new - old))[:, :, None]
                    inner -= step * self.h[:, None, j, begin:end]
                    value[:, :, j] = new
                change = scale[:, :, None] * (value[:, :, begin:end] - before)
                count = int(change.count_nonzero())
                if count:
                    moved += count
                    slope -= change @ self.h[:, begin:end]
            if moved <= STILL * index.numel():
                break
        return index, self.best_scale(index, scale, together)

    def best_scale(self, index: torch.Tensor, scale: torch.Tensor, together: int) -> torch.Tensor:
        """Return s = q^T H w' / q^T H q, the old s where that is not positive."""
        q = self.levels.values[index]
        image = q @ self.h
        above, below = (image * self.target).sum(2), (image * q).sum(2)
        if together:
            groups, outs = above.shape
            above, below = (
                part.reshape(groups, -1, together).sum((0, 1)).repeat(outs // together).expand(
                    groups, -1
                )
                for part in (above, below)
            )  # fmt: skip
        good = (above > 0) & (below > 0)
        return torch.where(good, above / torch.where(good, below, 1.0), scale)
