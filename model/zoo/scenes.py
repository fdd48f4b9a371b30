"""Pictures for detectors whose boxes are exact: cut-outs of known classes laid on textures.

Cut-outs come from Debian's Tux Paint stamps, textures from scikit-image. A cut-out's box is where
it is not transparent. The set is for comparing a detector with itself, and not COCO's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageOps

from ..preprocess import read_picture
from .detect import Box
from .packages import MissingDataError, fetch

SIDE = 416
TEXTURES = ("grass", "gravel", "brick")
HAZE = 0.55  # share of plain colour over a texture
COLOURS = (90, 201)
COUNTS = (1, 1, 2, 3)  # objects in a scene, one of these
SIZES = (0.3, 0.65)  # of an object's longer side, as a share of the scene's
TRIES = 30  # places looked at for an object before it is left out
OPAQUE = 17  # least alpha of what counts as the object
DRAWN = ("cartoon", "symbols/", "easter", "_mirror")  # in the paths of what is no photo, or twice
STEMS = {
    "bird": "crow blackbird duck drake pigeon seagull silver-gull hen rooster gander magpie owl "
    "penguin magellanic_penguin rainbow-lorikeet pelican pink_flamingo ostrich vulture turkey lark "
    "chicken_profile guineafowl",
    "dog": "dog", "horse": "horse", "sheep": "sheep sheep_lamb ram", "cow": "cow bull cow_white "
    "zebu", "elephant": "elephant", "bear": "bear european-bear", "zebra": "zebra",
    "giraffe": "giraffe", "banana": "banana", "apple": "apple_red apple_green apple_fuji "
    "apple_granny_smith", "orange": "orange mandarine sliced_orange", "broccoli": "broccoli",
    "carrot": "carrot", "teddy bear": "edward_bear", "scissors": "scissors_small_open",
    "sports ball": "basketball soccer tennis_ball", "tennis racket": "tennis_racket", "cup": "mug",
    "toilet": "toilet", "truck": "firetruck garbagetruck truck", "bus": "green_korean_bus",
    "car": "beetle sedan sportscar2", "airplane": "747 f22_raptor",
    "boat": "chineseJunk walnutBoat", "stop sign": "stop",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what is in it: a label and a box, in fractions of the picture, for each."""

    picture: Image.Image
    objects: tuple[tuple[str, Box], ...]


@cache
def cutouts() -> tuple[tuple[str, Image.Image], ...]:
    """Return every cut-out with its label, cropped to what shows, in RGBA.

    Raises
    ------
    MissingDataError
        If the package cannot be fetched or lacks a picture.
    """
    folder = fetch("tuxpaint-stamps-default")
    paths = {}
    for path in sorted(folder.rglob("*.png")):
        if not any(word in path.as_posix() for word in DRAWN):
            paths.setdefault(path.stem, path)
    found = []
    for label, stems in STEMS.items():
        for stem in stems.split():
            if stem not in paths:
                raise MissingDataError(
                    f"tuxpaint-stamps-default has no {stem}.png: another version of the package? "
                    f"remove {folder}"
                )
            image = read_picture(paths[stem]).convert("RGBA")
            found.append((label, image.crop(_shown(image))))
    return tuple(found)


@cache
def textures() -> tuple[Image.Image, ...]:
    """Return the textures, in RGB and of a scene's size."""
    folder = fetch("scikit-image") / "skimage" / "data"
    every = [read_picture(folder / f"{name}.png").convert("RGB") for name in TEXTURES]
    return tuple(image.resize((SIDE, SIDE)) for image in every)


def scene(seed: int) -> Scene:
    """Return the scene of a seed: one to three objects, none over another one."""
    return compose(seed, cutouts(), textures())


def compose(
    seed: int,
    objects: Sequence[tuple[str, Image.Image]],
    backgrounds: Sequence[Image.Image],
) -> Scene:
    """Return a scene of some of the cut-outs, RGBA, on one of the backgrounds, RGB.

    Parameters
    ----------
    seed : int
    objects : sequence of (str, Image)
        Labels and cut-outs without a transparent border.
    backgrounds : sequence of Image
        Squares of one size, the scene's.
    """
    rng = np.random.default_rng(seed)
    ground = backgrounds[int(rng.integers(len(backgrounds)))]
    side = ground.width
    colour = tuple(int(c) for c in rng.integers(*COLOURS, 3))
    picture = Image.blend(ground, Image.new("RGB", ground.size, colour), HAZE)
    taken: list[tuple[int, int, int, int]] = []
    placed: list[tuple[str, Box]] = []
    for _ in range(COUNTS[int(rng.integers(len(COUNTS)))]):
        label, image = objects[int(rng.integers(len(objects)))]
        scale = rng.uniform(*SIZES) * side / max(image.size)
        wide, high = (max(8, round(length * scale)) for length in image.size)
        image = image.resize((wide, high), Image.Resampling.LANCZOS)
        if rng.integers(2):
            image = ImageOps.mirror(image)
        for _ in range(TRIES):
            left, top = int(rng.integers(side - wide + 1)), int(rng.integers(side - high + 1))
            box = (left, top, left + wide, top + high)
            if all(_apart(box, other) for other in taken):
                picture.paste(image, (left, top), image)
                taken.append(box)
                placed.append((label, tuple(edge / side for edge in box)))  # type: ignore[arg-type]
                break
    return Scene(picture, tuple(placed))


def _shown(image: Image.Image) -> tuple[int, int, int, int]:
    alpha = np.asarray(image.getchannel("A")) >= OPAQUE
    rows, columns = (np.flatnonzero(alpha.any(axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _apart(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return any(one[i + 2] <= other[i] or other[i + 2] <= one[i] for i in range(2))
