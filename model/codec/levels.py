"""Levels of a table code with the least error, by dynamic programming on histograms.

A monotone code splits the values 0..255 into 2^k intervals, each with one integer level. The best
split of the first j values into m intervals is the best over i of the best split of the first i
into m - 1, and one interval i..j (Fisher 1958; Lloyd's condition holds at the optimum).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .table import BITS_MAX, VALUES, TableCode

CHUNK = 4  # channels solved at once: what fits a cache is three times as fast
BLOCK = 64  # ends of intervals looked at together
PRIOR = 1e-6  # of a channel's weight, spread over all values: what was never seen has a level near

Progress = Callable[[int], None]


def interval_costs(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cost of every interval of values and its level.

    Parameters
    ----------
    weights : Tensor float64 (C, V)
        Of the values 0..V - 1.

    Returns
    -------
    costs : Tensor float64 (C, V, V + 1)
        ``costs[c, i, j]`` is the weighted squared distance of values i..j - 1 from the best
        integer level; infinite where j <= i.
    levels : Tensor int64 (C, V, V + 1)
    """
    values = torch.arange(weights.shape[1], dtype=torch.float64)
    zero = torch.zeros(len(weights), 1, dtype=torch.float64)
    sums = []
    for power in range(3):
        part = torch.cat([zero, (weights * values**power).cumsum(1)], 1)
        sums.append(part[:, None, :] - part[:, :-1, None])
    mass, first, second = sums
    levels = (first / mass.clamp(min=1e-300)).round()
    costs = second - 2 * levels * first + levels**2 * mass
    ends, starts = torch.arange(len(values) + 1), torch.arange(len(values))
    return costs.clamp_(min=0).masked_fill_(ends[None] <= starts[:, None], torch.inf), levels.long()


@dataclass(frozen=True, eq=False)
class Splits:
    """The best codes with a number of levels, of every channel.

    Attributes
    ----------
    starts : Tensor int64 (C, n - 1)
        First values of the second interval to the last: the thresholds.
    levels : Tensor int64 (C, n)
    costs : Tensor float64 (C,)
        Weighted squared error.
    """

    starts: torch.Tensor
    levels: torch.Tensor
    costs: torch.Tensor


def best_splits(
    weights: torch.Tensor,
    counts: Sequence[int],
    *,
    zero_gain: torch.Tensor | None = None,
    progress: Progress | None = None,
) -> dict[int, Splits]:
    """Return for each number of levels the intervals and levels with the least error.

    Parameters
    ----------
    weights : Tensor float64 (C, 256)
        How often a channel has a value, possibly times how much an error there matters.
    counts : sequence of int
        Every number of levels wanted, 1..128.
    zero_gain : Tensor float64 (C, 256), optional
        What it saves, in units of weight times squared error, that a value falls into the first
        interval: for codes in which code 0 is stored in fewer bits. Level 0 is then 0.
    progress : callable, optional
        Called with the number of channels that are done.

    Raises
    ------
    ValueError
        If weights have another shape, are negative or not finite, or a count is out of range.
    """
    if weights.ndim != 2 or weights.shape[1] != VALUES or not len(weights):
        raise ValueError(f"weights must be (C, {VALUES}), not {tuple(weights.shape)}")
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        raise ValueError("weights must be finite and not negative")
    if not counts or min(counts) < 1 or max(counts) > VALUES // 2:
        raise ValueError(f"numbers of levels must be 1..{VALUES // 2}, not {list(counts)}")
    weights = weights.double()
    total = weights.sum(1, keepdim=True)
    weights = weights + torch.where(total > 0, total, 1.0) * (PRIOR / VALUES)
    gains = torch.zeros_like(weights) if zero_gain is None else zero_gain
    found: dict[int, list[Splits]] = {count: [] for count in counts}
    done = 0
    for part, gain in zip(weights.split(CHUNK), gains.split(CHUNK), strict=True):
        costs, centres = interval_costs(part)
        if zero_gain is not None:
            _favour_zero(costs, centres, part, gain)
        rows = torch.arange(len(part))[:, None]
        for count, edges in _solve(costs, sorted(set(counts))).items():
            pieces = (rows, edges[:, :-1], edges[:, 1:])
            found[count].append(Splits(edges[:, 1:-1], centres[pieces], costs[pieces].sum(1)))
        done += len(part)
        if progress:
            progress(done)
    return {
        count: Splits(
            torch.cat([part.starts for part in parts]),
            torch.cat([part.levels for part in parts]),
            torch.cat([part.costs for part in parts]),
        )
        for count, parts in found.items()
    }


def best_tables(
    weights: torch.Tensor,
    bits: Sequence[int],
    *,
    zero_gain: torch.Tensor | None = None,
    progress: Progress | None = None,
) -> dict[int, TableCode]:
    """Return for each k the table code with the least weighted squared error.

    The arguments are those of :func:`best_splits`, but for ``bits``, every k wanted, 1..7.

    Raises
    ------
    ValueError
        Likewise, and if a k is out of range.
    """
    if not bits or min(bits) < 1 or max(bits) > BITS_MAX:
        raise ValueError(f"bits must be 1..{BITS_MAX}, not {list(bits)}")
    found = best_splits(weights, [1 << k for k in bits], zero_gain=zero_gain, progress=progress)
    return {
        k: TableCode(k, found[1 << k].starts.to(torch.uint8), found[1 << k].levels.to(torch.uint8))
        for k in bits
    }


def plain_means(code: TableCode, counts: torch.Tensor) -> TableCode:
    """Return the code with the mean of what each of its intervals holds as its level.

    Parameters
    ----------
    code : TableCode
    counts : Tensor float64 (C, 256)
        How often a channel has a value. Levels of intervals that hold nothing stay.
    """
    values = torch.arange(VALUES, dtype=torch.float64)
    empty = torch.zeros(code.levels.shape, dtype=torch.float64)
    index = code.codes.long()
    mass = empty.scatter_add(1, index, counts)
    first = empty.scatter_add(1, index, counts * values)
    means = torch.where(mass > 0, (first / mass.clamp(min=1e-300)).round(), code.levels.double())
    return TableCode(code.bits, code.thresholds, means.to(torch.uint8))


def _favour_zero(
    costs: torch.Tensor, levels: torch.Tensor, weights: torch.Tensor, gain: torch.Tensor
) -> None:
    """Give the interval of value 0 level 0, and what it saves."""
    values = torch.arange(weights.shape[1], dtype=torch.float64)
    costs[:, 0, 1:] = (weights * values**2 - gain).cumsum(1)
    levels[:, 0, 1:] = 0


def _solve(costs: torch.Tensor, counts: list[int]) -> dict[int, torch.Tensor]:
    """Return for each count of intervals their edges, int64 (C, count + 1)."""
    channels, values, _ = costs.shape
    into = np.ascontiguousarray(costs.numpy().transpose(0, 2, 1))  # [c, j, i]: minima run along i
    best = into[:, :, 0]  # (C, V + 1): one interval over the first j values
    choice = []
    for _ in range(1, max(counts)):
        start = np.zeros((channels, values + 1), np.int64)
        for low in range(0, values + 1, BLOCK):
            high = min(low + BLOCK, values + 1)
            reach = min(high, values)  # no interval begins behind its end
            total = best[:, None, :reach] + into[:, low:high, :reach]
            start[:, low:high] = total.argmin(2)
        best = np.take_along_axis(best, start, 1) + np.take_along_axis(
            into, start[:, :, None], 2
        ).squeeze(2)
        choice.append(torch.from_numpy(start))
    found = {}
    for count in counts:
        at = torch.full((channels, 1), values)
        edges = [at]
        for start in reversed(choice[: count - 1]):
            at = start.gather(1, at)
            edges.append(at)
        edges.append(torch.zeros_like(at))
        found[count] = torch.cat(edges[::-1], 1)
    return found
