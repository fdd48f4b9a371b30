"""Learned rounding: each layer is made to answer like the float one, behind its activation.

The idea is that of Nagel et al., "Up or Down? Adaptive Rounding" (arXiv 2004.10568, section 3.3):
a soft choice between two neighbouring levels per weight, which a regulariser drives to one or the
other. It starts from rounding with compensation, and the scales and the bias learn too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..graph import activate
from .compensated import compensate
from .problem import Problem, Samples
from .rounded import Rounded

STEPS = 300
COLUMNS = 512  # per step
RATE = 0.02  # of the choices
FINE_RATE = 3e-4  # of scales and biases, relative
STRETCH = 0.1  # the soft choice reaches 0 and 1: AdaRound's zeta = 1.1, gamma = -0.1
DOUBT = 0.15  # weight of the other level at the start
PRESSURE = 0.01  # of the regulariser, relative to the float outputs' mean square, per weight
WARM = 0.2  # share of the steps without the regulariser
SHARPNESS = (20.0, 2.0)  # the regulariser's exponent, first and last


@dataclass(frozen=True, eq=False)
class _Choice:
    """Two levels per weight, values (groups, O, n) and their indices; the first is the start."""

    first: torch.Tensor
    second: torch.Tensor
    values: torch.Tensor
    others: torch.Tensor


def learn(problem: Problem, before: Rounded | None = None) -> Rounded:
    """Better a rounding by gradient descent on some hundred input columns at a time.

    Parameters
    ----------
    problem : Problem
        With samples.
    before : Rounded, optional
        Where to start; rounding with compensation by default. It is returned as it is where what
        was learned is no better on all the samples.

    Raises
    ------
    ValueError
        If the problem has no samples.
    """
    if problem.samples is None:
        raise ValueError(f"layer {problem.node.name!r}: learned rounding needs input columns")
    start = before or compensate(problem)
    choice, scale = _neighbours(problem, start)
    bias = start.bias.float().reshape(problem.node.groups, 1, -1)
    logit = torch.full_like(choice.values, _inverse(DOUBT)).requires_grad_()
    gain = torch.zeros_like(scale).requires_grad_()
    shift = torch.zeros_like(bias).requires_grad_()
    samples = problem.samples
    power = float(_answer(problem, samples.target.clone()).square().mean()) or 1.0
    unit = float(samples.target.std()) or 1.0
    rates = [{"params": [logit], "lr": RATE}, {"params": [gain, shift], "lr": FINE_RATE}]
    optimiser = torch.optim.Adam(rates)
    generator = torch.Generator().manual_seed(problem.seed)
    with torch.enable_grad():
        for step in range(STEPS):
            at = torch.randint(samples.x.shape[1], (COLUMNS,), generator=generator)
            soft = (torch.sigmoid(logit) * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1)
            weight = choice.values + soft * (choice.others - choice.values)
            some = Samples(samples.x[:, at], samples.target[:, at])
            fine = (scale * (1 + _shared(problem, gain)), bias + shift * unit)
            loss = _error(problem, some, weight, *fine) / power
            done = step / STEPS
            if done > WARM:
                first, last = SHARPNESS
                sharp = first + (last - first) * (done - WARM) / (1 - WARM)
                loss = loss + PRESSURE * (1 - (2 * soft - 1).abs().pow(sharp)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        other = logit > 0
        index = torch.where(other, choice.second, choice.first)
        weight = problem.levels.values[index].float()
        new_scale = scale * (1 + _shared(problem, gain))
        learned = (weight, new_scale, bias + shift * unit)
        if bool((new_scale <= 0).any()) or _error(problem, samples, *learned) >= _error(
            problem, samples, choice.values, scale, bias
        ):
            return start
        flat = (bias + shift * unit).double().flatten()
        return problem.rounded(index, new_scale.squeeze(2).double(), flat)


def _inverse(soft: float) -> float:
    """Return the logit of a soft choice."""
    share = torch.tensor((soft + STRETCH) / (1 + 2 * STRETCH))
    return float(torch.logit(share))


def _neighbours(problem: Problem, start: Rounded) -> tuple[_Choice, torch.Tensor]:
    """Return the start's levels, the next ones towards the weights wanted, and the scales."""
    groups = problem.node.groups
    scale = start.weights.scale.expand(problem.node.weight.shape[0]).reshape(groups, -1, 1)
    values = problem.by_group(start.weights.dequantize()) / scale
    levels = problem.levels
    first = levels.nearest(values)
    wanted = problem.damped()[1] / scale
    second = torch.where(wanted >= levels.values[first], first + 1, first - 1)
    second = second.clamp(0, len(levels.values) - 1)
    exact, others = levels.values[first].float(), levels.values[second].float()
    return _Choice(first, second, exact, others), scale.float()


def _shared(problem: Problem, gain: torch.Tensor) -> torch.Tensor:
    """Return the gains, all alike where the layer has one scale."""
    return gain.mean().expand_as(gain) if problem.scale == "layer" else gain


def _answer(problem: Problem, value: torch.Tensor) -> torch.Tensor:
    return activate(problem.node, value)


def _error(
    problem: Problem,
    samples: Samples,
    weight: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
) -> torch.Tensor:
    """Return the mean squared error behind the activation."""
    value = samples.x @ (weight * scale).transpose(1, 2) + bias
    return (_answer(problem, value) - _answer(problem, samples.target.clone())).square().mean()
