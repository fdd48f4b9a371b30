"""Plain table codes that look at no channel by itself: what a learned code has to beat."""

from __future__ import annotations

import torch

from .table import VALUES, TableCode


def truncation(channels: int, bits: int) -> TableCode:
    """Return the code that keeps the k upper bits; the decoder appends zeros."""
    step = VALUES >> bits
    levels = torch.arange(0, VALUES, step)
    return _shared(channels, bits, levels[1:], levels)


def linear(weights: torch.Tensor, bits: int, zero_point: int = 0) -> TableCode:
    """Return evenly spaced levels of one step for the whole tensor: requantising to k bits.

    Parameters
    ----------
    weights : Tensor (C, 256)
        How often each channel has each value; the step with the least squared error is chosen.
    bits : int
    zero_point : int
        The stored value of 0: a level. Where it is not 0, as many levels lie on either side.
    """
    count = 1 << bits
    grid = torch.arange(count, dtype=torch.float64) - (count // 2 if zero_point else 0)
    peak = float(grid.abs().max())
    return _best(weights, bits, grid / peak, zero_point)


def companded(weights: torch.Tensor, bits: int, zero_point: int = 0) -> TableCode:
    """Return levels as the squares of evenly spaced numbers: requantised square roots."""
    count = 1 << bits
    grid = torch.arange(count, dtype=torch.float64) - (count // 2 if zero_point else 0)
    peak = float(grid.abs().max())
    return _best(weights, bits, grid.sign() * (grid / peak).square(), zero_point)


def _best(weights: torch.Tensor, bits: int, shape: torch.Tensor, zero_point: int) -> TableCode:
    """Return the shape of levels, stretched so that its squared error is least."""
    values = torch.arange(VALUES, dtype=torch.float64)
    mass = weights.double().sum(0)
    best, least = shape, torch.inf
    for reach in range(4, VALUES + 1):
        levels = (zero_point + shape * reach).round().clamp(0, VALUES - 1)
        decoded = levels[(values[:, None] >= nearest_starts(levels)).sum(1)]
        error = float((mass * (decoded - values).square()).sum())
        if error < least:
            best, least = levels, error
    return _shared(len(weights), bits, nearest_starts(best), best)


def nearest_starts(levels: torch.Tensor) -> torch.Tensor:
    """Return the thresholds (..., n - 1) that give every value its nearest level (..., n).

    Of two equally near levels the lower one; sorted as the levels are.
    """
    return ((levels[..., 1:] + levels[..., :-1]) / 2).floor() + 1


def _shared(channels: int, bits: int, starts: torch.Tensor, levels: torch.Tensor) -> TableCode:
    """Return a code with the same tables in every channel."""
    clipped = starts.clamp(max=VALUES - 1).to(torch.uint8)
    return TableCode(
        bits,
        clipped.expand(channels, -1).clone(),
        levels.to(torch.uint8).expand(channels, -1).clone(),
    )
