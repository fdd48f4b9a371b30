"""The values a weight can take, and the cheapest codes of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import torch

from ..codebook import Book, Scale, ShiftWeights


@dataclass(frozen=True, eq=False)
class Levels:
    """Distinct values of a codebook, ascending.

    Several tuples of codes can have one value: 1 = 1/2 + 1/2. Each level keeps the one with the
    fewest non-zero terms, and of those the one whose leading codes are largest.

    Attributes
    ----------
    codebook : Book
    values : Tensor float64 (L,)
    codes : Tensor int8 (L, N)
    terms : Tensor float64 (L,)
        Non-zero terms of each level, 0..N.
    middles : Tensor float64 (L - 1,)
        Half way from each level to the next.
    """

    codebook: Book
    values: torch.Tensor
    codes: torch.Tensor
    terms: torch.Tensor
    middles: torch.Tensor

    def nearest(self, x: torch.Tensor) -> torch.Tensor:
        """Return the index of the level nearest to each x, int64; a tie goes down."""
        return torch.bucketize(x, self.middles)

    def pick(self, index: torch.Tensor, scale: torch.Tensor) -> ShiftWeights:
        """Return weights of level indices (Cout, ...) and scale () or (Cout,)."""
        codes = self.codes[index].movedim(-1, 0).contiguous()
        return ShiftWeights(codes, scale.double().clone(), self.codebook)


@lru_cache(maxsize=32)
def levels(book: Book) -> Levels:
    """Return the levels of a codebook; N and B decide."""
    best: dict[float, tuple[int, ...]] = {}

    def cost(codes: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        return sum(c != 0 for c in codes), tuple(-abs(c) for c in codes)

    m = book.magnitudes
    every = [*product(range(-m, m + 1), repeat=book.terms)]
    integers = book.integers(torch.tensor(every, dtype=torch.int8).T)
    for codes, integer in zip(every, integers.tolist(), strict=True):
        value = integer * 2.0**-book.fraction_bits
        if value not in best or cost(codes) < cost(best[value]):
            best[value] = codes
    values = torch.tensor(sorted(best), dtype=torch.float64)
    codes = torch.tensor([best[value] for value in sorted(best)], dtype=torch.int8)
    terms = (codes != 0).sum(1).double()
    return Levels(book, values, codes, terms, (values[1:] + values[:-1]) / 2)


def per_channel(peak: torch.Tensor, scale: Scale) -> torch.Tensor:
    """Return positive scales (Cout,) of per-channel peaks: 1 where a channel is all zeros."""
    if scale == "layer":
        peak = peak.max().expand_as(peak)
    return torch.where(peak > 0, peak, torch.ones_like(peak))
