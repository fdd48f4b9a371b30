"""Ways to store one map: tables fitted to what unlabelled pictures showed, and what they lose.

A code's loss is predicted from histograms alone: half the squared error in every value, weighted
by how much an error there matters (:func:`.coded.fisher_weights`), is the second-order estimate
of the divergence of the class probabilities. :func:`.measure.measured` tells what it really is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from .coded import BATCH, CodedGraph, fisher_weights, histograms
from .levels import best_tables, plain_means
from .plain import companded, linear
from .table import VALUES, TableCode

SHARE = 1e-3  # of a channel's weight that goes by how often a value occurs
NEVER = 1e-7  # of the mean channel's weight: what has less never mattered
Fit = Literal["weighted", "means", "squares"]
FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True, eq=False)
class Profile:
    """What is known of one map.

    Attributes
    ----------
    counts : Tensor float64 (C, 256)
        How often a channel has a value, per picture.
    weights : Tensor float64 (C, 256)
        Loss in nats per squared error in every occurrence of the value, per picture.
    """

    counts: torch.Tensor
    weights: torch.Tensor

    def loss(self, code: TableCode) -> float:
        """Return the predicted divergence in nats when the map is stored so."""
        values = torch.arange(VALUES, dtype=torch.float64)
        return float((self.weights * (code.decoded.double() - values).square()).sum())


@dataclass(frozen=True, eq=False)
class Option:
    """One way to store one map.

    Attributes
    ----------
    code : TableCode
    masked : bool
        A mask of zeros before the codes that are not 0: a rate that depends on the picture.
    loss : float
        In nats: predicted, or measured.
    bits : float
        Stored per value, on average over the pictures looked at.
    """

    code: TableCode
    masked: bool
    loss: float
    bits: float

    @property
    def name(self) -> str:
        """What the option is called."""
        return f"{'mask + ' if self.masked else ''}{self.code.bits} bits"


def profiles(
    network: CodedGraph, pictures: torch.Tensor, names: Sequence[str], seed: int = 0
) -> dict[str, Profile]:
    """Return what choosing and fitting needs to know of each map, from unlabelled pictures.

    Parameters
    ----------
    network : CodedGraph
    pictures : Tensor uint8 (B, C, H, W)
        Some hundred; the gradients are taken on every second batch of them.
    names : sequence of str
    seed : int
        Of the classes that are drawn.
    """
    batches = pictures.split(BATCH)
    counts = histograms(network, batches, names)
    half = batches[::2]
    weights = fisher_weights(network, half, names, seed)
    looked = sum(map(len, half))
    found = {}
    for name in names:
        count, weight = counts[name] / len(pictures), weights[name] / (2 * looked)
        share = count / count.sum(1, keepdim=True).clamp(min=1e-300)
        total = weight.sum(1, keepdim=True)
        # a channel that never mattered goes by its counts alone: a code that is good for nothing
        # would wake it up
        weight = weight + SHARE * total.clamp(min=NEVER * float(total.mean())) * share
        found[name] = Profile(count, weight)
    return found


def fit_tables(profile: Profile, bits: Sequence[int]) -> dict[Fit, dict[int, TableCode]]:
    """Return tables of every size that are best in different ways.

    "weighted" have the least predicted loss, "means" their intervals with the plain mean of what
    each holds as its level, so that errors are 0 on average; "squares" have the least squared
    error.
    """
    weighted = best_tables(profile.weights, bits)
    return {
        "weighted": weighted,
        "means": {k: plain_means(code, profile.counts) for k, code in weighted.items()},
        "squares": best_tables(profile.counts, bits),
    }


def of_fixed_rate(profile: Profile, codes: Iterable[TableCode]) -> list[Option]:
    """Return codes as options, with predicted losses."""
    return [Option(code, False, profile.loss(code), float(code.bits)) for code in codes]


def fixed_options(profile: Profile, bits: Sequence[int], zero_point: int = 0) -> list[Option]:
    """Return codes of fixed rate with predicted losses: :func:`fit_tables`, linear, companded."""
    codes = [code for several in fit_tables(profile, bits).values() for code in several.values()]
    codes += [make(profile.counts, k, zero_point) for make in (linear, companded) for k in bits]
    return of_fixed_rate(profile, codes)


def masked_options(profile: Profile, bits: Sequence[int], price: float) -> list[Option]:
    """Return codes behind a mask of zeros, best at a price in nats per stored bit."""
    found = []
    values = float(profile.counts.sum())
    for k in bits:
        code = best_tables(profile.weights, [k], zero_gain=price * k * profile.counts)[k]
        used = float((profile.counts * (code.codes > 0)).sum())
        found.append(Option(code, True, profile.loss(code), 1 + k * used / values))
    return found
