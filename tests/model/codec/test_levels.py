"""Levels by dynamic programming against every possible code, and the properties of an optimum."""

from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.table import TableCode


def error(code: TableCode, weights: torch.Tensor) -> torch.Tensor:
    """Return each channel's weighted squared error."""
    values = torch.arange(256, dtype=torch.float64)
    return (weights * (code.decoded.double() - values).square()).sum(1)


def spiky(seed: int, channels: int, spikes: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.zeros(channels, 256, dtype=torch.float64)
    for row in weights:
        at = torch.randperm(256, generator=generator)[:spikes]
        row[at] = torch.rand(spikes, generator=generator, dtype=torch.float64) + 0.01
    return weights


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 30))
def test_no_code_is_better(seed: int) -> None:
    weights = spiky(seed, 1, 7)
    values = torch.arange(256, dtype=torch.float64)
    seen = weights[0].nonzero().flatten().tolist()
    found = best_tables(weights, [1, 2])
    for bits in (1, 2):
        least = torch.inf
        for cuts in combinations(range(1, len(seen)), (1 << bits) - 1):
            total = 0.0
            for i, j in zip((0, *cuts), (*cuts, len(seen)), strict=True):
                part = seen[i:j]
                total += min(
                    float((weights[0, part] * (values[part] - level).square()).sum())
                    for level in range(part[0], part[-1] + 1)
                )
            least = min(least, total)
        assert float(error(found[bits], weights)[0]) == pytest.approx(least, rel=1e-3, abs=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 30))
def test_levels_are_lloyds(seed: int) -> None:
    weights = spiky(seed, 3, 200)
    code = best_tables(weights, [4])[4]
    values = torch.arange(256, dtype=torch.float64)
    for channel in range(3):
        for number in range(16):
            mine = code.codes[channel] == number
            mass = weights[channel] * mine
            centre = float((mass * values).sum() / mass.sum())
            assert abs(float(code.levels[channel, number]) - centre) <= 0.51
        nearest = (values[:, None] - code.levels[channel].double()).abs().amin(1)
        used = weights[channel] > 0
        mine = (values - code.decoded[channel].double()).abs()
        assert torch.equal(mine[used], nearest[used])


def test_more_bits_are_never_worse_and_few_values_cost_nothing() -> None:
    weights = spiky(1, 4, 150)
    found = best_tables(weights, [1, 2, 3, 4, 5, 6, 7])
    errors = [error(found[bits], weights) for bits in range(1, 8)]
    for coarse, fine in pairwise(errors):
        assert bool((fine <= coarse).all())
    few = best_tables(spiky(2, 3, 8), [3])[3]
    assert error(few, spiky(2, 3, 8)).tolist() == [0.0, 0.0, 0.0]


def test_a_channel_never_seen_gets_levels_all_the_same() -> None:
    code = best_tables(torch.zeros(1, 256), [2])[2]
    assert (code.levels.int() - torch.tensor([32, 96, 160, 224])).abs().max() <= 1


def test_cheap_zeros_widen_the_first_interval() -> None:
    weights = spiky(3, 2, 256)
    plain = best_tables(weights, [3])[3]
    cheap = best_tables(weights, [3], zero_gain=2000 * weights)[3]
    assert cheap.levels[:, 0].tolist() == [0, 0]
    assert bool((cheap.thresholds[:, 0] > plain.thresholds[:, 0]).all())


def test_bad_histograms_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights must be \(C, 256\), not \(1, 9\)"):
        best_tables(torch.ones(1, 9), [2])
    with pytest.raises(ValueError, match="finite and not negative"):
        best_tables(torch.full((1, 256), torch.nan), [2])
    with pytest.raises(ValueError, match=r"bits must be 1\.\.7, not \[8\]"):
        best_tables(torch.ones(1, 256), [8])
