"""Learned rounding: each layer is made to answer like the float one, behind its activation.

The objective is that of Nagel et al., "Up or Down? Adaptive Rounding" (arXiv 2004.10568, section
3.2): the squared error behind the activation, on sampled inputs of the layer as the rounded layers
before it really give them. It is brought down by coordinate descent on the samples, over codes,
scales and bias in turns; an error counts only where the activation lets it through.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..rounded import Rounded
from .compensated import compensate
from .problem import Problem, Samples

ROUNDS = 4
HELD = 4  # one in so many samples is not learned from: they decide what of it is kept


def learn(problem: Problem, before: Rounded | None = None) -> Rounded:
    """Better a rounding on samples of the layer's inputs.

    Parameters
    ----------
    problem : Problem
        With samples.
    before : Rounded, optional
        Where to start; rounding with compensation by default. It is returned as it is where what
        was learned is no better on the samples held back.

    Raises
    ------
    ValueError
        If the problem has no samples.
    """
    if problem.samples is None:
        raise ValueError(f"layer {problem.node.name!r}: learned rounding needs input columns")
    start = before or compensate(problem)
    x, target = problem.samples.x, problem.samples.target
    if x.shape[1] < 2 * HELD:
        return start
    first = x.shape[1] - x.shape[1] // HELD
    held = torch.arange(x.shape[1]) >= first  # the last pictures, none of which was learned from
    learner = _Learner(problem, Samples(x[:, ~held], target[:, ~held]), start)
    judge = Samples(x[:, held], target[:, held])
    best, least = start, answer_error(problem, judge, start)
    for _ in range(ROUNDS):
        changed = learner.round()
        tried = learner.rounded()
        error = answer_error(problem, judge, tried)
        if error < least:
            best, least = tried, error
        if not changed:
            break
    return best


def answer(problem: Problem, value: torch.Tensor) -> torch.Tensor:
    """Return the layer's activation of a value; nothing is overwritten."""
    node = problem.node
    if node.relu:
        value = F.leaky_relu(value, node.leak) if node.leak else value.relu()
    return value if node.ceiling is None else value.clamp(max=node.ceiling)


def answer_error(problem: Problem, samples: Samples, rounded: Rounded) -> float:
    """Return the mean squared error behind the activation."""
    weight = problem.by_group(rounded.weights.dequantize()).float()
    bias = rounded.bias.float().reshape(problem.node.groups, 1, -1)
    value = samples.x @ weight.transpose(1, 2) + bias
    return float((answer(problem, value) - answer(problem, samples.target)).square().mean())


class _Learner:
    """Codes, scales and bias of all channels, and the errors they leave: (groups, O, S)."""

    def __init__(self, problem: Problem, samples: Samples, start: Rounded) -> None:
        self.problem, self.levels = problem, problem.levels
        groups = problem.node.groups
        self.x = samples.x.transpose(1, 2).contiguous()  # (groups, n, S)
        self.target = samples.target.transpose(1, 2).contiguous()
        scale = start.weights.scale.expand(problem.node.weight.shape[0])
        self.scale = scale.reshape(groups, -1).clone()
        values = problem.by_group(start.weights.dequantize()) / self.scale[:, :, None]
        self.index = self.levels.nearest(values)
        self.bias = start.bias.reshape(groups, -1).clone()

    def rounded(self) -> Rounded:
        """Return what has been learned so far."""
        return self.problem.rounded(self.index, self.scale, self.bias.flatten())

    def round(self) -> bool:
        """Go over scale, bias and all codes once; return whether a code changed."""
        sums = self.levels.values[self.index].float() @ self.x  # without the scale
        seen, error = self._errors(sums)
        self._adjust(sums, seen, error)
        seen, error = self._errors(sums)
        error *= seen
        curve = seen @ self.x.square().transpose(1, 2)  # (groups, O, n)
        changed = False
        single = len(self.x) == 1
        for j in range(self.x.shape[1]):
            column = self.x[:, j]
            old = self.levels.values[self.index[:, :, j]]
            slope = (error @ column[:, :, None]).squeeze(2).double()
            steep = (self.scale * curve[:, :, j]).clamp(min=1e-12)
            picked = self.levels.nearest(old + slope / steep)
            moved = (picked != self.index[:, :, j]) & (curve[:, :, j] > 0)
            if not bool(moved.any()):
                continue
            changed = True
            picked = torch.where(moved, picked, self.index[:, :, j])
            step = (self.scale * (self.levels.values[picked] - old)).float()
            self.index[:, :, j] = picked
            if single:  # few channels change: leave the others alone
                at = moved[0].nonzero().squeeze(1)
                error[0, at] -= seen[0, at] * step[0, at, None] * column[0]
            else:
                error -= seen * step[:, :, None] * column[:, None]
        return changed

    def _errors(self, sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how much of each error passes the activation, and the errors before it."""
        node = self.problem.node
        value = sums * self.scale[:, :, None].float() + self.bias[:, :, None].float()
        want = self.target
        seen = torch.ones_like(value)
        if node.relu:
            seen[(value <= 0) & (want <= 0)] = node.leak**2
            if not node.leak:
                want = want.clamp(min=0)
        if node.ceiling is not None:
            seen[(value >= node.ceiling) & (want >= node.ceiling)] = 0.0
            want = want.clamp(max=node.ceiling)
        return seen, want - value

    def _adjust(self, sums: torch.Tensor, seen: torch.Tensor, error: torch.Tensor) -> None:
        """Move scale and bias to the weighted least-squares answer, given the codes."""
        count = seen.sum(2).double()
        part = seen * sums
        zs, es = part.sum(2).double(), (seen * error).sum(2).double()
        zz, ze = (part * sums).sum(2).double(), (part * error).sum(2).double()
        across = zz * count - zs.square()
        known = across > 1e-9 * zz * count
        safe = torch.where(known, across, 1.0)
        gain = torch.where(known, (ze * count - zs * es) / safe, 0.0)
        if self.problem.scale == "layer":
            gain = torch.zeros_like(gain)  # one scale for all: it stays
        scale = self.scale + gain
        good = scale > 0
        gain = torch.where(good, gain, 0.0)
        self.scale = self.scale + gain
        left = es - gain * zs
        self.bias += torch.where(count > 0, left / count.clamp(min=1e-9), 0.0)
