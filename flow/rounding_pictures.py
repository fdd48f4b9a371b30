"""Which pictures a conversion rounds with, and which it keeps to judge the result on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..model.preprocess import Preprocess, read_picture
from ..model.zoo.crops import crops
from ..model.zoo.loader import Loader, spread

SHARE = 5  # one picture in so many is not rounded with where a method looks at pictures
JUDGES = 40  # held-out crops that the zoo's networks are judged on


@dataclass(frozen=True, eq=False)
class RoundingPictures:
    """Stored inputs, all without labels.

    Attributes
    ----------
    rounding, judges : Tensor uint8 (P, C, H, W)
        To round with, and to compare the result with the float network on.
    apart : bool
        No judge is rounded with, nor a crop of the same picture.
    source : Tensor int64 (P,)
        Of what is rounded with: the number of the picture each is, or is cut from.
    """

    rounding: torch.Tensor
    judges: torch.Tensor
    apart: bool
    source: torch.Tensor


def split(stored: torch.Tensor, looks: bool) -> RoundingPictures:
    """Hold back one picture in SHARE, or none where there are fewer or nobody looks at them.

    Parameters
    ----------
    stored : Tensor uint8 (P, C, H, W)
    looks : bool
        Whether the rounding looks at pictures; otherwise all of them may judge it.
    """
    if not looks:
        return _each(stored[:0], stored, apart=True)
    if len(stored) < SHARE:
        return _each(stored, stored, apart=False)
    held = held_back(len(stored))
    return _each(stored[~held], stored[held], apart=True)


def _each(rounding: torch.Tensor, judges: torch.Tensor, apart: bool) -> RoundingPictures:
    """Return pictures of which each is another one."""
    return RoundingPictures(rounding, judges, apart, torch.arange(len(rounding)))


def held_back(count: int) -> torch.Tensor:
    """Return which of so many pictures are held back, bool (count,)."""
    return torch.arange(count) % SHARE == 0


def from_zoo(loader: Loader, count: int) -> RoundingPictures:
    """Return the random crops that ``make accuracy`` rounds with, if as many are asked for."""
    assert loader.crops is not None and loader.crop_sources is not None
    source = loader.crop_sources(count, False)
    return RoundingPictures(loader.crops(count, False), loader.crops(JUDGES, True), True, source)


def from_crops(
    paths: Sequence[Path],
    stored: torch.Tensor,
    preprocess: Preprocess,
    count: int,
    advance: Callable[[int], None],
) -> RoundingPictures:
    """Return random crops of the user's pictures, one picture in memory at a time.

    Parameters
    ----------
    paths : sequence of Path
    stored : Tensor uint8 (P, C, H, W)
        The same pictures as the network sees them whole: those held back are the judges.
    preprocess : Preprocess
    count : int
        Crops in all, at least 1.
    advance : callable
        Called with the number of crops made since the last call.
    """
    held = held_back(len(paths)) if len(paths) >= SHARE else torch.zeros(len(paths)).bool()
    free = [path for path, out in zip(paths, held.tolist(), strict=True) if not out]
    used = spread(len(free), count)
    parts, source = [], []
    for number, index in enumerate(used):
        share = (count - number + len(used) - 1) // len(used)  # as even as can be, count in all
        parts.append(crops([read_picture(free[index])], preprocess, share, seed=index))
        source += [number] * share
        advance(share)
    apart = bool(held.any())
    judges = stored[held] if apart else stored
    return RoundingPictures(torch.cat(parts), judges, apart, torch.tensor(source))
