"""Names of the 1000 ImageNet classes, and pictures for networks that tell them apart."""

from __future__ import annotations

from functools import cache

import torch

from ..preprocess import Preprocess
from . import pictures
from .crops import crops
from .loader import Labelled, spread
from .packages import fetch

HELD_OUT = 5  # every fifth picture without labels is never rounded with


@cache
def class_names() -> tuple[str, ...]:
    """Return a short name for each of the 1000 classes, in the networks' order.

    The names come from the word lists in package ``timm``: the first word of each synset.
    """
    folder = fetch("timm") / "timm" / "data" / "_info"
    lemmas = dict(
        line.split("\t", 1)
        for line in (folder / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines()
        if "\t" in line
    )
    synsets = (folder / "imagenet_synsets.txt").read_text("utf-8").split()
    return tuple(lemmas[synset].split(",")[0].strip() for synset in synsets)


def calibration(preprocess: Preprocess, limit: int) -> torch.Tensor:
    """Return stored inputs of pictures without labels."""
    return torch.stack([preprocess(picture.open()) for picture in pictures.calibration(limit)])


def rounding_crops(preprocess: Preprocess, count: int, seed: int = 0) -> torch.Tensor:
    """Return random crops to round with: photos and cut-outs in turn, four in five of them."""
    return some_crops(preprocess, count, held_out=False, seed=seed)


def held_out_crops(preprocess: Preprocess, count: int, seed: int = 0) -> torch.Tensor:
    """Return random crops to judge roundings on, of the fifth of the pictures left over."""
    return some_crops(preprocess, count, held_out=True, seed=seed)


def some_crops(preprocess: Preprocess, count: int, held_out: bool, seed: int = 0) -> torch.Tensor:
    """Return random crops of one or the other part of the pictures without labels."""
    parts = []
    for kind in _kinds(held_out):
        parts.append(crops([p.open() for p in kind], preprocess, -(-count // 2), seed))
    return torch.stack(parts, 1).flatten(0, 1)[:count]


def crop_sources(count: int, held_out: bool) -> torch.Tensor:
    """Return for each of :func:`some_crops` the number of its picture, int64 (count,).

    The first crops are of pictures 0, 1, 2...; more than there are pictures are of some again.
    """
    number = torch.arange(count)
    sizes = torch.tensor([len(kind) for kind in _kinds(held_out)])
    kind = number % 2
    return number // 2 % sizes[kind] * 2 + kind


def _kinds(held_out: bool) -> list[list[pictures.Picture]]:
    """Return the photos and the cut-outs of one or the other part."""
    return [
        [picture for i, picture in enumerate(kind) if (i % HELD_OUT == 0) == held_out]
        for kind in (pictures.calibration(), pictures.cutouts())
    ]


def labelled(preprocess: Preprocess, limit: int | None = None) -> Labelled:
    """Return the labelled pictures, or some of them."""
    every = pictures.labelled()
    chosen = [every[i] for i in spread(len(every), limit)]
    x = torch.stack([preprocess(picture.open()) for picture in chosen])
    return Labelled(x, tuple(picture.classes for picture in chosen))
