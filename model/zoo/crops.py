"""More calibration pictures out of few: random crops and mirror images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image, ImageOps

from ..preprocess import Preprocess

ZOOM = 1.5  # a crop shows at least 1 / ZOOM of the side that the centre crop shows


def crops(
    pictures: Sequence[Image.Image] | Iterable[Image.Image],
    preprocess: Preprocess,
    count: int,
    seed: int = 0,
) -> torch.Tensor:
    """Return ``count`` random crops, half of them mirrored, taken from the pictures in turn.

    Parameters
    ----------
    pictures : sequence of Image
    preprocess : Preprocess
        Of the network; a crop is a square of 1 / ZOOM to all of the shorter side, or has the
        picture's shape where the network sees it stretched.
    count : int
        How many crops, at least 1.
    seed : int

    Returns
    -------
    Tensor uint8 (count, C, size, size)

    Raises
    ------
    ValueError
        If there are no pictures or ``count`` is less than 1.
    """
    every = list(pictures)
    if not every or count < 1:
        raise ValueError(f"crops needs pictures and a count of 1 or more, not {count}")
    rng = np.random.default_rng(seed)
    # what is cut out already is not to be cropped again
    whole = replace(preprocess, short_side=preprocess.size)
    found = []
    for number in range(count):
        image = every[number % len(every)]
        shape = image.size if preprocess.fit == "stretch" else (min(image.size),) * 2
        zoom = rng.uniform(1.0, ZOOM)
        wide, high = (round(side / zoom) for side in shape)
        left = int(rng.integers(image.width - wide + 1))
        top = int(rng.integers(image.height - high + 1))
        part = image.crop((left, top, left + wide, top + high))
        found.append(whole(ImageOps.mirror(part) if rng.integers(2) else part))
    return torch.stack(found)
