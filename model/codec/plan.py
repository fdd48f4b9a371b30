"""Which codes are measured of which network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SQ2 = ("fire2_squeeze1x1", "fire3_squeeze1x1")


@dataclass(frozen=True)
class Plan:
    """What is measured of one network.

    Attributes
    ----------
    bits : tuple of int
        Every k of the codes of one size; what is chosen per map is among them too.
    subset : tuple of str
        Maps of the set SQ2; empty where there is none.
    fixed, masked : tuple of float
        Most bits per value on average, over the crops, of what is chosen per map: with fixed
        rates alone, and with masks of zeros.
    masks : tuple of int
        Every k behind a mask of zeros.
    mask_prices : tuple of float
        Nats per stored bit that the first interval of such codes is widened for.
    tuned : Mapping[str, tuple of int]
        Tables of one size that are tuned, by set of maps.
    tuned_fixed, tuned_masked : tuple of float
        Choices that are.
    planes, tuned_planes : tuple of int
        Every k of plane codes of one pixel on SQ2, and of those that are tuned.
    ranges : Mapping[str, tuple of int]
        Tables of a channel that the left neighbour chooses from, as powers of two, by set of maps.
    switched : Mapping[str, tuple of int]
        Every k of these, and on SQ2 of differences to the left neighbour.
    measured : int
        Crops, of those held out, that codes are measured on, one map at a time.
    """

    bits: tuple[int, ...] = (6, 5, 4, 3, 2)
    subset: tuple[str, ...] = ()
    fixed: tuple[float, ...] = (5, 4, 3)
    masked: tuple[float, ...] = ()
    masks: tuple[int, ...] = ()
    mask_prices: tuple[float, ...] = ()
    tuned: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tuned_fixed: tuple[float, ...] = ()
    tuned_masked: tuple[float, ...] = ()
    planes: tuple[int, ...] = ()
    tuned_planes: tuple[int, ...] = ()
    ranges: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    switched: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    measured: int = 24


PLANS = {
    "squeezenet1_1": Plan(
        subset=SQ2, masked=(3, 2.7, 2.25, 2), masks=(3, 4), mask_prices=(4e-8, 1.5e-7, 6e-7),
        tuned={"SQ2": (4, 3, 2), "ALL": (4,)}, tuned_fixed=(4,), tuned_masked=(2.7,),
        planes=(4, 3), tuned_planes=(3,),
        ranges={"SQ2": (1, 2, 3), "ALL": (2,)}, switched={"SQ2": (4, 3, 2), "ALL": (4, 3)},
    ),
    "efficientnet_lite0": Plan(fixed=(4.5, 4, 3.5), measured=12),
}  # fmt: skip
NETWORKS = tuple(PLANS)
