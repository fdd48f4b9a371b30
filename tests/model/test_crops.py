from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shiftwork.model.preprocess import Preprocess
from shiftwork.model.zoo import imagenet, pictures
from shiftwork.model.zoo.crops import ZOOM, crops

PREPROCESS = Preprocess(size=32, short_side=40)


def ramp() -> Image.Image:
    """Return a picture whose red is its column and whose green is its row."""
    y, x = np.mgrid[0:120, 0:200].astype(np.uint8)
    return Image.fromarray(np.stack([x, y, np.zeros_like(x)], 2))


def test_crops_are_parts_of_the_picture_some_mirrored() -> None:
    found = crops([ramp()], PREPROCESS, 40, seed=1).int()
    assert found.shape == (40, 3, 32, 32) and int(found[:, 2].max()) == 0
    rising = found[:, 0, :, -1] > found[:, 0, :, 0]
    assert bool((rising.all(1) | ~rising.any(1)).all())
    assert 8 <= int(rising[:, 0].sum()) <= 32
    # how much of the shorter side is seen: all of it to 1 / ZOOM, less half a pixel at either end
    seen = (found[:, 1, -1, 0] - found[:, 1, 0, 0]).double() * 32 / 31 / 120
    assert 0.95 / ZOOM < float(seen.min()) < float(seen.max()) <= 1.02


def test_the_seed_decides() -> None:
    one, again, other = (crops([ramp()], PREPROCESS, 5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="crops needs pictures"):
        crops([], PREPROCESS, 3)
    with pytest.raises(ValueError, match="a count of 1 or more, not 0"):
        crops([ramp()], PREPROCESS, 0)


def test_cutouts_are_apart_from_the_labelled_pictures() -> None:
    labelled = {Path(picture.path).stem for picture in pictures.labelled()}
    found = pictures.cutouts()
    assert len(found) > 150 and not any(picture.classes for picture in found)
    for picture in found:
        assert picture.name not in labelled
        assert picture.name.removesuffix("_mirror").removesuffix("_flip") not in labelled


@dataclass(frozen=True)
class Plain:
    """A picture of one colour."""

    value: int

    def open(self) -> Image.Image:
        return Image.new("RGB", (50, 40), (self.value,) * 3)


def test_crops_of_a_picture_that_is_taken_again_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    photos, cutouts = [Plain(v) for v in range(10, 19)], [Plain(v) for v in range(100, 106)]
    monkeypatch.setattr(pictures, "calibration", lambda limit=None: photos)
    monkeypatch.setattr(pictures, "cutouts", lambda: cutouts)
    for held, count in ((False, 25), (True, 9)):
        colours = imagenet.some_crops(PREPROCESS, count, held)[:, 0, 0, 0].tolist()
        sources = imagenet.crop_sources(count, held).tolist()
        pairs = set(zip(colours, sources, strict=True))
        assert len(pairs) == len(set(colours)) == len(set(sources))
    # 7 of the photos and 4 of the cut-outs are not held out
    assert imagenet.crop_sources(11, False).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 10]
