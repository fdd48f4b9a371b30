from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shiftwork.model.preprocess import Preprocess, read_picture


def test_short_side_centre_crop_and_channel_order() -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 15:25] = (10, 20, 30)  # the centre, as wide as the crop
    image = Image.fromarray(pixels)
    got = Preprocess(size=10, short_side=20, channels="bgr")(image)
    assert got.shape == (3, 10, 10) and got.dtype == torch.uint8
    assert [int(plane.unique().item()) for plane in got] == [30, 20, 10]
    rgb = Preprocess(size=10, short_side=20)(image)
    assert torch.equal(rgb, got.flip(0))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
@pytest.mark.parametrize("size", [(7, 300), (227, 227), (1, 3)])
def test_any_kind_and_size_of_picture(mode: str, size: tuple[int, int]) -> None:
    got = Preprocess(size=227, short_side=256)(Image.new(mode, size))
    assert got.shape == (3, 227, 227)


def test_bad_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture at"):
        read_picture(tmp_path / "none.jpg")
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    with pytest.raises(ValueError, match=r"text\.jpg is not a readable picture"):
        read_picture(text)
    whole = tmp_path / "whole.png"
    Image.effect_noise((64, 64), 9.0).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"cut\.png is not a readable picture"):
        Preprocess(size=8, short_side=8)(cut)
    with pytest.raises(ValueError, match="too thin"):
        Preprocess(size=227, short_side=256)(Image.new("RGB", (1, 4000)))
    with pytest.raises(ValueError, match="picture size must be in 1"):
        Preprocess(size=300, short_side=256)
    with pytest.raises(ValueError, match="'rgb' or 'bgr'"):
        Preprocess(size=3, short_side=4, channels="gray")  # type: ignore[arg-type]
